"""Wan VACE: a control film, grey where it is to invent, and a mask, white there (Jiang et al., VACE, ICCV 2025).

The call is that of `diffusers.WanVACEPipeline`; Wan 2.1 and 2.2 differ only in what the checkpoint holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rap.generators.kinds import Kind
from rap.generators.request import FilmTask

GREY = 0.5  # becomes 0 where pictures lie in [-1, 1]: what is to be invented says nothing


def arguments(task: FilmTask, kind: Kind) -> dict[str, Any]:
    """What the pipeline is called with."""
    count, h, w = task.mask.shape
    hidden = ~task.mask[..., None]
    film = np.where(hidden, np.float32(GREY), task.frames_u8.astype(np.float32) / 255)
    return {
        "prompt": task.prompt,
        "video": film[None],
        "mask": np.repeat(hidden.astype(np.float32), 3, axis=-1)[None],
        "height": h,
        "width": w,
        "num_frames": count,
        "num_inference_steps": task.steps or kind.steps,
        "guidance_scale": kind.guidance if task.guidance is None else task.guidance,
    }


def frames_of(output: Any) -> np.ndarray:
    """(T, H, W, 3) in [0, 1] of what the pipeline answers."""
    return output.frames[0]
