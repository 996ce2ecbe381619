"""`rap train blend-samples`: what warped sources of rendered clips show the blend network, and the rendered frames.

Every sample is one clip: depth of some of its frames as the app finds it, warped to a few of the others, with cameras
and exposures as far off as those of real footage, whose published poses are not exact either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rap.geometry import se3
from rap.reconstruction.tracks import sparse_points
from rap.synthetic.textures import TextureBank
from rap.train.samples import Sampling, draw_shown, moving_clip, read_samples, write_samples
from rap.views.blend_network import BlendEvidence
from rap.views.depth import plane_sweep
from rap.views.depth_network import embedded_depth_network
from rap.views.warp import warp

TARGETS = 4
"""Frames of a clip that are warped to."""

BETWEEN_SHARE = 0.85  # of clips whose targets lie between the first and the last source, not beyond
POSE_ERRORS = (0.0, 1.0, 3.0, 6.0), (0.3, 0.35, 0.25, 0.1)
"""How far poses may be off, in units of the next two, and the share of each."""

POSE_ERROR_RAD, POSE_ERROR_REACH = float(np.radians(0.05)), 0.003
POSE_KNOTS = 4
"""Between so many random poses the error moves evenly; half as much again is added from frame to frame."""

STEADY_SHARE = 0.4  # of clips in one exposure
EXPOSURE_STEP, EXPOSURE_NOISE, BALANCE = 0.08, 0.015, 0.02
"""Standard deviations of logarithms: exposure over half a clip and from frame to frame, balance of a channel."""

NOISE_SHARE, NOISES = 0.3, (0.004, 0.012)
LEAST_SEEN = 0.3
"""Share of the targets that the sources must show."""

ATTEMPTS = 20


@dataclass(eq=False)
class Recorder:
    """In the network's place: remembers what it is shown and leaves the weighed mean."""

    seen: list[BlendEvidence] = field(default_factory=list)

    def answer(self, evidence: BlendEvidence) -> tuple[Tensor, Tensor]:
        self.seen.append(evidence)
        return torch.zeros_like(evidence.shown), evidence.mean.clone()


def make_blend_samples(settings: Sampling) -> None:
    """`rap train blend-samples`."""
    write_samples(settings, draw_sample)


def draw_sample(rng: np.random.Generator, bank: TextureBank) -> dict[str, np.ndarray]:
    """The arrays of one sample.

    Returns:
        Fields of BlendEvidence as `stored` keeps them, and `truth_u8`: (T,3,H,W) the rendered frames.
    """
    for _ in range(ATTEMPTS):
        clip = moving_clip(rng, bank)
        frames_u8, intrinsics = clip.frames_u8[0].numpy(), clip.intrinsics[0].numpy()
        Ts = shaken(rng, clip.Ts_world_camera[0].numpy())
        points = sparse_points(frames_u8, Ts, intrinsics)[1]
        frames = exposed(rng, torch.from_numpy(frames_u8).permute(0, 3, 1, 2).float() / 255)
        shown = draw_shown(rng)
        sources = noisy(rng, frames[shown])
        depth = plane_sweep(
            sources, Ts[shown], intrinsics[shown], points, point_frames=shown, network=embedded_depth_network()
        )
        targets, recorder = draw_targets(rng, shown, len(frames)), Recorder()
        seen = warp(
            sources, depth.inverse_depth, Ts[shown], intrinsics[shown], Ts[targets], intrinsics[targets],
            (frames.shape[2], frames.shape[3]), confidence=depth.confidence, network=recorder,
        )  # fmt: skip
        if seen.mask.float().mean() >= LEAST_SEEN:
            return stored(recorder.seen) | {"truth_u8": as_u8(frames[targets])}
    raise RuntimeError(f"no clip whose sources show its targets in {ATTEMPTS}; please report the seed")


def draw_targets(rng: np.random.Generator, shown: list[int], count: int) -> list[int]:
    """Some frames that are not shown, mostly between those that are."""
    hidden = [i for i in range(count) if i not in shown]
    between = [i for i in hidden if shown[0] < i < shown[-1]]
    pool = between if between and rng.random() < BETWEEN_SHARE else hidden
    return sorted(rng.permutation(pool)[:TARGETS].tolist())


