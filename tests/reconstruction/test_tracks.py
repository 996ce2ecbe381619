"""Tracks follow what moves and stop where it hides; triangulation agrees with a slow twin."""

import numpy as np
import pytest
from analytic_scenes import SIZE, Plane, Sphere, World, observe, path, reprojection_px
from scipy.optimize import least_squares

from rap.geometry import se3
from rap.reconstruction.tracks import Tracks, sparse_points, track_points, triangulate

ARC = path((0.25, -0.05, 0.05), (0.03, -0.2, 0.02))


def random_points(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform([-0.4, -0.3, 0.8], [0.4, 0.3, 2.0], size=(count, 3))


def away_from_outlines(tracks, depths):
    """(N,) observations of points whose depth varies little where they were found."""
    frame, (column, row) = tracks.frame[tracks.starts], np.floor(tracks.xy[tracks.starts]).astype(int).T
    near = np.stack([depths[frame, np.clip(row + j, 0, SIZE[0] - 1), column] for j in (-3, 0, 3)])
    near = np.concatenate([near, [depths[frame, row, np.clip(column + k, 0, SIZE[1] - 1)] for k in (-3, 3)]])
    return (np.ptp(near, axis=0) < 0.04)[tracks.point]


def test_build_sorts_drops_and_numbers():
    tracks = Tracks.build([3, 1, 1, 0, 2, 2], [7, 7, 7, 5, 9, 9], np.arange(12).reshape(6, 2), 4, SIZE)
    assert tracks.frame.tolist() == [1, 3] and tracks.point.tolist() == [0, 0] and tracks.num_points == 1
    assert tracks.xy.tolist() == [[2, 3], [0, 1]]  # the first of two observations in one frame stays
    both = Tracks.concatenate([tracks, tracks])
    assert both.point.tolist() == [0, 0, 1, 1] and both.num_points == 2 and both.starts.tolist() == [0, 2]
    assert both.subset([1]).point.tolist() == [0, 0]
    with pytest.raises(ValueError, match="must agree in frames"):
        Tracks.concatenate([tracks, Tracks.build([0, 1], [0, 0], np.zeros((2, 2)), 4, (8, 8))])


@pytest.mark.parametrize(
    "world",
    [World((Plane((0.2, 0.1, 1.0), 1.0),)), World((Sphere((0, 0, 1.0), 0.3), Plane(offset=1.8)))],
    ids=["plane", "sphere"],
)
def test_tracks_follow_surfaces(world):
    frames, depths = world.look(ARC)
    tracks = track_points(frames)
    error_px = reprojection_px(tracks, depths, ARC)[away_from_outlines(tracks, depths)]
    assert tracks.num_points > 150 and len(tracks) > 5 * tracks.num_points
    assert np.median(error_px) < 0.3 and np.mean(error_px > 1) < 0.2
    assert all((np.diff(tracks.point) > 0) | (np.diff(tracks.frame) > 0))


def test_tracks_end_where_points_are_hidden():
    world = World((Plane(offset=0.8, right_of=0.05), Plane(offset=2.0)))
    trajectory = path((-0.3, 0, 0))
    frames, depths = world.look(trajectory)
    tracks = track_points(frames)
    assert tracks.num_points > 100
    error_px = reprojection_px(tracks, depths, trajectory)  # of a hidden point: it would ride on the edge that hides it
    assert np.mean(error_px > 2) < 0.12


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_to_follow_gives_no_tracks(value):
    tracks = track_points(np.full((5, 64, 64, 3), value, np.uint8))
    assert (
        len(tracks) == 0
        and tracks.num_points == 0
        and len(triangulate(tracks, np.eye(4)[None] * np.ones((5, 1, 1)), ARC.intrinsics[0])) == 0
    )


def test_one_frame_and_two_frames():
    frames, _ = World((Plane(),)).look(ARC)
    assert len(track_points(frames[:1])) == 0
    pair = track_points(frames[:2])
    assert pair.num_points > 50 and set(np.bincount(pair.point)) == {2}


def test_frames_are_checked():
    with pytest.raises(
        ValueError, match=r"frames_u8 must be uint8 of shape \(T, H, W, 3\), got float64 \(2, 8, 8, 3\)"
    ):
        track_points(np.zeros((2, 8, 8, 3)))


@pytest.mark.parametrize("frames", [2, 9])
def test_triangulation_is_exact_without_noise(frames):
    xyz = random_points(40)
    trajectory = path((0.25, -0.05, 0.05), (0.03, -0.2, 0.02), num_frames=frames)
    cloud = triangulate(observe(xyz, trajectory), trajectory.Ts_world_camera, trajectory.intrinsics)
    np.testing.assert_allclose(cloud.xyz, xyz, atol=2e-3)
    assert cloud.error_px.max() < 1e-2


def slow_point(tracks, k, trajectory, start):
    """Least squares of one point's reprojection error, by SciPy."""
    mine = tracks.point == k
    inverse, lens = se3.inverse(trajectory.Ts_world_camera)[tracks.frame[mine]], trajectory.intrinsics[0]

    def residuals(x):
        local = inverse[:, :3, :3] @ x + inverse[:, :3, 3]
        return (local[:, :2] / local[:, 2:] * lens[:2] + lens[2:] - tracks.xy[mine]).ravel()

    return least_squares(residuals, start).x


def test_triangulation_agrees_with_the_slow_twin():
    xyz = random_points(12)
    tracks = observe(xyz, ARC, noise_px=0.05)
    cloud = triangulate(tracks, ARC.Ts_world_camera, ARC.intrinsics)
    slow = np.stack([slow_point(tracks, k, ARC, xyz[k]) for k in range(12)])
    assert np.abs(cloud.xyz - slow).max() < 0.2 * np.abs(slow - xyz).max() + 1e-3


def test_wrong_observations_lose_their_vote():
    xyz = random_points(30)
    tracks = observe(xyz, ARC)
    wrong = tracks.frame == 6
    tracks.xy[wrong] += np.array([9.0, -7.0])
    cloud = triangulate(tracks, ARC.Ts_world_camera, ARC.intrinsics)
    assert np.median(np.linalg.norm(cloud.xyz - xyz, axis=1)) < 0.01
    assert cloud.error_px.max() < 2


def test_points_tell_their_angle_and_infinity():
    xyz = np.array([[0.0, 0.0, 1.0], [0.1, 0.0, 1e5]])
    trajectory = path((0.2, 0.0, 0.0))
    cloud = triangulate(observe(xyz, trajectory), trajectory.Ts_world_camera, trajectory.intrinsics)
    np.testing.assert_allclose(cloud.angle_rad[0], np.arctan(0.2), atol=1e-3)
    assert cloud.angle_rad[1] < 1e-4 and cloud.xyz[1, 2] > 1e3 and np.isfinite(cloud.xyz).all()
    assert len(cloud.kept()) == 1 and len(cloud.in_front_depths(np.eye(4))) == 2
    last = len(trajectory) - 1
    np.testing.assert_array_equal(cloud.span, [[0, last], [0, last]])
    assert cloud.seen_by(0).all() and cloud.seen_by(last + 1).all() and not cloud.seen_by(last + 2).any()
    moved = cloud.transformed(se3.inverse(trajectory.Ts_world_camera[-1]), 2.0)
    np.testing.assert_allclose(moved.xyz[0], [-0.4, 0, 2], atol=1e-2)


def test_colours_come_from_the_frames():
    frames, _ = World((Plane(),)).look(ARC)
    frames[..., 2] = 7
    cloud = triangulate(track_points(frames), ARC.Ts_world_camera, ARC.intrinsics, frames)
    assert len(cloud) > 100 and (cloud.colours_u8[:, 2] == 7).all() and cloud.colours_u8[:, 0].std() > 10
    assert np.median(np.abs(cloud.xyz[:, 2] - 1)) < 0.02
    tracks, kept = sparse_points(frames, ARC.Ts_world_camera, ARC.intrinsics)
    np.testing.assert_array_equal(kept.xyz, cloud.kept().xyz)
    assert tracks.num_points >= len(cloud) >= len(kept) > 100
