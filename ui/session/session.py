"""One person at work: `dispatch(message)` is the only place where a session's state changes.

Data flows one way. A message (a click, an upload, a gesture in the viewport, a word from the worker) makes the next
`State`, an immutable value; the viewport is drawn from it here, the page by `ui.page.layout`. Nobody else keeps
state, so that undo, reload and a second window all see the same thing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, singledispatchmethod
from pathlib import Path
from typing import Any

import numpy as np

from rap import formats
from rap.config import NUM_FRAMES, VERIFY_STEPS
from rap.data import Clip, load_clip
from rap.errors import InputError
from rap.geometry import PRESETS, Trajectory, scale_motion
from rap.geometry.motion import MotionLimits
from rap.geometry.spread import path_spread
from rap.pipeline import EstimateTask, GenerateTask, JointTask
from ui.document import document as doc
from ui.document import messages as msg
from ui.document import sources
from ui.document.document import Document, Settings, Take
from ui.document.edits import AnyMessage, PathEdit
from ui.document.importing import Import, as_path, read_import
from ui.document.path_edits import Backwards, CloseLoop, LookAt, Mirror, Retime, ToDense, ToKeys
from ui.document.picking import picked_point
from ui.document.state import Change, Cost, Geometry, JobKind, JobStatus, Notice, Points, State, Wanted
from ui.document.verification import KnownPaths, known_path, tracked
from ui.serve.hub import Hub
from ui.serve.jobs import Job, Worker, explained
from ui.session import exports, session_file, shelf, uploads
from ui.session.folder import SessionFolder
from ui.session.geometry_desk import (
    GeometryDesk,
    GeometryWorker,
    shown_points,
    upload_fov_y_deg,
    why_unusable,
    with_known_fov,
)
from ui.session.pictures import strip_jpeg
from ui.viewport.viewport import Viewport, ViewportScene

COMMANDS: dict[str, AnyMessage] = {
    "Undo": msg.Undo(),
    "Redo": msg.Redo(),
    "Reset to predicted": msg.ResetToPredicted(),
    "Reset to refined": msg.ResetToRefined(),
    "Gizmo: move only": msg.SetGizmo("move"),
    "Gizmo: turn only": msg.SetGizmo("turn"),
    "Pick a point": msg.SetPicking(True),
    "Look at point": LookAt(),
    "Mirror path": Mirror(),
    "Reverse path": Backwards(),
    "Close loop": CloseLoop(),
    "Constant speed": Retime("constant speed"),
    "Hold by 5 keys": ToKeys(5),
    "Back to dense": ToDense(),
    "Predict path": msg.Predict(),
    "Regenerate": msg.Regenerate(),
    "Verify take": msg.Verify(),
    "Cancel": msg.Cancel(),
}
"""In the viewport's command palette."""

EXPORTS = "exports"  # in the session's folder
SPREAD_SAMPLES, SPREAD_SEED = 8, 1000  # seeds that nobody types
VARIED_AMPLITUDES = (0.5, 1.0, 1.5)
TAKE_PICTURES, TAKE_HEIGHT_PX = 3, 40  # of a take's thumbnail
MAX_TAKE_NAME = 40

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class VerifyTask:
    """A take whose cameras are to be estimated; `as_estimate` reads its video when it is the job's turn."""

    take: Take
    steps: int = VERIFY_STEPS

    @staticmethod
    def as_estimate(task: VerifyTask) -> EstimateTask:
        """What the pipeline runs."""
        path = task.take.trajectory
        return EstimateTask(_video_frames(task.take), path.fps, path.source, steps=task.steps)


TASK_TYPES: dict[JobKind, type] = {
    "predict": EstimateTask,
    "imagine": JointTask,
    "regenerate": GenerateTask,
    "verify": VerifyTask,
    "spread": EstimateTask,
}


@dataclass(frozen=True)
class Options:
    """What the command line decides for all sessions.

    Args:
        known_paths: what the checkpoint's estimates err by on clips of known cameras, where that has been measured.
        motion_limits: how the cameras of its training clips move, where that was written.
        default_steps: of a take, as the checkpoint has it.
    """

    num_frames: int = NUM_FRAMES
    known_paths: KnownPaths | None = None
    motion_limits: MotionLimits | None = None
    default_steps: int | None = None


