"""Depth of every source frame of a clip with known cameras: plane sweep, smoothing, agreement of the views (torch).

Each source is compared with its best neighbours over planes of inverse depth (Collins, A space-sweep approach to true
multi-image matching, CVPR 1996) by normalised correlation, in the better half of the neighbours, because the others
may not see what it sees; the cost is smoothed along four paths (`rap.views.stereo.semi_global`). Then every source
knows the depth of the others, and a second round uses it: a neighbour is not asked about points it sees something in
front of, and a hypothesis pays where a neighbour looks through it at what lies behind (free space, as in Merrell et
al., Real-time visibility-based fusion of depth maps, ICCV 2007). Where the views do not agree, or there is no texture,
or no other view, the planes around are continued (`rap.views.completion`): before the second round as a prior, after
it as the result.

All work is done at half resolution; how pixels map between cameras: `rap.views.transfer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rap.geometry import se3
from rap.geometry.camera import resize_intrinsics
from rap.reconstruction.tracks import PointCloud
from rap.views.completion import plane_fit
from rap.views.depth_network import DepthNetwork, Evidence
from rap.views.stereo import best_hypothesis, correlation_cost, median_filter, semi_global
from rap.views.transfer import (
    Pair,
    float32,
    grid_intrinsics,
    in_view,
    pair_matrices,
    pair_of,
    pixels,
    sample,
    transfer,
)

SHRINK = 2
"""Depth is computed on frames this much smaller: noise averages out, and the sweep costs a quarter."""

FINE = 4
"""Grey levels are looked up in pictures enlarged so much: a nearest pixel there is as good as interpolation here, and
seven times faster."""

PLANE_STEP_PX = 1.0
MIN_PLANES, MAX_PLANES = 16, 96
PLANE_BUDGET = 320
"""Planes of all sources together: bounds the time of wide motion. Nine sources of nine real windows, with the network:
512 gave 29.04 dB in 2.3 CPU s, 320 28.95 in 1.75, 320 with three neighbours instead of four 28.75 in 1.5."""

RANGE_MARGIN = (0.1, 1.35)
"""Planes reach from so much of the points' 3rd percentile of inverse depth to so much of the 97th. The far end is cheap
in planes, and what is seen between things is often behind all points (measured: 3 dB on an orbit of a toy)."""

MIN_POINTS = 12
"""With fewer points in view the range comes from a coarse sweep over all depths."""

MIN_PARALLAX_PX = 0.25
"""Of the widest pair, at half resolution: with less there is no depth to be seen."""

WANTED_PARALLAX_PX = 5.0
"""Of a neighbour, at half resolution: less is imprecise, more looks different."""

RESOLVED_PX = 4.0  # parallax between the nearest and the farthest plane with which depths are told apart
WANTED_ANGLE_RAD = float(np.deg2rad(25.0))
OUT_OF_VIEW = 1.0  # cost: as of a flat window, no opinion
OCCLUDED_PLANES, FREE_PLANES, FREE_RAMP, FREE_COST = 2.5, 2.0, 4.0, 1.6
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
CONSISTENT_PX = 1.0  # at half resolution
NEAR = 1e-6  # depths and weights that are none
CHUNK_CPU, CHUNK_GPU = 1 << 21, 1 << 27  # cells of a cost volume at once


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
class _Views:
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

    @property
    def size(self) -> tuple[int, int]:
        return self.frames.shape[-2], self.frames.shape[-1]


@dataclass(frozen=True, eq=False)
class _Sweep:
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

    views: _Views
    sweep: _Sweep
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
        flat = _tensor(swept.inverse_depth, frames)[:, None, None].expand(-1, H, W).contiguous()
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
    views = _views(frames.float(), Ts, K, SHRINK)
    seen = _visible_points(views, points, point_frames)
    middle = _median_inverse_depths(seen)
    if len(frames) == 1 or _widest_parallax_px(views, middle) < MIN_PARALLAX_PX:
        return _Flat(middle)
    ranges = _ranges_of(seen)
    if ranges is None:
        ranges = _coarse_ranges(_views(frames.float(), Ts, K, 2 * SHRINK), num_neighbours)
    return _depth(views, _plan(views, ranges, np.sqrt(ranges[:, 0] * ranges[:, 1]), num_neighbours), seen)


# --- cameras ----------------------------------------------------------------------------------------------------------


def _views(frames: Tensor, Ts: np.ndarray, intrinsics: np.ndarray, shrink: int) -> _Views:
    H, W = frames.shape[-2:]
    size = (max(1, round(H / shrink)), max(1, round(W / shrink)))
    small = F.interpolate(frames, size=size, mode="area")
    weights = torch.tensor([0.299, 0.587, 0.114], device=frames.device)
    grey = (small * weights[:, None, None]).sum(dim=1)
    fine = F.interpolate(grey[:, None], scale_factor=FINE, mode="bilinear", align_corners=False)
    return _Views(small, grey, fine, Ts, resize_intrinsics(intrinsics, (H, W), size))


def _tensor(values: np.ndarray, like: Tensor) -> Tensor:
    return float32(values, like.device)


def _transfer(
    views: _Views, a: np.ndarray, b: np.ndarray, inverse_depth: Float[Tensor, "n D _ _"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Where the pixels of views a, at inverse depths (n,D,h,w) or (n,D,1,1), lie in the views b, one b for each a.

    Returns:
        Places (n,2,D,h,w), in [-1, 1] across the picture, inverse depth there, and whether that is in view; (n,D,h,w).
    """
    x, y = pixels(views.size, inverse_depth.device)
    place, there, before = transfer(x, y, inverse_depth, _pair(views, a, b, views.size))
    return place, there, in_view(place).logical_and_(before)


