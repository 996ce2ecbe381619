"""Things that stand made to stand: at one depth from foot to top.

A network's depth lets towers, stones and people lean back, because towards their tops it goes over into that of the sky
behind them, and towards their feet into that of the ground; a camera that turns about them sees them lean sideways and
bend. What is level has, in each row of the picture, one slope along the columns that its horizon tells, whatever its
height. What is nearer than the ground and less steep than that stands: its slope along the columns is taken away, and
depth is put together again from its slopes, each surface by itself (a screened Poisson equation: Bhat et al., Fourier
analysis of the 2D screened Poisson equation for gradient domain problems, ECCV 2008, section 2), so that feet stay.

A picture without ground, one that looks steeply up or down and one of a wall alone stay as they are.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float

from rap.views.edges import JUMP
from rap.views.planes import Plane, best_plane, plane_share, planes_of_squares, values_of

GRID = 128
"""Pixels of the long side of the map that is solved for."""

LOWEST = 1.5
"""Tangent of the angle between ground and image plane at the picture's lower edge, at least."""

LEAST_GROUND = 0.08
"""Share of the picture that ground takes, at least."""

LEVEL = (0.6, 0.85)
"""Slope over that of what is level in the same row: up to the first a thing stands, from the second on it lies."""

ABOVE = (1.03, 1.1)
"""Inverse depth over that of the ground in the same direction: from the first on it may be something upon it."""

SMOOTH_PX = 5
"""Side of the square, in px of the map, that slopes are means of."""

HELD, FREE = 0.05, 0.0002
"""Weight of a pixel's depth as it was, where nothing stands and where something does, beside that of a slope."""

BOUNDS = (-0.05, 0.4)
"""Logarithm of the ratio by which inverse depth changes: what stands comes nearer, towards its top."""

ALIKE = 0.03
"""Difference of logarithms of inverse depth, a standard deviation, of pixels that change alike."""

ROUNDS, ENOUGH = 400, 1e-3
"""Of conjugate gradients, at most; length of the remainder, over that at the start, at which they end."""


