"""The part film: 17 frames evenly over each whole clip, their cameras found in all of its frames."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rap.bench.geometry.poses import UNKNOWN_FOV_Y_RAD, outcome, pose_errors, start_figures
from rap.bench.geometry.rows import Row, timed
from rap.bench.geometry.windows import Footage
from rap.bench.measure import Figure
from rap.geometry import intrinsics_from_fov
from rap.views.scene import refine

GOOD_AUC = 0.85
LENSES = {"film_known": "focal length known", "film_unknown": "focal length unknown"}


def film_row(footage: Footage, options: argparse.Namespace) -> Row:
    """Errors, outcome and CPU seconds with the focal length known and unknown, from identity poses."""
    clip, truth = footage.clip, footage.cameras
    still = replace(truth, Ts_world_camera=np.tile(np.eye(4), (len(truth), 1, 1)))
    unknown = np.tile(intrinsics_from_fov(UNKNOWN_FOV_Y_RAD, truth.image_size), (len(truth), 1))
    row: Row = {}
    for name, start, given in (
        ("film_known", still, True),
        ("film_unknown", replace(still, intrinsics=unknown), False),
    ):
        on_frames = clip.on_frames(start)
        with timed(row, f"{name}_s"):
            found = refine(clip, on_frames, float(on_frames.fov_y_rad[0]) if given else None)
        on_footage = replace(found, trajectory=clip.on_footage(found.trajectory))
        row |= pose_errors(on_footage.trajectory, truth, name) | outcome(on_footage, truth, name)
    return row


def film_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """AUC@30 with an unknown focal length is demanded; the known one, and how many are good, stand beside it."""
    figures: dict[str, float] = {"clips": float(len(rows))}
    for name, label in LENSES.items():
        good = sum(row[f"{name}_auc"] > GOOD_AUC for row in rows.values())
        figures[f"{label}: clips above {GOOD_AUC}"] = float(good)
        figures |= start_figures(rows, name, label)
    value = statistics.fmean(row["film_unknown_auc"] for row in rows.values())
    return [Figure("film", "AUC@30 of 17 frames over the whole clip, focal length unknown", value, ">=", 0.78, figures)]
