"""Black bars beside the picture of a film, which no camera has taken: a wide film in a usual frame, an upright one in a
wide frame. Points stick to their edges, and takes would carry them into the scene.

A bar is evenly dark in every frame, from an edge of the frame to a straight line on which the picture begins in nearly
every column at once: a night sky, a dark room or a shadow ends elsewhere from column to column or frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

MIN_FRAMES = 5  # of which one alone may be dark by chance
LOOKED_AT = 32  # frames, evenly over the film
DARK = 28  # grey levels: the brightest of a bar, with what compression leaves beside its edge
EVEN = 12  # grey levels between the darker and the brighter parts of a bar
STEP = 16  # grey levels by which the picture is brighter than the bar
BESIDE = 3  # rows after the evenly dark ones in which it has become so
BEGUN_SHARE = 0.8  # of the columns become so at some time, those dark everywhere aside
LIT_SHARE = 0.2  # of the columns do in a frame that shows where its picture begins
LIT_FRAMES = 0.5  # of the frames show it
MIN_SHARE = 0.015  # of the side; less is a rim
MAX_SHARE = 0.42  # of the side


@dataclass(frozen=True)
class Bars:
    """What bars take of a frame: shares of its height and width, each with the line of mixed colour at its edge."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    def __bool__(self) -> bool:
        return max(self.top, self.bottom, self.left, self.right) > 0

    def box(self, h: int, w: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what is left of a picture of h x w pixels, as Pillow crops."""
        left, top = np.ceil(self.left * w), np.ceil(self.top * h)
        return int(left), int(top), int(w - np.ceil(self.right * w)), int(h - np.ceil(self.bottom * h))

    def in_words(self) -> str:
        """Such as "top 12 %, bottom 12 %"."""
        shares = (("top", self.top), ("bottom", self.bottom), ("left", self.left), ("right", self.right))
        return ", ".join(f"{name} {share:.0%}" for name, share in shares if share)


NO_BARS = Bars()


def find_bars(frames_u8: UInt8[np.ndarray, "f h w 3"]) -> Bars:
    """Of a film's frames, which are looked at as they are; a few hundred pixels are enough.

    Returns:
        None at all where there are fewer than MIN_FRAMES frames.
    """
    if len(frames_u8) < MIN_FRAMES:
        return NO_BARS
    picked = np.unique(np.linspace(0, len(frames_u8) - 1, LOOKED_AT).round().astype(int))
    red, green, blue = np.moveaxis(frames_u8[picked], 3, 0)
    level = np.maximum(np.maximum(red, green), blue)  # a tenth of the time of a maximum over three
    top, bottom = _beside(level)
    left, right = _beside(level.transpose(0, 2, 1))
    return Bars(top, bottom, left, right)


def _beside(level: UInt8[np.ndarray, "f h w"]) -> tuple[float, float]:
    """Shares of the rows that bars take from the first one on, and from the last one on."""
    low, high = np.percentile(level, (2, 98), axis=2).astype(float)
    is_bar = ((high <= DARK) & (high - low <= EVEN)).all(axis=0)
    shown = level.max(axis=(0, 1)) > DARK + STEP
    found = _share(is_bar, level[:, :, shown]), _share(is_bar[::-1], level[:, ::-1, shown])
    return found if sum(found) < 2 * MAX_SHARE else (0.0, 0.0)


def _share(is_bar: np.ndarray, level: UInt8[np.ndarray, "f h c"]) -> float:
    rows = len(is_bar)
    count = rows if is_bar.all() else int(np.argmin(is_bar))
    if not MIN_SHARE * rows <= count <= MAX_SHARE * rows or level.shape[2] == 0:
        return 0.0
    begun = level[:, count : count + BESIDE] > np.median(level[:, :count]) + STEP
    if (begun.any(axis=1).mean(axis=1) >= LIT_SHARE).mean() < LIT_FRAMES:
        return 0.0
    whole = begun.any(axis=0).mean(axis=1) >= BEGUN_SHARE
    return (count + int(np.argmax(whole)) + 1) / rows if whole.any() else 0.0
