"""`rap train slot`: checks, shards, codec, model and figures in one run that may be cut."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import progress

import rap.train.codec
import rap.train.model
import rap.train.slot
from rap import cli, train
from rap.model import PatchAutoencoder
from rap.pipeline import RaPPipeline
from rap.train.codec import load_codec
from rap.train.state import write_json
from rap.train.validate import HINTED_COLUMNS, PLAIN_COLUMNS

MINI_SLOT = (
    *("--side", 64, "--frames", 9, "--clips", 6, "--shard-size", 4, "--workers", 1, "--validation-clips", 1),
    *("--z-dim", 16, "--refiner-width", 16, "--refiner-blocks", 1, "--codec-share", 0.05),
    *("--width", 24, "--heads", 2, "--layers", 1, "--batch", 2, "--warmup", 2, "--save-every", 20),
)


def run_slot(out: Path, *more: object) -> int:
    return train.main(list(map(str, ["slot", "--out", out, *MINI_SLOT, *more])))


def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text())


@pytest.mark.slow  # two runs whose length is given in minutes
def test_a_slot_that_was_cut_ends_with_weights_figures_and_pictures(tmp_path: Path, monkeypatch) -> None:
    whole, steps = rap.train.model.train_step, []

    def told_in_the_fourth(*arguments):
        steps.append(None)
        if len(steps) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(*arguments)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(rap.train.model, "train_step", told_in_the_fourth)
        run_slot(tmp_path, "--minutes", 2)  # cut long before
    cut, first_sheet = summary(tmp_path), (tmp_path / "sheet.png").read_bytes()
    assert progress(tmp_path)["step"] == 4 and RaPPipeline.from_pretrained(tmp_path / "pipeline")
    assert set(cut["seconds"]) == {"checks", "render", "codec", "before", "model"} and cut["figures"]["clips"] == 6
    assert run_slot(tmp_path, "--minutes", cut["elapsed_s"] / 60 + 0.25) == 0
    found = summary(tmp_path)
    assert found["failures"] == {} and found["elapsed_s"] > cut["elapsed_s"]
    assert (
        set(found["seconds"]) == {*cut["seconds"], "after"} and found["figures"]["before"] == cut["figures"]["before"]
    )
    assert set(found["figures"]["after"]) == {*PLAIN_COLUMNS, *HINTED_COLUMNS}
    assert all(np.isfinite([*found["figures"][when].values()]).all() for when in ("before", "after"))
    losses = found["fixed_losses"]
    assert all(losses["after"][name] < losses["before"][name] for name in ("video", "rays"))
    names = {path.name for path in tmp_path.iterdir()}
    assert {"log.txt", "log.csv", "validation.csv", "log.png", "validation.png", "sheet.png"} <= names
    assert (tmp_path / "sheet.png").read_bytes() != first_sheet, "of the trained weights now"
    assert all((tmp_path / name).stat().st_size <= 16 * 2**20 for name in found["weights"]) and found["weights"]


def test_a_slot_that_is_given_more_minutes_trains_on(tmp_path: Path) -> None:
    """Unchanged, the plan is kept however late it is gone on with; with more minutes what is left comes on top."""
    first = rap.train.slot.Slot(train.SlotTraining(out=str(tmp_path), minutes=10.0))
    planned = first._model_minutes()
    assert 8 < planned < 10
    write_json(tmp_path / "progress.json", {"step": 7, "elapsed_s": 60 * planned})
    again = rap.train.slot.Slot(train.SlotTraining(out=str(tmp_path), minutes=10.0))
    again.before_s = 600.0
    assert again._model_minutes() == planned
    longer = rap.train.slot.Slot(train.SlotTraining(out=str(tmp_path), minutes=15.0))
    longer.before_s = 600.0
    assert planned + 4 < longer._model_minutes() < planned + 5


def test_a_phase_that_fails_says_so_and_the_next_goes_on(tmp_path: Path, monkeypatch, capsys) -> None:
    def broken(settings) -> None:
        raise RuntimeError("the codec burst")

    monkeypatch.setattr(rap.train.slot, "train_codec", broken)
    assert run_slot(tmp_path, "--minutes", 0.05) == 1
    failures = summary(tmp_path)["failures"]
    assert failures["codec"] == "RuntimeError: the codec burst"
    assert set(failures) == {"codec", "before", "model", "after"} and "no trained codec" in failures["model"]
    assert "!!! codec FAILED: RuntimeError: the codec burst" in capsys.readouterr().out
    assert "the codec burst" in (tmp_path / "log.txt").read_text()


def test_a_slot_begins_with_the_network_and_codec_of_a_pipeline(straight: Path, codec: Path, tmp_path: Path) -> None:
    chosen = train.SlotTraining(out=str(tmp_path), init=str(straight / "pipeline"), width=96)
    slot = rap.train.slot.Slot(chosen)
    latents, ray_std = load_codec(slot.model_settings)
    assert ray_std == pytest.approx(json.loads((codec / "ray_latents_std.json").read_text()))
    assert slot.model_settings.width == 24 and slot.model_settings.flow_hint and slot.model_settings.layers == 1
    state = slot._first_network(latents).state_dict()
    given = load_file(straight / "pipeline" / "transformer" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(state[key], value) for key, value in given.items())
    trained = PatchAutoencoder.from_pretrained(codec / "vae").state_dict()
    assert all(torch.equal(trained[key], value) for key, value in latents.autoencoder.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--minutes", "0"), "--minutes must be above 0, got 0.0"),
        (("--textures", "nowhere"), "--textures: nowhere is no folder"),
        (("--init", "nowhere"), "--init: nowhere holds no pipeline"),
        (("--codec", "nowhere"), "--codec: nowhere holds no trained codec"),
        (("--workers", "0"), "--workers must be at least 1, got 0"),
    ],
)
def test_a_slot_refuses_before_it_begins(arguments, words: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "slot", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


UNUSED_BY_TRAINING = ("av", "trimesh", "gradio", "viser", "plotly")


def test_training_needs_no_library_that_it_does_not_use() -> None:
    lines = (
        f"import sys; sys.modules.update(dict.fromkeys({UNUSED_BY_TRAINING})); import rap.train.slot, rap.train.replay;"
        "assert 'torch._dynamo' not in sys.modules"  # seconds, for what nothing here uses: see rap.quick_diffusers
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
