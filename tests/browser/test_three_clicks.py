"""From a cold page to a video of an arc in three clicks, of a photograph and of a film, by the geometry people get.

The model's answers are made up; of a photograph it is not asked.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from editor_harness import Editor, started, wait_for_video
from PIL import Image

from rap.data import write_video
from rap.synthetic import SyntheticConfig, render_clips

COUNT_CLICKS = "window.clicks = 0; addEventListener('click', (event) => { clicks += event.isTrusted; }, true);"


@pytest.fixture(scope="module")
def served(pipeline):
    """With the geometry that people get."""
    yield from started(lambda: pipeline)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "room.jpg"
    frame = render_clips(7, 1, SyntheticConfig(size=(96, 128))).frames_u8[0, 0].numpy()
    Image.fromarray(frame).resize((640, 480)).save(path, quality=92)
    return path


@pytest.fixture
def at_once(running, monkeypatch):
    """A film's cameras are found as soon as it has been read, as where nobody says otherwise."""
    sessions = running.sessions.result()
    monkeypatch.setattr(sessions, "_options", replace(sessions._options, predict_at_once=True))
    return running


def choose(page, path):
    with page.expect_file_chooser() as chooser:
        page.click("#rap-files button[aria-label='Click to upload or drop files']")
    chooser.value.set_files(str(path))


def test_three_clicks_from_a_film_to_an_arc(at_once, page, tmp_path, shot):
    film = tmp_path / "room.mp4"
    write_video(film, render_clips(7, 1, SyntheticConfig(size=(96, 128))).frames_u8[0].numpy(), 8.0)
    editor = Editor(page, at_once, unfolded=False)
    page.evaluate(COUNT_CLICKS)
    choose(page, film)
    page.wait_for_selector("#rap-stage-clip video")
    page.wait_for_selector("#rap-verdict .rap-badge")
    page.click("[data-move='arc-left']")
    page.wait_for_function("document.querySelector('#rap-preview video')?.readyState >= 2")
    page.wait_for_selector("[data-view='preview'][aria-pressed='true']")
    editor.press("rap-regenerate")
    page.wait_for_selector("[data-view='take'][aria-pressed='true']")
    wait_for_video(page)
    assert page.evaluate("clicks") == 3
    page.click("[data-view='clip']")
    page.wait_for_selector("#rap-stage-clip video")
    assert not page.is_visible("#rap-video")
    page.keyboard.press("x")
    wide = "document.querySelector('#rap-space').offsetWidth > document.querySelector('#rap-picture').offsetWidth"
    page.wait_for_function(wide)
    shot("film")


def test_three_clicks_from_a_photograph_to_an_arc(running, page, photograph, shot):
    editor = Editor(page, running, unfolded=False)
    page.evaluate(COUNT_CLICKS)
    choose(page, photograph)
    page.wait_for_selector("#rap-hint .rap-aside:has-text('to walk into the picture')")
    page.click("[data-move='arc-left']")
    page.wait_for_function("document.querySelector('#rap-preview video')?.readyState >= 2")
    assert page.evaluate(
        "(video => video.videoWidth / video.videoHeight)(document.querySelector('#rap-preview video'))"
    ) == (pytest.approx(4 / 3, rel=0.02))
    box = page.locator("#rap-preview video").bounding_box()
    assert box["width"] > 600 and box["height"] > 400, "the picture is the page"
    line = editor.text("rap-preview-line")
    assert "of the pixels are invented" in line and "48° lens assumed" in line
    page.fill("#rap-frame", "8")
    page.wait_for_selector("[data-rap-glimpse='yes'] #rap-glimpse img[src*='/glimpses/']")
    assert page.evaluate("document.querySelector('#rap-glimpse img').naturalWidth") == 640, "sharper than the preview"
    shot("1-preview")
    editor.press("rap-regenerate")
    page.wait_for_selector("#rap-caption:has-text('the model was not asked')")
    wait_for_video(page)
    assert page.evaluate("document.querySelector('#rap-video video').videoWidth") == 640
    assert "the model was not asked" in editor.text("rap-caption")
    assert page.locator("#rap-preview video").count() == 0, "the take is the same, only larger"
    assert page.evaluate("clicks") == 3
    assert editor.height() <= 900
    shot("2-take")
    page.click("[data-view='clip']")
    page.click("#rap-stage-clip img", position={"x": 300, "y": 200})
    page.wait_for_selector(".rap-pivot-mark[data-placed]")
    box, mark = (page.locator(place).bounding_box() for place in ("#rap-stage-clip img", ".rap-pivot-mark"))
    assert mark["x"] + mark["width"] / 2 - box["x"] == pytest.approx(300, abs=8)
    assert mark["y"] + mark["height"] / 2 - box["y"] == pytest.approx(200, abs=8)
    shot("3-pivot")
    page.keyboard.press("Escape")
    page.wait_for_selector(".rap-pivot-mark", state="detached")
