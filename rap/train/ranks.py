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
from typing import Any

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig, ParallelConfig
from diffusers.hooks.context_parallel import apply_context_parallel
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from rap.train.throughput import checked_device


@dataclass(frozen=True)
class Ranks:
    """This process among `count`; alone unless the environment says otherwise.

    `together` of them, next to each other, see the same clips, and each computes a part of their tokens.
    """

    device: torch.device = torch.device("cpu")
    index: int = 0
    count: int = 1
    together: int = 1

    @property
    def readers(self) -> int:
        """Groups of processes, each with clips of its own."""
        return self.count // self.together

    @property
    def is_first(self) -> bool:
        """Whether this process writes what only one may: logs, pipelines, the mark of a complete state."""
        return self.index == 0

    def share(self, parts: int) -> range:
        """Which of so many parts of a step are this process's."""
        return range(self.index // self.together, parts, self.readers)

    def of_all(self, *values: float) -> list[float]:
        """What each process found on its clips, added up; those that see the same ones count once."""
        return [total / self.together for total in self.sums(*values)]

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
        """Leave this process its rows of every parameter, block by block, and its tokens; alone, nothing is done.

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
        if self.together > 1:
            self.share_clips(network)

    def share_clips(self, network: Any) -> None:
        """Leave each process its part of the tokens (`RaPTransformer3DModel._cp_plan`); outputs are whole in all.

        This is what diffusers' `enable_parallelism` does, but for its asking for an accelerator. Gradients of
        parameters are then parts, of which the sum is that of one process alone.
        """
        shape, names = (self.readers, 1, self.together), ("clips", "ring", "ulysses")
        mesh = init_device_mesh(self.device.type, shape, mesh_dim_names=names)[names[1:]]
        chosen = ContextParallelConfig(ulysses_degree=self.together, mesh=mesh)
        parallel = ParallelConfig(context_parallel_config=chosen)
        parallel.setup(self.index, self.count, self.device, mesh=mesh)
        network._parallel_config = parallel
        for module in network.modules():
            if isinstance(module, WanAttention):
                processor: Any = module.processor
                processor._parallel_config = parallel
        apply_context_parallel(network, chosen, network._cp_plan)


@contextmanager
def joined(device: str, together: int = 1) -> Iterator[Ranks]:
    """Take one's place among the processes that the environment tells of.

    Args:
        device: "cpu", or "cuda": each process of a machine then has a GPU of its own.
        together: so many of them see the same clips.

    Raises:
        InputError: torch knows no such device, or this machine has none.
    """
    chosen, count = checked_device(device), int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks(chosen, together=together)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(chosen, dist.get_rank(), count, together)
    finally:
        dist.destroy_process_group()
