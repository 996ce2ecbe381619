"""What the tests of the `rap` command share: an answering pipeline and scene, and how a command is run."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from rap import cli
from rap.data import Clip
from rap.geometry import Trajectory, preset
from rap.pipeline import EstimateTask, GenerateTask, JointTask, Progress, RaPOutput, RoundTrip
from rap.reconstruction.refine import Refinement, RefinementReport
from rap.reconstruction.tracks import PointCloud
from rap.views.depth import DepthMaps
from rap.views.eyes import Eye
from rap.views.fine import Content
from rap.views.hints import VideoHints
from rap.views.preview import Preview


class FakePipeline:
    """Answers every task with an orbit and with greyer copies of the source; remembers the tasks."""

    def __init__(self) -> None:
        self.tasks: list = []

    def stream(self, task) -> Iterator[Progress]:
        self.tasks.append(task)
        steps = task.steps or 2
        for step in range(steps):
            print("a library talks on stdout")
            yield Progress(step, steps)
        if isinstance(task, EstimateTask):
            frames_u8, count = task.frames_u8, len(task.frames_u8)
        else:
            count = task.num_frames if isinstance(task, JointTask) else len(task.trajectory)
            frames_u8 = np.repeat(task.source_frames_u8[:1] // 2 + 64, count, axis=0)
        size = frames_u8.shape[1:3]
        trajectory = task.trajectory if isinstance(task, GenerateTask) else orbit(count, size)
        raxels = np.zeros((count, 3, size[0] // 2, size[1] // 2), dtype=np.float32)
        yield Progress(steps, steps, frames_u8, trajectory, True, RaPOutput(frames_u8, trajectory, raxels))

    def round_trip(self, frames_u8, *, fps: float, steps: int | None, seed: int, fov_y_rad: float | None) -> RoundTrip:
        def last(task) -> RaPOutput:
            return [progress.output for progress in self.stream(task)][-1]

        first = last(EstimateTask(frames_u8, fps=fps, fov_y_rad=fov_y_rad))
        video = last(GenerateTask(frames_u8[:1], first.trajectory, steps=steps, seed=seed))
        return RoundTrip(first, video, last(EstimateTask(video.frames_u8, fps=fps)))


def orbit(count: int, size: tuple[int, int]) -> Trajectory:
    return preset("orbit-left", num_frames=count, image_size=size)


class FakeScene:
    """Shows the left half of every frame; remembers what it was made of and the paths it was asked for."""

    made: list[FakeScene] = []
    intrinsics = np.array([[90.0, 90.0, 64.0, 48.0]])
    depth = DepthMaps(torch.full((1, 96, 128), 0.8), torch.ones(1, 96, 128))
    unit_m = None
    is_left = False

    def __init__(self, clip: Clip, trajectory: Trajectory, points: PointCloud | None = None, **options) -> None:
        self.clip, self.trajectory, self.points, self.paths = clip, trajectory, points, []
        self.options, self.walked = options, []
        self.made.append(self)

    def _mask(self, path: Trajectory, size: tuple[int, int]) -> np.ndarray:
        self.paths.append(path)
        return np.broadcast_to(np.arange(size[1]) < size[1] // 2, (len(path), *size))

    def preview(self, path: Trajectory) -> Preview:
        mask = self._mask(path, (134, 224))
        return Preview(np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 200, mask)

    def hints(self, path: Trajectory) -> VideoHints:
        mask = self._mask(path, path.image_size)
        return VideoHints(np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 200, mask.astype(np.float64))

    @property
    def layers(self) -> object | None:
        return object() if self.options.get("flat") is False else None

    def walk(
        self, path: Trajectory, side: int, frames: int, content: Content | None, eye: Eye | None = None
    ) -> Iterator[np.ndarray]:
        self.walked.append((path, content))
        for i in range(frames):
            shade = 10 * i + (0 if eye is None else int(100 + 50 * np.sign(eye.aside)))
            yield np.full((side // 20, side // 10, 3), shade, np.uint8)

    def depths_of_walk(self, path: Trajectory, side: int, frames: int) -> np.ndarray:
        return np.tile(np.linspace(0.5, 2, side // 10), (frames, side // 20, 1))

    def median_depth(self, frame: int) -> float:
        return 3.0

    def cameras_of_walk(self, path: Trajectory, size: tuple[int, int]) -> Trajectory:
        return path.resized(size)

    def centre_depth(self) -> float:
        return 1.25

    def leaves(self, path: Trajectory) -> bool:
        return self.is_left

    def bent_share(self, path: Trajectory) -> float:
        return 0.0

    def is_open(self, path: Trajectory) -> bool:
        return self.is_left

    def clearance(self, path: Trajectory) -> np.ndarray:
        return np.ones(len(path))

    def coloured_points(self, min_confidence: float) -> tuple[np.ndarray, np.ndarray]:
        xyz = np.random.default_rng(0).normal(size=(50, 3))
        return xyz, np.full((50, 3), int(100 * min_confidence), dtype=np.uint8)


def report(outcome: str = "refined") -> RefinementReport:
    return RefinementReport(outcome, "Because.", "frames", "model", 3.0, 0.4, 900, 200, 1.1, 0.5)  # type: ignore[arg-type]


def fake_refine(clip: Clip, trajectory: Trajectory, known_fov_y_rad: float | None) -> Refinement:
    """Moves twice as far."""
    return Refinement(trajectory.scaled(2.0), report(), None, None)


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert cli.main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The sentence of a refusal: status 2, nothing on stdout, one line on stderr."""
    try:
        status = cli.main([*map(str, arguments)])
    except SystemExit as stop:
        status = stop.code
    written = capsys.readouterr()
    assert status == 2 and written.out == "" and written.err.count("\n") == 1, written.err
    return written.err.strip()
