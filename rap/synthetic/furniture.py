"""What furnishes a room: along its walls, on them, and tables with chairs, built of boxes and rectangles."""

from __future__ import annotations

import numpy as np

from rap.synthetic.builder import INSIDE, Look, SceneBuilder, box_faces, yaw_matrix
from rap.synthetic.objects import sides
from rap.synthetic.scene import MAX_SURFACES


def on_walls(b: SceneBuilder, low: np.ndarray, high: np.ndarray, count: int) -> None:
    """Pictures, windows and doors, 1 cm before the four walls of a room, not over each other."""
    size, centre = high - low, (high + low) / 2
    taken: list[tuple[int, float, float]] = []
    for _ in range(count):
        wall = int(b.rng.integers(4))
        origin, edge_u, _ = INSIDE[wall] * size
        length = float(np.linalg.norm(edge_u))
        is_door = b.rng.random() < 0.2
        width = b.rng.uniform(0.8, 1.0) if is_door else b.rng.uniform(0.1, 0.38) * length
        height = 2.05 if is_door else b.rng.uniform(0.2, 0.6) * size[1]
        left = b.rng.uniform(0.1, max(length - width - 0.1, 0.11))
        if any(w == wall and left < right + 0.05 and left + width > start - 0.05 for w, start, right in taken):
            continue
        taken.append((wall, left, left + width))
        top = size[1] - height if is_door else b.rng.uniform(0.1, 0.8) * (size[1] - height)
        across = edge_u / length
        inward = -np.cross(across, [0.0, 1.0, 0.0])
        corner = centre + origin + left * across + np.array([0.0, top, 0.0]) + 0.01 * inward
        b.rectangle(corner, across * width, np.array([0.0, height, 0.0]), b.material(1.0) if is_door else b.photo())


def along_walls(b: SceneBuilder, low: np.ndarray, high: np.ndarray, count: int) -> None:
    """Wardrobes, shelves and sideboards with their backs to the walls."""
    for _ in range(count):
        size = np.array([b.rng.uniform(0.5, 1.6), b.rng.uniform(0.4, 2.0), b.rng.uniform(0.3, 0.6)])
        wall = b.rng.integers(4)
        yaw = wall * np.pi / 2
        out = yaw_matrix(yaw) @ np.array([0.0, 0.0, 1.0])
        side = yaw_matrix(yaw) @ np.array([1.0, 0.0, 0.0])
        room_size = (high - low)[[0, 2]]
        depth, width = (room_size[1], room_size[0]) if wall % 2 == 0 else (room_size[0], room_size[1])
        slide = b.rng.uniform(-0.5, 0.5) * max(width - size[0] - 0.1, 0.1)
        at = (low + high) / 2 * [1, 0, 1] + out * (depth / 2 - size[2] / 2 - 0.02) + side * slide
        b.box(at, size, yaw, sides(b, 0.8))


def rug(b: SceneBuilder, at: np.ndarray, size: float) -> None:
    """A carpet, 1 cm above the floor."""
    turn = yaw_matrix(b.rng.uniform(0, np.pi))
    edge_u, edge_v = turn @ [size, 0, 0], turn @ [0, 0, -size * b.rng.uniform(0.5, 1.0)]
    corner = at + np.array([0.0, -0.01, 0.0]) - (edge_u + edge_v) / 2
    b.rectangle(corner, edge_u, edge_v, b.any_look(size * 0.5))


def table(b: SceneBuilder, at: np.ndarray, size: np.ndarray, height: float) -> np.ndarray:
    """A table with four legs; the point in the middle of its top."""
    top, slab, legs = at - np.array([0.0, height, 0.0]), b.material(0.9, (0.8, 1.8)), b.material(0.3)
    yaw = b.rng.uniform(0, np.pi)
    b.box(top + np.array([0.0, size[1], 0.0]), size, yaw, [slab] * 5)
    for x, z in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
        foot = at + yaw_matrix(yaw) @ np.array([x * (size[0] / 2 - 0.06), 0.0, z * (size[2] / 2 - 0.06)])
        b.box(foot, np.array([0.06, height - size[1], 0.06]), yaw, [legs] * 5)
    return top


