"""Refinement gives drifted paths back, and says honestly when the frames cannot tell."""

from dataclasses import replace

import numpy as np
import pytest
from analytic_scenes import Plane, Sphere, World, observe, path

from rap.geometry import intrinsics_from_fov, se3
from rap.geometry.trajectory import Trajectory
from rap.metrics import pose_errors
from rap.reconstruction import initialise
from rap.reconstruction import refine as refinement
from rap.reconstruction.bundle import bundle_adjust
from rap.reconstruction.joints import Joints
from rap.reconstruction.lens import LensCurve
from rap.reconstruction.mend import frame_shares
from rap.reconstruction.refine import refine_trajectory
from rap.synthetic.clips import SyntheticConfig, plan_clip, render_plan
from rap.synthetic.textures import texture_bank

SCENE = World((Plane((0.3, 0.1, 1.0), 1.6), Sphere((-0.25, 0.1, 1.0), 0.25), Sphere((0.3, -0.1, 1.2), 0.3)))
ARC = path((0.4, -0.05, 0.1), (0.05, -0.35, 0.02))
ARC_FRAMES, ARC_DEPTHS = SCENE.look(ARC)


def drifted(trajectory, degrees=1.0, share=0.05):
    """A smooth drift that grows to this size from the source on."""
    s = np.linspace(0, 1, len(trajectory)) - trajectory.source / (len(trajectory) - 1)
    xi = s[:, None] * np.array([share, -share, share, *np.deg2rad([degrees, -degrees, degrees])])
    return Trajectory(
        trajectory.Ts_world_camera @ se3.exp(xi), trajectory.intrinsics, trajectory.image_size, source=trajectory.source
    )


def refine(world, trajectory, start=None, **options):
    frames, _ = world.look(trajectory)
    options = dict(trust_focal=True, initialise=False) | options
    return refine_trajectory(frames, drifted(trajectory) if start is None else start, **options)


@pytest.mark.parametrize("source", [0, 4])
def test_drift_is_taken_back(source):
    trajectory = ARC.relative_to(source)
    start = drifted(trajectory)
    found = refine_trajectory(ARC_FRAMES, start, trust_focal=True, initialise=False)
    before = pose_errors(start.Ts_world_camera, trajectory.Ts_world_camera)
    after = pose_errors(found.trajectory.Ts_world_camera, trajectory.Ts_world_camera)
    assert found.report.outcome == "refined" and found.report.start == "prediction"
    assert after.rotation_deg.mean() < 0.5 * before.rotation_deg.mean()  # outlines of spheres slip: half a pixel
    assert np.median(after.direction_deg) < 0.2 * np.median(before.direction_deg)
    assert found.report.residual_after_px < 0.3 * found.report.residual_before_px
    assert (found.trajectory.Ts_world_camera[source] == np.eye(4)).all() and found.trajectory.source == source
    # the unit of length: seen from the source, the median point lies at distance 1
    good = found.points.kept()
    seen = np.isin(good.point, found.tracks.point[found.tracks.frame == source])
    np.testing.assert_allclose(np.median(good.where(seen).in_front_depths(np.eye(4))), 1, atol=0.1)
    unit = np.linalg.norm(trajectory.centres[8]) / np.linalg.norm(found.trajectory.centres[8])
    np.testing.assert_allclose(unit, np.median(ARC_DEPTHS[source]), rtol=0.2)


def test_a_start_from_the_frames_wins_over_none():
    away = Trajectory(se3.inverse(ARC.Ts_world_camera), ARC.intrinsics, ARC.image_size)  # the mirrored path
    alone = refine_trajectory(ARC_FRAMES, away, trust_focal=True, initialise=False)
    found = refine_trajectory(ARC_FRAMES, away, trust_focal=True)
    error, error_alone = (
        pose_errors(r.trajectory.Ts_world_camera, ARC.Ts_world_camera).rotation_deg.mean() for r in (found, alone)
    )
    assert found.report.outcome == "refined" and error < 1 and error <= error_alone + 0.1
    assert found.report.start == "frames" or error_alone < 1