class Session:
    """One person's document, viewport, files and job.

    Args:
        worker: runs the model for all sessions.
        geometry: refines paths and renders previews for all sessions.
        hub: serves the session's viewport under `id`.
        options: what the command line decided.
    """

    def __init__(self, worker: Worker, geometry: GeometryWorker, hub: Hub, options: Options) -> None:
        self._worker, self._hub, self._options = worker, hub, options
        self._state = State(Document())
        self._lock = threading.RLock()
        self._draw_lock = threading.RLock()
        self._closing, self._closed = False, False
        self._pictures: tuple[Any, tuple[np.ndarray, ...]] = (None, ())  # key, thumbnails
        self._reference: tuple[Any, Trajectory | None] = (None, None)  # what it is of, and known cameras
        self._folder = SessionFolder()
        self._geometry = GeometryDesk(geometry, self.dispatch, self._folder)
        self.viewport = Viewport(self.dispatch)
        self.viewport.add_commands(COMMANDS)
        self.id: str = hub.open(self.viewport, self)

    @property
    def state(self) -> State:
        """The current state; a value that never changes under its reader."""
        return self._state

    @property
    def presets(self) -> list[str]:
        """Names for `ApplyPreset`."""
        return list(PRESETS)

    @property
    def export_formats(self) -> list[tuple[str, str]]:
        """(title, name) of what `export` can write."""
        return [(entry.title, name) for name, entry in formats.FORMATS.items()]

    @property
    def closed(self) -> bool:
        """Whether the session has ended and all of it has been freed."""
        return self._closed

    def dispatch(self, message: AnyMessage) -> None:
        """Let `message` make the next state. What cannot be done becomes a notice; nothing is raised for bad input."""
        if isinstance(message, msg.AddFiles):
            files = uploads.meant(self._state.box.files, message.shown)
            self._change(msg.BoxFilled(files, message.shown))
            message = self._read(files, files)
        elif isinstance(message, msg.Upload):
            message = self._read(message.paths)  # decoding takes seconds: outside the lock
        elif isinstance(message, msg.OpenSession):
            message = self._read_session(message)
        elif isinstance(message, msg.ImportCameras):
            message = self._read_cameras(message)
        self._change(message)

    def _change(self, message: AnyMessage) -> None:
        """Make the next state, and draw it."""
        with self._lock:
            if self._closing:
                return
            before = self._state
            try:
                state, effect = self._reduce(message, before)
            except ValueError as error:
                state, effect = _refuse(before, _PLACES.get(type(message), "path"), str(error)), None
            if state is before:
                return
            self._state = replace(state, version=before.version + 1)
        if effect is not None:
            effect()
        self._geometry.notice_change(before, state)
        self._draw()
        if not isinstance(message, _SHOWN_BY_THE_VIEWPORT_ALONE):
            self._hub.publish(self.id, {"notify": True, "version": self._state.version})

    def seconds_per_step(self, kind: JobKind) -> float | None:
        """Measured on this machine in the last job of this kind, anybody's; None before the first."""
        return self._worker.seconds_per_step(TASK_TYPES[kind])

    @property
    def cost(self) -> Cost:
        """What a take costs on this machine, as far as that has been measured."""
        seconds = self.seconds_per_step("regenerate")
        return Cost(self._options.default_steps, seconds, None if seconds is None else self._worker.memory_bytes)

    @property
    def known_fov_y_deg(self) -> float | None:
        """Vertical field of view of the upload, in degrees, where the file or the person says it."""
        return upload_fov_y_deg(self._state.document.clip, self._state.geometry.known_fov_y_rad)

    @property
    def known_paths(self) -> KnownPaths | None:
        """What the model errs by where the truth is known; None where that has not been measured."""
        return self._options.known_paths

    @property
    def motion_limits(self) -> MotionLimits | None:
        """How the cameras of the model's training clips move; None where that was not written beside the weights."""
        return self._options.motion_limits

    @property
    def folder(self) -> Path:
        """Where the session's files are for as long as it lasts."""
        return self._folder.path

    @property
    def known_path(self) -> Trajectory | None:
        """The clip's known cameras in the unit of the path that was found; the same object while both stay."""
        document = self._state.document
        best = document.best
        if document.clip is None or document.clip.trajectory is None or best is None:
            return None
        if self._reference[0] != (document.clip, best):
            self._reference = ((document.clip, best), known_path(document))
        return self._reference[1]

    def export(self, format_name: str) -> Path:
        """Write the edited path as `exports.path_file` does."""
        with self._folder.writing() as folder:
            return exports.path_file(folder / EXPORTS, self._state.document.edited, format_name)

    def side_by_side(self) -> Path:
        """The two takes that are compared, as `exports.side_by_side_file` writes them.

        Raises:
            InputError: none are compared.
        """
        state = self._state
        if state.compared is None:
            raise InputError("there are no two takes to put side by side yet; press Compare first")
        takes = [doc.take_of(state.document, number) for number in state.compared]
        with self._folder.writing() as folder:
            return exports.side_by_side_file(folder / EXPORTS, *takes)

    def export_figure(self, kind: str) -> Path:
        """Write the paper's page layout as `exports.figure_file` does."""
        with self._folder.writing() as folder:
            return exports.figure_file(folder / EXPORTS, self._state.document, kind)

    def export_take(self, kind: str) -> Path:
        """Write the take on show as `exports.take_file` does."""
        with self._folder.writing() as folder:
            return exports.take_file(folder / EXPORTS, self._state.document.take, kind)

    def save(self) -> Path:
        """Write all of the session but its history into one file, which `OpenSession` takes.

        Raises:
            InputError: there is nothing to save.
        """
        document, geometry = self._state.document, self._state.geometry
        with self._folder.writing() as folder:
            return exports.saved_session(folder / EXPORTS, document, geometry.known_fov_y_rad, geometry.cloud)

    def close(self) -> None:
        """Free everything: job, viewport, files. Harmless when repeated; not to be called from within `dispatch`."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            state = self._state
            self._state = State(Document(), version=state.version + 1)
        if state.job is not None:
            self._worker.cancel(state.job.number)
        self._geometry.close(state)
        self._hub.close(self.id)
        with self._draw_lock:
            self.viewport.close()
        self._folder.close()
        self._closed = True

    def _read(self, paths: tuple[str, ...], box: tuple[str, ...] = ()) -> msg.ClipRead | msg.ClipRefused:
        """`box` are the files in the page's box, if they came from there."""
        try:
            return msg.ClipRead(uploads.read_clip(paths, self._options.num_frames), box)
        except ValueError as error:  # InputError is one
            return msg.ClipRefused(str(error), box)
        except Exception as error:  # a decoder may raise anything on a broken file, and the session must go on
            names = ", ".join(Path(path).name for path in paths)
            logger.exception("upload could not be read: %s", names)
            return msg.ClipRefused(f"{names} could not be read: {explained(error)}", box)

    def _read_session(self, message: msg.OpenSession) -> msg.SessionRead | msg.Refused:
        path = Path(message.path)
        try:
            with self._folder.writing() as folder:
                opened = session_file.open_session(path, folder)
        except ValueError as error:
            return msg.Refused("keep", str(error))
        return msg.SessionRead(opened.document, opened.known_fov_y_rad, path.name, opened.cloud)

    def _read_cameras(self, message: msg.ImportCameras) -> msg.CamerasRead | msg.Refused:
        clip = self._state.document.clip
        try:
            return msg.CamerasRead(read_import(Path(message.path), None if clip is None else clip.image_size))
        except ValueError as error:
            return msg.Refused("keep", str(error))

    def _draw(self) -> None:
        with self._draw_lock:
            if self._closing:
                return
            document, geometry = self._state.document, self._state.geometry  # under the lock: the last draw is the last
            shown = self._shown_points(geometry, self._state.through)
            is_dense = shown is not geometry.sparse
            self.viewport.draw(
                ViewportScene(
                    trajectory=document.edited,
                    ghost=document.best if document.best is not document.edited else None,
                    raw=document.predicted if document.refined is not None else None,
                    thumbnails=self._thumbnails(document),
                    selected=document.selected,
                    source=document.source,
                    soft_radius=document.soft.radius if document.soft.on else 0.0,
                    points=None if is_dense else shown,
                    dense=shown if is_dense else None,
                    home=document.best,
                    followed=None if document.verification is None else document.verification.followed,
                    keys=() if document.keys is None else document.keys.frames,
                    target=document.target,
                    picking=self._state.picking,
                    playhead=self._state.playhead,
                    through=self._state.through,
                    is_dark=self._state.is_dark,
                    gizmo=self._state.gizmo,
                    tube=_tube(document),
                    known=self.known_path,
                    pending=self._state.imported,
                    held=document.drag_origin is not None,
                )
            )

    @staticmethod
    def _shown_points(geometry: Geometry, through: bool) -> Points | None:
        """Sparse ones, or those of the depth maps: on demand, and for who looks through a camera, as its picture."""
        scene = geometry.scene
        if scene is None or not (geometry.dense_on or through):
            return geometry.sparse
        points = scene.picture if through else scene.dense
        return geometry.sparse if points is None else points

    def _thumbnails(self, document: Document) -> tuple[np.ndarray, ...] | None:
        """A picture for each pose: the clip's frames along an estimated path, else only the source's.

        The same objects as long as the clip and the path's length stay: the viewport compares them by identity.
        """
        if document.clip is None or document.edited is None:
            return None
        follows = document.follows_clip and len(document.edited) == len(document.clip)
        key = (document.clip, len(document.edited), document.source, follows)
        if self._pictures[0] != key:
            frames = document.clip.frames_u8
            pictures = [np.full_like(frames[0], 72) for _ in range(len(document.edited))]
            if follows:
                pictures = list(frames)
            pictures[document.source] = frames[min(document.source, len(frames) - 1)]
            self._pictures = (key, tuple(pictures))
        return self._pictures[1]

    # --- messages -> next state ---------------------------------------------------------------------------------------

    @singledispatchmethod
    def _reduce(self, message: Any, state: State) -> Change:
        raise TypeError(f"no session takes a {type(message).__name__}")

    @_reduce.register
    def _(self, message: msg.BoxFilled, state: State) -> Change:
        return replace(state, box=state.box.holding(message.files, message.shown)), None

    @_reduce.register
    def _(self, message: msg.TakeOut, state: State) -> Change:
        files = () if message.path is None else tuple(file for file in state.box.files if file != message.path)
        notice = state.notice
        if notice is not None and notice.is_error and notice.place == "input":
            notice = None  # it was about what is gone
        return replace(state, box=state.box.holding(files, files), notice=notice), None

    @_reduce.register
    def _(self, message: msg.ClipRead, state: State) -> Change:
        if message.files and message.files != state.box.files:
            return state, None  # other files were given while these were read
        clip, before = message.clip, state.geometry
        geometry = Geometry(
            refine_on=before.refine_on,
            dense_on=before.dense_on,
            known_fov_y_rad=clip.exif_fov_y_rad,
        )
        box = state.box if message.files else state.box.holding(())
        loaded = shelf.with_work(state, doc.with_clip(state.document, clip), geometry)
        words = shelf.brings_back(loaded)
        return replace(loaded, box=box, notice=Notice("input", words) if words else None), self._stop_all(state)

    @_reduce.register
    def _(self, message: msg.ClipRefused, state: State) -> Change:
        if message.files and message.files != state.box.files:
            return state, None
        clip, text = state.document.clip, message.text
        if clip is not None:
            text = f"{text.rstrip('.')}. The clip is still {clip.name}."
        return replace(_refuse(state, "input", text), box=state.box.holding(())), None

    @_reduce.register
    def _(self, message: msg.SessionRead, state: State) -> Change:
        geometry = Geometry(
            refine_on=state.geometry.refine_on,
            use_on=state.geometry.use_on,
            dense_on=state.geometry.dense_on,
            known_fov_y_rad=message.known_fov_y_rad,
            cloud=message.cloud,
            sparse=shown_points(message.cloud),
        )
        opened = shelf.with_work(state, message.document, geometry)
        words = f"{message.name} is open: {shelf.contents(message.document)}. {shelf.brings_back(opened)}"
        return replace(opened, notice=Notice("keep", words.strip())), self._stop_all(state)

    @_reduce.register
    def _(self, message: msg.Refused, state: State) -> Change:
        return _refuse(state, message.place, message.text), None

    @_reduce.register
    def _(self, message: msg.Select, state: State) -> Change:
        playhead = state.playhead if message.index is None else message.index
        return replace(state, document=doc.select(state.document, message.index), playhead=playhead), None

    @_reduce.register
    def _(self, message: msg.DragStart, state: State) -> Change:
        return replace(state, document=doc.begin_drag(state.document, message.index), notice=None), None

    @_reduce.register
    def _(self, message: msg.Drag, state: State) -> Change:
        return replace(state, document=doc.drag(state.document, message.index, message.T_world_camera)), None

    @_reduce.register
    def _(self, message: msg.DragEnd, state: State) -> Change:
        return replace(state, document=doc.end_drag(state.document, message.index, message.T_world_camera)), None

    @_reduce.register
    def _(self, message: msg.ApplyPreset, state: State) -> Change:
        document = doc.with_preset(
            state.document, message.name, message.amplitude, self._options.num_frames, message.pivot_distance
        )
        return replace(state, document=document, notice=None), None

    @_reduce.register
    def _(self, message: msg.SetPlayhead, state: State) -> Change:
        path = state.document.edited
        if path is None:
            raise InputError("there is no path to play yet; press Predict or apply a preset first")
        frame = min(max(message.frame, 0), len(path) - 1)
        return replace(state, playhead=frame, through=message.through), None

    @_reduce.register
    def _(self, message: msg.SetGizmo, state: State) -> Change:
        return replace(state, gizmo="both" if state.gizmo == message.mode else message.mode), None

    @_reduce.register
    def _(self, message: msg.ToggleSource, state: State) -> Change:
        return replace(state, document=sources.toggled(state.document, message.frame), notice=None), None

    @_reduce.register
    def _(self, message: msg.SetDark, state: State) -> Change:
        return state if state.is_dark == message.on else replace(state, is_dark=message.on), None

    @_reduce.register
    def _(self, message: msg.CamerasRead, state: State) -> Change:
        return self._importing(message.found, state)

    @_reduce.register
    def _(self, message: msg.AdjustImport, state: State) -> Change:
        if state.importing is None:
            return state, None
        changes = {"flipped": message.flipped, "inverted": message.inverted, "scale": message.scale}
        return self._importing(replace(state.importing, **changes), state)

    @_reduce.register
    def _(self, message: msg.UseImport, state: State) -> Change:
        if state.imported is None or state.importing is None:
            raise InputError("there are no imported cameras; press Import cameras first")
        document = doc.with_path(state.document, state.imported, False, f"import {state.importing.name}")
        return replace(state, document=document, importing=None, imported=None, notice=None), None

    @_reduce.register
    def _(self, message: msg.DropImport, state: State) -> Change:
        return replace(state, importing=None, imported=None), None

    def _importing(self, found: Import, state: State) -> Change:
        clip, best = _clip(state), state.document.best
        fov_y_rad = None if best is None else float(best.fov_y_rad[best.source])
        path = as_path(found, self._options.num_frames, clip.image_size, fov_y_rad, clip.fps)
        return replace(state, importing=found, imported=path, notice=None), None

    @_reduce.register
    def _(self, message: msg.SetPicking, state: State) -> Change:
        return replace(state, picking=message.on), None

    @_reduce.register
    def _(self, message: msg.PickPoint, state: State) -> Change:
        shown = self._shown_points(state.geometry, state.through)
        point = picked_point(None if shown is None else shown.xyz, message.origin, message.direction)
        notice = Notice("path", "Picked ({:.2f}, {:.2f}, {:.2f}), in median depths.".format(*point))
        return replace(state, document=doc.with_target(state.document, point), picking=False, notice=notice), None

    @_reduce.register
    def _(self, message: PathEdit, state: State) -> Change:
        document, playhead = message.apply(state.document), state.playhead
        if document.selected is not None and document.selected != state.document.selected:
            playhead = document.selected  # the selection went with its camera
        return replace(state, document=document, playhead=playhead, notice=None), None

    @_reduce.register
    def _(self, message: msg.Undo, state: State) -> Change:
        if state.earlier and not state.document.past:
            return self._resume(shelf.back(state), state)
        return replace(state, document=doc.undo(state.document), notice=None), None

    @_reduce.register
    def _(self, message: msg.Redo, state: State) -> Change:
        if state.later and not state.document.future:
            return self._resume(shelf.forward(state), state)
        return replace(state, document=doc.redo(state.document), notice=None), None

    def _resume(self, resumed: State, state: State) -> Change:
        """Another clip is worked on again; nobody waits for what is being made of this one."""
        document = resumed.document
        words = f"{shelf.clip_name(document)} is back: {shelf.contents(document)}."
        return replace(resumed, notice=Notice("path", words)), self._stop_all(state)

    @_reduce.register
    def _(self, message: msg.ResetToPredicted, state: State) -> Change:
        return replace(state, document=doc.reset_to_predicted(state.document), notice=None), None

    @_reduce.register
    def _(self, message: msg.ResetToRefined, state: State) -> Change:
        return replace(state, document=doc.reset_to_refined(state.document), notice=None), None

    @_reduce.register
    def _(self, message: msg.SetSoftDrag, state: State) -> Change:
        return replace(state, document=doc.with_soft_drag(state.document, message.on, message.radius)), None

    @_reduce.register
    def _(self, message: msg.ShowTake, state: State) -> Change:
        return replace(state, document=doc.show_take(state.document, message.number), doomed=None), None

    @_reduce.register
    def _(self, message: msg.Predict, state: State) -> Change:
        clip = _clip(state)
        if len(clip) < 2:
            raise InputError(f"{clip.name}: one picture has no motion to predict; press Imagine or apply a preset")
        task = EstimateTask(
            clip.frames_u8,
            fps=clip.fps,
            fov_y_rad=state.geometry.known_fov_y_rad,
            steps=message.steps,
            seed=message.seed,
            flow_frames_u8=clip.detailed_u8,
        )
        return self._start("predict", task, Settings(message.seed, message.steps), _kept_trajectory, state)

    @_reduce.register
    def _(self, message: msg.Imagine, state: State) -> Change:
        clip = _clip(state)
        settings = Settings(message.seed, message.steps)
        count = self._options.num_frames
        task = JointTask(clip.frames_u8[:1], num_frames=count, fps=clip.fps, steps=message.steps, seed=message.seed)
        keep = partial(self._keep_take, "imagined", clip.hash, settings, doc.next_take_number(state.document), None)
        return self._start("imagine", task, settings, keep, state)

    @_reduce.register
    def _(self, message: msg.Regenerate, state: State) -> Change:
        return self._regenerate(_wanted(message, state), state)

    @_reduce.register
    def _(self, message: msg.Variations, state: State) -> Change:
        wanted = _wanted(message, state)
        if message.kind == "seeds":
            first, *others = [replace(wanted, seed=wanted.seed + i) for i in range(3)]
        else:
            paths = [scale_motion(wanted.trajectory, amplitude) for amplitude in VARIED_AMPLITUDES]
            first, *others = [replace(wanted, trajectory=path) for path in paths]
        state, start = self._regenerate(first, state)
        return replace(state, waiting=tuple(others)), start

    def _regenerate(self, wanted: Wanted, state: State) -> Change:
        clip, path, document = _clip(state), wanted.trajectory, state.document
        hinted = self._geometry.hinted(state)
        frames = sources.used(document, path)
        named = () if frames == (path.source,) else frames
        settings = Settings(wanted.seed, wanted.steps, hinted is not None, named, wanted.guidance, wanted.temperature)
        pictures = clip.frames_u8[[min(frame, len(clip) - 1) for frame in frames]]
        task = GenerateTask(
            pictures, path, frames, wanted.steps, wanted.guidance, wanted.seed, temperature=wanted.temperature
        )
        keep = partial(self._keep_take, "regenerated", clip.hash, settings, doc.next_take_number(document), path)
        state, start = self._start("regenerate", task, settings, keep, state, hinted)
        left_out = sorted(set(sources.chosen(document)) - set(frames))
        if state.geometry.use_on and hinted is None:
            text = f"Made by the model alone: {why_unusable(document)}"
            state = replace(state, notice=Notice("result", text))
        elif left_out:
            state = replace(state, notice=Notice("result", sources.left_out_words(left_out, frames)))
        return state, start

    @_reduce.register
    def _(self, message: msg.RenameTake, state: State) -> Change:
        take = doc.take_of(state.document, message.number)
        named = replace(take, name=" ".join(message.name.split())[:MAX_TAKE_NAME])
        return replace(state, document=doc.with_take_changed(state.document, named)), None

    @_reduce.register
    def _(self, message: msg.StarTake, state: State) -> Change:
        take = replace(doc.take_of(state.document, message.number), starred=message.on)
        return replace(state, document=doc.with_take_changed(state.document, take)), None

    @_reduce.register
    def _(self, message: msg.DeleteTake, state: State) -> Change:
        take = doc.take_of(state.document, message.number)
        if state.doomed != take.number:
            return replace(state, doomed=take.number), None
        stop = None
        if state.job is not None and state.job.kind == "verify":  # it may be at this take's file
            stop, state = self._stopper(state), replace(state, job=None)
        compared = None if state.compared is not None and take.number in state.compared else state.compared
        notice = Notice("result", f"{take.title} is deleted.")
        document = doc.without_take(state.document, take.number)
        state = replace(state, document=document, doomed=None, compared=compared, notice=notice)
        files = () if shelf.holds_file(state, take) else (take.video, take.cameras)
        return state, partial(_both, stop, partial(_unlink, *files))

    @_reduce.register
    def _(self, message: msg.Compare, state: State) -> Change:
        for number in message.numbers or ():
            doc.take_of(state.document, number)
        return replace(state, compared=message.numbers), None

    @_reduce.register
    def _(self, message: msg.SetVerify, state: State) -> Change:
        return replace(state, verify_on=message.on), None

    @_reduce.register
    def _(self, message: msg.Verify, state: State) -> Change:
        take = state.document.take
        if take is None:
            raise InputError("there is no take to verify yet; press Regenerate first")
        return self._verify(take, state)

    @_reduce.register
    def _(self, message: msg.Cancel, state: State) -> Change:
        stop_geometry = stop_model = None
        if message.place != "result":
            state, stop_geometry = self._geometry.cancel(state)
        if state.job is not None and message.place in (None, state.job.panel):
            job = replace(state.job, phase="cancelling")
            state, stop_model = replace(state, job=job, waiting=()), self._stopper(state)
        return state, partial(_both, stop_geometry, stop_model)

    @_reduce.register
    def _(self, message: msg.Refine, state: State) -> Change:
        return self._geometry.refine(replace(state, notice=None))

    @_reduce.register
    def _(self, message: msg.ShowPreview, state: State) -> Change:
        return self._geometry.preview(state)

    @_reduce.register
    def _(self, message: msg.FromGeometry, state: State) -> Change:
        return self._geometry.reduce(message.message, state)

    @_reduce.register
    def _(self, message: msg.SetRefine, state: State) -> Change:
        return replace(state, geometry=replace(state.geometry, refine_on=message.on)), None

    @_reduce.register
    def _(self, message: msg.SetUseGeometry, state: State) -> Change:
        return replace(state, geometry=replace(state.geometry, use_on=message.on)), None

    @_reduce.register
    def _(self, message: msg.SetDensePoints, state: State) -> Change:
        return replace(state, geometry=replace(state.geometry, dense_on=message.on)), None

    @_reduce.register
    def _(self, message: msg.SetFieldOfView, state: State) -> Change:
        geometry = with_known_fov(state.geometry, state.document.clip, message.fov_y_deg)
        return replace(state, geometry=geometry, notice=None), None

    @_reduce.register
    def _(self, message: msg.JobQueued, state: State) -> Change:
        if state.job is None or state.job.number != message.job:
            return state, None
        return replace(state, job=replace(state.job, place=message.place, waiting_for=message.waiting_for)), None

    @_reduce.register
    def _(self, message: msg.JobProgress, state: State) -> Change:
        job = state.job
        if job is None or job.number != message.job:
            return state, None
        job = replace(
            job,
            phase=job.phase if job.phase == "cancelling" else "running",
            step=message.step,
            steps=message.steps,
            seconds_per_step=message.seconds_per_step,
            preview_u8=message.preview_u8 if message.preview_u8 is not None else job.preview_u8,
        )
        return replace(state, job=job), None

    @_reduce.register
    def _(self, message: msg.JobDone, state: State) -> Change:
        job, document = state.job, state.document
        if job is None or job.number != message.job:
            return state, None
        if job.kind == "predict":
            return self._predicted(message.result, message.seconds, state)
        if job.kind == "spread":
            return self._sampled((*state.sampled, message.result), state)
        if job.kind == "verify":
            verification = replace(message.result, seconds=message.seconds + message.result.seconds)
            return replace(state, document=doc.with_verification(document, verification), job=None), None
        take = replace(message.result, seconds=message.seconds)
        if job.kind == "imagine":
            document = doc.with_prediction(document, take.trajectory, follows_clip=False)
            state = replace(state, geometry=_unknown(state.geometry))
        text = f"Take {take.number} is ready after {message.seconds:.1f} s."
        state = replace(state, document=doc.with_take(document, take), job=None, notice=Notice("result", text))
        if state.waiting:
            wanted, *others = state.waiting
            state, start = self._regenerate(wanted, replace(state, waiting=()))
            return replace(state, waiting=tuple(others), notice=Notice("result", text)), start
        return self._verify(take, state) if state.verify_on else (state, None)

    @_reduce.register
    def _(self, message: msg.JobFailed, state: State) -> Change:
        job = state.job
        if job is None or job.number != message.job:
            return state, None
        return _refuse(replace(state, job=None, waiting=()), job.panel, message.text), None

    @_reduce.register
    def _(self, message: msg.JobCancelled, state: State) -> Change:
        job = state.job
        if job is None or job.number != message.job:
            return state, None
        return replace(state, job=None, notice=Notice(job.panel, "Cancelled; nothing was kept.")), None

    @_reduce.register
    def _(self, message: msg.SampleSpread, state: State) -> Change:
        predicted = state.document.predicted
        if predicted is None or not state.document.prediction_follows_clip:
            raise InputError("there is no predicted path to sample; press Predict first")
        return self._sample(replace(state, sampled=()))

    def _sample(self, state: State) -> Change:
        """Draw the next sample, with a seed of its own."""
        clip, sampled = _clip(state), state.sampled
        seed = SPREAD_SEED + len(sampled)
        task = EstimateTask(
            clip.frames_u8,
            fps=clip.fps,
            fov_y_rad=state.geometry.known_fov_y_rad,
            steps=VERIFY_STEPS,
            seed=seed,
            flow_frames_u8=clip.detailed_u8,
        )
        state, start = self._start("spread", task, Settings(seed, VERIFY_STEPS), _kept_trajectory, state)
        left = SPREAD_SAMPLES - len(sampled)
        return replace(state, notice=Notice("spread", f"Sampling the path, {left} to go.")), start

    def _sampled(self, sampled: tuple[Trajectory, ...], state: State) -> Change:
        state = replace(state, job=None, sampled=sampled)
        if len(sampled) < SPREAD_SAMPLES:
            return self._sample(state)
        assert state.document.predicted is not None  # a new prediction stops the sampling
        spread = path_spread(sampled, state.document.predicted)
        document = doc.with_spread(state.document, spread)
        text = (
            f"{spread.samples} samples; soft drag reaches {document.soft.radius:g} frames, as far as they go together."
        )
        return replace(state, document=document, sampled=(), notice=Notice("spread", text)), None

    def _predicted(self, trajectory: Trajectory, seconds: float, state: State) -> Change:
        notice = Notice("path", f"Predicted {len(trajectory)} cameras in {seconds:.1f} s.")
        document, stop = doc.with_prediction(state.document, trajectory), self._geometry.stopper(state)
        state = replace(state, document=document, geometry=_unknown(state.geometry), job=None, notice=notice)
        start = None
        if state.geometry.refine_on:
            state, start = self._geometry.refine(state)
        return state, partial(_both, stop, start)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def _start(
        self,
        kind: JobKind,
        task: Any,
        settings: Settings,
        keep: Callable[[Any], Any],
        state: State,
        prepare: Callable[[Any], Any] | None = None,
    ) -> Change:
        stop = None
        if state.job is not None:
            if state.job.kind != "verify" or kind == "verify":
                raise InputError(f"{state.job.kind} is still at work; cancel it or wait for it")
            stop = self._stopper(state)  # nobody has asked for it, or they ask for something else now
        job = Job(task, keep, self.dispatch, prepare)
        status = JobStatus(job.number, kind, settings)
        return replace(state, job=status, notice=None), partial(_both, stop, partial(self._worker.submit, job))

    def _verify(self, take: Take, state: State) -> Change:
        notice, task = state.notice, VerifyTask(take)
        keep = partial(_kept_verification, take)
        state, start = self._start("verify", task, take.settings, keep, state, VerifyTask.as_estimate)
        return replace(state, notice=notice), start  # what is said of the take stays

    def _stop_all(self, state: State) -> Callable[[], None]:
        return partial(_both, self._stopper(state), self._geometry.stopper(state))

    def _stopper(self, state: State) -> Callable[[], None] | None:
        return None if state.job is None else partial(self._worker.cancel, state.job.number)

    def _keep_take(
        self, origin: str, clip_hash: str, settings: Settings, number: int, path: Trajectory | None, output: Any
    ) -> Take:
        """Write mp4 and cameras; called in the worker's thread, so that a take is on disk before it is announced.

        Args:
            path: what was asked for; None: what the model found.
        """
        trajectory: Trajectory = output.trajectory if path is None else path
        name = f"take-{number}-{doc.stamp(clip_hash, trajectory, settings)}.mp4"
        with self._folder.writing() as folder:
            video, cameras = exports.take_files(folder / "takes" / name, output.frames_u8, trajectory)
        thumbnail = strip_jpeg(output.frames_u8, TAKE_PICTURES, TAKE_HEIGHT_PX)
        return Take(number, origin, video, cameras, clip_hash, trajectory, settings, 0.0, thumbnail)


