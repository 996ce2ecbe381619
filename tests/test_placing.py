"""A pipeline placed on a device in each way: the same video as one that lies there whole, within what is stated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from test_pipeline import arc, frames, tiny_pipeline

from rap import cli
from rap.cli import model, options
from rap.errors import InputError
from rap.pipeline import EstimateTask, GenerateTask, placing
from rap.pipeline.placing import EIGHT_BITS, Placement, placed
from ui.serve import startup

TOLERANCE = 0.05  # of colours in [0, 1], on the mean, by weights rounded to three bits of mantissa


def wan_codec(**config) -> AutoencoderKLWan:
    torch.manual_seed(1)
    sizes = dict(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True])
    return AutoencoderKLWan(**sizes, **config)


def video(pipe) -> np.ndarray:
    words = list(pipe.stream(GenerateTask(frames(1), arc(), steps=2, seed=3)))
    return words[-1].output.frames_u8


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return video(tiny_pipeline())


@pytest.mark.parametrize(
    "placement",
    [Placement(), Placement(offload=True), Placement(attention="_native_math"), Placement(attention="native")],
)
def test_what_only_moves_weights_changes_no_pixel(whole, placement):
    pipe = placed(tiny_pipeline(), "cpu", placement)
    difference = np.abs(video(pipe).astype(int) - whole)
    assert difference.max() <= 1, "a rounding apart at most"
    estimate = list(pipe.stream(EstimateTask(frames(), steps=1)))[-1].output.trajectory
    assert np.isfinite(estimate.Ts_world_camera).all()


def test_the_repeated_blocks_are_compiled_and_nothing_else(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **_: compiled.append(type(module).__name__))
    placed(tiny_pipeline(), "cpu", Placement(compile=True))
    assert compiled == ["RaPTransformerBlock"]


@pytest.mark.scale  # tracing takes four seconds
def test_compiled_blocks_give_the_same_video(whole):
    pipe = tiny_pipeline()
    pipe.transformer.compile_repeated_blocks(backend="eager")  # traced and run as it is: no compiler is needed
    assert np.abs(video(pipe).astype(int) - whole).max() <= 1


def test_eight_bits_hold_the_weights_and_change_little(whole):
    pipe = placed(tiny_pipeline(), "cpu", Placement(cast=True))
    kept = {name: value.dtype for name, value in pipe.transformer.named_parameters()}
    assert EIGHT_BITS in kept.values() and kept["blocks.0.cross_gate"] == torch.float32
    assert pipe.transformer.dtype == torch.float32, "what is computed with"
    change = np.abs(video(pipe).astype(float) - whole).mean() / 255
    assert 0 < change < TOLERANCE
    both = placed(tiny_pipeline(), "cpu", Placement(cast=True, offload=True))
    np.testing.assert_allclose(video(both).astype(int), video(pipe), atol=1)


def test_a_codec_in_tiles_is_the_same_where_one_tile_is_enough_and_near_it_elsewhere():
    codec = wan_codec()
    latents = torch.randn(1, 16, 2, 8, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        small = codec.decode(latents).sample
        assert placed(tiny_pipeline(codec), "cpu", Placement(tile_vae=True)).vae is codec and codec.use_tiling
        assert torch.equal(codec.decode(latents).sample, small)
        sizes = dict(tile_sample_min_height=48, tile_sample_min_width=48)
        codec.enable_tiling(**sizes, tile_sample_stride_height=32, tile_sample_stride_width=32)
        change = (codec.decode(latents).sample - small).abs().mean()
    assert 0 < change < 2 * TOLERANCE, "of values in [-1, 1]"


def test_what_a_pipeline_does_not_have_is_refused():
    with pytest.raises(InputError, match="--tile-vae: PatchAutoencoder has no tiles; leave it out"):
        placed(tiny_pipeline(), "cpu", Placement(tile_vae=True))
    with pytest.raises(InputError, match="--attention nonsense: cannot be had here"):
        placed(tiny_pipeline(), "cpu", Placement(attention="nonsense"))


def test_the_options_of_commands_and_app_are_the_placement(monkeypatch):
    given = ["--offload", "--cast", "--attention", "native", "--compile", "--tile-vae"]
    everything = Placement(True, True, "native", True, True)
    for chosen in (cli.parser().parse_args(["imagine", "room.png", *given]), startup.parser("").parse_args(given)):
        assert Placement(**options.placement(chosen)) == everything
    asked = []
    monkeypatch.setattr(placing, "placed", lambda pipeline, device, placement: asked.append((device, placement)))
    model.load_pipeline(None, "cpu", **options.placement(chosen))
    assert asked == [("cpu", everything)]
    assert Placement(**options.placement(startup.parser("").parse_args([]))) == Placement()
