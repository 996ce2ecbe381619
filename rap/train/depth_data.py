"""`rap train depth-samples`: what plane sweeps of rendered clips show the depth network, and the rendered depth.

Every sample is one clip: some of its frames swept as the app sweeps them, with points from tracks through all frames,
cameras and colours a little off, as refined poses and real exposure are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rap.geometry import se3
from rap.reconstruction.tracks import sparse_points
from rap.synthetic.clips import SyntheticBatch
from rap.synthetic.textures import TextureBank
from rap.train.samples import Sampling, draw_shown, moving_clip, read_samples, write_samples
from rap.views.depth import sweep_evidence
from rap.views.depth_network import Evidence, as_bytes

KEPT_SOURCES = 3
"""Frames of a clip that are kept: those of one clip resemble each other."""

POSE_ERRORS = (0.0, 0.5, 1.0, 2.0), (0.3, 0.3, 0.3, 0.1)
"""How far poses may be off, in units of the next two, and the share of each."""

POSE_ERROR_RAD, POSE_ERROR_REACH = float(np.radians(0.05)), 0.003
FLICKER_SHARE = 0.6  # of clips whose frames differ in exposure, balance, gamma and noise
FEWER_POINTS_SHARE = 0.3  # of cut-outs
MAX_PLANES_OFF = (-200.0, 400.0)
COSTS = ("blind_u8", "informed_u8")  # their planes are the last axis
ATTEMPTS = 20


def make_depth_samples(settings: Sampling) -> None:
    """`rap train depth-samples`."""
    write_samples(settings, draw_sample)


# --- one sample -------------------------------------------------------------------------------------------------------


def draw_sample(rng: np.random.Generator, bank: TextureBank) -> dict[str, np.ndarray]:
    """The arrays of one sample.

    Returns:
        Fields of Evidence as `stored` keeps them, and `truth`: (S,2h,2w) float16, rendered depth in fractions of plane
        numbers.
    """
    for _ in range(ATTEMPTS):
        clip = moving_clip(rng, bank)
        shown = draw_shown(rng)
        found = _swept(rng, clip, shown)
        if found is not None:
            evidence, planes = found
            kept = np.sort(rng.permutation(len(shown))[:KEPT_SOURCES])
            assert clip.depth is not None
            inverse_depth = 1 / clip.depth[0].numpy()[np.asarray(shown)[kept]]
            truth = (inverse_depth - planes[kept, 0, None, None]) / planes[kept, 1, None, None]
            return stored(evidence, kept) | {"truth": np.clip(truth, *MAX_PLANES_OFF).astype(np.float16)}
    raise RuntimeError(f"no clip with parallax in {ATTEMPTS}; please report the seed")


def _swept(
    rng: np.random.Generator, clip: SyntheticBatch, shown: list[int]
) -> tuple[Evidence, Float[np.ndarray, "S 2"]] | None:
    """The sweep of some frames under cameras and with colours that are a little off; points are of true cameras."""
    frames_u8, intrinsics = clip.frames_u8[0].numpy(), clip.intrinsics[0].numpy()
    Ts = clip.Ts_world_camera[0].numpy()
    points = sparse_points(frames_u8, Ts, intrinsics)[1]
    Ts = _shaken(rng, Ts)
    frames = torch.from_numpy(frames_u8[shown]).permute(0, 3, 1, 2).float() / 255
    if rng.random() < FLICKER_SHARE:
        frames = _flickering(rng, frames)
    return sweep_evidence(frames, Ts[shown], intrinsics[shown], points, point_frames=shown)


def _shaken(rng: np.random.Generator, Ts: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 4 4"]:
    reach = np.linalg.norm(Ts[:, :3, 3] - Ts[0, :3, 3], axis=1).max()
    amount = rng.choice(POSE_ERRORS[0], p=POSE_ERRORS[1])
    scale = np.repeat([POSE_ERROR_REACH * reach, POSE_ERROR_RAD], 3)
    return Ts @ se3.exp(amount * scale * rng.normal(size=(len(Ts), 6)))


def _flickering(rng: np.random.Generator, frames: Float[Tensor, "S 3 H W"]) -> Float[Tensor, "S 3 H W"]:
    count = len(frames)
    balance = 1 + 0.03 * rng.normal(size=(count, 3, 1, 1)) + 0.06 * rng.normal(size=(count, 1, 1, 1))
    gamma = np.exp(0.08 * rng.normal(size=(count, 1, 1, 1)))
    noise = rng.choice([0.0, 0.004, 0.012]) * rng.standard_normal(frames.shape, dtype=np.float32)
    found = frames.clamp(min=1e-4).numpy() ** gamma * balance + noise
    return torch.from_numpy(found.clip(0, 1)).float()


# --- on disk ----------------------------------------------------------------------------------------------------------


def stored(evidence: Evidence, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Some sources of the evidence, pictures and costs as bytes."""
    kept_rows = torch.from_numpy(kept)
    return {
        "colour_u8": (evidence.colour[kept_rows] * 255).round().to(torch.uint8).numpy(),
        "maps": evidence.maps[kept_rows].half().numpy(),
        "blind_u8": as_bytes(evidence.blind[kept_rows]).numpy(),
        "informed_u8": as_bytes(evidence.informed[kept_rows]).numpy(),
        "planes": evidence.planes[kept_rows].numpy(),
        "moved_px": evidence.moved_px[kept_rows].numpy(),
    }


