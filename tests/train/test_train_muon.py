"""Muon against torch's own, which computes in bfloat16, and against the singular value decomposition."""

from __future__ import annotations

import torch
from torch import nn

from rap.train.muon import Muon, orthogonalised

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
SHAPES = [(24, 16), (16, 24), (24, 16), (8, 8)]


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def test_steps_are_those_of_torch_up_to_its_rounding() -> None:
    own, reference = parameters(), parameters()
    options = {"lr": 0.05, "weight_decay": 0.1, "momentum": 0.9}
    optimizers = Muon(own, **options), torch.optim.Muon(reference, **options)
    start = [p.detach().clone() for p in own]
    for step in range(4):
        gradients = [torch.randn(s, generator=torch.Generator().manual_seed(step)) for s in SHAPES]
        for values, optimizer in zip((own, reference), optimizers, strict=True):
            for parameter, gradient in zip(values, gradients, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    for mine, theirs, before in zip(own, reference, start, strict=True):
        moved = (theirs - before).norm()
        assert (mine - theirs).norm() < 0.02 * moved
    assert optimizers[0].state_dict()["state"].keys() == optimizers[1].state_dict()["state"].keys()


def test_singular_values_come_near_one_and_directions_stay() -> None:
    matrices = torch.randn(3, 20, 12, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalised(matrices, COEFFICIENTS, 5, 1e-7))
    assert values.min() > 0.6 and values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    along = torch.einsum("nij,nij->n", orthogonalised(matrices, COEFFICIENTS, 5, 1e-7), u @ vh)
    assert (along > 0.75 * 12).all()


def test_matrices_without_gradients_stay() -> None:
    own = parameters()
    own[0].grad = torch.ones(SHAPES[0])
    before = [p.detach().clone() for p in own]
    Muon(own, lr=0.1).step()
    assert not torch.equal(own[0], before[0])
    assert all(torch.equal(p, b) for p, b in zip(own[1:], before[1:], strict=True))
