"""Bundle adjustment: poses, points and a shared focal length that explain tracks best.

Levenberg-Marquardt on the reprojection error with the points eliminated (Triggs et al., Bundle adjustment: a modern
synthesis, 1999, sections 4 and 6.1), reweighed by the kernel of Geman and McClure, e^2 / (1 + e^2 / s^2), which stops
growing: an observation far off, or behind its camera, costs s^2 and pulls no more. The scale s follows the median
residual down, so that the adjustment starts nearly quadratic and ends deaf to outliers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from rap.geometry import se3
from rap.geometry.camera import fov_y_from_intrinsics
from rap.geometry.tracks import MIN_INVERSE_DEPTH, Charts, Tracks, camera_rows, locate, normalised

MIN_SCALE_PX = 0.5  # of the robust kernel: tracks are rarely better than a third of a pixel
SCALE_PER_MEDIAN = 1.5
FIRST_DAMPING = 1e-3
MAX_DAMPING = 1e6
ENOUGH = 1e-4  # relative decrease of the cost below which an iteration counts as the last but one
MIN_NOISE_PX = 0.05  # no tracks are better
# Observations that a prior of one sigma outweighs: errors along a track, and of neighbours, are not independent
PRIOR_OBSERVATIONS = 50.0


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
    def of(median_px: float, largest_px: float) -> _Kernel:
        scale = float(np.clip(SCALE_PER_MEDIAN * median_px, MIN_SCALE_PX, largest_px))
        return _Kernel(scale, float(np.clip(median_px, MIN_NOISE_PX, largest_px)))


@dataclass(frozen=True, eq=False)
class _State:
    """What is adjusted; `log_focal` multiplies all focal lengths by its exponential."""

    Ts: np.ndarray
    charts: Charts
    log_focal: float


@dataclass(frozen=True, eq=False)
class _Problem:
    """What stays: observations, lenses, which parameters are free."""

    tracks: Tracks
    intrinsics: np.ndarray
    free: np.ndarray  # (6 T + 1,) mask over camera parameters: six a frame, then the focal length
    by_frame: np.ndarray  # order of the observations by frame
    prior: tuple[float, float] | None  # mean and sigma of log_focal
    at_infinity: bool

    def lenses(self, log_focal: float) -> np.ndarray:
        return self.intrinsics * np.array([np.exp(log_focal), np.exp(log_focal), 1, 1])


def bundle_adjust(
    tracks: Tracks,
    Ts_world_camera: Float[ArrayLike, "t 4 4"],
    intrinsics: Float[ArrayLike, "*t 4"],
    *,
    fixed: int = 0,
    focal: Literal["fixed", "shared"] = "fixed",
    focal_prior: tuple[float, float] | None = None,
    iterations: int = 20,
    points: Float[ArrayLike, "p 3"] | None = None,
    at_infinity: bool = False,
) -> Bundle:
    """Adjust poses and points (and the focal length) to the tracks, from a start that may be bad.

    The unit of length may drift from the start's: set it afterwards. Frames without tracks keep their pose.

    Args:
        tracks: observations in pixels of the intrinsics.
        Ts_world_camera: start of the poses.
        intrinsics: (4,) or (T, 4) start of the lenses.
        fixed: the frame whose pose stays.
        focal: "shared" multiplies all focal lengths by one free factor.
        focal_prior: (vertical field of view in radians, sigma of the logarithm of the focal length); None: no prior.
        iterations: at most this many steps.
        points: start of the points; None triangulates them.
        at_infinity: adjust rotations alone, with all points infinitely far: translations stay.

    Raises:
        ValueError: shapes that do not agree, a fixed frame out of range.
    """
    Ts, rows = camera_rows(tracks, Ts_world_camera, intrinsics)
    if not 0 <= fixed < tracks.num_frames:
        raise ValueError(f"fixed must be one of the {tracks.num_frames} frames, got {fixed}")
    problem = _problem(tracks, rows, fixed, focal, focal_prior, at_infinity)
    if len(tracks) == 0:
        none = np.zeros(0)
        return Bundle(Ts, rows, np.zeros((0, 3)), none, none, none, MIN_SCALE_PX, 0.0, 0)
    state = _State(Ts, _start(problem, Ts, points, at_infinity), 0.0)
    state, kernel, accepted = _minimise(problem, state, iterations)
    scale = kernel.scale
    error, z = _errors(problem, state)
    squared = (error**2).sum(axis=1)
    weight = np.where(z > 0, 1 / (1 + squared / scale**2) ** 2, 0)
    cost = _cost(problem, state, kernel) / len(tracks)
    residual_px = np.where(z > 0, np.sqrt(squared), np.inf)
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
    by_frame = np.argsort(tracks.frame, kind="stable")
    return _Problem(tracks, rows, np.append(free.ravel(), focal == "shared"), by_frame, prior, at_infinity)


def _start(problem: _Problem, Ts: np.ndarray, points: ArrayLike | None, at_infinity: bool) -> Charts:
    tracks = problem.tracks
    if points is None and not at_infinity:
        return locate(tracks, Ts, problem.intrinsics)[0]
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
    """Matrices anchor -> camera (N, 3, 4) and rho-scaled camera points (N, 3)."""
    tracks, charts = problem.tracks, state.charts
    M = se3.inverse(state.Ts)[tracks.frame, :3] @ charts.Ts_world_anchor[tracks.point]
    u, v, rho = charts.uvr[tracks.point].T
    return M, M[:, :, 0] * u[:, None] + M[:, :, 1] * v[:, None] + M[:, :, 2] + M[:, :, 3] * rho[:, None]


def _errors(problem: _Problem, state: _State) -> tuple[np.ndarray, np.ndarray]:
    """Reprojection error (N, 2) px and z (N,), positive in front."""
    tracks = problem.tracks
    homogeneous = state.charts.homogeneous[tracks.point]
    Y = np.einsum("nij,nj->ni", se3.inverse(state.Ts)[tracks.frame, :3], homogeneous)
    z = np.where(np.abs(Y[:, 2]) < 1e-9, 1e-9, Y[:, 2])
    lenses = problem.lenses(state.log_focal)[tracks.frame]
    return Y[:, :2] / z[:, None] * lenses[:, :2] + lenses[:, 2:] - tracks.xy, z


def _cost(problem: _Problem, state: _State, kernel: _Kernel) -> float:
    """Robust cost in px^2, the prior included."""
    error, z = _errors(problem, state)
    squared = (error**2).sum(axis=1) / kernel.scale**2
    cost = float(np.where(z > 0, squared / (1 + squared), 1).sum()) * kernel.scale**2
    if problem.prior is not None:
        mean, sigma = problem.prior
        cost += PRIOR_OBSERVATIONS * kernel.noise**2 * ((state.log_focal - mean) / sigma) ** 2
    return cost


def _kernel(problem: _Problem, state: _State) -> _Kernel:
    error, z = _errors(problem, state)
    residual = np.where(z > 0, np.linalg.norm(error, axis=1), np.inf)
    return _Kernel.of(float(np.median(residual)), max(problem.tracks.image_size))


def _minimise(problem: _Problem, state: _State, iterations: int) -> tuple[_State, _Kernel, int]:
    """Damped steps until the cost stops falling or no damping helps."""
    damping, accepted = FIRST_DAMPING, 0
    kernel = _kernel(problem, state)
    cost, blocks = _cost(problem, state, kernel), None
    for _ in range(iterations):
        blocks = blocks or _blocks(problem, state, kernel)
        candidate = _step(problem, state, blocks, kernel, damping)
        new_cost = _cost(problem, candidate, kernel)
        if not new_cost < cost:
            damping *= 10
            if damping > MAX_DAMPING:
                break
            continue
        decrease = (cost - new_cost) / max(cost, 1e-12)
        state, damping, accepted, blocks = candidate, max(damping / 10, 1e-9), accepted + 1, None
        new_kernel = _kernel(problem, state)
        settled = decrease < ENOUGH and new_kernel.scale > 0.99 * kernel.scale
        kernel = new_kernel if new_kernel.scale <= kernel.scale else kernel
        cost = _cost(problem, state, kernel)
        if settled:
            break
    return state, kernel, accepted


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Normal equations: cameras (C, C) and (C,), points (P, 3, 3) and (P, 3), and what couples them (P, C, 3)."""

    cameras: np.ndarray
    camera_gradient: np.ndarray
    points: np.ndarray
    point_gradient: np.ndarray
    coupling: np.ndarray


