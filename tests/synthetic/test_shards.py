"""Shards: resumable, the same clips however they are made, refused when they are something else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rap.errors import InputError
from rap.synthetic import SyntheticConfig, build_shards, render_clips

CONFIG = SyntheticConfig(size=(16, 24), num_frames=3, texture_size=16)


def shard_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("clips-*.npz"))


def frames_in(path: Path) -> torch.Tensor:
    with np.load(path, allow_pickle=False) as shard:
        return torch.from_numpy(shard["frames_u8"])


def test_shards_hold_the_clips_of_their_indices(tmp_path: Path) -> None:
    assert list(build_shards(tmp_path, 5, 9, CONFIG, shard_size=2, with_depth=True)) == [0, 2, 4, 5]
    files = shard_files(tmp_path)
    assert [f.name for f in files] == ["clips-00000000.npz", "clips-00000002.npz", "clips-00000004.npz"]
    whole = render_clips(9, 5, CONFIG, with_depth=True)
    assert whole.depth is not None
    with np.load(files[1], allow_pickle=False) as second:
        for name in ("frames_u8", "Ts_world_camera", "intrinsics", "median_depth"):
            assert np.array_equal(second[name], getattr(whole, name)[2:4].numpy())
        assert tuple(second["kinds"]) == whole.kinds[2:4]
        np.testing.assert_allclose(second["depth"], whole.depth[2:4], rtol=1e-3, atol=1e-3)  # stored as float16


def test_a_stopped_run_is_continued(tmp_path: Path) -> None:
    run = build_shards(tmp_path, 4, 9, CONFIG, shard_size=2)
    assert next(run) == 0 and next(run) == 2
    run.close()
    before = {f.name: f.stat().st_mtime_ns for f in shard_files(tmp_path)}
    assert list(build_shards(tmp_path, 5, 9, CONFIG, shard_size=2)) == [2, 4, 5]
    assert all((tmp_path / name).stat().st_mtime_ns == time for name, time in before.items())
    assert list(build_shards(tmp_path, 5, 9, CONFIG, shard_size=2)) == [5]
    assert list(build_shards(tmp_path, 6, 9, CONFIG, shard_size=2))[-1] == 6  # the short last shard is made again
    assert len(frames_in(shard_files(tmp_path)[-1])) == 2
    assert not list(tmp_path.glob("*.part"))


def test_processes_make_the_same_clips(tmp_path: Path) -> None:
    assert list(build_shards(tmp_path, 4, 9, CONFIG, workers=2, shard_size=2))[-1] == 4
    frames = torch.cat([frames_in(f) for f in shard_files(tmp_path)])
    assert torch.equal(frames, render_clips(9, 4, CONFIG).frames_u8)


def test_stills_go_into_folders_of_their_own(tmp_path: Path) -> None:
    """Folders from before there were stills hold clips."""
    one = replace(CONFIG, num_frames=1)
    list(build_shards(tmp_path, 1, 9, one))
    index = tmp_path / "index.json"
    before = json.loads(index.read_text())
    index.write_text(json.dumps({name: value for name, value in before.items() if name != "stills"}))
    assert list(build_shards(tmp_path, 1, 9, one)) == [1]
    with pytest.raises(InputError, match="was made with stills = False, not True"):
        list(build_shards(tmp_path, 1, 9, replace(one, stills=True)))


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    list(build_shards(tmp_path, 1, 9, CONFIG))
    with pytest.raises(InputError, match=r"was made with num_frames = 3, not 5; give another folder"):
        list(build_shards(tmp_path, 1, 9, replace(CONFIG, num_frames=5)))
    with pytest.raises(InputError, match=r"was made with seed = 9, not 10"):
        list(build_shards(tmp_path, 1, 10, CONFIG))
