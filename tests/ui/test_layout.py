"""The page without a browser: what each button says, what is sent and what is not, and what is public."""

from __future__ import annotations

import gc
import subprocess
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from fakes import FakeGeometry, FakePipeline, clip, moving_frames

from rap.data import write_video
from rap.geometry import preset
from ui import document as doc
from ui import layout, panels, plots
from ui import messages as msg
from ui.document import Document, Settings
from ui.geometry import GeometryWorker
from ui.hub import Hub
from ui.jobs import Worker
from ui.panels import ButtonLook
from ui.session import Options, Sessions
from ui.state import JobStatus, Notice

# viser leaves its listening socket, Gradio its event loops to the collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CLIP = clip()
PATH = doc.with_prediction(doc.with_clip(Document(), CLIP), preset("arc-left", image_size=CLIP.image_size))
JOB = JobStatus(1, "regenerate", Settings())


@pytest.fixture(autouse=True, scope="module")
def collected():
    """What these tests leave to the collector is collected here, where its warnings are expected."""
    yield
    gc.collect()


@pytest.fixture
def page():
    hub = Hub()
    sessions: Future[Sessions] = Future()
    sessions.set_result(Sessions(Worker(FakePipeline), GeometryWorker(FakeGeometry), hub, Options()))
    with gr.Blocks() as demo:
        inputs, path, result = layout.input_panel(), layout.path_panel(), layout.result_panel(0, None)
        page = layout.Page(sessions, inputs, path, result)
        layout.wire(demo, page, gr.State(""), gr.State({}))
    yield page
    sessions.result().close()


def sent(page, drawn):
    """elem_ids of the parts that a draw brings to the browser."""
    skip = gr.skip()
    return {part.component.elem_id for part, update in zip(page.parts, drawn[1:], strict=True) if update != skip}


def test_every_listener_is_private():
    demo = layout.build(Future())
    named = {fn.api_name for fn in demo.fns.values() if fn.api_visibility == "public"}
    assert named == set()


def test_every_part_has_a_name_of_its_own(page):
    names = [part.component.elem_id for part in page.parts]
    assert all(names) and len(set(names)) == len(names)


def test_only_what_has_changed_is_sent(page, tmp_path):
    *_, opened = page.open("")
    session_id, seen = opened[0], opened[4]
    assert sent(page, opened[4:]) == {part.component.elem_id for part in page.parts}
    assert sent(page, page.refresh(session_id, seen)) == set()

    write_video(tmp_path / "clip.mp4", moving_frames(17), 8.0)
    drawn = page.upload(session_id, seen, [str(tmp_path / "clip.mp4")])
    assert sent(page, drawn) == {"rap-clip", "rap-hint", "rap-predict", "rap-imagine", "rap-apply", "rap-fov"}
    *steps, drawn = page.predict(session_id, drawn[0], 0)
    assert {"rap-path-line", "rap-regenerate", "rap-export", "rap-motion", "rap-figure"} <= sent(
        page, page.refresh(session_id, {**drawn[0], **{name: () for name in drawn[0]}})
    )
    drawn = page.send(msg.Undo(), session_id, drawn[0])
    assert sent(page, drawn) <= {"rap-path-notice"}, "nothing to undo"
    *steps, drawn = page.regenerate(session_id, drawn[0], 3, 1)
    shown = set().union(*(sent(page, step) for step in [*steps, drawn]))
    assert {"rap-progress", "rap-video", "rap-caption", "rap-cancel", "rap-takes"} <= shown
    assert "rap-motion" not in shown and "rap-viewport" not in shown
    exported = Path(page.export(session_id, "nerfstudio"))
    assert exported.name == "transforms.json" and exported.is_file()


