"""What one person is working on, as an immutable value, and the pure edits of it.

A `Document` is replaced, never changed: an edit is a function Document -> Document, and undo is a stack of earlier
trajectories. It knows clips and trajectories and nothing else: no widgets, no sockets, no model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from rap.data import Clip, playback_fps
from rap.errors import InputError
from rap.geometry import PRESETS, Trajectory, preset, replace_pose, soft_drag
from rap.geometry.keys import simplify

if TYPE_CHECKING:
    from rap.geometry.keys import KeyPath
    from rap.geometry.spread import PathSpread
    from rap.reconstruction.refine import RefinementReport
    from ui.document.verification import Verification

HISTORY_LIMIT = 100
"""Edits that can be undone; the oldest fall off."""

DEFAULT_FOV_Y_RAD = float(np.radians(55))
"""Vertical field of view of a preset when no prediction tells the clip's own."""


@dataclass(frozen=True)
class SoftDrag:
    """A drag takes neighbours along with weight exp(-2 (|j - i| / radius)^2); the source frame stays.

    Args:
        radius: frames to each side, > 0.
    """

    on: bool = True
    radius: float = 4.0

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise ValueError(f"radius must be above 0 frames, got {self.radius}; switch soft drag off instead")


@dataclass(frozen=True)
class Settings:
    """What besides the path decides how a take comes out; `None` steps, guidance and temperature are the checkpoint's
    own.

    Args:
        with_geometry: the model was handed what the clip shows along the path.
        layers: it was rendered from the picture's layers, and the model was not asked.
        film: it was rendered from the film's own frames; what none of them has seen is invented.
        side, frames, fps: long side in pixels at most, number of frames and rate that were asked for; None: the path's.
        sources: frames of the clip that it starts from; none named: the path's source frame alone.
        generator, prompt: the model of others that made it, as it is called, and what that was told; "": none did.
    """

    seed: int = 0
    steps: int | None = None
    with_geometry: bool = False
    sources: tuple[int, ...] = ()
    guidance: float | None = None
    temperature: float | None = None
    layers: bool = False
    film: bool = False
    side: int | None = None
    frames: int | None = None
    fps: float | None = None
    generator: str = ""
    prompt: str = ""


@dataclass(frozen=True, eq=False)
class Take:
    """One generated video, on disk, with what it was made from.

    Args:
        number: counted from 1 in the session.
        origin: "regenerated" along a path, or "imagined" together with its path.
        video: the mp4.
        cameras: the path it was made along, as npz.
        clip_hash, trajectory: what it was made from.
        seconds: what it cost.
        thumbnail: JPEG of a few of its frames side by side.
        size: (h, w) of the video in pixels; None: of the path's images.
        note: what is to be said when it is ready; not kept in files.
        name: given by the person; empty until then.
        starred: marked by the person.
    """

    number: int
    origin: str
    video: Path
    cameras: Path
    clip_hash: str
    trajectory: Trajectory
    settings: Settings
    seconds: float
    thumbnail: bytes = b""
    name: str = ""
    starred: bool = False
    size: tuple[int, int] | None = None
    note: str = ""

    @property
    def count(self) -> int:
        """Frames of the video."""
        return len(self.trajectory) if self.settings.frames is None else self.settings.frames

    @property
    def fps(self) -> float:
        """Rate of the video."""
        return playback_fps(self.trajectory.fps) if self.settings.fps is None else self.settings.fps

    @property
    def is_full_size(self) -> bool:
        """Whether it was rendered from what was given, at its size, and not by the model at the model's."""
        return self.settings.layers or self.settings.film

    @property
    def title(self) -> str:
        """What the person calls it, else its number."""
        return self.name or f"Take {self.number}"

    @property
    def stamp(self) -> str:
        """Hash of clip + trajectory + settings: two takes with one stamp are the same take."""
        return stamp(self.clip_hash, self.trajectory, self.settings)


