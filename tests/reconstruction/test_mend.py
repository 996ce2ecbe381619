"""A frame that lost its way is noticed by its own share and found again from its neighbours' points."""

import numpy as np
from analytic_scenes import observe, path

from rap.geometry import se3
from rap.reconstruction.bundle import bundle_adjust
from rap.reconstruction.mend import frame_shares, mend, resect

PATH = path((0.3, -0.05, 0.1), (0.03, -0.25, 0.05), num_frames=6)
XYZ = np.random.default_rng(1).uniform([-0.4, -0.3, 0.8], [0.4, 0.3, 2.0], size=(60, 3))
TRACKS = observe(XYZ, PATH, noise_px=0.1)


def bundle_at(poses):
    return bundle_adjust(TRACKS, poses, PATH.intrinsics, points=XYZ, iterations=0)


def with_one_lost(frame=4):
    poses = PATH.Ts_world_camera.copy()
    poses[frame] = poses[frame] @ se3.exp([0.2, 0.3, -0.3, 0.4, -0.5, 0.3])
    return poses


def adjust(bundle, fixed):
    return bundle_adjust(TRACKS, bundle.Ts_world_camera, bundle.intrinsics, fixed=fixed)


def test_shares_tell_the_lost_frame():
    shares = frame_shares(TRACKS, bundle_at(with_one_lost()), 1.0)
    assert shares[4] < 0.2 and np.delete(shares, 4).min() > 0.95
    none = frame_shares(TRACKS.where(TRACKS.frame != 2), bundle_adjust(
        TRACKS.where(TRACKS.frame != 2), PATH.Ts_world_camera, PATH.intrinsics
    ), 1.0)  # fmt: skip
    assert none[2] == 0


def test_resection_finds_the_pose():
    pose = resect(TRACKS, bundle_at(with_one_lost()), np.ones(60, dtype=bool), 4, 3.0)
    np.testing.assert_allclose(pose, PATH.Ts_world_camera[4], atol=0.01)
    assert resect(TRACKS, bundle_at(with_one_lost()), np.arange(60) < 5, 4, 3.0) is None


def test_a_lost_frame_is_found_again():
    mended = mend(TRACKS, bundle_at(with_one_lost()), 1.0, adjust)
    assert frame_shares(TRACKS, mended, 1.0).min() > 0.95
    relative = se3.inverse(mended.Ts_world_camera[0]) @ mended.Ts_world_camera[4]
    np.testing.assert_allclose(relative[:3, :3], PATH.Ts_world_camera[4][:3, :3], atol=0.01)


def test_nothing_lost_and_nearly_all_lost_stay_as_they_are():
    good, bad = bundle_at(PATH.Ts_world_camera), bundle_at(np.repeat(np.eye(4)[None], 6, axis=0))
    assert mend(TRACKS, good, 1.0, adjust) is good and mend(TRACKS, bad, 1.0, adjust) is bad
