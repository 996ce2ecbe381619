"""`rap train` on tiny shards: exact resume, determinism, refusals, a checkpoint that runs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import rap.train.codec
import rap.train.model
import rap.train.slot
from rap import cli, flow, train
from rap.data.dataset import ClipStore
from rap.errors import InputError
from rap.geometry.motion import MotionLimits
from rap.model import PatchAutoencoder
from rap.pipeline import RaPPipeline
from rap.synthetic import SyntheticConfig, build_shards
from rap.train.batches import BatchMaker, sample_videos
from rap.train.clock import SIGTERM_STATUS, Clock
from rap.train.codec import RAY_STD_FLOOR, load_codec
from rap.train.model import BatchNetwork, averages, batch_losses, build_transformer, step_flop, train_step
from rap.train.motions import measured
from rap.train.optimizers import learning_rate_factor, make_optimizers
from rap.train.plots import plot_run
from rap.train.state import CsvLog, write_json
from rap.train.throughput import Ahead, Throughput, count_flop, duration
from rap.train.validate import HINTED_COLUMNS, PLAIN_COLUMNS, Validation

STATE = ("model.safetensors", "optimizer0.safetensors", "optimizer1.safetensors", "ema.safetensors")
TINY = ("--width", "24", "--heads", "2", "--layers", "1", "--batch", "2", "--warmup", "2", "--save-every", "3")
TINY_CODEC = ("--z-dim", "16", "--refiner-width", "16", "--refiner-blocks", "1", "--batch", "2", "--fit-clips", "8")


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


def train_codec(shards: Path, out: Path, *more: object) -> None:
    assert train.main(list(map(str, ["codec", "--data", shards, "--out", out, *TINY_CODEC, *more]))) == 0


def train_model(shards: Path, codec: Path, out: Path, *more: object) -> None:
    arguments = ["model", "--data", shards, "--codec", codec, "--out", out, *TINY, *more]
    assert train.main(list(map(str, arguments))) == 0


def assert_same_files(a: Path, b: Path, names) -> None:
    for name in names:
        first, second = load_file(a / name), load_file(b / name)
        assert first.keys() == second.keys()
        for key in first:
            assert torch.equal(first[key], second[key]), f"{name}: {key}"


def progress(out: Path) -> dict[str, int]:
    """What is the same for the same run: not its time."""
    found = json.loads((out / "progress.json").read_text())
    assert found.pop("elapsed_s") > 0
    return found


def steps_logged(out: Path) -> list[int]:
    with (out / "log.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


class PowerCut(Exception):
    pass


def cut_after(monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str, calls: int) -> None:
    """Let the training's step function end the run after so many calls."""
    whole, left = getattr(module, function), [calls]

    def step(*arguments):
        if left[0] == 0:
            raise PowerCut
        left[0] -= 1
        return whole(*arguments)

    monkeypatch.setattr(module, function, step)


# --- codec ------------------------------------------------------------------------------------------------------------


def test_codec_training_lowers_its_loss_and_writes_a_codec(codec: Path, shards: Path) -> None:
    model = PatchAutoencoder.from_pretrained(codec / "vae")
    video = sample_videos(ClipStore(shards), 16, np.random.default_rng(5))
    with torch.no_grad():
        z = model.encode(video).latent_dist.mode()
        trained = (model.decode(z).sample - video).square().mean()
        linear = (model.decode(z, refine=False).sample - video).square().mean()
    assert trained < 0.98 * linear  # the heads start at zero: the linear reconstruction is where training began
    std = json.loads((codec / "ray_latents_std.json").read_text())
    assert len(std) == len(model.config.latents_std) == len(model.config.latents_mean) == 16
    assert min(std) >= RAY_STD_FLOOR and min(model.config.latents_std) > 0
    assert steps_logged(codec) == [*range(0, 200, 20), 199]


def test_codec_resumes_exactly(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rap.train.codec, "CODEC_SAVE_EVERY", 4)
    train_codec(shards, tmp_path / "straight", "--steps", 9)
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut_after(patch, rap.train.codec, "_codec_step", 6)
        train_codec(shards, tmp_path / "cut", "--steps", 9)
    assert json.loads((tmp_path / "cut" / "progress.json").read_text())["step"] == 4
    torch.manual_seed(99)
    train_codec(shards, tmp_path / "cut", "--steps", 9, "--resume")
    assert_same_files(
        tmp_path / "straight", tmp_path / "cut", ["state.safetensors", "vae/diffusion_pytorch_model.safetensors"]
    )
    with pytest.raises(InputError, match="--z-dim is 20, but the run in .* has 16; give another --out"):
        train_codec(shards, tmp_path / "cut", "--steps", 9, "--resume", "--z-dim", 20)


