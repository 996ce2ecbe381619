"""`rap train widen`: a checkpoint whose codec has more channels, and whose network means what it meant.

Codecs of few channels cost sharpness that no decoder brings back: the bases are extended by the principal components of
what they leave out, the old ones stay bit for bit, and the network reads and writes nothing in the new ones. With a
`video_baseline` the new channels are those of the baseline (the warp or the still source), so that detail which the
sources have shown survives without any training; training may go on from there.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from rap.config import MOTION_LIMITS
from rap.data.dataset import ClipStore, to_video
from rap.errors import InputError
from rap.model import PatchAutoencoder, RaPTransformer3DModel
from rap.model.codec import principal, to_patches, turned_towards
from rap.model.tokens import TIME_COMPRESSION
from rap.pipeline import RaPPipeline
from rap.train.batches import sample_videos
from rap.train.codec import RAY_STD_FLOOR
from rap.train.codec_data import Photographs


@dataclass(frozen=True)
class Widening:
    """Settings of `rap train widen`."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("checkpoint", "data", "out")

    checkpoint: str = ""
    data: str = ""
    photographs: str = ""
    out: str = ""
    channels: int = 112
    fit_clips: int = 64
    seed: int = 0
    threads: int = 0


def run_widening(settings: Widening) -> None:
    """Read, widen, write.

    Raises:
        InputError: the checkpoint's codec has no bases to extend, or as many channels already.
    """
    pipeline = RaPPipeline.from_pretrained(settings.checkpoint)
    rng = np.random.default_rng(settings.seed)
    videos = [sample_videos(ClipStore(Path(settings.data)), settings.fit_clips, rng)]
    if settings.photographs:
        pictures = Photographs.read(Path(settings.photographs))
        size, frames = (videos[0].shape[-2], videos[0].shape[-1]), videos[0].shape[2]
        videos.append(to_video(pictures.clips(settings.fit_clips, size, frames, rng)))
    widened(pipeline, torch.cat(videos), settings.channels).save_pretrained(settings.out)
    motions = Path(settings.checkpoint) / MOTION_LIMITS
    if motions.is_file():  # the network is the same, and so is what it knows
        shutil.copy(motions, settings.out)


def widened(pipeline: RaPPipeline, videos: Tensor, channels: int) -> RaPPipeline:
    """The same pipeline on `channels` latent channels; bases are fitted to videos (N, 3, T, H, W) in [-1, 1]."""
    before = pipeline.vae
    if not isinstance(before, PatchAutoencoder) or pipeline.transformer.config.camera != "raxel":
        raise InputError("only a model of raxels on a PatchAutoencoder can be widened: other codecs have no bases")
    if not before.config.z_dim < channels <= before.image_basis.shape[1]:
        limits = f"{before.config.z_dim + 1} .. {before.image_basis.shape[1]}"
        raise InputError(f"--channels must lie in {limits}, more than the codec has, got {channels}")
    ray_std = pipeline.config.ray_latents_std or [1.0] * before.config.z_dim
    rest = {key: value for key, value in pipeline.config.items() if key.startswith("default_")}
    return RaPPipeline(
        widened_transformer(pipeline.transformer, channels),
        widened_codec(before, videos, channels),
        pipeline.scheduler,
        pipeline.ray_scheduler,
        raxel_scale=pipeline.config.raxel_scale,
        canonical_fov_y_deg=pipeline.config.canonical_fov_y_deg,
        ray_latents_std=[*ray_std, *[RAY_STD_FLOOR] * (channels - len(ray_std))],
        num_frames=pipeline.config.num_frames,
        **rest,
    )


@torch.no_grad()
def widened_codec(before: PatchAutoencoder, videos: Tensor, channels: int) -> PatchAutoencoder:
    """Old bases, means and statistics, and principal components of what they leave out; the decoder becomes linear.

    (The convolutional part restores a share of what the new channels now hold: kept, it would count it twice.)
    """
    k = before.config.z_dim
    after = PatchAutoencoder(channels, refiner_blocks=0)
    images = to_patches(videos, 1).flatten(0, 3) - before.image_mean
    groups = to_patches(videos[:, :, 1:], TIME_COMPRESSION).flatten(0, 3) - before.video_mean
    images = images - images @ before.image_basis.T @ before.image_basis
    groups = groups - groups @ before.video_basis.T @ before.video_basis
    more_images, more_groups = principal(images, channels - k), principal(groups, channels - k)
    more_images = turned_towards(more_groups, more_images, images)
    after.image_mean.copy_(before.image_mean)
    after.video_mean.copy_(before.video_mean)
    after.image_basis.copy_(torch.cat([before.image_basis, more_images]))
    after.video_basis.copy_(torch.cat([before.video_basis, more_groups]))
    z = after.encode(videos).latent_dist.mode()
    mean, std = z.mean((0, 2, 3, 4)), z.std((0, 2, 3, 4))
    strength = std[:k].square().mean().sqrt()
    old_mean, old_std = before.config.latents_mean or [0.0] * k, before.config.latents_std or [1.0] * k
    after.register_to_config(
        latents_mean=[*old_mean, *mean[k:].tolist()],
        latents_std=[*old_std, *(std[k:] * strength).sqrt().tolist()],  # half-way to whitening, as the old ones are
    )
    return after.eval()


@torch.no_grad()
def widened_transformer(before: RaPTransformer3DModel, channels: int) -> RaPTransformer3DModel:
    """Zeros in all that reads or writes the new channels; every other weight as it was."""
    k = before.config.in_channels
    config = {key: value for key, value in before.config.items() if not key.startswith("_")}
    after = RaPTransformer3DModel(**{**config, "in_channels": channels, "out_channels": channels})
    state = before.state_dict()
    for name in ("patch_embedding.weight", "ray_patch_embedding.weight"):
        state[name] = _pad(state[name], 1, channels - k)
    for name in ("proj_out.weight", "proj_out.bias", "ray_proj_out.weight", "ray_proj_out.bias"):
        patches = state[name].unflatten(0, (-1, k))  # channels vary fastest within a patch
        state[name] = _pad(patches, 1, channels - k).flatten(0, 1)
    if after.warp_hint_embedding is not None:
        pictures = (before.warp_hint_channels // k) * k
        weight = state["warp_hint_embedding.weight"]
        parts = [_pad(part, 1, channels - k) for part in weight[:, :pictures].split(k, dim=1)]
        state["warp_hint_embedding.weight"] = torch.cat([*parts, weight[:, pictures:]], dim=1)
    after.load_state_dict(state)
    nn.Module.to(after, dtype=before.dtype)
    return after.eval()


def _pad(weight: Tensor, dim: int, count: int) -> Tensor:
    """`count` more entries of 0 along a dimension."""
    after = [0, 0] * (weight.ndim - 1 - dim)
    return nn.functional.pad(weight, [*after, 0, count])
