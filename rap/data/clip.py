"""A clip: the frames the model sees, their rate, which frames of the upload they are and, if known, their cameras."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rap.config import NUM_FRAMES, SIZE_BUCKETS
from rap.data.images import crop_and_resize, crop_box, existing_file, folder_images, open_image, sizes_in_words
from rap.data.reference import PICTURE_FOLDERS, pictures_named_in, reference_trajectory, transforms_beside
from rap.data.video import FrameSource, PictureList, open_animation, open_video
from rap.errors import InputError
from rap.geometry import Trajectory

ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
"""Pillow formats whose several pictures are a film; those of an MPO or TIFF are views or pages: the first is taken."""

LITTLE_USED = 0.4
"""Below this used part of the picture the crop is worth a note."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames at one of the model's sizes.

    Attributes:
        frames_u8: (T, h, w, 3) RGB, read-only.
        fps: rate of THESE frames: a film of 200 frames at 30 per second, kept at 17, has 2.41, so that motion keeps its
            true speed.
        trajectory: reference cameras of the frames, world = first frame, intrinsics in pixels of these frames, or None.
        frame_indices: for each frame its number in the upload, from 0; repeated where a short upload is stretched.
        frame_names: for each frame its file name, where the upload is a set of files.
        name: what the upload is called, without suffix.
        notes: sentences on everything that was done to the upload which its owner may not expect.
        upload_size: (h, w) in pixels of the first frame as uploaded, before crop and resize; None for frames made here.
    """

    frames_u8: UInt8[np.ndarray, "T h w 3"]
    fps: float
    trajectory: Trajectory | None = None
    frame_indices: tuple[int, ...] = ()
    frame_names: tuple[str, ...] = ()
    name: str = ""
    notes: tuple[str, ...] = ()
    upload_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames_u8)
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or frames.shape[0] == 0:
            raise ValueError(f"frames_u8 must be (T, h, w, 3) uint8 with T >= 1, got {frames.shape} {frames.dtype}")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be positive, got {self.fps}")
        for field in ("trajectory", "frame_indices", "frame_names"):
            value = getattr(self, field)
            if value is not None and len(value) not in (0, len(frames)):
                raise ValueError(f"{field} must have one entry for each of the {len(frames)} frames, got {len(value)}")
        frames = frames.view()
        frames.flags.writeable = False
        object.__setattr__(self, "frames_u8", frames)

    def __len__(self) -> int:
        return len(self.frames_u8)

    @property
    def image_size(self) -> tuple[int, int]:
        """(h, w) in pixels."""
        return self.frames_u8.shape[1], self.frames_u8.shape[2]

    def cropped_fov_y_rad(self, fov_y_rad: float) -> float:
        """Vertical field of view of the clip's frames, given that of the upload: the crop may have narrowed it.

        Raises:
            ValueError: fov_y_rad lies outside (0, pi).
        """
        if not 0 < fov_y_rad < math.pi:
            raise ValueError(f"fov_y_rad must lie in (0, pi), got {fov_y_rad}; degrees?")
        if self.upload_size is None:
            return fov_y_rad
        _, _, box_h, _ = crop_box(self.upload_size, self.image_size)
        return 2 * math.atan(math.tan(fov_y_rad / 2) * box_h / self.upload_size[0])

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the frames and their rate: what a prediction depends on, without the reference."""
        digest = hashlib.sha256(repr((self.frames_u8.shape, float(self.fps))).encode())
        digest.update(np.ascontiguousarray(self.frames_u8).data)
        return digest.hexdigest()[:16]


def fit_size(h: int, w: int) -> tuple[int, int]:
    """The (h, w) among the model's sizes whose aspect ratio is nearest (by ratio) to a picture of h x w pixels.

    Raises:
        ValueError: h or w is not positive.
    """
    if h <= 0 or w <= 0:
        raise ValueError(f"h and w must be positive, got {h} x {w}")
    return min(SIZE_BUCKETS, key=lambda bucket: abs(math.log(bucket[0] / bucket[1]) - math.log(h / w)))


