"""The `transforms_train.json` of NeRF's synthetic scenes, which Blender scripts write and most NeRF programs take.

The format: `camera_angle_x` (horizontal field of view in radians, one for all), `frames` with `file_path` (without
suffix) and `transform_matrix` (camera to world, OpenGL camera). Square pixels, the principal point in the middle. The
size is that of the pictures; ours are written with `w` and `h` as well, which others pass over.

It is read as a `transforms.json`, of which it is a kind.

Reference: Mildenhall et al. 2020, `load_blender.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rap.formats import checks
from rap.formats.axes import SIGNS_OPENGL
from rap.geometry.trajectory import Trajectory
from rap.writing import write_text


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write a `transforms_train.json`, the field of view that of the first frame.

    Args:
        frame_names: image paths relative to the file, which lose their suffixes.

    Raises:
        ValueError: the names do not fit the frames.
    """
    names = [str(PurePosixPath(name).with_suffix("")) for name in checks.names_for(len(trajectory), frame_names)]
    height, width = trajectory.image_size
    document = {
        "camera_angle_x": 2 * math.atan(width / (2 * float(trajectory.intrinsics[0, 0]))),
        "w": width,
        "h": height,
        "frame_order": "file",
        "frames": [
            {"file_path": name, "rotation": 0.0, "transform_matrix": T.tolist()}
            for name, T in zip(names, trajectory.Ts_world_camera * SIGNS_OPENGL + 0.0, strict=True)
        ],
    }
    write_text(path, json.dumps(document, indent=1) + "\n")
