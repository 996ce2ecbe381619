"""Whole-path edits: pure functions Trajectory -> Trajectory that keep the frame count, the source and its index.

The source frame is the given image: its camera is the world and its lens is the picture's own, so that neither is
touched here. What moves all other cameras would tear the path apart beside it; `reach` lets the change grow from
nothing at the source to the whole, by the law of the soft drag.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import scipy
from jaxtyping import Float
from numpy.typing import ArrayLike

from rap.geometry import edits, se3
from rap.geometry.trajectory import Trajectory, frame_index, spline

Easing = Literal["linear", "ease in", "ease out", "ease in-out", "constant speed"]
EASINGS: tuple[Easing, ...] = get_args(Easing)

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
QUARTER_TURN = np.array([[0.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
STILL = 1e-9  # a path shorter than this (median depths and radians) has no speed to speak of
FINE = 8  # samples a frame at which the length of a spline is measured


def ease(share: Float[ArrayLike, "*n"], easing: Easing) -> Float[np.ndarray, "*n"]:
    """Share of a way that is behind one at a share of the time, both in [0, 1]; see `Easing`.

    "ease in" starts at rest (u^2), "ease out" ends at rest (1 - (1 - u)^2), "ease in-out" does both (3 u^2 - 2 u^3).

    Raises:
        ValueError: an unknown easing.
    """
    u = np.asarray(share, dtype=np.float64)
    if easing not in EASINGS:
        raise ValueError(f"easing must be one of {', '.join(EASINGS)}, got {easing!r}")
    if easing == "ease in":
        return u**2
    if easing == "ease out":
        return 1 - (1 - u) ** 2
    if easing == "ease in-out":
        return u**2 * (3 - 2 * u)
    return u


def step_lengths(Ts_world_camera: Float[np.ndarray, "n 4 4"]) -> Float[np.ndarray, " n-1"]:
    """How far it is from each pose to the next: sqrt(distance^2 + angle^2), in median depths and radians.

    At the median depth a radian of turning moves the picture about as much as a unit of translation does.
    """
    between = se3.inverse(Ts_world_camera[:-1]) @ Ts_world_camera[1:]
    distance = np.linalg.norm(between[:, :3, 3], axis=-1)
    return np.hypot(distance, se3.rotation_angle(between[:, :3, :3]))


def warped_times(
    at: Float[np.ndarray, " n"],
    fixed: Float[np.ndarray, " m"],
    times: Float[np.ndarray, " k"],
    lengths: Float[np.ndarray, " k"] | None,
    easing: Easing,
) -> Float[np.ndarray, " n"]:
    """Where on a path to be at the times `at`, for an easing; each stretch between two `fixed` times is eased alone.

    Args:
        at: times within the first and the last of `fixed`.
        fixed: increasing times that are mapped to themselves: start, source, end.
        times, lengths: the way travelled at these increasing times, for a speed that is measured along the path; None
            eases the path's own time.
        easing: of every stretch.
    """
    if lengths is None:
        at_length, inverse = at, None
        ends = fixed
    else:
        ends = np.interp(fixed, times, lengths)
        grows = np.concatenate([[True], np.diff(lengths) > 0])
        inverse = (lengths[grows], times[grows])
        at_length = at
    stretch = np.clip(np.searchsorted(fixed, at, side="right") - 1, 0, len(fixed) - 2)
    start, end = fixed[stretch], fixed[stretch + 1]
    share = ease((at_length - start) / (end - start), easing)
    if inverse is None:
        return start + share * (end - start)
    way = ends[stretch] + share * (ends[stretch + 1] - ends[stretch])
    there = np.clip(np.interp(way, *inverse), start, end) if len(inverse[0]) > 1 else at
    moves = ends[stretch + 1] - ends[stretch] > STILL
    return np.where(moves, there, at)


def retime(trajectory: Trajectory, easing: Easing) -> Trajectory:
    """The same way at another speed: frames are taken from the spline through the path, ends and source stay.

    "linear" leaves the path's own timing; the others measure speed along the way (see `step_lengths`), so that doing
    one of them twice changes (next to) nothing. The stretches before and after an inner source are timed each alone.
    """
    ease(0.0, easing)
    last = len(trajectory) - 1
    if easing == "linear" or last < 2:
        return trajectory
    fine = np.linspace(0, last, FINE * last + 1)
    lengths = np.concatenate([[0], np.cumsum(step_lengths(trajectory.interpolated(fine).Ts_world_camera))])
    fixed = np.unique([0, trajectory.source, last]).astype(np.float64)
    times = warped_times(np.arange(last + 1.0), fixed, fine, lengths, easing)
    times[trajectory.source] = trajectory.source
    return replace(trajectory.interpolated(times), source=trajectory.source)


def close_loop(trajectory: Trajectory) -> Trajectory:
    """The path and, at its own mean speed, the way from its last camera back to its first; sampled at i / n.

    So frame n, which is not there, would be frame 0 again, and the video repeats without a jump or a doubled frame. An
    orbit that ends where it began only loses its doubled last camera. The source keeps its index if it is the first;
    an inner one is moved onto, and cameras before and after it stay before and after.
    """
    count, source = len(trajectory), trajectory.source
    if count < 3:
        raise ValueError(f"a loop needs at least 3 frames, got {count}")
    poses, intrinsics = trajectory.Ts_world_camera, trajectory.intrinsics
    way = float(step_lengths(poses).sum())
    if way < STILL:
        return trajectory
    gap = float(step_lengths(poses[[-1, 0]])[0]) / (way / (count - 1))  # in frames at the mean speed
    if gap < 1e-6:  # it is closed: the last camera is the first
        poses, intrinsics, gap = poses[:-1], intrinsics[:-1], 1.0
    keys = replace(
        trajectory,
        Ts_world_camera=np.concatenate([poses, poses[:1]]),
        intrinsics=np.concatenate([intrinsics, intrinsics[:1]]),
        source=min(source, len(poses) - 1),
    )
    times = np.concatenate([np.arange(len(poses)), [len(poses) - 1 + gap]])
    at = np.arange(count) * times[-1] / count
    if source > 0:  # the source stays at its index: the times on both sides of it are stretched to fit
        at = np.interp(np.arange(count), [0, source, count], [0, min(source, len(poses) - 1), times[-1]])
    Ts, lens = spline(keys, times, at, 0.0)
    Ts[source], lens[source] = trajectory.Ts_world_camera[source], trajectory.intrinsics[source]
    return replace(trajectory, Ts_world_camera=Ts, intrinsics=lens)


def backwards(trajectory: Trajectory) -> Trajectory:
    """The motion run backwards from the source camera: what came last comes first, and the source keeps its index.

    Not `edits.reverse`, which runs the same cameras the other way and so moves the source image to the other end.
    """
    turned = edits.reverse(trajectory).relative_to(trajectory.source)
    T, lens = trajectory.Ts_world_camera[trajectory.source], trajectory.intrinsics[trajectory.source]
    poses = T @ turned.Ts_world_camera
    poses[trajectory.source] = T
    gain = lens[:2] / turned.intrinsics[trajectory.source, :2]
    intrinsics = np.concatenate([turned.intrinsics[:, :2] * gain, turned.intrinsics[:, 2:]], axis=1)
    intrinsics[trajectory.source] = lens
    return replace(turned, Ts_world_camera=poses, intrinsics=intrinsics)


def mirror(trajectory: Trajectory) -> Trajectory:
    """Left and right exchanged: every camera reflected in the source camera's vertical plane (its x becomes -x).

    A reflected camera is no rotation; its own x axis is turned back as well: T -> M T M in the source's axes with
    M = diag(-1, 1, 1, 1). Lenses stay. Mirroring twice is the path again, to the bit when the source is the world.
    """
    return _seen_otherwise(trajectory, MIRROR)


def quarter_turned(trajectory: Trajectory) -> Trajectory:
    """What went to the left goes up, what went up goes to the right: T -> Q T Q^-1 in the source's axes.

    Q is the turn by 90 degrees about the source's optical axis. Lenses stay.
    """
    return _seen_otherwise(trajectory, QUARTER_TURN)


def _seen_otherwise(trajectory: Trajectory, M: np.ndarray) -> Trajectory:
    """T -> M T M^-1 in the source's axes; M is (4, 4), orthogonal."""
    T = trajectory.Ts_world_camera[trajectory.source]
    if np.array_equal(T, np.eye(4)):
        return replace(trajectory, Ts_world_camera=M @ trajectory.Ts_world_camera @ M.T)
    poses = T @ M @ se3.inverse(T) @ trajectory.Ts_world_camera @ M.T
    poses[trajectory.source] = T
    return replace(trajectory, Ts_world_camera=poses)


