"""A pipeline that is called as those of diffusers are, and a scene of noise that has seen the left half of all."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from rap.data import Clip
from rap.generators.kinds import KINDS, Chosen
from rap.geometry import Trajectory, preset

VACE, SANA = KINDS["WanVACEPipeline"], KINDS["SanaWMPipeline"]


def chosen(kind=VACE, licence="apache-2.0") -> Chosen:
    return Chosen(kind, f"models/{kind.title.lower().replace(' ', '-')}-tiny", licence)


class CalledPipeline:
    """Makes grey frames of the size it is asked for, and keeps what it was called with."""

    def __init__(self, at_step=None):
        self.called, self.steps_done, self.freed, self.at_step = {}, 0, 0, at_step

    def set_progress_bar_config(self, **_):
        pass

    def maybe_free_model_hooks(self):
        self.freed += 1

    def __call__(self, callback_on_step_end, **arguments):
        self.called = arguments
        for step in range(arguments["num_inference_steps"]):
            if self.at_step is not None:
                assert self.at_step.acquire(timeout=20)
            self.steps_done = step + 1
            callback_on_step_end(self, step, torch.tensor(1.0), {})
        h, w, count = arguments["height"], arguments["width"], arguments["num_frames"]
        frames = np.full((count, h, w, 3), 0.5, np.float32)
        return SimpleNamespace(frames=frames if "c2w" in arguments else frames[None])


class HalfScene:
    """Whole frames of (60, 120); of each the left half was seen. Frame i is 10 i bright."""

    unit_m = None
    size = (60, 120)

    def __init__(self, path: Trajectory, fov_y_deg: float = 55.0):
        own = np.full((1, *self.size, 3), 200, np.uint8)
        self.clip = Clip(own[:, :, 12:108], fps=8.0, upload_size=self.size, footage_u8=own)
        lens = np.tile(path.intrinsics[path.source], (1, 1))
        self.trajectory = Trajectory(np.eye(4)[None], lens, path.image_size)

    def walk(self, trajectory, side, frames=None, content=None):
        for i in range(frames or len(trajectory)):
            yield np.full((*self.size, 3), 10 * i, np.uint8)

    def seen_on_walk(self, trajectory, side, frames=None):
        seen = np.zeros((frames or len(trajectory), *self.size), bool)
        seen[:, :, :60] = True
        return seen


def path_of(count: int, name: str = "dolly-in", image_size: tuple[int, int] = (60, 96)) -> Trajectory:
    return preset(name, num_frames=count, image_size=image_size)
