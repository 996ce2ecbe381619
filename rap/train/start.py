"""The network that a training begins with: from chance, a pipeline, or a Wan transformer of any size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rap.errors import InputError
from rap.model import RaPTransformer3DModel
from rap.shards import empty_prompt
from rap.train.ranks import Ranks
from rap.train.settings import ModelTraining
from rap.train.sharded import own_part, take
from rap.train.state import SavedTensors

HINT_PREFIXES = ("flow_hint_embedding.", "warp_hint_embedding.")

WAN_WEIGHTS = "diffusion_pytorch_model"
"""What diffusers calls the files of a transformer."""


def network_options(settings: ModelTraining, channels: int) -> dict[str, Any]:
    """The configuration of the settings; gates are open from the start unless Wan's weights are to stay as they are."""
    names = (
        *("ray_attention", "attention", "camera", "ray_frame_stride", "video_prediction", "video_baseline"),
        *("flow_hint", "warp_hint", "ray_prediction"),
    )
    return {
        "num_attention_heads": settings.heads,
        "attention_head_dim": settings.width // settings.heads,
        "in_channels": channels,
        "out_channels": channels,
        "text_dim": settings.text_width or None,
        "ffn_dim": settings.ffn_width or 4 * settings.width,
        "num_layers": settings.layers,
        "cross_attn_norm": True,
        "cross_gate_init": 0.0 if settings.wan else 1.0,
        "empty_text": empty_prompt(Path(settings.data)) if settings.data and settings.text_width else None,
        **{name: getattr(settings, name) for name in names},
    }


def build_transformer(settings: ModelTraining, channels: int) -> RaPTransformer3DModel:
    """A network of chance."""
    return RaPTransformer3DModel(**network_options(settings, channels))


def first_network(settings: ModelTraining, channels: int, ranks: Ranks) -> RaPTransformer3DModel:
    """The network, cut among the processes, on their devices. The same seed makes the same one for any number of them.

    Raises:
        InputError: weights of another network to begin with.
    """
    if settings.wan:  # no process ever holds more than its rows and one block
        with torch.device("meta"):
            model = build_transformer(settings, channels)
        ranks.cut(model, settings.bf16)
        nn.Module.to_empty(model, device=ranks.device)
        wan_weights(model, settings, channels)
    else:
        model = build_transformer(settings, channels)
        if settings.init:
            init_weights(model, Path(settings.init))
        nn.Module.to(model, ranks.device)  # diffusers decorates its own, which hides its type
        ranks.cut(model, settings.bf16)
    if settings.activation_checkpointing:
        model.enable_gradient_checkpointing()
    return model


def init_weights(model: RaPTransformer3DModel, folder: Path) -> None:
    """Begin with the transformer of a pipeline; hints that it does not take stay without effect.

    Raises:
        InputError: no pipeline there, or a network of another size or kind.
    """
    if not (folder / "transformer" / "config.json").exists():
        raise InputError(f"--init: {folder} holds no pipeline (no transformer/config.json)")
    weights = RaPTransformer3DModel.from_pretrained(folder / "transformer").state_dict()
    own = model.state_dict()
    missing = [key for key in own if key not in weights and not key.startswith(HINT_PREFIXES)]
    strange = [key for key, value in weights.items() if key not in own or own[key].shape != value.shape]
    if missing or strange:
        raise InputError(
            f"--init: the network in {folder} has another size or kind ({', '.join([*missing, *strange][:3])}); "
            f"give its settings, which {folder / 'transformer' / 'config.json'} tells"
        )
    model.load_state_dict(weights, strict=False)


def wan_weights(model: RaPTransformer3DModel, settings: ModelTraining, channels: int) -> None:
    """`RaPTransformer3DModel.from_wan` row by row; what Wan has not comes from a network of one block.

    Raises:
        InputError: no Wan transformer in `settings.wan`, or one of another size.
    """
    folder = Path(settings.wan)
    saved = SavedTensors(folder, WAN_WEIGHTS, step=0)
    shapes = saved.shapes()
    if not shapes:
        raise InputError(f"--wan: {folder} holds no transformer ({WAN_WEIGHTS}*.safetensors)")
    try:
        sources = model.wan_sources(shapes)
    except ValueError as error:
        raise InputError(f"--wan: {folder} has another size or kind than the settings ({error})") from error
    others = build_transformer(replace(settings, layers=1), channels).state_dict()
    for key, value in model.state_dict().items():
        if key in sources:
            take(value, saved.read(sources[key], value))
        else:
            take(value, own_part(others[_of_first_block(key)], value))
    model.silence_new_summand()


def _of_first_block(key: str) -> str:
    parts = key.split(".")
    return ".".join(["blocks", "0", *parts[2:]]) if parts[0] == "blocks" else key
