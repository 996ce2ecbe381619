"""The edits of the Edit tab, as messages: whole path, selected frame, keys. One press is one step of the history.

A path that is held by keys stays so where the edit can be done to the keys themselves; any other edit makes it dense.
Angles are in degrees here, as they were typed; `rap.geometry` gets radians.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from jaxtyping import Float64

from rap.geometry import edits, keys, reshape, se3
from rap.geometry.shake import shaken
from ui.document import document as doc
from ui.document import path_text
from ui.document.edits import PathEdit

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from rap.geometry.keys import KeyPath
    from rap.geometry.reshape import Easing
    from ui.document.document import Document

Pivot = Literal["picked point", "source camera", "path centre"]
PIVOTS: tuple[Pivot, ...] = get_args(Pivot)
AHEAD = (0.0, 0.0, 1.0)
"""Where the source camera looks, at the median depth of its view; the picked point as long as none has been picked."""

SNAP_DEG, SNAP_UNITS = 5.0, 0.1
FILM_HEIGHT_MM = 24.0
"""Of the 36 x 24 mm frame that focal lengths in mm refer to."""


def mm_from_fov(fov_y_deg: float) -> float:
    """Focal length in mm that gives a vertical field of view on a frame 24 mm high."""
    return float(FILM_HEIGHT_MM / 2 / np.tan(np.radians(fov_y_deg) / 2))


def fov_from_mm(focal_mm: float) -> float:
    """Vertical field of view in degrees of a focal length on a frame 24 mm high. Raises ValueError unless above 0."""
    if not focal_mm > 0:
        raise ValueError(f"the focal length must be above 0 mm, got {focal_mm:g}")
    return float(np.degrees(2 * np.arctan(FILM_HEIGHT_MM / 2 / focal_mm)))


class WholePath(PathEdit):
    """An edit of all cameras at once."""

    pivot: Pivot = "picked point"

    @property
    @abstractmethod
    def name(self) -> str:
        """In the history."""

    @abstractmethod
    def changed(self, path: Trajectory, at: Float64[np.ndarray, "3"], reach: float | None) -> Trajectory:
        """The path after it; `at` is the pivot's point, `reach` the soft drag's, None when that is off."""

    def apply(self, document: Document) -> Document:
        """To the keys where there are keys, else to every frame."""
        held, at = document.keys, pivot_point(document, self.pivot)
        if held is None:
            reach = document.soft.radius if document.soft.on else None
            after = self.changed(_path(document), at, reach)
            if _moves_nothing(after, _path(document)):
                return document
            return doc.with_path(document, after, document.follows_clip, self.name)
        after = self.changed(held.keys, at, None)
        return (
            document
            if _moves_nothing(after, held.keys)
            else doc.with_keys(document, replace(held, keys=after), self.name)
        )


class NewTiming(PathEdit):
    """An edit after which frames are no longer those of the clip, one by one; a path of keys becomes dense."""

    @property
    @abstractmethod
    def name(self) -> str:
        """In the history."""

    @abstractmethod
    def changed(self, path: Trajectory) -> Trajectory:
        """The path after it."""

    def apply(self, document: Document) -> Document:
        """As a path of its own: the clip's frames are no pictures of these cameras any more."""
        return doc.with_path(document, self.changed(_path(document)), False, self.name)


@dataclass(frozen=True)
class Amplify(WholePath):
    """More or less of the same motion, 0 to 200 %."""

    percent: float

    @property
    def name(self) -> str:
        """In the history."""
        return f"motion {self.percent:g} %"

    def changed(self, path: Trajectory, at: Float64[np.ndarray, "3"], reach: float | None) -> Trajectory:
        """Raises ValueError outside 0 to 200."""
        if not 0 <= self.percent <= 200:
            raise ValueError(f"the motion must be scaled to 0 to 200 %, got {self.percent:g}")
        return edits.scale_motion(path, self.percent / 100)


