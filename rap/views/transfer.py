"""Pixels with inverse depth, from one camera to where they lie in another.

A pixel (x, y) of inverse depth d in camera a is the point (K_a^-1 (x, y, 1)) / d; times d, and with X_b = R X_a + t,

    h = K_b R K_a^-1 (x, y, 1) + d K_b t        (x', y') = (h_x, h_y) / h_z        d' = d / h_z

so that one matrix A = K_b R K_a^-1 and one vector e = K_b t for each pair of cameras do everything, d = 0 (infinitely
far) included (Hartley and Zisserman, Multiple View Geometry, section 9.6.1: the infinite homography and the epipole).

Places are planes x' and y', not pairs: every step is then one pass over memory that lies together, and `grid_sample`
takes them without a copy.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from rap.geometry import se3

Pair = tuple[Tensor, Tensor]
"""A (P,3,3) and e (P,3) of P pairs of cameras."""

NEAR = 1e-4
"""Depth in the other camera over that in the first from which a point lies before it."""


Cameras = tuple[Float[np.ndarray, "*n 4 4"], Float[np.ndarray, "*n 4"]]
"""Camera-to-world poses and intrinsics."""


def pair_matrices(a: Cameras, b: Cameras) -> tuple[Float[np.ndarray, "*n 3 3"], Float[np.ndarray, "*n 3"]]:
    """A and e from cameras a to cameras b, in float64."""
    T_b_a = se3.inverse(b[0]) @ a[0]
    K_a, K_b = _matrices(a[1]), _matrices(b[1])
    return K_b @ T_b_a[..., :3, :3] @ np.linalg.inv(K_a), (K_b @ T_b_a[..., :3, 3:])[..., 0]


def pair_of(a: Cameras, b: Cameras, device: torch.device) -> Pair:
    """A and e as `transfer` takes them."""
    A, e = pair_matrices(a, b)
    return float32(A.reshape(-1, 3, 3), device), float32(e.reshape(-1, 3), device)


def grid_intrinsics(intrinsics: Float[np.ndarray, "*n 4"], size: tuple[int, int]) -> Float[np.ndarray, "*n 4"]:
    """Intrinsics in px of an image (h, w) -> in units of `grid_sample`: -1 and 1 are the edges of the image."""
    h, w = size
    return intrinsics * [2 / w, 2 / h, 2 / w, 2 / h] - [0, 0, 1, 1]


def pixels(size: tuple[int, int], device: torch.device) -> tuple[Float[Tensor, " W"], Float[Tensor, "H 1"]]:
    """Pixel centres x and y in px, to be broadcast."""
    h, w = size
    x = torch.arange(w, device=device, dtype=torch.float32) + 0.5
    return x, torch.arange(h, device=device, dtype=torch.float32)[:, None] + 0.5


def transfer(
    x: Tensor, y: Tensor, inverse_depth: Float[Tensor, "P *D h w"], pair: Pair
) -> tuple[Float[Tensor, "P 2 *D h w"], Float[Tensor, "P *D h w"], Bool[Tensor, "P *D h w"]]:
    """Places in the other camera, inverse depth there, and whether that is before it; elsewhere both mean nothing.

    Args:
        x, y: positions in the first camera, to be broadcast with (P,1,*D,h,w).
        inverse_depth: there; its last two axes may be 1.
    """
    h = homogeneous(x, y, inverse_depth, pair)
    place, z = h[:, :2], h[:, 2]
    before = z > NEAR
    inverse = z.clamp_(min=NEAR).reciprocal_()
    return place.mul_(inverse[:, None]), inverse.mul_(inverse_depth), before


def homogeneous(
    x: Tensor, y: Tensor, inverse_depth: Float[Tensor, "P *D h w"], pair: tuple[Tensor, Tensor]
) -> Float[Tensor, "P rows *D h w"]:
    """The rows of h that A (P,rows,3) and e (P,rows) have; other arguments as `transfer`."""
    A, e = (part.view(*part.shape, *(1,) * (inverse_depth.ndim - 1)) for part in pair)
    return torch.addcmul(A[:, :, 0] * x + (A[:, :, 1] * y + A[:, :, 2]), e, inverse_depth[:, None])


def depth_there(
    place: Float[Tensor, "P 2 h w"], inverse_depth: Float[Tensor, "P h w"], pair: Pair
) -> Float[Tensor, "P h w"]:
    """Inverse depth in the other camera of what has it at these places of the first; 0 behind it."""
    A, e = pair
    z = homogeneous(place[:, None, 0], place[:, None, 1], inverse_depth, (A[:, 2:], e[:, 2:]))[:, 0]
    before = z > NEAR
    return z.clamp_(min=NEAR).reciprocal_().mul_(inverse_depth).mul_(before)


def in_view(place: Float[Tensor, "P 2 *D h w"]) -> Bool[Tensor, "P *D h w"]:
    """Whether places in [-1, 1] lie in the picture."""
    return torch.maximum(place[:, 0].abs(), place[:, 1].abs()) <= 1


def sample(
    maps: Float[Tensor, "P C h w"], place: Float[Tensor, "P 2 H W"], mode: str = "bilinear"
) -> Float[Tensor, "P C H W"]:
    """Values of maps at places in [-1, 1], the edge's beyond it."""
    grid = place.permute(0, 2, 3, 1)
    return F.grid_sample(maps, grid, mode=mode, padding_mode="border", align_corners=False)


def float32(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)


def _matrices(intrinsics: np.ndarray) -> np.ndarray:
    K = np.zeros((*intrinsics.shape[:-1], 3, 3))
    K[..., 0, 0], K[..., 1, 1], K[..., 2, 2] = intrinsics[..., 0], intrinsics[..., 1], 1.0
    K[..., :2, 2] = intrinsics[..., 2:]
    return K
