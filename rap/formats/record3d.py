"""Record3D's recordings: `metadata.json` of its exported folder, `metadata` in an `.r3d`; read only.

The format: `poses`, a list of qx qy qz qw tx ty tz, camera to world of ARKit's OpenGL camera; `K`, nine numbers by
COLUMNS, or `perFrameIntrinsicCoeffs` (fx fy cx cy), in pixels of `w` x `h`; `fps`, and `frameTimestamps` in seconds.
Frame i is `rgb/i.jpg` (in an `.r3d` `rgbd/i.jpg`).

Reference: record3d.app, "Exporting"; nerfstudio, `process_data/record3d_utils.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rap.errors import InputError
from rap.formats import checks, documents
from rap.formats.axes import SIGNS_OPENGL
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory

NAMES = ("metadata.json", "metadata")
FIELDS = 7


def read(path: str | Path) -> Trajectory:
    """Read a recording in its own world, source 0.

    Raises:
        InputError: no metadata of a recording, or values that are no cameras.
    """
    path = Path(path)
    document, listed = _document(path)
    size = (
        checks.image_side(documents.number(document, "h", path.name), "h", path.name),
        checks.image_side(documents.number(document, "w", path.name), "w", path.name),
    )
    poses = []
    for i, value in enumerate(listed):
        where = f"{path.name}: pose {i}"
        row = documents.row(value, FIELDS, "qx qy qz qw tx ty tz", where)
        q = checks.unit_quaternion(row[:4], "qx qy qz qw", where)[[3, 0, 1, 2]]
        poses.append(se3.from_rotation_translation(se3.rotation_from_wxyz(q), row[4:]) * SIGNS_OPENGL)
    times_s = read_times_s(path)
    fps = (
        checks.frame_rate(times_s) if times_s is not None else documents.number(document, "fps", path.name, default=30)
    )
    return checks.build_trajectory(
        path, poses, _intrinsics(document, len(poses), path), size, fps=checks.positive(fps, "fps", path.name)
    )


def read_frame_names(path: str | Path) -> tuple[str, ...]:
    """rgb/0.jpg and so on.

    Raises:
        InputError: as `read`, for what concerns the list of poses.
    """
    return tuple(f"rgb/{i}.jpg" for i in range(len(_document(Path(path))[1])))


def read_times_s(path: str | Path) -> Float[np.ndarray, " T"] | None:
    """When each frame was taken, in seconds; None where the file does not say.

    Raises:
        InputError: as `read`, for what concerns the times.
    """
    path = Path(path)
    document, listed = _document(path)
    if not document.get("frameTimestamps"):
        return None
    times = documents.row(document["frameTimestamps"], len(listed), "frameTimestamps", path.name)
    checks.rising(times, [f"{path.name}: frame {i}" for i in range(len(times))])
    return times


def _document(path: Path) -> tuple[Mapping[str, Any], list[Any]]:
    return documents.read_object(path, "Record3D metadata", "poses")


def _intrinsics(document: Mapping[str, Any], count: int, path: Path) -> Float[np.ndarray, "T 4"]:
    each = document.get("perFrameIntrinsicCoeffs")
    if each:
        if not isinstance(each, list) or len(each) != count:
            raise InputError(f"{path.name}: perFrameIntrinsicCoeffs is not a list of {count}, one for each pose")
        return np.stack(
            [documents.row(row, 4, f"perFrameIntrinsicCoeffs[{i}]", path.name) for i, row in enumerate(each)]
        )
    K = documents.row(document.get("K"), 9, "K", path.name).reshape(3, 3).T
    return np.tile([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], (count, 1))
