"""Geometry beside the model: refines a path, builds the scene that the clip shows, previews edits by warping alone.

It has a worker of its own, so that neither a running generation delays a preview nor a refinement a generation. What
it does is told to the session as `msg.FromGeometry`; `GeometryDesk` makes the next state of that. A job's word counts
only as long as the state still names the job: whatever comes of an older one is dropped.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rap.data import Clip, playback_fps, write_video
from rap.errors import InputError
from rap.geometry import Trajectory
from rap.pipeline import GenerateTask
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.document import Document
from ui.document.state import (
    Basis,
    BuiltScene,
    Change,
    Geometry,
    GeometryJob,
    GeometryKind,
    Notice,
    Points,
    PreviewClip,
    PreviewRequest,
    State,
)
from ui.serve.jobs import Job, Worker
from ui.session.folder import SessionFolder

if TYPE_CHECKING:
    from rap.reconstruction.refine import Refinement, RefinementReport
    from rap.reconstruction.tracks import PointCloud
    from rap.views.scene import Scene

REST_S = 0.4  # how long a path must rest before it is previewed
DENSE_POINTS = 60_000
SURE, UNSURE = 0.5, 0.1  # least confidence of the points that are seen from anywhere, and through a camera of the path
FAR = 30.0  # points farther off than this, in median depths of the source view, only make the view jump


class Backend(Protocol):
    """What is needed of `rap.views.scene`."""

    def refine(self, clip: Clip, trajectory: Trajectory, known_fov_y_rad: float | None = None) -> Refinement: ...

    def build_scene(self, clip: Clip, trajectory: Trajectory, points: PointCloud | None = None) -> Scene: ...

    def picture_scene(self, clip: Clip, trajectory: Trajectory) -> Scene: ...


@dataclass(frozen=True, eq=False)
class RefineTask:
    """Fit a predicted path to the clip."""

    clip: Clip
    trajectory: Trajectory
    known_fov_y_rad: float | None


@dataclass(frozen=True, eq=False)
class SceneTask:
    """Build the scene of a basis, with the refinement's points where there are some."""

    basis: Basis
    points: PointCloud | None


@dataclass(frozen=True, eq=False)
class PreviewTask:
    """Render a path by warping alone."""

    scene: Scene
    trajectory: Trajectory


@dataclass(frozen=True)
class Step:
    """What `ui.serve.jobs.Worker` reads of a task's progress."""

    step: int
    steps: int = 1
    done: bool = False
    output: Any = None
    frames_u8: None = None


def scene_module() -> Backend:
    """`rap.views.scene`, imported when it is needed: it brings OpenCV."""
    import rap.views.scene

    return rap.views.scene


class GeometryPipeline:
    """The geometry's tasks behind the interface of the model's pipeline.

    Args:
        backend: gives what does the work; called once, when it is first needed.
    """

    def __init__(self, backend: Callable[[], Backend] = scene_module) -> None:
        self._load = backend

    @cached_property
    def backend(self) -> Backend:
        """What does the work."""
        return self._load()

    def ready(self) -> GeometryPipeline:
        """Itself, with its code imported."""
        _ = self.backend
        return self

    def stream(self, task: RefineTask | SceneTask | PreviewTask) -> Generator[Step, None, None]:
        """One word when the work begins, one with what came of it."""
        yield Step(0)
        yield Step(1, done=True, output=self._done(task))

    def scene(self, task: SceneTask) -> Scene:
        """The scene of a basis: depth of the clip's frames, or a plane for a single one."""
        basis = task.basis
        if basis.known_from == "one image":
            return self.backend.picture_scene(basis.clip, basis.trajectory)
        return self.backend.build_scene(basis.clip, basis.trajectory, task.points)

    def _done(self, task: RefineTask | SceneTask | PreviewTask) -> Any:
        if isinstance(task, RefineTask):
            return self.backend.refine(task.clip, task.trajectory, task.known_fov_y_rad)
        if isinstance(task, SceneTask):
            return self.scene(task)
        return task.scene.preview(task.trajectory)


class GeometryWorker(Worker):
    """The thread in which geometry is done for all sessions; loads nothing but code."""

    def __init__(self, backend: Callable[[], Backend] = scene_module) -> None:
        self.pipeline = GeometryPipeline(backend)
        super().__init__(self.pipeline.ready, name="rap-geometry")


