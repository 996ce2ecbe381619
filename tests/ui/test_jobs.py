"""The worker: order, progress, cancelling in the line and at work, failures, and what is told to whom."""

from __future__ import annotations

import threading
import weakref

import pytest
from fakes import FakePipeline, moving_frames, wait_until

from rap.pipeline import EstimateTask, JointTask, Progress
from ui.document.messages import JobCancelled, JobDone, JobFailed, JobProgress, JobQueued
from ui.serve.jobs import Job, Worker

FRAMES = moving_frames(5)


class Owner:
    """Keeps what it is told."""

    def __init__(self):
        self.messages = []
        self.threads = set()

    def job(self, task=None, keep=lambda output: output.trajectory):
        return Job(task or EstimateTask(FRAMES), keep, self.report)

    def report(self, message):
        self.threads.add(threading.current_thread().name)
        self.messages.append(message)

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]

    def outcome(self):
        wait_until(lambda: self.of(JobDone) or self.of(JobFailed) or self.of(JobCancelled))
        return self.messages[-1]


@pytest.fixture
def start():
    workers = []

    def make(pipeline, load=None):
        workers.append(Worker(load or (lambda: pipeline)))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def test_progress_then_result(start):
    owner, worker = Owner(), start(FakePipeline(steps=3))
    job = owner.job()
    worker.submit(job)
    done = owner.outcome()
    assert isinstance(done, JobDone) and done.job == job.number and len(done.result) == 5
    assert [message.step for message in owner.of(JobProgress)] == [1, 2]
    assert all(message.seconds_per_step is not None for message in owner.of(JobProgress))
    assert worker.seconds_per_step(EstimateTask) == pytest.approx(done.seconds / 3)
    assert worker.seconds_per_step(JointTask) is None


def test_an_idle_worker_holds_nothing_of_its_last_job(start):
    """The result may be a whole scene."""
    owner, worker = Owner(), start(FakePipeline())
    worker.submit(owner.job())
    job, path = weakref.ref(owner.outcome()), weakref.ref(owner.messages.pop().result)
    owner.messages.clear()
    wait_until(lambda: job() is None and path() is None)


def test_what_is_kept_is_kept_before_the_job_is_done(start, tmp_path):
    owner, worker = Owner(), start(FakePipeline())
    seen = []

    def keep(output):
        seen.append((threading.current_thread().name, owner.of(JobDone)))
        return (tmp_path / "take").write_text("on disk")

    worker.submit(owner.job(keep=keep))
    owner.outcome()
    assert seen == [("rap-worker", [])] and (tmp_path / "take").exists()


def test_line_is_first_come_first_served_and_says_the_place(start):
    gate = threading.Semaphore(0)
    pipeline = FakePipeline(steps=1, gate=gate)
    worker, owners = start(pipeline), [Owner() for _ in range(3)]
    tasks = [EstimateTask(FRAMES, seed=seed) for seed in range(3)]
    worker.submit(owners[0].job(tasks[0]))
    wait_until(lambda: pipeline.tasks)
    worker.submit(owners[1].job(tasks[1]))
    worker.submit(owners[2].job(tasks[2]))
    assert [owners[1].of(JobQueued)[-1].place, owners[2].of(JobQueued)[-1].place] == [1, 2]
    gate.release()
    wait_until(lambda: owners[2].of(JobQueued)[-1].place == 1)
    gate.release(2)
    owners[2].outcome()
    assert [task.seed for task in pipeline.tasks] == [0, 1, 2]


def test_cancel_in_the_line(start):
    gate = threading.Semaphore(0)
    pipeline = FakePipeline(steps=1, gate=gate)
    worker, first, second, third = start(pipeline), Owner(), Owner(), Owner()
    worker.submit(first.job())
    wait_until(lambda: pipeline.tasks)
    waiting = second.job()
    worker.submit(waiting)
    worker.submit(third.job())
    worker.cancel(waiting.number)
    assert isinstance(second.outcome(), JobCancelled)
    assert third.of(JobQueued)[-1].place == 1
    gate.release(2)
    assert isinstance(third.outcome(), JobDone)
    assert len(pipeline.tasks) == 2


def test_cancel_at_work_closes_the_generator(start):
    gate = threading.Semaphore(1)
    pipeline = FakePipeline(steps=50, gate=gate)
    worker, owner = start(pipeline), Owner()
    job = owner.job()
    worker.submit(job)
    wait_until(lambda: owner.of(JobProgress))
    worker.cancel(job.number)
    assert isinstance(owner.messages[-1], JobCancelled), "at once, though the step is still at the gate"
    assert pipeline.closed == 0
    gate.release()
    wait_until(lambda: pipeline.closed == 1)
    assert len(owner.of(JobCancelled)) == 1 and owner.messages[-1] is owner.of(JobCancelled)[0]
    worker.cancel(job.number)  # after its end: nothing
    follower = Owner()
    gate.release(50)
    worker.submit(follower.job())
    assert isinstance(follower.outcome(), JobDone)