@dataclass(frozen=True)
class Mirror(NewTiming):
    """Left and right exchanged."""

    @property
    def name(self) -> str:
        """In the history."""
        return "mirror"

    def changed(self, path: Trajectory) -> Trajectory:
        """In the source camera's vertical plane."""
        return reshape.mirror(path)

    def apply(self, document: Document) -> Document:
        """Keys are mirrored as keys."""
        if document.keys is None:
            return super().apply(document)
        after = replace(document.keys, keys=self.changed(document.keys.keys))
        return doc.with_keys(document, after, self.name, follows_clip=False)


@dataclass(frozen=True)
class Backwards(NewTiming):
    """The motion run backwards, from the source camera."""

    @property
    def name(self) -> str:
        """In the history."""
        return "reverse"

    def changed(self, path: Trajectory) -> Trajectory:
        """The source keeps its index."""
        return reshape.backwards(path)


@dataclass(frozen=True)
class CloseLoop(NewTiming):
    """The last camera leads back to the first, so that the video repeats without a seam."""

    @property
    def name(self) -> str:
        """In the history."""
        return "close loop"

    def changed(self, path: Trajectory) -> Trajectory:
        """Sampled at i / n."""
        return reshape.close_loop(path)


@dataclass(frozen=True)
class Retime(NewTiming):
    """Another speed along the same way."""

    easing: Easing

    @property
    def name(self) -> str:
        """In the history."""
        return self.easing

    def changed(self, path: Trajectory) -> Trajectory:
        """Frame count and source stay."""
        return reshape.retime(path, self.easing)

    def apply(self, document: Document) -> Document:
        """Of a path of keys it is a property, and the keys stay."""
        if document.keys is None:
            return super().apply(document)
        return KeyStyle(document.keys.tension, self.easing, document.keys.loop).apply(document)


@dataclass(frozen=True)
class Smooth(PathEdit):
    """Jitter taken out, 0 to 1; a path of keys becomes dense."""

    strength: float

    def apply(self, document: Document) -> Document:
        """Raises ValueError outside 0 to 1."""
        after = edits.smooth(_path(document), self.strength)
        return doc.with_path(document, after, document.follows_clip, f"smooth {self.strength:g}")


@dataclass(frozen=True)
class Shake(PathEdit):
    """The path as a hand would hold it; a path of keys becomes dense."""

    amount: float
    seed: int = 0

    def apply(self, document: Document) -> Document:
        """Raises ValueError for an amount out of its range."""
        after = shaken(_path(document), self.amount, self.seed)
        return doc.with_path(document, after, document.follows_clip, f"shake {self.amount:g}")


@dataclass(frozen=True)
class MoveAll(WholePath):
    """All cameras but the source, shifted by x, y, z in median depths."""

    shift: tuple[float, float, float]

    @property
    def name(self) -> str:
        """In the history."""
        return "move path"

    def changed(self, path: Trajectory, at: Float64[np.ndarray, "3"], reach: float | None) -> Trajectory:
        """A soft drag's reach makes the move grow from the source."""
        return reshape.move_all(path, se3.from_rotation_translation(np.eye(3), self.shift), reach=reach)


@dataclass(frozen=True)
class RotateAll(WholePath):
    """All cameras but the source, turned about a pivot by yaw, pitch and roll in degrees, in the source's axes."""

    yaw_pitch_roll_deg: tuple[float, float, float]
    pivot: Pivot = "picked point"

    @property
    def name(self) -> str:
        """In the history."""
        return "rotate path"

    def changed(self, path: Trajectory, at: Float64[np.ndarray, "3"], reach: float | None) -> Trajectory:
        """A soft drag's reach makes the turn grow from the source."""
        R = reshape.rotation_from_angles(*np.radians(self.yaw_pitch_roll_deg))
        return reshape.move_all(path, se3.from_rotation_translation(R, np.zeros(3)), at, reach)


@dataclass(frozen=True)
class ScaleAll(WholePath):
    """All camera centres but the source's, nearer to a pivot or farther from it."""

    factor: float
    pivot: Pivot = "picked point"

    @property
    def name(self) -> str:
        """In the history."""
        return f"scale path × {self.factor:g}"

    def changed(self, path: Trajectory, at: Float64[np.ndarray, "3"], reach: float | None) -> Trajectory:
        """A soft drag's reach makes the change grow from the source."""
        return reshape.scale_about(path, self.factor, at, reach)


