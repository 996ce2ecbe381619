"""Poses of nodes, to the bit."""

from __future__ import annotations

import numpy as np
import viser


def set_pose(handle: viser.SceneNodeHandle, wxyz: np.ndarray, position: np.ndarray) -> None:
    """Put a node exactly there: viser drops a change of less than 1e-5, but what is shown is what the model gets."""
    if not np.array_equal(handle.wxyz, wxyz):
        handle.wxyz[:] = np.nan  # unlike any pose; viser hands out its own array
        handle.wxyz = wxyz
    if not np.array_equal(handle.position, position):
        handle.position[:] = np.nan
        handle.position = position
