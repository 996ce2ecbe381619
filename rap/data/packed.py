"""Clips and paths as plain values and arrays: how they go from one process to another, and into session files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rap.data.clip import Clip, Film
from rap.data.full_frames import FullFrames
from rap.errors import InputError
from rap.formats.values import flag, listed, number, size_of, text, whole
from rap.geometry import Trajectory
from rap.limits import FOLLOWED_FRAMES, NOTES, PATH_FRAMES, SENTENCE_CHARACTERS
from rap.sandbox import Packed

PICTURES = ("frames_u8", "footage_u8")
REFERENCE = "reference"
FILM, FULL = "film", "full"


def clip_values(clip: Clip) -> dict[str, Any]:
    """All of a clip but its pictures and its known cameras."""
    return {
        "fps": clip.fps,
        "name": clip.name,
        "notes": list(clip.notes),
        "frame_indices": list(clip.frame_indices),
        "frame_names": list(clip.frame_names),
        "upload_size": None if clip.upload_size is None else list(clip.upload_size),
        "exif_fov_y_rad": clip.exif_fov_y_rad,
        "upload_frames": clip.upload_frames,
        "is_timed": clip.is_timed,
    }


def clip_pictures(clip: Clip) -> dict[str, np.ndarray]:
    """Its frames, and its footage where that is kept."""
    return {name: getattr(clip, name) for name in PICTURES if getattr(clip, name) is not None}


def clip_of(values: dict[str, Any], pictures: dict[str, np.ndarray], trajectory: Trajectory | None) -> Clip:
    """The clip that these are of, whoever wrote them.

    Raises:
        ValueError: a value is missing, of another kind, or beyond the limits; pictures that are none.
    """
    frames = pictures.get("frames_u8")
    if frames is None:
        raise InputError("the clip has no frames")
    PATH_FRAMES.check(len(frames), "the clip has", "take fewer")
    size, fov_y_rad = values["upload_size"], values["exif_fov_y_rad"]
    return Clip(
        frames_u8=frames,
        footage_u8=pictures.get("footage_u8"),
        fps=number(values["fps"], "fps", 1e-3, 1e6),
        trajectory=trajectory,
        frame_indices=tuple(whole(index, "frame_indices") for index in listed(values["frame_indices"], PATH_FRAMES)),
        frame_names=tuple(text(name, "frame_names") for name in listed(values["frame_names"], PATH_FRAMES)),
        name=text(values["name"], "name"),
        notes=tuple(text(note, "notes", SENTENCE_CHARACTERS) for note in listed(values["notes"], NOTES)),
        upload_size=None if size is None else size_of(size),
        exif_fov_y_rad=None if fov_y_rad is None else number(fov_y_rad, "exif_fov_y_rad", 1e-6, np.pi - 1e-6),
        upload_frames=whole(values.get("upload_frames", 0), "upload_frames"),  # none in a session of before trims
        is_timed=flag(values.get("is_timed", True), "is_timed"),  # nor here in one of before pictures had no rate
    )


def packed_clip(clip: Clip) -> Packed:
    """A clip on its way to another process."""
    path, arrays = clip.trajectory, clip_pictures(clip)
    values: dict[str, Any] = {"clip": clip_values(clip), REFERENCE: None, FILM: None, FULL: None}
    if clip.film is not None:
        values[FILM], arrays = list(clip.film.frame_indices), {**arrays, FILM: clip.film.frames_u8}
    if clip.full is not None:  # as pixels: whoever has taken over a reader must not choose what a decoder is fed
        values[FULL], arrays = list(clip.full.places), {**arrays, FULL: clip.full.pictures()}
    if path is not None:
        values[REFERENCE], cameras = packed_path(path)
        arrays |= cameras
    return values, arrays


def unpacked_clip(packed: Packed) -> Clip:
    """What `packed_clip` packed."""
    values, arrays = packed
    pictures = {name: arrays[name] for name in PICTURES if name in arrays}
    path = None if values[REFERENCE] is None else unpacked_path((values[REFERENCE], arrays))
    clip = clip_of(values["clip"], pictures, path)
    if values[FULL] is not None:
        places = [whole(place, "full") for place in listed(values[FULL], PATH_FRAMES)]
        clip = replace(clip, full=FullFrames.of(list(arrays[FULL]), places).compressed())
    if values[FILM] is None:
        return clip
    numbers = tuple(whole(index, "film") for index in listed(values[FILM], FOLLOWED_FRAMES))
    return replace(clip, film=Film(arrays[FILM], numbers))


def packed_path(path: Trajectory) -> Packed:
    """A path on its way to another process."""
    values = {"image_size": list(path.image_size), "fps": path.fps, "source": path.source}
    return values, {"Ts_world_camera": path.Ts_world_camera, "intrinsics": path.intrinsics}


def unpacked_path(packed: Packed) -> Trajectory:
    """What `packed_path` packed."""
    values, arrays = packed
    height, width = values["image_size"]
    return Trajectory(
        arrays["Ts_world_camera"], arrays["intrinsics"], (height, width), fps=values["fps"], source=values["source"]
    )
