"""The public endpoints as a program meets them: the README's own lines, refusals in words, nothing left behind."""

from __future__ import annotations

import gc
import re
import tempfile
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeGeometry, FakePipeline, moving_frames, wait_until
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from rap import formats
from rap.config import ASSETS
from rap.data import load_clip, write_video
from rap.pipeline import EstimateTask, GenerateTask, JointTask
from ui.document.path_text import read_path
from ui.page import layout
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.sessions import Sessions

# viser and Gradio's client leave sockets and loops to the collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class App:
    """The app on a port of its own, with a pipeline that answers without a model."""

    def __init__(self) -> None:
        self.pipeline, hub = FakePipeline(), Hub(grace_s=60.0)
        self.sessions = Sessions(Worker(lambda: self.pipeline), GeometryWorker(lambda: FakeGeometry()), hub, Options())
        resolved: Future[Sessions] = Future()
        resolved.set_result(self.sessions)
        self.demo = layout.build(resolved)
        options = {**layout.launch_options(), "app_kwargs": {"routes": hub.routes()}, "prevent_thread_lock": True}
        _, self.url, _ = self.demo.queue(default_concurrency_limit=None).launch(**options)

    def close(self) -> None:
        self.sessions.close()
        self.demo.close(verbose=False)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # in the common folder sessions of other tests come and go
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("sessions")))
        running = App()
        yield running
        running.close()
    gc.collect()


@pytest.fixture(scope="module")
def client(app):
    client = Client(app.url, verbose=False)
    yield client
    client.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, moving_frames(17), 8.0)
    return path


def session_folders():
    return set(Path(tempfile.gettempdir()).glob("rap-session-*"))


def test_the_readmes_example_runs_as_it_stands(app, clip, monkeypatch):
    text = (ASSETS.parent / "README.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "gradio_client" in block]
    monkeypatch.chdir(clip.parent)
    before, names = session_folders(), {}
    exec(code.replace("http://127.0.0.1:7860/", app.url), names)
    names["app"].close()
    assert [type(task) for task in app.pipeline.tasks] == [EstimateTask, *[EstimateTask, GenerateTask] * 2]
    assert app.pipeline.tasks[-1].steps == 4 and app.pipeline.tasks[-1].hints is not None
    assert len(load_clip(names["video"], stride=1)) == 17 and names["report"]["verdict"] == "good"
    path = read_path(str(names["path"]).replace("'", '"'), 17)
    assert path == app.pipeline.tasks[-1].trajectory, "what went in and came out is the same to the bit"
    exported = formats.read(Path(names["cameras"]), format_name="nerfstudio")
    np.testing.assert_allclose(exported.Ts_world_camera, path.Ts_world_camera, atol=1e-9)
    assert len(app.sessions) == 0
    wait_until(lambda: session_folders() == before)  # a preview being written ends first


def test_a_video_from_several_frames_of_the_clip(app, client, clip):
    """The path goes through their cameras, and the model is given these frames and no other."""
    files = [handle_file(str(clip))]
    own, _ = client.predict(files=files, api_name="/estimate_trajectory")
    asked = {"files": files, "source_frames": [8, 16], "preset": "arc-left"}
    _, path = client.predict(**asked, api_name="/generate_video")
    task = app.pipeline.tasks[-1]
    assert isinstance(task, GenerateTask) and task.source_indices == (8, 16)
    assert len(task.source_frames_u8) == 2
    cameras, through = (read_path(str(one).replace("'", '"'), 17) for one in (own, path))
    np.testing.assert_allclose(through.Ts_world_camera[[8, 16]], cameras.Ts_world_camera[[8, 16]], atol=1e-6)
    assert not np.allclose(through.Ts_world_camera[4], cameras.Ts_world_camera[4], atol=1e-3)


@pytest.mark.parametrize(
    ("frames", "sentence"), [([99], "0 to 16, got 99"), (["8"], "source_frames must be a list of numbers")]
)
def test_source_frames_that_are_not_the_clips_are_refused(client, clip, frames, sentence):
    with pytest.raises(AppError, match=sentence):
        client.predict(files=[handle_file(str(clip))], source_frames=frames, api_name="/generate_video")


def test_a_video_and_its_path_from_one_image(app, client, clip):
    video, path = client.predict(files=[handle_file(str(clip))], steps=2, seed=3, api_name="/generate_joint")
    task = app.pipeline.tasks[-1]
    assert isinstance(task, JointTask) and (task.steps, task.seed) == (2, 3)
    assert len(load_clip(video, stride=1)) == len(path["Ts_world_camera"]) == 17


@pytest.mark.parametrize(
    ("endpoint", "inputs", "sentence"),
    [
        ("/estimate_trajectory", {"files": None}, "files must name a video"),
        ("/estimate_trajectory", {"files": "text"}, "notes.txt"),
        ("/generate_video", {"files": "clip", "trajectory": None, "preset": "loop-the-loop"}, "preset must be one of"),
        ("/generate_video", {"files": "clip", "trajectory": {"rap": "pose"}}, "trajectory: the text must be"),
        ("/export_cameras", {"trajectory": {"rap": "path"}, "format": "nerfstudio"}, "lacks image_size"),
        ("/export_cameras", {"trajectory": {}, "format": "fbx"}, "format must be one of nerfstudio"),
    ],
)
def test_what_is_wrong_is_said_as_on_the_page(client, clip, tmp_path, endpoint, inputs, sentence):
    (tmp_path / "notes.txt").write_text("no film")
    named = {"clip": clip, "text": tmp_path / "notes.txt"}
    if inputs.get("files"):
        inputs = {**inputs, "files": [handle_file(str(named[inputs["files"]]))]}
    before = session_folders()
    with pytest.raises(AppError, match=sentence):
        client.predict(**inputs, api_name=endpoint)
    wait_until(lambda: session_folders() == before)  # a preview being written ends first
