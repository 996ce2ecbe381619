"""TUM RGB-D benchmark trajectories, as written by most SLAM systems and read by evo.

The format: one line per frame, `timestamp tx ty tz qx qy qz qw`; seconds, camera to world, quaternion xyzw (scalar
LAST), OpenCV camera; `#` starts a comment. Timestamps must rise.

It knows neither image size nor intrinsics nor image names. Readers of a file that is known to belong to a clip should
pass `image_size` and `fov_y_rad`; the defaults are a 640x480 camera of 55 degrees. The frame rate is one over the
median step.

Reference: cvg.cit.tum.de, RGB-D SLAM dataset, "File Formats".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rap.errors import InputError
from rap.formats import checks
from rap.geometry import camera, se3
from rap.geometry.trajectory import Trajectory
from rap.writing import write_text

FIELDS = ("timestamp", "tx", "ty", "tz", "qx", "qy", "qz", "qw")


def read(
    path: str | Path,
    *,
    image_size: tuple[int, int] = checks.DEFAULT_IMAGE_SIZE,
    fov_y_rad: float = checks.DEFAULT_FOV_Y_RAD,
) -> Trajectory:
    """Read a TUM trajectory in its own world, source 0.

    Args:
        image_size: (h, w) in pixels, which the file does not know.
        fov_y_rad: vertical field of view of every frame, which the file does not know either; square pixels, centred.

    Raises:
        InputError: wrong columns, no number, no unit quaternion or no rising time, with the line.
        ValueError: `image_size` or `fov_y_rad` is no camera.
    """
    path = Path(path)
    intrinsics = camera.intrinsics_from_fov(fov_y_rad, image_size)
    times, poses, places = [], [], []
    lines = checks.data_lines(checks.read_text(path), path.name)
    for number, line in lines:
        where = f"{path.name} line {number}"
        values = checks.numbers(line.split(), FIELDS, where)
        q_xyzw = checks.unit_quaternion(values[4:], "qx qy qz qw", where)
        R_world_camera = se3.rotation_from_wxyz(q_xyzw[[3, 0, 1, 2]])
        poses.append(se3.from_rotation_translation(R_world_camera, values[1:4]))
        times.append(values[0])
        places.append(where)
    if not poses:
        raise InputError(f"{path.name}: has no pose, only comments; expected lines of {' '.join(FIELDS)}")
    checks.rising(np.array(times), places)
    fps = checks.frame_rate(checks.seconds([line.split()[0] for _, line in lines], 1.0, path.name))
    return checks.build_trajectory(path, poses, np.tile(intrinsics, (len(poses), 1)), image_size, fps=fps)


def read_times_s(path: str | Path) -> Float[np.ndarray, " T"] | None:
    """The time of each frame in seconds, in the order of `read`; None where the file counts frames.

    Raises:
        InputError: as `read`, for what concerns the first column.
    """
    path = Path(path)
    lines = checks.data_lines(checks.read_text(path), path.name)
    for number, line in lines:
        checks.numbers(line.split()[:1], FIELDS[:1], f"{path.name} line {number}")
    return checks.seconds([line.split()[0] for _, line in lines], 1.0, path.name)


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write a TUM trajectory, time starting at 0; intrinsics and `frame_names` have no place in it.

    Raises:
        ValueError: the names do not fit the frames.
    """
    checks.names_for(len(trajectory), frame_names)
    q_wxyz = se3.quaternion_wxyz(trajectory.Ts_world_camera[:, :3, :3])
    times = np.arange(len(trajectory)) / trajectory.fps
    rows = np.column_stack([times, trajectory.centres, q_wxyz[:, [1, 2, 3, 0]]])
    lines = ["# " + " ".join(FIELDS), *(" ".join(repr(value) for value in row) for row in rows.tolist())]
    write_text(path, "\n".join(lines) + "\n")
