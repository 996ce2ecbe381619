"""A film gives its frames the cameras that made it, those between key frames as well, and says where it cannot."""

from dataclasses import replace

import numpy as np
import pytest
from analytic_scenes import FOV_Y_RAD, Plane, Sphere, World, observe, path

from rap.geometry import intrinsics_from_fov, se3
from rap.geometry.trajectory import Trajectory
from rap.metrics import pose_errors
from rap.reconstruction.film import refine_film
from rap.reconstruction.follow import follow_film, key_frames
from rap.reconstruction.tie import interpolated, tie_frames

SIZE = (120, 160)
SCENE = World((Plane((0.3, 0.1, 1.0), 1.6), Sphere((-0.25, 0.1, 1.0), 0.25), Sphere((0.3, -0.1, 1.2), 0.3)))
TRUTH = path((0.5, -0.05, 0.1), (0.05, -0.45, 0.02), num_frames=33, size=SIZE)
FILM_U8 = SCENE.look(TRUTH)[0]
AT = np.arange(0, 33, 4)


def unknown(count=9, fov_y_deg=55.0):
    """Cameras of which nothing is known."""
    lens = np.tile(intrinsics_from_fov(np.deg2rad(fov_y_deg), SIZE), (count, 1))
    return Trajectory(np.tile(np.eye(4), (count, 1, 1)), lens, SIZE)


def test_the_asked_frames_get_their_cameras():
    found = refine_film(FILM_U8, AT, unknown(), known_fov_y_rad=FOV_Y_RAD)
    errors = pose_errors(found.trajectory.Ts_world_camera, TRUTH.Ts_world_camera[AT])
    assert found.report.outcome == "refined" and found.report.focal_source == "given"
    assert errors.auc30 > 0.93 and errors.rotation_deg.mean() < 0.5
    assert (found.trajectory.Ts_world_camera[0] == np.eye(4)).all()
    np.testing.assert_allclose(found.trajectory.fov_y_rad, FOV_Y_RAD)
    assert found.points is not None
    # the unit of length: the source's median point at 1; spans are numbers of asked frames
    assert 0.7 < np.median(found.points.kept().in_front_depths(np.eye(4))) < 1.4
    assert found.points.span.min() >= 0 and found.points.span[:, 1].max() <= len(AT) - 1
    seen_first = found.points.where(found.points.seen_by(0))
    assert 20 < len(seen_first) < len(found.points)


def test_another_source_is_the_world():
    found = refine_film(FILM_U8, AT, replace(unknown(), source=4), known_fov_y_rad=FOV_Y_RAD)
    assert (found.trajectory.Ts_world_camera[4] == np.eye(4)).all() and found.trajectory.source == 4
    assert pose_errors(found.trajectory.Ts_world_camera, TRUTH.Ts_world_camera[AT]).auc30 > 0.93


@pytest.mark.slow  # eleven lenses are tried
def test_the_lens_is_found():
    found = refine_film(FILM_U8, AT, unknown(fov_y_deg=80.0))
    assert found.report.focal_source == "self-calibrated"
    assert found.trajectory.fov_y_rad[0] == pytest.approx(FOV_Y_RAD, rel=0.12)
    assert pose_errors(found.trajectory.Ts_world_camera, TRUTH.Ts_world_camera[AT]).auc30 > 0.8


def test_a_film_that_turns_on_the_spot():
    truth = path(None, (0.02, -0.4, 0.05), num_frames=17, size=SIZE)
    at = np.arange(0, 17, 2)
    found = refine_film(SCENE.look(truth)[0], at, unknown(9), known_fov_y_rad=FOV_Y_RAD)
    assert found.report.outcome == "no_parallax" and found.points is None
    assert (found.trajectory.centres == 0).all()
    off = se3.inverse(found.trajectory.Ts_world_camera) @ truth.Ts_world_camera[at]
    assert np.rad2deg(se3.rotation_angle(off[:, :3, :3])).max() < 0.5


