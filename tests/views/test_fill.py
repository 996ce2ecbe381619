"""The exemplar fill: what is known stays, patterns go on, and what is far is not filled with what is near."""

import numpy as np
import pytest
import torch

from rap.views.fill import PATCH, exemplar_fill
from rap.views.warp import fill_holes

SIZE = (96, 128)
HOLE = (slice(36, 60), slice(52, 76))


def smooth(colour, known):
    planes = torch.from_numpy(np.where(known[..., None], colour, 0).astype(np.float32)).permute(2, 0, 1)
    return fill_holes(planes[None], torch.from_numpy(known)[None])[0].permute(1, 2, 0).numpy()


def stripes(period=8):
    """Oblique ones: dark for half of a period."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    dark = ((x + y) % period < period // 2)[..., None]
    return np.where(dark, [0.2, 0.3, 0.2], [0.8, 0.7, 0.6]).astype(np.float32)


def all_but(*holes):
    known = np.ones(SIZE, bool)
    for hole in holes:
        known[hole] = False
    return known


def filled(colour, known, inverse_depth=None):
    inverse_depth = np.ones(SIZE, np.float32) if inverse_depth is None else inverse_depth
    return exemplar_fill(smooth(colour, known), known, inverse_depth)


def error(found, truth, known):
    return float(np.abs(found - truth)[~known].mean())


@pytest.mark.parametrize("hole", [HOLE, (slice(None), slice(104, None))], ids=["inside", "beside"])
def test_a_pattern_goes_on_through_a_hole_where_the_smooth_guess_is_grey(hole):
    truth, known = stripes(), all_but(hole)
    found = filled(truth, known)
    assert np.array_equal(found[known], truth[known])
    assert error(found, truth, known) < 0.35 * error(smooth(truth, known), truth, known)


def test_the_same_picture_is_filled_the_same_way():
    noise = np.random.default_rng(3).uniform(size=(*SIZE, 3)).astype(np.float32)
    known = all_but(HOLE)
    assert np.array_equal(filled(noise, known), filled(noise, known))


def test_behind_what_is_near_nothing_near_is_put():
    """Left of the hole something near and red, right of it something far and blue, and it is far."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    bright, dark = 0.7 + 0.1 * np.sin(y / 3), 0.2 + 0.1 * np.sin(y / 3)
    near = x < 64
    truth = np.stack([np.where(near, bright, dark), dark, np.where(near, dark, bright)], axis=-1).astype(np.float32)
    known = all_but(HOLE)
    inverse_depth = np.where(near & known, 2.0, 0.5).astype(np.float32)
    middle = HOLE[0], slice(56, 72)
    told, untold = filled(truth, known, inverse_depth)[middle], filled(truth, known)[middle]
    assert (told[..., 2] > told[..., 0] + 0.3).mean() > 0.95
    assert (untold[..., 2] > untold[..., 0] + 0.3).mean() < 0.75, "depth alone tells them apart"


def test_light_has_no_step_at_the_rim():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    light = 0.3 + 0.4 * x / SIZE[1]
    truth = np.repeat(light[..., None], 3, axis=-1).astype(np.float32)
    known = all_but((slice(None), slice(96, None)))
    found = filled(truth, known)
    assert np.abs(found[:, 96] - found[:, 95]).max() < 0.02


def test_where_nothing_is_large_enough_to_copy_the_smooth_guess_stays():
    known = np.zeros(SIZE, bool)
    known[40 : 40 + PATCH - 2, 40 : 40 + PATCH - 2] = True
    guess = smooth(stripes(), known)
    assert np.array_equal(exemplar_fill(guess, known, np.ones(SIZE, np.float32)), guess)
    whole = np.ones(SIZE, bool)
    assert exemplar_fill(guess, whole, np.ones(SIZE, np.float32)) is guess
    assert exemplar_fill(guess, ~whole, np.ones(SIZE, np.float32)) is guess
