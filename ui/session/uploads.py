"""Files on their way to a clip: which of those in the page's box are meant, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rap.data import Clip, load_clip
from rap.data.clip import ANIMATED, with_reference
from rap.data.images import IMAGE_SUFFIXES, open_image
from rap.errors import InputError

CAMERA_SUFFIXES = (".json", ".npz", ".tum")  # beside a video: its known cameras
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
    if all(_is_cameras(path) for path in new):
        kept = [path for path in before if not _is_cameras(path)]
    elif not any(_is_film(path) for path in (*before, *new) if not _is_cameras(path)):
        kept = before
    return tuple(dict.fromkeys((*kept, *new)))


def read_clip(paths: Sequence[str], num_frames: int) -> Clip:
    """The clip of one video, one picture or several, with its known cameras where a file of these is among them.

    Raises:
        InputError: it cannot be used; the sentence names the files.
    """
    cameras = [path for path in paths if _is_cameras(path)]
    footage = [path for path in paths if path not in cameras]
    if not footage:
        raise InputError(
            f"{_names(cameras)}: cameras without what they have seen; give the video or the images with them, or press "
            "Import cameras in the Keep tab"
        )
    films = [path for path in footage if _is_film(path)] if len(footage) > 1 else []
    if films:
        others = [path for path in footage if path not in films]
        raise InputError(f"{_names(films + others)}: {len(footage)} files at once; give one video, or several images")
    clip = load_clip(footage[0] if len(footage) == 1 else footage, num_frames=num_frames)
    return with_reference(clip, Path(cameras[0])) if cameras else clip


def _is_cameras(path: str) -> bool:
    return Path(path).suffix.lower() in CAMERA_SUFFIXES


def _is_film(path: str) -> bool:
    """Whether it is more than one picture; a broken picture is none, so that its own refusal names it."""
    try:
        image = open_image(Path(path))
    except InputError:  # a picture of a size that is refused
        return False
    if image is None:
        return Path(path).suffix.lower() not in IMAGE_SUFFIXES
    with image:
        return image.format in ANIMATED and getattr(image, "n_frames", 1) > 1


def _names(paths: Sequence[str]) -> str:
    names = [Path(path).name for path in paths]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