def stamp(clip_hash: str, trajectory: Trajectory, settings: Settings) -> str:
    """16 hex characters that name what a take is made from."""
    parts = (clip_hash, trajectory.hash, str(settings.seed), str(settings.steps), str(settings.with_geometry))
    if settings.sources:
        parts = (*parts, f"sources {settings.sources}")
    if settings.guidance is not None:
        parts = (*parts, f"guidance {settings.guidance}")
    if settings.temperature is not None:
        parts = (*parts, f"temperature {settings.temperature}")
    parts += tuple(name for name in ("layers", "film") if getattr(settings, name))
    if settings.generator:
        parts = (*parts, f"generator {settings.generator}", f"prompt {settings.prompt}")
    parts += tuple(
        f"{name} {value:g}" for name in ("side", "frames", "fps") if (value := getattr(settings, name)) is not None
    )
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Edit:
    """One value in the history: a path, whether its poses are those of the clip's own frames, and the edit beside it.

    Args:
        name: of the edit that this value is undone or redone by, as the person reads it: "drag frame 5".
        keys: that held the path.
    """

    trajectory: Trajectory
    follows_clip: bool
    name: str
    keys: KeyPath | None = None


@dataclass(frozen=True, eq=False)
class Document:
    """Everything the screen shows about one clip.

    Args:
        predicted: the model's own path, never overwritten.
        prediction_follows_clip: `predicted` was estimated from the clip, not imagined.
        refined: `predicted` after it was fitted to the clip's tracks; None where that was not done or failed.
        report: what came of the refinement, also where it failed.
        edited: the path that is shown, generated along and exported: these very numbers.
        follows_clip: `edited` is the clip's own path, or comes from it by edits; not a preset, not an imagined path.
        keys: that hold `edited`, which is then `keys.trajectory`; None: every frame is free.
        past, future: earlier and undone values of `edited`, the newest last.
        began: name of the edit that made the first path, before which there is nothing to go back to.
        verifications: what became of re-estimating the cameras of takes, by the numbers of these.
        drag_origin: `edited` as it was when the current drag began; each move is applied to it, so they do not add up.
        drag_keys: `keys` as they were then.
        spread: how far samples of the prediction lie apart, once they have been drawn.
        target: the point of the scene that was picked to look at and to turn about, in the world of the paths.
        sources: frames of the clip that a take is to start from (`ui.document.sources`); none: the path's source frame.
    """

    clip: Clip | None = None
    predicted: Trajectory | None = None
    prediction_follows_clip: bool = False
    refined: Trajectory | None = None
    report: RefinementReport | None = None
    edited: Trajectory | None = None
    follows_clip: bool = False
    keys: KeyPath | None = None
    takes: tuple[Take, ...] = ()
    shown_take: int | None = None
    verifications: tuple[Verification, ...] = ()
    selected: int | None = None
    soft: SoftDrag = field(default_factory=SoftDrag)
    past: tuple[Edit, ...] = ()
    began: str = ""
    future: tuple[Edit, ...] = ()
    drag_origin: Trajectory | None = None
    drag_keys: KeyPath | None = None
    target: tuple[float, float, float] | None = None
    spread: PathSpread | None = None
    sources: tuple[int, ...] = ()

    @property
    def source(self) -> int:
        """The frame whose camera is the world, and whose picture a take starts from."""
        return 0 if self.edited is None else self.edited.source

    @property
    def best(self) -> Trajectory | None:
        """The refined path where there is one, else the prediction: what edits start from."""
        return self.predicted if self.refined is None else self.refined

    @property
    def comparison(self) -> Trajectory | None:
        """The path to draw behind the edited one: where its edits start from, or what it was before it was refined."""
        if self.refined is not None and _same(self.edited, self.refined):
            return self.predicted
        return None if _same(self.edited, self.best) else self.best

    @property
    def is_untouched(self) -> bool:
        """Whether the path is still the predicted or the refined one, and no hand is on it."""
        return self.drag_origin is None and (_same(self.edited, self.predicted) or _same(self.edited, self.refined))

    @property
    def take(self) -> Take | None:
        """The take on show."""
        return next((take for take in self.takes if take.number == self.shown_take), None)

    @property
    def verification(self) -> Verification | None:
        """Of the take on show, once it has been verified."""
        return next((found for found in self.verifications if found.take == self.shown_take), None)

    def is_stale(self, take: Take) -> bool:
        """Whether the path or the clip is another one than the take was made from."""
        return (
            self.edited is None
            or self.clip is None
            or take.trajectory.hash != self.edited.hash
            or take.clip_hash != self.clip.hash
        )


def with_clip(document: Document, clip: Clip) -> Document:
    """A new clip starts a new document; only the way of dragging is kept."""
    return Document(clip=clip, soft=document.soft)


