"""`rap bench train` and `rap bench render`: a step of the model's training, and the clips it is fed with.

The step is that of the default model (`rap.train.settings.ModelTraining`) with optimizers and average, on random
latents of eight clips of 17 frames at 128x128 pixels: what a step costs does not depend on what the clips show.
Rendering is that of the clips themselves, in two worker processes of one thread each.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import lru_cache, partial

import torch
import torch.multiprocessing

from rap.bench.measure import MATMUL_SIDE, Figure, in_turns, measured_cores
from rap.config import NUM_FRAMES
from rap.flow import Pair
from rap.model.codec import SPACE_COMPRESSION
from rap.model.tokens import TIME_COMPRESSION
from rap.synthetic import SyntheticConfig, render_clips
from rap.synthetic.textures import TextureBank, texture_bank
from rap.train.batches import Batch
from rap.train.model import averages, noised, train_step
from rap.train.optimizers import make_optimizers
from rap.train.settings import CodecTraining, ModelTraining
from rap.train.start import build_transformer
from rap.train.throughput import count_flop

TRAIN_BATCH = 8
SIZE = (128, 128)
RENDER_WORKERS = 2
RENDER_CLIPS = 8
"""Of each worker in one turn: two seconds or so, long against what starting them takes."""

RENDER_SEED = 4242


def train(options: argparse.Namespace) -> Figure:
    """FLOP per second of a training step, optimizers included, as a share of a large matrix product's."""
    torch.set_num_threads(options.threads)
    step = training_step(ModelTraining(batch=TRAIN_BATCH))
    step()  # makes the optimizers' state
    flop, matmul_flop = count_flop(step), 2 * MATMUL_SIDE**3
    a, b = (torch.randn(MATMUL_SIDE, MATMUL_SIDE) for _ in range(2))
    cores = measured_cores(partial(torch.matmul, a, b))
    pairs = in_turns(partial(torch.matmul, a, b), step, options.repeats)
    step_s = statistics.median(pairs.candidate_s)
    return Figure(
        "train",
        f"a training step's rate over that of a {MATMUL_SIDE}^3 float32 matrix product",
        flop / (matmul_flop * pairs.ratio),
        ">=",
        0.35,
        {
            "step_gflop": flop / 1e9,
            "step_s": step_s,
            "clips_per_s": TRAIN_BATCH / step_s,
            "step_gflop_per_s": flop / step_s / 1e9,
            "matmul_gflop_per_s": matmul_flop / statistics.median(pairs.reference_s) / 1e9,
            "cores": cores,
        },
    )


def training_step(settings: ModelTraining) -> Callable[[], object]:
    """Forward, backward, optimizers and average on one batch of random latents."""
    torch.manual_seed(0)
    channels = CodecTraining().z_dim
    model = build_transformer(settings, channels)
    optimizers, mean = make_optimizers(model, settings), averages(model, settings)
    part = noised(random_batch(settings, channels, SIZE, NUM_FRAMES), [0])
    return partial(train_step, model, [part], optimizers, mean, settings)


def random_batch(settings: ModelTraining, channels: int, size: tuple[int, int], frames: int) -> Batch:
    """Noise in the place of latents: one source frame, all tasks in one batch, without hints."""
    grid = size[0] // SPACE_COMPRESSION, size[1] // SPACE_COMPRESSION
    latents = 1 + (frames - 1) // TIME_COMPRESSION
    count = settings.batch
    video = torch.randn(count, channels, 1 + latents, *grid)
    rays = torch.randn(count, channels, frames, grid[0] // 2, grid[1] // 2)
    times = Pair(torch.rand(count, 1 + latents), torch.rand(count, frames))
    times.video[:, :2] = 0
    return Batch(
        clean=Pair(video, rays),
        times=times,
        frame_times=torch.cat([torch.zeros(1), torch.arange(latents)])[None].expand(count, -1).double(),
        ray_frame_times=(torch.arange(frames) / TIME_COMPRESSION)[None].expand(count, -1).double(),
        num_source_frames=1,
        baseline=torch.zeros_like(video),
    )


def render(options: argparse.Namespace) -> Figure:
    """Clips per second of the renderer in worker processes, beside a large matrix product in this one."""
    torch.set_num_threads(options.threads)
    a, b = (torch.randn(MATMUL_SIDE, MATMUL_SIDE) for _ in range(2))
    with torch.multiprocessing.get_context("spawn").Pool(RENDER_WORKERS, _one_thread) as pool:
        turn = partial(pool.map, render_some, range(RENDER_WORKERS), 1)
        turn()  # imports, textures
        pairs = in_turns(partial(torch.matmul, a, b), turn, options.repeats)
    clips = RENDER_WORKERS * RENDER_CLIPS
    turn_s = statistics.median(pairs.candidate_s)
    return Figure(
        "render",
        f"clips per second of {NUM_FRAMES} frames at {SIZE[0]}x{SIZE[1]} in {RENDER_WORKERS} processes",
        clips / turn_s,
        ">=",
        8.0,
        {
            "clips_a_turn": float(clips),
            "turn_s": turn_s,
            "clips_per_s_of_the_best_turn": clips / min(pairs.candidate_s),
            "matmul_gflop_per_s": 2 * MATMUL_SIDE**3 / statistics.median(pairs.reference_s) / 1e9,
            "clip_over_matmul": pairs.ratio / clips,
        },
    )


def render_some(worker: int) -> int:
    """One worker's clips of a turn; returns how many."""
    config = SyntheticConfig(size=SIZE, num_frames=NUM_FRAMES)
    made = render_clips(RENDER_SEED, RENDER_CLIPS, config, start=worker * RENDER_CLIPS, bank=_bank(config))
    return len(made.frames_u8)


def _one_thread() -> None:
    torch.set_num_threads(1)


@lru_cache
def _bank(config: SyntheticConfig) -> TextureBank:
    """Made once a process, as a worker of `rap synthetic build` does."""
    return texture_bank(config.textures, config.texture_size, config.device)
