"""Videos: decode only what is kept, count what is really there.

Containers lie about their number of frames, so a count from metadata is a first guess that the decoding pass itself
verifies; only when the guess was wrong is the file decoded a second time. One full-size frame is held at a time: a 4K
clip costs megabytes, not gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rap.data import light
from rap.data.container import Timing, decoded_frames, opened, other_films, stored_frames, timing, upright
from rap.data.encoding import kind_of, write_film
from rap.data.images import check_picture_size, decoded, open_image, read_image
from rap.errors import InputError
from rap.guard import reading
from rap.limits import ANIMATION_BYTES, ANIMATION_WORK, FILM_FRAMES, FILM_WORK

if TYPE_CHECKING:  # PyAV is imported where a video is opened: training imports this module and never opens one
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

DEFAULT_FPS = 8.0
"""Frame rate of a list or folder of pictures, which has none of its own."""

Shrink = Callable[[Image.Image], Any]


class FrameSource(Protocol):
    """Frames that can be read by number. `count` is a claim until `read` or `recount` has gone through the data."""

    @property
    def name(self) -> str: ...

    @property
    def fps(self) -> float: ...

    @property
    def count(self) -> int: ...

    @property
    def frame_names(self) -> tuple[str, ...]: ...

    @property
    def times_s(self) -> np.ndarray | None:
        """When each frame is shown, in seconds, where they do not come at an even rate; else None."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Sentences on what was done that the owner may not expect; complete when the frames have been read."""
        ...

    def read(self, indices: Sequence[int], shrink: Shrink, *, to_end: bool) -> tuple[list[Any], int | None]:
        """`shrink(frame)` for each of the ascending indices, and the true count of frames if the end was met.

        With `to_end` it always is. Fewer results than indices means that the end came early.
        """
        ...

    def recount(self) -> int:
        """The true number of frames, by decoding if need be."""
        ...


@dataclass
class PictureList:
    """Picture files in the given order."""

    paths: Sequence[Path]
    name: str
    fps: float = DEFAULT_FPS
    times_s: np.ndarray | None = None
    notes: Sequence[str] = ()

    @property
    def count(self) -> int:
        return len(self.paths)

    @property
    def frame_names(self) -> tuple[str, ...]:
        return tuple(path.name for path in self.paths)

    def read(self, indices: Sequence[int], shrink: Shrink, *, to_end: bool) -> tuple[list[Any], int | None]:
        return [shrink(read_image(self.paths[i])) for i in indices], self.count

    def recount(self) -> int:
        return self.count


@dataclass
class Animation:
    """A GIF, WebP or PNG with several pictures, through Pillow."""

    path: Path
    name: str
    fps: float
    count: int
    frame_names: tuple[str, ...] = ()
    times_s: np.ndarray | None = None
    notes: Sequence[str] = ()

    def read(self, indices: Sequence[int], shrink: Shrink, *, to_end: bool) -> tuple[list[Any], int | None]:
        image = open_image(self.path)
        if image is None:
            raise InputError(f"{self.path.name}: the animation cannot be read any more; upload it again")
        kept = []
        with image, reading(self.path.name):
            for i in indices:
                try:
                    image.seek(i)
                except EOFError:
                    return kept, i
                check_picture_size(self.path.name, (image.height, image.width))  # a frame may be larger than the first
                kept.append(shrink(decoded(image, self.path.name)))
        return kept, self.count

    def recount(self) -> int:
        return self.count


