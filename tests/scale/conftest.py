"""What several processes train on here: tiny shards and a codec, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from rap import train
from rap.synthetic import SyntheticConfig, build_shards


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    for size in ((32, 32), (32, 64)):
        config = SyntheticConfig(size=size, num_frames=9, texture_size=16, photometric=False)
        list(build_shards(folder / f"{size[0]}x{size[1]}", 6, 3, config, shard_size=4))
    return folder


@pytest.fixture(scope="session")
def codec(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("codec")
    flags = ("--z-dim", 16, "--refiner-blocks", 0, "--batch", 2, "--fit-clips", 8)
    assert train.main(list(map(str, ["codec", "--data", shards, "--out", out, *flags]))) == 0
    return out
