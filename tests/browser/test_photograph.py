"""From a photograph to a video of an arc in three clicks, with the geometry that people get; the model is not asked."""

from __future__ import annotations

import pytest
from editor_harness import Editor, wait_for_video
from PIL import Image

from rap.synthetic import SyntheticConfig, render_clips

pytestmark = pytest.mark.timeout(600)
SLOW_MS = 120_000  # in case the machine has other work
COUNT_CLICKS = "window.clicks = 0; addEventListener('click', (event) => { clicks += event.isTrusted; }, true);"


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "room.jpg"
    frame = render_clips(7, 1, SyntheticConfig(size=(96, 128))).frames_u8[0, 0].numpy()
    Image.fromarray(frame).resize((640, 480)).save(path, quality=92)
    return path


def test_three_clicks_from_a_photograph_to_an_arc(running, page, photograph, shot):
    editor = Editor(page, running, unfolded=False)
    page.evaluate(COUNT_CLICKS)
    with page.expect_file_chooser() as chooser:
        page.click("#rap-files button[aria-label='Click to upload or drop files']")  # the first: choose the file
    chooser.value.set_files(str(photograph))
    page.wait_for_selector("#rap-hint .rap-aside:has-text('to walk into the picture')", timeout=SLOW_MS)
    page.click("[data-move='arc-left']")
    page.wait_for_function("document.querySelector('#rap-preview video')?.readyState >= 2", timeout=SLOW_MS)
    assert page.evaluate(
        "(video => video.videoWidth / video.videoHeight)(document.querySelector('#rap-preview video'))"
    ) == (pytest.approx(4 / 3, rel=0.02))
    box = page.locator("#rap-preview video").bounding_box()
    assert box["width"] > 600 and box["height"] > 400, "the picture is the page"
    line = editor.text("rap-preview-line")
    assert "of the pixels are invented" in line and "48° lens assumed" in line
    shot("1-preview")
    editor.press("rap-regenerate")
    page.wait_for_selector("#rap-caption:has-text('the model was not asked')", timeout=SLOW_MS)
    wait_for_video(page)
    assert page.evaluate("document.querySelector('#rap-video video').videoWidth") == 640
    assert "the model was not asked" in editor.text("rap-caption")
    assert page.locator("#rap-preview video").count() == 0, "the take is the same, only larger"
    assert page.evaluate("clicks") == 3
    assert editor.height() <= 900
    shot("2-take")