def chair(b: SceneBuilder, at: np.ndarray, yaw: float) -> None:
    """Four legs, a seat and a back that stands away from the table at the origin of `yaw`."""
    wood, seat = b.material(0.4), b.any_look(0.5)
    turn, height, half = yaw_matrix(yaw), b.rng.uniform(0.42, 0.48), b.rng.uniform(0.19, 0.23)
    for x, z in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
        foot = at + turn @ np.array([x * (half - 0.03), 0.0, z * (half - 0.03)])
        b.box(foot, np.array([0.04, height, 0.04]), yaw, [wood] * 5)
    b.box(at - np.array([0.0, height, 0.0]), np.array([2 * half, 0.04, 2 * half]), yaw, [seat] * 5)
    back = at - np.array([0.0, height + 0.04, 0.0]) + turn @ np.array([0.0, 0.0, half - 0.02])
    b.box(back, np.array([2 * half, b.rng.uniform(0.4, 0.55), 0.03]), yaw, [seat] * 5)


def bookshelf(b: SceneBuilder, low: np.ndarray, high: np.ndarray) -> None:
    """Two sides, a back, boards and rows of books of many heights and spines, against a wall."""
    wood = b.material(0.8)
    wide, tall, deep = b.rng.uniform(0.7, 1.1), b.rng.uniform(1.2, min(2.0, -low[1] - 0.2)), b.rng.uniform(0.24, 0.32)
    wall = int(b.rng.integers(4))
    yaw = wall * np.pi / 2
    turn = yaw_matrix(yaw)
    span, reach = (high - low)[[0, 2]] if wall % 2 == 0 else (high - low)[[2, 0]]
    slide = b.rng.uniform(-0.5, 0.5) * max(span - wide - 0.2, 0.0)
    base = turn @ np.array([slide, 0.0, reach / 2 - deep / 2 - 0.03])  # local -z looks into the room
    rows = int(b.rng.integers(3, 5))
    step = (tall - 0.03) / rows
    for x in (-1, 1):
        b.box(base + turn @ np.array([x * (wide / 2 - 0.015), 0.0, 0.0]), np.array([0.03, tall, deep]), yaw, [wood] * 5)
    for row in range(rows + 1):
        lift = np.array([0.0, -row * step, 0.0])
        b.box(base + lift, np.array([wide - 0.06, 0.03, deep]), yaw, [wood] * 5)
        if row < rows:
            _books(b, base + lift - np.array([0.0, 0.03, 0.0]), yaw, wide - 0.08, step - 0.05, deep)


def _books(b: SceneBuilder, base: np.ndarray, yaw: float, wide: float, tall: float, deep: float) -> None:
    """A row of a few thin boxes of different heights; a gap where somebody has taken some."""
    at, turn = -wide / 2, yaw_matrix(yaw)
    while at < wide / 2 - 0.09 and b.count < MAX_SURFACES - 110:
        thick = b.rng.uniform(0.04, 0.09)
        if b.rng.random() < 0.85:
            size = np.array([thick * 0.95, tall * b.rng.uniform(0.6, 0.97), deep * b.rng.uniform(0.6, 0.8)])
            place = base + turn @ np.array([at + thick / 2, 0.0, 0.02])
            spine = b.any_look(b.rng.uniform(0.1, 0.4))
            # What is seen of a book is its spine, its top and a bit of its sides.
            faces = box_faces(place, size, yaw)
            b.add_faces(faces[[0, 2, 3, 4]], [spine] * 4)
        at += thick


def skirting(b: SceneBuilder, low: np.ndarray, high: np.ndarray) -> None:
    """A board of a hand's height along each wall."""
    band(b, low, high, (0.0, b.rng.uniform(0.06, 0.12)), b.material(0.6))


def band(
    b: SceneBuilder, low: np.ndarray, high: np.ndarray, heights: tuple[float, float], look: Look, out: float = 0.012
) -> None:
    """What runs along each wall between two heights, `out` metres before it."""
    size, centre, tall = high - low, (high + low) / 2, heights[1] - heights[0]
    for wall in range(4):
        origin, edge_u, edge_v = INSIDE[wall] * size
        across = edge_u / np.linalg.norm(edge_u)
        inward = -np.cross(across, [0.0, 1.0, 0.0])
        corner = centre + origin + edge_v * (1 - heights[1] / size[1]) + out * inward
        b.rectangle(corner, edge_u, edge_v * (tall / size[1]), look)


