"""nerfstudio's (and instant-ngp's, and Blender-NeRF's) `transforms.json`.

The format: `frames`, a list with `file_path` and `transform_matrix` (4x4, camera to world, OpenGL camera: +x right, +y
up, looking along -z); intrinsics `fl_x fl_y cx cy w h` in pixels, top-level or per frame (per frame wins), pixel
centres at +0.5; or `camera_angle_x` (horizontal field of view in radians) in their place.

- OpenGL camera <-> ours: right-multiply by diag(1, -1, -1, 1). This only flips signs, so a file that we wrote is read
  back bit for bit.
- The world stays the file's own world. `applied_transform` and `applied_scale` tell which change of world its writer
  has already applied to the matrices; they are checked for sanity and otherwise ignored, because relative poses do not
  depend on the world.
- Order: nerfstudio sorts the frames by `file_path`, and COLMAP-made files are often shuffled; so do we (digits by
  value). Our own files carry `"frame_order": "file"` and `"fps"`, which other readers ignore.
- Distortion (`k1 k2 k3 k4 p1 p2`): our cameras are pinholes. Such a file is read as the pinhole within, with a warning;
  `read_distortion` has the rest, and clips that come with it are undistorted, those of fisheyes (`OPENCV_FISHEYE`, and
  instant-ngp's `is_fisheye`), too. Coefficients of no lens are refused, and so are models of panoramas.

Reference: docs.nerf.studio, "Data conventions".
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from rap.errors import InputError
from rap.formats import checks, documents
from rap.formats.axes import SIGNS_OPENGL
from rap.formats.colmap_models import check_usable
from rap.formats.distortion import Distortion
from rap.formats.pictures import Pictures
from rap.geometry.trajectory import Trajectory
from rap.guard import DAMAGE
from rap.writing import write_text

PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
FISHEYE_MODELS = ("OPENCV_FISHEYE", "FISHEYE")
"""Polynomials of the angle; the second is nerfstudio's own name of the first."""
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


def read(path: str | Path, *, image_size: tuple[int, int] | None = None) -> Trajectory:
    """Read a `transforms.json` in its own world, source 0, frames in the order of `read_frame_names`.

    Args:
        image_size: (h, w) in pixels for a file that neither has it nor lies beside its pictures, as Blender's.

    Raises:
        InputError: the file is missing, too large, no JSON, or holds anything but proper pinhole cameras of one image
        size.
    """
    path = Path(path)
    document, frames = _frames(path)
    _check_model(document, frames, path)
    _check_applied_transform(document, path)
    _check_applied_scale(document, path)
    pictures = Pictures(path.parent)
    poses, intrinsics, sizes, distorted = [], [], [], False
    for frame, name, where in frames:
        poses.append(_pose(frame, where))
        size = _image_size(frame, document, pictures.find(name), where, image_size)
        if sizes and size != sizes[0]:
            raise InputError(
                f"{where}: has the size {size[1]}x{size[0]}, the first frame {sizes[0][1]}x{sizes[0][0]}; "
                "expected one size for all frames, resize images and intrinsics"
            )
        sizes.append(size)
        intrinsics.append(_intrinsics(frame, document, size, where))
        distortion = _distortion(frame, document, where)
        if distortion is not None:
            check_usable(distortion, intrinsics[-1], size, where)
            distorted = True
    if distorted:
        warnings.warn(
            f"{path.name}: the images have lens distortion ({'/'.join(DISTORTION)}); its cameras are the pinholes "
            "within, which pictures match once they are undistorted",
            stacklevel=2,
        )
    fps = checks.positive(documents.number(document, "fps", path.name, default=checks.DEFAULT_FPS), "fps", path.name)
    return checks.build_trajectory(path, poses, intrinsics, sizes[0], fps=fps)


def read_frame_names(path: str | Path) -> tuple[str, ...]:
    """The `file_path` of each frame, in the order of `read`.

    Raises:
        InputError: as `read`, for what concerns the list of frames.
    """
    return tuple(name for _, name, _ in _frames(Path(path))[1])


