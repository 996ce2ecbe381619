"""The spread of samples whose spread is known, and the reach of deviations whose correlation is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rap.geometry import preset, se3
from rap.geometry.spread import HALF_WEIGHT, correlation_reach, path_spread

PATH = preset("arc-left", num_frames=17)


def shifted(offsets):
    poses = PATH.Ts_world_camera.copy()
    poses[:, :3, 3] += offsets
    return replace(PATH, Ts_world_camera=poses)


def test_equal_samples_and_samples_of_other_units_do_not_spread():
    found = path_spread([PATH, PATH.scaled(2.0), PATH.scaled(0.3)], PATH)
    np.testing.assert_allclose(found.distance, 0, atol=1e-12)
    np.testing.assert_allclose(found.rotation_deg, 0, atol=1e-5)
    assert found.samples == 3


def test_turns_to_both_sides_are_their_angle_apart_from_the_mean():
    turn = np.stack([Rotation.from_rotvec([0, a, 0]).as_matrix() for a in np.radians(np.linspace(0, 8, 17))])
    left, right = (
        replace(PATH, Ts_world_camera=PATH.Ts_world_camera @ se3.from_rotation_translation(R, np.zeros(3)))
        for R in (turn, turn.transpose(0, 2, 1))
    )
    np.testing.assert_allclose(path_spread([left, right], PATH).rotation_deg, np.linspace(0, 8, 17), atol=1e-6)


def test_shifts_across_the_path_are_their_size():
    up = np.zeros((17, 3))
    up[1:, 1] = 0.05  # across an arc, so that no scale can take a part of it
    found = path_spread([shifted(up), shifted(-up)], PATH)
    np.testing.assert_allclose(found.distance[1:], 0.05, rtol=0.05)
    assert found.distance[0] == 0


def test_the_reach_is_the_lag_of_half_correlation():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(4, 40, 3)), axis=1)
    rough = rng.normal(size=(4, 40, 3))
    assert correlation_reach(rough) < 1.2 / HALF_WEIGHT < correlation_reach(smooth)
    common = np.ones((4, 9, 3)) * rng.normal(size=(4, 1, 3))
    assert correlation_reach(common) == pytest.approx(8 / HALF_WEIGHT)
    assert correlation_reach(np.zeros((4, 9, 3))) == pytest.approx(1 / HALF_WEIGHT)


def test_what_cannot_be_told_is_refused():
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        path_spread([PATH], PATH)
    with pytest.raises(ValueError, match=r"must have 17 frames, got \[17, 9\]"):
        path_spread([PATH, preset("arc-left", num_frames=9)], PATH)