class Debounce:
    """Calls a function once nothing has been touched for a while; at most one timer runs at any time."""

    def __init__(self, rest_s: float, call: Callable[[], None]) -> None:
        self._rest_s, self._call = rest_s, call
        self._lock = threading.Lock()
        self._due = 0.0
        self._timer: threading.Timer | None = None
        self._closed = False

    def touch(self) -> None:
        """Something has changed: the call comes `rest_s` after the last of these."""
        with self._lock:
            self._due = time.monotonic() + self._rest_s
            if self._timer is None and not self._closed:
                self._start(self._rest_s)

    def close(self) -> None:
        """No call comes after this."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _start(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        with self._lock:
            left = self._due - time.monotonic()
            if self._closed or left > 0.005:
                self._timer = None
                if not self._closed:
                    self._start(left)
                return
            self._timer = None
        self._call()


class GeometryDesk:
    """One session's dealings with the geometry's worker; every method makes the next state, none keeps any.

    Args:
        worker: shared by all sessions.
        dispatch: of the session.
        folder: the session's own.
    """

    def __init__(self, worker: GeometryWorker, dispatch: Callable[[Any], None], folder: SessionFolder) -> None:
        self._worker, self._dispatch, self._folder = worker, dispatch, folder
        self._rest = Debounce(REST_S, partial(dispatch, msg.ShowPreview()))

    def close(self, state: State) -> None:
        """Stop what is on its way for this session."""
        self._rest.close()
        for number in _numbers(state.geometry):
            self._worker.cancel(number)

    def notice_change(self, before: State, after: State) -> None:
        """Ask for a preview when the path comes to rest."""
        document = after.document
        if document.edited is not None and document.edited is not before.document.edited:
            self._rest.touch()

    def stopper(self, state: State) -> Callable[[], None]:
        """Ends every job of this state."""
        return partial(_cancel_all, self._worker, _numbers(state.geometry))

    def refine(self, state: State) -> Change:
        """Start refining the prediction.

        Raises:
            InputError: there is none that follows the clip.
        """
        document = state.document
        if document.clip is None or document.predicted is None or not document.prediction_follows_clip:
            raise InputError("there is no predicted path to refine; press Predict path first")
        if state.geometry.job is not None and state.geometry.job.kind == "refine":
            raise InputError("the path is being refined already; cancel that or wait for it")
        basis = Basis(document.clip, document.predicted, "predicted")
        task = RefineTask(document.clip, document.predicted, state.geometry.known_fov_y_rad)
        return self._start("refine", basis, task, state)

    def cancel(self, state: State) -> Change:
        """Forget what is being refined or lifted; the worker stops when the part it is in has ended."""
        job = state.geometry.job
        if job is None:
            return state, None
        text = (
            "Cancelled; the path stays as it is."
            if job.kind == "refine"
            else "Cancelled; change the path for a preview."
        )
        state = replace(state, geometry=replace(state.geometry, job=None), notice=Notice("input", text))
        return state, partial(self._worker.cancel, job.number)

    def preview(self, state: State) -> Change:
        """Render the path as it is now, unless that is shown or on its way; find depth first where there is none."""
        document, geometry = state.document, state.geometry
        basis = basis_of(document)
        if basis is None or document.edited is None or geometry.job is not None:
            return state, None  # a job's end asks again
        if geometry.scene is None or geometry.scene.basis.key != basis.key:
            return self._start("depth", basis, self._scene_task(basis, geometry), state)
        key = (*basis.key, document.edited.hash)
        wanted = geometry.wanted
        if wanted is not None and wanted.key == key:
            return state, None
        outdated = () if wanted is None else (wanted.number,)
        if geometry.preview is not None and geometry.preview.key == key:
            geometry = replace(geometry, wanted=None)
            return replace(state, geometry=geometry), partial(_cancel_all, self._worker, outdated)
        fps = playback_fps(document.edited.fps)
        keep = partial(kept_preview, self._folder, key, basis.known_from, fps)
        job = Job(PreviewTask(geometry.scene.scene, document.edited), keep, self._report)
        geometry = replace(geometry, wanted=PreviewRequest(job.number, key))
        return replace(state, geometry=geometry), partial(_exchange, self._worker, outdated, job)

    def hinted(self, state: State) -> Callable[[Any], Any] | None:
        """Finishes a `GenerateTask` with what the clip shows along its path; None for the model alone."""
        geometry, basis = state.geometry, basis_of(state.document)
        if not geometry.use_on or basis is None or why_unusable(state.document):
            return None
        if geometry.scene is not None and geometry.scene.basis.key == basis.key:
            return partial(_with_hints, geometry.scene.scene)
        return partial(_with_built_hints, self._worker.pipeline, self._scene_task(basis, geometry))

    def reduce(self, message: msg.JobMessage, state: State) -> Change:
        """What becomes of the state when the worker says something."""
        geometry = state.geometry
        if geometry.job is not None and geometry.job.number == message.job:
            return self._job_said(geometry.job, message, state)
        if geometry.wanted is not None and geometry.wanted.number == message.job:
            return self._preview_said(message, state)
        return state, None

    def _job_said(self, job: GeometryJob, message: msg.JobMessage, state: State) -> Change:
        geometry = state.geometry
        if isinstance(message, msg.JobQueued):
            return replace(state, geometry=replace(geometry, job=replace(job, place=message.place))), None
        if isinstance(message, msg.JobProgress):
            return replace(state, geometry=replace(geometry, job=replace(job, phase="running"))), None
        state = replace(state, geometry=replace(geometry, job=None))
        if isinstance(message, msg.JobFailed):
            return replace(state, notice=Notice("input", message.text, is_error=True)), None
        if isinstance(message, msg.JobCancelled):  # not by this session: the worker has been closed
            return state, None
        if job.kind == "refine":
            return self._refined(message.result, state)
        built: BuiltScene = message.result
        return self.preview(replace(state, geometry=replace(state.geometry, scene=built, preview=None)))

    def _refined(self, found: Found, state: State) -> Change:
        """The path first, so that it can be seen and bent; its depth next."""
        document = doc.with_refinement(state.document, found.trajectory, found.report)
        geometry = replace(state.geometry, cloud=found.cloud, sparse=found.points, scene=None, preview=None)
        notice = Notice("path", _in_short(found.report))
        return self.preview(replace(state, document=document, geometry=geometry, notice=notice))

    def _preview_said(self, message: msg.JobMessage, state: State) -> Change:
        geometry = state.geometry
        if isinstance(message, msg.JobQueued | msg.JobProgress):
            return state, None
        geometry = replace(geometry, wanted=None)
        if isinstance(message, msg.JobDone):
            geometry = replace(geometry, preview=replace(message.result, seconds=message.seconds))
        state = replace(state, geometry=geometry)
        if isinstance(message, msg.JobFailed):
            state = replace(state, notice=Notice("result", message.text, is_error=True))
        return state, None

    def _start(self, kind: GeometryKind, basis: Basis, task: Any, state: State) -> Change:
        keep = kept_refinement if kind == "refine" else partial(kept_scene, basis)
        job = Job(task, keep, self._report)
        geometry = replace(state.geometry, job=GeometryJob(job.number, kind, basis), wanted=None)
        change = partial(_exchange, self._worker, _numbers(state.geometry), job)
        return replace(state, geometry=geometry), change

    def _scene_task(self, basis: Basis, geometry: Geometry) -> SceneTask:
        return SceneTask(basis, geometry.cloud if basis.known_from == "refined" else None)

    def _report(self, message: msg.JobMessage) -> None:
        self._dispatch(msg.FromGeometry(message))


def basis_of(document: Document) -> Basis | None:
    """What the document's scene is made from: the clip's cameras where they are known, else the source frame alone."""
    clip, path = document.clip, document.edited
    if clip is None or path is None:
        return None
    best = document.best
    if best is not None and document.prediction_follows_clip and len(best) == len(clip):
        return Basis(clip, best, "predicted" if document.refined is None else "refined")
    return Basis(clip, path, "one image")


def why_unusable(document: Document) -> str:
    """Why the clip cannot help the model along a path; empty where it can."""
    clip, basis, report = document.clip, basis_of(document), document.report
    if clip is None or basis is None:
        return "there is no path yet"
    if basis.known_from == "one image" and len(clip) > 1:
        return "the clip's own cameras are not known; press Predict path first"
    if basis.known_from == "predicted" and report is not None:
        remedy = "Refine again with the field of view, if you know it, or take a slower, sharper piece of the clip."
        return f"the clip's frames do not bear the predicted cameras out. {report.reason} {remedy}"
    return ""


def with_known_fov(geometry: Geometry, clip: Clip | None, fov_y_deg: float | None) -> Geometry:
    """The person says the vertical field of view of the upload, in degrees; None or 0: it is not known.

    Raises:
        InputError: no clip yet, or not between 1 and 170 degrees.
    """
    if not fov_y_deg:
        return replace(geometry, known_fov_y_rad=None)
    if clip is None:
        raise InputError("there is no clip yet; give a video or an image first")
    if not 1 <= fov_y_deg <= 170:
        raise InputError(
            f"the field of view must lie between 1 and 170 degrees, got {fov_y_deg:g}; it is not used: type another, "
            "or empty the field"
        )
    return replace(geometry, known_fov_y_rad=clip.cropped_fov_y_rad(math.radians(fov_y_deg)))


def upload_fov_y_deg(clip: Clip | None, fov_y_rad: float | None) -> float | None:
    """Vertical field of view of the upload, in degrees, given that of the clip's frames: undoes the crop."""
    if clip is None or fov_y_rad is None:
        return None
    crop = math.tan(clip.cropped_fov_y_rad(1.0) / 2) / math.tan(0.5)
    return math.degrees(2 * math.atan(math.tan(fov_y_rad / 2) / crop))


