"""Zips of pictures, with their cameras or without: read like the folder that was packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

from rap.config import IMAGE_SUFFIXES
from rap.data.images import folder_images
from rap.data.reference import cameras_beside
from rap.errors import InputError
from rap.formats.located import is_zip, unpack

Given = str | PathLike[str] | Sequence[str | PathLike[str]]


@contextmanager
def unzipped(path: Given) -> Iterator[Given]:
    """What was given; of a zip the folder that is meant, which is there as long as this lasts.

    Raises:
        InputError: a zip that is too large or not a plain one, or without a picture.
    """
    if not isinstance(path, (str, PathLike)) or not is_zip(Path(path)):
        yield path
        return
    path = Path(path)
    with TemporaryDirectory(prefix="rap-upload-") as place:
        root = Path(place) / (path.stem or "pictures")
        root.mkdir()
        unpack(path, root, IMAGE_SUFFIXES)
        yield _meant(root, path.name)


def _meant(root: Path, name: str) -> Path:
    """The folder nearest to the top that has pictures or cameras."""
    files = [file for file in root.rglob("*") if file.is_file()]
    if not any(file.suffix.lower() in IMAGE_SUFFIXES for file in files):
        raise InputError(f"{name}: a zip without pictures; give one of the pictures, or the video itself")
    folders = {above for file in files for above in file.parents if above.is_relative_to(root)}
    nearest = sorted(folders, key=lambda found: (len(found.parts), found))
    return next(folder for folder in nearest if folder_images(folder) or cameras_beside(folder) is not None)
