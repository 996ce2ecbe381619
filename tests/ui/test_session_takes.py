"""Takes in a session: made, verified, named, deleted, compared, exported."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from editing import finish, give, made, predicted
from fakes import moving_frames, wait_until
from PIL import Image

from rap import formats
from rap.config import VERIFY_STEPS
from rap.data import load_clip
from rap.data.video import open_video
from rap.errors import InputError
from rap.geometry import scale_motion
from rap.pipeline import EstimateTask, GenerateTask, JointTask
from ui.document import messages as msg
from ui.document.comparison import GIVEN, PREVIEW
from ui.page import compare_words, result_words
from ui.session import exports

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector


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


def test_preset_and_regenerate_from_one_image(session, tmp_path):
    Image.fromarray(moving_frames(1)[0]).save(tmp_path / "one.png")
    give(session, tmp_path / "one.png")
    session.dispatch(msg.ApplyPreset("arc-left", 1.0))
    assert len(session.state.document.edited) == 17
    session.dispatch(msg.Regenerate())
    assert finish(session).document.take.video.is_file()


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


def test_takes_are_named_starred_and_deleted_with_their_files(session, app, video):
    predicted(session, video)
    first, second = made(session).takes
    assert first.thumbnail[:2] == b"\xff\xd8", "a JPEG"
    session.dispatch(msg.RenameTake(2, "  the  good one "))
    session.dispatch(msg.StarTake(2, True))
    document = session.state.document
    assert (document.take.title, document.take.starred) == ("the good one", True) and first.title == "Take 1"
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


def test_variations_by_direction_go_to_other_sides(session, app, video):
    predicted(session, video)
    session.dispatch(msg.SetVerify(False))
    session.dispatch(msg.ApplyPreset("zoom-in"))
    session.dispatch(msg.Variations("directions", steps=1))
    assert session.state.notice.is_error and "the same to all sides" in session.state.notice.text
    session.dispatch(msg.ApplyPreset("truck-left"))
    session.dispatch(msg.Variations("directions", steps=1))
    wait_until(lambda: len(session.state.document.takes) == 3 and session.state.job is None)
    as_it_is, mirrored, upward = (take.trajectory.centres[-1] for take in session.state.document.takes)
    assert as_it_is[0] < -0.1 and mirrored[0] == pytest.approx(-as_it_is[0])
    assert upward[1] == pytest.approx(as_it_is[0]) and abs(upward[0]) < 1e-9


def test_a_take_has_the_size_the_frames_and_the_rate_that_were_asked_for(session, app, video):
    predicted(session, video)
    session.dispatch(msg.Regenerate(side=96, frames=33))
    document = finish(session).document
    take = document.take
    assert (take.count, take.fps, take.size) == (33, 16.0, (72, 96)), "as long as the path lasts"
    assert len(load_clip(take.video, num_frames=99).frames_u8) == 99 and open_video(take.video).count == 33
    assert open_video(take.video).fps == 16 and not document.is_stale(take)
    assert "96 × 72 px, 33 frames at 16 a second" in result_words.take_details(document)
    session.dispatch(msg.Regenerate(fps=25.0))
    assert finish(session).document.take.fps == 25
    for asked, words in (
        (msg.Regenerate(side=5000), "size must be 64 to 1,920"),
        (msg.Regenerate(frames=300), "frames must be 2 to 257"),
        (msg.Regenerate(fps=99.0), "fps must be 8 to 60"),
    ):
        session.dispatch(asked)
        assert session.state.notice.is_error and words in session.state.notice.text


def test_a_takes_cameras_are_those_of_the_frames_it_shows(session, app, video):
    """Whole frames, more of them: the lens of the part which the model sees would be wrong beside them."""
    with pytest.raises(InputError, match="no path to export"):
        session.export_take_cameras("npz")
    predicted(session, video)
    take = made(session, 1).take
    own = formats.read(session.export_take_cameras("npz"))
    np.testing.assert_allclose(own.intrinsics, take.trajectory.resized(take.size).intrinsics)
    settings = replace(take.settings, film=True, frames=33, fps=12.0)
    whole = exports.take_cameras(replace(take, settings=settings, size=(200, 400)))
    assert (len(whole), whole.fps, whole.image_size) == (33, 12.0, (200, 400))
    _, fy, cx, cy = whole.intrinsics[0]
    of_crop = take.trajectory.fov_y_rad[0]  # 96 rows of 128 columns: the height of 200 is in it whole, the width is not
    assert 2 * math.atan(100 / fy) == pytest.approx(of_crop) and (cx, cy) == pytest.approx((200, 100))
    np.testing.assert_allclose(whole.Ts_world_camera[[0, -1]], take.trajectory.Ts_world_camera[[0, -1]], atol=1e-9)


def test_a_take_is_exported_as_video_gif_and_frames(session, app, video):
    with pytest.raises(InputError, match="no take to export"):
        session.export_take("mp4")
    predicted(session, video)
    take = made(session, 1).take
    written = session.export_take("mp4")
    assert written.read_bytes() == take.video.read_bytes()
    assert written.name == f"slide-path-{take.trajectory.hash[:6]}-seed-0.mp4"
    with Image.open(session.export_take("gif")) as picture:
        assert picture.n_frames == 17 and picture.size == (128, 96)
    with zipfile.ZipFile(session.export_take("png")) as archive:
        names = sorted(archive.namelist())
        assert names[0].endswith("0000.png") and len([name for name in names if name.endswith(".png")]) == 17
        beside = json.loads(archive.read(next(name for name in names if name.endswith("transforms.json"))))
    assert (beside["w"], beside["h"]) == (128, 96) and [frame["file_path"] for frame in beside["frames"]] == names[:17]
    with pytest.raises(InputError, match="kind must be one of mp4, webm"):
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


def test_a_take_is_compared_with_what_was_given_and_with_the_preview(session, app, video):
    predicted(session, video)
    made(session)
    session.dispatch(msg.Compare((GIVEN, 1)))
    assert session.state.compared == (GIVEN, 1)
    given, take = (compare_words.side_of(session.state, number) for number in session.state.compared)
    assert (given.title, take.title) == ("What was given", "Take 1")
    assert given == compare_words.side_of(session.state, GIVEN), "and is not sent again"
    assert compare_words.wipe_player(given, take).count("data:video/mp4;base64,") == 2
    assert not compare_words.side_button(session.state.document, session.state.compared).enabled
    with pytest.raises(InputError, match="no two takes"):
        session.side_by_side()
    session.dispatch(msg.Compare((PREVIEW, 1)))
    is_there = session.state.geometry.preview is not None
    assert session.state.compared == ((PREVIEW, 1) if is_there else (GIVEN, 1))
    names = [number for _, number in compare_words.choices(session.state.document, has_preview=True)]
    assert names == [GIVEN, PREVIEW, 1, 2]


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
