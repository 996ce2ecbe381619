"""Geometry beside the model: refines a path, builds the scene that the clip shows, previews edits by warping alone.

It has a worker of its own, so that neither a running generation delays a preview nor a refinement a generation. Here
are its tasks, what is kept of them, and the thread; what a session makes of them is in `reducers.geometry`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import UInt8

from rap.config import DEFAULT_TAKE_SIDE
from rap.data import Clip, playback_fps
from rap.data.encoding import film_for_a_page
from rap.geometry import Trajectory, fov_y_from_intrinsics
from rap.pipeline import GenerateTask
from rap.reconstruction.progress import Word, beside, listened
from ui.document.document import Settings
from ui.document.geometry import near_points, shown_points
from ui.document.state import Basis, BuiltScene, DepthMap, Points, PreviewClip
from ui.serve.jobs import Worker
from ui.session.glimpses import Glimpses
from ui.session.pictures import spread, strip_jpeg

if TYPE_CHECKING:
    from rap.generators.kinds import Kind
    from rap.generators.request import FilmSettings, FilmTask
    from rap.reconstruction.refine import Refinement, RefinementReport
    from rap.reconstruction.tracks import PointCloud
    from rap.views.fine import Content
    from rap.views.scene import Scene

DENSE_POINTS = 60_000
PREVIEW_SIDE = 448  # long side in pixels of a preview by the layers of one picture
DEPTH_HEIGHT_PX = 240  # of the depth map on the page
MOVING_PICTURES, MOVING_HEIGHT_PX = 4, 110  # frames that show what moves
TOLD_EVERY_S, STEPS = 0.4, 100  # a refinement says how far it is, in parts of a hundred
SURE, UNSURE = 0.5, 0.1  # least confidence of the points that are seen from anywhere, and through a camera of the path

LEFT_WORDS = (
    "The film shows little of what lies along this path: the frame where it begins is shown alone. A smaller move "
    "stays with the film."
)


class Backend(Protocol):
    """What is needed of `rap.views.scene`."""

    def refine(self, clip: Clip, trajectory: Trajectory, known_fov_y_rad: float | None = None) -> Refinement: ...

    def build_scene(self, clip: Clip, trajectory: Trajectory, points: PointCloud | None = None) -> Scene: ...

    def picture_scene(self, clip: Clip, trajectory: Trajectory, *, flat: bool = False, depth_by: str = "") -> Scene: ...


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
    is_picture: bool = False


@dataclass(frozen=True, eq=False)
class WalkTask:
    """Render a path through the layers of a picture, or the frames of a film, at full size.

    Args:
        scene: as `SceneTask` builds it; None where that has not been done yet.
        side, frames: as `rap.views.scene.Scene.walk` takes them.
        content: what the model shows of a film, for its holes.
    """

    scene_task: SceneTask
    scene: Scene | None
    trajectory: Trajectory
    side: int
    frames: int | None = None
    content: Content | None = None

    @staticmethod
    def measured_at(side: int) -> Hashable:
        """What the seconds of a frame of this size are kept under: it decides what a frame costs."""
        return WalkTask, side

    @property
    def measured_as(self) -> Hashable:
        """As `ui.serve.jobs.Worker` asks for it."""
        return self.measured_at(self.side)


@dataclass(frozen=True, eq=False)
class Walked:
    """What comes of a `WalkTask`."""

    frames_u8: UInt8[np.ndarray, "T H W 3"]


@dataclass(frozen=True, eq=False)
class Imagined:
    """What comes of a path that was imagined of a picture; `note` says what had to be changed of it."""

    frames_u8: UInt8[np.ndarray, "T H W 3"]
    trajectory: Trajectory
    note: str


@dataclass(frozen=True, eq=False)
class FilmOrder:
    """A take by a model of others, before it is known what the clip shows along its path."""

    kind: Kind
    trajectory: Trajectory
    settings: FilmSettings


Task = RefineTask | SceneTask | PreviewTask | WalkTask


@dataclass(frozen=True)
class Step:
    """What `ui.serve.jobs.Worker` reads of a task's progress."""

    step: int
    steps: int = 1
    done: bool = False
    output: Any = None
    frames_u8: None = None


