"""Pieces of a path joined wrongly are joined anew, in the right place and unit of length."""

from functools import partial

import numpy as np
import pytest
from analytic_scenes import observe, path

from rap.geometry import se3
from rap.metrics import pose_errors
from rap.reconstruction.bundle import bundle_adjust
from rap.reconstruction.joints import Joints
from rap.reconstruction.rejoin import known_to, rejoin, rejoined, scale_between, worth

LENGTH = 12
PATH = path((0.6, -0.05, 0.2), (0.03, -0.5, 0.05), num_frames=LENGTH)
XYZ = np.random.default_rng(1).uniform([-0.6, -0.4, 0.9], [0.8, 0.4, 2.2], size=(240, 3))
EVERY = np.ones(LENGTH, dtype=bool)


def short_tracks(reach=4, noise_px=0.1):
    tracks = observe(XYZ, PATH, noise_px=noise_px)
    begin = np.random.default_rng(2).integers(0, LENGTH - reach + 1, len(XYZ))[tracks.point]
    return tracks.where((begin <= tracks.frame) & (tracks.frame < begin + reach))


TRACKS = short_tracks()


def in_pieces(cut, scale):
    """Poses from frame `cut` on, or up to it, turned, moved and in another unit of length: exact but for the joint."""
    change = se3.exp([0.3, -0.1, 0.2, 0.1, 0.45, -0.1])
    second = PATH.Ts_world_camera[cut:].copy()
    second[:, :3, 3] *= scale
    return np.concatenate([PATH.Ts_world_camera[:cut], change @ second])


def as_it_is(tracks, poses):
    return bundle_adjust(tracks, poses, PATH.intrinsics, iterations=0)


def adjust(tracks, bundle, fixed):
    return bundle_adjust(tracks, bundle.Ts_world_camera, bundle.intrinsics, fixed=fixed)


@pytest.mark.parametrize("cut", [3, 8])
@pytest.mark.parametrize("scale", [1.0, 0.5, 3.0])
def test_exact_pieces_are_joined_exactly(cut, scale):
    tracks = short_tracks(noise_px=0)
    poses = rejoined(tracks, as_it_is(tracks, in_pieces(cut, scale)), cut - 1, cut, 1.0)
    assert poses is not None
    relative = [se3.inverse(T[:1]) @ T for T in (poses, PATH.Ts_world_camera)]
    reach = [np.linalg.norm(T[-1, :3, 3]) for T in relative]
    relative[0][:, :3, 3] *= reach[1] / reach[0]  # of the two units the larger piece's stays
    np.testing.assert_allclose(relative[0], relative[1], atol=2e-3)


@pytest.mark.parametrize("cut", [3, 8])
def test_a_wrong_joint_that_adjusting_leaves_is_found_again(cut):
    stuck = bundle_adjust(TRACKS, in_pieces(cut, 0.7), PATH.intrinsics)
    found = rejoin(TRACKS, stuck, EVERY, 1.0, partial(adjust, TRACKS))
    auc = [pose_errors(b.Ts_world_camera, PATH.Ts_world_camera).auc30 for b in (stuck, found)]
    assert auc[0] < 0.8 and auc[1] > 0.97
    assert not Joints.of(TRACKS, found.residual_px < 1, EVERY).weak.any()
    assert worth(TRACKS, found, EVERY, 1.0) > worth(TRACKS, stuck, EVERY, 1.0) + 0.2


def test_what_holds_or_cannot_be_joined_stays_as_it_is():
    good = as_it_is(TRACKS, PATH.Ts_world_camera)
    assert rejoin(TRACKS, good, EVERY, 1.0, partial(adjust, TRACKS)) is good
    split = TRACKS.where(TRACKS.frame < 6)
    bad = as_it_is(split, in_pieces(6, 1.0))
    assert rejoined(split, bad, 5, 6, 1.0) is None
    assert rejoin(split, bad, EVERY, 1.0, partial(adjust, split)) is bad


def test_a_joint_that_gets_no_better_is_left_alone():
    stuck = bundle_adjust(TRACKS, in_pieces(6, 0.7), PATH.intrinsics)
    assert rejoin(TRACKS, stuck, EVERY, 1.0, lambda bundle, fixed: stuck) is stuck


def test_points_of_one_side_ignore_the_other():
    tracks = short_tracks(noise_px=0)
    bundle = as_it_is(tracks, in_pieces(6, 1.0))
    first = known_to(np.arange(LENGTH) < 6, tracks, bundle, 1.0)
    known = np.isfinite(first[:, 0])
    assert known.sum() > 80
    visible = np.unique(tracks.point)
    np.testing.assert_allclose(first[known], XYZ[visible][known], atol=1e-3)
    assert np.isnan(known_to(np.zeros(LENGTH, bool), tracks, bundle, 1.0)).all()


def test_scale_is_the_median_ratio_of_points_in_the_same_direction():
    rng = np.random.default_rng(0)
    a = rng.uniform([-1, -1, 1], [1, 1, 3], size=(40, 3))
    b = 2.5 * a
    b[:15] = rng.uniform([-1, -1, 1], [1, 1, 3], size=(15, 3))  # wrong, elsewhere
    b[15] *= -1  # behind
    np.testing.assert_allclose(scale_between(a, b, 0.01), 2.5)
    assert scale_between(a[:3], b[:3], 0.01) == 1.0
