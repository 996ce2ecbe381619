"""Bundle adjustment: poses, points and a shared focal length that explain tracks best.

Levenberg-Marquardt on the reprojection error with the points eliminated (Triggs et al., Bundle adjustment: a modern
synthesis, 1999, sections 4 and 6.1), reweighed by the kernel of Geman and McClure, e^2 / (1 + e^2 / s^2), which stops
growing: an observation far off, or behind its camera, costs s^2 and pulls no more. The scale s follows the median
residual down, so that the adjustment starts nearly quadratic and ends deaf to outliers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True, eq=False)
class _Groups:
    """Points that are eliminated together, and where in one array the coupling of every observation stands.

    Coupling is dense between the points of a group and the frames that see any of them, and zero elsewhere: points of
    the same part of a film share few frames of it, so that memory and time grow with its length, not with its square.

    Attributes:
        points: (Q,) indices of each group.
        frames: (F,) ascending indices of the frames that see them.
        begin: where each group's block (F, 6, 3, Q) begins, and the size of all.
        cell: (N,) place of an observation's first entry.
        step: (N,) from there to the next of its 18 entries: the group's Q.
    """

    points: list[np.ndarray]
    frames: list[np.ndarray]
    begin: np.ndarray
    cell: np.ndarray
    step: np.ndarray

    @staticmethod
    def of(tracks: Tracks) -> _Groups:
        first = tracks.frame[tracks.starts]
        last = tracks.frame[np.append(tracks.starts[1:], len(tracks)) - 1]
        order = np.lexsort((last, first, last - first > FAR_SPAN))
        points = [order[k : k + GROUP_POINTS] for k in range(0, len(order), GROUP_POINTS)]
        group, place = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
        group[order], place[order] = np.divmod(np.arange(len(order)), GROUP_POINTS)
        seen = np.zeros((len(points), tracks.num_frames), dtype=bool)
        seen[group[tracks.point], tracks.frame] = True
        widths = np.array([len(some) for some in points])
        begin = np.concatenate([[0], np.cumsum(18 * seen.sum(axis=1) * widths)])
        row = np.cumsum(seen, axis=1) - 1
        mine = group[tracks.point]
        step = widths[mine]
        cell = begin[mine] + 18 * row[mine, tracks.frame] * step + place[tracks.point]
        return _Groups(points, [np.flatnonzero(frames) for frames in seen], begin, cell, step)

    def parts(self, blocks: _Blocks) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Of each group: (6 F + 1,) camera parameters, (Q,) points and their coupling (6 F + 1, 3, Q)."""
        focal = len(blocks.camera_gradient) - 1
        for i, (points, frames) in enumerate(zip(self.points, self.frames, strict=True)):
            rows = np.append((6 * frames[:, None] + np.arange(6)).ravel(), focal)
            block = blocks.coupling[self.begin[i] : self.begin[i + 1]].reshape(-1, 3, len(points))
            yield rows, points, np.concatenate([block, blocks.focal_coupling[None, :, points]])


@dataclass(frozen=True, eq=False)
class _Problem:
    """What stays: observations, lenses, which parameters are free. Arrays by observation have N last: it is fastest."""

    tracks: Tracks
    intrinsics: np.ndarray  # (T, 4)
    free: np.ndarray  # (6 T + 1,) mask over camera parameters: six a frame, then the focal length
    prior: tuple[float, float] | None  # mean and sigma of log_focal
    at_infinity: bool
    min_scale_px: float = MIN_SCALE_PX

    @cached_property
    def groups(self) -> _Groups:
        return _Groups.of(self.tracks)

    def lenses(self, log_focal: float) -> np.ndarray:
        return self.intrinsics * np.array([np.exp(log_focal), np.exp(log_focal), 1, 1])

    def per_frame(self, row: np.ndarray) -> np.ndarray:
        """(N,) -> (T,) sums."""
        return np.bincount(self.tracks.frame, row, self.tracks.num_frames)

    def per_point(self, row: np.ndarray) -> np.ndarray:
        """(N,) -> (P,) sums."""
        return np.bincount(self.tracks.point, row, self.tracks.num_points)


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
    squared = _squared(problem, state)
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


