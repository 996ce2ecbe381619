"""Matches of SIFT features, the rigid motion between two frames, and tracks joined from matches."""

import cv2
import numpy as np
import pytest

from rap.geometry import se3
from rap.reconstruction import matching
from rap.reconstruction.matching import Features, Matches

LENS = np.array([300.0, 310.0, 150.0, 130.0])
cv2.setNumThreads(1)


def texture(h, w, seed=0):
    """Blobs of all sizes, so that there are corners at all scales."""
    rng = np.random.default_rng(seed)
    image = sum(cv2.resize(rng.normal(size=(n, n, 3)), (w, h), interpolation=cv2.INTER_CUBIC) for n in (8, 20, 50))
    return np.clip(128 + 45 * image, 0, 255).astype(np.uint8)


def unit_rows(rng, n, d=16):
    rows = rng.normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def two_views(rng, T_second_first, n=200, noise_px=0.2):
    """Pixels of points 2 to 6 units before camera `first`, in both cameras."""
    xyz = np.stack([rng.uniform(-1, 1, n), rng.uniform(-1, 1, n), rng.uniform(2, 6, n)], axis=1)
    views = []
    for T in (np.eye(4), T_second_first):
        local = xyz @ T[:3, :3].T + T[:3, 3]
        views.append(local[:, :2] / local[:, 2:] * LENS[:2] + LENS[2:] + rng.normal(size=(n, 2)) * noise_px)
    return views


def test_nearest_both_ways_agrees_with_the_slow_twin():
    rng = np.random.default_rng(0)
    a = unit_rows(rng, 40)
    b = np.concatenate([a[:25] + 0.05 * rng.normal(size=(25, 16)), unit_rows(rng, 20)])
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    slow = []
    for i in range(len(a)):
        distance = np.linalg.norm(b - a[i], axis=1)
        j, runner_up = np.argsort(distance)[:2]
        back = np.argmin(np.linalg.norm(a - b[j], axis=1))
        if back == i and distance[j] < 0.8 * distance[runner_up]:
            slow.append((i, j))
    assert slow
    np.testing.assert_array_equal(matching.nearest_both_ways(a, b, 0.8), slow)


@pytest.mark.parametrize("sizes", [(0, 5), (1, 5), (5, 1), (5, 0)])
def test_too_few_descriptors_match_nothing(sizes):
    rng = np.random.default_rng(0)
    assert matching.nearest_both_ways(unit_rows(rng, sizes[0]), unit_rows(rng, sizes[1]), 0.8).shape == (0, 2)


def test_only_frames_in_pairs_are_looked_at():
    frames = np.repeat(texture(80, 100)[None], 4, axis=0)
    features, matches = matching.match_frames(frames, [(0, 2)])
    assert [len(one) > 0 for one in features] == [True, False, True, False]
    assert len(matches) == 1 and len(matches[0]) == len(features[0])


def test_features_lie_where_the_picture_moved_them():
    image = texture(200, 260)
    moved = np.roll(image, (6, 11), axis=(0, 1))  # 6 down, 11 right
    features, (pair,) = matching.match_frames(np.stack([image, moved]), [(0, 1)])
    shift = features[1].xy[pair.indices[:, 1]] - features[0].xy[pair.indices[:, 0]]
    assert len(pair) > 100
    np.testing.assert_allclose(np.median(shift, axis=0), [11, 6], atol=0.02)


def test_positions_count_pixel_centres_at_one_half():
    """A blob centred on pixel (40, 30) has its middle at (40.5, 30.5)."""
    y, x = np.mgrid[:80, :100]
    blob = 220 * np.exp(-((x - 40) ** 2 + (y - 30) ** 2) / (2 * 4.0**2))
    frames = np.repeat(blob.astype(np.uint8)[None, ..., None], 3, axis=-1)
    (features,) = matching.detect_features(frames)
    nearest = np.abs(features.xy - [40.5, 30.5]).max(axis=1).min()
    assert nearest < 0.1


def test_large_frames_are_matched_smaller_but_measured_in_their_own_pixels(monkeypatch):
    image = texture(200, 260)
    large = cv2.resize(image, (780, 600), interpolation=cv2.INTER_CUBIC)
    monkeypatch.setattr(matching, "MAX_SIDE_PX", 260)
    (features,) = matching.detect_features(large[None])
    assert features.xy[:, 0].max() > 600


def test_black_frames_have_no_features():
    features, matches = matching.match_frames(np.zeros((3, 64, 64, 3), np.uint8))
    assert [len(one) for one in features] == [0, 0, 0]
    assert all(len(pair) == 0 for pair in matches)
    assert matching.verify(features, matches, LENS) == []
    assert matching.join_matches(features, [], (64, 64)).num_points == 0


