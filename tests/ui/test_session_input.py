"""What is given to a session: clips, the files in the page's box, known cameras, one clip after another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from editing import finish, give, made, predicted
from fakes import moving_frames, wait_until

from rap import formats
from rap.data import write_video
from rap.geometry import preset
from ui.document import messages as msg
from ui.document.known_cameras import against_known
from ui.page import input_panel, input_words, path_words
from ui.session import shelf

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector


FILMS = [number for number, clip in enumerate(input_panel.example_clips()) if clip.suffix == ".mp4"]


@pytest.mark.parametrize("number", FILMS)
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
    assert "Known cameras" in path_words.legend(document)
    wait_until(lambda: "/known" in session.viewport.started().server.scene._handle_from_node_name)
    exact = replace(document, predicted=clip.trajectory.scaled(3.0), edited=clip.trajectory)
    np.testing.assert_allclose(against_known(exact).rotation_deg, 0, atol=1e-4)
    np.testing.assert_allclose(against_known(exact).translation, 0, atol=1e-6)


def test_an_example_may_be_a_photograph(session):
    clips = input_panel.example_clips()
    input_panel.give_example(session, {"example": len(FILMS)})
    clip = session.state.document.clip
    assert clip is not None and len(clip) == 1 and clip.trajectory is None and clip.name == clips[len(FILMS)].stem
    gallery = input_panel.example_gallery()
    assert gallery.index(f'data-example="{len(FILMS)}"') < gallery.index('data-example="0"'), (
        "it stands before the films"
    )


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


def test_a_film_is_trimmed_by_its_two_handles(session, video):
    clip = give(session, video).document.clip
    assert input_panel._trim_values(session) == (40, 0, 39) and clip.upload_frames == 40
    assert "17 of 40 frames, 2.44 apart" in input_words.clip_card(clip)
    input_panel.trim(session, 0.0, 39.0)
    assert session.state.document.clip is clip, "nothing has changed"
    input_panel.trim(session, 10.0, 33.0)
    trimmed = session.state.document.clip
    assert "<details open" not in input_words.clip_card(clip).replace(' class="rap-note"', "")
    assert "<details open" in input_words.clip_card(trimmed).replace(' class="rap-note"', "")
    assert trimmed.frame_indices[0] == 10 and trimmed.frame_indices[-1] == 33 and len(trimmed) == 17
    assert input_panel._trim_values(session) == (40, 10, 33)
    input_panel.trim(session, 33.0, 10.0)
    assert "end 10 lies before start 33" in session.state.notice.text and session.state.document.clip is trimmed


def test_a_clip_whose_files_are_not_at_hand_is_not_trimmed(session, video):
    predicted(session, video)
    session.dispatch(msg.OpenSession(str(session.save())))
    assert (
        "it keeps these 17 frames" in session.state.notice.text and "give the film again" in session.state.notice.text
    )
    assert input_panel._trim_values(session) == (0, 0, 0)
    session.dispatch(msg.Trim(0, 5))
    assert "give them again to trim it" in session.state.notice.text


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
    monkeypatch.setattr("ui.session.uploads.unpacked_clip", lambda packed: 1 / 0)
    notice = give(session, video).notice
    assert notice.is_error and notice.place == "input"
    assert "slide.mp4 could not be read" in notice.text and "ZeroDivisionError" in notice.text
    monkeypatch.undo()
    assert give(session, video).notice is None


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
    words = "bad.mp4: the file is empty (0 bytes); upload or export it again. What you had, other, stays."
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
