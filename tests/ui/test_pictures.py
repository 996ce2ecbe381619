"""A single picture in a session: its depth, presets that fit it, takes of its own layers; nobody looks at a pixel."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from editing import App, at_rest, bent, depth_found, give
from fakes import FakeScene, moving_frames, wait_until
from PIL import Image

from rap.data import write_video
from rap.errors import InputError
from rap.geometry import preset, se3
from ui.document import messages as msg
from ui.document.document import Settings
from ui.document.geometry import cameras_of_view
from ui.document.picking import places_of
from ui.page import input_words, keep_words, moves_panel, path_words, result_words
from ui.session.options import Options
from ui.session.uploads import take_frames

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


def test_a_flat_picture_is_a_plane_and_its_preview_says_so(session, app, still):
    give(session, still)
    assert session.state.geometry.use_on and not session.state.geometry.flat_on
    depth_found(session)
    session.dispatch(msg.SetFlat(True))
    session.dispatch(msg.ApplyPreset("truck-left"))
    state = at_rest(session)
    assert app.backend.calls == [("picture_scene", None), ("picture_scene", "flat")]
    assert state.geometry.scene.dense is None and not state.geometry.preview.warning
    assert "as a plane at unit depth" in result_words.preview_line(state.geometry, True)
    assert "75% of the pixels" in result_words.preview_line(state.geometry, True)
    session.dispatch(msg.ApplyPreset("truck-right"))
    at_rest(session)
    assert len(app.backend.scenes) == 2, "the same lens, the same scene"
    for on in (True, False):
        session.dispatch(msg.SetUseGeometry(on))
        session.dispatch(msg.Regenerate())
        wait_until(lambda: session.state.job is None)
        assert (app.pipeline.tasks[-1].hints is not None) == on
    session.dispatch(msg.SetFlat(False))
    assert at_rest(session).geometry.scene.basis.known_from == "one image"
    give(session, still)
    session.dispatch(msg.SetFlat(True))
    give(session, still)
    assert not session.state.geometry.flat_on, "off by default, for every picture"


def test_a_model_of_depth_named_at_the_start_is_taken_and_can_be_put_aside(still):
    app = App(options=Options(depth_model="models/deep-eye"))
    try:
        session = app.sessions.open()
        assert session.depth_model == "deep-eye"
        give(session, still)
        scene = depth_found(session).scene
        assert "By deep-eye from this one picture" in keep_words.depth_picture(scene)
        session.dispatch(msg.SetDepthModel(False))
        wait_until(lambda: session.state.geometry.scene is not scene and session.state.geometry.job is None)
        assert "By a network from" in keep_words.depth_picture(session.state.geometry.scene)
        give(session, still)
        assert depth_found(session).scene.basis.depth_by == "", "what was chosen holds for the next picture, too"
        assert app.backend.calls == [("picture_scene", by) for by in ("models/deep-eye", None, None)]
        session.dispatch(msg.SetDepthModel(True))
        assert session.state.geometry.depth_by == "models/deep-eye"
    finally:
        app.close()


def test_the_depth_of_a_picture_is_found_before_there_is_a_path(session, app, still):
    drawn = []
    session.viewport.draw = drawn.append
    app.backend.gates["picture_scene"] = gate = threading.Semaphore(0)
    give(session, still)
    job = session.state.geometry.job
    assert job.kind == "depth" and "depth of the picture" in path_words.viewport_hint(None, False, job)
    assert input_words.geometry_progress(job) == "", "it would push buttons away"
    assert session.state.document.edited is None
    gate.release()
    geometry = depth_found(session)
    assert geometry.shows_dense and len(drawn[-1].dense.xyz) == 500 and drawn[-1].trajectory is None
    assert geometry.scene.centre_depth == 0.8 and geometry.preview is None
    assert app.pipeline.tasks == [], "the model is not waited for"
    session.dispatch(msg.SetDensePoints(False))
    assert drawn[-1].dense is None
    lens = geometry.scene.basis.trajectory.intrinsics[0, 0]
    assert lens == pytest.approx(0.85 * 128), "the usual one, of the long side"
    session.dispatch(msg.ApplyPreset("arc-left"))
    assert at_rest(session).geometry.scene is geometry.scene, "the preset is seen through the same lens"


def test_a_preset_fits_the_picture(session, app, still):
    give(session, still)
    depth_found(session)
    session.dispatch(msg.ApplyPreset("arc-left"))
    path = session.state.document.edited
    turned = np.degrees(np.arccos(path.Ts_world_camera[-1][0, 0]))
    assert turned == pytest.approx(20) and session.state.notice is None
    ahead = path.Ts_world_camera[-1] @ np.array([0, 0, 0.8, 1])
    np.testing.assert_allclose(ahead[:3], [0, 0, 0.8], atol=1e-9, err_msg="about what is in the middle")
    session.dispatch(msg.ApplyPreset("arc-left", pivot_distance=2.0))
    assert session.state.document.edited.centres[-1, 0] == pytest.approx(2.5 * path.centres[-1, 0])
    app.backend.scenes[-1].wall = 0.2
    session.dispatch(msg.ApplyPreset("dolly-in"))
    assert "dolly-in is made 51% of its usual size" in session.state.notice.text
    assert session.state.document.edited.centres[:, 2].max() < 0.7 * 0.2
    session.dispatch(msg.ApplyPreset("dolly-in", amplitude=2.0))
    assert session.state.document.edited.centres[-1, 2] == pytest.approx(2 * 0.3 * 0.8), "it was asked for"
    assert "From frame 7 on the path leads through" in session.state.notice.text
    assert "From frame 7 on" in result_words.preview_line(at_rest(session).geometry, True)


def test_a_preset_that_came_before_the_depth_is_fitted_when_that_is_there(session, app, still):
    app.backend.gates["picture_scene"] = gate = threading.Semaphore(0)
    give(session, still)
    session.dispatch(msg.ApplyPreset("zoom-in"))
    before = session.state.document
    assert before.edited.centres[-1, 2] == pytest.approx(0.5)
    gate.release()
    fitted = at_rest(session).document
    assert fitted.edited.centres[-1, 2] == pytest.approx(0.8 * (1 - 2**-0.51)) and fitted.past == before.past
    give(session, still)
    session.dispatch(msg.ApplyPreset("zoom-in"))
    edited = bent(session)
    gate.release()
    depth_found(session)
    assert session.state.document.edited is edited, "a hand has been on it"


def test_a_take_that_is_asked_for_before_the_depth_is_made_along_the_fitted_path(session, app, still):
    app.backend.gates["picture_scene"] = gate = threading.Semaphore(0)
    give(session, still)
    session.dispatch(msg.ApplyPreset("zoom-in"))
    session.dispatch(msg.Regenerate(seed=7))
    state = session.state
    assert state.job is None and "as soon as the picture's depth is known" in state.notice.text
    gate.release()
    wait_until(lambda: session.state.document.takes and session.state.job is None)
    take = session.state.document.take
    assert take.settings.layers and take.trajectory.centres[-1, 2] == pytest.approx(0.8 * (1 - 2**-0.51))
    assert take.trajectory == session.state.document.edited and len(session.state.document.takes) == 1


def test_how_a_late_move_was_fitted_is_said_while_its_take_is_made(session, app, still, monkeypatch):
    monkeypatch.setattr(FakeScene, "bent_share", lambda scene, path: 1.0)
    app.backend.gates |= {
        "picture_scene": (finding := threading.Semaphore(0)),
        "preview": (making := threading.Semaphore(0)),
    }
    give(session, still)
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.Regenerate())
    finding.release()
    wait_until(lambda: session.state.job is not None)
    assert "made 51% of its usual size: more would bend" in session.state.notice.text
    making.release(40)
    wait_until(lambda: session.state.document.takes)


def test_variations_too_wait_for_the_depth_but_not_along_a_path_that_was_bent(session, app, still):
    app.backend.gates["picture_scene"] = gate = threading.Semaphore(0)
    give(session, still)
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.Variations("directions"))
    assert session.state.job is None and session.state.waiting == ()
    bent(session)
    session.dispatch(msg.Regenerate())
    assert session.state.job is not None, "a hand has been on it"
    gate.release()
    gate.release()
    wait_until(lambda: not session.state.busy and not session.state.waiting)


@pytest.mark.parametrize("how", ["cancelled", "failed", "another picture"])
def test_no_take_begins_when_nothing_came_of_the_depth(session, app, still, tmp_path, how):
    app.backend.gates["picture_scene"] = gate = threading.Semaphore(0)
    give(session, still)
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.Regenerate())
    if how == "cancelled":
        session.dispatch(msg.Cancel("input"))
    elif how == "failed":
        app.backend.fails_with = InputError("no depth today")
    else:
        give(session, still)
    for _ in range(3):
        gate.release()
    wait_until(lambda: session.state.geometry.job is None)
    assert session.state.job is None and not session.state.document.takes


def test_the_take_of_a_picture_is_its_own_layers_at_full_size(session, app, still):
    give(session, still)
    depth_found(session)
    session.dispatch(msg.ApplyPreset("arc-left"))
    at_rest(session)
    app.pipeline.gate = threading.Semaphore(0)
    session.dispatch(msg.Regenerate(seed=7))
    wait_until(lambda: session.state.job is None)
    document = session.state.document
    take = document.take
    assert app.pipeline.tasks == [] and take.settings == Settings(
        with_geometry=True, layers=True, side=640, frames=17, fps=8.0
    )
    assert take.size == (480, 640) and not document.is_stale(take)
    caption, details = result_words.take_caption(document), result_words.take_details(document)
    assert "from the photograph itself; the model was not asked" in caption
    assert "640 × 480 px, 17 frames at 8 a second" in details and "seed 0" not in details
    frames = take_frames(take.video, take.trajectory, take.size)
    assert frames.shape == (17, 480, 640, 3) and abs(int(frames[9].mean()) - 90) < 3
    assert result_words.preview_on_show(session.state.geometry.preview, take) is None
    assert session.cost.side == 640 and session.cost.steps == 17 and session.cost.seconds_per_step is not None
    session.dispatch(msg.Variations("seeds"))
    assert "the same for every seed" in session.state.notice.text and session.state.job is None
    session.dispatch(msg.Variations("amplitudes"))
    wait_until(lambda: session.state.job is None and not session.state.waiting)
    assert len(session.state.document.takes) == 4


def test_a_walk_is_cancelled_between_two_frames(session, app, still):
    give(session, still)
    depth_found(session)
    session.dispatch(msg.ApplyPreset("arc-left"))
    at_rest(session)
    app.backend.scenes[-1].gate = gate = threading.Semaphore(2)
    session.dispatch(msg.Regenerate())
    wait_until(lambda: session.state.job is not None and session.state.job.step == 2)
    assert session.state.job.steps == 17
    session.dispatch(msg.Cancel("result"))
    gate.release(99)
    wait_until(lambda: session.state.job is None)
    assert session.state.document.takes == () and "nothing was kept" in session.state.notice.text


def test_what_is_known_of_a_pictures_lens_is_said_and_used(session, app, still):
    give(session, still)
    depth_found(session)
    session.dispatch(msg.ApplyPreset("arc-left"))
    state = at_rest(session)
    assert result_words.lens_words(state.document, state.geometry) == "48° lens assumed"
    assert "48° lens assumed" in result_words.preview_line(state.geometry, True, "48° lens assumed")
    session.dispatch(msg.SetFieldOfView(30.0))
    state = at_rest(session)
    assert np.degrees(state.document.edited.fov_y_rad[0]) == pytest.approx(30)
    assert result_words.lens_words(state.document, state.geometry) == "30° lens as given"
    assert state.document.past[-1].name == "field of view"


@pytest.mark.parametrize(
    ("outcome", "own", "why"),
    [
        ("no_parallax", "refined", "The camera only turns"),
        ("diverged", "predicted", "The film's cameras are not known (That was diverged)"),
    ],
)
def test_a_clip_that_tells_no_depth_is_walked_into_by_its_frames_own(session, app, video, outcome, own, why):
    app.backend.outcome = outcome
    give(session, video)
    session.dispatch(msg.Predict())
    assert at_rest(session).geometry.scene.basis.known_from == own, "along its own path all frames show more"
    session.dispatch(msg.ApplyPreset("arc-left"))
    assert at_rest(session).geometry.scene.basis.known_from == "one image"
    session.dispatch(msg.Regenerate())
    assert session.state.notice.text.startswith(why) and ": its first frame alone" in session.state.notice.text
    wait_until(lambda: session.state.job is None)
    assert session.state.document.take.settings.layers


def test_moves_in_a_film_turn_about_what_is_in_the_middle(session, app, video):
    give(session, video)
    session.dispatch(msg.Predict())
    assert at_rest(session).geometry.scene.centre_depth == 0.8
    session.dispatch(msg.ApplyPreset("arc-left"))
    path = session.state.document.edited
    lens = {"image_size": path.image_size, "fov_y_rad": float(path.fov_y_rad[0])}
    whole = preset("arc-left", num_frames=len(path), pivot_distance=0.8, **lens)
    np.testing.assert_allclose(path.Ts_world_camera, whole.Ts_world_camera, atol=1e-9)  # as large as elsewhere


def test_the_flat_switch_is_kept_with_the_session(session, app, still):
    give(session, still)
    session.dispatch(msg.SetFlat(True))
    session.dispatch(msg.ApplyPreset("arc-left"))
    at_rest(session)
    other = app.sessions.open()
    other.dispatch(msg.OpenSession(str(session.save())))
    assert other.state.geometry.flat_on
    assert at_rest(other).geometry.scene.basis.known_from == "flat image"


def test_the_depth_of_a_picture_is_shown_and_exported(session, app, still):
    assert not keep_words.depth_button(None).enabled
    give(session, still)
    scene = depth_found(session).scene
    assert keep_words.depth_button(scene).enabled and "data:image/jpeg" in keep_words.depth_picture(scene)
    with Image.open(session.export_depth()) as picture:
        values, text = np.asarray(picture), picture.text
    assert values.dtype == np.uint16 and values.shape == (32, 64)
    np.testing.assert_allclose(values[[0, -1], 0] / 2000, [2.5, 0.625], rtol=0.02, err_msg="the median is 0.8")
    lens = float(text["Vertical field of view"].split()[0])
    assert lens == pytest.approx(np.degrees(2 * np.arctan(16 / 40)), abs=0.01)
    session.dispatch(msg.SetFlat(True))
    wait_until(lambda: session.state.geometry.scene is not scene and session.state.geometry.job is None)
    with pytest.raises(InputError, match="leave Flat picture off"):
        session.export_depth()
    assert "unless it is taken for flat" in keep_words.depth_picture(session.state.geometry.scene)


def test_an_imagined_path_is_seen_through_the_pictures_own_layers(session, app, still):
    give(session, still)
    built = depth_found(session).scene
    built.scene.median = 2.0
    session.dispatch(msg.Imagine(seed=3))
    wait_until(lambda: session.state.document.take is not None)
    state, path = at_rest(session), session.state.document.edited
    sampled = preset("arc-right", num_frames=17, image_size=path.image_size, amplitude=0.8)
    np.testing.assert_allclose(path.centres, 2.0 * sampled.centres, err_msg="in the unit of the picture's depth")
    np.testing.assert_array_equal(path.intrinsics[0], built.basis.trajectory.intrinsics[0])
    assert state.geometry.scene is built and len(app.backend.scenes) == 1, "one lens, one scene"
    take = state.document.take
    assert take.trajectory == path and take.size == (480, 640)
    assert take.settings == Settings(3, with_geometry=True, layers=True)
    caption = result_words.take_caption(state.document)
    assert "seed 3" in result_words.take_details(state.document)
    assert "imagined" in caption and "its path by the model, its video from" in caption
    assert state.notice.text.endswith(" s.")


def test_an_imagined_path_is_kept_clear_of_what_the_picture_shows(session, app, still):
    give(session, still)
    depth_found(session).scene.scene.wall = 0.06
    session.dispatch(msg.Imagine())
    wait_until(lambda: session.state.document.take is not None)
    assert "more would lead through what stands there" in session.state.notice.text
    path = session.state.document.take.trajectory
    assert 0 < path.centres[:, 2].max() <= 0.7 * 0.06


@pytest.mark.parametrize("message", [msg.SetFlat(True), msg.SetUseGeometry(False)])
def test_of_a_flat_picture_or_without_geometry_the_model_shows_what_it_imagines(session, app, still, message):
    give(session, still)
    session.dispatch(message)
    session.dispatch(msg.Imagine())
    wait_until(lambda: session.state.document.take is not None)
    take = session.state.document.take
    assert take.settings == Settings() and take.size == session.state.document.clip.image_size


def test_a_click_on_the_picture_is_what_moves_turn_about_until_it_is_forgotten(session, still, video):
    session.dispatch(msg.PickInPicture("clip", 0.0, 0.5, 0.5))
    assert "cameras are not known yet" in session.state.notice.text and session.state.notice.is_error
    give(session, still)
    depth_found(session)
    clip, path = (cameras_of_view(session.state.document, session.state.geometry, view) for view in ("clip", "path"))
    seen = next(at for point in session.state.geometry.scene.picture.xyz if (at := places_of(clip, point)[0]).min() > 0)
    session.dispatch(msg.PickInPicture("clip", 0.0, *seen))
    point = session.state.document.target
    assert path is None and places_of(clip, point)[0] == pytest.approx(seen, abs=0.03)
    session.dispatch(msg.ApplyPreset("arc-left"))
    path = cameras_of_view(session.state.document, session.state.geometry, "path")
    assert places_of(path, point) == pytest.approx(np.repeat(places_of(clip, point), len(path), axis=0), abs=1e-6)
    session.dispatch(msg.PickInPicture("path", 0.99, *places_of(path, point)[-1]))
    assert session.state.document.target is not None
    session.dispatch(msg.ForgetPoint())
    assert session.state.document.target is None and session.state.notice is None
    give(session, video)
    session.dispatch(msg.PickInPicture("clip", 0.0, 0.5, 0.5))
    assert session.state.document.target is None and "press Predict path first" in session.state.notice.text


def test_a_move_by_degrees_turns_by_these(session, still):
    give(session, still)
    depth_found(session)
    session.dispatch(msg.ApplyPreset("orbit-left", by=90.0))
    last = session.state.document.edited.Ts_world_camera[-1, :3, :3]
    assert np.degrees(se3.rotation_angle(last)) == pytest.approx(90.0)
    before = session.state.document.edited
    moves_panel.apply_preset(session, "spiral", 1.0, 1.0, 90.0)
    (wrong,) = session.state.wrong
    assert wrong.field == "degrees" and "spiral is neither a turn nor a way" in wrong.text
    assert session.state.document.edited is before
