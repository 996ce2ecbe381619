"""Cost volumes: each fast routine against a slow obvious twin."""

import numpy as np
import pytest
import torch

from rap.views import stereo as module
from rap.views.stereo import TEXTURE_FLOOR, best_hypothesis, correlation_cost, median_filter, semi_global, window_mean


def _windows(image: np.ndarray, y: int, x: int, radius: int) -> np.ndarray:
    padded = np.pad(image, radius, mode="edge")
    return padded[y : y + 2 * radius + 1, x : x + 2 * radius + 1]


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_window_mean_is_the_mean_of_the_window(radius):
    maps = torch.rand(2, 3, 5, 7)
    means = window_mean(maps, radius)
    for s, d, y, x in [(0, 0, 0, 0), (1, 2, 4, 6), (0, 1, 2, 3), (1, 0, 0, 5)]:
        assert means[s, d, y, x] == pytest.approx(_windows(maps[s, d].numpy(), y, x, radius).mean(), abs=1e-6)


@pytest.mark.parametrize("radius", [1, 2, 3])  # OpenCV's on a CPU up to 2
def test_median_filter_is_the_median_of_the_window(radius):
    maps = torch.rand(2, 6, 5)
    medians = median_filter(maps, radius)
    for s, y, x in np.ndindex(2, 6, 5):
        assert medians[s, y, x] == np.median(_windows(maps[s].numpy(), y, x, radius))


def test_correlation_cost_is_one_minus_the_correlation_of_windows():
    reference, others = torch.rand(2, 6, 7), torch.rand(2, 3, 6, 7)
    cost = correlation_cost(reference, others)
    for s, d, y, x in [(0, 0, 3, 3), (1, 2, 5, 6), (0, 1, 0, 0), (1, 0, 2, 4)]:
        a = _windows(reference[s].double().numpy(), y, x, 1).ravel()
        b = _windows(others[s, d].double().numpy(), y, x, 1).ravel()
        a, b = a - a.mean(), b - b.mean()
        expected = 1 - (a * b).mean() / np.sqrt(((a * a).mean() + TEXTURE_FLOOR) * ((b * b).mean() + TEXTURE_FLOOR))
        assert cost[s, d, y, x] == pytest.approx(expected, abs=1e-5)


def test_correlation_is_blind_to_brightness_and_contrast_and_flat_windows_have_no_opinion():
    reference = torch.rand(1, 9, 9)
    others = torch.stack([reference, 0.5 * reference + 0.3, 1 - reference, torch.full_like(reference, 0.4)], dim=1)
    same, dimmed, negative, flat = correlation_cost(reference, others)[0].flatten(1).mean(dim=1)
    assert same < 0.01 and dimmed < 0.03
    assert negative == pytest.approx(2, abs=0.01)
    assert flat == pytest.approx(1, abs=1e-3)


def _slow_paths(
    cost: np.ndarray, guide: np.ndarray, small: float, large: float, flat: float, edge: float
) -> np.ndarray:
    """Equation 13 of the paper, pixel by pixel; cost (D,h,w), guide (3,h,w)."""
    count, h, w = cost.shape
    total = np.zeros_like(cost)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        path = np.zeros_like(cost)
        for y in range(h)[:: dy or 1]:
            for x in range(w)[:: dx or 1]:
                if not (0 <= y - dy < h and 0 <= x - dx < w):
                    path[:, y, x] = cost[:, y, x]
                    continue
                before = path[:, y - dy, x - dx]
                step = np.abs(guide[:, y, x] - guide[:, y - dy, x - dx]).mean()
                jump = before.min() + large + flat * np.exp(-step / edge)
                for d in range(count):
                    ways = [before[d], jump]
                    ways += [before[e] + small for e in (d - 1, d + 1) if 0 <= e < count]
                    path[d, y, x] = cost[d, y, x] + min(ways) - before.min()
        total += path
    return total


def test_semi_global_equals_the_paper_pixel_by_pixel():
    cost, guide = torch.rand(2, 4, 5, 6, dtype=torch.float64), torch.rand(2, 3, 5, 6, dtype=torch.float64)
    fast = semi_global(cost, guide, small=0.06, large=0.08, large_flat=0.5, edge=0.06)
    for s in range(2):
        slow = _slow_paths(cost[s].numpy(), guide[s].numpy(), 0.06, 0.08, 0.5, 0.06)
        np.testing.assert_allclose(fast[s].numpy(), slow, atol=1e-12)


def test_semi_global_leaves_its_input_alone_and_bears_one_pixel():
    cost = torch.rand(1, 3, 1, 1)
    before = cost.clone()
    torch.testing.assert_close(semi_global(cost, torch.rand(1, 3, 1, 1)), 4 * before)
    torch.testing.assert_close(cost, before)


def test_best_hypothesis_finds_the_vertex_of_a_parabola_and_keeps_the_ends():
    vertex = torch.tensor([[2.3, 0.0], [4.6, 6.0]])
    number = torch.arange(7)[:, None, None]
    total = (number - vertex) ** 2
    torch.testing.assert_close(best_hypothesis(total[None])[0], vertex)
    assert best_hypothesis(total[None, :2]).shape == (1, 2, 2)


def test_the_least_cost_is_found_plane_by_plane_and_the_first_of_equals():
    total = torch.randint(0, 6, (2, 9, 11, 13), generator=torch.Generator().manual_seed(0)).float()
    found = module._argmin(total)
    for s, y, x in np.ndindex(2, 11, 13):
        assert found[s, y, x] == np.argmin(total[s, :, y, x].numpy())
