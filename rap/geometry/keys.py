"""A path held by a few key cameras: an immutable value whose trajectory is a spline through them.

Times are in frames of the path: a key at time 4 is frame 4, to the bit, as long as the easing is linear. With another
easing, or for a key between two frames, the times of the frames are stretched until the nearest one meets the key. The
source frame keeps its index whatever is done to the keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from rap.geometry import se3
from rap.geometry.reshape import FINE, STILL, Easing, ease, set_field_of_view, step_lengths, warped_times
from rap.geometry.trajectory import Trajectory, spline


@dataclass(frozen=True, eq=False)
class KeyPath:
    """Key cameras, when they are passed, and how the path runs between them.

    Args:
        keys: the key cameras; their `source` says which key is the source.
        times: increasing, in frames; the first is 0, and the source key's is a whole number, the source's index. The
            last is `num_frames - 1`; of a loop it lies before `num_frames`, when the first key comes again.
        num_frames: of the path.
        tension: 0 a smooth spline, towards 1 ever slower passages through the keys.
        easing: of the speed, in each stretch between start, source and end.
        loop: after the last key the path returns to the first; it is sampled at i / n, so that a repeated video neither
            jumps nor doubles a frame.

    Raises:
        ValueError: fewer than 2 keys, more keys than frames, times that break the rules above, tension outside [0, 1].
    """

    keys: Trajectory
    times: tuple[float, ...]
    num_frames: int
    tension: float = 0.0
    easing: Easing = "linear"
    loop: bool = False

    def __post_init__(self) -> None:
        count, times = len(self.keys), np.asarray(self.times, dtype=np.float64)
        if not 2 <= count <= self.num_frames:
            raise ValueError(f"keys must be 2 to {self.num_frames} (the frames of the path), got {count}")
        if times.shape != (count,) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise ValueError(f"times must be {count} increasing numbers, one a key, got {list(self.times)}")
        end = self.num_frames - 1
        if times[0] != 0 or (times[-1] >= self.num_frames if self.loop else times[-1] != end):
            at_end = f"below {self.num_frames}" if self.loop else f"{end}"
            raise ValueError(f"times must begin at 0 and end at {at_end}, got {times[0]} and {times[-1]}")
        if not times[self.keys.source].is_integer():
            raise ValueError(f"the source key's time must be a whole frame, got {times[self.keys.source]}")
        if not 0 <= self.tension <= 1:
            raise ValueError(f"tension must lie in [0, 1], got {self.tension}")
        ease(0.0, self.easing)

    @property
    def source(self) -> int:
        """Index of the source among the frames."""
        return int(self.times[self.keys.source])

    @property
    def end(self) -> float:
        """Time at which the path ends, or begins again."""
        return float(self.num_frames if self.loop else self.num_frames - 1)

    @cached_property
    def frames(self) -> tuple[int | None, ...]:
        """Frame that shows each key; None for a key so near to others that there is no frame left for it."""
        return self._sampling[1]

    @cached_property
    def trajectory(self) -> Trajectory:
        """The path: `num_frames` cameras, those at `frames` being the keys bit for bit."""
        poses, intrinsics = self._at(self._sampling[0])
        for key, frame in enumerate(self.frames):
            if frame is not None:
                poses[frame], intrinsics[frame] = self.keys.Ts_world_camera[key], self.keys.intrinsics[key]
        return replace(self.keys, Ts_world_camera=poses, intrinsics=intrinsics, source=self.source)

    def key_at(self, frame: int | None) -> int | None:
        """The key that a frame shows."""
        return self.frames.index(frame) if frame is not None and frame in self.frames else None

    def time_of(self, frame: int) -> float:
        """Time of a frame on the path of the keys, after easing."""
        if not 0 <= frame < self.num_frames:
            raise ValueError(f"frame must lie in [0, {self.num_frames - 1}], got {frame}")
        return float(self._sampling[0][frame])

    def with_camera(
        self, key: int, T_world_camera: Float[ArrayLike, "4 4"], intrinsics: Float[np.ndarray, "4"] | None = None
    ) -> KeyPath:
        """Another pose, and lens if given, for a key.

        Raises:
            ValueError: there is no such key, it is the source, or the pose is not rigid.
        """
        self._free(key, "moved")
        poses, lenses = self.keys.Ts_world_camera.copy(), self.keys.intrinsics.copy()
        poses[key] = np.asarray(T_world_camera, dtype=np.float64)
        if intrinsics is not None:
            lenses[key] = intrinsics
        return replace(self, keys=replace(self.keys, Ts_world_camera=poses, intrinsics=lenses))

    def placed(
        self, frame: int, T_world_camera: Float[ArrayLike, "4 4"] | None, fov_y_rad: float | None = None
    ) -> KeyPath:
        """A frame at another pose, or with another vertical field of view; it becomes a key where it is none.

        Raises:
            ValueError: it is the source's, a key in between leaves it no room, or pose and angle are no such.
        """
        held, key = self, self.key_at(frame)
        if key is None:
            held, key = self.inserted(self.time_of(frame))
        lens = held.keys
        if fov_y_rad is not None:
            lens = set_field_of_view(lens, key, fov_y_rad)
        T = held.keys.Ts_world_camera[key] if T_world_camera is None else T_world_camera
        return held.with_camera(key, T, lens.intrinsics[key])

    def inserted(self, time: float) -> tuple[KeyPath, int]:
        """A key more, on the path as it is, and its number.

        Raises:
            ValueError: the time is outside the path, or a key is there already.
        """
        if not 0 <= time <= self.times[-1] and not (self.loop and 0 <= time < self.end):
            raise ValueError(f"the time of a new key must lie in [0, {self.times[-1]:g}], got {time:g}")
        if any(abs(time - other) < 1e-6 for other in self.times):
            raise ValueError(f"there is a key at time {time:g} already; choose a frame between two keys")
        poses, intrinsics = self._at(np.array([time]))
        return self._with_key(time, poses[0], intrinsics[0])

    def duplicated(self, key: int) -> tuple[KeyPath, int]:
        """The same camera once more, halfway to the next key (the last: halfway from the one before), and its number.

        Between the two the camera comes to rest. Raises ValueError for a key that is not there.
        """
        self._known(key)
        other = key + 1 if key + 1 < len(self.times) else key - 1
        time = (self.times[key] + self.times[other]) / 2
        return self._with_key(time, self.keys.Ts_world_camera[key], self.keys.intrinsics[key])

    def deleted(self, key: int) -> KeyPath:
        """A key less; at an end of the path its neighbour takes its time. Raises ValueError for the source key."""
        self._free(key, "deleted")
        if len(self.times) == 2:
            raise ValueError("a path has 2 keys at least; go back to a dense path instead")
        times = [time for other, time in enumerate(self.times) if other != key]
        if not self.loop and key == len(self.times) - 1:
            times = self._moved_end(times, -1, self.times[-1])
        if key == 0:
            times = self._moved_end(times, 0, 0.0)
        keys = replace(
            self.keys,
            Ts_world_camera=np.delete(self.keys.Ts_world_camera, key, axis=0),
            intrinsics=np.delete(self.keys.intrinsics, key, axis=0),
            source=self.keys.source - (key < self.keys.source),
        )
        return replace(self, keys=keys, times=tuple(times))

    def swapped(self, key: int, other: int) -> KeyPath:
        """Two keys exchange their cameras; times stay in order. Raises ValueError for the source key."""
        self._free(key, "reordered")
        self._free(other, "reordered")
        order = np.arange(len(self.times))
        order[[key, other]] = other, key
        keys = replace(
            self.keys,
            Ts_world_camera=self.keys.Ts_world_camera[order],
            intrinsics=self.keys.intrinsics[order],
        )
        return replace(self, keys=keys)

    def with_time(self, key: int, time: float) -> KeyPath:
        """A key is passed at another time, between its neighbours' times.

        Raises:
            ValueError: the key is the source or an end of the path, or the time is not between its neighbours'.
        """
        self._free(key, "moved in time")
        last = len(self.times) - 1
        if key == 0 or (key == last and not self.loop):
            raise ValueError(f"key {key} is an end of the path: its time stays {self.times[key]:g}")
        low, high = self.times[key - 1], self.end if key == last else self.times[key + 1]
        if not low < time < high:
            raise ValueError(f"key {key} must lie between its neighbours' times {low:g} and {high:g}, got {time:g}")
        return replace(self, times=(*self.times[:key], float(time), *self.times[key + 1 :]))

    def with_loop(self, loop: bool) -> KeyPath:
        """Closed or open; times after the source make room for the way back, by its length, or take it over again."""
        if loop == self.loop:
            return self
        start, times = self.source, np.asarray(self.times)
        if loop:
            poses = self.keys.Ts_world_camera
            way, gap = step_lengths(poses).sum(), float(step_lengths(poses[[-1, 0]])[0])
            share = gap / (way + gap) if way + gap > STILL else 0.0
            last = self.num_frames - max(1.0, share * self.num_frames)
        else:
            last = self.num_frames - 1.0
        if times[-1] > start:
            last = max(last, start + 0.5)
            times = np.where(times > start, start + (times - start) * ((last - start) / (times[-1] - start)), times)
            times[-1] = last
        return replace(self, times=tuple(times.tolist()), loop=loop)

    @cached_property
    def _sampling(self) -> tuple[np.ndarray, tuple[int | None, ...]]:
        """Time of every frame after easing, one frame at each key; and the frame of every key."""
        at = self._eased(np.arange(self.num_frames, dtype=np.float64))
        last, source = len(self.times) - 1, self.keys.source
        firsts = [source, 0, *([] if self.loop else [last])]
        frames: dict[int, int] = {source: self.source, 0: 0}
        if not self.loop:
            frames[last] = self.num_frames - 1
        for key in range(last + 1):
            if key not in firsts:
                frame = int(np.abs(at - self.times[key]).argmin())
                if frame not in frames.values():
                    frames[key] = frame
        # stretched between the keys, so that what a key is off its frame is shared by all steps on both sides of it
        shown = sorted((float(at[frame]), self.times[key]) for key, frame in frames.items())
        ends = [(self.end, self.end)] if self.loop else []
        at = np.interp(at, *np.array([*shown, *ends]).T)
        for key, frame in frames.items():
            at[frame] = self.times[key]
        return at, tuple(frames.get(key) for key in range(last + 1))

    def _eased(self, at: np.ndarray) -> np.ndarray:
        fixed = np.unique([0.0, self.times[self.keys.source], self.end])
        if self.easing != "constant speed":
            return at if self.easing == "linear" else warped_times(at, fixed, at, None, self.easing)
        fine = np.linspace(0, self.end, FINE * self.num_frames + 1)
        lengths = np.concatenate([[0], np.cumsum(step_lengths(self._at(fine)[0]))])
        return warped_times(at, fixed, fine, lengths, self.easing)

    def _at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Poses and intrinsics at times on the path."""
        keys, key_times = self.keys, np.asarray(self.times)
        if self.loop:  # a key beyond each end, so that the spline passes the seam as it passes any key
            order = [-1, *range(len(keys)), 0, 1]
            wrapped = [key_times[-1] - self.end, *key_times, self.end, self.end + key_times[1]]
            poses, lenses = keys.Ts_world_camera[order], keys.intrinsics[order]
            keys = replace(keys, Ts_world_camera=poses, intrinsics=lenses)
            key_times = np.array(wrapped)
        return spline(keys, key_times, times, self.tension)

    def _with_key(self, time: float, pose: np.ndarray, lens: np.ndarray) -> tuple[KeyPath, int]:
        key = int(np.searchsorted(self.times, time))
        keys = replace(
            self.keys,
            Ts_world_camera=np.insert(self.keys.Ts_world_camera, key, pose, axis=0),
            intrinsics=np.insert(self.keys.intrinsics, key, lens, axis=0),
            source=self.keys.source + (key <= self.keys.source),
        )
        return replace(self, keys=keys, times=(*self.times[:key], float(time), *self.times[key:])), key

    def _moved_end(self, times: list[float], end: int, time: float) -> list[float]:
        if times[end] == self.times[self.keys.source]:
            raise ValueError("the source key would become the end of the path, and it keeps its time; keep this key")
        return [*times[:-1], time] if end == -1 else [time, *times[1:]]

    def _known(self, key: int) -> None:
        if not 0 <= key < len(self.times):
            raise ValueError(f"key must be 0 to {len(self.times) - 1}, got {key}")

    def _free(self, key: int, what: str) -> None:
        self._known(key)
        if key == self.keys.source:
            raise ValueError(f"key {key} is the source camera: it is the world's origin and cannot be {what}")


