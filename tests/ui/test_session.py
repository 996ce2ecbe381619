"""The session: messages in, states out; uploads, jobs, takes on disk, privacy and what is freed."""

from __future__ import annotations

import threading
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeGeometry, FakePipeline, moving_frames, wait_until
from PIL import Image

from rap import formats
from rap.config import VERIFY_STEPS
from rap.data import load_clip, write_video
from rap.errors import InputError
from rap.geometry import preset, scale_motion
from rap.pipeline import EstimateTask, GenerateTask, JointTask
from ui.document import messages as msg
from ui.document.known_cameras import against_known
from ui.page import input_panel, input_words, path_words, result_words
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session import exports, shelf
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.sessions import SessionGone, Sessions

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector


class App:
    """Sessions around a fake pipeline."""

    def __init__(self):
        self.pipeline = FakePipeline()
        self.hub = Hub(grace_s=60.0)
        self.backend = FakeGeometry()
        self.sessions = Sessions(
            Worker(lambda: self.pipeline), GeometryWorker(lambda: self.backend), self.hub, Options()
        )

    def close(self):
        self.sessions.close()


@pytest.fixture
def app():
    app = App()
    yield app
    app.close()


@pytest.fixture
def session(app):
    """A session that leaves predictions and takes as they are; what refining does is tested in test_geometry.py."""
    session = app.sessions.open()
    session.dispatch(msg.SetRefine(False))
    session.dispatch(msg.SetUseGeometry(False))
    session.dispatch(msg.SetVerify(False))
    return session


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "slide.mp4"
    write_video(path, moving_frames(40), 20.0)
    return path


def give(session, *paths):
    session.dispatch(msg.Upload(tuple(map(str, paths))))
    return session.state


def finish(session):
    wait_until(lambda: session.state.job is None)
    return session.state


def predicted(session, path):
    give(session, path)
    session.dispatch(msg.Predict())
    return finish(session)


def moved(session, index, by=0.2):
    T = session.state.document.edited.Ts_world_camera[index].copy()
    T[1, 3] += by
    return T


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


def test_viewport_shows_the_very_path(session, video):
    drawn = []
    session.viewport.draw = drawn.append
    predicted(session, video)
    session.dispatch(msg.Select(4))
    session.dispatch(msg.DragStart(4))
    session.dispatch(msg.Drag(4, moved(session, 4)))
    document, scene = session.state.document, drawn[-1]
    assert scene.trajectory is document.edited and scene.ghost is document.predicted
    assert (scene.selected, scene.source, scene.soft_radius) == (4, 0, document.soft.radius)
    assert scene.thumbnails is drawn[-2].thumbnails, "pictures are encoded anew when they are other objects"
    session.dispatch(msg.SetSoftDrag(False, 3.0))
    assert drawn[-1].soft_radius == 0


def test_only_the_clips_own_path_carries_its_pictures(session, video):
    drawn = []
    session.viewport.draw = drawn.append

    def pictured():
        frames, pictures = session.state.document.clip.frames_u8, drawn[-1].thumbnails
        pairs = [] if pictures is None else zip(pictures, frames, strict=True)  # None: of before the path
        return sum(np.array_equal(picture, frame) for picture, frame in pairs)

    predicted(session, video)
    wait_until(lambda: pictured() == 17)  # the worker's thread sets the state first and draws then
    session.dispatch(msg.DragEnd(4, moved(session, 4)))
    assert pictured() == 17, "a bent prediction is still the clip's path"
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.DragEnd(4, moved(session, 4)))
    assert pictured() == 1, "a preset shows the source's picture alone"
    session.dispatch(msg.Undo())
    session.dispatch(msg.Undo())
    assert pictured() == 17
    session.dispatch(msg.Redo())
    assert pictured() == 1
    session.dispatch(msg.ResetToPredicted())
    assert pictured() == 17
    session.dispatch(msg.Imagine())
    finish(session)
    wait_until(lambda: pictured() == 1)  # an imagined path is another video's
    session.dispatch(msg.ApplyPreset("static"))
    session.dispatch(msg.ResetToPredicted())
    assert pictured() == 1