def away_from_source(trajectory: Trajectory, reach: float | None) -> Float[np.ndarray, " frames"]:
    """Share of a change that each frame takes: 1 - exp(-2 (|i - source| / reach)^2); None: 1 for all but the source.

    Raises:
        ValueError: a reach that is not above 0.
    """
    distance = np.abs(np.arange(len(trajectory)) - trajectory.source)
    if reach is None:
        return (distance > 0).astype(np.float64)
    if not (np.isfinite(reach) and reach > 0):
        raise ValueError(f"reach must be a positive number of frames, got {reach}")
    return 1 - np.exp(-2 * (distance / reach) ** 2)


def move_all(
    trajectory: Trajectory,
    T: Float[ArrayLike, "4 4"],
    pivot: Float[ArrayLike, "3"] = (0, 0, 0),
    reach: float | None = None,
) -> Trajectory:
    """Every camera but the source moved rigidly: turned by T's rotation about `pivot` and shifted by its translation.

    Args:
        T: rigid motion of the world.
        pivot: world point that its rotation leaves in place.
        reach: frames over which the motion grows to the whole, along the screw exp(share log T); None: at once.

    Raises:
        ValueError: T is not rigid, pivot is no finite point, or reach is not above 0.
    """
    T, pivot = np.asarray(T, dtype=np.float64), _point(pivot, "pivot")
    se3.check_rigid(T, "T")
    share = away_from_source(trajectory, reach)[:, None]
    Rotation = scipy.spatial.transform.Rotation
    turns = Rotation.from_rotvec(share * Rotation.from_matrix(T[:3, :3]).as_rotvec()).as_matrix()
    poses = trajectory.Ts_world_camera.copy()
    poses[:, :3, :3] = turns @ poses[:, :3, :3]
    poses[:, :3, 3] = (turns @ (poses[:, :3, 3] - pivot)[..., None])[..., 0] + pivot + share * T[:3, 3]
    return _with_poses(trajectory, poses)


