"""Samples of rendered clips for the small networks of the geometry: one file a clip, written by several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.multiprocessing
from torch import Tensor
from tqdm import tqdm

from rap.config import NUM_FRAMES
from rap.errors import InputError
from rap.synthetic.clips import SyntheticBatch, SyntheticConfig, plan_clip, render_plan
from rap.synthetic.textures import TextureBank, texture_bank

SIZES = {(160, 224): 0.4, (128, 224): 0.25, (168, 224): 0.2, (224, 224): 0.15}
"""(h, w) of the frames and the share of each; the long side is the app's (`rap.views.preview.SCENE_SIDE`)."""

WITHOUT_PARALLAX = ("still", "pan", "tilt", "roll", "turn")
"""Kinds of motion in which there is little depth to be seen."""

Draw = Callable[[np.random.Generator, TextureBank], dict[str, np.ndarray]]
"""One sample, by its random numbers."""

_worker: dict[str, Any] = {}  # what a worker process got from its initialiser


@dataclass(frozen=True)
class Sampling:
    """Settings of the commands that write samples. `textures` is a folder of photographs; without it patterns are
    drawn.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("out",)

    out: str = ""
    textures: str = ""
    clips: int = 1200
    seed: int = 0
    workers: int = 1
    threads: int = 0


def write_samples(settings: Sampling, draw: Draw) -> None:
    """Write `clips` samples, each by (seed, its index) alone; those that exist are left."""
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(settings.seed, index) for index in range(settings.clips)]
    jobs = [job for job in jobs if not sample_path(out, *job).exists()]
    config = SyntheticConfig(textures=Path(settings.textures) if settings.textures else None)
    bank = texture_bank(config.textures, config.texture_size, "cpu")
    written = _written((out, bank, draw), jobs, settings.workers)
    for _ in tqdm(written, total=len(jobs), desc="samples", mininterval=5):
        pass


def read_samples(folder: Path, command: str) -> tuple[dict[str, Tensor], ...]:
    """All samples of a folder, in the order of their numbers.

    Raises:
        InputError: there are none; `command` makes them.
    """
    paths = sorted(Path(folder).glob("sample-*.npz"))
    if not paths:
        raise InputError(f"--data {folder}: holds no samples; make them with {command} --out {folder}")
    return tuple(_read(path) for path in paths)


def sample_path(folder: Path, seed: int, index: int) -> Path:
    """Samples of several seeds may lie in one folder."""
    return folder / f"sample-{seed}-{index:06d}.npz"


def moving_clip(rng: np.random.Generator, bank: TextureBank) -> SyntheticBatch:
    """A clip of one of SIZES with parallax, and its depth."""
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


def _written(shared: tuple[Path, TextureBank, Draw], jobs: list[tuple[int, int]], workers: int) -> Iterator[None]:
    if workers == 1:
        _start_worker(*shared)
        yield from map(_write_sample, jobs)
        return
    shared[1].texels.share_memory_()  # one copy for all processes
    with torch.multiprocessing.get_context("spawn").Pool(workers, _start_worker, shared) as pool:
        yield from pool.imap_unordered(_write_sample, jobs)


def _start_worker(out: Path, bank: TextureBank, draw: Draw) -> None:
    if torch.multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # the processes already fill the cores
    _worker.update(out=out, bank=bank, draw=draw)


def _write_sample(job: tuple[int, int]) -> None:
    seed, index = job
    sample: dict[str, Any] = _worker["draw"](np.random.default_rng((seed, index)), _worker["bank"])
    path = sample_path(_worker["out"], seed, index)
    partial = path.with_name(path.name + f".{os.getpid()}.part")
    with partial.open("wb") as file:
        np.savez(file, **sample)
    partial.replace(path)


def _read(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}
