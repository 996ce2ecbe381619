"""A depth map as a file of its own: 16 bits a pixel, its scale within the file; and as a picture to be looked at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8, UInt16
from PIL import Image, PngImagePlugin

from rap.writing import whole_file

STEPS_A_UNIT = 2000
"""Values of the file to the median depth: 16 bits reach to 32 of these, the nearest tenth of one is told to 0.5 %."""

FARTHEST = 2**16 - 1

PERCENTILES = (1.0, 99.0)
"""Of the inverse depth: what the picture's colours span."""


def depth_u16(inverse_depth: Float[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Depth in parts of its median times `STEPS_A_UNIT`; what is farther than fits is `FARTHEST`, nothing is 0."""
    depth = 1 / np.maximum(inverse_depth, 1e-6)
    return np.clip(np.round(depth / np.median(depth) * STEPS_A_UNIT), 1, FARTHEST).astype(np.uint16)


def write_depth_png(path: str | Path, inverse_depth: Float[np.ndarray, "h w"], fov_y_rad: float) -> None:
    """`depth_u16` as a PNG that says in its text chunks how it is to be read.

    Args:
        inverse_depth: 1 / z-depth, in whatever unit.
        fov_y_rad: vertical field of view of the picture, assumed or known.
    """
    text = PngImagePlugin.PngInfo()
    for key, words in (
        ("Title", "Depth map"),
        ("Depth", f"value / {STEPS_A_UNIT}, along the optical axis; {FARTHEST}: that far or farther"),
        ("Unit", "the median depth of this picture"),
        ("Steps per unit", str(STEPS_A_UNIT)),
        ("Vertical field of view", f"{np.degrees(fov_y_rad):.2f} degrees"),
    ):
        text.add_text(key, words)
    with whole_file(path) as partial:
        Image.fromarray(depth_u16(inverse_depth)).save(partial, pnginfo=text)


def write_depth_pngs(folder: Path, inverse_depths: Float[np.ndarray, "T h w"]) -> None:
    """Frames of a film, 0000.png ...: depth in parts of the path's unit times `STEPS_A_UNIT`, all alike."""
    folder.mkdir(exist_ok=True)
    depth = np.round(STEPS_A_UNIT / np.maximum(inverse_depths, 1e-6))
    for i, frame in enumerate(np.clip(depth, 1, FARTHEST).astype(np.uint16)):
        with whole_file(folder / f"{i:04d}.png") as partial:
            Image.fromarray(frame).save(partial)


def depth_picture(inverse_depth: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Near is bright, far is dark."""
    near, far = np.percentile(inverse_depth, PERCENTILES[::-1])
    share = np.clip((inverse_depth - far) / max(near - far, 1e-6), 0, 1)
    coloured = cv2.applyColorMap(np.round(share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB)