@dataclass(frozen=True, eq=False)
class Found:
    """What came of a refinement; `points` are those of `cloud` that are worth showing."""

    trajectory: Trajectory
    report: RefinementReport
    cloud: PointCloud | None
    points: Points | None


def kept_refinement(found: Refinement) -> Found:
    """Called in the worker's thread."""
    return Found(found.trajectory, found.report, found.points, shown_points(found.points))


def shown_points(cloud: PointCloud | None) -> Points | None:
    """The well-seen points of a cloud (all, where hardly one is), without those far away."""
    if cloud is None or len(cloud) == 0:
        return None
    kept = cloud.kept()
    if len(kept) < len(cloud) // 10:
        kept = cloud
    return _near(kept.xyz, kept.colours_u8)


def kept_scene(basis: Basis, scene: Scene) -> BuiltScene:
    """Called in the worker's thread: the points are made there, too."""
    if basis.known_from == "one image":
        return BuiltScene(basis, scene)
    clouds = (scene.coloured_points(DENSE_POINTS, least) for least in (SURE, UNSURE))
    return BuiltScene(basis, scene, *(_near(*cloud) for cloud in clouds))


def kept_preview(folder: SessionFolder, key: tuple[str, ...], known_from: str, fps: float, preview: Any) -> PreviewClip:
    """Called in the worker's thread, one at a time: encodes the preview."""
    with folder.writing() as path:
        write_video(path / "preview.mp4", preview.frames_u8, fps)
        encoded = (path / "preview.mp4").read_bytes()
    return PreviewClip(key, known_from, encoded, float(preview.mask.mean()))


