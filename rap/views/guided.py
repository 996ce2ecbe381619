"""A coarse map enlarged to a picture's own size, its edges where the picture's are.

The guided filter (He et al., Guided image filtering, TPAMI 2013, equation 19, colours) at the coarse resolution, whose
coefficients are enlarged (He and Sun, Fast guided filter, 2015). Where a surface's texture would be taken for depth, it
is held back: no pixel leaves the range of the coarse values around it.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Entries of a symmetric matrix of three colours."""

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


def follow(
    values: Float[np.ndarray, "a b"], guide: Float[np.ndarray, "a b"], radius: int, eps: float = SMOOTHNESS
) -> Float[np.ndarray, "a b"]:
    """Values whose edges are where those of another map of the same size are.

    In every window they are the linear function of it that fits them best (He et al., equations 5, 6 and 8).
    """
    mean_guide, mean = _mean(guide, radius), _mean(values, radius)
    spread = _mean(guide * guide, radius) - mean_guide * mean_guide
    slope = (_mean(guide * values, radius) - mean_guide * mean) / (spread + eps)
    offset = mean - slope * mean_guide
    return _mean(slope, radius) * guide + _mean(offset, radius)


def _fit(
    values: Float[np.ndarray, "a b"], guide: Float[np.ndarray, "a b 3"], radius: int, eps: float
) -> tuple[Float[np.ndarray, "a b 3"], Float[np.ndarray, "a b"]]:
    """Slopes and offset of the linear model of every window, averaged over the windows a pixel lies in."""
    mean_guide, mean = _mean(guide, radius), _mean(values, radius)
    spread = {(i, j): _covariance(guide, mean_guide, i, guide[..., j], mean_guide[..., j], radius) for i, j in PAIRS}
    for c in range(3):
        spread[c, c] += eps
    together = [_covariance(guide, mean_guide, c, values, mean, radius) for c in range(3)]
    slopes = np.stack(_solved(spread, together), axis=-1)
    offset = mean - (slopes * mean_guide).sum(axis=-1)
    return _mean(slopes, radius), _mean(offset, radius)


def _covariance(
    guide: np.ndarray, mean_guide: np.ndarray, channel: int, other: np.ndarray, mean_other: np.ndarray, radius: int
) -> Float[np.ndarray, "a b"]:
    return _mean(guide[..., channel] * other, radius) - mean_guide[..., channel] * mean_other


def _solved(spread: dict[tuple[int, int], np.ndarray], together: list[np.ndarray]) -> list[np.ndarray]:
    """x of the symmetric systems spread @ x = together, one a pixel, by Cramer's rule: ten times as fast as LAPACK."""
    a, b, c, d, e, f = (spread[pair] for pair in PAIRS)
    inverse = [[d * f - e * e, c * e - b * f, b * e - c * d], [None, a * f - c * c, b * c - a * e]]
    inverse += [[None, None, a * d - b * b]]
    determinant = a * inverse[0][0] + b * inverse[0][1] + c * inverse[0][2]
    return [sum(inverse[min(i, j)][max(i, j)] * together[j] for j in range(3)) / determinant for i in range(3)]


def _mean(values: np.ndarray, radius: int) -> np.ndarray:
    side = 2 * radius + 1
    channels = np.atleast_3d(values)  # OpenCV filters four channels at once, and single ones
    found = [cv2.blur(channels[..., c], (side, side), borderType=cv2.BORDER_REFLECT) for c in range(channels.shape[2])]
    return np.stack(found, axis=-1).reshape(values.shape)


def _enlarged(values: Float[np.ndarray, "a b"], size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)
