"""Polycam's raw data: the folder `keyframes/corrected_cameras` (else `cameras`) of an export; read only.

The format: one JSON file for each picture of the same name in `corrected_images` (else `images`): `t_00` to `t_23`, the
3x4 camera to world of ARKit's OpenGL camera, and `fx fy cx cy` in pixels of `width` x `height`; `timestamp` in
microseconds, which is the name.

Reference: learn.poly.cam, "Raw data"; nerfstudio, `process_data/polycam_utils.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rap.errors import InputError
from rap.formats import checks, documents
from rap.formats.axes import SIGNS_OPENGL
from rap.geometry.trajectory import Trajectory
from rap.limits import CAMERAS, SMALL_BYTES

FOLDERS = ("corrected_cameras", "cameras")
MARK = "t_00"


def folder_in(folder: Path) -> Path | None:
    """The folder of cameras that an export, its `keyframes` or itself stands for; None where it is none."""
    for place in (folder / "keyframes", folder):
        for name in FOLDERS:
            if _is_cameras(place / name):
                return place / name
    return folder if folder.name in FOLDERS and _is_cameras(folder) else None


def read(path: str | Path) -> Trajectory:
    """Read the cameras of such a folder in their own world, source 0, in the order of `read_frame_names`.

    Raises:
        InputError: a file that is no camera, or of another size.
    """
    poses, intrinsics, sizes = [], [], {}
    for document, where in _documents(Path(path)):
        matrix = np.eye(4)
        for row in range(3):
            for column in range(4):
                matrix[row, column] = documents.number(document, f"t_{row}{column}", where)
        poses.append(checks.rigid_pose(matrix, "t_00 to t_23", where) * SIGNS_OPENGL)
        intrinsics.append([documents.number(document, name, where) for name in ("fx", "fy", "cx", "cy")])
        checks.positive(min(intrinsics[-1][:2]), "the focal length", where)
        sides = [
            checks.image_side(documents.number(document, name, where), name, where) for name in ("height", "width")
        ]
        sizes.setdefault((sides[0], sides[1]), where)
    if len(sizes) > 1:
        raise InputError(
            f"{list(sizes.values())[1]}: has another size than the first frame; expected one for all frames"
        )
    return checks.build_trajectory(Path(path), poses, np.array(intrinsics), next(iter(sizes)))


def read_frame_names(path: str | Path) -> tuple[str, ...]:
    """The pictures of the cameras, as keyframes/images/NAME.jpg.

    Raises:
        InputError: no such folder.
    """
    folder = Path(path)
    images = "corrected_images" if folder.name == FOLDERS[0] else "images"
    return tuple(f"keyframes/{images}/{file.stem}.jpg" for file in _files(folder))


def _is_cameras(folder: Path) -> bool:
    first = next(iter(sorted(folder.glob("*.json"))), None) if folder.is_dir() else None
    return first is not None and first.stat().st_size <= SMALL_BYTES.value and MARK in first.read_text(errors="replace")


def _files(folder: Path) -> list[Path]:
    files = list(folder.glob("*.json")) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder.name}: holds no cameras; expected Polycam's raw data with {' or '.join(FOLDERS)}")
    CAMERAS.check(len(files), f"{folder.name}: has", "keep fewer frames")
    return [files[i] for i in checks.natural_order([file.name for file in files])]


def _documents(folder: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    for file in _files(folder):
        try:
            document = checks.parse_json(checks.read_text(file, SMALL_BYTES), file.name)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{file.name}: is not JSON ({error}); expected a camera of Polycam") from None
        if not isinstance(document, dict):
            raise InputError(f"{file.name}: holds {checks.shown(document)}, expected a camera of Polycam")
        yield document, file.name
