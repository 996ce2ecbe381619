"""Cameras: rigid poses, the pinhole, raxel maps, trajectories. This page is the convention for the whole project.

Frames
    A camera is an OpenCV camera: +x right, +y down, +z forward. Poses are camera-to-world, `T_world_camera`, and map
    camera points to the world; plural `Ts_world_camera` (T, 4, 4). Inner labels must meet: `T_a_b @ T_b_c`.
    The world is the SOURCE camera of a clip: the pose of frame `source` is the identity. Other conventions (OpenGL,
    world-to-camera, xyzw) exist only inside `rap.formats`.

Pixels
    Sizes are `(h, w)`. Pixel centres lie at +0.5: the top left pixel is at (0.5, 0.5), the middle of the image at
    (w / 2, h / 2), and resizing scales positions without an offset. Intrinsics are `(…, 4)` = fx, fy, cx, cy in pixels
    of a stated size.

Units
    Length: the median z-depth of the source view is 1, so that the pivot of arcs and orbits lies at distance 1 and
    raxels stay of order 1. Angles are radians (degrees only in the UI and the command line), fields of view vertical.
    Time: frames are counted with i; `fps` is frames a second. Quaternions are wxyz with w >= 0.

Types
    Poses, intrinsics and trajectories are numpy float64; maps with a value at every pixel are torch tensors. Raxel maps
    are (…, T, 3, h, w), Plücker maps (…, T, 6, h, w), whose intrinsics are in pixels of the map itself.

Reading
    Nothing here looks at pixels; SciPy's parts are named from its root (`scipy.spatial.transform`), which loads them at
    their first use, so that importing this room is quick. Of the project nothing is imported but `rap.config` (the name
    of a file). Everyone may import from here: the names below, or a file for what they leave out. Read `se3`, `camera`,
    `raxels` and `trajectory`, the value that everything else is about; then what makes and changes it: `presets`,
    `sketch`, `edits`, `reshape`, `shake`, `keys`; then what measures it: `motion`, `spread`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rap.geometry.camera import (
    crop_intrinsics,
    fov_y_from_intrinsics,
    intrinsics_from_fov,
    pixel_centres,
    project,
    ray_directions,
    resize_intrinsics,
    unproject,
)
from rap.geometry.edits import (
    delete_pose,
    filmed,
    insert_pose,
    replace_pose,
    resample,
    reverse,
    scale_motion,
    smooth,
    soft_drag,
    transform_all,
)
from rap.geometry.presets import (
    PRESETS,
    preset,
)
from rap.geometry.se3 import (
    check_rigid,
    interpolate,
    inverse,
    look_at,
    quaternion_wxyz,
    rotation_angle,
    rotation_from_wxyz,
)
from rap.geometry.trajectory import (
    Trajectory,
)

if TYPE_CHECKING:
    from rap.geometry.raxels import (
        cameras_to_pluecker,
        cameras_to_raxels,
        pluecker_to_cameras,
        raxels_to_cameras,
    )

__all__ = [
    "PRESETS",
    "Trajectory",
    "cameras_to_pluecker",
    "cameras_to_raxels",
    "check_rigid",
    "crop_intrinsics",
    "delete_pose",
    "filmed",
    "fov_y_from_intrinsics",
    "insert_pose",
    "interpolate",
    "intrinsics_from_fov",
    "inverse",
    "look_at",
    "pixel_centres",
    "pluecker_to_cameras",
    "preset",
    "project",
    "quaternion_wxyz",
    "raxels_to_cameras",
    "ray_directions",
    "replace_pose",
    "resample",
    "resize_intrinsics",
    "reverse",
    "rotation_angle",
    "rotation_from_wxyz",
    "scale_motion",
    "smooth",
    "soft_drag",
    "transform_all",
    "unproject",
]

_OF_RAXELS = ("cameras_to_pluecker", "cameras_to_raxels", "pluecker_to_cameras", "raxels_to_cameras")


def __getattr__(name: str) -> Any:
    """Raxel maps when they are first used: they bring torch, which who reads a file can do without."""
    if name not in _OF_RAXELS:
        raise AttributeError(f"module 'rap.geometry' has no attribute {name!r}")
    return getattr(importlib.import_module("rap.geometry.raxels"), name)
