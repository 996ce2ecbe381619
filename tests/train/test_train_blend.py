"""`rap train blend-samples` and `rap train blend`: samples by seed, errors as described, a training that learns."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rap import cli
from rap.errors import InputError
from rap.geometry import se3
from rap.train import main
from rap.train.blend import blend_loss
from rap.train.blend_data import BlendSamples, draw_targets, exposed, noisy, shaken
from rap.views.blend_network import BlendNetwork


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blend-samples")
    assert main(["blend-samples", "--out", str(folder), "--clips", "3", "--seed", "8"]) == 0
    return folder


def test_a_sample_depends_on_its_seed_and_number_alone(samples: Path, tmp_path: Path):
    (tmp_path / "sample-8-000000.npz").write_bytes((samples / "sample-8-000000.npz").read_bytes())  # is left as it is
    main(["blend-samples", "--out", str(tmp_path), "--clips", "2", "--seed", "8"])
    with np.load(samples / "sample-8-000001.npz") as one, np.load(tmp_path / "sample-8-000001.npz") as again:
        assert one.files == again.files
        for name in one.files:
            np.testing.assert_array_equal(one[name], again[name])


def test_the_mean_of_a_sample_is_near_its_truth(samples: Path):
    for path in samples.glob("*.npz"):
        with np.load(path) as file:
            mean, truth = (file[name].astype(float) / 255 for name in ("mean_u8", "truth_u8"))
            assert mean.shape == truth.shape and file["single_u8"].shape[1] == file["shown"].shape[1] == 5
            error, shuffled = np.square(mean - truth).mean(), np.square(mean[:, :, ::-1] - truth).mean()
            assert error < 0.02 and error < 0.5 * shuffled
            assert (file["single_u8"].transpose(0, 1, 3, 4, 2)[~file["shown"]] == 0).all()


def test_cut_outs_keep_pictures_maps_and_truth_together(samples: Path):
    evidence, truth = BlendSamples.read(samples).draw(np.random.default_rng(0), 12, (48, 64))
    assert evidence.mean.shape == truth.shape == (12, 3, 48, 64)
    assert evidence.shown.shape == (12, 5, 48, 64) and evidence.maps.shape == (12, 9, 48, 64)
    assert (evidence.differences.abs().amax(dim=2)[evidence.shown == 0] == 0).all()
    seen = evidence.maps[:, 6] > 0.5
    error = (evidence.mean - truth).abs().mean(dim=1)[seen].mean()
    for wrong in (truth.flip(-1), truth.roll(1, dims=1)):
        assert error < (evidence.mean - wrong).abs().mean(dim=1)[seen].mean(), "mirrored and recoloured together"
    first = evidence.shown[:, 0] > 0
    single = (evidence.mean + evidence.differences[:, 0] - truth).abs().mean(dim=1)
    assert single[first].mean() < 0.1


def test_targets_are_frames_that_are_not_shown_mostly_between_them():
    rng = np.random.default_rng(0)
    drawn = [draw_targets(rng, [4, 8, 12], 17) for _ in range(200)]
    assert all(len(set(targets)) == len(targets) == 4 and not set(targets) & {4, 8, 12} for targets in drawn)
    between = np.mean([all(4 < i < 12 for i in targets) for targets in drawn])
    assert 0.75 < between < 0.95


def test_poses_are_off_by_a_drift_and_a_tremble():
    Ts = np.tile(np.eye(4), (17, 1, 1))
    Ts[:, 0, 3] = np.linspace(0, 1, 17)
    errors = []
    for seed in range(40):
        moved = shaken(np.random.default_rng(seed), Ts)
        se3.check_rigid(moved, "moved")
        errors.append(np.rad2deg(se3.rotation_angle((se3.inverse(Ts) @ moved)[:, :3, :3])).mean())
    still = np.mean(np.array(errors) < 1e-3)
    assert 0.1 < still < 0.5, "three in ten are exact"
    assert max(errors) < 1.5 and np.median(np.array(errors)[np.array(errors) > 1e-3]) > 0.03, "degrees"


def test_exposure_changes_slowly_and_noise_is_small():
    frames = torch.full((17, 3, 8, 8), 0.5)
    found = [exposed(np.random.default_rng(seed), frames) for seed in range(60)]
    steady = np.mean([torch.equal(one, frames) for one in found])
    assert 0.25 < steady < 0.55
    changes = torch.stack([one[..., 0, 0] for one in found if not torch.equal(one, frames)]).clamp(min=1e-3).log()
    assert changes.diff(dim=1).abs().mean() < 0.05 < changes.std(dim=1).mean() * 2
    grainy = [noisy(np.random.default_rng(seed), frames) - frames for seed in range(30)]
    assert 0 < np.mean([one.abs().max() > 0 for one in grainy]) < 0.6
    assert max(one.std().item() for one in grainy) == pytest.approx(0.012, rel=0.05)


def test_the_loss_is_psnr_up_to_a_factor():
    truth = torch.zeros(2, 3, 4, 4)
    colour = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.3)])
    psnr = np.mean([-20 * math.log10(0.1), -20 * math.log10(0.3)])
    assert -10 / math.log(10) * blend_loss(colour, truth).item() == pytest.approx(psnr, abs=0.05)


def test_training_lowers_the_held_out_loss_and_writes_a_network(samples: Path, tmp_path: Path):
    for name, steps in (("short", 2), ("long", 40)):
        arguments = ("--data", samples, "--out", tmp_path / name, "--steps", steps, "--batch", 2)
        assert main(["blend", *map(str, arguments), "--validation-clips", "1"]) == 0
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("short", "long")]
    rows = [list(csv.DictReader(log))[-1] for log in logs]
    assert float(rows[1]["held_out_loss"]) < float(rows[0]["held_out_loss"])
    assert float(rows[1]["psnr_after"]) > float(rows[1]["psnr_before"])
    assert rows[0]["psnr_before"] == rows[1]["psnr_before"], "the same cut-outs"
    network = BlendNetwork.load(tmp_path / "long" / "blend_network.safetensors")
    assert network.head.weight.abs().max() > 0


def test_bad_settings_are_refused(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(InputError, match="rap train blend-samples"):
        main(["blend", "--data", str(tmp_path)])
    with pytest.raises(InputError, match="must leave some of the 3 samples"):
        main(["blend", "--data", str(samples), "--out", str(tmp_path), "--validation-clips", "3"])
    assert cli.main(["train", "blend-samples"]) == cli.BAD_INPUT
    assert "--out is missing" in capsys.readouterr().err
