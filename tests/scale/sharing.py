"""What processes that share a clip compute together, beside what one computes alone."""

from __future__ import annotations

import json

import torch
import torch.distributed as dist

from rap.model import RaPTransformer3DModel
from rap.train.ranks import joined

KINDS = {
    "decoupled": {},
    "own attention weights": {"ray_attention": "separate"},
    "joint": {"attention": "joint"},
    "pluecker": {"camera": "pluecker"},
}
SIZE = dict(
    num_attention_heads=4, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=8, ffn_dim=40, num_layers=2
)


def made(overrides: dict) -> tuple[RaPTransformer3DModel, tuple[torch.Tensor, ...]]:
    """The same network and clip in every process."""
    torch.manual_seed(0)
    network = RaPTransformer3DModel(**SIZE, **overrides, cross_gate_init=1.0)
    rays = torch.randn(2, 8, 4, 8, 8) if overrides.get("camera") == "pluecker" else torch.randn(2, 4, 5, 4, 4)
    video, text = torch.randn(2, 4, 4, 8, 8), torch.randn(2, 3, 8)
    return network, (video, rays, 1000 * torch.rand(2, 4), 1000 * torch.rand(2, rays.shape[2]), text)


def computed(network: RaPTransformer3DModel, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """Both outputs, then the gradients of a loss of them."""
    network.zero_grad()
    outputs = network(*inputs, num_source_frames=1, return_dict=False)
    sum((output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum() for output in outputs).backward()
    return [*(output.detach() for output in outputs), *(p.grad for p in network.parameters() if p.grad is not None)]


def compared(_words: list[str]) -> int:
    """One of the two; the first prints how much outputs and gradients differ, and how large they are, for each kind."""
    found = {}
    with joined("cpu", together=2) as ranks:
        for name, overrides in KINDS.items():
            network, inputs = made(overrides)
            alone = computed(network, inputs)
            ranks.share_clips(network)
            together = computed(network, inputs)
            for gradient in together[2:]:
                dist.all_reduce(gradient)
            pairs = list(zip(alone, together, strict=True))
            found[name] = [[float((a - b).abs().max()), float(a.abs().max())] for a, b in pairs]
        if ranks.is_first:
            print(json.dumps(found))
    return 0
