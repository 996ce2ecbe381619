"""Exposure: sources that a camera has exposed differently are brought to one brightness before they are blended.

A camera that exposes by itself changes brightness as it turns to a window. Blended as they are, such frames leave seams
where one source ends and another begins. A change of exposure multiplies colours, gamma-encoded ones too, by a number:
what two sources show of the same points differs by the ratio of theirs. Logarithms of the gains are those which explain
the ratios of all pairs best (least squares, as Brown and Lowe, Automatic panoramic image stitching using invariant
features, IJCV 2007, section 6, without their prior on each gain); what is left free, the brightness of the whole, is
that of the sources near the target.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

STRIDE = 3
"""Every third pixel of every third row is compared: thousands are left, and the cost is a tenth."""

LEVELS = (0.04, 0.96)
"""Darker pixels are noise, brighter ones may be clipped: neither tells a gain."""

MIN_SHARE = 0.02
"""Of the target's pixels that two sources must both show for their ratio to be believed."""

MAX_LOG_GAIN = math.log(2.0)
RIDGE = 1e-3
"""Of the pixels compared: what a source that shares nothing with the others counts as having their brightness."""


def exposure_gains(
    colour: Float[Tensor, "T N 3 H W"], weight: Float[Tensor, "T N H W"], nearness: Float[Tensor, "T N"]
) -> Float[Tensor, "T N"]:
    """By what each source's colours are to be multiplied, so that all have the brightness that the target's would have.

    Args:
        colour: N sources as T targets see them, in [0, 1], black is 0.
        weight: above 0 where a source shows something.
        nearness: weights of the sources in the target's brightness, of any sum.

    Returns:
        Gains between 1/2 and 2; 1 for a source alone.
    """
    T, N = weight.shape[:2]
    if N < 2:
        return torch.ones_like(nearness)
    level = colour[..., ::STRIDE, ::STRIDE].mean(dim=2).flatten(2)
    told = (weight[..., ::STRIDE, ::STRIDE].flatten(2) > 0) & (level > LEVELS[0]) & (level < LEVELS[1])
    level = level.clamp(min=LEVELS[0]).log()
    one, other = torch.triu_indices(N, N, 1, device=colour.device)
    both = told[:, one] & told[:, other]
    ratio = (level[:, one] - level[:, other]).masked_fill(~both, torch.nan).nanmedian(dim=-1).values
    share = both.float().mean(dim=-1)
    share = torch.where(share >= MIN_SHARE, share, 0.0)
    return torch.exp(-_log_exposures(ratio.nan_to_num(0.0), share, (one, other), nearness))


def _log_exposures(
    ratio: Float[Tensor, "T pairs"],
    share: Float[Tensor, "T pairs"],
    pairs: tuple[Tensor, Tensor],
    nearness: Float[Tensor, "T N"],
) -> Float[Tensor, "T N"]:
    """Logarithms of the exposures whose differences the ratios are, with a mean of 0 by nearness."""
    signs = torch.zeros(len(pairs[0]), nearness.shape[1], dtype=torch.float64, device=ratio.device)
    rows = torch.arange(len(signs), device=ratio.device)
    signs[rows, pairs[0]], signs[rows, pairs[1]] = 1.0, -1.0
    weighed = signs * share.double()[..., None]
    free = torch.eye(signs.shape[1], dtype=torch.float64, device=ratio.device)
    normal = signs.T @ weighed + RIDGE * share.double().sum(dim=1).clamp(min=MIN_SHARE)[:, None, None] * free
    found = torch.linalg.solve(normal, (weighed * ratio.double()[..., None]).sum(dim=1)).to(ratio.dtype)
    mean = (found * nearness).sum(dim=1, keepdim=True) / nearness.sum(dim=1, keepdim=True)
    return (found - mean).clamp(-MAX_LOG_GAIN, MAX_LOG_GAIN)
