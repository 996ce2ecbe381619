"""Depth steps: ramps become steps, slopes stay, and what stands before something else is found."""

import numpy as np
import pytest

from rap.views.edges import RISE, cut, near_side, nearest_of

SIZE = (48, 64)


def square_before_wall(near=2.0, far=0.5):
    depth = np.full(SIZE, far, np.float32)
    depth[16:32, 24:44] = near
    return depth


def blurred(depth, radius):
    kernel = np.ones(2 * radius + 1) / (2 * radius + 1)
    for axis in (0, 1):
        padded = np.pad(depth, [(radius, radius) if axis == i else (0, 0) for i in range(2)], mode="edge")
        depth = np.apply_along_axis(np.convolve, axis, padded, kernel, mode="valid")
    return depth.astype(np.float32)


def painted(square, shift=0):
    """Red before blue waves, the square `shift` px to the right of where the depth has it."""
    waves = 0.5 + 0.3 * np.sin(np.arange(SIZE[1]) / 2, dtype=np.float32)
    colours = np.zeros((*SIZE, 3), np.float32)
    colours[..., 2] = waves
    colours[np.roll(square, shift, axis=1) > 1] = (0.9, 0.1, 0.1)
    return colours


@pytest.mark.parametrize(("radius", "shift"), [(1, 0), (2, 0), (3, 0), (3, 2)])
def test_a_ramp_becomes_a_step_where_the_colours_change(radius, shift):
    square = square_before_wall()
    soft = blurred(square, radius)
    assert ((soft > 0.6) & (soft < 1.8)).sum() > 50, "there is a ramp"
    sharp = cut(soft, painted(square, shift), radius + 1)
    assert ((sharp > 0.6) & (sharp < 1.7)).sum() <= 8, "but for corners"
    assert ((sharp > 1) == (np.roll(square, shift, axis=1) > 1)).mean() > 0.985


def test_a_slope_stays_a_slope():
    floor = np.linspace(0.5, 2.5, SIZE[0], dtype=np.float32)[:, None].repeat(SIZE[1], axis=1)
    colours = np.random.default_rng(0).random((*SIZE, 3)).astype(np.float32)
    np.testing.assert_allclose(cut(floor, colours, 3)[4:-4], floor[4:-4], rtol=0.02)


def test_nothing_stands_before_a_slope():
    floor = np.linspace(0.5, 2.0, SIZE[0], dtype=np.float32)[:, None].repeat(SIZE[1], axis=1)
    assert not near_side(floor, 60.0).mask.any()


def test_the_near_side_reaches_as_far_as_cameras_look_behind_it():
    square = square_before_wall()
    shallow, deep = near_side(square, 2.0), near_side(square, 100.0)
    assert np.array_equal(deep.mask, square > 1), "all of the square, none of the wall"
    assert shallow.mask[16:32, 24:44][[0, -1]].all() and not shallow.mask[22:26, 30:38].any()
    assert (deep.limit[deep.mask] == 0.5).all() and np.isinf(deep.limit[~deep.mask]).all()


def test_cameras_look_past_a_side_farther_than_over_an_edge():
    """Ground before a horizon stays: it is not all hidden behind its own far end."""
    hill = np.full(SIZE, 0.5, np.float32)
    hill[12:] = 1.5
    over = near_side(hill, 30.0).mask[:, SIZE[1] // 2].sum()
    past = near_side(np.ascontiguousarray(hill.T), 30.0).mask[SIZE[1] // 2].sum()
    assert over == pytest.approx(past / RISE, abs=1) and over > 5


@pytest.mark.parametrize("rise", [1, 3])
def test_the_nearest_marked_pixel_agrees_with_its_slow_twin(rise):
    marked = np.random.default_rng(0).random((12, 15)) < 0.05
    distance, nearest = nearest_of(marked, rise)
    places = np.argwhere(marked)
    for row, column in np.ndindex(marked.shape):
        apart = np.hypot(*((places - [row, column]) * [rise, 1]).T)
        assert apart[nearest[row, column]] == pytest.approx(apart.min(), abs=0.3)  # the 5x5 mask is that exact
        assert distance[row, column] == pytest.approx(apart.min(), abs=0.3)
