"""Two takes against each other: how far their paths are apart, and their frames in one video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from rap.geometry import se3

if TYPE_CHECKING:
    from rap.geometry import Trajectory

GAP_PX = 4
GIVEN, PREVIEW = 0, -1  # stand where a take's number may, which counts from 1


@dataclass(frozen=True, eq=False)
class PathDifference:
    """Of each frame that both paths have: the angle between its cameras, and the distance of their centres."""

    rotation_deg: Float[np.ndarray, " T"]
    distance: Float[np.ndarray, " T"]

    @property
    def is_none(self) -> bool:
        """Whether it is the same path, but for rounding."""
        return bool(self.rotation_deg.max() < 1e-4 and self.distance.max() < 1e-6)


def path_difference(a: Trajectory, b: Trajectory) -> PathDifference:
    """Angles in degrees and distances in the paths' unit, frame by frame up to the end of the shorter path.

    Both start at their source camera; neither is moved or scaled, for takes of one clip share world and unit.
    """
    count = min(len(a), len(b))
    between = se3.inverse(a.Ts_world_camera[:count]) @ b.Ts_world_camera[:count]
    distance = np.linalg.norm(a.centres[:count] - b.centres[:count], axis=-1)
    return PathDifference(np.degrees(se3.rotation_angle(between[:, :3, :3])), distance)


def side_by_side(a: UInt8[np.ndarray, "T h w 3"], b: UInt8[np.ndarray, "S h v 3"]) -> UInt8[np.ndarray, "N h u 3"]:
    """Both videos beside each other with a white gap; the shorter one stands still at its end.

    Raises:
        ValueError: they differ in height.
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"videos beside each other must have one height, got {a.shape[1]} and {b.shape[1]} pixels")
    count = max(len(a), len(b))
    left, right = (video[np.minimum(np.arange(count), len(video) - 1)] for video in (a, b))
    gap = np.full((count, a.shape[1], GAP_PX, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=2)