def _pair(views: _Views, a: np.ndarray, b: np.ndarray, grid: tuple[int, int] | None = None) -> Pair:
    """From the views a to the views b, by their numbers: to px, or to places across a picture of size `grid`."""
    poses, lenses = views.Ts_world_camera, views.intrinsics
    there = lenses[b] if grid is None else grid_intrinsics(lenses[b], grid)
    return pair_of((poses[a], lenses[a]), (poses[b], there), views.grey.device)


def _look_up(pictures: Tensor, place: Float[Tensor, "n 2 D h w"], mode: str = "nearest") -> Float[Tensor, "n D h w"]:
    """Values of pictures (n,1,h',w') at places in [-1, 1]."""
    return sample(pictures, place.flatten(2, 3), mode).view(place[:, 0].shape)


# --- points, ranges, neighbours ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Seen:
    """Points in view of one camera.

    Attributes:
        xy: (n,2) px of the working resolution.
        inverse_depth: (n,).
        unhidden: (n,) whether the camera's frame has seen the point: nothing stands before it.
    """

    xy: np.ndarray
    inverse_depth: np.ndarray
    unhidden: np.ndarray


def _visible_points(views: _Views, points: PointCloud | None, frames: Sequence[int] | None) -> list[_Seen]:
    """Of each view the points inside the picture, and which of them its frame saw."""
    if points is None:
        return [_Seen(np.zeros((0, 2)), np.zeros(0), np.zeros(0, bool))] * len(views.grey)
    h, w = views.size
    found = []
    for k, (T, K) in enumerate(zip(views.Ts_world_camera, views.intrinsics, strict=True)):
        at = (points.xyz - T[:3, 3]) @ T[:3, :3]
        unhidden = np.ones(len(at), bool) if frames is None else points.seen_by(frames[k])
        before = np.isfinite(at).all(axis=1) & (at[:, 2] > NEAR)
        at, unhidden = at[before], unhidden[before]
        xy = at[:, :2] / at[:, 2:] * K[:2] + K[2:]
        inside = (xy > 0).all(axis=1) & (xy < [w, h]).all(axis=1)
        found.append(_Seen(xy[inside], 1 / at[inside, 2], unhidden[inside]))
    return found


def _median_inverse_depths(seen: list[_Seen]) -> np.ndarray:
    """(S,) of the points each view sees, of all points where it sees none, 1 where there are none."""
    together = np.concatenate([view.inverse_depth for view in seen])
    default = float(np.median(together)) if len(together) else 1.0
    return np.array([np.median(view.inverse_depth) if len(view.inverse_depth) else default for view in seen])


