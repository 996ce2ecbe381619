"""The frames between key frames: each is placed by the points that the key frames know.

Resection by Gauss-Newton on the reprojection error, all frames at once: with the points held still the normal
equations of a frame are six by six (Triggs et al., Bundle adjustment: a modern synthesis, 1999, section 5). It starts
between the neighbouring key frames, which is near, for a film hardly moves between them. Points may be infinitely far.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from rap.geometry import se3
from rap.reconstruction.progress import beat
from rap.reconstruction.tracks import Tracks, locate, median_per_point

ROUNDS = 12
SCALE_PER_MEDIAN = 1.5
MIN_SCALE_PX = 0.7
FIRST_DAMPING, MAX_DAMPING = 1e-4, 1e4
MIN_TIES = 8  # points a frame needs: fewer leave its six numbers to chance
TIED_SHARE = 0.4  # of the points that it sees must fit
TURN_ROUNDS = 12
GOOD_POINT_PX = 2.0  # median error over the key frames, at 320 px


def interpolated(Ts: Float[np.ndarray, "k 4 4"], at: Int[np.ndarray, " k"], count: int) -> Float[np.ndarray, "t 4 4"]:
    """Poses of `count` frames from those of the frames `at` (ascending): between two on the straight way, outside as
    the nearest."""
    frames = np.arange(count)
    after = np.clip(np.searchsorted(at, frames), 0, len(at) - 1)
    before = np.clip(np.searchsorted(at, frames, side="right") - 1, 0, len(at) - 1)
    alpha = np.where(at[after] > at[before], (frames - at[before]) / np.maximum(at[after] - at[before], 1), 0.0)
    return se3.interpolate(Ts[before], Ts[after], alpha)


def tie_frames(
    tracks: Tracks,
    Ts_world_camera: Float[np.ndarray, "t 4 4"],
    intrinsics: Float[np.ndarray, "t 4"],
    known: Bool[np.ndarray, " t"],
) -> tuple[Float[np.ndarray, "t 4 4"], Bool[np.ndarray, " t"]]:
    """Poses of all frames, those of `known` ones untouched, and which frames have been placed.

    Args:
        tracks: of all T frames.
        Ts_world_camera: of known frames their poses, of others where to begin.
        intrinsics: (T, 4) px.
        known: frames whose poses give the points.

    Returns:
        The poses; a frame where fewer than MIN_TIES points fit, or less than TIED_SHARE of them, keeps its start. And
        (T,) known or placed.
    """
    part = tracks.where(known[tracks.frame])
    if part.num_points == 0:
        return Ts_world_camera, known
    charts, residual_px, _ = locate(part, Ts_world_camera, intrinsics, rounds=4)
    limit_px = GOOD_POINT_PX * max(max(tracks.image_size) / 320, 0.5)
    good = median_per_point(residual_px, part) < limit_px
    seen = np.flatnonzero(np.bincount(tracks.point[known[tracks.frame]], minlength=tracks.num_points) >= 2)
    X = np.full((tracks.num_points, 4), np.nan)
    X[seen[good]] = charts.homogeneous[good]
    mine = ~known[tracks.frame] & np.isfinite(X[tracks.point, 0])
    frame, xy, points = tracks.frame[mine], tracks.xy[mine], X[tracks.point[mine]]
    columns = np.ascontiguousarray(xy.T), np.ascontiguousarray(points.T)
    poses, error = _placed(frame, *columns, Ts_world_camera, intrinsics)
    fits = np.bincount(frame, np.sqrt((error**2).sum(axis=0)) < limit_px, len(poses))
    seen_points = np.bincount(frame, minlength=len(poses))
    placed = ~known & (fits >= np.maximum(MIN_TIES, TIED_SHARE * seen_points))
    return np.where(placed[:, None, None], poses, Ts_world_camera), known | placed


def _placed(
    frame: np.ndarray, xy: np.ndarray, X: np.ndarray, Ts: np.ndarray, intrinsics: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Poses (T, 4, 4) that the observations of (4, N) points agree with best, and the errors (2, N) px left."""
    T, lenses = len(Ts), np.ascontiguousarray(intrinsics.T)[:, frame]
    damping = np.full(T, FIRST_DAMPING)
    error, Y = _errors(frame, xy, X, Ts, lenses)
    for _ in range(ROUNDS):
        beat()
        scale = _scales(frame, error, T)
        cost = _costs(frame, error, scale)
        step = _steps(frame, error, Y, X[3], lenses, scale, damping)
        trial = Ts @ se3.exp(step)
        trial_error, trial_Y = _errors(frame, xy, X, trial, lenses)
        better = _costs(frame, trial_error, scale) < cost
        damping = np.clip(np.where(better, damping / 10, damping * 10), 1e-9, MAX_DAMPING)
        Ts = np.where(better[:, None, None], trial, Ts)
        mine = better[frame]
        error, Y = np.where(mine, trial_error, error), np.where(mine, trial_Y, Y)
    return Ts, error


