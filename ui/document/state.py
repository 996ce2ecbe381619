"""What a session shows, as immutable values: the session makes the next one, viewport and page are drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, UInt8

from rap.config import DEFAULT_TAKE_SIDE
from ui.document.document import Document, Settings, drop_drag
from ui.document.messages import Regenerate

if TYPE_CHECKING:
    from rap.data import Clip
    from rap.geometry import Trajectory
    from rap.reconstruction.tracks import PointCloud
    from rap.views.scene import Scene
    from ui.document.importing import Import
    from ui.document.link import Linked
    from ui.document.messages import ApplyPreset, GizmoMode, PlotName, Variations

JobKind = Literal["predict", "imagine", "regenerate", "verify", "spread"]
GeometryKind = Literal["refine", "depth"]
JobPhase = Literal["queued", "running", "cancelling"]


@dataclass(frozen=True, eq=False)
class JobStatus:
    """The session's one job for the model, as last heard of.

    Args:
        spent_s: what the job before it, of the same take, has cost.
    """

    number: int
    kind: JobKind
    settings: Settings
    phase: JobPhase = "queued"
    place: int = 0
    waiting_for: str = ""
    step: int = 0
    steps: int = 0
    seconds_per_step: float | None = None
    preview_u8: np.ndarray | None = None
    spent_s: float = 0.0

    @property
    def panel(self) -> str:
        """Where it was asked for: its progress, its end and its Cancel are there."""
        return "input" if self.kind in ("predict", "imagine") else "result"

    @property
    def eta_s(self) -> float | None:
        """Seconds left by the measured seconds per step; None before there is a measure."""
        if self.seconds_per_step is None or self.phase != "running":
            return None
        return self.seconds_per_step * (self.steps - self.step)


@dataclass(frozen=True)
class Notice:
    """A sentence for the person, shown in the panel `place` ("input", "path" or "result")."""

    place: str
    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Wrong:
    """What a field of the page holds and cannot be used; the sentence stands there until it is mended.

    Args:
        field: its name.
        number: of the refusal: the same words again are news.
    """

    field: str
    text: str
    number: int


@dataclass(frozen=True, eq=False)
class Points:
    """Coloured points of the scene, in the world of the paths: compared by identity, so that they are sent once."""

    xyz: Float[np.ndarray, "n 3"]
    colours_u8: UInt8[np.ndarray, "n 3"]


@dataclass(frozen=True, eq=False)
class Basis:
    """What a scene is made from.

    Args:
        clip: its frames.
        trajectory: the cameras of these frames; for "one image" the path whose source camera sees the one frame.
        known_from: where the cameras come from: "refined", "predicted", or where no path of the clip's own frames is
            known, so that its source frame alone is used, "one image": by its own depth, "flat image": as a plane.
        depth_by: model that says the depth of "one image", as `rap.views.depth_model.depth_model` takes it.
    """

    clip: Clip
    trajectory: Trajectory
    known_from: Literal["refined", "predicted", "one image", "flat image"]
    depth_by: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether a single frame is all it is made from."""
        return self.known_from in ("one image", "flat image")

    @property
    def key(self) -> tuple[str, ...]:
        """Two bases with one key give one scene: of a single frame only its own camera's lens counts."""
        if not self.is_picture:
            return self.clip.hash, self.trajectory.hash
        source = self.trajectory.source
        lens = self.trajectory.intrinsics[source].tobytes().hex()
        return self.clip.hash, f"{self.known_from} {source}", lens, self.depth_by


@dataclass(frozen=True, eq=False)
class DepthMap:
    """The depth of a picture, as it can be looked at and kept.

    Args:
        inverse_depth: 1 / z-depth of the whole picture, in the unit of the paths.
        fov_y_rad: the vertical field of view that the picture was lifted with.
        jpeg: the map as a picture, near is bright.
    """

    inverse_depth: Float[np.ndarray, "h w"]
    fov_y_rad: float
    jpeg: bytes