def test_imagine_gives_a_take_and_an_editable_path(session, app, tmp_path):
    Image.fromarray(moving_frames(1)[0]).save(tmp_path / "one.png")
    state = give(session, tmp_path / "one.png")
    assert len(state.document.clip) == 1
    session.dispatch(msg.Predict())
    assert session.state.notice.is_error and "one picture has no motion" in session.state.notice.text
    session.dispatch(msg.Imagine(seed=2))
    state = finish(session)
    assert isinstance(app.pipeline.tasks[-1], JointTask)
    assert state.document.predicted == state.document.edited == state.document.take.trajectory
    assert state.document.take.origin == "imagined" and state.document.take.video.is_file()
    session.dispatch(msg.ApplyPreset("zoom-in", 0.5))
    session.dispatch(msg.Regenerate())
    state = finish(session)
    assert [take.number for take in state.document.takes] == [1, 2] and state.document.shown_take == 2
    session.dispatch(msg.ShowTake(1))
    assert session.state.document.is_stale(session.state.document.take)


def test_a_take_is_verified_as_soon_as_it_is_made(session, app, video):
    predicted(session, video)
    session.dispatch(msg.SetVerify(True))
    session.dispatch(msg.Regenerate())
    wait_until(lambda: session.state.document.verification is not None)
    state = finish(session)
    task, take = app.pipeline.tasks[-1], state.document.take
    assert isinstance(task, EstimateTask) and task.steps == VERIFY_STEPS and len(task.frames_u8) == 17
    assert task.frames_u8.shape[1:3] == take.trajectory.image_size, "what is judged is the video as it is on disk"
    assert state.document.verification.take == take.number and "Take 1 is ready" in state.notice.text
    assert session.seconds_per_step("verify") is not None
    # the fake sees an arc to the right in every video, and that is what was asked for; tracks see a picture that slides
    found = state.document.verification
    assert found.by_tracks and found.estimated.rotation_deg.max() < 1e-6 and found.rotation_deg.max() > 1

    session.dispatch(msg.ApplyPreset("pan-left", 1.0))
    assert session.state.document.verification is not None, "it belongs to the take, not to the path"
    give(session, video)
    assert session.state.document.verifications == () and session.state.verify_on


def test_a_take_is_verified_on_demand(session, app, video):
    session.dispatch(msg.Verify())
    assert "no take to verify" in session.state.notice.text and session.state.notice.place == "result"
    predicted(session, video)
    session.dispatch(msg.Regenerate())
    finish(session)
    assert session.state.document.verification is None
    session.dispatch(msg.Verify())
    assert session.state.job.kind == "verify"
    assert finish(session).document.verification.take == 1


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


def made(session, count=2):
    """A prediction and so many takes of it."""
    session.dispatch(msg.SetVerify(False))
    for seed in range(count):
        session.dispatch(msg.Regenerate(steps=1, seed=seed))
        finish(session)
    return session.state.document


def test_takes_are_named_starred_and_deleted_with_their_files(session, app, video):
    predicted(session, video)
    first, second = made(session).takes
    assert first.thumbnail[:2] == b"\xff\xd8", "a JPEG"
    session.dispatch(msg.RenameTake(2, "  the  good one "))
    session.dispatch(msg.StarTake(2, True))
    document = session.state.document
    assert (document.take.title, document.take.starred) == ("the good one", True) and first.title == "take 1"
    session.dispatch(msg.DeleteTake(2))
    assert len(session.state.document.takes) == 2 and session.state.doomed == 2 and second.video.exists()
    session.dispatch(msg.ShowTake(1))
    assert session.state.doomed is None, "looking at another one takes the question back"
    session.dispatch(msg.DeleteTake(2))
    session.dispatch(msg.DeleteTake(2))
    document = session.state.document
    assert [take.number for take in document.takes] == [1] and document.shown_take == 1
    assert not second.video.exists() and not second.cameras.exists() and first.video.exists()
    session.dispatch(msg.DeleteTake(1))
    session.dispatch(msg.DeleteTake(1))
    assert session.state.document.takes == () and session.state.document.take is None
    session.dispatch(msg.DeleteTake(1))
    assert session.state.notice.is_error and "there is no take 1" in session.state.notice.text


