"""A coarse map enlarged to a picture's own size, its edges where the picture's are.

The guided filter (He et al., Guided image filtering, TPAMI 2013, equation 19, colours) at the coarse resolution, whose
coefficients are enlarged (He and Sun, Fast guided filter, 2015). Where a surface's texture would be taken for depth, it
is held back: no pixel leaves the range of the coarse values around it.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

RADIUS, SMOOTHNESS = 2, 1e-3
"""Pixels of the coarse map to either side; variance of colours in [0, 1] below which a window counts as one surface."""


def guided_upsample(
    coarse: Float[np.ndarray, "a b"], guide: Float[np.ndarray, "h w 3"], radius: int = RADIUS, eps: float = SMOOTHNESS
) -> Float[np.ndarray, "h w"]:
    """The map at the guide's size.

    Args:
        coarse: any values.
        guide: the picture, in [0, 1].
        radius: of the windows, in pixels of the coarse map.
        eps: how much colours must vary (squared) to count as an edge.
    """
    coarse, guide = coarse.astype(np.float32), guide.astype(np.float32)
    (h, w), (a, b) = guide.shape[:2], coarse.shape
    if h * w < a * b:
        coarse = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_AREA)
        a, b = h, w
    method = cv2.INTER_AREA if h * w > a * b else cv2.INTER_LINEAR
    slopes, offset = _fit(coarse, cv2.resize(guide, (b, a), interpolation=method), radius, eps)
    fine = _enlarged(offset, (h, w)) + sum(_enlarged(slopes[..., c], (h, w)) * guide[..., c] for c in range(3))
    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    lowest, highest = (_enlarged(bound(coarse, window), (h, w)) for bound in (cv2.erode, cv2.dilate))
    return np.clip(fine, lowest, highest)


def _fit(
    values: Float[np.ndarray, "a b"], guide: Float[np.ndarray, "a b 3"], radius: int, eps: float
) -> tuple[Float[np.ndarray, "a b 3"], Float[np.ndarray, "a b"]]:
    """Slopes and offset of the linear model of every window, averaged over the windows a pixel lies in."""
    mean_guide, mean = _mean(guide, radius), _mean(values, radius)
    products = guide[..., :, None] * guide[..., None, :]
    spread = _mean(products.reshape(*values.shape, 9), radius).reshape(products.shape)
    spread = spread - mean_guide[..., :, None] * mean_guide[..., None, :] + eps * np.eye(3, dtype=np.float32)
    together = _mean(guide * values[..., None], radius) - mean_guide * mean[..., None]
    slopes = np.linalg.solve(spread, together[..., None])[..., 0].astype(np.float32)
    offset = mean - (slopes * mean_guide).sum(axis=-1)
    return _mean(slopes, radius), _mean(offset, radius)


def _mean(values: np.ndarray, radius: int) -> np.ndarray:
    side = 2 * radius + 1
    channels = np.atleast_3d(values)  # OpenCV filters four channels at once, and single ones
    found = [cv2.blur(channels[..., c], (side, side), borderType=cv2.BORDER_REFLECT) for c in range(channels.shape[2])]
    return np.stack(found, axis=-1).reshape(values.shape)


def _enlarged(values: Float[np.ndarray, "a b"], size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)
