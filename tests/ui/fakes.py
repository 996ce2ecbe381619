"""What the tests of the app share: clips made on the spot, and a pipeline that answers without a model."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from rap.data import Clip
from rap.geometry import preset
from rap.pipeline import EstimateTask, GenerateTask, Progress, RaPOutput

SIZE = (96, 128)


def moving_frames(count: int = 17, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A textured picture that slides to the left: (T, h, w, 3)."""
    h, w = size
    y, x = np.mgrid[0:h, 0 : w + 2 * count]
    wide = np.stack([128 + 100 * np.sin(x / 7), 128 + 100 * np.cos(y / 9), 128 + 90 * np.sin((x + y) / 11)], axis=-1)
    return np.stack([wide[:, 2 * i : 2 * i + w] for i in range(count)]).astype(np.uint8)


def clip(count: int = 17) -> Clip:
    return Clip(moving_frames(count), fps=8.0, name="made")


@dataclass
class FakePipeline:
    """Streams progress as the real pipeline does.

    `gate`, when given, is waited for before every step; `closed` counts generators that were closed before their end.
    """

    steps: int = 3
    seconds_per_step: float = 0.0
    gate: threading.Semaphore | None = None
    fails_with: Exception | None = None
    closed: int = 0
    tasks: list = field(default_factory=list)

    def stream(self, task):
        self.tasks.append(task)
        steps = task.steps or self.steps
        trajectory = getattr(task, "trajectory", None)
        if isinstance(task, EstimateTask):
            frames = task.frames_u8
        else:
            count = len(trajectory) if trajectory is not None else task.num_frames
            frames = np.stack([np.roll(task.source_frames_u8[0], task.seed - 2 * i, axis=1) for i in range(count)])
        if trajectory is None:
            trajectory = preset("arc-right", num_frames=len(frames), image_size=frames.shape[1:3], amplitude=0.8)
        ended = False
        try:
            for step in range(1, steps + 1):
                if self.gate is not None:
                    assert self.gate.acquire(timeout=20)
                time.sleep(self.seconds_per_step)
                if self.fails_with is not None:
                    raise self.fails_with
                done = step == steps
                output = RaPOutput(frames_u8=frames, trajectory=trajectory, raxels=None) if done else None
                ended = done
                preview = frames if isinstance(task, GenerateTask) else None
                yield Progress(step, steps, preview, trajectory, done, output)
        finally:
            self.closed += not ended


def wait_until(condition, timeout_s: float = 10.0) -> None:
    """Fail when the condition has not come true in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