@dataclass(frozen=True, eq=False)
class DepthSamples:
    """Samples in memory: 6 MB a clip."""

    clips: tuple[dict[str, Tensor], ...]

    @classmethod
    def read(cls, folder: Path) -> DepthSamples:
        """All samples of a folder, in the order of their numbers; InputError where there are none."""
        return cls(read_samples(folder, "rap train depth-samples"))

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, int]) -> tuple[Evidence, Tensor]:
        """Cut-outs of `size` (h, w) of random sources, some mirrored, some with fewer points.

        Returns:
            The evidence, and the true depths (count, 2h, 2w) in fractions of plane numbers.
        """
        cuts = [_cut(self.clips[rng.integers(len(self.clips))], rng, size) for _ in range(count)]
        planes = max(int(cut["planes"]) for cut in cuts)
        for cut in cuts:
            for name in COSTS:
                own = cut[name]
                cut[name] = torch.cat([own, own[..., -1:].expand(*own.shape[:2], planes - own.shape[-1])], dim=-1)
        batch = {name: torch.stack([cut[name] for cut in cuts]) for name in cuts[0]}
        evidence = Evidence(
            batch["colour_u8"].float() / 255,
            batch["maps"].float(),
            batch["blind_u8"],
            batch["informed_u8"],
            batch["planes"],
            batch["moved_px"],
        )
        return evidence, batch["truth"].float()


def _cut(clip: dict[str, Tensor], rng: np.random.Generator, size: tuple[int, int]) -> dict[str, Tensor]:
    """A cut-out of one source."""
    source, (h, w) = int(rng.integers(len(clip["maps"]))), clip["maps"].shape[-2:]
    y, x = (int(rng.integers(whole - part + 1)) for whole, part in zip((h, w), size, strict=True))
    fine = slice(2 * y, 2 * (y + size[0])), slice(2 * x, 2 * (x + size[1]))
    coarse = slice(y, y + size[0]), slice(x, x + size[1])
    cut = {name: clip[name][source][(..., *fine)] for name in ("colour_u8", "truth")}
    cut |= {name: clip[name][source][coarse] for name in COSTS}
    cut |= {name: clip[name][source] for name in ("planes", "moved_px")}
    cut["maps"] = clip["maps"][source][(..., *coarse)].clone()
    if rng.random() < FEWER_POINTS_SHARE:
        cut["maps"][4:6] *= torch.from_numpy(rng.random(size) < rng.random())
    if rng.random() < 0.5:
        for name in ("colour_u8", "truth", "maps"):
            cut[name] = cut[name].flip(-1)
        for name in COSTS:
            cut[name] = cut[name].flip(-2)
    return cut
