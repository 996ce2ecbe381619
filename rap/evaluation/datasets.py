"""Clips of known cameras, window by window: whatever the readers of `rap.data` and `rap.formats` know.

A data set is a folder of frames with cameras in or beside it (transforms.json, a COLMAP model, recordings of
telephones), such a folder whose cameras are a single file of any other format (TUM, RealEstate10K, npz ...), a film
with a file of cameras of its name beside it, a folder of all of these, or synthetic shards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rap import formats
from rap.config import NUM_FRAMES
from rap.data import Clip, load_clip
from rap.data.dataset import ClipStore, relative_cameras
from rap.data.reference import PICTURE_FOLDERS, cameras_beside
from rap.data.upload import Upload, open_upload
from rap.errors import InputError
from rap.geometry import Trajectory
from rap.views.scene import measured

CAMERA_SUFFIXES = (".json", ".txt", ".tum", ".npz", ".npy", ".chan", ".csv")
"""Of files that may be the cameras of a film beside them, or of a folder of pictures."""

FILM_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif")


@dataclass(frozen=True)
class Recording:
    """Frames in the order they were taken, with known cameras.

    Attributes:
        dataset: what its figures are put together under.
        name: its own.
        path: folder of pictures, or film.
        cameras: their file, where the readers do not find it by themselves.
        fov_y_rad: vertical field of view of whole pictures, for a file of cameras without a lens.
    """

    dataset: str
    name: str
    path: Path
    cameras: Path | None = None
    fov_y_rad: float | None = None

    def open(self) -> Upload:
        return open_upload(self.path, self.cameras, self.fov_y_rad)

    def load(self, start: int, stride: int) -> Clip:
        """Its frames from `start`, every stride-th, with the cameras as the file has them.

        Raises:
            InputError: too few frames, a picture that cannot be read, no cameras for them.
        """
        clip = load_clip(self.path, start=start, stride=stride, cameras=self.cameras, fov_y_rad=self.fov_y_rad)
        if clip.trajectory is None:
            why = "; ".join(note for note in clip.notes if "reference cameras" in note)
            raise InputError(f"{self.path}: no known cameras; {why or 'a transforms.json in or beside it is needed'}")
        return clip


@dataclass(frozen=True, eq=False)
class Window:
    """One clip that figures are taken of; `made` is the clip itself where it comes from no recording."""

    recording: Recording
    start: int = 0
    stride: int = 1
    made: Clip | None = field(default=None, repr=False)

    @property
    def dataset(self) -> str:
        return self.recording.dataset

    @property
    def key(self) -> str:
        """Data set, recording, stride and first frame: what a stored row belongs to."""
        if self.made is not None:
            return f"{self.dataset}/{self.recording.name}"
        return f"{self.dataset}/{self.recording.name}/{self.stride}/{self.start}"

    def read(self) -> Clip:
        """The clip, its cameras in the world of frame 0 and in the unit of its median depth.

        Raises:
            InputError: it cannot be read, or has no known cameras.
        """
        if self.made is not None:
            return self.made
        return in_median_depths(self.recording.load(self.start, self.stride))


def in_median_depths(clip: Clip) -> Clip:
    """The clip with its cameras in the unit of length that model, plane and layers know; a file's is another."""
    assert clip.trajectory is not None
    return replace(clip, trajectory=measured(clip, clip.trajectory.relative_to(0))[0])


