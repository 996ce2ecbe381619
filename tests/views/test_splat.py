"""Splatting beside slow twins."""

import math

import numpy as np
import torch

from rap.geometry import se3
from rap.views.splat import LEAK, close_cracks, splat
from rap.views.transfer import grid_intrinsics, pair_of


def pose(x=0.0, y=0.0, z=0.0, yaw=0.0, pitch=0.0):
    return se3.from_rotation_translation(se3.exp([0, 0, 0, pitch, yaw, 0])[:3, :3], [x, y, z])[None]


def test_splat_agrees_with_its_slow_twin():
    generator = torch.Generator().manual_seed(1)
    size = (8, 10)
    depth = torch.rand(2, *size, generator=generator) + 0.3
    depth[0, 2, 3] = 0.0
    K = np.tile([9.0, 9.0, 5.0, 4.0], (1, 2, 1))
    a = (np.stack([pose()[0], pose(0.2, yaw=0.3)[0]])[None], K)
    b = (np.stack([pose(0.3, 0.1, 0.2, yaw=-0.2)[0]] * 2)[None], K)
    on_grid = (a[0], grid_intrinsics(a[1], size))
    fast = splat(depth, pair_of(on_grid, b, torch.device("cpu")), size, 1)
    slow = np.zeros((2, *size))
    for n in range(2):
        T_b_a = np.linalg.inv(b[0][0, n]) @ a[0][0, n]
        for i in range(size[0]):
            for j in range(size[1]):
                if depth[n, i, j] <= 0:
                    continue
                z = 1 / float(depth[n, i, j])
                X = T_b_a @ [(j + 0.5 - 5) / 9 * z, (i + 0.5 - 4) / 9 * z, z, 1]
                row, column = math.floor(X[1] / X[2] * 9 + 4), math.floor(X[0] / X[2] * 9 + 5)
                if X[2] > 0 and 0 <= row < size[0] and 0 <= column < size[1]:
                    slow[n, row, column] = max(slow[n, row, column], 1 / X[2])
    assert (slow > 0).any() and (slow == 0).any()
    np.testing.assert_allclose(fast.numpy(), slow, atol=1e-5)


def test_cracks_agree_with_their_slow_twin():
    generator = torch.Generator().manual_seed(2)
    depth = torch.rand(1, 8, 10, generator=generator).round(decimals=1)
    slow = depth[0].numpy().copy()
    for _ in range(2):
        before = np.pad(slow, 1)
        for i in range(8):
            for j in range(10):
                pairs = ((0, 1), (1, 0), (1, 1), (1, -1))
                candidates = [min(before[i + 1 + dy, j + 1 + dx], before[i + 1 - dy, j + 1 - dx]) for dy, dx in pairs]
                if max(candidates) * (1 - LEAK) > before[i + 1, j + 1]:
                    slow[i, j] = max(candidates)
    rim = np.pad(slow, 1)
    for i, j in np.argwhere(slow == 0):
        slow[i, j] = rim[i : i + 3, j : j + 3].max()
    np.testing.assert_allclose(close_cracks(depth)[0].numpy(), slow, atol=1e-6)
