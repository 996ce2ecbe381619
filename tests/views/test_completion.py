"""Completion: planes are continued exactly, edges of the picture stop them."""

import numpy as np
import pytest
import torch

from rap.views.completion import edge_aware_sums, plane_fit


def _slow_sums(image: np.ndarray, guide: np.ndarray, reach: float, edge: float) -> np.ndarray:
    """Every pixel's weight on every other along the row, then along the column."""
    keep_x = np.exp(-(2**0.5) / reach * (1 + reach / edge * np.abs(np.diff(guide, axis=2)).sum(axis=0)))
    keep_y = np.exp(-(2**0.5) / reach * (1 + reach / edge * np.abs(np.diff(guide, axis=1)).sum(axis=0)))
    h, w = image.shape
    rows, total = np.zeros_like(image), np.zeros_like(image)
    for y in range(h):
        for x in range(w):
            for k in range(w):
                rows[y, x] += np.prod(keep_x[y, min(x, k) : max(x, k)]) * image[y, k]
    for y in range(h):
        for x in range(w):
            for k in range(h):
                total[y, x] += np.prod(keep_y[min(y, k) : max(y, k), x]) * rows[k, x]
    return total


def test_edge_aware_sums_are_what_the_weights_say():
    maps, guide = torch.rand(2, 2, 5, 6, dtype=torch.float64), torch.rand(2, 3, 5, 6, dtype=torch.float64)
    sums = edge_aware_sums(maps, guide, reach_px=4.0, edge=0.5)
    for s, c in ((0, 0), (1, 1)):
        expected = _slow_sums(maps[s, c].numpy(), guide[s].numpy(), 4.0, 0.5)
        np.testing.assert_allclose(sums[s, c].numpy(), expected, atol=1e-12)


def _plane(h: int, w: int, slope_x: float, slope_y: float) -> torch.Tensor:
    return 0.5 + slope_x * torch.arange(w) + slope_y * torch.arange(h)[:, None]


def test_a_plane_is_continued_over_what_is_not_known():
    truth = _plane(20, 40, 0.02, -0.01)[None]
    weight = torch.zeros_like(truth)
    weight[..., :25] = 1
    fit, rest = plane_fit(truth * weight, weight, torch.full((1, 3, 20, 40), 0.5), reach_px=20.0)
    assert (fit - truth).abs().max() < 0.5 * truth.std()  # the ridge levels it a little
    assert (rest[..., -1] < rest[..., 10]).all()


def test_an_edge_of_the_picture_ends_a_plane():
    left, right = _plane(20, 40, 0.01, 0.0), 3 + _plane(20, 40, -0.01, 0.02)
    on_right = (torch.arange(40) >= 20).expand(20, 40)
    truth = torch.where(on_right, right, left)[None]
    weight = (torch.rand(1, 20, 40, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    guide = on_right.float().expand(1, 3, 20, 40)
    fit, _ = plane_fit(truth * weight, weight, guide, reach_px=10.0, edge=0.3)
    assert (fit - truth).abs().max() < 0.1


@pytest.mark.parametrize("level", [0.0, 1e-9, 1.0])
def test_any_amount_of_knowledge_gives_finite_values(level):
    fit, rest = plane_fit(torch.rand(1, 4, 3), torch.full((1, 4, 3), level), torch.rand(1, 3, 4, 3))
    assert torch.isfinite(fit).all() and (rest >= 0).all()
