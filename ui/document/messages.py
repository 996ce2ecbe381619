"""The vocabulary of `session.dispatch`: everything that may change a session's state, as plain values.

A message says what happened, never what to do about it; the session alone decides that. Messages are frozen and
compare by identity where they carry arrays, so that a queue of them can be logged, replayed and tested. A worker's word
on its jobs is in `job_messages`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float64

from rap.config import DEFAULT_TAKE_SIDE
from ui.document.job_messages import JobCancelled, JobDone, JobFailed, JobMessage, JobProgress, JobQueued

if TYPE_CHECKING:  # brings torch, and the page is built from messages before torch is there
    from rap.data import Clip
    from ui.document.importing import Import

# --- gestures: what a hand does in the viewport (sent by ui.viewport) ------------------------------------------------


@dataclass(frozen=True)
class Select:
    """Frame `index` (from 0) of the edited path had its frustum clicked; `None` when the selection was cleared."""

    index: int | None


@dataclass(frozen=True)
class DragStart:
    """The gizmo of frame `index` was grabbed: the moment for a checkpoint in the history."""

    index: int


@dataclass(frozen=True, eq=False)
class Drag:
    """The gizmo of frame `index` moved; arrives at most 20 times a second while it is held.

    Args:
        T_world_camera: where the hand has put the camera, camera-to-world, OpenCV axes, world = source camera.
    """

    index: int
    T_world_camera: Float64[np.ndarray, "4 4"]


@dataclass(frozen=True, eq=False)
class DragEnd:
    """The gizmo of frame `index` was let go at the pose `T_world_camera`; a `Drag` need not have come before."""

    index: int
    T_world_camera: Float64[np.ndarray, "4 4"]


@dataclass(frozen=True)
class PickPoint:
    """A click into the scene while a point is to be picked: the ray under the pointer, in the world of the paths."""

    origin: tuple[float, float, float]
    direction: tuple[float, float, float]


@dataclass(frozen=True)
class PickInPicture:
    """A click on the stage, on the whole frames of the clip or of the path's preview: what lies there is picked.

    Args:
        at: share of the time that it shows, 0 to 1.
        x, y: shares of the picture's width and height, from its upper left corner.
    """

    view: Literal["clip", "path"]
    at: float
    x: float
    y: float


@dataclass(frozen=True)
class ForgetPoint:
    """The picked point is none any more."""


Gesture = Select | DragStart | Drag | DragEnd | PickPoint

# --- everything else: uploads, edits, jobs, takes (each has a reducer in ui.session.reducers, or a reader) -----------


@dataclass(frozen=True)
class Upload:
    """Files were given, and not through the page's box: an example, a recording, or what a program has.

    One video, one image, or several images (a sequence, in name order); with a video or images a file of their cameras.
    """

    paths: tuple[str, ...]


@dataclass(frozen=True)
class AddFiles:
    """Files were given through the page's box, which now shows these: it appends them to what it held."""

    shown: tuple[str, ...]


@dataclass(frozen=True)
class Trim:
    """The clip is to be of the upload's frames from `first` to `last` alone, both included."""

    first: int
    last: int


@dataclass(frozen=True)
class BoxFilled:
    """What lies in the page's box is `files`, of the `shown` ones."""

    files: tuple[str, ...]
    shown: tuple[str, ...]


@dataclass(frozen=True)
class TakeOut:
    """A file was taken out of the page's box; None: all of them. What was read of them stays."""

    path: str | None = None


@dataclass(frozen=True, eq=False)
class ClipRead:
    """An upload has been decoded; `files` are those in the page's box, if it came from there."""

    clip: Clip
    files: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    """The files that it was read from, wherever they came from."""


@dataclass(frozen=True)
class ClipRefused:
    """An upload cannot be used; `text` says why, `files` as in `ClipRead`."""

    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetDepthModel:
    """Whether a picture's depth is found by the model that was named when the app started, or by our own."""

    on: bool


@dataclass(frozen=True)
class OpenLink:
    """The page's address held a link, as `ui.document.link` makes it."""

    words: str


@dataclass(frozen=True)
class OpenSession:
    """A session file was given: what it holds takes the place of everything here."""

    path: str


@dataclass(frozen=True, eq=False)
class SessionRead:
    """A session file has been read: its `ui.document.document.Document`, the points of its refinement, and whether its
    picture was to be flat."""

    document: Any
    known_fov_y_rad: float | None
    name: str
    cloud: Any = None
    flat: bool = False


