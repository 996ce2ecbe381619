"""How the small networks of the geometry are trained: one loop, whatever they learn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from rap.errors import InputError
from rap.train.average import RunningMean
from rap.train.clock import Clock
from rap.train.optimizers import set_rate
from rap.train.state import CsvLog
from rap.views.unet import UNet

WARMUP_STEPS, STABLE_SHARE = 100, 0.4
VALIDATE_EVERY = 200


@dataclass(frozen=True)
class NetworkTraining:
    """Settings of every such training.

    `minutes` above 0 ends the training by time instead of by steps. `init` is a file of weights to begin with. The
    first `validation_clips` samples are held out.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("data",)

    data: str = ""
    out: str = "runs/network"
    init: str = ""
    steps: int = 4000
    minutes: float = 0.0
    cpu_time: bool = False
    batch: int = 12
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    ema_decay: float = 0.998
    validation_clips: int = 24
    seed: int = 0
    threads: int = 0


@dataclass(frozen=True)
class Lesson:
    """What one of the networks learns. Samples are a dataclass with a tuple of `clips`.

    Attributes:
        network: its class.
        file: name of its weights.
        columns: figures of the log that `judge` tells, the held-out loss first.
        read: all samples of a folder.
        loss: of (network, samples, random numbers, how many cut-outs).
        judge: the figures, of the same arguments.
        judged_batches: so many batches, the same ones every time, are judged.
    """

    network: type[UNet]
    file: str
    columns: tuple[str, ...]
    read: Callable[[Path], Any]
    loss: Callable[[Any, Any, np.random.Generator, int], Tensor]
    judge: Callable[[Any, Any, np.random.Generator, int], Sequence[float]]
    judged_batches: int


def train_network(settings: NetworkTraining, lesson: Lesson) -> None:
    """Train, log and write the running mean of the weights into `out`."""
    torch.manual_seed(settings.seed)
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    held_out, samples = _split(lesson.read(Path(settings.data)), settings.validation_clips)
    network = lesson.network.load(Path(settings.init)) if settings.init else lesson.network()
    network.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    mean = RunningMean(network, settings.ema_decay, power=1.0)
    log = CsvLog(out / "log.csv", ("step", "loss", *lesson.columns, "seconds"))
    clock, recent = Clock(settings), []
    steps = itertools.count() if settings.minutes else range(settings.steps)
    for step in tqdm(steps, desc=lesson.network.NAME, mininterval=5):
        progress = clock.progress(step)
        set_rate(optimizer, rate(step, progress))
        rng = np.random.default_rng([settings.seed, step])
        recent.append(train_step(network, optimizer, lesson.loss(network, samples, rng, settings.batch)))
        mean.step()
        last = progress >= 1 if settings.minutes else step + 1 == settings.steps
        if (step + 1) % VALIDATE_EVERY == 0 or last:
            with mean.in_place():
                figures = _judged(lesson, network, held_out, settings.batch)
                log.write(step + 1, float(np.mean(recent)), *figures, clock.elapsed_s())
                network.save(out / lesson.file)
            recent.clear()
        if last:
            return


def rate(step: int, progress: float) -> float:
    """Factor on the learning rate: warm-up, stable, half a cosine."""
    falling = max(0.0, progress - STABLE_SHARE) / (1 - STABLE_SHARE)
    return min(1.0, (step + 1) / WARMUP_STEPS) * max(0.02, 0.5 * (1 + math.cos(math.pi * min(1.0, falling))))


def _split(samples: Any, count: int) -> tuple[Any, Any]:
    clips = samples.clips
    if not 0 < count < len(clips):
        raise InputError(f"--validation-clips must leave some of the {len(clips)} samples to train on, got {count}")
    return replace(samples, clips=clips[:count]), replace(samples, clips=clips[count:])


@torch.no_grad()
def _judged(lesson: Lesson, network: UNet, held_out: Any, count: int) -> list[float]:
    batches = (np.random.default_rng([number, 1]) for number in range(lesson.judged_batches))
    return np.mean([lesson.judge(network, held_out, rng, count) for rng in batches], axis=0).tolist()


def train_step(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    """Go down the gradient, which is cut to length 1; returns the loss."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return loss.item()
