"""The state of an empty prompt: what a text-to-video model is given where nobody says anything, kept beside the shards.

Recordings have no captions, and Wan never saw a clip without text: where a prompt was left out in its training, an
empty one took its place. Its states are one of a token that ends it, and zeros (diffusers' `WanPipeline`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from rap.errors import InputError
from rap.guard import DAMAGE
from rap.shards.latents import pack, unpack
from rap.writing import whole_file

FILE, STATE = "empty_prompt.npz", "state"


def write_empty_prompt(encoder: Path, out: Path) -> None:
    """Ask the text encoder in `encoder/text_encoder`, with `encoder/tokenizer`, and keep the answer in `out`.

    Raises:
        InputError: transformers is missing, or the folder holds no such encoder.
    """
    try:
        from transformers import AutoTokenizer, UMT5EncoderModel  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError("--text-encoder needs transformers; pip install 'rays-as-pixels[gpu]'") from error
    for name in ("text_encoder", "tokenizer"):
        if not (encoder / name).is_dir():
            raise InputError(f"--text-encoder: {encoder} holds no {name}; give the folder of a Wan pipeline")
    ids = AutoTokenizer.from_pretrained(encoder / "tokenizer")("", return_tensors="pt").input_ids
    if ids.shape != (1, 1):
        raise InputError(f"--text-encoder: an empty prompt has one token, its end; {encoder} makes {ids.numel()} of it")
    model = UMT5EncoderModel.from_pretrained(encoder / "text_encoder", dtype=torch.bfloat16).eval()
    with torch.no_grad():
        state = model(ids).last_hidden_state[0, 0]
    with whole_file(out / FILE) as path:
        path.write_bytes(pack({STATE: state.float().numpy()}))


def empty_prompt(folder: Path) -> list[float] | None:
    """The state (text_dim,) that was kept in a folder of shards; None where there is none.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return np.asarray(unpack(path.read_bytes())[STATE], dtype=np.float32).tolist()
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be read ({error}); build the shards again") from error