def _camera_points(problem: _Problem, state: _State) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera rows (3, 4, N) of every observation, and its point in the camera times rho (3, N)."""
    tracks = problem.tracks
    M = np.ascontiguousarray(se3.inverse(state.Ts)[:, :3].transpose(1, 2, 0))[:, :, tracks.frame]
    X = np.ascontiguousarray(state.charts.homogeneous.T)[:, tracks.point]
    return M, M[:, 0] * X[0] + M[:, 1] * X[1] + M[:, 2] * X[2] + M[:, 3] * X[3]


def _errors(problem: _Problem, state: _State) -> tuple[np.ndarray, np.ndarray]:
    """Reprojection error (2, N) px and z (N,), positive in front."""
    tracks = problem.tracks
    _, Y = _camera_points(problem, state)
    z = np.where(np.abs(Y[2]) < 1e-9, 1e-9, Y[2])
    lenses = problem.lenses(state.log_focal).T[:, tracks.frame]
    return Y[:2] / z * lenses[:2] + lenses[2:] - tracks.xy.T, z


def _squared(problem: _Problem, state: _State) -> np.ndarray:
    """(N,) squared error in px^2; infinite behind the camera."""
    error, z = _errors(problem, state)
    return np.where(z > 0, error[0] ** 2 + error[1] ** 2, np.inf)


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
class _Blocks:
    """Normal equations: cameras (C, C) and (C,), points (P, 3, 3) and (3, P), and what couples them, as `_Groups` says;
    `focal_coupling` (3, P) is the last row of it, which all points share."""

    cameras: np.ndarray
    camera_gradient: np.ndarray
    points: np.ndarray
    point_gradient: np.ndarray
    coupling: np.ndarray
    focal_coupling: np.ndarray


def _blocks(problem: _Problem, state: _State, kernel: _Kernel) -> _Blocks:
    """Gauss-Newton normal equations, weighed by the kernel.

    d projection = f / z (dY_xy - plane dY_z), with dY = M dX for the point and -(rho dt + phi x Y) for the camera,
    whose pose is multiplied by exp(t, phi) from the right.
    """
    tracks = problem.tracks
    M, Y = _camera_points(problem, state)
    z = np.where(np.abs(Y[2]) < 1e-9, 1e-9, Y[2])
    plane = Y[:2] / z
    lenses = problem.lenses(state.log_focal).T[:, tracks.frame]
    error = plane * lenses[:2] + lenses[2:] - tracks.xy.T
    root = np.where(z > 0, 1 / (1 + (error**2).sum(axis=0) / kernel.scale**2), 0)  # square root of the weight
    gain = lenses[:2] / z * root
    axes = np.ascontiguousarray(state.charts.Ts_world_anchor[:, :, [0, 1, 3]].transpose(2, 1, 0))[:, :, tracks.point]
    moved = [M[:, 0] * a[0] + M[:, 1] * a[1] + M[:, 2] * a[2] + M[:, 3] * a[3] for a in axes]
    by_point = np.stack([(dY[:2] - plane * dY[2]) * gain for dY in moved])
    by_point[2] *= not problem.at_infinity
    rho, nothing = state.charts.uvr[tracks.point, 2], np.zeros_like(z)
    shifts = [(-rho, nothing), (nothing, -rho), rho * plane]
    turns = [(plane[0] * Y[1], Y[2] + plane[1] * Y[1]), (-Y[2] - plane[0] * Y[0], -plane[1] * Y[0]), (Y[1], -Y[0])]
    by_camera = np.stack([gain * np.stack(column) for column in shifts + turns] + [plane * lenses[:2] * root])
    by_camera[:6] *= problem.free[:-1].reshape(-1, 6).T[:, None, tracks.frame]
    by_camera[6] *= problem.free[-1]
    return _assemble(problem, by_camera, by_point, error * root)


def _assemble(problem: _Problem, by_camera: np.ndarray, by_point: np.ndarray, error: np.ndarray) -> _Blocks:
    """Sum products over observations. by_camera (7, 2, N), six of the pose and the focal length; by_point (3, 2, N)."""
    T, P = problem.tracks.num_frames, problem.tracks.num_points
    per_frame, gradients = np.zeros((7, 7, T)), np.zeros((7, T))
    for i in range(7):
        gradients[i] = problem.per_frame(_dot(by_camera[i], error))
        for j in range(i, 7):
            per_frame[i, j] = per_frame[j, i] = problem.per_frame(_dot(by_camera[i], by_camera[j]))
    cameras, every = np.zeros((6 * T + 1, 6 * T + 1)), np.arange(T)
    cameras[:-1, :-1].reshape(T, 6, T, 6)[every, :, every] = per_frame[:6, :6].transpose(2, 0, 1)
    cameras[:-1, -1] = cameras[-1, :-1] = per_frame[:6, 6].T.ravel()
    cameras[-1, -1] = per_frame[6, 6].sum()
    camera_gradient = np.append(gradients[:6].T.ravel(), gradients[6].sum())
    points, point_gradient = np.zeros((P, 3, 3)), np.zeros((3, P))
    groups = problem.groups
    coupling, focal_coupling = np.zeros(groups.begin[-1]), np.zeros((3, P))
    for k in range(3):
        point_gradient[k] = problem.per_point(_dot(by_point[k], error))
        focal_coupling[k] = problem.per_point(_dot(by_camera[6], by_point[k]))
        for j in range(k, 3):
            points[:, k, j] = points[:, j, k] = problem.per_point(_dot(by_point[k], by_point[j]))
        for i in range(6):
            coupling[groups.cell + (3 * i + k) * groups.step] = _dot(by_camera[i], by_point[k])
    return _Blocks(cameras, camera_gradient, points, point_gradient, coupling, focal_coupling)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(2, N), (2, N) -> (N,)."""
    return a[0] * b[0] + a[1] * b[1]


