"""The binary files of a COLMAP model, little-endian; points are passed over, not read.

cameras.bin: a count; for each `uint32 id, int32 model, uint64 width, uint64 height`, then the model's doubles.
images.bin: a count; for each `uint32 id, 4 doubles wxyz, 3 doubles t, uint32 camera`, a name that ends with a zero
byte, a count of 2D points and 24 bytes for each.

Reference: colmap.github.io/format.html, "Binary File Format"; COLMAP, `src/colmap/scene/reconstruction_io_binary.cc`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rap.errors import InputError
from rap.formats import checks
from rap.formats.colmap_models import FIELDS, NUMBERS, Camera, Image, camera_of, check_model
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.limits import CAMERAS, FILE_BYTES, FRAME_NAME_CHARACTERS
from rap.writing import whole_file

COUNT = struct.Struct("<Q")
CAMERA = struct.Struct("<IiQQ")
POSE = struct.Struct("<I7dI")
POINT_BYTES = 24


def read_cameras(path: Path) -> dict[int, Camera]:
    """The cameras of cameras.bin by their numbers.

    Raises:
        InputError: cut off, or naming the camera.
    """
    cameras: dict[int, Camera] = {}
    checks.file_size_checked(path)
    with path.open("rb") as file:
        for i in range(_count(file, path.name, "cameras")):
            where = f"{path.name} camera {i + 1}"
            camera_id, number, width, height = _values(file, CAMERA, where)
            model = NUMBERS.get(number, f"number {number}")
            check_model(model, where)
            parameters = _numbers(file, len(FIELDS[model]), where, FIELDS[model])
            cameras[camera_id] = camera_of(model, (float(height), float(width)), parameters, where)
    return cameras


def read_images(path: Path) -> list[Image]:
    """The images of images.bin, in its order.

    Raises:
        InputError: cut off, or naming the image.
    """
    images = []
    size = checks.file_size_checked(path, FILE_BYTES)
    with path.open("rb") as file:
        for i in range(_count(file, path.name, "images")):
            where = f"{path.name} image {i + 1}"
            _, *pose, camera_id = _values(file, POSE, where)
            values = _checked(pose, ("QW", "QX", "QY", "QZ", "TX", "TY", "TZ"), where)
            name = _name(file, where)
            (points,) = _values(file, COUNT, where)
            file.seek(points * POINT_BYTES, 1) if points * POINT_BYTES <= size else _cut_off(where)
            if file.tell() > size:
                _cut_off(where)
            R_camera_world = se3.rotation_from_wxyz(checks.unit_quaternion(values[:4], "QW QX QY QZ", where))
            T_camera_world = se3.from_rotation_translation(R_camera_world, values[4:])
            images.append(Image(name, se3.inverse(T_camera_world), camera_id, where))
    return images


def count_images(path: Path) -> int:
    """How many images a file says it has."""
    with path.open("rb") as file:
        return COUNT.unpack(file.read(COUNT.size).ljust(COUNT.size, b"\0"))[0]


def write_model(folder: Path, trajectory: Trajectory, names: Sequence[str]) -> None:
    """cameras.bin (one PINHOLE per distinct intrinsics), images.bin and a points3D.bin without points."""
    distinct, camera_of_frame = np.unique(trajectory.intrinsics, axis=0, return_inverse=True)
    height, width = trajectory.image_size
    number = next(number for number, model in NUMBERS.items() if model == "PINHOLE")
    cameras = [
        CAMERA.pack(k, number, width, height) + struct.pack("<4d", *row) for k, row in enumerate(distinct, start=1)
    ]
    Ts_camera_world = se3.inverse(trajectory.Ts_world_camera)
    quaternions = se3.quaternion_wxyz(Ts_camera_world[:, :3, :3])
    images = []
    for i, name in enumerate(names):
        camera_id = int(camera_of_frame.reshape(-1)[i]) + 1
        pose = POSE.pack(i + 1, *quaternions[i], *Ts_camera_world[i, :3, 3], camera_id)
        images.append(pose + name.encode() + b"\0" + COUNT.pack(0))
    files = {"cameras.bin": cameras, "images.bin": images, "points3D.bin": []}
    with ExitStack() as stack:  # all of them or none: a folder with two of the three is no model
        for name, records in files.items():
            partial = stack.enter_context(whole_file(folder / name))
            partial.write_bytes(COUNT.pack(len(records)) + b"".join(records))


def _count(file: BinaryIO, name: str, what: str) -> int:
    (count,) = _values(file, COUNT, name)
    if count == 0:
        raise InputError(f"{name}: a binary COLMAP model with no {what} in it; expected at least one")
    CAMERAS.check(count, f"{name}: has", "keep fewer images")
    return count


def _values(file: BinaryIO, layout: struct.Struct, where: str) -> tuple:
    data = file.read(layout.size)
    if len(data) < layout.size:
        _cut_off(where)
    return layout.unpack(data)


def _numbers(file: BinaryIO, count: int, where: str, fields: Sequence[str]) -> list[float]:
    return _checked(_values(file, struct.Struct(f"<{count}d"), where), fields, where).tolist()


def _checked(values: Sequence[float], fields: Sequence[str], where: str) -> np.ndarray:
    for value, field in zip(values, fields, strict=True):
        if not abs(value) <= checks.MAX_NUMBER:
            raise InputError(
                f"{where}: {field} is {value:g}, expected a finite number; leave out frames without a pose"
            )
    return np.array(values)


def _name(file: BinaryIO, where: str) -> str:
    start = file.tell()
    data, found, _ = file.read(4 * FRAME_NAME_CHARACTERS.value + 1).partition(b"\0")
    if not found:
        raise InputError(f"{where}: its NAME does not end; the file is damaged or cut off")
    file.seek(start + len(data) + 1)
    return data.decode("utf-8", errors="replace")


def _cut_off(where: str) -> None:
    raise InputError(f"{where}: the file is cut off there; copy it again")
