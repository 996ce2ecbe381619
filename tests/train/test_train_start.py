"""The network that a training begins with: sizes by name, Wan's weights read row by row."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from training_runs import batch_maker, train_model

from rap.errors import InputError
from rap.model import RaPTransformer3DModel
from rap.train.configs import CONFIGS
from rap.train.model import batch_losses, check_shared, noised
from rap.train.ranks import Ranks
from rap.train.settings import ModelTraining, read_settings
from rap.train.start import build_transformer, first_network

WAN = dict(
    num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16, text_dim=8, ffn_dim=40, num_layers=2
)
SIZE = dict(width=24, heads=2, layers=2, ffn_width=40, text_width=8)


def test_names_are_sizes_and_flags_win() -> None:
    settings = read_settings(ModelTraining, "wan-14b", {"data": "d", "codec": "c", "layers": 2})
    assert (settings.width, settings.layers, settings.optimizer) == (5120, 2, "adamw")
    for name in CONFIGS:
        assert read_settings(ModelTraining, name, {"data": "d", "codec": "c"}).width == CONFIGS[name]["width"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"micro_batches": 3}, "--micro-batches must be a multiple of the 2 processes that share them, got 3"),
        ({"minutes": 1.0}, "--minutes is of a training by one process; 2 were started"),
        ({"validation": "held-out"}, "--validation is of a training by one process"),
    ],
)
def test_settings_that_processes_cannot_share_are_refused(changed, words: str) -> None:
    settings = ModelTraining(**{"micro_batches": 2, **changed})
    check_shared(settings, Ranks())
    with pytest.raises(InputError, match=words):
        check_shared(settings, Ranks(index=1, count=2))


def test_processes_that_share_clips_draw_the_same_ones() -> None:
    ranks = [Ranks(index=index, count=6, together=2) for index in range(6)]
    assert [list(one.share(6)) for one in ranks] == [[0, 3], [0, 3], [1, 4], [1, 4], [2, 5], [2, 5]]
    check_shared(ModelTraining(micro_batches=3, heads=2), ranks[0])
    for count, words in ((3, "number of processes, 3"), (2, "--heads, 3")):
        with pytest.raises(InputError, match=f"--context-parallel must divide the {words}, got 2"):
            check_shared(ModelTraining(micro_batches=2, heads=3), Ranks(count=count, together=2))


@pytest.mark.parametrize("overrides", [{}, {"ray_attention": "separate"}, {"camera": "pluecker"}])
def test_wans_weights_by_rows_are_those_of_from_wan(overrides, tmp_path: Path) -> None:
    torch.manual_seed(0)
    wan = WanTransformer3DModel(**WAN)
    wan.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    network = first_network(ModelTraining(wan=str(tmp_path), **SIZE, **overrides), 16, Ranks())
    expected = RaPTransformer3DModel.from_wan(wan, **overrides).state_dict()
    own = network.state_dict()
    assert own.keys() == expected.keys()
    wans = set(wan.state_dict())
    for key, value in own.items():
        if key in wans or overrides.get("camera") != "pluecker" or not expected[key].any():
            assert torch.equal(value, expected[key]), key


def test_weights_of_another_size_or_none_are_refused(tmp_path: Path) -> None:
    WanTransformer3DModel(**WAN).save_pretrained(tmp_path)
    for changed in ({"ffn_width": 48}, {"layers": 1}):
        with pytest.raises(InputError, match="--wan: .* has another size or kind than the settings"):
            first_network(ModelTraining(wan=str(tmp_path), **{**SIZE, **changed}), 16, Ranks())
    with pytest.raises(InputError, match="--wan: .* holds no transformer"):
        first_network(ModelTraining(wan=str(tmp_path / "none"), **SIZE), 16, Ranks())


@torch.no_grad()
def test_micro_batches_are_one_batch(shards: Path, codec: Path) -> None:
    """Two of them give the gradient of both together: the loss is divided by what both count."""
    maker = batch_maker(shards, codec)
    network = build_transformer(ModelTraining(width=24, heads=2, layers=1), 16)
    parts = [noised(maker.draw(), [0, k]) for k in range(2)]
    counts = tuple(sum(part.counts[k] for part in parts) for k in range(2))
    split = [batch_losses(network, part.batch, part.noise, maker.settings, counts) for part in parts]
    means = [batch_losses(network, part.batch, part.noise, maker.settings) for part in parts]
    for k in range(2):
        expected = sum(float(means[i][k]) * parts[i].counts[k] for i in range(2)) / counts[k]
        assert float(split[0][k] + split[1][k]) == pytest.approx(expected, rel=1e-5)


def test_a_dashboard_that_is_not_installed_is_refused(shards: Path, codec: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match="--report wandb: the package wandb is missing; pip install wandb"):
        train_model(shards, codec, tmp_path, "--steps", 1, "--report", "wandb")
    with pytest.raises(InputError, match="--report must be one of"):
        train_model(shards, codec, tmp_path, "--report", "paper")
