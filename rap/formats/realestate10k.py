"""RealEstate10K's camera files, also used by DL3DV-style loaders, MotionCtrl, CameraCtrl and CamI2V.

The format: first a line with the video's URL, then one line of 19 numbers per frame: the timestamp in microseconds;
fx fy cx cy divided by image width (fx, cx) or height (fy, cy); two zeros; the 3x4 world-to-camera matrix row by row,
OpenCV camera.

The image size is not stored, because the intrinsics are normalised; the default is 640x360 (the data set is 16:9). The
frame rate is one over the median time step; stamps are whole microseconds, which rounds it in the sixth digit.

Reference: google.github.io/realestate10k, "Format"; Zhou et al. 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rap.errors import InputError
from rap.formats import checks
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.writing import write_text

MATRIX_FIELDS = tuple(f"m{row}{column}" for row in range(3) for column in range(4))
FIELDS = ("timestamp", "fx", "fy", "cx", "cy", "zero", "zero", *MATRIX_FIELDS)
DEFAULT_IMAGE_SIZE = (360, 640)
MICROSECONDS = 1e6
LARGEST_FRACTION = 20.0
"""Of a focal length; a lens of 20 widths sees three degrees."""


def is_header(line: str) -> bool:
    """True for the URL line."""
    return "://" in line.split(" ")[0]


def read(path: str | Path, *, image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE) -> Trajectory:
    """Read a RealEstate10K file in its own world, source 0.

    Args:
        image_size: (h, w) in pixels that the normalised intrinsics are multiplied with.

    Raises:
        InputError: no URL line, wrong columns, no number, no rotation or no rising time, with the line.
    """
    path = Path(path)
    (first, header), *lines = checks.data_lines(checks.read_text(path), path.name) or [(1, "")]
    if not is_header(header):
        raise InputError(f"{path.name} line {first}: is {checks.shown(header)}, expected the URL of the video first")
    if not lines:
        raise InputError(f"{path.name}: has no frame after the URL, expected lines of {len(FIELDS)} numbers")
    height, width = image_size
    times, poses, intrinsics, places = [], [], [], []
    for number, line in lines:
        where = f"{path.name} line {number}"
        values = checks.numbers(line.split(), FIELDS, where)
        for focal, field in zip(values[1:3], ("fx", "fy"), strict=True):
            checks.positive(focal, field, where)
            _ask_about_pixels(focal, field, where)
        matrix = np.vstack([values[7:].reshape(3, 4), [0.0, 0.0, 0.0, 1.0]])
        poses.append(se3.inverse(checks.rigid_pose(matrix, "the 3x4 matrix", where)))
        intrinsics.append(values[1:5] * (width, height, width, height))
        times.append(values[0])
        places.append(where)
    checks.rising(np.array(times), places)
    fps = checks.frame_rate(checks.seconds([line.split()[0] for _, line in lines], 1 / MICROSECONDS, path.name))
    return checks.build_trajectory(path, poses, intrinsics, image_size, fps=fps)


def read_times_s(path: str | Path) -> Float[np.ndarray, " T"] | None:
    """The time of each frame in seconds, in the order of `read`; None where the file counts frames.

    Raises:
        InputError: as `read`, for what concerns the first column.
    """
    path = Path(path)
    _, *lines = checks.data_lines(checks.read_text(path), path.name)
    for number, line in lines:
        checks.numbers(line.split()[:1], FIELDS[:1], f"{path.name} line {number}")
    return checks.seconds([line.split()[0] for _, line in lines], 1 / MICROSECONDS, path.name)


def _ask_about_pixels(focal: float, field: str, where: str) -> None:
    if focal > LARGEST_FRACTION:
        raise InputError(
            f"{where}: {field} is {focal:g}, expected a fraction of the picture's side (0.3 to 3 as a rule); is it in "
            "pixels? Then divide fx and cx by the width of the pictures, fy and cy by their height"
        )


def write(
    path: str | Path,
    trajectory: Trajectory,
    frame_names: Sequence[str] | None = None,
    *,
    url: str = "rap://trajectory",
) -> None:
    """Write a RealEstate10K file, time starting at 0; `frame_names` have no place in it.

    Args:
        url: first line, for readers that fetch the video.

    Raises:
        ValueError: the names do not fit the frames, or `url` is none.
    """
    checks.names_for(len(trajectory), frame_names)
    if not is_header(url) or "\n" in url:
        raise ValueError(f"url must be one line with ://, got {url!r}")
    height, width = trajectory.image_size
    normalised = trajectory.intrinsics / (width, height, width, height)
    Ts_camera_world = se3.inverse(trajectory.Ts_world_camera)
    lines = [url]
    for i in range(len(trajectory)):
        values = [*normalised[i].tolist(), 0.0, 0.0, *Ts_camera_world[i, :3].reshape(-1).tolist()]
        lines.append(" ".join([str(round(i * MICROSECONDS / trajectory.fps)), *map(repr, values)]))
    write_text(path, "\n".join(lines) + "\n")
