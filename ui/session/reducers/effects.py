"""What a change asks for outside the lock: jobs to submit and to stop, files to delete. The session runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rap.errors import InputError
from ui.document.document import Settings
from ui.document.state import Change, Geometry, JobKind, JobStatus, State
from ui.serve.jobs import Job, Worker
from ui.session.reducers.context import Context

Effect = Callable[[], None]


@dataclass(frozen=True, eq=False)
class ModelJob:
    """A job for the model; `keep` and `prepare` as in `ui.serve.jobs.Job`.

    Args:
        by_geometry: the geometry's worker does it, and the model is not waited for.
    """

    kind: JobKind
    task: Any
    settings: Settings
    keep: Callable[[Any], Any]
    prepare: Callable[[Any], Any] | None = None
    by_geometry: bool = False


def start_model(wanted: ModelJob, state: State, context: Context) -> Change:
    """Submit a job. A verification makes way: nobody has asked for it, or they ask for something else now.

    Raises:
        InputError: another job is at work.
    """
    stop = None
    if state.job is not None:
        if state.job.kind != "verify" or wanted.kind == "verify":
            raise InputError(f"{state.job.kind} is still at work; cancel it or wait for it")
        stop = stop_model(state, context)
    job = Job(wanted.task, wanted.keep, context.dispatch, wanted.prepare, context.owner)
    status = JobStatus(job.number, wanted.kind, wanted.settings)
    worker = context.geometry if wanted.by_geometry else context.worker
    return replace(state, job=status, notice=None), together(stop, partial(worker.submit, job))


def stop_model(state: State, context: Context) -> Effect | None:
    """Ends the model's job, if there is one; numbers are unique, whichever worker does it."""
    if state.job is None:
        return None
    number = state.job.number
    return together(partial(context.worker.cancel, number), partial(context.geometry.cancel, number))


def stop_geometry(state: State, context: Context) -> Effect:
    """Ends every job of the geometry's worker, previews too."""
    return stop_jobs(context.geometry, geometry_numbers(state.geometry))


def stop_all(state: State, context: Context) -> Effect:
    """Ends whatever is being made."""
    return together(stop_model(state, context), stop_geometry(state, context))


def stop_jobs(worker: Worker, numbers: tuple[int, ...]) -> Effect:
    """Ends these jobs."""
    return partial(_cancel_all, worker, numbers)


def exchange(worker: Worker, outdated: tuple[int, ...], job: Job) -> Effect:
    """Puts a job in the place of others. It comes first: their last word must find the state that forgot them."""
    return together(partial(worker.submit, job), stop_jobs(worker, outdated))


def delete_files(*files: Path) -> Effect:
    """Deletes what is there of these."""
    return partial(_unlink, files)


def together(*effects: Effect | None) -> Effect:
    """One after the other."""
    return partial(_run, effects)


def geometry_numbers(geometry: Geometry) -> tuple[int, ...]:
    """Of the jobs that the state still names."""
    return tuple(entry.number for entry in (geometry.job, geometry.wanted) if entry is not None)


def _run(effects: tuple[Effect | None, ...]) -> None:
    for effect in effects:
        if effect is not None:
            effect()


def _cancel_all(worker: Worker, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        worker.cancel(number)


def _unlink(files: tuple[Path, ...]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