@dataclass(frozen=True)
class Predict:
    """Estimate the camera path of the uploaded clip; `None` steps are the checkpoint's own."""

    steps: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Imagine:
    """Sample video and camera path together from the source image."""

    steps: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class ApplyPreset:
    """Replace the edited path by a preset of `rap.geometry.PRESETS`.

    Args:
        amplitude: 1 is the preset's own size, and what fits where a picture's own depth is known.
        pivot_distance: of the point that arcs and orbits turn about, in median depths of the source view; None: the
            picked point, else what is in the middle of such a picture, else 1.
        by: degrees or percent as in `rap.geometry.presets.amplitude_of`, in place of the amplitude.
    """

    name: str
    amplitude: float = 1.0
    pivot_distance: float | None = None
    by: float | None = None


@dataclass(frozen=True)
class Sketch:
    """A stroke on the floor, (x to the right, z ahead) in parts of the distance to what moves turn about, becomes the
    path; `gaze` as in `rap.geometry.sketch`."""

    points: tuple[tuple[float, float], ...]
    gaze: Literal["subject", "ahead", "along"]


@dataclass(frozen=True)
class SetRecording:
    """Whether the motion of the 3D view is being recorded."""

    on: bool


@dataclass(frozen=True, eq=False)
class ViewRecorded:
    """It was: camera-to-world poses of the view and when it was there, to become the path."""

    times_s: Float64[np.ndarray, " n"]
    poses: Float64[np.ndarray, "n 4 4"]


@dataclass(frozen=True)
class SetPlayhead:
    """The frame that is looked at in time; `through`: the page looks through its camera; `looks`: it shows the path
    and does not play, so that one picture is worth its while."""

    frame: int
    through: bool
    looks: bool = False


GizmoMode = Literal["both", "move", "turn"]
PlotName = Literal["space", "time"]  # in place of the 3D view, and under "Numbers"


@dataclass(frozen=True)
class ToggleSource:
    """A frame of the clip was clicked on the filmstrip: takes are to start from it, too, or no longer."""

    frame: int


@dataclass(frozen=True)
class SetDark:
    """Whether the page is dark."""

    on: bool


@dataclass(frozen=True)
class ShowPlot:
    """Whether a plot of the path is on show."""

    plot: PlotName
    on: bool


@dataclass(frozen=True)
class SetGizmo:
    """What the gizmo on the selected frame does; the mode it is in already takes it back to both."""

    mode: GizmoMode


@dataclass(frozen=True)
class ImportCameras:
    """A camera file of any readable format was given."""

    path: str


@dataclass(frozen=True, eq=False)
class CamerasRead:
    """It has been read."""

    found: Import


@dataclass(frozen=True)
class AdjustImport:
    """How the cameras that were read are to be taken (see `ui.document.importing.Import`)."""

    flipped: bool
    inverted: bool
    scale: float


@dataclass(frozen=True)
class UseImport:
    """The imported cameras become the path."""


@dataclass(frozen=True)
class DropImport:
    """The imported cameras are forgotten."""


@dataclass(frozen=True)
class SampleSpread:
    """Estimate the clip's path several times over, to see how far the estimates lie apart."""


@dataclass(frozen=True)
class SetPicking:
    """Whether the next click into the scene picks a point."""

    on: bool


@dataclass(frozen=True)
class Undo:
    """One edit back."""


@dataclass(frozen=True)
class Redo:
    """One undone edit forward."""


@dataclass(frozen=True)
class ResetToPredicted:
    """The edited path becomes the untouched prediction again (this is itself an edit, and undoable)."""


@dataclass(frozen=True)
class ResetToRefined:
    """The edited path becomes the refined prediction again (an edit, too)."""


@dataclass(frozen=True)
class SetRefine:
    """Whether a path is refined as soon as it has been predicted."""

    on: bool


@dataclass(frozen=True)
class Refine:
    """Fit the predicted path to what the clip's frames show."""


@dataclass(frozen=True)
class SetFieldOfView:
    """The vertical field of view of the upload, in degrees, is known; `None` (or 0): it is not."""

    fov_y_deg: float | None


@dataclass(frozen=True)
class SetDensePoints:
    """Whether the points of the depth maps are shown."""

    on: bool


@dataclass(frozen=True)
class SetUseGeometry:
    """Whether takes are generated with what the clip shows along the path, or by the model alone."""

    on: bool


@dataclass(frozen=True)
class SetFlat:
    """Whether a single picture is a plane at unit depth, or what its own depth says."""

    on: bool


