"""The editor's whole loop in a real browser: predict, bend, keys, take, cancel, verify, compare, save, reopen.

Answers of model and geometry are made up: what is tested is the editor. `test_main_loop.py` has the real ones.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from editor_harness import Editor, bend, closed_tabs_end, wait_for_video
from fakes import wait_until

from rap.data import write_video
from rap.synthetic import SyntheticConfig, render_clips
from ui.document import messages as msg

FEW_STEPS = "4"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A clip that the geometry can be found of."""
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    write_video(path, render_clips(7, 1, SyntheticConfig(size=(96, 128))).frames_u8[0].numpy(), 8.0)
    return path


def open_tab(page, *names):
    for name in names:
        page.click(f"button[role=tab]:text-is('{name}')")


def edits(editor):
    """How many can be undone."""
    return len(editor.document.past)


@contextmanager
def a_take_at_work(editor, pipeline):
    """It has made its first step, and makes no other before this ends."""
    editor.page.fill("#rap-steps input", FEW_STEPS)
    with pipeline.held():
        editor.press("rap-regenerate")
        editor.page.wait_for_selector("#rap-progress:has-text('step 1 of')")
        yield


def wait_for_edits(editor, count):
    wait_until(lambda: edits(editor) == count)


@pytest.mark.slow  # every panel of the page in turn, five takes, and the result in a second browser
def test_the_whole_loop(editor, pipeline, browser, running, video, shot, tmp_path):
    page = editor.page
    editor.give(video)
    editor.press("rap-predict")
    page.wait_for_selector("#rap-verdict .rap-badge")
    editor.show_all()
    bend(editor, 16)
    wait_for_edits(editor, 1)
    bent = editor.document.edited
    editor.press("rap-undo")
    wait_for_edits(editor, 0)
    editor.press("rap-redo")
    wait_for_edits(editor, 1)
    assert editor.document.edited == bent

    insert_a_key(editor)
    shot("1-keys")
    open_tab(page, "Make")
    before = len(editor.document.keys.times)
    editor.press("rap-apply")
    wait_for_edits(editor, 4)
    assert len(editor.document.keys.times) == before, "a preset on keys is held by keys"
    choose_a_source(editor)
    path = editor.document.edited

    with a_take_at_work(editor, pipeline):
        editor.press("rap-cancel")
        page.wait_for_selector("#rap-result-notice:has-text('Cancelled')")
    assert editor.document.takes == ()
    editor.press("rap-regenerate")
    page.wait_for_selector("#rap-caption:has-text('made along this path')")
    wait_for_video(page)
    assert editor.document.take.trajectory == path
    assert "from frames 0, 8" in editor.text("rap-caption")
    wait_until(lambda: editor.document.verification is not None)
    open_tab(page, "Verify")
    page.wait_for_selector("#rap-followed:has-text('R_err')")
    editor.press("rap-worst")
    wait_until(lambda: editor.document.selected == editor.document.verification.worst_frame)
    shot("2-verified")

    compare(editor, tmp_path)
    shot("3-compared")
    assert editor.height() <= 900
    reopened_elsewhere(editor, browser, running, tmp_path, shot)


def choose_a_source(editor):
    """A frame of the filmstrip: the preset is elsewhere there, so that the path is put through its camera."""
    frame = "#rap-sources [data-frame='8']"
    editor.page.click(frame)
    wait_for_edits(editor, 5)
    editor.page.wait_for_selector(f"{frame}.rap-source-on")
    editor.press("rap-undo")
    wait_for_edits(editor, 4)
    editor.page.wait_for_selector(f"{frame}.rap-source-away")
    editor.press("rap-redo")
    wait_for_edits(editor, 5)


def insert_a_key(editor):
    """Hold the path by keys, put the playhead between two of them, and make a key there."""
    page = editor.page
    open_tab(page, "Edit", "Keys")
    editor.press("rap-to-keys")
    wait_for_edits(editor, 2)
    keys = editor.document.keys
    frame = next(i for i in range(1, 16) if keys.key_at(i) is None)
    page.fill("#rap-frame", str(frame))
    wait_until(lambda: editor.session.state.playhead == frame)
    editor.press("rap-key-insert")
    wait_for_edits(editor, 3)
    assert editor.document.keys.key_at(frame) is not None
    assert len(editor.document.keys.times) == len(keys.times) + 1


