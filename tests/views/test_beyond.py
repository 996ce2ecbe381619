"""What no frame of a film has seen is one frame continued, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rap.views import beyond

CAMERA = np.eye(4)
LENS = np.array([40.0, 40.0, 24.0, 16.0])
PICTURE = np.tile(np.linspace(60, 200, 48)[None, :, None], (32, 1, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def layers():
    return beyond.continued(PICTURE, torch.full((16, 24), 0.8), LENS / 2)


def test_the_frame_itself_is_seen_where_it_was(layers):
    frames = [np.zeros((32, 48, 3), np.uint8)]
    (shown,) = beyond.filled(frames, np.ones((1, 32, 48), np.float32), layers, (CAMERA[None], LENS[None]))
    assert np.abs(shown.astype(int) - PICTURE)[2:-2, 2:-2].max() <= 4
    assert layers.layers[0].inverse_depth.median() == pytest.approx(0.8, rel=0.02), "in the unit of the path"


def test_only_holes_are_filled_and_hardly_open_frames_cost_nothing(layers, monkeypatch):
    frames = [np.full((32, 48, 3), 9, np.uint8)] * 3
    holes = np.zeros((3, 16, 24), np.float32)
    holes[1, :, 12:] = 1
    holes[2, 0, 0] = 1
    back = CAMERA.copy()
    back[2, 3] = -0.6
    asked = []
    render = type(layers).render
    monkeypatch.setattr(type(layers), "render", lambda self, *given: asked.append(given) or render(self, *given))
    cameras = (np.stack([back] * 3), np.stack([LENS] * 3))
    untouched, half, hardly = beyond.filled(frames, holes, layers, cameras)
    assert untouched is frames[0] and hardly is frames[2] and len(asked) == 1
    assert (half[:, :20] == 9).all() and half[:, 26:].min() > 60, "beyond its edge the picture goes on"
