"""Cameras' and worlds' axes of other programs.

Ours: the camera looks along +z, +x is right and +y down (OpenCV), and so is the world of a source camera. OpenGL's
camera (nerfstudio, Blender, USD, Nuke, ARKit) looks along -z with +y up: its columns y and z are ours, negated. Film
programs have worlds with +y up, so a path for them is turned by half a turn about x, and back when it is read.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

SIGNS_OPENGL = np.array([1.0, -1.0, -1.0, 1.0])
"""Columns of a camera-to-world matrix times these: OpenGL camera <-> OpenCV camera."""


def to_y_up(Ts_world_camera: Float[np.ndarray, "*batch 4 4"]) -> Float[np.ndarray, "*batch 4 4"]:
    """Camera to world of an OpenGL camera in a world with +y up; the same function leads back."""
    return SIGNS_OPENGL[:, None] * Ts_world_camera * SIGNS_OPENGL + 0.0  # + 0.0: no -0.0 in files


def row_major(matrices: Float[np.ndarray, "*batch 4 4"]) -> list[list[float]]:
    """Each matrix as a list of 16, row by row."""
    return matrices.reshape(-1, 16).tolist()
