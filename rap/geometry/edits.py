"""Edits of a path: pure functions Trajectory -> Trajectory, so that undo is a stack of values.

The source frame is the given image, and its camera is the world. No edit moves it, and only `insert_pose`,
`delete_pose`, `reverse` and `resample` change its index. Indices count frames from 0 and are not negative.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import scipy
from jaxtyping import Float
from numpy.typing import ArrayLike

from rap.geometry import se3
from rap.geometry.trajectory import Trajectory, frame_index

SMOOTHING_PASSES = 8


def replace_pose(trajectory: Trajectory, i: int, T_world_camera: Float[ArrayLike, "4 4"]) -> Trajectory:
    """The path with another pose at frame i.

    Raises:
        ValueError: i is out of range or the source frame, or the pose is not rigid.
    """
    i = _movable(trajectory, i)
    poses = trajectory.Ts_world_camera.copy()
    poses[i] = _pose(T_world_camera)
    return replace(trajectory, Ts_world_camera=poses)


def soft_drag(
    trajectory: Trajectory,
    i: int,
    T_world_camera: Float[ArrayLike, "4 4"],
    radius: float,
    pinned: Collection[int] | None = None,
) -> Trajectory:
    """Proportional drag: frame i goes to the new pose, its neighbours in time follow with weight exp(-2 x^2).

    x = |j - i| / radius. A follower moves by its share of the drag's translation in the world, and turns by its
    share of the drag's rotation about its own centre: neighbours go where the hand goes, whatever they look at.

    Args:
        trajectory: the path.
        i: the dragged frame.
        T_world_camera: its new pose.
        radius: reach in frames, > 0; a tiny one moves frame i alone.
        pinned: frames that stay, beside the source, which always does.

    Raises:
        ValueError: i is out of range, the source or pinned; the pose is not rigid; the radius is not positive.
    """
    i, target = _movable(trajectory, i), _pose(T_world_camera)
    if not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"radius must be a positive number of frames, got {radius}")
    still = [frame_index(trajectory, j) for j in pinned or ()]
    if i in still:
        raise ValueError(f"frame {i} is pinned and cannot be dragged; unpin it first")
    weights = np.exp(-2 * ((np.arange(len(trajectory)) - i) / radius) ** 2)
    weights[[trajectory.source, *still]] = 0
    poses = trajectory.Ts_world_camera.copy()
    shift = target[:3, 3] - poses[i, :3, 3]
    Rotation = scipy.spatial.transform.Rotation
    turn = Rotation.from_matrix(target[:3, :3] @ poses[i, :3, :3].T).as_rotvec()
    followers = np.flatnonzero(weights)
    part = weights[followers, None]
    poses[followers, :3, 3] += part * shift
    poses[followers, :3, :3] = Rotation.from_rotvec(part * turn).as_matrix() @ poses[followers, :3, :3]
    poses[i] = target  # what was asked for, to the bit
    return replace(trajectory, Ts_world_camera=poses)


def transform_all(
    trajectory: Trajectory, T: Float[ArrayLike, "4 4"], pivot: Float[ArrayLike, "3"] | None = None
) -> Trajectory:
    """The whole path but the source, moved rigidly in the world: T_world_camera -> T T_world_camera.

    The source stays, because a path is what the other cameras do relative to it; moving it along would change nothing.

    Args:
        trajectory: the path.
        T: rigid motion of the world.
        pivot: world point about which the rotation of T turns; None is the world's origin, the source camera.
    """
    motion = _pose(T, "T")
    if pivot is not None:
        centre = np.asarray(pivot, dtype=np.float64)
        if centre.shape != (3,) or not np.isfinite(centre).all():
            raise ValueError(f"pivot must be a finite point (x, y, z), got {centre.tolist()}")
        motion = motion.copy()
        motion[:3, 3] += centre - motion[:3, :3] @ centre
    poses = motion @ trajectory.Ts_world_camera
    poses[trajectory.source] = trajectory.Ts_world_camera[trajectory.source]
    return replace(trajectory, Ts_world_camera=poses)


def insert_pose(trajectory: Trajectory, i: int, T_world_camera: Float[ArrayLike, "4 4"] | None = None) -> Trajectory:
    """The path with a new frame before frame i (i = len appends); one frame longer.

    Args:
        trajectory: the path.
        i: index of the new frame, in [0, len].
        T_world_camera: its pose; None takes the camera halfway between its neighbours (at an end: a copy).
    """
    count = len(trajectory)
    if not 0 <= i <= count:
        raise ValueError(f"frame index must lie in [0, {count}] to insert, got {i}")
    halfway = trajectory.interpolated([min(max(i - 0.5, 0), count - 1)])
    pose = halfway.Ts_world_camera[0] if T_world_camera is None else _pose(T_world_camera)
    return replace(
        trajectory,
        Ts_world_camera=np.insert(trajectory.Ts_world_camera, i, pose, axis=0),
        intrinsics=np.insert(trajectory.intrinsics, i, halfway.intrinsics[0], axis=0),
        source=trajectory.source + (i <= trajectory.source),
    )


def delete_pose(trajectory: Trajectory, i: int) -> Trajectory:
    """The path without frame i; one frame shorter.

    Raises:
        ValueError: i is out of range, the source frame, or the only frame.
    """
    i = frame_index(trajectory, i)
    if len(trajectory) == 1:
        raise ValueError("the only frame of a trajectory cannot be deleted")
    if i == trajectory.source:
        raise ValueError(f"frame {i} is the source frame and cannot be deleted; choose another source first")
    return replace(
        trajectory,
        Ts_world_camera=np.delete(trajectory.Ts_world_camera, i, axis=0),
        intrinsics=np.delete(trajectory.intrinsics, i, axis=0),
        source=trajectory.source - (i < trajectory.source),
    )


def reverse(trajectory: Trajectory) -> Trajectory:
    """The path run backwards; the source camera stays the world and changes places (frame 0 becomes the last)."""
    return replace(
        trajectory,
        Ts_world_camera=trajectory.Ts_world_camera[::-1],
        intrinsics=trajectory.intrinsics[::-1],
        source=len(trajectory) - 1 - trajectory.source,
    )


def smooth(trajectory: Trajectory, strength: float) -> Trajectory:
    """The path with jitter taken out: every camera drawn towards the middle of its neighbours, 8 times.

    The ends and the source stay. Each pass is T_j exp(strength / 4 (log T_j^-1 T_(j-1) + log T_j^-1 T_(j+1))), a
    step of heat flow on SE(3): a path of constant twist (an arc, a line) is left alone, and alternating jitter shrinks
    by 1 - strength a pass. Focal lengths are smoothed likewise, in the logarithm.

    Args:
        trajectory: the path.
        strength: 0 leaves the path as it is, 1 is the most.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie in [0, 1], got {strength}")
    if strength == 0 or len(trajectory) < 3:
        return trajectory
    moves = np.arange(1, len(trajectory) - 1)
    moves = moves[moves != trajectory.source]
    poses, focal = trajectory.Ts_world_camera.copy(), np.log(trajectory.intrinsics[:, :2])
    for _ in range(SMOOTHING_PASSES):
        home = se3.inverse(poses[moves])
        pull = se3.log(home @ poses[moves - 1]) + se3.log(home @ poses[moves + 1])
        poses[moves] = poses[moves] @ se3.exp(strength / 4 * pull)
        focal[moves] += strength / 4 * (focal[moves - 1] + focal[moves + 1] - 2 * focal[moves])
    return replace(trajectory, Ts_world_camera=poses, intrinsics=_with_focal(trajectory, np.exp(focal)))


