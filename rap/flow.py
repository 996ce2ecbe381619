"""Flow matching over two modalities: path, target, loss and sampler, in one parametrisation.

Path x_t = (1 - t) x_0 + t eps, velocity u = eps - x_0, so x_0 = x_t - t u (t = 1 noise, t = 0 data). The video z and
the rays r have times of their own (the paper's asymmetric schedules); a known frame is a frame whose time is 0. The
network is a callable; this file does not know what is behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Mode = Literal["estimate", "generate", "joint"]

MIN_TIME = 1e-3
"""Floor of t where the sampler turns a clean prediction into a velocity, (x_t - x_0) / t."""

LOSS_MIN_TIME = 0.3
"""The same floor in the loss. A velocity error is a sample error over t; unbounded, the last few times, where the
answer is nearly given, would outweigh all others (at a floor of 0.05 the gradient norm starts ten times higher)."""


class Pair(NamedTuple):
    """A value for the video and one for the rays: latents (B, C, F, h, w), times (B, F), masks (B, F)."""

    video: Tensor
    rays: Tensor


Network = Callable[[Pair, Pair], Pair]
"""(noised latents, times) -> predictions, of the same shapes as the latents."""


@dataclass(frozen=True)
class Prediction:
    """What the network outputs, per modality: "flow" (velocity) or "sample" (clean latents)."""

    video: str = "flow"
    rays: str = "flow"


def _per_frame(t: Tensor) -> Tensor:
    """(B, F) times to broadcast with (B, C, F, h, w)."""
    return t[:, None, :, None, None]


def interpolate(x0: Tensor, noise: Tensor, t: Float[Tensor, "B F"]) -> Tensor:
    """x_t of the linear path."""
    s = _per_frame(t).to(x0.dtype)
    return (1 - s) * x0 + s * noise


def to_velocity(
    prediction: Tensor, x_t: Tensor, t: Float[Tensor, "B F"], kind: str, min_time: float = MIN_TIME
) -> Tensor:
    """The velocity that a network output stands for."""
    if kind == "flow":
        return prediction
    return (x_t - prediction) / _per_frame(t.clamp(min=min_time)).to(x_t.dtype)


def velocities(network: Network, x_t: Pair, t: Pair, prediction: Prediction, min_time: float = MIN_TIME) -> Pair:
    """Call the network and read its outputs as velocities; loss and sampler both go through here."""
    out = network(x_t, t)
    return Pair(
        to_velocity(out.video, x_t.video, t.video, prediction.video, min_time),
        to_velocity(out.rays, x_t.rays, t.rays, prediction.rays, min_time),
    )


def flow_loss(
    velocity: Float[Tensor, "B C F h w"],
    target: Float[Tensor, "B C F h w"],
    noised: Bool[Tensor, "B F"],
    cosine_weight: float = 0.5,
    count: float | None = None,
) -> Float[Tensor, ""]:
    """E |v - u|^2 + cosine_weight (1 - cos(v, u)) over the noised frames (the paper's loss; weight 0 its ablation).

    The paper does not say over which vector the cosine is taken: here over all latents of one frame.

    Args:
        count: noised frames of all that a step sees, where this is a part of it: the parts' losses then add up to that
            of the whole. Without it the mean is that of these alone.
    """
    weight = noised.to(velocity.dtype)
    divisor = weight.sum().clamp(min=1) if count is None else max(1.0, count)
    v, u = (x.float().transpose(1, 2).flatten(2) for x in (velocity, target))
    square = (v - u).square().mean(-1)
    cosine = torch.nn.functional.cosine_similarity(v, u, dim=-1)
    return ((square + cosine_weight * (1 - cosine)) * weight).sum() / divisor


def training_loss(
    network: Network,
    x0: Pair,
    noise: Pair,
    t: Pair,
    prediction: Prediction,
    cosine_weight: float = 0.5,
    counts: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Losses of the video and of the rays at given times; frames with t = 0 are conditions and carry no loss.

    Args:
        counts: noised frames of a step of which this is a part, of the video and of the rays (`flow_loss`).
    """
    x_t = Pair(*(interpolate(a, b, s) for a, b, s in zip(x0, noise, t, strict=True)))
    v = velocities(network, x_t, t, prediction, LOSS_MIN_TIME)
    losses = []
    for k, kind in enumerate((prediction.video, prediction.rays)):
        bounded = kind == "sample"
        target = to_velocity(x0[k], x_t[k], t[k], kind, LOSS_MIN_TIME) if bounded else noise[k] - x0[k]
        losses.append(flow_loss(v[k], target, t[k] > 0, cosine_weight, None if counts is None else counts[k]))
    return losses[0], losses[1]


def shifted_sigmas(steps: int, shift: float = 1.0) -> list[float]:
    """`steps` + 1 levels from 1 to 0, evenly spaced, then shifted towards noise: s t / (1 + (s - 1) t)."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    return [shift * t / (1 + (shift - 1) * t) for t in ((steps - i) / steps for i in range(steps + 1))]


def plan(
    mode: Mode, steps: int, ray_steps: int, shift: float = 1.0, ray_shift: float = 1.0
) -> list[tuple[float, float]]:
    """Noise levels (sigma_video, sigma_rays) the sampler walks through; a mode is which column is all zeros.

    Joint sampling follows the factorisation p(r | source) p(z | r, source): the rays, which need few steps, come down
    while the video is still noise, then the video comes down under clean rays.
    """
    video, rays = shifted_sigmas(steps, shift), shifted_sigmas(ray_steps, ray_shift)
    if mode == "estimate":
        return [(0.0, sigma) for sigma in rays]
    if mode == "generate":
        return [(sigma, 0.0) for sigma in video]
    return [(1.0, sigma) for sigma in rays[:-1]] + [(sigma, 0.0) for sigma in video]


def snapped(levels: list[tuple[float, float]], sigma: float) -> list[tuple[float, float]]:
    """The same walk with the nearest inner noise level of the video moved to `sigma`, so that it stops there."""
    inner = [i for i in range(1, len(levels) - 1) if levels[i + 1][0] < sigma < levels[i - 1][0]]
    if not inner:
        return levels
    nearest = min(inner, key=lambda i: abs(levels[i][0] - sigma))
    return [(sigma, rays) if i == nearest else (video, rays) for i, (video, rays) in enumerate(levels)]


@dataclass(frozen=True)
class Hint:
    """What the video shows, where that is known beforehand (by warping the source frames, say), to no exact value.

    Attributes:
        latents: (B, C, F, h, w) clean video latents.
        weight: (B, 1, F, h, w) in [0, 1]: how much of each cell the latents know; 0 leaves the cell to the network.
        level: noise level in [0, 1] down to which the latents are held; below it the network goes on alone.
    """

    latents: Tensor
    weight: Tensor
    level: float

    def hold(self, video: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """`video` at noise level sigma with the known part put back to where the latents' own path stands.

        The replacement of Lugmayr et al. (RePaint, CVPR 2022, eq. 8, without its resampling), with one noise for the
        whole path; ended at `level` it is, in the known part, the start of Meng et al. (SDEdit, ICLR 2022).
        """
        if sigma < self.level:
            return video
        path = (1 - sigma) * self.latents + sigma * noise
        return torch.lerp(video, path.to(video), self.weight.to(video))


@dataclass(frozen=True)
class Sample:
    """State after a sampler step: `estimate` is the current guess of the clean latents."""

    step: int
    steps: int
    estimate: Pair


def sample(
    network: Network,
    noise: Pair,
    clean: Pair,
    known: Pair,
    levels: list[tuple[float, float]],
    prediction: Prediction,
    guidance_scale: float = 1.0,
    null_rays: Tensor | None = None,
    hint: Hint | None = None,
) -> Iterator[Sample]:
    """Euler integration from noise to data over known and noised latent frames; a generator, closing it cancels.

    Args:
        noise: starting latents.
        clean: known latents; only the frames marked in `known` are read.
        known: (B, F) masks; these frames have time 0 and are re-imposed before every call, so they come out
            bit-identical.
        levels: from `plan`.
        guidance_scale: 1 is off; else v = v_0 + scale (v - v_0) for the video, v_0 under rays of pure noise.
        null_rays: the noise of v_0, needed when guidance is on.
        hint: where the video is roughly known; a level among `levels` is where its hold ends.

    Yields:
        One `Sample` after each step; the last one's estimate is the result.
    """
    x = _impose(noise, clean, known)
    steps = len(levels) - 1
    for i in range(steps):
        t = _times(levels[i], known)
        v = velocities(network, x, t, prediction)
        if guidance_scale != 1.0 and levels[i][0] > 0:
            v = _guide(network, x, t, v, prediction, guidance_scale, null_rays)
        now, following = levels[i], levels[i + 1]
        estimate = _impose(Pair(*(a - s * b for a, b, s in zip(x, v, now, strict=True))), clean, known)
        moved = (
            e if after == 0.0 else a + (after - s) * b
            for a, b, e, s, after in zip(x, v, estimate, now, following, strict=True)
        )
        x = Pair(*moved)
        if hint is not None:
            x = Pair(hint.hold(x.video, noise.video, following[0]), x.rays)
        x = _impose(x, clean, known)
        yield Sample(i + 1, steps, x if i + 1 == steps else estimate)


def _guide(
    network: Network, x: Pair, t: Pair, v: Pair, prediction: Prediction, scale: float, null_rays: Tensor | None
) -> Pair:
    if null_rays is None:
        raise ValueError("guidance needs null_rays, the noise that stands for no rays; got None")
    free = velocities(network, Pair(x.video, null_rays), Pair(t.video, torch.ones_like(t.rays)), prediction)
    return Pair(free.video + scale * (v.video - free.video), v.rays)


def _times(level: tuple[float, float], known: Pair) -> Pair:
    return Pair(*(torch.where(mask, 0.0, sigma).float() for sigma, mask in zip(level, known, strict=True)))


def _impose(x: Pair, clean: Pair, known: Pair) -> Pair:
    return Pair(*(torch.where(_per_frame(m), c, a) for a, c, m in zip(x, clean, known, strict=True)))
