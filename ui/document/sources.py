"""Which frames of the clip a take starts from: the path's own source frame, or those chosen on the filmstrip.

A frame can only be handed to the model where the path has the camera it was taken from. So a frame that is chosen pulls
the path through its camera, stays pinned under soft drags, and is left out while an edit holds the path elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rap.geometry import Trajectory, replace_pose, soft_drag
from ui.document import document as doc
from ui.document.document import Document

POSE_TOLERANCE, LENS_TOLERANCE = 1e-6, 1e-3


def chosen(document: Document) -> tuple[int, ...]:
    """Frames that a take is to start from, in order."""
    return document.sources or (document.source,)


def held(document: Document, path: Trajectory) -> tuple[bool, ...]:
    """For each frame of a path, whether the clip has a picture that was taken by this camera.

    Its source frame always does. Of the others only those of the path estimated from the clip are known.
    """
    known = _known(document, path)
    if known is None:
        found = np.zeros(len(path), dtype=bool)
    else:
        away = np.abs(path.Ts_world_camera - known.Ts_world_camera).max(axis=(1, 2))
        zoom = np.abs(path.intrinsics[:, :2] / known.intrinsics[:, :2] - 1).max(axis=1)
        found = (away <= POSE_TOLERANCE) & (zoom <= LENS_TOLERANCE)
        found &= np.isin(np.arange(len(path)), doc.clip_of(document).own_frames)
    found[path.source] = True
    return tuple(bool(one) for one in found)


def used(document: Document, path: Trajectory) -> tuple[int, ...]:
    """The chosen frames that a take along `path` can start from, its source first; its source where none can."""
    holds = held(document, path)
    frames = [frame for frame in chosen(document) if frame < len(path) and holds[frame]]
    return tuple(sorted(frames, key=lambda frame: (frame != path.source, frame))) or (path.source,)


def is_start(document: Document, path: Trajectory, frame: int) -> bool:
    """Whether a take along `path` can start from a frame that is chosen."""
    return frame in chosen(document) and held(document, path)[frame]


def left_out_words(left_out: Sequence[int], frames: Sequence[int]) -> str:
    """Why a take starts from fewer frames than were chosen."""
    return (
        f"Made from frame {', '.join(map(str, frames))} alone: at frame {', '.join(map(str, left_out))} this path is "
        "not where the clip was taken from; click that frame on the filmstrip to put the path through it."
    )


def toggled(document: Document, frame: int) -> Document:
    """The document with a frame chosen, and the path through its camera; or, where that was so, no longer chosen.

    Raises:
        ValueError: the last frame is taken away, or the frame's own camera is not known.
    """
    path, frames = document.edited, chosen(document)
    if path is None:
        raise ValueError("there is no path yet; press Predict or apply a preset first")
    if not 0 <= frame < len(path):
        raise ValueError(f"source frame must be one of the path's 0 to {len(path) - 1}, got {frame}")
    if is_start(document, path, frame):
        left = tuple(one for one in frames if one != frame)
        if not left:
            raise ValueError(f"a take starts from at least one frame, and {frame} is the last; choose another first")
        return replace(document, sources=left)
    document = replace(document, sources=tuple(sorted({*frames, frame})))
    return document if held(document, path)[frame] else _through(document, path, frame)


def _known(document: Document, path: Trajectory) -> Trajectory | None:
    """The cameras of the clip's frames in the world of `path`; None where they are not known."""
    best, clip = document.best, document.clip
    if best is None or clip is None or not document.prediction_follows_clip:
        return None
    fits = len(best) == len(clip) == len(path) and best.source == path.source
    return best.resized(path.image_size) if fits else None


def _through(document: Document, path: Trajectory, frame: int) -> Document:
    """The path with the clip's own camera at a frame; its neighbours follow as in a drag."""
    known, own = _known(document, path), doc.clip_of(document).own_frames
    if frame not in own:
        nearest = min(own, key=lambda one: abs(one - frame))
        raise ValueError(f"no picture was taken at frame {frame} of this path; the nearest one was at frame {nearest}")
    if known is None:
        raise ValueError(
            f"the camera of the clip's frame {frame} is not known on this path; press Predict first, or keep to frame "
            f"{path.source}"
        )
    T, name = known.Ts_world_camera[frame], f"through frame {frame}"
    if document.keys is not None:
        keys = document.keys.placed(frame, T, float(known.fov_y_rad[frame]))
        return doc.with_keys(document, keys, name)
    if document.soft.on:
        moved = soft_drag(path, frame, T, document.soft.radius, doc.pinned(document, frame))
    else:
        moved = replace_pose(path, frame, T)
    lenses = moved.intrinsics.copy()
    lenses[frame] = known.intrinsics[frame]
    return doc.with_path(document, replace(moved, intrinsics=lenses), document.follows_clip, name)
