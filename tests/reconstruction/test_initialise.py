"""Poses from nothing but tracks or frames, held against the cameras that made them."""

import cv2
import numpy as np
import pytest

from rap.geometry import camera, presets, se3
from rap.metrics import pose_errors
from rap.reconstruction import initialise
from rap.reconstruction.bundle import bundle_adjust
from rap.reconstruction.tracks import Tracks, track_points

SIZE = (240, 320)
LENS = np.array([280.0, 285.0, 150.0, 125.0])
cv2.setNumThreads(1)


def seen(Ts, xyz, lens=LENS, noise_px=0.3, wrong=0.03, seed=0, reach=None):
    """Tracks of points (P, 3) in cameras Ts: noise, some gross errors, and at most `reach` frames a point."""
    rng = np.random.default_rng(seed)
    local = np.einsum("tij,pj->pti", se3.inverse(Ts)[:, :3, :3], xyz) + se3.inverse(Ts)[:, :3, 3]
    xy = local[..., :2] / local[..., 2:] * lens[:2] + lens[2:]
    xy += rng.normal(size=xy.shape) * noise_px
    bad = rng.random(xy.shape[:2]) < wrong
    xy[bad] += rng.uniform(-30, 30, (bad.sum(), 2))
    visible = (local[..., 2] > 0.1) & (xy > 0).all(axis=-1) & (xy < SIZE[::-1]).all(axis=-1)
    if reach is not None:
        middle = rng.integers(0, len(Ts), len(xyz))
        visible &= np.abs(np.arange(len(Ts)) - middle[:, None]) <= reach
    point, frame = np.nonzero(visible)
    return Tracks.build(frame, point, xy[point, frame], len(Ts), SIZE)


