"""nerfstudio's `camera_path.json`, as its viewer saves it and `ns-render camera-path` takes it.

The format: `camera_path`, a list with `camera_to_world` (16 numbers, row by row, OpenGL camera), `fov` (vertical, in
degrees) and `aspect`; `render_height`, `render_width` in pixels, `fps`, `seconds`. Square pixels, the principal point
in the middle. `keyframes` are what its viewer shows; read are the frames alone.

Reference: nerfstudio, `cameras/camera_paths.py` (get_path_from_json) and `viewer/render_panel.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rap.errors import InputError
from rap.formats import checks, documents
from rap.formats.axes import SIGNS_OPENGL, row_major
from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.trajectory import Trajectory
from rap.writing import write_text

WHAT = "nerfstudio camera_path.json"


def read(path: str | Path) -> Trajectory:
    """Read a camera path in its own world, source 0.

    Raises:
        InputError: no camera path, one of panoramas, or values that are no cameras.
    """
    path = Path(path)
    document, frames = documents.read_object(path, WHAT, "camera_path")
    kind = document.get("camera_type", "perspective")
    if kind != "perspective":
        raise InputError(
            f"{path.name}: camera_type is {checks.shown(kind)}, expected perspective: pinholes alone are read"
        )
    size = (
        checks.image_side(documents.number(document, "render_height", path.name), "render_height", path.name),
        checks.image_side(documents.number(document, "render_width", path.name), "render_width", path.name),
    )
    poses, intrinsics = [], []
    for i, frame in enumerate(frames):
        where = f"{path.name}: camera {i}"
        if not isinstance(frame, dict):
            raise InputError(f"{where}: is {checks.shown(frame)}, expected an object with camera_to_world")
        matrix = documents.row(frame.get("camera_to_world"), 16, "camera_to_world", where).reshape(4, 4)
        poses.append(checks.rigid_pose(matrix, "camera_to_world", where) * SIGNS_OPENGL)
        fov = documents.angle_deg(documents.number(frame, "fov", where), "fov", where)
        intrinsics.append(intrinsics_from_fov(fov, size))
    fps = checks.positive(documents.number(document, "fps", path.name, default=checks.DEFAULT_FPS), "fps", path.name)
    return checks.build_trajectory(path, poses, intrinsics, size, fps=fps)


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write a camera path; `frame_names` have no place in it."""
    checks.names_for(len(trajectory), frame_names)
    height, width = trajectory.image_size
    matrices = row_major(trajectory.Ts_world_camera * SIGNS_OPENGL + 0.0)
    fovs_deg = np.degrees(trajectory.fov_y_rad).tolist()
    shape = {"aspect": width / height}
    step_s = 1.0 / trajectory.fps
    frames = [{"camera_to_world": T, "fov": fov, **shape} for T, fov in zip(matrices, fovs_deg, strict=True)]
    keys = [
        {"matrix": T, "fov": fov, **shape, "override_transition_enabled": False, "override_transition_sec": None}
        for T, fov in zip(matrices, fovs_deg, strict=True)
    ]
    document = {
        "default_fov": fovs_deg[0],
        "default_transition_sec": step_s,
        "keyframes": keys,
        "camera_type": "perspective",
        "render_height": float(height),
        "render_width": float(width),
        "fps": float(trajectory.fps),
        "seconds": len(trajectory) * step_s,
        "is_cycle": False,
        "smoothness_value": 0.0,
        "camera_path": frames,
    }
    write_text(path, json.dumps(document, indent=1) + "\n")