@pytest.mark.parametrize("kind", ["seeds", "amplitudes"])
def test_three_variations_are_made_one_after_the_other(session, app, video, kind):
    predicted(session, video)
    session.dispatch(msg.SetVerify(False))
    session.dispatch(msg.Variations(kind, steps=1, seed=5))
    assert len(session.state.waiting) == 2
    wait_until(lambda: len(session.state.document.takes) == 3 and session.state.job is None)
    takes, edited = session.state.document.takes, session.state.document.edited
    seeds, amplitudes = ((5, 6, 7), (1, 1, 1)) if kind == "seeds" else ((5, 5, 5), (0.5, 1, 1.5))
    assert tuple(take.settings.seed for take in takes) == seeds
    for take, amplitude in zip(takes, amplitudes, strict=True):
        expected = edited if amplitude == 1 else scale_motion(edited, amplitude)
        np.testing.assert_allclose(take.trajectory.Ts_world_camera, expected.Ts_world_camera, atol=1e-12)


def test_cancel_stops_the_takes_that_wait_too(session, app, video):
    predicted(session, video)
    app.pipeline.gate = threading.Semaphore(0)
    session.dispatch(msg.Variations("seeds", steps=2))
    session.dispatch(msg.Cancel("result"))
    app.pipeline.gate.release(20)
    finish(session)
    assert session.state.waiting == () and session.state.document.takes == ()


def test_a_take_is_exported_as_video_gif_and_frames(session, app, video):
    with pytest.raises(InputError, match="no take to export"):
        session.export_take("mp4")
    predicted(session, video)
    take = made(session, 1).take
    assert session.export_take("mp4") == take.video
    with Image.open(session.export_take("gif")) as picture:
        assert picture.n_frames == 17 and picture.size == (128, 96)
    with zipfile.ZipFile(session.export_take("png")) as archive:
        names = sorted(archive.namelist())
        assert names[0].endswith("0000.png") and len([name for name in names if name.endswith(".png")]) == 17
    with pytest.raises(InputError, match="kind must be one of mp4, gif, png"):
        session.export_take("avi")


@pytest.mark.parametrize("kind", ["mp4", "png"])
def test_the_papers_layout_is_drawn_of_any_predicted_clip(session, app, video, kind):
    with pytest.raises(InputError, match="press Predict first"):
        session.export_figure(kind)
    predicted(session, video)
    path = session.export_figure(kind)
    figure = load_clip(path) if kind == "png" else load_clip(path, stride=1)
    assert len(figure) == (17 if kind == "mp4" else 1) and figure.upload_size[0] == 2 * 96 + 4


def test_two_takes_are_compared_and_written_side_by_side(session, app, video):
    predicted(session, video)
    made(session)
    with pytest.raises(InputError, match="press Compare first"):
        session.side_by_side()
    session.dispatch(msg.Compare((1, 2)))
    assert session.state.compared == (1, 2)
    both = load_clip(session.side_by_side(), stride=1)
    h, w = session.state.document.clip.image_size
    assert len(both) == 17 and both.upload_size == (h, 2 * w + 4)
    session.dispatch(msg.Compare((1, 9)))
    assert session.state.notice.place == "compare" and "there is no take 9" in session.state.notice.text
    session.dispatch(msg.DeleteTake(1))
    session.dispatch(msg.DeleteTake(1))
    assert session.state.compared is None


def test_samples_of_the_path_tell_their_spread_and_set_the_reach(session, app, video):
    session.dispatch(msg.SampleSpread())
    assert session.state.notice.place == "spread" and "press Predict first" in session.state.notice.text
    predicted(session, video)
    count = len(app.pipeline.tasks)
    session.dispatch(msg.SampleSpread())
    wait_until(lambda: session.state.document.spread is not None)
    tasks = app.pipeline.tasks[count:]
    assert len(tasks) == 8 == session.state.document.spread.samples and len({task.seed for task in tasks}) == 8
    assert all(task.steps == VERIFY_STEPS for task in tasks) and session.state.job is None
    np.testing.assert_allclose(session.state.document.spread.distance, 0, atol=1e-9)
    assert session.state.document.soft.radius == 1.5 and session.state.sampled == ()
    nodes = session.viewport.server.scene._handle_from_node_name
    wait_until(lambda: "/tube" in nodes)
    session.dispatch(msg.Predict(seed=4))
    finish(session)
    assert session.state.document.spread is None, "of another prediction"
    wait_until(lambda: "/tube" not in nodes)