@dataclass(frozen=True, eq=False)
class BuiltScene:
    """The space that the clip shows, ready to be seen from elsewhere.

    Args:
        dense: points of its depth maps that are sure, if any.
        picture: nearly all of them, for who looks through a camera: wrong depth hardly shows there, holes do.
        centre_depth: of what is in the middle of the first frame, as `rap.views.fitting.pivot_of` says.
        depth_map: of a picture that is no plane.
    """

    basis: Basis
    scene: Scene
    dense: Points | None = None
    picture: Points | None = None
    centre_depth: float = 1.0
    depth_map: DepthMap | None = None


@dataclass(frozen=True, eq=False)
class GeometryJob:
    """What the geometry's worker does for this session, previews apart."""

    number: int
    kind: GeometryKind
    basis: Basis
    phase: Literal["queued", "running"] = "queued"
    place: int = 0
    share: float = 0.0  # that is done, where it is counted


@dataclass(frozen=True, eq=False)
class PreviewClip:
    """The edited path as a video by warping alone.

    Args:
        key: the scene's basis and the hash of the path.
        known_from: as in `Basis`.
        mp4: the file's bytes.
        coverage: share of the pixels that the clip has seen.
        seconds: what it took.
        warning: where the path leads through a surface; empty where it does not, or nobody knows.
    """

    key: tuple[str, ...]
    known_from: str
    mp4: bytes
    coverage: float
    seconds: float = 0.0
    warning: str = ""


@dataclass(frozen=True)
class PreviewRequest:
    """The preview on its way."""

    number: int
    key: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Unfitted:
    """A preset that was applied before the depth was there: it is fitted to it if the path is still that.

    Args:
        asked: the message.
        path_hash: of the path that came of it.
    """

    asked: ApplyPreset
    path_hash: str


@dataclass(frozen=True, eq=False)
class Geometry:
    """What is known of the clip's space, and how the person wants it used.

    Args:
        refine_on: refine a path as soon as it has been predicted.
        use_on: regenerate with what the clip shows along the path; off: the model alone.
        flat_on: a single picture is a plane instead of what its depth says.
        depth_by: model that says it; "" is the one of the checkout.
        dense_on: show the points of the depth maps; None: where there are no others, as of a picture.
        known_fov_y_rad: vertical field of view of the clip's frames, from the file or the person; None: not known.
        cloud: triangulated points of the refinement, as the scene is made from them.
        sparse: those of them that are shown.
        moving: JPEG of frames in which only what moves by itself is as it was; empty where little does.
        scene: of the newest basis, or None while there is none.
        held: takes that were asked for before cameras and depth were there, and begin when they are.
    """

    refine_on: bool = True
    use_on: bool = True
    flat_on: bool = False
    depth_by: str = ""
    dense_on: bool | None = None
    known_fov_y_rad: float | None = None
    cloud: PointCloud | None = None
    sparse: Points | None = None
    moving: bytes = b""
    scene: BuiltScene | None = None
    job: GeometryJob | None = None
    preview: PreviewClip | None = None
    wanted: PreviewRequest | None = None
    unfitted: Unfitted | None = None
    held: Regenerate | Variations | None = None

    @property
    def shows_dense(self) -> bool:
        """Whether the points of the depth maps are shown."""
        if self.dense_on is not None:
            return self.dense_on
        return self.scene is not None and self.scene.basis.is_picture


@dataclass(frozen=True, eq=False)
class Work:
    """What was done with a clip, put aside when another one came."""

    document: Document
    geometry: Geometry


@dataclass(frozen=True)
class FileBox:
    """The files in the page's box. Two are equal when the page need not be told of the second.

    Args:
        drawn: how often what the browser shows had to be set right.
    """

    files: tuple[str, ...] = field(default=(), compare=False)
    drawn: int = 0

    def holding(self, files: tuple[str, ...], shown: tuple[str, ...] | None = None) -> FileBox:
        """With other files; `shown` is what the browser lists, where that is not what it was told last."""
        now = self.files if shown is None else shown
        return FileBox(files, self.drawn + (files != now))