@dataclass(frozen=True)
class LookAt(WholePath):
    """All cameras but the source look at the picked point."""

    @property
    def name(self) -> str:
        """In the history."""
        return "look at point"

    def changed(self, path: Trajectory, at: Float64[np.ndarray, "3"], reach: float | None) -> Trajectory:
        """A soft drag's reach makes the turn grow from the source."""
        return reshape.look_at_point(path, at, reach)


@dataclass(frozen=True, eq=False)
class PlaceFrame(PathEdit):
    """A frame's camera put somewhere, with its lens if that is given.

    Args:
        index: the frame.
        T_world_camera: its new pose; None leaves it.
        fov_y_deg: its new vertical field of view; None leaves it.
        soft: neighbours follow as in a soft drag, if that is on. Of a path of keys the frame becomes a key.
        name: in the history, after the frame's.
    """

    index: int
    T_world_camera: Float64[np.ndarray, "4 4"] | None = None
    fov_y_deg: float | None = None
    soft: bool = True
    name: str = "typed"

    def apply(self, document: Document) -> Document:
        """Raises ValueError for the source, which stays at the origin with the given image's lens."""
        path = _path(document)
        if self.index == path.source:
            raise ValueError(
                f"frame {self.index} is the source: it stays at the origin and keeps its lens; select another frame"
            )
        name = f"frame {self.index} {self.name}"
        if document.keys is not None:
            fov = None if self.fov_y_deg is None else _radians(self.fov_y_deg)
            return doc.with_keys(document, document.keys.placed(self.index, self.T_world_camera, fov), name)
        radius = document.soft.radius if self.soft and document.soft.on else None
        if self.T_world_camera is not None and radius is not None:
            path = edits.soft_drag(path, self.index, self.T_world_camera, radius)
        elif self.T_world_camera is not None:
            path = edits.replace_pose(path, self.index, self.T_world_camera)
        if self.fov_y_deg is not None:
            path = reshape.set_field_of_view(path, self.index, _radians(self.fov_y_deg), radius)
        return doc.with_path(document, path, document.follows_clip, name)


@dataclass(frozen=True)
class FrameFields:
    """A frame's camera as numbers to read and to type: position (median depths), angles (degrees), lens.

    Args:
        quaternion: "w x y z".
        fov_y_deg: vertical field of view.
        focal_mm: the same as a focal length on a frame 24 mm high.
    """

    x: float
    y: float
    z: float
    yaw: float
    pitch: float
    roll: float
    quaternion: str
    fov_y_deg: float
    focal_mm: float


def frame_fields(path: Trajectory, index: int) -> FrameFields:
    """The camera of a frame, rounded as it is shown."""
    T, fov = path.Ts_world_camera[checked_frame(path, index)], float(np.degrees(path.fov_y_rad[index]))
    yaw, pitch, roll = (np.degrees(reshape.angles_from_rotation(T[:3, :3])).round(2) + 0.0).tolist()  # no minus zeros
    x, y, z = (T[:3, 3].round(3) + 0.0).tolist()
    quaternion = " ".join(f"{value + 0.0:.4f}" for value in se3.quaternion_wxyz(T[:3, :3]).round(4))
    return FrameFields(x, y, z, yaw, pitch, roll, quaternion, round(fov, 2), round(mm_from_fov(fov), 2))