def test_sampling_can_be_cancelled(session, app, video):
    predicted(session, video)
    app.pipeline.gate = threading.Semaphore(3)
    session.dispatch(msg.SampleSpread())
    wait_until(lambda: len(session.state.sampled) == 1)
    session.dispatch(msg.Cancel("result"))
    app.pipeline.gate.release(50)
    finish(session)
    assert session.state.document.spread is None and session.state.job is None


@pytest.mark.parametrize("number", range(len(input_panel.example_clips())))
def test_an_example_brings_its_known_cameras(session, number):
    input_panel.give_example(session, {"example": number})
    clip = session.state.document.clip
    assert (
        clip is not None and len(clip.trajectory) == len(clip) == 17 and clip.trajectory.image_size == clip.image_size
    )
    session.dispatch(msg.Predict())
    document = finish(session).document
    found = against_known(document)
    assert found is not None and np.isfinite(found.rotation_deg).all()
    assert "Predicted against known cameras" in input_words.known_line(document)
    assert "known cameras" in path_words.legend(document)
    wait_until(lambda: "/known" in session.viewport.server.scene._handle_from_node_name)
    exact = replace(document, predicted=clip.trajectory.scaled(3.0), edited=clip.trajectory)
    np.testing.assert_allclose(against_known(exact).rotation_deg, 0, atol=1e-4)
    np.testing.assert_allclose(against_known(exact).translation, 0, atol=1e-6)


def test_a_video_may_come_with_a_file_of_its_cameras(session, video, tmp_path):
    path = preset("arc-left", num_frames=40, image_size=(96, 128))
    formats.write(tmp_path / "cameras.npz", path)
    clip = give(session, video, tmp_path / "cameras.npz").document.clip
    rows = list(clip.frame_indices)
    assert rows[-1] == 39
    np.testing.assert_allclose(clip.trajectory.Ts_world_camera, path.Ts_world_camera[rows], atol=1e-12)
    formats.write(tmp_path / "few.npz", preset("arc-left", num_frames=5))
    give(session, video, tmp_path / "few.npz")
    assert "few.npz: has 5 cameras" in session.state.notice.text and session.state.notice.place == "input"


def test_preset_and_regenerate_from_one_image(session, tmp_path):
    Image.fromarray(moving_frames(1)[0]).save(tmp_path / "one.png")
    give(session, tmp_path / "one.png")
    session.dispatch(msg.ApplyPreset("arc-left", 1.0))
    assert len(session.state.document.edited) == 17
    session.dispatch(msg.Regenerate())
    assert finish(session).document.take.video.is_file()


@pytest.mark.parametrize("content", [b"", b"not a film at all"])
def test_a_bad_upload_is_refused_in_words_and_the_session_goes_on(session, video, tmp_path, content):
    predicted(session, video)
    before = session.state.document
    (tmp_path / "holiday.mp4").write_bytes(content)
    state = give(session, tmp_path / "holiday.mp4")
    assert state.notice.is_error and state.notice.place == "input" and "holiday.mp4" in state.notice.text
    assert state.document.edited == before.edited and state.document.clip is before.clip
    assert not give(session, video).notice.is_error


def test_a_reader_that_breaks_does_not_end_the_session(session, video, monkeypatch, caplog):
    monkeypatch.setattr("ui.session.uploads.load_clip", lambda *args, **options: 1 / 0)
    notice = give(session, video).notice
    assert notice.is_error and notice.place == "input"
    assert "slide.mp4 could not be read" in notice.text and "ZeroDivisionError" in notice.text
    monkeypatch.undo()
    assert give(session, video).notice is None


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


def test_the_source_stays_and_the_drag_leaves_no_trace(session, video):
    predicted(session, video)
    before = session.state.document.edited
    for message in (msg.DragStart(0), msg.Drag(0, moved(session, 0)), msg.DragEnd(0, moved(session, 0))):
        session.dispatch(message)
    state = session.state
    assert "source camera" in state.notice.text and state.document.edited == before and not state.document.past


def test_one_job_at_a_time(session, app, video):
    app.pipeline.gate = threading.Semaphore(0)
    give(session, video)
    session.dispatch(msg.Predict())
    session.dispatch(msg.Predict())
    assert "predict is still at work" in session.state.notice.text
    app.pipeline.gate.release(3)
    finish(session)
    assert len(app.pipeline.tasks) == 1


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


