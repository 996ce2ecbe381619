"""`rap train model`: the joint model on latents of posed clips, to a checkpoint in diffusers layout."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from rap import flow
from rap.config import PART_BYTES
from rap.errors import InputError
from rap.flow import Pair
from rap.geometry.motion import MotionLimits
from rap.model import LatentCodec, RaPTransformer3DModel
from rap.pipeline import RaPPipeline
from rap.train.average import RunningMean
from rap.train.batches import Batch
from rap.train.budget import step_flop
from rap.train.clock import Clock, Interruption
from rap.train.latent_batches import Source, opened
from rap.train.motions import write_motion_limits
from rap.train.optimizers import learning_rate_factor, make_optimizers, set_rate
from rap.train.plots import VALIDATION_LOG, plot_run, read_columns
from rap.train.ranks import Ranks, joined
from rap.train.replay import Replay
from rap.train.reports import TrainingLog
from rap.train.settings import ModelTraining
from rap.train.sharded import whole
from rap.train.start import first_network
from rap.train.state import ALONE, CsvLog, replace_folder, resume_model, save_model, saved_seconds, write_json
from rap.train.throughput import Ahead, Throughput, matmul_flop_per_s
from rap.train.validate import SCORE_NOISE, Validation, score

SMALL_PART_BYTES, MOST_SMALL_PARTS = 16 * 1000**2, 64
"""Of files of weights: what code hosts take without large-file storage. A network of 20 billion parameters would be
five thousand of them."""

SAVE_EVERY_S = 60.0
"""Of a training by minutes, whose steps may take anything."""

BEST = "best.json"

LOG_EVERY = 10
"""Steps."""


def train_model(settings: ModelTraining, say: Callable[[str], None] = print) -> dict[str, float]:
    """Train the joint model and leave a pipeline with the averaged weights in `out/pipeline`.

    SIGINT and SIGTERM end it after the step that runs: everything is saved and the pipeline written before it ends.
    Started by `torchrun`, its processes train one network together; `out` must be a folder that all of them see.

    Args:
        say: gets a line every few seconds.

    Returns:
        Figures of the last validation, if there was one.

    Raises:
        InputError: no clips, no codec, no such device, weights of another network to begin or go on with, or settings
            that several processes cannot share.
    """
    with joined(settings.device, settings.context_parallel) as ranks:
        check_shared(settings, ranks)
        torch.manual_seed(settings.seed)
        out = Path(settings.out)
        source, codec, ray_std = opened(settings, ranks.device)
        nn.Module.to(codec.autoencoder, ranks.device)  # diffusers decorates its own, which hides its type
        model = first_network(settings, codec.channels, ranks)
        validation = Validation.of_shards(Path(settings.validation), settings) if settings.validation else None
        out.mkdir(parents=True, exist_ok=True)
        run = ModelRun(settings, out, codec, ray_std, model, ranks, validation)
        with Interruption() as interruption:
            run.train(source, interruption, say if ranks.is_first else _unsaid)
    interruption.raise_if_told()
    return run.figures


def check_shared(settings: ModelTraining, ranks: Ranks) -> None:
    """Whether so many processes can train by these settings.

    Raises:
        InputError: they cannot.
    """
    for name, number in (("number of processes", ranks.count), ("--heads", settings.heads)):
        if number % ranks.together:
            raise InputError(f"--context-parallel must divide the {name}, {number}, got {ranks.together}")
    if settings.micro_batches % ranks.readers:
        raise InputError(
            f"--micro-batches must be a multiple of the {ranks.readers} processes that share them, "
            f"got {settings.micro_batches}"
        )
    for name in ("minutes", "validation", "draw_processes", "cpu_time"):
        if ranks.count > 1 and getattr(settings, name):
            raise InputError(f"--{name.replace('_', '-')} is of a training by one process; {ranks.count} were started")


class ModelRun:
    """One training of a network: its optimizers, its average, and what is written of it."""

    def __init__(
        self,
        settings: ModelTraining,
        out: Path,
        codec: LatentCodec,
        ray_std: list[float],
        model: RaPTransformer3DModel,
        ranks: Ranks = ALONE,
        validation: Validation | None = None,
    ) -> None:
        self.settings, self.out, self.codec, self.ray_std = settings, out, codec, ray_std
        self.model, self.ranks, self.validation = model, ranks, validation
        self.optimizers = make_optimizers(model, settings)
        self.mean = averages(model, settings)
        self.start = resume_model(out, model, self.optimizers, self.mean) if settings.resume else 0
        self.clock = Clock(settings, saved_seconds(out) if self.start else 0.0)
        self.share = ranks.share(settings.micro_batches)
        self.log = TrainingLog(out, settings, self.start) if ranks.is_first else None
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

    def train(self, source: Source, interruption: Interruption, say: Callable[[str], None] = print) -> None:
        """Steps until the end, or until a signal to any of the processes; then everything is saved."""
        device, dtype = self.ranks.device, torch.bfloat16 if self.settings.bf16 else torch.float32
        meter = Throughput(matmul_flop_per_s(device, dtype), say)
        say(f"{device}, {dtype}: matrix products at {meter.peak_flop_per_s / 1e9:.0f} GFLOP/s")
        self.motions = source.motions()
        batches, step, told = self._batches(source), self.start, False
        try:
            while self.clock.progress(step) < 1 and not told:
                if step % self.settings.save_every == 0:
                    source.refresh()
                first = step * len(self.share)
                self.step([batches(first + place) for place in range(len(self.share))], step, meter)
                step += 1
                if self._is_to_save(step):
                    self.save(step)
                if self._is_due(step):
                    self.validate(step, say)
                told = self.ranks.sums(float(interruption.signal is not None))[0] > 0
        finally:
            batches.close()
        if self.saved != step or self.settings.minutes:  # by minutes: the time is known to be spent
            self.save(step)
        if self.validation is not None and not told and self.validated != step:
            self.validate(step, say)
        if step > self.start and self.ranks.is_first:
            (self.out / "throughput.json").write_text(json.dumps(meter.summary(), indent=2) + "\n")

    def _batches(self, source: Source) -> Ahead | Replay:
        if self.settings.draw_processes:
            return Replay(self.settings, self.ranks.device)
        return Ahead(partial(self.draw, source), self.settings.draw_workers)

    def draw(self, source: Source, number: int) -> Batch:
        """This process's micro-batch of that number, of its step, its place in it and the data alone.

        A run resumed on the same data, by however many processes, is so exact.
        """
        step, place = divmod(number, len(self.share))
        return source.draw(step, self.share[place], self.clock.progress(step))

    def step(self, batches: Sequence[Batch], step: int, meter: Throughput) -> None:
        """One step, the noise of every micro-batch of a seed of its own."""
        settings, progress = self.settings, self.clock.progress(step)
        parts = [noised(batch, [settings.seed, step, 1, part]) for batch, part in zip(batches, self.share, strict=True)]
        rate = learning_rate_factor(step, progress, settings)
        for optimizer in self.optimizers:
            set_rate(optimizer, rate)
        take_step = partial(train_step, self.model, parts, self.optimizers, self.mean, settings, self.ranks)
        samples = sum(len(batch.clean.video) for batch in batches)
        flop = sum(step_flop(self.model.config, batch, settings.activation_checkpointing) for batch in batches)
        losses, norm = meter.run(samples * self.ranks.readers, flop // self.ranks.together, take_step)
        if step % LOG_EVERY == 0 and self.log is not None:
            self.log.write(step, *losses, norm, rate, self.clock.elapsed_s())
        meter.report(step, losses, self._remaining_s(step + 1))

    def save(self, step: int) -> None:
        """The state after so many steps, and the pipeline unless a better one is kept."""
        self.saved, self.saved_s = step, self.clock.elapsed_s()
        save_model(self.out, self.model, self.optimizers, self.mean, step, self.saved_s, self.ranks)
        if not self.settings.keep_best or self.best is None:
            self.export()

    def validate(self, step: int, say: Callable[[str], None] = print) -> None:
        """Figures of the averaged weights, a row of them, curves, and the pipeline if it is to be the best one."""
        assert self.validation is not None
        pipeline = self.averaged()
        assert pipeline is not None
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
        pipeline = self.averaged()
        if pipeline is None:
            return
        shutil.rmtree(partial_folder, ignore_errors=True)
        pipeline.save_pretrained(partial_folder, max_shard_size=part_bytes(pipeline.transformer))
        if self.motions is not None:
            write_motion_limits(partial_folder, self.motions, "the clips this model was trained on")
        replace_folder(partial_folder, folder)

    def averaged(self) -> RaPPipeline | None:
        """The pipeline around the averaged weights themselves; in the first process only, but all must ask."""
        weights = {}
        for name, tensor in self.mean.whole():
            if self.ranks.is_first:
                weights[name] = tensor if self.ranks.count == 1 else tensor.cpu()
        if not weights:
            return None
        with torch.device("meta"):
            twin = RaPTransformer3DModel.from_config(self.model.config)
        twin.load_state_dict(weights, assign=True)
        return as_pipeline(self.settings, twin.eval(), self.codec, self.ray_std)

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


def part_bytes(network: nn.Module) -> int:
    """How large the files of its weights may be."""
    total = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    return SMALL_PART_BYTES if total <= MOST_SMALL_PARTS * SMALL_PART_BYTES else PART_BYTES


def averages(model: nn.Module, settings: ModelTraining) -> RunningMean:
    """The moving average of the weights, which starts as what they are."""
    return RunningMean(model, settings.ema_decay, power=0.75)


@dataclass(frozen=True)
class Part:
    """A micro-batch of a step, and the noise that it is seen under."""

    batch: Batch
    noise: Pair

    @property
    def counts(self) -> tuple[float, float]:
        """Noised frames of the video and of the rays."""
        video, rays = ((times > 0).sum().item() for times in self.batch.times)
        return float(video), float(rays)


def noised(batch: Batch, seed: Sequence[int]) -> Part:
    """A batch under noise that depends on the seed alone."""
    torch.manual_seed(int(np.random.default_rng(seed).integers(2**31)))
    return Part(batch, Pair(torch.randn_like(batch.clean.video), torch.randn_like(batch.clean.rays)))


def train_step(
    model: nn.Module,
    parts: Sequence[Part],
    optimizers: list,
    mean: RunningMean,
    settings: ModelTraining,
    ranks: Ranks = ALONE,
) -> tuple[tuple[float, float], float]:
    """One step on the parts of all processes, of which these are this one's; losses of video and rays, gradient norm.

    Each part's loss is divided by the noised frames of all of them, so that gradients add up to those of one batch.
    """
    counts = ranks.of_all(*np.sum([part.counts for part in parts], axis=0).tolist())
    losses = [0.0, 0.0]
    for part in parts:
        video, rays = batch_losses(model, part.batch, part.noise, settings, (counts[0], counts[1]))
        (video + settings.ray_loss_weight * rays).backward()
        losses = [losses[0] + video.item(), losses[1] + rays.item()]
    norm = float(whole(nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)))
    for optimizer in optimizers:
        if math.isfinite(norm):  # else the step is left out: one overflow would be in every weight from then on
            optimizer.step()
        optimizer.zero_grad()
    mean.step()
    video_loss, ray_loss = ranks.of_all(*losses)
    return (video_loss, ray_loss), norm


def batch_losses(
    network: Callable,
    batch: Batch,
    noise: Pair,
    settings: ModelTraining,
    counts: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Of the video and of the rays; `counts` as in `flow.training_loss`."""
    kinds = flow.Prediction(settings.video_prediction, settings.ray_prediction)
    bound = BatchNetwork(network, batch)
    with torch.autocast(batch.clean.video.device.type, torch.bfloat16, enabled=settings.bf16):
        return flow.training_loss(bound, batch.clean, noise, batch.times, kinds, settings.cosine_weight, counts)


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


def _saved_best(out: Path) -> float | None:
    path = out / BEST
    return float(json.loads(path.read_text())["score"]) if path.exists() else None


def _unsaid(line: str) -> None:
    """What other processes than the first have to tell."""
