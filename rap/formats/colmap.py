"""COLMAP's text model: a folder with `cameras.txt`, `images.txt` and `points3D.txt`.

The format: cameras.txt has `CAMERA_ID MODEL WIDTH HEIGHT PARAMS...`; images.txt has two lines per image,
`IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME` (world to camera, quaternion wxyz, OpenCV camera) and the image's 2D
points, which may be an empty line; pixel centres at +0.5.

- Only the pinhole models PINHOLE (fx fy cx cy) and SIMPLE_PINHOLE (f cx cy): others need undistorted images first.
- COLMAP's images are a set. Their order as frames is that of their names (runs of digits by value), so names that would
  be read back in another order are not written.
- The frame rate is not stored: 8 on reading.

Reference: colmap.github.io/format.html, "Text Format".
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from rap.errors import InputError
from rap.formats import checks
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.limits import CAMERAS
from rap.writing import whole_file

PARAMETERS = {"PINHOLE": ("FX", "FY", "CX", "CY"), "SIMPLE_PINHOLE": ("F", "CX", "CY")}
POSE_FIELDS = ("QW", "QX", "QY", "QZ", "TX", "TY", "TZ")


def model_folder(path: str | Path) -> Path | None:
    """The folder of the text model: `path`, its parent if `path` is one of the three files, or a usual sub-folder."""
    path = Path(path)
    if path.is_file():
        return path.parent if path.name in ("cameras.txt", "images.txt", "points3D.txt") else None
    candidates = (path, path / "sparse" / "0", path / "sparse", path / "colmap" / "sparse" / "0")
    return next((folder for folder in candidates if (folder / "images.txt").is_file()), None)


def read(path: str | Path) -> Trajectory:
    """Read a text model in its own world, source 0, frames in the order of `read_frame_names`.

    Args:
        path: the folder, a project folder that has it as `sparse/0`, or one of the files.

    Raises:
        InputError: no text model there, or anything in it but proper pinhole cameras of one image size.
    """
    images, cameras = _model(path)
    intrinsics, poses, size = [], [], None
    for _, pose, camera_id, where in images:
        if camera_id not in cameras:
            raise InputError(
                f"{where}: CAMERA_ID is {camera_id}, expected one of cameras.txt: {checks.shown([*cameras])}"
            )
        camera_size, camera_intrinsics = cameras[camera_id]
        size = size or camera_size
        if camera_size != size:
            raise InputError(
                f"{where}: has the size {camera_size[1]}x{camera_size[0]}, the first frame {size[1]}x{size[0]}; "
                "expected one size for all frames, resize images and intrinsics"
            )
        intrinsics.append(camera_intrinsics)
        poses.append(pose)
    return checks.build_trajectory(Path(path), poses, intrinsics, size or (0, 0))


def read_frame_names(path: str | Path) -> tuple[str, ...]:
    """The name of each image, in the order of `read`.

    Raises:
        InputError: as `read`, for what concerns the two files by themselves.
    """
    return tuple(name for name, *_ in _model(path)[0])


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write the folder `path`: cameras.txt (one camera per distinct intrinsics), images.txt and an empty points3D.txt.

    Args:
        frame_names: image names, one per frame, in rising order; 0000.png ... by default.

    Raises:
        ValueError: the names do not fit the frames or would be read back in another order.
    """
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
    distinct, camera_of = np.unique(trajectory.intrinsics, axis=0, return_inverse=True)
    height, width = trajectory.image_size
    cameras = [f"{k} PINHOLE {width} {height} {_words(row)}" for k, row in enumerate(distinct, start=1)]
    Ts_camera_world = se3.inverse(trajectory.Ts_world_camera)
    quaternions = se3.quaternion_wxyz(Ts_camera_world[:, :3, :3])
    images = []
    for i, name in enumerate(names):
        pose = _words(np.concatenate([quaternions[i], Ts_camera_world[i, :3, 3]]))
        images += [f"{i + 1} {pose} {int(camera_of.reshape(-1)[i]) + 1} {name}", ""]
    folder = Path(path)
    header = "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME, then a line of POINTS2D[]"
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


