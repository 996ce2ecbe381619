"""How the model's job goes and ends, as its worker tells it. Word of a job that the state no longer names is none."""

from __future__ import annotations

from dataclasses import replace

from ui.document import document as doc
from ui.document import messages as msg
from ui.document.document import Document, Take
from ui.document.geometry import basis_of, of_another_path
from ui.document.state import Change, Geometry, JobKind, Notice, State
from ui.session.geometry_worker import Filled
from ui.session.reducers.context import Context, Entries
from ui.session.reducers.effects import stop_model, together
from ui.session.reducers.geometry import cancel_geometry
from ui.session.reducers.predictions import predicted, sampled
from ui.session.reducers.takes import show_filled, start_take, start_verification


def cancel(message: msg.Cancel, state: State, context: Context) -> Change:
    """Of the jobs that the message's panel shows; takes that wait go with the one at work."""
    stop_the_geometry = stop_the_model = None
    if message.place != "result":
        state, stop_the_geometry = cancel_geometry(state, context)
    if state.job is not None and message.place in (None, state.job.panel):
        stop_the_model = stop_model(state, context)
        state = replace(state, job=replace(state.job, phase="cancelling"), waiting=())
    return state, together(stop_the_geometry, stop_the_model)


def job_queued(message: msg.JobQueued, state: State, context: Context) -> Change:
    """Its place in the line."""
    if state.job is None or state.job.number != message.job:
        return state, None
    return replace(state, job=replace(state.job, place=message.place, waiting_for=message.waiting_for)), None


def job_progress(message: msg.JobProgress, state: State, context: Context) -> Change:
    """One step more; the last estimate stays until there is a newer one."""
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


def job_done(message: msg.JobDone, state: State, context: Context) -> Change:
    """What becomes of the result, by what was asked for."""
    job = state.job
    if job is None or job.number != message.job:
        return state, None
    if job.kind == "predict":
        return predicted(message.result, message.seconds, state, context)
    if job.kind == "spread":
        return sampled(message.result, state, context)
    if job.kind == "verify":
        verification = replace(message.result, seconds=message.seconds + message.result.seconds)
        return replace(state, document=doc.with_verification(state.document, verification), job=None), None
    if isinstance(message.result, Filled):
        return show_filled(message.result, message.seconds, state, context)
    return _take_made(job.kind, replace(message.result, seconds=job.spent_s + message.seconds), state, context)


def job_failed(message: msg.JobFailed, state: State, context: Context) -> Change:
    """Said where it was asked for; what waits for it is given up."""
    job = state.job
    if job is None or job.number != message.job:
        return state, None
    return replace(state, job=None, waiting=()).refused(job.panel, message.text), None


def job_cancelled(message: msg.JobCancelled, state: State, context: Context) -> Change:
    """Said where it was asked for."""
    job = state.job
    if job is None or job.number != message.job:
        return state, None
    return replace(state, job=None, notice=Notice(job.panel, "Cancelled; nothing was kept.")), None


REDUCERS: Entries = (
    (msg.Cancel, cancel),
    (msg.JobQueued, job_queued),
    (msg.JobProgress, job_progress),
    (msg.JobDone, job_done),
    (msg.JobFailed, job_failed),
    (msg.JobCancelled, job_cancelled),
)


def _take_made(kind: JobKind, take: Take, state: State, context: Context) -> Change:
    """It is shown; then the next take that waits, else its verification."""
    document = state.document
    if kind == "imagine":
        document = doc.with_prediction(document, take.trajectory, follows_clip=False)
        state = replace(state, geometry=_beside_imagined(document, state.geometry))
    notice = Notice("result", f"Take {take.number} is ready after {take.seconds:.1f} s. {take.note}".strip())
    state = replace(state, document=doc.with_take(document, take), job=None, notice=notice)
    if state.waiting:
        wanted, *others = state.waiting
        state, start = start_take(wanted, replace(state, waiting=()), context)
        return replace(state, waiting=tuple(others), notice=notice), start
    return start_verification(take, state, context) if state.verify_on else (state, None)


def _beside_imagined(document: Document, geometry: Geometry) -> Geometry:
    """A path imagined within a picture's own scene leaves that scene as it is."""
    built, another = geometry.scene, of_another_path(geometry)
    basis = basis_of(document, another)
    stays = built is not None and basis is not None and built.basis.key == basis.key
    return replace(another, scene=built) if stays else another
