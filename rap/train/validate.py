"""Figures of the averaged weights on a few fixed clips while they are trained.

As `rap evaluate` has them, on held-out shards: poses over all pairs of frames (AUC@30, median rotation) at one and two
steps; generation from frame 0 along the true cameras, PSNR without frame 0 beside repeating it; following, the median
rotation of the cameras estimated from the generated video. A network with a warp hint also generates from the plane of
the source, beside that warp alone, and from frames of the first half lifted by a plane sweep, judged on the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from rap import metrics
from rap.data import Clip
from rap.data.dataset import ClipStore, relative_cameras
from rap.geometry import Trajectory
from rap.pipeline import RaPPipeline
from rap.train.settings import ModelTraining
from rap.views.hints import VideoHints, plane_hints
from rap.views.scene import build_scene

VALIDATION_SEED = 20260411
"""Of the drawing of the clips and of the noise: the same at every validation of every run."""

DRAWS = 100
"""Of a clip, until so many were all seen before: of few clips every one is found."""

POSE_STEPS = (1, 2)

PLAIN_COLUMNS = (
    *(f"pose{steps}_{name}" for steps in POSE_STEPS for name in ("auc30", "rotation_deg")),
    "generate_psnr_db",
    "repeat_psnr_db",
    "follow_rotation_deg",
)

HINTED_COLUMNS = ("plane_psnr_db", "plane_warp_psnr_db", "lifted_psnr_db", "lifted_warp_psnr_db")


@dataclass(frozen=True, eq=False)
class ValidationClip:
    """A clip of known cameras and what the geometry shows of it, which no weights change."""

    clip: Clip
    truth: Trajectory

    @cached_property
    def plane(self) -> VideoHints:
        """Frame 0 as a plane at unit depth."""
        return plane_hints(self.clip.frames_u8[:1], (0,), self.truth)

    @cached_property
    def lifted(self) -> VideoHints:
        """The even frames of the first half, lifted by a plane sweep under the true cameras."""
        sources = tuple(range(0, self.half + 1, 2))
        return build_scene(self.clip, self.truth, source_indices=sources).hints(self.truth)

    @property
    def half(self) -> int:
        """The last frame that `lifted` may show; the frames behind it are judged."""
        return len(self.clip) // 2


@dataclass(frozen=True, eq=False)
class Validation:
    """A few clips, and whether the network takes warps of them."""

    clips: tuple[ValidationClip, ...]
    hinted: bool

    @classmethod
    def of_shards(cls, folder: Path, settings: ModelTraining) -> Validation:
        """Different clips of a folder, the same ones every time; all where it holds fewer than are asked for.

        Raises:
            InputError: no shards there.
        """
        store, rng = ClipStore(folder), np.random.default_rng(VALIDATION_SEED)
        clips: dict[bytes, ValidationClip] = {}
        for _ in range(DRAWS * settings.validation_clips):  # a store draws with replacement
            if len(clips) == min(settings.validation_clips, len(store)):
                break
            drawn = store.draw(1, rng)
            Ts = relative_cameras(drawn, np.zeros(1, dtype=int))[0]
            truth = Trajectory(Ts.astype(np.float64), drawn.intrinsics[0].astype(np.float64), drawn.size)
            clips.setdefault(Ts.tobytes(), ValidationClip(Clip(drawn.frames_u8[0], truth.fps, truth), truth))
        return cls(tuple(clips.values()), settings.warp_hint != "none")

    def columns(self) -> tuple[str, ...]:
        """Names of the figures, in their order."""
        return (*PLAIN_COLUMNS, *(HINTED_COLUMNS if self.hinted else ()))

    def figures(self, pipeline: RaPPipeline) -> dict[str, float]:
        """Means over the clips, by the names of `columns`."""
        rows = [self._row(pipeline, clip) for clip in self.clips]
        return {name: float(np.mean([row[name] for row in rows])) for name in self.columns()}

    def _row(self, pipeline: RaPPipeline, clip: ValidationClip) -> dict[str, float]:
        frames, truth, row = clip.clip.frames_u8, clip.truth, {}
        for steps in POSE_STEPS:
            auc30, rotation_deg = _pose(pipeline, frames, truth, steps)
            row |= {f"pose{steps}_auc30": auc30, f"pose{steps}_rotation_deg": rotation_deg}
        made = self._generated(pipeline, clip, None)
        still = np.repeat(frames[:1], len(frames) - 1, axis=0)
        row["generate_psnr_db"] = metrics.psnr(made[1:], frames[1:])
        row["repeat_psnr_db"] = metrics.psnr(still, frames[1:])
        row["follow_rotation_deg"] = _pose(pipeline, made, truth, None)[1]
        if self.hinted:
            row |= self._hinted_row(pipeline, clip)
        return row

    def _hinted_row(self, pipeline: RaPPipeline, clip: ValidationClip) -> dict[str, float]:
        row, frames = {}, clip.clip.frames_u8
        for name, hints, judged in (
            ("plane", clip.plane, slice(1, None)),
            ("lifted", clip.lifted, slice(clip.half + 1, None)),
        ):
            made = self._generated(pipeline, clip, hints)
            row[f"{name}_psnr_db"] = metrics.psnr(made[judged], frames[judged])
            row[f"{name}_warp_psnr_db"] = metrics.psnr(hints.frames_u8[judged], frames[judged])
        return row

    def _generated(self, pipeline: RaPPipeline, clip: ValidationClip, hints: VideoHints | None) -> np.ndarray:
        source = clip.clip.frames_u8[:1]
        made = pipeline.generate_video(source, clip.truth, hints=hints, seed=VALIDATION_SEED)
        assert made.frames_u8 is not None
        return made.frames_u8


SCORE_NOISE = 0.02
"""Of two scores nearer than this the later weights are kept: a few clips tell no finer."""


def score(figures: dict[str, float]) -> float:
    """One number to keep the best weights by: the pose's AUC, and a tenth of each decibel won over doing nothing."""
    poses = float(np.mean([figures[f"pose{steps}_auc30"] for steps in POSE_STEPS]))
    won = [figures["generate_psnr_db"] - figures["repeat_psnr_db"]]
    won += [
        figures[f"{k}_psnr_db"] - figures[f"{k}_warp_psnr_db"] for k in ("plane", "lifted") if f"{k}_psnr_db" in figures
    ]
    return poses + 0.1 * float(np.mean(won))


def _pose(pipeline: RaPPipeline, frames_u8: np.ndarray, truth: Trajectory, steps: int | None) -> tuple[float, float]:
    """AUC@30 in [0, 1] and median rotation error in degrees of the estimate."""
    found = pipeline.estimate_trajectory(frames_u8, steps=steps, seed=VALIDATION_SEED).trajectory
    assert found is not None
    errors = metrics.pose_errors(found.Ts_world_camera, truth.Ts_world_camera)
    return errors.auc30, float(np.median(errors.rotation_deg))
