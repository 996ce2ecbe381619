"""`rap train codec` and `rap train model`: from shards of posed clips to a checkpoint in diffusers layout.

Both are resumable (`--resume` goes on from the last state in `--out`), deterministic by `--seed`, and log to CSV. The
model sees the three tasks as one: a batch is latents of video and rays with a time per frame, and a task is only which
times are zero.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import EMAModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from rap import flow
from rap.data.dataset import (
    ClipStore,
    PosedClips,
    jitter_colours,
    mirror,
    relative_cameras,
    reverse_time,
    take_frames,
    to_video,
)
from rap.errors import InputError
from rap.flow import Pair
from rap.model import LatentCodec, PatchAutoencoder, RaPTransformer3DModel
from rap.model.tokens import TIME_COMPRESSION, frames_to_latent_time
from rap.pipeline import RaPPipeline

SOURCE_COUNT_RATES = (0.8, 0.13, 0.07)
"""How often a batch has one, two or three source frames."""

CODEC_SAVE_EVERY = 200
"""Steps between saves of the codec's training."""

RAY_STD_FLOOR = 0.03
"""Smallest divisor of a ray latent channel: channels that carry nothing must not be blown up to unit variance."""


@dataclass(frozen=True)
class CodecTraining:
    """Settings of `rap train codec`."""

    data: str = ""
    out: str = "runs/codec"
    z_dim: int = 48
    refiner_width: int = 96
    refiner_blocks: int = 4
    steps: int = 1500
    batch: int = 4
    learning_rate: float = 1e-3
    fit_clips: int = 128
    seed: int = 0
    threads: int = 0
    resume: bool = False