def add(session, *names, to=()):
    """Through the page's box, which appends them to what it lists."""
    session.dispatch(msg.AddFiles(tuple(map(str, (*to, *names)))))
    return session.state


def test_a_second_video_takes_the_place_of_the_first_in_the_box(session, video, tmp_path):
    other, bad = tmp_path / "other.mp4", tmp_path / "bad.mp4"
    write_video(other, moving_frames(20), 8.0)
    bad.touch()
    assert add(session, video).document.clip.name == "slide"
    state = add(session, other, to=[video])
    assert state.document.clip.name == "other" and state.notice is None and state.box.files == (str(other),)
    drawn = state.box
    state = add(session, bad, to=[other])
    words = "bad.mp4: the file is empty (0 bytes); upload or export it again. The clip is still other."
    assert state.notice.text == words
    assert state.box.files == () and state.box != drawn, "the browser is told that its list is empty"
    drawn = state.box
    state = add(session, bad)
    assert "bad.mp4" in state.notice.text and state.box.files == () and state.box != drawn, "and told so again"
    assert add(session, video).notice is None and session.state.box.files == (str(video),)

    input_panel.give_example(session, {"example": 0})
    assert session.state.box.files == () and session.state.document.clip.name == "arc_around_a_table"
    add(session, video)
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.OpenSession(str(session.save())))
    assert session.state.box.files == () and not session.state.notice.is_error


def test_taking_the_files_out_clears_what_was_said_of_them_and_keeps_the_clip(session, video, tmp_path):
    (tmp_path / "bad.mp4").touch()
    add(session, video)
    add(session, tmp_path / "bad.mp4", to=[video])
    assert session.state.notice.is_error
    session.dispatch(msg.TakeOut())
    assert session.state.notice is None and session.state.document.clip.name == "slide"


def test_what_was_read_of_files_that_are_no_longer_in_the_box_is_dropped(session, video):
    clip = give(session, video).document.clip
    add(session, video)
    session.dispatch(msg.ClipRead(replace(clip, name="late"), ("/elsewhere/late.mp4",)))
    session.dispatch(msg.ClipRefused("late.mp4: bad", ("/elsewhere/late.mp4",)))
    assert session.state.document.clip.name == "slide" and session.state.notice is None


def test_another_clip_is_one_step_that_brings_back_clip_path_and_takes(session, app, video, tmp_path):
    predicted(session, video)
    session.dispatch(msg.SetFieldOfView(40.0))
    session.dispatch(msg.ApplyPreset("truck-left"))
    made(session, 1)
    session.dispatch(msg.Undo())
    before = session.state
    assert before.document.future
    input_panel.give_example(session, {"example": 0})
    state = session.state
    assert not state.document.takes and state.document.edited is None
    assert state.notice.text == "Undo brings back slide: 17 cameras, 1 take."
    assert path_words.undo_button(state.document, state.earlier).label == "Undo: back to slide (1)"

    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.ApplyPreset("arc-right"))
    example = session.state.document
    session.dispatch(msg.Undo())
    assert session.state.document.clip is example.clip, "its own edits first"
    session.dispatch(msg.Redo())
    session.dispatch(msg.Undo())
    session.dispatch(msg.Undo())
    state = session.state
    assert state.document.clip is before.document.clip and state.document.edited is before.document.edited
    assert state.document.takes == before.document.takes and state.document.take.video.is_file()
    assert state.document.past == before.document.past and state.document.predicted is before.document.predicted
    assert session.known_fov_y_deg == pytest.approx(40.0) and "slide is back" in state.notice.text
    assert path_words.redo_button(state.document, state.later).label == "Redo: on to arc_around_a_table (1)"
    session.dispatch(msg.Redo())
    assert session.state.document.edited.hash == example.past[-1].trajectory.hash, "as it was left"
    assert session.state.document.clip is example.clip


def test_a_clip_without_work_is_no_step_and_only_a_few_works_are_kept(session, video):
    give(session, video)
    assert give(session, video).earlier == () and session.state.notice is None
    for amplitude in (0.5, 0.6, 0.7, 0.8, 0.9):
        session.dispatch(msg.ApplyPreset("arc-left", amplitude))
        give(session, video)
    assert len(session.state.earlier) == shelf.LIMIT
    give(session, video)
    assert len(session.state.earlier) == shelf.LIMIT, "nothing was done with the clip before"


