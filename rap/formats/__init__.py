"""Outside camera formats: read any, write any.

`read` returns the poses in the file's own world with `source` 0 (only `.npz` keeps its source); callers who want the
world of a source camera use `.relative_to(0)`. Words of a format (world-to-camera, xyzw, OpenGL) stay inside its
module.

| name | file | poses | intrinsics | size | frame rate | names |
|---|---|---|---|---|---|---|
| nerfstudio | transforms.json | camera to world, OpenGL | pixels | yes | ours only | yes |
| colmap | folder with cameras.txt, images.txt | world to camera, OpenCV, wxyz | pixels | yes | no | yes |
| tum | .tum, .txt | camera to world, OpenCV, xyzw | no | no | time stamps | no |
| realestate10k | .txt | world to camera, OpenCV, 3x4 | normalised | no | time stamps | no |
| npz | .npz | camera to world, OpenCV | pixels | yes | yes | yes |
| glb | .glb, write-only | drawn as frusta, y up | - | - | - | - |

It knows `rap.geometry` alone. Callers use the functions below; only who needs what one format alone has (names of
frames, drawing) imports its file. Read this file, `checks` (with `archive` and `values`, for zips and JSON), then any
format: a new one is a file with `read`, `write` and a line in `FORMATS`; CONTRIBUTING.md has the other places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rap.errors import InputError
from rap.formats import checks, colmap, nerfstudio, npz, realestate10k, tum
from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.trajectory import Trajectory
from rap.guard import reading

__all__ = ["FORMATS", "Format", "detect", "read", "read_frame_names", "write"]


@dataclass(frozen=True)
class Format:
    """One outside format, as the app lists it.

    `convention` is the sentence a validator shows; `options` are the keywords of `read` that the file cannot answer
    itself; `read` is None for a format that is only written.
    """

    name: str
    title: str
    default_name: str
    convention: str
    read: Callable[..., Trajectory] | None
    write: Callable[..., None]
    read_frame_names: Callable[..., tuple[str, ...]] | None = None
    options: frozenset[str] = frozenset()


def _write_glb(path: str | Path, trajectory: Trajectory, *args: Any, **options: Any) -> None:
    """`rap.formats.glb.write`; trimesh is imported when a GLB is written, and training never writes one."""
    from rap.formats import glb

    glb.write(path, trajectory, *args, **options)


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format(
            "nerfstudio", "nerfstudio transforms.json", "transforms.json",
            "camera to world, OpenGL axes (+y up, looking along -z), intrinsics in pixels",
            nerfstudio.read, nerfstudio.write, nerfstudio.read_frame_names,
        ),
        Format(
            "colmap", "COLMAP text model (folder)", "colmap",
            "world to camera, OpenCV axes (+y down, looking along +z), quaternion wxyz, intrinsics in pixels",
            colmap.read, colmap.write, colmap.read_frame_names,
        ),
        Format(
            "tum", "TUM trajectory", "trajectory.tum",
            "camera to world, OpenCV axes (+y down, looking along +z), quaternion xyzw, no intrinsics",
            tum.read, tum.write, options=frozenset({"image_size", "fov_y_rad"}),
        ),
        Format(
            "realestate10k", "RealEstate10K text", "realestate10k.txt",
            "world to camera 3x4, OpenCV axes (+y down, looking along +z), intrinsics divided by the image size",
            realestate10k.read, realestate10k.write, options=frozenset({"image_size"}),
        ),
        Format(
            "npz", "NumPy archive (lossless)", "trajectory.npz",
            "camera to world, OpenCV axes (+y down, looking along +z), intrinsics in pixels",
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
    """The format of an existing file or folder, by its name and, for text, by its first line of data.

    Raises:
        InputError: there is no such file, or it looks like none of the formats.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "transforms.json").is_file():
            return FORMATS["nerfstudio"]
        return FORMATS["colmap"]
    suffix = path.suffix.lower()
    if suffix in _BY_SUFFIX:
        return FORMATS[_BY_SUFFIX[suffix]]
    if colmap.model_folder(path) is not None:
        return FORMATS["colmap"]
    return FORMATS[_detect_by_content(path)]


def read(
    path: str | Path,
    *,
    format_name: str | None = None,
    image_size: tuple[int, int] | None = None,
    fov_y_rad: float | None = None,
) -> Trajectory:
    """Read the cameras of a file or folder, in its own world.

    Args:
        format_name: a key of `FORMATS`; detected from the path and its content by default.
        image_size: (h, w) in pixels for the formats that do not know it (tum, realestate10k); others keep their own.
        fov_y_rad: vertical field of view for the format that does not know it (tum); others keep their own.

    Raises:
        InputError: the file cannot be used; the message names file, field, value and remedy.
        ValueError: there is no format of this name.
    """
    if fov_y_rad is not None:
        intrinsics_from_fov(fov_y_rad, image_size or checks.DEFAULT_IMAGE_SIZE)  # the caller's mistake, not the file's
    chosen = None if format_name is None else _format(format_name)
    given = {"image_size": image_size, "fov_y_rad": fov_y_rad}
    with reading(Path(path).name):
        chosen = chosen or detect(path)
        if chosen.read is None:
            raise InputError(f"{Path(path).name}: {chosen.title} cannot be read back; give one of {_readable()}")
        options = {name: value for name, value in given.items() if value is not None and name in chosen.options}
        return chosen.read(_inner(path, chosen), **options)


def read_frame_names(path: str | Path, *, format_name: str | None = None) -> tuple[str, ...]:
    """The frame names of a file, in the order of `read`; empty where the format or the file has none.

    Raises:
        InputError: as `read`.
    """
    chosen = None if format_name is None else _format(format_name)
    with reading(Path(path).name):
        chosen = chosen or detect(path)
        return () if chosen.read_frame_names is None else chosen.read_frame_names(_inner(path, chosen))


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


def _inner(path: str | Path, chosen: Format) -> Path:
    """The file inside a folder, where the format is a single file."""
    path = Path(path)
    return path / "transforms.json" if chosen.name == "nerfstudio" and path.is_dir() else path


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
