"""The part refine: poses with a smooth drift, and how much of what that costs refinement brings back."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Mapping

from rap import metrics
from rap.bench.geometry.psnr import SHOWN, SIDE, between
from rap.bench.geometry.rows import Row, by_clip, means
from rap.bench.geometry.windows import Footage, drifted
from rap.bench.measure import Figure
from rap.reconstruction.refine import refine_trajectory


def refine_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR with every other frame shown: given poses, with drift, and after refinement; poses' AUC@30 likewise."""
    away = drifted(footage.cameras, seed=footage.seed)
    fov_y_rad = float(away.fov_y_rad[0])
    refined = refine_trajectory(footage.frames_u8, away, known_fov_y_rad=fov_y_rad)
    row = {"refined_verdict": float(refined.report.outcome == "refined"), "refine_s": refined.report.seconds}
    shown = SHOWN["even"]
    hidden = [i for i in range(len(footage.frames_u8)) if i not in shown]
    for name, cameras in (("given", footage.cameras), ("drifted", away), ("refined", refined.trajectory)):
        small = (footage if name == "given" else footage.under(cameras)).resized(SIDE)
        row[name] = metrics.psnr(between(small, shown, hidden), small.frames_u8[hidden])
        row[f"auc_{name}"] = metrics.pose_errors(cameras.Ts_world_camera, footage.cameras.Ts_world_camera).auc30
    return row


def refine_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """The share of the mean loss that is recovered."""
    share = _recovered(rows.values())
    figures = {f"recovered, {clip}": _recovered(chosen.values()) for clip, chosen in by_clip(rows).items()}
    for name in ("given", "drifted", "refined", "auc_drifted", "auc_refined", "refined_verdict"):
        figures |= means(rows, name, name)
    return [Figure("refine", "share of the PSNR lost to drift that is recovered", share, ">=", 0.8, figures)]


def _recovered(rows: Iterable[Row]) -> float:
    rows = list(rows)
    given, away, refined = (statistics.fmean(row[name] for row in rows) for name in ("given", "drifted", "refined"))
    return (refined - away) / max(given - away, 1e-6)