def recordings(path: Path, fov_y_rad: float | None = None) -> list[Recording]:
    """All recordings of a data set, in the order of their names.

    Raises:
        InputError: there is no such path, or nothing with known cameras in it.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; name a data set")
    name = _name(path)
    alone = _recording(path, name, fov_y_rad)
    if alone is not None:
        return [alone]
    inside = sorted(path.iterdir()) if path.is_dir() else []
    found = [_recording(one, name, fov_y_rad) for one in inside if not one.name.startswith(".")]
    if not any(found):
        raise InputError(
            f"{path}: no known cameras; a transforms.json, a COLMAP model or another file of cameras is needed in or "
            "beside the frames, beside a film under its name, or in the folders one below"
        )
    return [one for one in found if one is not None]


def _recording(path: Path, dataset: str, fov_y_rad: float | None) -> Recording | None:
    """A path as one recording; None where it has no cameras."""
    name = _name(path)
    if path.is_dir():
        if cameras_beside(path) is not None:
            return Recording(dataset, name, path)
        cameras, pictures = _lone_file(path), path
        inner = [one for one in sorted(path.iterdir()) if one.is_dir() and one.name in PICTURE_FOLDERS]
        if cameras is not None and inner:
            pictures = inner[0]
        return None if cameras is None else Recording(dataset, name, pictures, cameras, fov_y_rad)
    if path.suffix.lower() not in FILM_SUFFIXES:
        return None
    beside = [one for one in _camera_files(path.parent) if one.name.startswith(f"{path.stem}.")]
    if len(beside) > 1:
        raise InputError(f"{path.name}: several files of cameras lie beside it ({beside[0].name}, {beside[1].name}); "
                         "leave one of them there")  # fmt: skip
    return Recording(dataset, name, path, beside[0], fov_y_rad) if beside else None


def _lone_file(folder: Path) -> Path | None:
    """The one file of cameras in a folder that the readers do not take by its place alone; any JSON may be cameras."""
    found = [one for one in _camera_files(folder) if one.suffix.lower() != ".json"]
    return found[0] if len(found) == 1 else None


def _camera_files(folder: Path) -> list[Path]:
    return [one for one in sorted(folder.iterdir()) if one.suffix.lower() in CAMERA_SUFFIXES and _is_cameras(one)]


def _is_cameras(path: Path) -> bool:
    try:
        return bool(formats.detect(path))
    except (InputError, OSError):
        return False


def _name(path: Path) -> str:
    whole = path.resolve()
    return whole.parent.name if whole.is_dir() and whole.name.startswith(PICTURE_FOLDERS) else whole.stem


def windows_of(recording: Recording, stride: int, count: int | None = None) -> list[Window]:
    """Windows of a recording that overlap by half, the last frames left over; `count` of them, spread evenly.

    One that cannot be opened, or is too short, has one window, whose reading says why.
    """
    try:
        last = recording.open().source.count - 1
    except (InputError, OSError):
        last = 0
    found = [Window(recording, start, stride) for start in _starts(last, stride)]
    if count is None or count >= len(found):
        return found
    return [found[int((i + 0.5) * len(found) / count)] for i in range(count)]


def _starts(last: int, stride: int) -> range:
    # The first window is always tried: its refusal says what would do.
    return range(0, max(1, last - stride * (NUM_FRAMES - 1) + 1), NUM_FRAMES // 2 * stride)


def windows(folder: Path, stride: int) -> Iterator[Clip]:
    """Windows of 17 frames that overlap by half, with cameras as the file has them.

    Raises:
        InputError: the folder is too short for one, a picture cannot be read, or there are no known cameras. Fewer
            windows than the folder holds would be figures of other clips.
    """
    recording = Recording(_name(folder), _name(folder), folder)
    for start in _starts(recording.open().source.count - 1, stride):
        yield recording.load(start, stride)


def synthetic(folder: Path, count: int, seed: int) -> list[Window]:
    """Clips drawn from shards, each a recording of its own.

    Raises:
        InputError: no shards there.
    """
    store, rng, found = ClipStore(folder), np.random.default_rng(seed), []
    for number in range(count):
        clips = store.draw(1, rng)
        Ts = relative_cameras(clips, np.zeros(1, dtype=int))[0]
        path = Trajectory(Ts.astype(np.float64), clips.intrinsics[0].astype(np.float64), clips.size)
        recording = Recording("synthetic", f"{number:04d}", folder)
        found.append(Window(recording, made=Clip(clips.frames_u8[0], path.fps, path)))
    return found


def all_windows(
    paths: Sequence[Path], strides: Sequence[int], count: int | None, fov_y_rad: float | None
) -> list[Window]:
    """Windows of all data sets, stride by stride.

    Raises:
        InputError: as `recordings`; two data sets have a recording of one name.
    """
    found = [one for path in paths for one in recordings(path, fov_y_rad)]
    listed = [window for one in found for stride in strides for window in windows_of(one, stride, count)]
    twice = [key for key, times in Counter(window.key for window in listed).items() if times > 1]
    if twice:
        raise InputError(f"{twice[0]}: is there twice; give each data set once, under names of their own")
    return listed