_SHOWN_BY_THE_VIEWPORT_ALONE = (msg.DragStart, msg.Drag, msg.SetPlayhead)

_PLACES: dict[type, str] = {
    msg.ClipRead: "input",
    msg.Predict: "input",
    msg.Imagine: "input",
    msg.Refine: "input",
    msg.SetFieldOfView: "input",
    msg.Regenerate: "result",
    msg.ShowTake: "result",
    msg.Variations: "result",
    msg.RenameTake: "result",
    msg.StarTake: "result",
    msg.DeleteTake: "result",
    msg.Compare: "compare",
    msg.SampleSpread: "spread",
    msg.CamerasRead: "keep",
    msg.AdjustImport: "keep",
    msg.UseImport: "keep",
    msg.Verify: "result",
}


def _refuse(state: State, place: str, text: str) -> State:
    notice = Notice(place, text, is_error=True)
    return replace(state, document=doc.drop_drag(state.document), notice=notice, refusals=state.refusals + 1)


def _clip(state: State) -> Clip:
    if state.document.clip is None:
        raise InputError("there is no clip yet; give a video or an image first")
    return state.document.clip


def _tube(document: Document) -> tuple[Trajectory, Any] | None:
    """The path that the samples are about, and how far they lie apart; nothing once it has another length."""
    path, spread = document.best, document.spread
    if path is None or spread is None or len(spread.distance) != len(path):
        return None
    return path, spread.distance