def _step(problem: _Problem, state: _State, blocks: _Blocks, kernel: _Kernel, damping: float) -> _State:
    """The damped Gauss-Newton step, points eliminated by the Schur complement."""
    cameras, gradient, T = blocks.cameras.copy(), blocks.camera_gradient.copy(), problem.tracks.num_frames
    if problem.prior is not None:
        mean, sigma = problem.prior
        pull = PRIOR_OBSERVATIONS * kernel.noise**2 / sigma**2 * problem.free[-1]
        cameras[-1, -1] += pull
        gradient[-1] += pull * (state.log_focal - mean)
    diagonal = np.einsum("ii->i", cameras)
    diagonal += damping * diagonal + 1e-9 + ~problem.free
    inverse = _damped_inverse(blocks.points, damping)
    root = np.linalg.cholesky(inverse)
    pulled = np.einsum("pik,ip->kp", root, blocks.point_gradient)
    for rows, points, coupling in problem.groups.parts(blocks):
        scaled, factor = np.empty_like(coupling), root[points]
        for k in range(3):  # coupling @ root, lower triangular
            scaled[:, k] = sum(coupling[:, i] * factor[:, i, k] for i in range(k, 3))
        flat = scaled.reshape(len(rows), -1)
        gradient[rows] -= flat @ pulled[:, points].ravel()
        cameras[np.ix_(rows, rows)] -= flat @ flat.T
    moved = -np.linalg.solve(cameras, gradient)
    rest = blocks.point_gradient.copy()
    for rows, points, coupling in problem.groups.parts(blocks):
        rest[:, points] += (moved[rows] @ coupling.reshape(len(rows), -1)).reshape(3, -1)
    uvr = state.charts.uvr - np.einsum("pij,jp->pi", inverse, rest)
    uvr[:, 2] = 0 if problem.at_infinity else np.maximum(uvr[:, 2], MIN_INVERSE_DEPTH)
    Ts = state.Ts.copy()
    freed = problem.free[:-1].reshape(T, 6).any(axis=1)
    Ts[freed] = Ts[freed] @ se3.exp(moved[:-1].reshape(T, 6)[freed])
    return _State(Ts, replace(state.charts, uvr=uvr), state.log_focal + float(np.clip(moved[-1], -0.3, 0.3)))


def _damped_inverse(points: np.ndarray, damping: float) -> np.ndarray:
    """(P, 3, 3) inverses; a point that nothing holds gets a tiny pull so that the inverse exists."""
    diagonal = np.einsum("pii->pi", points)
    floor = 1e-9 * diagonal.max(axis=1, keepdims=True) + 1e-9
    inverse = np.linalg.inv(points + (damping * diagonal + floor)[:, :, None] * np.eye(3))
    return (inverse + inverse.transpose(0, 2, 1)) / 2
