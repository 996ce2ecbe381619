"""What the camera at the playhead sees while a path is bent: newest wish first, nothing for nobody."""

from __future__ import annotations

import io
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from editing import App, at_rest, bent, predicted
from fakes import moving_frames, wait_until
from PIL import Image

from rap.data import write_video
from ui.document import messages as msg
from ui.session.glimpses import Glimpses, Wish

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector
PATH = SimpleNamespace()


class Scene:
    """Shows each frame as a grey of ten times its number, as long as the gate lets it."""

    def __init__(self):
        self.gate, self.begun, self.seen = threading.Semaphore(0), threading.Semaphore(0), []

    def glimpse(self, trajectory, index, held):
        self.begun.release()
        assert self.gate.acquire(timeout=20)
        self.seen.append(index)
        return np.full((4, 6, 3), 10 * index, np.uint8)


@pytest.fixture
def glimpses():
    glimpses = Glimpses()
    yield glimpses
    glimpses.close()


def test_only_the_newest_wish_of_each_session_counts_and_sessions_take_turns(glimpses):
    scene, shown = Scene(), []
    for index, name in ((1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "a")):
        glimpses.ask(name, Wish(scene, PATH, index, shown.append))  # pyright: ignore[reportArgumentType]
        if index == 1:
            assert scene.begun.acquire(timeout=20)
    glimpses.ask("gone", Wish(scene, PATH, 6, shown.append))  # pyright: ignore[reportArgumentType]
    glimpses.forget("gone")
    scene.gate.release(9)
    wait_until(lambda: len(shown) == 3)
    assert scene.seen == [1, 5, 4]
    greys = [np.asarray(Image.open(io.BytesIO(jpeg)))[0, 0, 0] for jpeg in shown]
    np.testing.assert_allclose(greys, [10, 50, 40], atol=1)


def test_a_scene_that_fails_ends_nothing_and_after_the_end_nothing_is_made(glimpses, caplog):
    scene, shown = Scene(), []
    scene.gate.release(9)
    glimpses.ask("a", Wish(object(), PATH, 0, shown.append))  # pyright: ignore[reportArgumentType]
    wait_until(lambda: "a glimpse could not be made" in caplog.text)
    glimpses.ask("a", Wish(scene, PATH, 2, shown.append))  # pyright: ignore[reportArgumentType]
    wait_until(lambda: shown)
    glimpses.close()
    glimpses.ask("a", Wish(scene, PATH, 3, shown.append))  # pyright: ignore[reportArgumentType]
    assert scene.seen == [2]


@pytest.fixture
def looked_at(tmp_path, monkeypatch):
    """A session with a path and a scene, whose page is open; and what it is shown."""
    app, shown = App(), []
    film = tmp_path / "slide.mp4"
    write_video(film, moving_frames(17), 8.0)
    session = app.sessions.open()
    session.dispatch(msg.SetVerify(False))
    predicted(session, film)
    at_rest(session)
    monkeypatch.setattr(app.hub, "connections", lambda sid: 1)
    monkeypatch.setattr(app.hub, "show", lambda sid, told, jpeg: shown.append((sid, told)))
    yield session, shown
    app.close()


def test_a_bent_path_and_a_playhead_that_is_looked_at_are_shown(looked_at):
    session, shown = looked_at
    session.dispatch(msg.SetPlayhead(9, False))
    session.dispatch(msg.SetPlayhead(12, False, looks=True))
    wait_until(lambda: shown)
    bent(session)
    wait_until(lambda: len(shown) > 1)
    first, *_, last = [(told["frame"], told["bent"]) for _, told in shown]
    assert first == (12, False) and last == (session.state.playhead, True)
    assert {sid for sid, _ in shown} == {session.id}


def test_nothing_is_drawn_for_a_page_that_is_closed(looked_at, monkeypatch):
    session, shown = looked_at
    asked = []
    monkeypatch.setattr(session._context.geometry.glimpses, "ask", lambda *wish: asked.append(wish))
    session.dispatch(msg.SetPlayhead(3, False, looks=True))
    monkeypatch.setattr(session._hub, "connections", lambda sid: 0)
    session.dispatch(msg.SetPlayhead(4, False, looks=True))
    assert [wish.index for _, wish in asked] == [3] and not shown
