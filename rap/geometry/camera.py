"""The pinhole camera: intrinsics (numpy) and rays, projection, unprojection (torch).

Intrinsics are `(…, 4)`: fx, fy, cx, cy in pixels of a stated size `(h, w)`. Pixel centres lie at +0.5, so the centre of
the image is `(w / 2, h / 2)` and resizing an image scales its intrinsics without an offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

if TYPE_CHECKING:  # imported where a map is made: who reads a file needs intrinsics alone, and torch takes seconds
    import torch
    from torch import Tensor


def _check_size(image_size: tuple[int, int], name: str) -> tuple[int, int]:
    h, w = image_size
    if h <= 0 or w <= 0:
        raise ValueError(f"{name} must be a positive (height, width) in pixels, got {tuple(image_size)}")
    return h, w


def intrinsics_from_fov(fov_y_rad: float, image_size: tuple[int, int]) -> Float[np.ndarray, "4"]:
    """Intrinsics of a centred camera with square pixels.

    Args:
        fov_y_rad: vertical field of view in radians, in (0, pi).
        image_size: (h, w) in pixels.
    """
    h, w = _check_size(image_size, "image_size")
    if not 0 < fov_y_rad < np.pi:
        raise ValueError(f"fov_y_rad must lie in (0, pi), got {fov_y_rad}; degrees?")
    focal_px = h / (2 * np.tan(fov_y_rad / 2))
    return np.array([focal_px, focal_px, w / 2, h / 2])


def fov_y_from_intrinsics(intrinsics: Float[ArrayLike, "*batch 4"], h: int) -> Float[np.ndarray, "*batch"]:
    """Vertical field of view in radians of an image h pixels high, 2 atan(h / 2 fy)."""
    return 2 * np.arctan(h / (2 * np.asarray(intrinsics, dtype=np.float64)[..., 1]))


def resize_intrinsics(
    intrinsics: Float[ArrayLike, "*batch 4"], old_hw: tuple[int, int], new_hw: tuple[int, int]
) -> Float[np.ndarray, "*batch 4"]:
    """Intrinsics after the whole image is resized from old_hw to new_hw."""
    old_h, old_w = _check_size(old_hw, "old_hw")
    new_h, new_w = _check_size(new_hw, "new_hw")
    scale_x, scale_y = new_w / old_w, new_h / old_h
    return np.asarray(intrinsics, dtype=np.float64) * [scale_x, scale_y, scale_x, scale_y]


def crop_intrinsics(intrinsics: Float[ArrayLike, "*batch 4"], top: float, left: float) -> Float[np.ndarray, "*batch 4"]:
    """Intrinsics after `top` rows and `left` columns (pixels) are cut off, whatever is cut at the other sides."""
    return np.asarray(intrinsics, dtype=np.float64) - [0, 0, left, top]


def pixel_centres(
    image_size: tuple[int, int], device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Float[Tensor, "h w 2"]:
    """Pixel centres (x, y) at +0.5, as an image."""
    import torch

    h, w = _check_size(image_size, "image_size")
    dtype = dtype or torch.get_default_dtype()
    y = torch.arange(h, device=device, dtype=dtype) + 0.5
    x = torch.arange(w, device=device, dtype=dtype) + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def ray_directions(intrinsics: Float[Tensor, "*batch 4"], image_size: tuple[int, int]) -> Float[Tensor, "*batch h w 3"]:
    """Unit direction through every pixel centre, in the camera's frame: K^-1 u~ / |K^-1 u~|."""
    import torch

    pixels = pixel_centres(image_size, intrinsics.device, intrinsics.dtype)
    focal, centre = intrinsics[..., None, None, :2], intrinsics[..., None, None, 2:]
    xy = (pixels - centre) / focal
    return torch.nn.functional.normalize(torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1), dim=-1)


def project(
    points_camera: Float[Tensor, "*batch n 3"], intrinsics: Float[Tensor, "*batch 4"]
) -> Float[Tensor, "*batch n 2"]:
    """Pixel positions (x, y) of points in the camera's frame; those with z <= 0 are behind it: mask them."""
    xy = points_camera[..., :2] / points_camera[..., 2:]
    return xy * intrinsics[..., None, :2] + intrinsics[..., None, 2:]


def unproject(
    pixels: Float[Tensor, "*batch n 2"], depth: Float[Tensor, "*batch n"], intrinsics: Float[Tensor, "*batch 4"]
) -> Float[Tensor, "*batch n 3"]:
    """Points in the camera's frame from pixel positions (x, y) and z-depth (distance along the optical axis)."""
    import torch

    xy = (pixels - intrinsics[..., None, 2:]) / intrinsics[..., None, :2]
    return torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1) * depth[..., None]