def compare(editor, folder):
    """A second take, both in step under the wipe, and side by side as a file."""
    page = editor.page
    open_tab(page, "Make")
    page.fill("#rap-seed input", "5")
    editor.press("rap-regenerate")
    page.wait_for_selector(".rap-take >> nth=1")
    open_tab(page, "Compare")
    editor.press("rap-compare")
    page.wait_for_function("[...document.querySelectorAll('.rap-wipe video')].length == 2")
    page.wait_for_function(
        "[...document.querySelectorAll('.rap-wipe video')].every(v => v.readyState >= 3 && !v.paused)"
    )
    times = page.evaluate("[...document.querySelectorAll('.rap-wipe video')].map(v => v.currentTime)")
    assert abs(times[0] - times[1]) < 0.3, "in step"
    page.fill(".rap-wipe-at", "20")
    assert page.evaluate("getComputedStyle(document.querySelector('.rap-wipe')).getPropertyValue('--wipe')") == "20%"
    assert "same path" in editor.text("rap-difference")
    with page.expect_download() as download:
        editor.press("rap-side")
    download.value.save_as(folder / "both.mp4")
    assert (folder / "both.mp4").stat().st_size > 1000


def reopened_elsewhere(editor, browser, running, folder, shot):
    """Saved, and opened in a browser that has never seen this session."""
    open_tab(editor.page, "Keep")
    with editor.page.expect_download() as download:
        editor.press("rap-save")
    download.value.save_as(folder / "work.rap.zip")
    assert download.value.suggested_filename == "walk.rap.zip"
    saved = editor.document
    context = browser.new_context()
    other = Editor(context.new_page(), running)
    open_tab(other.page, "Keep")
    other.page.set_input_files("input[type=file][accept*='.zip']", str(folder / "work.rap.zip"))
    other.page.wait_for_selector("#rap-keep-notice:has-text('is open: 17 cameras, 2 takes')")
    found = other.document
    assert found.edited == saved.edited and found.predicted == saved.predicted and found.refined == saved.refined
    assert found.keys.times == saved.keys.times
    assert [take.stamp for take in found.takes] == [take.stamp for take in saved.takes]
    open_tab(other.page, "Make")
    wait_for_video(other.page)
    assert other.page.locator(".rap-take").count() == 2
    shot("4-reopened")
    context.close()


def test_numbers_and_whole_path_edits_reach_the_path(editor, video):
    page = editor.page
    editor.give(video)
    editor.press("rap-apply")
    page.wait_for_selector("#rap-path-line:has-text('17 cameras')")
    page.uncheck("#rap-soft input")
    open_tab(page, "Edit", "Keys")
    editor.press("rap-to-keys")
    wait_for_edits(editor, 1)
    page.click("#rap-key-choice input")
    page.click("[role=option]:has-text('frame 16')")
    wait_until(lambda: editor.document.selected == 16)
    open_tab(page, "Frame")
    page.fill("#rap-frame-x input", "0.75")
    page.keyboard.press("Enter")
    wait_for_edits(editor, 2)
    assert editor.document.edited.Ts_world_camera[16][0, 3] == 0.75
    page.fill("#rap-frame-fov input", "40")
    editor.press("rap-frame-apply")
    wait_for_edits(editor, 3)
    assert np.degrees(editor.document.edited.fov_y_rad[16]) == pytest.approx(40)

    page.fill("#rap-frame-fov input", "77")  # typed and not used: it must not stay for another camera
    editor.session.dispatch(msg.Select(8))
    page.wait_for_selector("#rap-frame-line:has-text('Frame 8')")
    page.wait_for_function("Number(document.querySelector('#rap-frame-fov input').value) < 77")

    open_tab(page, "Path")
    before = editor.document.edited
    editor.press("rap-mirror")
    wait_for_edits(editor, 4)
    np.testing.assert_allclose(editor.document.edited.centres, before.centres * [-1, 1, 1], atol=1e-9)
    open_tab(page, "Text")
    editor.press("rap-copy-path")
    page.wait_for_function("document.querySelector('#rap-text textarea').value.includes('Ts_world_camera')")
    editor.press("rap-undo")
    wait_for_edits(editor, 3)
    mirrored = editor.document.future[-1].trajectory
    editor.press("rap-paste")
    wait_for_edits(editor, 4)
    assert editor.document.edited == mirrored, "to the bit"


