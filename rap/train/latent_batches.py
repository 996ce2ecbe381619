"""Micro-batches from shards of latents (`rap shards build`), or from clips where a folder holds those.

Of latents each sample is seen once an epoch, in an order that the seed alone tells. A micro-batch is found by its
number, so that a resumed run goes on with the next one, on however many processes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rap.data.dataset import ClipStore
from rap.errors import InputError
from rap.flow import Pair
from rap.model import LatentCodec, read_autoencoder
from rap.model.tokens import frames_to_latent_time
from rap.shards import LatentShards, are_shards, codec_sha256
from rap.train.batches import CPU, SOURCE_COUNT_RATES, Batch, ClipBatches, deal_out
from rap.train.codec import RAY_STD_FLOOR, load_codec
from rap.train.settings import ModelTraining

WITHOUT = {
    **{"flow_hint": False, "warp_hint": "none", "video_baseline": "none", "camera": "raxel"},
    **{"short_clip_rate": 0.0, "small_share": 0.0, "draw_processes": 0},
}
"""Settings as latents alone can serve them: hints, still videos and squares are made of frames."""


class LatentBatches:
    """Draws batches of latents; their reference camera is that of the first frame as it is played.

    Raises:
        InputError: the settings want what shards of latents do not have.
    """

    def __init__(
        self, shards: LatentShards, settings: ModelTraining, ray_std: list[float], device: torch.device = CPU
    ) -> None:
        stride = shards.manifest["about"]["ray_frame_stride"]
        for name, value in {**WITHOUT, "ray_frame_stride": stride}.items():
            if getattr(settings, name) != value:
                raise InputError(
                    f"--{name.replace('_', '-')} must be {value!r} on the shards of latents in {shards.folder}, "
                    f"got {getattr(settings, name)!r}"
                )
        self._shards, self._settings, self._device = shards, settings, device
        self._ray_std = torch.tensor(ray_std).view(1, -1, 1, 1, 1)

    def refresh(self) -> None:
        """Shards are complete when a training begins."""

    def motions(self) -> None:
        """How their cameras move was not kept."""

    def draw(self, step: int, part: int, progress: float) -> Batch:
        """The micro-batch `part` of a step, whatever the progress."""
        settings, device = self._settings, self._device
        first = (step * settings.micro_batches + part) * settings.batch
        rng = np.random.default_rng([settings.seed, step, 0, part])
        samples = [self._shards.read(self._number(first + k)) for k in range(settings.batch)]
        chosen = self._chosen(samples, rng)
        sources = np.stack([sample["source_frames"][row] for sample, row in zip(samples, chosen, strict=True)])
        segment = _stacked([sample["sources"][:, row] for sample, row in zip(samples, chosen, strict=True)])
        targets, rays = _stacked([s["video"] for s in samples]), _stacked([s["rays"] for s in samples])
        ray_frames = np.tile(np.arange(rays.shape[2]) * settings.ray_frame_stride, (len(samples), 1))
        latent_times = torch.arange(targets.shape[2], dtype=torch.float64).expand(len(samples), -1)
        source_times = frames_to_latent_time(torch.from_numpy(sources))
        times = deal_out(settings, rng, sources, targets.shape[2], ray_frames)
        return Batch(
            clean=Pair(torch.cat([segment, targets], dim=2).to(device), (rays / self._ray_std).to(device)),
            times=Pair(times.video.to(device), times.rays.to(device)),
            frame_times=torch.cat([source_times, latent_times], dim=1).to(device),
            ray_frame_times=frames_to_latent_time(torch.from_numpy(ray_frames)).to(device),
            num_source_frames=sources.shape[1],
        )

    def _number(self, drawn: int) -> int:
        epoch, place = divmod(drawn, len(self._shards))
        return int(_order(self._settings.seed, epoch, len(self._shards))[place])

    def _chosen(self, samples: list[dict[str, np.ndarray]], rng: np.random.Generator) -> list[np.ndarray]:
        """For each sample which of its source frames are given: the first one, and as many others in every sample."""
        most = min(len(sample["source_frames"]) for sample in samples)
        number = min(most, 1 + int(rng.choice(len(SOURCE_COUNT_RATES), p=SOURCE_COUNT_RATES)))
        others = [1 + rng.permutation(len(sample["source_frames"]) - 1)[: number - 1] for sample in samples]
        return [np.concatenate([[0], rest]).astype(int) for rest in others]


Source = ClipBatches | LatentBatches


def opened(settings: ModelTraining, device: torch.device) -> tuple[Source, LatentCodec, list[float]]:
    """What a training draws its batches from, its codec, and what that divides ray latents by.

    Raises:
        InputError: no clips, no codec, or shards of latents of another codec or other settings.
    """
    data, folder = Path(settings.data), Path(settings.codec)
    if not are_shards(data):
        clips = ClipStore(data)  # first: what holds none says so, whatever the codec is
        codec, ray_std = load_codec(settings)
        return ClipBatches(clips, codec, settings, device), codec, ray_std
    shards = LatentShards(data)
    if codec_sha256(folder) != shards.manifest["about"]["codec_sha256"]:
        raise InputError(f"--codec: {folder} holds another autoencoder than the one that {data} was made with")
    ray_std = [max(RAY_STD_FLOOR, value) for value in shards.ray_std]
    codec = LatentCodec(read_autoencoder(folder / "vae").eval(), settings.camera, ray_latents_std=ray_std)
    return LatentBatches(shards, settings, ray_std, device), codec, ray_std


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, 4]).permutation(count)


def _stacked(latents: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(latents)).float()
