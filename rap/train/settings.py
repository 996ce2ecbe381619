"""Settings of the trainings, from defaults, a JSON file and flags, in this order."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rap.errors import InputError
from rap.train.configs import CONFIGS

FOLDERS = {
    "data": "clips",
    "codec": "trained codec",
    "out": "results",
    "checkpoint": "pipeline to start from",
    "teacher": "teacher's network",
    "textures": "photographs and their manifest.csv",
    "validation": "held-out clips",
}
"""What the options that cannot be left out name."""

AT_LEAST_ONE = (
    *("steps", "batch", "heads", "save_every", "validation_clips", "clips", "workers", "replay_batches"),
    *("micro_batches", "context_parallel", "height", "width", "frames", "processes", "seeds"),
)

CHOICES = {"optimizer": ("muon", "adamw"), "report": ("", "tensorboard", "wandb")}


@dataclass(frozen=True)
class CodecTraining:
    """Settings of `rap train codec`.

    `photographs` adds moving cut-outs of a folder of pictures to the clips. `minutes` above 0 ends the training by time
    instead of by steps; with `cpu_time` they are minutes of this process's work, which makes trainings side by side on
    a busy machine comparable.
    """

    data: str = ""
    out: str = "runs/codec"
    z_dim: int = 48
    refiner_width: int = 96
    refiner_blocks: int = 4
    photographs: str = ""
    photograph_share: float = 0.5
    steps: int = 1500
    minutes: float = 0.0
    cpu_time: bool = False
    device: str = "cpu"
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

    `minutes` other than 0 ends the training by the wall time of all its resumed parts instead of by `steps`, and
    warm-up, decay and `small_share` follow that time; with `cpu_time` it is the time of this process's own work. `init`
    is the folder of a pipeline whose transformer is begun with. `validation` is a folder of shards: figures on some of
    its clips every `validate_every` steps or `validate_minutes`, and at the end; with `keep_best` the pipeline is
    replaced only when they are not clearly worse.
    Of the warps that samples get as their hints, `picture_rate` are the layers of the source by the embedded depth of
    one picture, as takes from one picture have them, `plane_rate` of the others a plane, and the rest lifted frames.
    `video_start_rate` of the videos that are noised are noise alone, which is all that a video of one step begins with.
    `draw_workers` threads draw the batches of coming steps, for a GPU that would wait for them; 0 draws in turn. With
    `draw_processes` so many processes draw instead, each from its share of the shards, and every step takes one of the
    latest `replay_batches` of them (`rap.train.replay`).
    A step sees `micro_batches` of `batch` clips. The processes that `torchrun` starts share them out, and each adds up
    its own, so that what is learnt does not depend on how many processes there are. `context_parallel` of them share
    every clip, each with its part of the tokens of every frame. `wan` is the folder of a Wan transformer to begin with,
    `text_width` that of its text states (0: no text), `ffn_width` 0 four times the width.
    `report` sends the log to "tensorboard" or "wandb" as well.
    """

    CONFIGS: ClassVar[Mapping[str, Mapping[str, Any]]] = CONFIGS

    data: str = ""
    codec: str = ""
    out: str = "runs/model"
    width: int = 192
    heads: int = 3
    layers: int = 6
    ffn_width: int = 0
    text_width: int = 0
    wan: str = ""
    ray_frame_stride: int = 1
    ray_attention: str = "shared"
    attention: str = "decoupled"
    camera: str = "raxel"
    video_prediction: str = "sample"
    video_baseline: str = "source"
    ray_prediction: str = "sample"
    flow_hint: bool = False
    warp_hint: str = "none"
    hint_dropout: float = 0.15
    simulated_flow_rate: float = 0.3
    plane_rate: float = 0.2
    picture_rate: float = 0.0
    per_frame_rate: float = 0.1
    video_start_rate: float = 0.0
    cosine_weight: float = 0.5
    ray_loss_weight: float = 10.0
    estimate_rate: float = 0.5
    generate_rate: float = 0.35
    steps: int = 2000
    batch: int = 16
    micro_batches: int = 1
    context_parallel: int = 1
    activation_checkpointing: bool = False
    optimizer: str = "muon"
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
    small_share: float = 0.0
    save_every: int = 100
    estimate_steps: int = 1
    generate_steps: int = 8
    shift: float = 30.0
    minutes: float = 0.0
    cpu_time: bool = False
    init: str = ""
    device: str = "cpu"
    validation: str = ""
    validation_clips: int = 8
    validate_every: int = 0
    validate_minutes: float = 0.0
    keep_best: bool = False
    draw_workers: int = 0
    draw_processes: int = 0
    replay_batches: int = 256
    report: str = ""
    bf16: bool = False
    seed: int = 0
    threads: int = 0
    resume: bool = False


def read_settings(kind: type, config: str | Path | None, flags: dict[str, Any]) -> Any:
    """Settings of a command: its defaults, over them those of `config`, a name of `kind.CONFIGS` or a file, then flags.

    Raises:
        InputError: no such file, a setting that there is not or of another type, a value out of its range.
    """
    named = getattr(kind, "CONFIGS", {})
    values = {} if config is None else dict(named[config]) if config in named else _read_config(kind, Path(config))
    values.update({key: value for key, value in flags.items() if value is not None})
    settings = kind(**values)
    for name in getattr(kind, "REQUIRED", ("data", "codec")):
        if getattr(settings, name, None) == "":
            raise InputError(f"--{name} is missing: the folder of the {FOLDERS[name]}")
    for name in AT_LEAST_ONE:
        if getattr(settings, name, 1) < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(settings, name)}")
    if isinstance(settings, ModelTraining):
        _check_model(settings)
    return settings


def _check_model(settings: ModelTraining) -> None:
    if settings.width % settings.heads:
        raise InputError(f"--width must be a multiple of --heads, got {settings.width} and {settings.heads}")
    for name in ("minutes", "validate_every", "validate_minutes", "draw_workers", "draw_processes"):
        if getattr(settings, name) < 0:
            raise InputError(f"--{name.replace('_', '-')} must not be negative, got {getattr(settings, name)}")
    for name, allowed in CHOICES.items():
        if getattr(settings, name) not in allowed:
            raise InputError(f"--{name} must be one of {allowed}, got {getattr(settings, name)!r}")
    if settings.wan and settings.init:
        raise InputError("--wan and --init both name weights to begin with; give one")
    if not settings.validation and (settings.validate_every or settings.validate_minutes or settings.keep_best):
        raise InputError("--validation is missing: the folder of held-out shards to validate on")


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
