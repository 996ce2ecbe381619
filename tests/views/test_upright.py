"""What stands is made upright from its foot on; ground, and what is looked at from above, stay as they are."""

import numpy as np
import pytest

from rap.views.upright import upright

SIZE, FOCAL_PX, HORIZON, FOOT = (96, 128), 110.0, 30, 60
ROWS = np.arange(SIZE[0])[:, None] + 0.5
TOWER = (slice(12, FOOT), slice(50, 78))


def ground(horizon=HORIZON, far=0.5):
    """Inverse depth of level ground, 1 at the tower's foot, and of the sky."""
    below = (ROWS - horizon) / (FOOT - horizon)
    return np.broadcast_to(np.maximum(below, far), SIZE).astype(np.float32)


def tower(lean):
    """A tower on the ground, whose top is farther than its foot by this ratio."""
    found = ground().copy()
    height = (FOOT - ROWS[TOWER[0]]) / (FOOT - TOWER[0].start)
    found[TOWER] = 1 - height * (1 - 1 / lean)
    return found


def test_a_tower_that_leans_stands_and_its_foot_stays():
    leaning = tower(1.3)
    found = upright(leaning, FOCAL_PX)
    assert leaning[TOWER].min() < 0.8
    assert np.abs(found[TOWER] - 1).max() < 0.07 and np.abs(found[FOOT - 2 : FOOT, 55:73] - 1).max() < 0.04


def test_ground_and_sky_around_it_stay():
    found, before = upright(tower(1.3), FOCAL_PX), tower(1.3)
    around = np.ones(SIZE, bool)
    around[8 : FOOT + 4, 46:82] = False
    assert np.abs(found / before - 1)[around].max() < 0.02


@pytest.mark.parametrize(
    "before",
    [ground(), ground(-400.0), tower(1.0), np.ones(SIZE, np.float32), np.ones((3, 200), np.float32)],
    ids=["ground", "from above", "a tower that stands", "flat", "a strip"],
)
def test_what_is_right_stays(before):
    assert np.allclose(upright(before, FOCAL_PX), before, rtol=0.01)
