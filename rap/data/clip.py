"""A clip: the frames the model sees, their rate, which frames of the upload they are and, if known, their cameras."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rap.config import FOOTAGE_SIDE, NUM_FRAMES
from rap.data.bars import NO_BARS, Bars, find_bars
from rap.data.full_frames import FullFrames
from rap.data.images import crop_box, fov_y_from_focal_35mm, sizes_in_words
from rap.data.projection import no_pinhole_note
from rap.data.reference import Frame, fitted_intrinsics, unfitted_intrinsics
from rap.data.sampling import Sampling, sampling_notes
from rap.data.shots import lit, shots, stands_still
from rap.data.shrink import Detail, Shrink, Shrunk
from rap.data.upload import Upload, open_upload
from rap.data.video import FrameSource, PictureList
from rap.data.zipped import unzipped
from rap.errors import InputError
from rap.geometry import Trajectory, resize_intrinsics
from rap.guard import plain, reading
from rap.limits import FILM_FRAMES, TAKE_SIDE

LITTLE_USED = 0.4
"""Below this used part of the picture the crop is worth a note."""

SAME_FOCAL = 0.02
"""Focal lengths that EXIF gives as whole numbers agree up to this ratio."""


@dataclass(frozen=True, eq=False)
class Film:
    """What lies between the frames of a clip, and these: neighbours in time, through which points can be followed.

    Attributes:
        frames_u8: (F, H, W, 3) RGB, read-only, uncropped, long side at most FILM_SIDE pixels and never enlarged.
        frame_indices: for each its number in the upload, ascending.
    """

    frames_u8: UInt8[np.ndarray, "F H W 3"]
    frame_indices: tuple[int, ...]

    def __post_init__(self) -> None:
        frames = _checked(self.frames_u8, "film.frames_u8")
        if len(self.frame_indices) != len(frames) or list(self.frame_indices) != sorted(set(self.frame_indices)):
            raise ValueError(f"frame_indices must ascend, one for each of the {len(frames)} frames of the film")
        object.__setattr__(self, "frames_u8", frames)

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.frames_u8.shape[1], self.frames_u8.shape[2]

    def places(self, frame_indices: Sequence[int]) -> np.ndarray:
        """Where frames of the upload stand in the film.

        Raises:
            ValueError: one of them is not in it.
        """
        places = np.searchsorted(self.frame_indices, frame_indices)
        if not np.array_equal(np.take(self.frame_indices, places, mode="clip"), frame_indices):
            raise ValueError(f"the film must hold the frames {list(frame_indices)}, got {list(self.frame_indices)}")
        return places


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames at one of the model's sizes.

    Attributes:
        frames_u8: (T, h, w, 3) RGB, read-only.
        fps: rate of THESE frames: a film of 200 frames at 30 per second, kept at 17, has 2.41, so that motion keeps its
            true speed. Pictures have none: theirs is what a path through them is played at.
        trajectory: reference cameras of the frames, world = first frame, intrinsics in pixels of these frames, or None.
        frame_indices: for each frame its number in the upload, from 0; repeated where a short upload is stretched.
        frame_names: for each frame its file name, where the upload is a set of files.
        name: what the upload is called, without suffix.
        notes: sentences on everything that was done to the upload which its owner may not expect.
        upload_size: (h, w) in pixels of the first frame as uploaded, before crop and resize; None for frames made here.
        footage_u8: (T, H, W, 3) RGB, read-only: the same frames UNCROPPED, never enlarged and long side at most
            FOOTAGE_SIDE pixels (of a single picture `limits.TAKE_SIDE`), for what needs resolution rather than the
            model's sizes (tracks, depth, warping); None where frames_u8 is all there is, or pictures differ in size.
        exif_fov_y_rad: vertical field of view of frames_u8, crop included, where every picture's EXIF states its
            35 mm focal length and all agree; None otherwise, and for videos.
        film: the frames with those between them, where they were asked for and there are any.
        full: the frames at the upload's own size, up to that of a take, where they were asked for and the footage is
            smaller; None of a single picture, whose footage is large.
        upload_frames: how many frames the upload has, as far as that was met or is claimed; 0 for frames made here.
        is_timed: whether the upload has a rate, as a film has and a set of pictures has not.
    """

    frames_u8: UInt8[np.ndarray, "T h w 3"]
    fps: float
    trajectory: Trajectory | None = None
    frame_indices: tuple[int, ...] = ()
    frame_names: tuple[str, ...] = ()
    name: str = ""
    notes: tuple[str, ...] = ()
    upload_size: tuple[int, int] | None = None
    footage_u8: UInt8[np.ndarray, "T H W 3"] | None = None
    exif_fov_y_rad: float | None = None
    film: Film | None = None
    full: FullFrames | None = None
    upload_frames: int = 0
    is_timed: bool = True

    def __post_init__(self) -> None:
        frames = _checked(self.frames_u8, "frames_u8")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be positive, got {self.fps}")
        for field in ("trajectory", "frame_indices", "frame_names"):
            value = getattr(self, field)
            if value is not None and len(value) not in (0, len(frames)):
                raise ValueError(f"{field} must have one entry for each of the {len(frames)} frames, got {len(value)}")
        object.__setattr__(self, "frames_u8", frames)
        if self.footage_u8 is not None:
            footage = _checked(self.footage_u8, "footage_u8")
            _check_footage(footage, len(frames), self.upload_size)
            object.__setattr__(self, "footage_u8", footage)
        if self.full is not None and len(self.full) != len(frames):
            raise ValueError(f"full must have one picture for each of the {len(frames)} frames, got {len(self.full)}")

    def __len__(self) -> int:
        return len(self.frames_u8)

    @property
    def image_size(self) -> tuple[int, int]:
        """(h, w) in pixels."""
        return self.frames_u8.shape[1], self.frames_u8.shape[2]

    @property
    def footage(self) -> UInt8[np.ndarray, "T H W 3"]:
        """The frames at the best resolution that is kept, uncropped where they were cropped."""
        return self.frames_u8 if self.footage_u8 is None else self.footage_u8

    @property
    def footage_size(self) -> tuple[int, int]:
        """(H, W) of the footage in pixels."""
        return self.footage.shape[1], self.footage.shape[2]

    @cached_property
    def own_frames(self) -> tuple[int, ...]:
        """Frames whose picture was taken by their camera: all of them, and of a stretched upload one for each picture.

        Nothing was seen from between the pictures of such an upload; there its path only leads from one to the next.
        """
        last = len(self) - 1
        if not self.is_stretched:
            return tuple(range(len(self)))
        runs = [list(run) for _, run in groupby(range(len(self)), self.frame_indices.__getitem__)]
        return tuple(0 if run[0] == 0 else last if run[-1] == last else (run[0] + run[-1] + 1) // 2 for run in runs)

    @property
    def is_stretched(self) -> bool:
        """Whether the upload has fewer frames than the clip, so that pictures are repeated.

        A film of uneven rate that rests has enough of them: there the same picture stands for several moments.
        """
        return bool(self.frame_indices) and self.frame_indices[-1] - self.frame_indices[0] + 1 < len(self)

    @property
    def is_spread(self) -> bool:
        """Whether the upload has frames between most of the clip's."""
        return len(self.frame_indices) > 1 and self.frame_indices[-1] - self.frame_indices[0] > 1.5 * (len(self) - 1)

    def path_through(self, cameras: Trajectory) -> Trajectory:
        """A camera for each frame from those of the own frames: the same, or a smooth path through them.

        Raises:
            ValueError: there are more or fewer than own frames.
        """
        own = self.own_frames
        if len(cameras) != len(own):
            raise ValueError(f"cameras must be one for each of the {len(own)} own frames, got {len(cameras)}")
        return cameras if len(own) == len(self) else Trajectory.from_keys(cameras, len(self), own)

    @property
    def full_size(self) -> tuple[int, int]:
        """(H, W) of `full_frame` in pixels."""
        return self.footage_size if self.full is None else self.full.image_size

    def full_frame(self, i: int) -> UInt8[np.ndarray, "H W 3"]:
        """Frame i, uncropped, at the best resolution that is kept."""
        return self.footage[i] if self.full is None else self.full.frame(i)

    @cached_property
    def detailed_u8(self) -> UInt8[np.ndarray, "T H W 3"]:
        """The footage cropped as the frames are, to whole pixels: the same pictures at the best resolution kept."""
        if self.footage_u8 is None:
            return self.frames_u8
        top, left, height, width = crop_box(self.footage_size, self.image_size)
        rows = slice(round(top), max(round(top) + 1, round(top + height)))
        columns = slice(round(left), max(round(left) + 1, round(left + width)))
        return self.footage_u8[:, rows, columns]

    def on_footage(self, trajectory: Trajectory) -> Trajectory:
        """Cameras of the frames, of whatever number, as cameras of the footage: crop and resize undone.

        Poses stay; intrinsics go from pixels of `image_size` to pixels of `footage_size`.

        Raises:
            ValueError: the trajectory is not in pixels of the frames.
        """
        _check_pixels(trajectory, self.image_size, "frames")
        if self.footage_u8 is None:
            return trajectory
        upload = self.upload_size or self.footage_size
        whole = unfitted_intrinsics(trajectory.intrinsics, upload, self.image_size)
        return replace(
            trajectory,
            intrinsics=resize_intrinsics(whole, upload, self.footage_size),
            image_size=self.footage_size,
        )

    def on_frames(self, trajectory: Trajectory) -> Trajectory:
        """Cameras of the footage as cameras of the frames; undoes `on_footage`.

        Raises:
            ValueError: the trajectory is not in pixels of the footage.
        """
        _check_pixels(trajectory, self.footage_size, "footage")
        if self.footage_u8 is None:
            return trajectory
        upload = self.upload_size or self.footage_size
        intrinsics = fitted_intrinsics(trajectory.intrinsics, self.footage_size, upload, self.image_size)
        return replace(trajectory, intrinsics=intrinsics, image_size=self.image_size)

    def cropped_fov_y_rad(self, fov_y_rad: float) -> float:
        """Vertical field of view of the clip's frames, given that of the upload: the crop may have narrowed it.

        Raises:
            ValueError: fov_y_rad lies outside (0, pi).
        """
        if not 0 < fov_y_rad < math.pi:
            raise ValueError(f"fov_y_rad must lie in (0, pi), got {fov_y_rad}; degrees?")
        return fov_y_rad if self.upload_size is None else _cropped_fov(fov_y_rad, self.upload_size, self.image_size)

    def whole_fov_y_rad(self, fov_y_rad: float) -> float:
        """Vertical field of view of the upload, given that of the clip's frames; undoes `cropped_fov_y_rad`.

        Raises:
            ValueError: fov_y_rad lies outside (0, pi).
        """
        if not 0 < fov_y_rad < math.pi:
            raise ValueError(f"fov_y_rad must lie in (0, pi), got {fov_y_rad}; degrees?")
        return fov_y_rad if self.upload_size is None else _whole_fov(fov_y_rad, self.upload_size, self.image_size)

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the frames and their rate: what a prediction depends on, without the reference."""
        digest = hashlib.sha256(repr((self.frames_u8.shape, float(self.fps))).encode())
        digest.update(np.ascontiguousarray(self.frames_u8).data)
        return digest.hexdigest()[:16]


def _checked(pictures_u8: np.ndarray, name: str) -> np.ndarray:
    """A read-only view of a film."""
    pictures = np.asarray(pictures_u8)
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or pictures.dtype != np.uint8 or 0 in pictures.shape:
        raise ValueError(f"{name} must be (T, h, w, 3) uint8 with T >= 1, got {pictures.shape} {pictures.dtype}")
    pictures = pictures.view()
    pictures.flags.writeable = False
    return pictures


def _check_footage(footage: np.ndarray, count: int, upload_size: tuple[int, int] | None) -> None:
    if len(footage) != count:
        raise ValueError(f"footage_u8 must have one picture for each of the {count} frames, got {len(footage)}")
    if upload_size is None:
        return
    h, w = footage.shape[1:3]
    scale = max(h, w) / max(upload_size)
    if abs(h - scale * upload_size[0]) > 1 or abs(w - scale * upload_size[1]) > 1:
        raise ValueError(
            f"footage_u8 must show the whole upload of (h, w) = {upload_size} and so have its shape, got {(h, w)}"
        )


def _check_pixels(trajectory: Trajectory, size: tuple[int, int], name: str) -> None:
    if trajectory.image_size != size:
        raise ValueError(
            f"trajectory.image_size must be that of the clip's {name}, (h, w) = {size}, got {trajectory.image_size}"
        )


def _cropped_fov(fov_y_rad: float, upload_size: tuple[int, int], size: tuple[int, int]) -> float:
    _, _, box_h, _ = crop_box(upload_size, size)
    return 2 * math.atan(math.tan(fov_y_rad / 2) * box_h / upload_size[0])


def load_clip(
    path: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    num_frames: int = NUM_FRAMES,
    start: int = 0,
    stride: int | None = None,
    end: int | None = None,
    size: tuple[int, int] | None = None,
    film: bool = False,
    full: bool = False,
    cameras: Path | None = None,
    fov_y_rad: float | None = None,
) -> Clip:
    """Read a video, a folder of pictures in name order, or picture(s), as frames of one size.

    One picture gives a clip of one frame. Of anything longer `num_frames` frames are taken: with a stride, every
    stride-th from `start`; without, spread evenly from `start` to the end, both included. An upload of 2 to
    num_frames - 1 frames is stretched by repeating the nearest frame: its cameras are those of `own_frames`. Each frame
    is cropped around its centre to the size's aspect ratio, then resized; reference cameras follow. Black bars of a
    film are cut off first, and fades from and to black left out, unless a size is given or its cameras are known: both
    are of the whole film. With `film`, the first shot is used of one that is cut, or the second after a title.

    A folder has reference cameras when it, or its parent, holds cameras that name its pictures. Where the lens of known
    cameras has distortion the frames are undistorted.

    Args:
        path: a file, a folder, a zip of one, or a list of picture files in the order of the frames.
        num_frames: frames of the clip, at least 1.
        start: first frame used, from 0.
        stride: take every stride-th frame; None covers the whole upload.
        end: last frame that may be used, from 0; None is the upload's last.
        size: (h, w) of the clip; None takes the nearest of the model's sizes.
        film: keep what lies between the frames as well, thinned to FOLLOWED_FRAMES.
        full: keep the frames at the upload's own size as well, up to TAKE_SIDE.
        cameras: a file, folder or zip of the upload's cameras, which become the clip's `trajectory`.
        fov_y_rad: vertical field of view of the whole picture, for such a file without a lens.

    Raises:
        InputError: missing, unreadable, too small, too large, too short; the sentence says what would do.
        ValueError: an argument is out of range.
    """
    sampling = Sampling(num_frames, start, stride, film, end, full)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError(f"size must be a positive (height, width) in pixels, got {size}")
    if size is not None:
        TAKE_SIDE.check(max(size), "size:", "take a smaller one")
    with reading(_title(path)), unzipped(path) as given:
        return _one_camera(open_upload(given, cameras, fov_y_rad), sampling, size)


@dataclass(frozen=True)
class _View:
    """What is read of an upload: which frames, and which part of them."""

    sampling: Sampling
    bars: Bars = NO_BARS


def _one_camera(upload: Upload, sampling: Sampling, size: tuple[int, int] | None) -> Clip:
    """The clip of what one camera has taken, read again wherever that turns out to be less; it says so."""
    view = _View(sampling)
    clip, notes = _loaded(upload, view, size), []
    is_whole = size is not None or upload.known is not None
    for narrowed in (_first_shot,) if is_whole else (_between_bars, _first_shot, _between_fades):
        narrower, note = narrowed(clip, view)
        if narrower != view:
            view, clip = narrower, _loaded(upload, narrower, size)
        notes += [note] * bool(note)
    return replace(clip, notes=(*map(plain, notes), *clip.notes))


def _between_bars(clip: Clip, view: _View) -> tuple[_View, str]:
    bars = find_bars(_seen(clip)) if clip.is_timed else NO_BARS
    if not bars:
        return view, ""
    h, w = clip.upload_size or clip.full_size
    left, top, right, bottom = bars.box(h, w)
    return replace(view, bars=bars), (
        f"{clip.name}: black bars beside its picture are left out ({bars.in_words()}): cameras and takes are of "
        f"{right - left} x {bottom - top} of its {w} x {h} pixels"
    )


def _first_shot(clip: Clip, view: _View) -> tuple[_View, str]:
    """The first shot alone where the film is cut: one camera did not go from the one to the other. The second one where
    that is a title or a still."""
    found = [] if clip.film is None else shots(clip.film.frames_u8)
    if len(found) < 2 or clip.film is None:
        return view, ""
    spans = [(clip.film.frame_indices[a], clip.film.frame_indices[b]) for a, b in found]
    listed = "; ".join(f"frames {a} to {b}" for a, b in spans)
    several = f"{clip.name}: {len(spans)} shots ({listed})"
    if view.sampling.stride is not None:
        return view, f"{several}, which no one camera has taken; choose one by start and end"
    first, last = found[0]
    chosen = int(stands_still(clip.film.frames_u8[first : last + 1]))
    (start, end), other = spans[chosen], spans[1 - chosen]
    used, left = ("the first stands still, the second", "first") if chosen else ("the first", "second")
    note = f"{several}; {used} is used. For the {left} one, start at {other[0]} and end at {other[1]}"
    return replace(view, sampling=replace(view.sampling, start=start, end=end)), note


def _between_fades(clip: Clip, view: _View) -> tuple[_View, str]:
    """What comes out of black or goes into it shows nothing to follow, and a take that begins there is black."""
    indices = clip.frame_indices if clip.film is None else clip.film.frame_indices
    seen = _seen(clip)
    if view.sampling.stride is not None or not clip.is_timed or len(seen) != len(indices):
        return view, ""
    begin, end = (indices[i] for i in lit(seen))
    if (begin, end) == (indices[0], indices[-1]):
        return view, ""
    note = f"{clip.name}: begins or ends in black; frames {begin} to {end} are used"
    return replace(view, sampling=replace(view.sampling, start=begin, end=end)), note


def _seen(clip: Clip) -> UInt8[np.ndarray, "F H W 3"]:
    """Uncropped frames in the order of time: all that were read, where they are kept."""
    return clip.footage if clip.film is None else clip.film.frames_u8


def _loaded(upload: Upload, view: _View, size: tuple[int, int] | None) -> Clip:
    source, count, sampling = upload.source, upload.source.count, view.sampling
    for _ in range(3):
        try:
            indices = sampling.of(count, source.name, source.times_s)
        except InputError:
            count = source.recount()  # before a refusal: metadata may claim too few
            indices = sampling.of(count, source.name, source.times_s)
        wanted, chosen = sampling.read(indices), set(indices)
        side = TAKE_SIDE.value if len(chosen) == 1 else FOOTAGE_SIDE
        straighten = None if upload.known is None else upload.known.straightener(source.frame_names, wanted)
        shrink = Shrink(
            size, side, [i in chosen for i in wanted], sampling.full and len(chosen) > 1, straighten, view.bars
        )
        pictures, met = source.read(wanted, shrink, to_end=sampling.meets_end)
        if len(pictures) == len(wanted) and met in (None, count):
            return _clip(upload, indices, met, dict(zip(wanted, pictures, strict=True)))
        if not met:
            raise InputError(f"{source.name}: no frame of the video can be decoded; convert it to H.264 MP4")
        count = met
    raise InputError(f"{source.name}: the video decodes to another number of frames each time; convert it to H.264 MP4")


def _title(path: str | PathLike[str] | Sequence[str | PathLike[str]]) -> str:
    """What a refusal calls that which was given."""
    return Path(path).name if isinstance(path, (str, PathLike)) else "pictures"


def _clip(
    upload: Upload,
    indices: tuple[int, ...],
    count: int | None,
    kept: dict[int, Shrunk],
) -> Clip:
    source = upload.source
    pictures = [detail for i in indices if (detail := kept[i].detail) is not None]
    frames_u8 = np.stack([picture.frame_u8 for picture in pictures])
    sizes = [picture.size for picture in pictures]
    size = frames_u8.shape[1], frames_u8.shape[2]
    total = source.count if count is None else count
    times_s = _times_s(source, max(min(total, FILM_FRAMES.value), indices[-1] + 1))  # a header may claim anything
    span_s, is_timed = float(times_s[indices[-1]] - times_s[indices[0]]), not isinstance(source, PictureList)
    paced = span_s and (is_timed or indices[-1] - indices[0] >= len(indices) - 1)
    clip = Clip(
        frames_u8,
        (len(indices) - 1) / span_s if paced else source.fps,
        frame_indices=indices,
        frame_names=tuple(plain(source.frame_names[i]) for i in indices) if source.frame_names else (),
        name=plain(upload.name),
        upload_size=sizes[0],
        footage_u8=np.stack([picture.footage_u8 for picture in pictures]) if len(set(sizes)) == 1 else None,
        exif_fov_y_rad=_exif_fov_y_rad(pictures, size),
        film=_film(kept) if len(kept) > len(set(indices)) else None,
        full=_full(indices, kept),
        upload_frames=total,
        is_timed=is_timed,
    )
    found, notes = _known_cameras(upload, clip, pictures, times_s)
    straightened = upload.known is not None and bool(upload.known.file.distortion)
    shape = no_pinhole_note(source.name, pictures[0].footage_u8, straightened)
    said = (
        *([] if shape is None else [shape]),
        *upload.notes,
        *sampling_notes(source.name, indices, clip.own_frames, count),
        *source.notes,
        *_size_notes(sizes, size),
        *notes,
    )
    return replace(clip, trajectory=found, notes=tuple(map(plain, said)))


def _known_cameras(
    upload: Upload, clip: Clip, pictures: Sequence[Detail], times_s: np.ndarray
) -> tuple[Trajectory | None, tuple[str, ...]]:
    """Those of the clip's frames, and notes."""
    known, source, indices = upload.known, upload.source, clip.frame_indices
    if known is None:
        return None, ()
    own = clip.own_frames
    if len(known.file.trajectory) == len(clip) and not any(row is not None for row in known.rows(source.frame_names)):
        own = tuple(range(len(clip)))  # a path through a few pictures, as we write it
    exif = clip.exif_fov_y_rad
    lens = None if exif is None else _whole_fov(exif, pictures[0].size, clip.image_size)
    names = source.frame_names or [f"frame {i}" for i in range(len(times_s))]
    frames = [Frame(indices[i], names[indices[i]], pictures[i].size, pictures[i].orientation) for i in own]
    found, notes = known.of_frames(frames, _paths(source), times_s, clip.image_size, clip.fps, lens)
    return (found if found is None or len(own) == len(clip) else clip.path_through(found)), notes


def _times_s(source: FrameSource, count: int) -> np.ndarray:
    """When each of an upload's frames is shown; past the last one that is known at its mean rate."""
    even = np.arange(count) / source.fps
    if source.times_s is None:
        return even
    known = source.times_s[:count]
    return np.concatenate([known, known[-1] + even[1 : count - len(known) + 1]])


def _paths(source: FrameSource) -> Sequence[str]:
    """What an upload's frames are called, with their folders; nothing for a film."""
    return [str(path) for path in source.paths] if isinstance(source, PictureList) else ()


def _whole_fov(fov_y_rad: float, upload_size: tuple[int, int], size: tuple[int, int]) -> float:
    """Undoes `_cropped_fov`."""
    _, _, box_h, _ = crop_box(upload_size, size)
    return 2 * math.atan(math.tan(fov_y_rad / 2) * upload_size[0] / box_h)


def _full(indices: tuple[int, ...], kept: dict[int, Shrunk]) -> FullFrames | None:
    """The frames at their own size; None where they were not kept, or differ in it."""
    different = list(dict.fromkeys(indices))
    pictures = [
        detail.full_u8 for i in different if (detail := kept[i].detail) is not None and detail.full_u8 is not None
    ]
    if len(pictures) < len(different) or len({picture.shape for picture in pictures}) > 1:
        return None
    return FullFrames.of(pictures, [different.index(i) for i in indices])


def _film(kept: dict[int, Shrunk]) -> Film | None:
    """All pictures that were read; None where they differ in size: points cannot be followed from one to another."""
    if len({picture.size for picture in kept.values()}) > 1:
        return None
    return Film(np.stack([picture.film_u8 for picture in kept.values()]), tuple(kept))


def _exif_fov_y_rad(pictures: Sequence[Detail], size: tuple[int, int]) -> float | None:
    """The one vertical field of view that all pictures' EXIF gives for the cropped frames; None without such a one."""
    found = []
    for picture in pictures:
        if picture.focal_35mm is None:
            return None
        found.append(_cropped_fov(fov_y_from_focal_35mm(picture.focal_35mm, picture.size), picture.size, size))
    half = np.tan(np.array(found) / 2)
    return float(np.median(found)) if half.max() <= (1 + SAME_FOCAL) * half.min() else None


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