def with_prediction(document: Document, predicted: Trajectory, follows_clip: bool = True) -> Document:
    """The model's path becomes the prediction and, as an edit, the path.

    Args:
        follows_clip: it was estimated from the clip's frames; False for one imagined together with a video.
    """
    document = with_path(document, predicted, follows_clip, "predict" if follows_clip else "imagine")
    return replace(
        document, predicted=predicted, prediction_follows_clip=follows_clip, refined=None, report=None, spread=None
    )


def with_refinement(document: Document, trajectory: Trajectory, report: RefinementReport) -> Document:
    """Keep what came of refining the prediction; a path that nobody has touched yet becomes the refined one.

    That is no edit of its own: prediction and refinement are one step for the person, and the raw prediction stays
    within reach by `reset_to_predicted`. A path that was edited meanwhile keeps its poses; its focal lengths change as
    the clip's do, or it would be seen through another lens than the frames it is made from. That is an edit.

    Raises:
        ValueError: nothing has been predicted.
    """
    if document.predicted is None:
        raise ValueError("there is no prediction to refine; press Predict first")
    untouched, before = document.is_untouched, document.best
    refined = trajectory if report.outcome in ("refined", "no_parallax") else None  # the latter: turns are refined
    document = replace(document, refined=refined, report=report)
    if not untouched:
        return _with_lens_changed(document, before)
    refined_path = replace(document, edited=document.best, follows_clip=document.prediction_follows_clip, keys=None)
    return select(refined_path, document.selected)


def _with_lens_changed(document: Document, before: Trajectory | None) -> Document:
    """The edited path with its focal lengths times what the clip's source camera gained since `before`."""
    after, path = document.best, document.edited
    if before is None or after is None or path is None:
        return document
    return _with_focal_gain(document, after.intrinsics[after.source, :2] / before.intrinsics[before.source, :2])


def seen_through(document: Document, fov_y_rad: float) -> Document:
    """The edited path with this vertical field of view at its source, and focal lengths in their relations: the lens of
    a picture is known now, or another one is assumed. Nothing where there is no path."""
    path = document.edited
    if path is None:
        return document
    gain = np.tan(path.fov_y_rad[path.source] / 2) / np.tan(fov_y_rad / 2)
    return _with_focal_gain(document, np.array([gain, gain]))


def _with_focal_gain(document: Document, gain: Float64[np.ndarray, "2"]) -> Document:
    path = document.edited
    assert path is not None
    if np.allclose(gain, 1, rtol=1e-3, atol=0):
        return document
    keys = None if document.keys is None else _seen_through(document.keys, gain)
    changed = _wider(path, gain) if keys is None else keys.trajectory
    if document.drag_origin is not None:  # a hand holds the path: it goes on holding it, and its edit takes this along
        held = None if document.drag_keys is None else _seen_through(document.drag_keys, gain)
        origin = _wider(document.drag_origin, gain)
        return replace(document, edited=changed, keys=keys, drag_origin=origin, drag_keys=held)
    return with_path(document, changed, document.follows_clip, "field of view", keys)


def _wider(path: Trajectory, gain: np.ndarray) -> Trajectory:
    return replace(path, intrinsics=path.intrinsics * [*gain, 1, 1])


def _seen_through(keys: KeyPath, gain: np.ndarray) -> KeyPath:
    return replace(keys, keys=_wider(keys.keys, gain))


def with_path(
    document: Document, trajectory: Trajectory, follows_clip: bool, name: str, keys: KeyPath | None = None
) -> Document:
    """`trajectory` becomes the path; the one before can be undone by this edit's name. The same path is no edit.

    Args:
        keys: that hold it, so that `trajectory` is theirs; None: every frame is free.
    """
    held = document.drag_origin is not None
    before, before_keys = (document.drag_origin, document.drag_keys) if held else (document.edited, document.keys)
    was_following = document.follows_clip
    document = replace(
        document, edited=trajectory, follows_clip=follows_clip, keys=keys, drag_origin=None, drag_keys=None
    )
    document = select(document, document.selected)
    if before is None:
        return replace(document, began=name)
    if before.hash == trajectory.hash and (before_keys is None) == (keys is None):
        return document
    past = (*document.past, Edit(before, was_following, name, before_keys))
    return replace(document, past=past[-HISTORY_LIMIT:], future=())