def ball(n=250, seed=1, radius=1.6):
    """Points around the pivot at distance 1 before camera 0, far enough to be in front of all."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (n, 3)) * radius + [0, 0, 3.0]


def orbit(angle_deg=40.0, T=9, tilt=0.1):
    """Around (0, 0, 3), looking at it, rising and swaying."""
    turn = np.radians(np.linspace(0, angle_deg, T))
    eyes = np.stack([3 * np.sin(turn), -tilt * np.sin(3 * turn), 3 - 3 * np.cos(turn)], axis=1)
    return np.stack([se3.look_at(eye, np.array([0, 0, 3.0]), np.array([0, -1.0, 0])) for eye in eyes])


@pytest.mark.parametrize(("angle_deg", "fixed"), [(12.0, 0), (90.0, 8)])
def test_an_orbit_with_a_known_lens(angle_deg, fixed):
    Ts = orbit(angle_deg)
    start, reason = initialise.start_from_tracks(seen(Ts, ball(), reach=4), LENS, fixed)
    errors = pose_errors(start.Ts_world_camera, Ts)
    assert errors.auc30 > 0.9 and errors.rotation_deg.max() < 2, reason
    np.testing.assert_allclose(start.Ts_world_camera[fixed], np.eye(4), atol=1e-9)
    assert start.registered.all() and start.parallax and start.focal_source == "given"
    np.testing.assert_array_equal(start.intrinsics, np.tile(LENS, (9, 1)))
    assert start.inlier_share > 0.9 and (start.num_inliers > 20).all()


def test_points_are_where_they_were_put_and_the_source_sees_them_at_distance_one():
    Ts, xyz = orbit(), ball()
    tracks = seen(Ts, xyz, wrong=0.0)
    start, _ = initialise.start_from_tracks(tracks, LENS)
    known = np.isfinite(start.points[:, 0])
    in_first = known & np.isin(np.arange(tracks.num_points), tracks.point[tracks.frame == 0])
    assert known.mean() > 0.9
    assert np.median(start.points[in_first, 2]) == pytest.approx(1.0, rel=1e-6)
    local = (start.points[known] - start.Ts_world_camera[5, :3, 3]) @ start.Ts_world_camera[5, :3, :3]
    xy = local[:, :2] / local[:, 2:] * LENS[:2] + LENS[2:]
    rows = tracks.frame == 5
    number = np.full(tracks.num_points, -1)
    number[known] = np.arange(known.sum())
    both = rows & known[tracks.point]
    assert np.median(np.linalg.norm(xy[number[tracks.point[both]]] - tracks.xy[both], axis=1)) < 1.0


@pytest.mark.parametrize("fov_y_deg", [38.0, 75.0])
def test_the_focal_length_is_found(fov_y_deg):
    lens = camera.intrinsics_from_fov(np.radians(fov_y_deg), SIZE)
    start, reason = initialise.start_from_tracks(seen(orbit(60.0), ball(), lens), None)
    assert start.intrinsics[0, 1] / lens[1] == pytest.approx(1, abs=0.06), reason
    assert pose_errors(start.Ts_world_camera, orbit(60.0)).auc30 > 0.88
    assert start.focal_source == "self-calibrated"


def test_forward_motion():
    Ts = np.tile(np.eye(4), (9, 1, 1))
    Ts[:, 2, 3] = np.linspace(0, 1.2, 9)
    Ts[:, 0, 3] = 0.02 * np.sin(2 * np.arange(9))
    start, _ = initialise.start_from_tracks(seen(Ts, ball(radius=1.4), reach=5), LENS)
    assert pose_errors(start.Ts_world_camera, Ts).auc30 > 0.85


def test_a_plane_has_two_explanations_and_the_right_one_is_taken():
    rng = np.random.default_rng(3)
    plane = np.concatenate([rng.uniform(-1.5, 1.5, (250, 2)), np.zeros((250, 1))], axis=1)
    plane = plane @ se3.exp([0, 0, 0, 0.7, 0.2, 0])[:3, :3].T + [0, 0, 3.0]
    Ts = orbit(50.0, tilt=0.4)
    start, _ = initialise.start_from_tracks(seen(Ts, plane), LENS)
    assert pose_errors(start.Ts_world_camera, Ts).auc30 > 0.85


def test_a_pan_gives_rotations_and_says_that_there_is_no_parallax():
    angles = np.radians(np.linspace(0, 25, 9))
    Ts = se3.exp(np.stack([0 * angles] * 4 + [angles, 0.1 * angles], axis=1))
    start, reason = initialise.start_from_tracks(seen(Ts, ball(800, radius=2.5), reach=6), LENS)
    assert not start.parallax and "on the spot" in reason
    assert pose_errors(start.Ts_world_camera, Ts).rotation_deg.max() < 0.5
    assert (start.Ts_world_camera[:, :3, 3] == 0).all()
    assert start.points.shape == (start.tracks.num_points, 3)


@pytest.mark.parametrize("scale_px", [0.5, 5.0])
def test_the_least_scale_of_the_kernel_is_the_callers(scale_px):
    Ts = orbit(30.0)
    bundle = bundle_adjust(seen(Ts, ball(), wrong=0.0, noise_px=0.1), Ts, LENS, min_scale_px=scale_px)
    assert bundle.scale_px == scale_px


def test_turn_between_rays_ignores_a_third_of_wrong_ones():
    rng = np.random.default_rng(0)
    rays_b = rng.normal(size=(90, 3)) + [0, 0, 4]
    rays_b /= np.linalg.norm(rays_b, axis=1, keepdims=True)
    R_a_b = se3.exp([0, 0, 0, 0.1, -0.2, 0.3])[:3, :3]
    rays_a = rays_b @ R_a_b.T
    rays_a[:30] = rays_a[rng.permutation(30)]
    np.testing.assert_allclose(initialise.turn_between(rays_b, rays_a), R_a_b, atol=1e-4)


def test_a_still_camera_is_named():
    Ts = np.tile(np.eye(4), (9, 1, 1))
    start, reason = initialise.start_from_tracks(seen(Ts, ball(), noise_px=0.05, wrong=0.0), LENS)
    assert start is None and "stands still" in reason


def test_two_frames_suffice_where_they_differ():
    Ts = orbit(15.0)[[0, 8]]
    start, _ = initialise.start_from_tracks(seen(Ts, ball()), LENS)
    assert start.registered.all()
    assert pose_errors(start.Ts_world_camera, Ts).auc30 > 0.85


def test_frames_that_see_nothing_are_interpolated():
    Ts = orbit(30.0)
    tracks = seen(Ts, ball())
    blind = np.isin(tracks.frame, (4, 8))
    start, _ = initialise.start_from_tracks(tracks.where(~blind), LENS)
    np.testing.assert_array_equal(np.flatnonzero(~start.registered), [4, 8])
    expected = se3.interpolate(start.Ts_world_camera[3], start.Ts_world_camera[5], 0.5)
    np.testing.assert_allclose(start.Ts_world_camera[4], expected, atol=1e-9)
    np.testing.assert_allclose(start.Ts_world_camera[8], start.Ts_world_camera[7], atol=1e-9)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("kind", ["black", "noise", "still", "one", "two black"])
def test_content_that_tells_nothing_never_raises(kind, known):
    rng = np.random.default_rng(0)
    frames = {
        "black": np.zeros((5, 96, 128, 3), np.uint8),
        "noise": rng.integers(0, 255, (5, 96, 128, 3), dtype=np.uint8),
        "still": np.repeat(rng.integers(0, 255, (1, 96, 128, 3), dtype=np.uint8), 5, axis=0),
        "one": rng.integers(0, 255, (1, 96, 128, 3), dtype=np.uint8),
        "two black": np.zeros((2, 96, 128, 3), np.uint8),
    }[kind]
    lens = camera.intrinsics_from_fov(np.radians(55), (96, 128)) if known else None
    start, reason = initialise.try_initialise(frames, lens)
    assert start is None and reason.endswith(".")
    assert initialise.initialise(frames, lens) is None


def test_flow_that_is_there_already_is_not_found_again(monkeypatch):
    frames = wall_and_boxes(np.tile(np.eye(4), (2, 1, 1)), LENS / 2, (120, 160))
    flow = track_points(frames)
    expected = initialise.find_tracks(frames)
    monkeypatch.setattr(initialise, "track_points", None)
    again = initialise.find_tracks(frames, flow=flow)
    np.testing.assert_array_equal(again.frame, expected.frame)
    np.testing.assert_array_equal(again.point, expected.point)


def test_frames_are_matched_where_flow_does_not_tie_them():
    def tied(first, last):
        """100 points that are followed from one frame to another."""
        frame, point = np.meshgrid(np.arange(first, last + 1), np.arange(100))
        xy = np.zeros((frame.size, 2))
        return Tracks.build(frame.ravel(), point.ravel(), xy, 17, SIZE)

    def keys(*parts):
        return sorted({frame for pair in initialise.matched_pairs(Tracks.concatenate(parts)) for frame in pair})

    assert keys(tied(0, 16)) == [0, 4, 8, 12, 16]
    assert keys(tied(0, 6), tied(5, 7), tied(7, 16)) == [0, 4, 6, 7, 11, 15, 16]
    assert keys(tied(0, 16).subset(np.arange(initialise.WELL_TIED_POINTS - 1))) == list(range(17))
    assert initialise.matched_pairs(tied(0, 16))[:4] == [(0, 4), (4, 8), (8, 12), (12, 16)]


def test_wrong_frames_and_numbers_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        initialise.initialise(np.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="fixed must be one of the 2 frames, got 2"):
        initialise.initialise(np.zeros((2, 8, 8, 3), np.uint8), fixed=2)


def test_thinning_keeps_the_longest_and_every_frame_its_share():
    tracks = seen(orbit(), ball(), reach=5)
    few = tracks.longest(40)
    assert few.num_points < tracks.num_points
    assert np.bincount(few.frame).min() >= 40
    assert np.bincount(few.point).mean() > np.bincount(tracks.point).mean()
    assert tracks.longest(10_000).num_points == tracks.num_points


def wall_and_boxes(Ts, lens, size):
    """Frames of a textured wall with a nearer textured panel: two homographies and their order."""
    rng = np.random.default_rng(0)
    frames = []
    layers = [(3.2, 4.0), (2.0, 0.7)]  # distance, half width
    noise = sum(cv2.resize(rng.normal(size=(n, n, 3)), (512, 512)) for n in (8, 24, 80, 200))
    images = [np.clip(128 + 40 * np.roll(noise, 97 * k, axis=0), 0, 255).astype(np.uint8) for k in range(2)]
    K = np.array([[lens[0], 0, lens[2] - 0.5], [0, lens[1], lens[3] - 0.5], [0, 0, 1]])
    for T in se3.inverse(Ts):
        frame = np.zeros((*size, 3), np.uint8)
        for (distance, half), image in zip(layers, images, strict=True):
            plane = np.array([[half / 256, 0, -half], [0, half / 256, -half], [0, 0, distance]])
            H = K @ (T[:3, :3] @ plane + np.outer(T[:3, 3], [0, 0, 1]))
            warped = cv2.warpPerspective(image, H, size[::-1])
            mask = cv2.warpPerspective(np.full((512, 512), 255, np.uint8), H, size[::-1]) > 254
            frame[mask] = warped[mask]
        frames.append(frame)
    return np.stack(frames)


@pytest.mark.parametrize("known", [True, False])
def test_frames_alone(known):
    size = (120, 160)
    lens = camera.intrinsics_from_fov(np.radians(50), size)
    Ts = presets.preset("arc-left", num_frames=5, image_size=size, amplitude=0.7).Ts_world_camera
    start, reason = initialise.try_initialise(wall_and_boxes(Ts, lens, size), lens if known else None)
    assert start is not None and start.registered.all(), reason
    assert pose_errors(start.Ts_world_camera, Ts).auc30 > (0.9 if known else 0.75)