@dataclass
class VideoFile:
    """A film of a video file through PyAV (FFmpeg); `stream` is its number in the file."""

    path: Path
    name: str
    fps: float
    count: int
    stream: int | None = None
    frame_names: tuple[str, ...] = ()
    times_s: np.ndarray | None = None
    notes: Sequence[str] = ()
    stated: int = 0
    """Frames by the header, where the file ends before them; else 0."""

    def read(self, indices: Sequence[int], shrink: Shrink, *, to_end: bool) -> tuple[list[Any], int | None]:
        wanted, last = set(indices), max(indices)
        kept, seen, work = [], 0, self._foreseen(self.count if to_end else last + 1)
        with opened(self.path, self.stream) as (container, stream):
            for i, frame in enumerate(decoded_frames(container, stream)):
                if i in wanted:
                    kept.append(shrink(upright(frame, stream, self.path.name)))
                if i >= last and not to_end:
                    return kept, None
                seen = work.done(frame)
        if self.stated:
            end = f"{self.name}: cut off: {seen} of {self.stated} frames can be read; copy it again for the rest"
            self.notes = (*(note for note in self.notes if ": cut off: " not in note), end)
        return kept, seen

    def recount(self) -> int:
        seen, work = 0, self._foreseen(self.count)
        with opened(self.path, self.stream) as (container, stream):
            for frame in decoded_frames(container, stream):
                seen = work.done(frame)
        return seen

    def _foreseen(self, frames: int) -> Work:
        """Nothing done yet, and not too much to do: by the header, or where that says so by the packets themselves."""
        work = Work(self.path.name)
        with opened(self.path, self.stream) as (container, stream):
            size = stream.codec_context.height * stream.codec_context.width
            if frames > FILM_FRAMES.value or frames * size > FILM_WORK.value:
                frames = min(frames, _packet_count(container, stream))
            work.check(frames, frames * size)
        return work


@dataclass
class Work:
    """What decoding a film has cost so far, in frames and pixels."""

    name: str
    frames: int = 0
    pixels: int = 0

    def done(self, frame: VideoFrame) -> int:
        """Frames so far, this one among them.

        Raises:
            InputError: that was too much.
        """
        self.frames += 1
        self.pixels += frame.width * frame.height
        self.check(self.frames, self.pixels)
        return self.frames

    def check(self, frames: int, pixels: int) -> None:
        """Refuse more than the limits.

        Raises:
            InputError: naming the limit.
        """
        remedy = "cut the video, or choose an earlier part with a start and a stride"
        FILM_FRAMES.check(frames, f"{self.name}: has to be searched through", remedy)
        FILM_WORK.check(pixels, f"{self.name}: has to be decoded through", f"make the video smaller, or {remedy}")


