"""Models in processes of their own: two replicas on the CPU with the embedded model, asked as one pipeline."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest
import ray
from ray import serve

from rap.cli.model import load_pipeline
from rap.errors import InputError
from rap.geometry import preset
from rap.model import RaPTransformer3DModel
from rap.pipeline import EstimateTask, GenerateTask
from ui.document.job_messages import JobCancelled, JobDone, JobProgress
from ui.serve.jobs import Job, Worker
from ui.serve.replicas import BEGUN, RemotePipeline, Serving, deployed
from ui.serve.startup import LOCAL

pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore")]  # Ray's own

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 96, 128, 3), dtype=np.uint8)
ARC = preset("arc-left", num_frames=5, image_size=(96, 128))
LONG = 200  # steps
TWO = Serving(LOCAL, 1, 2, device="cpu")
ENDS_WITHIN_S = 120


@pytest.fixture(scope="module")
def remote():
    pipeline = deployed(TWO)
    yield pipeline
    serve.shutdown()
    ray.shutdown()


def take(seed: int = 0, steps: int = 1) -> GenerateTask:
    return GenerateTask(FRAMES[:1], ARC, steps=steps, seed=seed)


def begun(stream):
    """The first word of a step."""
    return next(word for word in stream if word.steps)


def pids() -> set[int]:
    """Of the replicas that are alive; Ray's processes are children of this one."""
    found = {process.pid: process.cmdline() for process in psutil.Process().children(recursive=True)}
    return {pid for pid, words in found.items() if "".join(words).startswith(f"ray::ServeReplica:{TWO.app}")}


def wait_until(holds) -> None:
    end = time.monotonic() + ENDS_WITHIN_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_more_are_started_while_tasks_wait(remote):
    assert len(pids()) == 1
    longer = GenerateTask(FRAMES[:1], preset("arc-left", num_frames=17, image_size=(96, 128)), steps=LONG)
    streams = [remote.stream(longer) for _ in range(2)]
    threads = [threading.Thread(target=begun, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(pids()) == 2)
    for stream, thread in zip(streams, threads, strict=True):
        thread.join(ENDS_WITHIN_S)
        stream.close()


def test_no_model_is_in_this_process_and_the_takes_are_the_same(remote):
    assert not [value for value in gc.get_objects() if isinstance(value, RaPTransformer3DModel)]
    words = [word for word in remote.stream(take(seed=5, steps=3)) if word.steps]
    assert [(word.step, word.steps) for word in words] == [(1, 3), (2, 3), (3, 3)] and words[-1].done
    there = list(remote.stream(EstimateTask(FRAMES, steps=1)))[-1].output.trajectory
    pipeline = load_pipeline(None, "cpu")
    here = list(pipeline.stream(take(seed=5, steps=3)))[-1].output
    assert np.abs(words[-1].output.frames_u8.astype(int) - here.frames_u8).max() <= 1
    found = list(pipeline.stream(EstimateTask(FRAMES, steps=1)))[-1].output.trajectory
    np.testing.assert_allclose(there.Ts_world_camera, found.Ts_world_camera, atol=1e-4)


def test_a_refusal_comes_back_as_its_sentence(remote):
    with pytest.raises(InputError, match=r"a clip must have 5, 9, 13, 17, ... \(1 \+ 4k\) frames, got 4"):
        list(remote.stream(EstimateTask(FRAMES[:4])))


def test_an_error_comes_back_as_itself(remote):
    with pytest.raises(AttributeError, match="^'str' object has no attribute 'source_frames_u8'$"):
        list(remote.stream("no task"))


def test_two_tasks_run_beside_each_other_and_a_closed_one_makes_room(remote):
    first, second = (remote.stream(take(seed=seed, steps=LONG)) for seed in (1, 2))
    assert begun(first).step == 1 and begun(second).step == 1, "neither waits for the other"
    third = remote.stream(take(seed=3))
    assert next(third).steps == 0, "has not begun"
    third.close()
    for stream in (first, second):
        stream.close()
    started = time.monotonic()
    for seed in (3, 4):
        assert list(remote.stream(take(seed)))[-1].done
    assert time.monotonic() - started < 15, "both replicas are free again"


def test_a_replica_that_is_killed_in_the_middle_is_replaced_once_and_the_take_completes(remote):
    stream = remote.stream(take(seed=6, steps=60))
    assert begun(stream).step == 1
    for pid in pids():
        os.kill(pid, signal.SIGKILL)
    words = [word for word in stream if word.steps]
    assert words[-1].done and words[-1].steps == 60
    assert 1 in [word.step for word in words], "it was begun again"


class Lost:
    """A handle whose replicas end after their first word."""

    def __init__(self):
        self.asked = 0

    def options(self, **_):
        return self

    stream = property(lambda self: self)

    def remote(self, task):
        self.asked += 1
        return self

    def __next__(self):
        return BEGUN

    def __iter__(self):
        raise ray.exceptions.ActorDiedError()

    def cancel(self):
        pass


def test_a_task_that_loses_two_replicas_fails_in_a_sentence():
    lost = Lost()
    with pytest.raises(RuntimeError, match="the model's process has ended, and so has the one after it"):
        list(RemotePipeline(lost).stream(take()))
    assert lost.asked == 2


def test_as_many_jobs_as_lanes_run_at_a_time_and_each_can_be_cancelled(remote, monkeypatch):
    monkeypatch.setattr(RemotePipeline, "close", lambda self: None)  # others need it yet
    worker, told = Worker(lambda: remote, lanes=3), {}

    def submitted(seed, steps):
        job = Job(take(seed, steps), lambda output: output, lambda said: told.setdefault(said.job, []).append(said))
        worker.submit(job)
        return job.number

    def at_work(number):
        return any(isinstance(said, JobProgress) for said in told.get(number, []))

    long, short = submitted(1, LONG), submitted(2, 30)
    wait_until(lambda: at_work(long) and at_work(short))
    third = submitted(3, LONG)  # in its lane, with no replica free
    wait_until(lambda: third in worker._running)
    for number in (third, long):
        worker.cancel(number)
    wait_until(lambda: set(worker._running) <= {short})
    wait_until(lambda: not worker._running)
    assert [type(told[number][-1]) for number in (long, short, third)] == [JobCancelled, JobDone, JobCancelled]
    assert not at_work(third)
    assert worker.memory_bytes is None, "that of this process says nothing of the model"
    worker.close(30)


def test_replicas_that_cannot_be_made_are_told(remote, tmp_path):
    with pytest.raises(InputError, match="--serve local: no replica can be started .*model_index.json"):
        deployed(Serving(LOCAL, cpus=0, checkpoint=str(tmp_path), device="cpu"))


def test_what_cannot_be_reached_is_told(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", broken)
    with pytest.raises(InputError, match="--serve 10.0.0.9:6379: Ray cannot be reached .no way in.; begin it with ray"):
        deployed(Serving("10.0.0.9:6379"))


def broken(**_):
    raise ConnectionError("no way in")
