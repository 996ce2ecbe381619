"""A clip in latents, forward and backward: a causal autoencoder's latents cannot be turned round."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rap.errors import InputError
from rap.model import LatentCodec
from rap.shards.scenes import Frames

DIRECTIONS = ("forward", "backward")


def encoded(
    codec: LatentCodec,
    clip: Frames,
    median_depth: Float[np.ndarray, " T"],
    ray_frame_stride: int,
    backward: bool = False,
    device: str = "cpu",
) -> dict[str, np.ndarray]:
    """What a training needs of a clip in one direction, as float16.

    Args:
        codec: its ray latents undivided (`ray_latents_std` of ones): what they are divided by is found on all clips.
        median_depth: of every view, in the cameras' unit; that of the first one played becomes the unit of length.

    Returns:
        video (C, F, h, w); sources (C, S, h, w), frames encoded one by one, and source_frames (S,), which: the first,
        whose camera is the world, the middle, the last; rays (C, G, h/2, w/2) of every `ray_frame_stride`-th frame.
    """
    order = slice(None, None, -1) if backward else slice(None)
    Ts, depth = clip.cameras.Ts_world_camera[order], median_depth[order]
    Ts = np.linalg.inv(Ts[0]) @ Ts
    Ts[:, :3, 3] /= depth[0]
    frames, intrinsics = clip.frames_u8[order], clip.cameras.intrinsics[order]
    video = torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)[None].float().to(device) / 127.5 - 1
    last = len(frames) - 1
    sources = list(dict.fromkeys((0, last // 2, last)))
    every = slice(None, None, ray_frame_stride)
    poses, lenses = (torch.from_numpy(x[every].copy()).float()[None] for x in (Ts, intrinsics))
    maps = codec.camera_maps(poses, lenses, clip.cameras.image_size)
    return {
        "video": _half(codec.encode_video(video)),
        "sources": _half(codec.encode_images(video[:, :, sources].transpose(1, 2))),
        "source_frames": np.array(sources),
        "rays": _half(codec.encode_rays(maps.to(device))),
        "num_frames": np.array(len(frames)),
    }


def _half(latents: Tensor) -> np.ndarray:
    return latents[0].to("cpu", torch.float16).numpy()


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as the bytes of an `.npz`, not compressed."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpack(data: bytes) -> dict[str, np.ndarray]:
    """What `pack` made; no pickles."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def codec_sha256(folder: Path) -> str:
    """Of the weights of the autoencoder in `folder/vae`.

    Raises:
        InputError: there is none.
    """
    paths = sorted((folder / "vae").glob("*.safetensors"))
    if not paths:
        raise InputError(f"--codec: {folder} holds no autoencoder (no vae/*.safetensors)")
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
