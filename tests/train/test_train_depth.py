"""`rap train depth-samples` and `rap train depth`: samples by seed, a loss of known minimum, a training that learns."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from rap import cli
from rap.errors import InputError
from rap.train import main
from rap.train.depth import depth_loss
from rap.train.depth_data import DepthSamples
from rap.train.networks import rate
from rap.train.samples import draw_shown
from rap.views.depth_network import DepthNetwork


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth-samples")
    assert main(["depth-samples", "--out", str(folder), "--clips", "3", "--seed", "3"]) == 0
    return folder


def test_a_sample_depends_on_its_seed_and_number_alone(samples: Path, tmp_path: Path):
    (tmp_path / "sample-3-000000.npz").write_bytes((samples / "sample-3-000000.npz").read_bytes())  # is left as it is
    main(["depth-samples", "--out", str(tmp_path), "--clips", "2", "--seed", "3"])
    with np.load(samples / "sample-3-000001.npz") as one, np.load(tmp_path / "sample-3-000001.npz") as again:
        assert one.files == again.files
        for name in one.files:
            np.testing.assert_array_equal(one[name], again[name])


def test_the_sweep_of_a_sample_is_near_its_truth(samples: Path):
    for path in samples.glob("*.npz"):
        with np.load(path) as file:
            depth = file["maps"][:, 0].astype(np.float32).repeat(2, axis=1).repeat(2, axis=2)
            assert np.median(np.abs(depth - file["truth"])) < 2, "planes"
            assert file["colour_u8"].shape[2:] == file["truth"].shape[1:]
            assert file["blind_u8"].shape == file["informed_u8"].shape


def test_cut_outs_keep_picture_maps_costs_and_truth_together(samples: Path):
    evidence, truth = DepthSamples.read(samples).draw(np.random.default_rng(0), 6, (20, 28))
    assert evidence.colour.shape == (6, 3, 40, 56) and truth.shape == (6, 40, 56)
    assert evidence.maps.shape == (6, 10, 20, 28) and evidence.blind.shape == evidence.informed.shape
    assert evidence.blind.shape[:3] == (6, 20, 28)
    depth = evidence.maps[:, 0].repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    turned = (depth.flip(-1) - truth).abs().flatten(1).median(dim=1).values
    assert ((depth - truth).abs().flatten(1).median(dim=1).values < turned + 0.5).all(), "mirrored together"


def test_frames_that_are_swept_together_are_different_ones_of_the_clip():
    rng = np.random.default_rng(0)
    drawn = [draw_shown(rng) for _ in range(200)]
    assert all(len(set(shown)) == len(shown) and min(shown) >= 0 and max(shown) <= 16 for shown in drawn)
    assert {len(shown) for shown in drawn} == {2, 3, 5, 9}


def test_the_loss_is_least_where_the_error_is_told_as_it_is():
    truth, depth = torch.zeros(1, 2, 2), torch.full((1, 2, 2), 3.0)
    scales = torch.linspace(-1, 3, 401)
    losses = torch.stack([depth_loss(depth, torch.full_like(depth, scale.item()), truth) for scale in scales])
    assert scales[losses.argmin()].exp().item() == pytest.approx(3.05, abs=0.05)
    assert depth_loss(truth, torch.zeros_like(truth), truth) < losses.min()


def test_gross_errors_count_by_their_logarithm():
    truth, log_error = torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)
    losses = [depth_loss(torch.full((1, 1, 1), off), log_error, truth).item() for off in (16.0, 32.0, 1016.0)]
    assert losses[1] - losses[0] == pytest.approx(np.log(17), abs=1e-4)
    assert losses[2] - losses[0] == pytest.approx(np.log(1001), abs=1e-4)


def test_the_rate_warms_up_stays_and_falls():
    assert rate(0, 0.0) == pytest.approx(0.01)
    assert rate(500, 0.3) == 1
    assert rate(500, 0.7) == pytest.approx(0.5)
    assert rate(500, 1.0) == 0.02


def test_training_lowers_the_held_out_loss_and_writes_a_network(samples: Path, tmp_path: Path):
    for name, steps in (("short", 2), ("long", 40)):
        arguments = (
            "--data",
            samples,
            "--out",
            tmp_path / name,
            "--steps",
            steps,
            "--batch",
            2,
            "--validation-clips",
            2,
        )
        assert main(["depth", *map(str, arguments)]) == 0
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("short", "long")]
    rows = [list(csv.DictReader(log))[-1] for log in logs]
    assert float(rows[1]["held_out_loss"]) < float(rows[0]["held_out_loss"])
    assert rows[0]["off_before"] == rows[1]["off_before"], "the same cut-outs"
    network = DepthNetwork.load(tmp_path / "long" / "depth_network.safetensors")
    assert network.head.weight.abs().max() > 0


def test_bad_settings_are_refused(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(InputError, match="rap train depth-samples"):
        main(["depth", "--data", str(tmp_path)])
    with pytest.raises(InputError, match="must leave some of the 3 samples"):
        main(["depth", "--data", str(samples), "--out", str(tmp_path), "--validation-clips", "3"])
    with pytest.raises(InputError, match="--data is missing"):
        main(["depth"])
    assert cli.main(["train", "depth-samples"]) == cli.BAD_INPUT
    assert "--out is missing" in capsys.readouterr().err