@dataclass(frozen=True)
class TypeFrame(PathEdit):
    """A frame's camera as typed: what differs from what was shown counts, the rest keeps all its digits.

    A quaternion goes before angles, degrees before mm, should both have been typed.
    """

    index: int
    typed: FrameFields

    def apply(self, document: Document) -> Document:
        """Raises ValueError for the source, and for numbers that are no camera."""
        path = _path(document)
        shown = frame_fields(path, self.index)
        new = {
            field.name for field in fields(FrameFields) if getattr(self.typed, field.name) != getattr(shown, field.name)
        }
        if not new:
            return document
        T = path.Ts_world_camera[self.index].copy()
        centre = [getattr(self.typed, name) if name in new else T[i, 3] for i, name in enumerate("xyz")]
        if "quaternion" in new:
            T[:3, :3] = _rotation(self.typed.quaternion)
        elif new & {"yaw", "pitch", "roll"}:
            exact = dict(zip(("yaw", "pitch", "roll"), reshape.angles_from_rotation(T[:3, :3]), strict=True))
            typed = {name: np.radians(getattr(self.typed, name)) for name in exact if name in new}
            T[:3, :3] = reshape.rotation_from_angles(*(exact | typed).values())
        T[:3, 3] = centre
        fov = self.typed.fov_y_deg if "fov_y_deg" in new else None
        if fov is None and "focal_mm" in new:
            fov = fov_from_mm(self.typed.focal_mm)
        moved = None if new <= {"fov_y_deg", "focal_mm"} else T
        return PlaceFrame(self.index, moved, fov).apply(document)


@dataclass(frozen=True)
class SnapFrame(PathEdit):
    """A frame's position to 0.1 median depths, its yaw, pitch and roll to 5 degrees."""

    index: int

    def apply(self, document: Document) -> Document:
        """As if the rounded numbers had been typed."""
        path = _path(document)
        T = path.Ts_world_camera[checked_frame(path, self.index)]
        angles = np.radians(SNAP_DEG * np.round(np.degrees(reshape.angles_from_rotation(T[:3, :3])) / SNAP_DEG))
        centre = SNAP_UNITS * np.round(T[:3, 3] / SNAP_UNITS)
        snapped = se3.from_rotation_translation(reshape.rotation_from_angles(*angles), centre)
        return PlaceFrame(self.index, snapped, name="snapped").apply(document)


@dataclass(frozen=True)
class ToKeys(PathEdit):
    """The path held by so many keys."""

    count: int

    def apply(self, document: Document) -> Document:
        """Raises ValueError for a count that the path does not allow."""
        return doc.with_keys(document, keys.simplify(_path(document), self.count), f"{self.count} keys")


@dataclass(frozen=True)
class ToDense(PathEdit):
    """The same path, every frame free again."""

    def apply(self, document: Document) -> Document:
        """Raises ValueError where there are no keys."""
        _keys(document)
        return doc.with_path(document, _path(document), document.follows_clip, "back to dense")


@dataclass(frozen=True)
class KeyStyle(PathEdit):
    """How the path runs between its keys."""

    tension: float
    easing: Easing
    loop: bool

    def apply(self, document: Document) -> Document:
        """Named after what is another."""
        held = _keys(document)
        after = replace(held, tension=self.tension, easing=self.easing).with_loop(self.loop)
        name = f"tension {self.tension:g}"
        if self.easing != held.easing:
            name = f"keys {self.easing}"
        if self.loop != held.loop:
            name = "loop on" if self.loop else "loop off"
        return doc.with_keys(document, after, name)


@dataclass(frozen=True)
class InsertKey(PathEdit):
    """A frame, the playhead's, becomes a key; the path stays as it is there."""

    frame: int

    def apply(self, document: Document) -> Document:
        """Raises ValueError if it is one already."""
        held = _keys(document)
        if held.key_at(self.frame) is not None:
            raise ValueError(f"frame {self.frame} is key {held.key_at(self.frame)} already; select one between keys")
        return doc.with_keys(document, held.inserted(held.time_of(self.frame))[0], f"insert key at {self.frame}")


KeyAction = Literal["duplicate", "delete", "earlier", "later"]


@dataclass(frozen=True)
class ChangeKey(PathEdit):
    """Something done to the key that a frame shows."""

    frame: int
    action: KeyAction

    def apply(self, document: Document) -> Document:
        """Raises ValueError for a frame that is no key, and for what the source key or an end does not allow."""
        held, key = _key(document, self.frame)
        if self.action == "duplicate":
            after = held.duplicated(key)[0]
        elif self.action == "delete":
            after = held.deleted(key)
        else:
            other = key + (1 if self.action == "later" else -1)
            if not 0 <= other < len(held.times):
                raise ValueError(f"key {key} is the {'last' if other > key else 'first'} key already")
            after = held.swapped(key, other)
            document = doc.select(document, after.frames[other])  # the selection goes with the camera
        return doc.with_keys(document, after, f"key {key} {self.action}")