@dataclass(frozen=True)
class ModelTraining:
    """Settings of `rap train model`. Rates of estimate and generate leave the rest to joint.

    `estimate_steps`, `generate_steps` and the video's `shift` go into the checkpoint as its defaults. One step serves
    an under-trained estimate as well as two; an under-trained generation takes noise for detail at low noise levels,
    which a high shift keeps it from visiting (against repeating the source, held-out synthetic clips: 20 steps at shift
    1 lost 0.5 dB over 10 clips, 8 steps at shift 30 won 0.9 dB over 12).
    """

    data: str = ""
    codec: str = ""
    out: str = "runs/model"
    width: int = 192
    heads: int = 3
    layers: int = 6
    ray_frame_stride: int = 1
    ray_attention: str = "shared"
    attention: str = "decoupled"
    camera: str = "raxel"
    video_prediction: str = "sample"
    video_baseline: str = "source"
    ray_prediction: str = "sample"
    cosine_weight: float = 0.5
    ray_loss_weight: float = 10.0
    estimate_rate: float = 0.5
    generate_rate: float = 0.35
    steps: int = 2000
    batch: int = 16
    muon_learning_rate: float = 2e-3
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 50
    decay_share: float = 0.25
    ema_decay: float = 0.998
    clip_norm: float = 1.0
    reference_first_rate: float = 0.6
    rays_dropout: float = 0.1
    known_focal_rate: float = 0.15
    short_clip_rate: float = 0.6
    save_every: int = 100
    estimate_steps: int = 1
    generate_steps: int = 8
    shift: float = 30.0
    compile: bool = False
    bf16: bool = False
    seed: int = 0
    threads: int = 0
    resume: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of `rap train`."""
    parser = argparse.ArgumentParser(prog="rap train", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, settings in (("codec", CodecTraining), ("model", ModelTraining)):
        sub = commands.add_parser(name, help=(settings.__doc__ or "").split(".")[0])
        sub.add_argument("--config", type=Path, help="JSON file of settings; flags win over it")
        for item in dataclasses.fields(settings):
            flag = "--" + item.name.replace("_", "-")
            if isinstance(item.default, bool):
                sub.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
            else:
                sub.add_argument(flag, type=type(item.default), default=None, help=f"default {item.default!r}")
    args = vars(parser.parse_args(argv))
    command, config = args.pop("command"), args.pop("config")
    settings = _settings(CodecTraining if command == "codec" else ModelTraining, config, args)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    (train_codec if command == "codec" else train_model)(settings)
    return 0


def _settings(kind: type, config: Path | None, flags: dict[str, Any]) -> Any:
    values = {} if config is None else _read_config(kind, config)
    values.update({key: value for key, value in flags.items() if value is not None})
    settings = kind(**values)
    for name in ("data", "codec"):
        if getattr(settings, name, None) == "":
            raise InputError(f"--{name} is missing: the folder of the {'clips' if name == 'data' else 'trained codec'}")
    for name in ("steps", "batch", "heads", "save_every"):
        if getattr(settings, name, 1) < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(settings, name)}")
    if isinstance(settings, ModelTraining) and settings.width % settings.heads:
        raise InputError(f"--width must be a multiple of --heads, got {settings.width} and {settings.heads}")
    return settings


def _read_config(kind: type, config: Path) -> dict[str, Any]:
    try:
        values = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{config}: is no JSON ({error})") from error
    defaults = {item.name: item.default for item in dataclasses.fields(kind)}
    if not isinstance(values, dict):
        raise InputError(f"{config}: must hold one JSON object of settings, got {type(values).__name__}")
    unknown = sorted(set(values) - set(defaults))
    if unknown:
        raise InputError(f"{config}: unknown settings {unknown}; `rap train --help` lists them")
    for name, value in values.items():
        wanted = type(defaults[name])
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise InputError(f"{config}: {name} must be of type {wanted.__name__}, got {value!r}")
    return values


# --- codec ---


def train_codec(settings: CodecTraining) -> None:
    """Fit the bases, measure the statistics, train the convolutional part of the decoder on reconstruction."""
    torch.manual_seed(settings.seed)
    out, store = Path(settings.out), ClipStore(Path(settings.data))
    out.mkdir(parents=True, exist_ok=True)
    start = _saved_step(out) if settings.resume else 0
    model = _resumed_codec(settings, out) if start else _fitted_codec(settings, store, out)
    if model.refiner is None:  # a linear codec is ready once its bases are
        model.save_pretrained(out / "vae")
        return
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    if start:
        _load_optimizer(optimizer, out / "state.safetensors", start)
    log = CsvLog(out / "log.csv", ("step", "loss", "psnr_db", "seconds"), start)
    began = time.monotonic()
    bar = tqdm(range(start, settings.steps), initial=start, total=settings.steps, desc="codec", mininterval=5)
    for step in bar:
        if step % CODEC_SAVE_EVERY == 0:
            store.refresh()
        _set_rate(optimizer, 0.5 * (1 + math.cos(math.pi * step / settings.steps)))
        loss = _codec_step(model, optimizer, store, settings.batch, np.random.default_rng([settings.seed, step]))
        last = step + 1 == settings.steps
        if step % 20 == 0 or last:
            psnr = 10 * math.log10(4 / loss)
            bar.set_postfix(psnr=f"{psnr:.2f} dB")
            log.write(step, loss, psnr, time.monotonic() - began)
        if (step + 1) % CODEC_SAVE_EVERY == 0 or last:
            model.save_pretrained(out / "vae")
            _save_optimizer(optimizer, out / "state.safetensors", step + 1)
            _write_progress(out, {"step": step + 1})


def _fitted_codec(settings: CodecTraining, store: ClipStore, out: Path) -> PatchAutoencoder:
    rng = np.random.default_rng(settings.seed)
    model = PatchAutoencoder(settings.z_dim, settings.refiner_width, settings.refiner_blocks)
    model.fit_bases(_sample_videos(store, settings.fit_clips, rng))
    _measure_latents(model, store, rng, out)
    return model


def _read_codec(folder: Path) -> PatchAutoencoder:
    """The codec of a training folder, without the path that `from_pretrained` would write into every later export."""
    loaded = PatchAutoencoder.from_pretrained(folder / "vae")
    model = PatchAutoencoder(**{key: value for key, value in loaded.config.items() if not key.startswith("_")})
    model.load_state_dict(loaded.state_dict())
    return model


def _resumed_codec(settings: CodecTraining, out: Path) -> PatchAutoencoder:
    model = _read_codec(out)
    for name in ("z_dim", "refiner_width", "refiner_blocks"):
        found, wanted = getattr(model.config, name), getattr(settings, name)
        if found != wanted:
            raise InputError(
                f"--{name.replace('_', '-')} is {wanted}, but the run in {out} has {found}; give another --out"
            )
    return model


def _codec_step(
    model: PatchAutoencoder,
    optimizer: torch.optim.Optimizer,
    store: ClipStore,
    batch: int,
    rng: np.random.Generator,
) -> float:
    video = jitter_colours(to_video(_draw(store, batch, rng).frames_u8), rng)
    with torch.no_grad():
        z = model.encode(video).latent_dist.mode()
    loss = (model.decode(z).sample - video).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _sample_videos(store: ClipStore, count: int, rng: np.random.Generator) -> Tensor:
    clips = store.draw(count, rng)
    return jitter_colours(to_video(clips.frames_u8), rng)


def _draw(store: ClipStore, count: int, rng: np.random.Generator) -> PosedClips:
    clips = store.draw(count, rng)
    clips = reverse_time(clips) if rng.random() < 0.5 else clips
    return mirror(clips) if rng.random() < 0.5 else clips


def _shorten(clips: PosedClips, rng: np.random.Generator) -> PosedClips:
    """5 or 9 frames at a random stride: most of a motion for half of the tokens, and users bring short clips too."""
    total = clips.frames_u8.shape[1]
    count = min(total, int(rng.choice([5, 9])))
    stride = int(rng.integers(1, max(1, (total - 1) // (count - 1)) + 1))
    start = int(rng.integers(0, total - stride * (count - 1)))
    return take_frames(clips, slice(start, start + stride * (count - 1) + 1, stride))


def _measure_latents(model: PatchAutoencoder, store: ClipStore, rng: np.random.Generator, out: Path) -> None:
    """Per-channel statistics of video and of ray latents, in the units `LatentCodec` divides by."""
    z = model.encode(_sample_videos(store, 48, rng)).latent_dist.mode()
    mean, std = z.mean((0, 2, 3, 4)), z.std((0, 2, 3, 4))
    # Half-way to whitening: the strong channels, which make the picture, keep more weight than fine detail.
    std = (std * std.square().mean().sqrt()).sqrt()
    model.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    codec, squares = LatentCodec(model), []
    for _ in range(8):
        clips = _draw(store, 16, rng)
        rays = codec.encode_rays(_camera_maps(codec, clips, rng.integers(0, clips.frames_u8.shape[1], len(clips))))
        squares.append(rays.square().mean((0, 2, 3, 4)))
    ray_std = torch.stack(squares).mean(0).sqrt().clamp(min=RAY_STD_FLOOR)
    (out / "ray_latents_std.json").write_text(json.dumps(ray_std.tolist()))


def _camera_maps(
    codec: LatentCodec, clips: PosedClips, references: np.ndarray, frames: np.ndarray | None = None
) -> Tensor:
    Ts = torch.from_numpy(relative_cameras(clips, references)).float()
    K = torch.from_numpy(np.ascontiguousarray(clips.intrinsics)).float()
    if frames is not None:
        rows = np.arange(len(frames))[:, None]
        Ts, K = Ts[rows, frames], K[rows, frames]
    return codec.camera_maps(Ts, K, clips.size)


# --- model ---


@dataclass
class Batch:
    """Clean latents, times, and where the frames stand."""

    clean: Pair
    times: Pair
    frame_times: Tensor
    ray_frame_times: Tensor
    num_source_frames: int
    baseline: Tensor | None = None


@dataclass
class BatchMaker:
    """Draws clips, augments, encodes, and deals out tasks."""

    store: ClipStore
    codec: LatentCodec
    settings: ModelTraining
    rng: np.random.Generator

    def draw(self) -> Batch:
        """One batch; all its clips have the same size and number of source frames."""
        clips = _draw(self.store, self.settings.batch, self.rng)
        if self.rng.random() < self.settings.short_clip_rate:
            clips = _shorten(clips, self.rng)
        count, frames = len(clips), clips.frames_u8.shape[1]
        sources = self._sources(count, frames)
        video = jitter_colours(to_video(clips.frames_u8), self.rng)
        rows = torch.arange(count)[:, None]
        images = video.transpose(1, 2)[rows, torch.from_numpy(sources)]
        segment = self.codec.encode_images(images)
        targets = self.codec.encode_video(video)
        ray_frames = self._ray_frames(sources, frames)
        rays = self.codec.encode_rays(_camera_maps(self.codec, clips, sources[:, 0], ray_frames))
        latent_times = torch.arange(targets.shape[2], dtype=torch.float64).expand(count, -1)
        ray_times = frames_to_latent_time(torch.from_numpy(ray_frames))
        return Batch(
            clean=Pair(torch.cat([segment, targets], dim=2), rays),
            times=self._times(sources, targets.shape[2], ray_frames),
            frame_times=torch.cat([frames_to_latent_time(torch.from_numpy(sources)), latent_times], dim=1),
            ray_frame_times=ray_times,
            num_source_frames=sources.shape[1],
            baseline=self._baseline(images, sources, frames, segment)
            if self.settings.video_baseline == "source"
            else None,
        )

    def _baseline(self, images: Tensor, sources: np.ndarray, frames: int, segment: Tensor) -> Tensor:
        still = self.codec.encode_still(images, torch.from_numpy(sources), frames)
        return torch.cat([torch.zeros_like(segment), still], dim=2)

    def _ray_frames(self, sources: np.ndarray, frames: int) -> np.ndarray:
        """(N, G) frames that have a map of their camera: as `RaPPipeline` lays them out."""
        stride = TIME_COMPRESSION if self.settings.camera == "pluecker" else self.settings.ray_frame_stride
        regular = np.tile(np.arange(0, frames, stride), (len(sources), 1))
        return np.concatenate([sources, regular], axis=1) if self.settings.camera == "pluecker" else regular

    def _sources(self, count: int, frames: int) -> np.ndarray:
        """(N, S) different frames; the first is the reference, often frame 0 as most users have it."""
        number = 1 + self.rng.choice(len(SOURCE_COUNT_RATES), p=SOURCE_COUNT_RATES)
        picks = np.stack([self.rng.permutation(frames)[:number] for _ in range(count)])
        for row in picks:
            if self.rng.random() < self.settings.reference_first_rate:
                row[np.flatnonzero(row == 0)] = row[0]
                row[0] = 0
        return picks

    def _times(self, sources: np.ndarray, targets: int, ray_frames: np.ndarray) -> Pair:
        count, segment = sources.shape
        settings, rng = self.settings, self.rng
        video = np.zeros((count, segment + targets), dtype=np.float32)
        rays = np.zeros(ray_frames.shape, dtype=np.float32)
        for i in range(count):
            t_video, t_rays = _task_times(settings, rng)
            video[i, segment:] = t_video
            rays[i] = t_rays
            if 0 in sources[i]:
                video[i, segment] = 0
            if t_video == 0 and rng.random() < settings.known_focal_rate:
                rays[i, ray_frames[i] == sources[i, 0]] = 0
        return Pair(torch.from_numpy(video), torch.from_numpy(rays))


def _task_times(settings: ModelTraining, rng: np.random.Generator) -> tuple[float, float]:
    """Times of one clip's video and rays: a task is which of them is zero.

    Half of the ray times are 1: the rays need one or two steps, and the first starts from pure noise.
    """
    u = rng.random()
    t_video, t_rays = float(1 - rng.random()), 1.0 if rng.random() < 0.5 else float(1 - rng.random())
    if u < settings.estimate_rate:
        return 0.0, t_rays
    if u < settings.estimate_rate + settings.generate_rate:
        return t_video, 1.0 if rng.random() < settings.rays_dropout else 0.0
    return (1.0, t_rays) if rng.random() < 0.5 else (t_video, t_rays)


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
        ray_prediction=settings.ray_prediction,
    )


def train_model(settings: ModelTraining) -> None:
    """Train the joint model and leave a pipeline with the averaged weights in `out/pipeline`."""
    torch.manual_seed(settings.seed)
    out, store = Path(settings.out), ClipStore(Path(settings.data))
    codec, ray_std = _load_codec(settings)
    out.mkdir(parents=True, exist_ok=True)
    model = build_transformer(settings, codec.channels)
    optimizers = _optimizers(model, settings)
    ema = EMAModel(model.parameters(), decay=settings.ema_decay, use_ema_warmup=True, power=0.75)
    start = _resume(out, model, optimizers, ema) if settings.resume else 0
    network = torch.compile(model) if settings.compile else model
    log = CsvLog(out / "log.csv", ("step", "loss_video", "loss_rays", "grad_norm", "rate", "seconds"), start)
    began = time.monotonic()
    bar = tqdm(range(start, settings.steps), initial=start, total=settings.steps, desc="model", mininterval=5)
    for step in bar:
        if step % settings.save_every == 0:
            store.refresh()
        rng = np.random.default_rng([settings.seed, step])  # the batch depends on the step alone: exact resume
        torch.manual_seed(int(rng.integers(2**31)))
        batch = BatchMaker(store, codec, settings, rng).draw()
        rate = learning_rate_factor(step, settings)
        for optimizer in optimizers:
            _set_rate(optimizer, rate)
        losses, norm = _train_step(network, model, batch, optimizers, settings)
        ema.step(model.parameters())
        if step % 10 == 0:
            bar.set_postfix(video=f"{losses[0]:.3f}", rays=f"{losses[1]:.3f}")
            log.write(step, *losses, norm, rate, time.monotonic() - began)
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            _save(out, model, optimizers, ema, step + 1)
            _export(settings, model, ema, codec, ray_std)


def _train_step(
    network: Callable, model: nn.Module, batch: Batch, optimizers: list, settings: ModelTraining
) -> tuple[tuple[float, float], float]:
    noise = Pair(torch.randn_like(batch.clean.video), torch.randn_like(batch.clean.rays))
    prediction = flow.Prediction(settings.video_prediction, settings.ray_prediction)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
        video, rays = flow.training_loss(
            _BatchNetwork(network, batch), batch.clean, noise, batch.times, prediction, settings.cosine_weight
        )
    (video + settings.ray_loss_weight * rays).backward()
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm))
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return (video.item(), rays.item()), norm


class _BatchNetwork:
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
        )
        video, rays = (o.float() for o in out)
        return Pair(video if self.batch.baseline is None else video + self.batch.baseline, rays)


def learning_rate_factor(step: int, settings: ModelTraining) -> float:
    """Warm-up, stable, linear decay over the last share of the steps; a resumed run may set another end."""
    decay = max(1, int(settings.decay_share * settings.steps))
    return min(1.0, (step + 1) / max(1, settings.warmup), max(0.02, (settings.steps - step) / decay))


def _optimizers(model: nn.Module, settings: ModelTraining) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for everything else."""
    if not hasattr(torch.optim, "Muon"):
        raise InputError(f"training needs torch >= 2.9 for its Muon optimizer, got {torch.__version__}")
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and name.startswith("blocks.") and name.endswith(".weight")
        (matrices if is_matrix else rest).append(parameter)
    muon = torch.optim.Muon(matrices, lr=settings.muon_learning_rate, weight_decay=settings.weight_decay, momentum=0.95)
    adam = torch.optim.AdamW(rest, lr=settings.learning_rate, weight_decay=0.0, betas=(0.9, 0.95))
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return [muon, adam]