@pytest.mark.slow  # two clips, a reload amid a take, and a tab closed amid another
def test_a_reload_in_mid_generation_finds_the_take_and_a_closed_tab_frees_everything(
    running, pipeline, editor, video, console_errors, tmp_path
):
    page, session, other = editor.page, editor.session, tmp_path / "other.mp4"
    write_video(other, render_clips(8, 1, SyntheticConfig(size=(96, 128))).frames_u8[0].numpy(), 8.0)
    editor.give(video)
    editor.press("rap-apply")
    page.wait_for_selector("#rap-path-line:has-text('17 cameras')")
    with a_take_at_work(editor, pipeline):
        page.reload()
        page.wait_for_selector("#rap-progress:has-text('step 1 of')")
    page.wait_for_selector("#rap-caption:has-text('made along this path')")
    wait_for_video(page)
    editor.give(other)
    page.wait_for_selector("[data-view='clip'][aria-pressed='true']")
    assert page.is_disabled("[data-view='take']"), "of the clip before"
    editor.unfold()
    editor.press("rap-apply")
    page.wait_for_selector("#rap-path-line:has-text('17 cameras')")
    with a_take_at_work(editor, pipeline), closed_tabs_end(running):
        with page.expect_event("close"):  # word of it may come late, and the fixture asks
            page.close()
        wait_until(lambda: session.closed)
    wait_until(lambda: not session.folder.exists())
    wait_until(lambda: not editor.sessions.worker._running)
    console_errors.clear()  # a page that is closed aborts its streams, and says so


def test_play_shortcuts_and_help(editor, video):
    page = editor.page
    editor.give(video)
    editor.press("rap-apply")
    page.wait_for_selector("#rap-frame")
    page.click(".rap-header b")
    page.keyboard.press(".")
    page.keyboard.press(".")
    wait_until(lambda: editor.session.state.playhead == 2)
    page.keyboard.press(",")
    wait_until(lambda: editor.session.state.playhead == 1)
    page.keyboard.press("Space")
    wait_until(lambda: editor.session.state.playhead > 3)
    page.keyboard.press("Space")
    page.check("#rap-fly")
    wait_until(lambda: editor.session.state.through)
    page.keyboard.press("Escape")
    wait_until(lambda: not editor.session.state.through)
    look_through_a_frame(editor, 5)
    page.keyboard.press("?")
    assert page.is_visible("#rap-help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#rap-help")


def look_through_a_frame(editor, frame):
    """By the Frame tab's button: it is the timeline's camera view, at the selected frame."""
    page = editor.page
    for one in [*range(17), frame]:  # many changes at once: the last of them is what is shown in the end
        editor.session.dispatch(msg.Select(one))
    open_tab(page, "Edit")
    page.wait_for_selector(f"#rap-raxels:has-text('frame {frame}') img")
    page.wait_for_selector(f"[data-selected='{frame}']")
    editor.press("rap-frame-through")
    wait_until(lambda: editor.session.state.through and editor.session.state.playhead == frame)
    page.wait_for_selector("#rap-fly:checked")
    page.keyboard.press("Escape")
    wait_until(lambda: not editor.session.state.through)


def test_the_page_is_dark_where_the_system_is_and_the_choice_is_kept(running, page, console_errors):
    page.emulate_media(color_scheme="dark")
    editor = Editor(page, running)
    wait_until(lambda: editor.session.state.is_dark)
    ground = "getComputedStyle(document.querySelector('#rap-help-open')).backgroundColor"
    dark = page.evaluate(ground)
    page.click("#rap-theme")
    wait_until(lambda: not editor.session.state.is_dark)
    page.wait_for_function(f"{ground} !== '{dark}'")
    assert not console_errors
    page.goto(running.url)  # without what the address said
    page.wait_for_selector("#rap-files input[type=file]:enabled", state="attached")
    page.wait_for_function("!document.body.classList.contains('dark')")
    console_errors.clear()  # a page that is left aborts its streams, and says so


def test_a_recording_of_the_computers_camera_becomes_the_clip(editor, shot):
    page = editor.page
    page.click("#rap-record button")
    page.click("#rap-camera [title='grant webcam access'] button")
    page.click("#rap-camera button[aria-label='start recording']")
    page.wait_for_selector("#rap-camera button:has-text('Stop')")
    seen = "document.querySelector('#rap-camera video').getVideoPlaybackQuality().totalVideoFrames"
    shown = page.evaluate(seen) + 60  # three seconds of the made-up camera, longer where it is busy
    page.wait_for_function(f"{seen} > {shown}")
    page.click("#rap-camera button:has-text('Stop')")
    wait_until(lambda: editor.document.clip is not None)
    page.wait_for_selector("#rap-clip:has-text('17 of')")
    assert len(editor.document.clip) == 17
    shot("recorded")
