"""Files for the person to keep: the path, a take, two takes side by side, the paper's figure, a page to share,
the whole session."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from rap import formats
from rap.data import fit_trajectory, playback_fps, write_frames, write_video
from rap.data.encoding import KINDS, write_film
from rap.data.reference import unfitted_intrinsics
from rap.errors import InputError
from rap.figures import paper_layout
from rap.geometry import Trajectory, filmed
from rap.writing import NoRoom, room_for, whole_file
from ui.document.comparison import side_by_side
from ui.document.document import Document, Take
from ui.document.state import BuiltScene
from ui.session import session_file
from ui.session.uploads import take_frames

if TYPE_CHECKING:
    from rap.reconstruction.tracks import PointCloud

TAKE_KINDS = [*((kind.title, name) for name, kind in KINDS.items()), ("frames and cameras, PNG in a zip", "png")]
CAMERAS_OF_FRAMES = "transforms.json"


def path_file(folder: Path, trajectory: Trajectory | None, format_name: str) -> Path:
    """The path in a format; one of several files becomes a zip.

    Args:
        format_name: a key of `rap.formats.FORMATS`.

    Raises:
        InputError: there is no path to export.
    """
    if trajectory is None:
        raise InputError("there is no path to export yet; press Predict or apply a preset first")
    path = folder / trajectory.hash / formats.FORMATS[format_name].default_name
    formats.write(path, trajectory, format_name=format_name)
    return _zipped(path, path.with_suffix(".zip")) if path.is_dir() else path


def take_cameras(take: Take) -> Trajectory:
    """The cameras of a take's own frames: as many, at its rate, in pixels of its size.

    Where it shows whole frames they have the whole frame's lens, and not that of the part which the model sees.
    """
    path = filmed(take.trajectory, take.count, take.fps)
    size = take.size or path.image_size
    if not take.is_full_size:
        return fit_trajectory(path, size)
    return replace(path, intrinsics=unfitted_intrinsics(path.intrinsics, size, path.image_size), image_size=size)


def side_by_side_file(folder: Path, a: Take, b: Take) -> Path:
    """Two takes in one mp4."""
    size = max((take.size or take.trajectory.image_size for take in (a, b)), key=max)  # neither loses any
    videos = [take_frames(take.video, take.trajectory, size, a.count) for take in (a, b)]
    path = folder / f"take-{a.number}-beside-{b.number}.mp4"
    write_video(path, side_by_side(*videos), a.fps)
    return path


def figure_file(folder: Path, document: Document, kind: str) -> Path:
    """The paper's page layout of the clip and the path that was found, against its known cameras if it has any; with
    the take on show, if there is one.

    Args:
        kind: "mp4", or "png": its middle frame.

    Raises:
        InputError: nothing has been predicted from the clip, or the take cannot be read any more.
    """
    clip, best = document.clip, document.best
    if clip is None or best is None or not document.prediction_follows_clip or len(best) != len(clip):
        raise InputError("there is no path predicted from the clip to draw yet; press Predict first")
    take = document.take
    made = None if take is None else take_frames(take.video, take.trajectory, take.size, len(clip))
    pictures = paper_layout(clip.frames_u8, best, clip.trajectory, made)
    path = folder / f"figure.{kind}"
    if kind == "png":
        with whole_file(path) as partial:
            Image.fromarray(pictures[len(pictures) // 2]).save(partial)
    else:
        write_video(path, pictures, playback_fps(clip.fps))
    return path


def depth_file(folder: Path, scene: BuiltScene | None) -> Path:
    """The depth map of a picture, 16 bits a pixel, as `rap.views.depth_map.write_depth_png` writes it.

    Raises:
        InputError: the scene is not that of a picture with depth.
    """
    depth = None if scene is None else scene.depth_map
    if depth is None:
        raise InputError("there is no depth map to export; give one picture, and leave Flat picture off")
    from rap.views.depth_map import write_depth_png

    path = folder / "depth.png"
    write_depth_png(path, depth.inverse_depth, depth.fov_y_rad)
    return path


def page_file(folder: Path, document: Document, page: str) -> Path:
    """A page to share, named after the clip.

    Args:
        page: its HTML.
    """
    name = "" if document.clip is None else _plain(document.clip.name)
    path = folder / f"{name or 'path'}.html"
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def take_file(folder: Path, take: Take | None, kind: str, clip_name: str) -> Path:
    """A take for other programs; its name says clip, path and seed.

    Args:
        kind: a key of `rap.data.encoding.KINDS`, or "png": a zip of its frames and their cameras.

    Raises:
        InputError: there is no take, or another kind.
    """
    if take is None:
        raise InputError("there is no take to export yet; press Regenerate first")
    names = [name for _, name in TAKE_KINDS]
    if kind not in names:
        raise InputError(f"kind must be one of {', '.join(names)}, got {kind!r}")
    seed = "" if take.settings.layers else f"-seed-{take.settings.seed}"
    stem = f"{_plain(clip_name) or 'clip'}-path-{take.trajectory.hash[:6]}{seed}"
    path = folder / f"{stem}{'.zip' if kind == 'png' else KINDS[kind].suffix}"
    if kind == "mp4":
        with whole_file(path) as partial:
            shutil.copyfile(take.video, partial)
        return path
    frames = take_frames(take.video, take.trajectory, take.size, take.count)
    if kind != "png":
        write_film(path, frames, take.fps, kind)
        return path
    with room_for(path):
        folder.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=folder) as pictures:
            names = write_frames(pictures, frames)
            formats.write(Path(pictures) / CAMERAS_OF_FRAMES, take_cameras(take), names)
            return _zipped(Path(pictures), path)


def saved_session(
    folder: Path,
    document: Document,
    known_fov_y_rad: float | None,
    cloud: PointCloud | None = None,
    flat: bool = False,
) -> Path:
    """The session file, named after the clip; arguments as `session_file.save`.

    Raises:
        InputError: there is nothing to save.
    """
    name = "" if document.clip is None else _plain(document.clip.name)
    path = folder / f"{name or 'session'}.rap.zip"
    session_file.save(path, document, known_fov_y_rad, cloud, flat)
    return path


def take_files(video: Path, frames_u8: np.ndarray, trajectory: Trajectory, fps: float) -> tuple[Path, Path]:
    """What is kept of a take as soon as it is made: the mp4 of this name and its cameras beside it.

    Args:
        frames_u8: (frame, height, width, 3) uint8.
    """
    cameras = video.with_suffix(".npz")
    write_video(video, frames_u8, fps)
    try:
        formats.write(cameras, trajectory)
    except NoRoom:
        video.unlink()  # half a take is none
        raise
    return video, cameras


def _plain(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)


def _zipped(folder: Path, path: Path) -> Path:
    with whole_file(path) as partial:
        shutil.make_archive(str(partial.with_suffix("")), "zip", folder)
    return path