def _ranges_of(seen: list[_Seen]) -> np.ndarray | None:
    """(S,2) least and greatest inverse depth by the points; those of all views where one sees few; None: too few."""
    together = np.concatenate([view.inverse_depth for view in seen])
    if len(together) < MIN_POINTS:
        return None
    chosen = [view.inverse_depth if len(view.inverse_depth) >= MIN_POINTS else together for view in seen]
    return np.array([np.percentile(values, [3, 97]) for values in chosen]) * RANGE_MARGIN


def _baselines(views: _Views) -> np.ndarray:
    centres = views.Ts_world_camera[:, :3, 3]
    return np.linalg.norm(centres[:, None] - centres, axis=-1)


def _widest_parallax_px(views: _Views, inverse_depth: np.ndarray) -> float:
    focal = views.intrinsics[:, :2].mean(axis=1)
    return float((_baselines(views).max(axis=1) * focal * inverse_depth).max())


def _coarse_ranges(views: _Views, num_neighbours: int) -> np.ndarray:
    """(S,2) range of inverse depth, from a sweep over everything that moves by up to 1.5 pictures to a neighbour."""
    baselines = _baselines(views) + np.diag(np.full(len(views.grey), np.inf))
    nearest = np.maximum(np.sort(baselines, axis=1)[:, 0], 1e-3 * np.where(np.isinf(baselines), 0, baselines).max())
    closest = 1.5 * max(views.size) / (views.intrinsics[:, :2].mean(axis=1) * nearest)
    ranges = np.stack([0.002 * closest, closest], axis=1)
    sweep = _plan(views, ranges, 0.1 * closest, num_neighbours)
    costs = [_neighbour_costs(views, sweep, rows) for rows in _chunks(views, sweep)]
    inverse_depth = best_hypothesis(semi_global(_joined(costs), views.frames))
    depth = _planes_to_depth(inverse_depth, sweep)
    sure = _consistency(depth, views, sweep.neighbours) > 0.5
    everywhere = depth[sure] if int(sure.sum()) >= MIN_POINTS else depth.flatten()
    rows = [depth[s][sure[s]] if int(sure[s].sum()) >= 10 * MIN_POINTS else everywhere for s in range(len(depth))]
    return np.array([np.percentile(row.cpu().numpy(), [2, 98]) for row in rows]) * [0.6, 1.25]