def _errors(frame, xy, X, Ts, lenses) -> tuple[np.ndarray, np.ndarray]:
    """Reprojection error (2, N) px, very large behind the camera, and the points in the camera times rho (3, N)."""
    M = np.ascontiguousarray(se3.inverse(Ts)[:, :3].transpose(1, 2, 0))[:, :, frame]
    Y = M[:, 0] * X[0] + M[:, 1] * X[1] + M[:, 2] * X[2] + M[:, 3] * X[3]
    z = np.maximum(Y[2], 1e-9)
    error = Y[:2] / z * lenses[:2] + lenses[2:] - xy
    return np.where(Y[2] > 0, np.clip(error, -1e5, 1e5), 1e5), Y


def _scales(frame: np.ndarray, error: np.ndarray, T: int) -> np.ndarray:
    """(T,) scale of the robust kernel: from the median error of each frame."""
    size = np.sqrt((error**2).sum(axis=0))
    order = np.lexsort((size, frame))
    count = np.bincount(frame, minlength=T)
    middle = np.clip(np.cumsum(count) - count + count // 2, 0, max(len(frame) - 1, 0))
    median = size[order][middle] if len(frame) else np.zeros(T)
    return np.clip(SCALE_PER_MEDIAN * np.where(count > 0, median, 0), MIN_SCALE_PX, 50.0)


def _costs(frame: np.ndarray, error: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(T,) sums of Geman and McClure's kernel."""
    squared = (error**2).sum(axis=0) / scale[frame] ** 2
    return np.bincount(frame, squared / (1 + squared), len(scale))


def _steps(frame, error, Y, rho, lenses, scale, damping) -> np.ndarray:
    """(T, 6) damped steps (translation, rotation) of each pose, multiplied by their exponential from the right."""
    T = len(scale)
    z = np.maximum(Y[2], 1e-9)
    plane, gain = Y[:2] / z, lenses[:2] / z
    weight = 1 / (1 + (error**2).sum(axis=0) / scale[frame] ** 2) ** 2 * (Y[2] > 0)
    nothing = np.zeros_like(z)
    shifts = [(-rho, nothing), (nothing, -rho), rho * plane]
    turns = [(plane[0] * Y[1], Y[2] + plane[1] * Y[1]), (-Y[2] - plane[0] * Y[0], -plane[1] * Y[0]), (Y[1], -Y[0])]
    by_pose = np.stack([gain * np.stack(column) for column in shifts + turns])
    hessian, gradient = np.zeros((T, 6, 6)), np.zeros((T, 6))
    weighed = by_pose * weight
    for i in range(6):
        gradient[:, i] = np.bincount(frame, (weighed[i] * error).sum(axis=0), T)
        for j in range(i, 6):
            hessian[:, i, j] = hessian[:, j, i] = np.bincount(frame, (weighed[i] * by_pose[j]).sum(axis=0), T)
    diagonal = np.einsum("tii->ti", hessian)
    diagonal += damping[:, None] * diagonal + 1e-9 + 1e-9 * diagonal.max(axis=1, keepdims=True)
    step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
    return np.clip(step, -1e3, 1e3)


def turn_between(rays_b: Float[np.ndarray, "n 3"], rays_a: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3 3"]:
    """Rotation R_a_b with rays_a = R_a_b rays_b, for unit rays some of which are wrong.

    Kabsch, A solution for the best rotation to relate two sets of vectors, 1976, reweighed by Geman and McClure.
    """
    weight, R = np.ones(len(rays_a)), np.eye(3)
    for _ in range(TURN_ROUNDS):
        U, _, Vt = np.linalg.svd((rays_a * weight[:, None]).T @ rays_b)
        R = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
        miss = np.linalg.norm(rays_a - rays_b @ R.T, axis=1)
        weight = 1 / (1 + (miss / max(1.5 * np.median(miss), 1e-6)) ** 2) ** 2
    return R
