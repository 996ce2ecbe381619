"""Splatting: inverse depth of one camera as a z-buffer of another (torch, any device).

Points are put into the pixels they fall into, the nearest one counts, and the cracks of magnified surfaces are closed.
Which pixel of the source stands there is found backwards, from that depth (`rap.views.transfer`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rap.geometry import se3
from rap.views.transfer import Pair, pixels, transfer

LEAK = 0.05
"""Relative step in inverse depth from which what shows between two neighbours is a crack and not the surface."""

MAX_REPEAT = 4


def points_a_pixel(
    source_cameras: tuple[np.ndarray, np.ndarray], target_cameras: tuple[np.ndarray, np.ndarray], median: float
) -> int:
    """Side of the square of points that each source pixel is splatted as, lest a magnified surface fall apart.

    The magnification is the ratio of the focal lengths over that of the depths, of a point at the median depth on the
    source's axis; a quarter above a whole number is left to `close_cracks`.
    """
    T_target_source = se3.inverse(target_cameras[0]) @ source_cameras[0]
    depths = T_target_source[..., 2, 2] + T_target_source[..., 2, 3] * median
    zoom = target_cameras[1][..., :2].mean(axis=-1) / source_cameras[1][..., :2].mean(axis=-1)
    scale = (zoom / np.maximum(depths, 1 / MAX_REPEAT)).max()
    return int(np.clip(np.ceil(scale - 0.25), 1, MAX_REPEAT))


def splat(depth: Tensor, forward: Pair, size: tuple[int, int], repeat: int) -> Tensor:
    """Greatest inverse depth (P,H,W) of the points that fall into each pixel of the target, 0 where none does."""
    h, w = depth.shape[-2:]
    x, y = pixels((h * repeat, w * repeat), depth.device)
    x, y = x * (2 / (w * repeat)) - 1, y * (2 / (h * repeat)) - 1
    if repeat > 1:  # so many points a pixel that a larger target is covered
        depth = depth.repeat_interleave(repeat, dim=-1).repeat_interleave(repeat, dim=-2)
    return splat_points(x, y, depth, forward, size)


def splat_points(x: Tensor, y: Tensor, depth: Tensor, forward: Pair, size: tuple[int, int]) -> Tensor:
    """The same of points (P,h,w) at places x and y of the source, to be broadcast."""
    H, W = size
    place, value, before = transfer(x, y, depth, forward)
    to_x, to_y = place.unbind(1)
    inside = before & (to_x >= 0) & (to_x < W) & (to_y >= 0) & (to_y < H)
    value.mul_(inside)  # 0 changes nothing wherever it lands
    index = to_y.clamp_(0, H - 1).long().mul_(W).add_(to_x.clamp_(0, W - 1).long())
    buffer = torch.zeros(len(depth), H * W, device=depth.device)
    buffer.scatter_reduce_(1, index.flatten(1), value.flatten(1), "amax")
    return buffer.unflatten(1, (H, W))


def close_cracks(depth: Tensor) -> Tensor:
    """Pixels between two opposite neighbours that lie nearer take the farther one's depth: (P,H,W).

    Where a surface is magnified its points leave lines of empty pixels, or of what lies behind it. A true hole has a
    neighbour behind it on one side, whose depth it may take; the consistency with the source decides afterwards. So it
    does on the rim of what is seen, which is let grow by a pixel because points fall up to half a pixel inside it.
    """
    for _ in range(2):
        padded = F.pad(depth, (1, 1, 1, 1))
        H, W = depth.shape[-2:]
        between = torch.zeros_like(depth)
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            one = padded[:, 1 + dy : 1 + dy + H, 1 + dx : 1 + dx + W]
            other = padded[:, 1 - dy : 1 - dy + H, 1 - dx : 1 - dx + W]
            torch.maximum(between, torch.minimum(one, other), out=between)
        depth = torch.where(between * (1 - LEAK) > depth, between, depth)
    padded = F.pad(depth, (1, 1, 1, 1))
    rows = torch.maximum(torch.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    grown = torch.maximum(torch.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])
    return torch.where(depth > 0, depth, grown)
