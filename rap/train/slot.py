"""`rap train slot`: from nothing to a checkpoint with figures within so many minutes of a machine that is lent.

Phases: self-checks, rendering, codec, figures before, model, figures after. A phase that fails says so and the next one
goes on with what exists. Called again with the same `--out` it goes on where it was cut; `--out/pipeline` always holds
the best weights so far, `--out/summary.json` every figure. Held-out clips have the seed of the split "val".
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from rap.config import clip_seed
from rap.data.dataset import ClipStore, to_video
from rap.errors import InputError
from rap.flow import Pair
from rap.model import LatentCodec, PatchAutoencoder, RaPTransformer3DModel
from rap.pipeline import RaPPipeline
from rap.synthetic import SyntheticConfig, build_shards, render_clips
from rap.synthetic.clips import MakeClips
from rap.train.batches import BatchMaker
from rap.train.clock import SIGTERM_STATUS
from rap.train.codec import load_codec, saved_ray_std, train_codec
from rap.train.model import BEST, as_pipeline, batch_losses, part_bytes, train_model
from rap.train.photograph_clips import photographs, render_photographs
from rap.train.plots import plot_run
from rap.train.settings import CodecTraining, ModelTraining
from rap.train.start import build_transformer, init_weights
from rap.train.state import replace_folder, saved_seconds, write_json
from rap.train.throughput import checked_device, duration
from rap.train.validate import Validation, score

FIXED_BATCHES = 4

SHEET, SHEET_CLIPS, SHEET_FRAMES = "sheet.png", 3, 5

MAX_AFTER_SHARE = 0.15
"""Of the slot's time: what is kept for the figures after the training; a short slot ends a little late."""

CHECK_SIDE = 64

FREE_CORES = 2
"""Of the machine's, left by the processes that draw batches for a GPU: for the steps, and for what comes to them."""


