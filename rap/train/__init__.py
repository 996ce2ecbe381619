"""The trainings, from clips to checkpoints; `main` is `rap train`.

Only the command line and `rap.bench` import from here. Read `settings`, then `model` (the joint model) with `batches`,
`hints` and `validate`; `codec` with `codec_data`; the small networks: `samples`, `depth_data`, `blend_data`, then
`networks` with `depth` and `blend`; of one picture: `monocular_data`, `monocular`. `slot` runs the first two within so
many minutes, `widen` follows them. What they share: `clock`, `optimizers` with `muon`, `state`, `throughput`, `plots`,
`motions`, and `replay` for a GPU. Of many processes: `ranks`, `sharded`, `average`, then `start` (the network to begin
with), `configs` (its sizes) and `budget` (what they cost).
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

import torch

from rap.train.ablations import AblationTraining, run_ablations
from rap.train.blend import BlendTraining, train_blend
from rap.train.blend_data import make_blend_samples
from rap.train.budget import Budgeting, print_budget
from rap.train.codec import train_codec
from rap.train.depth import DepthTraining, train_depth
from rap.train.depth_data import make_depth_samples
from rap.train.model import train_model
from rap.train.monocular import (
    MonocularLabelling,
    MonocularMean,
    MonocularTraining,
    average_networks,
    label_photographs,
    train_monocular,
)
from rap.train.motions import MotionMeasuring, run_motions
from rap.train.samples import Sampling
from rap.train.settings import CodecTraining, ModelTraining, read_settings
from rap.train.slot import SlotTraining, run_slot
from rap.train.widen import Widening, run_widening

DESCRIPTION = """From clips to checkpoints, in diffusers layout.

`codec` and `model` are resumable (`--resume` goes on from the last state in `--out`), deterministic by `--seed` and log
to CSV. `model` trains the model of any size, by one process or by as many as `torchrun` starts; `budget` says what that
costs. `ablations` trains variants of it, all as long, and makes a table of them. `slot` does everything from rendering
to figures within a number of minutes. `widen` gives a checkpoint's codec more channels without training. `motions`
writes beside a checkpoint how the cameras of its training clips move. `depth-samples` and `depth` train the network
that corrects plane sweeps, `blend-samples` and `blend` the one that makes one picture of warped sources. `monocular`
trains depth and lens of one picture, of photographs too that a teacher labelled (`monocular-labels`); `monocular-mean`
makes one network of several."""

SETTINGS = {
    "codec": CodecTraining,
    "model": ModelTraining,
    "ablations": AblationTraining,
    "budget": Budgeting,
    "slot": SlotTraining,
    "widen": Widening,
    "motions": MotionMeasuring,
    "depth-samples": Sampling,
    "depth": DepthTraining,
    "blend-samples": Sampling,
    "blend": BlendTraining,
    "monocular": MonocularTraining,
    "monocular-labels": MonocularLabelling,
    "monocular-mean": MonocularMean,
}
RUNS = {
    "codec": train_codec,
    "model": train_model,
    "ablations": run_ablations,
    "budget": print_budget,
    "widen": run_widening,
    "motions": run_motions,
    "depth-samples": make_depth_samples,
    "depth": train_depth,
    "blend-samples": make_blend_samples,
    "blend": train_blend,
    "monocular": train_monocular,
    "monocular-labels": label_photographs,
    "monocular-mean": average_networks,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of `rap train`."""
    parser = argparse.ArgumentParser(prog="rap train", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, settings in SETTINGS.items():
        sub = commands.add_parser(name, help=(settings.__doc__ or "").split(".")[0])
        named = " or ".join([*getattr(settings, "CONFIGS", ()), "a JSON file"])
        sub.add_argument("--config", help=f"settings: {named}; flags win over it")
        for item in dataclasses.fields(settings):
            flag = "--" + item.name.replace("_", "-")
            if isinstance(item.default, bool):
                sub.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
            else:
                sub.add_argument(flag, type=type(item.default), default=None, help=f"default {item.default!r}")
    args = vars(parser.parse_args(argv))
    command, config = args.pop("command"), args.pop("config")
    settings = read_settings(SETTINGS[command], config, args)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if command == "slot":
        return run_slot(settings)
    RUNS[command](settings)
    return 0