def with_keys(document: Document, keys: KeyPath, name: str, follows_clip: bool | None = None) -> Document:
    """The path becomes that of `keys`; `follows_clip` stays as it is unless given."""
    follows = document.follows_clip if follows_clip is None else follows_clip
    return with_path(document, keys.trajectory, follows, name, keys)


def with_preset(
    document: Document,
    name: str,
    amplitude: float,
    num_frames: int,
    pivot_distance: float = 1.0,
    fov_y_rad: float | None = None,
    pivot: tuple[float, float, float] | None = None,
) -> Document:
    """The path becomes a preset.

    Args:
        pivot_distance, pivot: as `rap.geometry.preset` takes them.
        fov_y_rad: vertical field of view; None: as predicted, where that was done.

    Raises:
        ValueError: unknown name, amplitude or distance out of range, or no clip yet.
    """
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {name!r}")
    clip = clip_of(document)
    if fov_y_rad is None:
        best = document.best
        fov_y_rad = DEFAULT_FOV_Y_RAD if best is None else float(best.fov_y_rad[best.source])
    path = preset(
        name,
        num_frames=num_frames,
        image_size=clip.image_size,
        fov_y_rad=fov_y_rad,
        amplitude=amplitude,
        pivot_distance=pivot_distance,
        fps=clip.fps,
        pivot=pivot,
    )
    return with_preset_path(document, name, path)


def with_preset_path(document: Document, name: str, path: Trajectory) -> Document:
    """The path becomes that of a preset, made elsewhere; a path that is held by keys stays so."""
    if document.keys is None:
        return with_path(document, path, follows_clip=False, name=f"preset {name}")
    keys = simplify(path, min(max(len(document.keys.times), 3), len(path)))
    return with_keys(document, keys, f"preset {name}", follows_clip=False)


def select(document: Document, index: int | None) -> Document:
    """Select a frame; an index the path does not have selects nothing."""
    count = 0 if document.edited is None else len(document.edited)
    return replace(document, selected=index if index is not None and 0 <= index < count else None)


def with_spread(document: Document, spread: PathSpread) -> Document:
    """What the samples say; a soft drag reaches as far from now on as they go together."""
    radius = float(np.clip(round(2 * spread.reach) / 2, 1.0, 16.0))
    return replace(document, spread=spread, soft=replace(document.soft, radius=radius))


def with_target(document: Document, target: tuple[float, float, float] | None) -> Document:
    """The point to look at and to turn about; None: none is picked."""
    return replace(document, target=target)


def with_soft_drag(document: Document, on: bool, radius: float) -> Document:
    """Raises ValueError for a radius not above 0."""
    return replace(document, soft=SoftDrag(on, radius))


def begin_drag(document: Document, index: int) -> Document:
    """Checkpoint at the start of a drag."""
    return replace(select(document, index), drag_origin=document.edited, drag_keys=document.keys)


def drag(document: Document, index: int, T_world_camera: Float64[np.ndarray, "4 4"]) -> Document:
    """The path with frame `index` where the hand has put it. A drag that has not begun begins here.

    Raises:
        ValueError: no path, or the frame is the source (its camera is the world), or the pose is not rigid.
    """
    if document.drag_origin is None:
        document = begin_drag(document, index)
    path, keys = _dragged(document, index, T_world_camera)
    return replace(document, edited=path, keys=keys)


def pinned(document: Document, dragged: int) -> list[int]:
    """Chosen source frames, which a soft drag leaves where they are; the hand may still take one of them itself."""
    count = 0 if document.edited is None else len(document.edited)
    return [frame for frame in document.sources if frame != dragged and frame < count]


def end_drag(document: Document, index: int, T_world_camera: Float64[np.ndarray, "4 4"]) -> Document:
    """Checkpoint at the end of a drag: the whole movement is one edit. Raises as `drag`."""
    document = drag(document, index, T_world_camera)
    assert document.edited is not None  # drag raises without a path
    return with_path(document, document.edited, document.follows_clip, f"drag frame {index}", document.keys)


def drop_drag(document: Document) -> Document:
    """The path as it was before the current drag."""
    if document.drag_origin is None:
        return document
    return replace(document, edited=document.drag_origin, keys=document.drag_keys, drag_origin=None, drag_keys=None)


def undo(document: Document) -> Document:
    """One edit back; nothing when there is none."""
    if not document.past or document.edited is None:
        return document
    *past, before = document.past
    now = Edit(document.edited, document.follows_clip, before.name, document.keys)
    return _travelled(document, before, tuple(past), (*document.future, now))