def test_a_page_without_a_session_is_told(page):
    with pytest.raises(gr.Error, match="still starting"):
        page.refresh("", {})
    with pytest.raises(gr.Error, match="has ended"):
        page.refresh("gone", {})
    with pytest.raises(gr.Error, match="no path to export yet"):
        *_, opened = page.open("")
        page.export(opened[0], "npz")


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (panels.predict_button(Document(), None), ButtonLook("Predict path (needs a video)", False)),
        (panels.predict_button(Document(clip=clip(1)), None), ButtonLook("Predict path (needs more frames)", False)),
        (panels.predict_button(PATH, None), ButtonLook("Predict path", True)),
        (panels.predict_button(PATH, JOB), ButtonLook("Predict path (job running)", False)),
        (panels.imagine_button(Document(), None), ButtonLook("Imagine (needs an image)", False)),
        (panels.imagine_button(Document(clip=clip(1)), None), ButtonLook("Imagine path and video", True)),
        (panels.preset_button(Document()), ButtonLook("Apply preset (needs a clip)", False)),
        (panels.regenerate_button(Document(), None), ButtonLook("Regenerate (needs a path)", False)),
        (panels.regenerate_button(PATH, JOB), ButtonLook("Regenerate (job running)", False)),
        (panels.cancel_button(None), ButtonLook("Cancel (no job)", False)),
        (panels.cancel_button(JOB), ButtonLook("Cancel", True)),
        (panels.cancel_button(replace(JOB, phase="cancelling")), ButtonLook("Stopping …", False)),
        (panels.undo_button(PATH), ButtonLook("Undo (no edits)", False)),
        (panels.redo_button(PATH), ButtonLook("Redo (none)", False)),
        (panels.reset_button(Document()), ButtonLook("Reset (no prediction)", False)),
        (panels.reset_button(PATH), ButtonLook("Reset (as predicted)", False)),
        (panels.export_button(Document()), ButtonLook("Export (needs a path)", False)),
    ],
)
def test_a_button_says_what_it_waits_for(look, expected):
    assert look == expected


def test_words_from_outside_are_escaped():
    evil = "<img src=x onerror=alert(1)>"
    for html in (
        panels.clip_card(replace(CLIP, name=evil, notes=(evil,))),
        panels.notice_line(Notice("input", evil, True), "input"),
        panels.progress_card(replace(JOB, waiting_for=evil)),
    ):
        assert "<img src=x" not in html and "&lt;img" in html


def test_a_notice_is_shown_where_it_belongs():
    notice = Notice("input", "holiday.mp4: no video", True)
    shown = panels.notice_line(notice, "input")
    assert "holiday.mp4" in shown and 'role="alert"' in shown
    assert panels.notice_line(notice, "path") == ""


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (replace(JOB, place=2, waiting_for="the jobs before it"), "waiting for the jobs before it (2 ahead)"),
        (replace(JOB, phase="running", step=3, steps=20, seconds_per_step=0.5), "step 3 of 20 · 8.5 s left"),
        (replace(JOB, phase="running", step=1, steps=500, seconds_per_step=0.5), "4 min 9 s left"),
        (replace(JOB, phase="cancelling", step=1, steps=2), "stopping after this step"),
    ],
)
def test_progress_in_words(job, words):
    assert words in panels.progress_card(job)


def test_the_page_does_not_wait_for_torch():
    code = (
        "import sys, app; from concurrent.futures import Future; app.layout.build(Future()); "
        "assert 'torch' not in sys.modules; assert 'viser' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=layout.ASSETS.parent)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (Document(), "Give a video or an image"),
        (Document(clip=clip()), "Predict path"),
        (Document(clip=clip(1)), "Imagine path and video"),
    ],
)
def test_an_empty_viewport_says_what_to_do(document, words):
    assert words in panels.viewport_hint(document.clip, document.edited is not None)
    assert panels.viewport_hint(document.clip, True) == ""
    for draw in (plots.motion_figure, plots.path_figure):
        figure = draw(None, None, None)
        assert not figure.data and "appear" in figure.layout.annotations[0].text