def test_a_job_that_is_cancelled_too_late_says_how_it_went_and_a_failure_is_logged_to_nobody(start, caplog):
    """A session ends while its take is measured, and the take's file goes with it."""
    owner, worker, is_kept, goes_on = Owner(), start(FakePipeline()), threading.Event(), threading.Event()

    def keep(output):
        is_kept.set()
        assert goes_on.wait(20)
        raise FileNotFoundError("take-1.mp4: no such file or folder")

    job = owner.job(keep=keep)
    worker.submit(job)
    assert is_kept.wait(20)
    worker.cancel(job.number)
    assert owner.of(JobCancelled) == []
    goes_on.set()
    assert isinstance(owner.outcome(), JobFailed) and caplog.records == []


@pytest.mark.parametrize("where", ["stream", "keep"])
def test_a_failure_is_reported_and_the_next_job_runs(start, where):
    pipeline = FakePipeline(fails_with=ValueError("frames_u8 must be …") if where == "stream" else None)
    worker, owner, next_owner = start(pipeline), Owner(), Owner()

    def keep(output):
        raise OSError("no space left on device")

    worker.submit(owner.job(keep=keep if where == "keep" else lambda output: None))
    failed = owner.outcome()
    assert isinstance(failed, JobFailed)
    ours, foreign = "frames_u8 must be …", "no space left on device. Nothing was kept; mend that and try again."
    assert failed.text == (foreign if where == "keep" else ours)
    pipeline.fails_with = None
    worker.submit(next_owner.job())
    assert isinstance(next_owner.outcome(), JobDone)


def test_a_missing_model_is_told_to_every_job_and_loading_is_tried_again(start):
    tries = []

    def load():
        tries.append(1)
        if len(tries) < 3:
            raise FileNotFoundError("checkpoint: nowhere holds no model_index.json")
        return FakePipeline()

    worker, owner, later = start(None, load), Owner(), Owner()
    worker.submit(owner.job())
    assert owner.outcome().text == "checkpoint: nowhere holds no model_index.json"
    worker.submit(later.job())
    assert isinstance(later.outcome(), JobDone)


def test_a_job_that_waits_for_the_model_says_so(start):
    gate = threading.Event()

    def load():
        assert gate.wait(10)
        return FakePipeline()

    worker, owner = start(None, load), Owner()
    worker.submit(owner.job())
    assert owner.of(JobQueued)[-1].waiting_for == "the model to load"
    gate.set()
    assert isinstance(owner.outcome(), JobDone)


def test_a_broken_owner_does_not_stop_the_line(start):
    worker, owner = start(FakePipeline()), Owner()

    def report(message):
        raise RuntimeError("gone")

    worker.submit(Job(EstimateTask(FRAMES), lambda output: None, report))
    worker.submit(owner.job())
    assert isinstance(owner.outcome(), JobDone)


class Elsewhere(FakePipeline):
    """Takes several tasks at once; each waits until `gate` lets it begin."""

    is_elsewhere = True
    left_by = ""

    def stream(self, task):
        while self.gate is not None and not self.gate.acquire(timeout=0.01):
            yield Progress(0, 0)
        yield from FakePipeline().stream(task)

    def close(self):
        self.left_by = threading.current_thread().name


def test_lanes_take_jobs_of_one_line_and_each_job_can_be_cancelled():
    pipeline = Elsewhere(gate=threading.Semaphore(0))
    worker, owners = Worker(lambda: pipeline, lanes=2), [Owner() for _ in range(4)]
    jobs = [owner.job() for owner in owners]
    for job in jobs:
        worker.submit(job)
    wait_until(lambda: len(worker._running) == 2)
    assert [job.number for job in worker._line] == [jobs[2].number, jobs[3].number]
    wait_until(lambda: owners[3].of(JobQueued) and owners[3].of(JobQueued)[-1].place == 3)
    for index in (1, 3):
        worker.cancel(jobs[index].number)
        assert isinstance(owners[index].messages[-1], JobCancelled)
    wait_until(lambda: set(worker._running) == {jobs[0].number, jobs[2].number})
    assert not any(owner.of(JobProgress) for owner in owners), "none has begun"
    pipeline.gate.release(2)
    assert isinstance(owners[0].outcome(), JobDone) and isinstance(owners[2].outcome(), JobDone)
    assert worker.memory_bytes is None, "that of this process says nothing of the model"
    worker.close()
    assert pipeline.left_by == "rap-worker"
    assert not any(thread in worker._threads for thread in threading.enumerate())


def test_close_cancels_all_and_ends_the_thread(start):
    gate = threading.Semaphore(0)
    pipeline = FakePipeline(steps=5, gate=gate)
    worker, running, waiting = start(pipeline), Owner(), Owner()
    worker.submit(running.job())
    wait_until(lambda: pipeline.tasks)
    worker.submit(waiting.job())
    gate.release()
    worker.close()
    assert isinstance(waiting.outcome(), JobCancelled) and isinstance(running.outcome(), JobCancelled)
    assert not any(thread.name == "rap-worker" and thread in worker._threads for thread in threading.enumerate())
    with pytest.raises(RuntimeError, match="takes no more jobs"):
        worker.submit(waiting.job())
