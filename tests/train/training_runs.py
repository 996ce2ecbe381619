"""What the tests of trainings share: tiny runs, their files and their rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rap import train
from rap.data.dataset import ClipStore
from rap.pipeline import RaPPipeline
from rap.train.batches import BatchMaker
from rap.train.codec import load_codec

STATE = tuple(f"state/{name}.safetensors" for name in ("model", "optimizer0", "optimizer1", "ema"))
TINY = ("--width", "24", "--heads", "2", "--layers", "1", "--batch", "2", "--warmup", "2", "--save-every", "3")
TINY_CODEC = ("--z-dim", "16", "--refiner-width", "16", "--refiner-blocks", "1", "--batch", "2", "--fit-clips", "8")


def train_codec(shards: Path, out: Path, *more: object) -> None:
    assert train.main(list(map(str, ["codec", "--data", shards, "--out", out, *TINY_CODEC, *more]))) == 0


def train_model(shards: Path, codec: Path, out: Path, *more: object) -> None:
    arguments = ["model", "--data", shards, "--codec", codec, "--out", out, *TINY, *more]
    assert train.main(list(map(str, arguments))) == 0


def assert_same_files(a: Path, b: Path, names) -> None:
    for name in names:
        first, second = load_file(a / name), load_file(b / name)
        assert first.keys() == second.keys()
        for key in first:
            assert torch.equal(first[key], second[key]), f"{name}: {key}"


def progress(out: Path) -> dict[str, int]:
    """What is the same for the same run: not its time."""
    found = json.loads((out / "state" / "progress.json").read_text())
    assert found.pop("elapsed_s") > 0
    return found


def steps_logged(out: Path) -> list[int]:
    with (out / "log.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


class PowerCut(Exception):
    pass


def cut_after(monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str, calls: int) -> None:
    """Let the training's step function end the run after so many calls."""
    whole, left = getattr(module, function), [calls]

    def step(*arguments):
        if left[0] == 0:
            raise PowerCut
        left[0] -= 1
        return whole(*arguments)

    monkeypatch.setattr(module, function, step)


def estimated(checkpoint: Path, shards: Path):
    pipeline = RaPPipeline.from_pretrained(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.estimate_trajectory(ClipStore(shards).draw(1, np.random.default_rng(0)).frames_u8[0], steps=1)


def validation_rows(out: Path) -> list[dict[str, float]]:
    with (out / "validation.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def batch_maker(shards: Path, codec: Path, seed: int = 0, **settings) -> BatchMaker:
    chosen = train.ModelTraining(data=str(shards), codec=str(codec), batch=8, **settings)
    latents, _ = load_codec(chosen)
    return BatchMaker(ClipStore(shards), latents, chosen, np.random.default_rng(seed))
