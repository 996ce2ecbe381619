"""Arithmetic of parameters, FLOP and memory against the network itself, on no device."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from training_runs import batch_maker

from rap import cli, train
from rap.train.budget import Budgeting, Load, clip_flop, memory_bytes, parameter_count, print_budget, step_flop
from rap.train.configs import CONFIGS
from rap.train.model import batch_losses, part_bytes
from rap.train.start import build_transformer
from rap.train.throughput import count_flop

OVERRIDES = [
    {},
    {"ray_attention": "separate", "text_width": 8, "ffn_width": 40},
    {"camera": "pluecker"},
    {"attention": "joint", "flow_hint": True, "warp_hint": "layers"},
]


def on_no_device(settings: train.ModelTraining, channels: int = 16):
    with torch.device("meta"):
        return build_transformer(settings, channels)


@pytest.mark.parametrize("overrides", OVERRIDES)
def test_parameters_are_those_of_the_network(overrides) -> None:
    network = on_no_device(train.ModelTraining(width=24, heads=2, layers=3, **overrides))
    assert parameter_count(network.config) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("name", "billions"), [("wan-1.3b", 2.26), ("wan-14b", 20.1)])
def test_wan_and_its_ray_branch_have_the_papers_size(name: str, billions: float) -> None:
    """The paper: 14 billion of Wan and 6 of rays. And a forward's FLOP, counted on no device, of two of the blocks."""
    settings = train.ModelTraining(**CONFIGS[name])
    network = on_no_device(settings)
    total = sum(p.numel() for p in network.parameters())
    assert parameter_count(network.config) == total == pytest.approx(billions * 1e9, rel=0.005)
    network = on_no_device(replace(settings, layers=2))
    load = Load.of_clip(network.config, (480, 832), 81, text=512)
    text = torch.empty(1, 512, 4096, device="meta")
    assert (load.video_tokens, load.ray_tokens) == (22 * 30 * 52, 21 * 15 * 26)
    with torch.no_grad():
        counted = count_flop(lambda: network(*latents(load), encoder_hidden_states=text))
    assert clip_flop(network.config, load).forward == pytest.approx(counted, rel=0.001)


def latents(load: Load) -> tuple[torch.Tensor, ...]:
    (h, w), frames, maps = load.grid, load.frames, load.ray_frames
    shapes = ((1, 16, frames, h, w), (1, 16, maps, h // 2, w // 2), (1, frames), (1, maps))
    return tuple(torch.empty(shape, device="meta") for shape in shapes)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("overrides", OVERRIDES)
def test_flop_of_a_step_are_those_of_its_forward_and_backward(overrides, checkpointing, depth_shards, codec):
    maker = batch_maker(depth_shards, codec, **{k: v for k, v in overrides.items() if "text" not in k})
    network = build_transformer(replace(maker.settings, width=48, heads=2, layers=2), 16)
    if checkpointing:
        network.enable_gradient_checkpointing()
    batch = maker.draw()

    def step() -> None:
        video, rays = batch_losses(network, batch, batch.clean, maker.settings)
        (video + rays).backward()

    assert step_flop(network.config, batch, checkpointing) == pytest.approx(count_flop(step), rel=0.02)


def test_states_are_shared_out_and_activations_only_among_those_that_share_a_clip() -> None:
    config = on_no_device(train.ModelTraining(**CONFIGS["wan-14b"])).config
    load = Load.of_clip(config, (480, 832), 81)
    few, many = memory_bytes(config, load, 8), memory_bytes(config, load, 16)
    assert few["states"] == pytest.approx(2 * many["states"], rel=1e-6)
    assert few["states"] == pytest.approx(20 * 20.1e9 / 8, rel=0.01)
    assert few["kept between blocks"] == many["kept between blocks"]
    halved = memory_bytes(config, load, 16, together=2)
    assert halved["states"] == many["states"] and 2 * halved["kept between blocks"] == many["kept between blocks"]
    assert 2 * halved["inside a block"] == many["inside a block"]


@pytest.mark.parametrize(("name", "files"), [("embedded", 6), ("wan-1.3b", 2), ("wan-14b", 17)])
def test_weights_are_written_in_no_more_files_than_can_be_handled(name: str, files: int) -> None:
    network = on_no_device(train.ModelTraining(**CONFIGS[name]))
    total = 4 * sum(p.numel() for p in network.parameters())
    assert math.ceil(total / part_bytes(network)) == files


def test_the_budget_is_told_in_lines() -> None:
    lines: list[str] = []
    print_budget(Budgeting(network="wan-1.3b", processes=1), lines.append)
    assert lines[0] == "wan-1.3b: 2.26 billion parameters" and lines[-1].startswith("20000 steps of 32 clips: ")
    assert lines[2] == "forward of a clip: 440 TFLOP; in training 1.93 PFLOP" and "blocks gathered 0 MB" in lines[3]


def test_a_budget_of_no_network_is_refused(capsys) -> None:
    assert cli.main(["train", "budget", "--network", "wan-5b"]) == 2
    assert "--network must be one of embedded, wan-1.3b, wan-14b, got 'wan-5b'" in capsys.readouterr().err
