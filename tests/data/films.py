"""Small videos and pictures with known content, made on the fly."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

QUADRANTS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], dtype=np.uint8)
"""Red, green / blue, yellow: every turn and mirror of it is different."""


def quadrants(h: int = 48, w: int = 64) -> np.ndarray:
    return QUADRANTS.repeat(h // 2, axis=0).repeat(w // 2, axis=1)


def corners(image: Image.Image) -> np.ndarray:
    """Colours near the four corners, robust to JPEG."""
    array = np.asarray(image).astype(int)
    h, w, _ = array.shape
    return array[[[h // 4], [3 * h // 4]], [w // 4, 3 * w // 4]]


def numbered_frames(count: int, h: int = 48, w: int = 80) -> np.ndarray:
    """Frames whose grey value tells their number, from 8 to 240."""
    values = np.linspace(8, 240, count).round().astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (count, h, w, 3))


def write_film(
    path: Path,
    frames_u8: np.ndarray,
    *,
    fps: int = 30,
    codec: str = "libx264",
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    format_name: str | None = None,
) -> Path:
    """Write frames without loss of colour worth speaking of."""
    with av.open(str(path), "w", format=format_name) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = frames_u8.shape[1], frames_u8.shape[2], "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "4", "preset": "ultrafast"}
        else:
            stream.bit_rate = 4_000_000
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in frames_u8:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path
