"""Surfaces that are nearly planes made planes, so that what is straight stays straight in other cameras.

The inverse depth of a plane is affine in the pixel. A network's depth bends a wall by some hundredths, and with it
every line on it as soon as the camera leaves. The planes that most of a picture lies on are found one after the other,
each among those that fit small squares of it (Fischler and Bolles, Random sample consensus, 1981, without chance), and
what lies near one is drawn onto it, the more the nearer it lies: nothing jumps.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float

TOLERANCE = 0.06
"""Ratio of inverse depths, less 1, up to which a pixel lies on a plane."""

LEAST, PIECE = 0.03, 0.005
"""Shares of the picture: of the smallest plane, and of its smallest piece."""

MOST = 8
"""Planes."""

GRID = 96
"""Pixels of the long side that are looked at."""

SQUARES = (9, 17)
"""Sides, in pixels of these, of the squares whose planes are tried."""

ROUNDS = 4
"""Of fitting a plane to what lies on it."""

Plane = Float[np.ndarray, "3"]
"""Inverse depth at the first pixel of the grid, and what a step down and a step to the right adds."""


def straightened(inverse_depth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Inverse depth, positive, with what is nearly plane drawn onto planes."""
    h, w = inverse_depth.shape
    step = max(1, round(max(h, w) / GRID))
    coarse = inverse_depth[step // 2 :: step, step // 2 :: step].astype(np.float64)
    tried = planes_of_squares(coarse)
    free = np.ones(coarse.shape, bool)
    rows, columns = ((np.arange(n) - step // 2) / step for n in (h, w))
    moved, total = np.zeros((h, w)), np.zeros((h, w))
    for _ in range(MOST if len(tried) else 0):
        plane = best_plane(tried, coarse, free)
        region = _pieces(plane_share(plane, coarse) > 0)
        free &= ~region
        if region.sum() < LEAST * coarse.size:
            break
        values = plane[0] + plane[1] * rows[:, None] + plane[2] * columns
        whole = cv2.resize(
            cv2.dilate(region.astype(np.uint8), np.ones((3, 3))), (w, h), interpolation=cv2.INTER_NEAREST
        )
        share = _share(values, inverse_depth) * whole * (1 - total)
        moved += share * (values - inverse_depth)
        total += share
    return (inverse_depth + moved).astype(np.float32)


def _share(values: np.ndarray, inverse_depth: np.ndarray) -> np.ndarray:
    """1 on the plane, 0 from the tolerance on (Tukey's weight)."""
    return np.square(np.maximum(1 - np.square((values / inverse_depth - 1) / TOLERANCE), 0))


def values_of(planes: Float[np.ndarray, "N 3"], size: tuple[int, int]) -> Float[np.ndarray, "N a b"]:
    """Inverse depth of planes at every pixel of the grid."""
    down, right = np.arange(size[0])[:, None], np.arange(size[1])
    return planes[:, :1, None] + planes[:, 1:2, None] * down + planes[:, 2:, None] * right


def plane_share(plane: Plane, coarse: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
    """How much each pixel of the grid lies on a plane, from 0 to 1."""
    return _share(values_of(plane[None], coarse.shape)[0], coarse)


def planes_of_squares(coarse: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "N 3"]:
    """Least-squares planes of squares, half a side apart."""
    found = []
    for side in SQUARES:
        half = side // 2
        offsets = np.arange(-half, half + 1)
        spread = side * np.square(offsets).sum()
        for row in range(half, coarse.shape[0] - half, half):
            for column in range(half, coarse.shape[1] - half, half):
                square = coarse[row - half : row + half + 1, column - half : column + half + 1]
                down, right = (square * offsets[:, None]).sum() / spread, (square * offsets).sum() / spread
                found.append((square.mean() - down * row - right * column, down, right))
    return np.array(found).reshape(-1, 3)


def best_plane(
    tried: Float[np.ndarray, "N 3"], coarse: Float[np.ndarray, "a b"], free: Bool[np.ndarray, "a b"]
) -> Plane:
    """The plane that most of what is free lies on, fitted to all that does."""
    thin = coarse[::2, ::2]
    values = values_of(tried * [1, 2, 2], thin.shape)
    plane = tried[(_share(values, thin) * free[::2, ::2]).sum(axis=(1, 2)).argmax()]
    down, right = np.mgrid[: coarse.shape[0], : coarse.shape[1]]
    basis = np.stack([np.ones_like(down), down, right], axis=-1).reshape(-1, 3).astype(np.float64)
    for _ in range(ROUNDS):
        weight = (plane_share(plane, coarse) * free / coarse**2).ravel()
        normal = basis.T @ (basis * weight[:, None])
        plane = np.linalg.lstsq(normal, basis.T @ (weight * coarse.ravel()), rcond=None)[0]
    return plane


def _pieces(mask: Bool[np.ndarray, "a b"]) -> Bool[np.ndarray, "a b"]:
    """What hangs together, without small bits."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= PIECE * mask.size
    large[0] = False
    return large[np.asarray(labels, np.int64)]