def _edited(state: State) -> Trajectory:
    _clip(state)
    if state.document.edited is None:
        raise InputError("there is no path to generate along yet; press Predict or apply a preset first")
    return state.document.edited


def _wanted(message: msg.Regenerate | msg.Variations, state: State) -> Wanted:
    return Wanted(_edited(state), message.steps, message.seed, message.guidance, message.temperature)


def _unlink(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _unknown(geometry: Geometry) -> Geometry:
    """What remains when a new prediction makes points, scene and preview those of another path."""
    return replace(geometry, cloud=None, sparse=None, scene=None, job=None, preview=None, wanted=None)


def _both(*effects: Callable[[], None] | None) -> None:
    for effect in effects:
        if effect is not None:
            effect()


def _kept_trajectory(output: Any) -> Trajectory:
    return output.trajectory


def _kept_verification(take: Take, output: Any) -> Any:
    return tracked(take.number, take.trajectory, output.trajectory, _video_frames(take))


def _video_frames(take: Take) -> np.ndarray:
    """The frames as they are on disk, which is what the person sees."""
    path = take.trajectory
    return load_clip(take.video, num_frames=len(path), size=path.image_size).frames_u8


class SessionGone(InputError):
    """The session has been freed; the page must be loaded anew."""


class Sessions:
    """All sessions of the process. One is freed when its page has been gone for the hub's grace time.

    Args:
        worker, geometry: closed by `close`.
        hub: its `on_expired` becomes this object's.
    """

    def __init__(self, worker: Worker, geometry: GeometryWorker, hub: Hub, options: Options) -> None:
        self.worker, self._geometry = worker, geometry
        self._hub, self._options = hub, options
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        hub.on_expired = self.free

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, wanted: str = "") -> Session:
        """The session for a page just loaded: `wanted` if it is still kept (a reload), else a new one.

        Args:
            wanted: the id the browser tab remembers; unguessable, so that knowing it is owning it.
        """
        with self._lock:
            session = self._sessions.get(wanted)
            if session is None:
                session = Session(self.worker, self._geometry, self._hub, self._options)
                self._sessions[session.id] = session
        self._hub.touch(session.id)
        return session

    def without_page(self) -> Session:
        """A session for a program: nobody but its maker knows it, and its maker closes it."""
        return Session(self.worker, self._geometry, self._hub, self._options)

    def get(self, session_id: str) -> Session:
        """Raises SessionGone for an id that is not, or no longer, known."""
        session = self._sessions.get(session_id)
        if session is None:
            raise SessionGone("this session has ended and its files are gone; reload the page to start a new one")
        return session

    def free(self, session_id: str) -> None:
        """End a session; harmless when repeated."""
        with self._lock:
            session = self._sessions.pop(session_id, None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """Free every session and end the workers."""
        for session_id in list(self._sessions):
            self.free(session_id)
        self.worker.close()
        self._geometry.close()
