"""Files that are made to do harm, built in code: small on disk, large or endless for who believes them."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

IDENTITY = np.eye(4).tolist()
MEBI = 1 << 20


# --- pictures ---------------------------------------------------------------------------------------------------------


def gif(path: Path, side: int, frames: int, frame_side: int = 1) -> Path:
    """A GIF of `side` x `side` in which each frame sets one pixel: 23 bytes a frame. A frame may claim another side."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    control = b"\x21\xf9\x04\x04\x0a\x00\x00\x00"
    frame = control + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    other = control + b"\x2c" + struct.pack("<HHHHB", 0, 0, frame_side, frame_side, 0) + b"\x02\x02\x44\x01\x00"
    path.write_bytes(head + frame + (frames - 1) * other + b";")
    return path


def chunk(tag: bytes, data: bytes) -> bytes:
    """A piece of a PNG."""
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))


def png(path: Path, width: int, height: int, bits: int = 8, extra: Iterable[bytes] = ()) -> Path:
    """A whole grey PNG of zeros, deflated to a thousandth."""
    squeeze, row = zlib.compressobj(1), bytes(1 + width * bits // 8)
    rows = max(1, MEBI // len(row))
    data = b"".join(squeeze.compress(row * min(rows, height - y)) for y in range(0, height, rows)) + squeeze.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def text_bomb(length: int) -> bytes:
    """A piece of a PNG that unpacks to `length` letters."""
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * length))


def endless_tiff(path: Path) -> Path:
    """A TIFF whose directory names itself as the next one."""
    tags = [
        (256, 4, 64),
        (257, 4, 64),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 4, 64),
        (279, 4, 4096),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    start = 8 + 4096
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", start)
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + bytes(4096) + directory)
    return path


def jpeg(path: Path, width: int, height: int) -> Path:
    """A small JPEG whose header claims another size."""
    Image.new("RGB", (64, 48)).save(path, "JPEG")
    claimed = struct.pack(">HH", height, width)
    path.write_bytes(path.read_bytes().replace(struct.pack(">HH", 48, 64), claimed, 1))
    return path


# --- films ------------------------------------------------------------------------------------------------------------


def film(path: Path, side: int, frames: int, **metadata: str) -> Path:
    """An MP4 of one flat picture, encoded once and said `frames` times."""
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata.update(metadata)
        stream = container.add_stream(
            "libx264", rate=30, options={"preset": "ultrafast", "crf": "51", "x264-params": "cabac=1"}
        )
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        stream.codec_context.thread_count = 1
        frame = av.VideoFrame(side, side, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts = 0
        (packet,) = [*stream.encode(frame), *stream.encode(None)]
        data, base = bytes(packet), packet.time_base
        for i in range(frames):
            again = av.Packet(data)
            again.stream, again.time_base, again.is_keyframe = stream, base, True
            again.pts = again.dts = i * round(1 / (30 * base))
            container.mux(again)
    return path


PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1.0,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"


# --- arrays and archives ----------------------------------------------------------------------------------------------


def npy_header(shape: object, descr: str = "<f8", version: bytes = b"\x01\x00") -> bytes:
    """The beginning of an array that claims a shape."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\x01\x00" else "<I", len(text)) + text


def zipped(path: Path, files: Iterable[tuple[str | zipfile.ZipInfo, bytes]], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive of these files, in this order, names given twice included."""
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


def zeros_npz(path: Path, size: int, name: str = "frames_u8") -> Path:
    """An npz of one array of `size` zero bytes, whole and true, a thousandth on disk."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as entry,
    ):
        entry.write(npy_header((size // MEBI, 512, 512, 4), "|u1"))
        for _ in range(size // MEBI):
            entry.write(bytes(MEBI))
    return path


def crowded_zip(path: Path, entries: int) -> Path:
    """A zip whose table of contents names one empty file again and again: 47 bytes an entry."""
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, entries % 65535, entries % 65535, entries * len(entry), len(local), 0
    )
    path.write_bytes(local + entry * entries + end)
    return path


def overlapping_zip(path: Path, names: Sequence[str], size: int) -> Path:
    """A zip whose entries are all the same deflated bytes: each of them unpacks to `size`."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(size))
        info = archive.getinfo("a")
    local = data.getvalue()[: 30 + 1 + info.compress_size]
    table = b"".join(
        struct.pack(
            "<4s6H3L5H2L",
            b"PK\1\2",
            20,
            20,
            0,
            8,
            0,
            33,
            info.CRC,
            info.compress_size,
            size,
            len(name),
            0,
            0,
            0,
            0,
            0,
            0,
        )
        + name.encode()
        for name in names
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(names), len(names), len(table), len(local), 0)
    path.write_bytes(local + table + end)
    return path


def session(path: Path, files: dict[str, bytes], **manifest: Any) -> Path:
    """A session file with a manifest that knows its files, and as little else as is asked for."""
    told = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    head = {"kind": "rays-as-pixels session", "version": 1, "files": told, **manifest}
    return zipped(path, [("manifest.json", json.dumps(head).encode()), *files.items()])


def npz(header: bytes) -> bytes:
    """An npz whose one array has nothing after its header."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("frames_u8.npy", header)
    return buffer.getvalue()


# --- cameras ----------------------------------------------------------------------------------------------------------


def transforms(path: Path, frames: int) -> Path:
    """A transforms.json with many frames."""
    path.write_text('{"w": 64, "h": 48, "fl_x": 50, "frames": [' + ",".join(['{"file_path":"a"}'] * frames) + "]}")
    return path


def camera_document(**changes: Any) -> dict[str, Any]:
    """A good transforms.json of two frames, but for some fields."""
    frames = [{"file_path": f"{i}.png", "transform_matrix": IDENTITY} for i in range(2)]
    return {"w": 64, "h": 48, "fl_x": 50.0, "fl_y": 50.0, "cx": 32.0, "cy": 24.0, "frames": frames, **changes}


def nested(depth: int) -> str:
    """JSON that is nested deeply."""
    return "[" * depth + "]" * depth
