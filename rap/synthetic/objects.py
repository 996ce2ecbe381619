"""Things that stand on floors, tables and the ground of a scene, and how they are strewn."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from rap.synthetic.builder import DISC_HALF_HEIGHT, Look, SceneBuilder


def plain_object(b: SceneBuilder, base: np.ndarray, size: float) -> None:
    """A box, a pile of two, an ellipsoid, something turned or a standing picture of about `size` metres on `base`."""
    kind, yaw = b.rng.random(), b.rng.uniform(0, 2 * np.pi)
    if kind < 0.45:
        extent = size * b.rng.uniform([0.5, 0.4, 0.5], [1.1, 1.8, 1.1])
        b.box(base, extent, yaw, sides(b, size))
        if b.rng.random() < 0.35:
            top, smaller = base - np.array([0.0, extent[1], 0.0]), extent * b.rng.uniform(0.35, 0.75, 3)
            if b.rng.random() < 0.6:
                b.box(top, smaller, yaw + b.rng.uniform(-0.6, 0.6), sides(b, size))
            else:
                b.ball(top - np.array([0.0, smaller[1] / 2, 0.0]), smaller / 2, yaw, b.any_look(1.0))
    elif kind < 0.68:
        radii = (
            size * b.rng.uniform(0.2, 0.5, 3) if b.rng.random() < 0.7 else np.full(3, size * b.rng.uniform(0.2, 0.5))
        )
        b.ball(base - np.array([0.0, radii[1], 0.0]), radii, yaw, b.any_look(1.0))
    elif kind < 0.88:
        turned(b, base, size)
    else:
        width, height = size * b.rng.uniform(0.5, 1.2, 2)
        b.panel(base - np.array([0.0, height / 2, 0.0]), width, height, yaw, b.photo(), b.rng.uniform(-0.25, 0.25))


def turned(b: SceneBuilder, base: np.ndarray, size: float) -> None:
    """What a lathe makes: a tin, a cup, a cone, a bottle, a vase or a lamp with its shade, about `size` metres high."""
    height, look, other = size * b.rng.uniform(0.6, 1.5), b.any_look(size), b.any_look(size)
    wide = size * b.rng.uniform(0.18, 0.42)
    outlines = {  # (share of the height, radius in widths) from the bottom up, whether the top is closed
        "tin": ([(0, 1), (1, 1)], True),
        "cup": ([(0, b.rng.uniform(0.6, 1)), (0.7, 1)], False),
        "cone": ([(0, 1), (1, b.rng.uniform(0.02, 0.5))], True),
        "bottle": ([(0, 0.6), (0.6, 0.6), (0.75, 0.22), (1, 0.2)], True),
        "vase": ([(0, 0.45), (0.35, 1), (0.75, 0.4), (1, b.rng.uniform(0.5, 0.8))], False),
        "lamp": ([(0, 0.6), (0.05, 0.1), (0.55, 0.1), (0.55, 1), (1, 0.6)], False),
    }
    points, closed = outlines[list(outlines)[int(b.rng.integers(len(outlines)))]]
    for (low, bottom), (high, top) in itertools.pairwise(points):
        if high > low:
            start = base - np.array([0.0, low * height, 0.0])
            b.shell(start, (high - low) * height, bottom * wide, top * wide, look if high < 1 else other)
    if closed:
        b.disc(base - np.array([0.0, points[-1][0] * height, 0.0]), points[-1][1] * wide, other)
    else:
        b.disc(base - np.array([0.0, 2 * DISC_HALF_HEIGHT, 0.0]), points[0][1] * wide, look)


def sides(b: SceneBuilder, size: float) -> list[Look]:
    """Looks of a box: one all around and another on top, or all different."""
    if b.rng.random() < 0.5:
        side = b.any_look(size * b.rng.uniform(0.6, 1.5))
        return [side] * 4 + [b.any_look(size)]
    return [b.any_look(size * b.rng.uniform(0.6, 1.5)) for _ in range(5)]


def soft_object(b: SceneBuilder, base: np.ndarray, size: float) -> None:
    """A superquadric: a box with rounded edges, a soap, a soft tin, a cushion, a crystal; at times one on another."""
    exponents = [(8, 8), (4, 4), (8, 2), (2, 4), (4, 8), (2, 8), (4, 2), (1, 2), (1, 1), (2, 1)]
    at = base
    for _ in range(1 + int(b.rng.random() < 0.25)):
        radii = size * b.rng.uniform([0.2, 0.12, 0.2], [0.5, 0.5, 0.5])
        centre = at - np.array([0.0, radii[1], 0.0])
        chosen = exponents[int(b.rng.integers(len(exponents)))]
        b.superquadric(centre, radii, b.rng.uniform(0, np.pi), b.any_look(1.0), chosen)
        at, size = at - np.array([0.0, 2 * radii[1], 0.0]), 0.6 * size


def any_object(b: SceneBuilder, base: np.ndarray, size: float) -> None:
    (soft_object if b.rng.random() < 0.6 else plain_object)(b, base, size)


def scatter(
    b: SceneBuilder,
    centre: np.ndarray,
    extent: tuple[float, float],
    count: int,
    size: tuple[float, float],
    thing: Callable[[SceneBuilder, np.ndarray, float], None] = plain_object,
) -> None:
    """Up to `count` things on the rectangle centre +- extent (x, z), kept apart by their sizes."""
    placed: list[tuple[np.ndarray, float]] = []
    for _ in range(count):
        width = b.rng.uniform(*size)
        for _attempt in range(6):
            at = centre + np.array([b.rng.uniform(-1, 1) * extent[0], 0.0, b.rng.uniform(-1, 1) * extent[1]])
            if all(np.linalg.norm(at - other) > 0.75 * (width + reach) for other, reach in placed):
                placed.append((at, width))
                thing(b, at, width)
                break