def shaken(rng: np.random.Generator, Ts: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 4 4"]:
    """Poses with errors that drift and tremble."""
    reach = np.linalg.norm(Ts[:, :3, 3] - Ts[0, :3, 3], axis=1).max()
    amount = rng.choice(POSE_ERRORS[0], p=POSE_ERRORS[1])
    scale = np.repeat([POSE_ERROR_REACH * reach, POSE_ERROR_RAD], 3)
    tremble = rng.normal(size=(len(Ts), 6))
    drift = _between(rng.normal(size=(POSE_KNOTS, 6)), len(Ts))
    return Ts @ se3.exp(amount * scale * (drift + 0.5 * tremble))


def exposed(rng: np.random.Generator, frames: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T 3 H W"]:
    """Frames under an exposure and a balance that change with time, as a camera's automatic ones do."""
    if rng.random() < STEADY_SHARE:
        return frames
    count = len(frames)
    exposure = _between(np.cumsum(EXPOSURE_STEP * rng.normal(size=(3, 1)), axis=0), count)
    exposure = exposure + EXPOSURE_NOISE * rng.normal(size=(count, 1))
    gains = np.exp(exposure + _between(BALANCE * rng.normal(size=(3, 3)), count))
    return (frames * torch.from_numpy(gains).float()[..., None, None]).clamp(0, 1)


def noisy(rng: np.random.Generator, frames: Float[Tensor, "S 3 H W"]) -> Float[Tensor, "S 3 H W"]:
    """Some clips with a sensor's noise."""
    if rng.random() >= NOISE_SHARE:
        return frames
    noise = rng.choice(NOISES) * rng.standard_normal(frames.shape, dtype=np.float32)
    return (frames + torch.from_numpy(noise)).float().clamp(0, 1)


def _between(knots: Float[np.ndarray, "K D"], count: int) -> Float[np.ndarray, "T D"]:
    """`count` values on straight lines from knot to knot."""
    places = np.linspace(0, len(knots) - 1, count)
    return np.stack([np.interp(places, np.arange(len(knots)), column) for column in knots.T], axis=1)


# --- on disk ----------------------------------------------------------------------------------------------------------


def as_u8(values: Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def stored(parts: list[BlendEvidence]) -> dict[str, np.ndarray]:
    """All targets of the evidence: the single sources' colours and maps as bytes."""
    evidence = BlendEvidence(torch.cat([part.inputs for part in parts]))
    singles = (evidence.mean[:, None] + evidence.differences) * evidence.shown[:, :, None]
    return {
        "mean_u8": as_u8(evidence.mean),
        "single_u8": as_u8(singles),
        "shown": evidence.shown.numpy() > 0,
        "maps_u8": as_u8(evidence.maps),
    }


@dataclass(frozen=True, eq=False)
class BlendSamples:
    """Samples in memory: 4 MB a clip."""

    clips: tuple[dict[str, Tensor], ...]

    @classmethod
    def read(cls, folder: Path) -> BlendSamples:
        """All samples of a folder, in the order of their numbers; InputError where there are none."""
        return cls(read_samples(folder, "rap train blend-samples"))

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, int]) -> tuple[BlendEvidence, Tensor]:
        """Cut-outs of `size` (H, W) of random targets, some mirrored, some with their channels in another order.

        Returns:
            The evidence, and the true colours (count,3,H,W) in [0, 1].
        """
        cuts = [_cut(self.clips[rng.integers(len(self.clips))], rng, size) for _ in range(count)]
        batch = {name: torch.stack([cut[name] for cut in cuts]) for name in cuts[0]}
        mean, single, maps, truth = (batch[f"{name}_u8"].float() / 255 for name in ("mean", "single", "maps", "truth"))
        shown = batch["shown"].float()
        differences = (single - mean[:, None]) * shown[:, :, None]
        return BlendEvidence(torch.cat([mean, differences.flatten(1, 2), shown, maps], dim=1)), truth


def _cut(clip: dict[str, Tensor], rng: np.random.Generator, size: tuple[int, int]) -> dict[str, Tensor]:
    """A cut-out of one target, beginning at even rows and columns, as the network's cells do."""
    target, (H, W) = int(rng.integers(len(clip["truth_u8"]))), clip["truth_u8"].shape[-2:]
    y, x = (2 * int(rng.integers((whole - part) // 2 + 1)) for whole, part in zip((H, W), size, strict=True))
    cut = {name: values[target][..., y : y + size[0], x : x + size[1]] for name, values in clip.items()}
    if rng.random() < 0.5:
        cut = {name: values.flip(-1) for name, values in cut.items()}
    order = torch.from_numpy(rng.permutation(3)) if rng.random() < 0.5 else torch.arange(3)
    for name in ("mean_u8", "single_u8", "truth_u8"):
        cut[name] = cut[name].index_select(-3, order)
    return cut
