"""Pictures of a lens with distortion as the pinhole that is left of it would have taken them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from PIL import Image

from rap.data.images import ORIENTATION, UPRIGHT
from rap.formats.distortion import Distortion
from rap.geometry import resize_intrinsics

SCALES = (0.5, 4.0)
"""Of the focal length: how far the view may open where the lens saw more, or narrow where it saw less."""

BORDER_POINTS = 64


@lru_cache(maxsize=64)
def pinhole_of(
    distortion: Distortion, intrinsics: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """The widest pinhole about the same axis whose every pixel the lens has seen: fx, fy, cx, cy.

    A fisheye keeps the scale in its middle at least: what lies farther out would be stretched without end.

    Args:
        intrinsics: of the lens, in pixels of `size`, (h, w).
    """
    fx, fy, cx, cy = intrinsics
    h, w = size
    along = np.linspace(0.0, 1.0, BORDER_POINTS)
    border = np.concatenate(
        [np.stack([along * w, np.full_like(along, y)], axis=1) for y in (0.0, h)]
        + [np.stack([np.full_like(along, x), along * h], axis=1) for x in (0.0, w)]
    )
    rays = (border - (cx, cy)) / (fx, fy)
    low, high = (1.0 if distortion.is_fisheye else SCALES[0]), SCALES[1]
    if _sees(distortion, rays / low, intrinsics, size):
        high = low
    for _ in range(40):  # halving: the share of the focal length is known to 1e-11 then
        middle = (low + high) / 2
        low, high = (low, middle) if _sees(distortion, rays / middle, intrinsics, size) else (middle, high)
    return fx * high, fy * high, cx, cy


def _sees(distortion: Distortion, rays: np.ndarray, intrinsics: tuple[float, ...], size: tuple[int, int]) -> bool:
    """Whether all rays up to these, and not only these, fall into the picture, going outwards."""
    inwards = np.linspace(0.25, 1.0, 16)[:, None, None]
    with np.errstate(all="ignore"):
        places = distortion.distorted(rays * inwards)
        away = np.linalg.norm(places, axis=-1)
    x, y = places[..., 0] * intrinsics[0] + intrinsics[2], places[..., 1] * intrinsics[1] + intrinsics[3]
    slack = 1e-6 * max(size)
    is_inside = (x >= -slack) & (x <= size[1] + slack) & (y >= -slack) & (y <= size[0] + slack)
    return bool(np.isfinite(away).all() and is_inside.all() and (np.diff(away, axis=0) > 0).all())


def undistorted(
    image: Image.Image, distortion: Distortion, intrinsics: Float[np.ndarray, "4"], stated: tuple[int, int]
) -> Image.Image:
    """An upright picture as the camera `pinhole_of` takes it; size and `info` stay.

    Args:
        intrinsics: of the lens, in pixels of `stated`, (h, w), for the picture as it is stored.
    """
    import cv2

    turns = UPRIGHT.get(image.info.get(ORIENTATION, 1), ())
    stored = image
    for turn in reversed(turns):
        stored = stored.transpose(UNDO.get(turn, turn))
    size = stored.height, stored.width
    column, row = _maps(distortion, tuple(float(value) for value in intrinsics), stated, size)
    straight = Image.fromarray(
        cv2.remap(np.asarray(stored), column, row, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    )
    for turn in turns:
        straight = straight.transpose(turn)
    straight.info.update(image.info)
    return straight


UNDO = {
    Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
    Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
}
"""Other turns undo themselves."""


@lru_cache(maxsize=2)
def _maps(
    distortion: Distortion, intrinsics: tuple[float, ...], stated: tuple[int, int], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of a picture of `size` where in the distorted one it comes from; cv2 counts from pixel centres."""
    fx, fy, cx, cy = pinhole_of(distortion, intrinsics, stated)  # type: ignore[arg-type]
    lens = resize_intrinsics(np.array(intrinsics), stated, size)
    straight = resize_intrinsics(np.array([fx, fy, cx, cy]), stated, size)
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    rays = np.stack([(columns - straight[2]) / straight[0], (rows - straight[3]) / straight[1]], axis=-1)
    places = distortion.distorted(rays) * lens[:2] + lens[2:] - 0.5
    return places[..., 0].astype(np.float32), places[..., 1].astype(np.float32)