def test_a_path_that_says_nothing_is_not_adjusted_before_the_frames_are_asked(monkeypatch):
    still = Trajectory(np.tile(np.eye(4), (9, 1, 1)), ARC.intrinsics, ARC.image_size)
    with monkeypatch.context() as patch:
        patch.setattr(refinement, "_from_prediction", None)
        found = refine_trajectory(ARC_FRAMES, still, trust_focal=True)
    assert found.report.outcome == "refined" and found.report.start == "frames"
    assert pose_errors(found.trajectory.Ts_world_camera, ARC.Ts_world_camera).rotation_deg.mean() < 1
    # poses rest on some tracks, points are those of all
    assert found.tracks and found.points
    assert found.tracks.num_points > found.report.num_points and len(found.points) > found.report.num_points
    black = refine_trajectory(np.zeros_like(ARC_FRAMES), still)
    assert black.report.outcome == "too_few_tracks" and black.trajectory == still


def test_forward_motion():
    found = refine(SCENE, path((0.02, 0.01, 0.5)))
    assert found.report.outcome == "refined"
    direction = found.trajectory.centres[-1] / np.linalg.norm(found.trajectory.centres[-1])
    assert np.rad2deg(np.arccos(direction[2])) < 6


def test_a_pan_shows_no_parallax():
    trajectory = path(None, (0.02, -0.3, 0.05))
    found = refine(SCENE, trajectory)
    assert found.report.outcome == "no_parallax" and found.points is None
    assert "its turns were refined, its place stays" in found.report.reason
    assert (found.trajectory.centres == 0).all()
    off = se3.inverse(found.trajectory.Ts_world_camera) @ trajectory.Ts_world_camera
    assert np.rad2deg(se3.rotation_angle(off[:, :3, :3])).max() < 0.3


def test_a_small_turn_tells_no_focal_length():
    trajectory = path(None, (0.0, -0.1, 0.0))
    found = refine(SCENE, trajectory, trust_focal=False)
    assert found.report.outcome == "no_parallax" and found.report.focal_source == "model"
    np.testing.assert_array_equal(found.trajectory.intrinsics, trajectory.intrinsics)
    assert found.report.focal_change == 1


def test_a_camera_at_rest():
    found = refine(SCENE, path())
    assert found.report.outcome == "no_parallax" and "rests" in found.report.reason
    np.testing.assert_allclose(found.trajectory.Ts_world_camera, np.eye(4) * np.ones((9, 1, 1)), atol=2e-3)


def test_a_thing_that_moves_before_a_camera_at_rest_is_no_camera_motion():
    s = np.linspace(0, 1, 9)[:, None]
    world = World((Sphere((-0.2, 0, 1.0), 0.2), Plane(offset=1.8)), {0: s * np.array([0.4, 0.05, 0.0])})
    found = refine(world, path())
    assert found.report.outcome == "no_parallax"
    assert np.rad2deg(se3.rotation_angle(found.trajectory.Ts_world_camera[:, :3, :3])).max() < 0.3


def test_a_thing_that_moves_does_not_bend_the_path():
    s = np.linspace(0, 1, 9)[:, None]
    surfaces = (*SCENE.surfaces, Sphere((0, 0.15, 0.8), 0.12))
    world = World(surfaces, {3: s * np.array([-0.2, -0.3, 0.1])})
    found = refine(world, ARC)
    error = pose_errors(found.trajectory.Ts_world_camera, ARC.Ts_world_camera)
    assert found.report.outcome == "refined" and error.rotation_deg.mean() < 0.4


@pytest.mark.parametrize("frames", [np.zeros((9, 96, 128, 3), np.uint8), np.full((9, 96, 128, 3), 255, np.uint8)])
def test_frames_without_texture(frames):
    start = drifted(ARC)
    found = refine_trajectory(frames, start)
    assert found.report.outcome == "too_few_tracks" and found.trajectory == start and found.tracks is None
    assert "(0 in the whole clip, 8 between two frames are needed)" in found.report.reason


def test_noise_is_not_explained():
    frames = np.random.default_rng(0).integers(0, 255, (9, 96, 128, 3), dtype=np.uint8)
    start = drifted(ARC)
    found = refine_trajectory(frames, start)
    assert found.report.outcome in ("too_few_tracks", "diverged") and found.trajectory == start


def test_one_frame():
    start = Trajectory(np.eye(4)[None], ARC.intrinsics[:1], ARC.image_size)
    found = refine_trajectory(SCENE.look(start)[0], start)
    assert found.report.outcome == "too_few_tracks" and found.trajectory == start
    assert found.report.reason == "One frame shows no motion; the given trajectory is kept."


