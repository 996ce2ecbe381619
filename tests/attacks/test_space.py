"""Rehearsal of a hosted Space: Gradio's variables, one port, a sub-path, and a GPU that is lent to a forked process.

On ZeroGPU itself the app has never run.
"""

from __future__ import annotations

import importlib.util
import io
import json
import multiprocessing
import pickle
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from app_process import ROOT, App, answers, environment, free_port, running
from test_signals import estimate, upload

from rap.config import checkpoint_path
from rap.data import Clip
from rap.errors import InputError
from rap.geometry import preset
from rap.pipeline import EstimateTask, GenerateTask, JointTask, RaPPipeline
from rap.views.hints import plane_hints
from ui.serve.zero_gpu import LentGpu, is_zero_gpu

sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))
from fakes import FakePipeline, moving_frames

FRAMES = moving_frames(5)
ARC = preset("arc-left", num_frames=5, image_size=(96, 128))


class Strict(pickle.Pickler):
    """Takes NumPy and plain values; a tensor must not cross."""

    def reducer_override(self, value):
        if isinstance(value, torch.Tensor):
            raise TypeError(f"a tensor {tuple(value.shape)} was to leave its process")
        return NotImplemented


def crossed(value):
    """What arrives of it on the other side."""
    data = io.BytesIO()
    Strict(data, pickle.HIGHEST_PROTOCOL).dump(value)
    return pickle.loads(data.getvalue())


def work(task, task_stream, pipe):
    """The lent process: each of its words as it arrives."""
    for progress in task_stream(crossed(task)):
        pipe.send(crossed(progress))
    pipe.send(None)


def lend(task_stream):
    """What `spaces.GPU` makes of a generator function: its calls run in a forked process."""

    def lent(task):
        ours, theirs = multiprocessing.get_context("fork").Pipe()
        process = multiprocessing.get_context("fork").Process(target=work, args=(crossed(task), task_stream, theirs))
        process.start()
        try:
            while (progress := ours.recv()) is not None:
                yield progress
        finally:
            process.terminate()
            process.join()

    return lent


@pytest.fixture
def spaces(monkeypatch):
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lend))


def tasks() -> dict:
    hints = plane_hints(FRAMES[:1], (0,), ARC)
    return {
        "estimate": EstimateTask(FRAMES, steps=1),
        "generate": GenerateTask(FRAMES[:1], ARC, steps=1, hints=hints),
        "joint": JointTask(FRAMES[:1], num_frames=5, steps=1, ray_steps=1),
    }


@pytest.mark.parametrize("name", ["estimate", "generate", "joint"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # as on ZeroGPU
def test_a_task_and_all_that_comes_of_it_cross_to_a_forked_process_and_back(spaces, name):
    fake = FakePipeline(steps=2)
    progress = list(LentGpu(lambda: fake).stream(tasks()[name]))
    assert [word.done for word in progress] == [False] * (len(progress) - 1) + [True]
    assert progress[-1].output.frames_u8.shape[0] == 5 and len(progress[-1].output.trajectory) == 5
    assert fake.tasks == [], "it ran in the other process, on the copy"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_refusal_crosses_as_its_sentence_and_a_cancelled_task_ends_its_process(spaces):
    refusing = LentGpu(lambda: FakePipeline(fails_with=InputError("frames_u8: too dark; give a brighter film")))
    with pytest.raises(InputError, match="too dark; give a brighter film"):
        list(refusing.stream(tasks()["estimate"]))
    before = set(multiprocessing.active_children())
    steps = LentGpu(lambda: FakePipeline(steps=1000)).stream(tasks()["estimate"])
    next(steps)
    assert len(set(multiprocessing.active_children()) - before) == 1
    steps.close()
    assert set(multiprocessing.active_children()) == before


def test_all_words_of_the_real_pipeline_are_numpy():
    pipeline = RaPPipeline.from_pretrained(checkpoint_path())
    for task in tasks().values():
        for word in pipeline.stream(crossed(task)):
            again = crossed(word)
        assert isinstance(again.output.raxels, np.ndarray) and again.output.trajectory == word.output.trajectory
    with pytest.raises(TypeError, match="a tensor"):
        crossed(pipeline.transformer.state_dict())


def test_the_seam_is_off_without_the_variable(monkeypatch):
    assert not is_zero_gpu()
    for value, expected in (("1", True), ("true", True), ("0", False), ("", False)):
        monkeypatch.setenv("SPACES_ZERO_GPU", value)
        assert is_zero_gpu() is expected


def test_a_space_without_the_package_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "spaces", None)
    with pytest.raises(ImportError, match="spaces"):
        LentGpu(FakePipeline)


class Lender(BaseHTTPRequestHandler):
    """Hugging Face's service: one GPU, lent to whoever asks."""

    asked: list[str] = []

    def do_POST(self):
        where = self.path.split("?")[0]
        self.asked.append(where)
        body = b"{}"
        if where == "/schedule":
            answer = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "token"}
            body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Not into the test's output."""


@pytest.fixture
def lender():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lender)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def answer_of(app: App, event: str) -> str:
    with urllib.request.urlopen(f"{app.url}/gradio_api/call/estimate_trajectory/{event}", timeout=120) as answer:
        return answer.read().decode()


@pytest.mark.slow  # starts the app in a process of its own
@pytest.mark.timeout(400)
@pytest.mark.skipif(importlib.util.find_spec("spaces") is None, reason="the package spaces is not installed")
def test_the_real_package_lends_the_model_a_process(tmp_path, lender):
    Lender.asked.clear()
    variables = {"SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": lender, "OMP_NUM_THREADS": "1"}
    rehearsal = ("tests/attacks/rehearsal.py",)
    with running(tmp_path, "--device", "cpu", program=rehearsal, variables=variables) as app:
        path = upload(app)
        for _ in range(2):
            said = answer_of(app, estimate(app, path))
            assert "event: complete" in said and "Ts_world_camera" in said, (said, app.words())
        assert "was to leave its process" not in app.words()
        status, seconds = app.ended()
        assert status == 143 and seconds < 10
    assert Lender.asked.count("/schedule") == 2 and "/startup-report" in Lender.asked and "/allow" in Lender.asked


@pytest.mark.slow  # starts the app in a process of its own
@pytest.mark.timeout(400)
def test_gradios_variables_choose_address_port_and_sub_path(tmp_path):
    port = free_port()
    variables = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "GRADIO_ROOT_PATH": "/rays"}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment(tmp_path, **variables))
    app = App(f"http://127.0.0.1:{port}", process, tmp_path / "none")
    try:
        while not answers(app.url):
            assert process.poll() is None
        with urllib.request.urlopen(f"{app.url}/config", timeout=20) as answer:
            assert json.load(answer)["root"].endswith("/rays")
    finally:
        process.kill()
        process.wait()


def test_a_clip_is_numpy():
    """What the geometry needs of it is done where the page is, without a GPU."""
    assert isinstance(crossed(Clip(FRAMES, fps=8.0, name="made")).frames_u8, np.ndarray)
