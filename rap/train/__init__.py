"""`rap train codec | model | slot | widen | motions | curves | depth-samples | depth | blend-samples |
blend | monocular | monocular-labels | monocular-mean`: from clips to checkpoints.

A checkpoint is in diffusers layout. `codec` and `model` are resumable (`--resume` goes on from the last state in
`--out`), deterministic by `--seed` and log to CSV. `slot` does everything from rendering to figures within a number of
minutes (`rap.train.slot`). `widen` gives a checkpoint's codec more channels without training (`rap.train.widen`).
`motions` writes beside a checkpoint how the cameras of its training clips move (`rap.train.motions`). `curves` draws
several trainings side by side (`rap.train.plots`). `depth-samples` and `depth` train the network that corrects plane
sweeps (`rap.geometry.depth_network`), `blend-samples` and `blend` the one that makes one picture of warped sources
(`rap.geometry.blend_network`). `monocular` trains depth and lens of one picture (`rap.views.monocular`), of
photographs too that a teacher labelled (`monocular-labels`); `monocular-mean` makes one network of several.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from rap.train.blend import BlendTraining, train_blend
from rap.train.blend_data import make_blend_samples
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
from rap.train.plots import RunComparison, run_comparison
from rap.train.samples import Sampling
from rap.train.settings import CodecTraining, ModelTraining, read_settings
from rap.train.slot import SlotTraining, run_slot
from rap.train.widen import Widening, run_widening

SETTINGS = {
    "codec": CodecTraining,
    "model": ModelTraining,
    "slot": SlotTraining,
    "widen": Widening,
    "motions": MotionMeasuring,
    "curves": RunComparison,
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
    "widen": run_widening,
    "motions": run_motions,
    "curves": run_comparison,
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
    parser = argparse.ArgumentParser(prog="rap train", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, settings in SETTINGS.items():
        sub = commands.add_parser(name, help=(settings.__doc__ or "").split(".")[0])
        sub.add_argument("--config", type=Path, help="JSON file of settings; flags win over it")
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
