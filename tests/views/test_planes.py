"""Planes found in inverse depth: bent walls become straight, what is no plane stays."""

import numpy as np

from rap.views.planes import TOLERANCE, straightened

SIZE = (72, 96)


def corner():
    """Two walls that meet at column 40, and the floor before them."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    return np.maximum(0.6 + 0.008 * np.abs(x - 40), 0.2 + 0.02 * y).astype(np.float32)


def test_bent_walls_become_planes_again():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    bent = corner() * (1 + 0.02 * np.sin(x / 5) * np.sin(y / 6)).astype(np.float32)
    found = straightened(bent)
    before, after = (np.abs(each / corner() - 1).mean() for each in (bent, found))
    assert after < 0.4 * before
    assert np.abs(found / bent - 1).max() <= TOLERANCE


def test_planes_and_steps_between_them_stay():
    step = corner()
    step[20:50, 30:60] += 1.0
    np.testing.assert_allclose(straightened(step), step, rtol=0.02)  # the corner itself loses that


def test_what_is_no_plane_stays():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    hills = (1 + 0.5 * np.sin(x / 3) * np.sin(y / 3)).astype(np.float32)
    assert np.abs(straightened(hills) / hills - 1).mean() < 0.01


def test_a_picture_of_few_pixels_stays():
    tiny = np.linspace(0.5, 1, 64, dtype=np.float32).reshape(8, 8)
    np.testing.assert_allclose(straightened(tiny), tiny, rtol=0.02)
