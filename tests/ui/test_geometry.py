"""Geometry in a session: refinement, scene, previews and hints, with a backend that answers without looking."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from editing import App, at_rest, bent
from fakes import clip, cloud, moving_frames, wait_until

from rap.data import write_video
from rap.reconstruction.refine import RefinementReport
from ui.document import messages as msg
from ui.document.geometry import shown_points, upload_fov_y_deg
from ui.page import input_words, result_words
from ui.session.debounce import Debounce
from ui.session.reducers.geometry import in_short

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector


@pytest.fixture
def app(monkeypatch):
    monkeypatch.setattr("ui.session.session.REST_S", 0.05)
    app = App()
    yield app
    app.close()


@pytest.fixture
def session(app):
    session = app.sessions.open()
    session.dispatch(msg.SetVerify(False))  # the model's jobs of these tests are the takes themselves
    return session


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "slide.mp4"
    write_video(path, moving_frames(17), 8.0)
    return path


def give(session, path):
    session.dispatch(msg.Upload((str(path),)))


def predict(session, path):
    give(session, path)
    session.dispatch(msg.Predict())


def test_a_path_in_pieces_is_said_at_once():
    report = RefinementReport("refined", "", "frames", "model", 6.5, 0.5, 900, 120, 1.04, 2.0, ((12, 13), (14, 15)))
    assert in_short(report) == (
        "The path was found and checked in 2.0 s: doubtful from frame 13 on. "
        "But frames 12 and 13 hardly hold together: the path may turn wrongly there. "
        "Type the field of view, if you know it, or give frames closer together."
    )
    assert "probably wrong" in in_short(replace(report, verdict="failed"))


def test_a_reopened_session_has_the_points_of_its_refinement(session, app, video):
    predict(session, video)
    before = at_rest(session).geometry
    other = app.sessions.open()
    other.dispatch(msg.OpenSession(str(session.save())))
    np.testing.assert_array_equal(other.state.geometry.sparse.xyz, before.sparse.xyz)
    other.dispatch(msg.ApplyPreset("arc-left"))
    at_rest(other)
    (asked,) = [points for name, points in app.backend.calls[-1:] if name == "build_scene"]
    np.testing.assert_array_equal(asked.xyz, before.cloud.xyz)


def test_a_prediction_is_refined_and_both_paths_are_kept(session, app, video):
    drawn = []
    session.viewport.draw = drawn.append
    predict(session, video)
    state = at_rest(session)
    document = state.document
    assert document.refined is not None and document.edited == document.refined != document.predicted
    assert (
        document.report.outcome == "refined" and state.notice.text == "The path was found and checked in 2.0 s: good."
    )
    assert not document.past, "prediction and refinement are one step"
    assert [name for name, _ in app.backend.calls] == ["refine", "build_scene"]
    assert app.backend.calls[1][1] is not None, "the refinement's points are the depth's prior"
    scene = drawn[-1]
    assert scene.trajectory is document.refined and scene.ghost is None and scene.raw is document.predicted
    assert len(scene.points.xyz) == 199, "what is very far away is not shown"
    assert scene.home is document.refined

    session.dispatch(msg.ResetToPredicted())
    assert session.state.document.edited == document.predicted and drawn[-1].ghost is document.refined
    session.dispatch(msg.ResetToRefined())
    assert session.state.document.edited == document.refined
    session.dispatch(msg.Undo())
    assert session.state.document.edited == document.predicted


@pytest.mark.parametrize("outcome", ["too_few_tracks", "diverged"])
def test_a_failed_refinement_keeps_the_prediction_and_says_why(session, app, video, outcome):
    app.backend.outcome = outcome
    predict(session, video)
    document = at_rest(session).document
    assert document.refined is None and document.edited is document.predicted
    assert document.report.outcome == outcome and ">Failed<" in input_words.verdict_card(document.report)
    assert [name for name, _ in app.backend.calls] == ["refine", "build_scene"], "there is a preview all the same"
    assert session.state.geometry.sparse is None and session.state.geometry.preview.known_from == "predicted"


def test_without_parallax_the_turns_are_kept(session, app, video):
    app.backend.outcome = "no_parallax"
    predict(session, video)
    state = at_rest(session)
    assert state.document.edited is state.document.refined and "Doubtful (turns only)" in input_words.verdict_card(
        state.document.report
    )


def test_refining_is_asked_for_later_and_leaves_edits_alone(session, app, video):
    session.dispatch(msg.SetRefine(False))
    session.dispatch(msg.Refine())
    assert "press Predict path first" in session.state.notice.text and session.state.notice.place == "input"
    predict(session, video)
    state = at_rest(session)
    assert state.document.report is None and state.geometry.preview.known_from == "predicted"
    assert [name for name, _ in app.backend.calls] == ["build_scene"]
    edited = bent(session)
    app.backend.gates["refine"] = threading.Semaphore(0)
    session.dispatch(msg.Refine())
    session.dispatch(msg.Refine())
    assert "already" in session.state.notice.text
    app.backend.gates["refine"].release()
    wait_until(lambda: session.state.document.refined is not None)
    state = at_rest(session)
    assert state.document.edited is edited and state.document.refined is not None
    assert state.geometry.preview.known_from == "refined", "the edited path is seen in the refined scene"
    session.dispatch(msg.ResetToRefined())
    assert session.state.document.edited is state.document.refined


def test_the_known_field_of_view_reaches_both(session, app, video):
    session.dispatch(msg.SetFieldOfView(40.0))
    assert "no clip yet" in session.state.wrong[0].text
    give(session, video)
    session.dispatch(msg.SetFieldOfView(190.0))
    (wrong,) = session.state.wrong
    assert "between 1 and 170 degrees, got 190" in wrong.text and wrong.field == "fov"
    session.dispatch(msg.SetFieldOfView(40.0))
    assert session.known_fov_y_deg == pytest.approx(40.0)
    session.dispatch(msg.Predict())
    state = at_rest(session)
    known = state.document.clip.cropped_fov_y_rad(math.radians(40.0))
    assert app.pipeline.tasks[0].fov_y_rad == known and app.backend.calls[0] == ("refine", known)
    session.dispatch(msg.SetFieldOfView(None))
    assert session.state.geometry.known_fov_y_rad is None and session.known_fov_y_deg is None


def test_the_files_own_field_of_view_is_filled_in(session):
    session.dispatch(msg.ClipRead(replace(clip(), exif_fov_y_rad=0.8)))
    assert session.state.geometry.known_fov_y_rad == 0.8
    assert session.known_fov_y_deg == pytest.approx(math.degrees(0.8))
    session.dispatch(msg.ClipRead(clip()))
    assert session.known_fov_y_deg is None


def test_the_crop_of_a_field_of_view_is_undone():
    wide = replace(clip(), upload_size=(480, 480), footage_u8=None)
    assert wide.cropped_fov_y_rad(1.0) < 1.0
    assert upload_fov_y_deg(wide, wide.cropped_fov_y_rad(math.radians(50))) == pytest.approx(50)
    assert upload_fov_y_deg(None, 1.0) is None and upload_fov_y_deg(wide, None) is None


def test_a_cancelled_refinement_leaves_the_prediction(session, app, video):
    app.backend.gates["refine"] = gate = threading.Semaphore(0)
    predict(session, video)
    wait_until(lambda: session.state.geometry.job is not None and session.state.geometry.job.phase == "running")
    session.dispatch(msg.Cancel("result"))
    assert session.state.geometry.job.phase == "running", "that button is another panel's"
    session.dispatch(msg.Cancel("input"))
    state = session.state
    assert state.geometry.job is None, "at once, though the worker is still in it"
    assert state.notice.text == "Cancelled; the path stays as it is."
    gate.release()
    session.dispatch(msg.ShowPreview())
    state = at_rest(session)
    assert state.document.edited is state.document.predicted and state.document.report is None


def test_a_move_and_a_take_of_a_film_wait_for_its_cameras_and_depth(session, app, video):
    session.dispatch(msg.SetVerify(False))
    app.backend.gates["refine"] = refining = threading.Semaphore(0)
    app.backend.gates["build_scene"] = lifting = threading.Semaphore(0)
    predict(session, video)
    wait_until(lambda: session.state.geometry.job is not None)
    session.dispatch(msg.ApplyPreset("zoom-in"))
    session.dispatch(msg.Regenerate(seed=3))
    assert "as soon as the film's cameras and depth are known" in session.state.notice.text
    assert session.state.job is None
    refining.release()
    wait_until(lambda: session.state.geometry.job is not None and session.state.geometry.job.kind == "depth")
    assert session.state.job is None and session.state.document.refined is not None
    lifting.release()
    wait_until(lambda: session.state.document.takes and session.state.job is None)
    document = session.state.document
    assert document.take.trajectory == document.edited and document.take.settings.film
    ahead = document.edited.centres[-1, 2]
    assert ahead == pytest.approx(0.8 * (1 - 0.5)), "whole, about what is in the middle"
    assert document.past[-1].name == "preset zoom-in", "no edit of its own"


def test_a_move_that_is_chosen_before_the_prediction_stays_chosen(session, app, video):
    app.pipeline.gate = gate = threading.Semaphore(0)
    predict(session, video)
    session.dispatch(msg.ApplyPreset("zoom-in"))
    gate.release(4)
    wait_until(lambda: session.state.document.refined is not None and session.state.geometry.job is None)
    document = session.state.document
    assert document.edited.centres[-1, 2] == pytest.approx(0.8 * (1 - 0.5)) and document.predicted is not None
    session.dispatch(msg.ResetToRefined())
    assert session.state.document.edited is session.state.document.refined


def test_a_take_along_a_bent_path_waits_for_the_cameras_too_and_goes_with_a_cancelled_refinement(session, app, video):
    session.dispatch(msg.SetVerify(False))
    app.backend.gates["refine"] = gate = threading.Semaphore(0)
    predict(session, video)
    wait_until(lambda: session.state.geometry.job is not None and session.state.geometry.job.phase == "running")
    bent(session)
    session.dispatch(msg.Regenerate())
    assert session.state.job is None
    session.dispatch(msg.Cancel("input"))
    gate.release()
    assert session.state.geometry.held is None and "is dropped; press Regenerate" in session.state.notice.text
    session.dispatch(msg.Regenerate())
    assert session.state.job is not None, "asked for once more it begins, with what is there"


def test_a_refinement_of_an_older_clip_is_dropped(session, app, video, still):
    app.backend.gates["refine"] = gate = threading.Semaphore(0)
    predict(session, video)
    wait_until(lambda: session.state.geometry.job is not None and session.state.geometry.job.phase == "running")
    stale = session.state.geometry.job.number
    give(session, still)
    assert session.state.geometry.job.kind == "depth" and session.state.geometry.job.number != stale
    before = session.state
    session.dispatch(msg.FromGeometry(msg.JobDone(stale, None, 1.0)))
    assert session.state is before, "whatever it may bring"
    gate.release()
    session.dispatch(msg.ApplyPreset("arc-left"))
    state = at_rest(session)
    assert state.document.predicted is None and state.document.report is None
    assert [name for name, _ in app.backend.calls] == ["refine", "picture_scene"]


def test_a_failure_is_reported_and_the_next_one_succeeds(session, app, video):
    app.backend.fails_with = MemoryError()
    predict(session, video)
    wait_until(lambda: not session.state.busy and session.state.notice.is_error)
    assert session.state.notice.place == "input" and "Not enough memory" in session.state.notice.text
    app.backend.fails_with = None
    session.dispatch(msg.Refine())
    assert at_rest(session).document.refined is not None


def test_geometry_and_model_do_not_wait_for_each_other(app, video):
    first, second = app.sessions.open(), app.sessions.open()
    first.dispatch(msg.SetVerify(False))
    app.pipeline.gate = threading.Semaphore(3)
    predict(first, video)
    at_rest(first)
    first.dispatch(msg.SetUseGeometry(False))
    first.dispatch(msg.Regenerate())
    edited = bent(first)
    assert at_rest(first).geometry.preview.key[-1] == edited.hash, "previewed while the model is at work"
    app.backend.gates["refine"] = gate = threading.Semaphore(0)
    first.dispatch(msg.Refine())
    app.pipeline.gate.release(3)
    wait_until(lambda: first.state.job is None)
    assert first.state.document.take is not None and first.state.geometry.job is not None
    gate.release()
    wait_until(lambda: first.state.geometry.job is None)
    assert second.state.geometry.scene is None


def test_the_newest_preview_wins(session, app, video):
    app.backend.gates["preview"] = gate = threading.Semaphore(1)
    predict(session, video)
    at_rest(session)
    previewed = app.backend.scenes[-1].previewed
    bent(session, 4)
    wait_until(lambda: session.state.geometry.wanted is not None)
    first = session.state.geometry.wanted.number
    for index in (5, 6, 7):
        newest = bent(session, index)
        wait_until(lambda: session.state.geometry.wanted.key[-1] == session.state.document.edited.hash)
    assert session.state.geometry.wanted.number > first
    before = session.state.geometry.preview
    gate.release(10)
    state = at_rest(session)
    assert state.geometry.preview is not before and state.geometry.preview.key[-1] == newest.hash
    assert len(previewed) <= 3, "the first, the one at work, the newest: those between never began"


def test_a_drag_asks_for_one_preview_when_it_rests(session, app, video):
    predict(session, video)
    at_rest(session)
    previewed = app.backend.scenes[-1].previewed
    count = len(previewed)
    T = session.state.document.edited.Ts_world_camera[5].copy()
    started = time.monotonic()
    for _ in range(40):
        T[0, 3] += 0.01
        session.dispatch(msg.Drag(5, T))
    drag_s = time.monotonic() - started
    session.dispatch(msg.DragEnd(5, T))
    at_rest(session)
    assert len(previewed) - count <= 1 + drag_s / 0.05
    session.dispatch(msg.Undo())
    session.dispatch(msg.Redo())
    time.sleep(0.2)
    assert len(app.backend.scenes) == 1, "edits do not build the scene anew"


def test_takes_are_made_with_geometry_or_without(session, app, video):
    predict(session, video)
    at_rest(session)
    edited = bent(session)
    session.dispatch(msg.Regenerate())
    wait_until(lambda: session.state.job is None)
    task, take = app.pipeline.tasks[-1], session.state.document.take
    assert task.hints is not None and take.settings.with_geometry and take.settings.film
    scene, content = app.backend.scenes[-1], app.backend.scenes[-1].contents[-1]
    assert scene.previewed[-1] is edited, "along the very path"
    assert content.frames_u8.shape == (17, *take.trajectory.image_size, 3), "the model's, for the holes"
    assert content.box == pytest.approx((0, 0, 1, 1)) and take.size == scene.clip.full_size
    assert take.seconds > 0 and "from the film's own frames" in result_words.take_caption(session.state.document)
    session.dispatch(msg.SetUseGeometry(False))
    session.dispatch(msg.Regenerate())
    wait_until(lambda: session.state.job is None)
    document = session.state.document
    assert app.pipeline.tasks[-1].hints is None and not document.take.settings.with_geometry
    assert [result_words.take_label(document, entry) for entry in document.takes] == [
        "Take 1 · film",
        "Take 2 · model only",
    ]
    assert document.takes[0].stamp != document.takes[1].stamp


def test_a_path_that_leaves_the_film_is_one_frames(session, app, video):
    predict(session, video)
    assert at_rest(session).geometry.preview.warning == ""
    app.backend.scenes[-1].is_left = True
    bent(session)
    assert at_rest(session).geometry.preview.warning.startswith("The film shows little of what lies along this path")
    asked = len(app.pipeline.tasks)
    session.dispatch(msg.Regenerate())
    wait_until(lambda: session.state.job is None and session.state.document.take is not None)
    document = session.state.document
    assert document.take.settings.layers and not document.take.settings.film and len(app.pipeline.tasks) == asked
    assert "from one frame of the film" in result_words.take_caption(document)


def test_cameras_that_are_not_borne_out_give_no_hints(session, app, video, still):
    app.backend.outcome = "diverged"
    predict(session, video)
    at_rest(session)
    app.pipeline.gate = threading.Semaphore(0)
    session.dispatch(msg.Regenerate())
    assert "by the model alone" in session.state.notice.text and "That was diverged." in session.state.notice.text
    app.pipeline.gate.release(3)
    wait_until(lambda: session.state.job is None)
    assert app.pipeline.tasks[-1].hints is None and not session.state.document.take.settings.with_geometry
    give(session, video)
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.Regenerate())
    assert "press Predict path first" in session.state.notice.text
    give(session, still)
    session.dispatch(msg.SetUseGeometry(True))
    session.dispatch(msg.SetFlat(True))
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.Regenerate())
    app.pipeline.gate.release(9)
    wait_until(lambda: session.state.document.take is not None)
    assert app.pipeline.tasks[-1].hints is not None, "a plane, as it was asked for"


def test_a_take_before_the_scene_is_there_builds_it(session, app, video):
    app.backend.gates["build_scene"] = gate = threading.Semaphore(0)
    predict(session, video)
    wait_until(lambda: session.state.geometry.job is not None and session.state.geometry.job.kind == "depth")
    session.dispatch(msg.Regenerate())
    gate.release(2)
    wait_until(lambda: session.state.document.take is not None)
    assert session.state.document.take.settings.with_geometry
    assert [name for name, _ in app.backend.calls].count("build_scene") == 2


def test_dense_points_are_shown_on_demand_and_stay_the_same_object(session, app, video):
    drawn = []
    session.viewport.draw = drawn.append
    predict(session, video)
    at_rest(session)
    assert drawn[-1].dense is None and drawn[-1].points is not None
    session.dispatch(msg.SetDensePoints(True))
    dense = drawn[-1].dense
    assert len(dense.xyz) == 500 and drawn[-1].points is None
    bent(session)
    at_rest(session)
    assert drawn[-1].dense is dense
    session.dispatch(msg.SetDensePoints(False))
    assert drawn[-1].dense is None
    session.dispatch(msg.SetPlayhead(4, True))
    assert len(drawn[-1].dense.xyz) == 900 and drawn[-1].points is None, "who looks through a camera sees a picture"
    session.dispatch(msg.SetPlayhead(4, False))
    assert drawn[-1].dense is None and drawn[-1].points is not None


def test_an_imagined_path_forgets_the_clips_scene(session, app, video):
    predict(session, video)
    at_rest(session)
    session.dispatch(msg.Imagine())
    wait_until(lambda: session.state.job is None)
    state = at_rest(session)
    assert state.document.refined is None and state.geometry.sparse is None
    assert state.geometry.preview.known_from == "one image"


def test_closing_ends_what_is_on_its_way(app, video):
    session = app.sessions.open()
    app.backend.gates["refine"] = gate = threading.Semaphore(0)
    predict(session, video)
    wait_until(lambda: app.backend.calls)
    app.sessions.free(session.id)
    gate.release()
    assert session.closed and session.state.geometry.job is None


def test_points_worth_showing():
    assert shown_points(None) is None
    poor = replace(cloud(), error_px=np.full(200, 9.0))
    assert len(shown_points(poor).xyz) == 199, "poor points are better than none"
    assert shown_points(cloud(1)) is None


def test_debounce_calls_once_after_the_last_touch():
    called = []
    rest = Debounce(0.1, lambda: called.append(time.monotonic()))
    for _ in range(6):
        rest.touch()
        time.sleep(0.03)
    last = time.monotonic()
    wait_until(lambda: called)
    assert called[0] - last > 0.05
    time.sleep(0.15)
    assert len(called) == 1
    rest.touch()
    rest.close()
    time.sleep(0.15)
    assert len(called) == 1
