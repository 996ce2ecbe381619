"""What a clip is like, and whether it is kept: speed, overlap, blur, people and whatever else moves by itself.

Cameras are known, so that points followed through the frames can be triangulated. Their median depth in each view is
the clip's unit of length, whatever unit its file has; points that no scene at rest explains are what moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import cv2
import numpy as np
from jaxtyping import Float

from rap.geometry import Trajectory, se3
from rap.reconstruction.moving import moving_cells
from rap.reconstruction.tracks import PointCloud, sparse_points
from rap.shards.scenes import Frames

SIDE = 320
"""Longest side of the pictures that points are followed in."""

MIN_POINTS = 20
"""Of a view whose median depth counts."""

MARGIN = 1.0
"""Pixels that a point may lie beyond the picture's edge."""


@dataclass(frozen=True)
class Limits:
    """What is kept. Lengths are in units of the first view's median depth.

    Attributes:
        max_step: largest way of the camera from one frame to the next.
        max_turn_deg: the same of its turn.
        min_way: shortest way of the camera from its first place: without parallax there is no depth.
        min_overlap: share of the points of the first view that the last still has in its picture.
        min_sharpness: variance of the Laplacian of the grey picture at SIDE pixels, of the median frame; of twelve
            photographs 790 to 4400, and 9 to 50 under a blur of 1.5 pixels.
        max_moving: share of the picture that moves by itself.
    """

    max_step: float = 0.35
    max_turn_deg: float = 15.0
    min_way: float = 0.02
    min_overlap: float = 0.1
    min_sharpness: float = 30.0
    max_moving: float = 0.15


@dataclass(frozen=True)
class Likeness:
    """Figures of a clip, as `Limits` has them; `median_depth` of every view in the unit of the cameras' file."""

    step: float
    turn_deg: float
    way: float
    overlap: float
    sharpness: float
    moving: float
    median_depth: Float[np.ndarray, " T"]

    def figures(self) -> dict[str, float]:
        """By name, without the depths."""
        return {item.name: float(getattr(self, item.name)) for item in fields(self) if item.name != "median_depth"}


def measured(clip: Frames) -> Likeness | None:
    """Figures of a clip; None where too few points could be followed to tell its depth."""
    small, cameras = _reduced(clip)
    tracks, cloud = sparse_points(small, cameras.Ts_world_camera, cameras.intrinsics)
    depths = median_depths(cloud, cameras)
    if depths is None:
        return None
    unit = depths[0]
    steps = se3.inverse(cameras.Ts_world_camera[:-1]) @ cameras.Ts_world_camera[1:]
    turns = np.degrees(se3.rotation_angle(steps[:, :3, :3]))
    ways = np.linalg.norm(cameras.centres - cameras.centres[0], axis=-1)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small]
    return Likeness(
        step=float(np.linalg.norm(steps[:, :3, 3], axis=-1).max(initial=0.0)) / unit,
        turn_deg=float(turns.max(initial=0.0)),
        way=float(ways.max()) / unit,
        overlap=overlap(cloud, cameras),
        sharpness=float(np.median([cv2.Laplacian(grey, cv2.CV_64F).var() for grey in greys])),
        moving=float(moving_cells(tracks, cameras.Ts_world_camera, cameras.intrinsics).mean()),
        median_depth=depths,
    )


def refusal(found: Likeness | None, limits: Limits) -> str:
    """Why a clip is left out, in a word; empty where it is kept."""
    if found is None:
        return "depth"
    too: Mapping[str, bool] = {
        "speed": found.step > limits.max_step or found.turn_deg > limits.max_turn_deg,
        "still": found.way < limits.min_way,
        "overlap": found.overlap < limits.min_overlap,
        "blur": found.sharpness < limits.min_sharpness,
        "moving": found.moving > limits.max_moving,
    }
    return next((name for name, holds in too.items() if holds), "")


def median_depths(cloud: PointCloud, cameras: Trajectory) -> Float[np.ndarray, " T"] | None:
    """Of the points each view saw; of a view with few, between those of its neighbours; None where all have few."""
    depths = np.full(len(cameras), np.nan)
    for i, pose in enumerate(cameras.Ts_world_camera):
        seen = cloud.where(cloud.seen_by(i)).in_front_depths(pose)
        if len(seen) >= MIN_POINTS:
            depths[i] = np.median(seen)
    known = np.flatnonzero(np.isfinite(depths))
    return np.interp(np.arange(len(depths)), known, depths[known]) if len(known) else None


def overlap(cloud: PointCloud, cameras: Trajectory) -> float:
    """Share of the points that the first view saw which lie in the last picture; hidden or not is not asked."""
    points = cloud.where(cloud.seen_by(0)).xyz
    if not len(points):
        return 0.0
    T, (fx, fy, cx, cy), (h, w) = cameras.Ts_world_camera[-1], cameras.intrinsics[-1], cameras.image_size
    xyz = (points - T[:3, 3]) @ T[:3, :3]
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = fx * xyz[:, 0] / xyz[:, 2] + cx, fy * xyz[:, 1] / xyz[:, 2] + cy
    inside = (xyz[:, 2] > 0) & (x > -MARGIN) & (x < w + MARGIN) & (y > -MARGIN) & (y < h + MARGIN)
    return float(inside.mean())


def _reduced(clip: Frames) -> tuple[np.ndarray, Trajectory]:
    h, w = clip.cameras.image_size
    scale = min(1.0, SIDE / max(h, w))
    size = max(1, round(h * scale)), max(1, round(w * scale))
    small = [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in clip.frames_u8]
    return np.stack(small), clip.cameras.resized(size)
