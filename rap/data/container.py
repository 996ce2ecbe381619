"""Containers of films: which of their streams is the film, when its frames are shown, whether the file is whole.

What is decoded comes upright, with square pixels, deinterlaced and in standard range.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from rap.data import light
from rap.data.images import check_picture_size
from rap.errors import InputError
from rap.guard import reading
from rap.limits import FILM_FRAMES, FILM_PIXELS

if TYPE_CHECKING:  # PyAV is imported where a video is opened: training imports this module and never opens one
    from av.container import InputContainer
    from av.filter import Graph
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,ogg,asf,h264,hevc,ivf,gif,mxf,dv"
"""FFmpeg's input formats that an upload may reach: a playlist (HLS, concat) could open other files and addresses."""

DECODING_THREADS = 4
"""Each holds frames of its own: eight of them would hold half a gigabyte of an 8K film."""

LOOKED_AT = 200
"""Packets by which films are told from pictures, where a file has several streams."""

SPARSE = 10
"""Times as many frames as another stream has that one of a file's has: the other is of chapters or thumbnails."""

VARIABLE = 1.5
"""Steps by which a frame may be off an even rate; containers round, and one frame may be missing."""


@contextmanager
def opened(path: Path, index: int | None = None) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A container and its film, closed at the end.

    Args:
        index: of the stream, where that is known already.

    Raises:
        InputError: FFmpeg knows no such format, or there is no film in it.
    """
    import av
    from av.error import FFmpegError

    try:
        # titles and comments are not read, and some programs write them in other alphabets than UTF-8
        container = av.open(str(path.resolve()), options={"format_whitelist": DEMUXERS}, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        raise InputError(_unreadable(path)) from error
    with container:
        stream = container.streams[film_stream(path, container) if index is None else index]
        if stream.codec_context is None:
            raise InputError(f"{path.name}: the video's codec is not known here; convert it to H.264 MP4")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = DECODING_THREADS
        check_picture_size(path.name, (stream.codec_context.height, stream.codec_context.width), FILM_PIXELS)
        with reading(path.name, "convert it to H.264 MP4"):
            yield container, stream  # type: ignore[misc]  # it is a video stream


def film_stream(path: Path, container: InputContainer) -> int:
    """The number of the stream that is the film: no cover picture, of several films the largest.

    Raises:
        InputError: there is none.
    """
    streams = list(container.streams.video)
    if not streams:
        raise InputError(f"{path.name}: holds no video (only sound or data); give a file with pictures")
    films = [stream for stream in streams if not _is_still(stream)]
    if not films:
        raise InputError(f"{path.name}: holds no video (only sound and its cover picture); give a file with pictures")
    if len(films) > 1:
        moving = _moving(path, [stream.index for stream in films])
        films = [stream for stream in films if stream.index in moving] or films
    return max(films, key=_rank).index


def other_films(path: Path, index: int) -> tuple[str, ...]:
    """A sentence on the films that were not taken, if there are any."""
    with opened(path, index) as (container, taken):
        streams = [stream for stream in container.streams.video if not _is_still(stream)]
        if len(streams) < 2:
            return ()
        moving = _moving(path, [stream.index for stream in streams])
        others = [_size(stream) for stream in streams if stream.index in moving and stream.index != index]
        if not others:
            return ()
        return (f"{path.name}: has {len(others) + 1} films; that of {_size(taken)} is used, not {', '.join(others)}",)


def _size(stream: Any) -> str:
    return f"{stream.codec_context.width} x {stream.codec_context.height}"


def _is_still(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _rank(stream: Any) -> tuple[int, bool, int]:
    from av.stream import Disposition

    context = stream.codec_context
    area = 0 if context is None else context.width * context.height
    return area, bool(stream.disposition & Disposition.default), -stream.index


def _moving(path: Path, indices: list[int]) -> set[int]:
    """Those of a file's streams that are films, not the pictures of a few chapters.

    The file is opened apart: not all containers can be rewound.
    """
    import av
    from av.error import FFmpegError

    counts = dict.fromkeys(indices, 0)
    with av.open(str(path.resolve()), options={"format_whitelist": DEMUXERS}, metadata_errors="replace") as container:
        try:
            for packet in islice(container.demux([container.streams[i] for i in indices]), LOOKED_AT):
                counts[packet.stream.index] += bool(packet.size)
        except FFmpegError:
            pass  # a file that was cut off: what came before is looked at
    most = max(counts.values())
    return {index for index, count in counts.items() if count > 1 and count * SPARSE >= most}


def _unreadable(path: Path) -> str:
    if _has_no_table(path):
        return (
            f"{path.name}: is cut off: the end, where its table of contents (moov) stands, is missing, and no "
            "frame can be read without it; copy or download it again"
        )
    return (
        f"{path.name}: neither a picture nor a video that can be read; "
        "give an MP4, MOV, WebM, MKV, AVI or GIF, or pictures"
    )


def _has_no_table(path: Path) -> bool:
    """Whether a file begins as MP4 or MOV and its last box is cut off before there was a `moov` (ISO 14496-12, 4.2)."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        for i in range(64):
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                return i > 0 and at != size
            kind = head[4:8]
            if (i == 0 and kind not in (b"ftyp", b"wide", b"mdat")) or kind == b"moov":
                return False
            length = int.from_bytes(head[:4], "big")
            length = int.from_bytes(head[8:16], "big") if length == 1 else length
            at = size if length == 0 else at + max(length, 8)
            if at > size:
                return True
    return False


