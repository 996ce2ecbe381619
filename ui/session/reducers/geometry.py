"""Geometry beside the model: refinement, depth and previews, as they are asked for and as their worker tells of them.

A job's word counts only as long as the state still names the job: whatever comes of an older one is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rap.data import playback_fps
from rap.errors import InputError
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.edits import AnyMessage
from ui.document.geometry import basis_of, why_unusable, with_known_fov
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
from ui.session.reducers.effects import exchange, geometry_numbers, stop_jobs

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
    return replace(state, geometry=geometry, notice=None), None


REDUCERS: Entries = (
    (msg.Refine, refine),
    (msg.ShowPreview, show_preview),
    (msg.FromGeometry, hear),
    (msg.SetRefine, set_refine),
    (msg.SetUseGeometry, set_use_geometry),
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
    state = replace(state, geometry=replace(state.geometry, job=None), notice=Notice("input", text))
    return state, partial(context.geometry.cancel, job.number)


def start_preview(state: State, context: Context) -> Change:
    """Render the path as it is now, unless that is shown or on its way; find depth first where there is none."""
    document, geometry = state.document, state.geometry
    basis = basis_of(document)
    if basis is None or document.edited is None or geometry.job is not None:
        return state, None  # a job's end asks again
    if geometry.scene is None or geometry.scene.basis.key != basis.key:
        return _start("depth", basis, _scene_task(basis, geometry), state, context)
    key = (*basis.key, document.edited.hash)
    wanted = geometry.wanted
    if wanted is not None and wanted.key == key:
        return state, None
    outdated = () if wanted is None else (wanted.number,)
    if geometry.preview is not None and geometry.preview.key == key:
        return replace(state, geometry=replace(geometry, wanted=None)), stop_jobs(context.geometry, outdated)
    fps = playback_fps(document.edited.fps)
    keep = partial(kept_preview, context.folder, key, basis.known_from, fps)
    job = Job(PreviewTask(geometry.scene.scene, document.edited), keep, partial(_report, context.dispatch))
    geometry = replace(geometry, wanted=PreviewRequest(job.number, key))
    return replace(state, geometry=geometry), exchange(context.geometry, outdated, job)


def with_clip_shown(state: State, context: Context) -> Callable[[Any], Any] | None:
    """Finishes a `GenerateTask` with what the clip shows along its path; None for the model alone."""
    geometry, basis = state.geometry, basis_of(state.document)
    if not geometry.use_on or basis is None or why_unusable(state.document):
        return None
    if geometry.scene is not None and geometry.scene.basis.key == basis.key:
        return partial(with_hints, geometry.scene.scene)
    return partial(with_built_hints, context.geometry.pipeline, _scene_task(basis, geometry))


def _start(kind: GeometryKind, basis: Basis, task: Any, state: State, context: Context) -> Change:
    keep = kept_refinement if kind == "refine" else partial(kept_scene, basis)
    job = Job(task, keep, partial(_report, context.dispatch))
    geometry = replace(state.geometry, job=GeometryJob(job.number, kind, basis), wanted=None)
    return replace(state, geometry=geometry), exchange(context.geometry, geometry_numbers(state.geometry), job)


def _job_said(job: GeometryJob, message: msg.JobMessage, state: State, context: Context) -> Change:
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
        return _refined(message.result, state, context)
    built: BuiltScene = message.result
    return start_preview(replace(state, geometry=replace(state.geometry, scene=built, preview=None)), context)


def _refined(found: Found, state: State, context: Context) -> Change:
    """The path first, so that it can be seen and bent; its depth next."""
    document = doc.with_refinement(state.document, found.trajectory, found.report)
    geometry = replace(state.geometry, cloud=found.cloud, sparse=found.points, scene=None, preview=None)
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


def _scene_task(basis: Basis, geometry: Geometry) -> SceneTask:
    return SceneTask(basis, geometry.cloud if basis.known_from == "refined" else None)


def _report(dispatch: Callable[[AnyMessage], None], message: msg.JobMessage) -> None:
    dispatch(msg.FromGeometry(message))


def in_short(report: RefinementReport) -> str:
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