def resample(trajectory: Trajectory, n: int) -> Trajectory:
    """The same path in n frames at the same frame rate (see `Trajectory.from_keys`); the same n is the same path."""
    return Trajectory.from_keys(trajectory, n)


def filmed(trajectory: Trajectory, frames: int | None = None, fps: float | None = None) -> Trajectory:
    """The same path in another number of frames, shown at another rate.

    Args:
        frames: None keeps those of the path.
        fps: None lets it last as long as before.
    """
    count = len(trajectory) if frames is None else frames
    if fps is None:
        fps = trajectory.fps * max(count - 1, 1) / max(len(trajectory) - 1, 1)
    return replace(trajectory if count == len(trajectory) else resample(trajectory, count), fps=fps)


def scale_motion(trajectory: Trajectory, factor: float) -> Trajectory:
    """More or less of the same motion: every step from frame to frame, counted from the source, times `factor`.

    A step is a twist and is scaled as one: half of a 30-degree arc is a 15-degree arc of the same radius, and turns
    beyond 180 degrees in all are scaled rightly. Changes of the focal length are scaled in the logarithm. Factor 0
    stands still at the source, 1 changes nothing, -1 runs the opposite way. To change the unit of length instead, use
    `Trajectory.scaled`.
    """
    if not np.isfinite(factor):
        raise ValueError(f"factor must be a finite number, got {factor}")
    if factor == 1:
        return trajectory
    poses, source = trajectory.Ts_world_camera.copy(), trajectory.source
    steps = se3.exp(factor * se3.log(se3.inverse(poses[:-1]) @ poses[1:]))
    for j in range(source + 1, len(poses)):
        poses[j] = poses[j - 1] @ steps[j - 1]
    for j in range(source - 1, -1, -1):
        poses[j] = poses[j + 1] @ se3.inverse(steps[j])
    home = trajectory.intrinsics[source, :2]
    focal = home * (trajectory.intrinsics[:, :2] / home) ** factor
    return replace(trajectory, Ts_world_camera=poses, intrinsics=_with_focal(trajectory, focal))


def _with_focal(trajectory: Trajectory, focal: Float[np.ndarray, "frames 2"]) -> Float[np.ndarray, "frames 4"]:
    """Intrinsics with other focal lengths; those that differ by rounding only are kept as they were."""
    old = trajectory.intrinsics[:, :2]
    focal = np.where(np.isclose(focal, old, rtol=1e-13, atol=0), old, focal)
    return np.concatenate([focal, trajectory.intrinsics[:, 2:]], axis=1)


def _movable(trajectory: Trajectory, i: int) -> int:
    i = frame_index(trajectory, i)
    if i == trajectory.source:
        raise ValueError(
            f"frame {i} is the source frame: its camera is the world and cannot be moved; "
            "move another frame, or the rest of the path by transform_all"
        )
    return i


def _pose(T: Float[ArrayLike, "4 4"], name: str = "T_world_camera") -> Float[np.ndarray, "4 4"]:
    T = np.asarray(T, dtype=np.float64)
    if T.shape != (4, 4):
        raise ValueError(f"{name} must have shape (4, 4), got {T.shape}")
    se3.check_rigid(T, name)
    return T