def test_two_frames():
    trajectory = path((0.25, 0, 0), (0, -0.2, 0), num_frames=2)
    found = refine(SCENE, trajectory)
    assert found.report.outcome == "refined"
    error = pose_errors(found.trajectory.Ts_world_camera, trajectory.Ts_world_camera)
    assert error.rotation_deg.mean() < 0.7 and error.direction_deg.mean() < 5


def test_black_frames_at_the_end_keep_their_given_motion():
    frames = ARC_FRAMES.copy()
    frames[7:] = 0
    start = drifted(ARC)
    found = refine_trajectory(frames, start, trust_focal=True, initialise=False)
    assert found.report.outcome == "refined" and "Frames [7, 8]" in found.report.reason
    given, new = (se3.inverse(t.Ts_world_camera[6]) @ t.Ts_world_camera[8] for t in (start, found.trajectory))
    np.testing.assert_allclose(given[:3, :3], new[:3, :3], atol=1e-9)


def test_where_the_focal_length_comes_from():
    frames = ARC_FRAMES
    wide = Trajectory(ARC.Ts_world_camera, ARC.intrinsics * [0.8, 0.8, 1, 1], ARC.image_size)
    given = refine_trajectory(frames, wide, known_fov_y_rad=float(ARC.fov_y_rad[0]), initialise=False)
    assert given.report.focal_source == "given"
    np.testing.assert_allclose(given.trajectory.intrinsics, ARC.intrinsics)
    np.testing.assert_allclose(given.report.focal_change, 1 / 0.8)
    free = refine_trajectory(frames, wide, initialise=False)
    assert free.report.focal_source == "self-calibrated" and free.report.outcome == "refined"
    assert abs(np.log(free.trajectory.intrinsics[0, 0] / ARC.intrinsics[0, 0])) < abs(np.log(0.8))
    assert refine_trajectory(frames, wide, trust_focal=True, initialise=False).report.focal_source == "model"


def test_arguments_are_checked():
    frames = ARC_FRAMES[:2]
    with pytest.raises(ValueError, match="one camera a frame, got 9 for 2 frames"):
        refine_trajectory(frames, ARC)
    with pytest.raises(ValueError, match="pixels of the frames"):
        refine_trajectory(frames, path(num_frames=2).resized((48, 64)))
    with pytest.raises(ValueError, match="uint8"):
        refine_trajectory(frames / 255.0, path(num_frames=2))


def with_a_joint_turned(trajectory, cut, degrees=35.0):
    """The same path before and from frame `cut` on, the second part turned about that frame's camera."""
    turn = se3.exp([0, 0, 0, *np.deg2rad([0.2 * degrees, degrees, 0])])
    poses = trajectory.Ts_world_camera.copy()
    poses[cut:] = poses[cut] @ turn @ se3.inverse(poses[cut]) @ poses[cut:]
    return Trajectory(poses, trajectory.intrinsics, trajectory.image_size, source=trajectory.source)


def candidate(tracks, trajectory, iterations=0):
    """What an adjustment of these poses comes to; with no iterations, of these very poses."""
    bundle = bundle_adjust(tracks, trajectory.Ts_world_camera, trajectory.intrinsics, iterations=iterations)
    every = np.ones(len(trajectory), dtype=bool)
    shares = frame_shares(tracks, bundle, 1.0)
    return refinement.Candidate("prediction", tracks, bundle, shares, every, tracks, 0)


LONG = path((0.6, -0.05, 0.2), (0.03, -0.5, 0.05), num_frames=12)


def short_tracks(reach=4):
    """Points seen in a few frames in a row, as those of a camera that turns much."""
    xyz = np.random.default_rng(1).uniform([-0.6, -0.4, 0.9], [0.8, 0.4, 2.2], size=(240, 3))
    tracks = observe(xyz, LONG, noise_px=0.1)
    begin = np.random.default_rng(2).integers(0, len(LONG) - reach + 1, len(xyz))[tracks.point]
    return tracks.where((begin <= tracks.frame) & (tracks.frame < begin + reach))


def test_a_chain_of_two_good_pieces_is_worth_less_than_a_path_that_holds_everywhere():
    """The joined one fits better, as that of toy_orbit did: the other one's tracks are disturbed until it does."""
    tracks, rng = short_tracks(), np.random.default_rng(3)
    joined = candidate(tracks, with_a_joint_turned(LONG, 6), iterations=30)
    noise = np.where((rng.random(len(tracks)) < 0.25)[:, None], rng.normal(0, 6, (len(tracks), 2)), 0)
    holding = candidate(replace(tracks, xy=tracks.xy + noise), LONG)
    assert joined.score > holding.score + 0.05 and joined.worth < holding.worth
    assert joined.joints.weak_frames == ((5, 6),) and not holding.joints.weak.any()


