"""The main job in a real browser: a video in, its path, a drag, a new video; and what may go wrong on the way.

The app is the one `python app.py` starts, in the test's own process. RAP_TEST_CLIP names a folder of frames to use in
place of the procedural clip.
"""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest
from browser_harness import to_css
from editor_harness import Editor, bend, closed_tabs_end, started, wait_for_video
from fakes import wait_until

from rap.data import load_clip, write_video
from rap.synthetic import SyntheticConfig, render_clips
from ui import app
from ui.page import input_panel
from ui.viewport.frustum_shape import frustum_depth, image_corners

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


def test_nothing_is_cut_off_on_narrow_screens(editor, video, shot):
    editor.give(video)
    editor.press("rap-apply")
    editor.page.wait_for_selector("#rap-path-line:has-text('17 cameras')")
    for name, size in (("tablet", (1024, 768)), ("phone", (390, 844))):
        nothing_is_cut_off(editor.page, name, size, shot)


def nothing_is_cut_off(page, name, size, shot):
    """In no tab, nor of the viewport and its tools."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    tabs = page.locator("button[role=tab]")
    assert tabs.count() > 3
    for number in range(tabs.count()):
        tab = tabs.nth(number)
        if not tab.is_visible():
            continue
        tab.click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], tab.inner_text()
        shot(f"{name}-tab-{number}")
    viewport = page.locator("#rap-viewport").bounding_box()
    assert viewport is not None and viewport["width"] > 0.25 * size[0]
    tools = page.locator(".rap-toolbar > *").all()
    boxes = [box for tool in tools if (box := tool.bounding_box()) is not None]
    assert len(boxes) > 5 and max(box["x"] + box["width"] for box in boxes) <= size[0]
    panel = page.frame_locator(".rap-viewport iframe").get_by_text("Scene tree")
    assert panel.count() == 0 or not panel.is_visible(), "viser's own panel would lie over the picture"


def test_a_click_on_empty_space_clears_the_selection(editor, video):
    page = editor.page
    editor.give(video)
    editor.press("rap-apply")
    page.wait_for_selector("#rap-path-line:has-text('17 cameras')")
    client, path = editor.client(), editor.document.edited
    corners = image_corners(path, 16, frustum_depth(path))
    page.mouse.click(*to_css(page, client, corners.mean(axis=0))[0])
    page.wait_for_selector("#rap-path-line:has-text(' selected')")
    editor.client()
    box = page.query_selector("#rap-viewport").bounding_box()
    page.mouse.click(box["x"] + 30, box["y"] + 30)
    page.wait_for_selector("#rap-path-line:has-text('click one to select')")
    assert editor.document.selected is None


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


def test_bad_files_are_refused_and_the_session_goes_on(editor, video, shot, tmp_path):
    page = editor.page
    (tmp_path / "notes.mp4").write_text("this is not a video")
    editor.give(tmp_path / "notes.mp4")
    page.wait_for_selector("#rap-input-notice:has-text('notes.mp4')")
    shot("refused")
    editor.give(video)
    page.wait_for_selector("#rap-clip:has-text('17 frames')")
    page.wait_for_function("!document.querySelector('#rap-input-notice .rap-notice')")


def test_two_people_and_a_reload(editor, browser, running, video, shot):
    page = editor.page
    editor.give(video)
    page.wait_for_selector("#rap-clip:has-text('17 frames')")
    editor.press("rap-apply")
    page.wait_for_selector("#rap-path-line:has-text('17 cameras')")

    context = browser.new_context()
    other = Editor(context.new_page(), running)
    assert other.session is not editor.session and other.document.clip is None
    assert "No clip yet" in other.text("rap-clip") and other.page.is_disabled("#rap-regenerate")
    address = page.get_attribute(".rap-viewport iframe", "src")
    assert other.page.get_attribute(".rap-viewport iframe", "src") != address
    assert editor.session.id not in other.page.content()
    refused = other.page.request.get(running.url + "viewport/" + "x" * 43 + "/")
    assert refused.status == 403
    with closed_tabs_end(running):
        context.close()
        wait_until(lambda: other.session.closed)
    wait_until(lambda: not other.session.folder.exists())

    page.reload()
    page.wait_for_selector("#rap-path-line:has-text('17 cameras')")
    assert page.get_attribute(".rap-viewport iframe", "src") == address
    assert not editor.session.closed
    shot("reloaded")


def test_without_a_websocket_plot_and_table_stand_in(running, page, video, shot, console_errors):
    page.route_web_socket("**/viewport/**", lambda socket: socket.close())
    editor = Editor(page, running)
    page.wait_for_function("document.body.dataset.rapViewport === 'fallback'")
    editor.give(video)
    editor.press("rap-apply")
    page.wait_for_selector("#rap-figure .js-plotly-plot")
    page.wait_for_selector("#rap-figure canvas", state="attached")
    page.wait_for_selector("#rap-table >> text='yaw°' >> visible=true")
    page.wait_for_selector("#rap-table >> text='55' >> visible=true")
    shot("fallback")
    page.fill("#rap-steps input", FEW_STEPS)
    editor.press("rap-regenerate")
    page.wait_for_selector("#rap-caption:has-text('made along this path')")
    console_errors.clear()  # the refused WebSocket is what this test is about


def test_a_viewport_that_lost_webgl_is_drawn_anew(editor, video, page, console_errors):
    editor.give(video)
    editor.press("rap-apply")
    page.wait_for_selector("#rap-path-line:has-text('17 cameras')")
    editor.client()
    before = page.query_selector("#rap-viewport iframe")
    lose = "canvas => canvas.getContext('webgl2').getExtension('WEBGL_lose_context').loseContext()"
    before.content_frame().eval_on_selector("canvas", lose)
    page.wait_for_function("(old) => !old.isConnected", arg=before)
    page.wait_for_selector("body[data-rap-viewport=live] #rap-viewport iframe")
    editor.client()
    console_errors.clear()  # the lost context is what this test is about


@pytest.mark.skipif(not list(input_panel.EXAMPLES.glob("*.mp4")), reason="no example clips in assets/examples")
def test_an_example_is_one_click_away(editor, shot):
    editor.page.click("#rap-examples [title='arc around a table']")
    editor.page.wait_for_selector("#rap-clip:has-text('17 frames')")
    shot("example")
