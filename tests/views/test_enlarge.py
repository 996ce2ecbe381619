"""Layers at a picture's own size: its own pixels, its own rims, in the same places."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from rap.data import Clip
from rap.geometry import preset
from rap.views import scene as scenes
from rap.views.beyond import Moment
from rap.views.enlarge import enlarged
from rap.views.layers import Layers, lift

SMALL, LARGE = (96, 128), (240, 320)
NEAR, FAR = 2.0, 0.9
INTRINSICS = np.array([110.0, 110.0, 64.0, 48.0])


def picture(size: tuple[int, int]) -> np.ndarray:
    """A red disc before a wall with a pattern that only the large picture shows."""
    h, w = size
    y, x = np.mgrid[:h, :w].astype(np.float32)
    wall = 0.45 + 0.1 * np.sin(x * 2.2) * (size == LARGE)
    disc = np.hypot((x + 0.5) / w - 0.5, ((y + 0.5) / h - 0.5) * h / w) < 0.15
    return np.where(disc[..., None], np.array([0.8, 0.1, 0.1]), wall[..., None]).astype(np.float32)


@pytest.fixture(scope="module")
def layers() -> Layers:
    small = picture(SMALL)
    depth = np.where(small[..., 0] > 0.7, NEAR, FAR).astype(np.float32)
    return lift(torch.from_numpy(small).permute(2, 0, 1), torch.from_numpy(depth), INTRINSICS)


def seen(layers: Layers, x: float) -> np.ndarray:
    T = np.eye(4)
    T[0, 3] = x
    lens = INTRINSICS * LARGE[1] / SMALL[1]
    return layers.render(T[None], lens[None], LARGE).filled[0].permute(1, 2, 0).numpy()


def test_from_its_own_camera_it_is_the_picture_itself(layers: Layers) -> None:
    large = picture(LARGE)
    before, after = (np.abs(seen(each, 0.0) - large) for each in (layers, enlarged(layers, large)))
    assert after.mean() < 0.005 < 0.03 < before.mean()
    assert np.percentile(after, 99) < 0.05, "rims, too"


def test_what_moves_is_where_it_was_and_finer(layers: Layers) -> None:
    soft, sharp = seen(layers, 0.06), seen(enlarged(layers, picture(LARGE)), 0.06)
    at_large = [cv2.resize(one, SMALL[::-1], interpolation=cv2.INTER_AREA) for one in (soft, sharp)]
    assert np.abs(at_large[0] - at_large[1]).mean() < 0.02
    wall = np.s_[10:40, 40:280, 1]
    assert np.abs(np.diff(sharp[wall], axis=1)).mean() > 3 * np.abs(np.diff(soft[wall], axis=1)).mean()
    redness = sharp[..., 0] - sharp[..., 1]
    assert ((redness > 0.15) & (redness < 0.5)).mean() < 0.01, "no ghost of the disc beside it"


def test_the_canvas_goes_as_far_as_before(layers: Layers) -> None:
    large = enlarged(layers, picture(LARGE))
    for small, big in zip(layers.layers, large.layers, strict=True):
        scale = LARGE[1] / SMALL[1]
        assert np.allclose(np.array(big.inverse_depth.shape) / scale, small.inverse_depth.shape, atol=1)
        assert np.allclose(big.intrinsics / scale, small.intrinsics, atol=1)
        assert float(big.seen.mean()) == pytest.approx(float(small.seen.mean()), abs=0.02)


def test_a_smaller_picture_and_one_layer_are_refused(layers: Layers) -> None:
    with pytest.raises(ValueError, match=r"at least as large as its layers \(96, 128\), got \(48, 64\)"):
        enlarged(layers, np.zeros((48, 64, 3), np.float32))
    with pytest.raises(ValueError, match="must be two"):
        enlarged(Layers(layers.layers[:1]), picture(LARGE))


def test_frames_no_larger_than_the_layers_show_these(layers: Layers) -> None:
    moment = Moment(layers, np.eye(4))
    large_u8 = (picture(LARGE) * 255).astype(np.uint8)
    assert moment.enlarged(large_u8, 128) is moment and moment.enlarged(large_u8[::4, ::4], 320) is moment
    assert moment.enlarged(large_u8, 1000).side == 320


def test_a_picture_is_walked_at_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "LAYERS_SIDE", 128)
    large_u8 = (picture(LARGE) * 255).round().astype(np.uint8)
    small_u8 = cv2.resize(large_u8, (128, 96), interpolation=cv2.INTER_AREA)
    clip = Clip(small_u8[None], 8.0, name="a disc", footage_u8=large_u8[None])
    path = preset("arc-left", num_frames=3, image_size=(96, 128))
    frames = list(scenes.picture_scene(clip, path).walk(path, 640))
    assert [frame.shape for frame in frames] == [(240, 320, 3)] * 3
    assert np.abs(frames[0].astype(float) - large_u8).mean() < 2, "its own pixels"
