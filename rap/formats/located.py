"""Which file of a folder or a zip has the cameras.

A zip is unpacked into a folder of its own as far as files of cameras go, with its inner folders, so that a folder and
the zip of it are read alike and files of two models are never mixed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from rap.errors import InputError
from rap.formats import archive, colmap, llff, polycam, record3d
from rap.formats.kinds import kind_of
from rap.formats.pictures import name_parts
from rap.limits import CAMERA_BYTES, SESSION_BYTES

TRANSFORMS = ("transforms.json", "transforms_train.json")
LONE = (".json", ".txt", ".tum", ".npy", ".npz", ".chan", ".usda", ".usd", ".usdc")
"""Of files that are cameras by themselves, whatever they are called."""

UNPACKED = (*LONE, ".bin")
NOT_UNPACKED = ("points3D.txt", "points3D.bin")
"""Of a COLMAP model: large, and not read."""

PATH_NAME = "camera_path.json"
NOTHING = "holds none of " + ", ".join(
    (*colmap.FILES[:2], "cameras.bin", "images.bin", *TRANSFORMS, llff.NAME, record3d.NAMES[0], PATH_NAME)
)


@contextmanager
def located(path: Path) -> Iterator[tuple[str | None, Path]]:
    """The name of the format, where the place of a file tells it, and the file or folder that its reader takes.

    Raises:
        InputError: no such file, or nothing of the kind in it.
    """
    path = _lone_zip(path) or path
    if not is_zip(path):
        yield _inside(path)
        return
    with TemporaryDirectory(prefix="rap-cameras-") as folder:
        root = Path(folder) / path.stem
        root.mkdir()
        unpack(path, root)
        yield _unpacked(root, path.name)


def cameras_in(folder: Path) -> tuple[str | None, Path] | None:
    """The format, where the place tells it, and the file or folder of the cameras that a folder holds; None without."""
    named = transforms_in(folder)
    if named is not None:
        return None, named
    model = colmap.model_folder(folder)
    if model is not None:
        return _model(model)
    path = folder / PATH_NAME
    return recording_in(folder) or ((None, path) if path.is_file() else None)


def recording_in(folder: Path) -> tuple[str, Path] | None:
    """The same of what telephones record (Polycam, Record3D) and of LLFF's scenes, which stand at known places."""
    cameras = polycam.folder_in(folder)
    if cameras is not None:
        return "polycam", cameras
    for name, files in (("record3d", record3d.NAMES), ("llff", (llff.NAME,))):
        found = next((folder / file for file in files if (folder / file).is_file()), None)
        if found is not None:
            return name, found
    return None


def transforms_in(folder: Path) -> Path | None:
    """The transforms.json of a folder; of several the one that a training takes."""
    named = [*(folder / name for name in TRANSFORMS), *sorted(folder.glob("transforms*.json"))]
    return next((file for file in named if file.is_file()), None)


def _inside(path: Path) -> tuple[str | None, Path]:
    if path.is_dir():
        files = [file for file in path.iterdir() if file.is_file()]
        return cameras_in(path) or _only_one(files) or ("colmap", path)
    model = colmap.model_folder(path) if path.is_file() else None
    return (None, path) if model is None else _model(model)


def _lone_zip(folder: Path) -> Path | None:
    """The only zip of a folder that has no file of cameras."""
    if not folder.is_dir():
        return None
    files = [file for file in folder.iterdir() if file.is_file()]
    zips = [file for file in files if file.suffix.lower() == ".zip"]
    if len(zips) != 1 or any(file.suffix.lower() in LONE and _has_kind(file) for file in files):
        return None
    return None if colmap.models_below(folder) or recording_in(folder) else zips[0]


def _model(folder: Path) -> tuple[str, Path]:
    return "colmap_binary" if colmap.is_binary(folder) else "colmap", folder


def is_zip(path: Path) -> bool:
    """Whether a file is a zip of other files; an `.npz` is a zip, too, and stays one."""
    if not path.is_file() or path.suffix.lower() == ".npz":
        return False
    with path.open("rb") as file:
        found_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06") or path.suffix.lower() == ".zip"
    if found_zip and path.suffix.lower() != ".zip":
        with suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(path) as found:
            return not all(name.endswith(".npy") for name in found.namelist())
        return False
    return found_zip


def unpack(path: Path, root: Path, pictures: tuple[str, ...] = ()) -> None:
    """The files of cameras of a zip into a folder, with their inner folders.

    Args:
        pictures: suffixes of other files that are wanted as well.

    Raises:
        InputError: no plain zip, or more in it than the limits.
    """
    with archive.opened(path, SESSION_BYTES) as found:
        for member in found.infolist():
            parts = name_parts(member.filename)
            if not parts or member.is_dir() or parts[0] == "__MACOSX" or parts[-1].startswith("._"):
                continue
            is_picture = parts[-1].lower().endswith(pictures)
            is_taken = is_picture or parts[-1].lower().endswith(UNPACKED) or parts[-1] in record3d.NAMES
            if not is_taken or parts[-1] in NOT_UNPACKED:
                continue
            limit = SESSION_BYTES if is_picture or parts[-1] == "images.bin" else CAMERA_BYTES
            try:
                _write(root.joinpath(*parts), archive.chunks(found, member.filename, limit.value, path.name))
            except OSError as error:  # whose own words have our folder in them
                name = archive.shown_name(member)
                raise InputError(f"{path.name}: {name} cannot be unpacked ({error.strerror}); rename it") from None


def _write(file: Path, chunks: Iterator[bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as unpacked:
        for chunk in chunks:
            unpacked.write(chunk)


def _unpacked(root: Path, name: str) -> tuple[str | None, Path]:
    """What an unpacked zip has: the cameras of the folder nearest to its top, or its only file."""
    files = [file for file in root.rglob("*") if file.is_file()]
    for folder in sorted({root, *(file.parent for file in files)}, key=lambda found: (len(found.parts), found)):
        found = cameras_in(folder)
        if found is not None:
            return found
    if (found := _only_one(files)) is not None:
        return found
    raise InputError(f"{name}: {NOTHING}, or not those that belong together; expected a file of cameras")


def _only_one(files: Sequence[Path]) -> tuple[None, Path] | None:
    """The one of some files that is of cameras; None where there is none, or more than one."""
    lone = [file for file in files if file.suffix.lower() in LONE and file.name not in colmap.FILES]
    found = lone if len(lone) == 1 else [file for file in lone if not file.name.startswith(".") and _has_kind(file)]
    return (None, found[0]) if len(found) == 1 else None


def _has_kind(file: Path) -> bool:
    try:
        return bool(kind_of(file, ""))
    except InputError:
        return False
