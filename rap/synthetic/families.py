"""The families of scenes: rooms, tables, open ground, streets, each a random arrangement of things with a camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from rap.synthetic.builder import SceneBuilder, yaw_matrix
from rap.synthetic.furniture import (
    along_walls,
    band,
    bookshelf,
    chair,
    framed_pictures,
    on_walls,
    parting_wall,
    rug,
    skirting,
    table,
)
from rap.synthetic.objects import any_object, plain_object, scatter
from rap.synthetic.outdoors import car, facades, hills, house, lamp_post, tree, wide_open
from rap.synthetic.scene import MAX_SURFACES, Scene
from rap.synthetic.textures import TextureBank


def room(b: SceneBuilder) -> Scene:
    """A furnished room: things on the floor and along the walls, pictures, doors."""
    width, depth, height = b.rng.uniform(3, 7), b.rng.uniform(3, 8), b.rng.uniform(2.3, 3.2)
    low, high = np.array([-width / 2, -height, -depth / 2]), np.array([width / 2, 0.0, depth / 2])
    wall = b.material(1.6, (0.2, 1.3)) if b.rng.random() < 0.6 else None
    walls = [wall or b.material(1.6, (0.3, 1.5)) for _ in range(4)]
    b.hull(low, high, [*walls, b.material(1.8), b.material(1.5, (0.1, 0.8))])
    on_walls(b, low, high, int(b.rng.integers(4, 12)))
    along_walls(b, low, high, int(b.rng.integers(1, 5)))
    if b.rng.random() < 0.6:
        rug(b, np.array([b.rng.uniform(-1, 1), 0.0, b.rng.uniform(-1, 1)]), b.rng.uniform(1.2, 2.5))
    if b.rng.random() < 0.5:
        size = np.array([b.rng.uniform(0.6, 1.4), 0.05, b.rng.uniform(0.5, 0.9)])
        top = table(
            b, np.array([b.rng.uniform(-0.8, 0.8), 0.0, b.rng.uniform(-0.8, 0.8)]), size, b.rng.uniform(0.4, 0.8)
        )
        scatter(b, top, (0.3, 0.2), int(b.rng.integers(1, 5)), (0.1, 0.3))
    scatter(b, np.zeros(3), (width * 0.42, depth * 0.42), int(b.rng.integers(6, 14)), (0.2, 1.0))
    pivot = np.array([b.rng.uniform(-0.2, 0.2) * width, -b.rng.uniform(0.2, 1.2), b.rng.uniform(-0.2, 0.2) * depth])
    eye = _around(b, pivot, b.rng.uniform(0.3, 0.6) * min(width, depth), (-0.05, 0.5))
    return b.finish(pivot, eye, _lamp(b, low, high), max(width, depth) / 2)


def table_top(b: SceneBuilder, thing: Callable[[SceneBuilder, np.ndarray, float], None] = plain_object) -> Scene:
    """Small things on a table in a room, as one photographs an object."""
    low, high = np.array([-3.0, -2.6, -3.0]), np.array([3.0, 0.0, 3.0])
    low[[0, 2]] *= b.rng.uniform(0.7, 1.6, 2)
    high[[0, 2]] *= b.rng.uniform(0.7, 1.6, 2)
    walls = [b.photo() if b.rng.random() < 0.4 else b.material(1.6, (0.3, 1.5)) for _ in range(4)]
    b.hull(low, high, [*walls, b.material(1.8), b.material(1.5, (0.1, 0.8))])
    on_walls(b, low, high, int(b.rng.integers(3, 8)))
    along_walls(b, low, high, int(b.rng.integers(2, 6)))
    size = np.array([b.rng.uniform(0.9, 2.0), 0.05, b.rng.uniform(0.9, 2.0)])
    top = table(b, np.zeros(3), size, b.rng.uniform(0.6, 0.85))
    scatter(b, top, (0.34, 0.34), int(b.rng.integers(5, 12)), (0.12, 0.42), thing)
    pivot = top + np.array([b.rng.uniform(-0.1, 0.1), -b.rng.uniform(0.03, 0.15), b.rng.uniform(-0.1, 0.1)])
    eye = _around(b, pivot, b.rng.uniform(0.6, 1.3), (0.12, 0.85))
    return b.finish(pivot, eye, _lamp(b, low, high), 2.5)


def open_ground(b: SceneBuilder, hilly: bool = False, *, far: bool = False) -> Scene:
    """Blocks, poles and boulders on open ground, flat or with low hills, before photographed horizons and sky.

    Args:
        far: the ground goes on to its own horizon, and the sky is where a sky is.
    """
    reach = b.rng.uniform(9, 30)
    low, high = np.array([-reach, -reach * b.rng.uniform(0.5, 0.9), -reach]), np.array([reach, 0.0, reach])
    if far:
        wide_open(b)
    else:
        backdrop = b.photo()
        walls = [backdrop if b.rng.random() < 0.4 else b.photo() for _ in range(4)]
        b.hull(low, high, [*walls, b.material(3.5), b.material(20.0, (0.05, 0.3))], horizon=True)
    scatter(b, np.zeros(3), (5.0, 5.0), int(b.rng.integers(10, 20)), (0.6, 2.6))
    if hilly:
        hills(b, reach, b.material(3.5))
    for _ in range(int(b.rng.integers(0, 5))):
        foot = np.array([b.rng.uniform(-6, 6), 0.0, b.rng.uniform(-6, 6)])
        b.shell(foot, b.rng.uniform(2, 4), 0.1, b.rng.uniform(0.05, 0.1), b.material(0.4))
    pivot = np.array([b.rng.uniform(-1, 1), -b.rng.uniform(0.4, 1.5), b.rng.uniform(-1, 1)])
    return b.finish(pivot, _around(b, pivot, b.rng.uniform(2.5, 6.0), (0.02, 0.5)), _sun(b), 7.5)


def landscape(b: SceneBuilder) -> Scene:
    """Ground to the horizon with hills and groves far away, houses, trees, cars and things near, under a sky.

    At times one thing stands in the middle, as one photographs a statue or a flower.
    """
    wide_open(b)
    for _ in range(int(b.rng.integers(0, 7))):
        away, side = 10 ** b.rng.uniform(1.7, 2.3), b.rng.uniform(0, 2 * np.pi)
        radii = away * b.rng.uniform([0.2, 0.03, 0.2], [0.5, 0.25, 0.5])
        b.ball(away * np.array([np.cos(side), 0.0, np.sin(side)]), radii, side, b.material(2.0, (0.1, 0.9)))
    _strewn(b, int(b.rng.integers(0, 4)), (10.0, 50.0), house)
    _strewn(b, int(b.rng.integers(0, 9)), (4.0, 30.0), tree)
    _strewn(b, int(b.rng.integers(0, 3)), (4.0, 15.0), car)
    _strewn(b, int(b.rng.integers(0, 3)), (4.0, 20.0), lamp_post)
    subject = b.rng.random() < 0.4
    pivot = np.array([0.0, -b.rng.uniform(0.3, 1.8), 0.0])
    if subject:
        any_object(b, np.zeros(3), b.rng.uniform(0.5, 2.2))
    scatter(b, np.zeros(3), (7.0, 7.0), int(b.rng.integers(0, 10)), (0.3, 1.8), any_object)
    eye = _around(b, pivot, b.rng.uniform(1.5, 4.0) if subject else b.rng.uniform(2.5, 7.0), (0.0, 0.4))
    eye[1] = min(eye[1], -0.25)
    return b.finish(pivot, eye, _sun(b), 9.0)


def _strewn(
    b: SceneBuilder, count: int, away: tuple[float, float], thing: Callable[[SceneBuilder, np.ndarray], None]
) -> None:
    """Things on the ground in all directions, so far from the middle."""
    for _ in range(count):
        distance, side = np.exp(b.rng.uniform(*np.log(away))), b.rng.uniform(0, 2 * np.pi)
        thing(b, distance * np.array([np.cos(side), 0.0, np.sin(side)]))


def layered_panels(b: SceneBuilder) -> Scene:
    """Upright panels at several depths, like trees, people or shelves before one another."""
    low, high = np.array([-6.0, -4.5, -5.0]), np.array([6.0, 0.0, 7.0])
    horizon = bool(b.rng.random() < 0.5)
    walls = [b.photo() if horizon else b.material(2.0) for _ in range(4)]
    b.hull(low, high, [*walls, b.material(2.0), b.material(2.0, (0.1, 0.8))], horizon)
    for _ in range(int(b.rng.integers(6, 14))):
        width, height = b.rng.uniform(0.3, 1.6), b.rng.uniform(0.6, 2.6)
        lift = 0.0 if b.rng.random() < 0.7 else b.rng.uniform(0.2, 1.5)
        centre = np.array([b.rng.uniform(-3.5, 3.5), -height / 2 - lift, b.rng.uniform(-1.5, 5.0)])
        b.panel(centre, width, height, b.rng.uniform(-0.9, 0.9), b.any_look(b.rng.uniform(0.8, 2.0)))
    scatter(b, np.array([0.0, 0.0, 1.5]), (3.0, 3.0), int(b.rng.integers(3, 8)), (0.3, 0.9))
    pivot = np.array([b.rng.uniform(-1, 1), -b.rng.uniform(0.7, 1.5), b.rng.uniform(0.0, 2.0)])
    eye = pivot + np.array([b.rng.uniform(-1.5, 1.5), b.rng.uniform(-0.7, 0.3), -b.rng.uniform(1.5, 4.0)])
    return b.finish(pivot, np.minimum(eye, [5.0, -0.3, 6.0]), _sun(b) if horizon else _lamp(b, low, high), 6.0)


def photo_relief(b: SceneBuilder) -> Scene:
    """A photograph cut into tiles that stand out by different depths: what a real picture would look like in 3D."""
    low, high = np.array([-5.0, -4.5, -5.0]), np.array([5.0, 0.0, 4.0])
    b.hull(low, high, [b.photo(), *[b.material(2.0) for _ in range(4)], b.material(2.0, (0.1, 0.8))])
    columns, rows = int(b.rng.integers(5, 8)), int(b.rng.integers(3, 6))
    wide, tall = b.rng.uniform(3.0, 5.5), b.rng.uniform(2.0, 3.2)
    picture, back, lift = b.photo(), b.rng.uniform(1.5, 2.5), b.rng.uniform(0.0, 0.6)
    size = np.array([wide / columns, tall / rows])
    for column, depth in enumerate(_bumps(b, columns, rows)):
        for row, out in enumerate(depth):
            part = replace(picture, part=(column / columns, row / rows, 1 / columns, 1 / rows))
            base = np.array([(column + 0.5) * size[0] - wide / 2, (row + 1) * size[1] - tall - lift, back - out / 2])
            b.box(base, np.array([size[0], size[1], out]), 0.0, [part] * 5)
    scatter(b, np.array([0.0, 0.0, -0.5]), (2.0, 0.8), int(b.rng.integers(0, 5)), (0.2, 0.7))
    pivot = np.array([b.rng.uniform(-0.7, 0.7), -lift - tall * b.rng.uniform(0.3, 0.7), back - 0.5])
    eye = pivot + np.array([b.rng.uniform(-1.2, 1.2), b.rng.uniform(-0.5, 0.3), -b.rng.uniform(1.6, 3.4)])
    eye[1] = np.clip(eye[1], low[1] + 0.4, -0.3)
    return b.finish(pivot, eye, _lamp(b, low, high), 4.0)


def _bumps(b: SceneBuilder, columns: int, rows: int) -> np.ndarray:
    """(columns, rows) metres by which tiles stand out: a tilted plane, a smooth bump or none, and steps."""
    x, y = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows), indexing="ij")
    tilt, bump, step = b.rng.uniform(-0.35, 0.35, 2), b.rng.uniform(0, 0.8), b.rng.uniform(0.0, 0.3)
    middle = b.rng.uniform(-0.6, 0.6, 2)
    smooth = tilt[0] * x + tilt[1] * y + bump * np.exp(-2 * ((x - middle[0]) ** 2 + (y - middle[1]) ** 2))
    out = smooth + step * b.rng.uniform(-1, 1, (columns, rows))
    return out - out.min() + 0.1


def street(b: SceneBuilder, *, far: bool = False) -> Scene:
    """A road between facades with windows: kerbs, lamp posts, cars, trees, before a photographed end and sky.

    Args:
        far: the road leads into the open, and the sky is where a sky is.
    """
    width, length, tall = b.rng.uniform(8, 14), b.rng.uniform(22, 40), b.rng.uniform(9, 16)
    low, high = np.array([-width / 2 - 0.2, -tall - 6, -length / 2]), np.array([width / 2 + 0.2, 0.0, length / 2])
    if far:
        wide_open(b)
    else:
        ends = [b.photo(), b.photo()]
        b.hull(low, high, [*ends, b.photo(), b.photo(), b.material(3.0), b.photo()], horizon=True)
    road = width * b.rng.uniform(0.24, 0.32)
    for side in (-1.0, 1.0):
        facades(b, side, width / 2, length, tall)
        pavement = np.array([width / 2 - road, 0.14, length])
        b.box(np.array([side * (road + pavement[0] / 2), 0.0, 0.0]), pavement, 0.0, [b.material(1.2)] * 5)
    for _ in range(int(b.rng.integers(1, 6))):
        lane = b.rng.choice([-1.0, 1.0])
        car(b, np.array([lane * (road - 1.1), 0.0, b.rng.uniform(-0.42, 0.42) * length]))
    step = b.rng.uniform(6, 11)
    for z in np.arange(-length / 2 + b.rng.uniform(1, 6), length / 2 - 1, step):
        for side in (-1.0, 1.0):
            if b.count < MAX_SURFACES - 20:
                foot = np.array([side * (road + 0.5), -0.14, z])
                (lamp_post if b.rng.random() < 0.4 else tree)(b, foot)
    pivot = np.array([b.rng.uniform(-0.2, 0.2) * width, -b.rng.uniform(0.8, 2.2), b.rng.uniform(-0.1, 0.35) * length])
    eye = np.array([b.rng.uniform(-0.6, 0.6) * road, -b.rng.uniform(1.2, 2.0), pivot[2] - b.rng.uniform(4, 9)])
    eye[2] = max(eye[2], low[2] + 1.0)
    return b.finish(pivot, eye, _sun(b), length / 3)


def furnished_room(b: SceneBuilder) -> Scene:
    """A room of furniture built of parts: shelves with books, a table with chairs, framed pictures, skirting boards."""
    width, depth, height = b.rng.uniform(3.2, 6), b.rng.uniform(3.2, 7), b.rng.uniform(2.4, 3.0)
    low, high = np.array([-width / 2, -height, -depth / 2]), np.array([width / 2, 0.0, depth / 2])
    wall = b.material(1.6, (0.1, 0.8))
    b.hull(low, high, [*[wall] * 4, b.material(1.6), b.material(1.5, (0.05, 0.4))])
    skirting(b, low, high)
    framed_pictures(b, low, high, int(b.rng.integers(3, 8)))
    for _ in range(int(b.rng.integers(1, 3))):
        bookshelf(b, low, high)
    along_walls(b, low, high, int(b.rng.integers(0, 3)))
    if b.rng.random() < 0.7:
        rug(b, np.array([b.rng.uniform(-0.4, 0.4), 0.0, b.rng.uniform(-0.4, 0.4)]), b.rng.uniform(1.4, 2.6))
    at = np.array([b.rng.uniform(-0.15, 0.15) * width, 0.0, b.rng.uniform(-0.15, 0.15) * depth])
    size, tall = np.array([b.rng.uniform(0.8, 1.5), 0.05, b.rng.uniform(0.7, 0.9)]), b.rng.uniform(0.68, 0.78)
    top = table(b, at, size, tall)
    scatter(b, top, (0.3, 0.2), int(b.rng.integers(2, 6)), (0.08, 0.28))
    for angle in b.rng.uniform(0, 2 * np.pi) + np.arange(int(b.rng.integers(1, 4))) * np.pi / 2:
        if b.count > MAX_SURFACES - 35:
            break
        away = yaw_matrix(angle) @ np.array([0.0, 0.0, b.rng.uniform(0.75, 1.05)])
        chair(b, at + away, angle)
    pivot = at + np.array([b.rng.uniform(-0.3, 0.3), -b.rng.uniform(0.5, 1.0), b.rng.uniform(-0.3, 0.3)])
    eye = _around(b, pivot, b.rng.uniform(0.32, 0.48) * min(width, depth), (0.05, 0.5))
    return b.finish(pivot, eye, _lamp(b, low, high), max(width, depth) / 2)


def corridor(b: SceneBuilder) -> Scene:
    """Plain walls and tiles, as in halls, kitchens and offices: seams, boards, rails and doorways, and few things."""
    narrow = b.rng.random() < 0.5
    width, depth = b.rng.uniform(1.7, 3.0) if narrow else b.rng.uniform(2.8, 6), b.rng.uniform(4, 12)
    low, high = np.array([-width / 2, -b.rng.uniform(2.3, 3.3), -depth / 2]), np.array([width / 2, 0.0, depth / 2])
    wall = b.tiles(1.2) if b.rng.random() < 0.5 else b.plain()
    floor = b.tiles(1.0) if b.rng.random() < 0.6 else b.material(1.5, (0.1, 0.8))
    b.hull(low, high, [*[wall] * 4, floor, b.tiles(1.2) if b.rng.random() < 0.4 else b.plain()])
    skirting(b, low, high)
    rail = b.rng.uniform(0.8, 1.3)
    if b.rng.random() < 0.5:
        band(b, low, high, (0.0, rail), b.tiles(0.8) if b.rng.random() < 0.5 else b.plain(), 0.008)
    if b.rng.random() < 0.5:
        band(b, low, high, (rail, rail + b.rng.uniform(0.03, 0.16)), b.plain(), 0.025)
    at_z = b.rng.uniform(-0.1, 0.35) * depth
    if b.rng.random() < 0.6:
        parting_wall(b, low, high, at_z, wall)
    on_walls(b, low, high, int(b.rng.integers(0, 4)))
    along_walls(b, low, high, int(b.rng.integers(0, 3)))
    scatter(b, np.zeros(3), (width * 0.4, depth * 0.4), int(b.rng.integers(0, 5)), (0.2, 0.9))
    pivot = np.array([b.rng.uniform(-0.45, 0.45) * width, -b.rng.uniform(0.1, 1.7), at_z + b.rng.uniform(-1, 1)])
    eye = pivot + yaw_matrix(0.5 * b.rng.normal()) @ [0.0, 0.0, -b.rng.uniform(0.8, 3.5)]
    eye = np.clip(eye, low + 0.3, high - 0.3)
    eye[1] = -b.rng.uniform(0.8, 1.9)
    return b.finish(pivot, eye, _lamp(b, low, high), max(width, depth) / 2)


def _around(b: SceneBuilder, pivot: np.ndarray, distance: float, elevation: tuple[float, float]) -> np.ndarray:
    """A camera position at `distance` from pivot, seen from a random side, raised by elevation (radians)."""
    side, rise = b.rng.uniform(0, 2 * np.pi), b.rng.uniform(*elevation)
    return pivot + distance * np.array([np.cos(side) * np.cos(rise), -np.sin(rise), np.sin(side) * np.cos(rise)])


def _lamp(b: SceneBuilder, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A lamp under the ceiling."""
    x, z = b.rng.uniform(0.15, 0.85, 2)
    return np.array([low[0] + x * (high[0] - low[0]), low[1] + 0.15, low[2] + z * (high[2] - low[2]), 1.0])


