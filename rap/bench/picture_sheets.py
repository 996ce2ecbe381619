"""Contact sheets of `rap bench picture --sheets`: pictures as layers, looked at along presets.

Of every picture one sheet: the photograph beside its depth (bright is near), what stands behind and beside it, then two
frames of each preset, half-way and at its end. Arcs turn by 20 degrees, zooms go 0.3 of the distance of the middle, and
the lens is the usual one: what the app takes where nothing else is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from rap.config import IMAGE_SUFFIXES
from rap.data import load_clip
from rap.data.images import read_image, to_rgb
from rap.geometry.presets import ARC_RAD, preset
from rap.views.hints import to_u8
from rap.views.layers import Layers, lift
from rap.views.monocular import USUAL_FOCAL, PictureDepth, fov_y_of

SIDE = 640
ARC, WAY = math.radians(20), 0.3
AMPLITUDES = {
    "arc-left": ARC / float(ARC_RAD),
    "arc-right": ARC / float(ARC_RAD),
    "zoom-in": -math.log2(1 - WAY),
    "zoom-out": math.log2(1 + WAY),
}
QUALITY = 92


def picture_of(path: Path, side: int = SIDE) -> UInt8[np.ndarray, "h w 3"]:
    """A picture, or the first frame of a film, at this long side; smaller ones stay as they are.

    Raises:
        InputError: no picture, and no film either.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        picture_u8 = load_clip(path, num_frames=1).footage[0]
    else:
        picture_u8 = np.asarray(to_rgb(read_image(path), path.name))
    return resized(picture_u8, side)


def resized(picture_u8: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "a b 3"]:
    """With the long side at most `side` px, by area averages; never enlarged."""
    h, w = picture_u8.shape[:2]
    scale = min(1.0, side / max(h, w))
    size = max(1, round(w * scale)), max(1, round(h * scale))
    return np.ascontiguousarray(cv2.resize(picture_u8, size, interpolation=cv2.INTER_AREA))


def layers_of(picture_u8: UInt8[np.ndarray, "h w 3"], depth: PictureDepth) -> Layers:
    """A picture with its depth, lifted."""
    h, w = picture_u8.shape[:2]
    focal_px = USUAL_FOCAL * max(h, w)
    colours = torch.from_numpy(picture_u8).permute(2, 0, 1).float() / 255
    inverse_depth = torch.from_numpy((1 / depth.depth).astype(np.float32))
    return lift(colours, inverse_depth, np.array([focal_px, focal_px, w / 2, h / 2]))


def sheet(
    picture_u8: UInt8[np.ndarray, "h w 3"], predict: Callable[[np.ndarray], PictureDepth]
) -> UInt8[np.ndarray, "H W 3"]:
    """One picture's contact sheet, six rows of two."""
    size = picture_u8.shape[0], picture_u8.shape[1]
    depth = predict(picture_u8)
    layers = layers_of(picture_u8, depth)
    h, w = size
    middle = depth.depth[int(0.4 * h) : int(0.6 * h) + 1, int(0.4 * w) : int(0.6 * w) + 1]
    near = 1 / depth.depth
    shade = (255 * (near / np.quantile(near, 0.99)).clip(0, 1)).astype(np.uint8)
    back = layers.layers[1]
    rows = [
        (picture_u8, np.repeat(shade[..., None], 3, axis=-1)),
        (_within(to_u8(back.colour), size), _within(to_u8(back.seen.expand(3, -1, -1)), size)),
    ]
    for name, amplitude in AMPLITUDES.items():
        path = preset(
            name,
            num_frames=3,
            image_size=size,
            fov_y_rad=fov_y_of(USUAL_FOCAL, size),
            amplitude=amplitude,
            pivot_distance=float(np.median(middle)),
        )
        rendered = to_u8(layers.render(path.Ts_world_camera[1:], path.intrinsics[1:], size).filled)
        rows.append((rendered[0], rendered[1]))
    return np.vstack([np.hstack(row) for row in rows])


def _within(picture_u8: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scaled to fit, on black."""
    h, w = picture_u8.shape[:2]
    scale = min(size[0] / h, size[1] / w)
    small = cv2.resize(picture_u8, (int(w * scale), int(h * scale)), interpolation=cv2.INTER_AREA)
    top, left = (size[0] - small.shape[0]) // 2, (size[1] - small.shape[1]) // 2
    bottom, right = size[0] - small.shape[0] - top, size[1] - small.shape[1] - left
    return np.pad(small, [(top, bottom), (left, right), (0, 0)])


def write_sheets(pictures: list[Path], folder: Path, predict: Callable[[np.ndarray], PictureDepth]) -> list[Path]:
    """Sheets of all pictures, as JPEG; two of the same name are told apart by their folder's."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for path in pictures:
        alone = sum(other.stem == path.stem for other in pictures) == 1
        target = folder / f"{path.stem if alone else f'{path.parent.name}_{path.stem}'}.jpg"
        found = sheet(picture_of(path), predict)
        cv2.imwrite(str(target), cv2.cvtColor(found, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        written.append(target)
    return written
