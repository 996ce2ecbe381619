"""Depth of every source frame of a clip with known cameras: plane sweep, smoothing, agreement of the views (torch).

Each source is compared with its best neighbours (`rap.views.sweep_plan`) over planes of inverse depth
(`rap.views.sweep`); the cost is smoothed along four paths (`rap.views.stereo.semi_global`). Then every source
knows the depth of the others, and a second round uses it. Where the views do not agree, or there is no texture,
or no other view, the planes around are continued (`rap.views.completion`): before the second round as a prior, after
it as the result.

All work is done at half resolution; how pixels map between cameras: `rap.views.transfer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rap.reconstruction.tracks import PointCloud
from rap.views.completion import plane_fit
from rap.views.depth_network import DepthNetwork, Evidence
from rap.views.stereo import best_hypothesis, median_filter, semi_global
from rap.views.sweep import (
    Sweep,
    Views,
    consistency,
    depth_to_planes,
    joined,
    look_up,
    neighbour_costs,
    planes_to_depth,
    row_groups,
    tensor_like,
    transferred,
    with_visibility,
)
from rap.views.sweep_plan import (
    NEAR,
    Seen,
    coarse_ranges,
    median_inverse_depths,
    plan,
    ranges_of,
    visible_points,
    widest_parallax_px,
)

SHRINK = 2
"""Depth is computed on frames this much smaller: noise averages out, and the sweep costs a quarter."""

MIN_PARALLAX_PX = 0.25
"""Of the widest pair, at half resolution: with less there is no depth to be seen."""

RESOLVED_PX = 4.0  # parallax between the nearest and the farthest plane with which depths are told apart
PRIOR_WEIGHT, PRIOR_SLACK, PRIOR_RAMP = 0.5, 1.0, 8.0  # cost; planes without cost; planes up to the full cost

COMPLETION = ((100.0, 6.0), (40.0, 2.0), (10.0, 0.5))
"""Reach in px and edge (see `completion`) of the fits, each continuing the one before where it knows little."""

COARSER_WEIGHT = 0.05
SURE = 0.1  # agreement below which a depth is not used to complete others
POINT_WEIGHT = 60.0
"""Of a point against a sure depth at a pixel: it stands for its surroundings. Measured from 0.5 to 20, together with
PRIOR_WEIGHT from 0.25: 2.2 dB where three frames of 11 synthetic clips are shown, 0.6 where every other one is; from 20
on, with hidden points left out: 0.1 and nothing, 20 clips."""

MATCHED = 0.5  # correlation from which a match is worth its whole agreement

EDGE_RATIO = 1.15
"""Of inverse depths within a pixel from which two surfaces meet. 1.3 and two pixels are within 0.02 dB of it."""

MAX_BEFORE = 16.0  # planes: how far before its own surface a source is told that a neighbour's lies


@dataclass(frozen=True, eq=False)
class DepthMaps:
    """Depth of S frames.

    Attributes:
        inverse_depth: (S,h,w) float32, 1 / z-depth in the frame's camera, positive.
        confidence: (S,h,w) in [0, 1]: whether other frames see the surface at the same place.
    """

    inverse_depth: Float[Tensor, "S h w"]
    confidence: Float[Tensor, "S h w"]


@dataclass(frozen=True, eq=False)
class _Flat:
    """Frames without parallax: planes at (S,) inverse depths."""

    inverse_depth: np.ndarray


@dataclass(frozen=True, eq=False)
class _Swept:
    """What both rounds have found.

    Attributes:
        depth, confidence: (S,h,w) inverse depth, completed, and how far the views agree on that of stereo.
        stereo, knowledge: (S,h,w) inverse depth of stereo alone, and how much a pixel knows it by itself.
        points: (S,h,w) inverse depth of sparse points, and whether there is one.
        blind, informed: (S,D,h,w) costs of the first and of the second round.
    """

    views: Views
    sweep: Sweep
    depth: Tensor
    confidence: Tensor
    stereo: Tensor
    knowledge: Tensor
    points: tuple[Tensor, Tensor]
    blind: Tensor
    informed: Tensor


def plane_sweep(
    frames: Float[Tensor, "S 3 H W"],
    Ts_world_camera: Float[np.ndarray, "S 4 4"],
    intrinsics: Float[np.ndarray, "S 4"],
    points: PointCloud | None = None,
    *,
    point_frames: Sequence[int] | None = None,
    num_neighbours: int = 4,
    network: DepthNetwork | None = None,
) -> DepthMaps:
    """Depth of every frame from all of them.

    One frame, or frames from one place (a pan): a plane at the median depth of the points (at unit depth without
    points), confidence 0. Parts of a frame that no other frame sees, or without texture, follow the points and their
    surroundings; their confidence is low. So is that of all depths where the cameras hardly move.

    Args:
        frames: colours in [0, 1].
        Ts_world_camera: camera-to-world poses; their unit is that of the depth.
        intrinsics: fx, fy, cx, cy in px of (H, W).
        points: sparse points in the world; they tell the range of depths. None finds it by a coarse sweep.
        point_frames: which of the frames that the points were tracked through the S frames are. Only points that a
            frame has seen then count as its surface; others in its view may lie behind it. None: all in view do.
        num_neighbours: how many other frames each is compared with.
        network: what corrects the result (`rap.views.depth_network`), on the frames' device; confidence is then
            1 / (1 + the error that it expects, in px of half the resolution). None leaves what the sweep has found.

    Returns:
        DepthMaps at (H, W), on the frames' device.

    Raises:
        ValueError: shapes that do not agree.
    """
    H, W = frames.shape[-2:]
    swept = _swept(frames, Ts_world_camera, intrinsics, points, point_frames, num_neighbours)
    if isinstance(swept, _Flat):
        flat = tensor_like(swept.inverse_depth, frames)[:, None, None].expand(-1, H, W).contiguous()
        return DepthMaps(flat, torch.zeros_like(flat))
    maps = torch.stack(
        [swept.depth, swept.confidence] if network is None else _corrected(swept, frames, network), dim=1
    )
    maps = F.interpolate(maps, size=(H, W), mode="bilinear", align_corners=False)
    return DepthMaps(_without_ramps(maps[:, 0]), maps[:, 1])


def sweep_evidence(
    frames: Float[Tensor, "S 3 H W"],
    Ts_world_camera: Float[np.ndarray, "S 4 4"],
    intrinsics: Float[np.ndarray, "S 4"],
    points: PointCloud | None = None,
    *,
    point_frames: Sequence[int] | None = None,
    num_neighbours: int = 4,
) -> tuple[Evidence, Float[np.ndarray, "S 2"]] | None:
    """What `plane_sweep` would show a network, which learns from it; arguments and errors as there.

    Returns:
        The evidence, and the inverse depth of the first plane of each frame and the step from one plane to the next;
        None where no depth is to be seen.
    """
    swept = _swept(frames, Ts_world_camera, intrinsics, points, point_frames, num_neighbours)
    if isinstance(swept, _Flat):
        return None
    return _evidence(swept, frames), np.stack([swept.sweep.planes[:, 0], swept.sweep.step], axis=1)


def _swept(
    frames: Tensor,
    Ts_world_camera: np.ndarray,
    intrinsics: np.ndarray,
    points: PointCloud | None,
    point_frames: Sequence[int] | None,
    num_neighbours: int,
) -> _Swept | _Flat:
    """Both rounds of the sweep, where depth is to be seen."""
    Ts, K = np.asarray(Ts_world_camera, dtype=np.float64), np.asarray(intrinsics, dtype=np.float64)
    _check(frames, Ts, K, point_frames, num_neighbours)
    views = Views.of(frames.float(), Ts, K, SHRINK)
    seen = visible_points(views, points, point_frames)
    middle = median_inverse_depths(seen)
    if len(frames) == 1 or widest_parallax_px(views, middle) < MIN_PARALLAX_PX:
        return _Flat(middle)
    ranges = ranges_of(seen)
    if ranges is None:
        ranges = coarse_ranges(Views.of(frames.float(), Ts, K, 2 * SHRINK), num_neighbours)
    return _depth(views, plan(views, ranges, np.sqrt(ranges[:, 0] * ranges[:, 1]), num_neighbours), seen)


# --- the two rounds ---------------------------------------------------------------------------------------------------


def _depth(views: Views, sweep: Sweep, seen: list[Seen]) -> _Swept:
    """Two rounds: without and with what the other sources have found."""
    groups = row_groups(views, sweep)
    costs = [neighbour_costs(views, sweep, rows) for rows in groups]
    known = _seed_maps(views, seen)
    blind = joined(costs)
    depth, knowledge, _ = _round(views, sweep, blind, 0.0)
    completed = _completed(views, sweep, depth, knowledge, known)
    costs = [with_visibility(part, views, sweep, rows, depth) for part, rows in zip(costs, groups, strict=True)]
    prior, informed = _prior_cost(sweep, completed, knowledge), joined(costs)
    depth, knowledge, confidence = _round(views, sweep, informed, prior)
    result = torch.lerp(_completed(views, sweep, depth, knowledge, known), depth, knowledge)
    return _Swept(views, sweep, result, confidence, depth, knowledge, known, blind, informed)


def _round(
    views: Views, sweep: Sweep, cost: Float[Tensor, "S D h w"], prior: Tensor | float
) -> tuple[Tensor, Tensor, Tensor]:
    """Best depth of every pixel, how much it is known by itself (in [0, 1]), and how far the views agree on it."""
    hypothesis = best_hypothesis(semi_global(cost + prior, views.frames))
    depth = median_filter(planes_to_depth(hypothesis, sweep))
    resolved = tensor_like(np.clip(sweep.moved_px / RESOLVED_PX, 0, 1), depth)[:, None, None]
    confidence = consistency(depth, views, sweep.neighbours) * resolved  # without parallax any depth is consistent
    at = hypothesis.round().long().clamp(0, cost.shape[1] - 1)[:, None]
    matched = ((1 - cost.gather(1, at)[:, 0]) / MATCHED).clamp(0, 1)
    return depth, confidence**2 * matched, confidence


def _prior_cost(sweep: Sweep, completed: Tensor, knowledge: Tensor) -> Float[Tensor, "S D h w"]:
    """Price of leaving the completed depth, where the pixel itself knows little."""
    first, step = (tensor_like(part, completed)[:, None, None, None] for part in (sweep.planes[:, 0], sweep.step))
    number = torch.arange(sweep.planes.shape[1], device=completed.device)[:, None, None]
    away = (number - (completed[:, None] - first) / step).abs()
    price = ((away - PRIOR_SLACK) * (1 / PRIOR_RAMP)).clamp(0, 1)
    return price * (PRIOR_WEIGHT * (1 - knowledge))[:, None]


def _seed_maps(views: Views, seen: list[Seen]) -> tuple[Tensor, Tensor]:
    """Inverse depth (S,h,w) of the nearest point that each pixel has seen, and 1 where there is one."""
    h, w = views.size
    values = np.zeros((len(seen), h * w))
    for row, view in zip(values, seen, strict=True):
        x, y = view.xy[view.unhidden].astype(int).T
        np.maximum.at(row, y * w + x, view.inverse_depth[view.unhidden])
    maps = tensor_like(values.reshape(-1, h, w), views.grey)
    return maps, (maps > 0).to(maps.dtype)


def _completed(
    views: Views, sweep: Sweep, depth: Tensor, knowledge: Tensor, points: tuple[Tensor, Tensor]
) -> Float[Tensor, "S h w"]:
    """Inverse depth continued over what is not known, from wide fits to narrow ones."""
    least, greatest = (tensor_like(sweep.planes[:, k], depth)[:, None, None] for k in (0, -1))
    sure = torch.where(knowledge > SURE, knowledge, 0.0)
    point_weight = POINT_WEIGHT * points[1] * (1 - knowledge)
    weight = sure + point_weight
    total = sure * depth + point_weight * points[0]
    fill = torch.where(weight > 0, total / weight.clamp(min=NEAR), 0.5 * (least + greatest))
    for reach_px, edge in COMPLETION:
        values, _ = plane_fit(fill, weight, views.frames, reach_px=reach_px, edge=edge)
        values = torch.minimum(torch.maximum(values, least), greatest)
        weight = sure + point_weight + COARSER_WEIGHT
        fill = (total + COARSER_WEIGHT * values) / weight
    return values


# --- the network ------------------------------------------------------------------------------------------------------


def _evidence(swept: _Swept, frames: Tensor) -> Evidence:
    """What a network is shown, in planes."""
    sweep, (h, w) = swept.sweep, swept.views.size
    depth, stereo, points = (depth_to_planes(d, sweep) for d in (swept.depth, swept.stereo, swept.points[0]))
    maps = [depth, stereo, swept.knowledge, swept.confidence, points * swept.points[1], swept.points[1]]
    maps += [part for rank in (0, 1) for part in _neighbour_surfaces(swept, rank)]
    colour = frames.float()
    if colour.shape[-2:] != (2 * h, 2 * w):
        colour = F.interpolate(colour, size=(2 * h, 2 * w), mode="bilinear", align_corners=False)
    blind, informed = (part.permute(0, 2, 3, 1).contiguous() for part in (swept.blind, swept.informed))
    planes = torch.full((len(depth),), float(sweep.planes.shape[1]), device=depth.device)
    return Evidence(colour, torch.stack(maps, dim=1), blind, informed, planes, tensor_like(sweep.moved_px, depth))


def _neighbour_surfaces(swept: _Swept, rank: int) -> tuple[Tensor, Tensor]:
    """By how many planes the surface of each source's neighbour lies before the source's, and whether in its view."""
    views, sweep = swept.views, swept.sweep
    others = sweep.neighbours[:, min(rank, sweep.neighbours.shape[1] - 1)]
    place, there, seen = transferred(views, np.arange(len(others)), others, swept.depth[:, None])
    surface = look_up(swept.depth[torch.from_numpy(others)][:, None], place)
    before = (surface - there) / tensor_like(sweep.step, surface)[:, None, None, None]
    return before[:, 0].clamp(-MAX_BEFORE, MAX_BEFORE), seen[:, 0].float()


@torch.inference_mode()
def _corrected(swept: _Swept, frames: Tensor, network: DepthNetwork) -> tuple[Tensor, Tensor]:
    """Inverse depth and confidence (S,2h,2w) by the network."""
    sweep = swept.sweep
    hypothesis, log_error = network(_evidence(swept, frames))
    farthest, nearest = (
        tensor_like(factor * sweep.planes[:, k], hypothesis)[:, None, None] for factor, k in ((0.5, 0), (2.0, -1))
    )  # beyond, there is nothing to see it by
    inverse_depth = torch.minimum(torch.maximum(planes_to_depth(hypothesis, sweep), farthest), nearest)
    return inverse_depth, 1 / (1 + log_error.exp())


def _without_ramps(inverse_depth: Float[Tensor, "S h w"]) -> Float[Tensor, "S h w"]:
    """Pixels between a surface and the one behind it, where interpolation has left them, put on the nearer of the two.

    They would hang in the air between both, and cover what is behind from everywhere else.
    """
    padded = F.pad(inverse_depth[:, None], (1, 1, 1, 1), mode="replicate")
    most, least = F.max_pool2d(padded, 3, 1)[:, 0], -F.max_pool2d(-padded, 3, 1)[:, 0]
    nearer = torch.where(inverse_depth - least < most - inverse_depth, least, most)
    return torch.where(most > EDGE_RATIO * least, nearer, inverse_depth)


# --- checks -----------------------------------------------------------------------------------------------------------


def _check(
    frames: Tensor, Ts: np.ndarray, intrinsics: np.ndarray, point_frames: Sequence[int] | None, num_neighbours: int
) -> None:
    if frames.ndim != 4 or frames.shape[1] != 3 or min(frames.shape) == 0:
        raise ValueError(f"frames must have shape (sources, 3, H, W) with a source at least, got {tuple(frames.shape)}")
    count = len(frames)
    if Ts.shape != (count, 4, 4):
        raise ValueError(f"Ts_world_camera must have one pose a frame, ({count}, 4, 4), got {Ts.shape}")
    if intrinsics.shape != (count, 4):
        raise ValueError(f"intrinsics must have one row a frame, ({count}, 4), got {intrinsics.shape}")
    if point_frames is not None and len(point_frames) != count:
        raise ValueError(f"point_frames must name each of the {count} frames, got {len(point_frames)} numbers")
    if num_neighbours < 1:
        raise ValueError(f"num_neighbours must be at least 1, got {num_neighbours}")