def test_photographs_move_beside_the_clips_and_time_ends_a_training(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "pictures" / "a.png")
    train_codec(shards, tmp_path / "next", "--photographs", tmp_path / "pictures", "--minutes", 0.02)
    seconds = [float(row.split(",")[-1]) for row in (tmp_path / "next" / "log.csv").read_text().splitlines()[1:]]
    assert seconds[0] < 1.2 <= seconds[-1], "the step that ends the time is the last one, and is logged"
    trained = PatchAutoencoder.from_pretrained(tmp_path / "next" / "vae")
    assert trained.video_head.weight.abs().max() > 0


def test_a_linear_codec_needs_no_steps(shards: Path, tmp_path: Path) -> None:
    train_codec(shards, tmp_path, "--refiner-blocks", 0)
    assert PatchAutoencoder.from_pretrained(tmp_path / "vae").refiner is None
    assert (tmp_path / "ray_latents_std.json").exists()


# --- model ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def straight(shards: Path, codec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps without interruption."""
    out = tmp_path_factory.mktemp("straight")
    train_model(shards, codec, out, "--steps", 6)
    return out


def test_model_resumes_exactly(straight: Path, shards: Path, codec: Path, tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut_after(patch, rap.train.model, "train_step", 5)
        train_model(shards, codec, tmp_path, "--steps", 6)
    assert json.loads((tmp_path / "progress.json").read_text())["step"] == 3
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
    optimizers, ema = make_optimizers(network, maker.settings), averages(network, maker.settings)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    batch.clean.video[0, 0, 0, 0, 0] = float("nan")
    _, norm = train_step(network, batch, optimizers, ema, maker.settings)
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


def test_a_run_cut_while_it_saved_is_noticed(straight: Path, shards: Path, codec: Path, tmp_path: Path) -> None:
    train_model(shards, codec, tmp_path, "--steps", 3)
    (tmp_path / "optimizer1.safetensors").write_bytes((straight / "optimizer1.safetensors").read_bytes())
    with pytest.raises(InputError, match="optimizer1.safetensors: is of step 6, progress.json of step 3"):
        train_model(shards, codec, tmp_path, "--steps", 6, "--resume")


def test_another_network_is_not_resumed(straight: Path, shards: Path, codec: Path) -> None:
    with pytest.raises(InputError, match="has a network of another size or kind"):
        train_model(shards, codec, straight, "--steps", 7, "--resume", "--layers", 2)


def test_resume_without_a_run_begins_one(shards: Path, codec: Path, tmp_path: Path) -> None:
    train_model(shards, codec, tmp_path, "--steps", 1, "--resume")
    assert json.loads((tmp_path / "progress.json").read_text())["step"] == 1


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
    network.load_state_dict(load_file(tmp_path / "model.safetensors"))
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
    last = load_file(straight / "model.safetensors")
    assert averaged.keys() == last.keys()
    assert any(not torch.equal(averaged[key], last[key]) for key in last)  # the exported weights are the averaged ones


def estimated(checkpoint: Path, shards: Path):
    pipeline = RaPPipeline.from_pretrained(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.estimate_trajectory(ClipStore(shards).draw(1, np.random.default_rng(0)).frames_u8[0], steps=1)


# --- by time, cut, begun with weights ---------------------------------------------------------------------------------


def test_a_training_by_minutes_ends_on_time_and_decays(shards: Path, codec: Path, tmp_path: Path) -> None:
    timed = ("--minutes", 3 / 60, "--small-share", 0.3)
    train_model(shards, codec, tmp_path, *timed)
    elapsed_s = json.loads((tmp_path / "progress.json").read_text())["elapsed_s"]
    with (tmp_path / "log.csv").open(newline="") as file:
        rates = [float(row["rate"]) for row in csv.DictReader(file)]
    assert 3 <= elapsed_s < 8 and max(rates) == 1 and rates[-1] < 0.9  # a busy machine takes few steps
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
    rap.train.model.init_weights(network, straight / "pipeline")
    state = network.state_dict()
    assert all(torch.equal(state.pop(key), value) for key, value in given.items())
    assert sorted(state) == ["flow_hint_embedding.weight", "warp_hint_embedding.weight"]
    assert not any(value.any() for value in state.values())
    train_model(shards, codec, tmp_path, "--steps", 1, "--init", straight / "pipeline", "--learning-rate", 0)
    trained = load_file(tmp_path / "model.safetensors")
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


# --- throughput -------------------------------------------------------------------------------------------------------


def test_flop_of_a_linear_layer_and_of_attention_with_their_gradients() -> None:
    layer = torch.nn.Linear(8, 16)
    assert count_flop(lambda: layer(torch.zeros(4, 8))) == 2 * 4 * 8 * 16
    q, k = torch.zeros(2, 3, 5, 8, requires_grad=True), torch.zeros(2, 3, 7, 8)  # batch, heads, length, width
    attend = torch.nn.functional.scaled_dot_product_attention
    product = (2 * 5 * 7 * 8) * 2 * 3
    with torch.no_grad():
        assert count_flop(lambda: attend(q, k, k)) == 2 * product
    assert count_flop(lambda: attend(q, k, k).sum().backward()) == 7 * product


def test_flop_of_a_step_are_those_of_all_its_clips_and_leave_no_trace(shards: Path, codec: Path) -> None:
    maker = batch_maker(shards, codec)
    network, batch = build_transformer(train.ModelTraining(width=24, heads=2, layers=1), 16), maker.draw()

    def whole() -> None:
        video, rays = batch_losses(network, batch, batch.clean, maker.settings)
        (video + rays).backward()

    counted = step_flop(network, batch, maker.settings)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert counted == pytest.approx(count_flop(whole), rel=1e-6)


def test_a_line_says_losses_samples_share_and_the_time_left() -> None:
    lines: list[str] = []
    meter = Throughput(peak_flop_per_s=1e9, say=lines.append, every_s=0.0)
    assert meter.run("small", 4, lambda: "done", lambda: 10**6) == "done"
    assert meter.run("small", 4, lambda: "again", lambda: pytest.fail("counted twice")) == "again"
    meter.report(7, (0.5, 0.25), 3723.0)
    assert lines[0].startswith("step 7: video 0.5000, rays 0.2500, ") and lines[0].endswith("1:02:03 left")
    assert meter.total_flop == 2 * 10**6 and meter.summary()["share_of_matmul"] > 0
    quiet = Throughput(1e9, lines.append, every_s=60.0)
    quiet.report(8, (0.5, 0.25), 1.0)
    assert len(lines) == 1
    assert duration(61.4) == "1:01" and duration(-3) == "0:00"


# --- validation -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def depth_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth")
    config = SyntheticConfig(size=(64, 64), num_frames=9, texture_size=16)
    list(build_shards(folder, 3, 2, config, with_depth=True))
    return folder


def validation_rows(out: Path) -> list[dict[str, float]]:
    with (out / "validation.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_validation_has_a_row_of_every_figure_and_goes_on_when_resumed(shards: Path, codec: Path, tmp_path) -> None:
    flags = ("--validation", shards, "--validation-clips", 2, "--validate-every", 2)
    train_model(shards, codec, tmp_path, "--steps", 4, *flags)
    rows = validation_rows(tmp_path)
    assert [row["step"] for row in rows] == [2, 4]
    assert set(rows[0]) == {"step", "seconds", *PLAIN_COLUMNS} and np.isfinite([*rows[0].values()]).all()
    assert rows[0]["repeat_psnr_db"] == rows[1]["repeat_psnr_db"]  # the clips are the same ones
    assert rows[0]["generate_psnr_db"] != rows[1]["generate_psnr_db"]
    train_model(shards, codec, tmp_path, "--steps", 6, "--resume", *flags)
    train_model(shards, codec, tmp_path, "--steps", 6, "--resume", *flags)
    assert [row["step"] for row in validation_rows(tmp_path)] == [2, 4, 6]
    assert {"log.png", "validation.png"} <= {path.name for path in tmp_path.glob("*.png")}


def test_validation_changes_nothing_of_the_training(straight: Path, shards: Path, codec: Path, tmp_path: Path) -> None:
    flags = ("--validation", shards, "--validation-clips", 1, "--validate-every", 1)
    train_model(shards, codec, tmp_path, "--steps", 6, *flags)
    assert_same_files(straight, tmp_path, STATE)


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


# --- slot -------------------------------------------------------------------------------------------------------------

MINI_SLOT = (
    *("--side", 64, "--frames", 9, "--clips", 6, "--shard-size", 4, "--workers", 1, "--validation-clips", 1),
    *("--z-dim", 16, "--refiner-width", 16, "--refiner-blocks", 1, "--codec-share", 0.05),
    *("--width", 24, "--heads", 2, "--layers", 1, "--batch", 2, "--warmup", 2, "--save-every", 20),
)


def run_slot(out: Path, *more: object) -> int:
    return train.main(list(map(str, ["slot", "--out", out, *MINI_SLOT, *more])))


def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text())


@pytest.mark.slow
def test_a_slot_that_was_cut_ends_with_weights_figures_and_pictures(tmp_path: Path, monkeypatch) -> None:
    whole, steps = rap.train.model.train_step, []

    def told_in_the_fourth(*arguments):
        steps.append(None)
        if len(steps) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(*arguments)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(rap.train.model, "train_step", told_in_the_fourth)
        run_slot(tmp_path, "--minutes", 0.35)
    cut, first_sheet = summary(tmp_path), (tmp_path / "sheet.png").read_bytes()
    assert progress(tmp_path)["step"] == 4 and RaPPipeline.from_pretrained(tmp_path / "pipeline")
    assert set(cut["seconds"]) == {"checks", "render", "codec", "before", "model"} and cut["figures"]["clips"] == 6
    assert run_slot(tmp_path, "--minutes", 0.35) == 0
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
    rap.train.slot.codec_of_pipeline(straight / "pipeline", tmp_path / "codec")
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
        f"import sys; sys.modules.update(dict.fromkeys({UNUSED_BY_TRAINING})); import rap.train.slot, rap.train.replay"
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- batches ----------------------------------------------------------------------------------------------------------


def batch_maker(shards: Path, codec: Path, seed: int = 0, **settings) -> BatchMaker:
    chosen = train.ModelTraining(data=str(shards), codec=str(codec), batch=8, **settings)
    latents, _ = load_codec(chosen)
    return BatchMaker(ClipStore(shards), latents, chosen, np.random.default_rng(seed))


def test_a_batch_s_times_say_what_is_known(shards: Path, codec: Path) -> None:
    maker = batch_maker(shards, codec, per_frame_rate=0.0)
    estimates = generates = 0
    for _ in range(12):
        batch = maker.draw()
        segment = batch.num_source_frames
        assert batch.clean.video.shape[2] == batch.times.video.shape[1] == batch.frame_times.shape[1]
        assert batch.clean.rays.shape[2] == batch.times.rays.shape[1] == batch.ray_frame_times.shape[1]
        assert (batch.times.video[:, :segment] == 0).all()  # source frames are given
        assert batch.times.video.max() <= 1 and batch.times.rays.max() <= 1
        targets = batch.times.video[:, segment + 1 :]  # the first latent frame is known where frame 0 is a source
        assert (targets == targets[:, :1]).all()
        known_video, known_rays = (targets == 0).all(1), (batch.times.rays == 0).all(1)
        assert not (known_video & known_rays).any()  # something is always asked for
        estimates, generates = estimates + int(known_video.sum()), generates + int(known_rays.sum())
    assert 25 < estimates < 75 and 10 < generates < 55  # of 96, at rates 0.5 and 0.35 (less dropped rays)


def test_the_reference_frame_has_the_canonical_ray_map(shards: Path, codec: Path) -> None:
    """World = the first source's camera: its map stands at the frame time that the batch gives the source."""
    maker = batch_maker(shards, codec, reference_first_rate=0.0)
    for _ in range(4):
        batch = maker.draw()
        maps = maker.codec.decode_rays(batch.clean.rays)
        centre = maps.mean((-1, -2))
        for k in range(len(maps)):
            source = int((batch.ray_frame_times[k] - batch.frame_times[k, 0]).abs().argmin())
            assert torch.linalg.norm(centre[k, source, :2]) < 0.02 and centre[k, source, 2] > 0.5


# --- settings ---------------------------------------------------------------------------------------------------------


def test_flags_win_over_the_config(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"data": "d", "codec": "c", "steps": 5, "learning_rate": 1, "resume": True}))
    settings = train.read_settings(train.ModelTraining, config, {"steps": 7, "batch": None})
    assert (settings.steps, settings.batch, settings.learning_rate, settings.resume) == (7, 16, 1, True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"stepz": 3, "data": "d"}', "unknown settings ['stepz']"),
        ('{"steps": "many"}', "steps must be of type int, got 'many'"),
        ('{"steps": true}', "steps must be of type int, got True"),
        ("[1]", "must hold one JSON object of settings, got list"),
        ("steps: 3", "is no JSON"),
    ],
)
def test_bad_configs_are_sentences(content: str, words: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "config.json").write_text(content)
    assert cli.main(["train", "model", "--config", str(tmp_path / "config.json")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--data is missing"),
        (("--data", "nowhere"), "--codec is missing"),
        (("--data", "nowhere", "--codec", "none"), "nowhere holds no shards of clips"),
        (("--data", "{shards}", "--codec", "none"), "none holds no trained codec (no vae/config.json)"),
        (("--data", "d", "--codec", "c", "--steps", "0"), "--steps must be at least 1, got 0"),
        (("--data", "d", "--codec", "c", "--width", "100"), "--width must be a multiple of --heads, got 100 and 3"),
        (("--config", "absent.json"), "absent.json: no such file"),
    ],
)
def test_missing_input_is_refused_and_leaves_nothing(arguments, words, shards: Path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "model", *(a.format(shards=shards) for a in arguments)]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
