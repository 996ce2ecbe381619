"""Depth and lens of one picture: padding and names of the encoder, conventions, files, edges."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from rap.config import MONOCULAR_NETWORK
from rap.errors import InputError
from rap.views.efficientnet import LITE0, NORM_EPS, Encoder, FrozenNorm, SameConv2d, Stage, same_padding
from rap.views.guided import guided_upsample
from rap.views.monocular import (
    MonocularConfig,
    MonocularDepth,
    MonocularNetwork,
    fov_y_of,
    load_network,
    save_network,
    working_size,
)

TINY = MonocularConfig(
    stages=(
        Stage(1, 3, 1, 1, 4),
        Stage(2, 3, 2, 2, 6),
        Stage(1, 5, 2, 2, 6),
        Stage(1, 5, 2, 2, 8),
        Stage(1, 3, 2, 2, 8),
    ),
    stem_width=4,
    widths=(4, 4, 6, 6, 8),
)


def tiny_network(seed: int = 0) -> MonocularNetwork:
    """Random weights under which neither depth nor lens is constant."""
    torch.manual_seed(seed)
    network = MonocularNetwork(TINY)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


@pytest.fixture(scope="module")
def tiny() -> MonocularDepth:
    return MonocularDepth(tiny_network())


def test_silent_features_can_still_be_pushed_farther():
    """Skies: where every feature is negative, the head still learns, and what it says is not its offset alone."""
    network = tiny_network()
    with torch.no_grad():
        for lateral in network.laterals:
            assert lateral.bias is not None
            lateral.bias.fill_(-50.0)
    inverse_depth, _ = network(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    inverse_depth.sum().backward()
    assert network.head.weight.grad is not None and network.head.weight.grad.abs().sum() > 0


# --- encoder ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 64), st.sampled_from([1, 3, 5]), st.integers(1, 2))
def test_same_padding_gives_every_stride_its_pixel(size: int, kernel: int, stride: int):
    before, after = same_padding(size, kernel, stride)
    assert 0 <= after - before <= 1
    padded = size + before + after
    assert padded < kernel or (padded - kernel) // stride + 1 == -(-size // stride)


@pytest.mark.parametrize(("size", "kernel", "first"), [(8, 3, 0), (9, 3, -1), (8, 5, -1), (7, 5, -2)])
def test_a_stride_begins_where_tensorflow_begins(size: int, kernel: int, first: int):
    """By definition: the first window begins at -(total // 2), total = (ceil(n / s) - 1) s + k - n."""
    conv = SameConv2d(1, 1, kernel, stride=2)
    picture = torch.arange(1.0, size + 1)[None, None, None].expand(1, 1, size, size).contiguous()
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, kernel // 2, 0] = 1  # the window's first column
        norm = FrozenNorm(1)
        norm.running_var.fill_(1 - NORM_EPS)
        seen = conv(picture, norm)[0, 0, 1]
    columns = [first + 2 * k for k in range(-(-size // 2))]
    assert seen.tolist() == [c + 1 if 0 <= c < size else 0 for c in columns]


def imagenet_like(encoder: Encoder) -> dict[str, torch.Tensor]:
    """Weights under the published names, listed by the definition of the network and not by this module's names."""
    layers, number = [("_conv_stem", False), ("_bn0", True)], 0
    for stage in LITE0:
        for _ in range(stage.repeats):
            parts = [("_expand_conv", False), ("_bn0", True)] if stage.expand > 1 else []
            parts += [("_depthwise_conv", False), ("_bn1", True), ("_project_conv", False), ("_bn2", True)]
            layers += [(f"_blocks.{number}.{part}", is_norm) for part, is_norm in parts]
            number += 1
    found, own = {}, iter(encoder.state_dict().values())
    for layer, is_norm in layers:
        for part in ("weight", "bias", "running_mean", "running_var") if is_norm else ("weight",):
            found[f"{layer}.{part}"] = torch.rand(next(own).shape)
        if is_norm:
            found[f"{layer}.num_batches_tracked"] = torch.tensor(1)
    return {**found, "_conv_head.weight": torch.rand(1280, 320, 1, 1), "_fc.weight": torch.rand(1000, 1280)}


def test_imagenet_weights_find_their_places():
    encoder = Encoder()
    weights = imagenet_like(encoder)
    encoder.load_imagenet(weights)
    assert torch.equal(encoder.stem.weight, weights["_conv_stem.weight"])
    last = encoder.blocks[15]
    assert torch.equal(last.project_norm.running_var, weights["_blocks.15._bn2.running_var"])
    assert torch.equal(last.expand_norm.bias, weights["_blocks.15._bn0.bias"])
    assert encoder.widths == (16, 24, 40, 112, 320)
    assert sum(p.numel() for p in encoder.parameters()) == 2_958_848


def test_imagenet_weights_of_another_network_are_refused():
    encoder = Encoder()
    weights = imagenet_like(encoder)
    with pytest.raises(ValueError, match="another network, 1 do not fit .*stem.weight"):
        encoder.load_imagenet({**weights, "_conv_stem.weight": torch.zeros(16, 3, 3, 3)})
    with pytest.raises(ValueError, match="another network"):
        encoder.load_imagenet({})


def test_features_halve_and_norms_keep_their_statistics_in_training():
    encoder = MonocularNetwork(TINY).train().encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    sizes = [tuple(f.shape[-2:]) for f in encoder(torch.rand(2, 3, 64, 96))]
    assert sizes == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 4), (5, 4)])
def test_a_norm_in_the_weights_is_batch_norm(kernel: int, groups: int):
    torch.manual_seed(0)
    conv, norm, x = SameConv2d(4, 4, kernel, groups=groups), FrozenNorm(4), torch.rand(2, 4, 6, 7)
    for tensor in (*norm.parameters(), *norm.buffers()):
        tensor.data.uniform_(0.5, 2)
    plain = F.conv2d(x, conv.weight, padding=kernel // 2, groups=groups)
    expected = F.batch_norm(plain, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=NORM_EPS)
    torch.testing.assert_close(conv(x, norm), expected)


# --- prediction -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8), (37, 53, 3), (61, 40, 1), (90, 120, 4), (9, 400, 3), (700, 1500, 3)])
def test_every_picture_gets_depth_with_median_1_at_its_own_size(tiny: MonocularDepth, shape: tuple[int, ...]):
    frame_u8 = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = tiny.predict(frame_u8)
    assert found.depth.shape == shape[:2] and found.depth.dtype == np.float32
    assert np.isfinite(found.depth).all() and (found.depth > 0).all()
    assert float(np.median(found.depth)) == pytest.approx(1, abs=1e-5)
    assert 0 < found.fov_y_rad < math.pi


class Seen(torch.nn.Module):
    """Says the same depth of every picture."""

    def __init__(self, inverse_depth: torch.Tensor) -> None:
        super().__init__()
        self.inverse_depth = torch.nn.Parameter(inverse_depth)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inverse_depth.expand(len(picture), -1, -1), torch.zeros(len(picture))


@pytest.mark.parametrize("sky_rows", [0, 30, 90])
def test_a_sky_is_no_unit(sky_rows: int):
    """Ground from 0.5 to 2; of a picture that is mostly sky the ground's median is 1, and the sky stays far."""
    rows = torch.cat([torch.full((sky_rows,), 0.004), torch.linspace(0.5, 2, 120 - sky_rows)])
    network = Seen(rows[:, None].expand(120, 160).contiguous())
    depth = MonocularDepth(network).predict(np.zeros((240, 320, 3), np.uint8)).depth  # type: ignore[arg-type]
    ground = depth[2 * sky_rows + 10 :]
    if sky_rows != 30:
        assert np.median(ground) == pytest.approx(1, rel=0.2)
    else:
        assert np.median(depth) == pytest.approx(1, rel=0.02)
    middle = depth[sky_rows + 120]  # half way down the ground
    assert middle[0] / depth[-1, 0] == pytest.approx(2 / 1.25, rel=0.1)
    assert sky_rows == 0 or depth[0].min() > 50


def test_flat_pictures_have_depth_too(tiny: MonocularDepth):
    for value in (0, 255):
        assert np.isfinite(tiny.predict(np.full((40, 60, 3), value, np.uint8)).depth).all()


def test_grey_and_alpha_are_seen_as_rgb(tiny: MonocularDepth):
    grey = np.random.default_rng(1).integers(0, 256, (40, 56), dtype=np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    alpha = np.concatenate([rgb, np.zeros_like(rgb[..., :1])], axis=2)
    expected = tiny.predict(rgb)
    for same in (grey, grey[..., None], alpha):
        np.testing.assert_array_equal(tiny.predict(same).depth, expected.depth)


def test_a_mirrored_picture_has_mirrored_depth_and_the_same_lens(tiny: MonocularDepth):
    frame_u8 = np.random.default_rng(2).integers(0, 256, (192, 256, 3), dtype=np.uint8)  # as large as the network sees
    one, other = tiny.coarse(frame_u8), tiny.coarse(np.ascontiguousarray(frame_u8[:, ::-1]))
    np.testing.assert_allclose(one[0], other[0][:, ::-1], rtol=1e-4)
    assert one[1] == pytest.approx(other[1], rel=1e-5)


def test_what_is_large_is_the_mean_of_two_looks_and_edges_are_those_of_the_larger(monkeypatch: pytest.MonkeyPatch):
    step = np.ones((96, 128), np.float32)
    step[:, 64:] = 2
    looks = iter([(step, 1.0), (np.full((64, 96), 1.6, np.float32), 4.0)])
    eye = MonocularDepth(tiny_network())
    monkeypatch.setattr(eye, "_seen_at", lambda frame_u8, size, mirrored: next(looks))
    found, focal = eye.coarse(np.zeros((192, 256, 3), np.uint8))
    assert focal == pytest.approx(2)
    expected = np.array([1.3, 1.8])  # the median lies between them, on either side
    np.testing.assert_allclose(found[:, [10, 118]] / found[:, [10]] * 1.3, expected[None].repeat(96, axis=0), rtol=1e-3)
    jump = (found[:, 64] - found[:, 63]) / found[:, 10] * 1.3
    assert jump.min() > 0.9, "of 1: as sharp as it was, not halved"


def test_outlines_are_those_of_a_look_from_close_by_and_depth_that_of_the_others(monkeypatch: pytest.MonkeyPatch):
    """Where the picture has more to show than was seen before."""
    soft = cv2.GaussianBlur(np.repeat([[1.0] * 60 + [2.0] * 68], 96, axis=0).astype(np.float32), (0, 0), 4.0)
    sharp = np.repeat([[3.0] * 80 + [5.0] * 96], 128, axis=0).astype(np.float32)  # elsewhere, and of another scale
    asked = []

    def look(frame_u8: np.ndarray, size: tuple[int, int], mirrored: bool) -> tuple[np.ndarray, float]:
        asked.append((size, mirrored))
        return (sharp if size == (256, 352) else soft), 1.0

    eye = MonocularDepth(tiny_network())
    monkeypatch.setattr(eye, "_seen_at", look)
    found, focal = eye.coarse(np.zeros((480, 640, 3), np.uint8))
    assert found.shape == sharp.shape and focal == 1.0 and [size for size, _ in asked][2:] == [(256, 352)]
    row = found[100] / found[100, 10]
    assert row[83] - row[77] > 0.5 and abs(row[79] - row[69]) < 0.25, "one step, where it is seen from close by"
    assert row[168] == pytest.approx(2, rel=0.1), "not 5 / 3"
    asked.clear()
    assert eye.coarse(np.zeros((480, 640, 3), np.uint8), careful=False)[0].shape == soft.shape
    assert eye.coarse(np.zeros((192, 256, 3), np.uint8))[0].shape == soft.shape
    assert [mirrored for _, mirrored in asked] == [False, False, True, True]


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (np.zeros((20, 20, 3), np.float32), "picture: must hold 8-bit colours (uint8), got float32; convert it first"),
        (np.zeros((2, 20, 20, 3), np.uint8), "picture: must be (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), got (2, 20"),
        (np.zeros((20, 20, 2), np.uint8), "got (20, 20, 2)"),
        (np.zeros((7, 20, 3), np.uint8), "picture: must be 8 pixels or more each way, got 7 x 20"),
        (np.zeros((0, 20, 3), np.uint8), "got 0 x 20"),
        (np.broadcast_to(np.uint8(0), (9000, 9000, 3)), "picture: must have 64000000 pixels or fewer, got 9000 x 9000"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(tiny: MonocularDepth, picture: np.ndarray, sentence: str):
    with pytest.raises(InputError) as error:
        tiny.predict(picture)
    assert sentence in str(error.value)


@given(st.integers(8, 5000), st.integers(8, 5000))
def test_the_network_sees_a_bounded_picture_of_the_same_shape(h: int, w: int):
    rows, columns = working_size((h, w))
    assert rows % 32 == columns % 32 == 0
    assert min(rows, columns) >= 64 and max(rows, columns) <= 512
    if max(h, w) < 2 * min(h, w):
        assert rows / columns == pytest.approx(h / w, rel=0.2)


def test_one_focal_length_is_a_wider_view_along_the_longer_side():
    assert fov_y_of(0.5, (100, 100)) == pytest.approx(math.pi / 2)
    assert fov_y_of(0.5, (200, 100)) == pytest.approx(math.pi / 2), "upright"
    assert fov_y_of(0.5, (100, 200)) == pytest.approx(2 * math.atan(0.5)), "across"
    assert 0 < fov_y_of(1e-9, (100, 100)) < math.pi


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_saved_network_is_the_same_to_half_precision(tmp_path: Path):
    network = tiny_network(3)
    save_network(network, tmp_path)
    again = load_network(tmp_path)
    assert again.config == network.config
    picture = torch.rand(1, 3, 64, 64)
    for one, other in zip(network(picture), again(picture), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)
    assert not list(tmp_path.glob("*.part"))


def test_bad_files_are_refused_by_name(tmp_path: Path):
    with pytest.raises(InputError, match="config.json is missing"):
        load_network(tmp_path)
    save_network(tiny_network(), tmp_path)
    config, weights = tmp_path / "config.json", tmp_path / "network.safetensors"
    good = config.read_text()
    for bad in ("no json", "[]", json.dumps({"stages": 3}), json.dumps({**json.loads(good), "colour": 1})):
        config.write_text(bad)
        with pytest.raises(InputError, match="config.json: is no configuration"):
            load_network(tmp_path)
    config.write_text(json.dumps({**json.loads(good), "stem_width": 8}))
    with pytest.raises(InputError, match="network.safetensors: holds no weights of this network"):
        load_network(tmp_path)
    config.write_text(good)
    weights.write_bytes(b"\x80\x04not a tensor")
    with pytest.raises(InputError, match="network.safetensors: holds no weights"):
        load_network(tmp_path)
    weights.unlink()
    with pytest.raises(InputError, match="network.safetensors is missing"):
        load_network(tmp_path)


def test_widths_must_be_one_a_resolution():
    with pytest.raises(ValueError, match="widths must be 5, one a resolution, got 2"):
        MonocularNetwork(MonocularConfig(stages=TINY.stages, stem_width=4, widths=(4, 4)))


# --- edges ------------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.floats(0.01, 10), st.integers(4, 40), st.integers(4, 40), st.integers(3, 90), st.integers(3, 90))
def test_a_constant_map_stays_constant(value: float, a: int, b: int, h: int, w: int):
    guide = np.random.default_rng(a * b).random((h, w, 3), dtype=np.float32)
    fine = guided_upsample(np.full((a, b), value, np.float32), guide)
    assert fine.shape == (h, w)
    np.testing.assert_allclose(fine, value, rtol=1e-4)


def test_an_edge_lands_where_the_picture_has_it():
    """A step at column 83 of 160, known at an eighth of that and blurred: enlarged smoothly it is 8 pixels wide."""
    guide = np.full((120, 160, 3), 0.2, np.float32)
    guide[:, 83:] = (0.7, 0.6, 0.5)
    truth = np.where(np.arange(160) < 83, 1.0, 3.0).astype(np.float32)[None].repeat(120, axis=0)
    coarse = truth.reshape(15, 8, 20, 8).mean(axis=(1, 3))
    fine = guided_upsample(coarse, guide)
    error = np.abs(fine - truth)[30:90]
    assert error[:, 80:83].max() < 0.25 and error[:, 83:86].max() < 0.25
    assert error.mean() < 0.02


def test_texture_is_not_taken_for_depth():
    rng = np.random.default_rng(5)
    guide = rng.random((120, 160, 3), dtype=np.float32)
    slope = np.linspace(1, 2, 40, dtype=np.float32)[None].repeat(30, axis=0)
    fine = guided_upsample(slope, guide)
    assert np.abs(fine - np.linspace(1, 2, 160)).max() < 0.08
    assert fine.min() >= slope.min() - 1e-5 and fine.max() <= slope.max() + 1e-5


# --- the network of the checkout --------------------------------------------------------------------------------------


@pytest.mark.skipif(not MONOCULAR_NETWORK.is_dir(), reason="no weights yet")
def test_the_network_of_the_checkout_may_be_published_and_is_small():
    depth = MonocularDepth.from_pretrained()
    files = {path.name: path.stat().st_size for path in MONOCULAR_NETWORK.iterdir()}
    assert sum(files.values()) < 12e6 and {"README.md", "config.json", "network.safetensors"} <= set(files)
    assert not load_network(MONOCULAR_NETWORK).config.research_only
    started = time.process_time()
    depth.predict(np.zeros((480, 640, 3), np.uint8))
    assert time.process_time() - started < 3, "CPU seconds, on a busy machine"
