"""`rap train codec` on tiny shards: what it learns, exact resume, photographs and an end by time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_runs import PowerCut, assert_same_files, cut_after, steps_logged, train_codec

import rap.train.codec
import rap.train.model
import rap.train.slot
from rap.data.dataset import ClipStore
from rap.errors import InputError
from rap.model import PatchAutoencoder
from rap.train.batches import sample_videos
from rap.train.codec import RAY_STD_FLOOR


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