def _sun(b: SceneBuilder) -> np.ndarray:
    """The direction towards the sun, 25 to 75 degrees high."""
    side, rise = b.rng.uniform(0, 2 * np.pi), np.deg2rad(b.rng.uniform(25, 75))
    return np.array([np.cos(side) * np.cos(rise), -np.sin(rise), np.sin(side) * np.cos(rise), 0.0])


FAMILIES = {
    "room": room,
    "table": table_top,
    "soft": partial(table_top, thing=any_object),
    "ground": open_ground,
    "hills": partial(open_ground, hilly=True),
    "panels": layered_panels,
    "street": street,
    "furnished": furnished_room,
    "corridor": corridor,
    "relief": photo_relief,
    "landscape": landscape,
    "plain": partial(open_ground, hilly=True, far=True),
    "avenue": partial(street, far=True),
}
STILL_WEIGHTS = {
    "room": 0.10, "table": 0.09, "soft": 0.08, "ground": 0.03, "hills": 0.02, "panels": 0.06, "street": 0.05,
    "furnished": 0.15, "corridor": 0.18, "relief": 0.04, "landscape": 0.11, "plain": 0.04, "avenue": 0.05,
}  # fmt: skip
"""Shares of the families among single pictures (`rap.synthetic.stills`); FAMILY_WEIGHTS: among clips."""

FAMILY_WEIGHTS = {
    "room": 0.18, "table": 0.16, "soft": 0.1, "ground": 0.08, "hills": 0.06, "panels": 0.06, "street": 0.12,
    "furnished": 0.14, "relief": 0.1,
}  # fmt: skip


def sample_scene(
    rng: np.random.Generator,
    bank: TextureBank,
    family: str | None = None,
    weights: dict[str, float] = FAMILY_WEIGHTS,
) -> tuple[str, Scene]:
    """A random scene, of a given family or of any by their weights, and the name of its family.

    The families count as they build; the rare scene that still has more than MAX_SURFACES is drawn again.
    """
    names = list(weights)
    name = family or names[int(rng.choice(len(names), p=list(weights.values())))]
    while True:
        scene = FAMILIES[name](SceneBuilder(rng, bank))
        if len(scene.textures) <= MAX_SURFACES:
            return name, scene
