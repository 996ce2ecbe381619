"""Small pictures for the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def strip_jpeg(frames_u8: UInt8[np.ndarray, "T h w 3"], count: int, height_px: int) -> bytes:
    """Up to `count` frames side by side, first and last included, at twice their size on screen: sharp displays."""
    picked = spread(len(frames_u8), count)
    h, w = frames_u8.shape[1:3]
    size = (max(1, round(w * height_px * 2 / h)), height_px * 2)
    tiles = [np.asarray(Image.fromarray(frames_u8[i]).resize(size)) for i in picked]
    return jpeg(np.concatenate(tiles, axis=1))


def jpeg(frame_u8: UInt8[np.ndarray, "h w 3"], quality: int = 82) -> bytes:
    """One frame as it is."""
    data = io.BytesIO()
    Image.fromarray(frame_u8).save(data, "JPEG", quality=quality)
    return data.getvalue()


def spread(total: int, count: int) -> list[int]:
    """Up to `count` of `total` frames, evenly over them, first and last included."""
    return np.unique(np.linspace(0, total - 1, count).round().astype(int)).tolist()


def frame_jpegs(frames_u8: UInt8[np.ndarray, "T h w 3"], height_px: int) -> list[bytes]:
    """Each frame alone, as in `strip_jpeg`."""
    return [strip_jpeg(frame[None], 1, height_px) for frame in frames_u8]


def inline_jpeg(data: bytes) -> str:
    """The address of a picture that is within the page."""
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def inline_mp4(data: bytes) -> str:
    """The address of a video that is within the page."""
    return f"data:video/mp4;base64,{base64.b64encode(data).decode()}"
