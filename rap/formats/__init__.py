"""Outside camera formats: read any, write any.

`read` returns the poses in the file's own world with `source` 0 (only `.npz` keeps its source); callers who want the
world of a source camera use `.relative_to(0)`. Words of a format (world-to-camera, xyzw, OpenGL) stay inside its
module.

| name | file | poses | intrinsics | size | frame rate | names |
|---|---|---|---|---|---|---|
| nerfstudio | transforms.json | camera to world, OpenGL | pixels | yes | ours only | yes |
| colmap | folder with cameras.txt, images.txt | world to camera, OpenCV, wxyz | pixels | yes | no | yes |
| colmap_binary | folder with cameras.bin, images.bin | the same | pixels | yes | no | yes |
| tum | .tum, .txt | camera to world, OpenCV, xyzw | no | no | time stamps | no |
| realestate10k | .txt | world to camera, OpenCV, 3x4 | normalised | no | time stamps | no |
| npz | .npz | camera to world, OpenCV | pixels | yes | yes | yes |
| glb | .glb, write-only | drawn as frusta, y up | - | - | - | - |

It knows `rap.geometry` alone. Callers use the functions below, `load` where they want all that a file says; only who
needs what one format alone has (drawing) imports its file. Read this file, `located` (which file of a folder or zip is
meant), `checks` (with `archive` and `values`, for zips and JSON), then any format: a new one is a file with `read`,
`write` and a line in `FORMATS`; CONTRIBUTING.md has the other places.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rap.errors import InputError
from rap.formats import checks, colmap, nerfstudio, npz, realestate10k, tum
from rap.formats.distortion import Distortion
from rap.formats.located import NOTHING, located
from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.trajectory import Trajectory
from rap.guard import reading

__all__ = ["FORMATS", "CameraFile", "Format", "detect", "load", "read", "read_frame_names", "write"]


@dataclass(frozen=True)
class Format:
    """One outside format, as the app lists it.

    `convention` is the sentence a validator shows; `options` are the keywords of `read` that the file cannot answer
    itself; `read` is None for a format that is only written. What else a file may know of its frames (names, times,
    distortion of the lens) has readers of its own; None where the format has no place for it.
    """

    name: str
    title: str
    default_name: str
    convention: str
    read: Callable[..., Trajectory] | None
    write: Callable[..., None]
    read_frame_names: Callable[..., tuple[str, ...]] | None = None
    read_times_s: Callable[..., np.ndarray | None] | None = None
    read_distortion: Callable[..., tuple[Distortion | None, ...]] | None = None
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class CameraFile:
    """All that a camera file says.

    Attributes:
        format: what it was read as.
        trajectory: its cameras in its own world; pinholes, where `distortion` has more.
        names: of the frames, in the order of the cameras; empty where the file has none.
        times_s: of the frames in seconds, rising; None where the file has none.
        distortion: for each frame; empty where all are pinholes.
        notes: sentences on what had to be assumed or chosen.
        has_lens, has_size: whether focal length and size of pictures are the file's; else they were given or assumed.
    """

    format: Format
    trajectory: Trajectory
    names: tuple[str, ...] = ()
    times_s: np.ndarray | None = None
    distortion: tuple[Distortion | None, ...] = ()
    notes: tuple[str, ...] = ()
    has_lens: bool = True
    has_size: bool = True


def _write_glb(path: str | Path, trajectory: Trajectory, *args: Any, **options: Any) -> None:
    """`rap.formats.glb.write`; trimesh is imported when a GLB is written, and training never writes one."""
    from rap.formats import glb

    glb.write(path, trajectory, *args, **options)


OPENCV = "OpenCV axes (+y down, looking along +z)"

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format(
            "nerfstudio", "nerfstudio transforms.json", "transforms.json",
            "camera to world, OpenGL axes (+y up, looking along -z), intrinsics in pixels",
            nerfstudio.read, nerfstudio.write, nerfstudio.read_frame_names,
            read_distortion=nerfstudio.read_distortion,
        ),
        Format(
            "colmap", "COLMAP text model (folder)", "colmap",
            f"world to camera, {OPENCV}, quaternion wxyz, intrinsics in pixels",
            colmap.read, colmap.write, colmap.read_frame_names,
            read_distortion=colmap.read_distortion,
        ),
        Format(
            "colmap_binary", "COLMAP binary model (folder)", "colmap_binary",
            f"world to camera, {OPENCV}, quaternion wxyz, intrinsics in pixels",
            colmap.read, colmap.write_binary, colmap.read_frame_names,
            read_distortion=colmap.read_distortion,
        ),
        Format(
            "tum", "TUM trajectory", "trajectory.tum",
            f"camera to world, {OPENCV}, quaternion xyzw, no intrinsics",
            tum.read, tum.write, read_times_s=tum.read_times_s, options=frozenset({"image_size", "fov_y_rad"}),
        ),
        Format(
            "realestate10k", "RealEstate10K text", "realestate10k.txt",
            f"world to camera 3x4, {OPENCV}, intrinsics divided by the image size",
            realestate10k.read, realestate10k.write, read_times_s=realestate10k.read_times_s,
            options=frozenset({"image_size"}),
        ),
        Format(
            "npz", "NumPy archive (lossless)", "trajectory.npz",
            f"camera to world, {OPENCV}, intrinsics in pixels",
            npz.read, npz.write, npz.read_frame_names,
        ),
        Format(
            "glb", "GLB of the frusta (write-only)", "cameras.glb",
            "frusta in the source camera's world, +y up",
            None, _write_glb,
        ),
    )
}  # fmt: skip


def detect(path: str | Path) -> Format:
    """The format of an existing file, folder or zip, by its name and, for text, by its first line of data.

    Raises:
        InputError: there is no such file, or it looks like none of the formats.
    """
    with _meant(path, None) as (chosen, _):
        return chosen


def load(
    path: str | Path,
    *,
    format_name: str | None = None,
    image_size: tuple[int, int] | None = None,
    fov_y_rad: float | None = None,
) -> CameraFile:
    """All that a file, a folder or a zip of cameras says; the arguments, and what is raised, as `read`."""
    given = _given(image_size, fov_y_rad)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _meant(path, format_name) as (chosen, inner):
            trajectory = _read(inner, chosen, given)
            names = () if chosen.read_frame_names is None else chosen.read_frame_names(inner)
            times_s = None if chosen.read_times_s is None else chosen.read_times_s(inner)
            distortion = () if chosen.read_distortion is None else chosen.read_distortion(inner)
    lacking = chosen.options - given.keys()
    notes = list(dict.fromkeys(str(warning.message) for warning in caught))
    if "fov_y_rad" in lacking:
        notes.append(
            f"{Path(path).name}: a {chosen.title} has no lens: {math.degrees(checks.DEFAULT_FOV_Y_RAD):.0f} degrees of "
            "view from top to bottom are assumed, which is ours and not the file's"
        )
    if "image_size" in lacking:
        size = trajectory.image_size
        notes.append(
            f"{Path(path).name}: a {chosen.title} has no size of pictures: {size[1]} x {size[0]} is assumed, "
            "which is ours and not the file's"
        )
    return CameraFile(
        chosen,
        trajectory,
        names,
        times_s if times_s is not None and len(times_s) == len(trajectory) else None,
        distortion if any(distortion) else (),
        tuple(notes),
        "fov_y_rad" not in chosen.options,
        "image_size" not in chosen.options,
    )


def read(
    path: str | Path,
    *,
    format_name: str | None = None,
    image_size: tuple[int, int] | None = None,
    fov_y_rad: float | None = None,
) -> Trajectory:
    """Read the cameras of a file, a folder or a zip, in its own world.

    Args:
        format_name: a key of `FORMATS`; detected from the path and its content by default.
        image_size: (h, w) in pixels for the formats that do not know it (tum, realestate10k); others keep their own.
        fov_y_rad: vertical field of view for the format that does not know it (tum); others keep their own.

    Raises:
        InputError: the file cannot be used; the message names file, field, value and remedy.
        ValueError: there is no format of this name.
    """
    given = _given(image_size, fov_y_rad)
    with _meant(path, format_name) as (chosen, inner):
        return _read(inner, chosen, given)


def read_frame_names(path: str | Path, *, format_name: str | None = None) -> tuple[str, ...]:
    """The frame names of a file, in the order of `read`; empty where the format or the file has none.

    Raises:
        InputError: as `read`.
    """
    with _meant(path, format_name) as (chosen, inner):
        return () if chosen.read_frame_names is None else chosen.read_frame_names(inner)


def write(
    path: str | Path,
    trajectory: Trajectory,
    frame_names: Sequence[str] | None = None,
    *,
    format_name: str | None = None,
) -> None:
    """Write a trajectory; folders on the way are made.

    Args:
        path: the suffix chooses the format: .json, .npz, .glb, .tum; .txt is RealEstate10K if the name says
            realestate10k or re10k and TUM otherwise; no suffix is a COLMAP folder.
        frame_names: one per frame, for the formats that keep them.
        format_name: a key of `FORMATS`, in place of the suffix.

    Raises:
        ValueError: no format fits the name, or the names do not fit the frames.
    """
    chosen = _format(_name_for_writing(Path(path)) if format_name is None else format_name)
    chosen.write(path, trajectory, frame_names)


_BY_SUFFIX = {".json": "nerfstudio", ".npz": "npz", ".tum": "tum", ".glb": "glb"}


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f"format_name is {name!r}, expected one of {', '.join(FORMATS)}")
    return FORMATS[name]


def _readable() -> str:
    return ", ".join(name for name, entry in FORMATS.items() if entry.read is not None)


def _given(image_size: tuple[int, int] | None, fov_y_rad: float | None) -> dict[str, Any]:
    """The options that the caller has, checked: a wrong one is the caller's mistake, not the file's."""
    if fov_y_rad is not None:
        intrinsics_from_fov(fov_y_rad, image_size or checks.DEFAULT_IMAGE_SIZE)
    return {key: value for key, value in (("image_size", image_size), ("fov_y_rad", fov_y_rad)) if value is not None}


@contextmanager
def _meant(path: str | Path, format_name: str | None) -> Iterator[tuple[Format, Path]]:
    """The format of what a path stands for, and the file or folder that its reader takes."""
    chosen = None if format_name is None else _format(format_name)
    path = Path(path)
    with reading(path.name), located(path) as (name, inner):
        yield chosen or FORMATS[name or _BY_SUFFIX.get(inner.suffix.lower()) or _only_file(inner, path)], inner


def _only_file(inner: Path, given: Path) -> str:
    try:
        return _detect_by_content(inner)
    except InputError as error:
        if inner == given:
            raise
        raise InputError(f"{given.name}: {NOTHING}; {error}") from None


def _read(path: Path, chosen: Format, given: dict[str, Any]) -> Trajectory:
    if chosen.read is None:
        raise InputError(f"{path.name}: {chosen.title} cannot be read back; give one of {_readable()}")
    return chosen.read(path, **{name: value for name, value in given.items() if name in chosen.options})


def _name_for_writing(path: Path) -> str:
    suffix, stem = path.suffix.lower(), path.stem.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if suffix == ".txt":
        return "realestate10k" if "realestate10k" in stem or "re10k" in stem else "tum"
    if suffix == "":
        return "colmap"
    raise ValueError(
        f"{path.name}: the suffix {suffix} belongs to no format; end the name in .json, .npz, .tum, .txt or .glb, "
        "give a folder for COLMAP, or name the format"
    )


def _detect_by_content(path: Path) -> str:
    checks.file_size_checked(path)
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            return "npz"
    text = checks.read_text(path)
    if text.lstrip().startswith("{"):
        return "nerfstudio"
    lines = checks.data_lines(text, path.name)
    first = lines[0][1] if lines else ""
    if realestate10k.is_header(first) or len(first.split()) == len(realestate10k.FIELDS):
        return "realestate10k"
    if len(first.split()) == len(tum.FIELDS):
        return "tum"
    raise InputError(
        f"{path.name}: looks like no known camera file, its first line is {checks.shown(first)}; expected one of "
        f"{_readable()} (TUM has {len(tum.FIELDS)} columns, RealEstate10K a URL and then {len(realestate10k.FIELDS)})"
    )
