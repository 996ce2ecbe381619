"""Nuke's `.chan`, which 3DEqualizer, Houdini, Blender and others read and write, too.

The format: a line for each frame: its number, tx ty tz, rx ry rz in degrees and the vertical field of view in degrees;
camera to world of an OpenGL camera in a world with +y up. The order of rotation is Nuke's default for cameras, ZXY: R
= Ry Rx Rz. `#` starts a comment.

It has neither size nor rate: the frames count. Ours begin at 1.

Reference: learn.foundry.com, Nuke, "Importing and Exporting Cameras" and "Rotation Order".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from rap.errors import InputError
from rap.formats import checks, documents
from rap.formats.axes import to_y_up
from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.trajectory import Trajectory
from rap.writing import write_text

FIELDS = ("frame", "tx", "ty", "tz", "rx", "ry", "rz", "vfov")
ORDER = "zxy"
"""SciPy's small letters turn about fixed axes, the first first: R = Ry Rx Rz."""

FIRST = 1


def read(
    path: str | Path,
    *,
    image_size: tuple[int, int] = checks.DEFAULT_IMAGE_SIZE,
    fov_y_rad: float | None = None,
) -> Trajectory:
    """Read a `.chan` with the order of rotation ZXY; its world is turned so that +y is down. Source 0.

    Args:
        image_size: (h, w) in pixels, which the file does not know.
        fov_y_rad: for a file of seven columns, without a lens.

    Raises:
        InputError: wrong columns, no number, frames that do not count up by one; no lens, and none given.
    """
    path = Path(path)
    rows, places = [], []
    for number, line in checks.data_lines(checks.read_text(path), path.name):
        where, words = f"{path.name} line {number}", line.split()
        if len(words) == len(FIELDS) - 1 and fov_y_rad is not None:
            words.append(repr(float(np.degrees(fov_y_rad))))
        if len(words) == len(FIELDS) - 1:
            raise InputError(
                f"{where}: has {len(words)} columns and no lens; expected {' '.join(FIELDS)}: export it from the "
                "camera, or add the vertical field of view in degrees"
            )
        rows.append(checks.numbers(words, FIELDS, where))
        places.append(where)
    if not rows:
        raise InputError(f"{path.name}: has no camera, only comments; expected lines of {' '.join(FIELDS)}")
    values = np.array(rows)
    checks.rising(values[:, 0], places)
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, :3] = Rotation.from_euler(ORDER, values[:, [6, 4, 5]], degrees=True).as_matrix()
    poses[:, :3, 3] = values[:, 1:4]
    fovs = [documents.angle_deg(float(v), "vfov", where) for v, where in zip(values[:, 7], places, strict=True)]
    intrinsics = np.stack([intrinsics_from_fov(fov, image_size) for fov in fovs])
    return checks.build_trajectory(path, to_y_up(poses), intrinsics, image_size)


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write a `.chan`; `frame_names` have no place in it."""
    checks.names_for(len(trajectory), frame_names)
    poses = to_y_up(trajectory.Ts_world_camera)
    rz, rx, ry = Rotation.from_matrix(poses[:, :3, :3]).as_euler(ORDER, degrees=True).T
    fovs_deg = np.degrees(trajectory.fov_y_rad)
    rows = np.column_stack([poses[:, :3, 3], np.unwrap(np.stack([rx, ry, rz], 1), axis=0, period=360), fovs_deg])
    lines = ["\t".join([str(FIRST + i), *map(repr, row)]) for i, row in enumerate(rows.tolist())]
    write_text(path, "\n".join(lines) + "\n")
