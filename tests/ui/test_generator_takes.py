"""Takes by a model of others: asked with what the clip shows, verified at their own shape, kept, and told of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from editing import App, depth_found, finish, give, predicted
from fakes import wait_until

from rap.generators.kinds import KINDS, Chosen
from rap.generators.request import FilmTask
from rap.geometry import preset
from rap.pipeline import EstimateTask
from ui.document import messages as msg
from ui.document.document import Settings
from ui.page import input_words, result_words, verify_words
from ui.session import exports, session_values
from ui.session.model_tasks import judged_path
from ui.session.options import Options

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector

SMALL = replace(KINDS["SanaWMPipeline"], size=(64, 128), steps=4)
GENERATOR = Chosen(SMALL, "its/own-tiny", "apache-2.0")


@pytest.fixture(scope="module")
def app():
    app = App(options=Options(num_frames=17, default_steps=4, generator=GENERATOR, prompt="as it was started"))
    yield app
    app.close()


@pytest.fixture
def session(app):
    session = app.sessions.open()
    session.dispatch(msg.SetRefine(False))
    session.dispatch(msg.SetVerify(False))
    yield session
    app.sessions.free(session.id)


def test_a_picture_is_shown_to_the_model_and_its_take_says_who_made_it(session, app, still):
    give(session, still)
    depth_found(session)
    session.dispatch(msg.ApplyPreset("arc-left", 1.0))
    session.dispatch(msg.Regenerate(seed=3, frames=18, prompt="a wall"))
    state = finish(session)
    task, take = app.pipeline.tasks[-1], state.document.take
    assert isinstance(task, FilmTask) and (task.prompt, task.seed, task.steps) == ("a wall", 3, None)
    assert task.frames_u8.shape == (25, 64, 128, 3) and take.size == (64, 128) and take.count == 25
    assert take.settings == replace(
        Settings(3, with_geometry=True, frames=25, generator="SANA-WM (own-tiny)", prompt="a wall"), fps=take.fps
    )
    assert "by SANA-WM (own-tiny)" in str(result_words.take_caption(state.document))
    assert "128 × 64 px, 25 frames" in str(result_words.take_details(state.document))
    assert session.cost.steps == 4 and session.cost.seconds_per_step is not None
    cameras = exports.take_cameras(take)
    assert cameras.image_size == (64, 128) and len(cameras) == 25
    assert cameras.intrinsics[0, 0] == pytest.approx(
        take.trajectory.intrinsics[0, 0] * 128 / take.trajectory.image_size[1]
    )


def test_a_take_is_verified_at_its_own_shape_and_a_film_from_its_own_frames(session, app, video):
    predicted(session, video)
    session.dispatch(msg.SetVerify(True))
    session.dispatch(msg.Regenerate())
    wait_until(lambda: session.state.document.verification is not None)
    take, task = finish(session).document.take, app.pipeline.tasks[-1]
    assert isinstance(task, EstimateTask) and task.frames_u8.shape == (17, 64, 128, 3)
    assert take.settings.prompt == "as it was started" and take.settings.frames == 17
    assert session.state.document.verification.take == take.number
    asked = [call for call in app.backend.calls if call[0] == "build_scene"]
    assert asked, "the cameras of the clip's frames are known"


def test_three_seeds_are_three_takes(session, app, still):
    give(session, still)
    depth_found(session)
    session.dispatch(msg.ApplyPreset("arc-left", 1.0))
    session.dispatch(msg.Variations("seeds", seed=5))
    wait_until(lambda: len(session.state.document.takes) == 3)
    assert [take.settings.seed for take in finish(session).document.takes] == [5, 6, 7]
    assert len({take.stamp for take in session.state.document.takes}) == 3


def test_what_it_cannot_do_is_refused_and_told_at_the_buttons(session, still):
    give(session, still)
    session.dispatch(msg.Imagine())
    assert session.state.notice.is_error and "takes cameras and makes none; apply a preset" in session.state.notice.text
    session.dispatch(msg.ApplyPreset("arc-left", 1.0))
    session.dispatch(msg.Regenerate(prompt="x" * 1001))
    finish(session)
    assert "the prompt has 1,001 characters" in session.state.notice.text
    assert not session.makes_cameras
    assert input_words.imagine_button(session.state.document, None, False).label == "Imagine (not with this model)"
    assert "not with this model" in verify_words.spread_button(session.state.document, None, False).label
    line = str(result_words.generator_line(Chosen(SMALL, "a/<b>", "")))
    assert "&lt;b&gt;" in line and "its card names no licence" in line


def test_its_settings_are_kept_in_a_session_file_and_make_another_stamp():
    row = {"seed": 1, "generator": "SANA-WM (x)", "prompt": "a\nwall"}
    assert session_values.settings(row) == Settings(1, generator="SANA-WM (x)", prompt="a wall")
    path = preset("arc-left", num_frames=5, image_size=(96, 128))
    from ui.document.document import stamp

    stamps = {stamp("c", path, Settings(1, generator=g, prompt=p)) for g, p in (("", ""), ("a", ""), ("a", "b"))}
    assert len(stamps) == 3


def test_a_take_of_ours_is_judged_as_before(app):
    path = preset("arc-left", num_frames=5, image_size=(96, 128))
    take = type("T", (), {"trajectory": path, "size": (96, 128), "settings": Settings()})()
    assert judged_path(take) is path
    take.settings, take.size = Settings(generator="x"), (704, 1280)
    judged = judged_path(take)
    assert judged.image_size == (224, 448) and np.allclose(judged.Ts_world_camera, path.Ts_world_camera)
