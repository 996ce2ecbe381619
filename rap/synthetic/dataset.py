"""Shards of synthetic clips on disk, made once by several processes.

A shard is an `.npz` with the arrays of SyntheticBatch under their names (ARRAYS always; `kinds`; `depth` when asked
for). `rap.data.dataset` reads them for training, knowing nothing of this module; a test holds the two together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing

from rap.errors import InputError
from rap.synthetic.clips import MakeClips, SyntheticConfig, render_clips
from rap.synthetic.textures import TextureBank, texture_bank

RENDERER_VERSION = 8
"""Of scenes, motions and looks: raised with every change of what a seed gives, so that shards are never mixed."""

INDEX_NAME = "index.json"
ARRAYS = ("frames_u8", "Ts_world_camera", "intrinsics", "median_depth")
_worker: dict[str, Any] = {}  # what a worker process got from its initialiser


def build_shards(
    out_dir: Path,
    count: int,
    seed: int,
    config: SyntheticConfig,
    workers: int = 1,
    *,
    shard_size: int = 64,
    with_depth: bool = False,
    make: MakeClips = render_clips,
) -> Iterator[int]:
    """Write `count` clips as npz shards of `shard_size`, skipping shards that exist; yield the number of clips on disk.

    Clip k is `make(seed, 1, config, start=k)`, whatever the number of workers. A shard is renamed into place
    when complete, so that a run that was stopped is continued by calling again. Nothing runs until the caller iterates.

    Args:
        workers: processes; 1 renders in this process.
        with_depth: also store z-depth (float16, unit of length as in SyntheticBatch).
        make: scenes rendered, or photographs flown through.

    Raises:
        InputError: out_dir holds shards of another seed, size or configuration.
    """
    if count < 1 or workers < 1 or shard_size < 1:
        raise ValueError(f"count, workers and shard_size must be at least 1, got {count}, {workers}, {shard_size}")
    out_dir = Path(out_dir)
    description = _description(seed, config, shard_size, with_depth)
    _refuse_others(out_dir, description)
    starts = range(0, count, shard_size)
    jobs = [(s, min(shard_size, count - s)) for s in starts]
    jobs = [job for job in jobs if not _is_complete(shard_path(out_dir, job[0]), job[1])]
    done = count - sum(size for _, size in jobs)
    yield done
    if not jobs:
        return
    bank = None if config.photographs else texture_bank(config.textures, config.texture_size, "cpu")
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / INDEX_NAME).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    arguments = (out_dir, seed, config, with_depth, bank, make)
    if workers == 1:
        _start_worker(*arguments)
        for job in jobs:
            done += _write_shard(job)
            yield done
        return
    if bank is not None:
        bank.texels.share_memory_()  # one copy for all processes
    with torch.multiprocessing.get_context("spawn").Pool(workers, _start_worker, arguments) as pool:
        for size in pool.imap_unordered(_write_shard, jobs):
            done += size
            yield done


def shard_path(out_dir: Path, start: int) -> Path:
    """File of the shard whose first clip is `start`."""
    return Path(out_dir) / f"clips-{start:08d}.npz"


def _description(seed: int, config: SyntheticConfig, shard_size: int, with_depth: bool) -> dict[str, Any]:
    fields = asdict(replace(config, device="cpu"))
    for name in ("textures", "photographs"):
        folder = getattr(config, name)
        fields[name] = None if folder is None else Path(folder).name
    options = {"renderer": RENDERER_VERSION, "seed": seed, "shard_size": shard_size, "with_depth": with_depth}
    return {**options, **json.loads(json.dumps(fields))}


def _refuse_others(out_dir: Path, description: dict[str, Any]) -> None:
    """Refuse a folder that holds clips of another description."""
    path = out_dir / INDEX_NAME
    if not path.exists():
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    found = {"stills": False, "family": "", "photographs": None, **found}  # folders from before there were any
    for name, value in description.items():
        if found.get(name) != value:
            raise InputError(
                f"shards: {out_dir} was made with {name} = {found.get(name)!r}, not {value!r}; give another folder"
            )


def _is_complete(path: Path, size: int) -> bool:
    """Whether the shard holds `size` clips; a last one that was shorter is made again when more are wanted."""
    if not path.exists():
        return False
    with np.load(path, allow_pickle=False) as file:
        return len(file["median_depth"]) >= size


def _start_worker(
    out_dir: Path, seed: int, config: SyntheticConfig, with_depth: bool, bank: TextureBank | None, make: MakeClips
) -> None:
    if torch.multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # the processes already fill the cores
    if bank is not None and config.device != "cpu":
        bank = bank.to(config.device)
    _worker.update(out_dir=out_dir, seed=seed, config=config, with_depth=with_depth, bank=bank, make=make)


def _write_shard(job: tuple[int, int]) -> int:
    start, size = job
    batch = _worker["make"](
        _worker["seed"], size, _worker["config"], start=start, with_depth=_worker["with_depth"], bank=_worker["bank"]
    )
    arrays = {name: getattr(batch, name).cpu().numpy() for name in ARRAYS}
    if batch.depth is not None:
        arrays["depth"] = batch.depth.half().cpu().numpy()
    path = shard_path(_worker["out_dir"], start)
    partial = path.with_name(path.name + f".{os.getpid()}.part")
    with partial.open("wb") as file:
        np.savez(file, kinds=np.array(batch.kinds), **arrays)
    partial.replace(path)
    return size
