"""A page outside the cluster: through Ray's client, to a cluster of this machine that was started for it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import ray
from processes import free_port

from rap.cli.model import load_pipeline
from rap.errors import InputError
from rap.geometry import preset
from rap.pipeline import EstimateTask, GenerateTask
from ui.serve import replicas
from ui.serve.replicas import RelayedPipeline, Serving, deployed

pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore")]  # Ray's own

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 96, 128, 3), dtype=np.uint8)
ARC = preset("arc-left", num_frames=5, image_size=(96, 128))
STORE_BYTES = 100_000_000
STARTS_WITHIN_S = 120


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[str, subprocess.Popen]]:
    """The address for clients, and the process whose end is the cluster's."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # pytest's own is too long for the names of Ray's sockets
    port, client_port = free_port(), free_port()
    command = (Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--disable-usage-stats")
    size = ("--num-cpus", 2, "--object-store-memory", STORE_BYTES, "--include-dashboard", "false")
    ports = ("--port", port, "--ray-client-server-port", client_port)
    open_to_all = {**os.environ, "RAY_AUTH_MODE": "disabled"}  # else it takes the token of whoever runs the tests
    words = (*command, *size, *ports, "--temp-dir", folder)
    with Path(folder, "head.log").open("w") as log:
        given = {"stdout": log, "stderr": subprocess.STDOUT, "env": open_to_all, "start_new_session": True}
        process = subprocess.Popen(list(map(str, words)), **given)
    end = time.monotonic() + STARTS_WITHIN_S
    while "Ray runtime started" not in Path(folder, "head.log").read_text():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.2)
    yield f"ray://127.0.0.1:{client_port}", process
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait(30)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def remote(head) -> Iterator[RelayedPipeline]:
    pipeline = deployed(Serving(head[0], 1, 1, device="cpu"))
    assert isinstance(pipeline, RelayedPipeline)
    yield pipeline
    pipeline.close()


def take(seed: int = 0, steps: int = 1) -> GenerateTask:
    return GenerateTask(FRAMES[:1], ARC, steps=steps, seed=seed)


def pids(head, name: str) -> list[int]:
    """Of the cluster's processes of that name."""
    found = psutil.Process(head[1].pid).children(recursive=True)
    return [process.pid for process in found if "".join(process.cmdline()).startswith(f"ray::{name}")]


def test_takes_from_outside_are_those_made_here_step_by_step(remote):
    words = [word for word in remote.stream(take(seed=5, steps=3)) if word.steps]
    assert [(word.step, word.steps) for word in words] == [(1, 3), (2, 3), (3, 3)] and words[-1].done
    here = list(load_pipeline(None, "cpu").stream(take(seed=5, steps=3)))[-1].output
    assert np.abs(words[-1].output.frames_u8.astype(int) - here.frames_u8).max() <= 1


def test_a_refusal_is_its_sentence_and_a_closed_take_makes_room(remote):
    with pytest.raises(InputError, match=r"a clip must have 5, 9, 13, 17, ... \(1 \+ 4k\) frames, got 4"):
        list(remote.stream(EstimateTask(FRAMES[:4])))
    with pytest.raises(AttributeError, match="^'str' object has no attribute 'source_frames_u8'$"):
        list(remote.stream("no task"))
    long = remote.stream(take(steps=200))
    assert next(word for word in long if word.steps).step == 1
    long.close()
    assert list(remote.stream(take()))[-1].done, "by the one replica there is"


def test_a_go_between_that_ends_in_the_middle_is_replaced_and_the_take_completes(head, remote):
    stream = remote.stream(take(seed=6, steps=60))
    assert next(word for word in stream if word.steps).step == 1
    (pid,) = pids(head, "Relay")
    os.kill(pid, signal.SIGKILL)
    words = [word for word in stream if word.steps]
    assert words[-1].done and 1 in [word.step for word in words], "it was begun again"


def test_a_clients_process_that_ends_as_it_begins_is_asked_for_once_more(monkeypatch):
    asked = []

    def init(**options):
        asked.append(options["address"])
        if len(asked) == 1:
            raise ConnectionAbortedError("Initialization failure from server:\nPID still exists but it's a zombie")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    replicas._connect(Serving("ray://elsewhere:10001"))
    assert asked == ["ray://elsewhere:10001"] * 2


def test_what_the_cluster_refuses_is_said_outside(monkeypatch):
    monkeypatch.setattr(replicas, "within", refusing)
    monkeypatch.setattr(ray, "remote", here)
    monkeypatch.setattr(ray, "get", lambda found: found)
    with pytest.raises(InputError, match="^--serve ray://a:1: no replica can be started$"):
        RelayedPipeline(Serving("ray://a:1"))


def refusing(serving):
    raise InputError(f"--serve {serving.address}: no replica can be started")


def here(kind):
    """An actor that is no process: `kind.options(...).remote(...)`, then `actor.prepare.remote()`."""

    def actor(*given):
        return SimpleNamespace(prepare=SimpleNamespace(remote=kind(*given).prepare))

    return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=actor))
