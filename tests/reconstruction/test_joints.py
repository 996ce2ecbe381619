"""Joints count the points across them, and tell two pieces joined wrongly from one path."""

import numpy as np
import pytest
from analytic_scenes import observe, path
from hypothesis import given
from hypothesis import strategies as st

from rap.geometry import se3
from rap.reconstruction.bundle import bundle_adjust
from rap.reconstruction.joints import MIN_HOLDING, Joints
from rap.reconstruction.tracks import Tracks

LENGTH = 12
PATH = path((0.6, -0.05, 0.2), (0.03, -0.5, 0.05), num_frames=LENGTH)
XYZ = np.random.default_rng(1).uniform([-0.6, -0.4, 0.9], [0.8, 0.4, 2.2], size=(240, 3))
EVERY = np.ones(LENGTH, dtype=bool)


def short_tracks(reach=4, noise_px=0.1, seed=2):
    """Every point is seen in `reach` frames in a row."""
    tracks = observe(XYZ, PATH, noise_px=noise_px)
    begin = np.random.default_rng(seed).integers(0, LENGTH - reach + 1, len(XYZ))[tracks.point]
    return tracks.where((begin <= tracks.frame) & (tracks.frame < begin + reach))


def counted(tracks, fits, placed):
    """The slow twin: every point's frames, one joint after another."""
    frames = np.flatnonzero(placed)
    rows = []
    for before, after in zip(frames[:-1], frames[1:], strict=True):
        row = [0, 0]
        for k, chosen in enumerate((placed[tracks.frame], placed[tracks.frame] & fits)):
            for p in range(tracks.num_points):
                seen = tracks.frame[(tracks.point == p) & chosen]
                row[k] += bool((seen <= before).any() and (seen >= after).any())
        rows.append(row)
    return np.array(rows).reshape(-1, 2)


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(0, 30))
def test_counts_are_those_of_the_slow_twin(seed, length, points):
    rng = np.random.default_rng(seed)
    frame, point = rng.integers(0, length, 3 * points), rng.integers(0, max(points, 1), 3 * points)
    tracks = Tracks.build(frame, point, rng.uniform(0, 9, (3 * points, 2)), length, (10, 10))
    fits, placed = rng.random(len(tracks)) < 0.6, rng.random(length) < 0.8
    placed[rng.integers(length)] = True
    joints = Joints.of(tracks, fits, placed)
    expected = counted(tracks, fits, placed)
    np.testing.assert_array_equal(np.stack([joints.spanning, joints.holding], axis=-1).reshape(-1, 2), expected)
    sound = [not joints.weak[i:j].any() for j in range(placed.sum()) for i in range(j)]
    np.testing.assert_allclose(joints.sound_pairs, np.mean(sound) if sound else 1.0)


def test_a_good_path_has_no_weak_joint():
    tracks = short_tracks()
    bundle = bundle_adjust(tracks, PATH.Ts_world_camera, PATH.intrinsics)
    joints = Joints.of(tracks, bundle.residual_px < 1, EVERY)
    assert not joints.weak.any() and joints.weak_frames == () and joints.sound_pairs == 1
    assert joints.shares.min() > 0.9


@pytest.mark.parametrize("cut", [3, 8])
def test_two_pieces_joined_wrongly_have_one_weak_joint_there(cut):
    """Both pieces are exact, and adjusting does not help: each point goes to the side that saw it more often."""
    tracks = short_tracks()
    turn = se3.exp([0, 0, 0, 0.1, 0.45, -0.1])
    poses = PATH.Ts_world_camera.copy()
    poses[cut:] = poses[cut] @ turn @ se3.inverse(poses[cut]) @ poses[cut:]
    bundle = bundle_adjust(tracks, poses, PATH.intrinsics)
    fits = bundle.residual_px < 1
    joints = Joints.of(tracks, fits, EVERY)
    assert fits.mean() > 0.75  # which is why the share alone does not tell
    assert joints.weak_frames == ((cut - 1, cut),)
    pieces = cut * (cut - 1) + (LENGTH - cut) * (LENGTH - cut - 1)
    np.testing.assert_allclose(joints.sound_pairs, pieces / (LENGTH * (LENGTH - 1)))


def test_a_frame_that_is_left_out_is_stepped_over():
    tracks = short_tracks()
    fits = tracks.frame != 5
    placed = np.arange(LENGTH) != 5
    joints = Joints.of(tracks, fits, placed)
    assert joints.frames.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11] and not joints.weak.any()
    cut = Joints.of(tracks, fits & (tracks.frame < 5), placed)
    assert cut.weak_frames[0] == (4, 6)


def test_few_points_hold_nothing_however_well_they_fit():
    tracks = short_tracks(noise_px=0)
    spans = Joints.of(tracks, np.ones(len(tracks), bool), EVERY).spanning
    few = tracks.subset(np.arange(0, tracks.num_points, spans.max() // 4))
    joints = Joints.of(few, np.ones(len(few), bool), EVERY)
    assert joints.weak.all() and (joints.holding < MIN_HOLDING).all() and joints.sound_pairs == 0
