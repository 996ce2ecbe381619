"""Moving pictures as files: for browsers, for small downloads, for editing without loss.

Every video is tagged with the colours it was made with (ITU-R BT.601, limited range): without tags players guess by
size, and a take of 720 lines would change its colours against one of 640.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rap.errors import InputError
from rap.writing import whole_file

BT601 = 6  # in FFmpeg's numbering of primaries, transfer and matrix alike (SMPTE 170M)
LIMITED_RANGE = 1
CRF = 16
"""Of H.264 unless another is asked for: differences that are not seen."""
FOR_A_PAGE = {"crf": "20", "preset": "veryfast"}
"""200 frames of 384 px in half a second, at half of a kept film's bytes."""


@dataclass(frozen=True)
class FilmKind:
    """How films are written.

    Args:
        title: what a person reads.
        suffix: of the file.
        container: FFmpeg's name of it; empty where Pillow writes.
        codecs: the first that this machine's FFmpeg has is taken, each with its own options.
        pixels: FFmpeg's name of the pixel format.
        needs_even: sizes must be even.
    """

    title: str
    suffix: str
    container: str = ""
    codecs: dict[str, dict[str, str]] = field(default_factory=dict)
    pixels: str = "yuv420p"
    needs_even: bool = True


KINDS = {
    "mp4": FilmKind("Video, MP4 (H.264)", ".mp4", "mp4", {"libx264": {"crf": str(CRF)}}),
    "webm": FilmKind(
        "Video, WebM (AV1)", ".webm", "webm",
        {"libsvtav1": {"crf": "26", "preset": "8", "svtav1-params": "tune=0"},
         "libvpx-vp9": {"crf": "24", "b": "0", "row-mt": "1"}},
    ),
    "ffv1": FilmKind("Video, lossless (FFV1, MKV)", ".mkv", "matroska", {"ffv1": {"level": "3"}}, "bgr0", False),
    "prores": FilmKind("Video, ProRes 422 (MOV)", ".mov", "mov", {"prores_ks": {"profile": "3"}}, "yuv422p10le"),
    "gif": FilmKind("GIF", ".gif"),
    "webp": FilmKind("WebP, animated", ".webp"),
}  # fmt: skip


def kind_of(path: Path) -> str:
    """The kind whose suffix a name has.

    Raises:
        ValueError: none has it.
    """
    for name, kind in KINDS.items():
        if path.suffix.lower() == kind.suffix:
            return name
    suffixes = ", ".join(kind.suffix for kind in KINDS.values())
    raise ValueError(f"path must end in one of {suffixes}, got {path.name}")


def write_film(
    path: Path, frames_u8: UInt8[np.ndarray, "T h w 3"], fps: float, kind: str, crf: int | None = None
) -> None:
    """Write frames as a film of some kind.

    H.264, AV1 and ProRes need even sizes: an odd last row or column is repeated once. GIF keeps time in hundredths of a
    second.

    Args:
        crf: quality of H.264 and AV1, less is better; None is the kind's own.

    Raises:
        ValueError: no such kind, no frames, not (T, h, w, 3) uint8, fps not positive.
        InputError: this machine's FFmpeg cannot write the kind.
        NoRoom: the disk is full; an earlier file of this name is as it was.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if frames_u8.ndim != 4 or frames_u8.shape[-1] != 3 or frames_u8.dtype != np.uint8 or len(frames_u8) == 0:
        raise ValueError(f"frames_u8 must be (T, h, w, 3) uint8 with T >= 1, got {frames_u8.shape} {frames_u8.dtype}")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be positive, got {fps}")
    chosen = KINDS[kind]
    with whole_file(path) as partial:
        if chosen.container:
            _encode(partial, frames_u8, fps, chosen, {} if crf is None else {"crf": str(crf)})
        else:
            _write_animation(partial, frames_u8, fps, chosen.suffix == ".webp")


def film_for_a_page(frames_u8: UInt8[np.ndarray, "T h w 3"], fps: float) -> bytes:
    """An mp4 (H.264) that a page holds within itself: nothing of it is on the disk."""
    file = io.BytesIO()
    _encode(file, frames_u8, fps, KINDS["mp4"], FOR_A_PAGE)
    return file.getvalue()


def _encode(file: Path | io.BytesIO, frames_u8: np.ndarray, fps: float, kind: FilmKind, own: dict[str, str]) -> None:
    """`own` stands in place of a codec's options, where it has a quality to choose (CRF)."""
    import av
    from av.video.frame import VideoFrame

    codec, options = _codec_of(kind)
    if "crf" in options:
        options = {**options, **own}
    is_path = isinstance(file, Path)
    faststart = {"movflags": "+faststart"} if is_path and kind.container in ("mp4", "mov") else {}
    with av.open(str(file) if is_path else file, "w", format=kind.container, options=faststart) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        odd = (frames_u8.shape[1] % 2, frames_u8.shape[2] % 2) if kind.needs_even else (0, 0)
        stream.height, stream.width = frames_u8.shape[1] + odd[0], frames_u8.shape[2] + odd[1]
        stream.pix_fmt = kind.pixels
        if kind.pixels.startswith("yuv"):
            context = stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = BT601
            context.color_range = LIMITED_RANGE
        with _usual_priority():
            stream.codec_context.open()  # or the first frame would
        for frame in frames_u8:
            even = np.pad(frame, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge") if any(odd) else frame
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            container.mux(stream.encode(picture))  # pyright: ignore[reportArgumentType]  # the stream is a video stream
        container.mux(stream.encode())


@contextmanager
def _usual_priority() -> Iterator[None]:
    """Threads that became real-time within are put back, those that were started within, too.

    SVT-AV1, opened by root, makes its own threads real-time and, for ever, the one that opened it (4.1.0): they and all
    they start would go before whatever else the machine does.
    """
    if sys.platform != "linux":
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            if os.sched_getscheduler(int(thread.name)) in (os.SCHED_FIFO, os.SCHED_RR):
                os.sched_setscheduler(int(thread.name), policy, priority)


def _codec_of(kind: FilmKind) -> tuple[str, dict[str, str]]:
    import av
    from av.codec.codec import UnknownCodecError

    for name, options in kind.codecs.items():
        try:
            av.codec.Codec(name, "w")
        except UnknownCodecError:
            continue
        return name, options
    raise InputError(
        f"{kind.title} cannot be written here: FFmpeg lacks {' and '.join(kind.codecs)}; take another kind"
    )


def _write_animation(partial: Path, frames_u8: Iterable[np.ndarray], fps: float, is_webp: bool) -> None:
    pictures = [Image.fromarray(frame) for frame in frames_u8]
    hundredths = max(2, round(100 / fps))  # browsers slow anything faster than 2/100 s down to 10 frames a second
    duration_ms = round(1000 / fps) if is_webp else 10 * hundredths
    options = {"format": "WEBP", "quality": 85} if is_webp else {"format": "GIF"}
    pictures[0].save(
        partial, save_all=True, append_images=pictures[1:], duration=duration_ms, loop=0, **options
    )  # fmt: skip