@dataclass(frozen=True)
class ShowPreview:
    """The path has come to rest for a moment: show it by warping alone."""


@dataclass(frozen=True)
class SetSoftDrag:
    """Whether a drag takes the neighbouring frames along, and how many frames to each side (radius > 0)."""

    on: bool
    radius: float


@dataclass(frozen=True)
class Regenerate:
    """Generate a take along the edited path from the source frames; `None` settings are the checkpoint's own.

    Args:
        side: long side in pixels of a take that is rendered from what was given.
        frames, fps: of such a take; None: as many as the path has, and as long as it lasts.
        prompt: for a model that reads one; empty: as it was started with.
    """

    steps: int | None = None
    seed: int = 0
    guidance: float | None = None
    temperature: float | None = None
    side: int = DEFAULT_TAKE_SIDE
    frames: int | None = None
    fps: float | None = None
    prompt: str = ""


@dataclass(frozen=True)
class SetTake:
    """The fields of a take's settings were changed: this is what they ask for now."""

    asked: Regenerate


@dataclass(frozen=True)
class CheckFields:
    """Fields of the page were used: of the `fields` those in `wrong` hold what they cannot, each with a sentence."""

    fields: tuple[str, ...]
    wrong: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Exported:
    """Cameras were written; what their format has no place for, in words, or nothing."""

    lost: str


@dataclass(frozen=True)
class SetVerify:
    """Whether each take is verified as soon as it is made."""

    on: bool


@dataclass(frozen=True)
class Variations:
    """Three takes, one after the other: with seeds that follow each other, with 50, 100 and 150 % of the motion, or
    along the path, its mirror image, and what goes up where the path goes to the left."""

    kind: Literal["seeds", "amplitudes", "directions"]
    steps: int | None = None
    seed: int = 0
    guidance: float | None = None
    temperature: float | None = None
    side: int = DEFAULT_TAKE_SIDE
    frames: int | None = None
    fps: float | None = None
    prompt: str = ""


@dataclass(frozen=True)
class RenameTake:
    """A name for a take; an empty one takes it back."""

    number: int
    name: str


@dataclass(frozen=True)
class StarTake:
    """Mark a take, or no longer."""

    number: int
    on: bool


@dataclass(frozen=True)
class DeleteTake:
    """Delete a take and its files: what is asked for once is asked back, and done when it is asked for again."""

    number: int


@dataclass(frozen=True)
class Compare:
    """Play two takes side by side; None ends it."""

    numbers: tuple[int, int] | None


@dataclass(frozen=True)
class Verify:
    """Estimate the cameras of the take on show, to compare them with the path it was made along."""


@dataclass(frozen=True)
class Cancel:
    """Stop the session's jobs, queued or running.

    Args:
        place: only those that are shown in this panel ("input" or "result"); `None`: all.
    """

    place: str | None = None


@dataclass(frozen=True)
class ShowTake:
    """Play the take with this number."""

    number: int


@dataclass(frozen=True)
class Refused:
    """Something given cannot be used; `text` says why, `place` is the panel that shows it."""

    place: str
    text: str


@dataclass(frozen=True, eq=False)
class FromGeometry:
    """Word of a job of the geometry's own worker."""

    message: JobMessage


Message = (
    Gesture
    | Upload
    | AddFiles
    | Trim
    | BoxFilled
    | TakeOut
    | ClipRead
    | ClipRefused
    | OpenLink
    | OpenSession
    | SessionRead
    | Predict
    | Imagine
    | SetGizmo
    | SetDark
    | ShowPlot
    | ToggleSource
    | SetPicking
    | PickInPicture
    | ForgetPoint
    | SampleSpread
    | ImportCameras
    | CamerasRead
    | AdjustImport
    | UseImport
    | DropImport
    | Exported
    | SetPlayhead
    | ApplyPreset
    | Sketch
    | SetRecording
    | ViewRecorded
    | Undo
    | Redo
    | ResetToPredicted
    | ResetToRefined
    | SetRefine
    | Refine
    | SetFieldOfView
    | SetDensePoints
    | SetUseGeometry
    | SetFlat
    | SetDepthModel
    | ShowPreview
    | SetSoftDrag
    | Regenerate
    | SetTake
    | CheckFields
    | SetVerify
    | Variations
    | RenameTake
    | StarTake
    | DeleteTake
    | Compare
    | Verify
    | Cancel
    | ShowTake
    | Refused
    | JobQueued
    | JobProgress
    | JobDone
    | JobFailed
    | JobCancelled
    | FromGeometry
)
