"""The text files of a COLMAP model.

The format: cameras.txt has `CAMERA_ID MODEL WIDTH HEIGHT PARAMS...`; images.txt has two lines per image,
`IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME` (world to camera, quaternion wxyz, OpenCV camera) and the image's 2D
points, which may be an empty line. Scripts that strip the points leave their lines out altogether: a line that can be
an image is one, because no line of points has a unit quaternion in its place.

Reference: colmap.github.io/format.html, "Text Format".
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from rap.errors import InputError
from rap.formats import checks
from rap.formats.colmap_models import FIELDS, Camera, Image, camera_of, check_model
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.limits import CAMERAS
from rap.writing import whole_file

POSE_FIELDS = ("QW", "QX", "QY", "QZ", "TX", "TY", "TZ")
IMAGE_FIELDS = ("IMAGE_ID", *POSE_FIELDS, "CAMERA_ID")


def read_cameras(path: Path) -> dict[int, Camera]:
    """The cameras of cameras.txt by their numbers.

    Raises:
        InputError: naming the line.
    """
    cameras: dict[int, Camera] = {}
    for number, line in checks.data_lines(checks.read_text(path), path.name):
        where = f"cameras.txt line {number}"
        words = line.split()
        model = words[1] if len(words) > 1 else "missing"
        check_model(model, where)
        fields = ("CAMERA_ID", "WIDTH", "HEIGHT", *FIELDS[model])
        camera_id, width, height, *parameters = checks.numbers([words[0], *words[2:]], fields, where).tolist()
        if int(camera_id) in cameras:
            raise InputError(f"{where}: CAMERA_ID {int(camera_id)} is given twice, expected each camera once")
        cameras[int(camera_id)] = camera_of(model, (height, width), parameters, where)
    if not cameras:
        raise InputError("cameras.txt: has no camera, only comments; expected at least one line")
    return cameras


def read_images(path: Path) -> list[Image]:
    """The images of images.txt, in its order.

    Raises:
        InputError: naming the line.
    """
    lines = checks.all_lines(checks.read_text(path), path.name)
    images, number = [], 0
    while number < len(lines):
        CAMERAS.check(len(images), "images.txt: has", "keep fewer images")
        line, number = lines[number].strip(), number + 1
        if not line or line.startswith("#"):
            continue
        images.append(_image(line, f"images.txt line {number}"))
        if number < len(lines) and _is_points(lines[number], f"images.txt line {number + 1}"):
            number += 1
    if not images:
        raise InputError("images.txt: has no image, only comments; expected at least one")
    return images


def _is_points(line: str, where: str) -> bool:
    """Whether a line that follows an image has its points, and is not the next image's."""
    words = line.split(maxsplit=9)
    if len(words) == 10 and _is_image(words):
        return False
    if line.startswith("#"):
        return False
    count = len(line.split())
    if count % 3:
        raise InputError(
            f"{where}: has {count} columns, expected the 2D points of the image above "
            "in triples (X Y POINT3D_ID), or an empty line"
        )
    return True


def _is_image(words: Sequence[str]) -> bool:
    try:
        values = [float(word) for word in words[:9]]
    except ValueError:
        return False
    return bool(abs(np.linalg.norm(values[1:5]) - 1.0) <= 0.01) and values[0] % 1 == 0 and values[8] % 1 == 0


def _image(line: str, where: str) -> Image:
    words = line.split(maxsplit=9)
    if len(words) != 10:
        raise InputError(f"{where}: has {len(words)} columns, expected 10: {' '.join(IMAGE_FIELDS)} NAME")
    values = checks.numbers(words[:9], IMAGE_FIELDS, where)
    R_camera_world = se3.rotation_from_wxyz(checks.unit_quaternion(values[1:5], "QW QX QY QZ", where))
    T_camera_world = se3.from_rotation_translation(R_camera_world, values[5:8])
    return Image(words[9].strip(), se3.inverse(T_camera_world), int(values[8]), where)


def write_model(folder: Path, trajectory: Trajectory, names: Sequence[str]) -> None:
    """cameras.txt (one camera per distinct intrinsics), images.txt and an empty points3D.txt."""
    distinct, camera_of_frame = np.unique(trajectory.intrinsics, axis=0, return_inverse=True)
    height, width = trajectory.image_size
    cameras = [f"{k} PINHOLE {width} {height} {_words(row)}" for k, row in enumerate(distinct, start=1)]
    Ts_camera_world = se3.inverse(trajectory.Ts_world_camera)
    quaternions = se3.quaternion_wxyz(Ts_camera_world[:, :3, :3])
    images = []
    for i, name in enumerate(names):
        pose = _words(np.concatenate([quaternions[i], Ts_camera_world[i, :3, 3]]))
        images += [f"{i + 1} {pose} {int(camera_of_frame.reshape(-1)[i]) + 1} {name}", ""]
    header = f"# {', '.join(IMAGE_FIELDS)}, NAME, then a line of POINTS2D[]"
    files = {
        "cameras.txt": ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]", *cameras],
        "images.txt": [header, *images],
        "points3D.txt": ["# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]"],
    }
    with ExitStack() as stack:  # all of them or none: a folder with two of the three is no model
        for name, lines in files.items():
            partial = stack.enter_context(whole_file(folder / name))
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _words(values: np.ndarray) -> str:
    return " ".join(repr(value) for value in values.tolist())
