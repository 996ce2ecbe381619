"""Rays as Pixels: the joint distribution of videos and camera trajectories.

The public names are loaded when first used, so that `import rap` and the command line answer before torch is there.
What may know what is held by the contracts in pyproject.toml, from the bottom: `geometry` (cameras and paths; its page
holds the conventions), `reconstruction` (cameras from frames), `formats`, then `model`, `data` and `synthetic` with
`flow` and `metrics`, `views` (what new cameras see) with `figures`, `pipeline` (the three tasks), `generators`
(models of others), `train` and `evaluate`, `bench`, `cli`. Below `geometry` are single files that all may use:
`config` and `errors`; for what strangers give `limits` (how much is taken), `guard` (a broken file ends in a
sentence), `sandbox` (reading in a process that can be killed); `writing` (files whole or not there); `checkpoint` (is
it whole); `threads` and `quick_diffusers` (before torch and diffusers are loaded). Read `geometry`, `model`, `flow` and
`pipeline` for the paper's method.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rap.config import checkpoint_path
    from rap.data import Clip, load_clip
    from rap.errors import InputError
    from rap.geometry import Trajectory, preset
    from rap.pipeline import EstimateTask, GenerateTask, JointTask, Progress, RaPOutput, RaPPipeline

__all__ = [
    "Clip",
    "EstimateTask",
    "GenerateTask",
    "InputError",
    "JointTask",
    "Progress",
    "RaPOutput",
    "RaPPipeline",
    "Trajectory",
    "checkpoint_path",
    "load_clip",
    "preset",
]

_HOMES = {
    "Clip": "rap.data",
    "InputError": "rap.errors",
    "Trajectory": "rap.geometry",
    "checkpoint_path": "rap.config",
    "load_clip": "rap.data",
    "preset": "rap.geometry",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rap' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "rap.pipeline")), name)
