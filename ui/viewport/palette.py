"""Colours of the path and of what lies around it, in viewport and plots; frames keep theirs on any ground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

SELECTED: Colour = (214, 20, 150)
FOLLOWED: Colour = (232, 93, 4)
PENDING: Colour = (16, 150, 165)
TUBE: Colour = (150, 120, 200)
TARGET: Colour = (214, 20, 150)
# Blue, teal, green, amber, red: distinct in order, dark enough on white, light enough on black (no yellow, no navy).
TIME = np.array([(48, 80, 205), (16, 150, 165), (84, 165, 62), (228, 146, 22), (212, 52, 42)], float)


@dataclass(frozen=True)
class Palette:
    """What has to stand out from the ground, or to stay back on it.

    Args:
        strong: the source frame and the keys.
        ghost: the path that edits start from.
        raw: the prediction before it was refined.
        known: the clip's known cameras.
        cell, section: lines of the floor.
        ink: words and axes of plots.
        faint: words in place of a plot.
        grid, zero: lines of plots.
    """

    strong: Colour
    ghost: Colour
    raw: Colour
    known: Colour
    cell: Colour
    section: Colour
    ink: Colour
    faint: Colour
    grid: Colour
    zero: Colour


LIGHT = Palette(
    strong=(30, 30, 34), ghost=(168, 172, 180), raw=(196, 199, 206), known=(60, 62, 70), cell=(236, 237, 240),
    section=(218, 221, 227), ink=(86, 93, 107), faint=(123, 130, 145), grid=(230, 232, 238), zero=(201, 205, 216),
)  # fmt: skip
DARK = Palette(
    strong=(236, 238, 243), ghost=(120, 126, 138), raw=(92, 97, 108), known=(200, 204, 213), cell=(34, 37, 44),
    section=(50, 54, 64), ink=(176, 182, 195), faint=(139, 146, 161), grid=(45, 49, 58), zero=(72, 78, 91),
)  # fmt: skip


def palette(is_dark: bool) -> Palette:
    """For a dark or a light page."""
    return DARK if is_dark else LIGHT


@lru_cache(maxsize=16)
def time_colours(num_frames: int) -> UInt8[np.ndarray, "t 3"]:
    """RGB colour of each frame, from blue (first) to red (last); plots use the same so that a colour names a frame."""
    at = np.linspace(0.0, len(TIME) - 1, num_frames)
    stops = np.arange(len(TIME))
    colours = np.stack([np.interp(at, stops, channel) for channel in TIME.T], axis=-1).round().astype(np.uint8)
    colours.flags.writeable = False
    return colours