def parting_wall(b: SceneBuilder, low: np.ndarray, high: np.ndarray, at_z: float, look: Look) -> None:
    """A wall across a room with a doorway in it, framed, and perhaps a door that stands open."""
    thick, wide, tall = b.rng.uniform(0.08, 0.2), b.rng.uniform(0.8, 1.3), b.rng.uniform(1.95, 2.15)
    left = b.rng.uniform(low[0] + 0.15, high[0] - 0.15 - wide)
    for start, end in ((low[0], left), (left + wide, high[0])):
        b.box(np.array([(start + end) / 2, 0.0, at_z]), np.array([end - start, -low[1], thick]), 0.0, [look] * 5)
    middle, frame, rim = left + wide / 2, b.plain(), b.rng.uniform(0.04, 0.09)
    b.box(np.array([middle, -tall, at_z]), np.array([wide, -low[1] - tall, thick]), 0.0, [look] * 6)
    for x in (left, left + wide):
        b.box(np.array([x, 0.0, at_z]), np.array([rim, tall, thick + 0.05]), 0.0, [frame] * 5)
    b.box(np.array([middle, -tall + rim / 2, at_z]), np.array([wide, rim, thick + 0.05]), 0.0, [frame] * 6)
    if b.rng.random() < 0.6:
        side, yaw = b.rng.choice([-1.0, 1.0]), b.rng.uniform(0.3, 2.0) * b.rng.choice([-1.0, 1.0])
        turn = yaw_matrix(yaw)
        hinge = np.array([middle - side * wide / 2, 0.0, at_z])
        b.box(hinge + turn @ [side * wide / 2, 0, 0], np.array([wide - 0.1, tall - 0.02, 0.04]), yaw, [b.plain()] * 5)
        handle = hinge + turn @ [side * (wide - 0.12), -1.02, 0]
        b.box(handle, np.array([0.12, 0.025, 0.14]), yaw, [b.plain()] * 6)


def framed_pictures(b: SceneBuilder, low: np.ndarray, high: np.ndarray, count: int) -> None:
    """Pictures, windows with cross bars and doors in frames, not over each other."""
    size, centre = high - low, (high + low) / 2
    taken: list[tuple[int, float, float]] = []
    for _ in range(count):
        wall, kind = int(b.rng.integers(4)), b.rng.random()
        origin, edge_u, _ = INSIDE[wall] * size
        length = float(np.linalg.norm(edge_u))
        door, window = kind < 0.15, 0.15 <= kind < 0.4
        wide = b.rng.uniform(0.8, 0.95) if door else b.rng.uniform(0.8, 1.4) if window else b.rng.uniform(0.3, 0.9)
        tall = 2.02 if door else b.rng.uniform(0.9, 1.3) if window else b.rng.uniform(0.3, 0.7)
        left = b.rng.uniform(0.12, max(length - wide - 0.12, 0.13))
        if any(w == wall and left < right + 0.1 and left + wide > start - 0.1 for w, start, right in taken):
            continue
        taken.append((wall, left, left + wide))
        top = size[1] - tall if door else b.rng.uniform(0.25, 0.9) * (size[1] - 0.9 - tall) + 0.1
        across, down = edge_u / length, np.array([0.0, 1.0, 0.0])
        inward = -np.cross(across, down)
        corner = centre + origin + left * across + max(top, 0.05) * down
        rim, frame = b.rng.uniform(0.03, 0.08), b.material(0.3)
        b.rectangle(corner + 0.015 * inward, across * wide, down * tall, frame)
        inner = corner + rim * (across + down) + 0.022 * inward
        pane = across * (wide - 2 * rim), down * (tall - 2 * rim)
        b.rectangle(inner, *pane, b.material(0.9) if door else b.photo())
        if window:
            bar = inner + pane[0] / 2 - 0.02 * across + 0.007 * inward
            b.rectangle(bar, across * 0.04, pane[1], frame)
