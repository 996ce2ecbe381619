"""`rap train budget`: what a network weighs and what its training costs, by arithmetic.

FLOP are those of matrix products, convolutions and attention, two for a multiply-add, as torch's flop counter has them;
tests hold the two together, and the parameters to those of the network on the meta device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

from rap.errors import InputError
from rap.model.codec import SPACE_COMPRESSION
from rap.model.tokens import PROMPT_TOKENS, TIME_COMPRESSION
from rap.model.transformer import FLOW_CHANNELS, WARP_MAPS
from rap.train.batches import Batch
from rap.train.configs import CONFIGS
from rap.train.settings import ModelTraining
from rap.train.start import network_options

FREQUENCIES = 256
"""Of the time embedding, in every Wan model."""

WAN_CHANNELS = 16
"""Of the latents of Wan 2.1's autoencoder."""

STATE_BYTES = {"weights": 4, "gradients": 4, "AdamW": 8, "average": 4}
"""Of a parameter, in float32, shared out among the processes."""

LIVE_BYTES = 60
"""Of a token and channel of the width, while one block is computed again and its gradients are made, in bfloat16 with
float32 modulation. An estimate, the one figure here that no test checks."""


@dataclass(frozen=True)
class Load:
    """One clip as the network sees it.

    Attributes:
        frames, ray_frames: latent frames of the video with its sources, and maps of cameras.
        grid: (h, w) of the video's latents; those of the rays are half as large.
        text: tokens of text.
    """

    frames: int
    ray_frames: int
    grid: tuple[int, int]
    text: int = 0

    @classmethod
    def of_clip(cls, config: Any, size: tuple[int, int], num_frames: int, text: int = 0) -> Load:
        """A clip of (h, w) pixels and one source frame."""
        latents = 1 + (num_frames - 1) // TIME_COMPRESSION
        maps = math.ceil(num_frames / config.ray_frame_stride)
        return cls(1 + latents, maps, (size[0] // SPACE_COMPRESSION, size[1] // SPACE_COMPRESSION), text)

    @property
    def video_tokens(self) -> int:
        return self.frames * (self.grid[0] // 2) * (self.grid[1] // 2)

    @property
    def ray_tokens(self) -> int:
        return self.ray_frames * (self.grid[0] // 4) * (self.grid[1] // 4)


def parameter_count(config: Any) -> int:
    """Parameters of a `RaPTransformer3DModel` of that configuration."""
    width, channels = config.num_attention_heads * config.attention_head_dim, config.in_channels
    has_rays, text = config.camera == "raxel", config.text_dim or 0
    attention, ffn = 4 * (width**2 + width) + 2 * width, 2 * width * config.ffn_dim + config.ffn_dim + width
    block = attention + ffn + 6 * width
    if text:
        block += attention + (2 * width if config.cross_attn_norm else 0)
    if has_rays:
        block += ffn + 6 * width + (2 * width if config.attention == "decoupled" else 0)
        block += attention if config.ray_attention == "separate" else 0
    ray_channels = channels * (1 if has_rays else 2)
    time = (FREQUENCIES + 1) * width + (width**2 + width) + 6 * (width**2 + width)
    ends = sum((4 * n + 1) * width + (width + 1) * 4 * n + 2 * width for n in (channels, ray_channels))
    words = (text + 1) * width + width**2 + width if text else 0
    return config.num_layers * block + 2 * time + ends + words + 2 * width + 4 * width * _hint_channels(config)


@dataclass(frozen=True)
class Flop:
    """Of one clip's forward.

    Attributes:
        inputs: of products whose input learns nothing, so that their backward is one product more, not two.
        ends: of other products before and after the blocks.
        blocks: of the products of all blocks.
        attention: of queries with keys, and of weights with values.
    """

    inputs: int
    ends: int
    blocks: int
    attention: int

    @property
    def forward(self) -> int:
        return self.inputs + self.ends + self.blocks + self.attention

    def training(self, checkpointing: bool) -> int:
        """With the backward: a product's is two more, an attention's five products for two.

        Args:
            checkpointing: blocks are computed once more in the backward.
        """
        again = self.blocks + self.attention if checkpointing else 0
        return 2 * self.inputs + 3 * (self.ends + self.blocks) + 7 * self.attention // 2 + again


def clip_flop(config: Any, load: Load) -> Flop:
    """FLOP of one clip."""
    width, channels = config.num_attention_heads * config.attention_head_dim, config.in_channels
    has_rays = config.camera == "raxel"
    video, rays, text = load.video_tokens, load.ray_tokens if has_rays else 0, load.text if config.text_dim else 0
    tokens = video + rays
    block = 8 * width**2 * tokens + 4 * width * config.ffn_dim * tokens
    attention = 4 * width * tokens**2
    if text:
        block += 4 * width**2 * (video + text)
        attention += 4 * width * video * text
    ray_channels, ray_places = (channels, rays) if has_rays else (2 * channels, video)
    frames = load.frames + load.ray_frames
    inputs = 8 * width * (channels * video + ray_channels * ray_places + _hint_channels(config) * video)
    inputs += 2 * FREQUENCIES * width * frames + 2 * (config.text_dim or 0) * width * text
    ends = 14 * width**2 * frames + 2 * width**2 * text + 8 * width * (channels * video + ray_channels * ray_places)
    return Flop(inputs, ends, config.num_layers * block, config.num_layers * attention)


def step_flop(config: Any, batch: Batch, checkpointing: bool) -> int:
    """FLOP of forward and backward of a batch of latents."""
    video, rays = batch.clean
    text = PROMPT_TOKENS if config.empty_text else 0
    load = Load(video.shape[2], rays.shape[2], (video.shape[3], video.shape[4]), text)
    return len(video) * clip_flop(config, load).training(checkpointing)


def memory_bytes(config: Any, load: Load, processes: int, together: int = 1) -> dict[str, int]:
    """Of one process that trains a clip at a time: its share of the states, two blocks on their way, activations.

    Args:
        together: so many of the processes share each clip.
    """
    parameters, width = parameter_count(config), config.num_attention_heads * config.attention_head_dim
    tokens = (load.video_tokens + load.ray_tokens) // together
    block = parameters // config.num_layers
    return {
        "states": sum(STATE_BYTES.values()) * parameters // processes,
        "blocks gathered": 0 if processes == 1 else block * (2 * 2 + 4),  # two in bfloat16, gradients in float32
        "kept between blocks": 2 * tokens * width * config.num_layers,
        "inside a block": LIVE_BYTES * tokens * width,
    }


def _hint_channels(config: Any) -> int:
    pictures, maps = WARP_MAPS[config.warp_hint]
    return (FLOW_CHANNELS if config.flow_hint else 0) + config.in_channels * pictures + maps


@dataclass(frozen=True)
class Budgeting:
    """Settings of `rap train budget`. `network` is a name of `rap train model --config`.

    A step sees `clips` clips in all; `context_parallel` of the processes share each. `peak_tflops` is what a processor
    reaches in bfloat16, `utilisation` the share of it that a training is assumed to reach.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ()

    network: str = "wan-14b"
    height: int = 480
    width: int = 832
    frames: int = 81
    text: int = PROMPT_TOKENS
    processes: int = 16
    context_parallel: int = 1
    clips: int = 32
    steps: int = 20000
    threads: int = 0
    peak_tflops: float = 989.0
    utilisation: float = 0.4


def print_budget(settings: Budgeting, say: Callable[[str], None] = print) -> None:
    """Parameters, FLOP, memory of each process and hours of a training.

    Raises:
        InputError: no such network.
    """
    if settings.network not in CONFIGS:
        raise InputError(f"--network must be one of {', '.join(CONFIGS)}, got {settings.network!r}")
    chosen = ModelTraining(**CONFIGS[settings.network])
    config = SimpleNamespace(**network_options(chosen, WAN_CHANNELS))
    load = Load.of_clip(config, (settings.height, settings.width), settings.frames, settings.text)
    forward = clip_flop(config, load).forward
    flop = clip_flop(config, load).training(chosen.activation_checkpointing)
    processor_s = settings.steps * settings.clips * flop / (settings.peak_tflops * 1e12 * settings.utilisation)
    memory = memory_bytes(config, load, settings.processes, settings.context_parallel)
    say(f"{settings.network}: {_digits(parameter_count(config) / 1e9)} billion parameters")
    say(f"tokens of a clip: {load.video_tokens} of the video, {load.ray_tokens} of the rays, {settings.text} of text")
    say(f"forward of a clip: {_short(forward)}FLOP; in training {_short(flop)}FLOP")
    say(
        f"memory of each of {settings.processes}: {_short(sum(memory.values()))}B: "
        + ", ".join(f"{name} {_short(value)}B" for name, value in memory.items())
    )
    say(
        f"{settings.steps} steps of {settings.clips} clips: {_digits(processor_s / 3600)} hours of a processor, "
        f"{_digits(processor_s / 3600 / 24 / settings.processes)} days on {settings.processes}"
    )


def _short(value: float) -> str:
    power = min(5, max(2, int(math.log10(max(value, 1)) // 3)))
    return f"{_digits(value / 1000**power)} {'MGTP'[power - 2]}"


def _digits(value: float) -> str:
    """Three that count, without an exponent where there need not be one."""
    return f"{float(f'{value:.3g}'):g}"