def test_a_film_at_rest_is_no_motion():
    found = refine_film(np.repeat(FILM_U8[:1], 33, axis=0), AT, unknown())
    assert found.report.outcome == "no_parallax" and "The camera rests" in found.report.reason
    np.testing.assert_allclose(found.trajectory.Ts_world_camera, unknown().Ts_world_camera, atol=2e-3)


def test_a_film_that_shows_nothing_keeps_the_given_path():
    start = replace(unknown(), Ts_world_camera=TRUTH.Ts_world_camera[AT])
    found = refine_film(np.zeros_like(FILM_U8), AT, start)
    assert found.report.outcome == "too_few_tracks" and found.trajectory == start and found.points is None


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="at must have one frame of the 33 for each of the 9 cameras"):
        refine_film(FILM_U8, AT[:-1], unknown())
    with pytest.raises(ValueError, match="at must have one frame of the 33"):
        refine_film(FILM_U8, AT + 1, unknown())
    with pytest.raises(ValueError, match="in pixels of the film"):
        refine_film(FILM_U8, AT, unknown().resized((60, 80)))


def test_points_are_followed_through_the_film_and_keys_lie_as_far_apart_as_they_allow():
    flow = follow_film(FILM_U8)
    counts = np.bincount(flow.frame, minlength=33)
    assert counts.min() > 80 and np.bincount(flow.point).max() > 20
    keys = key_frames(flow)
    assert keys[0] == 0 and keys[-1] == 32 and (np.diff(keys) > 0).all() and 8 <= len(keys) < 20
    still = follow_film(np.repeat(FILM_U8[:1], 9, axis=0))
    assert key_frames(still).tolist() == [0, 8]
    assert len(follow_film(np.zeros_like(FILM_U8))) == 0


def test_frames_between_are_placed_by_the_points_of_the_others():
    xyz = np.random.default_rng(1).uniform([-0.5, -0.4, 0.8], [0.6, 0.4, 2.0], size=(60, 3))
    tracks = observe(xyz, TRUTH, noise_px=0.1)
    wrong = np.random.default_rng(2).random(len(tracks)) < 0.1
    tracks.xy[wrong & (tracks.frame % 8 != 0)] += 15
    known = np.arange(33) % 8 == 0
    begin = interpolated(TRUTH.Ts_world_camera[known] @ np.eye(4), np.flatnonzero(known), 33)
    begin[4, 0, 3] += 0.05
    Ts, placed = tie_frames(tracks, begin, TRUTH.intrinsics, known)
    off = se3.inverse(Ts) @ TRUTH.Ts_world_camera
    assert placed.all() and (Ts[known] == begin[known]).all()
    assert np.linalg.norm(off[:, :3, 3], axis=1).max() < 3e-3
    assert np.rad2deg(se3.rotation_angle(off[:, :3, :3])).max() < 0.15


def test_a_frame_that_the_points_do_not_fit_keeps_its_start():
    xyz = np.random.default_rng(1).uniform([-0.5, -0.4, 0.8], [0.6, 0.4, 2.0], size=(60, 3))
    tracks = observe(xyz, TRUTH)
    lost = tracks.frame == 5
    tracks.xy[lost] = np.random.default_rng(3).uniform(0, 100, (lost.sum(), 2))
    known = np.arange(33) % 8 == 0
    begin = interpolated(TRUTH.Ts_world_camera[known], np.flatnonzero(known), 33)
    Ts, placed = tie_frames(tracks, begin, TRUTH.intrinsics, known)
    assert np.flatnonzero(~placed).tolist() == [5] and (Ts[5] == begin[5]).all()


def test_interpolation_ends_as_the_nearest():
    at = np.array([2, 6])
    Ts = interpolated(TRUTH.Ts_world_camera[at], at, 9)
    np.testing.assert_allclose(Ts[[0, 1, 2]], TRUTH.Ts_world_camera[[2, 2, 2]], atol=1e-12)
    np.testing.assert_allclose(Ts[[6, 7, 8]], TRUTH.Ts_world_camera[[6, 6, 6]], atol=1e-12)
    np.testing.assert_allclose(Ts[4, :3, 3], (TRUTH.centres[2] + TRUTH.centres[6]) / 2, atol=1e-3)
