"""`--kiosk` with a short minute: what goes by while nobody is there, number keys, no file dialogs, a session anew."""

from __future__ import annotations

import gc

import pytest
from fakes import FakePipeline, made_up_geometry, wait_until

from ui import app

pytestmark = pytest.mark.timeout(300)
QUIET_S = 8


@pytest.fixture(scope="module")
def served():
    """The app as a kiosk; nothing it finds costs time."""
    running = app.start(app.parse(["--kiosk", str(QUIET_S), "--predict", "when-asked"]), FakePipeline)
    made_up_geometry(running)
    yield running
    running.close()
    gc.collect()


def only_session(running, but=()):
    """The session of the one page, once there is another than `but`."""
    sessions = running.sessions.result()._sessions
    wait_until(lambda: set(sessions) - set(but))
    (name,) = set(sessions) - set(but)
    return name, sessions[name]


def test_a_kiosk_shows_itself_obeys_the_number_keys_and_begins_anew(running, page, shot, console_errors):
    page.goto(running.url + "?fixedDpr=0.5")
    first, session = only_session(running)
    wait_until(lambda: session.state.document.clip is not None)
    wait_until(lambda: session.state.document.past)
    assert page.is_visible("#rap-kiosk b:has-text('Touch anything')"), "nobody is there"
    shot("alone")

    page.keyboard.press("4")
    wait_until(lambda: session.state.document.past[-1].name == "preset zoom-out")
    page.wait_for_function("!document.querySelector('#rap-kiosk [data-quiet] > b').checkVisibility()")
    assert not page.is_visible("#rap-files") and not page.is_visible("#rap-keep-tab-button")
    page.mouse.move(300, 300)  # a hand is there: nothing begins anew while the next lines look
    dialogs = []
    page.on("filechooser", lambda chooser: dialogs.append(chooser))
    page.evaluate("document.querySelectorAll('input[type=file]').forEach((field) => field.click())")
    count = len(session.state.document.past)

    second, fresh = only_session(running, but=[first])
    assert second != first and fresh.state.document.takes == () and dialogs == []
    assert len(session.state.document.past) == count, "no move went by while a hand was there"
    page.goto("about:blank")
    console_errors.clear()  # a page that is left, as by beginning anew, aborts its streams, and says so