def _blocks(problem: _Problem, state: _State, kernel: _Kernel) -> _Blocks:
    """Gauss-Newton normal equations, weighed by the kernel, over all camera parameters."""
    tracks, T = problem.tracks, problem.tracks.num_frames
    M, Y = _camera_points(problem, state)
    z = np.where(np.abs(Y[:, 2]) < 1e-9, 1e-9, Y[:, 2])
    plane = Y[:, :2] / z[:, None]
    lenses = problem.lenses(state.log_focal)[tracks.frame]
    projected = plane * lenses[:, :2]
    error = projected + lenses[:, 2:] - tracks.xy
    weight = np.where(z > 0, 1 / (1 + (error**2).sum(axis=1) / kernel.scale**2) ** 2, 0)
    root, per_z = np.sqrt(weight)[:, None], (lenses[:, :2] / z[:, None])[:, :, None]
    # d projection = f / z (dY_xy - plane dY_z); dY = M columns for the point, -(rho dt + phi x Y) for the camera
    columns = M[:, :, [0, 1, 3]]
    by_point = (columns[:, :2] - plane[:, :, None] * columns[:, 2:]) * per_z * root[:, :, None]
    rho = state.charts.uvr[tracks.point, 2]
    by_point[:, :, 2] *= not problem.at_infinity
    turned = _cross_columns(Y)
    by_turn = (turned[:, :2] - plane[:, :, None] * turned[:, 2:]) * per_z
    by_shift = np.zeros_like(by_turn)
    by_shift[:, 0, 0] = by_shift[:, 1, 1] = -rho
    by_shift[:, :, 2] = rho[:, None] * plane
    by_camera = np.concatenate([by_shift * per_z, by_turn, projected[:, :, None]], axis=2) * root[:, :, None]
    return _assemble(problem, by_camera, by_point, error * root, T)


