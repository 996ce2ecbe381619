"""The part colmap: COLMAP on a window, through pycolmap, which the poses from nothing are measured against."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rap.bench.geometry.poses import pose_errors, start_figures
from rap.bench.geometry.rows import Row, means, timed
from rap.bench.geometry.windows import Footage
from rap.bench.measure import Figure
from rap.reconstruction.colmap import mapped


def colmap_row(footage: Footage, options: argparse.Namespace) -> Row:
    """Errors, CPU seconds and registered frames of COLMAP."""
    row: Row = {}
    with timed(row, "colmap_s"):
        model = mapped(footage.frames_u8, footage.cameras.intrinsics[0])
    row["colmap_registered"] = 0 if model is None else int(model.registered.sum())
    Ts = np.tile(np.eye(4), (len(footage.frames_u8), 1, 1)) if model is None else model.Ts_world_camera
    return row | pose_errors(replace(footage.cameras, Ts_world_camera=Ts), footage.cameras, "colmap")


def colmap_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """Ours against COLMAP's on the windows where both ran; AUC@30 as a difference, time as a ratio."""
    both = {key: row for key, row in rows.items() if "known_auc" in row and "colmap_auc" in row}
    if not both:
        return []
    ours, theirs = (statistics.fmean(row[f"{name}_auc"] for row in both.values()) for name in ("known", "colmap"))
    seconds = [statistics.fmean(row[f"{name}_s"] for row in both.values()) for name in ("known", "colmap")]
    figures = {"windows": float(len(both))}
    for name, label in (("known", "ours"), ("colmap", "pycolmap")):
        figures |= start_figures(both, name, label)
    figures |= means(both, "colmap_registered", "pycolmap: frames registered")
    return [
        Figure("poses against colmap", "AUC@30 above pycolmap's", ours - theirs, ">=", 0.0, figures),
        Figure(
            "time against colmap", "CPU time over pycolmap's", seconds[0] / seconds[1], "<=", 0.2,
            {"ours, mean CPU seconds": seconds[0], "pycolmap, mean CPU seconds": seconds[1]},
        ),
    ]  # fmt: skip
