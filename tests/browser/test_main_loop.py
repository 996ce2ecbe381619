"""The main job in a real browser: a video in, its path, a drag, a new video; an image, imagined.

The app is the one `python app.py` starts, in the test's own process. RAP_TEST_CLIP names a folder of frames to use in
place of the procedural clip.
"""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest
from editor_harness import bend, started, wait_for_video
from fakes import wait_until

from rap.data import load_clip, write_video
from rap.synthetic import SyntheticConfig, render_clips
from ui import app

FEW_STEPS = "12"  # enough to be seen at work, too few to wait for


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A clip as an mp4: the frames of RAP_TEST_CLIP, or a procedural scene."""
    folder = os.environ.get("RAP_TEST_CLIP")
    if folder:
        frames, fps = load_clip(folder, stride=2).footage, 12.0
    else:
        frames, fps = render_clips(7, 1, SyntheticConfig(size=(96, 128))).frames_u8[0].numpy(), 8.0
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    write_video(path, frames, fps)
    return path


@pytest.fixture(scope="module")
def served():
    """The app with the embedded model in place of made-up answers."""
    pipeline = app.load_pipeline(app.parse(["--device", "cpu"]))
    yield from started(lambda: pipeline)


@pytest.mark.slow  # predicts and generates with the embedded model
def test_upload_predict_drag_regenerate_export(editor, video, shot, tmp_path):
    page = editor.page
    shot("1-empty")
    assert "needs a video" in editor.text("rap-predict") and page.is_disabled("#rap-predict")
    assert editor.height() <= 900, "the page is one screen high"
    assert "Give a video or an image" in editor.text("rap-stage")

    editor.give(video)
    editor.wait_enabled("rap-predict")
    assert "Press Predict path" in editor.text("rap-stage") and editor.height() <= 900
    page.uncheck("#rap-auto-refine input")
    wait_until(lambda: not editor.session.state.geometry.refine_on)
    editor.press("rap-predict")
    page.wait_for_selector("#rap-path-line:has-text('as predicted')")
    assert "17 cameras" in editor.text("rap-path-line") and editor.document.predicted is not None
    numbers_are_drawn(page)
    editor.client()
    assert "Predicted 17 cameras" in editor.text("rap-stage") and "Press" not in editor.text("rap-stage")
    shot("2-predicted")
    page.uncheck("#rap-use-geometry input")

    page.click("#rap-preset input")
    page.click("[role=option]:has-text('truck-left')")
    editor.press("rap-apply")
    page.wait_for_selector("#rap-path-line:has-text('truck-left')")
    editor.show_all()
    before = editor.document.edited
    selected = bend(editor, len(before) - 1)
    page.wait_for_selector("#rap-undo:has-text('(2)')")
    shot("3-bent")
    bent = editor.document.edited
    shift = np.linalg.norm(bent.centres - before.centres, axis=1)
    assert shift[selected] == pytest.approx(0.25, abs=0.05)
    assert shift[0] == 0 and 0 < shift[selected - 1] < shift[selected]

    undo_and_redo(editor, before, bent)
    page.fill("#rap-steps input", FEW_STEPS)
    editor.press("rap-regenerate")
    # at work, or done before the page looked: what it shows at work is seen in test_editor, where the take is held
    page.wait_for_selector(f"#rap-progress:has-text('of {FEW_STEPS}'), #rap-caption:has-text('made along this path')")
    shot("4-at-work")
    page.wait_for_selector("#rap-caption:has-text('made along this path')")
    wait_for_video(page)
    shot("5-regenerated")
    assert editor.height() <= 900
    take = editor.document.take
    assert "model only" in editor.text("rap-caption")
    assert take.trajectory == bent and str(take.settings.steps) == FEW_STEPS
    assert f"{take.seconds:.1f} s" in editor.text("rap-result-notice") and re.search(
        r"\d steps?, [\d.]+ s a step, up to [\d.]+ GB, measured here", editor.text("rap-cost")
    )

    editor.press("rap-reset")  # the preview of that comes to the front, once it is there
    page.wait_for_selector("#rap-caption:has-text('stale')", state="attached")
    editor.press("rap-undo")
    page.wait_for_selector("#rap-caption:has-text('made along this path')", state="attached")

    export(editor, tmp_path)


def numbers_are_drawn(page):
    """In their fold, which is closed again."""
    page.click("#rap-numbers-fold > button")
    page.wait_for_selector("#rap-motion .js-plotly-plot .scatterlayer .trace")
    page.click("#rap-numbers-fold > button")


def undo_and_redo(editor, before, after):
    """There and back again, to the very values."""
    editor.press("rap-undo")
    editor.page.wait_for_selector("#rap-redo:has-text('(1)')")
    assert editor.document.edited == before
    editor.press("rap-redo")
    editor.page.wait_for_selector("#rap-undo:has-text('(2)')")
    assert editor.document.edited == after


def export(editor, folder):
    """The cameras arrive in the browser as a file."""
    editor.page.click("button[role=tab]:has-text('Keep')")
    with editor.page.expect_download() as download:
        editor.press("rap-export")
    download.value.save_as(folder / "transforms.json")
    assert download.value.suggested_filename == "transforms.json"
    assert len(json.loads((folder / "transforms.json").read_text())["frames"]) == 17


def wait_for_preview(editor, before=b""):
    """The geometry preview of the path as it is now plays on the page."""
    page = editor.page

    def is_current():
        preview = editor.session.state.geometry.preview
        return preview is not None and preview.key[-1] == editor.document.edited.hash and preview.mp4 != before

    wait_until(is_current)
    page.wait_for_selector("#rap-preview-line:has-text('of the pixels were seen')")
    page.wait_for_function("document.querySelector('#rap-preview video')?.readyState >= 2")
    at = page.evaluate("document.querySelector('#rap-preview video').currentTime")
    page.wait_for_function(f"document.querySelector('#rap-preview video').currentTime != {at}")
    return editor.session.state.geometry.preview.mp4


@pytest.mark.slow  # predicts, refines, previews twice and generates, nothing made up
def test_a_prediction_is_refined_shown_in_points_and_previewed(editor, video, shot):
    page = editor.page
    editor.give(video)
    editor.press("rap-predict")
    page.wait_for_selector("#rap-verdict .rap-badge")
    page.wait_for_selector("#rap-path-line:has-text('as refined')")
    page.click("#rap-verdict summary")
    assert "residual" in editor.text("rap-verdict") and "focal length" in editor.text("rap-verdict")
    document, scene = editor.document, editor.session.viewport.started().server.scene
    assert document.edited is document.refined and document.edited.hash != document.predicted.hash
    handles = scene._handle_from_node_name
    assert len(handles["/points"].points) > 50 and "/raw" in handles
    preview = wait_for_preview(editor)
    editor.client()
    shot("1-refined")
    assert editor.height() <= 900, "the page is one screen high"

    bend(editor, len(document.edited) - 1)
    page.wait_for_selector("#rap-undo:has-text('(1)')")
    wait_for_preview(editor, preview)
    editor.client()
    shot("2-bent")
    page.check("#rap-dense input")
    wait_until(lambda: "/dense" in handles and "/points" not in handles)
    editor.client()
    shot("3-dense")

    editor.press("rap-reset")
    page.wait_for_selector("#rap-path-line:has-text('as predicted')")
    editor.press("rap-to-refined")
    page.wait_for_selector("#rap-path-line:has-text('as refined')")
    page.fill("#rap-steps input", FEW_STEPS)
    editor.press("rap-regenerate")
    page.wait_for_selector("#rap-caption:has-text('own frames')")
    wait_for_video(page)
    shot("4-with-geometry")
    assert editor.height() <= 900


def test_an_image_is_imagined_and_cancelled(editor, video, shot, tmp_path):
    page = editor.page
    from PIL import Image

    Image.fromarray(load_clip(video).frames_u8[0]).save(tmp_path / "still.png")
    editor.give(tmp_path / "still.png")
    page.wait_for_selector("#rap-clip:has-text('1 image')")
    page.fill("#rap-steps input", "200")
    editor.press("rap-imagine")
    editor.press("rap-cancel-input")
    page.wait_for_selector("#rap-input-notice:has-text('Cancelled')")
    assert editor.document.take is None and editor.document.edited is None

    page.fill("#rap-steps input", FEW_STEPS)
    editor.press("rap-imagine")
    page.wait_for_selector("#rap-caption:has-text('imagined')")
    wait_for_video(page)
    assert len(editor.document.edited) == 17
    shot("imagined")
