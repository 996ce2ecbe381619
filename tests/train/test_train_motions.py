"""The motions of the training clips are those of their cameras, and lie beside the weights that know them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rap import train
from rap.config import EMBEDDED_CHECKPOINT
from rap.data.dataset import ClipStore
from rap.errors import InputError
from rap.geometry.motion import MotionLimits, motion
from rap.synthetic import SyntheticConfig, build_shards
from rap.train.motions import measured, paths_of


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    list(build_shards(folder, 4, 3, SyntheticConfig(size=(32, 32), num_frames=5, texture_size=16)))
    return folder


def test_lengths_are_in_median_depths_of_the_first_frame(shards: Path) -> None:
    store = ClipStore(shards)
    assert measured(store).clips == 4
    (clips,) = store.all_clips()
    far = replace(clips, median_depth=clips.median_depth * 2)
    for path, same, row in zip(paths_of(clips), paths_of(far), range(4), strict=True):
        np.testing.assert_allclose(same.centres, path.centres / 2, atol=1e-12)
        steps = np.linalg.norm(np.diff(clips.Ts_world_camera[row, :, :3, 3], axis=0), axis=1)
        np.testing.assert_allclose(motion(path).speed[1:], steps / clips.median_depth[row, 0], atol=1e-9)


def test_the_command_writes_what_the_editor_reads(shards: Path, tmp_path: Path) -> None:
    shutil.copy(EMBEDDED_CHECKPOINT / "model_index.json", tmp_path)
    assert train.main(["motions", "--data", str(shards), "--out", str(tmp_path), "--made", "here"]) == 0
    assert MotionLimits.of_checkpoint(tmp_path) == measured(ClipStore(shards))


def test_a_folder_without_a_checkpoint_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no model_index.json"):
        train.main(["motions", "--data", str(shards), "--out", str(tmp_path)])
