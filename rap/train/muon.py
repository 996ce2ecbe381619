"""Muon in the arithmetic that the device is fast in.

`torch.optim.Muon` orthogonalises in bfloat16. A CPU without instructions for it emulates them: on an AVX2 machine that
took 9.0 of the 12.0 s of a training step of the embedded model. Here a CPU iterates in float32, and matrices of one
shape go through the iteration together. Of matrices cut among processes each process orthogonalises all and keeps its
rows: an iteration needs the whole matrix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rap.train.sharded import own_part, rows, whole


class Muon(torch.optim.Muon):
    """`torch.optim.Muon` with its options, state and update rule; see the module for what differs."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step on all matrices that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for shape, parameters in alike.items():
                updates = orthogonalised(
                    torch.stack([whole(self._momentum(parameter, group)) for parameter in parameters]),
                    group["ns_coefficients"],
                    group["ns_steps"],
                    group["eps"],
                )
                rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5  # a tall matrix takes larger steps
                for parameter, update in zip(parameters, updates, strict=True):
                    own = rows(parameter)
                    own.mul_(1 - group["lr"] * group["weight_decay"]).add_(own_part(update, parameter), alpha=-rate)
        return loss

    def _momentum(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer


def orthogonalised(matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """(n, rows, columns) matrices with their singular values brought near 1 by a quintic Newton-Schulz iteration.

    With X of spectral norm at most 1, each step is X <- a X + (b A + c A^2) X, A = X X^T (Jordan et al., Muon, 2024).
    """
    a, b, c = coefficients
    x = matrices if matrices.device.type == "cpu" else matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)
