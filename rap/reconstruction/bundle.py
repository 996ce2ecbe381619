"""Bundle adjustment: poses, points and a shared focal length that explain tracks best.

Levenberg-Marquardt on the reprojection error with the points eliminated (Triggs et al., Bundle adjustment: a modern
synthesis, 1999, sections 4 and 6.1), reweighed by the kernel of Geman and McClure, e^2 / (1 + e^2 / s^2), which stops
growing: an observation far off, or behind its camera, costs s^2 and pulls no more. The scale s follows the median
residual down, so that the adjustment starts nearly quadratic and ends deaf to outliers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from rap.geometry import se3
from rap.geometry.camera import fov_y_from_intrinsics
from rap.reconstruction.progress import beat
from rap.reconstruction.tracks import MIN_INVERSE_DEPTH, Charts, Tracks, camera_rows, locate, normalised

MIN_SCALE_PX = 0.5  # of the robust kernel: tracks are rarely better than a third of a pixel
SCALE_PER_MEDIAN = 1.5
FIRST_DAMPING = 1e-3
MAX_DAMPING = 1e6
ENOUGH = 5e-4  # relative decrease of the cost below which an iteration counts as the last but one
START_ROUNDS = 3  # of the triangulation that the adjustment starts from
MIN_NOISE_PX = 0.05  # no tracks are better
# Observations that a prior of one sigma outweighs: errors along a track, and of neighbours, are not independent
PRIOR_OBSERVATIONS = 50.0
GROUP_POINTS = 256  # eliminated together: few enough that they are seen by few frames, enough for a fast product
FAR_SPAN = 16  # frames from a point's first to its last, above which it is eliminated among others of the kind


@dataclass(frozen=True, eq=False)
class Bundle:
    """Outcome of an adjustment.

    Attributes:
        Ts_world_camera: (T, 4, 4), the fixed frame's pose untouched.
        intrinsics: (T, 4) px.
        xyz: (P, 3) points in the world; far away where the tracks show no parallax.
        inverse_depth: (P,) along the point's own anchor ray; about 0 at infinity.
        weight: (N,) of every observation in [0, 1]; 0 behind the camera.
        residual_px: (N,) reprojection error; infinite behind the camera.
        scale_px: the kernel's scale at the end.
        cost_px2: mean robust cost of an observation at the end.
        iterations: accepted steps.
    """

    Ts_world_camera: Float[np.ndarray, "t 4 4"]
    intrinsics: Float[np.ndarray, "t 4"]
    xyz: Float[np.ndarray, "p 3"]
    inverse_depth: Float[np.ndarray, " p"]
    weight: Float[np.ndarray, " n"]
    residual_px: Float[np.ndarray, " n"]
    scale_px: float
    cost_px2: float
    iterations: int


@dataclass(frozen=True)
class _Kernel:
    """Scale of the robust kernel, and the noise that a prior is weighed against; both px, from the median residual."""

    scale: float
    noise: float

    @staticmethod
    def of(median_px: float, largest_px: float, min_scale_px: float) -> _Kernel:
        scale = float(np.clip(SCALE_PER_MEDIAN * median_px, min_scale_px, max(largest_px, min_scale_px)))
        return _Kernel(scale, float(np.clip(median_px, MIN_NOISE_PX, largest_px)))


@dataclass(frozen=True, eq=False)
class _State:
    """What is adjusted; `log_focal` multiplies all focal lengths by its exponential."""

    Ts: np.ndarray
    charts: Charts
    log_focal: float

    @cached_property
    def to_camera(self) -> np.ndarray:
        """(T, 3, 4) rows of world to camera."""
        return se3.inverse(self.Ts)[:, :3]

    @cached_property
    def points(self) -> np.ndarray:
        """(4, P) in the world, times rho."""
        return np.ascontiguousarray(self.charts.homogeneous.T)


@dataclass(frozen=True, eq=False)
class _Group:
    """Points that are eliminated together, in a table with the frames that see any of them.

    Points of the same part of a film share few frames of it, so that memory and time grow with its length, not with
    its square; and a table, though a part of it is empty, is reckoned in fewer and larger calls than lists are.

    Attributes:
        points: (Q,) indices.
        frames: (F,) ascending indices.
        xy: (F, 2, Q) px where points were seen, 0 elsewhere.
        seen: (F, Q) whether they were, as 0 and 1.
        observations: (M,) of these points, indices.
        cells: (M,) their places in a table (F, Q).
    """

    points: np.ndarray
    frames: np.ndarray
    xy: np.ndarray
    seen: np.ndarray
    observations: np.ndarray
    cells: np.ndarray

    @staticmethod
    def of(tracks: Tracks, points: np.ndarray, observations: np.ndarray) -> _Group:
        frames, row = np.unique(tracks.frame[observations], return_inverse=True)
        place = np.zeros(tracks.num_points, np.int64)
        place[points] = np.arange(len(points))
        column = place[tracks.point[observations]]
        xy, seen = np.zeros((len(frames), 2, len(points))), np.zeros((len(frames), len(points)))
        xy[row, :, column], seen[row, column] = tracks.xy[observations], 1
        return _Group(points, frames, xy, seen, observations, row * len(points) + column)


def _groups(tracks: Tracks) -> list[_Group]:
    """All points with their observations; those that are seen from end to end of a long film among themselves."""
    first = tracks.frame[tracks.starts]
    last = tracks.frame[np.append(tracks.starts[1:], len(tracks)) - 1]
    order = np.lexsort((last, first, last - first > FAR_SPAN))
    group = np.empty(len(order), np.int64)
    group[order] = np.arange(len(order)) // GROUP_POINTS
    mine = group[tracks.point]
    observations = np.split(np.argsort(mine, kind="stable"), np.cumsum(np.bincount(mine))[:-1])
    points = [order[k : k + GROUP_POINTS] for k in range(0, len(order), GROUP_POINTS)]
    return [_Group.of(tracks, *part) for part in zip(points, observations, strict=True)]


@dataclass(frozen=True, eq=False)
class _Problem:
    """What stays: observations, lenses, which parameters are free."""

    tracks: Tracks
    intrinsics: np.ndarray  # (T, 4)
    free: np.ndarray  # (6 T + 1,) mask over camera parameters: six a frame, then the focal length
    prior: tuple[float, float] | None  # mean and sigma of log_focal
    at_infinity: bool
    min_scale_px: float = MIN_SCALE_PX

    @cached_property
    def groups(self) -> list[_Group]:
        return _groups(self.tracks)

    @cached_property
    def order(self) -> np.ndarray:
        """(N,) observations as the groups have them."""
        return np.concatenate([group.observations for group in self.groups])

    def lenses(self, log_focal: float) -> np.ndarray:
        return self.intrinsics * np.array([np.exp(log_focal), np.exp(log_focal), 1, 1])


def bundle_adjust(
    tracks: Tracks,
    Ts_world_camera: Float[ArrayLike, "t 4 4"],
    intrinsics: Float[ArrayLike, "*t 4"],
    *,
    fixed: int | Sequence[int] = 0,
    focal: Literal["fixed", "shared"] = "fixed",
    focal_prior: tuple[float, float] | None = None,
    iterations: int = 20,
    points: Float[ArrayLike, "p 3"] | None = None,
    at_infinity: bool = False,
    min_scale_px: float = MIN_SCALE_PX,
) -> Bundle:
    """Adjust poses and points (and the focal length) to the tracks, from a start that may be bad.

    The unit of length may drift from the start's: set it afterwards. Frames without tracks keep their pose.

    Args:
        tracks: observations in pixels of the intrinsics.
        Ts_world_camera: start of the poses.
        intrinsics: (4,) or (T, 4) start of the lenses.
        fixed: the frame whose pose stays, or all that stay.
        focal: "shared" multiplies all focal lengths by one free factor.
        focal_prior: (vertical field of view in radians, sigma of the logarithm of the focal length); None: no prior.
        iterations: at most this many steps.
        points: start of the points; None triangulates them.
        at_infinity: adjust rotations alone, with all points infinitely far: translations stay.
        min_scale_px: least scale of the robust kernel. A few pixels let frames that are still off be pulled in, where
            a scale that follows the good ones would take them for outliers.

    Raises:
        ValueError: shapes that do not agree, a fixed frame out of range.
    """
    Ts, rows = camera_rows(tracks, Ts_world_camera, intrinsics)
    frames = np.atleast_1d(fixed)
    if not (len(frames) and 0 <= frames.min() <= frames.max() < tracks.num_frames):
        raise ValueError(f"fixed must be one of the {tracks.num_frames} frames, got {fixed}")
    problem = replace(_problem(tracks, rows, frames, focal, focal_prior, at_infinity), min_scale_px=min_scale_px)
    if len(tracks) == 0:
        none = np.zeros(0)
        return Bundle(Ts, rows, np.zeros((0, 3)), none, none, none, MIN_SCALE_PX, 0.0, 0)
    state = _State(Ts, _start(problem, Ts, points, at_infinity), 0.0)
    state, kernel, accepted = _minimise(problem, state, iterations)
    scale = kernel.scale
    squared = np.empty(len(tracks))
    squared[problem.order] = _squared(problem, state)
    weight = 1 / (1 + squared / scale**2) ** 2
    cost = _cost(problem, squared, state.log_focal, kernel) / len(tracks)
    residual_px = np.sqrt(squared)
    lenses = problem.lenses(state.log_focal)
    charts = state.charts
    return Bundle(state.Ts, lenses, charts.xyz, charts.uvr[:, 2], weight, residual_px, scale, cost, accepted)


def _problem(tracks, rows, fixed, focal, focal_prior, at_infinity) -> _Problem:
    free = np.ones((tracks.num_frames, 6), dtype=bool)
    free[fixed] = False
    free[:, :3] &= not at_infinity
    seen = np.bincount(tracks.frame, minlength=tracks.num_frames) > 0
    free[~seen] = False
    prior = None
    if focal_prior is not None:
        fov_y_rad, sigma = focal_prior
        now = np.mean(np.log(np.tan(fov_y_from_intrinsics(rows, tracks.image_size[0]) / 2)))
        prior = (float(now - np.log(np.tan(fov_y_rad / 2))), float(sigma))
    return _Problem(tracks, rows, np.append(free.ravel(), focal == "shared"), prior, at_infinity)


def _start(problem: _Problem, Ts: np.ndarray, points: ArrayLike | None, at_infinity: bool) -> Charts:
    tracks = problem.tracks
    if points is None and not at_infinity:
        return locate(tracks, Ts, problem.intrinsics, START_ROUNDS)[0]
    anchors = tracks.starts + np.bincount(tracks.point) // 2
    frames = tracks.frame[anchors]
    if points is None:
        uv = normalised(tracks.xy[anchors], problem.intrinsics[frames])
        return Charts(Ts[frames], np.concatenate([uv, np.zeros((len(uv), 1))], axis=1))
    xyz = np.asarray(points, dtype=np.float64)
    if xyz.shape != (tracks.num_points, 3):
        raise ValueError(f"points must have shape ({tracks.num_points}, 3), one a point of the tracks, got {xyz.shape}")
    local = (se3.inverse(Ts[frames]) @ np.concatenate([xyz, np.ones((len(xyz), 1))], axis=1)[..., None])[:, :3, 0]
    depth = np.maximum(local[:, 2:], 1e-6)
    return Charts(Ts[frames], np.concatenate([local[:, :2] / depth, 1 / depth], axis=1))


@dataclass(frozen=True, eq=False)
class _Projected:
    """A group's points in its cameras: Y (F, 3, Q) times rho, z (F, Q) of it and never 0, `plane` (F, 2, Q) at distance
    1, `error` (F, 2, Q) px of the reprojection, `focal` (F, 2, 1) px."""

    Y: np.ndarray
    z: np.ndarray
    plane: np.ndarray
    error: np.ndarray
    focal: np.ndarray


def _projected(problem: _Problem, state: _State, group: _Group) -> _Projected:
    rows = state.to_camera[group.frames]
    Y = (rows.reshape(-1, 4) @ state.points[:, group.points]).reshape(len(rows), 3, -1)
    z = np.where(np.abs(Y[:, 2]) < 1e-9, 1e-9, Y[:, 2])
    plane = Y[:, :2] / z[:, None]
    lenses = problem.lenses(state.log_focal)[group.frames, :, None]
    return _Projected(Y, z, plane, plane * lenses[:, :2] + lenses[:, 2:] - group.xy, lenses[:, :2])


def _squared(problem: _Problem, state: _State) -> np.ndarray:
    """(N,) squared error in px^2, in the groups' order; infinite behind the camera."""
    found = []
    for group in problem.groups:
        seen = _projected(problem, state, group)
        squared = np.where(seen.z > 0, _dot(seen.error, seen.error), np.inf)
        found.append(squared.ravel()[group.cells])
    return np.concatenate(found)