Image = tuple[str, np.ndarray, int, str]
"""Name, T_world_camera, camera id, and the words that name it in an error."""


def _model(path: str | Path) -> tuple[list[Image], dict[int, tuple[tuple[int, int], np.ndarray]]]:
    folder = model_folder(path)
    if folder is None:
        path = Path(path)
        if path.is_dir() and any(path.rglob("images.bin")):
            raise InputError(
                f"{path.name}: holds a binary COLMAP model (images.bin), expected text; "
                "convert it with: colmap model_converter --output_type TXT"
            )
        raise InputError(f"{path.name}: has no images.txt, expected a folder with COLMAP's cameras.txt and images.txt")
    cameras = _read_cameras(folder / "cameras.txt")
    images = _read_images(folder / "images.txt")
    names = [name for name, *_ in images]
    checks.unique(names, "NAME", "images.txt")
    return [images[i] for i in checks.natural_order(names)], cameras


def _read_cameras(path: Path) -> dict[int, tuple[tuple[int, int], np.ndarray]]:
    cameras = {}
    for number, line in checks.data_lines(checks.read_text(path), path.name):
        where = f"cameras.txt line {number}"
        words = line.split()
        model = words[1] if len(words) > 1 else "missing"
        if model not in PARAMETERS:
            raise InputError(
                f"{where}: the camera model is {checks.shown(model)}, expected {' or '.join(PARAMETERS)}; "
                "undistort with: colmap image_undistorter"
            )
        fields = ("CAMERA_ID", "WIDTH", "HEIGHT", *PARAMETERS[model])
        camera_id, width, height, *parameters = checks.numbers([words[0], *words[2:]], fields, where).tolist()
        size = checks.image_side(height, "HEIGHT", where), checks.image_side(width, "WIDTH", where)
        if len(parameters) == 3:
            parameters.insert(0, parameters[0])
        for focal, field in zip(parameters[:2], ("FX", "FY"), strict=True):
            checks.positive(focal, field if model == "PINHOLE" else "F", where)
        if int(camera_id) in cameras:
            raise InputError(f"{where}: CAMERA_ID {int(camera_id)} is given twice, expected each camera once")
        cameras[int(camera_id)] = size, np.array(parameters)
    if not cameras:
        raise InputError("cameras.txt: has no camera, only comments; expected at least one line")
    return cameras


def _read_images(path: Path) -> list[Image]:
    lines = checks.all_lines(checks.read_text(path), path.name)
    images, number = [], 0
    while number < len(lines):
        CAMERAS.check(len(images), "images.txt: has", "keep fewer images")
        line, number = lines[number].strip(), number + 1
        if not line or line.startswith("#"):
            continue
        images.append(_image(line, f"images.txt line {number}"))
        points = lines[number].split() if number < len(lines) else []
        if len(points) % 3:
            raise InputError(
                f"images.txt line {number + 1}: has {len(points)} columns, expected the 2D points of the image above "
                "in triples (X Y POINT3D_ID), or an empty line"
            )
        number += 1
    if not images:
        raise InputError("images.txt: has no image, only comments; expected at least one")
    return images


def _image(line: str, where: str) -> Image:
    words = line.split(maxsplit=9)
    if len(words) != 10:
        fields = " ".join(("IMAGE_ID", *POSE_FIELDS, "CAMERA_ID", "NAME"))
        raise InputError(f"{where}: has {len(words)} columns, expected 10: {fields}")
    values = checks.numbers(words[:9], ("IMAGE_ID", *POSE_FIELDS, "CAMERA_ID"), where)
    R_camera_world = se3.rotation_from_wxyz(checks.unit_quaternion(values[1:5], "QW QX QY QZ", where))
    T_camera_world: Float[np.ndarray, "4 4"] = se3.from_rotation_translation(R_camera_world, values[5:8])
    return words[9].strip(), se3.inverse(T_camera_world), int(values[8]), where
