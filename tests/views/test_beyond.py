"""What no frame of a film has seen is one frame continued, and nothing else is touched."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rap.views import beyond
from rap.views.depth import DepthMaps

CAMERA = np.eye(4)
LENS = np.array([40.0, 40.0, 24.0, 16.0])
PICTURE = np.tile(np.linspace(60, 200, 48)[None, :, None], (32, 1, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def moment():
    depth = DepthMaps(torch.full((1, 16, 24), 0.8), torch.ones(1, 16, 24))
    return beyond.Moment(beyond.continued(PICTURE, depth, LENS / 2), CAMERA)


def test_the_frame_itself_is_seen_where_it_was(moment):
    frames = [np.zeros((32, 48, 3), np.uint8)]
    (shown,) = beyond.filled(frames, np.ones((1, 32, 48), np.float32), moment, (CAMERA[None], LENS[None]))
    assert np.abs(shown.astype(int) - PICTURE)[2:-2, 2:-2].max() <= 4
    assert moment.layers.layers[0].inverse_depth.median() == pytest.approx(0.8, rel=0.02), "in the unit of the path"


def test_only_holes_are_filled_and_hardly_open_frames_cost_nothing(moment, monkeypatch):
    frames = [np.full((32, 48, 3), 9, np.uint8)] * 3
    holes = np.zeros((3, 16, 24), np.float32)
    holes[1, :, 12:] = 1
    holes[2, 0, 0] = 1
    back = CAMERA.copy()
    back[2, 3] = -0.6
    asked = []
    render = beyond.Moment.render
    monkeypatch.setattr(beyond.Moment, "render", lambda self, *given: asked.append(given) or render(self, *given))
    cameras = (np.stack([back] * 3), np.stack([LENS] * 3))
    untouched, half, hardly = beyond.filled(frames, holes, moment, cameras)
    assert untouched is frames[0] and hardly is frames[2] and len(asked) == 1
    assert (half[:, :20] == 9).all() and half[:, 26:].min() > 60, "beyond its edge the picture goes on"


def test_a_frame_is_seen_from_where_it_stands_in_the_world(moment):
    there = np.eye(4)
    there[:3, 3] = 3, 1, -2
    moved = beyond.Moment(moment.layers, there)
    shown = next(moved.one_by_one(there[None], LENS[None], (32, 48)))
    assert torch.equal(shown.filled, moment.render(CAMERA[None], LENS[None], (32, 48)).filled)
    assert moved.side == 48 and moved.glimpse(there, LENS, (32, 48)).shape == (3, 32, 48)


def test_a_frame_has_the_shape_that_it_has_alone_and_the_size_that_the_film_says():
    picture = np.random.default_rng(0).integers(0, 255, (80, 96, 3)).astype(np.uint8)
    slope = np.linspace(1, 2, 96)[None].repeat(80, 0)
    depth = DepthMaps(torch.full((1, 40, 48), 0.8), torch.full((1, 40, 48), 0.0))
    layers = beyond.continued(picture, depth, LENS, shape_of=lambda u8: slope)
    near = layers.layers[0].inverse_depth
    assert near.median() == pytest.approx(0.8, rel=0.05) and near[:, -8:].mean() > 1.5 * near[:, :8].mean()


def test_what_is_torn_is_told_from_what_is_whole():
    depth = torch.full((1, 40, 60), 0.5)
    depth[:, :, 30:] = 1.5  # an edge is none
    whole = SimpleNamespace(inverse_depth=depth, mask=torch.ones(1, 40, 60, dtype=torch.bool))
    assert beyond.rubble_share(whole) < 0.01 and beyond.open_share(whole) == 0
    grains = torch.rand(1, 40, 60, generator=torch.Generator().manual_seed(0)) < 0.2
    torn = SimpleNamespace(inverse_depth=torch.where(grains, 1.0, depth), mask=whole.mask)
    assert beyond.rubble_share(torn) == pytest.approx(0.2, abs=0.05)
    open_too = SimpleNamespace(inverse_depth=depth, mask=~grains)
    assert beyond.open_share(open_too) == pytest.approx(0.2, abs=0.03) and beyond.rubble_share(open_too) < 0.02
