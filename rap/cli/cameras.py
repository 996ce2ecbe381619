"""Cameras of a clip, for the commands that look at its geometry: from a file or predicted, refined on tracks or not."""

from __future__ import annotations

import argparse
import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap.cli import model, results
from rap.cli.stages import stage
from rap.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from rap.cli.model import Streams
    from rap.data import Clip
    from rap.geometry import Trajectory
    from rap.pipeline import RaPOutput
    from rap.reconstruction.colmap import Mapping
    from rap.reconstruction.refine import RefinementReport
    from rap.reconstruction.tracks import PointCloud
    from rap.views.scene import Scene


MAPPINGS: dict[str, Mapping] = {"colmap": "incremental", "colmap-global": "global"}
"""What may be asked for instead of our own search."""


@dataclass(frozen=True)
class ClipCameras:
    """The cameras of a clip's frames and what is known of them.

    Attributes:
        trajectory: the best there are; world = first frame, unit of length = median depth of its points.
        predicted: those of the model, before refinement; None where the cameras came from a file.
        report: of the refinement; None without one.
        points: triangulated on the way, in the world of `trajectory`; None where there is no parallax.
        scale: factor from the unit of length of the cameras' file to that of `trajectory`; 1 for predicted ones.
        notes: sentences on what was done to a file of cameras.
        is_given: whether they are, or began as, those of `--cameras`.
        output: the model's.
        moving: which cells of each frame show things that move by themselves; None where that was not looked for.
    """

    trajectory: Trajectory
    predicted: Trajectory | None = None
    report: RefinementReport | None = None
    points: PointCloud | None = None
    scale: float = 1.0
    notes: list[str] = field(default_factory=list)
    is_given: bool = False
    output: RaPOutput | None = None
    moving: np.ndarray | None = None

    @property
    def fits(self) -> bool:
        """Whether the frames bear the cameras out; cameras that were not held against them are believed."""
        return self.report is None or self.report.outcome in ("refined", "no_parallax")

    @property
    def turns_only(self) -> bool:
        """Whether the camera was found to turn on the spot, so that its frames tell no depth."""
        return self.report is not None and self.report.outcome == "no_parallax"

    @property
    def replaced(self) -> Trajectory | None:
        """The predicted cameras, where `trajectory` is no longer these."""
        return None if self.predicted == self.trajectory else self.predicted


def add_refine(parser: argparse.ArgumentParser, default: str) -> None:
    """--refine, --no-refine"""
    parser.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        help=f"fit the cameras to points tracked through the whole frames (default: {default})",
    )


def add_cameras(parser: argparse.ArgumentParser) -> None:
    """--cameras, --refine, --no-refine"""
    parser.add_argument(
        "--cameras",
        type=Path,
        metavar="FILE",
        help="cameras of the clip's frames, as `rap estimate` writes them (default: the model predicts them)",
    )
    add_refine(parser, "for predicted cameras, not for those of a file")


def given_cameras(chosen: argparse.Namespace) -> dict[str, Any]:
    """What `add_cameras` asked for, as `load_clip` takes it: where cameras are to be found, all of a film serves."""
    fov_y_rad = None if chosen.fov_y_deg is None else math.radians(chosen.fov_y_deg)
    found = chosen.refine is not False if chosen.cameras is None else bool(chosen.refine)
    return {"cameras": chosen.cameras, "fov_y_rad": fov_y_rad, "film": found}


def known_fov_y_rad(chosen: argparse.Namespace, clip: Clip) -> float | None:
    """Vertical field of view of the clip's frames: the user's, else by EXIF, else None."""
    if chosen.fov_y_deg is None:
        return clip.exif_fov_y_rad
    return clip.cropped_fov_y_rad(math.radians(chosen.fov_y_deg))


