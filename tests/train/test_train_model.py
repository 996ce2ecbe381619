"""`rap train model` on tiny shards: exact resume, determinism, ends by time or by signal, a checkpoint that runs."""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import (
    STATE,
    PowerCut,
    assert_same_files,
    batch_maker,
    cut_after,
    estimated,
    progress,
    steps_logged,
    train_model,
    validation_rows,
)

import rap.train.clock
import rap.train.codec
import rap.train.model
import rap.train.slot
import rap.train.state
from rap import flow, train
from rap.data.dataset import ClipStore
from rap.errors import InputError
from rap.geometry.motion import MotionLimits
from rap.train.batches import BatchMaker
from rap.train.clock import SIGTERM_STATUS, Clock
from rap.train.model import BatchNetwork, averages, noised, train_step
from rap.train.motions import measured
from rap.train.optimizers import learning_rate_factor, make_optimizers
from rap.train.start import build_transformer, init_weights
from rap.train.state import CsvLog, saved_step
from rap.train.throughput import Ahead


def test_model_resumes_exactly(straight: Path, shards: Path, codec: Path, tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut_after(patch, rap.train.model, "train_step", 5)
        train_model(shards, codec, tmp_path, "--steps", 6)
    assert json.loads((tmp_path / "state" / "progress.json").read_text())["step"] == 3
    torch.manual_seed(99)
    train_model(shards, codec, tmp_path, "--steps", 6, "--resume")
    assert_same_files(straight, tmp_path, STATE)
    assert_same_files(straight, tmp_path, ["pipeline/transformer/diffusion_pytorch_model.safetensors"])
    assert progress(straight) == progress(tmp_path)
    assert not list(tmp_path.glob("*.part"))


def test_k_steps_and_k_more_are_2k_steps(shards: Path, codec: Path, tmp_path: Path) -> None:
    """Without a final decay of the rate, which depends on the end, a run can be given a later end."""
    stable = ("--decay-share", "0", "--warmup", "1")
    train_model(shards, codec, tmp_path / "straight", "--steps", 4, *stable)
    train_model(shards, codec, tmp_path / "halves", "--steps", 2, *stable)
    train_model(shards, codec, tmp_path / "halves", "--steps", 4, "--resume", *stable)
    assert_same_files(tmp_path / "straight", tmp_path / "halves", STATE)


def test_a_seed_fixes_the_run(straight: Path, shards: Path, codec: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)
    train_model(shards, codec, tmp_path / "again", "--steps", 6)
    assert_same_files(straight, tmp_path / "again", STATE)
    train_model(shards, codec, tmp_path / "other", "--steps", 6, "--seed", 1)
    with pytest.raises(AssertionError):
        assert_same_files(straight, tmp_path / "other", STATE)


def test_batches_drawn_ahead_are_the_same_ones(straight: Path, shards: Path, codec: Path, tmp_path: Path) -> None:
    train_model(shards, codec, tmp_path, "--steps", 6, "--draw-workers", 3)
    assert_same_files(straight, tmp_path, STATE)


def test_what_is_made_ahead_comes_in_order_and_its_errors_too() -> None:
    made = Ahead(lambda number: 12 // (5 - number), 2)
    assert [made(number) for number in range(5)] == [2, 3, 4, 6, 12]
    with pytest.raises(ZeroDivisionError):
        made(5)
    made.close()


def test_a_step_without_finite_gradients_is_left_out(shards: Path, codec: Path) -> None:
    maker = batch_maker(shards, codec)
    network, batch = build_transformer(train.ModelTraining(width=24, heads=2, layers=1), 16), maker.draw()
    optimizers, mean = make_optimizers(network, maker.settings), averages(network, maker.settings)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    batch.clean.video[0, 0, 0, 0, 0] = float("nan")
    _, norm = train_step(network, [noised(batch, [0])], optimizers, mean, maker.settings)
    assert not np.isfinite(norm)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_states_without_step_marks_can_be_resumed(straight: Path, shards: Path, codec: Path, tmp_path: Path) -> None:
    """Runs begun before the marks existed."""
    from safetensors.torch import save_file

    train_model(shards, codec, tmp_path, "--steps", 3, "--decay-share", "0")
    for name in STATE:
        save_file(load_file(tmp_path / name), tmp_path / name)
    train_model(shards, codec, tmp_path, "--steps", 4, "--decay-share", "0", "--resume")
    assert progress(tmp_path) == {"step": 4, "ema_steps": 4}


def test_a_run_cut_while_it_saved_goes_on_from_the_state_before(straight, shards, codec, tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut_after(patch, rap.train.state, "write_progress", 1)
        train_model(shards, codec, tmp_path, "--steps", 6)
    assert (tmp_path / "state.part" / "ema.safetensors").exists() and progress(tmp_path)["step"] == 3
    train_model(shards, codec, tmp_path, "--steps", 6, "--resume")
    assert_same_files(straight, tmp_path, STATE)
    (tmp_path / "state").rename(tmp_path / "state.old")  # cut between the two renames: the old one is whole
    assert saved_step(tmp_path) == 6


def test_runs_of_before_states_had_a_folder_are_resumed_or_noticed(straight, shards, codec, tmp_path) -> None:
    train_model(shards, codec, tmp_path, "--steps", 3)
    for path in (tmp_path / "state").iterdir():
        path.rename(tmp_path / path.name)
    (tmp_path / "state").rmdir()
    (tmp_path / "optimizer1.safetensors").write_bytes((straight / STATE[2]).read_bytes())
    with pytest.raises(InputError, match="optimizer1.safetensors: is of step 6, progress.json of step 3"):
        train_model(shards, codec, tmp_path, "--steps", 6, "--resume")


def test_another_network_is_not_resumed(straight: Path, shards: Path, codec: Path) -> None:
    with pytest.raises(InputError, match="has a network of another size or kind"):
        train_model(shards, codec, straight, "--steps", 7, "--resume", "--layers", 2)


def test_resume_without_a_run_begins_one(shards: Path, codec: Path, tmp_path: Path) -> None:
    train_model(shards, codec, tmp_path, "--steps", 1, "--resume")
    assert json.loads((tmp_path / "state" / "progress.json").read_text())["step"] == 1


def test_the_log_of_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "log.csv", ("step", "loss"))
    for step in (0, 10, 20, 30):
        log.write(step, 0.5)
    CsvLog(tmp_path / "log.csv", ("step", "loss"), start=20).write(20, 0.25)
    assert (tmp_path / "log.csv").read_text().split() == ["step,loss", "0,0.5", "10,0.5", "20,0.25"]
    CsvLog(tmp_path / "log.csv", ("step", "loss"))
    assert steps_logged(tmp_path) == []


def test_training_lowers_both_losses(shards: Path, codec: Path, tmp_path: Path) -> None:
    """On the same batches and noise: from step to step the tasks differ too much to compare."""
    train_model(shards, codec, tmp_path, "--steps", 100, "--save-every", 100, "--batch", 4)
    settings = train.ModelTraining(width=24, heads=2, layers=1)
    torch.manual_seed(0)
    network = build_transformer(settings, 16)
    before = mean_losses(network, batch_maker(shards, codec))
    network.load_state_dict(load_file(tmp_path / STATE[0]))
    after = mean_losses(network, batch_maker(shards, codec))
    assert np.isfinite(after).all() and (after < 0.9 * before).all()


@torch.no_grad()
def mean_losses(network: torch.nn.Module, maker: BatchMaker) -> np.ndarray:
    """(2,) of the video and of the rays."""
    kinds = flow.Prediction(maker.settings.video_prediction, maker.settings.ray_prediction)
    losses = []
    for _ in range(8):
        batch = maker.draw()
        noise = flow.Pair(*(torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) for x in batch.clean))
        losses.append(flow.training_loss(BatchNetwork(network, batch), batch.clean, noise, batch.times, kinds))
    return np.mean(losses, axis=0)


@pytest.mark.parametrize("switches", [("--camera", "pluecker"), ("--ray-frame-stride", "4"), ("--attention", "joint")])
def test_every_switch_trains_and_exports(switches, shards: Path, codec: Path, tmp_path: Path) -> None:
    train_model(shards, codec, tmp_path, "--steps", 1, *switches)
    assert estimated(tmp_path / "pipeline", shards).trajectory is not None


def test_the_trained_pipeline_loads_and_estimates(straight: Path, shards: Path) -> None:
    assert "_name_or_path" not in (straight / "pipeline" / "vae" / "config.json").read_text()
    output = estimated(straight / "pipeline", shards)
    assert len(output.trajectory) == 9 and np.isfinite(output.trajectory.Ts_world_camera).all()
    assert MotionLimits.of_checkpoint(straight / "pipeline") == measured(ClipStore(shards))
    averaged = load_file(straight / "pipeline" / "transformer" / "diffusion_pytorch_model.safetensors")
    last = load_file(straight / STATE[0])
    assert averaged.keys() == last.keys()
    assert any(not torch.equal(averaged[key], last[key]) for key in last)  # the exported weights are the averaged ones


def test_a_training_by_minutes_ends_on_time_and_decays(shards: Path, codec: Path, tmp_path: Path, monkeypatch) -> None:
    looks = itertools.count()  # at the clock, each a twentieth of a second: on a busy machine real steps are too few
    monkeypatch.setattr(rap.train.clock, "seconds", lambda cpu_time: next(looks) / 20)
    timed = ("--minutes", 3 / 60, "--small-share", 0.3)
    train_model(shards, codec, tmp_path, *timed)
    elapsed_s = json.loads((tmp_path / "state" / "progress.json").read_text())["elapsed_s"]
    with (tmp_path / "log.csv").open(newline="") as file:
        rates = [float(row["rate"]) for row in csv.DictReader(file)]
    assert 3 <= elapsed_s < 4 and max(rates) == 1 and rates[-1] < 0.9
    steps = progress(tmp_path)
    train_model(shards, codec, tmp_path, *timed, "--resume")
    assert progress(tmp_path) == steps  # its time is spent


def test_time_of_earlier_parts_counts() -> None:
    clock = Clock(train.ModelTraining(minutes=2), before_s=60.0)
    assert 0.5 <= clock.progress(10**9) < 0.55
    assert Clock(train.ModelTraining(steps=8), before_s=60.0).progress(2) == 0.25
    assert Clock(train.ModelTraining(minutes=1), before_s=61.0).progress(0) == 1


def test_a_clock_of_work_does_not_count_waiting() -> None:
    wall, work = Clock(train.ModelTraining(minutes=1)), Clock(train.ModelTraining(minutes=1, cpu_time=True))
    time.sleep(0.3)
    assert wall.elapsed_s() >= 0.3
    assert work.elapsed_s() < 0.5 * wall.elapsed_s()


@pytest.mark.parametrize("minutes", [0.0, 5.0])
def test_rates_warm_up_stay_and_decay(minutes: float) -> None:
    settings = train.ModelTraining(minutes=minutes, warmup=10, decay_share=0.25)
    assert learning_rate_factor(0, 0.0, settings) == 0.1
    assert learning_rate_factor(50, 0.5, settings) == 1
    assert learning_rate_factor(90, 0.875, settings) == 0.5
    assert learning_rate_factor(99, 1.0, settings) == 0.02
    assert learning_rate_factor(1, 0.5, settings) == (1 if minutes else 0.2)  # ten slow steps may be all there is


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_training_told_to_end_saves_the_step_and_resumes_exactly(
    number, ends, straight: Path, shards: Path, codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, steps = rap.train.model.train_step, []

    def told_in_the_fourth(*arguments):
        steps.append(None)
        if len(steps) == 4:
            os.kill(os.getpid(), number)
        return whole(*arguments)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch, pytest.raises(ends) as ended:
        patch.setattr(rap.train.model, "train_step", told_in_the_fourth)
        train_model(shards, codec, tmp_path, "--steps", 6)
    assert signal.getsignal(number) is before
    assert number == signal.SIGINT or ended.value.code == SIGTERM_STATUS
    assert progress(tmp_path)["step"] == 4 and estimated(tmp_path / "pipeline", shards).trajectory is not None
    train_model(shards, codec, tmp_path, "--steps", 6, "--resume")
    assert_same_files(straight, tmp_path, STATE)


def test_training_begins_with_the_weights_of_a_pipeline(straight: Path, shards: Path, codec: Path, tmp_path) -> None:
    given = load_file(straight / "pipeline" / "transformer" / "diffusion_pytorch_model.safetensors")
    network = build_transformer(train.ModelTraining(width=24, heads=2, layers=1, flow_hint=True, warp_hint="blend"), 16)
    init_weights(network, straight / "pipeline")
    state = network.state_dict()
    assert all(torch.equal(state.pop(key), value) for key, value in given.items())
    assert sorted(state) == ["flow_hint_embedding.weight", "warp_hint_embedding.weight"]
    assert not any(value.any() for value in state.values())
    train_model(shards, codec, tmp_path, "--steps", 1, "--init", straight / "pipeline", "--learning-rate", 0)
    trained = load_file(tmp_path / STATE[0])
    assert torch.equal(trained["patch_embedding.weight"], given["patch_embedding.weight"])
    with pytest.raises(InputError, match="--init: the network in .* has another size or kind"):
        train_model(shards, codec, tmp_path, "--steps", 1, "--init", straight / "pipeline", "--layers", 2)
    with pytest.raises(InputError, match=r"--init: .* holds no pipeline \(no transformer/config.json\)"):
        train_model(shards, codec, tmp_path, "--steps", 1, "--init", tmp_path / "nothing")


@pytest.mark.parametrize("device", ["cuda", "tpu", "mps"])
def test_a_device_that_is_not_there_is_refused(device: str, shards: Path, codec: Path, tmp_path: Path) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match="--device"):
        train_model(shards, codec, tmp_path / "out", "--device", device)
    assert not (tmp_path / "out").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_with_hints_and_validates(depth_shards: Path, codec: Path, tmp_path: Path) -> None:
    flags = ("--device", "cuda", "--bf16", "--steps", 2, "--flow-hint", "--warp-hint", "layers")
    train_model(depth_shards, codec, tmp_path, *flags, "--validation", depth_shards, "--validation-clips", 1)
    assert len(validation_rows(tmp_path)) == 1