@dataclass(frozen=True)
class SetKeyTime(PathEdit):
    """The key that a frame shows is passed at another time, in frames."""

    frame: int
    time: float

    def apply(self, document: Document) -> Document:
        """Raises ValueError unless the time is between its neighbours'."""
        held, key = _key(document, self.frame)
        after = held.with_time(key, self.time)
        return doc.with_keys(doc.select(document, after.frames[key]), after, f"key {key} at {self.time:g}")


def pivot_point(document: Document, pivot: Pivot) -> Float64[np.ndarray, "3"]:
    """The world point that a pivot names. Raises ValueError for another name."""
    if pivot not in PIVOTS:
        raise ValueError(f"pivot must be one of {', '.join(PIVOTS)}, got {pivot!r}")
    path = _path(document)
    if pivot == "path centre":
        return path.centres.mean(axis=0)
    T = path.Ts_world_camera[path.source]
    if pivot == "source camera":
        return T[:3, 3]
    return np.array(document.target) if document.target is not None else T[:3, :3] @ AHEAD + T[:3, 3]


def checked_frame(path: Trajectory, index: int) -> int:
    """`index` if it is a frame of the path, else a ValueError."""
    if not 0 <= index < len(path):
        raise ValueError(f"frame must lie in 0 to {len(path) - 1}, got {index}")
    return index


@dataclass(frozen=True)
class Paste(PathEdit):
    """A copied path becomes the path; a copied pose becomes the selected frame's."""

    text: str

    def apply(self, document: Document) -> Document:
        """Raises ValueError for a text that is neither, and for a pose where no frame is selected."""
        path = _path(document)
        if not path_text.is_pose(self.text):
            pasted = path_text.read_path(self.text, len(path))
            return doc.with_path(document, pasted, False, "paste path")  # whose frames these are the text does not say
        if document.selected is None:
            raise ValueError("a pose needs a frame to be given to; click a frustum first")
        T, fov_y_deg = path_text.read_pose(self.text)
        return PlaceFrame(document.selected, T, fov_y_deg, name="pasted").apply(document)


def _rotation(quaternion: str) -> Float64[np.ndarray, "3 3"]:
    try:
        wxyz = np.array([float(word) for word in quaternion.replace(",", " ").split()])
    except ValueError as error:
        raise ValueError(f"the quaternion must be four numbers w x y z, got {quaternion!r}") from error
    if wxyz.shape != (4,) or not np.isfinite(wxyz).all() or not np.linalg.norm(wxyz) > 1e-6:
        raise ValueError(f"the quaternion must be four numbers w x y z, not all 0, got {quaternion!r}")
    return se3.rotation_from_wxyz(wxyz / np.linalg.norm(wxyz))


def _radians(fov_y_deg: float) -> float:
    if not 0 < fov_y_deg < 180:
        raise ValueError(f"the field of view must lie between 0 and 180 degrees, got {fov_y_deg:g}")
    return float(np.radians(fov_y_deg))


def _moves_nothing(after: Trajectory, before: Trajectory) -> bool:
    """Whether two paths differ by rounding alone: a turn by nothing is no step of the history."""
    return bool(np.allclose(after.Ts_world_camera, before.Ts_world_camera, rtol=0, atol=1e-12))


def _path(document: Document) -> Trajectory:
    if document.edited is None:
        raise ValueError("there is no path to edit yet; press Predict or apply a preset first")
    return document.edited


def _keys(document: Document) -> KeyPath:
    if document.keys is None:
        raise ValueError("the path has no keys yet; press Simplify to keys first")
    return document.keys


def _key(document: Document, frame: int) -> tuple[KeyPath, int]:
    held = _keys(document)
    key = held.key_at(frame)
    if key is None:
        raise ValueError(f"frame {frame} is no key; select a marked frame, or insert a key here")
    return held, key
