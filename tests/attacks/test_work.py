"""Work without end, as a stranger asks for it through HTTP: refused in a sentence, or ended with whoever asked."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from fakes import FakePipeline, moving_frames, wait_until
from gradio_client import Client, handle_file
from PIL import Image
from strangers import PICTURE, Stranger, running_app

from rap.data import write_video
from rap.geometry import Trajectory, preset, resample
from rap.limits import EXPORTED_CAMERAS, PATH_FRAMES, STEPS
from ui.document.path_text import path_text
from ui.page.api_calls import THREADS, Calls
from ui.page.input_panel import give_example
from ui.page.parts import out_of_limits, picked

WAITING = 16
NUMBERS = itertools.cycle(range(10, 250))
ENDS_WITHIN_S = 20.0  # a step and half a second, on a machine with much other work


@pytest.fixture(scope="module")
def pipeline():
    return FakePipeline(seconds_per_step=0.02)


@pytest.fixture(scope="module")
def running(pipeline, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # in the common folder sessions of other tests come and go
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("sessions")))
        with running_app(pipeline=pipeline) as running:
            yield running


@pytest.fixture
def worker(running):
    return running.sessions.result().worker


@pytest.fixture
def stranger(running):
    """Each from an address of their own: what one may ask for in a minute is tested in `test_floods.py`."""
    with Stranger(running, next(NUMBERS)) as stranger:
        yield stranger


@pytest.fixture(scope="module")
def stored(running, tmp_path_factory):
    """An uploaded picture and an uploaded film, as a call names them."""
    film = tmp_path_factory.mktemp("films") / "film.mp4"
    write_video(film, moving_frames(9), 8.0)
    with Stranger(running, 9) as stranger:
        picture = stranger.stored("picture.png", PICTURE)
        return {"picture": [picture], "film": [stranger.stored("film.mp4", film.read_bytes())]}


def sessions_left():
    return list(Path(tempfile.gettempdir()).glob("rap-session-*"))


def ask(stranger, name, data):
    """Number of a call; `data` in whatever way Python writes JSON, NaN included."""
    response = stranger.post(
        f"gradio_api/call/{name}", content=json.dumps({"data": data}), headers={"content-type": "application/json"}
    )
    return response.raise_for_status().json()["event_id"]


def answer(stranger, name, data):
    """(event, data) that a call ends with."""
    event = None
    with stranger.stream("GET", f"gradio_api/call/{name}/{ask(stranger, name, data)}") as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event in ("complete", "error"):
                return event, json.loads(line.removeprefix("data: "))
    raise AssertionError("the call was not answered")


def refusal(stranger, name, data):
    """The sentence that a call is refused with."""
    event, said = answer(stranger, name, data)
    assert event == "error" and isinstance(said, dict), f"{event}: {str(said)[:200]}"
    assert not str(said["error"]).startswith("'"), "a sentence, and not one in quotes"
    return str(said["error"])


def video(files, *, path=None, name="arc-left", amplitude: Any = 1, geometry: Any = False, steps: Any = 2, **more):
    """The inputs of `generate_video`."""
    late = [more.get(key) for key in ("guidance", "source_frames", "temperature")]
    shape = [more.get(key) for key in ("size", "frames", "fps")]
    return [files, path, name, amplitude, geometry, steps, more.get("seed", 0), *late, False, *shape]


def path_of(frames, size=(96, 128)):
    return json.loads(path_text(resample(preset("arc-left", image_size=size), frames)))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (1e308, "steps must be 1 to 200, got"), (5000, "steps must be 1 to 200, got 5,000"), (-3, "got -3"),
        (10**300, "steps must be 1 to 200, got"), (math.nan, "steps must be"), (math.inf, "steps must be"),
        (2.5, "steps must be a whole number, got 2.5"), (True, "whole number, got True"), ("7", "number, got '7'"),
        ([[[[[7]]]]], "steps must be a whole number, got"), ({"value": 7}, "steps must be a whole number, got"),
    ],
)  # fmt: skip
def test_steps_without_end_or_sense_are_refused(pipeline, stranger, stored, steps, words):
    asked = len(pipeline.tasks)
    for name, data in (
        ("generate_joint", [stored["picture"], steps, 0]),
        ("estimate_trajectory", [stored["film"], False, None, steps, 0]),
        ("generate_video", video(stored["film"], geometry=True, steps=steps)),
    ):
        assert words in refusal(stranger, name, data), name
    assert len(pipeline.tasks) == asked, "nothing was computed for it"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"seed": 2**60}, "seed must be 0 to"), ({"seed": -1}, "seed must be 0 to"), ({"seed": "x"}, "a whole number"),
        ({"amplitude": 1e300}, "amplitude must be -100 to 100, got"), ({"amplitude": "1"}, "must be a number"),
        ({"amplitude": -math.inf}, "amplitude must be"), ({"amplitude": 10**400}, "amplitude must be a number"),
        ({"guidance": 1e9}, "guidance must be 0 to 20, got 1,000,000,000"), ({"guidance": -1}, "guidance must be 0"),
        ({"guidance": []}, "guidance must be a number, got []"),
        ({"temperature": 2}, "temperature must be 0 to 1, got 2"), ({"temperature": math.nan}, "temperature must be"),
        ({"geometry": "no"}, "with_geometry must be true or false, got 'no'"),
        ({"name": "x" * 1_000_000}, "preset must be one of"),
        ({"source_frames": list(range(300))}, "source_frames has"), ({"source_frames": [True]}, "must be a list"),
        ({"source_frames": [10**30]}, "got 1"), ({"path": {"rap": "path"}}, "trajectory: the text lacks"),
    ],
)  # fmt: skip
def test_settings_outside_their_limits_are_refused(pipeline, stranger, stored, inputs, words):
    asked = len(pipeline.tasks)
    said = refusal(stranger, "generate_video", video(stored["picture"], **inputs))
    assert words in said and len(said) < 1_000
    assert len(pipeline.tasks) == asked


def test_paths_of_too_many_frames_are_refused(pipeline, stranger, stored):
    asked = len(pipeline.tasks)
    for frames in (PATH_FRAMES.value + 1, 2_001):
        said = refusal(stranger, "generate_video", video(stored["picture"], path=path_of(frames)))
        assert f"{frames:,}" in said and "at most" in said and "keep fewer frames" in said
    assert len(pipeline.tasks) == asked


def deep(levels):
    nested: Any = []
    for _ in range(levels):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_size": [20000, 20000]}, "image_size must be 1 to 16,384, got 20,000"),
        ({"image_size": [-math.inf, 96]}, "image_size must be"), ({"image_size": [math.nan, 96]}, "image_size must be"),
        ({"image_size": [10**400, 96]}, "trajectory:"), ({"fps": math.nan}, "fps must be positive"),
        ({"fps": 0}, "fps must be positive"), ({"source": 10**20}, "source must be"), ({"intrinsics": []}, "shape"),
        ({"Ts_world_camera": {}}, "Ts_world_camera must be"), ({"Ts_world_camera": "x" * 10_000}, "must be numbers"),
        ({"Ts_world_camera": deep(40)}, "trajectory:"), ({"rap": "x" * 10_000}, "must be a JSON object"),
    ],
)  # fmt: skip
def test_paths_that_no_memory_holds_are_refused(stranger, change, words):
    said = refusal(stranger, "export_cameras", [{**path_of(5), **change}, "nerfstudio"])
    assert words in said and len(said) < 1_000


def test_cameras_without_end_are_not_exported(stranger):
    """As many as the table says are written in each format; one more, or twenty thousand, are refused."""
    assert answer(stranger, "export_cameras", [path_of(40), "nerfstudio"])[0] == "complete"
    for frames in (EXPORTED_CAMERAS.value + 1, 20_001):
        small = {**path_of(5), "Ts_world_camera": [0] * frames}
        said = refusal(stranger, "export_cameras", [small, "nerfstudio"])
        assert f"{frames:,}" in said and "2,000" in said
    assert "format must be one of" in refusal(stranger, "export_cameras", [path_of(5), "x" * 100_000])
    assert sessions_left() == []


def test_a_call_whose_client_goes_is_stopped(pipeline, worker, stranger, stored):
    """Also with the most steps that may be asked for: its job ends, its session goes, and the next one is answered."""
    pipeline.seconds_per_step, closed = 0.2, pipeline.closed
    try:
        number = ask(stranger, "generate_joint", [stored["picture"], STEPS.value, 0])
        with stranger.stream("GET", f"gradio_api/call/generate_joint/{number}"):
            wait_until(lambda: worker._running)
        wait_until(lambda: pipeline.closed == closed + 1, ENDS_WITHIN_S)
        wait_until(lambda: sessions_left() == [], ENDS_WITHIN_S)
    finally:
        pipeline.seconds_per_step = 0.02
    assert answer(stranger, "generate_joint", [stored["picture"], 2, 0])[0] == "complete"


def test_a_call_that_is_cancelled_is_stopped(running, pipeline, worker, tmp_path):
    pipeline.seconds_per_step, closed = 0.2, pipeline.closed
    Image.fromarray(moving_frames(1)[0]).save(tmp_path / "picture.png")
    client = Client(running.url, verbose=False)
    try:
        job = client.submit(files=[handle_file(str(tmp_path / "picture.png"))], steps=150, api_name="/generate_joint")
        # the client, too, must know that its call runs before it can cancel it
        wait_until(lambda: worker._running and job.status().code.name == "PROCESSING")
        job.cancel()
        wait_until(lambda: pipeline.closed == closed + 1, ENDS_WITHIN_S)
        wait_until(lambda: sessions_left() == [], ENDS_WITHIN_S)
    finally:
        pipeline.seconds_per_step = 0.02
        client.close()


def is_at_a_call(frame):
    return any("/ui/page/api" in at.f_code.co_filename for at, _ in traceback.walk_stack(frame))


def test_calls_that_wait_hold_no_threads(pipeline, worker, stranger, stored):
    """All wait for one that stands still; the page answers meanwhile, and when their clients go the line is empty."""
    pipeline.gate = threading.Semaphore(0)
    streams: list[Any] = []
    try:
        for _ in range(WAITING):
            number = ask(stranger, "generate_joint", [stored["picture"], 2, 0])
            stream = stranger.stream("GET", f"gradio_api/call/generate_joint/{number}")
            streams.append(stream)
            stream.__enter__()
        wait_until(lambda: len(worker._line) == WAITING - 1)
        assert sum(map(is_at_a_call, sys._current_frames().values())) <= THREADS, "no thread waits for the model"
        started = time.monotonic()
        assert stranger.get("/").status_code == 200
        assert time.monotonic() - started < 10.0  # a machine with much other work; it takes a tenth of a second
        for stream in streams:
            stream.__exit__(None, None, None)
        wait_until(lambda: not worker._line, ENDS_WITHIN_S)
    finally:
        pipeline.gate.release(1_000)
        wait_until(lambda: not worker._running)
        pipeline.gate = None
    wait_until(lambda: sessions_left() == [], ENDS_WITHIN_S)


def test_many_calls_of_one_visitor_do_not_delay_another(pipeline, worker, running):
    """The flood came first, and yet the job of whoever asks for one thing is next."""
    pipeline.gate = threading.Semaphore(0)
    with Stranger(running, 7) as flood, Stranger(running, 8) as other:
        picture = flood.stored("p.png", PICTURE)
        for _ in range(10):
            ask(flood, "generate_joint", [[picture], 2, 0])
        wait_until(lambda: len(worker._line) == 9)
        ask(other, "generate_joint", [[other.stored("p.png", PICTURE)], 2, 0])
        wait_until(lambda: len(worker._line) == 10)
        try:
            assert next(iter(worker._line)).owner == "127.0.0.8"
        finally:
            pipeline.gate.release(1_000)
            wait_until(lambda: not worker._running)
            pipeline.gate = None


def test_a_call_that_is_cancelled_while_its_session_is_opened_leaves_none():
    opens, closed = threading.Event(), threading.Event()

    def without_page(visitor):
        assert opens.wait(20)
        return SimpleNamespace(close=closed.set)

    async def cancelled():
        sessions: Future[Any] = Future()
        sessions.set_result(SimpleNamespace(without_page=without_page))

        async def call():
            async with Calls(sessions).call():
                raise AssertionError("it was cancelled before")

        task = asyncio.ensure_future(call())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.sleep(0.1)
        opens.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert closed.is_set()


@pytest.mark.parametrize("value", ["7", [7], {"a": 1}, True, math.nan, math.inf, 1e300, 10**400])
def test_numbers_of_the_page_are_numbers(value):
    """What a page never sends, but whoever writes its requests by hand may."""
    for field in (gr.Number(label="Steps", minimum=1, maximum=STEPS.value), gr.Number(label="x"), gr.Slider(0, 1)):
        assert "must be a number, got" in str(out_of_limits(field, value))


@pytest.mark.parametrize("data", [None, [], "x", {}, {"take": "1"}, {"take": 1.5}, {"take": True}, {"take": [1]}])
def test_what_is_picked_is_of_the_kind_that_the_page_sends(data):
    with pytest.raises(gr.Error, match="take must be of type int"):
        picked(data, "take", int)
    assert picked({"take": 1}, "take", int) == 1


@pytest.mark.parametrize("index", [-1, 10**9])
def test_examples_that_are_not_there_are_refused(index):
    with pytest.raises(gr.Error, match="example must be 0 to"):
        give_example(SimpleNamespace(), {"example": index})  # type: ignore[arg-type]


def test_a_library_call_has_the_same_limits():
    """The table is looked up where a task is made, so that no way around the page is wider."""
    from rap import GenerateTask, preset
    from rap.errors import InputError
    from rap.pipeline import EstimateTask, JointTask

    frames, path = moving_frames(1), preset("arc-left", image_size=(96, 128))
    for make in (
        lambda: GenerateTask(frames, path, steps=STEPS.value + 1),
        lambda: GenerateTask(frames, resample(path, PATH_FRAMES.value + 1)),
        lambda: GenerateTask(frames, Trajectory(path.Ts_world_camera, path.intrinsics, (2048, 2048))),
        lambda: GenerateTask(frames, path, temperature=math.nan),
        lambda: EstimateTask(moving_frames(5), steps=0),
        lambda: JointTask(frames, num_frames=1001),
    ):
        with pytest.raises(InputError):
            make()
