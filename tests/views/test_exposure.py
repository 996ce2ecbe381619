"""Gains against brightness that is known, a least-squares twin, and what must not tell a gain."""

import itertools
import math

import numpy as np
import pytest
import torch

from rap.geometry import se3
from rap.views.exposure import LEVELS, MIN_SHARE, exposure_gains
from rap.views.warp import warp

SIZE = (36, 48)


def views(*exposures, seed=0):
    """One target's sources (1,N,3,H,W): the same texture, exposed differently, and where each shows it."""
    texture = 0.2 + 0.4 * torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(seed))
    return torch.stack([texture * exposure for exposure in exposures])[None], torch.ones(1, len(exposures), *SIZE)


def test_gains_undo_exposures_and_keep_the_brightness_of_near_sources():
    colour, weight = views(1.0, 0.8, 1.3)
    nearness = torch.tensor([[3.0, 1.0, 0.5]])
    gains = exposure_gains(colour, weight, nearness)
    logs = torch.tensor([1.0, 0.8, 1.3]).log()
    expected = torch.exp((logs * nearness).sum() / nearness.sum() - logs)
    torch.testing.assert_close(gains[0], expected, atol=2e-3, rtol=0)


def test_each_target_has_its_own_gains():
    (one, weight), (other, _) = views(1.0, 0.8), views(1.0, 1.25)
    gains = exposure_gains(torch.cat([one, other]), weight.expand(2, -1, -1, -1), torch.tensor([[1.0, 0.0]] * 2))
    torch.testing.assert_close(gains, torch.tensor([[1.0, 1.25], [1.0, 0.8]]), atol=3e-3, rtol=0)


def test_four_sources_that_overlap_in_part_are_a_least_squares_problem():
    """The twin: every pair's median ratio is one row, weighed by what it rests on."""
    colour, weight = views(1.0, 0.9, 1.2, 0.8)
    colour = colour * (1 + 0.1 * torch.rand(colour.shape, generator=torch.Generator().manual_seed(1)))
    for number, columns in enumerate([slice(0, 30), slice(12, 48), slice(24, 48), slice(0, 15)]):
        shown = torch.zeros(SIZE)
        shown[:, columns] = 1.0
        weight[0, number] = shown
    nearness = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    level, there = colour[0].mean(dim=1)[:, ::3, ::3].log().numpy(), weight[0, :, ::3, ::3].numpy() > 0
    rows, found = [nearness[0].numpy() * 1e3], [0.0]
    for i, j in itertools.combinations(range(4), 2):
        both = there[i] & there[j]
        if both.mean() < MIN_SHARE:
            continue
        row = np.zeros(4)
        row[i], row[j] = 1, -1
        ratios = np.sort((level[i] - level[j])[both])
        rows.append(row * math.sqrt(both.mean()))
        found.append(ratios[(len(ratios) - 1) // 2] * math.sqrt(both.mean()))
    expected = np.exp(-np.linalg.lstsq(np.array(rows), np.array(found), rcond=None)[0])
    np.testing.assert_allclose(exposure_gains(colour, weight, nearness)[0].numpy(), expected, atol=3e-3)


def test_what_differs_in_a_third_of_the_picture_is_no_exposure():
    colour, weight = views(1.0, 0.9)
    colour[:, 1, :, :, :16] = 0.7  # something stands before it there
    gains = exposure_gains(colour, weight, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(gains, torch.tensor([[1.0, 1 / 0.9]]), atol=0.02, rtol=0)


@pytest.mark.parametrize("level", [LEVELS[0] / 2, 1.0])
def test_black_and_clipped_pixels_tell_nothing(level):
    colour, weight = views(1.0, 1.2)
    colour[..., :32] = level
    gains = exposure_gains(colour, weight, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(gains, torch.tensor([[1.0, 1 / 1.2]]), atol=3e-3, rtol=0)


def test_sources_that_share_nothing_stay_as_they_are():
    colour, weight = views(1.0, 0.7)
    weight[0, 0, :, :24], weight[0, 1, :, 24:] = 0.0, 0.0
    assert (exposure_gains(colour, weight, torch.ones(1, 2)) == 1).all()


def test_one_source_stays_as_it_is_and_no_gain_is_beyond_two():
    colour, weight = views(0.5)
    assert exposure_gains(colour, weight, torch.ones(1, 1)).tolist() == [[1.0]]
    colour, weight = views(1.0, 0.25)
    gains = exposure_gains(colour, weight, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(gains, torch.tensor([[1.0, 2.0]]))


def test_a_warp_has_no_seam_where_a_darker_source_ends():
    """Two sources of one plane, the second darker and seeing only its right half."""
    intrinsics = np.array([[60.0, 60.0, 24.0, 18.0]]).repeat(2, 0)
    Ts_world_camera = np.stack([np.eye(4), se3.from_rotation_translation(np.eye(3), [0.4, 0.0, 0.0])])
    frames = torch.full((2, 3, *SIZE), 0.5) * torch.tensor([1.0, 0.8])[:, None, None, None]
    seen = warp(frames, torch.ones(2, *SIZE), Ts_world_camera, intrinsics, Ts_world_camera[:1], intrinsics[:1], SIZE)
    assert seen.mask.all()
    assert seen.colour.max() - seen.colour.min() < 1e-3
    assert 0.49 < seen.colour.mean() <= 0.5  # as bright as the source that stands there
