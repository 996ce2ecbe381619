"""Validation beside a training, and the curves drawn of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from training_runs import STATE, assert_same_files, train_model, validation_rows

import rap.train.codec
import rap.train.model
import rap.train.slot
from rap import train
from rap.errors import InputError
from rap.train.plots import plot_run
from rap.train.validate import HINTED_COLUMNS, PLAIN_COLUMNS, Validation


def test_validation_has_a_row_of_every_figure_and_goes_on_when_resumed(
    shards: Path, codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--validation", shards, "--validation-clips", 2, "--validate-every", 2)
    train_model(shards, codec, tmp_path, "--steps", 4, *flags)
    rows = validation_rows(tmp_path)
    assert [row["step"] for row in rows] == [2, 4]
    assert set(rows[0]) == {"step", "seconds", *PLAIN_COLUMNS} and np.isfinite([*rows[0].values()]).all()
    assert rows[0]["repeat_psnr_db"] == rows[1]["repeat_psnr_db"]  # the clips are the same ones
    assert rows[0]["generate_psnr_db"] != rows[1]["generate_psnr_db"]
    assert {"log.png", "validation.png"} <= {path.name for path in tmp_path.glob("*.png")}
    monkeypatch.setattr(rap.train.model, "plot_run", lambda folder: "no curves again")
    train_model(shards, codec, tmp_path, "--steps", 6, "--resume", *flags)
    train_model(shards, codec, tmp_path, "--steps", 6, "--resume", *flags)
    assert [row["step"] for row in validation_rows(tmp_path)] == [2, 4, 6]


@pytest.fixture
def without_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than all else of so small a training; one test looks at them."""
    monkeypatch.setattr(rap.train.model, "plot_run", lambda folder: "no curves here")


@pytest.mark.usefixtures("without_curves")
def test_validation_changes_nothing_of_the_training(straight: Path, shards: Path, codec: Path, tmp_path: Path) -> None:
    flags = ("--validation", shards, "--validation-clips", 1, "--validate-every", 2)
    train_model(shards, codec, tmp_path, "--steps", 6, *flags)
    assert_same_files(straight, tmp_path, STATE)


@pytest.mark.usefixtures("without_curves")
def test_a_hinted_network_is_validated_beside_its_warps(depth_shards: Path, codec: Path, tmp_path: Path) -> None:
    flags = ("--flow-hint", "--warp-hint", "blend", "--video-baseline", "warp", "--validation-clips", 2)
    train_model(depth_shards, codec, tmp_path, "--steps", 1, *flags, "--validation", depth_shards)
    (row,) = validation_rows(tmp_path)
    assert set(HINTED_COLUMNS) <= set(row) and np.isfinite([*row.values()]).all()
    # Weights that know nothing yet leave their baseline, the warp, as it is but for what a codec of 16 channels loses
    # (3.5 dB on these clips): the warp did arrive.
    assert abs(row["plane_psnr_db"] - row["plane_warp_psnr_db"]) < 5
    settings = train.ModelTraining(warp_hint="blend", validation_clips=1)
    clip = Validation.of_shards(depth_shards, settings).clips[0]
    every = Validation.of_shards(depth_shards, train.ModelTraining(validation_clips=9)).clips
    assert len({each.truth.Ts_world_camera.tobytes() for each in every}) == len(every) == 3
    assert 0.2 < clip.lifted.mask.mean() <= 1 and (clip.plane.mask[0] == 1).all()


@pytest.mark.usefixtures("without_curves")
def test_the_best_pipeline_is_kept(shards: Path, codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.2, 0.49])
    monkeypatch.setattr(rap.train.model, "score", lambda figures: worth[-1])
    worth: list[float] = []
    figures = Validation.figures

    def worth_of_next(self, pipeline):
        worth.append(next(scores))
        return figures(self, pipeline)

    monkeypatch.setattr(Validation, "figures", worth_of_next)
    flags = ("--validation", shards, "--validation-clips", 1, "--validate-every", 1, "--keep-best")
    weights = tmp_path / "pipeline" / "transformer" / "diffusion_pytorch_model.safetensors"
    train_model(shards, codec, tmp_path, "--steps", 1, "--decay-share", 0, *flags)
    first = weights.read_bytes()
    train_model(shards, codec, tmp_path, "--steps", 2, "--decay-share", 0, *flags, "--resume")
    assert weights.read_bytes() == first and json.loads((tmp_path / "best.json").read_text())["score"] == 0.5
    train_model(shards, codec, tmp_path, "--steps", 3, "--decay-share", 0, *flags, "--resume")
    best = json.loads((tmp_path / "best.json").read_text())
    assert weights.read_bytes() != first and (best["step"], best["score"]) == (
        3,
        0.5,
    )  # as good as a few clips can tell


def test_validation_without_clips_is_refused(shards: Path, codec: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--validation is missing"):
        train_model(shards, codec, tmp_path, "--validate-every", 3)


def test_curves_need_matplotlib_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "holds no logs with rows" in plot_run(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "matplotlib is missing; pip install" in plot_run(tmp_path)