@dataclass(frozen=True)
class SlotTraining:
    """Everything of one slot of machine time. `minutes` is all of it, of all parts that were cut.

    `render_share` and `codec_share` are shares of the minutes, `clips` the most that is rendered in them;
    the model has what is left. `codec` is the folder of a trained codec; `init` a pipeline to begin with, whose network
    and (without `codec`) codec are used. Photographs that are flown through have `photograph_share` of the time for
    rendering, and of the clips. `picture_rate` is the model's; `rate` its learning rates over their defaults.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ()

    minutes: float = 20.0
    out: str = "runs/slot"
    textures: str = ""
    photographs: str = ""
    photograph_share: float = 0.3
    codec: str = ""
    init: str = ""
    device: str = "cpu"
    bf16: bool = False
    side: int = 128
    frames: int = 17
    clips: int = 4000
    shard_size: int = 32
    workers: int = 2
    render_share: float = 0.2
    codec_share: float = 0.15
    z_dim: int = 48
    refiner_width: int = 96
    refiner_blocks: int = 4
    width: int = 192
    heads: int = 3
    layers: int = 6
    batch: int = 8
    warp_hint: str = "blend"
    picture_rate: float = 0.0
    rate: float = 1.0
    small_share: float = 0.5
    warmup: int = 50
    save_every: int = 50
    validation_clips: int = 6
    seed: int = 0
    threads: int = 0


def run_slot(settings: SlotTraining) -> int:
    """All phases; the exit status is 1 when one of them failed.

    Raises:
        InputError: no such device, no texture or codec or pipeline where one was named.
    """
    _check(settings)
    slot = Slot(settings)
    previous = signal.signal(signal.SIGTERM, _ended)
    try:
        slot.run()
    finally:
        signal.signal(signal.SIGTERM, previous)
        slot.write_summary()
    return 1 if slot.failures else 0


class Slot:
    """The phases, what they found, and the time they took."""

    def __init__(self, settings: SlotTraining) -> None:
        self.settings, self.out = settings, Path(settings.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.device = checked_device(settings.device)
        path = self.out / "slot.json"
        self.state: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.state.setdefault("seconds", {})
        self.state.setdefault("figures", {})
        self.before_s, self.began = float(self.state.get("elapsed_s", 0.0)), time.monotonic()
        self.failures: dict[str, str] = {}

    def run(self) -> None:
        """Phase after phase."""
        self.say(f"slot of {self.settings.minutes:g} minutes on {self.device}")
        self.phase("checks", self.check)
        self.phase("render", self.render)
        self.phase("codec", self.train_codec)
        self.phase("before", self.judge_before)
        self.phase("model", self.train_model)
        self.phase("after", self.judge_after)

    def phase(self, name: str, run: Callable[[], None]) -> None:
        """One phase: its seconds are kept, and its failure is said and does not end the others."""
        began = time.monotonic()
        self.say(f"--- {name}")
        try:
            run()
        except Exception as error:  # reported here and by the exit status: the next phase goes on with what exists
            self.failures[name] = f"{type(error).__name__}: {error}"
            self.say(f"!!! {name} FAILED: {self.failures[name]}\n{traceback.format_exc()}")
        finally:
            spent = time.monotonic() - began
            self.state["seconds"][name] = self.state["seconds"].get(name, 0.0) + spent
            self.keep()
        self.say(f"--- {name}: {spent:.1f} s")

    def elapsed_s(self) -> float:
        """Of all parts of the slot."""
        return self.before_s + time.monotonic() - self.began

    def say(self, line: str) -> None:
        """To the terminal and to log.txt."""
        stamped = f"[{duration(self.elapsed_s())}] {line}"
        print(stamped, flush=True)
        with (self.out / "log.txt").open("a", encoding="utf-8") as file:
            file.write(stamped + "\n")

    def keep(self) -> None:
        """What a later part needs to go on."""
        write_json(self.out / "slot.json", {**self.state, "elapsed_s": self.elapsed_s()})

    # --- phases -------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """A render, forward and backward of codec and model, save and load: in the first minute, or never."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            side = min(CHECK_SIDE, self.settings.side)
            config = dataclasses.replace(self.render_config, size=(side, side))
            list(build_shards(folder, 2, self.settings.seed, config, with_depth=True))
            store = ClipStore(folder)
            codec = self._checked_codec(store)
            self._checked_model(store, codec, folder)

    def render(self) -> None:
        """Held-out clips, then clips to train on until the phase's time is spent or there are enough."""
        settings, size = self.settings, self.render_config.size
        held_out = partial(build_shards, self.held_out, settings.validation_clips, clip_seed("val", size))
        list(held_out(self.render_config, shard_size=settings.validation_clips, with_depth=True))
        began_s = self.state.setdefault("render_from_s", self.elapsed_s())
        wanted_s, clips = 60 * settings.minutes * settings.render_share, settings.clips
        if settings.photographs:
            share, folder = settings.photograph_share, Path(settings.photographs)
            config = dataclasses.replace(self.render_config, textures=None, photographs=folder)
            few = round(share * clips)
            self._render(self.shards / "photographs", few, config, render_photographs, began_s + share * wanted_s)
            clips -= few
        self._render(self.shards, clips, self.render_config, render_clips, began_s + wanted_s)

    def _render(self, folder: Path, count: int, config: SyntheticConfig, make: MakeClips, until_s: float) -> None:
        """Clips of one kind, until there are enough or until so many seconds of the slot."""
        # Also beside a GPU: a clip is thousands of small operations, which 16 cores do at 37 clips/s.
        workers = self.settings.workers if self.device.type == "cpu" else max(1, (os.cpu_count() or 1) - 1)
        shards = build_shards(
            folder,
            count,
            clip_seed(self.settings.seed, config.size),
            config,
            workers,
            shard_size=self.settings.shard_size,
            with_depth=True,
            make=make,
        )
        name = "clips" if config.photographs is None else "clips of photographs"
        began, first, done, said = time.monotonic(), None, 0, 0.0
        for done in shards:
            first = done if first is None else first
            rate = (done - first) / max(time.monotonic() - began, 1e-9)
            if time.monotonic() - said > 10:
                self.say(f"{done} {name}, {rate:.2f} clips/s")
                said = time.monotonic()
            if self.elapsed_s() > until_s and done > 0:
                break
        shards.close()
        self.state["figures"][name.replace(" ", "_")] = done
        if first is not None and done > first:
            self.state["figures"][f"{name.replace(' ', '_')}_per_s"] = (done - first) / (time.monotonic() - began)

    def train_codec(self) -> None:
        """The codec, unless one is given or done."""
        if self.settings.codec or self.settings.init or self.state.get("codec_done"):
            self.say(f"the codec is that of {self.codec_folder}")
            return
        settings, wanted = self.settings, self._codec_options()
        train_codec(CodecTraining(data=str(self.shards), out=str(self.codec_folder), resume=True, **wanted))
        self.state["codec_done"] = True
        self.say(f"codec of {settings.z_dim} channels in {self.codec_folder}")

    def judge_before(self) -> None:
        """Figures of the weights to begin with, which are the best ones until others are better."""
        began = time.monotonic()
        if "before" in self.state["figures"]:
            return
        codec, ray_std = load_codec(self.model_settings)
        nn.Module.to(codec.autoencoder, self.device)
        network = self._first_network(codec)
        pipeline = as_pipeline(self.model_settings, network, codec, ray_std)
        figures = self.validation.figures(pipeline)
        self.state["fixed_before"] = self._fixed_losses(network, codec)
        self.state["figures"]["before"] = figures
        pipeline.save_pretrained(self.out / "pipeline.part", max_shard_size=part_bytes(pipeline.transformer))
        replace_folder(self.out / "pipeline.part", self.out / "pipeline")
        if self.settings.init:  # weights of chance are no rival, whatever a few clips say
            write_json(self.out / BEST, {"step": 0, "score": score(figures), **figures})
        self.say("before: " + _listed(figures))
        self.state["validation_s"] = time.monotonic() - began
        pipeline.set_progress_bar_config(disable=True)
        contact_sheet(pipeline, self.validation, self.out / SHEET)  # a slot that is cut leaves one, too

    def train_model(self) -> None:
        """The model, in what is left of the slot but the time that the figures after it take."""
        minutes = self._model_minutes()
        self.say(f"{minutes:.2f} minutes for the model")
        every = max(self.settings.minutes / 8, 10 * self.state.get("validation_s", 0.0) / 60)
        settings = dataclasses.replace(self.model_settings, minutes=minutes, validate_minutes=every, resume=True)
        train_model(settings, self.say)

    def _model_minutes(self) -> float:
        """Of all parts of the model's training: planned once, and again when the slot is given other minutes."""
        total_s, plan = 60 * self.settings.minutes, self.state.get("plan")
        if plan is None or plan["slot_minutes"] != self.settings.minutes:
            after_s = min(2 * self.state.get("validation_s", 10.0), MAX_AFTER_SHARE * total_s)
            left_s = total_s - self.elapsed_s() - after_s
            minutes = max(0.02, (saved_seconds(self.out) + left_s) / 60)
            plan = {"slot_minutes": self.settings.minutes, "model_minutes": minutes}
            self.state["plan"] = plan
            self.keep()
        return float(plan["model_minutes"])

    def judge_after(self) -> None:
        """Figures of what is in `pipeline`, curves and a contact sheet."""
        pipeline = RaPPipeline.from_pretrained(self.out / "pipeline").to(self.device)
        pipeline.set_progress_bar_config(disable=True)
        figures = self.validation.figures(pipeline)
        self.state["figures"]["after"] = figures
        self.say("after: " + _listed(figures))
        self.state["fixed_after"] = self._fixed_losses(pipeline.transformer, pipeline.codec)
        self.say(plot_run(self.out))
        contact_sheet(pipeline, self.validation, self.out / SHEET)

    def write_summary(self) -> None:
        """Every figure, the seconds of every phase, the device and the command."""
        self.keep()
        best, throughput = self.out / BEST, self.out / "throughput.json"
        summary = {
            "command": ["rap", "train", *sys.argv[2 if sys.argv[1:2] == ["train"] else 1 :]],
            "settings": dataclasses.asdict(self.settings),
            "device": _device_name(self.device),
            "torch": torch.__version__,
            "elapsed_s": self.elapsed_s(),
            "seconds": self.state["seconds"],
            "failures": self.failures,
            "figures": self.state["figures"],
            "fixed_losses": {"before": self.state.get("fixed_before"), "after": self.state.get("fixed_after")},
            "best": json.loads(best.read_text()) if best.exists() else None,
            "throughput": json.loads(throughput.read_text()) if throughput.exists() else None,
            "weights": sorted(str(path.relative_to(self.out)) for path in self.out.glob("pipeline/*/*.safetensors")),
        }
        (self.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        self.say(f"summary in {self.out / 'summary.json'}; failed: {', '.join(self.failures) or 'nothing'}")

    # --- parts --------------------------------------------------------------------------------------------------------

    @property
    def shards(self) -> Path:
        """Clips to train on."""
        return self.out / "shards"

    @property
    def held_out(self) -> Path:
        """Clips to validate on."""
        return self.out / "held_out"

    @property
    def codec_folder(self) -> Path:
        """A folder as `rap train codec` leaves it, or a pipeline."""
        return Path(self.settings.codec or self.settings.init or self.out / "codec")

    @cached_property
    def render_config(self) -> SyntheticConfig:
        """What the clips look like."""
        settings = self.settings
        textures = Path(settings.textures) if settings.textures else None
        size = (settings.side, settings.side)
        return SyntheticConfig(size=size, num_frames=settings.frames, textures=textures, supersample_share=0.1)

    @cached_property
    def model_settings(self) -> ModelTraining:
        """The model's training; its network is that of `init` where there is one."""
        chosen = self.settings
        settings = ModelTraining(
            data=str(self.shards),
            codec=str(self.codec_folder),
            out=str(self.out),
            init=chosen.init,
            width=chosen.width,
            heads=chosen.heads,
            layers=chosen.layers,
            flow_hint=True,
            warp_hint=chosen.warp_hint,
            picture_rate=chosen.picture_rate,
            muon_learning_rate=chosen.rate * ModelTraining.muon_learning_rate,
            learning_rate=chosen.rate * ModelTraining.learning_rate,
            video_baseline="warp",
            batch=chosen.batch,
            small_share=chosen.small_share,
            warmup=chosen.warmup,
            save_every=chosen.save_every,
            device=chosen.device,
            bf16=chosen.bf16,
            draw_workers=self.settings.workers - 1 if self.device.type == "cpu" else 0,
            draw_processes=0 if self.device.type == "cpu" else max(1, (os.cpu_count() or 1) - FREE_CORES),
            seed=chosen.seed,
            validation=str(self.held_out),
            validation_clips=chosen.validation_clips,
            keep_best=True,
        )
        return settings if not chosen.init else _like_pipeline(settings, Path(chosen.init))

    @cached_property
    def validation(self) -> Validation:
        """The held-out clips."""
        return Validation.of_shards(self.held_out, self.model_settings)

    def _codec_options(self) -> dict[str, Any]:
        chosen = self.settings
        options = {
            name: getattr(chosen, name) for name in ("z_dim", "refiner_width", "refiner_blocks", "seed", "device")
        }
        return {**options, "minutes": chosen.minutes * chosen.codec_share}

    def _first_network(self, codec: LatentCodec) -> RaPTransformer3DModel:
        """The weights that the model's training begins with: the same seed, the same pipeline."""
        torch.manual_seed(self.settings.seed)
        network = build_transformer(self.model_settings, codec.channels)
        if self.settings.init:
            init_weights(network, Path(self.settings.init))
        nn.Module.to(network, self.device)
        return network

    @torch.no_grad()
    def _fixed_losses(self, network: nn.Module, codec: LatentCodec) -> dict[str, float]:
        """Losses on the same batches and noise, to compare before and after."""
        store, rng = ClipStore(self.held_out), np.random.default_rng(self.settings.seed)
        settings = dataclasses.replace(self.model_settings, batch=2)
        losses = []
        for _ in range(FIXED_BATCHES):
            batch = BatchMaker(store, codec, settings, rng, self.device).draw()
            generator = torch.Generator().manual_seed(self.settings.seed)
            noise = Pair(*(torch.randn(x.shape, generator=generator).to(self.device) for x in batch.clean))
            losses.append([float(loss) for loss in batch_losses(network, batch, noise, settings)])
        video, rays = np.mean(losses, axis=0)
        return {"video": float(video), "rays": float(rays)}

    def _checked_codec(self, store: ClipStore) -> LatentCodec:
        """A codec of the slot's size on rendered clips: finite gradients."""
        settings = self.settings
        vae = PatchAutoencoder(settings.z_dim, settings.refiner_width, settings.refiner_blocks)
        video = to_video(store.draw(2, np.random.default_rng(0)).frames_u8)
        vae.fit_bases(video)
        nn.Module.to(vae, self.device)
        video = video.to(self.device)
        (vae.decode(vae.encode(video).latent_dist.mode()).sample - video).square().mean().backward()
        _check_gradients(vae, "codec")
        return LatentCodec(vae)

    def _checked_model(self, store: ClipStore, codec: LatentCodec, folder: Path) -> None:
        """A network of the slot's size with both hints: finite gradients, the same weights after save and load."""
        settings = dataclasses.replace(self.model_settings, batch=2, hint_dropout=0.0, per_frame_rate=0.0)
        network = build_transformer(settings, codec.channels)
        nn.Module.to(network, self.device)
        batch = BatchMaker(store, codec, settings, np.random.default_rng(0), self.device).draw()
        noise = Pair(torch.randn_like(batch.clean.video), torch.randn_like(batch.clean.rays))
        sum(batch_losses(network, batch, noise, settings)).backward()  # type: ignore[union-attr]
        _check_gradients(network, "model")
        pipeline = as_pipeline(settings, network, codec, [1.0] * codec.channels)
        pipeline.save_pretrained(folder / "pipeline", max_shard_size=part_bytes(pipeline.transformer))
        again = RaPPipeline.from_pretrained(folder / "pipeline").transformer.state_dict()
        for key, value in network.state_dict().items():
            if not torch.equal(value.cpu(), again[key]):
                raise RuntimeError(f"{key} came back from save and load as something else")


def contact_sheet(pipeline: RaPPipeline, validation: Validation, path: Path) -> None:
    """A picture of some clips, time to the right; rows: the truth, the warp, generated without and with the warp."""
    rows = []
    for clip in validation.clips[:SHEET_CLIPS]:
        frames = clip.clip.frames_u8
        picked = np.linspace(0, len(frames) - 1, SHEET_FRAMES).round().astype(int)
        hints = clip.lifted if validation.hinted else clip.plane
        videos = [frames, hints.frames_u8]
        for given in (None, hints) if validation.hinted else (None,):
            made = pipeline.generate_video(frames[:1], clip.truth, hints=given, seed=0).frames_u8
            assert made is not None
            videos.append(made)
        rows += [np.concatenate(list(video[picked]), axis=1) for video in videos]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    Image.fromarray(np.concatenate(padded)).save(path)


def _like_pipeline(settings: ModelTraining, folder: Path) -> ModelTraining:
    """The network of a pipeline, with both hints besides."""
    config = json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8"))
    names = ("ray_frame_stride", "ray_attention", "attention", "camera", "video_prediction", "ray_prediction")
    heads, warp_hint = config["num_attention_heads"], config.get("warp_hint", "none")
    return dataclasses.replace(
        settings,
        width=heads * config["attention_head_dim"],
        heads=heads,
        layers=config["num_layers"],
        warp_hint=settings.warp_hint if warp_hint == "none" else warp_hint,
        **{name: config[name] for name in names},
    )


def _check(settings: SlotTraining) -> None:
    """Refuse before anything is written."""
    checked_device(settings.device)
    if settings.minutes <= 0:
        raise InputError(f"--minutes must be above 0, got {settings.minutes}")
    if settings.textures and not Path(settings.textures).is_dir():
        raise InputError(f"--textures: {settings.textures} is no folder")
    if settings.init and not (Path(settings.init) / "transformer" / "config.json").exists():
        raise InputError(f"--init: {settings.init} holds no pipeline (no transformer/config.json)")
    if settings.codec:
        saved_ray_std(Path(settings.codec))
    if settings.photographs:
        photographs(Path(settings.photographs))


def _check_gradients(network: nn.Module, name: str) -> None:
    found = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    if not found or not all(bool(torch.isfinite(gradient).all()) for gradient in found):
        raise RuntimeError(f"the {name}'s gradients are missing or not finite")


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def _listed(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(SIGTERM_STATUS)
