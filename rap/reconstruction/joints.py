"""Joints of a path: whether what lies before a frame and what lies after it hold together.

Two pieces that each fit well, joined wrongly, fit nearly as well as one path that is right everywhere: few observations
tell of the joint. The points that were seen on both sides of it do. Where the joint is right most of them fit on both
sides; where it is wrong they fit on one side alone, whichever the adjustment took them to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from rap.reconstruction.tracks import Tracks

# Of the points across a joint. On the 60 rendered clips it was chosen on, with turns of up to 22 degrees a frame, 1 of
# 2510 right steps of good paths had less, and 58 of 89 wrong steps; most of the other wrong ones lay in paths bent as a
# whole, which no joint tells
HOLDING_SHARE = 0.4
MIN_HOLDING = 8  # points; fewer leave the seven numbers of a joint, its scale among them, to chance


@dataclass(frozen=True, eq=False)
class Joints:
    """The J joints of a path of J + 1 frames: joint i lies between frames[i] and frames[i + 1].

    Attributes:
        frames: (J + 1,) indices of the frames that are joined, ascending; others of the clip are left out.
        spanning: (J,) points seen on both sides, next to the joint or far from it.
        holding: (J,) those of them that fit in one frame at least on either side.
    """

    frames: Int[np.ndarray, " j+1"]
    spanning: Int[np.ndarray, " j"]
    holding: Int[np.ndarray, " j"]

    @staticmethod
    def of(tracks: Tracks, fits: Bool[np.ndarray, " n"], placed: Bool[np.ndarray, " t"]) -> Joints:
        """Count the points across every joint.

        Args:
            tracks: N observations in T frames.
            fits: of every observation.
            placed: the frames that belong to the path.
        """
        frames, known = np.flatnonzero(placed), placed[tracks.frame]
        spanning, holding = _spanning(tracks, known), _spanning(tracks, known & fits)
        return Joints(frames, spanning[frames[:-1]], holding[frames[:-1]])

    @property
    def shares(self) -> Float[np.ndarray, " j"]:
        """(J,) holding over spanning; 0 where nothing spans."""
        return self.holding / np.maximum(self.spanning, 1)

    @cached_property
    def weak(self) -> Bool[np.ndarray, " j"]:
        """(J,) where too few points hold the two sides together, or too small a share of those that could."""
        return (self.holding < MIN_HOLDING) | (self.shares < HOLDING_SHARE)

    @property
    def weak_frames(self) -> tuple[tuple[int, int], ...]:
        """Frame before and frame after each weak joint."""
        return tuple((int(self.frames[i]), int(self.frames[i + 1])) for i in np.flatnonzero(self.weak))

    @property
    def sound_pairs(self) -> float:
        """Share in [0, 1] of the pairs of frames with no weak joint between them: the relative poses to be believed.

        A weak joint near an end spoils less of a path than one in its middle.
        """
        bounds = np.concatenate([[0], np.flatnonzero(self.weak) + 1, [len(self.frames)]])
        pieces, count = np.diff(bounds), len(self.frames)
        return float((pieces * (pieces - 1)).sum() / (count * (count - 1))) if count > 1 else 1.0


def _spanning(tracks: Tracks, chosen: Bool[np.ndarray, " n"]) -> Int[np.ndarray, " t"]:
    """(T,) how many points have chosen observations both up to a frame and after it."""
    point, frame = tracks.point[chosen], tracks.frame[chosen]  # sorted by point, then by frame
    first = np.diff(point, prepend=-1) > 0
    last = np.diff(point, append=tracks.num_points) > 0
    begun, ended = (np.bincount(frame[mask], minlength=tracks.num_frames) for mask in (first, last))
    return np.cumsum(begun - ended)
