"""Where one surface of a picture ends before another: depth steps made sharp, and what is near there.

A network's depth rises over several pixels where a picture's surface ends at once. Lifted as it is, such a ramp becomes
a sheet of rubber between the two. Here every ramp becomes a step, and what stands before something else is found, as
far as cameras nearby come to look behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from rap.views.guided import guided_upsample

STEP = 1.12
"""Ratio of inverse depths within the reach of a ramp from which it is an edge and no slope."""

SMOOTH_PX = 1.0
"""Of the depth whose curvature tells the sides of a ramp."""

JUMP = 1.06
"""Ratio of inverse depths of neighbours from which, after ramps have become steps, two surfaces meet."""

SAME = 1.25
"""Inverse depth over that of the edge up to which it is what ends there; ground that comes nearer is not."""

LEVELS = (0.06, 0.12, 0.25, 0.5, 1.0)
"""Heights of steps, in inverse depth over its median, that are looked at each by itself: the higher, the farther what
is behind comes into view."""


FEATHER = 1e-4
"""Variance of colours in [0, 1] below which a window has no edge that a step could be moved to."""


@dataclass(frozen=True, eq=False)
class Near:
    """What stands before something else.

    Attributes:
        mask: (h, w) pixels of the near side of a step, as far as cameras nearby can look behind them.
        limit: (h, w) inverse depth that what is behind them may have at most; infinite elsewhere.
    """

    mask: Bool[np.ndarray, "h w"]
    limit: Float[np.ndarray, "h w"]


def stepped(inverse_depth: Float[np.ndarray, "h w"], radius: int) -> Float[np.ndarray, "h w"]:
    """Ramps between two surfaces made steps, where they are steepest.

    A shock filter (Osher and Rudin, Feature-oriented image enhancement using shock filters, SIAM Journal on Numerical
    Analysis 1990): below the point of inflection pixels take the least around, above it the greatest. It acts on the
    logarithm, and only where the extremes around differ by `STEP`, so that slopes stay.

    Args:
        radius: px; half of the widest ramp.
    """
    found = cv2.bilateralFilter(np.log(inverse_depth).astype(np.float32), 0, np.log(JUMP), radius / 2)
    apart = cv2.dilate(found, disc(radius)) - cv2.erode(found, disc(radius))
    ramp = apart > np.log(STEP)
    for _ in range(2 * radius):
        bend = cv2.Laplacian(cv2.GaussianBlur(found, (0, 0), SMOOTH_PX), cv2.CV_32F)
        moved = np.where(bend > 0, cv2.erode(found, disc(1)), cv2.dilate(found, disc(1)))
        found = np.where(ramp, moved, found)
    return np.exp(found)


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
        distance, nearest = nearest_of(edge)
        far, high = behind[edge][nearest], height[edge][nearest]
        # An object leans: what belongs to it may be farther than its edge, but not as far as what is behind.
        close = (distance <= reach_px * high + 1) & (inverse_depth > far + 0.5 * high)
        close &= inverse_depth < SAME * (far + high)
        mask |= close
        limit = np.where(close, np.minimum(limit, far), limit)
    return Near(mask, limit)


def snapped(
    inverse_depth: Float[np.ndarray, "h w"], near: Near, colours: Float[np.ndarray, "h w 3"], radius: int
) -> Float[np.ndarray, "h w"]:
    """Steps moved to where the picture's colours change, by `radius` px at most.

    The near side as a mask is filtered with the picture as guide (He et al., Guided image filtering, TPAMI 2013,
    section 4: feathering); what is then more near than far takes the depth of the near side's nearest pixel, and the
    reverse.
    """
    silhouette = near.mask & (inverse_depth > JUMP * cv2.erode(inverse_depth, disc(1)))
    if not silhouette.any():
        return inverse_depth
    share = guided_upsample(near.mask.astype(np.float32), colours, radius, FEATHER)
    around = cv2.dilate(silhouette.astype(np.uint8), disc(radius)).astype(bool)
    found = inverse_depth.copy()
    gained, lost = around & ~near.mask & (share > 0.5), around & near.mask & (share < 0.5)
    for changed, others in ((gained, near.mask), (lost, ~near.mask)):
        if changed.any() and others.any():
            found[changed] = inverse_depth[others][nearest_of(others)[1]][changed]
    return found


def nearest_of(marked: Bool[np.ndarray, "h w"]) -> tuple[Float[np.ndarray, "h w"], np.ndarray]:
    """Distance in px of every pixel to the nearest marked one, and which of those, in row order, that is."""
    distance, found = cv2.distanceTransformWithLabels(
        (~marked).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(found, np.int64)
    place = np.zeros(labels.max() + 1, np.int64)
    place[labels[marked]] = np.arange(int(marked.sum()))
    return np.asarray(distance), place[labels]


def disc(radius: int) -> np.ndarray:
    """Structuring element."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
