"""One worker for the one model: it drains a task's progress generator, and closing that generator is cancelling.

The model is shared by all sessions, so tasks stand in one line (`ui.serve.line`); where the model is several, in other
processes (`ui.serve.replicas`), as many leave it at a time, each into a thread. What becomes of a job goes as messages
to its own `report`; what is kept of its output is decided by its `keep`, which runs here and before the job is
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
        """Progress values; the last has `done` and `output`. One of no steps says that the task has not begun.

        A pipeline in other processes has `is_elsewhere` set, and is closed in the thread that has loaded it.
        """
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


@dataclass(eq=False)
class _Turn:
    """A job at work."""

    job: Job
    began: float = field(default_factory=time.monotonic)
    is_keeping: bool = False  # its result is being written: too late to cancel it


class Worker:
    """Runs jobs one after the other in a thread of its own, or in several; starts by loading the model.

    No message is sent while the worker's own lock is held, so a receiver may take its own locks.

    Args:
        load: gives the pipeline. When it fails, every job tries again and reports the failure as its own.
        name: of the threads.
        lanes: jobs at the same time: more than one where the pipeline takes several tasks at once.
    """

    def __init__(self, load: Callable[[], Pipeline], name: str = "rap-worker", lanes: int = 1) -> None:
        self._load, self._loading = load, threading.Lock()
        self._pipeline: Pipeline | None = None
        self._line: Line[Job] = Line()
        self._running: dict[int, _Turn] = {}  # by the job's number
        self._changed = threading.Condition()
        self._closed = False
        self._rates: dict[Hashable, float] = {}
        self.memory_bytes: int | None = None
        """The most that was in use at the end of a whole job; None before the first, or where it is not known."""
        self._threads = [threading.Thread(target=self._drain, name=name, daemon=True) for _ in range(lanes - 1)]
        self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
        self._threads[-1].start()  # the others when it has loaded

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
        turn = self._running.get(number)
        if turn is not None:
            is_late = turn.job.cancelled.is_set() or turn.is_keeping
            turn.job.cancelled.set()  # late, too: nobody may be left to log a failure for
            return None if is_late else turn.job
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
        """Cancel everything and end the threads, which have so long together."""
        with self._changed:
            self._closed = True
            waiting = self._line.clear()
            for turn in self._running.values():
                if not turn.job.cancelled.is_set():
                    turn.job.cancelled.set()
                    waiting.append(turn.job)
            self._changed.notify_all()
        for job in waiting:
            _tell(job, JobCancelled(job.number))
        end = time.monotonic() + timeout_s
        for thread in filter(threading.Thread.is_alive, self._threads):
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        try:
            self._loaded()
        except Exception:  # the thread must live on; the next job tries again and reports what it meets
            logger.exception("%s: what it works with could not be loaded", threading.current_thread().name)
        for thread in self._threads[:-1]:
            thread.start()
        self._drain()
        if getattr(self._pipeline, "is_elsewhere", False):
            self._pipeline.close()

    def _drain(self) -> None:
        while (turn := self._next()) is not None:
            self._do(turn)
            del turn  # it waits for the next one, and the last may hold a whole scene

    def _do(self, turn: _Turn) -> None:
        job = turn.job
        try:
            message = self._run(turn)
        except Exception as error:  # whatever goes wrong is for its owner to read and must not end the worker
            has_ended = job.cancelled.is_set()  # its session often, too, which has taken its folder with it
            if not has_ended:
                logger.exception("job %d failed", job.number)
            message = JobFailed(job.number, explained(error)) if turn.is_keeping or not has_ended else None
        with self._changed:
            del self._running[job.number]
            self._line.served(job, time.monotonic() - turn.began)
        if message is not None:
            _tell(job, message)

    def _next(self) -> _Turn | None:
        """Wait for the next job; None when the worker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._line)
            if self._closed:
                return None
            turn = _Turn(self._line.pop())
            self._running[turn.job.number] = turn
        self._tell_places()
        return turn

    def _run(self, turn: _Turn) -> JobMessage | None:
        """The job's last word; None where that was said when it was cancelled."""
        job, pipeline = turn.job, self._loaded()
        asked = started = time.monotonic()
        task = job.task
        if job.prepare is not None:
            task = job.prepare(task)
            started = time.monotonic()
        generator = pipeline.stream(task)
        try:
            for progress in generator:
                if job.cancelled.is_set():
                    return None
                if not progress.steps:  # waiting is neither charged nor counted into the speed
                    turn.began = started = time.monotonic()
                    continue
                seconds = time.monotonic() - started
                if progress.done:
                    if not self._begins_to_keep(turn):
                        return None
                    self._rates[getattr(job.task, "measured_as", type(job.task))] = seconds / max(progress.steps, 1)
                    self.memory_bytes = None if getattr(pipeline, "is_elsewhere", False) else peak_memory_bytes()
                    return JobDone(job.number, job.keep(progress.output), seconds + started - asked)
                rate = seconds / progress.step if progress.step else None
                _tell(job, JobProgress(job.number, progress.step, progress.steps, rate, progress.frames_u8))
        finally:
            generator.close()
        raise RuntimeError("the pipeline stopped without a result")

    def _loaded(self) -> Pipeline:
        """The pipeline; the first thread to ask loads it for all."""
        with self._loading:
            if self._pipeline is None:
                self._pipeline = self._load()
            return self._pipeline

    def _begins_to_keep(self, turn: _Turn) -> bool:
        """From now on the job can no longer be cancelled; False if it has been."""
        with self._changed:
            turn.is_keeping = not turn.job.cancelled.is_set()
            return turn.is_keeping

    def _tell_places(self) -> None:
        with self._changed:
            waiting, busy = list(self._line), len(self._running)
            loading = self._pipeline is None and not busy
        reason = "the model to load" if loading else "the jobs before it" if busy else ""
        for place, job in enumerate(waiting, start=busy):
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