def read_distortion(path: str | Path) -> tuple[Distortion | None, ...]:
    """The distortion of each frame, in the order of `read`; None for a pinhole.

    Raises:
        InputError: as `read`, for what concerns these numbers.
    """
    document, frames = _frames(Path(path))
    return tuple(_distortion(frame, document, where) for frame, _, where in frames)


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write a `transforms.json`; constant intrinsics once at the top, others per frame.

    Args:
        frame_names: image paths relative to the file, one per frame; frames/0000.png ... by default.

    Raises:
        ValueError: the names do not fit the frames.
    """
    names = checks.names_for(len(trajectory), frame_names)
    height, width = trajectory.image_size
    document: dict[str, object] = {
        "camera_model": "PINHOLE",
        "w": int(width),
        "h": int(height),
        "fps": float(trajectory.fps),
        "frame_order": "file",
    }
    shared = bool((trajectory.intrinsics == trajectory.intrinsics[0]).all())
    if shared:
        document.update(_intrinsics_fields(trajectory.intrinsics[0]))
    frames = []
    for name, T_world_camera, intrinsics in zip(names, trajectory.Ts_world_camera, trajectory.intrinsics, strict=True):
        frame: dict[str, object] = {"file_path": name}
        if not shared:
            frame.update(_intrinsics_fields(intrinsics))
        frame["transform_matrix"] = (T_world_camera * SIGNS_OPENGL + 0.0).tolist()  # + 0.0: no -0.0 in the file
        frames.append(frame)
    document["frames"] = frames
    write_text(path, json.dumps(document, indent=1) + "\n")


def _intrinsics_fields(intrinsics: Float[np.ndarray, "4"]) -> dict[str, float]:
    return dict(zip(("fl_x", "fl_y", "cx", "cy"), intrinsics.tolist(), strict=True))


def _frames(path: Path) -> tuple[Mapping, list[tuple[Mapping, str, str]]]:
    """The document, and each frame, its name and the words for it in an error, in reading order."""
    document, frames = documents.read_object(path, "nerfstudio transforms.json", "frames")
    names, is_ordered = [], document.get("frame_order") == "file"
    for i, frame in enumerate(frames):
        name = frame.get("file_path") if isinstance(frame, dict) else None
        if isinstance(frame, dict) and "file_path" in frame and name is None:  # Stable Virtual Camera: to be made
            name, is_ordered = f"frame {i}", True
        if not isinstance(name, str) or not name:
            problem = f"file_path is {checks.shown(name)}" if isinstance(frame, dict) else f"is {checks.shown(frame)}"
            raise InputError(
                f"{path.name}: frame {i}: {problem}, expected an object with the image's path in file_path"
            )
        names.append(name)
    checks.unique(names, "file_path", path.name)
    order = range(len(names)) if is_ordered else checks.natural_order(names)
    return document, [(frames[i], names[i], f"{path.name}: frame {i} ({checks.shown(names[i])})") for i in order]


def _check_model(document: Mapping, frames: list[tuple[Mapping, str, str]], path: Path) -> None:
    for fields, _, where in [(document, "", path.name), *frames]:
        model = fields.get("camera_model", "PINHOLE")
        if model not in (*PINHOLE_MODELS, *FISHEYE_MODELS):
            raise InputError(
                f"{where}: camera_model is {checks.shown(model)}, expected one of "
                f"{', '.join((*PINHOLE_MODELS, *FISHEYE_MODELS))}; undistort the images to a pinhole camera first"
            )


def _distortion(frame: Mapping, document: Mapping, where: str) -> Distortion | None:
    """Of a frame; None for a pinhole."""
    k1, k2, k3, k4, p1, p2 = (_lookup(frame, document, name, where) or 0.0 for name in DISTORTION)
    model = frame.get("camera_model", document.get("camera_model"))
    if model in FISHEYE_MODELS or frame.get("is_fisheye", document.get("is_fisheye")):
        return Distortion(True, (k1, k2, k3, k4))
    if k4:
        raise InputError(f"{where}: k4 is {k4:g}, which programs take in two ways; undistort the images first")
    found = Distortion(False, (k1, k2, k3), (p1, p2))
    return None if found.is_none else found


def _check_applied_transform(document: Mapping, path: Path) -> None:
    if "applied_transform" not in document:
        return
    value = document["applied_transform"]
    rows = 4 if isinstance(value, list) and len(value) == 4 else 3  # Metashape's users write all of it
    matrix = documents.matrix(value, (rows, 4), "applied_transform", path.name)[:3]
    scale = float(np.cbrt(np.linalg.det(matrix[:, :3])))
    if scale > 0.0:  # OpenDroneMap's has the scale inside
        matrix[:, :3] /= scale
    checks.rigid_pose(np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]]), "applied_transform", path.name)


def _check_applied_scale(document: Mapping, path: Path) -> None:
    scale = documents.number(document, "applied_scale", path.name, default=1.0)
    if not scale > 0.0:
        raise InputError(f"{path.name}: applied_scale is {scale:g}, expected a number above 0")


def _pose(frame: Mapping, where: str) -> Float[np.ndarray, "4 4"]:
    if "transform_matrix" not in frame:
        raise InputError(f"{where}: transform_matrix is missing, expected a 4x4 camera-to-world matrix")
    matrix = documents.matrix(frame["transform_matrix"], (4, 4), "transform_matrix", where)
    return checks.rigid_pose(matrix, "transform_matrix", where) * SIGNS_OPENGL


def _lookup(frame: Mapping, document: Mapping, name: str, where: str) -> float | None:
    """A number of the frame, else of the whole file, else None."""
    fields = frame if name in frame else document
    return documents.finite(fields[name], name, where) if name in fields else None


def _image_size(
    frame: Mapping, document: Mapping, picture: Path | None, where: str, given: tuple[int, int] | None
) -> tuple[int, int]:
    height, width = (_lookup(frame, document, name, where) for name in ("h", "w"))
    if height is not None and width is not None:
        return checks.image_side(height, "h", where), checks.image_side(width, "w", where)
    if picture is not None:  # Blender's files name no size, and no suffix either
        with suppress(*DAMAGE, Image.DecompressionBombError), Image.open(picture, formats=IMAGE_FORMATS) as opened:
            return opened.height, opened.width
    if given is not None:
        return given
    raise InputError(
        f"{where}: 'w' and 'h' are missing and its image cannot be opened beside the file; "
        "add the image size in pixels as 'w' and 'h', or give it"
    )


def _intrinsics(frame: Mapping, document: Mapping, size: tuple[int, int], where: str) -> Float[np.ndarray, "4"]:
    height, width = size
    focal_x, focal_y = _focal(frame, document, "x", width, where), _focal(frame, document, "y", height, where)
    focal_x, focal_y = focal_x or focal_y, focal_y or focal_x
    if focal_x is None or focal_y is None:
        raise InputError(f"{where}: the focal length is missing, expected fl_x (pixels) or camera_angle_x (radians)")
    centre_x, centre_y = _lookup(frame, document, "cx", where), _lookup(frame, document, "cy", where)
    return np.array(
        [focal_x, focal_y, width / 2 if centre_x is None else centre_x, height / 2 if centre_y is None else centre_y]
    )


def _focal(frame: Mapping, document: Mapping, axis: str, side: int, where: str) -> float | None:
    """Focal length in pixels along one axis, None when the file does not give it."""
    focal = _lookup(frame, document, f"fl_{axis}", where)
    if focal is not None:
        return checks.positive(focal, f"fl_{axis}", where)
    angle = _lookup(frame, document, f"camera_angle_{axis}", where)
    if angle is None:
        return None
    return side / (2.0 * math.tan(documents.angle(angle, f"camera_angle_{axis}", where) / 2.0))
