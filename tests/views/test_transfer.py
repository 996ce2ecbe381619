"""Pixels from camera to camera, against points that are projected one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rap.geometry import se3
from rap.geometry.camera import project, unproject
from rap.views.transfer import (
    depth_there,
    grid_intrinsics,
    homogeneous,
    in_view,
    pair_matrices,
    pair_of,
    pixels,
    sample,
    transfer,
)

SIZE = (6, 8)
LENS = np.array([[9.0, 10.0, 4.2, 2.9], [7.0, 7.5, 3.8, 3.1]])
CPU = torch.device("cpu")


def cameras(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Two pairs of cameras, both of each looking much the same way."""
    rng = np.random.default_rng(seed)
    poses = se3.exp(0.2 * rng.normal(size=(2, 2, 6)))
    return (poses[0], LENS), (poses[1], LENS[::-1].copy())


def one_by_one(a, b, depth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Places in px (P,2,h,w) and inverse depth, by points in the world."""
    x, y = pixels(SIZE, CPU)
    at = torch.stack(torch.broadcast_tensors(x, y), dim=-1).flatten(0, 1).double().expand(2, -1, -1)
    points = unproject(at, 1 / depth.double().flatten(1), torch.from_numpy(a[1]))
    T_b_a = torch.from_numpy(se3.inverse(b[0]) @ a[0])
    there = points @ T_b_a[:, :3, :3].mT + T_b_a[:, None, :3, 3]
    place, z = project(there, torch.from_numpy(b[1])), there[..., 2]
    return place.mT.unflatten(-1, SIZE), (1 / z).unflatten(-1, SIZE)


@pytest.mark.parametrize("seed", range(4))
def test_a_pixel_goes_where_its_point_is_projected(seed):
    a, b = cameras(seed)
    depth = torch.rand(2, *SIZE, generator=torch.Generator().manual_seed(seed)) + 0.5
    place, there, before = transfer(*pixels(SIZE, CPU), depth, pair_of(a, b, CPU))
    expected_place, expected = one_by_one(a, b, depth)
    assert before.all()
    torch.testing.assert_close(place.double(), expected_place, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(there.double(), expected, atol=1e-5, rtol=1e-4)


def test_planes_of_depths_go_together_as_each_alone():
    a, b = cameras(7)
    pair, (x, y) = pair_of(a, b, CPU), pixels(SIZE, CPU)
    planes = torch.tensor([[0.5, 1.0, 2.0], [0.7, 0.9, 1.4]])
    place, there, before = transfer(x, y, planes[:, :, None, None], pair)
    assert place.shape == (2, 2, 3, *SIZE) and there.shape == before.shape == (2, 3, *SIZE)
    for k in range(3):
        alone = transfer(x, y, planes[:, k, None, None].expand(-1, *SIZE), pair)
        torch.testing.assert_close(place[:, :, k], alone[0])
        torch.testing.assert_close(there[:, k], alone[1])


def test_there_and_back_again():
    a, b = cameras(3)
    depth = torch.rand(2, *SIZE) + 0.5
    place, there, _ = transfer(*pixels(SIZE, CPU), depth, pair_of(a, b, CPU))
    back, again, _ = transfer(place[:, None, 0], place[:, None, 1], there, pair_of(b, a, CPU))
    x, y = pixels(SIZE, CPU)
    torch.testing.assert_close(back[:, 0], x.expand(2, *SIZE), atol=1e-3, rtol=0)
    torch.testing.assert_close(back[:, 1], y.expand(2, *SIZE), atol=1e-3, rtol=0)
    torch.testing.assert_close(again, depth, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(depth_there(place, there, pair_of(b, a, CPU)), again)


def test_infinitely_far_feels_no_translation():
    turned = se3.exp([0, 0, 0, 0.1, -0.2, 0.05])
    moved = turned.copy()
    moved[:3, 3] = 3, -2, 1
    found = [
        transfer(
            *pixels(SIZE, CPU), torch.zeros(1, *SIZE), pair_of((np.eye(4)[None], LENS[:1]), (T[None], LENS[:1]), CPU)
        )
        for T in (turned, moved)
    ]
    torch.testing.assert_close(found[0][0], found[1][0])
    assert (found[0][1] == 0).all() and (found[1][1] == 0).all()


def test_behind_the_other_camera_is_not_before_it():
    beyond = se3.from_rotation_translation(np.eye(3), [0, 0, 2.0])
    pair = pair_of((np.eye(4)[None], LENS[:1]), (beyond[None], LENS[:1]), CPU)
    depth = torch.full((1, *SIZE), 1.0)
    depth[..., :4] = 0.25  # four away, before it
    place, _, before = transfer(*pixels(SIZE, CPU), depth, pair)
    assert before[..., :4].all() and not before[..., 4:].any()
    x, y = (part.expand(1, *SIZE).contiguous() for part in pixels(SIZE, CPU))
    there = depth_there(torch.stack([x, y], dim=1), depth, pair)
    assert (there[..., 4:] == 0).all() and torch.allclose(there[..., :4], torch.tensor(0.5))


def test_rows_of_the_matrices_are_rows_of_the_result():
    a, b = cameras(1)
    A, e = pair_of(a, b, CPU)
    depth, (x, y) = torch.rand(2, *SIZE), pixels(SIZE, CPU)
    whole = homogeneous(x, y, depth, (A, e))
    torch.testing.assert_close(homogeneous(x, y, depth, (A[:, 2:], e[:, 2:])), whole[:, 2:])
    exact = pair_matrices(a, b)
    assert exact[0].dtype == np.float64
    np.testing.assert_allclose(A.numpy(), exact[0], rtol=1e-6, atol=1e-6)


def test_in_units_of_the_grid_the_edges_are_one():
    K = grid_intrinsics(LENS, SIZE)
    edges = np.array([[0.0, 0.0], [SIZE[1], SIZE[0]]])
    for (fx, fy, cx, cy), (gx, gy, hx, hy) in zip(LENS, K, strict=True):
        rays = (edges - [cx, cy]) / [fx, fy]
        np.testing.assert_allclose(rays * [gx, gy] + [hx, hy], [[-1, -1], [1, 1]])
    place = torch.tensor([[-1.0, 0.5], [1.0, -1.01]]).T[None, :, :, None]
    assert in_view(place).flatten().tolist() == [True, False]


def test_sampling_at_the_pixels_own_places_returns_them():
    maps = torch.rand(2, 3, *SIZE)
    x, y = pixels(SIZE, CPU)
    place = torch.stack(torch.broadcast_tensors(x * 2 / SIZE[1] - 1, y * 2 / SIZE[0] - 1))[None].expand(2, -1, -1, -1)
    torch.testing.assert_close(sample(maps, place), maps, atol=1e-5, rtol=0)
    torch.testing.assert_close(sample(maps, place + 0.3 / SIZE[1], "nearest"), maps)
    torch.testing.assert_close(sample(maps, place + 9), maps[..., -1:, -1:].expand_as(maps))
