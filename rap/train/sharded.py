"""Tensors of which a process holds some rows: FSDP2 cuts every parameter along its first dimension (`DTensor`).

A tensor that is not cut is its own rows, so that one process and many go through the same code.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor


def rows(tensor: Tensor) -> Tensor:
    """This process's rows, without history; they share the tensor's memory."""
    tensor = tensor.detach()
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def first_row(tensor: Tensor) -> int:
    """Where this process's rows begin in the whole: rows go round in equal pieces, the last ones shorter or empty."""
    if not isinstance(tensor, DTensor):
        return 0
    piece = -(-tensor.shape[0] // tensor.device_mesh.size())
    return min(tensor.shape[0], piece * tensor.device_mesh.get_local_rank())


def whole(tensor: Tensor) -> Tensor:
    """All rows, from all processes; every one of them must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def cut_as(own: Tensor, like: Tensor) -> Tensor:
    """This process's rows as a tensor that is cut as `like` is."""
    if not isinstance(like, DTensor):
        return own
    return DTensor.from_local(
        own, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def own_part(complete: Tensor, like: Tensor) -> Tensor:
    """This process's rows of a tensor that it holds all of, cut as `like` is."""
    start = first_row(like)
    return complete[start : start + len(rows(like))] if isinstance(like, DTensor) else complete


def take(parameter: Tensor, values: Tensor) -> None:
    """Set this process's rows, in place."""
    with torch.no_grad():
        rows(parameter).copy_(values)
