"""A hand's unrest: as large as it says, slow rather than fast, the same for a seed, and none at the source."""

import numpy as np
import pytest

from rap.geometry import Trajectory, preset, se3
from rap.geometry.shake import CORNER_HZ, TURN_RAD, shaken

LONG = Trajectory(np.tile(np.eye(4), (257, 1, 1)), np.tile([60.0, 60.0, 64.0, 48.0], (257, 1)), (96, 128), fps=30.0)


def angles(path):
    return se3.log(path.Ts_world_camera)[:, 3:]


def test_amount_0_is_the_path_itself_and_the_source_always_stays():
    path = preset("arc-left")
    assert shaken(path, 0, 3) is path
    for source in (0, 8):
        moved = shaken(path.relative_to(source), 2.0, 3)
        np.testing.assert_array_equal(moved.Ts_world_camera[source], np.eye(4))
        assert moved != path


def test_a_seed_is_an_unrest_and_the_amount_its_size():
    once, twice = shaken(LONG, 1.0, 5), shaken(LONG, 2.0, 5)
    np.testing.assert_array_equal(once.Ts_world_camera, shaken(LONG, 1.0, 5).Ts_world_camera)
    np.testing.assert_allclose(twice.centres, 2 * once.centres, atol=1e-12)
    assert not np.allclose(once.centres, shaken(LONG, 1.0, 6).centres)


def test_it_is_as_large_as_it_says_and_slow():
    paths = [angles(shaken(LONG, 1.0, seed)) for seed in range(12)]
    turns = np.concatenate([path - path.mean(axis=0) for path in paths])
    assert np.abs(turns[:, 2]).max() < np.abs(turns[:, :2]).max()
    assert turns[:, :2].std() == pytest.approx(TURN_RAD[0], rel=0.35)
    power = np.abs(np.fft.rfft(angles(shaken(LONG, 1.0, 0)), axis=0)) ** 2
    f = np.fft.rfftfreq(len(LONG), 1 / LONG.fps)
    assert power[f > CORNER_HZ].sum() < 0.1 * power[f > 0].sum()


def test_what_is_no_amount_is_refused():
    with pytest.raises(ValueError, match="amount must be 0 to 10, got 11"):
        shaken(LONG, 11, 0)
