"""Clips to training batches: draw, augment, encode, deal out the three tasks.

The model sees the three tasks as one: a batch is latents of video and rays with a time per frame, and a task is only
which times are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rap.data.dataset import (
    ClipStore,
    PosedClips,
    jitter_colours,
    mirror,
    relative_cameras,
    reverse_time,
    small_squares,
    take_frames,
    to_video,
)
from rap.flow import Pair
from rap.geometry.motion import MotionLimits
from rap.model import LatentCodec
from rap.model.codec import SPACE_COMPRESSION
from rap.model.tokens import TIME_COMPRESSION, frames_to_latent_time
from rap.model.transformer import FLOW_CHANNELS, WARP_MAPS
from rap.train.hints import HintMaker
from rap.train.motions import measured
from rap.train.settings import ModelTraining
from rap.views.hints import WarpMaps, pack_warp

SOURCE_COUNT_RATES = (0.8, 0.13, 0.07)
"""How often a batch has one, two or three source frames."""

SMALL_SIDE = 64
"""Pixels of the squares of the first share of a training; a multiple of `rap.config.SIZE_MULTIPLE`."""

SMALL_BATCH = 4
"""Times as many clips in a batch of small squares."""

CPU = torch.device("cpu")


def sample_videos(store: ClipStore, count: int, rng: np.random.Generator) -> Tensor:
    """(N, 3, T, H, W) clips of one size in [-1, 1], colours varied."""
    clips = store.draw(count, rng)
    return jitter_colours(to_video(clips.frames_u8), rng)


def draw_clips(store: ClipStore, count: int, rng: np.random.Generator) -> PosedClips:
    """Clips of one size, half of the draws played backwards, half of them mirrored."""
    clips = store.draw(count, rng)
    clips = reverse_time(clips) if rng.random() < 0.5 else clips
    return mirror(clips) if rng.random() < 0.5 else clips


def shorten(clips: PosedClips, rng: np.random.Generator) -> PosedClips:
    """5 or 9 frames at a random stride: most of a motion for half of the tokens, and users bring short clips too."""
    total = clips.frames_u8.shape[1]
    count = min(total, int(rng.choice([5, 9])))
    stride = int(rng.integers(1, max(1, (total - 1) // (count - 1)) + 1))
    start = int(rng.integers(0, total - stride * (count - 1)))
    return take_frames(clips, slice(start, start + stride * (count - 1) + 1, stride))


def camera_maps(
    codec: LatentCodec, clips: PosedClips, references: np.ndarray, frames: np.ndarray | None = None
) -> Tensor:
    """Maps of the cameras relative to each clip's reference frame, of the frames (N, G) asked for or of all."""
    Ts = torch.from_numpy(relative_cameras(clips, references)).float()
    K = torch.from_numpy(np.ascontiguousarray(clips.intrinsics)).float()
    if frames is not None:
        rows = np.arange(len(frames))[:, None]
        Ts, K = Ts[rows, frames], K[rows, frames]
    return codec.camera_maps(Ts, K, clips.size)


@dataclass
class Batch:
    """Clean latents, times, where the frames stand, and the hints (`rap.views.hints`) where the model takes them."""

    clean: Pair
    times: Pair
    frame_times: Tensor
    ray_frame_times: Tensor
    num_source_frames: int
    baseline: Tensor | None = None
    flow_hint: Tensor | None = None
    warp_hint: Tensor | None = None


