"""Where one surface of a picture ends before another: depth steps made sharp, and what is near there.

A network's depth rises over several pixels where a picture's surface ends at once, and not just where it ends. Lifted
as it is, such a ramp becomes a sheet of rubber between the two. Here every pixel of a ramp is given to the side whose
colours it has, so that no depth lies between the two, and what stands before something else is found, as far as cameras
nearby come to look behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

STEP = 1.2
"""Ratio of inverse depths within the reach of a ramp from which it is an edge."""

PASSES = 2
"""Of cutting: a ramp wider than one reach is cut in its middle first."""

CORE = 0.7
"""Of the way from a ramp's middle into a side, at most one reach: from there on its depth is believed."""

SPREAD_PX, UNLIKE, ROUNDS = 30.0, 0.05, 3
"""How far beliefs spread on a plain picture; difference of colours in [0, 1] that lets through exp(-1); rounds."""

UNREACHED = 1e-4
"""Of a belief that has spread: less is none."""

SUDDEN = 0.25
"""Change of a share from pixel to pixel from which the picture has an edge there."""

SPECK_PX = 5
"""Side of the square whose median takes away what is smaller than an edge."""

ABRUPT = 0.72
"""Of the rise within twice the reach of a ramp: what a ramp rises by at least. A slope that ends at the picture's rim
has 2 / 3."""

JUMP = 1.09
"""Ratio of inverse depths of neighbours from which, after ramps have become steps, two surfaces meet."""

SAME = 1.1
"""Inverse depth over that of the edge up to which it is what ends there; ground that comes nearer is not."""

LEVELS = (0.06, 0.12, 0.25, 0.5, 1.0)
"""Heights of steps, in inverse depth over its median, that are looked at each by itself: the higher, the farther what
is behind comes into view."""

RISE = 3
"""How many times less far cameras come to look over an edge than past its side: they go around things. As far, all
that lies before a horizon was hidden behind it, ground and all, and the sky went on below it."""


@dataclass(frozen=True, eq=False)
class Near:
    """What stands before something else.

    Attributes:
        mask: (h, w) pixels of the near side of a step, as far as cameras nearby can look behind them.
        limit: (h, w) inverse depth that what is behind them may have at most; infinite elsewhere.
    """

    mask: Bool[np.ndarray, "h w"]
    limit: Float[np.ndarray, "h w"]


def cut(
    inverse_depth: Float[np.ndarray, "h w"], colours: Float[np.ndarray, "h w 3"], radius: int
) -> Float[np.ndarray, "h w"]:
    """Ramps between two surfaces made steps, at the edges of the picture that lie within reach.

    What lies well inside either side of a ramp is believed, and spreads over the pixels between as far as the picture
    has no edge (weighted least squares, solved along rows and columns in turn: Min et al., Fast global image smoothing
    based on weighted least squares, TIP 2014). Where no edge of the picture lies on a ramp, it stays one.

    Args:
        inverse_depth: positive.
        colours: in [0, 1].
        radius: px; half of the widest ramp that one pass cuts.
    """
    found = np.log(inverse_depth).astype(np.float32)
    for _ in range(PASSES):
        sides = _sides(found, radius)
        far, near = (_core(side, other, radius) for side, other in (sides, sides[::-1]))
        if not (far.any() and near.any()):
            break
        known = np.stack([far, near, far * found, near * found], axis=-1).astype(np.float32)
        spread = _spread(known, colours)
        reached = np.maximum(spread[..., :2], 1e-12)
        share = reached[..., 1] / reached.sum(axis=-1)
        sudden = cv2.dilate(share, np.ones((3, 3))) - cv2.erode(share, np.ones((3, 3))) > SUDDEN
        along = cv2.dilate(sudden.astype(np.uint8), np.ones((4 * radius + 1, 4 * radius + 1)))
        share = np.where(along, share > 0.5, share)
        foot, top = np.moveaxis(spread[..., 2:] / reached, -1, 0)
        between = (sides[0] | sides[1]) & ~far & ~near & (reached.max(axis=-1) > UNREACHED)
        found = np.where(between, foot + share * (top - foot), found).astype(np.float32)
    return np.exp(cv2.medianBlur(found, SPECK_PX))


