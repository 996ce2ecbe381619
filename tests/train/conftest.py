"""Shards, a codec and a short run that several tests of trainings only read, made once in a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from training_runs import train_codec, train_model

from rap.synthetic import SyntheticConfig, build_shards, textures


@pytest.fixture(scope="module", autouse=True)
def few_patterns() -> Iterator[None]:
    """A bank of patterns takes seconds to make; those made up are judged in tests/synthetic."""
    with pytest.MonkeyPatch.context() as patch:
        textures._texture_bank.cache_clear()
        patch.setattr(textures, "NUM_PROCEDURAL", 24)
        patch.setattr(textures, "NUM_TILED", 8)
        yield
    textures._texture_bank.cache_clear()


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    for size in ((32, 32), (32, 64)):
        config = SyntheticConfig(size=size, num_frames=9, texture_size=16, photometric=False)  # noise teaches nothing
        list(build_shards(folder / f"{size[0]}x{size[1]}", 6, 3, config, shard_size=4))
    return folder


@pytest.fixture(scope="session")
def codec(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("codec")
    train_codec(shards, out, "--steps", 200, "--learning-rate", 3e-3)
    return out


@pytest.fixture(scope="session")
def straight(shards: Path, codec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps without interruption."""
    out = tmp_path_factory.mktemp("straight")
    train_model(shards, codec, out, "--steps", 6)
    return out


@pytest.fixture(scope="session")
def depth_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth")
    config = SyntheticConfig(size=(64, 64), num_frames=9, texture_size=16)
    list(build_shards(folder, 3, 2, config, with_depth=True))
    return folder
