"""`rap train model`: the joint model on latents of posed clips, to a checkpoint in diffusers layout."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from rap import flow
from rap.data.dataset import ClipStore
from rap.errors import InputError
from rap.flow import Pair
from rap.geometry.motion import MotionLimits
from rap.model import LatentCodec, RaPTransformer3DModel
from rap.pipeline import RaPPipeline
from rap.train.batches import Batch, BatchMaker
from rap.train.clock import Clock, Interruption
from rap.train.codec import load_codec
from rap.train.motions import measured, write_motion_limits
from rap.train.optimizers import learning_rate_factor, make_optimizers, set_rate
from rap.train.plots import VALIDATION_LOG, plot_run, read_columns
from rap.train.replay import Replay
from rap.train.settings import ModelTraining
from rap.train.state import CsvLog, replace_folder, resume_model, running_mean, save_model, saved_seconds, write_json
from rap.train.throughput import Ahead, Throughput, checked_device, flop_counter, matmul_flop_per_s
from rap.train.validate import SCORE_NOISE, Validation, score

MAX_SHARD = "16MB"
"""Largest file of weights: what code hosts take without large-file storage."""

SAVE_EVERY_S = 60.0
"""Of a training by minutes, whose steps may take anything."""

BEST = "best.json"

HINT_PREFIXES = ("flow_hint_embedding.", "warp_hint_embedding.")


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


def train_model(settings: ModelTraining, say: Callable[[str], None] = print) -> dict[str, float]:
    """Train the joint model and leave a pipeline with the averaged weights in `out/pipeline`.

    SIGINT and SIGTERM end it after the step that runs: everything is saved and the pipeline written before it ends.

    Args:
        say: gets a line every few seconds.

    Returns:
        Figures of the last validation, if there was one.

    Raises:
        InputError: no clips, no codec, no such device, or weights of another network to begin or go on with.
    """
    torch.manual_seed(settings.seed)
    device = checked_device(settings.device)
    out, store = Path(settings.out), ClipStore(Path(settings.data))
    codec, ray_std = load_codec(settings)
    nn.Module.to(codec.autoencoder, device)  # diffusers decorates its own, which hides its type
    model = build_transformer(settings, codec.channels)
    if settings.init:
        init_weights(model, Path(settings.init))
    validation = Validation.of_shards(Path(settings.validation), settings) if settings.validation else None
    out.mkdir(parents=True, exist_ok=True)
    nn.Module.to(model, device)
    run = ModelRun(settings, out, codec, ray_std, model, device, validation)
    with Interruption() as interruption:
        run.train(store, interruption, say)
    interruption.raise_if_told()
    return run.figures


class ModelRun:
    """One training of a network: its optimizers, its average, and what is written of it."""

    def __init__(
        self,
        settings: ModelTraining,
        out: Path,
        codec: LatentCodec,
        ray_std: list[float],
        model: RaPTransformer3DModel,
        device: torch.device,
        validation: Validation | None = None,
    ) -> None:
        self.settings, self.out, self.codec, self.ray_std = settings, out, codec, ray_std
        self.model, self.device, self.validation = model, device, validation
        self.optimizers = make_optimizers(model, settings)
        self.ema = averages(model, settings)
        self.start = resume_model(out, model, self.optimizers, self.ema) if settings.resume else 0
        self.clock = Clock(settings, saved_seconds(out) if self.start else 0.0)
        columns = ("step", "loss_video", "loss_rays", "grad_norm", "rate", "seconds")
        self.log = CsvLog(out / "log.csv", columns, self.start)
        rows = read_columns(out / VALIDATION_LOG).get("step", []) if self.start else []
        self.validated, self.validated_s = int(max(rows, default=-1)), self.clock.elapsed_s()
        self.saved, self.saved_s = self.start, self.clock.elapsed_s()
        self.figures: dict[str, float] = {}
        self.motions: MotionLimits | None = None
        self.best = _saved_best(out) if settings.resume else None
        if validation is not None:
            # A row tells of the steps before it, so that of the step to go on from stays.
            kept = self.start + 1 if self.start else 0
            self.validation_log = CsvLog(out / VALIDATION_LOG, ("step", "seconds", *validation.columns()), kept)

    def train(self, store: ClipStore, interruption: Interruption, say: Callable[[str], None] = print) -> None:
        """Steps until the end, or until a signal; then everything is saved."""
        dtype = torch.bfloat16 if self.settings.bf16 else torch.float32
        meter = Throughput(matmul_flop_per_s(self.device, dtype), say)
        say(f"{self.device}, {dtype}: matrix products at {meter.peak_flop_per_s / 1e9:.0f} GFLOP/s")
        self.motions = measured(store)
        batches, step = self._batches(store), self.start
        try:
            while self.clock.progress(step) < 1 and interruption.signal is None:
                if step % self.settings.save_every == 0:
                    store.refresh()
                self.step(batches(step), step, meter)
                step += 1
                if self._is_to_save(step):
                    self.save(step)
                if self._is_due(step):
                    self.validate(step, say)
        finally:
            batches.close()
        if self.saved != step or self.settings.minutes:  # by minutes: the time is known to be spent
            self.save(step)
        if self.validation is not None and interruption.signal is None and self.validated != step:
            self.validate(step, say)
        if step > self.start:
            (self.out / "throughput.json").write_text(json.dumps(meter.summary(), indent=2) + "\n")

    def _batches(self, store: ClipStore) -> Ahead | Replay:
        if self.settings.draw_processes:
            return Replay(self.settings, self.device)
        return Ahead(partial(self.draw, store), self.settings.draw_workers)

    def draw(self, store: ClipStore, step: int) -> Batch:
        """The batch of a step, of the step and the shards alone: a resumed run on the same shards is exact."""
        small = self.clock.progress(step) < self.settings.small_share
        rng = np.random.default_rng([self.settings.seed, step])
        return BatchMaker(store, self.codec, self.settings, rng, self.device).draw(small=small)

    def step(self, batch: Batch, step: int, meter: Throughput) -> None:
        """One step, its noise of a seed of its own."""
        settings, progress = self.settings, self.clock.progress(step)
        torch.manual_seed(_noise_seed(settings.seed, step))
        rate = learning_rate_factor(step, progress, settings)
        for optimizer in self.optimizers:
            set_rate(optimizer, rate)
        shape = (batch.clean.video.shape, batch.clean.rays.shape)
        take_step = partial(train_step, self.model, batch, self.optimizers, self.ema, settings)
        samples = len(batch.clean.video)
        losses, norm = meter.run(shape, samples, take_step, partial(step_flop, self.model, batch, settings))
        if step % 10 == 0:
            self.log.write(step, *losses, norm, rate, self.clock.elapsed_s())
        meter.report(step, losses, self._remaining_s(step + 1))

    def save(self, step: int) -> None:
        """The state after so many steps, and the pipeline unless a better one is kept."""
        self.saved, self.saved_s = step, self.clock.elapsed_s()
        save_model(self.out, self.model, self.optimizers, self.ema, step, self.saved_s)
        if not self.settings.keep_best or self.best is None:
            self.export()

    def validate(self, step: int, say: Callable[[str], None] = print) -> None:
        """Figures of the averaged weights, a row of them, curves, and the pipeline if it is to be the best one."""
        assert self.validation is not None
        with self.averaged() as pipeline:
            self.figures = self.validation.figures(pipeline)
        self.validated, self.validated_s = step, self.clock.elapsed_s()
        self.validation_log.write(step, self.validated_s, *(float(v) for v in self.figures.values()))
        say(f"validation at step {step}: " + ", ".join(f"{k} {v:.3f}" for k, v in self.figures.items()))
        if self.settings.keep_best:
            self._keep_if_best(step)
        say(plot_run(self.out))

    def _keep_if_best(self, step: int) -> None:
        found = score(self.figures)
        if self.best is not None and not found >= self.best - SCORE_NOISE:  # nor when it is no number
            return
        self.best = found if self.best is None else max(found, self.best)  # never less, or noise would add up
        self.export()
        write_json(self.out / BEST, {"step": step, "score": self.best, **self.figures})

    def export(self) -> None:
        """The pipeline with the averaged weights, in diffusers layout; the one before stays until it is whole."""
        partial_folder, folder = self.out / "pipeline.part", self.out / "pipeline"
        shutil.rmtree(partial_folder, ignore_errors=True)
        with self.averaged() as pipeline:
            pipeline.save_pretrained(partial_folder, max_shard_size=MAX_SHARD)
        if self.motions is not None:
            write_motion_limits(partial_folder, self.motions, "the clips this model was trained on")
        replace_folder(partial_folder, folder)

    @contextmanager
    def averaged(self) -> Iterator[RaPPipeline]:
        """The pipeline in memory, its weights the averaged ones while the context is open."""
        with running_mean(self.ema, self.model):
            yield as_pipeline(self.settings, self.model, self.codec, self.ray_std)

    def _is_to_save(self, step: int) -> bool:
        if self.settings.minutes:
            return self.clock.elapsed_s() - self.saved_s >= SAVE_EVERY_S
        return step % self.settings.save_every == 0

    def _is_due(self, step: int) -> bool:
        if self.validation is None or self.clock.progress(step) >= 1:  # the last one comes after the loop
            return False
        every, minutes = self.settings.validate_every, self.settings.validate_minutes
        late = minutes > 0 and self.clock.elapsed_s() - self.validated_s >= 60 * minutes
        return late or (every > 0 and step % every == 0)

    def _remaining_s(self, step: int) -> float:
        if self.settings.minutes:
            return 60 * self.settings.minutes - self.clock.elapsed_s()
        spent = self.clock.elapsed_s() - self.clock.before_s
        return spent / (step - self.start) * (self.settings.steps - step)


def init_weights(model: RaPTransformer3DModel, folder: Path) -> None:
    """Begin with the transformer of a pipeline; hints that it does not take stay without effect.

    Raises:
        InputError: no pipeline there, or a network of another size or kind.
    """
    if not (folder / "transformer" / "config.json").exists():
        raise InputError(f"--init: {folder} holds no pipeline (no transformer/config.json)")
    weights = RaPTransformer3DModel.from_pretrained(folder / "transformer").state_dict()
    own = model.state_dict()
    missing = [key for key in own if key not in weights and not key.startswith(HINT_PREFIXES)]
    strange = [key for key, value in weights.items() if key not in own or own[key].shape != value.shape]
    if missing or strange:
        raise InputError(
            f"--init: the network in {folder} has another size or kind ({', '.join([*missing, *strange][:3])}); "
            f"give its settings, which {folder / 'transformer' / 'config.json'} tells"
        )
    model.load_state_dict(weights, strict=False)


def averages(model: nn.Module, settings: ModelTraining) -> EMAModel:
    """The moving average of the weights, which starts as what they are."""
    return EMAModel(model.parameters(), decay=settings.ema_decay, use_ema_warmup=True, power=0.75, foreach=True)


def train_step(
    model: nn.Module, batch: Batch, optimizers: list, ema: EMAModel, settings: ModelTraining
) -> tuple[tuple[float, float], float]:
    """One step on a batch; losses of video and rays, gradient norm."""
    noise = Pair(torch.randn_like(batch.clean.video), torch.randn_like(batch.clean.rays))
    video, rays = batch_losses(model, batch, noise, settings)
    (video + settings.ray_loss_weight * rays).backward()
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm))
    for optimizer in optimizers:
        if math.isfinite(norm):  # else the step is left out: one overflow would be in every weight from then on
            optimizer.step()
        optimizer.zero_grad()
    ema.step(model.parameters())
    return (video.item(), rays.item()), norm


def batch_losses(network: Callable, batch: Batch, noise: Pair, settings: ModelTraining) -> tuple[Tensor, Tensor]:
    """Of the video and of the rays."""
    prediction = flow.Prediction(settings.video_prediction, settings.ray_prediction)
    with torch.autocast(batch.clean.video.device.type, torch.bfloat16, enabled=settings.bf16):
        return flow.training_loss(
            BatchNetwork(network, batch), batch.clean, noise, batch.times, prediction, settings.cosine_weight
        )


def step_flop(model: nn.Module, batch: Batch, settings: ModelTraining) -> int:
    """FLOP of forward and backward of a batch: of its first clip, counted, times the number of clips.

    The counter takes operations apart, which changes their rounding: counting a step itself would change the training
    by what is counted when, and a resumed one would no longer go on exactly.
    """
    first = first_clip(batch)
    noise = Pair(torch.zeros_like(first.clean.video), torch.zeros_like(first.clean.rays))
    with flop_counter() as counter:
        video, rays = batch_losses(model, first, noise, settings)
        (video + rays).backward()
    model.zero_grad()
    return counter.get_total_flops() * len(batch.clean.video)


def first_clip(batch: Batch) -> Batch:
    """A batch of one."""
    changes = {}
    for item in fields(batch):
        value = getattr(batch, item.name)
        if isinstance(value, Pair):
            changes[item.name] = Pair(value.video[:1], value.rays[:1])
        elif isinstance(value, Tensor):
            changes[item.name] = value[:1]
    return replace(batch, **changes)


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


def as_pipeline(
    settings: ModelTraining, model: RaPTransformer3DModel, codec: LatentCodec, ray_std: list[float]
) -> RaPPipeline:
    """The pipeline around a network, with the defaults of its training."""
    pipeline = RaPPipeline(
        model,
        codec.autoencoder,
        FlowMatchEulerDiscreteScheduler(shift=settings.shift),
        FlowMatchEulerDiscreteScheduler(shift=1.0),
        raxel_scale=codec.raxel_scale,
        canonical_fov_y_deg=codec.canonical_fov_y_deg,
        ray_latents_std=ray_std,
        default_steps=settings.generate_steps,
        default_estimate_steps=settings.estimate_steps,
        # A network that sees the warp decides itself what of it to believe.
        default_hint_level=0.0 if settings.warp_hint == "none" else 1.0,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _noise_seed(seed: int, step: int) -> int:
    return int(np.random.default_rng([seed, step, 1]).integers(2**31))


def _saved_best(out: Path) -> float | None:
    path = out / BEST
    return float(json.loads(path.read_text())["score"]) if path.exists() else None
