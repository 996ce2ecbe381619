"""Collections on disk to scenes, and scenes to clips: which frames, with which file of cameras.

Known are RealEstate10K (a text file of cameras a scene, its film elsewhere), and whatever lies as nerfstudio's
`transforms.json` or a COLMAP model beside pictures: DL3DV-10K has the former, its pictures in `images_4`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rap import formats
from rap.data import load_clip
from rap.data.images import crop_and_resize, natural_key
from rap.data.reference import fitted_intrinsics
from rap.data.upload import open_upload
from rap.data.video import PictureList, VideoFile, open_video
from rap.errors import InputError
from rap.formats import realestate10k
from rap.geometry import Trajectory

FILMS = (".mp4", ".mkv", ".webm", ".mov")

MODELS = ("sparse", "colmap")
"""Folders beside pictures in which COLMAP's models lie."""

SAME_MOMENT_S = 0.05
"""A frame of a film further than this from the moment of its camera is another frame: at 30 a second it is 0.017."""


@dataclass(frozen=True)
class Scene:
    """One recording.

    Attributes:
        name: its place below the collection, which names its clips.
        kind: "realestate10k" or "pictures".
        cameras: their file, or the folder they are found beside.
    """

    name: str
    kind: str
    cameras: Path


@dataclass(frozen=True)
class Frames:
    """Frames of one size with their cameras, in the file's world and unit.

    Attributes:
        frames_u8: (T, h, w, 3).
        cameras: T of them, in pixels of the frames.
    """

    frames_u8: np.ndarray
    cameras: Trajectory


@dataclass(frozen=True)
class Cut:
    """Which frames of a scene a clip takes, and its size (h, w)."""

    start: int
    stride: int
    count: int
    size: tuple[int, int]

    @property
    def indices(self) -> range:
        return range(self.start, self.start + self.stride * self.count, self.stride)


def scenes_below(root: Path) -> Iterator[Scene]:
    """Every recording of a collection, in the order of their names.

    Raises:
        InputError: there is no such folder.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give that of a collection")
    for place, folders, files in os.walk(root):
        folders.sort()
        folder = Path(place)
        name = str(folder.relative_to(root))
        if "transforms.json" in files or any(model in folders for model in MODELS):
            folders.clear()  # what lies below are its pictures
            yield Scene(name, "pictures", folder)
            continue
        for file in sorted(files):
            if file.endswith(".txt") and _is_realestate(folder / file):
                yield Scene(str(Path(name) / Path(file).stem), "realestate10k", folder / file)


def _is_realestate(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return realestate10k.is_header(file.readline().strip())


def cuts(length: int, count: int, stride: int, size: tuple[int, int], most: int) -> list[Cut]:
    """Clips of a scene, one after the other without shared frames, at most so many, spread over it."""
    span = stride * (count - 1) + 1
    starts = list(range(0, length - span + 1, span))
    chosen = np.linspace(0, len(starts) - 1, min(most, len(starts))).round().astype(int) if starts else []
    return [Cut(starts[i], stride, count, size) for i in chosen]


def scene_length(scene: Scene) -> int:
    """Frames that have a camera.

    Raises:
        InputError: the scene cannot be read.
    """
    if scene.kind == "realestate10k":
        return len(formats.load(scene.cameras).trajectory)
    return len(_pictures(scene)[0])


def read_frames(scene: Scene, cut: Cut, films: Path | None) -> Frames:
    """The frames of a clip and their cameras, lenses undistorted, cropped around the middle and resized.

    Args:
        films: folder of RealEstate10K's films, called as the last part of their URL.

    Raises:
        InputError: something is missing, damaged, or does not fit together.
    """
    if scene.kind == "realestate10k":
        return _from_film(scene, cut, films)
    paths, cameras = _pictures(scene)
    chosen = [paths[i] for i in cut.indices]
    clip = load_clip(chosen, num_frames=cut.count, stride=1, size=cut.size, cameras=cameras)
    if clip.trajectory is None:
        raise InputError(f"{scene.name}: {'; '.join(clip.notes) or 'its frames have no cameras'}")
    return Frames(clip.frames_u8, clip.trajectory)


def _pictures(scene: Scene) -> tuple[Sequence[Path], Path]:
    """In the order of their names, and the file of their cameras."""
    upload = open_upload(_picture_folder(scene.cameras))
    if not isinstance(upload.source, PictureList) or upload.known is None:
        raise InputError(f"{scene.name}: no pictures with cameras")
    return upload.source.paths, upload.known.path


def _picture_folder(scene: Path) -> Path:
    """A scene's own folder, or the largest of its reduced copies where only such were fetched (`images_4`)."""
    reduced = sorted(scene.glob("images_*"), key=lambda folder: natural_key(folder.name))
    return reduced[0] if reduced and not (scene / "images").is_dir() else scene


def _from_film(scene: Scene, cut: Cut, films: Path | None) -> Frames:
    """Frames at the moments of the cameras; a film may be the whole of what the scene is a part of."""
    file = formats.load(scene.cameras)
    if films is None:
        raise InputError(f"{scene.name}: its film is needed; give the folder of the films by --films")
    if file.times_s is None:
        raise InputError(f"{scene.cameras.name}: its cameras have no times")
    path = _film_of(scene, films)
    film = open_video(path)
    moments = film.times_s if film.times_s is not None else np.arange(film.count) / film.fps
    wanted = file.times_s[list(cut.indices)]
    indices = np.abs(moments[None] - wanted[:, None]).argmin(axis=1)
    apart_s = np.abs(moments[indices] - wanted).max()
    if apart_s > max(SAME_MOMENT_S, 0.6 / film.fps):
        raise InputError(f"{path.name}: has no frame within {apart_s:.2f} s of a camera of {scene.cameras.name}")
    frames, sizes = _decoded(film, indices, cut)
    cameras = file.trajectory.at(list(cut.indices))
    intrinsics = fitted_intrinsics(cameras.intrinsics, cameras.image_size, sizes, cut.size)
    return Frames(frames, Trajectory(cameras.Ts_world_camera, intrinsics, cut.size, fps=cameras.fps))


def _film_of(scene: Scene, films: Path) -> Path:
    """By the name of the scene, or of the film it is a part of: the last part of its URL."""
    with scene.cameras.open(encoding="utf-8") as file:
        url = file.readline().strip()
    called = [scene.cameras.stem, url.rsplit("=", 1)[-1].rsplit("/", 1)[-1]]
    for stem in called:
        for suffix in FILMS:
            if (films / f"{stem}{suffix}").is_file():
                return films / f"{stem}{suffix}"
    raise InputError(f"{films}: has no film for {scene.cameras.name}, expected {' or '.join(called)}{FILMS[0]}")


def _decoded(film: VideoFile, indices: np.ndarray, cut: Cut) -> tuple[np.ndarray, tuple[int, int]]:
    """The frames of those numbers, (T, h, w, 3), and the film's own (h, w)."""
    shrink = _Shrink(cut.size)
    different, places = np.unique(indices, return_inverse=True)
    frames, _ = film.read(different.tolist(), shrink, to_end=False)
    if len(frames) < len(different):
        raise InputError(f"{film.name}: ends before frame {different[len(frames)]}, which has a camera")
    return np.stack(frames)[places], shrink.whole


@dataclass
class _Shrink:
    """Crops and resizes each picture, and keeps how large it was."""

    size: tuple[int, int]
    whole: tuple[int, int] = (0, 0)

    def __call__(self, image: Image.Image) -> np.ndarray:
        self.whole = image.height, image.width
        return crop_and_resize(image, self.size)
