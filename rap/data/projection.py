"""Pictures that no pinhole has taken, as far as they look it: panoramas of the whole sphere, circles of fisheyes.

Nothing is refused for its looks: a sentence says what it may be, because a camera that is found from such a picture is
wrong without a word.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

SEAM = 1.5
"""Steps between neighbouring columns that those of the two ends may be apart, where a picture goes round."""

APART = 4.0
"""Such steps that columns a quarter of the way round are apart at least, so that even walls are no panorama."""

POLE = 0.5
"""A pole is one direction: the spread of its row over that of the middle one."""

BLACK, DARK_CORNER = 12, 0.95
"""Levels up to which a pixel is black, and the share of those outside the circle, in its square, that must be."""


def no_pinhole_note(name: str, picture_u8: UInt8[np.ndarray, "H W 3"], is_straightened: bool) -> str | None:
    """A sentence on a picture that looks like a panorama or a fisheye's circle; None for others.

    Args:
        is_straightened: its lens is known, and its distortion has been taken out.
    """
    if is_straightened:
        return None
    grey = picture_u8.astype(np.float32).mean(axis=2)
    if _goes_round(grey):
        return (
            f"{name}: is twice as wide as high, its ends meet and its top and bottom are even, as in a panorama of the "
            "whole sphere (equirectangular); cameras are pinholes here, so cut a perspective view out of it and give "
            "that"
        )
    if _is_circle(grey):
        return (
            f"{name}: is black outside a circle, as the pictures of a fisheye are; cameras are pinholes here, so "
            "straighten it first, or give its cameras with the lens (COLMAP's OPENCV_FISHEYE)"
        )
    return None


def _goes_round(grey: np.ndarray) -> bool:
    h, w = grey.shape
    if h < 16 or abs(w - 2 * h) > 2:
        return False
    step = float(np.abs(np.diff(grey, axis=1)).mean())
    ends = float(np.abs(grey[:, 0] - grey[:, -1]).mean())
    quarter = float(np.abs(grey - np.roll(grey, w // 4, axis=1)).mean())
    spread = grey[h // 4 : -h // 4].std(axis=1).mean()
    poles = max(grey[0].std(), grey[-1].std())
    return step > 0 and ends <= SEAM * step and quarter >= APART * step and poles <= POLE * spread


def _is_circle(grey: np.ndarray) -> bool:
    h, w = grey.shape
    rows, columns = np.mgrid[:h, :w] + 0.5
    x, y, radius = columns - w / 2, rows - h / 2, min(h, w) / 2
    away = np.hypot(x, y)
    outside = grey[(away > 1.05 * radius) & (np.maximum(abs(x), abs(y)) < radius)]
    if min(h, w) < 16 or (outside <= BLACK).mean() < DARK_CORNER:
        return False
    rim = (away > 0.75 * radius) & (away < 0.9 * radius)
    eighth = np.floor(np.arctan2(y, x) / (np.pi / 4)).astype(int)
    return all(np.median(grey[rim & (eighth == i)]) > 2 * BLACK for i in range(-4, 4))