def _cross_columns(Y: np.ndarray) -> np.ndarray:
    """(N, 3, 3) derivative of -phi x Y = Y x phi by phi: [Y]x."""
    x, y, z = Y.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)


def _assemble(problem: _Problem, by_camera: np.ndarray, by_point: np.ndarray, error: np.ndarray, T: int) -> _Blocks:
    """Sum the observations' products into blocks. by_camera (N, 2, 7): six of the pose, then the focal length."""
    tracks, order = problem.tracks, problem.by_frame
    pair = _products(by_camera, by_camera)[order]
    gradient = _products(by_camera, error[:, :, None])[order, :, 0]
    frames, starts = np.unique(tracks.frame[order], return_index=True)
    per_frame, gradients = np.zeros((T, 7, 7)), np.zeros((T, 7))
    per_frame[frames] = np.add.reduceat(pair, starts)
    gradients[frames] = np.add.reduceat(gradient, starts)
    cameras, camera_gradient = np.zeros((6 * T + 1, 6 * T + 1)), np.zeros(6 * T + 1)
    view = cameras[:-1, :-1].reshape(T, 6, T, 6)
    view[np.arange(T), :, np.arange(T)] = per_frame[:, :6, :6]
    cameras[:-1, -1] = cameras[-1, :-1] = per_frame[:, :6, 6].ravel()
    cameras[-1, -1], camera_gradient[:-1] = per_frame[:, 6, 6].sum(), gradients[:, :6].ravel()
    camera_gradient[-1] = gradients[:, 6].sum()
    cross = _products(by_camera, by_point)
    coupling = np.zeros((tracks.num_points, 6 * T + 1, 3))
    coupling[:, :-1].reshape(-1, T, 6, 3)[tracks.point, tracks.frame] = cross[:, :6]
    coupling[:, -1] = np.add.reduceat(cross[:, 6], tracks.starts)
    points = np.add.reduceat(_products(by_point, by_point), tracks.starts)
    point_gradient = np.add.reduceat(_products(by_point, error[:, :, None])[:, :, 0], tracks.starts)
    return _Blocks(cameras, camera_gradient, points, point_gradient, coupling)


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a^T b of every observation: (N, 2, I), (N, 2, J) -> (N, I, J)."""
    return a[:, 0, :, None] * b[:, 0, None, :] + a[:, 1, :, None] * b[:, 1, None, :]


def _step(problem: _Problem, state: _State, blocks: _Blocks, kernel: _Kernel, damping: float) -> _State:
    """The damped Gauss-Newton step, points eliminated by the Schur complement."""
    free, T = problem.free, problem.tracks.num_frames
    cameras, gradient = blocks.cameras.copy(), blocks.camera_gradient.copy()
    if problem.prior is not None:
        mean, sigma = problem.prior
        pull = PRIOR_OBSERVATIONS * kernel.noise**2 / sigma**2
        cameras[-1, -1] += pull
        gradient[-1] += pull * (state.log_focal - mean)
    cameras, gradient = cameras[np.ix_(free, free)], gradient[free]
    diagonal = np.einsum("ii->i", cameras)
    diagonal += damping * diagonal + 1e-9
    coupling, inverse = blocks.coupling[:, free], _damped_inverse(blocks.points, damping)
    flat = (coupling @ inverse).transpose(1, 0, 2).reshape(len(gradient), -1)
    cameras = cameras - flat @ coupling.transpose(1, 0, 2).reshape(len(gradient), -1).T
    gradient = gradient - flat @ blocks.point_gradient.ravel()
    moved = np.zeros(len(free))
    moved[free] = -np.linalg.solve(cameras, gradient)
    rest = blocks.point_gradient + np.einsum("pci,c->pi", coupling, moved[free])
    uvr = state.charts.uvr - (inverse @ rest[..., None])[..., 0]
    uvr[:, 2] = 0 if problem.at_infinity else np.maximum(uvr[:, 2], MIN_INVERSE_DEPTH)
    Ts = state.Ts @ se3.exp(moved[:-1].reshape(T, 6))
    return _State(Ts, replace(state.charts, uvr=uvr), state.log_focal + float(np.clip(moved[-1], -0.3, 0.3)))


def _damped_inverse(points: np.ndarray, damping: float) -> np.ndarray:
    """(P, 3, 3) inverses; a point that nothing holds gets a tiny pull so that the inverse exists."""
    diagonal = np.einsum("pii->pi", points)
    floor = 1e-9 * diagonal.max(axis=1, keepdims=True) + 1e-9
    return np.linalg.inv(points + (damping * diagonal + floor)[:, :, None] * np.eye(3))
