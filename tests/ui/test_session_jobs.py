"""The model's jobs in a session: progress, order, cancelling, failures."""

from __future__ import annotations

import threading

import pytest
from editing import finish, give, predicted
from fakes import moving_frames, wait_until
from PIL import Image

from rap.pipeline import EstimateTask
from ui.document import messages as msg
from ui.session import exports

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector


def test_progress_tells_step_and_time_left(session, app, video):
    app.pipeline.gate, app.pipeline.steps = threading.Semaphore(2), 5
    give(session, video)
    session.dispatch(msg.ApplyPreset("static"))
    session.dispatch(msg.Regenerate())
    wait_until(lambda: session.state.job.step == 2)
    job = session.state.job
    assert (job.phase, job.steps) == ("running", 5) and job.eta_s == pytest.approx(3 * job.seconds_per_step)
    assert job.preview_u8 is not None
    app.pipeline.gate.release(3)
    finish(session)
    assert session.seconds_per_step("regenerate") is not None and session.seconds_per_step("imagine") is None


def test_one_job_at_a_time(session, app, video):
    app.pipeline.gate = threading.Semaphore(0)
    give(session, video)
    session.dispatch(msg.Predict())
    session.dispatch(msg.Predict())
    assert "predict is still at work" in session.state.notice.text
    app.pipeline.gate.release(3)
    finish(session)
    assert len(app.pipeline.tasks) == 1


def test_a_verification_makes_way_for_the_next_take(session, app, video):
    predicted(session, video)
    session.dispatch(msg.Regenerate())
    finish(session)
    app.pipeline.gate = threading.Semaphore(0)
    session.dispatch(msg.Verify())
    wait_until(lambda: isinstance(app.pipeline.tasks[-1], EstimateTask) and len(app.pipeline.tasks) == 3)
    session.dispatch(msg.Regenerate(seed=1))
    assert session.state.job.kind == "regenerate"
    app.pipeline.gate.release(20)
    state = finish(session)
    assert [take.number for take in state.document.takes] == [1, 2] and not state.notice.is_error
    assert state.document.verifications == ()


def test_cancel_at_work_and_in_the_line(app, video):
    app.pipeline.gate = threading.Semaphore(1)
    first, second = app.sessions.open(), app.sessions.open()
    give(first, video)
    give(second, video)
    first.dispatch(msg.Predict())
    wait_until(lambda: first.state.job.step == 1)
    second.dispatch(msg.Predict())
    assert second.state.job.phase == "queued" and second.state.job.place == 1
    second.dispatch(msg.Cancel())
    assert second.state.job is None and second.state.notice.text == "Cancelled; nothing was kept."
    assert second.state.notice.place == "input"
    first.dispatch(msg.Cancel())
    assert first.state.job is None, "at once: its step is still at the gate"
    assert first.state.notice.text == "Cancelled; nothing was kept."
    second.dispatch(msg.Predict())
    assert second.state.job.phase == "queued" and second.state.job.place == 1, "behind the step that still runs"
    app.pipeline.gate.release(10)
    assert finish(second).document.predicted is not None and first.state.document.predicted is None
    assert app.pipeline.closed == 1


def test_cancel_stops_the_takes_that_wait_too(session, app, video):
    predicted(session, video)
    app.pipeline.gate = threading.Semaphore(0)
    session.dispatch(msg.Variations("seeds", steps=2))
    session.dispatch(msg.Cancel("result"))
    app.pipeline.gate.release(20)
    finish(session)
    assert session.state.waiting == () and session.state.document.takes == ()


def test_sampling_can_be_cancelled(session, app, video):
    predicted(session, video)
    app.pipeline.gate = threading.Semaphore(3)
    session.dispatch(msg.SampleSpread())
    wait_until(lambda: len(session.state.sampled) == 1)
    session.dispatch(msg.Cancel("result"))
    app.pipeline.gate.release(50)
    finish(session)
    assert session.state.document.spread is None and session.state.job is None


def test_a_result_that_is_being_written_can_no_longer_be_cancelled(session, app, video, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    write = exports.take_files

    def slow_write(*what):
        begun.set()
        assert go_on.wait(10)
        return write(*what)

    monkeypatch.setattr("ui.session.exports.take_files", slow_write)
    give(session, video)
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.Regenerate())
    assert begun.wait(10)
    session.dispatch(msg.Cancel())
    assert session.state.job.phase == "cancelling"
    go_on.set()
    assert finish(session).document.take is not None, "what is on disk is not lost"


def test_a_failed_job_is_reported(session, app, video):
    app.pipeline.fails_with = RuntimeError("out of memory")
    give(session, video)
    session.dispatch(msg.Predict())
    notice = finish(session).notice
    assert notice.is_error and notice.place == "input", "beside Predict"
    assert "Not enough memory" in notice.text and "try again" in notice.text
    app.pipeline.fails_with = KeyError("q_proj")
    session.dispatch(msg.ApplyPreset("static"))
    session.dispatch(msg.Regenerate())
    notice = finish(session).notice
    assert notice.place == "result" and "KeyError: 'q_proj'" in notice.text and "report it" in notice.text


def test_a_new_clip_stops_the_job_of_the_old_one(session, app, video, tmp_path):
    app.pipeline.gate = threading.Semaphore(1)
    give(session, video)
    session.dispatch(msg.Predict())
    wait_until(lambda: session.state.job.step == 1)
    Image.fromarray(moving_frames(1)[0]).save(tmp_path / "one.png")
    state = give(session, tmp_path / "one.png")
    assert state.job is None
    app.pipeline.gate.release(10)
    wait_until(lambda: app.pipeline.closed == 1)
    assert session.state.document.predicted is None


def test_going_back_stops_the_job_of_the_clip_that_is_left(session, app, video):
    give(session, video)
    session.dispatch(msg.ApplyPreset("arc-left"))
    give(session, video)
    app.pipeline.gate = threading.Semaphore(1)
    session.dispatch(msg.Predict())
    wait_until(lambda: session.state.job.step == 1)
    session.dispatch(msg.Undo())
    assert session.state.job is None
    app.pipeline.gate.release(10)
    wait_until(lambda: app.pipeline.closed == 1)
    assert session.state.document.predicted is None
