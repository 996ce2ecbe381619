"""Batches drawn by processes and replayed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import rap.train.replay
from rap import cli
from rap.data.dataset import ClipStore
from rap.flow import Pair
from rap.synthetic import SyntheticConfig, build_shards
from rap.train import ModelTraining
from rap.train.replay import Replay, redrawn


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Three shards of small clips, and a linear codec of them."""
    shards, codec = tmp_path_factory.mktemp("shards"), tmp_path_factory.mktemp("codec")
    list(build_shards(shards, 6, 0, SyntheticConfig(size=(32, 32), num_frames=5), shard_size=2, with_depth=True))
    sizes = ("--z-dim", "12", "--refiner-blocks", "0", "--fit-clips", "4", "--steps", "1")
    assert cli.main(["train", "codec", "--data", str(shards), "--out", str(codec), *sizes]) == 0
    return shards, codec


def settings_of(folders: tuple[Path, Path], **changes) -> ModelTraining:
    shards, codec = folders
    return ModelTraining(data=str(shards), codec=str(codec), batch=2, draw_processes=2, replay_batches=2, **changes)


def test_times_drawn_again_keep_tasks_and_what_is_pure_noise() -> None:
    video = torch.tensor([[0.0, 0.4, 0.4, 0.4], [0.0, 0.2, 0.7, 0.5], [0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    rays = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.3, 0.3], [1.0, 1.0]])
    again = redrawn(Pair(video, rays), np.random.default_rng(0))
    for before, after in zip((video, rays), again, strict=True):
        fixed = (before == 0) | (before == 1)
        assert torch.equal(after[fixed], before[fixed])
        assert ((after > 0) & (after <= 1) & (after != before))[~fixed].all()
    assert len(set(again.video[0, 1:].tolist())) == 1  # one time for the clip stays one
    assert len(set(again.video[1, 1:].tolist())) == 3
    assert again.rays[2, 0] == again.rays[2, 1]


def test_stores_of_all_shares_hold_every_clip_once(folders: tuple[Path, Path]) -> None:
    shards = folders[0]
    stores = [ClipStore(shards, share=(number, 2)) for number in range(2)]
    found = np.concatenate([clips.frames_u8 for store in stores for clips in store.all_clips()])
    whole = np.concatenate([clips.frames_u8 for clips in ClipStore(shards).all_clips()])
    assert sorted(map(bytes, found)) == sorted(map(bytes, whole))
    assert len(ClipStore(shards, share=(3, 4))) == 6  # fewer shards than readers: everyone has all


@pytest.mark.slow  # two processes that import torch anew
def test_replayed_batches_are_used_again_under_other_times(folders: tuple[Path, Path]) -> None:
    replay = Replay(
        settings_of(folders, estimate_rate=1.0, generate_rate=0.0, known_focal_rate=0.0), torch.device("cpu")
    )
    try:
        batches = [replay(step) for step in range(40)]
    finally:
        replay.close()
    assert replay.drawn >= 2
    videos = {batch.clean.video.numpy().tobytes() for batch in batches}
    assert len(videos) < len(batches)
    times = {tuple(batch.times.rays.flatten().tolist()) for batch in batches}
    assert len(times) > len(videos)
    assert not any(process.is_alive() for process in replay._processes)


@pytest.mark.slow  # two processes that import torch anew
def test_processes_that_fail_end_the_training(folders: tuple[Path, Path], tmp_path: Path) -> None:
    replay = Replay(settings_of((tmp_path, folders[1])), torch.device("cpu"))  # a folder without shards
    try:
        with pytest.raises(RuntimeError, match="have ended"):
            replay(0)
    finally:
        replay.close()


def test_a_training_with_processes_leaves_a_pipeline(folders: tuple[Path, Path], tmp_path: Path) -> None:
    shards, codec = folders
    network = ("--width", "16", "--heads", "1", "--layers", "1")
    length = ("--batch", "2", "--steps", "3", "--draw-processes", "1")
    where = ("--data", str(shards), "--codec", str(codec), "--out", str(tmp_path))
    assert cli.main(["train", "model", *where, *network, *length]) == 0
    assert (tmp_path / "pipeline" / "model_index.json").is_file()
    assert json.loads((tmp_path / "throughput.json").read_text())["samples_per_s"] > 0


class Enough(Exception):
    """Ends a process's endless loop."""


class Bag:
    """Stands for the queue: after so many batches new shards are written, after twice as many it is full."""

    def __init__(self, capacity: int, folder: Path) -> None:
        self.capacity, self.folder, self.count = capacity, folder, 0

    def put(self, batch) -> None:
        self.count += 1
        if self.count == self.capacity:
            config = SyntheticConfig(size=(32, 32), num_frames=5)
            list(build_shards(self.folder / "more", 2, 5, config, shard_size=1, with_depth=True))
        if self.count > self.capacity + rap.train.replay.REFRESH_EVERY:
            raise Enough


def test_drawing_goes_on_to_shards_written_meanwhile(folders: tuple[Path, Path], tmp_path: Path, monkeypatch) -> None:
    shards, stores = tmp_path / "shards", []
    shutil.copytree(folders[0], shards)

    def kept(*arguments, **options) -> ClipStore:
        stores.append(ClipStore(*arguments, **options))
        return stores[-1]

    monkeypatch.setattr(rap.train.replay, "ClipStore", kept)
    monkeypatch.setattr(os, "nice", lambda by: None)
    threads = torch.get_num_threads()
    with pytest.raises(Enough):
        rap.train.replay._draw_forever(settings_of((shards, folders[1])), 0, Bag(3, shards))
    torch.set_num_threads(threads)
    assert len(stores[0]) == 4 + 1, "every other one of three shards of two, and of two new ones of one"
