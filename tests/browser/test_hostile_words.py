"""A session file whose every text is a script, opened in a real browser: nothing runs, and the text is read as it is.

What each part of the page makes of such texts is tested without a browser in `tests/attacks/test_script.py`.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import pytest
from browser_harness import WAIT_MS
from editor_harness import Editor

from ui import app
from ui.session import session_file

sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))
sys.path.insert(0, str(Path(__file__).parents[1] / "attacks"))
from fakes import FakePipeline, wait_until
from hostile_words import HOSTILE, SHORT, hostile_document

pytestmark = pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")  # Gradio's statistics, with recent pandas
FIRED = "window.fired ?? null"
STRANGE = "document.querySelectorAll('[onerror], [onload], img[src=x], script:not([src]):not([type])').length"


@pytest.fixture(scope="module")
def running():
    running = app.start(app.parse([]), FakePipeline)
    running.sessions.result(timeout=120)
    yield running
    running.close()
    gc.collect()


@pytest.fixture
def editor(running, browser):
    """Without the check of the console, where a browser may say what it has refused."""
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    yield Editor(page, running)
    page.close()


def open_session(editor, path):
    editor.page.click("role=tab[name=Keep]")
    editor.page.set_input_files("input[type=file][accept*='.zip']", str(path))


def test_what_a_session_file_says_is_text(editor, tmp_path):
    session_file.save(tmp_path / "hostile.zip", hostile_document(tmp_path))
    page, own = editor.page, editor.page.evaluate(STRANGE)
    open_session(editor, tmp_path / "hostile.zip")
    page.wait_for_function("document.querySelector('#rap-clip').innerText.includes('window.fired')")
    assert HOSTILE in editor.text("rap-clip")
    for tab, place in (("Verify", "rap-followed"), ("Compare", "rap-compare-tab"), ("Make", "rap-takes")):
        page.click(f"role=tab[name={tab}]")
        page.wait_for_timeout(300)
        if tab == "Compare":
            editor.press("rap-compare")
            page.wait_for_selector(".rap-wipe video")
        else:
            if tab == "Verify":
                page.click("#rap-followed summary")
            page.wait_for_function(f"document.querySelector('#{place}').innerText.includes('window.fired')")
    page.click("#rap-verdict summary")
    assert HOSTILE in page.inner_text("#rap-verdict")
    page.wait_for_timeout(500)
    assert page.evaluate(FIRED) is None and page.evaluate(STRANGE) == own


def test_words_that_only_the_app_should_have_written_are_text_or_refused(editor, tmp_path):
    session_file.save(tmp_path / f"{SHORT}.zip", hostile_document(tmp_path, "made", enumerations=HOSTILE))
    page, own = editor.page, editor.page.evaluate(STRANGE)
    open_session(editor, tmp_path / f"{SHORT}.zip")
    wait_until(lambda: editor.session.state.document.takes or editor.session.state.notice is not None)
    page.wait_for_function("document.querySelector('#rap-keep-notice').innerText.length > 0")
    page.wait_for_timeout(500)
    assert page.evaluate(FIRED) is None and page.evaluate(STRANGE) == own


def test_what_pops_up_is_text(editor, monkeypatch):
    """Gradio shows the words of an error as HTML."""

    def gone(session_id):
        raise ValueError(f"no session of the name {HOSTILE}")

    own = editor.page.evaluate(STRANGE)
    monkeypatch.setattr(editor.sessions, "get", gone)
    editor.page.click("#rap-theme")
    toast = editor.page.wait_for_selector(".toast-body:has-text('no session of the name')")
    assert HOSTILE in toast.inner_text()
    editor.page.wait_for_timeout(300)
    assert editor.page.evaluate(FIRED) is None and editor.page.evaluate(STRANGE) == own


def test_what_is_typed_is_text(editor, tmp_path):
    session_file.save(tmp_path / "plain.zip", hostile_document(tmp_path, "made"))
    page, own = editor.page, editor.page.evaluate(STRANGE)
    open_session(editor, tmp_path / "plain.zip")
    wait_until(lambda: len(editor.document.takes) == 2)
    page.click("role=tab[name=Make]")
    page.wait_for_selector("#rap-take-name input:enabled, #rap-take-name textarea:enabled")
    page.fill("#rap-take-name input, #rap-take-name textarea", SHORT)
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('#rap-takes').innerText.includes({SHORT!r})")
    page.click("role=tab[name=Edit]")
    page.click("role=tab[name=Text]")
    page.fill("#rap-text textarea", json.dumps({"rap": HOSTILE}))
    editor.press("rap-paste")
    page.wait_for_selector("#rap-text .rap-wrong")
    page.wait_for_timeout(300)
    assert page.evaluate(FIRED) is None and page.evaluate(STRANGE) == own
