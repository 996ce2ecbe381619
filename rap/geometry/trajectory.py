"""The Trajectory value: the one immutable path that viewport, plots, model, exports and hash all read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy
from jaxtyping import Float
from numpy.typing import ArrayLike

from rap.geometry import se3
from rap.geometry.camera import fov_y_from_intrinsics, resize_intrinsics


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Cameras of the frames of a clip; immutable: arrays are copied on the way in and read-only.

    By convention the world is the source camera, as `relative_to(source)` makes it; a path read from a file may still
    lie in another world. Equality is bitwise, and `hash` is the same in every process.

    Args:
        Ts_world_camera: camera-to-world poses (T, 4, 4), OpenCV cameras, one per frame.
        intrinsics: (T, 4) fx, fy, cx, cy in pixels of `image_size`; focal lengths may change over time.
        image_size: (h, w) in pixels.
        fps: frames a second.
        source: index of the source frame.

    Raises:
        ValueError: shapes that do not agree, NaN, a pose that is not rigid, a focal length, size or rate that is not
            positive, a source out of range; the sentence names which frame.
    """

    Ts_world_camera: Float[np.ndarray, "frames 4 4"]
    intrinsics: Float[np.ndarray, "frames 4"]
    image_size: tuple[int, int]
    fps: float = 8.0
    source: int = 0

    def __post_init__(self) -> None:
        poses = _frozen(self.Ts_world_camera)
        intrinsics = _frozen(self.intrinsics)
        if poses.ndim != 3 or poses.shape[1:] != (4, 4) or len(poses) == 0:
            raise ValueError(f"Ts_world_camera must have shape (frames, 4, 4) with a frame at least, got {poses.shape}")
        if intrinsics.shape != (len(poses), 4):
            raise ValueError(f"intrinsics must have shape ({len(poses)}, 4), one row a pose, got {intrinsics.shape}")
        se3.check_rigid(poses, "Ts_world_camera")
        bad = ~(np.isfinite(intrinsics).all(axis=1) & (intrinsics[:, :2] > 0).all(axis=1))
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            row = intrinsics[i].tolist()
            raise ValueError(f"intrinsics[{i}] must be finite fx, fy, cx, cy with positive focal lengths, got {row}")
        h, w = (int(side) for side in self.image_size)
        if h <= 0 or w <= 0:
            raise ValueError(f"image_size must be a positive (height, width) in pixels, got {(h, w)}")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be positive, got {self.fps}")
        if not 0 <= self.source < len(poses):
            raise ValueError(f"source must be the index of one of the {len(poses)} frames, got {self.source}")
        values = dict(Ts_world_camera=poses, intrinsics=intrinsics, image_size=(h, w))
        for name, value in {**values, "fps": float(self.fps), "source": int(self.source)}.items():
            object.__setattr__(self, name, value)  # the one place where a frozen value is filled in

    def __len__(self) -> int:
        return len(self.Ts_world_camera)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trajectory):
            return NotImplemented
        return self._content == other._content

    def __hash__(self) -> int:
        return int(self.hash, 16)

    def __reduce__(self):
        """Copies and other processes get a checked, read-only value again."""
        return Trajectory, (self.Ts_world_camera, self.intrinsics, self.image_size, self.fps, self.source)

    @property
    def _content(self) -> bytes:
        header = f"{len(self)} {self.image_size[0]} {self.image_size[1]} {self.fps.hex()} {self.source};".encode()
        return header + self.Ts_world_camera.astype("<f8").tobytes() + self.intrinsics.astype("<f8").tobytes()

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the content: a take made along this path is stamped with it."""
        return hashlib.sha256(self._content).hexdigest()[:16]

    @property
    def fov_y_rad(self) -> Float[np.ndarray, " frames"]:
        """Vertical field of view of every frame in radians."""
        return fov_y_from_intrinsics(self.intrinsics, self.image_size[0])

    @property
    def centres(self) -> Float[np.ndarray, "frames 3"]:
        """Camera centres in the world."""
        return self.Ts_world_camera[:, :3, 3]

    def resized(self, image_size: tuple[int, int]) -> Trajectory:
        """The same cameras for images resized to (h, w)."""
        intrinsics = resize_intrinsics(self.intrinsics, self.image_size, image_size)
        return replace(self, intrinsics=intrinsics, image_size=image_size)

    def relative_to(self, i: int) -> Trajectory:
        """The same path with camera i as the world and the source; its pose is then exactly the identity."""
        i = frame_index(self, i)
        poses = se3.inverse(self.Ts_world_camera[i]) @ self.Ts_world_camera
        poses[i] = np.eye(4)
        return replace(self, Ts_world_camera=poses, source=i)

    def at(self, frames: Sequence[int]) -> Trajectory:
        """The cameras of some frames, in their order; its source is the one of them nearest to the source."""
        rows = list(frames)
        source = int(np.abs(np.subtract(rows, self.source)).argmin())
        return replace(
            self, Ts_world_camera=self.Ts_world_camera[rows], intrinsics=self.intrinsics[rows], source=source
        )

    def scaled(self, factor: float) -> Trajectory:
        """The same path in another unit of length: translations times `factor` (> 0)."""
        if not (np.isfinite(factor) and factor > 0):
            raise ValueError(f"factor must be positive to be a change of unit, got {factor}")
        poses = self.Ts_world_camera.copy()
        poses[:, :3, 3] *= factor
        return replace(self, Ts_world_camera=poses)

    @staticmethod
    def from_keys(
        keys: Trajectory, num_frames: int, times: ArrayLike | None = None, tension: float = 0.0
    ) -> Trajectory:
        """Spline through key cameras, sampled at i / (n - 1), so that it ends on the last key bit for bit.

        The frame nearest to an inner source key is moved onto it, so that the source camera is kept (from 3 frames on).

        Args:
            keys: the key cameras; their `source` says which key is the source.
            num_frames: frames of the result; 1 keeps the source key alone.
            times: increasing times of the keys in any unit; None spaces them evenly.
            tension: 0 a smooth spline, towards 1 ever slower passages through the keys (see `spline`).

        Raises:
            ValueError: num_frames < 1, times that do not increase or do not match the keys, tension outside [0, 1].
        """
        if num_frames < 1:
            raise ValueError(f"num_frames must be at least 1, got {num_frames}")
        key_times = np.arange(len(keys)) if times is None else np.asarray(times)
        key_times = key_times.astype(np.float64)
        if key_times.shape != (len(keys),) or not np.isfinite(key_times).all() or (np.diff(key_times) <= 0).any():
            raise ValueError(f"times must be {len(keys)} increasing numbers, one a key, got {key_times.tolist()}")
        frame_times = np.linspace(key_times[0], key_times[-1], num_frames)
        source = int(np.abs(frame_times - key_times[keys.source]).argmin())
        if num_frames > 2 and 0 < keys.source < len(keys) - 1:
            source = min(max(source, 1), num_frames - 2)  # the ends belong to the first and last key
        if num_frames == 1 or source not in (0, num_frames - 1):
            frame_times[source] = key_times[keys.source]
        poses, intrinsics = spline(keys, key_times, frame_times, tension)
        return replace(keys, Ts_world_camera=poses, intrinsics=intrinsics, source=source)

    def interpolated(self, frame_times: ArrayLike) -> Trajectory:
        """Cameras at fractional frames in [0, len - 1], on the spline through all frames; whole numbers are exact.

        The source of the result is the frame nearest in time to the source.
        """
        at = np.asarray(frame_times, dtype=np.float64)
        last = len(self) - 1
        if at.ndim != 1 or at.size == 0 or not np.all((at >= 0) & (at <= last)):
            raise ValueError(f"frame_times must be numbers in [0, {last}], got {at.tolist()}")
        poses, intrinsics = spline(self, np.arange(len(self), dtype=np.float64), at, 0.0)
        source = int(np.abs(at - self.source).argmin())
        return replace(self, Ts_world_camera=poses, intrinsics=intrinsics, source=source)


def frame_index(trajectory: Trajectory, i: int) -> int:
    """i itself if it counts one of the frames (from 0, no negative numbers), else a ValueError."""
    if not 0 <= i < len(trajectory):
        raise ValueError(f"frame index must lie in [0, {len(trajectory) - 1}], got {i}")
    return int(i)


def _frozen(values: ArrayLike) -> np.ndarray:
    """Read-only float64 copy; adding 0 makes -0 into 0, so that equal values have equal bytes."""
    array = np.array(values, dtype=np.float64, order="C") + 0.0
    array.setflags(write=False)
    return array


def spline(keys: Trajectory, key_times: np.ndarray, at: np.ndarray, tension: float) -> tuple[np.ndarray, np.ndarray]:
    """Poses and intrinsics at times within [key_times[0], key_times[-1]]; at a key's time the key itself.

    A cubic Hermite spline on SE(3), drawn by de Casteljau's construction with geodesics in place of straight lines
    (Park and Ravani, Bezier curves on Riemannian manifolds and Lie groups, 1995). The velocity at a key is the
    Catmull-Rom body twist (the mean of its two segments, each weighed by the other's duration), times 1 - tension.
    Chosen because it is C1, passes through its keys, does not depend on the choice of the world, and turns into the
    geodesic where the twist is constant, so arcs stay arcs and two keys give the geodesic.
    Focal lengths run monotone between keys (PCHIP of their logarithm), so a spline cannot overshoot below zero.
    """
    if not 0 <= tension <= 1:
        raise ValueError(f"tension must lie in [0, 1], got {tension}")
    poses, intrinsics = keys.Ts_world_camera, keys.intrinsics
    if len(keys) == 1:
        return np.repeat(poses, len(at), axis=0), np.repeat(intrinsics, len(at), axis=0)
    durations = np.diff(key_times)
    velocities = (1 - tension) * _key_velocities(poses, durations)
    segment = np.clip(np.searchsorted(key_times, at, side="right") - 1, 0, len(keys) - 2)
    third = (durations[segment] / 3)[:, None]
    start, end = poses[segment], poses[segment + 1]
    alpha = (at - key_times[segment]) / durations[segment]
    leaving, arriving = se3.exp(third * velocities[segment]), se3.exp(-third * velocities[segment + 1])
    points = np.stack([start, start @ leaving, end @ arriving, end])
    while len(points) > 1:
        points = se3.interpolate(points[:-1], points[1:], alpha)
    lens = np.concatenate([np.log(intrinsics[:, :2]), intrinsics[:, 2:]], axis=1)
    lens = scipy.interpolate.PchipInterpolator(key_times, lens)(at)
    lens = np.concatenate([np.exp(lens[:, :2]), lens[:, 2:]], axis=1)
    lens = np.where((intrinsics == intrinsics[0]).all(axis=0), intrinsics[0], lens)  # a constant stays itself, exactly
    nearest = np.abs(at[:, None] - key_times).argmin(axis=1)
    on_key = np.abs(at - key_times[nearest]) <= 1e-9 * durations.min()
    poses_at = np.where(on_key[:, None, None], poses[nearest], points[0])
    return poses_at, np.where(on_key[:, None], intrinsics[nearest], lens)


def _key_velocities(poses: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """Body twist per unit of time at every key (K, 6); the first and last key take that of their only segment."""
    twists = se3.log(se3.inverse(poses[:-1]) @ poses[1:]) / durations[:, None]
    before, after = durations[:-1, None], durations[1:, None]
    inner = (after * twists[:-1] + before * twists[1:]) / (before + after)
    return np.concatenate([twists[:1], inner, twists[-1:]])