def test_relative_pose_of_known_cameras():
    rng = np.random.default_rng(1)
    T = se3.exp([0.5, 0.1, -0.1, 0.05, -0.12, 0.03])
    first, second = two_views(rng, T)
    second[:40] += rng.uniform(20, 60, (40, 2))  # a fifth are wrong
    pose = matching.relative_pose(first, second, LENS)
    assert np.degrees(se3.rotation_angle(pose.T_second_first[:3, :3].T @ T[:3, :3])) < 0.5
    direction = T[:3, 3] / np.linalg.norm(T[:3, 3])
    assert np.degrees(np.arccos(pose.T_second_first[:3, 3] @ direction)) < 3
    assert pose.inliers[40:].mean() > 0.95 and pose.inliers[:40].mean() < 0.2
    assert (pose.in_front <= pose.inliers).all()


def test_a_turn_on_the_spot_has_its_rotation_and_no_parallax():
    rng = np.random.default_rng(2)
    T = se3.exp([0, 0, 0, 0.02, -0.15, 0.05])
    first, second = two_views(rng, T)
    pose = matching.relative_pose(first, second, LENS)
    assert np.degrees(se3.rotation_angle(pose.T_second_first[:3, :3].T @ T[:3, :3])) < 0.3
    assert np.degrees(pose.parallax_rad) < 0.3


def test_parallax_is_the_angle_between_rays():
    rng = np.random.default_rng(3)
    T = se3.exp([0.4, 0, 0, 0, 0, 0])
    first, second = two_views(rng, T, noise_px=0.0)
    pose = matching.relative_pose(first, second, LENS)
    rays = [np.append((xy - LENS[2:]) / LENS[:2], np.ones((200, 1)), axis=1) for xy in (first, second)]
    rays = [ray / np.linalg.norm(ray, axis=1, keepdims=True) for ray in rays]
    np.testing.assert_allclose(pose.angle_rad, np.arccos((rays[0] * rays[1]).sum(axis=1)), atol=1e-5)
    assert pose.parallax_rad == pytest.approx(np.median(pose.angle_rad))


@pytest.mark.parametrize("known", [False, True])
def test_verification_keeps_what_a_rigid_scene_allows(known):
    rng = np.random.default_rng(4)
    first, second = two_views(rng, se3.exp([0.5, 0.1, 0, 0.02, -0.1, 0]))
    second[:50] += rng.uniform(20, 60, (50, 2))
    features = [Features(xy, np.zeros((len(xy), 1))) for xy in (first, second)]
    pair = Matches(0, 1, np.repeat(np.arange(200)[:, None], 2, axis=1))
    nothing = Matches(0, 1, pair.indices[:3])
    (kept,) = matching.verify(features, [pair, nothing], LENS if known else None)
    assert np.isin(np.arange(50, 200), kept.indices[:, 0]).mean() > 0.95
    assert np.isin(np.arange(50), kept.indices[:, 0]).mean() < 0.2


def test_planar_inliers_are_the_points_of_one_plane():
    rng = np.random.default_rng(6)
    T = se3.exp([0.8, 0.1, -0.2, 0.02, -0.1, 0])
    xyz = np.concatenate([rng.uniform(-1, 1, (150, 2)), rng.uniform(2, 6, (150, 1))], axis=1)
    xyz[:90, 2] = 4 + 0.3 * xyz[:90, 0] - 0.2 * xyz[:90, 1]
    local = xyz @ T[:3, :3].T + T[:3, 3]
    first, second = (p[:, :2] / p[:, 2:] * LENS[:2] + LENS[2:] for p in (xyz, local))
    on_plane = matching.planar_inliers(first, second)
    assert on_plane[:90].mean() > 0.95 and on_plane[90:].mean() < 0.2
    assert not matching.planar_inliers(first[:5], second[:5]).any()


def test_noise_agrees_on_nothing():
    rng = np.random.default_rng(5)
    xy = rng.uniform(0, 300, (2, 15, 2))
    assert not matching.epipolar_inliers(xy[0], xy[1], 0.3).any()
    assert matching.relative_pose(xy[0][:8], xy[1][:8], LENS) is None


def test_matches_join_into_tracks_and_contradictions_are_cut_out():
    xy = np.arange(8.0).reshape(4, 2)
    features = [Features(xy + 100 * k, np.zeros((4, 1))) for k in range(3)]
    pairs = [
        Matches(0, 1, np.array([[0, 0], [1, 1], [2, 2]])),
        Matches(1, 2, np.array([[0, 3], [1, 2]])),
        Matches(0, 2, np.array([[2, 2]])),  # ties features 1 and 2 of frames 0 and 1 together
    ]
    tracks = matching.join_matches(features, pairs, (10, 10))
    assert tracks.num_frames == 3 and tracks.num_points == 1
    np.testing.assert_array_equal(tracks.frame, [0, 1, 2])
    np.testing.assert_array_equal(tracks.xy, [xy[0], xy[0] + 100, xy[3] + 200])


def test_frame_pairs_by_gap():
    assert matching.frame_pairs(4, (1, 3, 9)) == [(0, 1), (1, 2), (2, 3), (0, 3)]