def test_a_weak_joint_does_not_convince_however_much_fits():
    tracks = short_tracks()
    good = candidate(tracks, LONG)
    assert good.convinces
    first, last = (by.reduceat(tracks.frame, tracks.starts)[tracks.point] for by in (np.minimum, np.maximum))
    lost = (first <= 5) & (last > 5) & np.where(first <= 3, tracks.frame > 5, tracks.frame <= 5)
    bundle = replace(good.bundle, residual_px=np.where(lost, 9.0, 0.1))
    bad = replace(good, bundle=bundle, shares=np.full(12, 0.95))
    assert not bad.convinces and bad.joints.weak_frames == ((5, 6),)


@pytest.mark.slow  # refines a clip of full size twice: smaller frames do not lead astray
def test_a_path_made_up_for_a_wrong_focal_length_is_not_taken(monkeypatch):
    """A walk past a table of which adjustment alone takes 48 degrees of view, and a path the wrong way, for true."""
    config = SyntheticConfig(size=(240, 320), num_frames=17, supersample_share=1.0)
    rng, bank = np.random.default_rng((6, 100)), texture_bank(None, config.texture_size, "cpu")
    clip = render_plan(plan_clip(rng, config, bank), rng, config, bank)
    lens = np.repeat(intrinsics_from_fov(np.deg2rad(55), config.size)[None], 17, axis=0)
    unknown = Trajectory(np.tile(np.eye(4), (17, 1, 1)), lens, config.size)
    frames_u8, truth = clip.frames_u8[0].numpy(), clip.Ts_world_camera[0].numpy()
    found = refine_trajectory(frames_u8, unknown)
    assert pose_errors(found.trajectory.Ts_world_camera, truth).auc30 > 0.9
    np.testing.assert_allclose(found.trajectory.intrinsics[0, 0], clip.intrinsics[0, 0, 0], rtol=0.05)
    astray = LensCurve(np.deg2rad([40.0, 48.0, 58.0]), np.array([0.3, 0.2, 0.3]))
    monkeypatch.setattr(initialise, "lens_curve", lambda sightings: astray)
    again = refine_trajectory(frames_u8, unknown)
    assert pose_errors(again.trajectory.Ts_world_camera, truth).auc30 > 0.9, "even where the search for the lens errs"


TURNING = path((0.9, -0.05, 0.1), (0.05, -1.0, 0.02), num_frames=13)


def test_a_wrong_joint_is_made_right_or_named(monkeypatch):
    """From 35 degrees off in the middle adjusting alone does not come back; joining the pieces anew does."""
    frames, _ = SCENE.look(TURNING)
    start = with_a_joint_turned(TURNING, 6)
    found = refine_trajectory(frames, start, trust_focal=True, initialise=False)
    assert off_at(5, found) < 1 and found.report.weak_joints == ()
    monkeypatch.setattr(refinement, "rejoin", lambda tracks, bundle, *others: bundle)
    left = refine_trajectory(frames, start, trust_focal=True, initialise=False)
    assert left.report.outcome == "refined" and off_at(5, left) > 10
    assert left.report.weak_joints == ((5, 6),)
    assert "fit on both between frames 5 and 6 (" in left.report.reason


def off_at(i, found):
    """Error in degrees of the turn from frame i to the next."""
    first, second = (se3.inverse(t.Ts_world_camera[i]) @ t.Ts_world_camera[i + 1] for t in (found.trajectory, TURNING))
    return np.rad2deg(se3.rotation_angle(first[:3, :3].T @ second[:3, :3]))


def test_a_good_path_names_no_joint():
    found = refine_trajectory(ARC_FRAMES, drifted(ARC), trust_focal=True, initialise=False)
    assert found.report.weak_joints == () and "joined" not in found.report.reason


def test_several_weak_joints_in_words():
    joints = Joints(np.array([0, 1, 3, 4]), np.array([20, 90, 30]), np.array([2, 80, 3]))
    assert refinement._weak_words(joints) == (
        " Too few of the points seen on both sides fit on both between frames 0 and 1 (2 of 20) and between frames 3 "
        "and 4 (3 of 30): there the path may be pieces joined wrongly. The field of view, if it is known, or frames "
        "closer together help."
    )
