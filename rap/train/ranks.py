"""The processes that train one network together: which one this is, and what they agree on.

`torchrun` and `accelerate launch` start them and tell each its place in the environment (RANK, WORLD_SIZE, LOCAL_RANK).
The network is cut by `torch.distributed.fsdp.fully_shard` (FSDP2) itself: accelerate 1.15 knows FSDP on accelerators
only and leaves a network on CPUs whole without a word, and what it saves of a run holds pickles.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from rap.train.throughput import checked_device


@dataclass(frozen=True)
class Ranks:
    """This process among `count`; alone unless the environment says otherwise."""

    device: torch.device = torch.device("cpu")
    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes what only one may: logs, pipelines, the mark of a complete state."""
        return self.index == 0

    def share(self, parts: int) -> range:
        """Which of so many parts of a step are this process's."""
        return range(self.index, parts, self.count)

    def sums(self, *values: float) -> list[float]:
        """Each value added over all processes, in double precision. All must call; it waits for the slowest."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()

    def wait(self) -> None:
        """Until every process has come here."""
        self.sums(0.0)

    def cut(self, network: nn.Module, bf16: bool) -> None:
        """Leave this process its rows of every parameter, block by block; alone, nothing is done.

        Gradients are added up, not averaged: a loss is divided by what all processes see together. With `bf16` the rows
        stay float32 and travel as bfloat16, gradients as float32; inputs are not cast, as rotary tables need float32.
        """
        if self.count == 1:
            return
        mesh = init_device_mesh(self.device.type, (self.count,))
        travel = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
        policy = travel if bf16 else MixedPrecisionPolicy()
        for block in network.blocks:  # type: ignore[union-attr]
            fully_shard(block, mesh=mesh, mp_policy=policy)
        fully_shard(network, mesh=mesh, mp_policy=policy)
        for module in network.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Take one's place among the processes that the environment tells of.

    Args:
        device: "cpu", or "cuda": each process of a machine then has a GPU of its own.

    Raises:
        InputError: torch knows no such device, or this machine has none.
    """
    chosen, count = checked_device(device), int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks(chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(chosen, dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