def _of_steps(share: float) -> Step:
    return Step(int(STEPS * share), STEPS)


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

    def stream(self, task: Task) -> Generator[Step, None, None]:
        """One word when the work begins, one with what came of it; of a walk one for each frame, of a refinement some
        each second."""
        if isinstance(task, WalkTask):
            yield from self._walk(task)
            return
        if isinstance(task, RefineTask):
            yield from self._refine(task)
            return
        yield Step(0)
        yield Step(1, done=True, output=self._done(task))

    def scene(self, task: SceneTask) -> Scene:
        """The scene of a basis: depth of the clip's frames, or a plane for a single one."""
        basis = task.basis
        if basis.is_picture:
            flat = basis.known_from == "flat image"
            return self.backend.picture_scene(basis.clip, basis.trajectory, flat=flat, depth_by=basis.depth_by)
        return self.backend.build_scene(basis.clip, basis.trajectory, task.points)

    def _refine(self, task: RefineTask) -> Generator[Step, None, None]:
        """In a thread beside, so that it can be asked how far it is, and stopped; closing waits for its next word."""
        found = yield from beside(partial(self._refined, task), TOLD_EVERY_S, _of_steps)
        yield Step(STEPS, STEPS, done=True, output=found)

    def _refined(self, task: RefineTask, word: Word) -> Refinement:
        with listened(word):
            return self.backend.refine(task.clip, task.trajectory, task.known_fov_y_rad)

    def _done(self, task: SceneTask | PreviewTask) -> Any:
        if isinstance(task, SceneTask):
            return self.scene(task)
        return task.scene.preview(task.trajectory, PREVIEW_SIDE)

    def _walk(self, task: WalkTask) -> Generator[Step, None, None]:
        count, frames = task.frames or len(task.trajectory), []
        yield Step(0, count)
        scene = task.scene or self.scene(task.scene_task)
        for frame in scene.walk(task.trajectory, task.side, task.frames, task.content):
            frames.append(frame)
            if len(frames) < count:
                yield Step(len(frames), count)
        yield Step(count, count, done=True, output=Walked(np.stack(frames)))


class GeometryWorker(Worker):
    """The thread in which geometry is done for all sessions, and another for glimpses; loads nothing but code."""

    def __init__(self, backend: Callable[[], Backend] = scene_module) -> None:
        self.pipeline = GeometryPipeline(backend)
        self.glimpses = Glimpses()
        super().__init__(self.pipeline.ready, name="rap-geometry")

    def close(self, timeout_s: float = 10.0) -> None:
        """Cancel everything and end the threads."""
        self.glimpses.close(timeout_s)
        super().close(timeout_s)


@dataclass(frozen=True, eq=False)
class Found:
    """What came of a refinement; `points` are those of `cloud` that are worth showing, `moving` is a JPEG of frames in
    which only what moves by itself is as it was, empty where that is next to nothing."""

    trajectory: Trajectory
    report: RefinementReport
    cloud: PointCloud | None
    points: Points | None
    moving: bytes = b""


def kept_refinement(clip: Clip | None, found: Refinement) -> Found:
    """Called in the worker's thread."""
    from rap.reconstruction.moving import moving_words, shown_moving

    moving = b""
    if clip is not None and found.moving is not None and moving_words(found.report.moving_share):
        own = [clip.own_frames[i] for i in spread(len(clip.own_frames), MOVING_PICTURES)]
        moving = strip_jpeg(shown_moving(clip.footage[own], found.moving[own]), len(own), MOVING_HEIGHT_PX)
    return Found(found.trajectory, found.report, found.points, shown_points(found.points), moving)


def kept_scene(basis: Basis, scene: Scene) -> BuiltScene:
    """Called in the worker's thread: the points are made there, too."""
    from rap.views.fitting import pivot_of

    if basis.known_from == "flat image":
        return BuiltScene(basis, scene)
    clouds = (scene.coloured_points(DENSE_POINTS, least) for least in (SURE, UNSURE))
    dense, picture = (near_points(*cloud) for cloud in clouds)
    if not basis.is_picture:
        return BuiltScene(basis, scene, dense, picture, pivot_of(scene))
    return BuiltScene(basis, scene, dense, picture, pivot_of(scene), _depth_map(scene))


def _depth_map(scene: Scene) -> DepthMap:
    from rap.views.depth_map import depth_picture

    inverse_depth = scene.depth.inverse_depth[0].cpu().numpy()
    jpeg = strip_jpeg(depth_picture(inverse_depth)[None], 1, DEPTH_HEIGHT_PX)
    fov_y_rad = float(fov_y_from_intrinsics(scene.intrinsics[0], inverse_depth.shape[0]))
    return DepthMap(inverse_depth, fov_y_rad, jpeg)


