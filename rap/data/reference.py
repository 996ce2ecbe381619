"""Known cameras beside a folder of pictures: find the transforms.json, match by file name, follow crop and resize."""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from rap import formats
from rap.data.images import IMAGE_SUFFIXES, crop_box, natural_key
from rap.errors import InputError
from rap.formats import nerfstudio
from rap.geometry import Trajectory, crop_intrinsics, resize_intrinsics

TRANSFORMS = "transforms.json"
PICTURE_FOLDERS = ("frames", "images", "rgb")
"""A folder whose name begins like this belongs to the transforms.json in its parent."""

ASPECT_TOLERANCE = 0.02
"""A picture resized to whole pixels changes its aspect ratio by less than this."""


def transforms_beside(folder: Path) -> Path | None:
    """The transforms.json of a folder of pictures: in it, or in its parent when it is called frames, images ..."""
    if (folder / TRANSFORMS).is_file():
        return folder / TRANSFORMS
    parent = folder.resolve().parent
    if folder.resolve().name.startswith(PICTURE_FOLDERS) and (parent / TRANSFORMS).is_file():
        return parent / TRANSFORMS
    return None


def pictures_named_in(transforms: Path) -> list[Path]:
    """The existing pictures that a transforms.json names, in name order.

    Only those below its own folder: a stranger's path must not lead elsewhere.

    Raises:
        InputError: the file is malformed.
    """
    root = transforms.parent.resolve()
    named = (_picture_path(root / name) for name in nerfstudio.read_frame_names(transforms))
    found = {path for path in named if path.is_relative_to(root) and path.is_file()}
    return sorted(found, key=lambda path: natural_key(str(path)))


def _picture_path(path: Path) -> Path:
    # Blender's files leave the suffix out.
    return (path if path.suffix.lower() in IMAGE_SUFFIXES else path.with_name(path.name + ".png")).resolve()


def reference_trajectory(
    transforms: Path, pictures: Sequence[Path], sizes: Sequence[tuple[int, int]], size: tuple[int, int], fps: float
) -> tuple[Trajectory | None, tuple[str, ...]]:
    """Cameras of pictures that were centre-cropped and resized to `size`.

    World = the first picture's camera; unit of length = the file's.

    Args:
        sizes: (h, w) of each picture before it was cropped.
        size: (h, w) after.

    Returns:
        The trajectory, or None when a picture has no pose or another shape than the file says; and notes that say so.

    Raises:
        InputError: the file is malformed.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            whole = formats.read(transforms)
            rows = _rows(transforms, pictures)
        except InputError as error:
            raise InputError(
                f"{error}; or move {TRANSFORMS} away to use the pictures without reference cameras"
            ) from error
    notes = tuple(str(warning.message) for warning in caught)
    missing = [path.name for path, row in zip(pictures, rows, strict=True) if row is None]
    if missing:
        return None, (*notes, f"{TRANSFORMS} has no pose for {', '.join(missing[:5])}: used without reference cameras")
    h, w = whole.image_size
    for path, (picture_h, picture_w) in zip(pictures, sizes, strict=True):
        if abs((picture_w / picture_h) / (w / h) - 1) > ASPECT_TOLERANCE:
            note = f"{TRANSFORMS} is for pictures of {w} x {h}, but {path.name} has {picture_w} x {picture_h}"
            return None, (*notes, f"{note}: used without reference cameras")
    kept = [row for row in rows if row is not None]
    intrinsics = [
        fitted_intrinsics(whole.intrinsics[row], (h, w), old, size) for row, old in zip(kept, sizes, strict=True)
    ]
    trajectory = Trajectory(whole.Ts_world_camera[kept], np.stack(intrinsics), size, fps=fps)
    return trajectory.relative_to(0), notes


def fit_trajectory(trajectory: Trajectory, size: tuple[int, int]) -> Trajectory:
    """The same path for pictures that are centre-cropped and resized to `size` (h, w) as `load_clip` does it."""
    old = trajectory.image_size
    intrinsics = fitted_intrinsics(trajectory.intrinsics, old, old, size)
    return dataclasses.replace(trajectory, intrinsics=intrinsics, image_size=size)


def fitted_intrinsics(
    intrinsics: Float[ArrayLike, "*batch 4"],
    stated: tuple[int, int],
    picture: tuple[int, int],
    size: tuple[int, int],
) -> Float[np.ndarray, "*batch 4"]:
    """Intrinsics in pixels of `stated` -> of the `picture` as it is on disk -> centre-cropped -> of `size`, all (h, w).

    `stated` shows the whole picture, perhaps at another resolution.
    """
    top, left, box_h, box_w = crop_box(picture, size)
    h, w = size
    cropped = crop_intrinsics(resize_intrinsics(intrinsics, stated, picture), top, left)
    return cropped * np.array([w / box_w, h / box_h, w / box_w, h / box_h])


def unfitted_intrinsics(
    intrinsics: Float[ArrayLike, "*batch 4"], picture: tuple[int, int], size: tuple[int, int]
) -> Float[np.ndarray, "*batch 4"]:
    """Intrinsics in pixels of `size` -> of the whole `picture` it was centre-cropped from, both (h, w)."""
    top, left, box_h, box_w = crop_box(picture, size)
    h, w = size
    cropped = np.asarray(intrinsics, dtype=np.float64) * np.array([box_w / w, box_h / h, box_w / w, box_h / h])
    return crop_intrinsics(cropped, -top, -left)


def _rows(transforms: Path, pictures: Sequence[Path]) -> list[int | None]:
    """For each picture the frame of the file that names it: by path, else by file name where that is unique."""
    names = [_picture_path(transforms.parent / name) for name in nerfstudio.read_frame_names(transforms)]
    by_path = {path: row for row, path in enumerate(names)}
    often = Counter(path.name for path in names)
    by_name = {path.name: row for row, path in enumerate(names) if often[path.name] == 1}
    return [by_path.get(path.resolve(), by_name.get(path.name)) for path in pictures]
