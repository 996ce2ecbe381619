"""Geometry beside the model: refinement, depth and previews, as they are asked for and as their worker tells of them.

A job's word counts only as long as the state still names the job: whatever comes of an older one is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rap.errors import InputError
from rap.geometry.presets import amplitude_of
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.edits import AnyMessage
from ui.document.geometry import basis_of, lens_fov_y_rad, scene_of, why_unusable, with_known_fov
from ui.document.state import (
    Basis,
    BuiltScene,
    Change,
    Geometry,
    GeometryJob,
    GeometryKind,
    Notice,
    PreviewRequest,
    State,
    Unfitted,
)
from ui.serve.jobs import Job
from ui.session.geometry_worker import (
    Found,
    PreviewTask,
    RefineTask,
    SceneTask,
    kept_preview,
    kept_refinement,
    kept_scene,
    with_built_hints,
    with_hints,
)
from ui.session.reducers.context import Context, Entries
from ui.session.reducers.effects import exchange, geometry_numbers, stop_jobs, together

if TYPE_CHECKING:
    from rap.reconstruction.refine import RefinementReport


def refine(message: msg.Refine, state: State, context: Context) -> Change:
    """Asked for by hand: what was said before is settled."""
    return start_refinement(replace(state, notice=None), context)


def show_preview(message: msg.ShowPreview, state: State, context: Context) -> Change:
    """The path has come to rest."""
    return start_preview(state, context)


def hear(message: msg.FromGeometry, state: State, context: Context) -> Change:
    """What becomes of the state when the worker says something."""
    said, geometry = message.message, state.geometry
    if geometry.job is not None and geometry.job.number == said.job:
        return _job_said(geometry.job, said, state, context)
    if geometry.wanted is not None and geometry.wanted.number == said.job:
        return _preview_said(said, state)
    return state, None


def set_refine(message: msg.SetRefine, state: State, context: Context) -> Change:
    """Of the predictions to come."""
    return replace(state, geometry=replace(state.geometry, refine_on=message.on)), None


def set_use_geometry(message: msg.SetUseGeometry, state: State, context: Context) -> Change:
    """Of the takes to come."""
    return replace(state, geometry=replace(state.geometry, use_on=message.on)), None


def set_dense_points(message: msg.SetDensePoints, state: State, context: Context) -> Change:
    """In the viewport."""
    return replace(state, geometry=replace(state.geometry, dense_on=message.on)), None


def set_field_of_view(message: msg.SetFieldOfView, state: State, context: Context) -> Change:
    """Of predictions and refinements to come."""
    geometry = with_known_fov(state.geometry, state.document.clip, message.fov_y_deg)
    state = replace(state, geometry=geometry, notice=None)
    if state.document.clip is None or len(state.document.clip) > 1 or state.document.best is not None:
        return state, None
    document = doc.seen_through(state.document, lens_fov_y_rad(state.document, geometry))
    return start_preview(replace(state, document=document), context)


def set_flat(message: msg.SetFlat, state: State, context: Context) -> Change:
    """Of a picture: its scene is another, and so are previews and takes to come."""
    return start_preview(replace(state, geometry=replace(state.geometry, flat_on=message.on)), context)


def set_depth_model(message: msg.SetDepthModel, state: State, context: Context) -> Change:
    """Of a picture: its scene is another, as in `set_flat`."""
    depth_by = context.options.depth_model if message.on else ""
    return start_preview(replace(state, geometry=replace(state.geometry, depth_by=depth_by)), context)


REDUCERS: Entries = (
    (msg.Refine, refine),
    (msg.ShowPreview, show_preview),
    (msg.FromGeometry, hear),
    (msg.SetRefine, set_refine),
    (msg.SetUseGeometry, set_use_geometry),
    (msg.SetFlat, set_flat),
    (msg.SetDepthModel, set_depth_model),
    (msg.SetDensePoints, set_dense_points),
    (msg.SetFieldOfView, set_field_of_view),
)


def start_refinement(state: State, context: Context) -> Change:
    """Fit the prediction to the clip.

    Raises:
        InputError: there is none that follows the clip, or it is being refined already.
    """
    document = state.document
    if document.clip is None or document.predicted is None or not document.prediction_follows_clip:
        raise InputError("there is no predicted path to refine; press Predict path first")
    if state.geometry.job is not None and state.geometry.job.kind == "refine":
        raise InputError("the path is being refined already; cancel that or wait for it")
    basis = Basis(document.clip, document.predicted, "predicted")
    task = RefineTask(document.clip, document.predicted, state.geometry.known_fov_y_rad)
    return _start("refine", basis, task, state, context)


def cancel_geometry(state: State, context: Context) -> Change:
    """Forget what is being refined or lifted; the worker stops when the part it is in has ended."""
    job = state.geometry.job
    if job is None:
        return state, None
    text = (
        "Cancelled; the path stays as it is." if job.kind == "refine" else "Cancelled; change the path for a preview."
    )
    if state.geometry.held is not None:
        text += " The take that waited for it is dropped; press Regenerate to make it with what is there."
    state = replace(state, geometry=replace(state.geometry, job=None, held=None), notice=Notice("input", text))
    return state, partial(context.geometry.cancel, job.number)


def start_preview(state: State, context: Context) -> Change:
    """Render the path as it is now, unless that is shown or on its way; find depth first where there is none.

    Of a picture depth is found before there is a path.
    """
    document, geometry = state.document, state.geometry
    basis = basis_of(document, geometry)
    if basis is None or geometry.job is not None:
        return state, None  # a job's end asks again
    if geometry.scene is None or geometry.scene.basis.key != basis.key:
        return _start("depth", basis, scene_task(basis, geometry), state, context)
    if document.edited is None:
        return state, None
    key = (*basis.key, document.edited.hash)
    wanted = geometry.wanted
    if wanted is not None and wanted.key == key:
        return state, None
    outdated = () if wanted is None else (wanted.number,)
    if geometry.preview is not None and geometry.preview.key == key:
        return replace(state, geometry=replace(geometry, wanted=None)), stop_jobs(context.geometry, outdated)
    task = PreviewTask(geometry.scene.scene, document.edited, basis.is_picture)
    keep = partial(kept_preview, key, basis.known_from, task)
    job = Job(task, keep, partial(_report, context.dispatch), owner=context.owner)
    geometry = replace(geometry, wanted=PreviewRequest(job.number, key))
    return replace(state, geometry=geometry), exchange(context.geometry, outdated, job)


def with_clip_shown(state: State, context: Context) -> Callable[[Any], Any] | None:
    """Finishes a `GenerateTask` with what the clip shows along its path; None for the model alone."""
    geometry, basis = state.geometry, basis_of(state.document, state.geometry)
    if not geometry.use_on or basis is None or why_unusable(state.document, geometry):
        return None
    scene = scene_of(basis, geometry)
    if scene is not None:
        return partial(with_hints, scene)
    return partial(with_built_hints, context.geometry.pipeline, scene_task(basis, geometry))


def _start(kind: GeometryKind, basis: Basis, task: Any, state: State, context: Context) -> Change:
    keep = partial(kept_refinement, state.document.clip) if kind == "refine" else partial(kept_scene, basis)
    job = Job(task, keep, partial(_report, context.dispatch), owner=context.owner)
    geometry = replace(state.geometry, job=GeometryJob(job.number, kind, basis), wanted=None)
    return replace(state, geometry=geometry), exchange(context.geometry, geometry_numbers(state.geometry), job)


def _job_said(job: GeometryJob, message: msg.JobMessage, state: State, context: Context) -> Change:
    geometry = state.geometry
    if isinstance(message, msg.JobQueued):
        return replace(state, geometry=replace(geometry, job=replace(job, place=message.place))), None
    if isinstance(message, msg.JobProgress):
        running = replace(job, phase="running", share=message.step / message.steps)
        return replace(state, geometry=replace(geometry, job=running)), None
    state = replace(state, geometry=replace(geometry, job=None))
    if isinstance(message, msg.JobFailed):
        state = replace(state, geometry=replace(state.geometry, held=None))
        return replace(state, notice=Notice("input", message.text, is_error=True)), None
    if isinstance(message, msg.JobCancelled):  # not by this session: the worker has been closed
        return state, None
    if job.kind == "refine":
        return _with_takes(*_refined(message.result, state, context), context)
    built: BuiltScene = message.result
    state = replace(state, geometry=replace(state.geometry, scene=built, preview=None))
    return _with_takes(*start_preview(_fitted_at_last(state, context), context), context)


def _with_takes(state: State, effect: Callable[[], None] | None, context: Context) -> Change:
    """Takes that were held begin, if nothing is on its way any more that they wait for; what else was begun meanwhile
    takes their place."""
    held = state.geometry.held
    if held is None or state.geometry.job is not None:
        return state, effect
    if state.job is not None and state.job.kind != "verify":
        return replace(state, geometry=replace(state.geometry, held=None)), effect
    return state, together(effect, partial(context.dispatch, held))


def applied_preset(message: msg.ApplyPreset, state: State, context: Context) -> tuple[State, str]:
    """The state with a preset for its path, and what is to be said of that: where depth is known it turns about what
    is in the middle, and is of a size that fits."""
    from rap.views.fitting import fitted_preset

    document, geometry, count = state.document, state.geometry, context.options.num_frames
    fov_y_rad, scene = lens_fov_y_rad(document, geometry), geometry.scene
    unfitted, note, pivot = None, "", document.target if message.pivot_distance is None else None
    if document.clip is not None and scene is not None and scene.basis.known_from in ("one image", "refined"):
        fitted = fitted_preset(
            scene.scene,
            message.name,
            num_frames=count,
            image_size=document.clip.image_size,
            fov_y_rad=fov_y_rad,
            amplitude=message.amplitude,
            pivot_distance=message.pivot_distance,
            fps=document.clip.fps,
            of_film=not scene.basis.is_picture,
            pivot=pivot,
            by=message.by,
        )
        document, note = doc.with_preset_path(document, message.name, fitted.trajectory), fitted.note
    else:
        distance = 1.0 if message.pivot_distance is None else message.pivot_distance
        amplitude = message.amplitude if message.by is None else amplitude_of(message.name, message.by)
        document = doc.with_preset(document, message.name, amplitude, count, distance, fov_y_rad, pivot)
        is_awaited = geometry.job is not None or (state.job is not None and state.job.kind == "predict")
        if is_awaited and document.edited is not None:
            unfitted = Unfitted(message, document.edited.hash)
    return replace(state, document=document, geometry=replace(geometry, unfitted=unfitted)), note


def _fitted_at_last(state: State, context: Context) -> State:
    """A preset that was applied before the depth was there, fitted to it: no edit of its own, and none where the path
    is another by now or a take is being made along it."""
    document, unfitted = state.document, state.geometry.unfitted
    if unfitted is None or document.edited is None:
        return state
    if document.edited.hash != unfitted.path_hash or state.job is not None or document.takes:
        return replace(state, geometry=replace(state.geometry, unfitted=None))
    state, note = applied_preset(unfitted.asked, state, context)
    document = replace(state.document, past=document.past, future=document.future)
    return replace(state, document=document, notice=Notice("path", note) if note else state.notice)


def _refined(found: Found, state: State, context: Context) -> Change:
    """The path first, so that it can be seen and bent; its depth next."""
    before, unfitted = state.document.edited, state.geometry.unfitted
    document = doc.with_refinement(state.document, found.trajectory, found.report)
    if unfitted is not None and (before and before.hash) == unfitted.path_hash and document.edited is not None:
        unfitted = replace(unfitted, path_hash=document.edited.hash)  # through another lens it is still that preset
        document = replace(document, past=state.document.past, future=state.document.future)
    geometry = replace(
        state.geometry,
        unfitted=unfitted,
        cloud=found.cloud,
        sparse=found.points,
        moving=found.moving,
        scene=None,
        preview=None,
    )
    notice = Notice("path", in_short(found.report))
    return start_preview(replace(state, document=document, geometry=geometry, notice=notice), context)


def _preview_said(message: msg.JobMessage, state: State) -> Change:
    if isinstance(message, msg.JobQueued | msg.JobProgress):
        return state, None
    geometry = replace(state.geometry, wanted=None)
    if isinstance(message, msg.JobDone):
        geometry = replace(geometry, preview=replace(message.result, seconds=message.seconds))
    state = replace(state, geometry=geometry)
    if isinstance(message, msg.JobFailed):
        state = replace(state, notice=Notice("result", message.text, is_error=True))
    return state, None


def scene_task(basis: Basis, geometry: Geometry) -> SceneTask:
    """What builds the scene of a basis."""
    return SceneTask(basis, geometry.cloud if basis.known_from == "refined" else None)


def _report(dispatch: Callable[[AnyMessage], None], message: msg.JobMessage) -> None:
    dispatch(msg.FromGeometry(message))


def in_short(report: RefinementReport) -> str:
    """What the person reads first; the verdict's panel has the rest."""
    if report.outcome != "refined":
        return report.reason
    if report.verdict == "failed":
        return (
            f"Failed after {report.seconds:.1f} s: the path that fits best is probably wrong. Why stands on the left."
        )
    said = f"The path was found and checked in {report.seconds:.1f} s: {report.words}."
    if report.weak_joints:
        before_it, after_it = report.weak_joints[0]
        said += f" But frames {before_it} and {after_it} hardly hold together: the path may turn wrongly there. "
        said += "Type the field of view, if you know it, or give frames closer together."
    return said