def kept_preview(key: tuple[str, ...], known_from: str, task: PreviewTask, preview: Any) -> PreviewClip:
    """Called in the worker's thread, one at a time: encodes the preview."""
    from rap.views.fitting import too_near

    encoded = film_for_a_page(preview.frames_u8, playback_fps(task.trajectory.fps))
    left = LEFT_WORDS if task.scene.leaves(task.trajectory) else ""
    warning = too_near(task.scene, task.trajectory) if task.is_picture else left
    return PreviewClip(key, known_from, encoded, float(preview.mask.mean()), warning=warning)


def with_hints(scene: Scene, task: GenerateTask) -> GenerateTask:
    """With what the scene shows, and in the unit the model knows: the median depth of its first source view.

    By how much that unit is another, two depths of the same scene say: what it errs by as a whole cancels.
    """
    path, first = task.trajectory, task.source_indices[0]
    if first != path.source:
        path = path.scaled(scene.median_depth(path.source) / scene.median_depth(first))
    return replace(task, hints=scene.hints(task.trajectory), trajectory=path)


def walked_in_picture(pipeline: GeometryPipeline, task: SceneTask, scene: Scene | None, output: Any) -> Imagined:
    """A path that the model imagined of a picture, seen through the picture's own layers and lens: in the unit of its
    depth, and no longer than keeps it clear of what stands there. Called in the model worker's thread.

    Args:
        task, scene: as in `WalkTask`.
        output: the model's; its video is left.
    """
    from rap.views.fitting import fitted_path

    scene = scene or pipeline.scene(task)
    path: Trajectory = output.trajectory
    lens = task.basis.trajectory.resized(path.image_size).intrinsics[0]
    path = replace(path, intrinsics=np.tile(lens, (len(path), 1)))
    fitted = fitted_path(scene, path.scaled(scene.median_depth(path.source)))
    frames_u8 = np.stack(list(scene.walk(fitted.trajectory, DEFAULT_TAKE_SIDE)))
    return Imagined(frames_u8, fitted.trajectory, fitted.note)


@dataclass(frozen=True, eq=False)
class Filled:
    """A walk through a film of whose holes the model has been asked."""

    task: WalkTask
    settings: Settings


class Holes:
    """Asks the model for a film's holes: what it is shown, and what is kept of its answer, in the model's thread.

    Args:
        walk: the take to be, its scene perhaps not built yet.
        settings: of that take.
    """

    def __init__(self, pipeline: GeometryPipeline, walk: WalkTask, settings: Settings) -> None:
        self._pipeline, self._walk, self._settings = pipeline, walk, settings
        self._given_u8: np.ndarray | None = None

    def prepare(self, task: GenerateTask) -> GenerateTask:
        """With what the film shows along the path."""
        scene = self._walk.scene or self._pipeline.scene(self._walk.scene_task)
        self._walk, hinted = replace(self._walk, scene=scene), with_hints(scene, task)
        assert hinted.hints is not None
        self._given_u8 = hinted.hints.frames_u8
        return hinted

    def keep(self, output: Any) -> Filled:
        """The walk, which shows it."""
        from rap.views.scene import content_of

        assert self._given_u8 is not None
        scene, clip = self._walk.scene, self._walk.scene_task.basis.clip
        content = content_of(clip, output.frames_u8, self._given_u8)
        is_left = scene is not None and scene.leaves(self._walk.trajectory)
        settings = replace(self._settings, layers=True, film=False) if is_left else self._settings
        return Filled(replace(self._walk, content=content), settings)


def ordered_film(pipeline: GeometryPipeline, task: SceneTask, scene: Scene | None, order: FilmOrder) -> FilmTask:
    """With what the scene shows; arguments as of `walked_in_picture`. Called in the model worker's thread."""
    from rap.generators.request import film_task

    return film_task(scene or pipeline.scene(task), order.kind, order.trajectory, order.settings)


def with_built_hints(pipeline: GeometryPipeline, scene_task: SceneTask, task: GenerateTask) -> GenerateTask:
    """As `with_hints`, of a scene that is not there yet; called in the model worker's thread."""
    return with_hints(pipeline.scene(scene_task), task)
