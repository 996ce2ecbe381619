"""Two eyes: where a point is seen by each, and what both frames become."""

from __future__ import annotations

import numpy as np
import pytest

from rap.geometry import preset, se3
from rap.views.eyes import as_one, eyes


def column(Ts_world_camera, intrinsics, point):
    """Where a point of the world is seen by each camera, in px."""
    seen = np.einsum("tij,j->ti", se3.inverse(Ts_world_camera), np.append(point, 1.0))
    return intrinsics[:, 0] * seen[:, 0] / seen[:, 2] + intrinsics[:, 2]


def test_what_is_at_the_screen_is_at_one_place_and_near_things_come_forward():
    path = preset("arc-left", num_frames=5, image_size=(96, 128))
    pair = [eye.cameras(path.Ts_world_camera, path.intrinsics) for eye in eyes(0.1, screen=2.0)]
    apart = pair[1][0][:, :3, 3] - pair[0][0][:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(apart, axis=1), 0.1)
    np.testing.assert_allclose(np.einsum("ti,ti->t", apart, path.Ts_world_camera[:, :3, 0]), 0.1)
    T = path.Ts_world_camera[3]
    for distance, sign in ((2.0, 0), (1.0, 1), (8.0, -1)):
        left, right = (column(*cameras, T[:3] @ [0.3, 0.1, distance, 1])[3] for cameras in pair)
        assert np.sign(round(left - right, 6)) == sign, "crossed before the screen, uncrossed behind it"


def test_frames_of_both_become_one():
    left, right = np.full((2, 4, 6, 3), 10, np.uint8), np.full((2, 4, 6, 3), 200, np.uint8)
    beside = as_one(left, right, "side-by-side")
    assert beside.shape == (2, 4, 12, 3) and (beside[:, :, :6] == 10).all() and (beside[:, :, 6:] == 200).all()
    assert (as_one(left, right, "anaglyph") == [10, 200, 200]).all()
    with pytest.raises(ValueError, match="side-by-side, anaglyph, got 'above'"):
        as_one(left, right, "above")
    with pytest.raises(ValueError, match="the same frames"):
        as_one(left, right[:1], "anaglyph")
    for wrong in ({"baseline": 0.0}, {"screen": float("inf")}):
        with pytest.raises(ValueError, match="must be positive"):
            eyes(**wrong)