def scale_about(
    trajectory: Trajectory, factor: float, pivot: Float[ArrayLike, "3"] = (0, 0, 0), reach: float | None = None
) -> Trajectory:
    """Camera centres nearer to (factor < 1) or farther from (> 1) `pivot`; where they look and their lenses stay.

    Args:
        factor: of the distance to the pivot, > 0.
        pivot, reach: as in `move_all`; a part of the change is that power of the factor.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise ValueError(f"factor must be above 0, got {factor}; 1 changes nothing")
    pivot = _point(pivot, "pivot")
    poses = trajectory.Ts_world_camera.copy()
    poses[:, :3, 3] = pivot + factor ** away_from_source(trajectory, reach)[:, None] * (poses[:, :3, 3] - pivot)
    return _with_poses(trajectory, poses)


def look_at_point(trajectory: Trajectory, target: Float[ArrayLike, "3"], reach: float | None = None) -> Trajectory:
    """Every camera but the source turned on the spot to look at `target`, its top towards the source's up (-y).

    Args:
        target: world point.
        reach: frames over which the turn grows to the whole; None: at once.

    Raises:
        ValueError: a camera stands at the target or right above or below it; the sentence names the first.
    """
    target = _point(target, "target")
    moves = np.flatnonzero(away_from_source(trajectory, reach))
    away = target - trajectory.centres[moves]
    bad = np.hypot(away[:, 0], away[:, 2]) < 1e-6 * np.maximum(1, np.abs(away[:, 1]))
    if bad.any():
        raise ValueError(
            f"frame {moves[bad][0]} stands at, right above or right below the point {target.round(3).tolist()} and "
            "cannot look at it upright; choose a point further off"
        )
    poses = trajectory.Ts_world_camera.copy()
    wanted = se3.look_at(poses[moves, :3, 3], target)
    share = away_from_source(trajectory, reach)[moves]
    poses[moves] = se3.interpolate(poses[moves], wanted, share)
    poses[moves, :3, 3] = trajectory.centres[moves]
    return _with_poses(trajectory, poses)


def set_field_of_view(trajectory: Trajectory, i: int, fov_y_rad: float, radius: float | None = None) -> Trajectory:
    """Another vertical field of view at frame i; its neighbours follow by the soft drag's law, but the source.

    Args:
        fov_y_rad: in (0, pi).
        radius: reach in frames; the logarithm of the focal length is what is shared. None changes frame i alone.

    Raises:
        ValueError: frame i is the source, whose lens is that of the given image, or a value is out of its range.
    """
    i = frame_index(trajectory, i)
    if i == trajectory.source:
        raise ValueError(f"frame {i} is the source: its lens is that of the given image and stays as it is")
    if not 0 < fov_y_rad < np.pi:
        raise ValueError(f"fov_y_rad must lie in (0, pi), got {fov_y_rad}; degrees?")
    gain = np.tan(trajectory.fov_y_rad[i] / 2) / np.tan(fov_y_rad / 2)
    weights = np.zeros(len(trajectory))
    if radius is not None:
        if not (np.isfinite(radius) and radius > 0):
            raise ValueError(f"radius must be a positive number of frames, got {radius}")
        weights = np.exp(-2 * ((np.arange(len(trajectory)) - i) / radius) ** 2)
    weights[i], weights[trajectory.source] = 1, 0
    intrinsics = trajectory.intrinsics.copy()
    intrinsics[:, :2] *= gain ** weights[:, None]
    return replace(trajectory, intrinsics=intrinsics)


def rotation_from_angles(yaw_rad: float, pitch_rad: float, roll_rad: float) -> Float[np.ndarray, "3 3"]:
    """R_y(yaw) R_x(pitch) R_z(roll) in OpenCV axes: yaw to the right, pitch up, roll clockwise are positive."""
    return scipy.spatial.transform.Rotation.from_euler("YXZ", [yaw_rad, pitch_rad, roll_rad]).as_matrix()


def angles_from_rotation(R: Float[np.ndarray, "3 3"]) -> tuple[float, float, float]:
    """Yaw, pitch, roll in radians, the inverse of `rotation_from_angles`; straight up or down, roll is 0."""
    forward = R[:, 2]
    pitch = float(np.arctan2(-forward[1], np.hypot(forward[0], forward[2])))
    if np.hypot(forward[0], forward[2]) < 1e-9:
        return float(np.arctan2(-R[2, 0], R[0, 0])), pitch, 0.0
    return float(np.arctan2(forward[0], forward[2])), pitch, float(np.arctan2(R[1, 0], R[1, 1]))


def _with_poses(trajectory: Trajectory, poses: Float[np.ndarray, "frames 4 4"]) -> Trajectory:
    """The path with these poses, but for the source."""
    poses[trajectory.source] = trajectory.Ts_world_camera[trajectory.source]
    return replace(trajectory, Ts_world_camera=poses)


def _point(values: Float[ArrayLike, "3"], name: str) -> Float[np.ndarray, "3"]:
    point = np.asarray(values, dtype=np.float64)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise ValueError(f"{name} must be a finite point (x, y, z), got {point.tolist()}")
    return point