def _cost(problem: _Problem, squared: np.ndarray, log_focal: float, kernel: _Kernel) -> float:
    """Robust cost in px^2, e^2 / (1 + e^2 / s^2) = s^2 (1 - 1 / (1 + e^2 / s^2)), the prior included."""
    cost = float((1 - 1 / (1 + squared / kernel.scale**2)).sum()) * kernel.scale**2
    if problem.prior is not None:
        mean, sigma = problem.prior
        cost += PRIOR_OBSERVATIONS * kernel.noise**2 * ((log_focal - mean) / sigma) ** 2
    return cost


def _kernel(problem: _Problem, squared: np.ndarray) -> _Kernel:
    return _Kernel.of(float(np.sqrt(np.median(squared))), max(problem.tracks.image_size), problem.min_scale_px)


def _minimise(problem: _Problem, state: _State, iterations: int) -> tuple[_State, _Kernel, int]:
    """Damped steps until the cost stops falling or no damping helps."""
    damping, accepted, blocks = FIRST_DAMPING, 0, None
    squared = _squared(problem, state)
    kernel = _kernel(problem, squared)
    cost = _cost(problem, squared, state.log_focal, kernel)
    for _ in range(iterations):
        beat()
        blocks = blocks or _blocks(problem, state, kernel)
        candidate = _step(problem, state, blocks, kernel, damping)
        squared = _squared(problem, candidate)
        new_cost = _cost(problem, squared, candidate.log_focal, kernel)
        if not new_cost < cost:
            damping *= 10
            if damping > MAX_DAMPING:
                break
            continue
        decrease = (cost - new_cost) / max(cost, 1e-12)
        state, damping, accepted, blocks = candidate, max(damping / 10, 1e-9), accepted + 1, None
        new_kernel = _kernel(problem, squared)
        settled = decrease < ENOUGH and new_kernel.scale > 0.99 * kernel.scale
        kernel = new_kernel if new_kernel.scale <= kernel.scale else kernel
        cost = _cost(problem, squared, state.log_focal, kernel)
        if settled:
            break
    return state, kernel, accepted