def _plan(views: _Views, ranges: np.ndarray, middle: np.ndarray, num_neighbours: int) -> _Sweep:
    """Neighbours of every source, and so many planes that a step moves a pixel by PLANE_STEP_PX in most of them.

    A neighbour is good when the scene's middle moves by about WANTED_PARALLAX_PX between the two, when they look in
    similar directions, and when it has much of the picture in view.
    """
    count = len(views.grey)
    a, b = (index.ravel() for index in np.indices((count, count)))
    _, inside = _grid_transfer(views, a, b, middle[a])
    low, high = (_grid_transfer(views, a, b, ranges[a, k])[0] for k in (0, 1))
    overlap = inside.mean(axis=1).reshape(count, count)
    focal = views.intrinsics[:, :2].mean(axis=1)
    parallax_px = _baselines(views) * (focal * middle)[:, None]
    R = views.Ts_world_camera[:, :3, :3]
    angle = se3.rotation_angle(np.swapaxes(R[:, None], -1, -2) @ R[None])
    score = (overlap + 0.02) * np.exp(
        -np.abs(np.log((parallax_px + 0.05) / WANTED_PARALLAX_PX)) - 0.5 * (angle / WANTED_ANGLE_RAD) ** 2
    )
    np.fill_diagonal(score, -1.0)
    neighbours = np.argsort(-score, axis=1, kind="stable")[:, : min(num_neighbours, count - 1)]
    moved_px = np.median(np.linalg.norm(high - low, axis=-1), axis=1).reshape(count, count)
    typical_px = np.median(np.take_along_axis(moved_px, neighbours, axis=1), axis=1)
    most = int(np.clip(PLANE_BUDGET // count, 2 * MIN_PLANES, MAX_PLANES))
    number = int(np.clip(np.ceil(typical_px.max() / PLANE_STEP_PX), MIN_PLANES, most))
    return _Sweep(np.linspace(ranges[:, 0], ranges[:, 1], number, axis=1), neighbours, typical_px)


def _grid_transfer(
    views: _Views, a: np.ndarray, b: np.ndarray, inverse_depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where 7 x 7 pixels of views a at inverse depths (n,) lie in views b: (n,49,2) px, (n,49) in view."""
    h, w = views.size
    ticks = (np.arange(7) + 0.5) / 7
    grid = np.stack([*np.meshgrid(ticks * w, ticks * h), np.ones((7, 7))], axis=-1).reshape(-1, 3)
    poses, lenses = views.Ts_world_camera, views.intrinsics
    A, e = pair_matrices((poses[a], lenses[a]), (poses[b], lenses[b]))
    moved = grid @ np.swapaxes(A, -1, -2) + (e * inverse_depth[:, None])[:, None]
    z = np.maximum(moved[..., 2], 1e-3)
    xy = moved[..., :2] / z[..., None]
    inside = (xy > 0).all(axis=-1) & (xy < [w, h]).all(axis=-1) & (moved[..., 2] > 1e-3)
    return xy, inside


# --- costs ------------------------------------------------------------------------------------------------------------


def _depth(views: _Views, sweep: _Sweep, seen: list[_Seen]) -> _Swept:
    """Two rounds: without and with what the other sources have found."""
    chunks = _chunks(views, sweep)
    costs = [_neighbour_costs(views, sweep, rows) for rows in chunks]
    known = _seed_maps(views, seen)
    blind = _joined(costs)
    depth, knowledge, _ = _round(views, sweep, blind, 0.0)
    completed = _completed(views, sweep, depth, knowledge, known)
    costs = [_with_visibility(part, views, sweep, rows, depth) for part, rows in zip(costs, chunks, strict=True)]
    prior, informed = _prior_cost(sweep, completed, knowledge), _joined(costs)
    depth, knowledge, confidence = _round(views, sweep, informed, prior)
    result = torch.lerp(_completed(views, sweep, depth, knowledge, known), depth, knowledge)
    return _Swept(views, sweep, result, confidence, depth, knowledge, known, blind, informed)


def _round(
    views: _Views, sweep: _Sweep, cost: Float[Tensor, "S D h w"], prior: Tensor | float
) -> tuple[Tensor, Tensor, Tensor]:
    """Best depth of every pixel, how much it is known by itself (in [0, 1]), and how far the views agree on it."""
    hypothesis = best_hypothesis(semi_global(cost + prior, views.frames))
    depth = median_filter(_planes_to_depth(hypothesis, sweep))
    resolved = _tensor(np.clip(sweep.moved_px / RESOLVED_PX, 0, 1), depth)[:, None, None]
    confidence = _consistency(depth, views, sweep.neighbours) * resolved  # without parallax any depth is consistent
    at = hypothesis.round().long().clamp(0, cost.shape[1] - 1)[:, None]
    matched = ((1 - cost.gather(1, at)[:, 0]) / MATCHED).clamp(0, 1)
    return depth, confidence**2 * matched, confidence


def _planes_to_depth(hypothesis: Tensor, sweep: _Sweep) -> Tensor:
    """Fractions of plane numbers (S,h,w) -> inverse depth."""
    first, step = (_tensor(part, hypothesis)[:, None, None] for part in (sweep.planes[:, 0], sweep.step))
    return first + step * hypothesis


def _depth_to_planes(inverse_depth: Tensor, sweep: _Sweep) -> Tensor:
    """Inverse depth (S,h,w) -> fractions of plane numbers."""
    first, step = (_tensor(part, inverse_depth)[:, None, None] for part in (sweep.planes[:, 0], sweep.step))
    return (inverse_depth - first) / step


def _chunks(views: _Views, sweep: _Sweep) -> list[np.ndarray]:
    """The sources' numbers in groups: on a CPU so few at once that the temporaries stay near the cache."""
    count = len(views.grey)
    limit = CHUNK_CPU if views.grey.device.type == "cpu" else CHUNK_GPU
    size = max(1, limit // (sweep.planes.shape[1] * views.grey[0].numel()))
    return [np.arange(first, min(first + size, count)) for first in range(0, count, size)]


def _pairs(views: _Views, sweep: _Sweep, rows: np.ndarray) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """For each rank of neighbours: their numbers, and where the pixels of sources `rows` at all planes lie there."""
    planes = _tensor(sweep.planes[rows], views.grey)[:, :, None, None]
    for neighbours in sweep.neighbours[rows].T:
        yield torch.from_numpy(neighbours).to(planes.device), _transfer(views, rows, neighbours, planes)


def _neighbour_costs(views: _Views, sweep: _Sweep, rows: np.ndarray) -> list[Float[Tensor, "n D h w"]]:
    """Correlation cost of the sources `rows` with each neighbour, OUT_OF_VIEW where it does not see the point."""
    costs = []
    for neighbours, (place, _, seen) in _pairs(views, sweep, rows):
        cost = correlation_cost(views.grey[rows[0] : rows[-1] + 1], _look_up(views.fine[neighbours], place))
        costs.append(torch.where(seen, cost, OUT_OF_VIEW))
    return costs


def _joined(costs: list[list[Tensor]]) -> Float[Tensor, "S D h w"]:
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


def _with_visibility(
    costs: list[Tensor], views: _Views, sweep: _Sweep, rows: np.ndarray, depth: Float[Tensor, "S h w"]
) -> list[Tensor]:
    """The costs, knowing all depths: no opinion behind what the neighbour sees, a price before it."""
    step = _tensor(sweep.step[rows], depth)[:, None, None, None]
    judged = []
    for cost, (neighbours, (place, there, _)) in zip(costs, _pairs(views, sweep, rows), strict=True):
        surface = _look_up(depth[neighbours][:, None], place)
        nearer = surface.sub_(there).div_(step)  # in planes: by how much the neighbour's surface lies before the point
        free = ((-FREE_PLANES - nearer) * (1 / FREE_RAMP)).clamp_(0, 1)
        judged.append(torch.where(nearer > OCCLUDED_PLANES, OUT_OF_VIEW, cost.add(free, alpha=FREE_COST)))
    return judged


def _prior_cost(sweep: _Sweep, completed: Tensor, knowledge: Tensor) -> Float[Tensor, "S D h w"]:
    """Price of leaving the completed depth, where the pixel itself knows little."""
    first, step = (_tensor(part, completed)[:, None, None, None] for part in (sweep.planes[:, 0], sweep.step))
    number = torch.arange(sweep.planes.shape[1], device=completed.device)[:, None, None]
    away = (number - (completed[:, None] - first) / step).abs()
    price = ((away - PRIOR_SLACK) * (1 / PRIOR_RAMP)).clamp(0, 1)
    return price * (PRIOR_WEIGHT * (1 - knowledge))[:, None]


def _seed_maps(views: _Views, seen: list[_Seen]) -> tuple[Tensor, Tensor]:
    """Inverse depth (S,h,w) of the nearest point that each pixel has seen, and 1 where there is one."""
    h, w = views.size
    values = np.zeros((len(seen), h * w))
    for row, view in zip(values, seen, strict=True):
        x, y = view.xy[view.unhidden].astype(int).T
        np.maximum.at(row, y * w + x, view.inverse_depth[view.unhidden])
    maps = _tensor(values.reshape(-1, h, w), views.grey)
    return maps, (maps > 0).to(maps.dtype)


def _completed(
    views: _Views, sweep: _Sweep, depth: Tensor, knowledge: Tensor, points: tuple[Tensor, Tensor]
) -> Float[Tensor, "S h w"]:
    """Inverse depth continued over what is not known, from wide fits to narrow ones."""
    least, greatest = (_tensor(sweep.planes[:, k], depth)[:, None, None] for k in (0, -1))
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
    depth, stereo, points = (_depth_to_planes(d, sweep) for d in (swept.depth, swept.stereo, swept.points[0]))
    maps = [depth, stereo, swept.knowledge, swept.confidence, points * swept.points[1], swept.points[1]]
    maps += [part for rank in (0, 1) for part in _neighbour_surfaces(swept, rank)]
    colour = frames.float()
    if colour.shape[-2:] != (2 * h, 2 * w):
        colour = F.interpolate(colour, size=(2 * h, 2 * w), mode="bilinear", align_corners=False)
    blind, informed = (part.permute(0, 2, 3, 1).contiguous() for part in (swept.blind, swept.informed))
    planes = torch.full((len(depth),), float(sweep.planes.shape[1]), device=depth.device)
    return Evidence(colour, torch.stack(maps, dim=1), blind, informed, planes, _tensor(sweep.moved_px, depth))


def _neighbour_surfaces(swept: _Swept, rank: int) -> tuple[Tensor, Tensor]:
    """By how many planes the surface of each source's neighbour lies before the source's, and whether in its view."""
    views, sweep = swept.views, swept.sweep
    others = sweep.neighbours[:, min(rank, sweep.neighbours.shape[1] - 1)]
    place, there, seen = _transfer(views, np.arange(len(others)), others, swept.depth[:, None])
    surface = _look_up(swept.depth[torch.from_numpy(others)][:, None], place)
    before = (surface - there) / _tensor(sweep.step, surface)[:, None, None, None]
    return before[:, 0].clamp(-MAX_BEFORE, MAX_BEFORE), seen[:, 0].float()


@torch.inference_mode()
def _corrected(swept: _Swept, frames: Tensor, network: DepthNetwork) -> tuple[Tensor, Tensor]:
    """Inverse depth and confidence (S,2h,2w) by the network."""
    sweep = swept.sweep
    hypothesis, log_error = network(_evidence(swept, frames))
    farthest, nearest = (
        _tensor(factor * sweep.planes[:, k], hypothesis)[:, None, None] for factor, k in ((0.5, 0), (2.0, -1))
    )  # beyond, there is nothing to see it by
    inverse_depth = torch.minimum(torch.maximum(_planes_to_depth(hypothesis, sweep), farthest), nearest)
    return inverse_depth, 1 / (1 + log_error.exp())


def _without_ramps(inverse_depth: Float[Tensor, "S h w"]) -> Float[Tensor, "S h w"]:
    """Pixels between a surface and the one behind it, where interpolation has left them, put on the nearer of the two.

    They would hang in the air between both, and cover what is behind from everywhere else.
    """
    padded = F.pad(inverse_depth[:, None], (1, 1, 1, 1), mode="replicate")
    most, least = F.max_pool2d(padded, 3, 1)[:, 0], -F.max_pool2d(-padded, 3, 1)[:, 0]
    nearer = torch.where(inverse_depth - least < most - inverse_depth, least, most)
    return torch.where(most > EDGE_RATIO * least, nearer, inverse_depth)


def _consistency(
    inverse_depth: Float[Tensor, "S h w"], views: _Views, neighbours: np.ndarray
) -> Float[Tensor, "S h w"]:
    """Confidence in [0, 1]: exp(-e^2 / 2), e px the way from a source to a neighbour and back by both their depths.

    The mean over the better half of the neighbours (Schoenberger et al., Pixelwise view selection for unstructured
    multi-view stereo, ECCV 2016, section 4.3: forward-backward reprojection error).
    """
    h, w = views.size
    sources = np.arange(len(inverse_depth))
    x0, y0 = pixels(views.size, inverse_depth.device)
    agreed = []
    for others in neighbours.T:
        place, _, seen = _transfer(views, sources, others, inverse_depth[:, None])
        there = _look_up(inverse_depth[torch.from_numpy(others)][:, None], place, "bilinear")[:, 0]
        x, y = (place[:, 0] + 1) * (w / 2), (place[:, 1] + 1) * (h / 2)
        back, _, before = transfer(x, y, there, _pair(views, others, sources))
        error = ((back[:, 0] - x0) ** 2 + (back[:, 1] - y0) ** 2) / CONSISTENT_PX**2
        agreed.append(torch.where(seen[:, 0] & before, torch.exp(-0.5 * error), 0.0))
    return 1 - _better_half([1 - one for one in agreed])


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
