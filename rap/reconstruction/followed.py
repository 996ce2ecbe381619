"""Whether a video was taken along a path: the path that points tracked through it show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from rap.geometry import Trajectory
from rap.reconstruction.refine import Refinement, refine_trajectory

MEASURED = ("refined", "no_parallax")
"""Verdicts of `followed_path` that tell a path; after others it is the estimate, unchanged."""


def followed_path(frames_u8: UInt8[np.ndarray, "T H W 3"], estimated: Trajectory, requested: Trajectory) -> Refinement:
    """The path that a generated video shows by points tracked through it.

    Args:
        frames_u8: the video.
        estimated: where to begin, of the same length: what the model takes for its cameras.
        requested: what it was made along; its lens is taken for right, so that a wrong one shows as a wrong path.

    Raises:
        ValueError: a path of another length or image size than the video's.
    """
    size = (frames_u8.shape[1], frames_u8.shape[2])
    if requested.image_size != size or len(requested) != len(frames_u8):
        raise ValueError(
            f"requested must have a camera of {size} px for each of the {len(frames_u8)} frames, got {len(requested)} "
            f"of {requested.image_size}; resize it with trajectory.resized"
        )
    start = replace(estimated, intrinsics=requested.intrinsics)
    return refine_trajectory(frames_u8, start, trust_focal=True)