def _near(xyz: np.ndarray, colours_u8: np.ndarray) -> Points | None:
    near = np.isfinite(xyz).all(axis=1) & (np.linalg.norm(xyz, axis=1) < FAR)
    return Points(xyz[near], colours_u8[near]) if near.any() else None


def _with_hints(scene: Scene, task: GenerateTask) -> GenerateTask:
    """With what the scene shows, and in the unit the model knows: the median depth of its first source view.

    By how much that unit is another, two depths of the same scene say: what it errs by as a whole cancels.
    """
    path, first = task.trajectory, task.source_indices[0]
    if first != path.source:
        path = path.scaled(scene.median_depth(path.source) / scene.median_depth(first))
    return replace(task, hints=scene.hints(task.trajectory), trajectory=path)


def _with_built_hints(pipeline: GeometryPipeline, scene_task: SceneTask, task: GenerateTask) -> GenerateTask:
    return _with_hints(pipeline.scene(scene_task), task)


def _in_short(report: RefinementReport) -> str:
    """What the person reads first; the verdict's panel has the rest."""
    if report.verdict != "refined":
        return report.reason
    before, after = report.residual_before_px, report.residual_after_px
    said = f"Refined in {report.seconds:.1f} s: the tracks fit to {after:.2f} px, {before:.2f} px before."
    if report.weak_joints:
        before_it, after_it = report.weak_joints[0]
        said += f" But frames {before_it} and {after_it} hardly hold together: the path may turn wrongly there. "
        said += "Type the field of view, if you know it, or give frames closer together."
    return said


def _numbers(geometry: Geometry) -> tuple[int, ...]:
    return tuple(entry.number for entry in (geometry.job, geometry.wanted) if entry is not None)


def _cancel_all(worker: Worker, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        worker.cancel(number)


def _exchange(worker: Worker, outdated: tuple[int, ...], job: Job) -> None:
    """Submit first: an outdated job's last word must find the state that no longer names it."""
    worker.submit(job)
    _cancel_all(worker, outdated)
