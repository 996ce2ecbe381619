"""`rap train depth`: the network that corrects plane sweeps, on samples of `rap train depth-samples`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rap.train.depth_data import DepthSamples
from rap.train.networks import Lesson, NetworkTraining, train_network
from rap.views.depth_network import DepthNetwork

CUT = (56, 88)
"""(h, w) of a cut-out, at half the frames' resolution."""

BOUNDED, LEAST_LOG_ERROR, LEAST_ERROR = 16.0, -3.0, 0.05
"""Planes from which an error counts by its logarithm; the surest a pixel may be; planes that are no error."""


@dataclass(frozen=True)
class DepthTraining(NetworkTraining):
    __doc__ = NetworkTraining.__doc__
    out: str = "runs/depth"


def train_depth(settings: DepthTraining) -> None:
    """`rap train depth`: writes `depth_network.safetensors` into `out`."""
    train_network(settings, LESSON)


def depth_loss(
    depth: Float[Tensor, "S H W"], log_error: Float[Tensor, "S H W"], truth: Float[Tensor, "S H W"]
) -> Float[Tensor, ""]:
    """Negative log likelihood of a Laplace distribution, mean over pixels: e / b + log b, errors in planes.

    Kendall and Gal, What uncertainties do we need in Bayesian deep learning for computer vision, NeurIPS 2017, section
    3. Gross errors, which no evidence tells apart, count by their logarithm.
    """
    error = (depth - truth).abs()
    error = torch.where(error < BOUNDED, error, BOUNDED + torch.log1p((error - BOUNDED).clamp(min=0)))
    log_error = log_error.clamp(min=LEAST_LOG_ERROR)
    return ((error + LEAST_ERROR) * torch.exp(-log_error) + log_error).mean()


def _loss(network: DepthNetwork, samples: DepthSamples, rng: np.random.Generator, count: int) -> Tensor:
    evidence, truth = samples.draw(rng, count, CUT)
    depth, log_error = network(evidence)
    return depth_loss(depth, log_error, truth)


def _judge(
    network: DepthNetwork, samples: DepthSamples, rng: np.random.Generator, count: int
) -> tuple[float, float, float]:
    """Loss, and the shares of pixels more than a plane off before and after."""
    evidence, truth = samples.draw(rng, count, CUT)
    depth, log_error = network(evidence)
    before = evidence.maps[:, 0].repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    off_before, off_after = (((found - truth).abs() > 1).float().mean().item() for found in (before, depth))
    return depth_loss(depth, log_error, truth).item(), off_before, off_after


LESSON = Lesson(
    network=DepthNetwork,
    file="depth_network.safetensors",
    columns=("held_out_loss", "off_before", "off_after"),
    read=DepthSamples.read,
    loss=_loss,
    judge=_judge,
    judged_batches=2,
)
