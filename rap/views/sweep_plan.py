"""What a plane sweep compares: the range of depths of each frame, its planes, and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rap.geometry import se3
from rap.reconstruction.tracks import PointCloud
from rap.views.stereo import best_hypothesis, semi_global
from rap.views.sweep import Sweep, Views, consistency, joined, neighbour_costs, planes_to_depth, row_groups
from rap.views.transfer import pair_matrices

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

WANTED_PARALLAX_PX = 5.0
"""Of a neighbour, at half resolution: less is imprecise, more looks different."""

WANTED_ANGLE_RAD = float(np.deg2rad(25.0))
NEAR = 1e-6  # depths and weights that are none


@dataclass(frozen=True, eq=False)
class Seen:
    """Points in view of one camera.

    Attributes:
        xy: (n,2) px of the working resolution.
        inverse_depth: (n,).
        unhidden: (n,) whether the camera's frame has seen the point: nothing stands before it.
    """

    xy: np.ndarray
    inverse_depth: np.ndarray
    unhidden: np.ndarray


def visible_points(views: Views, points: PointCloud | None, frames: Sequence[int] | None) -> list[Seen]:
    """Of each view the points inside the picture, and which of them its frame saw."""
    if points is None:
        return [Seen(np.zeros((0, 2)), np.zeros(0), np.zeros(0, bool))] * len(views.grey)
    h, w = views.size
    found = []
    for k, (T, K) in enumerate(zip(views.Ts_world_camera, views.intrinsics, strict=True)):
        at = (points.xyz - T[:3, 3]) @ T[:3, :3]
        unhidden = np.ones(len(at), bool) if frames is None else points.seen_by(frames[k])
        before = np.isfinite(at).all(axis=1) & (at[:, 2] > NEAR)
        at, unhidden = at[before], unhidden[before]
        xy = at[:, :2] / at[:, 2:] * K[:2] + K[2:]
        inside = (xy > 0).all(axis=1) & (xy < [w, h]).all(axis=1)
        found.append(Seen(xy[inside], 1 / at[inside, 2], unhidden[inside]))
    return found


def median_inverse_depths(seen: list[Seen]) -> np.ndarray:
    """(S,) of the points each view sees, of all points where it sees none, 1 where there are none."""
    together = np.concatenate([view.inverse_depth for view in seen])
    default = float(np.median(together)) if len(together) else 1.0
    return np.array([np.median(view.inverse_depth) if len(view.inverse_depth) else default for view in seen])


def ranges_of(seen: list[Seen]) -> np.ndarray | None:
    """(S,2) least and greatest inverse depth by the points; those of all views where one sees few; None: too few."""
    together = np.concatenate([view.inverse_depth for view in seen])
    if len(together) < MIN_POINTS:
        return None
    chosen = [view.inverse_depth if len(view.inverse_depth) >= MIN_POINTS else together for view in seen]
    return np.array([np.percentile(values, [3, 97]) for values in chosen]) * RANGE_MARGIN


def _baselines(views: Views) -> np.ndarray:
    centres = views.Ts_world_camera[:, :3, 3]
    return np.linalg.norm(centres[:, None] - centres, axis=-1)


def widest_parallax_px(views: Views, inverse_depth: np.ndarray) -> float:
    """By how much a pixel at these (S,) inverse depths moves between the two views farthest apart."""
    focal = views.intrinsics[:, :2].mean(axis=1)
    return float((_baselines(views).max(axis=1) * focal * inverse_depth).max())


def coarse_ranges(views: Views, num_neighbours: int) -> np.ndarray:
    """(S,2) range of inverse depth, from a sweep over everything that moves by up to 1.5 pictures to a neighbour."""
    baselines = _baselines(views) + np.diag(np.full(len(views.grey), np.inf))
    nearest = np.maximum(np.sort(baselines, axis=1)[:, 0], 1e-3 * np.where(np.isinf(baselines), 0, baselines).max())
    closest = 1.5 * max(views.size) / (views.intrinsics[:, :2].mean(axis=1) * nearest)
    ranges = np.stack([0.002 * closest, closest], axis=1)
    sweep = plan(views, ranges, 0.1 * closest, num_neighbours)
    costs = [neighbour_costs(views, sweep, rows) for rows in row_groups(views, sweep)]
    inverse_depth = best_hypothesis(semi_global(joined(costs), views.frames))
    depth = planes_to_depth(inverse_depth, sweep)
    sure = consistency(depth, views, sweep.neighbours) > 0.5
    everywhere = depth[sure] if int(sure.sum()) >= MIN_POINTS else depth.flatten()
    rows = [depth[s][sure[s]] if int(sure[s].sum()) >= 10 * MIN_POINTS else everywhere for s in range(len(depth))]
    return np.array([np.percentile(row.cpu().numpy(), [2, 98]) for row in rows]) * [0.6, 1.25]


def plan(views: Views, ranges: np.ndarray, middle: np.ndarray, num_neighbours: int) -> Sweep:
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
    return Sweep(np.linspace(ranges[:, 0], ranges[:, 1], number, axis=1), neighbours, typical_px)


def _grid_transfer(
    views: Views, a: np.ndarray, b: np.ndarray, inverse_depth: np.ndarray
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
