"""Optimizers and the schedule of their rates."""

from __future__ import annotations

import torch
from torch import nn

from rap.errors import InputError
from rap.train.settings import ModelTraining


def learning_rate_factor(step: int, settings: ModelTraining) -> float:
    """Warm-up, stable, linear decay over the last share of the steps; a resumed run may set another end."""
    decay = max(1, int(settings.decay_share * settings.steps))
    return min(1.0, (step + 1) / max(1, settings.warmup), max(0.02, (settings.steps - step) / decay))


def make_optimizers(model: nn.Module, settings: ModelTraining) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for everything else."""
    if not hasattr(torch.optim, "Muon"):
        raise InputError(f"training needs torch >= 2.9 for its Muon optimizer, got {torch.__version__}")
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and name.startswith("blocks.") and name.endswith(".weight")
        (matrices if is_matrix else rest).append(parameter)
    muon = torch.optim.Muon(matrices, lr=settings.muon_learning_rate, weight_decay=settings.weight_decay, momentum=0.95)
    adam = torch.optim.AdamW(rest, lr=settings.learning_rate, weight_decay=0.0, betas=(0.9, 0.95))
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return [muon, adam]


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("base_lr", group["lr"]) * factor