@dataclass(frozen=True, eq=False)
class _Block:
    """A group's part: derivatives of its errors by camera (F, 7, 2, Q), six of the pose and the focal length, and by
    point (3, F, 2, Q); of the normal equations its points (3, 3, Q) and (3, Q)."""

    by_camera: np.ndarray
    by_point: np.ndarray
    points: np.ndarray
    gradient: np.ndarray

    @staticmethod
    def of(by_camera: np.ndarray, by_point: np.ndarray, error: np.ndarray) -> _Block:
        points = np.empty((3, 3, error.shape[-1]))
        for k in range(3):
            for j in range(k, 3):
                points[k, j] = points[j, k] = _dot(by_point[k], by_point[j]).sum(axis=0)
        return _Block(by_camera, by_point, points, _dot(by_point, error).sum(axis=1))

    def coupling(self, by_point: np.ndarray) -> np.ndarray:
        """(6 F + 1, 3 Q) products of the derivatives by camera, the focal length last, and of others by point."""
        _, frames, _, count = by_point.shape
        found = np.empty((6 * frames + 1, 3, count))
        poses, by_point = found[:-1].reshape(frames, 6, 3, count), by_point.swapaxes(0, 1)
        np.multiply(self.by_camera[:, :6, None, 0], by_point[:, None, :, 0], out=poses)
        poses += self.by_camera[:, :6, None, 1] * by_point[:, None, :, 1]
        found[-1] = _dot(self.by_camera[:, 6:], by_point).sum(axis=0)
        return found.reshape(len(found), -1)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Normal equations: cameras (C, C) and (C,), as if all were free, and a part for each group of points."""

    cameras: np.ndarray
    camera_gradient: np.ndarray
    groups: list[_Block]


def _blocks(problem: _Problem, state: _State, kernel: _Kernel) -> _Blocks:
    """Gauss-Newton normal equations, weighed by the kernel."""
    T = problem.tracks.num_frames
    per_frame, gradients, groups = np.zeros((T, 7, 7)), np.zeros((T, 7)), []
    for group in problem.groups:
        by_camera, by_point, error = _jacobians(problem, state, kernel, group)
        flat = by_camera.reshape(len(group.frames), 7, -1)
        per_frame[group.frames] += flat @ flat.transpose(0, 2, 1)
        gradients[group.frames] += (flat @ error.reshape(len(error), -1, 1))[..., 0]
        groups.append(_Block.of(by_camera, by_point, error))
    cameras, every = np.zeros((6 * T + 1, 6 * T + 1)), np.arange(T)
    cameras[:-1, :-1].reshape(T, 6, T, 6)[every, :, every] = per_frame[:, :6, :6]
    cameras[:-1, -1] = cameras[-1, :-1] = per_frame[:, :6, 6].ravel()
    cameras[-1, -1] = per_frame[:, 6, 6].sum()
    return _Blocks(cameras, np.append(gradients[:, :6].ravel(), gradients[:, 6].sum()), groups)


def _jacobians(
    problem: _Problem, state: _State, kernel: _Kernel, group: _Group
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives of a group's errors by camera (F, 7, 2, Q), six of the pose and the focal length, and by point
    (3, F, 2, Q), and the errors (F, 2, Q); all times the root of the kernel's weight, 0 where nothing was seen.

    d projection = f / z (dY_xy - plane dY_z), with dY = M dX for the point and -(rho dt + phi x Y) for the camera,
    whose pose is multiplied by exp(t, phi) from the right.
    """
    at = _projected(problem, state, group)
    weight = 1 / (1 + _dot(at.error, at.error) / kernel.scale**2)
    root = np.where(at.z > 0, weight * group.seen, 0)[:, None]
    gain = at.focal / at.z[:, None] * root
    (x, y, z), (u, v), rho = at.Y.swapaxes(0, 1), at.plane.swapaxes(0, 1), state.points[3, group.points]
    by_camera = np.empty((len(group.frames), 7, 2, len(group.points)))
    by_camera[:, 0, 0] = by_camera[:, 1, 1] = -rho
    by_camera[:, 0, 1] = by_camera[:, 1, 0] = 0
    by_camera[:, 2] = rho * at.plane
    by_camera[:, 3, 0], by_camera[:, 3, 1] = u * y, z + v * y
    by_camera[:, 4, 0], by_camera[:, 4, 1] = -z - u * x, -v * x
    by_camera[:, 5, 0], by_camera[:, 5, 1] = y, -x
    by_camera[:, :6] *= gain[:, None]
    by_camera[:, 6] = at.plane * at.focal * root
    axes = state.charts.Ts_world_anchor[group.points][:, :, [0, 1, 3]].transpose(1, 2, 0).reshape(4, -1)
    moved = (state.to_camera[group.frames].reshape(-1, 4) @ axes).reshape(len(gain), 3, 3, -1).transpose(2, 0, 1, 3)
    by_point = (moved[:, :, :2] - at.plane * moved[:, :, 2:]) * gain
    by_point[2] *= not problem.at_infinity
    return by_camera, by_point, at.error * root


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products of (..., 2, Q) arrays: (..., Q)."""
    return a[..., 0, :] * b[..., 0, :] + a[..., 1, :] * b[..., 1, :]


def _step(problem: _Problem, state: _State, blocks: _Blocks, kernel: _Kernel, damping: float) -> _State:
    """The damped Gauss-Newton step, points eliminated by the Schur complement.

    With a point's own part V = L L^T, what it takes from the cameras is the square of its coupling times L^-T.
    """
    cameras, gradient, T = blocks.cameras.copy(), blocks.camera_gradient.copy(), problem.tracks.num_frames
    if problem.prior is not None:
        mean, sigma = problem.prior
        pull = PRIOR_OBSERVATIONS * kernel.noise**2 / sigma**2
        cameras[-1, -1] += pull
        gradient[-1] += pull * (state.log_focal - mean)
    diagonal = np.einsum("ii->i", cameras)
    diagonal += damping * diagonal + 1e-9
    eliminated = []
    for group, block in zip(problem.groups, blocks.groups, strict=True):
        rows = np.append((6 * group.frames[:, None] + np.arange(6)).ravel(), 6 * T)
        L = _damped_root(block.points, damping)
        pulled, coupling = _solved(L, block.gradient), block.coupling(_solved(L[:, :, None, None], block.by_point))
        gradient[rows] -= coupling @ pulled.ravel()
        cameras[np.ix_(rows, rows)] -= coupling @ coupling.T
        eliminated.append((group.points, rows, L, coupling, pulled))
    still = ~problem.free
    cameras[still], cameras[:, still], cameras[still, still], gradient[still] = 0, 0, 1, 0
    moved = -np.linalg.solve(cameras, gradient)
    uvr = state.charts.uvr.copy()
    for points, rows, L, coupling, pulled in eliminated:
        uvr[points] -= _solved_back(L, pulled + (moved[rows] @ coupling).reshape(3, -1)).T
    uvr[:, 2] = 0 if problem.at_infinity else np.maximum(uvr[:, 2], MIN_INVERSE_DEPTH)
    Ts = state.Ts.copy()
    freed = problem.free[:-1].reshape(T, 6).any(axis=1)
    Ts[freed] = Ts[freed] @ se3.exp(moved[:-1].reshape(T, 6)[freed])
    return _State(Ts, replace(state.charts, uvr=uvr), state.log_focal + float(np.clip(moved[-1], -0.3, 0.3)))


def _damped_root(points: np.ndarray, damping: float) -> np.ndarray:
    """(3, 3, Q) lower triangular L with V + damping = L L^T, all points at once; a point that nothing holds gets a tiny
    pull, so that there is one."""
    V, diagonal = points.copy(), np.einsum("kkq->kq", points)
    floor = 1e-9 * diagonal.max(axis=0) + 1e-9
    np.einsum("kkq->kq", V)[:] += damping * diagonal + floor
    L = np.zeros_like(V)
    for j in range(3):
        for i in range(j, 3):
            rest = V[i, j] - sum(L[i, k] * L[j, k] for k in range(j))
            L[i, j] = np.sqrt(np.maximum(rest, 0.5 * floor)) if i == j else rest / L[j, j]
    return L


def _solved(L: np.ndarray, b: np.ndarray) -> np.ndarray:
    """L^-1 b for L (3, 3, ..., Q) and b (3, ..., Q)."""
    x = np.empty_like(b)
    for i in range(3):
        x[i] = (b[i] - sum(L[i, k] * x[k] for k in range(i))) / L[i, i]
    return x


def _solved_back(L: np.ndarray, b: np.ndarray) -> np.ndarray:
    """L^-T b for L (3, 3, Q) and b (3, Q)."""
    x = np.empty_like(b)
    for i in (2, 1, 0):
        x[i] = (b[i] - sum(L[k, i] * x[k] for k in range(i + 1, 3))) / L[i, i]
    return x
