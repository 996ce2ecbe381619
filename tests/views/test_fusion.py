"""Where a sweep is not sure, the shape that a picture has alone, at the sweep's place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rap.views import fusion
from rap.views.depth import DepthMaps
from rap.views.fusion import film_depth, fused, placed

RNG = np.random.default_rng(0)
H, W = 96, 128
FROM_MIDDLE = np.hypot(*(np.mgrid[:H, :W] - np.array([40, 64])[:, None, None]))
BALL = FROM_MIDDLE < 20
TRUTH = np.where(BALL, 2.0, np.linspace(0.3, 1.2, H)[:, None])  # a ball before a floor that goes back


def test_what_is_not_sure_takes_the_shape_and_keeps_the_place():
    sure = RNG.random((H, W)) < 0.3
    sure[:, :50] = False
    swept = np.where(sure, TRUTH, RNG.uniform(0.1, 3, (H, W)))
    shape = 0.6 * TRUTH + 0.3 + 0.1 * np.linspace(0, 1, W)  # of other scale and shift, and bent
    found = fused(swept, np.where(sure, 0.9, 0.05), shape)
    np.testing.assert_allclose(found[sure], TRUTH[sure], rtol=1e-5)
    error = np.abs(found - TRUTH)
    assert np.quantile(error[:, 50:], 0.95) < 0.06 and error[:, :50].max() < 0.25, "no rubble anywhere"
    few = fused(swept, np.where(sure, 0.9, 0.05), shape, share=0.1)
    np.testing.assert_allclose(few, swept, rtol=1e-5, err_msg="a film that tells nearly enough believes nearly all")


def test_a_near_thing_does_not_pull_along_what_is_behind_it():
    """The shape says that the ball lies half as near as it does; around its edge nothing is sure."""
    shape = np.where(BALL, 1.0, 0.5 * TRUTH)
    sure = (FROM_MIDDLE < 16) | (FROM_MIDDLE > 28)
    found = fused(np.where(sure, TRUTH, 1.4), np.where(sure, 0.9, 0.05), shape)
    ring = (FROM_MIDDLE > 21) & (FROM_MIDDLE < 27)
    assert np.abs(found - TRUTH)[ring].max() < 0.2, "floor beside the ball stays the floor"
    assert np.abs(found - TRUTH)[BALL & (FROM_MIDDLE > 17)].mean() < 0.2, "and its rim is the ball's"


@pytest.mark.parametrize(("confidence", "is_kept"), [(0.9, True), (0.1, False)])
def test_a_film_that_tells_enough_is_left_alone(monkeypatch, confidence, is_kept):
    swept = DepthMaps(torch.rand(2, 32, 40) + 0.5, torch.full((2, 32, 40), confidence))
    swept.confidence[:, :8] = 0.9
    monkeypatch.setattr(fusion, "plane_sweep", lambda *arguments, **options: swept)
    shapes = []
    arguments = torch.rand(2, 3, 32, 40), np.tile(np.eye(4), (2, 1, 1)), np.ones((2, 4)), None, None
    found = film_depth(*arguments, network=object(), shape_of=lambda u8: shapes.append(u8) or np.ones(u8.shape[:2]))
    assert (found is swept) == is_kept and len(shapes) == (0 if is_kept else 2)
    assert film_depth(*arguments, network=None, shape_of=shapes.append) is swept, "nothing says what is sure"


def test_a_shape_comes_to_the_place_of_the_sweep_without_its_grain():
    grain = np.where(RNG.random((H, W)) < 0.5, 0.7, 1.4)
    shape = 0.6 * TRUTH + 0.3 + 0.1 * np.linspace(0, 1, W)
    found = placed(TRUTH * np.where(BALL, 1, grain), np.full((H, W), 0.9), shape)
    assert np.abs(np.diff(found, axis=1))[:, :30].max() < 0.05, "none of the grain"
    assert np.abs(np.log(np.median(found[BALL]) / 2)) < 0.1 and np.abs(found - TRUTH).mean() < 0.15
    np.testing.assert_allclose(placed(TRUTH, np.zeros((H, W)), 7 * shape), placed(TRUTH, np.zeros((H, W)), shape))
    assert np.median(placed(TRUTH, np.zeros((H, W)), shape)) == pytest.approx(np.median(TRUTH)), "sure of nothing"
