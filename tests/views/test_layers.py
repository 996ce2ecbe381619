"""Layers of one picture: the picture itself from its own camera, and a square before a wall from others."""

import math

import numpy as np
import pytest
import torch

from rap.geometry import se3
from rap.views.layers import MARGINS, Layers, lift

SIZE = (96, 128)
INTRINSICS = np.array([110.0, 110.0, 64.0, 48.0])
NEAR, FAR = 2.0, 0.5
RED = torch.tensor([0.9, 0.1, 0.1])[:, None, None]


def pose(x=0.0, z=0.0, yaw=0.0):
    return se3.from_rotation_translation(se3.exp([0, 0, 0, 0, yaw, 0])[:3, :3], [x, 0, z])


def wall(size=SIZE, period=9.0):
    """Blue and green waves; nothing red."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    turn = 2 * math.pi / period
    return torch.stack([torch.full(size, 0.2), 0.5 + 0.2 * torch.sin(turn * x), 0.6 + 0.2 * torch.cos(turn * y)])


def square():
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[32:64, 48:80] = True
    return mask


@pytest.fixture(scope="module")
def layers() -> Layers:
    inverse_depth = torch.where(square(), NEAR, FAR)
    return lift(torch.where(square(), RED, wall()), inverse_depth, INTRINSICS)


def render(layers, *poses, size=SIZE):
    K = INTRINSICS * size[1] / SIZE[1]
    return layers.render(np.stack(poses), np.tile(K, (len(poses), 1)), size)


def test_from_its_own_camera_the_picture_is_what_it_was(layers):
    found = render(layers, pose())
    picture = torch.where(square(), RED, wall())
    assert found.mask.all() and (found.filled[0] - picture).abs().max() < 0.02
    torch.testing.assert_close(found.inverse_depth[0, 34:62, 50:78], torch.full((28, 28), NEAR), rtol=1e-3, atol=0)


def test_a_glimpse_is_hardly_another_picture(layers):
    for x in (0.0, 0.1, -0.3):
        whole, quick = render(layers, pose(x)).filled[0], layers.glimpse(pose(x), INTRINSICS, SIZE)
        assert quick.shape == whole.shape and (quick - whole).square().mean() < 1e-3


def test_what_is_near_moves_before_what_is_far(layers):
    x = 0.1
    found = render(layers, pose(x))
    near_px, far_px = (round(INTRINSICS[0] * x * depth) for depth in (NEAR, FAR))
    assert near_px == 22 and far_px == 6
    expected = torch.zeros(SIZE, dtype=torch.bool)
    expected[32:64, 48 - near_px : 80 - near_px] = True
    red = (found.filled[0, 0] - found.filled[0, 1] > 0.4).bool()
    assert (red != expected).float().sum() < 40, "no sheet of rubber between square and wall"
    still = wall()[:, :, far_px:]
    kept = torch.ones(SIZE, dtype=torch.bool)
    kept[28:68, 48 - near_px - 4 : 80] = False
    kept[:, -far_px - 3 :] = False
    assert (found.filled[0][:, :, : still.shape[2]] - still).abs()[:, kept[:, : still.shape[2]]].max() < 0.1


def test_what_no_camera_saw_is_filled_with_what_is_behind_and_said_to_be_invented(layers):
    found = render(layers, pose(0.1))
    bared = (slice(36, 60), slice(62, 72))  # between the square's new place and the wall's
    assert not found.mask[0][bared].any() and found.mask[0].float().mean() > 0.8
    assert (found.filled[0][:, *bared][0] < 0.3).all(), "no red of the square"
    torch.testing.assert_close(found.inverse_depth[0][bared], torch.full((24, 10), FAR), rtol=0.05, atol=0)
    beside = render(layers, pose(yaw=0.2))
    assert not beside.mask[0, :, -4:].any() and (beside.filled[0][:, :, -4:].amax(0) > 0.3).all()


def test_a_frame_is_the_same_alone_and_among_others(layers):
    poses = [pose(0.01 * i, yaw=0.01 * i) for i in range(6)]
    together = render(layers, *poses)
    for i, each in enumerate(poses):
        alone = render(layers, each)
        assert torch.equal(alone.filled[0], together.filled[i]) and torch.equal(alone.mask[0], together.mask[i])


def test_any_size_shows_the_same(layers):
    small, large = render(layers, pose(0.05)), render(layers, pose(0.05), size=(192, 256))
    reduced = torch.nn.functional.avg_pool2d(large.filled, 2)
    assert (small.filled - reduced).abs().mean() < 0.02
    assert large.mask.float().mean() == pytest.approx(small.mask.float().mean(), abs=0.02)


def test_margins_are_those_of_the_canvas(layers):
    front, back = layers.layers
    h, w = SIZE
    assert front.colour.shape == (3, h, w)
    assert back.colour.shape == (3, h + 2 * round(MARGINS[0] * h), w + 2 * round(MARGINS[1] * w))
    assert back.seen[0].max() == 0 and (front.seen == 1).all()


@pytest.mark.parametrize(
    ("inverse_depth", "sentence"),
    [(torch.ones(3, 4), "of the same size"), (torch.zeros(SIZE), "must be positive and finite everywhere")],
)
def test_depth_that_is_none_is_refused(inverse_depth, sentence):
    with pytest.raises(ValueError, match=sentence):
        lift(wall(), inverse_depth, INTRINSICS)