@dataclass(frozen=True)
class KeyMiss:
    """How far a path of keys is from a dense one, at its worst frames."""

    distance: float
    angle_rad: float


def key_path_error(keys: KeyPath, trajectory: Trajectory) -> KeyMiss:
    """Largest distance (scene units) and angle between the frames of two paths of one length."""
    distance, angle = _errors(keys.trajectory, trajectory)
    return KeyMiss(float(distance.max()), float(angle.max()))


def simplify(trajectory: Trajectory, count: int) -> KeyPath:
    """A path of `count` keys: ends and source, then, one by one, the frame that the spline so far misses by most.

    The miss is distance (scene units) plus angle (radians): at the median depth both move the picture alike.

    Raises:
        ValueError: a count below 2 or above the number of frames, or fewer than the ends and the source.
    """
    last = len(trajectory) - 1
    chosen = sorted({0, trajectory.source, last})
    if not max(2, len(chosen)) <= count <= last + 1:
        raise ValueError(f"keys must be {max(2, len(chosen))} to {last + 1} for this path, got {count}")
    while True:
        keys = replace(
            trajectory,
            Ts_world_camera=trajectory.Ts_world_camera[chosen],
            intrinsics=trajectory.intrinsics[chosen],
            source=chosen.index(trajectory.source),
        )
        path = KeyPath(keys, tuple(float(i) for i in chosen), last + 1)
        if len(chosen) == count:
            return path
        miss = np.add(*_errors(path.trajectory, trajectory))
        miss[chosen] = -1
        chosen = sorted([*chosen, int(miss.argmax())])


def _errors(a: Trajectory, b: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    between = se3.inverse(a.Ts_world_camera) @ b.Ts_world_camera
    return np.linalg.norm(a.centres - b.centres, axis=-1), se3.rotation_angle(between[:, :3, :3])
