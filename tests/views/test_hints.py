"""The warp hint: what is packed, what the files agree on, and where the network may see it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rap.geometry import Trajectory, intrinsics_from_fov, preset, se3
from rap.model import LatentCodec, PatchAutoencoder
from rap.model.transformer import FLOW_CHANNELS, WARP_MAPS
from rap.reconstruction import optical_flow
from rap.views.hints import VideoHints, WarpMaps, cell_means, pack_warp, plane_hints
from rap.views.warp import Warp, warp

SIZE = (32, 64)


@pytest.fixture(scope="module")
def codec() -> LatentCodec:
    torch.manual_seed(0)
    vae = PatchAutoencoder(z_dim=12, refiner_width=8, refiner_blocks=1)
    vae.fit_bases(torch.rand(2, 3, 5, 32, 32) * 2 - 1)
    return LatentCodec(vae)


def rendered() -> Warp:
    """Two frames of noise on two planes, from five cameras: seen by both, by one and by none."""
    g = torch.Generator().manual_seed(0)
    sources = torch.rand(2, 3, *SIZE, generator=g)
    inverse_depth = torch.stack([torch.full(SIZE, 1.0), torch.full(SIZE, 0.8)])
    K = np.tile(intrinsics_from_fov(0.8, SIZE), (5, 1))
    Ts_source = se3.exp(np.array([[0, 0, 0, 0, 0, 0], [0.4, 0, 0, 0, 0.1, 0]]))
    Ts_target = se3.exp(np.linspace(0, 1, 5)[:, None] * [0.9, 0.1, 0, 0, 0.3, 0])
    return warp(sources, inverse_depth, Ts_source, K[:2], Ts_target, K, SIZE)


def test_flow_channels_are_those_of_the_features() -> None:
    assert FLOW_CHANNELS == optical_flow.FLOW_CHANNELS


def test_cell_means_equal_their_slow_twin() -> None:
    maps = torch.rand(2, 9, 16, 24, generator=torch.Generator().manual_seed(1))
    means = cell_means(maps)
    assert means.shape == (2, 1, 3, 2, 3)
    for k, frames in enumerate(([0], range(1, 5), range(5, 9))):
        for row in range(2):
            for column in range(3):
                cell = maps[:, list(frames), 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                torch.testing.assert_close(means[:, 0, k, row, column], cell.flatten(1).mean(1))


@pytest.mark.parametrize("kind", ["blend", "layers"])
def test_what_is_packed(codec: LatentCodec, kind: str) -> None:
    maps = WarpMaps.of_warp(rendered())
    packed = pack_warp(maps, codec, kind)
    pictures, singles = WARP_MAPS[kind]
    assert packed.shape == (1, 12 * pictures + singles, 2, 4, 8)
    torch.testing.assert_close(packed[:, :12], codec.encode_video(2 * maps.colour.transpose(1, 2) - 1))
    torch.testing.assert_close(packed[:, 12:13], cell_means(maps.mask))
    assert 0 < packed[:, 13].max() < 1.2  # the log weight has the scale of the rest
    torch.testing.assert_close(packed[:, 14:15], cell_means(maps.inverse_depth))
    if kind == "layers":
        torch.testing.assert_close(packed[:, 15:27], codec.encode_video(2 * maps.layers[:, :, 0].transpose(1, 2) - 1))
        torch.testing.assert_close(packed[:, -1:], cell_means(maps.layer_masks[:, :, 1]))


def test_holes_of_a_layer_show_the_blend() -> None:
    found = rendered()
    maps = WarpMaps.of_warp(found)
    holes = ~found.layer_masks[:, 1] & found.mask
    assert holes.any() and found.layer_masks.any()
    shown = maps.layers[0, :, 1].permute(0, 2, 3, 1)
    assert torch.equal(shown[holes], maps.colour[0].permute(0, 2, 3, 1)[holes])
    seen = found.layer_masks[:, 0]
    first = found.layer_colours[:, 0].permute(0, 2, 3, 1)
    assert torch.equal(maps.layers[0, :, 0].permute(0, 2, 3, 1)[seen], first[seen])


def test_several_clips_are_packed_as_each_alone(codec: LatentCodec) -> None:
    a, b = rendered(), rendered()
    b = replace(b, filled=b.filled.flip(0), mask=b.mask.flip(0))
    together = WarpMaps.of_warps([a, b])
    assert together is not None and WarpMaps.of_warps([]) is None
    packed = pack_warp(together, codec, "layers")
    for k, one in enumerate((a, b)):
        torch.testing.assert_close(packed[k], pack_warp(WarpMaps.of_warp(one), codec, "layers")[0])


def test_hints_without_layers_show_the_blend_alone(codec: LatentCodec) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)
    mask = np.random.default_rng(1).random((5, *SIZE))
    maps = WarpMaps.of_hints(VideoHints(frames, mask))
    assert torch.equal(maps.layers[:, :, 0], maps.colour) and maps.layer_masks[:, :, 1].max() == 0
    assert maps.weight.max() == 0 and maps.inverse_depth.max() == 0
    torch.testing.assert_close(maps.mask[0], torch.from_numpy(mask).float())
    assert pack_warp(maps, codec, "layers").shape[1] == 3 * 12 + 5


def test_a_model_without_warp_hint_takes_none(codec: LatentCodec) -> None:
    with pytest.raises(ValueError, match="must be 'blend' or 'layers'"):
        pack_warp(WarpMaps.of_warp(rendered()), codec, "none")


def test_a_plane_moves_as_a_homography() -> None:
    """A truck to the right by 0.1 shifts the plane at unit depth by 0.1 focal lengths; what comes in is a hole."""
    source = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    K = intrinsics_from_fov(0.8, SIZE)
    shift_px = 6
    Ts = np.tile(np.eye(4), (5, 1, 1))
    Ts[4, 0, 3] = shift_px / K[0]
    hints = plane_hints(source, (0,), Trajectory(Ts, np.tile(K, (5, 1)), SIZE))
    moved = hints.frames_u8[4, :, :-shift_px].astype(int) - source[0, :, shift_px:]
    assert np.abs(moved[:, 1:-1]).max() <= 2 and hints.mask[4, :, 1 : -shift_px - 1].min() == 1
    assert hints.mask[4, :, -shift_px + 1 :].max() == 0
    assert np.abs(hints.frames_u8[0].astype(int) - source[0]).max() <= 1
    np.testing.assert_allclose(hints.inverse_depth[0], 1, atol=1e-5)


def test_planes_of_two_sources_stand_before_their_own_cameras() -> None:
    sources = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    hints = plane_hints(sources, (2, 6), preset("arc-left", num_frames=9, image_size=SIZE))
    for k, frame in enumerate((2, 6)):
        assert np.abs(hints.layers_u8[frame, 0].astype(int) - sources[k])[1:-1, 1:-1].max() <= 2
