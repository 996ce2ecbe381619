"""`rap train depth`: the network that corrects plane sweeps, on samples of `rap train depth-samples`."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from rap.errors import InputError
from rap.geometry.depth_network import DepthNetwork, Evidence
from rap.train.clock import seconds
from rap.train.depth_data import DepthSamples
from rap.train.optimizers import set_rate
from rap.train.state import CsvLog

CUT = (56, 88)
"""(h, w) of a cut-out, at half the frames' resolution."""

BOUNDED, LEAST_LOG_ERROR, LEAST_ERROR = 16.0, -3.0, 0.05
"""Planes from which an error counts by its logarithm; the surest a pixel may be; planes that are no error."""

WARMUP_STEPS, STABLE_SHARE = 100, 0.4
VALIDATE_EVERY = 200
VALIDATION_BATCHES = 2


@dataclass(frozen=True)
class DepthTraining:
    """Settings of `rap train depth`.

    `minutes` above 0 ends the training by time instead of by steps. `init` is a file of weights to begin with. The
    first `validation_clips` samples are held out.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("data",)

    data: str = ""
    out: str = "runs/depth"
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


def train_depth(settings: DepthTraining) -> None:
    """Train, log and write `depth_network.safetensors`, the running mean of the weights, into `out`."""
    torch.manual_seed(settings.seed)
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    held_out, samples = _split(DepthSamples.read(Path(settings.data)), settings.validation_clips)
    network = DepthNetwork.load(Path(settings.init)) if settings.init else DepthNetwork()
    network.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    ema = EMAModel(network.parameters(), decay=settings.ema_decay, use_ema_warmup=True, power=1.0)
    log = CsvLog(out / "log.csv", ("step", "loss", "held_out_loss", "off_before", "off_after", "seconds"))
    began, recent = seconds(settings.cpu_time), []
    steps = itertools.count() if settings.minutes else range(settings.steps)
    for step in tqdm(steps, desc="depth", mininterval=5):
        elapsed = seconds(settings.cpu_time) - began
        progress = elapsed / (60 * settings.minutes) if settings.minutes else step / settings.steps
        set_rate(optimizer, rate(step, progress))
        batch = samples.draw(np.random.default_rng([settings.seed, step]), settings.batch, CUT)
        recent.append(_train_step(network, optimizer, *batch))
        ema.step(network.parameters())
        last = progress >= 1 if settings.minutes else step + 1 == settings.steps
        if (step + 1) % VALIDATE_EVERY == 0 or last:
            ema.store(network.parameters())
            ema.copy_to(network.parameters())
            log.write(step + 1, float(np.mean(recent)), *_validated(network, held_out, settings), elapsed)
            network.save(out / "depth_network.safetensors")
            ema.restore(network.parameters())
            recent.clear()
        if last:
            return


def _split(samples: DepthSamples, count: int) -> tuple[DepthSamples, DepthSamples]:
    if not 0 < count < len(samples.clips):
        raise InputError(
            f"--validation-clips must leave some of the {len(samples.clips)} samples to train on, got {count}"
        )
    return DepthSamples(samples.clips[:count]), DepthSamples(samples.clips[count:])


def rate(step: int, progress: float) -> float:
    """Factor on the learning rate: warm-up, stable, half a cosine."""
    falling = max(0.0, progress - STABLE_SHARE) / (1 - STABLE_SHARE)
    return min(1.0, (step + 1) / WARMUP_STEPS) * max(0.02, 0.5 * (1 + math.cos(math.pi * min(1.0, falling))))


def depth_loss(
    depth: Float[Tensor, "S H W"], log_error: Float[Tensor, "S H W"], truth: Float[Tensor, "S H W"]
) -> Float[Tensor, ""]:
    """Negative log likelihood of a Laplace distribution, mean over pixels: e / b + log b, errors in planes.

    Kendall and Gal, What uncertainties do we need in Bayesian deep learning for computer vision, NeurIPS 2017, section
    3. Gross errors, which no evidence tells apart, count by their logarithm.
    """
    error = (depth - truth).abs()
    error = torch.where(error < BOUNDED, error, BOUNDED + torch.log1p((error - BOUNDED).clamp(min=0)))
    log_error = log_error.clamp(min=LEAST_LOG_ERROR)
    return ((error + LEAST_ERROR) * torch.exp(-log_error) + log_error).mean()


def _train_step(network: DepthNetwork, optimizer: torch.optim.Optimizer, evidence: Evidence, truth: Tensor) -> float:
    depth, log_error = network(evidence)
    loss = depth_loss(depth, log_error, truth)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def _validated(network: DepthNetwork, held_out: DepthSamples, settings: DepthTraining) -> tuple[float, float, float]:
    """Loss, and the shares of pixels more than a plane off before and after, on the same cut-outs every time."""
    rows = []
    for number in range(VALIDATION_BATCHES):
        rng = np.random.default_rng([number, 1])
        evidence, truth = held_out.draw(rng, settings.batch, CUT)
        depth, log_error = network(evidence)
        before = evidence.maps[:, 0].repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
        off = [((found - truth).abs() > 1).float().mean().item() for found in (before, depth)]
        rows.append([depth_loss(depth, log_error, truth).item(), *off])
    loss, before, after = np.mean(rows, axis=0)
    return float(loss), float(before), float(after)
