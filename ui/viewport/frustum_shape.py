"""The shape of one camera's frustum, in the viewport and in plots."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from rap.geometry import Trajectory

FRUSTUM_DEPTH_RANGE = (0.08, 0.16)  # below it a frustum is too small to hit with a mouse, above it neighbours hide


def frustum_depth(trajectory: Trajectory) -> float:
    """Depth at which a frustum ends (world units): about one step of the path, within `FRUSTUM_DEPTH_RANGE`."""
    steps = np.linalg.norm(np.diff(trajectory.centres, axis=0), axis=-1)
    typical = float(np.median(steps)) if len(steps) else 0.0
    return float(np.clip(typical, *FRUSTUM_DEPTH_RANGE))


def image_corners(trajectory: Trajectory, index: int, depth: float) -> Float64[np.ndarray, "4 3"]:
    """World positions of the four image corners of frame `index` at z-depth `depth`, clockwise from the top left."""
    h, w = trajectory.image_size
    fx, fy, cx, cy = trajectory.intrinsics[index]
    pixels = np.array([(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)])
    points_camera = np.column_stack([(pixels[:, 0] - cx) / fx, (pixels[:, 1] - cy) / fy, np.ones(4)]) * depth
    T = trajectory.Ts_world_camera[index]
    return points_camera @ T[:3, :3].T + T[:3, 3]
