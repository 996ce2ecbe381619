"""`rap train model`: the joint model on latents of posed clips, to a checkpoint in diffusers layout."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import EMAModel
from torch import nn
from tqdm import tqdm

from rap import flow
from rap.data.dataset import ClipStore
from rap.errors import InputError
from rap.flow import Pair
from rap.model import LatentCodec, RaPTransformer3DModel
from rap.pipeline import RaPPipeline
from rap.train.batches import Batch, BatchMaker
from rap.train.codec import read_codec
from rap.train.optimizers import learning_rate_factor, make_optimizers, set_rate
from rap.train.settings import ModelTraining
from rap.train.state import CsvLog, resume_model, save_model


def build_transformer(settings: ModelTraining, channels: int) -> RaPTransformer3DModel:
    """The embedded configuration: no text, gates open from the start."""
    return RaPTransformer3DModel(
        num_attention_heads=settings.heads,
        attention_head_dim=settings.width // settings.heads,
        in_channels=channels,
        out_channels=channels,
        text_dim=None,
        ffn_dim=4 * settings.width,
        num_layers=settings.layers,
        ray_attention=settings.ray_attention,
        attention=settings.attention,
        camera=settings.camera,
        ray_frame_stride=settings.ray_frame_stride,
        cross_gate_init=1.0,
        video_prediction=settings.video_prediction,
        video_baseline=settings.video_baseline,
        flow_hint=settings.flow_hint,
        warp_hint=settings.warp_hint,
        ray_prediction=settings.ray_prediction,
    )


def train_model(settings: ModelTraining) -> None:
    """Train the joint model and leave a pipeline with the averaged weights in `out/pipeline`."""
    torch.manual_seed(settings.seed)
    out, store = Path(settings.out), ClipStore(Path(settings.data))
    codec, ray_std = load_codec(settings)
    out.mkdir(parents=True, exist_ok=True)
    model = build_transformer(settings, codec.channels)
    optimizers = make_optimizers(model, settings)
    ema = EMAModel(model.parameters(), decay=settings.ema_decay, use_ema_warmup=True, power=0.75)
    start = resume_model(out, model, optimizers, ema) if settings.resume else 0
    network = torch.compile(model) if settings.compile else model
    log = CsvLog(out / "log.csv", ("step", "loss_video", "loss_rays", "grad_norm", "rate", "seconds"), start)
    began = time.monotonic()
    bar = tqdm(range(start, settings.steps), initial=start, total=settings.steps, desc="model", mininterval=5)
    for step in bar:
        if step % settings.save_every == 0:
            store.refresh()
        rng = np.random.default_rng([settings.seed, step])  # the batch depends on the step alone: exact resume
        torch.manual_seed(int(rng.integers(2**31)))
        batch = BatchMaker(store, codec, settings, rng).draw(small=step < settings.small_share * settings.steps)
        rate = learning_rate_factor(step, settings)
        for optimizer in optimizers:
            set_rate(optimizer, rate)
        losses, norm = _train_step(network, model, batch, optimizers, settings)
        ema.step(model.parameters())
        if step % 10 == 0:
            bar.set_postfix(video=f"{losses[0]:.3f}", rays=f"{losses[1]:.3f}")
            log.write(step, *losses, norm, rate, time.monotonic() - began)
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            save_model(out, model, optimizers, ema, step + 1)
            _export(settings, model, ema, codec, ray_std)


def _train_step(
    network: Callable, model: nn.Module, batch: Batch, optimizers: list, settings: ModelTraining
) -> tuple[tuple[float, float], float]:
    noise = Pair(torch.randn_like(batch.clean.video), torch.randn_like(batch.clean.rays))
    prediction = flow.Prediction(settings.video_prediction, settings.ray_prediction)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
        video, rays = flow.training_loss(
            BatchNetwork(network, batch), batch.clean, noise, batch.times, prediction, settings.cosine_weight
        )
    (video + settings.ray_loss_weight * rays).backward()
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm))
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return (video.item(), rays.item()), norm


class BatchNetwork:
    """The transformer as `flow.Network`, bound to the positions of a batch."""

    def __init__(self, network: Callable, batch: Batch) -> None:
        self.network, self.batch = network, batch

    def __call__(self, x: Pair, t: Pair) -> Pair:
        out = self.network(
            x.video,
            x.rays,
            t.video * 1000,
            t.rays * 1000,
            frame_times=self.batch.frame_times,
            ray_frame_times=self.batch.ray_frame_times,
            num_source_frames=self.batch.num_source_frames,
            return_dict=False,
            flow_hint=self.batch.flow_hint,
            warp_hint=self.batch.warp_hint,
        )
        video, rays = (o.float() for o in out)
        return Pair(video if self.batch.baseline is None else video + self.batch.baseline, rays)


def load_codec(settings: ModelTraining) -> tuple[LatentCodec, list[float]]:
    folder = Path(settings.codec)
    for name in ("vae/config.json", "ray_latents_std.json"):
        if not (folder / name).exists():
            raise InputError(f"--codec: {folder} holds no trained codec (no {name}); run `rap train codec` first")
    ray_std = json.loads((folder / "ray_latents_std.json").read_text())
    vae = read_codec(folder).eval()
    return LatentCodec(vae, settings.camera, ray_latents_std=ray_std), ray_std


def _export(
    settings: ModelTraining, model: RaPTransformer3DModel, ema: EMAModel, codec: LatentCodec, ray_std: list[float]
) -> None:
    """The pipeline with the averaged weights, in diffusers layout."""
    ema.store(model.parameters())
    ema.copy_to(model.parameters())
    scheduler = FlowMatchEulerDiscreteScheduler(shift=settings.shift)
    pipeline = RaPPipeline(
        model,
        codec.autoencoder,
        scheduler,
        FlowMatchEulerDiscreteScheduler(shift=1.0),
        raxel_scale=codec.raxel_scale,
        canonical_fov_y_deg=codec.canonical_fov_y_deg,
        ray_latents_std=ray_std,
        default_steps=settings.generate_steps,
        default_estimate_steps=settings.estimate_steps,
        # A network that sees the warp decides itself what of it to believe.
        default_hint_level=0.0 if settings.warp_hint == "none" else 1.0,
    )
    pipeline.save_pretrained(Path(settings.out) / "pipeline")
    ema.restore(model.parameters())