def redo(document: Document) -> Document:
    """One undone edit forward; nothing when there is none."""
    if not document.future or document.edited is None:
        return document
    *future, after = document.future
    now = Edit(document.edited, document.follows_clip, after.name, document.keys)
    return _travelled(document, after, (*document.past, now), tuple(future))


def reset_to_predicted(document: Document) -> Document:
    """The untouched prediction again, as an edit.

    Raises:
        ValueError: nothing has been predicted.
    """
    if document.predicted is None:
        raise ValueError("there is no prediction to go back to; press Predict first")
    return with_path(document, document.predicted, document.prediction_follows_clip, "reset to predicted")


def reset_to_refined(document: Document) -> Document:
    """The refined prediction again, as an edit.

    Raises:
        ValueError: nothing has been refined.
    """
    if document.refined is None:
        raise ValueError("there is no refined path to go back to; press Refine first")
    return with_path(document, document.refined, document.prediction_follows_clip, "reset to refined")


def with_take(document: Document, take: Take) -> Document:
    """A finished take is kept and shown."""
    return replace(document, takes=(*document.takes, take), shown_take=take.number)


def next_take_number(document: Document) -> int:
    """One more than any take has."""
    return 1 + max((take.number for take in document.takes), default=0)


def take_of(document: Document, number: int) -> Take:
    """Raises ValueError for a number no take has."""
    found = next((take for take in document.takes if take.number == number), None)
    if found is None:
        raise ValueError(f"there is no take {number}; there are {[take.number for take in document.takes]}")
    return found


def with_take_changed(document: Document, changed: Take) -> Document:
    """A take gets another name or star. Raises ValueError for a take that is not there."""
    take_of(document, changed.number)
    takes = tuple(changed if take.number == changed.number else take for take in document.takes)
    return replace(document, takes=takes)


def without_take(document: Document, number: int) -> Document:
    """A take and what was found out about it are forgotten; the one before it, else the one after, is shown.

    Raises:
        ValueError: there is no such take.
    """
    at = document.takes.index(take_of(document, number))
    left = document.takes[:at] + document.takes[at + 1 :]
    shown = document.shown_take
    if shown == number:
        shown = left[max(at - 1, 0)].number if left else None
    found = tuple(found for found in document.verifications if found.take != number)
    return replace(document, takes=left, shown_take=shown, verifications=found)


def with_verification(document: Document, verification: Verification) -> Document:
    """What was found out about a take takes the place of what was known of it; nothing for a take that is gone."""
    if all(take.number != verification.take for take in document.takes):
        return document
    others = tuple(found for found in document.verifications if found.take != verification.take)
    return replace(document, verifications=(*others, verification))


def show_take(document: Document, number: int) -> Document:
    """Raises ValueError for a number no take has."""
    return replace(document, shown_take=take_of(document, number).number)


def _travelled(document: Document, to: Edit, past: tuple[Edit, ...], future: tuple[Edit, ...]) -> Document:
    moved = replace(
        document,
        edited=to.trajectory,
        follows_clip=to.follows_clip,
        keys=to.keys,
        past=past,
        future=future,
        drag_origin=None,
        drag_keys=None,
    )
    return select(moved, document.selected)


def _dragged(
    document: Document, index: int, T_world_camera: Float64[np.ndarray, "4 4"]
) -> tuple[Trajectory, KeyPath | None]:
    """The path under the hand, and its keys: there a frame that is dragged becomes one, and the spline follows."""
    origin = document.drag_origin
    if origin is None:
        raise ValueError("there is no path to drag; press Predict or apply a preset first")
    if index == origin.source:
        raise ValueError(f"frame {index} is the source camera: it is the world's origin and stays where it is")
    if document.drag_keys is not None:
        keys = document.drag_keys.placed(index, T_world_camera)
        return keys.trajectory, keys
    if document.soft.on:
        return soft_drag(origin, index, T_world_camera, document.soft.radius, pinned(document, index)), None
    return replace_pose(origin, index, T_world_camera), None


def _same(a: Trajectory | None, b: Trajectory | None) -> bool:
    return a is not None and b is not None and a.hash == b.hash


def clip_of(document: Document) -> Clip:
    """Raises InputError while there is none."""
    if document.clip is None:
        raise InputError("there is no clip yet; give a video or an image first")
    return document.clip