def _set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("base_lr", group["lr"]) * factor


def _load_codec(settings: ModelTraining) -> tuple[LatentCodec, list[float]]:
    folder = Path(settings.codec)
    for name in ("vae/config.json", "ray_latents_std.json"):
        if not (folder / name).exists():
            raise InputError(f"--codec: {folder} holds no trained codec (no {name}); run `rap train codec` first")
    ray_std = json.loads((folder / "ray_latents_std.json").read_text())
    vae = _read_codec(folder).eval()
    return LatentCodec(vae, settings.camera, ray_latents_std=ray_std), ray_std


# --- state on disk ---


class CsvLog:
    """Rows to a CSV file as they come; a resumed run drops those of steps that it does again."""

    def __init__(self, path: Path, columns: tuple[str, ...], start: int = 0) -> None:
        self._path = path
        kept: list[list[str]] = []
        if start and path.exists():
            with path.open(newline="") as file:
                kept = [row for row in list(csv.reader(file))[1:] if row and int(row[0]) < start]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *kept])

    def write(self, *values: float) -> None:
        """One row, floats shortened."""
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])


def _write_tensors(tensors: dict[str, Tensor], path: Path, step: int) -> None:
    """Renamed into place when complete, and marked with the step it belongs to."""
    partial = path.with_name(path.name + ".part")
    save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata={"step": str(step)})
    partial.replace(path)