@dataclass(frozen=True, eq=False)
class Wanted:
    """A take that is to be made when those before it are."""

    trajectory: Trajectory
    steps: int | None
    seed: int
    guidance: float | None = None
    temperature: float | None = None
    side: int = DEFAULT_TAKE_SIDE
    frames: int | None = None
    fps: float | None = None
    prompt: str = ""


@dataclass(frozen=True)
class Cost:
    """What a take costs.

    Args:
        steps: how many it takes: as asked for, else the checkpoint's own number, or the frames of what is rendered.
        seconds_per_step, memory_bytes: measured on this machine; None before the first such take.
        side: long side in pixels of what is rendered; None of what the model makes.
    """

    steps: int | None
    seconds_per_step: float | None = None
    memory_bytes: int | None = None
    side: int | None = None


@dataclass(frozen=True, eq=False)
class State:
    """All of a session that can be seen. `version` counts the changes.

    Args:
        verify_on: verify each take as soon as it is made.
        picking: the next click into the scene picks a point.
        recording: the motion of the 3D view is to become a path.
        playhead: the frame that is looked at in time.
        through: the page looks through the camera at the playhead.
        gizmo: what the gizmo does.
        is_dark: the page is dark; the viewport and the plots go with it.
        plots: those on show; the others are not drawn.
        importing: cameras of a file that are to become the path.
        imported: the path they would become.
        sampled: samples of the path, while more of them are being drawn.
        waiting: takes that follow the one at work.
        doomed: the take that is deleted when that is asked for once more.
        compared: numbers of the takes that play side by side.
        box: files in the page's box.
        source: the files that the clip was read from; none where it came with a session.
        asked: what the fields of a take's settings ask for.
        brought: how often these came from elsewhere than the fields, which are then told.
        linked: of a link, until its clip is there.
        wrong: what fields of the page hold and cannot be used.
        earlier, later: work on other clips that undo and redo get back, the nearest last.
        refusals: how often something was refused.
    """

    document: Document
    geometry: Geometry = field(default_factory=Geometry)
    job: JobStatus | None = None
    notice: Notice | None = None
    verify_on: bool = True
    picking: bool = False
    recording: bool = False
    playhead: int = 0
    through: bool = False
    sampled: tuple[Trajectory, ...] = ()
    importing: Import | None = None
    imported: Trajectory | None = None
    gizmo: GizmoMode = "both"
    is_dark: bool = False
    plots: frozenset[PlotName] = frozenset()
    waiting: tuple[Wanted, ...] = ()
    doomed: int | None = None
    compared: tuple[int, int] | None = None
    box: FileBox = field(default_factory=FileBox)
    source: tuple[str, ...] = ()
    asked: Regenerate = Regenerate()
    brought: int = 0
    linked: Linked | None = None
    wrong: tuple[Wrong, ...] = ()
    earlier: tuple[Work, ...] = ()
    later: tuple[Work, ...] = ()
    refusals: int = 0
    version: int = 0

    @property
    def busy(self) -> bool:
        """Whether a job that the person has asked for is held, queued or at work."""
        return self.job is not None or self.geometry.job is not None or self.geometry.held is not None

    def refused(self, place: str, text: str) -> State:
        """The same, with the sentence why something cannot be done, in the panel `place`; a drag ends."""
        notice = Notice(place, text, is_error=True)
        return replace(self, document=drop_drag(self.document), notice=notice, refusals=self.refusals + 1)

    def checked(self, fields: tuple[str, ...], wrong: tuple[tuple[str, str], ...] = ()) -> State:
        """The same, where of these fields of the page only those in `wrong` hold what they cannot, as said there."""
        refusals = self.refusals + len(wrong)
        kept = tuple(one for one in self.wrong if one.field not in fields)
        if not wrong and kept == self.wrong:
            return self
        told = tuple(Wrong(field, text, refusals) for field, text in wrong)
        return replace(self, wrong=(*kept, *told), refusals=refusals)


Change = tuple[State, Callable[[], None] | None]
"""The next state, and what to do outside the lock once it is set."""
