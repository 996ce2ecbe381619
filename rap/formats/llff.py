"""LLFF's `poses_bounds.npy`, which the forward-facing scenes of NeRF and mip-NeRF 360 come with; read only.

The format: an array (N, 17): a 3x5 matrix row by row, then the nearest and the farthest depth. Its columns are the
camera's axes DOWN, RIGHT, BACKWARDS in the world, the centre, and height, width, focal length in pixels. The principal
point is the middle. Rows are in the order of the names of the pictures in `images` beside it.

Reference: github.com/Fyusion/LLFF, "Using your own poses without running COLMAP".
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from rap.config import IMAGE_SUFFIXES
from rap.errors import InputError
from rap.formats import archive, checks
from rap.geometry.trajectory import Trajectory
from rap.guard import reading
from rap.limits import CAMERAS, LISTED_FILES

NAME = "poses_bounds.npy"
COLUMNS = 17


def read(path: str | Path) -> Trajectory:
    """Read the cameras in their own world, source 0; the bounds are passed over.

    Raises:
        InputError: no plain array of that shape, or no proper cameras.
    """
    path = Path(path)
    rows = _rows(path)
    matrices = rows[:, :15].reshape(-1, 3, 5)
    sizes = {(float(h), float(w)) for h, w in matrices[:, :2, 4]}
    if len(sizes) != 1:
        raise InputError(
            f"{path.name}: its pictures have {len(sizes)} sizes, expected one; resize images and focal lengths"
        )
    height, width = sizes.pop()
    size = checks.image_side(height, "height", path.name), checks.image_side(width, "width", path.name)
    poses, intrinsics = [], []
    for i, matrix in enumerate(matrices):
        where = f"{path.name} row {i}"
        down, right, backwards, centre = matrix[:, :4].T
        T = np.eye(4)
        T[:3] = np.stack([right, down, -backwards, centre], axis=1)
        poses.append(checks.rigid_pose(T, "the pose", where))
        focal = checks.positive(float(matrix[2, 4]), "focal length", where)
        intrinsics.append([focal, focal, size[1] / 2, size[0] / 2])
    return checks.build_trajectory(path, poses, np.array(intrinsics), size)


def read_frame_names(path: str | Path) -> tuple[str, ...]:
    """The names of the pictures in `images` beside the file, where there are as many as cameras; else none.

    Raises:
        InputError: as `read`, for what concerns the array.
    """
    path = Path(path)
    folder = path.parent / "images"
    if not folder.is_dir():
        return ()
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    LISTED_FILES.check(len(files), f"{folder.name}: has", "give fewer")
    return tuple(f"images/{file.name}" for file in sorted(files)) if len(files) == len(_rows(path)) else ()


def _rows(path: Path) -> np.ndarray:
    size = checks.file_size_checked(path)
    with reading(path.name), path.open("rb") as file:
        shape, by_columns, dtype = archive.header(file, path.name)
        if dtype.kind not in "iuf" or len(shape) != 2 or shape[1] != COLUMNS or shape[0] == 0:
            raise InputError(
                f"{path.name}: is an array {shape} of {dtype}, expected (N, {COLUMNS}) numbers; poses go into "
                "an npz as c2w, with K, image_height and image_width (docs/conventions.md)"
            )
        CAMERAS.check(shape[0], f"{path.name}: has", "keep fewer frames")
        if math.prod(shape) * dtype.itemsize > size:
            raise InputError(f"{path.name}: is cut off: {size} bytes for an array {shape}; copy it again")
        found = np.frombuffer(file.read(math.prod(shape) * dtype.itemsize), dtype)
    rows = found.reshape(shape, order="F" if by_columns else "C").astype(np.float64)
    if not (np.abs(rows[:, :15]) <= checks.MAX_NUMBER).all():
        raise InputError(f"{path.name}: holds values that are not finite, expected numbers")
    return rows