@dataclass
class BatchMaker:
    """Draws clips, augments, encodes, and deals out tasks."""

    store: ClipStore
    codec: LatentCodec
    settings: ModelTraining
    rng: np.random.Generator
    device: torch.device = CPU

    def draw(self, small: bool = False) -> Batch:
        """One batch; all its clips have the same size and number of source frames.

        Args:
            small: squares of SMALL_SIDE pixels, and four times as many of them: what a model learns of cameras and
                tasks early on it learns there as well, for a fraction of the time.
        """
        clips = draw_clips(self.store, self.settings.batch * (SMALL_BATCH if small else 1), self.rng)
        if small:
            clips = small_squares(clips, SMALL_SIDE)
        if self.rng.random() < self.settings.short_clip_rate:
            clips = shorten(clips, self.rng)
        count, frames = len(clips), clips.frames_u8.shape[1]
        sources = self._sources(count, frames)
        video = jitter_colours(to_video(clips.frames_u8), self.rng).to(self.device)
        rows = torch.arange(count)[:, None]
        images = video.transpose(1, 2)[rows, torch.from_numpy(sources)]
        segment = self.codec.encode_images(images)
        targets = self.codec.encode_video(video)
        ray_frames = self._ray_frames(sources, frames)
        rays = self.codec.encode_rays(camera_maps(self.codec, clips, sources[:, 0], ray_frames).to(self.device))
        latent_times = torch.arange(targets.shape[2], dtype=torch.float64).expand(count, -1)
        times = deal_out(self.settings, self.rng, sources, targets.shape[2], ray_frames)
        flow_hint = self._flow_hint(clips, sources, times) if self.settings.flow_hint else None
        warp_hint, hinted = None, torch.zeros(count, dtype=torch.bool)
        if self.settings.warp_hint != "none":
            warp_hint, hinted = self._warp_hint(clips, video, sources, times)
        return Batch(
            clean=Pair(torch.cat([segment, targets], dim=2), rays),
            times=Pair(times.video.to(self.device), times.rays.to(self.device)),
            frame_times=torch.cat([frames_to_latent_time(torch.from_numpy(sources)), latent_times], dim=1).to(
                self.device
            ),
            ray_frame_times=frames_to_latent_time(torch.from_numpy(ray_frames)).to(self.device),
            num_source_frames=sources.shape[1],
            baseline=self._baseline(images, sources, frames, warp_hint, hinted),
            flow_hint=flow_hint,
            warp_hint=warp_hint,
        )

    def _baseline(
        self, images: Tensor, sources: np.ndarray, frames: int, warp_hint: Tensor | None, hinted: Tensor
    ) -> Tensor | None:
        """Latents that the prediction is a change of: the still source, or the warp where a sample has one."""
        kind = self.settings.video_baseline
        if kind == "none":
            return None
        still = self.codec.encode_still(images, torch.from_numpy(sources).to(self.device), frames)
        still = nn.functional.pad(still, (0, 0, 0, 0, sources.shape[1], 0))
        if kind == "source" or warp_hint is None:
            return still
        return torch.where(hinted.to(self.device).view(-1, 1, 1, 1, 1), warp_hint[:, : self.codec.channels], still)

    def _flow_hint(self, clips: PosedClips, sources: np.ndarray, times: Pair) -> Tensor:
        """(N, 24, S + F, h, w): flow of the clips whose video is given, 0 for the others, whose video nobody has."""
        maker = HintMaker(self.settings, self.rng, self.device)
        given = (times.video == 0).all(dim=1).tolist()
        found = [maker.flow(clips, i, int(sources[i, 0])) if given[i] else None for i in range(len(clips))]
        size = (FLOW_CHANNELS, times.video.shape[1] - sources.shape[1], *(n // SPACE_COMPRESSION for n in clips.size))
        blank = torch.zeros(size, device=self.device)
        return nn.functional.pad(
            torch.stack([blank if f is None else f for f in found]), (0, 0, 0, 0, sources.shape[1], 0)
        )

    def _warp_hint(self, clips: PosedClips, video: Tensor, sources: np.ndarray, times: Pair) -> tuple[Tensor, Tensor]:
        """(N, K, S + F, h, w) warps of the clips whose cameras are given and whose video is not, and which have one."""
        maker = HintMaker(self.settings, self.rng, self.device)
        wanted = ((times.rays == 0).all(dim=1) & (times.video > 0).any(dim=1)).tolist()
        warps = [maker.warp(clips, i, video[i], sources[i]) if wanted[i] else None for i in range(len(clips))]
        hinted = torch.tensor([w is not None for w in warps])
        maps = WarpMaps.of_warps([w for w in warps if w is not None])
        kind, grid = self.settings.warp_hint, tuple(n // SPACE_COMPRESSION for n in clips.size)
        pictures, singles = WARP_MAPS[kind]
        frames = times.video.shape[1] - sources.shape[1]
        packed = torch.zeros(len(clips), self.codec.channels * pictures + singles, frames, *grid, device=self.device)
        if maps is not None:
            packed[hinted] = pack_warp(maps, self.codec, kind)
        return nn.functional.pad(packed, (0, 0, 0, 0, sources.shape[1], 0)), hinted

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


@dataclass(frozen=True)
class ClipBatches:
    """Micro-batches of clips that are encoded when they are asked for."""

    store: ClipStore
    codec: LatentCodec
    settings: ModelTraining
    device: torch.device = CPU

    def refresh(self) -> None:
        """Look for new shards."""
        self.store.refresh()

    def motions(self) -> MotionLimits | None:
        """How the cameras of the clips move."""
        return measured(self.store)

    def draw(self, step: int, part: int, progress: float) -> Batch:
        """That micro-batch of a step; `progress` says whether it is one of small squares."""
        rng = np.random.default_rng([self.settings.seed, step, 0, part])
        small = progress < self.settings.small_share
        return BatchMaker(self.store, self.codec, self.settings, rng, self.device).draw(small=small)


def deal_out(
    settings: ModelTraining, rng: np.random.Generator, sources: np.ndarray, targets: int, ray_frames: np.ndarray
) -> Pair:
    """Times of a batch, each sample with a task of its own: what has time 0 is given.

    Args:
        sources: (N, S) frames that are given one by one; the first is the reference.
        targets: latent frames of the video.
        ray_frames: (N, G) frames that have a map of their camera.

    Returns:
        video (N, S + targets) and rays (N, G).
    """
    count, segment = sources.shape
    video = np.zeros((count, segment + targets), dtype=np.float32)
    rays = np.zeros(ray_frames.shape, dtype=np.float32)
    for i in range(count):
        t_video, t_rays = _task_times(settings, rng)
        video[i, segment:] = t_video
        if t_video > 0 and rng.random() < settings.per_frame_rate:
            video[i, segment:] = 1 - rng.random(targets)
        rays[i] = t_rays
        if 0 in sources[i]:
            video[i, segment] = 0
        if t_video == 0 and rng.random() < settings.known_focal_rate:
            rays[i, ray_frames[i] == sources[i, 0]] = 0
    return Pair(torch.from_numpy(video), torch.from_numpy(rays))


def _task_times(settings: ModelTraining, rng: np.random.Generator) -> tuple[float, float]:
    """Times of one clip's video and rays: a task is which of them is zero.

    Half of the ray times are 1: the rays need one or two steps, and the first starts from pure noise. So does the
    video's of a network that is to make it in one.
    """
    u = rng.random()
    t_video, t_rays = float(1 - rng.random()), 1.0 if rng.random() < 0.5 else float(1 - rng.random())
    if settings.video_start_rate and rng.random() < settings.video_start_rate:
        t_video = 1.0
    if u < settings.estimate_rate:
        return 0.0, t_rays
    if u < settings.estimate_rate + settings.generate_rate:
        return t_video, 1.0 if rng.random() < settings.rays_dropout else 0.0
    return (1.0, t_rays) if rng.random() < 0.5 else (t_video, t_rays)
