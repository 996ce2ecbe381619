"""COLMAP models: a folder with cameras, images and points, as text (`colmap_text`) or binary (`colmap_binary`).

World to camera, quaternion wxyz, OpenCV camera, intrinsics in pixels with pixel centres at +0.5.

- Cameras with distortion are read as the pinholes within, with a warning; `read_distortion` has the rest, and clips
  that come with them are undistorted.
- Of several models below a folder (`sparse/0`, `sparse/1` ...) the one with most images is taken, and a warning says
  so: COLMAP starts a new one wherever it loses the thread. Files of two models are never mixed.
- COLMAP's images are a set. Their order as frames is that of their names (runs of digits by value), so names that
  would be read back in another order are not written.
- The frame rate is not stored: 8 on reading.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rap.errors import InputError
from rap.formats import checks, colmap_binary, colmap_text
from rap.formats.colmap_models import Camera, Image
from rap.formats.distortion import Distortion
from rap.geometry.trajectory import Trajectory
from rap.limits import FOLDERS

FILES = ("cameras.txt", "images.txt", "points3D.txt", "cameras.bin", "images.bin", "points3D.bin")
DEPTH = 4
"""Folders down to which models are looked for: `colmap/sparse/0` is the deepest that programs make."""


def model_folder(path: str | Path) -> Path | None:
    """The folder of the model that `path` stands for: its own, its parent where it is one of the files, or below it."""
    path = Path(path)
    if path.is_file():
        return path.parent if path.name in FILES else None
    found = models_below(path)
    if len(found) < 2:
        return found[0] if found else None
    counts = [_count_images(folder) for folder in found]
    best = max(range(len(found)), key=lambda i: counts[i])
    why = "which has most images" if counts.count(counts[best]) == 1 else "the first of those with most images"
    told = ", ".join(f"{_shown(folder, path)} ({count} images)" for folder, count in zip(found, counts, strict=True))
    warnings.warn(
        f"{path.name}: holds {len(found)} COLMAP models: {told}; {_shown(found[best], path)} is taken, {why}",
        stacklevel=3,
    )
    return found[best]


def models_below(folder: Path) -> list[Path]:
    """The folders of the models in and below a folder, nearest first; one that lacks a file if there is no other."""
    whole, lacking = [], []
    for seen, (place, inner, files) in enumerate(os.walk(folder), start=1):
        FOLDERS.check(seen, f"{folder.name}: has", "give the folder of the model itself")
        inner.sort()
        here = Path(place)
        if len(here.relative_to(folder).parts) >= DEPTH:
            inner.clear()
        if {"images.txt", "cameras.txt"} <= set(files) or {"images.bin", "cameras.bin"} <= set(files):
            whole.append(here)
        elif {"images.txt", "images.bin"} & set(files):
            lacking.append(here)
    return sorted(whole or lacking[:1], key=lambda found: len(found.parts))


def is_binary(folder: Path) -> bool:
    """Whether a model's folder has binary files alone; where it has both, the text is read."""
    return not (folder / "images.txt").is_file()


def read(path: str | Path) -> Trajectory:
    """Read a model in its own world, source 0, frames in the order of `read_frame_names`.

    Args:
        path: the folder, a project folder that has it below, or one of the files.

    Raises:
        InputError: no model there, or anything in it but proper cameras of one image size.
    """
    images, cameras = _model(path)
    intrinsics, poses, size = [], [], None
    for image in images:
        camera = cameras[image.camera_id]
        size = size or camera.size
        if camera.size != size:
            raise InputError(
                f"{image.where}: has the size {camera.size[1]}x{camera.size[0]}, the first frame {size[1]}x{size[0]}; "
                "expected one size for all frames, resize images and intrinsics"
            )
        intrinsics.append(camera.intrinsics)
        poses.append(image.T_world_camera)
    return checks.build_trajectory(Path(path), poses, intrinsics, size or (0, 0))


def read_frame_names(path: str | Path) -> tuple[str, ...]:
    """The name of each image, in the order of `read`.

    Raises:
        InputError: as `read`, for what concerns the two files by themselves.
    """
    return tuple(image.name for image in _model(path)[0])


def read_distortion(path: str | Path) -> tuple[Distortion | None, ...]:
    """The distortion of each image, in the order of `read`; None for a pinhole.

    Raises:
        InputError: as `read`.
    """
    images, cameras = _model(path)
    return tuple(cameras[image.camera_id].distortion for image in images)


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write the folder `path` as text.

    Args:
        frame_names: image names, one per frame, in rising order; 0000.png ... by default.

    Raises:
        ValueError: the names do not fit the frames or would be read back in another order.
    """
    colmap_text.write_model(Path(path), trajectory, _names(trajectory, frame_names))


def write_binary(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write the folder `path` as binary files; arguments and errors as `write`."""
    colmap_binary.write_model(Path(path), trajectory, _names(trajectory, frame_names))


def _names(trajectory: Trajectory, frame_names: Sequence[str] | None) -> list[str]:
    names = checks.names_for(len(trajectory), frame_names)
    if frame_names is None:
        names = [PurePosixPath(name).name for name in names]
    order = checks.natural_order(names)
    if order != list(range(len(names))):
        i = next(i for i, j in enumerate(order) if i != j)
        raise ValueError(
            f"frame_names[{i}] is {names[i]!r}, but COLMAP keeps no order and readers sort by name; "
            "give names that rise with time, or none"
        )
    return names


def _model(path: str | Path) -> tuple[list[Image], dict[int, Camera]]:
    folder = model_folder(path)
    if folder is None:
        name = Path(path).name
        raise InputError(f"{name}: has no images.txt, expected a folder with COLMAP's cameras.txt and images.txt")
    kind, reader = ("bin", colmap_binary) if is_binary(folder) else ("txt", colmap_text)
    cameras = reader.read_cameras(folder / f"cameras.{kind}")
    images = reader.read_images(folder / f"images.{kind}")
    for image in images:
        if image.camera_id not in cameras:
            raise InputError(
                f"{image.where}: CAMERA_ID is {image.camera_id}, expected one of cameras.{kind}: "
                f"{checks.shown([*cameras])}"
            )
    names = [image.name for image in images]
    checks.unique(names, "NAME", f"images.{kind}")
    return [images[i] for i in checks.natural_order(names)], cameras


def _count_images(folder: Path) -> int:
    """Of a model that may not be the one that is read, so that what is wrong with it is no reason to stop."""
    try:
        if is_binary(folder):
            return colmap_binary.count_images(folder / "images.bin")
        return len(colmap_text.read_images(folder / "images.txt"))
    except InputError:
        return 0


def _shown(folder: Path, root: Path) -> str:
    inner = folder.relative_to(root)
    return inner.as_posix() if inner.parts else root.name
