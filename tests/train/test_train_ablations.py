"""`rap train ablations`: four variants by one budget, one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rap import train
from rap.errors import InputError
from rap.train import ablations
from rap.train.settings import ModelTraining


def _ablate(shards: Path, codec: Path, out: Path, *more: object) -> None:
    sizes = ("--width", 24, "--heads", 2, "--layers", 1, "--batch", 2, "--validation-clips", 1, "--minutes", 1e-5)
    folders = ("--data", shards, "--codec", codec, "--validation", shards, "--out", out)
    assert train.main(list(map(str, ["ablations", *folders, *sizes, "--threads", 0, *more]))) == 0


def test_variants_are_trained_one_by_one_and_the_table_is_of_what_is_there(
    shards: Path, codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ablate(shards, codec, tmp_path, "--only", "pluecker/0", "--seeds", 1)
    lines = (tmp_path / ablations.TABLE).read_text().splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| full", "0"], ["| joint-attention", "0"], ["| no-cosine", "0"], ["| pluecker", "1"],
    ]  # fmt: skip
    assert all(cell.strip() for cell in lines[-1].split("|")[1:-1])
    trained: list[ModelTraining] = []
    monkeypatch.setattr(ablations, "train_model", lambda settings, say: trained.append(settings))
    monkeypatch.setattr(ablations, "_judged", lambda settings, variant, seed: _made(settings, seed))
    for variant in ablations.VARIANTS:
        for seed in range(2):
            (tmp_path / variant / str(seed)).mkdir(parents=True, exist_ok=True)
    _ablate(shards, codec, tmp_path, "--seeds", 2)
    assert [(run.attention, run.cosine_weight, run.camera, run.seed) for run in trained] == [
        ("decoupled", 0.5, "raxel", 0), ("joint", 0.5, "raxel", 0), ("decoupled", 0.0, "raxel", 0),
        ("decoupled", 0.5, "raxel", 1), ("joint", 0.5, "raxel", 1), ("decoupled", 0.0, "raxel", 1),
        ("decoupled", 0.5, "pluecker", 1),
    ]  # fmt: skip
    assert all(run.cpu_time and run.resume and run.minutes == 1e-5 for run in trained)
    assert "| full | 2 | 10 [10, 11] | 5 [5, 5] | 0.50 [0.00, 1.00] |" in (tmp_path / ablations.TABLE).read_text()
    with pytest.raises(InputError, match="is of a run by"):
        _ablate(shards, codec, tmp_path, "--batch", 4, "--table")
    by_steps = tmp_path / "by steps"
    (by_steps / "full" / "0").mkdir(parents=True)
    _ablate(shards, codec, by_steps, "--seeds", 1, "--minutes", 0, "--steps", 7, "--only", "full/0")
    assert (trained[-1].steps, trained[-1].minutes) == (7, 0.0)
    with pytest.raises(InputError, match="'minutes': 1e-05.*, not .*'steps': 7"):
        _ablate(shards, codec, tmp_path, "--minutes", 0, "--steps", 7, "--table")


def _made(settings, seed):
    figures = {"pose/auc30": float(seed)}
    return {"budget": ablations._budget(settings), "steps": 10 + seed, "cpu_minutes": 5.0, "figures": figures}


def test_unknown_runs_and_empty_budgets_are_refused(shards: Path, codec: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--only must be VARIANT/SEED"):
        _ablate(shards, codec, tmp_path, "--only", "full/7")
    with pytest.raises(InputError, match="minutes must"):
        _ablate(shards, codec, tmp_path, "--minutes", -1)
    with pytest.raises(InputError, match="steps must"):
        _ablate(shards, codec, tmp_path, "--steps", 0)
    with pytest.raises(InputError, match="--validation is missing"):
        train.main(["ablations", "--data", str(shards), "--codec", str(codec)])