def load_clip(
    path: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    num_frames: int = NUM_FRAMES,
    start: int = 0,
    stride: int | None = None,
    size: tuple[int, int] | None = None,
) -> Clip:
    """Read a video, a folder of pictures in name order, or picture(s), as frames of one size.

    One picture gives a clip of one frame. Of anything longer `num_frames` frames are taken: with a stride, every
    stride-th from `start`; without, spread evenly from `start` to the end, both included. An upload of 2 to
    num_frames - 1 frames is stretched by repeating the nearest frame. Each frame is cropped around its centre to the
    size's aspect ratio, then resized; reference cameras follow.

    A folder has reference cameras when it, or its parent, holds a transforms.json that names its pictures.

    Args:
        path: a file, a folder, or a list of picture files in the order of the frames.
        num_frames: frames of the clip, at least 1.
        start: first frame used, from 0.
        stride: take every stride-th frame; None covers the whole upload.
        size: (h, w) of the clip; None takes the nearest of the model's sizes.

    Raises:
        InputError: missing, unreadable, too small, too large, too short; the sentence says what would do.
        ValueError: an argument is out of range.
    """
    _check_arguments(num_frames, start, stride, size)
    upload = open_upload(path)
    source, count = upload.source, upload.source.count
    for _ in range(3):
        try:
            indices = choose_frames(count, num_frames, start, stride, name=source.name)
        except InputError:
            count = source.recount()  # before a refusal: metadata may claim too few
            indices = choose_frames(count, num_frames, start, stride, name=source.name)
        wanted = sorted(set(indices))
        sizes: list[tuple[int, int]] = []
        pictures, end = source.read(wanted, partial(_shrink, sizes=sizes, size=size), to_end=stride is None)
        if len(pictures) == len(wanted) and end in (None, count):
            kept = {i: (picture, old) for i, picture, old in zip(wanted, pictures, sizes, strict=True)}
            return _clip(upload, indices, end, kept)
        if not end:
            raise InputError(f"{source.name}: no frame of the video can be decoded; convert it to H.264 MP4")
        count = end
    raise InputError(f"{source.name}: the video decodes to another number of frames each time; convert it to H.264 MP4")


@dataclass(frozen=True)
class Upload:
    """Something that has frames: what it is called, where they come from, and the file of known cameras beside it."""

    name: str
    source: FrameSource
    transforms: Path | None = None


def open_upload(path: str | PathLike[str] | Sequence[str | PathLike[str]]) -> Upload:
    """Find out by content what a path holds: a folder of pictures, one picture, an animation or a video.

    Raises:
        InputError: none of these.
    """
    if not isinstance(path, (str, PathLike)):
        if len(path) == 0:
            raise InputError("no pictures given; give at least one")
        pictures = [existing_file(item) for item in path]
        return Upload(pictures[0].stem, PictureList(pictures, pictures[0].name))
    path = Path(path)
    if path.is_dir():
        return _open_folder(path)
    image = open_image(existing_file(path))
    if image is None:
        return Upload(path.stem, open_video(path))
    with image:
        if image.format in ANIMATED and getattr(image, "n_frames", 1) > 1:
            return Upload(path.stem, open_animation(image, path))
    return Upload(path.stem, PictureList([path], path.name))


def _open_folder(folder: Path) -> Upload:
    transforms = transforms_beside(folder)
    pictures = folder_images(folder)
    if not pictures and transforms is not None:
        pictures = pictures_named_in(transforms)
    if not pictures:
        inside = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        found = f"it holds {', '.join(inside[:3])}{' ...' if len(inside) > 3 else ''}" if inside else "it is empty"
        raise InputError(
            f"{folder}: no pictures in this folder ({found}); give a folder of JPEG or PNG files, or a video file"
        )
    whole = folder.resolve()
    name = whole.parent.name if whole.name.startswith(PICTURE_FOLDERS) else whole.name
    return Upload(name, PictureList(pictures, folder.name or name), transforms)


