"""A small network that makes one picture of what the sources show: it has learned whom to believe, and what lies in
holes.

What a target knows of its sources is its `BlendEvidence`: the weighed mean of the nearest ones, holes filled smoothly,
each of them alone, and how far they agree with their own depth. A U-Net sees them and answers, for each pixel, with a
share for each of these pictures and with a correction, which is all there is in a hole (shares that a network tells:
Hedman et al., Deep blending for free-viewpoint image-based rendering, SIGGRAPH Asia 2018). It is trained on rendered
scenes (`rap train blend`) for the least squared error: where the sources leave several answers open it shows their
mean, which is smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from rap.config import BLEND_NETWORK
from rap.views.unet import UNet

REGISTERED, ALONE = 3, 2
"""Sources shown where the common depth says they lie, and sources shown by their own depth."""

SINGLE = REGISTERED + ALONE
MAPS = (
    "consistency_first", "consistency_second", "consistency_third",
    "confidence_first", "confidence_second", "confidence_third",
    "mask", "weight", "depth",
)  # fmt: skip
"""Channels of `BlendEvidence.maps`."""

SHRINK = 2
"""The network works at 1 / SHRINK of the targets' resolution."""

INPUTS = 3 + 3 * SINGLE + SINGLE + len(MAPS)
OUTPUTS = 1 + SINGLE + 3
CONTRAST = 4.0
"""By how much more than other inputs differences of colours count before training: they are small."""

CORRECTION = 0.25
"""What an output of 1 changes a colour by."""

TRUST = 3.0
"""By how much the untrained network prefers the weighed mean, a logit."""

NEVER = -30.0  # logit of a source that shows nothing


@dataclass(frozen=True, eq=False)
class BlendEvidence:
    """What T targets of (H, W) see of their sources: the network's inputs, in one piece of memory.

    Attributes:
        inputs: (T,32,H,W), of which the following are views: `mean` (T,3,H,W) in [0, 1], all sources weighed and
            brought to one exposure, with holes filled; `differences` (T,5,3,H,W) from it, in the same exposure, of the
            nearest three where the common depth says they lie and of the nearest two by their own depth, 0 where they
            show nothing; `shown` (T,5,H,W), 1 where these five show something, else 0; `maps` (T,9,H,W) in about
            [0, 1], in the order of MAPS.
    """

    inputs: Float[Tensor, "T inputs H W"]

    @classmethod
    def blank(cls, count: int, size: tuple[int, int], device: torch.device | str = "cpu") -> BlendEvidence:
        """Of `count` targets, to be written into its views."""
        return cls(torch.zeros(count, INPUTS, *size, device=device))

    @property
    def mean(self) -> Float[Tensor, "T 3 H W"]:
        return self.inputs[:, :3]

    @property
    def differences(self) -> Float[Tensor, "T 5 3 H W"]:
        return self.inputs[:, 3 : 3 + 3 * SINGLE].unflatten(1, (SINGLE, 3))

    @property
    def shown(self) -> Float[Tensor, "T 5 H W"]:
        return self.inputs[:, 3 + 3 * SINGLE : 3 + 4 * SINGLE]

    @property
    def maps(self) -> Float[Tensor, "T 9 H W"]:
        return self.inputs[:, 3 + 4 * SINGLE :]


@runtime_checkable
class Blending(Protocol):
    """What mixes the sources of the evidence."""

    def answer(self, evidence: BlendEvidence) -> tuple[Float[Tensor, "T 5 H W"], Float[Tensor, "T 3 H W"]]:
        """The share of each single source, what is left being that of the mean; and the corrected mean."""
        ...


class BlendNetwork(UNet):
    """A U-Net at half the targets' resolution that halves it three times more."""

    NAME, REMEDY, WIDTHS = "blend network", "rap train blend", (16, 24, 40, 64)

    @staticmethod
    def ends(width: int) -> tuple[nn.Conv2d, nn.Conv2d]:
        stem = nn.Conv2d(INPUTS, width, 4, stride=SHRINK, padding=1)
        with torch.no_grad():
            stem.weight[:, 3 : 3 + 3 * SINGLE] *= CONTRAST
        return stem, nn.Conv2d(width, SHRINK**2 * OUTPUTS, 1)

    def forward(self, evidence: BlendEvidence) -> Float[Tensor, "T 3 H W"]:
        return mixed(evidence, *self.answer(evidence))

    def answer(self, evidence: BlendEvidence) -> tuple[Float[Tensor, "T 5 H W"], Float[Tensor, "T 3 H W"]]:
        """The share of each single source, what is left being that of the mean; and the corrected mean."""
        x = evidence.inputs
        H, W = x.shape[-2:]
        beside = (0, -W % SHRINK, 0, -H % SHRINK)
        out = self.outputs(F.pad(x, beside, mode="replicate") if any(beside) else x)
        out = F.pixel_shuffle(out, SHRINK)[..., :H, :W]
        logits = torch.cat([out[:, :1] + TRUST, torch.add(out[:, 1 : 1 + SINGLE], evidence.shown - 1, alpha=-NEVER)], 1)
        return logits.softmax(dim=1)[:, 1:], torch.add(evidence.mean, out[:, 1 + SINGLE :], alpha=CORRECTION)


def mixed(
    evidence: BlendEvidence, shares: Float[Tensor, "T 5 H W"], mean: Float[Tensor, "T 3 H W"]
) -> Float[Tensor, "T 3 H W"]:
    """The picture of what `BlendNetwork.answer` answers."""
    colour = mean
    for number, difference in enumerate(evidence.differences.unbind(1)):
        colour = colour.addcmul_(difference, shares[:, number, None])
    return colour


@lru_cache(maxsize=4)
def embedded_blend_network(device: str = "cpu") -> BlendNetwork:
    """The network that comes with the checkout, on a device.

    Raises:
        FileNotFoundError: its weights are missing.
    """
    return BlendNetwork.load(BLEND_NETWORK).to(device)
