"""How a pipeline lies on a device, for models that are as large as it: each choice is one of diffusers' own.

None of them changes what is computed, but for `cast` (weights rounded to eight bits) and `tile_vae` (tiles of the codec
are blended where they overlap).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from rap.errors import InputError

EIGHT_BITS = torch.float8_e4m3fn


@dataclass(frozen=True)
class Placement:
    """What is asked for; nothing is a pipeline that lies on its device as a whole.

    Attributes:
        offload: weights wait in main memory and come layer by layer, the next while one computes; the codec stays.
        cast: weights of the transformer are kept in eight bits and widened layer by layer.
        attention: one of diffusers' backends, as "flash", "sage" or "_native_cudnn"; None: torch chooses.
        compile: the repeated blocks are compiled, once for all of them.
        tile_vae: the codec works in tiles, for frames that do not fit otherwise.
    """

    offload: bool = False
    cast: bool = False
    attention: str | None = None
    compile: bool = False
    tile_vae: bool = False


def placed(pipeline: Any, device: str, placement: Placement) -> Any:
    """The same pipeline, on a device.

    Args:
        pipeline: of diffusers, with a `vae` and one or two transformers.

    Raises:
        InputError: a choice that this pipeline or this machine does not have.
    """
    transformers = [getattr(pipeline, name, None) for name in ("transformer", "transformer_2")]
    for transformer in filter(None, transformers):
        prepare(transformer, placement)
    if placement.tile_vae:
        if not hasattr(pipeline.vae, "enable_tiling"):
            raise InputError(f"--tile-vae: {type(pipeline.vae).__name__} has no tiles; leave it out")
        pipeline.vae.enable_tiling()
    if not placement.offload:
        return pipeline.to(device)
    where = torch.device(device)
    pipeline.enable_group_offload(
        onload_device=where, offload_type="leaf_level", use_stream=where.type == "cuda", exclude_modules=["vae"]
    )
    return pipeline


def prepare(transformer: Any, placement: Placement) -> None:
    """What of a placement is a transformer's own.

    Raises:
        InputError: a backend that this machine does not have.
    """
    if placement.cast:
        transformer.enable_layerwise_casting(storage_dtype=EIGHT_BITS, compute_dtype=transformer.dtype)
    if placement.attention:
        try:
            transformer.set_attention_backend(placement.attention)
        except (ValueError, RuntimeError, ImportError) as error:  # no such backend, or its package is not there
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"--attention {placement.attention}: cannot be had here ({reason})") from error
    if placement.compile:
        transformer.compile_repeated_blocks()
