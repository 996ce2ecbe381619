"""The session as a whole: from an upload to a take, privacy, and what is freed."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from editing import App, finish, give, moved, predicted
from fakes import wait_until

from rap import formats
from rap.data import load_clip
from rap.pipeline import EstimateTask, GenerateTask
from ui.document import messages as msg
from ui.session.sessions import SessionGone

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector


def test_the_main_loop(session, app, video, tmp_path):
    state = give(session, video)
    assert len(state.document.clip) == 17 and state.notice is None
    session.dispatch(msg.Predict(seed=3))
    state = finish(session)
    assert state.document.predicted == state.document.edited and "Predicted 17 cameras" in state.notice.text
    task = app.pipeline.tasks[-1]
    assert isinstance(task, EstimateTask) and task.seed == 3 and task.fps == state.document.clip.fps

    pose = moved(session, 8)
    for message in (msg.Select(8), msg.DragStart(8), msg.Drag(8, moved(session, 8, 0.1)), msg.DragEnd(8, pose)):
        session.dispatch(message)
    edited = session.state.document.edited
    np.testing.assert_array_equal(edited.Ts_world_camera[8], pose)
    assert len(session.state.document.past) == 1

    session.dispatch(msg.Regenerate(steps=4, seed=7))
    state = finish(session)
    task = app.pipeline.tasks[-1]
    assert isinstance(task, GenerateTask) and task.trajectory == edited and (task.steps, task.seed) == (4, 7)
    np.testing.assert_array_equal(task.source_frames_u8, state.document.clip.frames_u8[:1])
    take = state.document.take
    assert take.number == 1 and take.trajectory == edited and not state.document.is_stale(take)
    assert len(load_clip(take.video, stride=1)) == 17
    assert formats.read(take.cameras) == edited

    session.dispatch(msg.Undo())
    assert session.state.document.edited == session.state.document.predicted
    assert session.state.document.is_stale(take)
    session.dispatch(msg.Redo())
    assert session.state.document.edited == edited
    session.dispatch(msg.ResetToPredicted())
    assert session.state.document.edited == session.state.document.predicted


@pytest.mark.parametrize(
    ("message", "place", "sentence"),
    [
        (msg.Predict(), "input", "give a video or an image first"),
        (msg.Imagine(), "input", "give a video or an image first"),
        (msg.Regenerate(), "result", "give a video or an image first"),
        (msg.ApplyPreset("arc-left"), "path", "give a video or an image first"),
        (msg.ResetToPredicted(), "path", "press Predict first"),
        (msg.SetSoftDrag(True, -1), "path", "radius must be above 0 frames"),
        (msg.DragEnd(3, np.eye(4)), "path", "there is no path to drag"),
    ],
)
def test_what_cannot_be_done_yet_says_what_it_waits_for(session, message, place, sentence):
    session.dispatch(message)
    notice = session.state.notice
    assert notice.is_error and notice.place == place and sentence in notice.text


def test_every_message_has_a_place(session):
    with pytest.raises(TypeError, match="no session takes a str"):
        session.dispatch("undo")


def test_sessions_are_apart_and_freed(app, video):
    first, second = app.sessions.open(), app.sessions.open()
    predicted(first, video)
    assert first.id != second.id and first.folder != second.folder
    assert first.viewport.started().server is not second.viewport.started().server
    assert second.state.document.clip is None
    assert app.sessions.open(first.id) is first, "a reload finds its session"
    assert app.sessions.open("somebody-else") not in (first, second)

    first.dispatch(msg.Regenerate())
    finish(first)
    folder = first.folder
    assert list(folder.rglob("*.mp4"))
    app.sessions.free(first.id)
    assert first.closed and first.id not in app.hub.sessions()
    wait_until(lambda: not folder.exists())  # a preview being written ends first
    first.dispatch(msg.Undo())  # a late message: nothing
    with pytest.raises(SessionGone, match="reload the page"):
        app.sessions.get(first.id)
    app.sessions.free(first.id)


def test_a_take_being_written_when_the_session_ends_leaves_nothing(app, video, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slow_write(path, *rest):
        begun.set()
        assert go_on.wait(10)
        path.write_bytes(b"late")

    monkeypatch.setattr("ui.session.exports.write_video", slow_write)
    session = app.sessions.open()
    give(session, video)
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.Regenerate())
    assert begun.wait(10)
    app.sessions.free(session.id)
    assert session.folder.exists(), "the worker is still in it"
    go_on.set()
    wait_until(lambda: not session.folder.exists())


def test_an_expired_session_is_freed_by_the_hub(video):
    app = App()
    app.hub.grace_s = 0.2
    session = app.sessions.open()
    try:
        wait_until(lambda: session.closed)
        assert len(app.sessions) == 0
        wait_until(lambda: not session.folder.exists())
    finally:
        app.close()


def test_a_job_ends_with_its_session(app, video):
    app.pipeline.gate = threading.Semaphore(0)
    session = app.sessions.open()
    give(session, video)
    session.dispatch(msg.Predict())
    wait_until(lambda: app.pipeline.tasks)
    app.sessions.free(session.id)
    app.pipeline.gate.release(10)
    wait_until(lambda: app.pipeline.closed == 1)


def test_a_saved_session_opens_in_another_one(app, session, video):
    predicted(session, video)
    session.dispatch(msg.Regenerate())
    before = finish(session).document
    file = session.save()
    other = app.sessions.open()
    other.dispatch(msg.OpenSession(str(file)))
    after = other.state.document
    assert after.edited == before.edited and after.clip.hash == before.clip.hash and not after.is_stale(after.take)
    assert "17 cameras, 1 take" in other.state.notice.text and other.folder in after.take.video.parents
    file.write_bytes(b"torn")
    other.dispatch(msg.OpenSession(str(file)))
    assert other.state.notice.is_error and other.state.document.takes == after.takes
