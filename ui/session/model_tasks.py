"""What the model's worker is asked for, and what is kept of what it gives: all of this runs in the worker's thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rap.config import FOOTAGE_SIDE, SIZE_MULTIPLE, VERIFY_STEPS
from rap.data import fit_trajectory, playback_fps
from rap.data.images import reduced_size
from rap.geometry import Trajectory
from rap.pipeline import EstimateTask, GenerateTask, JointTask
from ui.document import document as doc
from ui.document.document import Settings, Take
from ui.document.state import JobKind
from ui.document.verification import Verification, tracked
from ui.session import exports
from ui.session.folder import SessionFolder
from ui.session.pictures import strip_jpeg
from ui.session.uploads import take_frames

MEASURED_SIDE = 320  # long side in px

TAKE_PICTURES, TAKE_HEIGHT_PX = 7, 70  # of a take's thumbnail; as many as `rap-flip` of assets/app.css has steps


@dataclass(frozen=True, eq=False)
class VerifyTask:
    """A take whose cameras are to be estimated; `as_estimate` reads its video when it is the job's turn."""

    take: Take
    steps: int = VERIFY_STEPS

    @staticmethod
    def as_estimate(task: VerifyTask) -> EstimateTask:
        """What the pipeline runs."""
        path = judged_path(task.take)
        return EstimateTask(take_frames(task.take.video, path), path.fps, path.source, steps=task.steps)


TASK_TYPES: dict[JobKind, type] = {
    "predict": EstimateTask,
    "imagine": JointTask,
    "regenerate": GenerateTask,
    "verify": VerifyTask,
    "spread": EstimateTask,
}


def kept_trajectory(output: Any) -> Trajectory:
    """Of an estimate nothing but the path."""
    return output.trajectory


def kept_verification(take: Take, output: Any) -> Verification:
    """The take's video against the path that was asked for."""
    path = judged_path(take)
    return tracked(take.number, path, output.trajectory, take_frames(take.video, path, measured_size(take)))


def measured_size(take: Take) -> tuple[int, int]:
    """(h, w) of the frames in which points are followed: of the shape of the path's images, and as large as these or a
    whole number of times so, as the take bears up to MEASURED_SIDE. In 160 px the path of a take was measured 7.6
    degrees wrong that is 0.5 off in 320.
    """
    h, w = judged_path(take).image_size
    times = max(1, round(min(MEASURED_SIDE, max(take.size or (h, w))) / max(h, w)))
    return h * times, w * times


def judged_path(take: Take) -> Trajectory:
    """What a take was to follow, in pixels of the frames that are judged: as the path has them, and of a take by a
    model of others, whose shape may be another, its own."""
    if take.size is None or not take.settings.generator:
        return take.trajectory
    h, w = (max(1, side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in reduced_size(take.size, FOOTAGE_SIDE))
    return fit_trajectory(take.trajectory, (h, w))


def kept_take(
    folder: SessionFolder,
    origin: str,
    clip_hash: str,
    settings: Settings,
    number: int,
    path: Trajectory | None,
    output: Any,
) -> Take:
    """Write mp4 and cameras, so that a take is on disk before it is announced.

    Args:
        path: what was asked for; None: what the model found.
    """
    trajectory: Trajectory = output.trajectory if path is None else path
    name = f"take-{number}-{doc.stamp(clip_hash, trajectory, settings)}.mp4"
    with folder.writing() as at:
        fps = playback_fps(trajectory.fps) if settings.fps is None else settings.fps
        video, cameras = exports.take_files(at / "takes" / name, output.frames_u8, trajectory, fps)
    thumbnail = strip_jpeg(output.frames_u8, TAKE_PICTURES, TAKE_HEIGHT_PX)
    h, w = output.frames_u8.shape[1:3]
    return Take(number, origin, video, cameras, clip_hash, trajectory, settings, 0.0, thumbnail, size=(h, w))
