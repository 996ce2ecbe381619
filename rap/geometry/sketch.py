"""Paths that a hand has drawn: a stroke on the floor, or a view that was moved for a while."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike

from rap.geometry import se3
from rap.geometry.trajectory import Trajectory

Gaze = Literal["subject", "ahead", "along"]
GAZES: tuple[Gaze, ...] = get_args(Gaze)
"""Where the cameras of a stroke look: at the point ahead of the source, as the source does, or where they go."""

STILL = 1e-3  # less than this in all, in units of the scene, is no stroke
CALM = 0.06  # share of a stroke over which a hand's trembling is taken out


def sketched(
    stroke: Float[ArrayLike, "n 2"], like: Trajectory, gaze: Gaze = "subject", distance: float = 1.0
) -> Trajectory:
    """A walk along a stroke on the floor, at the source's height and at constant speed.

    Args:
        stroke: x (to the right) and z (ahead) of its points, in the source camera's axes; it is moved to begin there.
        like: gives number of frames, lenses, image size and rate.
        gaze: where the cameras look.
        distance: of the subject ahead of the source, > 0.

    Raises:
        ValueError: an unknown gaze, points that are no finite numbers, or no way between them.
    """
    if gaze not in GAZES:
        raise ValueError(f"gaze must be one of {', '.join(GAZES)}, got {gaze!r}")
    points = np.asarray(stroke, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("a stroke must be finite points (x, z); draw it again")
    flat = _even(points - points[:1], len(like)) if len(points) > 1 else points
    if len(flat) < 2 or np.abs(flat).max() < STILL:
        raise ValueError("the stroke goes nowhere; draw a longer one")
    centres = np.stack([flat[:, 0], np.zeros(len(flat)), flat[:, 1]], axis=-1)
    poses = se3.from_rotation_translation(np.eye(3), centres)
    if gaze == "subject":
        poses = se3.look_at(centres, np.array([0.0, 0.0, distance]))
    elif gaze == "along":
        ways = np.gradient(centres, axis=0)
        poses = se3.look_at(centres, centres + ways)
        poses[:, :3, :3] = poses[0, :3, :3].T @ poses[:, :3, :3]  # a way that begins to the side turns no source
    return _from_source(poses, like)


def recorded(times_s: Float[ArrayLike, " n"], poses: Float[ArrayLike, "n 4 4"], like: Trajectory) -> Trajectory:
    """The motion of a view that was moved by hand, as a path from the source camera, evenly in time.

    Args:
        times_s: of the poses, not falling.
        poses: camera-to-world of the view; what counts is their motion from the first of them.
        like: gives number of frames, lenses, image size and rate.

    Raises:
        ValueError: the view has not moved.
    """
    times, views = np.asarray(times_s, dtype=np.float64), np.asarray(poses, dtype=np.float64)
    kept = np.concatenate([[True], np.diff(times) > 0]) if len(times) else np.zeros(0, bool)
    times, views = times[kept], views[kept]
    if len(times) < 2 or np.ptp(views[:, :3], axis=0).max() < STILL:
        raise ValueError("the view has not been moved; press Record, move the view, and press again")
    relative = se3.inverse(views[0]) @ views
    keys = Trajectory(relative, np.tile(like.intrinsics[like.source], (len(times), 1)), like.image_size, fps=like.fps)
    at = np.interp(np.linspace(times[0], times[-1], len(like)), times, np.arange(len(times)))
    return _from_source(keys.interpolated(at).Ts_world_camera, like)


def _from_source(poses: Float64[np.ndarray, "T 4 4"], like: Trajectory) -> Trajectory:
    poses = np.concatenate([np.eye(4)[None], poses[1:]])
    lenses = np.tile(like.intrinsics[like.source], (len(poses), 1))
    return Trajectory(poses, lenses, like.image_size, fps=like.fps)


def _even(points: Float64[np.ndarray, "n 2"], count: int) -> Float64[np.ndarray, "m 2"]:
    """`count` points at even distances along a stroke whose trembling is taken out; the ends stay."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    if length[-1] < STILL:
        return points[:1]
    fine = np.linspace(0, length[-1], 200)
    calm = _at(fine, length, points)
    reach = max(1, round(CALM * len(fine)))
    padded = np.concatenate([2 * calm[0] - calm[reach:0:-1], calm, 2 * calm[-1] - calm[-2 : -reach - 2 : -1]])
    calm = np.stack(
        [np.convolve(row, np.full(2 * reach + 1, 1 / (2 * reach + 1)), "valid") for row in padded.T], axis=-1
    )
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(calm, axis=0), axis=1))])
    return _at(np.linspace(0, length[-1], count), length, calm)


def _at(
    where: Float64[np.ndarray, " m"], length: Float64[np.ndarray, " n"], points: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "m 2"]:
    return np.stack([np.interp(where, length, row) for row in points.T], axis=-1)
