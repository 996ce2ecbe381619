"""Files on their way to a clip: which of those in the page's box are meant, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rap import sandbox
from rap.config import IMAGE_SUFFIXES
from rap.data.clip import Clip, load_clip
from rap.data.images import open_image
from rap.data.packed import packed_clip, unpacked_clip
from rap.data.upload import ANIMATED
from rap.errors import InputError
from rap.formats import archive, colmap
from rap.geometry import Trajectory
from rap.guard import given_file, plain, reading
from rap.limits import SESSION_BYTES
from rap.sandbox import Packed

ARCHIVES = (".zip", ".r3d")
"""Of files that are a whole clip where there are pictures in them, else cameras."""

SESSION_SUFFIX = ".rap.zip"

CAMERA_SUFFIXES = (".json", ".npz", ".npy", ".tum", ".txt", ".chan", ".usda", ".usd", ".usdc", *ARCHIVES)
"""Of files that are, beside a video, its known cameras."""

NAMED = 4  # files that a refusal names


def meant(before: Sequence[str], shown: Sequence[str]) -> tuple[str, ...]:
    """Which files are to become the clip, of those that the page's box shows.

    The box appends what is given to what it holds. Pictures join pictures, cameras join what they are the cameras of;
    anything else takes the place of what was there.

    Args:
        before: what the box held before something was added.
    """
    new = [path for path in shown if path not in before] or list(shown[len(before) :]) or list(shown)
    kept: Sequence[str] = ()
    cameras = _cameras([*before, *new])
    if cameras.issuperset(new):
        kept = [path for path in before if path not in cameras]
    elif not _films([path for path in (*before, *new) if path not in cameras]):
        kept = before
    return tuple(dict.fromkeys((*kept, *new)))


def read_clip(paths: Sequence[str], num_frames: int, start: int = 0, end: int | None = None) -> Clip:
    """The clip of one video, one picture or several, with its known cameras where a file of these is among them; of the
    frames from `start` to `end`.

    It is read by a process that can be killed.

    Raises:
        InputError: it cannot be used; the sentence names the files.
    """
    whole = [str(Path(path).absolute()) for path in paths]
    wanted = {"num_frames": num_frames, "start": start, "end": end}
    return unpacked_clip(sandbox.call(packed_upload, _names(paths), paths=whole, **wanted))


def packed_upload(paths: list[str], num_frames: int, start: int = 0, end: int | None = None) -> Packed:
    """The clip for `read_clip`, on its way from the process that has read it."""
    for path in paths:
        given_file(Path(path))
    cameras = [path for path in paths if _has_suffix(path, CAMERA_SUFFIXES) and not _is_scan(path)]
    footage = [path for path in paths if path not in cameras]
    part = next((Path(path).name for path in cameras if Path(path).name in colmap.FILES), None)
    if part is not None:  # the page keeps each file in a folder of its own
        raise InputError(f"{part}: one file of a COLMAP model; give the model's folder as a zip")
    if paths[0].endswith(SESSION_SUFFIX):
        raise InputError(f"{_names(paths[:1])}: a saved session; press Open session in the Keep tab")
    if not footage:
        raise InputError(
            f"{_names(cameras)}: cameras without what they have seen; give the video or the images with them, or press "
            "Import cameras in the Keep tab"
        )
    films = [path for path in footage if _is_film(path)] if len(footage) > 1 else []
    if films:
        others = [path for path in footage if path not in films]
        raise InputError(f"{_names(films + others)}: {len(footage)} files at once; give one video, or several images")
    upload = footage[0] if len(footage) == 1 else footage
    known = Path(cameras[0]) if cameras else None
    return packed_clip(
        load_clip(upload, num_frames=num_frames, start=start, end=end, film=True, full=True, cameras=known)
    )


def take_frames(
    video: Path, path: Trajectory, size: tuple[int, int] | None = None, count: int | None = None
) -> UInt8[np.ndarray, "T h w 3"]:
    """The frames of a take: the video may have come with a session file.

    Args:
        size: (h, w) that they are to have; None is that of the path's images.
        count: how many, evenly over the video; None is one for each camera of the path.

    Raises:
        InputError: it cannot be read any more.
    """
    packed = sandbox.call(
        packed_take,
        video.name,
        video=str(video.absolute()),
        num_frames=count or len(path),
        size=list(size or path.image_size),
    )
    return packed[1]["frames_u8"]


def packed_take(video: str, num_frames: int, size: list[int]) -> Packed:
    """The frames for `take_frames`."""
    return None, {"frames_u8": load_clip(video, num_frames=num_frames, size=(size[0], size[1])).frames_u8}


def _films(paths: Sequence[str]) -> list[str]:
    """Those that are more than one picture; what cannot be told is none, so that its own refusal names it."""
    try:
        return sandbox.call(packed_films, _names(paths), paths=[str(Path(path).absolute()) for path in paths])[0]
    except InputError:
        return []


def packed_films(paths: list[str]) -> Packed:
    """The films for `_films`."""
    return [path for path in paths if _is_film(path)], {}


def _cameras(paths: Sequence[str]) -> set[str]:
    """Those that are cameras."""
    archives = [path for path in paths if _has_suffix(path, ARCHIVES)]
    return {path for path in paths if _has_suffix(path, CAMERA_SUFFIXES)} - set(_films(archives) if archives else ())


def _has_suffix(path: str, suffixes: Sequence[str]) -> bool:
    return Path(path).suffix.lower() in suffixes


def _is_scan(path: str) -> bool:
    """Whether it is an archive with pictures in it."""
    if not _has_suffix(path, ARCHIVES):
        return False
    with reading(Path(path).name), archive.opened(Path(path), SESSION_BYTES) as found:
        return any(_has_suffix(name, IMAGE_SUFFIXES) for name in found.namelist())


def _is_film(path: str) -> bool:
    """Whether it is more than one picture; a broken picture is none, so that its own refusal names it."""
    try:
        if _has_suffix(path, ARCHIVES):
            return _is_scan(path)
        image = open_image(Path(path))
        if image is None:
            return not _has_suffix(path, IMAGE_SUFFIXES)
        with image, reading(Path(path).name):
            return image.format in ANIMATED and getattr(image, "is_animated", False)
    except InputError:  # a size that is refused, or damage
        return False


def _names(paths: Sequence[str]) -> str:
    names = [plain(Path(path).name) for path in paths]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
