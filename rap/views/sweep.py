"""A plane sweep's views and costs: how well each plane of inverse depth fits what the neighbours of a frame see.

Frames are compared by normalised correlation over planes of inverse depth (Collins, A space-sweep approach to true
multi-image matching, CVPR 1996), in the better half of the neighbours, because the others may not see what it sees.
Once depths are known, a neighbour is not asked about points it sees something in front of, and a hypothesis pays where
a neighbour looks through it at what lies behind (free space, as in Merrell et al., Real-time visibility-based fusion of
depth maps, ICCV 2007). How pixels map between cameras: `rap.views.transfer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rap.geometry.camera import resize_intrinsics
from rap.views.stereo import correlation_cost
from rap.views.transfer import Pair, float32, grid_intrinsics, in_view, pair_of, pixels, sample, transfer

FINE = 4
"""Grey levels are looked up in pictures enlarged so much: a nearest pixel there is as good as interpolation here, and
seven times faster."""

OUT_OF_VIEW = 1.0  # cost: as of a flat window, no opinion
OCCLUDED_PLANES, FREE_PLANES, FREE_RAMP, FREE_COST = 2.5, 2.0, 4.0, 1.6
CONSISTENT_PX = 1.0  # at half resolution
CHUNK_CPU, CHUNK_GPU = 1 << 21, 1 << 27  # cells of a cost volume at once


@dataclass(frozen=True, eq=False)
class Views:
    """The frames at the working resolution.

    Attributes:
        frames: (S,3,h,w) in [0, 1].
        grey: (S,h,w).
        fine: (S,1,FINE h,FINE w) the grey levels to look up.
        Ts_world_camera, intrinsics: (S,4,4), (S,4) in px of (h, w).
    """

    frames: Tensor
    grey: Tensor
    fine: Tensor
    Ts_world_camera: np.ndarray
    intrinsics: np.ndarray

    @classmethod
    def of(cls, frames: Tensor, Ts: np.ndarray, intrinsics: np.ndarray, shrink: int) -> Views:
        """Of frames (S,3,H,W), `shrink` times smaller."""
        H, W = frames.shape[-2:]
        size = (max(1, round(H / shrink)), max(1, round(W / shrink)))
        small = F.interpolate(frames, size=size, mode="area")
        weights = torch.tensor([0.299, 0.587, 0.114], device=frames.device)
        grey = (small * weights[:, None, None]).sum(dim=1)
        fine = F.interpolate(grey[:, None], scale_factor=FINE, mode="bilinear", align_corners=False)
        return cls(small, grey, fine, Ts, resize_intrinsics(intrinsics, (H, W), size))

    @property
    def size(self) -> tuple[int, int]:
        return self.frames.shape[-2], self.frames.shape[-1]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What is compared.

    Attributes:
        planes: (S,D) inverse depths of each source, in even steps.
        neighbours: (S,K) numbers of the views it is compared with.
        moved_px: (S,) by how much a pixel moves in most of them between the first plane and the last.
    """

    planes: np.ndarray
    neighbours: np.ndarray
    moved_px: np.ndarray

    @property
    def step(self) -> np.ndarray:
        return (self.planes[:, -1] - self.planes[:, 0]) / (self.planes.shape[1] - 1)


def tensor_like(values: np.ndarray, like: Tensor) -> Tensor:
    """float32, where `like` is."""
    return float32(values, like.device)