def choose_frames(count: int, num_frames: int, start: int, stride: int | None, *, name: str) -> tuple[int, ...]:
    """Which frames of `count` a clip of `num_frames` takes (see `load_clip`); a single frame gives a clip of one.

    Raises:
        InputError: start or stride runs off the end; the sentence gives the count and the largest usable value.
    """
    if count == 1 and start == 0 and stride is None:
        return (0,)
    frames = f"{name} has {count} frame{'s' if count != 1 else ''}"
    if stride is None:
        largest = count - min(2, num_frames, count)
        if start > largest:
            raise InputError(f"start {start} lies too late: {frames}; the largest usable start is {largest}")
        return tuple(int(i) for i in np.floor(np.linspace(start, count - 1, num_frames) + 0.5))
    last = start + stride * (num_frames - 1)
    if last < count:
        return tuple(range(start, last + 1, stride))
    remedies = []
    if num_frames > 1 and (largest_stride := (count - 1 - start) // (num_frames - 1)) >= 1:
        remedies.append(f"the largest usable stride from there is {largest_stride}")
    if (largest_start := count - 1 - stride * (num_frames - 1)) >= 0:
        remedies.append(f"the largest usable start at this stride is {largest_start}")
    remedies = remedies or [f"leave the stride out, or take fewer than {num_frames} frames"]
    raise InputError(
        f"start {start} with stride {stride} needs {num_frames} frames up to number {last}, but {frames} "
        f"(numbered from 0); {'; '.join(remedies)}"
    )


def _shrink(
    image: Image.Image, *, sizes: list[tuple[int, int]], size: tuple[int, int] | None
) -> UInt8[np.ndarray, "h w 3"]:
    """Crop and resize one picture, the size of all being set by the first; its own size is added to `sizes`."""
    sizes.append((image.height, image.width))
    return crop_and_resize(image, size or fit_size(*sizes[0]))


def _clip(
    upload: Upload,
    indices: tuple[int, ...],
    count: int | None,
    kept: dict[int, tuple[np.ndarray, tuple[int, int]]],
) -> Clip:
    source = upload.source
    frames_u8 = np.stack([kept[i][0] for i in indices])
    sizes = [kept[i][1] for i in indices]
    size = frames_u8.shape[1], frames_u8.shape[2]
    span = indices[-1] - indices[0]
    fps = source.fps * (len(indices) - 1) / span if span else source.fps
    trajectory, notes = None, ()
    if upload.transforms is not None and isinstance(source, PictureList):
        pictures = [source.paths[i] for i in indices]
        trajectory, notes = reference_trajectory(upload.transforms, pictures, sizes, size, fps)
    return Clip(
        frames_u8,
        fps,
        trajectory=trajectory,
        frame_indices=indices,
        frame_names=tuple(source.frame_names[i] for i in indices) if source.frame_names else (),
        name=upload.name,
        notes=(*_sampling_notes(source.name, indices, count), *_size_notes(sizes, size), *notes),
        upload_size=sizes[0],
    )


def _sampling_notes(name: str, indices: tuple[int, ...], count: int | None) -> tuple[str, ...]:
    if len(indices) == count and list(indices) == sorted(set(indices)):
        return ()
    numbers = [str(i) for i in indices]
    shown = ", ".join(numbers if len(numbers) <= 33 else [*numbers[:16], "...", *numbers[-16:]])
    total = "" if count is None else f" of {count}"  # with a stride the end is not seen, and the claim may be wrong
    if len(set(indices)) < len(indices):
        return (f"{name}: too short for {len(indices)} frames of its own, so frames are repeated: {shown}{total}",)
    return (f"{name}: frames {shown}{total} are used (numbered from 0)",)


def _size_notes(sizes: list[tuple[int, int]], size: tuple[int, int]) -> tuple[str, ...]:
    notes = []
    if len(set(sizes)) > 1:
        notes.append(
            f"pictures of different sizes ({sizes_in_words(sizes)}): each is cropped around its centre "
            f"to the shape {size[1]} x {size[0]}"
        )
    h, w = sizes[0]
    _, _, box_h, box_w = crop_box((h, w), size)
    if box_h * box_w < LITTLE_USED * h * w:
        notes.append(
            f"pictures of {w} x {h} are far from the shape {size[1]} x {size[0]}: only the middle "
            f"{box_w:.0f} x {box_h:.0f} is used ({box_h * box_w / (h * w):.0%})"
        )
    return tuple(notes)


def _check_arguments(num_frames: int, start: int, stride: int | None, size: tuple[int, int] | None) -> None:
    if num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, got {num_frames}")
    if start < 0:
        raise ValueError(f"start must be at least 0, got {start}")
    if stride is not None and stride < 1:
        raise ValueError(f"stride must be at least 1, got {stride}; leave it out to cover the whole input")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError(f"size must be a positive (height, width) in pixels, got {size}")
