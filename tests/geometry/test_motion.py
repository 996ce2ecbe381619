"""Measures of motion on paths whose motion is known, and levels against percentiles that are known."""

import numpy as np
import pytest

from rap.geometry import intrinsics_from_fov, preset, se3
from rap.geometry.motion import MEASURES, RARE, UNKNOWN, USUAL, MotionLimits, motion
from rap.geometry.trajectory import Trajectory


def line(steps) -> Trajectory:
    """Sideways by so much from frame to frame."""
    x = np.concatenate([[0.0], np.cumsum(steps)])
    poses = se3.from_rotation_translation(np.eye(3), np.column_stack([x, 0 * x, 0 * x]))
    return Trajectory(poses, np.tile(intrinsics_from_fov(1.0, (48, 64)), (len(x), 1)), (48, 64))


def test_an_even_truck_has_one_speed_and_no_jerk():
    found = motion(line([0.1] * 8))
    np.testing.assert_allclose(found.speed, [0, *[0.1] * 8], atol=1e-12)
    np.testing.assert_allclose(found.turn, 0, atol=1e-6)
    np.testing.assert_allclose(found.jerk, 0, atol=1e-12)
    np.testing.assert_allclose(found.fov, np.degrees(1.0))


def test_a_pan_turns_and_does_not_move():
    found = motion(preset("pan-right", num_frames=6))
    np.testing.assert_allclose(found.turn[1:], 5.0, atol=1e-6)
    np.testing.assert_allclose(found.speed, 0, atol=1e-12)


def test_a_cubic_has_constant_jerk():
    x = np.arange(9.0) ** 3
    found = motion(line(np.diff(x)))
    np.testing.assert_allclose(found.jerk, [0, 0, 0, *[6.0] * 6], atol=1e-9)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_short_paths_have_a_number_for_each_frame(frames):
    found = motion(preset("arc-left", num_frames=frames))
    assert all(getattr(found, name).shape == (frames,) for name in MEASURES)


def test_limits_are_the_percentiles_and_read_back():
    limits = MotionLimits.of([line(np.linspace(0, 1, 101))])
    np.testing.assert_allclose(limits.speed, (0.01, 0.05, 0.5, 0.95, 0.99), atol=1e-6)
    assert MotionLimits(**limits.as_dict()) == limits and limits.clips == 1


def test_levels_name_what_is_beyond_them():
    limits = MotionLimits(1, (0, 0, 0.1, 0.5, 1), (0, 0, 1, 5, 9), (0, 0, 0, 0.1, 0.2), (30, 40, 55, 70, 80))
    assert limits.levels("speed", np.array([0.0, 0.5, 0.6, 1.1])).tolist() == [USUAL, USUAL, RARE, UNKNOWN]
    assert limits.levels("fov", np.array([20, 35, 55, 75, 90.0])).tolist() == [UNKNOWN, RARE, USUAL, RARE, UNKNOWN]


def test_what_are_no_limits_is_refused():
    with pytest.raises(ValueError, match="at least one trajectory"):
        MotionLimits.of([])
    with pytest.raises(ValueError, match="turn must be 5 numbers"):
        MotionLimits(1, (0, 0, 0, 0, 0), (0, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0))
    with pytest.raises(ValueError, match="fov must be 5 numbers that do not fall"):
        MotionLimits(1, (0,) * 5, (0,) * 5, (0,) * 5, (5, 4, 3, 2, 1))