def upright(inverse_depth: Float[np.ndarray, "h w"], focal_px: float) -> Float[np.ndarray, "h w"]:
    """Inverse depth, positive and with steps, in which what stands on ground is upright."""
    h, w = inverse_depth.shape
    step = max(1, round(max(h, w) / GRID))
    found = np.log(inverse_depth).astype(np.float32)
    rows, columns = (np.arange(step // 2, n, step) for n in (h, w))
    coarse = found[np.ix_(rows, columns)].astype(np.float64)
    ground = _ground(np.exp(coarse), focal_px / step)
    if ground is None:
        return inverse_depth
    held = _held_together(found[:, columns], rows, 0), _held_together(found[rows], columns, 1)
    stands = _standing(coarse, held[0], ground)
    change = _put_together(coarse, held, stands)
    return inverse_depth * np.exp(_enlarged(change, coarse, found))


def _ground(inverse: Float[np.ndarray, "a b"], focal_px: float) -> Plane | None:
    """What most of the picture's lower half lies on, if that comes nearer downwards as ground does."""
    a, b = inverse.shape
    tried = planes_of_squares(inverse)
    lowest = tried @ np.array([1, a - 1, (b - 1) / 2])
    tried = tried[(lowest > 0) & (focal_px * tried[:, 1] > LOWEST * lowest)]
    if not len(tried):
        return None
    plane = best_plane(tried, inverse, np.broadcast_to(np.arange(a)[:, None] >= a / 2, (a, b)))
    if plane[1] <= 0 or (plane_share(plane, inverse) > 0).mean() < LEAST_GROUND:
        return None
    return plane


def _held_together(found: np.ndarray, places: np.ndarray, axis: int) -> Bool[np.ndarray, "a b"]:
    """Whether no step lies between neighbours at these places."""
    cuts = np.cumsum(np.abs(np.diff(found, axis=axis, prepend=np.take(found, [0], axis))) > np.log(JUMP), axis=axis)
    return np.diff(np.take(cuts, places, axis), axis=axis) == 0


def _standing(
    coarse: Float[np.ndarray, "a b"], held: Bool[np.ndarray, "a-1 b"], ground: Plane
) -> Float[np.ndarray, "a-1 b"]:
    """How much of each slope along a column is that of something that should stand, from 0 to 1."""
    square = (SMOOTH_PX, SMOOTH_PX)
    total = cv2.blur(held.astype(np.float64), square)
    slope = cv2.blur(np.diff(coarse, axis=0) * held, square) / np.maximum(total, 1e-6)
    behind = values_of(ground[None], coarse.shape)[0]
    behind, own = ((part[1:] + part[:-1]) / 2 for part in (behind, np.exp(coarse)))
    # The logarithm of a level surface's inverse depth rises by 1 / (rows below its horizon), as the ground's does.
    steepness = np.abs(slope) * behind.clip(0) / ground[1]
    stands = _rising(-steepness, (-LEVEL[1], -LEVEL[0])) * _rising(own / np.maximum(behind, 1e-3), ABOVE)
    return stands * (1 - np.minimum.accumulate(stands[::-1], axis=0)[::-1])  # what has no foot in the picture is left


def _rising(values: np.ndarray, between: tuple[float, float]) -> np.ndarray:
    return ((values - between[0]) / (between[1] - between[0])).clip(0, 1)


def _put_together(
    coarse: Float[np.ndarray, "a b"], held: tuple[np.ndarray, np.ndarray], stands: Float[np.ndarray, "a-1 b"]
) -> Float[np.ndarray, "a b"]:
    """The change that takes away the slopes of what stands: least squares over slopes, and over depth as it was."""
    down, right = (part.astype(np.float64) for part in held)
    below, above = np.pad(stands, ((0, 1), (0, 0))), np.pad(stands, ((1, 0), (0, 0)))
    hold = HELD * (FREE / HELD) ** np.maximum(below, above)
    remainder = _outflow(-stands * np.diff(coarse, axis=0) * down, np.zeros_like(right))
    change, direction = np.zeros_like(coarse), remainder.copy()
    square = start = float((remainder**2).sum())
    for _ in range(ROUNDS):
        if square <= ENOUGH**2 * start:
            break
        flow = _outflow(np.diff(direction, axis=0) * down, np.diff(direction, axis=1) * right) + hold * direction
        length = square / float((direction * flow).sum())
        change += length * direction
        remainder -= length * flow
        before, square = square, float((remainder**2).sum())
        direction = remainder + square / before * direction
    return change.clip(*BOUNDS)


def _enlarged(
    change: Float[np.ndarray, "a b"], coarse: Float[np.ndarray, "a b"], found: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """The change of each pixel, from those of its surface around it (Kopf et al., Joint bilateral upsampling, 2007)."""
    (a, b), (h, w) = change.shape, found.shape
    y, x = ((np.arange(n) + 0.5) * small / n - 0.5 for n, small in ((h, a), (w, b)))
    total, weights = np.zeros((h, w), np.float32), np.full((h, w), 1e-6, np.float32)
    for dy in range(-1, 3):
        for dx in range(-1, 3):
            row, column = np.floor(y).astype(int) + dy, np.floor(x).astype(int) + dx
            near = np.outer(*(1 - np.abs(place - at) / 2 for place, at in ((y, row), (x, column)))).astype(np.float32)
            at = np.ix_(row.clip(0, a - 1), column.clip(0, b - 1))
            weight = near.clip(0) * np.exp(-0.5 * np.square((coarse[at] - found) / ALIKE)).astype(np.float32)
            total += weight * change[at]
            weights += weight
    return total / weights


def _outflow(down: Float[np.ndarray, "a-1 b"], right: Float[np.ndarray, "a b-1"]) -> Float[np.ndarray, "a b"]:
    """Differences along columns and rows, transposed."""
    return -np.diff(np.pad(down, ((1, 1), (0, 0))), axis=0) - np.diff(np.pad(right, ((0, 0), (1, 1))), axis=1)
