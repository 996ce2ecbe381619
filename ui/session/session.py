"""One person at work: `dispatch(message)` is the only place where a session's state changes.

Data flows one way. A message (a click, an upload, a gesture in the viewport, a word from the worker) makes the next
`State`, an immutable value; the viewport is drawn from it here, the page by `ui.page.layout`. Nobody else keeps
state, so that undo, reload and a second window all see the same thing. What a message makes of the state is decided by
its reducer (`ui.session.reducers`); the session has the lock, runs the effects and draws.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from rap import formats
from rap.errors import InputError
from rap.geometry import PRESETS, Trajectory
from rap.geometry.motion import MotionLimits
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.document import Document
from ui.document.edits import AnyMessage
from ui.document.geometry import basis_of, is_of_film, is_walk, scene_of, take_side, upload_fov_y_deg
from ui.document.state import Cost, Geometry, JobKind, State
from ui.document.verification import KnownPaths
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.serve.memory import give_back
from ui.session import exports, shelf
from ui.session.commands import COMMANDS
from ui.session.debounce import REST_S, Debounce
from ui.session.drawing import Drawing
from ui.session.folder import SessionFolder
from ui.session.geometry_worker import FilmOrder, GeometryWorker, WalkTask
from ui.session.glimpses import Wish
from ui.session.kept_session import KeptSession
from ui.session.model_tasks import TASK_TYPES
from ui.session.options import Options
from ui.session.reading import READERS
from ui.session.reducers import reduce
from ui.session.reducers.context import Context
from ui.session.reducers.effects import stop_all
from ui.viewport.lazy import LazyViewport
from ui.viewport.standalone import standalone

EXPORTS = "exports"  # in the session's folder

_SHOWN_BY_THE_VIEWPORT_ALONE = (msg.DragStart, msg.Drag, msg.SetPlayhead)


class Session:
    """One person's document, viewport, files and job.

    Args:
        worker: runs the model for all sessions.
        geometry: refines paths and renders previews for all sessions.
        hub: serves the session's viewport under `id`.
        options: what the command line decided.
        visitor: whose it is; whose jobs wait for those of others.
        has_page: of a program it has none.
        folder_of: gives the folder for an id; a lasting one is written to after every change that matters.
        id: of before, where the session is found again.

    Raises:
        HubFull: there are as many pages as may be; nothing is left behind.
    """

    def __init__(
        self,
        worker: Worker,
        geometry: GeometryWorker,
        hub: Hub,
        options: Options,
        visitor: str = "",
        has_page: bool = True,
        folder_of: Callable[[str], SessionFolder] | None = None,
        id: str | None = None,
    ) -> None:
        self._worker, self._hub, self._options = worker, hub, options
        self._state = State(Document(), geometry=Geometry(depth_by=options.depth_model), asked=options.asked)
        self._lock = threading.RLock()
        self._draw_lock = threading.RLock()
        self._closing, self._closed = False, False
        self._awaited: list[Callable[[], None]] = []
        self._drawing = Drawing()
        self.viewport = LazyViewport(self.dispatch, COMMANDS)
        # first: what follows takes room that there may not be
        self.id: str = hub.open(self.viewport, self, visitor if has_page and visitor else None, id)
        try:
            self._folder = SessionFolder() if folder_of is None else folder_of(self.id)
        except OSError:
            hub.close(self.id)
            raise
        self._context = Context(options, worker, geometry, self._folder, self.dispatch, visitor)
        self._rest = Debounce(REST_S, partial(self.dispatch, msg.ShowPreview()))
        self._folder.in_use = self._files
        self._kept = KeptSession(self._folder) if self._folder.is_lasting else None

    @property
    def state(self) -> State:
        """The current state; a value that never changes under its reader."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether the session has ended and all of it has been freed."""
        return self._closed

    def dispatch(self, message: AnyMessage) -> None:
        """Let `message` make the next state. What cannot be done becomes a notice; nothing is raised for bad input."""
        if self._kept is not None and isinstance(message, msg.JobDone) and isinstance(message.result, doc.Take):
            self._announce(message, message.result, self._kept)
            return
        read = READERS.get(type(message))
        for found in (message,) if read is None else read(message, self._state, self._context):
            self._change(found)

    def _announce(self, message: msg.JobDone, take: doc.Take, kept: KeptSession) -> None:
        """A take is on disk, with all that makes it found again, before anybody hears of it; else it is none."""
        with kept.lock:
            try:
                kept.write(reduce(message, self._state, self._context)[0])
            except (InputError, OSError) as error:
                for file in (take.video, take.cameras):
                    file.unlink(missing_ok=True)
                words = str(error) if isinstance(error, InputError) else f"it could not be kept ({error.strerror})"
                self._change(msg.JobFailed(message.job, f"The take is lost: {words.rstrip('.')}."))
            else:
                self._change(message)

    def _change(self, message: AnyMessage) -> None:
        """Make the next state, run its effect, and draw it."""
        with self._lock:
            if self._closing:
                return
            before = self._state
            state, effect = reduce(message, before, self._context)
            if state is before:
                return
            self._state = replace(state, version=before.version + 1)
            if self._kept is not None:
                self._kept.touch(before, self._state)
            awaited = self._no_longer_awaited()
        if effect is not None:
            effect()
        path = state.document.edited
        if path is not None and path is not before.document.edited:
            self._rest.touch()  # it is previewed once it has come to rest
        self._draw()
        self._glimpse(message, before, self._state)
        _tell(awaited)
        if not isinstance(message, _SHOWN_BY_THE_VIEWPORT_ALONE):
            self._hub.publish(self.id, {"notify": True, "version": self._state.version})

    def _glimpse(self, message: AnyMessage, before: State, state: State) -> None:
        """Show what the camera at the playhead sees, where that is looked at or has changed."""
        path = state.document.edited
        is_bent = path is not before.document.edited
        looks = isinstance(message, msg.SetPlayhead) and message.looks
        if path is None or not (is_bent or looks) or not self._hub.connections(self.id):
            return
        basis = basis_of(state.document, state.geometry)
        scene = None if basis is None else scene_of(basis, state.geometry)
        if scene is not None:
            frame = min(state.playhead, len(path) - 1)
            show = partial(self._hub.show, self.id, {"frame": frame, "bent": is_bent, "version": state.version})
            self._context.geometry.glimpses.ask(self.id, Wish(scene, path, frame, show, state.document.drag_origin))

    def when_idle(self, tell: Callable[[], None]) -> None:
        """Call `tell` once: now if no job is queued or at work, else from the thread that ends the last one."""
        with self._lock:
            self._awaited.append(tell)
            awaited = self._no_longer_awaited()
        _tell(awaited)

    def _no_longer_awaited(self) -> list[Callable[[], None]]:
        """Who is to be told that nothing is at work; within the lock."""
        if self._state.busy:
            return []
        told, self._awaited = self._awaited, []
        return told

    def _draw(self) -> None:
        with self._draw_lock:
            if not self._closing:
                self.viewport.draw(self._drawing.scene(self._state))  # under the lock: the last draw is the last

    def close(self) -> None:
        """Free everything but what is to be found again: job, viewport, memory, files.

        Harmless when repeated; not to be called from within `dispatch`.
        """
        with self._lock:
            if self._closing:
                return
            self._closing = True
            state = self._state
            self._state = State(Document(), version=state.version + 1)
            awaited = self._no_longer_awaited()
        _tell(awaited)
        self._rest.close()
        stop_all(state, self._context)()
        self._context.geometry.glimpses.forget(self.id)
        self._hub.close(self.id)
        with self._draw_lock:
            self.viewport.close()
        if self._kept is not None:
            self._kept.close()
        self._folder.close()
        del state  # the last that holds its clip and points
        give_back()
        self._closed = True

    # --- what the page asks -------------------------------------------------------------------------------------------

    @property
    def presets(self) -> list[str]:
        """Names for `ApplyPreset`."""
        return list(PRESETS)

    @property
    def export_formats(self) -> list[tuple[str, str]]:
        """(title, name) of what `export` can write."""
        return [(entry.title, name) for name, entry in formats.writable().items()]

    @property
    def depth_model(self) -> str:
        """What the model of a picture's depth that was named at the start is called; "" where none was."""
        return PurePath(self._options.depth_model).name

    @property
    def makes_cameras(self) -> bool:
        """Whether the model makes paths of its own; one of others takes them."""
        return self._options.generator is None

    @property
    def take_kinds(self) -> list[tuple[str, str]]:
        """(title, name) of what `export_take` can write."""
        return exports.TAKE_KINDS

    def seconds_per_step(self, kind: JobKind) -> float | None:
        """Measured on this machine in the last job of this kind, anybody's; None before the first."""
        return self._worker.seconds_per_step(TASK_TYPES[kind])

    @property
    def cost(self) -> Cost:
        """What a take as the fields ask for it costs on this machine, as far as that has been measured."""
        document, geometry, asked = self._state.document, self._state.geometry, self._state.asked
        steps = asked.steps or self._options.default_steps
        if self._options.generator is not None:
            seconds = self._worker.seconds_per_step(FilmOrder)
            return Cost(steps, seconds, None if seconds is None else self._worker.memory_bytes)
        basis = basis_of(document, geometry)
        is_rendered = is_walk(document, geometry) or is_of_film(document, geometry)
        if document.edited is not None and basis is not None and is_rendered:
            side = take_side(basis, asked.side)
            seconds = self._context.geometry.seconds_per_step(WalkTask.measured_at(side))
            return Cost(asked.frames or len(document.edited), seconds, side=side)
        seconds = self.seconds_per_step("regenerate")
        return Cost(steps, seconds, None if seconds is None else self._worker.memory_bytes)

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
    def known_path(self) -> Trajectory | None:
        """The clip's known cameras in the unit of the path that was found; the same object while both stay."""
        return self._drawing.known_path(self._state.document)

    # --- files --------------------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where the session's files are for as long as it lasts."""
        return self._folder.path

    def _files(self) -> set[Path]:
        """Of takes that can still be shown."""
        return shelf.files(self._state)

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
        if state.compared is None or min(state.compared) < 1:
            raise InputError("there are no two takes to put side by side yet; press Compare first")
        takes = [doc.take_of(state.document, number) for number in state.compared]
        with self._folder.writing() as folder:
            return exports.side_by_side_file(folder / EXPORTS, *takes)

    def export_figure(self, kind: str) -> Path:
        """Write the paper's page layout as `exports.figure_file` does."""
        with self._folder.writing() as folder:
            return exports.figure_file(folder / EXPORTS, self._state.document, kind)

    def scene_page(self) -> str:
        """The 3D view as a page of its own, as `ui.viewport.standalone` makes it."""
        with self._draw_lock:
            scene = self._drawing.scene(self._state)
        return standalone(scene)

    def export_page(self, page: str) -> Path:
        """Write a page to share, as `exports.page_file` does."""
        with self._folder.writing() as folder:
            return exports.page_file(folder / EXPORTS, self._state.document, page)

    def export_depth(self) -> Path:
        """Write the picture's depth map as `exports.depth_file` does."""
        with self._folder.writing() as folder:
            return exports.depth_file(folder / EXPORTS, self._state.geometry.scene)

    def export_take(self, kind: str) -> Path:
        """Write the take on show as `exports.take_file` does."""
        with self._folder.writing() as folder:
            document = self._state.document
            name = "" if document.clip is None else document.clip.name
            return exports.take_file(folder / EXPORTS, document.take, kind, name)

    def export_take_cameras(self, format_name: str) -> Path:
        """Write the cameras of the take on show, those of its own frames, as `exports.path_file` does."""
        take = self._state.document.take
        with self._folder.writing() as folder:
            path = None if take is None else exports.take_cameras(take)
            return exports.path_file(folder / EXPORTS, path, format_name)

    def save(self) -> Path:
        """Write all of the session but its history into one file, which `OpenSession` takes.

        Raises:
            InputError: there is nothing to save.
        """
        document, geometry = self._state.document, self._state.geometry
        with self._folder.writing() as folder:
            return exports.saved_session(
                folder / EXPORTS, document, geometry.known_fov_y_rad, geometry.cloud, geometry.flat_on
            )


def _tell(listeners: list[Callable[[], None]]) -> None:
    for listener in listeners:
        listener()
