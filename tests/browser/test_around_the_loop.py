"""What happens around the main job in a real browser: narrow screens, bad files, two people, no 3D view.

Model and geometry are made up; `test_main_loop.py` has the real ones.
"""

from __future__ import annotations

import pytest
from browser_harness import to_css
from editor_harness import Editor, closed_tabs_end
from fakes import moving_frames, wait_until

from rap.data import write_video
from ui.page import input_panel
from ui.viewport.frustum_shape import frustum_depth, image_corners


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    write_video(path, moving_frames(17), 8.0)
    return path


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


def test_bad_files_are_refused_and_the_session_goes_on(editor, video, shot, tmp_path):
    page = editor.page
    (tmp_path / "notes.mp4").write_text("this is not a video")
    editor.give(tmp_path / "notes.mp4")
    page.wait_for_selector("#rap-input-notice:has-text('notes.mp4')")
    shot("refused")
    editor.give(video)
    page.wait_for_selector("#rap-clip:has-text('17 frames')")
    page.wait_for_function("!document.querySelector('#rap-input-notice .rap-notice')")


def test_two_people_and_a_reload(editor, browser, running, video, shot, console_errors):
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

    assert not console_errors
    page.reload()
    console_errors.clear()  # a page that is left aborts its streams, and says so
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