def clip_cameras(chosen: argparse.Namespace, clip: Clip, pipeline: Streams | None) -> ClipCameras:
    """Cameras as the options of `add_cameras` ask for them; the pipeline may be None when a file is given.

    Raises:
        InputError: `--cameras` for an input that has no cameras of frames.
    """
    known = known_fov_y_rad(chosen, clip)
    if chosen.cameras is None:
        assert pipeline is not None
        return predicted_cameras(chosen, clip, pipeline, known)
    given = clip.trajectory
    if given is None:
        raise InputError(f"--cameras {chosen.cameras}: is for a video or a folder of pictures")
    notes = [note for note in clip.notes if note.startswith(f"{chosen.cameras.name}:")]
    # Points need no unit; but the file's is needed to bring paths in that unit along.
    found = _measured(clip, given)
    if chosen.refine:
        found = dataclasses.replace(_refined(clip, given, known), scale=found.scale)
    return dataclasses.replace(found, notes=notes, is_given=True)


def predicted_cameras(
    chosen: argparse.Namespace, clip: Clip, pipeline: Streams, known_fov: float | None
) -> ClipCameras:
    """The model's cameras, refined unless the options say otherwise."""
    from rap.pipeline import EstimateTask

    steps = chosen.steps if chosen.command == "estimate" else None  # elsewhere the steps are those of the video
    task = EstimateTask(
        clip.frames_u8,
        fps=clip.fps,
        fov_y_rad=known_fov,
        steps=steps,
        seed=chosen.seed,
        flow_frames_u8=clip.detailed_u8,
    )
    output = model.run_task(pipeline, task, "estimate")
    assert output.trajectory is not None
    if chosen.refine is False:
        return ClipCameras(output.trajectory, output.trajectory, output=output)
    mapping = getattr(chosen, "mapping", None)  # only `rap estimate` offers it
    found = _refined(clip, output.trajectory, known_fov, None if mapping is None else MAPPINGS[mapping])
    return dataclasses.replace(found, predicted=output.trajectory, output=output)


def _refined(
    clip: Clip, trajectory: Trajectory, known_fov: float | None, mapping: Mapping | None = None
) -> ClipCameras:
    from rap.views import scene

    with stage("refine: tracks, then cameras and points together"):
        if mapping is None:
            found = scene.refine(clip, trajectory, known_fov)
        else:
            found = scene.refine(clip, trajectory, known_fov, mapping)
    return ClipCameras(found.trajectory, report=found.report, points=found.points, moving=found.moving)


def _measured(clip: Clip, trajectory: Trajectory) -> ClipCameras:
    """Cameras as they are, in the unit of length that everything else expects: median depth of the first view."""
    from rap.views.scene import measured

    path, points, scale = measured(clip, trajectory)
    return ClipCameras(path, points=points, scale=scale)


def make_scene(clip: Clip, found: ClipCameras, device: str) -> Scene:
    """The clip lifted into 3D under its cameras."""
    from rap.views import scene

    with stage("depth of the clip"):
        return scene.build_scene(clip, found.trajectory, found.points, device=device)


def write_cameras(folder: results.ResultFolder, found: ClipCameras, names: tuple[str, ...], stem: str = "") -> None:
    """The cameras; when refinement changed them, the predicted ones beside them."""
    folder.write_cameras(found.trajectory, names, stem)
    if found.replaced is not None:
        folder.write_cameras(found.replaced, names, f"predicted_{stem}")


def camera_fields(found: ClipCameras, clip: Clip) -> dict[str, Any]:
    """What a result says of the clip's cameras; errors only where the clip has reference cameras."""
    reference = None if found.is_given else clip.trajectory
    predicted, report = found.replaced, found.report
    return {
        "trajectory": results.trajectory_fields(found.trajectory),
        "refined": report is not None and report.outcome == "refined",
        "verdict": None if report is None else report.words,
        "refinement": None if report is None else dataclasses.asdict(report),
        "predicted": None if predicted is None else results.trajectory_fields(predicted),
        "errors": None if reference is None else results.camera_errors(found.trajectory, reference),
        "predicted_errors": (
            None if reference is None or predicted is None else results.camera_errors(predicted, reference)
        ),
    }
