"""The running mean of a network's weights, of which each process holds the rows that it trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rap.train.sharded import cut_as, rows, whole


class RunningMean:
    """Exponential moving average whose decay grows with the steps: min(decay, 1 - (1 + n)^-power).

    A young mean so forgets the start quickly; power 1 is a plain mean, less forgets faster (k-diffusion's warm-up).

    Attributes:
        tensors: this process's rows of the mean, by the names of the network's parameters.
        steps: how many have been taken in.
    """

    def __init__(self, network: nn.Module, decay: float, power: float) -> None:
        self._network, self._decay, self._power = network, decay, power
        self.tensors = {name: rows(p).clone() for name, p in network.named_parameters()}
        self.steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """Take in the weights as they are now."""
        self.steps += 1
        decay = min(self._decay, 1 - self.steps**-self._power)
        means, weights = list(self.tensors.values()), self._rows()
        torch._foreach_sub_(means, torch._foreach_sub(means, weights), alpha=1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While open, the network's parameters are their running mean."""
        weights = self._rows()
        kept = [w.clone() for w in weights]
        torch._foreach_copy_(weights, list(self.tensors.values()))
        try:
            yield
        finally:
            torch._foreach_copy_(weights, kept)

    def whole(self) -> Iterator[tuple[str, Tensor]]:
        """Names and all rows, one after the other; every process must walk through them."""
        parameters = dict(self._network.named_parameters())
        for name, mean in self.tensors.items():
            yield name, whole(cut_as(mean, parameters[name]))

    def _rows(self) -> list[Tensor]:
        return [rows(p) for p in self._network.parameters()]