@dataclass(frozen=True, eq=False)
class Timing:
    """When the frames of a film are shown, by the packets of its container.

    Attributes:
        times_s: of the frames in order of showing; None where the container does not say.
        packets: how many there are in the file, those that are not shown among them.
    """

    times_s: Float[np.ndarray, " frames"] | None
    packets: int

    @property
    def is_variable(self) -> bool:
        """Whether the frames are far from an even rate."""
        if self.times_s is None or len(self.times_s) < 3:
            return False
        even = np.linspace(self.times_s[0], self.times_s[-1], len(self.times_s))
        return bool(np.abs(self.times_s - even).max() > VARIABLE * (even[1] - even[0]))


def timing(container: InputContainer, stream: VideoStream) -> Timing:
    """The times of a film, as far as it would be read; nothing is decoded."""
    from av.error import FFmpegError

    stamps: list[int | None] = []
    packets = 0
    try:
        for packet in islice(container.demux(stream), FILM_FRAMES.value + 2):  # the last one is empty
            if packet.size:
                packets += 1
                if not packet.is_discard:
                    stamps.append(packet.pts)
    except FFmpegError:
        pass  # a file that was cut off: what came before is used
    if not stamps or stream.time_base is None or len(set(stamps)) < len(stamps) or None in stamps:
        return Timing(None, packets)
    return Timing(np.sort(np.array(stamps, dtype=np.float64)) * float(stream.time_base), packets)


def decoded_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """All frames in order of showing, interlaced ones as whole pictures; what cannot be decoded is passed over."""
    graph = None
    for frame in stored_frames(container, stream):
        if graph is None and frame.interlaced_frame:
            graph = _deinterlacer(stream, frame)
        if graph is None:
            yield frame
        elif (frame.width, frame.height) == (stream.codec_context.width, stream.codec_context.height):
            graph.push(frame)
            yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


def stored_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """All frames as the decoder gives them."""
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


def _deinterlacer(stream: VideoStream, frame: VideoFrame) -> Graph:
    """A picture of each pair of fields (FFmpeg's bwdif), as many as there were frames."""
    import av.filter

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=stream.time_base or Fraction(1, 1000),
    )
    graph.link_nodes(source, graph.add("bwdif", mode="send_frame", deint="interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: Graph) -> Iterator[VideoFrame]:
    import av

    while True:
        try:
            yield graph.pull()  # type: ignore[misc]  # a video graph
        except (av.BlockingIOError, av.EOFError):
            return


def upright(frame: VideoFrame, stream: VideoStream, name: str) -> Image.Image:
    """A decoded frame as RGB of standard range, turned by its display matrix (phones film sideways), pixels square.

    Raises:
        InputError: its size may change within a stream, and the new one is out of bounds.
    """
    check_picture_size(name, (frame.height, frame.width), FILM_PIXELS)
    rgb = frame.reformat(format="rgb24", threads=1)  # threads are made anew for every frame, which costs more
    image = light.to_standard_range(Image.fromarray(rgb.to_ndarray()), int(frame.color_trc or 0))
    pixel_aspect = stream.sample_aspect_ratio
    if pixel_aspect and pixel_aspect != 1:
        width = max(1, round(image.width * float(pixel_aspect)))
        check_picture_size(name, (image.height, width), FILM_PIXELS)
        image = image.resize((width, image.height), Image.Resampling.LANCZOS)
    # FFmpeg's angle and Pillow's both run counter-clockwise.
    quarter = round(frame.rotation / 90) % 4
    turn = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)[quarter]
    return image if turn is None else image.transpose(turn)