def _sides(found: Float[np.ndarray, "h w"], radius: int) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Pixels on the lower and on the upper half of ramps, of logarithms of inverse depth, up to a radius beyond.

    A slope, and where one begins, rises on through twice the window: it is none.
    """
    low, high = _extremes(found, radius)
    wide_low, wide_high = _extremes(found, 2 * radius)
    rise, wide_rise = np.exp(high) - np.exp(low), np.exp(wide_high) - np.exp(wide_low)
    middle = (high - low > np.log(STEP)) & (rise > ABRUPT * wide_rise)
    edge = cv2.dilate(middle.astype(np.uint8), np.ones((radius + 1, radius + 1))).astype(bool)
    upper = 2 * found > low + high
    return edge & ~upper, edge & upper


def _extremes(found: Float[np.ndarray, "h w"], radius: int) -> tuple[np.ndarray, np.ndarray]:
    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return cv2.erode(found, window), cv2.dilate(found, window)


def _core(side: Bool[np.ndarray, "h w"], other: Bool[np.ndarray, "h w"], radius: int) -> Bool[np.ndarray, "h w"]:
    """The inner part of a side; of what is thinner than two radii its middle."""
    depth = np.minimum(cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, 5), radius)
    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return side & (depth >= CORE * cv2.dilate(np.where(side, depth, 0).astype(np.float32), window))


def _spread(values: Float[np.ndarray, "h w c"], colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w c"]:
    """Values smoothed along the picture, by equations 7 and 9 of Min et al."""
    for i in range(ROUNDS):
        weight = 1.5 * 4 ** (ROUNDS - 1 - i) / (4**ROUNDS - 1) * SPREAD_PX**2
        for _ in range(2):  # along rows, then along columns
            apart = np.sqrt(np.square(np.diff(colours, axis=0)).sum(axis=-1))
            values = _smoothed(values, weight * np.exp(-apart / UNLIKE)).swapaxes(0, 1)
            colours = colours.swapaxes(0, 1)
    return values


def _smoothed(values: Float[np.ndarray, "n m c"], keep: Float[np.ndarray, "n-1 m"]) -> Float[np.ndarray, "n m c"]:
    """Least squares along the first axis, whose neighbours hold together by `keep`: a tridiagonal system."""
    n = len(values)
    pull = np.pad(keep, [(1, 1), (0, 0)])[..., None]
    found, carried = np.empty_like(values), np.zeros_like(pull)
    before = np.zeros_like(values[0])
    for i in range(n):
        scale = 1 / (1 + pull[i] * (1 - carried[i]) + pull[i + 1])
        carried[i + 1] = pull[i + 1] * scale
        before = found[i] = (values[i] + pull[i] * before) * scale
    for i in range(n - 2, -1, -1):
        found[i] += carried[i + 1] * found[i + 1]
    return found


def near_side(inverse_depth: Float[np.ndarray, "h w"], reach_px: float) -> Near:
    """What stands before something else, as far as cameras come to look behind it.

    Args:
        inverse_depth: with steps.
        reach_px: how far the far side of a step of height 1 is laid bare.
    """
    behind = cv2.erode(inverse_depth, np.ones((3, 3), np.uint8))
    height = inverse_depth - behind
    step = inverse_depth > JUMP * behind
    mask = np.zeros(inverse_depth.shape, bool)
    limit = np.full(inverse_depth.shape, np.inf, np.float32)
    for level in LEVELS:
        edge = step & (height >= level)
        if not edge.any():
            continue
        distance, nearest = nearest_of(edge, RISE)
        far, high = behind[edge][nearest], height[edge][nearest]
        # An object leans: what belongs to it may be farther than its edge, but not as far as what is behind.
        close = (distance <= reach_px * high + 1) & (inverse_depth > far + 0.5 * high)
        close &= inverse_depth < SAME * (far + high)
        mask |= close
        limit = np.where(close, np.minimum(limit, far), limit)
    return Near(mask, limit)


def nearest_of(marked: Bool[np.ndarray, "h w"], rise: int = 1) -> tuple[Float[np.ndarray, "h w"], np.ndarray]:
    """Distance in px of every pixel to the nearest marked one, and which of those, in row order, that is.

    Args:
        rise: columns that one row counts for.
    """
    tall = np.zeros((rise * len(marked), marked.shape[1]), bool)
    tall[::rise] = marked
    distance, found = cv2.distanceTransformWithLabels(
        (~tall).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    distance, found = distance[::rise], found[::rise]
    labels = np.asarray(found, np.int64)
    place = np.zeros(labels.max() + 1, np.int64)
    place[labels[marked]] = np.arange(int(marked.sum()))
    return np.asarray(distance), place[labels]


def disc(radius: int) -> np.ndarray:
    """Structuring element."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
