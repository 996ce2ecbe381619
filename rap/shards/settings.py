"""What a build is asked for, and what goes from one of its stages to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rap.shards.judge import Limits

Row = dict[str, Any]
"""key, refusal (str), figures and seconds (JSON), clip and latents (bytes, empty where there are none)."""


@dataclass(frozen=True)
class Building:
    """What is made of which collection.

    Attributes:
        films: folder of RealEstate10K's films.
        codec: folder with the autoencoder in `vae`.
        licence: under what the clips may be used; goes into the manifest.
        size: (h, w) of the clips.
        frames, stride: of a clip, 1 + 4n of every stride-th frame of its scene.
        ray_frame_stride: a map of a camera at every such frame.
        workers: processes that read, and as many that encode on a CPU; 0: this one does all, without Ray.
        address: of a running Ray cluster; empty: one of this machine.
        text_encoder: folder of the encoder that is asked for the state of an empty prompt; None: nothing is kept.
    """

    root: Path
    out: Path
    codec: Path
    licence: str
    films: Path | None = None
    size: tuple[int, int] = (480, 832)
    frames: int = 81
    stride: int = 1
    clips_per_scene: int = 4
    clips_per_shard: int = 64
    ray_frame_stride: int = 4
    limits: Limits = field(default_factory=Limits)
    workers: int = 0
    encoders: int = 1
    device: str = "cpu"
    address: str = ""
    object_store_mb: int = 0
    text_encoder: Path | None = None
