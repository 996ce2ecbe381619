"""A pipeline put together of its parts: for checkpoints in the hub's layout, whose index names files of code.

None of that code is run here: what a part is, its own configuration says, and this package has the class.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler

from rap.model import PatchAutoencoder, RaPTransformer3DModel
from rap.pipeline.pipeline_rap import RaPPipeline

CODECS = {"PatchAutoencoder": PatchAutoencoder, "AutoencoderKLWan": AutoencoderKLWan}
PARTS = ("transformer", "vae", "scheduler", "ray_scheduler")


def from_parts(folder: Path) -> RaPPipeline:
    """The pipeline of a folder.

    Raises:
        OSError, ValueError, TypeError, KeyError: as its libraries meet what is missing or wrong.
    """
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    values = {name: value for name, value in index.items() if not name.startswith("_") and name not in PARTS}
    codec = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))["_class_name"]
    classes = (RaPTransformer3DModel, CODECS[codec], *2 * [FlowMatchEulerDiscreteScheduler])
    parts: dict[str, Any] = {
        name: part.from_pretrained(folder, subfolder=name) for name, part in zip(PARTS, classes, strict=True)
    }
    return RaPPipeline(**parts, **values)
