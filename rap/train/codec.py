"""`rap train codec`: bases by principal components, then the convolutional part on reconstruction."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from rap.data.dataset import ClipStore, jitter_colours, to_video
from rap.errors import InputError
from rap.model import LatentCodec, PatchAutoencoder, read_autoencoder
from rap.train.batches import camera_maps, draw_clips, sample_videos
from rap.train.clock import seconds
from rap.train.codec_data import Photographs
from rap.train.optimizers import set_rate
from rap.train.settings import CodecTraining, ModelTraining
from rap.train.state import CsvLog, SavedTensors, load_optimizer, save_optimizer, saved_step, write_progress

CODEC_SAVE_EVERY = 200
"""Steps between saves of the codec's training."""

RAY_STD_FLOOR = 0.03
"""Smallest divisor of a ray latent channel: channels that carry nothing must not be blown up to unit variance."""


def train_codec(settings: CodecTraining) -> None:
    """Fit the bases, measure the statistics, train the convolutional part of the decoder on reconstruction."""
    torch.manual_seed(settings.seed)
    out, store = Path(settings.out), ClipStore(Path(settings.data))
    out.mkdir(parents=True, exist_ok=True)
    start = saved_step(out) if settings.resume else 0
    model = _resumed_codec(settings, out) if start else _fitted_codec(settings, store, out)
    if model.refiner is None:  # a linear codec is ready once its bases are
        model.save_pretrained(out / "vae")
        return
    nn.Module.to(model, settings.device)  # bases and statistics are fitted on the CPU, in double precision
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    if start:
        load_optimizer(optimizer, SavedTensors(out, "state", start))
    log = CsvLog(out / "log.csv", ("step", "loss", "psnr_db", "seconds"), start)
    source = CodecClips(store, Photographs.read(Path(settings.photographs)) if settings.photographs else None, settings)
    began = seconds(settings.cpu_time) - (_spent_seconds(out) if start else 0.0)
    if not settings.minutes and start >= settings.steps:
        return
    bar = tqdm(itertools.count(start), initial=start, desc="codec", mininterval=5)
    for step in bar:
        elapsed = seconds(settings.cpu_time) - began
        progress = elapsed / (60 * settings.minutes) if settings.minutes else step / settings.steps
        if step % CODEC_SAVE_EVERY == 0:
            store.refresh()
        set_rate(optimizer, 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
        video = source.draw(np.random.default_rng([settings.seed, step])).to(settings.device)
        loss = _codec_step(model, optimizer, video)
        last = progress >= 1 if settings.minutes else step + 1 == settings.steps
        if step % 20 == 0 or last:
            psnr = 10 * math.log10(4 / loss)
            bar.set_postfix(psnr=f"{psnr:.2f} dB")
            log.write(step, loss, psnr, elapsed)
        if (step + 1) % CODEC_SAVE_EVERY == 0 or last:
            model.save_pretrained(out / "vae")
            save_optimizer(optimizer, out / "state.safetensors", step + 1)
            write_progress(out, {"step": step + 1, "seconds": int(elapsed)})
        if last:
            return


def _spent_seconds(out: Path) -> float:
    return float(json.loads((out / "progress.json").read_text()).get("seconds", 0))


@dataclass(frozen=True)
class CodecClips:
    """Where a step's clips come from: rendered ones, and photographs in motion."""

    store: ClipStore
    photographs: Photographs | None
    settings: CodecTraining

    def draw(self, rng: np.random.Generator) -> Tensor:
        """(batch, 3, T, H, W) in [-1, 1], colours varied."""
        clips = draw_clips(self.store, self.settings.batch, rng).frames_u8
        if self.photographs is not None:
            count = int(rng.binomial(len(clips), self.settings.photograph_share))
            size = (clips.shape[2], clips.shape[3])
            if count:
                moving = self.photographs.clips(count, size, clips.shape[1], rng)
                clips = np.concatenate([clips[count:], moving])
        return jitter_colours(to_video(clips), rng)


def _fitted_codec(settings: CodecTraining, store: ClipStore, out: Path) -> PatchAutoencoder:
    rng = np.random.default_rng(settings.seed)
    model = PatchAutoencoder(settings.z_dim, settings.refiner_width, settings.refiner_blocks)
    model.fit_bases(sample_videos(store, settings.fit_clips, rng))
    _measure_latents(model, store, rng, out)
    return model


def _resumed_codec(settings: CodecTraining, out: Path) -> PatchAutoencoder:
    model = read_autoencoder(out / "vae")
    assert isinstance(model, PatchAutoencoder)
    for name in ("z_dim", "refiner_width", "refiner_blocks"):
        found, wanted = getattr(model.config, name), getattr(settings, name)
        if found != wanted:
            raise InputError(
                f"--{name.replace('_', '-')} is {wanted}, but the run in {out} has {found}; give another --out"
            )
    return model


def _codec_step(model: PatchAutoencoder, optimizer: torch.optim.Optimizer, video: Tensor) -> float:
    with torch.no_grad():
        z = model.encode(video).latent_dist.mode()
    loss = (model.decode(z).sample - video).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _measure_latents(model: PatchAutoencoder, store: ClipStore, rng: np.random.Generator, out: Path) -> None:
    """Per-channel statistics of video and of ray latents, in the units `LatentCodec` divides by."""
    z = model.encode(sample_videos(store, 48, rng)).latent_dist.mode()
    mean, std = z.mean((0, 2, 3, 4)), z.std((0, 2, 3, 4))
    # Half-way to whitening: the strong channels, which make the picture, keep more weight than fine detail.
    std = (std * std.square().mean().sqrt()).sqrt()
    model.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    codec, squares = LatentCodec(model), []
    for _ in range(8):
        clips = draw_clips(store, 16, rng)
        rays = codec.encode_rays(camera_maps(codec, clips, rng.integers(0, clips.frames_u8.shape[1], len(clips))))
        squares.append(rays.square().mean((0, 2, 3, 4)))
    ray_std = torch.stack(squares).mean(0).sqrt().clamp(min=RAY_STD_FLOOR)
    (out / "ray_latents_std.json").write_text(json.dumps(ray_std.tolist()))


def load_codec(settings: ModelTraining) -> tuple[LatentCodec, list[float]]:
    """The trained codec, or that of a pipeline, and the standard deviations of its ray latents.

    Raises:
        InputError: the folder holds none.
    """
    folder = Path(settings.codec)
    ray_std = saved_ray_std(folder)
    vae = read_autoencoder(folder / "vae").eval()
    return LatentCodec(vae, settings.camera, ray_latents_std=ray_std), ray_std


def saved_ray_std(folder: Path) -> list[float]:
    """What the ray latents of a codec are divided by: a trained one has it beside it, a pipeline in its index.

    Raises:
        InputError: the folder holds neither.
    """
    own, index = folder / "ray_latents_std.json", folder / "model_index.json"
    config = folder / "vae/config.json"
    if not config.exists() or not (own.exists() or index.exists()):
        missing = own.name if config.exists() else "vae/config.json"
        raise InputError(f"--codec: {folder} holds no trained codec (no {missing}); run `rap train codec` first")
    if own.exists():
        return json.loads(own.read_text())
    return json.loads(index.read_text())["ray_latents_std"] or [1.0] * json.loads(config.read_text())["z_dim"]