def transferred(
    views: Views, a: np.ndarray, b: np.ndarray, inverse_depth: Float[Tensor, "n D _ _"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Where the pixels of views a, at inverse depths (n,D,h,w) or (n,D,1,1), lie in the views b, one b for each a.

    Returns:
        Places (n,2,D,h,w), in [-1, 1] across the picture, inverse depth there, and whether that is in view; (n,D,h,w).
    """
    x, y = pixels(views.size, inverse_depth.device)
    place, there, before = transfer(x, y, inverse_depth, _pair(views, a, b, views.size))
    return place, there, in_view(place).logical_and_(before)


def _pair(views: Views, a: np.ndarray, b: np.ndarray, grid: tuple[int, int] | None = None) -> Pair:
    """From the views a to the views b, by their numbers: to px, or to places across a picture of size `grid`."""
    poses, lenses = views.Ts_world_camera, views.intrinsics
    there = lenses[b] if grid is None else grid_intrinsics(lenses[b], grid)
    return pair_of((poses[a], lenses[a]), (poses[b], there), views.grey.device)


def look_up(pictures: Tensor, place: Float[Tensor, "n 2 D h w"], mode: str = "nearest") -> Float[Tensor, "n D h w"]:
    """Values of pictures (n,1,h',w') at places in [-1, 1]."""
    return sample(pictures, place.flatten(2, 3), mode).view(place[:, 0].shape)


def planes_to_depth(hypothesis: Tensor, sweep: Sweep) -> Tensor:
    """Fractions of plane numbers (S,h,w) -> inverse depth."""
    first, step = (tensor_like(part, hypothesis)[:, None, None] for part in (sweep.planes[:, 0], sweep.step))
    return first + step * hypothesis


def depth_to_planes(inverse_depth: Tensor, sweep: Sweep) -> Tensor:
    """Inverse depth (S,h,w) -> fractions of plane numbers."""
    first, step = (tensor_like(part, inverse_depth)[:, None, None] for part in (sweep.planes[:, 0], sweep.step))
    return (inverse_depth - first) / step


def row_groups(views: Views, sweep: Sweep) -> list[np.ndarray]:
    """The sources' numbers in groups: on a CPU so few at once that the temporaries stay near the cache."""
    count = len(views.grey)
    limit = CHUNK_CPU if views.grey.device.type == "cpu" else CHUNK_GPU
    size = max(1, limit // (sweep.planes.shape[1] * views.grey[0].numel()))
    return [np.arange(first, min(first + size, count)) for first in range(0, count, size)]


def _pairs(views: Views, sweep: Sweep, rows: np.ndarray) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """For each rank of neighbours: their numbers, and where the pixels of sources `rows` at all planes lie there."""
    planes = tensor_like(sweep.planes[rows], views.grey)[:, :, None, None]
    for neighbours in sweep.neighbours[rows].T:
        yield torch.from_numpy(neighbours).to(planes.device), transferred(views, rows, neighbours, planes)


def neighbour_costs(views: Views, sweep: Sweep, rows: np.ndarray) -> list[Float[Tensor, "n D h w"]]:
    """Correlation cost of the sources `rows` with each neighbour, OUT_OF_VIEW where it does not see the point."""
    costs = []
    for neighbours, (place, _, seen) in _pairs(views, sweep, rows):
        cost = correlation_cost(views.grey[rows[0] : rows[-1] + 1], look_up(views.fine[neighbours], place))
        costs.append(torch.where(seen, cost, OUT_OF_VIEW))
    return costs


def joined(costs: list[list[Tensor]]) -> Float[Tensor, "S D h w"]:
    """Of each source its neighbours' costs as one, all groups of sources together."""
    return torch.cat([_better_half(part) for part in costs])


def _better_half(costs: list[Tensor]) -> Tensor:
    """Mean of the lower half of the neighbours' costs at every pixel and plane: the others may see something else."""
    if len(costs) <= 2:
        return torch.stack(costs).amin(dim=0)
    count = (len(costs) + 1) // 2
    if count > 2:
        return torch.stack(costs).topk(count, dim=0, largest=False).values.mean(dim=0)
    least, second = torch.minimum(costs[0], costs[1]), torch.maximum(costs[0], costs[1])
    for cost in costs[2:]:
        second = torch.minimum(second, torch.maximum(least, cost))
        least = torch.minimum(least, cost)
    return (least + second).mul_(0.5)


def with_visibility(
    costs: list[Tensor], views: Views, sweep: Sweep, rows: np.ndarray, depth: Float[Tensor, "S h w"]
) -> list[Tensor]:
    """The costs, knowing all depths: no opinion behind what the neighbour sees, a price before it."""
    step = tensor_like(sweep.step[rows], depth)[:, None, None, None]
    judged = []
    for cost, (neighbours, (place, there, _)) in zip(costs, _pairs(views, sweep, rows), strict=True):
        surface = look_up(depth[neighbours][:, None], place)
        nearer = surface.sub_(there).div_(step)  # in planes: by how much the neighbour's surface lies before the point
        free = ((-FREE_PLANES - nearer) * (1 / FREE_RAMP)).clamp_(0, 1)
        judged.append(torch.where(nearer > OCCLUDED_PLANES, OUT_OF_VIEW, cost.add(free, alpha=FREE_COST)))
    return judged


def consistency(inverse_depth: Float[Tensor, "S h w"], views: Views, neighbours: np.ndarray) -> Float[Tensor, "S h w"]:
    """Confidence in [0, 1]: exp(-e^2 / 2), e px the way from a source to a neighbour and back by both their depths.

    The mean over the better half of the neighbours (Schoenberger et al., Pixelwise view selection for unstructured
    multi-view stereo, ECCV 2016, section 4.3: forward-backward reprojection error).
    """
    h, w = views.size
    sources = np.arange(len(inverse_depth))
    x0, y0 = pixels(views.size, inverse_depth.device)
    agreed = []
    for others in neighbours.T:
        place, _, seen = transferred(views, sources, others, inverse_depth[:, None])
        there = look_up(inverse_depth[torch.from_numpy(others)][:, None], place, "bilinear")[:, 0]
        x, y = (place[:, 0] + 1) * (w / 2), (place[:, 1] + 1) * (h / 2)
        back, _, before = transfer(x, y, there, _pair(views, others, sources))
        error = ((back[:, 0] - x0) ** 2 + (back[:, 1] - y0) ** 2) / CONSISTENT_PX**2
        agreed.append(torch.where(seen[:, 0] & before, torch.exp(-0.5 * error), 0.0))
    return 1 - _better_half([1 - one for one in agreed])
