"""Videos: decode only what is kept, count what is really there.

Containers lie about their number of frames, so a count from metadata is a first guess that the decoding pass itself
verifies; only when the guess was wrong is the file decoded a second time. One full-size frame is held at a time: a 4K
clip costs megabytes, not gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rap.data.encoding import kind_of, write_film
from rap.data.images import check_picture_size, decoded, open_image, read_image
from rap.errors import InputError
from rap.guard import reading, told
from rap.limits import ANIMATION_BYTES, ANIMATION_WORK, FILM_FRAMES, FILM_PIXELS, FILM_WORK

if TYPE_CHECKING:  # PyAV is imported where a video is opened: training imports this module and never opens one
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,ogg,asf,h264,hevc,ivf,gif,mxf,dv"
"""FFmpeg's input formats that an upload may reach: a playlist (HLS, concat) could open other files and addresses."""

DECODING_THREADS = 4
"""Each holds frames of its own: eight of them would hold half a gigabyte of an 8K film."""

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
    """A video file through PyAV (FFmpeg), turned upright by its display matrix and stretched to square pixels."""

    path: Path
    name: str
    fps: float
    count: int
    frame_names: tuple[str, ...] = ()

    def read(self, indices: Sequence[int], shrink: Shrink, *, to_end: bool) -> tuple[list[Any], int | None]:
        wanted, last = set(indices), max(indices)
        kept, seen, work = [], 0, self._foreseen(self.count if to_end else last + 1)
        with opened(self.path) as (container, stream):
            for i, frame in enumerate(decoded_frames(container, stream)):
                if i in wanted:
                    kept.append(shrink(upright(frame, stream, self.path.name)))
                if i >= last and not to_end:
                    return kept, None
                seen = work.done(frame)
        return kept, seen

    def recount(self) -> int:
        seen, work = 0, self._foreseen(self.count)
        with opened(self.path) as (container, stream):
            for frame in decoded_frames(container, stream):
                seen = work.done(frame)
        return seen

    def _foreseen(self, frames: int) -> Work:
        """Nothing done yet, and not too much to do: by the header, or where that says so by the packets themselves."""
        work = Work(self.path.name)
        with opened(self.path) as (container, stream):
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
    """The frames of an animated picture; its rate is the inverse of the mean duration of the first frames.

    Raises:
        InputError: it is damaged, or has too many pixels in all.
    """
    remedy = "take out frames, make it smaller, or give it as MP4"
    ANIMATION_BYTES.check(path.stat().st_size, f"{path.name}: has", remedy)
    count = max(1, _gif_frame_count(path)) if image.format == "GIF" else image.n_frames  # type: ignore[attr-defined]
    durations_ms = []
    FILM_FRAMES.check(count, f"{path.name}: has", remedy)
    ANIMATION_WORK.check(count * image.height * image.width, f"{path.name}: has {count} frames and so", remedy)
    for i in range(min(count, 20)):
        image.seek(i)
        durations_ms.append(float(image.info.get("duration", 100)))
    mean_ms = float(np.mean(durations_ms))
    fps = 1000 / mean_ms if 1 <= mean_ms <= 100_000 else 10.0  # browsers show a GIF without a rate at that
    return Animation(path, path.name, fps, count)


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
    """Read a video's metadata.

    Raises:
        InputError: no video that can be decoded, or one too small or too large.
    """
    with opened(path) as (container, stream):
        return VideoFile(path, path.name, _frame_rate(stream), _claimed_count(container, stream))


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A container and its first video stream, closed at the end.

    Raises:
        InputError: FFmpeg knows no such format, or there is no video in it.
    """
    import av
    from av.error import FFmpegError

    try:
        # titles and comments are not read, and some programs write them in other alphabets than UTF-8
        container = av.open(str(path.resolve()), options={"format_whitelist": DEMUXERS}, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        words = getattr(error, "strerror", None) or told(error)  # FFmpeg's whole text has the file's path in it
        raise InputError(
            f"{path.name}: neither a picture nor a video that can be read ({words}); "
            "give an MP4, MOV, WebM, MKV, AVI or GIF, or pictures"
        ) from error
    with container:
        if not container.streams.video:
            raise InputError(f"{path.name}: holds no video (only sound or data); give a file with pictures")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise InputError(f"{path.name}: the video's codec is not known here; convert it to H.264 MP4")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = DECODING_THREADS
        check_picture_size(path.name, (stream.codec_context.height, stream.codec_context.width), FILM_PIXELS)
        with reading(path.name, "convert it to H.264 MP4"):
            yield container, stream


def decoded_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """All frames in order of showing; packets that cannot be decoded are passed over, as players do."""
    from av.error import FFmpegError

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError:
            return  # a file that was cut off: what came before is used
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        yield from frames  # type: ignore[misc]  # the stream is a video stream


def upright(frame: VideoFrame, stream: VideoStream, name: str) -> Image.Image:
    """A decoded frame as RGB, turned by its display matrix (phones film sideways) and with square pixels.

    Raises:
        InputError: its size may change within a stream, and the new one is out of bounds.
    """
    check_picture_size(name, (frame.height, frame.width), FILM_PIXELS)
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    pixel_aspect = stream.sample_aspect_ratio
    if pixel_aspect and pixel_aspect != 1:
        width = max(1, round(image.width * float(pixel_aspect)))
        check_picture_size(name, (image.height, width), FILM_PIXELS)
        image = image.resize((width, image.height), Image.Resampling.LANCZOS)
    # FFmpeg's angle and Pillow's both run counter-clockwise.
    quarter = round(frame.rotation / 90) % 4
    turn = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)[quarter]
    return image if turn is None else image.transpose(turn)


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
    """Packets, as far as the reader would go; nothing is decoded."""
    from av.error import FFmpegError

    count = 0
    try:
        for packet in islice(container.demux(stream), FILM_FRAMES.value + 2):  # the last one is empty
            count += bool(packet.size)
    except FFmpegError:
        pass  # a file that was cut off: what came before is used
    return max(1, count)


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
