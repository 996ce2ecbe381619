"""What `rap bench step` runs: one denoising step of a network of any size, with weights of chance.

Both branches are computed, for one clip with one source frame. FLOP are those of `rap train budget`; their share is of
the peak that is given (989 TFLOP/s is an H100's in bfloat16), or of what a large matrix product of the same type
reaches in turns with the step. On a GPU in bfloat16, else in float32. Memory is the most that the network and its step
had on the GPU, on a CPU that of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from rap.bench.measure import MATMUL_SIDE, Figure, in_turns, report
from rap.config import SIZE_MULTIPLE
from rap.errors import InputError
from rap.model import RaPTransformer3DModel
from rap.model.tokens import PROMPT_TOKENS, TIME_COMPRESSION
from rap.model.transformer import FLOW_CHANNELS
from rap.pipeline.placing import Placement, prepare
from rap.train.budget import WAN_CHANNELS, Load, clip_flop
from rap.train.configs import CONFIGS
from rap.train.settings import ModelTraining
from rap.train.start import network_options
from rap.train.throughput import checked_device, synchronize

GOAL = 0.45
GPU_MATMUL_SIDE = 4 * MATMUL_SIDE  # smaller ones do not fill a large GPU


def random_network(name: str, layers: int, device: torch.device) -> RaPTransformer3DModel:
    """The network of a named configuration, made where it is used; `layers` 0: as many as it has."""
    settings = ModelTraining(**CONFIGS[name])
    options = network_options(settings, WAN_CHANNELS)
    with torch.device("meta"):
        network = RaPTransformer3DModel(**{**options, "num_layers": layers or settings.layers})
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    nn.Module.to_empty(nn.Module.to(network, dtype), device=device)  # diffusers decorates its own
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.02)
    return network.eval()


def random_step(network: RaPTransformer3DModel, load: Load) -> Callable[[], object]:
    """One call of the network, on noise; the first frame is the source."""
    like, (h, w) = network.patch_embedding.weight, load.grid
    channels, text_width = network.config.in_channels, network.config.text_dim
    video = torch.randn(1, channels, load.frames, h, w).to(like)
    rays = torch.randn(1, channels, load.ray_frames, h // 2, w // 2).to(like)
    times, ray_times = (torch.full((1, n), 500.0, device=like.device) for n in (load.frames, load.ray_frames))
    text = torch.randn(1, load.text, text_width).to(like) if text_width else None
    hints = {}
    if network.config.flow_hint:
        hints["flow_hint"] = torch.randn(1, FLOW_CHANNELS, *video.shape[2:]).to(like)
    if network.config.warp_hint != "none":
        hints["warp_hint"] = torch.randn(1, network.warp_hint_channels, *video.shape[2:]).to(like)
    return torch.no_grad()(partial(network, video, rays, times, ray_times, text, num_source_frames=1, **hints))


def step_figure(options: argparse.Namespace) -> Figure:
    """Share of the peak that a step reaches, beside its seconds and its memory."""
    device = checked_device(options.device)
    network = random_network(options.config, options.layers, device)
    prepare(network, Placement(attention=options.attention, compile=options.compile))
    load = Load.of_clip(network.config, (options.height, options.width), options.frames, text=PROMPT_TOKENS)
    step = partial(_awaited, random_step(network, load), device)
    step()  # compiles, and takes its memory
    side = GPU_MATMUL_SIDE if device.type == "cuda" else MATMUL_SIDE
    a, b = (torch.randn(side, side).to(network.patch_embedding.weight) for _ in range(2))
    pairs = in_turns(partial(_awaited, partial(torch.matmul, a, b), device), step, options.repeats)
    flop, step_s = clip_flop(network.config, load).forward, statistics.median(pairs.candidate_s)
    matmul_flop_per_s = 2 * side**3 * pairs.ratio / step_s
    peak = 1e12 * options.peak_tflops or matmul_flop_per_s
    return Figure(
        "step",
        f"share of {peak / 1e12:.4g} TFLOP/s that a step of {options.config} reaches",
        flop / step_s / peak,
        ">=",
        GOAL,
        {
            "step_s": step_s,
            "step_tflop": flop / 1e12,
            "matmul_tflop_per_s": matmul_flop_per_s / 1e12,
            "memory_gb": _most_memory(device) / 1e9,
        },
    )


def _awaited(run: Callable[[], object], device: torch.device) -> None:
    run()
    synchronize(device)


def _most_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one network; returns 1 when the goal is missed."""
    options = parse(argv)
    torch.set_num_threads(options.threads)
    if (options.frames - 1) % TIME_COMPRESSION:
        raise InputError(f"--frames must be 1 + {TIME_COMPRESSION}n, got {options.frames}")
    for name in ("height", "width"):
        if getattr(options, name) % SIZE_MULTIPLE:
            raise InputError(f"--{name} must be a multiple of {SIZE_MULTIPLE}, got {getattr(options, name)}")
    found = step_figure(options)
    print(json.dumps(report([found], options.threads)) if options.json else "\n".join(found.lines()))
    return 0 if found.reached else 1


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="rap bench step", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", choices=list(CONFIGS), default="wan-1.3b", help="default: wan-1.3b")
    for name, default, words in (
        ("height", 480, "pixels"),
        ("width", 832, "pixels"),
        ("frames", 81, "of the clip"),
        ("layers", 0, "blocks, fewer than it has (default: all)"),
        ("repeats", 5, "pairs of which the median is taken"),
        ("threads", 2, "on a CPU"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=words)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    parser.add_argument("--peak-tflops", type=float, default=0.0, metavar="X", help="of the device in that type")
    parser.add_argument("--attention", metavar="NAME", help="a backend of diffusers")
    parser.add_argument("--compile", action="store_true", help="compile the repeated blocks")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args(argv)
