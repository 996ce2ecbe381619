"""Optimizers and the schedule of their rates."""

from __future__ import annotations

import torch
from torch import nn

from rap.train.muon import Muon
from rap.train.settings import ModelTraining

WARMUP_SHARE = 0.05
"""Of a training by minutes: a slow machine does not spend more of its time on warming up."""


def learning_rate_factor(step: int, progress: float, settings: ModelTraining) -> float:
    """Warm-up, stable, linear decay over the last share of the training; a resumed run may set another end.

    Args:
        progress: share of the training that is done, by steps or by time (`rap.train.clock.Clock`).
    """
    warm = (step + 1) / max(1, settings.warmup)
    if settings.minutes:
        warm = max(warm, progress / WARMUP_SHARE)
    decay = (1 - progress) / settings.decay_share if settings.decay_share else 1.0
    return min(1.0, warm, max(0.02, decay))


def make_optimizers(model: nn.Module, settings: ModelTraining) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for everything else; or AdamW for all, which Wan is used to."""
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and name.startswith("blocks.") and name.endswith(".weight")
        (matrices if is_matrix else rest).append(parameter)
    decay, rate = settings.weight_decay, settings.learning_rate
    optimizers: list[torch.optim.Optimizer]
    if settings.optimizer == "muon":
        muon = Muon(matrices, lr=settings.muon_learning_rate, weight_decay=decay, momentum=0.95)
        optimizers = [muon, torch.optim.AdamW(rest, lr=rate, weight_decay=0.0, betas=(0.9, 0.95))]
    else:
        groups = [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
        optimizers = [torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("base_lr", group["lr"]) * factor
