"""Windows of 17 frames of folders with known cameras: what the geometry is measured on."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rap.config import NUM_FRAMES
from rap.data import Clip, load_clip
from rap.data.clip import Film
from rap.data.upload import open_upload
from rap.errors import InputError
from rap.geometry import Trajectory, se3
from rap.reconstruction.tracks import PointCloud, sparse_points

DRIFT_ROTATION_RAD = float(np.radians(1.0))
DRIFT_TRANSLATION = 0.05
DRIFT_WAVES = 2


@dataclass(frozen=True, eq=False)
class Footage:
    """Frames of a window, whole (not cropped), with their true cameras.

    Attributes:
        clip: the window as an upload gives it, for the model.
        frames_u8: (T, H, W, 3).
        cameras: in pixels of the frames; world = the first camera, unit = the median depth of its points.
        points: triangulated under these cameras.
        film_cameras: of the clip's film, in pixels of its frames and the same world and unit; None without one.
        seed: the same for the same window on every machine and in every run.
    """

    clip: Clip
    frames_u8: UInt8[np.ndarray, "T H W 3"]
    cameras: Trajectory
    points: PointCloud
    seed: int = 0
    film_cameras: Trajectory | None = None

    def resized(self, long_side: int) -> Footage:
        """The same with the long side at most `long_side` pixels (area average); never enlarged."""
        size = fitted(self.cameras.image_size, long_side)
        frames = [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in self.frames_u8]
        return replace(self, frames_u8=np.stack(frames), cameras=self.cameras.resized(size))

    def under(self, cameras: Trajectory) -> Footage:
        """The same frames with other cameras, whose points are triangulated anew from the same tracks."""
        return replace(self, cameras=cameras, points=triangulated(self.frames_u8, cameras))


def fitted(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """(h, w) with the long side at most `long_side` pixels; never enlarged."""
    scale = min(1.0, long_side / max(size))
    return round(size[0] * scale), round(size[1] * scale)


class TooShort(InputError):
    """A folder with fewer frames than a window needs."""


@dataclass(frozen=True, eq=False)
class Window:
    """17 frames of a folder: every stride-th from `start`; with no stride spread evenly from there to the end."""

    folder: Path
    start: int
    stride: int | None

    @property
    def key(self) -> str:
        """Clip, stride and first frame: what a stored row of results belongs to."""
        return f"{self.folder.name}/{self.stride or 'whole'}/{self.start}"

    def read(self) -> Footage:
        """Whole frames at the best resolution that is kept, in the project's unit of length.

        Raises:
            InputError: the folder has no known cameras for its pictures.
        """
        clip = load_clip(self.folder, start=self.start, stride=self.stride, film=self.stride is None, full=True)
        if clip.trajectory is None:
            notes = "; ".join(clip.notes)
            raise InputError(f"{self.folder}: no known cameras ({notes}); give folders with a transforms.json")
        cameras = clip.on_footage(clip.trajectory).relative_to(0)
        points = triangulated(clip.footage, cameras)
        depths = points.in_front_depths(np.eye(4))
        scale = 1 / float(np.median(depths)) if len(depths) else 1.0
        points = replace(points, xyz=points.xyz * scale)
        film = None if clip.film is None else self._film_cameras(clip.film).scaled(scale)
        return Footage(clip, clip.footage, cameras.scaled(scale), points, zlib.crc32(self.key.encode()), film)

    def _film_cameras(self, film: Film) -> Trajectory:
        last = film.frame_indices[-1]
        whole = load_clip(self.folder, start=self.start, num_frames=last - self.start + 1, stride=1)
        assert whole.trajectory is not None  # the frames between have cameras as well, or `read` would have refused
        cameras = whole.on_footage(whole.trajectory).resized(film.image_size)
        return cameras.at([index - self.start for index in film.frame_indices]).relative_to(0)


def windows_of(folder: Path, stride: int) -> list[Window]:
    """Every window of the folder at a stride, one for each first frame.

    Raises:
        InputError: no folder of pictures.
        TooShort: too few for one window.
    """
    count = open_upload(folder).source.count
    starts = range(count - stride * (NUM_FRAMES - 1))
    if not starts:
        needed = stride * (NUM_FRAMES - 1) + 1
        raise TooShort(f"{folder}: {count} frames, but a window at stride {stride} needs {needed}; lower --stride")
    return [Window(folder, start, stride) for start in starts]


def whole_clips(folders: Sequence[Path]) -> list[Window]:
    """Each folder as the app and `rap estimate` take it unless they are told otherwise."""
    return [Window(folder, 0, None) for folder in folders]


def evenly(windows: Sequence[Window], count: int | None) -> list[Window]:
    """`count` windows, spread over all of them; None, or more than there are, keeps all."""
    if count is None or count >= len(windows):
        return list(windows)
    at = (np.arange(count) + 0.5) * len(windows) / count
    return [windows[int(i)] for i in at]


def triangulated(frames_u8: UInt8[np.ndarray, "T H W 3"], cameras: Trajectory) -> PointCloud:
    """Points of the frames' tracks under known cameras, without those that reproject badly or show no parallax."""
    return sparse_points(frames_u8, cameras.Ts_world_camera, cameras.intrinsics)[1]


def drifted(cameras: Trajectory, seed: int) -> Trajectory:
    """Cameras with a smooth drift of 1 degree and 5 % translation; the first is left alone.

    Rotation vector and translation of each camera are waves of one and a half periods at most over the window, with
    random phases, amplitudes and directions, taken relative to the first frame and scaled so that their root mean
    square over the other frames is 1 degree and 5 % of the greatest distance between the first camera and another.
    """
    rng = np.random.default_rng(seed)
    reach = float(np.linalg.norm(cameras.centres - cameras.centres[0], axis=1).max())
    turn = _waves(rng, len(cameras)) * DRIFT_ROTATION_RAD
    shift = _waves(rng, len(cameras)) * DRIFT_TRANSLATION * reach
    poses = cameras.Ts_world_camera @ se3.exp(np.concatenate([np.zeros_like(turn), turn], axis=1))
    poses[:, :3, 3] += shift
    return replace(cameras, Ts_world_camera=poses)


def _waves(rng: np.random.Generator, count: int) -> Float[np.ndarray, "T 3"]:
    """Smooth curves (T, 3), zero at the first frame, root mean square length 1 over the others."""
    times = np.linspace(0, 1, count)[:, None, None]
    amplitude = rng.normal(size=(DRIFT_WAVES, 3))
    phase = rng.uniform(0, 2 * np.pi, size=(DRIFT_WAVES, 3))
    periods = rng.uniform(0.5, 1.5, size=(DRIFT_WAVES, 3))
    curve = (amplitude * np.sin(2 * np.pi * periods * times + phase)).sum(axis=1)
    curve -= curve[0]
    return curve / np.sqrt((curve[1:] ** 2).sum(axis=1).mean())
