"""Shards: resumable, the same clips however they are made, refused when they are something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rap.errors import InputError
from rap.synthetic import SyntheticConfig, build_shards, read_shard, render_clips, shard_files

CONFIG = SyntheticConfig(size=(16, 24), num_frames=3, texture_size=16)


def test_shards_hold_the_clips_of_their_indices(tmp_path: Path) -> None:
    assert list(build_shards(tmp_path, 5, 9, CONFIG, shard_size=2, with_depth=True)) == [0, 2, 4, 5]
    files = shard_files(tmp_path)
    assert [f.name for f in files] == ["clips-00000000.npz", "clips-00000002.npz", "clips-00000004.npz"]
    whole = render_clips(9, 5, CONFIG, with_depth=True)
    second = read_shard(files[1])
    assert torch.equal(second.frames_u8, whole.frames_u8[2:4])
    assert torch.equal(second.Ts_world_camera, whole.Ts_world_camera[2:4])
    assert torch.equal(second.intrinsics, whole.intrinsics[2:4])
    assert torch.equal(second.median_depth, whole.median_depth[2:4])
    assert second.kinds == whole.kinds[2:4]
    assert second.depth is not None and whole.depth is not None
    torch.testing.assert_close(second.depth, whole.depth[2:4], rtol=1e-3, atol=1e-3)  # stored as float16


def test_a_stopped_run_is_continued(tmp_path: Path) -> None:
    run = build_shards(tmp_path, 4, 9, CONFIG, shard_size=2)
    assert next(run) == 0 and next(run) == 2
    run.close()
    before = {f.name: f.stat().st_mtime_ns for f in shard_files(tmp_path)}
    assert list(build_shards(tmp_path, 5, 9, CONFIG, shard_size=2)) == [2, 4, 5]
    assert all((tmp_path / name).stat().st_mtime_ns == time for name, time in before.items())
    assert list(build_shards(tmp_path, 5, 9, CONFIG, shard_size=2)) == [5]
    assert list(build_shards(tmp_path, 6, 9, CONFIG, shard_size=2))[-1] == 6  # the short last shard is made again
    assert read_shard(shard_files(tmp_path)[-1]).frames_u8.shape[0] == 2
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_processes_make_the_same_clips(tmp_path: Path) -> None:
    assert list(build_shards(tmp_path, 4, 9, CONFIG, workers=2, shard_size=2))[-1] == 4
    frames = torch.cat([read_shard(f).frames_u8 for f in shard_files(tmp_path)])
    assert torch.equal(frames, render_clips(9, 4, CONFIG).frames_u8)


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    list(build_shards(tmp_path, 1, 9, CONFIG))
    with pytest.raises(InputError, match=r"was made with num_frames = 3, not 5; give another folder"):
        list(build_shards(tmp_path, 1, 9, replace(CONFIG, num_frames=5)))
    with pytest.raises(InputError, match=r"was made with seed = 9, not 10"):
        list(build_shards(tmp_path, 1, 10, CONFIG))


def test_bad_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no clips-\*.npz; make them with build_shards"):
        shard_files(tmp_path)
    broken = tmp_path / "clips-00000000.npz"
    broken.write_text("no archive")
    with pytest.raises(InputError, match="clips-00000000.npz cannot be read"):
        read_shard(broken)
    np.savez(broken, frames_u8=np.zeros(3))
    with pytest.raises(InputError, match="Ts_world_camera"):
        read_shard(broken)
