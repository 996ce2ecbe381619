"""`rap train blend`: the network that makes one picture of warped sources, on samples of `rap train blend-samples`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from rap.train.blend_data import BlendSamples
from rap.train.networks import Lesson, NetworkTraining, train_network
from rap.views.blend_network import BlendNetwork

CUT = (112, 112)
"""(H, W) of a cut-out."""

LEAST_ERROR = 1e-4
"""Squared error that is no error: 40 dB."""


@dataclass(frozen=True)
class BlendTraining(NetworkTraining):
    __doc__ = NetworkTraining.__doc__
    out: str = "runs/blend"
    batch: int = 8
    learning_rate: float = 2e-3


def train_blend(settings: BlendTraining) -> None:
    """`rap train blend`: writes `blend_network.safetensors` into `out`."""
    train_network(settings, LESSON)


def blend_loss(colour: Float[Tensor, "T 3 H W"], truth: Float[Tensor, "T 3 H W"]) -> Float[Tensor, ""]:
    """Mean over pictures of the logarithm of the mean squared error: PSNR up to a factor, so that easy and hard
    pictures count alike.
    """
    return (squared_error(colour, truth) + LEAST_ERROR).log().mean()


def squared_error(colour: Float[Tensor, "T 3 H W"], truth: Float[Tensor, "T 3 H W"]) -> Float[Tensor, " T"]:
    return (colour - truth).square().mean(dim=(1, 2, 3))


def _loss(network: BlendNetwork, samples: BlendSamples, rng: np.random.Generator, count: int) -> Tensor:
    evidence, truth = samples.draw(rng, count, CUT)
    return blend_loss(network(evidence), truth)


def _judge(
    network: BlendNetwork, samples: BlendSamples, rng: np.random.Generator, count: int
) -> tuple[float, float, float]:
    """Loss, and PSNR in dB of the weighed mean and of what the network makes of it."""
    evidence, truth = samples.draw(rng, count, CUT)
    found = network(evidence)
    errors = (squared_error(colour.clamp(0, 1), truth) for colour in (evidence.mean, found))
    before, after = (-10 * error.log10().mean().item() for error in errors)
    return blend_loss(found, truth).item(), before, after


LESSON = Lesson(
    network=BlendNetwork,
    file="blend_network.safetensors",
    columns=("held_out_loss", "psnr_before", "psnr_after"),
    read=BlendSamples.read,
    loss=_loss,
    judge=_judge,
    judged_batches=8,
)
