"""What the tests of the app share: clips made on the spot, and a pipeline that answers without a model."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import cv2
import numpy as np
import torch

from rap.data import Clip
from rap.generators.request import FilmTask
from rap.geometry import Trajectory, preset, scale_motion
from rap.pipeline import EstimateTask, GenerateTask, Progress, RaPOutput
from rap.reconstruction.refine import Refinement, RefinementReport
from rap.reconstruction.tracks import PointCloud

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

    `gate`, when given, is waited for before every step, and with `held` no step after the first is made; `closed`
    counts generators that were closed before their end.
    """

    steps: int = 3
    seconds_per_step: float = 0.0
    gate: threading.Semaphore | None = None
    fails_with: Exception | None = None
    closed: int = 0
    tasks: list = field(default_factory=list)
    _goes_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        self._goes_on.set()

    @contextmanager
    def held(self):
        """Whatever is asked for waits after its first step until the context ends."""
        self._goes_on.clear()
        try:
            yield
        finally:
            self._goes_on.set()

    def stream(self, task):
        self.tasks.append(task)
        steps = task.steps or self.steps
        trajectory = getattr(task, "trajectory", None)
        if isinstance(task, EstimateTask):
            frames = task.frames_u8
        elif isinstance(task, FilmTask):
            frames = task.frames_u8 + np.uint8(task.seed)
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
                if step > 1:
                    self._goes_on.wait()
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


@dataclass
class FakeScene:
    """A scene that shows the clip's first frame along any path and has seen three quarters of each picture."""

    clip: Clip
    points: PointCloud | None
    gate: threading.Semaphore | None = None
    previewed: list = field(default_factory=list)
    median: float = 1.0
    is_picture: bool = False
    contents: list = field(default_factory=list)
    is_left: bool = False  # whether every path leaves what was filmed
    wall: float = 5.0  # what stands across the way of the source camera, at this depth

    unit_m = None
    intrinsics = np.array([[40.0, 40.0, 32.0, 16.0]])
    depth = SimpleNamespace(inverse_depth=torch.linspace(0.5, 2.0, 32)[None, :, None].expand(1, 32, 64))

    @property
    def trajectory(self):
        return Trajectory(np.eye(4)[None], self.intrinsics, self.clip.image_size)

    def centre_depth(self):
        return 0.8

    def seen_on_walk(self, trajectory, side, frames=None):
        count, size = frames or len(trajectory), trajectory.image_size
        return np.ones((count, *size), bool)

    def leaves(self, trajectory):
        return self.is_left

    def bent_share(self, trajectory):
        return 0.0

    def is_open(self, trajectory):
        return self.is_left

    def clearance(self, trajectory):
        return np.maximum(0.0, self.wall - trajectory.centres[:, 2])

    def walk(self, trajectory, side, frames=None, content=None):
        self.contents.append(content)
        h, w = trajectory.image_size
        side = side if self.is_picture else min(side, max(self.clip.full_size))
        size = (side * h // max(h, w), side * w // max(h, w))
        for i in range(frames or len(trajectory)):
            if self.gate is not None:
                assert self.gate.acquire(timeout=20)
            if self.is_picture:
                yield np.full((*size, 3), 10 * i % 256, np.uint8)
            else:
                yield cv2.resize(np.roll(self.clip.frames_u8[0], -2 * i, axis=1), size[::-1])

    def preview(self, trajectory, side=None):
        if self.gate is not None:
            assert self.gate.acquire(timeout=20)
        self.previewed.append(trajectory)
        frames = np.repeat(self.clip.frames_u8[:1], len(trajectory), axis=0)
        mask = np.ones(frames.shape[:3], bool)
        mask[:, :, : mask.shape[2] // 4] = False
        return SimpleNamespace(frames_u8=frames, mask=mask)

    def glimpse(self, trajectory, index, held=None):
        return np.full((*self.clip.image_size, 3), 10 * index % 256, np.uint8)

    def hints(self, trajectory):
        preview = self.preview(trajectory)
        return SimpleNamespace(frames_u8=preview.frames_u8, mask=preview.mask.astype(np.float32))

    def median_depth(self, frame):
        return self.median if frame == 0 else 1.25

    def coloured_points(self, max_points=1000, min_confidence=0.5):
        count = 500 if min_confidence >= 0.5 else 900
        return np.random.default_rng(0).normal(size=(count, 3)), np.full((count, 3), 90, np.uint8)


OUTCOME_VERDICTS = {"refined": "good", "no_parallax": "doubtful", "too_few_tracks": "failed", "diverged": "failed"}


@dataclass
class FakeGeometry:
    """Answers as `rap.views.scene` does, without looking at a single pixel.

    `outcome` is what refinements come to; `gates` are waited for by the function of that name, before it answers;
    `calls` tells what was asked for, in order.
    """

    outcome: str = "refined"
    gates: dict[str, threading.Semaphore] = field(default_factory=dict)
    fails_with: Exception | None = None
    calls: list = field(default_factory=list)
    scenes: list = field(default_factory=list)

    def refine(self, clip, trajectory, known_fov_y_rad=None):
        self._answer("refine", known_fov_y_rad)
        report = RefinementReport(
            self.outcome, f"That was {self.outcome}.", "prediction", "model", 6.5, 0.5, 900, 120, 1.04, 2.0,
            verdict=OUTCOME_VERDICTS[self.outcome],
        )  # fmt: skip
        if self.outcome != "refined":
            return Refinement(trajectory, report)
        return Refinement(scale_motion(trajectory, 0.9), report, cloud())

    def build_scene(self, clip, trajectory, points=None):
        self._answer("build_scene", points)
        return self._scene(clip, points)

    def picture_scene(self, clip, trajectory, *, flat=False, depth_by=""):
        self._answer("picture_scene", "flat" if flat else depth_by or None)
        scene = self._scene(clip, None)
        scene.is_picture = True
        return scene

    def _answer(self, name, detail):
        self.calls.append((name, detail))
        if name in self.gates:
            assert self.gates[name].acquire(timeout=20)
        if self.fails_with is not None:
            raise self.fails_with

    def _scene(self, clip, points):
        self.scenes.append(FakeScene(clip, points, self.gates.get("preview")))
        return self.scenes[-1]


def cloud(count: int = 200) -> PointCloud:
    """Points before the source camera, well seen but for one that is very far away."""
    xyz = np.random.default_rng(1).uniform((-1, -1, 0.5), (1, 1, 2), (count, 3))
    xyz[-1] = 1e4
    colours_u8, span = np.full((count, 3), 128, np.uint8), np.tile([0, 16], (count, 1))
    return PointCloud(xyz, colours_u8, np.full(count, 0.4), np.full(count, 0.1), np.arange(count), span)


def made_up_geometry(running) -> FakeGeometry:
    """A running app asks this one from now on; nothing it finds costs time."""
    pipeline = running.sessions.result(timeout=120)._geometry.pipeline
    wait_until(lambda: "backend" in vars(pipeline))
    pipeline.backend = FakeGeometry()
    return pipeline.backend


def wait_until(condition, timeout_s: float = 240.0) -> None:
    """Fail when the condition has not come true in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