def _read_tensors(path: Path, step: int) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        found = (file.metadata() or {}).get("step", str(step))
    if found != str(step):
        raise InputError(
            f"{path}: is of step {found}, progress.json of step {step}: the run was cut while it saved; "
            "start again without --resume"
        )
    return load_file(path)


def _write_progress(out: Path, progress: dict[str, int]) -> None:
    """The step, written after everything else."""
    partial = out / "progress.json.part"
    partial.write_text(json.dumps(progress))
    partial.replace(out / "progress.json")


def _saved_step(out: Path) -> int:
    """The step a run was saved at; 0 when there is none."""
    path = out / "progress.json"
    return int(json.loads(path.read_text())["step"]) if path.exists() else 0


def _save_optimizer(optimizer: torch.optim.Optimizer, path: Path, step: int) -> None:
    state = optimizer.state_dict()["state"]
    tensors = {f"{i}.{key}": torch.as_tensor(value) for i, entry in state.items() for key, value in entry.items()}
    _write_tensors(tensors, path, step)


def _load_optimizer(optimizer: torch.optim.Optimizer, path: Path, step: int) -> None:
    """The moments; rates stay those of the settings."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _read_tensors(path, step).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _save(out: Path, model: nn.Module, optimizers: list, ema: EMAModel, step: int) -> None:
    """All state of the run; the step is written last, so a cut between files is noticed on resume."""
    _write_tensors(model.state_dict(), out / "model.safetensors", step)
    for i, optimizer in enumerate(optimizers):
        _save_optimizer(optimizer, out / f"optimizer{i}.safetensors", step)
    _write_tensors({str(i): p for i, p in enumerate(ema.shadow_params)}, out / "ema.safetensors", step)
    _write_progress(out, {"step": step, "ema_steps": int(ema.optimization_step)})


def _resume(out: Path, model: nn.Module, optimizers: list, ema: EMAModel) -> int:
    """Load what `_save` wrote; returns the step to go on from, 0 where nothing was saved.

    Raises:
        InputError: the saved run has another network.
    """
    step = _saved_step(out)
    if step == 0:
        return 0
    weights = _read_tensors(out / "model.safetensors", step)
    own = model.state_dict()
    if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in own.items()}:
        raise InputError(f"--resume: the run in {out} has a network of another size or kind; give its settings")
    model.load_state_dict(weights)
    for i, optimizer in enumerate(optimizers):
        _load_optimizer(optimizer, out / f"optimizer{i}.safetensors", step)
    shadow = _read_tensors(out / "ema.safetensors", step)
    ema.shadow_params = [shadow[str(i)] for i in range(len(ema.shadow_params))]  # in the order of model.parameters()
    ema.optimization_step = int(json.loads((out / "progress.json").read_text())["ema_steps"])
    return step


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
    )
    pipeline.save_pretrained(Path(settings.out) / "pipeline")
    ema.restore(model.parameters())


if __name__ == "__main__":
    raise SystemExit(main())