def test_a_clip_given_after_going_back_loses_neither_work(session, video):
    give(session, video)
    session.dispatch(msg.ApplyPreset("arc-left"))
    first = session.state.document.edited
    give(session, video)
    session.dispatch(msg.ApplyPreset("arc-right"))
    second = session.state.document.edited
    session.dispatch(msg.Undo())  # a preset on a clip without a path is no edit: this goes back
    assert session.state.document.edited is first
    give(session, video)
    found = []
    for _ in range(2):
        session.dispatch(msg.Undo())
        found.append(session.state.document.edited)
    assert found[0] is first and found[1] is second


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


def test_a_take_of_work_put_aside_keeps_its_file(session, app, video):
    """The same clip, path and settings give a file of the same name."""
    for _ in range(2):
        give(session, video)
        session.dispatch(msg.ApplyPreset("arc-left"))
        made(session, 1)
    session.dispatch(msg.DeleteTake(1))
    session.dispatch(msg.DeleteTake(1))
    assert not session.state.document.takes
    session.dispatch(msg.Undo())
    assert session.state.document.take.video.is_file() and session.state.document.take.cameras.is_file()


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


@pytest.mark.parametrize("name", list(formats.FORMATS))
def test_export(session, video, name):
    predicted(session, video)
    path = session.export(name)
    assert path.is_file() and path.stat().st_size > 100
    if name in ("nerfstudio", "npz"):
        np.testing.assert_allclose(
            formats.read(path).Ts_world_camera, session.state.document.edited.Ts_world_camera, atol=1e-6
        )
    if name == "colmap":
        assert {"cameras.txt", "images.txt"} <= {entry.split("/")[-1] for entry in zipfile.ZipFile(path).namelist()}


def test_export_needs_a_path(session):
    with pytest.raises(ValueError, match="no path to export yet; press Predict"):
        session.export("npz")


def test_sessions_are_apart_and_freed(app, video):
    first, second = app.sessions.open(), app.sessions.open()
    predicted(first, video)
    assert first.id != second.id and first.folder != second.folder and first.viewport.port != second.viewport.port
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


def test_every_message_has_a_place(session):
    with pytest.raises(TypeError, match="no session takes a str"):
        session.dispatch("undo")


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


def test_takes_start_from_the_chosen_frames(session, app, video):
    predicted(session, video)
    session.dispatch(msg.ToggleSource(16))
    session.dispatch(msg.ToggleSource(8))
    session.dispatch(msg.Regenerate())
    finish(session)
    task = next(task for task in reversed(app.pipeline.tasks) if isinstance(task, GenerateTask))
    clip_frames = session.state.document.clip.frames_u8
    assert task.source_indices == (0, 8, 16) and np.array_equal(task.source_frames_u8, clip_frames[[0, 8, 16]])
    assert task.trajectory == session.state.document.edited
    take = session.state.document.take
    assert take.settings.sources == (0, 8, 16)
    assert "from frames 0, 8, 16" in result_words.take_caption(session.state.document)
    session.dispatch(msg.ApplyPreset("arc-right"))
    session.dispatch(msg.Regenerate())
    assert "Made from frame 0 alone: at frame 8, 16 this path" in session.state.notice.text
    finish(session)
    assert session.state.document.take.settings.sources == ()


def test_a_take_from_another_frame_alone_is_in_its_unit_and_keeps_the_path(session, app, video):
    predicted(session, video)
    wait_until(lambda: session.state.geometry.scene is not None)
    session.dispatch(msg.ToggleSource(8))
    session.dispatch(msg.ToggleSource(0))
    session.dispatch(msg.Regenerate())
    finish(session)
    document = session.state.document
    task = next(task for task in reversed(app.pipeline.tasks) if isinstance(task, GenerateTask))
    assert task.source_indices == (8,) and task.trajectory == document.edited.scaled(1 / 1.25)
    assert document.take.trajectory == document.edited and not document.is_stale(document.take)
    session.dispatch(msg.ToggleSource(8))
    assert session.state.notice.is_error and "8 is the last" in session.state.notice.text
