"""A pipeline of diffusers as a stream of progress that can be closed, as `rap.pipeline.RaPPipeline.stream` is one.

Such a pipeline is one long call that tells of its steps. It runs in a thread of its own (`beside` of
`rap.reconstruction.progress`), and closing the stream ends the call at its next step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from rap.errors import InputError
from rap.generators import sana_wm, vace
from rap.generators.kinds import Chosen
from rap.generators.request import FilmTask
from rap.geometry import Trajectory, preset
from rap.pipeline import EstimateTask, Progress, RaPOutput
from rap.reconstruction.progress import Word, beside, listened
from rap.reconstruction.refine import refine_trajectory

ADAPTERS = {"WanVACEPipeline": vace, "SanaWMPipeline": sana_wm}
LOOK_S = 0.2  # how often a reader hears of a call at work, also where it has done no further step
ESTIMATE_STEPS = 100  # parts that a search for cameras is told in


class FilmGenerator:
    """A model of others behind the interface of our pipeline: a take is its own, cameras are found by tracks.

    Args:
        pipeline: of the class that `chosen.kind` names, on its device.
    """

    def __init__(self, pipeline: Any, chosen: Chosen) -> None:
        self.pipeline, self.chosen = pipeline, chosen
        self._adapter = ADAPTERS[chosen.kind.class_name]
        pipeline.set_progress_bar_config(disable=True)

    def stream(self, task: Any) -> Iterator[Progress]:
        """Run a task; closing the generator stops it at its next step, before the film is decoded.

        Raises:
            InputError: what only a model of videos and cameras can do.
        """
        if isinstance(task, FilmTask):
            yield from self._film(task)
        elif isinstance(task, EstimateTask):
            yield from _estimate(task)
        else:
            raise InputError(
                f"{self.chosen.title} takes cameras and makes none: it cannot do a {type(task).__name__}; apply a "
                "preset, or leave --checkpoint out"
            )

    def _film(self, task: FilmTask) -> Iterator[Progress]:
        steps = task.steps or self.chosen.kind.steps
        output = yield from beside(partial(self._made, task, steps), LOOK_S, partial(_of_steps, steps))
        frames_u8 = (np.clip(np.asarray(output, dtype=np.float32), 0, 1) * 255).round().astype(np.uint8)
        expected = (*task.mask.shape, 3)
        if frames_u8.shape != expected:
            raise RuntimeError(f"{self.chosen.title} was to make a film of {expected}, got {frames_u8.shape}")
        done = RaPOutput(frames_u8=frames_u8, trajectory=task.trajectory, raxels=None)
        yield Progress(steps, steps, frames_u8, task.trajectory, True, done)

    def _made(self, task: FilmTask, steps: int, word: Word) -> np.ndarray:
        arguments = self._adapter.arguments(task, self.chosen.kind)
        noise = torch.Generator("cpu").manual_seed(task.seed)  # the same film for a seed, whatever the device
        try:
            output = self.pipeline(**arguments, generator=noise, callback_on_step_end=_Told(word, steps))
        finally:
            self.pipeline.maybe_free_model_hooks()  # which the call does itself, unless it was stopped
        return self._adapter.frames_of(output)


@dataclass
class _Told:
    """What diffusers calls at the end of each step."""

    word: Word
    steps: int

    def __call__(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        self.word((step + 1) / self.steps)
        return {}


def _of_steps(steps: int, share: float) -> Progress:
    return Progress(min(round(steps * share), steps), steps)


def _estimate(task: EstimateTask) -> Iterator[Progress]:
    """Cameras by tracks alone, from nothing; of frames that tell none the resting camera that was begun with."""
    found = yield from beside(partial(_tracked, task), LOOK_S, partial(_of_steps, ESTIMATE_STEPS))
    output = RaPOutput(frames_u8=task.frames_u8, trajectory=found, raxels=None)
    yield Progress(ESTIMATE_STEPS, ESTIMATE_STEPS, None, found, True, output)


def _tracked(task: EstimateTask, word: Word) -> Trajectory:
    detailed = task.frames_u8 if task.flow_frames_u8 is None else task.flow_frames_u8
    size, own = (detailed.shape[1], detailed.shape[2]), (task.frames_u8.shape[1], task.frames_u8.shape[2])
    lens: dict[str, Any] = {} if task.fov_y_rad is None else {"fov_y_rad": task.fov_y_rad}
    rests = preset("static", num_frames=len(detailed), image_size=size, **lens)
    rests = replace(rests.relative_to(task.source), fps=task.fps)
    with listened(word):
        found = refine_trajectory(detailed, rests, known_fov_y_rad=task.fov_y_rad)
    return found.trajectory.resized(own)