def open_animation(image: Image.Image, path: Path) -> Animation:
    """The frames of an animated picture, each shown as long as it says, as far as that can be found out at little cost.

    Raises:
        InputError: it is damaged, or has too many pixels in all.
    """
    remedy = "take out frames, make it smaller, or give it as MP4"
    ANIMATION_BYTES.check(path.stat().st_size, f"{path.name}: has", remedy)
    count = max(1, _gif_frame_count(path)) if image.format == "GIF" else image.n_frames  # type: ignore[attr-defined]
    FILM_FRAMES.check(count, f"{path.name}: has", remedy)
    pixels = image.height * image.width
    ANIMATION_WORK.check(count * pixels, f"{path.name}: has {count} frames and so", remedy)
    durations_s = []
    for i in range(min(count, max(MEASURED_FRAMES, MEASURED_PIXELS // pixels))):
        image.seek(i)
        if image.format in ("WEBP", "AVIF"):
            image.load()  # before that Pillow tells the duration of the frame before
        shown_s = float(image.info.get("duration", 100)) / 1000
        durations_s.append(shown_s if 0.001 <= shown_s <= 100 else 0.1)  # browsers show those without one at that
    mean_s = float(np.mean(durations_s))
    steps_s = np.array([*durations_s, *[mean_s] * (count - len(durations_s))])
    times_s = np.cumsum([0.0, *steps_s[:-1]])
    if not Timing(times_s, count).is_variable:
        return Animation(path, path.name, 1 / mean_s, count)
    return Animation(path, path.name, 1 / mean_s, count, (), times_s, (_uneven(path.name, times_s),))


MEASURED_FRAMES, MEASURED_PIXELS = 20, 100_000_000
"""Of an animation whose durations are read: as many frames at least, and as many as are decoded in two seconds."""


def _uneven(name: str, times_s: np.ndarray) -> str:
    steps = np.diff(times_s)
    return (
        f"{name}: its frames do not come at an even rate ({1 / steps.max():.3g} to {1 / steps.min():.3g} a second), so "
        "they are spread evenly over its time, but for a stride"
    )


def _gif_frame_count(path: Path) -> int:
    """Frames of a GIF (GIF89a, appendix A), no further than one more than is taken: Pillow counts millions of them."""
    data = path.read_bytes()
    at, count = 13 + _colours_bytes(data[10]), 0
    while at < len(data) and count <= FILM_FRAMES.value and data[at] in (0x21, 0x2C):
        if data[at] == 0x2C:  # a picture: place and size, its own colours, the width of its codes
            at += 11 + (_colours_bytes(data[at + 9]) if at + 9 < len(data) else 0)
            count += 1
        else:  # an extension and its label
            at += 2
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    return count


def _colours_bytes(flags: int) -> int:
    """Of a colour table, by the byte that tells of it."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def open_video(path: Path) -> VideoFile:
    """Read a video's metadata, and go once through its packets: they say when each frame is shown.

    Raises:
        InputError: no video that can be decoded, or one too small or too large.
    """
    with opened(path) as (container, stream):
        index, rate, claimed = stream.index, _frame_rate(stream), _claimed_count(container, stream)
        stated = _stated_count(container, stream)
    with opened(path, index) as (container, stream):
        shown = timing(container, stream)
    notes = [*other_films(path, index), *_first_frame_notes(path, index)]
    is_cut = 0 < shown.packets < min(stated, FILM_FRAMES.value) - CUT_OFF * stated - 1
    film = VideoFile(path, path.name, rate, shown.packets if is_cut else claimed, index, notes=notes)
    if is_cut:
        film.stated = stated
        notes.append(f"{path.name}: cut off: about {shown.packets} of {stated} frames can be read")
    if shown.times_s is not None and shown.is_variable:
        notes.append(_uneven(path.name, shown.times_s))
        film.count, film.times_s = len(shown.times_s), shown.times_s
        film.fps = float((film.count - 1) / (shown.times_s[-1] - shown.times_s[0]))
    return film


CUT_OFF = 0.02
"""Share of its frames by which a header may be wrong about a whole file."""


def _stated_count(container: InputContainer, stream: VideoStream) -> int:
    """Frames that the header says the file has; 0 where FFmpeg only guesses from what is there."""
    import av

    if stream.frames > 0:
        return stream.frames
    if "matroska" in container.format.name and container.duration and stream.average_rate:
        return round(container.duration / av.time_base * float(stream.average_rate))
    return 0


def _first_frame_notes(path: Path, index: int) -> Iterator[str]:
    """What only a frame tells of a film's light and lines."""
    with opened(path, index) as (container, stream):
        for frame in islice(stored_frames(container, stream), 1):
            if frame.interlaced_frame:
                yield f"{path.name}: interlaced; each pair of fields is made one picture (bwdif)"
            if (transfer := int(frame.color_trc or 0)) in light.NAMES:
                yield light.note(path.name, transfer)


def _frame_rate(stream: VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0.01 <= float(rate) <= 1000:
            return float(rate)
    return 25.0  # FFmpeg's own default for a stream that states none


def _claimed_count(container: InputContainer, stream: VideoStream) -> int:
    """Frames by metadata, else by duration and rate, else by counting packets without decoding; a guess, at least 1."""
    import av

    if stream.frames > 0:
        return stream.frames
    if stream.duration and stream.time_base and stream.average_rate:
        return max(1, round(float(stream.duration * stream.time_base * stream.average_rate)))
    if container.duration and stream.average_rate:
        return max(1, round(container.duration / av.time_base * float(stream.average_rate)))
    return _packet_count(container, stream)


def _packet_count(container: InputContainer, stream: VideoStream) -> int:
    return max(1, timing(container, stream).packets)


WATCHABLE_FPS = (4.0, 60.0)
PLAYBACK_FPS = 8.0


def playback_fps(fps: float) -> float:
    """Rate to write a clip's video at: its own where it can be watched, else eight frames a second.

    A long film kept at 17 frames has two frames a second, two pictures stretched to 17 have more than a hundred.
    """
    return fps if WATCHABLE_FPS[0] <= fps <= WATCHABLE_FPS[1] else PLAYBACK_FPS


def write_video(path: str | PathLike[str], frames_u8: UInt8[np.ndarray, "T h w 3"], fps: float) -> None:
    """Write a film of the kind that its name says, as `rap.data.encoding.write_film` does: MP4, GIF, WebM …

    Raises:
        ValueError: no frames, not (T, h, w, 3) uint8, fps not positive, or another suffix.
        NoRoom: the disk is full; an earlier file of this name is as it was.
    """
    path = Path(path)
    write_film(path, frames_u8, fps, kind_of(path))
