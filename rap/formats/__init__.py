"""Outside camera formats: read any, write any.

`read` returns the poses in the file's own world with `source` 0 (only `.npz` keeps its source; worlds of film programs
are turned so that +y is down); callers who want the world of a source camera use `.relative_to(0)`. Words of a format
(world-to-camera, xyzw, OpenGL) stay inside its module, and `docs/conventions.md` has them all.

It knows `rap.geometry` alone. Callers use the functions below, `load` where they want all that a file says; only who
needs what one format alone has (drawing) imports its file. Read `table` (the formats, and what each can hold), this
file, `located` (which file of a folder or zip is meant) and `kinds` (which format it is of), `checks` (with `archive`,
`documents` and `values`, for zips and JSON), then any format: a new one is a file with `read` or `write` and an entry
of the table.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rap.errors import InputError
from rap.formats import checks
from rap.formats.distortion import Distortion
from rap.formats.kinds import kind_of
from rap.formats.located import NOTHING, located
from rap.formats.table import FACTS, FORMATS, Format, name_for_writing, writable
from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.trajectory import Trajectory
from rap.guard import reading

__all__ = [
    "FACTS", "FORMATS", "CameraFile", "Format", "detect", "format_of_name", "load", "read", "read_frame_names",
    "writable", "write",
]  # fmt: skip


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
    has_lens, has_size = "lens" in chosen.holds, "size" in chosen.holds
    notes = list(dict.fromkeys(str(warning.message) for warning in caught))
    if not has_lens and fov_y_rad is None:
        notes.append(
            f"{Path(path).name}: a {chosen.title} has no lens: {math.degrees(checks.DEFAULT_FOV_Y_RAD):.0f} degrees of "
            "view from top to bottom are assumed, which is ours and not the file's"
        )
    if not has_size and image_size is None:
        size = trajectory.image_size
        notes.append(
            f"{Path(path).name}: a {chosen.title} has no size of pictures: {size[1]} x {size[0]} is assumed, "
            "which is ours and not the file's"
        )
    notes += checks.doubts(Path(path).name, trajectory, has_size or image_size is None)
    return CameraFile(
        chosen,
        trajectory,
        names,
        times_s if times_s is not None and len(times_s) == len(trajectory) else None,
        distortion if any(distortion) else (),
        tuple(notes),
        has_lens,
        has_size,
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
) -> tuple[str, ...]:
    """Write a trajectory; folders on the way are made.

    Args:
        path: its name chooses the format, as `table.name_for_writing` says: .json, .npz, .tum, .txt, .chan, .usda ...;
            no suffix is a COLMAP folder.
        frame_names: one per frame, for the formats that keep them.
        format_name: a key of `FORMATS`, in place of the suffix.

    Returns:
        A sentence on what the file does not hold of this path, if there is such a thing.

    Raises:
        ValueError: no format fits the name, or the names do not fit the frames.
        InputError: the format is only read, or needs what is not installed.
    """
    chosen = format_of_name(path) if format_name is None else _format(format_name)
    if chosen.write is None:
        raise InputError(f"{chosen.title} cannot be written; choose one of {', '.join(writable())}")
    chosen.write(path, trajectory, frame_names)
    lost = chosen.lost(trajectory, frame_names)
    return (f"{Path(path).name}: {chosen.title} has no place for: {', '.join(lost)}",) if lost else ()


def format_of_name(path: str | Path) -> Format:
    """The format that `write` takes a name for.

    Raises:
        ValueError: its suffix belongs to none.
    """
    return FORMATS[name_for_writing(Path(path))]


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
        yield chosen or FORMATS[name or _only_file(inner, path)], inner


def _only_file(inner: Path, given: Path) -> str:
    try:
        return kind_of(inner, _readable())
    except InputError as error:
        if inner == given:
            raise
        raise InputError(f"{given.name}: {NOTHING}; {error}") from None


def _read(path: Path, chosen: Format, given: dict[str, Any]) -> Trajectory:
    if chosen.read is None:
        raise InputError(f"{path.name}: {chosen.title} cannot be read back; give one of {_readable()}")
    return chosen.read(path, **{name: value for name, value in given.items() if name in chosen.options})
