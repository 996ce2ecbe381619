"""What stands under the sky: hills, house fronts, and what is found in streets."""

from __future__ import annotations

import numpy as np

from rap.synthetic.builder import Look, SceneBuilder, yaw_matrix


def hills(b: SceneBuilder, reach: float, look: Look) -> None:
    """Two to six low hills of one material around the middle of open ground: caps of flat ellipsoids."""
    for _ in range(int(b.rng.integers(2, 7))):
        wide = b.rng.uniform(2.0, 5.0, 2)
        side, away = b.rng.uniform(0, 2 * np.pi), b.rng.uniform(6.0 + wide.max(), max(reach, 7.0 + wide.max()))
        tall = b.rng.uniform(0.5, 2.5)
        centre = np.array([away * np.cos(side), b.rng.uniform(0, 0.3) * tall, away * np.sin(side)])
        b.ball(centre, np.array([wide[0], tall, wide[1]]), b.rng.uniform(0, np.pi), look)


def facades(b: SceneBuilder, side: float, distance: float, length: float, tall: float) -> None:
    """House fronts of different heights and depths along one side, with rows of windows and a door."""
    z = -length / 2
    while z < length / 2 - 2:
        wide = min(b.rng.uniform(5, 11), length / 2 - z)
        height, deep = tall * b.rng.uniform(0.5, 1.0), b.rng.uniform(0.1, 0.7)
        front = b.material(2.5, (0.5, 1.4)) if b.rng.random() < 0.7 else b.photo(4.0)
        b.box(
            np.array([side * (distance - deep / 2), 0.0, z + wide / 2]),
            np.array([deep, height, wide]),
            0.0,
            [front] * 5,
        )
        _windows(b, side, distance - deep - 0.02, z, wide, height)
        z += wide


def _windows(b: SceneBuilder, side: float, x: float, z: float, wide: float, height: float) -> None:
    """Equal windows in rows and columns, and a door, on a front at x (times the side)."""
    glass, columns, rows = b.photo(), int(np.clip(wide // 2.6, 1, 3)), int(np.clip(height // 3.2, 1, 2))
    size = np.array([b.rng.uniform(0.8, 1.3), b.rng.uniform(1.1, 1.7)])
    along = np.array([0.0, 0.0, -side])  # to the right of who looks at the front
    for row in range(rows):
        for column in range(columns):
            is_door = row == 0 and column == columns // 2
            extent = np.array([1.1, 2.1]) if is_door else size
            middle = z + (column + 0.5) * wide / columns
            bottom = 0.1 if is_door else 1.0 + 3.0 * row
            start = np.array([side * x, -(bottom + extent[1]), middle]) - along * extent[0] / 2
            b.rectangle(
                start, along * extent[0], np.array([0.0, extent[1], 0.0]), b.material(1.0) if is_door else glass
            )


def lamp_post(b: SceneBuilder, foot: np.ndarray) -> None:
    metal, height = b.material(0.5), b.rng.uniform(3, 5)
    b.shell(foot, height, 0.08, 0.05, metal)
    b.box(foot - np.array([0.0, height, 0.0]), np.array([0.35, 0.25, 0.35]), 0.0, [b.photo()] * 5)


def tree(b: SceneBuilder, foot: np.ndarray) -> None:
    """A trunk and a crown of two or three ellipsoids."""
    height, leaves = b.rng.uniform(1.5, 2.6), b.any_look(1.0)
    b.shell(foot, height, b.rng.uniform(0.1, 0.18), 0.09, b.material(0.4))
    for _ in range(int(b.rng.integers(2, 4))):
        centre = foot - np.array([0.0, height + b.rng.uniform(0.2, 1.2), 0.0]) + b.rng.uniform(-0.4, 0.4, 3)
        b.ball(centre, b.rng.uniform(0.6, 1.2, 3), b.rng.uniform(0, 3), leaves)


def car(b: SceneBuilder, at: np.ndarray) -> None:
    """A body, a cabin with windows all around and four wheels, parked along the road."""
    paint, glass, tyre = b.material(3.0, (0.1, 0.5)), b.photo(), b.material(0.3, (0.2, 0.6))
    yaw = b.rng.normal(0, 0.05)
    turn, wheel = yaw_matrix(yaw), 0.32
    long, wide, low = b.rng.uniform(3.6, 4.6), b.rng.uniform(1.6, 1.85), b.rng.uniform(0.55, 0.75)
    b.box(at - np.array([0.0, 0.28, 0.0]), np.array([wide, low, long]), yaw, [paint] * 5)
    cabin = at - np.array([0.0, 0.28 + low, 0.0]) + turn @ np.array([0.0, 0.0, -0.15 * long])
    b.box(cabin, np.array([0.86 * wide, b.rng.uniform(0.45, 0.7), 0.52 * long]), yaw, [glass] * 4 + [paint])
    for x, z in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
        hub = at + np.array([0.0, -wheel, 0.0]) + turn @ np.array([x * (wide / 2 - 0.06), 0.0, z * 0.31 * long])
        b.ball(hub, np.array([0.12, wheel, wheel]), yaw, tyre)


def house(b: SceneBuilder, foot: np.ndarray) -> None:
    """Four walls of one material or photograph, and a flat roof that stands out."""
    size, yaw = b.rng.uniform([5.0, 2.8, 5.0], [14.0, 9.0, 12.0]), b.rng.uniform(0, np.pi)
    front = b.photo(b.rng.uniform(3.0, 6.0)) if b.rng.random() < 0.6 else b.material(2.5, (0.4, 1.3))
    roof = b.material(1.5, (0.3, 1.0))
    b.box(foot, size, yaw, [front] * 4 + [roof])
    top = foot - np.array([0.0, size[1], 0.0])
    b.box(top, size * np.array([1.06, 0.0, 1.06]) + np.array([0.0, b.rng.uniform(0.2, 0.8), 0.0]), yaw, [roof] * 5)


def wide_open(b: SceneBuilder) -> None:
    """A hull so wide that the floor ends at the horizon, with one sky for its walls and its ceiling."""
    far = 10 ** b.rng.uniform(2.6, 3.1)
    sky, ground = b.sky(), b.material(4.0, (0.3, 1.4))
    b.hull(np.array([-far, -far, -far]), np.array([far, 0.0, far]), [*[sky] * 4, ground, sky], horizon=True)
