"""Loading a model of others, once, with what is missing of it told in a sentence."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch

from rap.errors import InputError
from rap.generators.adapter import FilmGenerator
from rap.generators.kinds import EXTRA, Chosen
from rap.pipeline.placing import Placement, placed

NEEDED = ("transformers", "ftfy")  # text encoders, and how Wan reads a prompt


def load_generator(chosen: Chosen, device: str, **placement: Any) -> FilmGenerator:
    """The model on a device; weights are safetensors, and of a name they are fetched once, if need be.

    Args:
        device: as torch names it; on a GPU weights are bfloat16, but for the codec, which loses by it.
        placement: as `rap.pipeline.placing.Placement` names it.

    Raises:
        InputError: the class or what it needs is not installed, or the checkpoint cannot be loaded.
    """
    pipeline_class = _pipeline_class(chosen)
    half = torch.bfloat16 if device.startswith("cuda") else torch.float32
    try:
        pipeline = pipeline_class.from_pretrained(
            chosen.checkpoint, dtype={"vae": torch.float32, "default": half}, use_safetensors=True
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError) as error:  # as the libraries meet it
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"--checkpoint {chosen.checkpoint}: cannot be loaded ({reason}); copy it again") from error
    return FilmGenerator(placed(pipeline, device, Placement(**placement)), chosen)


def _pipeline_class(chosen: Chosen) -> Any:
    import diffusers

    kind = chosen.kind
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        raise _missing(kind.title, f"{' and '.join(lacking)} not there")
    found = getattr(diffusers, kind.class_name, None)
    if found is None:
        raise _missing(kind.title, f"diffusers {diffusers.__version__} has no {kind.class_name}, {kind.since} has")
    return found


def _missing(title: str, why: str) -> InputError:
    reason = " ".join(why.split())[:200]
    return InputError(f"{title} needs more than is installed ({reason}); install it with {EXTRA}")
