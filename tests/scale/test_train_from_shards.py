"""The paper's training at toy size: recordings, shards, Wan's weights, two processes, a checkpoint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from processes import rows, started
from recordings import collection, random_text_encoder, random_vae
from transformers import AutoTokenizer, UMT5EncoderModel

import rap.train.model
from rap import train
from rap.errors import InputError
from rap.geometry import preset
from rap.model.tokens import PROMPT_TOKENS
from rap.pipeline import RaPPipeline
from rap.shards import Building, LatentShards, build, empty_prompt
from rap.shards.text import write_empty_prompt
from rap.train.codec import RAY_STD_FLOOR
from rap.train.latent_batches import LatentBatches, opened
from rap.train.settings import ModelTraining
from rap.train.state import saved_step

pytestmark = pytest.mark.scale

WAN = dict(
    num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=8, ffn_dim=40, num_layers=2
)
SIZE = ("--width", 24, "--heads", 2, "--layers", 2, "--ffn-width", 40, "--text-width", 8, "--micro-batches", 2)
STEPS = ("--steps", 6, "--save-every", 2, "--warmup", 2, "--learning-rate", 1e-3)
PLAIN = {"video_baseline": "none", "short_clip_rate": 0.0, "ray_frame_stride": 4, "batch": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shards, the codec and Wan's transformer."""
    folder = tmp_path_factory.mktemp("made")
    root, films = collection(folder)
    random_vae(folder / "codec")
    text = random_text_encoder(folder / "pipeline")
    kept = Building(root, folder / "shards", folder / "codec", "CC0", films, (64, 96), 9, text_encoder=text)
    build(kept, lambda line: None)
    torch.manual_seed(0)
    WanTransformer3DModel(**WAN).save_pretrained(folder / "wan")
    return folder


def words(made: Path, out: Path, *more: object) -> list[str]:
    folders = ("--data", made / "shards", "--codec", made / "codec", "--wan", made / "wan", "--out", out)
    return list(map(str, ("model", "--config", "wan-1.3b", "--device", "cpu", *folders, *SIZE, *STEPS, *more)))


def trained_here(command: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rap.train.model, "LOG_EVERY", 1)
        assert train.main(command) == 0


def test_the_empty_prompt_is_that_of_wans_pipeline(made: Path, tmp_path: Path) -> None:
    folder = made / "pipeline"
    encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.bfloat16).eval()
    tokens = AutoTokenizer.from_pretrained(folder / "tokenizer")
    pipeline = WanPipeline(tokenizer=tokens, text_encoder=encoder, vae=None, scheduler=None)
    with torch.no_grad():
        states = pipeline._get_t5_prompt_embeds("", max_sequence_length=PROMPT_TOKENS)
    assert states.shape == (1, PROMPT_TOKENS, 8) and not states[0, 1:].any()
    assert states[0, 0].tolist() == empty_prompt(made / "shards") and states[0, 0].abs().max() > 0.1
    for lacking in (made, tmp_path):
        with pytest.raises(InputError, match="--text-encoder: .* holds no text_encoder"):
            write_empty_prompt(lacking, tmp_path)
    assert empty_prompt(tmp_path) is None


def batches(made: Path, **settings) -> LatentBatches:
    folders = {"data": str(made / "shards"), "codec": str(made / "codec")}
    chosen = ModelTraining(**{**folders, **PLAIN, **settings})
    source, _, _ = opened(chosen, torch.device("cpu"))
    assert isinstance(source, LatentBatches)
    return source


def test_wan_at_toy_size_is_trained_from_shards_by_one_process_and_by_two(made: Path, tmp_path: Path) -> None:
    trained_here(words(made, tmp_path / "one", "--no-bf16"))
    ended = started(2, words(made, tmp_path / "two", "--no-bf16"), DIE_RANK="0", DIE_IN="5")
    assert all(process.returncode for process in ended) and saved_step(tmp_path / "two") == 4
    trained_here(words(made, tmp_path / "two", "--no-bf16", "--resume"))
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["step"] for row in one] == list(range(6))
    for first, second in zip(one, two, strict=True):
        assert first == pytest.approx(second, rel=1e-4)
    pipeline = RaPPipeline.from_pretrained(tmp_path / "two" / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.transformer.config.empty_text == empty_prompt(made / "shards")
    path = preset("arc-left", num_frames=5, image_size=(64, 96))
    made_of = pipeline.generate_video(np.zeros((1, 64, 96, 3), dtype=np.uint8), path, steps=1)
    assert made_of.frames_u8.shape == (5, 64, 96, 3)


def test_two_processes_that_share_every_clip_train_as_one(made: Path, tmp_path: Path) -> None:
    flags = ("--no-bf16", "--activation-checkpointing")
    trained_here(words(made, tmp_path / "one", *flags))
    for process in started(2, words(made, tmp_path / "two", *flags, "--context-parallel", 2)):
        assert process.returncode == 0, process.stderr
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["step"] for row in one] == list(range(6))
    for first, second in zip(one, two, strict=True):
        assert first == pytest.approx(second, rel=1e-4)


def test_every_sample_comes_once_an_epoch_whoever_draws_it(made: Path) -> None:
    shards = LatentShards(made / "shards")
    known = Counter(shards.read(i)["video"].tobytes() for i in range(len(shards)))
    one = batches(made, micro_batches=3)
    drawn = [one.draw(0, part, 0.0) for part in range(3)]  # 3 micro-batches of 2 of the 6 samples
    targets = [sample for batch in drawn for sample in batch.clean.video[:, :, batch.num_source_frames :]]
    assert Counter(sample.half().numpy().tobytes() for sample in targets) == known
    again = batches(made, micro_batches=3).draw(0, 2, 0.0)
    assert torch.equal(again.clean.video, drawn[2].clean.video) and torch.equal(again.times.rays, drawn[2].times.rays)


def test_a_batch_of_latents_is_laid_out_as_one_of_clips(made: Path) -> None:
    batch = batches(made).draw(3, 0, 0.5)
    count, segment = 2, batch.num_source_frames
    assert batch.clean.video.shape == (count, 4, segment + 3, 8, 12) and batch.clean.rays.shape == (count, 4, 3, 4, 6)
    assert batch.times.video.shape == batch.frame_times.shape == (count, segment + 3)
    assert (batch.times.video[:, : segment + 1] == 0).all()  # the first frame is a source, so its latent is given
    assert batch.frame_times[0, segment:].tolist() == [0, 1, 2] and batch.ray_frame_times[0].tolist()[0] == 0
    shards = LatentShards(made / "shards")
    divisors = torch.tensor(shards.ray_std).clamp(min=RAY_STD_FLOOR).view(-1, 1, 1, 1)
    known = [torch.from_numpy(shards.read(i)["rays"]).float() for i in range(len(shards))]
    assert all(any(torch.allclose(rays * divisors, one) for one in known) for rays in batch.clean.rays)


def test_what_latents_cannot_serve_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--warp-hint must be 'none' on the shards of latents"):
        batches(made, warp_hint="blend")
    with pytest.raises(InputError, match="--ray-frame-stride must be 4"):
        batches(made, ray_frame_stride=1)
    other = random_vae(tmp_path, channels=8)
    with pytest.raises(InputError, match="holds another autoencoder"):
        batches(made, codec=str(other))
