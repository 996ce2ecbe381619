"""More latent channels without training: what was there stays, what is new is detail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from rap import metrics, train
from rap.config import MOTION_LIMITS
from rap.errors import InputError
from rap.geometry import preset
from rap.model import LatentCodec, PatchAutoencoder, RaPTransformer3DModel
from rap.pipeline import RaPPipeline
from rap.synthetic import SyntheticConfig, build_shards
from rap.train.widen import widened, widened_codec, widened_transformer
from rap.views.hints import plane_hints

SIZE = (64, 64)
NARROW, WIDE = 12, 20


def videos(seed: int = 0) -> torch.Tensor:
    """Moving pictures in [-1, 1] with some detail."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(4, 3, 5, 16, 16, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (9, *SIZE), mode="trilinear", align_corners=True)
    return (0.5 * smooth).clamp(-1, 1)


@pytest.fixture(scope="module")
def narrow() -> RaPPipeline:
    torch.manual_seed(0)
    vae = PatchAutoencoder(z_dim=NARROW, refiner_width=8, refiner_blocks=1)
    vae.fit_bases(videos())
    transformer = RaPTransformer3DModel(
        **dict(num_attention_heads=2, attention_head_dim=12, in_channels=NARROW, out_channels=NARROW, text_dim=None),
        **dict(freq_dim=32, ffn_dim=48, num_layers=2, cross_gate_init=1.0, video_prediction="sample"),
        **dict(ray_prediction="sample", video_baseline="warp", flow_hint=True, warp_hint="layers"),
    )
    for embedding in (transformer.flow_hint_embedding, transformer.warp_hint_embedding):
        torch.nn.init.normal_(embedding.weight, std=0.1)
    schedulers = (FlowMatchEulerDiscreteScheduler(shift=1.0) for _ in range(2))
    pipe = RaPPipeline(transformer.eval(), vae.eval(), *schedulers, default_steps=2, default_hint_level=1.0)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def test_old_channels_stay_and_new_ones_sharpen(narrow: RaPPipeline) -> None:
    before, video = narrow.vae, videos(1)
    after = widened_codec(before, videos(), WIDE)
    a, b = before.encode(video).latent_dist.mode(), after.encode(video).latent_dist.mode()
    torch.testing.assert_close(b[:, :NARROW], a, atol=1e-5, rtol=0)
    for basis in (after.image_basis, after.video_basis):
        torch.testing.assert_close(basis @ basis.T, torch.eye(WIDE), atol=1e-4, rtol=0)
    errors = [(c.decode(z, refine=False).sample - video).square().mean() for c, z in ((before, a), (after, b))]
    assert errors[1] < 0.9 * errors[0]
    codec = LatentCodec(after)
    assert 0.2 < codec.encode_video(video)[:, NARROW:].std() < 5


@torch.no_grad()
def test_a_wide_network_says_of_the_old_channels_what_it_said(narrow: RaPPipeline) -> None:
    before = narrow.transformer
    after = widened_transformer(before, WIDE).eval()
    g = torch.Generator().manual_seed(2)
    x = torch.randn(2, WIDE, 3, 8, 8, generator=g)
    rays = torch.randn(2, WIDE, 9, 4, 4, generator=g)
    maps = torch.randn(2, 3 * WIDE + 5, 3, 8, 8, generator=g)
    old_maps = torch.cat([*(m[:, :NARROW] for m in maps[:, : 3 * WIDE].split(WIDE, 1)), maps[:, 3 * WIDE :]], 1)
    times = torch.tensor([[500.0, 0, 900]] * 2), torch.zeros(2, 9)
    wide = after(x, rays, *times, warp_hint=maps, return_dict=False)
    old = before(x[:, :NARROW], rays[:, :NARROW], *times, warp_hint=old_maps, return_dict=False)
    for new, expected in zip(wide, old, strict=True):
        torch.testing.assert_close(new[:, :NARROW], expected, atol=1e-5, rtol=1e-4)
        assert new[:, NARROW:].abs().max() == 0


def test_a_wide_pipeline_keeps_the_detail_that_the_sources_show(narrow: RaPPipeline) -> None:
    """A network without an opinion returns the warp: sharper by what the new channels hold."""
    torch.nn.init.zeros_(narrow.transformer.proj_out.weight)
    torch.nn.init.zeros_(narrow.transformer.proj_out.bias)
    wide = widened(narrow, videos(), WIDE)
    wide.set_progress_bar_config(disable=True)
    source = ((videos(1)[0, :, 0].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)[None]
    path = preset("arc-left", num_frames=9, image_size=SIZE, amplitude=0.3)
    hints = plane_hints(source, (0,), path)
    score = [
        metrics.psnr(p.generate_video(source, path, hints=hints).frames_u8[1:], hints.frames_u8[1:])
        for p in (narrow, wide)
    ]
    assert score[1] > score[0] + 0.5
    assert wide.config.default_hint_level == 1.0 and wide.config.default_steps == 2
    assert np.isfinite(wide.estimate_trajectory(np.repeat(source, 9, 0)).raxels).all()


def test_the_command_writes_a_pipeline_that_loads(narrow: RaPPipeline, tmp_path: Path, capsys) -> None:
    narrow.save_pretrained(tmp_path / "narrow")
    list(build_shards(tmp_path / "data", 4, 1, SyntheticConfig(size=SIZE, num_frames=9, texture_size=16)))
    arguments = ["widen", "--checkpoint", tmp_path / "narrow", "--data", tmp_path / "data", "--fit-clips", 4]
    (tmp_path / "narrow" / MOTION_LIMITS).write_text("{}")
    assert train.main([*map(str, arguments), "--channels", str(WIDE), "--out", str(tmp_path / "wide")]) == 0
    assert (tmp_path / "wide" / MOTION_LIMITS).read_text() == "{}", "the network is the same"
    loaded = RaPPipeline.from_pretrained(tmp_path / "wide")
    assert loaded.vae.config.z_dim == loaded.transformer.config.in_channels == WIDE
    assert "narrow" not in (tmp_path / "wide" / "vae" / "config.json").read_text()
    with pytest.raises(InputError, match=r"--channels must lie in 13 .. 192, more than the codec has, got 8"):
        train.main([*map(str, arguments), "--channels", "8", "--out", str(tmp_path / "other")])
    with pytest.raises(InputError, match="--checkpoint is missing: the folder of the pipeline"):
        train.main(["widen", "--data", "x", "--out", "y"])
