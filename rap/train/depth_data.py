"""`rap train depth-samples`: what plane sweeps of rendered clips show the depth network, and the rendered depth.

Every sample is one clip: some of its frames swept as the app sweeps them, with points from tracks through all frames,
cameras and colours a little off, as refined poses and real exposure are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.multiprocessing
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from rap.config import NUM_FRAMES
from rap.errors import InputError
from rap.geometry import se3
from rap.geometry.depth import sweep_evidence
from rap.geometry.depth_network import Evidence, as_bytes
from rap.geometry.tracks import sparse_points
from rap.synthetic.clips import SyntheticBatch, SyntheticConfig, plan_clip, render_plan
from rap.synthetic.textures import TextureBank, texture_bank

SIZES = {(160, 224): 0.4, (128, 224): 0.25, (168, 224): 0.2, (224, 224): 0.15}
"""(h, w) of the frames and the share of each; the long side is the app's (`rap.scene.SCENE_SIDE`)."""

WITHOUT_PARALLAX = ("still", "pan", "tilt", "roll", "turn")
"""Kinds of motion in which there is little depth to be seen."""

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
_worker: dict[str, Any] = {}  # what a worker process got from its initialiser


@dataclass(frozen=True)
class DepthSampling:
    """Settings of `rap train depth-samples`. `textures` is a folder of photographs; without it patterns are drawn."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("out",)

    out: str = ""
    textures: str = ""
    clips: int = 1200
    seed: int = 0
    workers: int = 1
    threads: int = 0


def make_samples(settings: DepthSampling) -> None:
    """Write `clips` samples, each by (seed, its index) alone; those that exist are left."""
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(settings.seed, index) for index in range(settings.clips)]
    jobs = [job for job in jobs if not sample_path(out, *job).exists()]
    config = SyntheticConfig(textures=Path(settings.textures) if settings.textures else None)
    bank = texture_bank(config.textures, config.texture_size, "cpu")
    for _ in tqdm(_written(out, bank, jobs, settings.workers), total=len(jobs), desc="samples", mininterval=5):
        pass


def _written(out: Path, bank: TextureBank, jobs: list[tuple[int, int]], workers: int) -> Iterator[None]:
    if workers == 1:
        _start_worker(out, bank)
        yield from map(_write_sample, jobs)
        return
    bank.texels.share_memory_()  # one copy for all processes
    with torch.multiprocessing.get_context("spawn").Pool(workers, _start_worker, (out, bank)) as pool:
        yield from pool.imap_unordered(_write_sample, jobs)


def sample_path(folder: Path, seed: int, index: int) -> Path:
    """Samples of several seeds may lie in one folder."""
    return folder / f"sample-{seed}-{index:06d}.npz"


def _start_worker(out: Path, bank: TextureBank) -> None:
    if torch.multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # the processes already fill the cores
    _worker.update(out=out, bank=bank)


def _write_sample(job: tuple[int, int]) -> None:
    seed, index = job
    sample: dict[str, Any] = draw_sample(np.random.default_rng((seed, index)), _worker["bank"])
    path = sample_path(_worker["out"], seed, index)
    partial = path.with_name(path.name + f".{os.getpid()}.part")
    with partial.open("wb") as file:
        np.savez(file, **sample)
    partial.replace(path)


# --- one sample -------------------------------------------------------------------------------------------------------


def draw_sample(rng: np.random.Generator, bank: TextureBank) -> dict[str, np.ndarray]:
    """The arrays of one sample.

    Returns:
        Fields of Evidence as `stored` keeps them, and `truth`: (S,2h,2w) float16, rendered depth in fractions of plane
        numbers.
    """
    for _ in range(ATTEMPTS):
        clip = _draw_clip(rng, bank)
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


def _draw_clip(rng: np.random.Generator, bank: TextureBank) -> SyntheticBatch:
    size = list(SIZES)[rng.choice(len(SIZES), p=list(SIZES.values()))]
    config = SyntheticConfig(size=size, num_frames=NUM_FRAMES, supersample_share=0.3)
    plan = plan_clip(rng, config, bank)
    while plan.kind.split("/")[1] in WITHOUT_PARALLAX:
        plan = plan_clip(rng, config, bank)
    return render_plan(plan, rng, config, bank)


def draw_shown(rng: np.random.Generator) -> list[int]:
    """Which of 17 frames are swept together: mostly three, near or far from each other, else two, five or nine."""
    draw = rng.random()
    if draw < 0.35:
        return [0, 8, 16]
    if draw < 0.55:
        gap = int(rng.integers(3, 8))
        first = int(rng.integers(0, NUM_FRAMES - 2 * gap))
        return [first, first + gap, first + 2 * gap]
    if draw < 0.7:
        return np.sort(rng.permutation(NUM_FRAMES)[: 3 if draw < 0.65 else 2]).tolist()
    return list(range(0, NUM_FRAMES, 4 if draw < 0.8 else 2))


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
        """All samples of a folder, in the order of their numbers.

        Raises:
            InputError: there are none.
        """
        paths = sorted(Path(folder).glob("sample-*.npz"))
        if not paths:
            raise InputError(
                f"--data {folder}: holds no samples; make them with rap train depth-samples --out {folder}"
            )
        return cls(tuple(_read(path) for path in paths))

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


def _read(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


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
