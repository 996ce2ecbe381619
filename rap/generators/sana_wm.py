"""SANA-WM: a first frame and cameras, OpenCV, camera to world, with a lens for each frame in pixels of that frame.

The call is that of `diffusers.SanaWMPipeline`. It was trained on cameras in metres; a path here is in median depths of
its source view. Where metres of those are known (`--depth-model` of a metric kind) they are used, else USUAL_UNIT_M.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from rap.generators.kinds import Kind
from rap.generators.request import FilmTask, metric

USUAL_UNIT_M = 3.0
"""Metres that the middle of a view is taken to be away where nobody knows: across a room, or a street."""


def arguments(task: FilmTask, kind: Kind) -> dict[str, Any]:
    """What the pipeline is called with."""
    count, h, w = task.mask.shape
    cameras = metric(task.trajectory, task.unit_m or USUAL_UNIT_M)
    return {
        "image": Image.fromarray(task.frames_u8[0]),
        "prompt": task.prompt,
        "c2w": cameras.Ts_world_camera.astype("float32"),
        "intrinsics": cameras.intrinsics.astype("float32"),
        "height": h,
        "width": w,
        "num_frames": count,
        "num_inference_steps": task.steps or kind.steps,
        "guidance_scale": kind.guidance if task.guidance is None else task.guidance,
    }


def frames_of(output: Any) -> Any:
    """(T, H, W, 3) in [0, 1] of what the pipeline answers."""
    return output.frames
