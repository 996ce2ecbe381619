"""What was given, found out by content: where its frames come from, what it is called, and which cameras it has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from rap.data.images import existing_file, folder_images, open_image
from rap.data.reference import (
    PICTURE_FOLDERS,
    KnownCameras,
    cameras_beside,
    pictures_named,
    without_masks,
)
from rap.data.video import FrameSource, PictureList, open_animation, open_video
from rap.errors import InputError
from rap.limits import LISTED_FILES

ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
"""Pillow formats whose several pictures are a film; those of an MPO or TIFF are views or pages: the first is taken."""

NAMED = 5  # pictures that a note names


@dataclass(frozen=True)
class Upload:
    """Something that has frames: what it is called, where they come from, and the cameras that are known of it."""

    name: str
    source: FrameSource
    known: KnownCameras | None = None
    notes: tuple[str, ...] = ()


def open_upload(
    path: str | PathLike[str] | Sequence[str | PathLike[str]],
    cameras: Path | None = None,
    fov_y_rad: float | None = None,
) -> Upload:
    """Find out by content what a path holds: a folder of pictures, one picture, an animation or a video.

    Args:
        cameras: those of its frames, where a file of them was given with it; pictures without one are left out.
        fov_y_rad: vertical field of view of the whole picture, for a file of cameras without a lens.

    Raises:
        InputError: none of these.
    """
    upload = _open(path)
    if cameras is None:
        return upload
    source = upload.source
    known = KnownCameras(cameras, True, fov_y_rad, _size_of(source))
    if not isinstance(source, PictureList):
        return Upload(upload.name, source, known, upload.notes)
    rows = known.rows([str(picture) for picture in source.paths])
    missing = [picture for picture, row in zip(source.paths, rows, strict=True) if row is None]
    if not missing or len(missing) == len(rows):
        return Upload(upload.name, source, known, upload.notes)
    kept = [picture for picture in source.paths if picture not in missing]
    count = f"{len(missing)} of {len(rows)}"
    note = f"{cameras.name}: has no camera for {count} pictures, which are left out: {_listed(missing)}"
    return Upload(upload.name, PictureList(kept, source.name), known, (*upload.notes, note))


def _size_of(source: FrameSource) -> tuple[int, int] | None:
    """(h, w) of the first picture, by its header."""
    image = open_image(source.paths[0]) if isinstance(source, PictureList) else None
    if image is None:
        return None
    with image:
        return image.height, image.width


def _open(path: str | PathLike[str] | Sequence[str | PathLike[str]]) -> Upload:
    if not isinstance(path, (str, PathLike)):
        if len(path) == 0:
            raise InputError("no pictures given; give at least one")
        LISTED_FILES.check(len(path), "pictures:", "give fewer, or a video")
        pictures = [existing_file(item) for item in path]
        name = _common_name(pictures)
        return Upload(name, PictureList(pictures, pictures[0].name if len(pictures) == 1 else name))
    path = Path(path)
    if path.is_dir():
        return _open_folder(path)
    image = open_image(existing_file(path))
    if image is None:
        return Upload(path.stem, open_video(path))
    with image:
        if image.format in ANIMATED and getattr(image, "is_animated", False):
            return Upload(path.stem, open_animation(image, path))
    return Upload(path.stem, PictureList([path], path.name))


def _open_folder(folder: Path) -> Upload:
    cameras = cameras_beside(folder)
    known = None if cameras is None else KnownCameras(cameras, False)
    pictures, notes = without_masks(folder_images(folder)), ()
    if known is not None and folder.resolve() in known.path.resolve().parents:
        names = known.file.names
        named = pictures_named(names, folder, known.path)
        others = [picture for picture in _beside(pictures, named) if picture.resolve() not in named]
        if named and others:
            notes = (f"{known.path.name}: does not name {_listed(others)}, left out",)
        if names and not named and not pictures:
            raise InputError(
                f"{known.path.name}: names pictures that are not in {folder.name}, the first is {names[0]!r}; "
                "put them where it says, below that folder"
            )
        pictures = named or pictures
    if not pictures:
        inside = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        found = f"it holds {', '.join(inside[:3])}{' ...' if len(inside) > 3 else ''}" if inside else "it is empty"
        raise InputError(
            f"{folder}: no pictures in this folder ({found}); give a folder of JPEG or PNG files, or a video file"
        )
    name = _folder_name(folder)
    return Upload(name, PictureList(pictures, folder.name or name), known, notes)


def _beside(pictures: Sequence[Path], named: Sequence[Path]) -> list[Path]:
    """Pictures of a folder, and those that lie in the folders of the ones that are used, each once."""
    places = dict.fromkeys(picture.parent for picture in named)
    found = [*pictures, *(picture for place in places for picture in without_masks(folder_images(place)))]
    return list({picture.resolve(): picture for picture in found}.values())


def _listed(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:NAMED])
    return names + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")


def _folder_name(folder: Path) -> str:
    whole = folder.resolve()
    return whole.parent.name if whole.name.startswith(PICTURE_FOLDERS) else whole.name


def _common_name(pictures: Sequence[Path]) -> str:
    """What a list of pictures is called: their folder; without a common one, the beginning that all names share.

    An upload through a browser may put each file into a folder of its own, whose name tells nothing.
    """
    if len(pictures) == 1:
        return pictures[0].stem
    if len({picture.resolve().parent for picture in pictures}) == 1:
        return _folder_name(pictures[0].parent) or "pictures"
    shared = os.path.commonprefix([picture.stem for picture in pictures])
    return shared.rstrip("0123456789-_. ") or "pictures"
