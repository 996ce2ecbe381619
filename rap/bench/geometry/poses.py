"""The part poses: cameras from nothing and from the model's prediction, against the true ones."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from rap import metrics
from rap.bench.geometry.rows import Row, means, summary, timed
from rap.bench.geometry.windows import Footage
from rap.bench.measure import Figure
from rap.config import checkpoint_path
from rap.geometry import Trajectory, intrinsics_from_fov
from rap.pipeline import RaPPipeline
from rap.reconstruction.refine import Refinement, refine_trajectory

UNKNOWN_FOV_Y_RAD = math.radians(55.0)
"""Of a camera of which nothing is known: where self-calibration starts."""

STARTS = {
    "known": "intrinsics known",
    "unknown": "focal length unknown",
    "identity": "from identity, no search",
    "model": "model alone",
    "model_adjusted": "from the model, no search",
    "model_known": "from the model, intrinsics known",
    "model_unknown": "from the model, its focal length",
}


def poses_row(footage: Footage, options: argparse.Namespace) -> Row:
    """Errors and CPU seconds from every start; the prefixes are those of `STARTS`."""
    return _still_row(footage) | (_model_row(footage, options) if options.model else {})


def _still_row(footage: Footage) -> Row:
    """From identity poses, which say nothing."""
    frames, truth = footage.frames_u8, footage.cameras
    fov_y_rad = float(truth.fov_y_rad[0])
    still = replace(truth, Ts_world_camera=np.tile(np.eye(4), (len(truth), 1, 1)))
    lens = intrinsics_from_fov(UNKNOWN_FOV_Y_RAD, truth.image_size)
    unknown = replace(still, intrinsics=np.tile(lens, (len(truth), 1)))
    starts = {
        "known": (still, fov_y_rad, True),
        "unknown": (unknown, None, True),
        "identity": (still, fov_y_rad, False),
    }
    row = {}
    for name, (start, fov, initialise) in starts.items():
        with timed(row, f"{name}_s"):
            found = refine_trajectory(frames, start, known_fov_y_rad=fov, initialise=initialise)
        row |= pose_errors(found.trajectory, truth, name) | outcome(found, truth, name)
    return row


def _model_row(footage: Footage, options: argparse.Namespace) -> Row:
    """The model's prediction alone, adjusted as it stands, and with the search for a better start (the default)."""
    row: Row = {}
    with timed(row, "model_s"):
        found = _pipeline(options.checkpoint).estimate_trajectory(footage.clip.frames_u8, fps=footage.clip.fps)
    assert found.trajectory is not None
    predicted = footage.clip.on_footage(found.trajectory)
    row |= pose_errors(predicted, footage.cameras, "model")
    fov_y_rad = float(footage.cameras.fov_y_rad[0])
    lens = replace(predicted, intrinsics=footage.cameras.intrinsics)
    for name, start, known, initialise in (
        ("model_adjusted", lens, fov_y_rad, False),
        ("model_known", lens, fov_y_rad, True),
        ("model_unknown", predicted, None, True),
    ):
        with timed(row, f"{name}_s"):
            refined = refine_trajectory(footage.frames_u8, start, known_fov_y_rad=known, initialise=initialise)
        row |= pose_errors(refined.trajectory, footage.cameras, name) | outcome(refined, footage.cameras, name)
    return row


def pose_errors(found: Trajectory, truth: Trajectory, name: str) -> Row:
    errors = metrics.pose_errors(found.Ts_world_camera, truth.Ts_world_camera)
    return {
        f"{name}_auc": errors.auc30,
        f"{name}_rotation_deg": float(np.median(errors.rotation_deg)),
        f"{name}_direction_deg": float(np.nanmedian(errors.direction_deg)),
    }


def outcome(found: Refinement, truth: Trajectory, name: str) -> Row:
    """What the report says, and how far off the focal length is."""
    focal = float(found.trajectory.intrinsics[0, 1] / truth.intrinsics[0, 1])
    return {
        f"{name}_refined": float(found.report.outcome == "refined"),
        f"{name}_from_frames": float(found.report.start == "frames"),
        f"{name}_in_pieces": float(len(found.report.weak_joints) > 0),
        f"{name}_focal_error_percent": 100 * abs(focal - 1),
    }


@lru_cache(maxsize=1)
def _pipeline(checkpoint: str | None) -> RaPPipeline:
    pipeline = RaPPipeline.from_pretrained(checkpoint_path(checkpoint))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def poses_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """AUC@30 with known and unknown focal length are demanded; all other starts stand beside the first."""
    found = []
    for demanded, limit in (("known", 0.90), ("unknown", 0.80)):
        figures: dict[str, float] = {}
        for name, label in STARTS.items():
            if name == demanded or (demanded == "known" and name != "unknown"):
                figures |= start_figures(rows, name, label)
        value = statistics.fmean(row[f"{demanded}_auc"] for row in rows.values())
        what = f"AUC@30 of poses from nothing, {STARTS[demanded]}"
        found.append(Figure(f"poses {demanded}", what, value, ">=", limit, figures))
    return found


def start_figures(rows: Mapping[str, Row], name: str, label: str) -> dict[str, float]:
    figures = means(rows, f"{name}_auc", f"AUC@30 {label}")
    for column, title in (("rotation_deg", "rotation, median degrees"), ("direction_deg", "direction, median degrees")):
        figures |= summary(rows, f"{name}_{column}", f"{label}: {title}", statistics.median)
    for column, title in (
        ("focal_error_percent", "focal length, median error in %"),
        ("s", "CPU seconds, median"),
    ):
        figures |= summary(rows, f"{name}_{column}", f"{label}: {title}", statistics.median)
    for column, title in (
        ("refined", "share refined"),
        ("from_frames", "share started from the frames"),
        ("in_pieces", "share with a weak joint"),
    ):
        figures |= summary(rows, f"{name}_{column}", f"{label}: {title}", statistics.fmean)
    return figures
