"""One worker for the one model: it drains a task's progress generator, and closing that generator is cancelling.

The model is shared by all sessions, so tasks stand in one line (`ui.serve.line`). What becomes of a job goes as
messages to its own `report`; what is kept of its output is decided by its `keep`, which runs here and before the job is
announced as done, so that nothing is ever announced that is not on disk.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ui.document.job_messages import JobCancelled, JobDone, JobFailed, JobMessage, JobProgress, JobQueued
from ui.serve.line import Line
from ui.serve.memory import peak_memory_bytes

logger = logging.getLogger(__name__)

_numbers = itertools.count(1)


class Pipeline(Protocol):
    """What the worker needs of a `rap.pipeline.RaPPipeline`."""

    def stream(self, task: Any) -> Generator[Any, None, None]:
        """Progress values; the last has `done` and `output`."""
        ...


@dataclass(frozen=True, eq=False)
class Job:
    """A task and who asked for it. Numbers are unique in the process, whatever the worker.

    Args:
        task: what the pipeline's `stream` takes.
        prepare: finishes the task; called in the worker's thread when it is the job's turn.
        keep: makes the result of the pipeline's output, files and all; called in the worker's thread.
        report: gets every message about the job, from the worker's thread or from the thread that cancels.
        owner: who has asked for it, as `ui.serve.visitors` names them; owners take turns.
    """

    task: Any
    keep: Callable[[Any], Any]
    report: Callable[[JobMessage], None]
    prepare: Callable[[Any], Any] | None = None
    owner: str = ""
    number: int = field(default_factory=lambda: next(_numbers))
    cancelled: threading.Event = field(default_factory=threading.Event)


class Worker:
    """Runs jobs one after the other in a thread of its own; starts by loading the model.

    No message is sent while the worker's own lock is held, so a receiver may take its own locks.

    Args:
        load: gives the pipeline. When it fails, every job tries again and reports the failure as its own.
        name: of the thread.
    """

    def __init__(self, load: Callable[[], Pipeline], name: str = "rap-worker") -> None:
        self._load = load
        self._pipeline: Pipeline | None = None
        self._line: Line[Job] = Line()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._is_keeping = False  # the running job's result is being written: too late to cancel it
        self._rates: dict[Hashable, float] = {}
        self.memory_bytes: int | None = None
        """The most that was in use at the end of a whole job; None before the first, or where it is not known."""
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Put a job into the line."""
        with self._changed:
            if self._closed:
                raise RuntimeError("the worker has been closed and takes no more jobs")
            self._line.add(job)
            self._changed.notify_all()
        self._tell_places()

    def cancel(self, number: int) -> None:
        """Stop a job, queued or running; nothing for a job that has ended, or whose result is being written.

        It counts as cancelled at once, however long the step it is in still takes; the job after it waits for that.
        """
        with self._changed:
            job = self._stopped(number)
        if job is None:
            return
        _tell(job, JobCancelled(job.number))
        self._tell_places()

    def _stopped(self, number: int) -> Job | None:
        """The job of this number if this call has stopped it."""
        job = self._running
        if job is not None and job.number == number:
            if job.cancelled.is_set() or self._is_keeping:
                return None
            job.cancelled.set()
            return job
        job = next((job for job in self._line if job.number == number), None)
        if job is not None:
            self._line.remove(job)
        return job

    def seconds_per_step(self, measured_as: Hashable) -> float | None:
        """As measured in the last whole job of this kind on this machine, or None.

        Args:
            measured_as: the task's type, or what the task itself says under that name.
        """
        return self._rates.get(measured_as)

    def close(self, timeout_s: float = 10.0) -> None:
        """Cancel everything and end the thread."""
        with self._changed:
            self._closed = True
            waiting = self._line.clear()
            if self._running is not None and not self._running.cancelled.is_set():
                self._running.cancelled.set()
                waiting.append(self._running)
            self._changed.notify_all()
        for job in waiting:
            _tell(job, JobCancelled(job.number))
        self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            self._pipeline = self._load()
        except Exception:  # the thread must live on; the next job tries again and reports what it meets
            logger.exception("%s: what it works with could not be loaded", self._thread.name)
        while (job := self._next()) is not None:
            self._do(job)
            del job  # it waits for the next one, and the last may hold a whole scene

    def _do(self, job: Job) -> None:
        began = time.monotonic()
        try:
            message = self._run(job)
        except Exception as error:  # whatever goes wrong is for its owner to read and must not end the worker
            message = None
            if not job.cancelled.is_set():  # else a session has ended, and taken its folder with it
                logger.exception("job %d failed", job.number)
                message = JobFailed(job.number, explained(error))
        with self._changed:
            self._running, self._is_keeping = None, False
            self._line.served(job.owner, time.monotonic() - began)
        if message is not None:
            _tell(job, message)

    def _next(self) -> Job | None:
        """Wait for the next job; None when the worker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._line)
            if self._closed:
                return None
            self._running = self._line.pop()
            job = self._running
        self._tell_places()
        return job

    def _run(self, job: Job) -> JobMessage | None:
        """The job's last word; None where that was said when it was cancelled."""
        if self._pipeline is None:
            self._pipeline = self._load()
        asked = started = time.monotonic()
        task = job.task
        if job.prepare is not None:
            task = job.prepare(task)
            started = time.monotonic()
        generator = self._pipeline.stream(task)
        try:
            for progress in generator:
                if job.cancelled.is_set():
                    return None
                seconds = time.monotonic() - started
                if progress.done:
                    if not self._begins_to_keep(job):
                        return None
                    self._rates[getattr(job.task, "measured_as", type(job.task))] = seconds / max(progress.steps, 1)
                    self.memory_bytes = peak_memory_bytes()
                    return JobDone(job.number, job.keep(progress.output), seconds + started - asked)
                rate = seconds / progress.step if progress.step else None
                _tell(job, JobProgress(job.number, progress.step, progress.steps, rate, progress.frames_u8))
        finally:
            generator.close()
        raise RuntimeError("the pipeline stopped without a result")

    def _begins_to_keep(self, job: Job) -> bool:
        """From now on the job can no longer be cancelled; False if it has been."""
        with self._changed:
            self._is_keeping = not job.cancelled.is_set()
            return self._is_keeping

    def _tell_places(self) -> None:
        with self._changed:
            waiting, busy = list(self._line), self._running is not None
            loading = self._pipeline is None and not busy
        reason = "the model to load" if loading else "the jobs before it" if busy else ""
        for place, job in enumerate(waiting, start=int(busy)):
            _tell(job, JobQueued(job.number, place, reason))


def explained(error: Exception) -> str:
    """What the person reads of an error: our own sentences as they are, all others with what to do about them."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, ValueError | FileNotFoundError):  # raised with name, value and remedy
        return text
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return f"Not enough memory ({text}). Nothing was kept; close other programs and try again."
    if isinstance(error, OSError):
        return f"{text}. Nothing was kept; mend that and try again."
    remedy = "try again; if it happens again, report it with what the terminal of the app shows"
    return f"Unexpected error, {type(error).__name__}: {text}. Nothing was kept; {remedy}."


def _tell(job: Job, message: JobMessage) -> None:
    """Report, and survive a receiver that fails: its session is broken, the others' are not."""
    try:
        job.report(message)
    except Exception:
        logger.exception("the owner of job %d could not take %s", job.number, type(message).__name__)
