"""The part speed: CPU seconds of tracks and refinement, of depth and of the warp."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping

from rap.bench.geometry.psnr import SHOWN, SIDE, networks_of, to_torch
from rap.bench.geometry.rows import Row, means, timed
from rap.bench.geometry.windows import Footage, drifted
from rap.bench.measure import Figure
from rap.reconstruction.refine import refine_trajectory
from rap.views.depth import plane_sweep
from rap.views.warp import warp


def speed_row(footage: Footage, options: argparse.Namespace) -> Row:
    """CPU seconds of each part at long side 224, after the same once unmeasured."""
    small = footage.resized(SIDE)
    away = drifted(small.cameras, seed=footage.seed)
    shown = list(SHOWN["even"])
    frames = to_torch(small.frames_u8)
    Ts, intrinsics = small.cameras.Ts_world_camera, small.cameras.intrinsics
    row: Row = {}
    networks = networks_of(options)
    for _ in range(2):
        with timed(row, "refine_s"):
            refine_trajectory(small.frames_u8, away, known_fov_y_rad=float(away.fov_y_rad[0]))
        with timed(row, "depth_s"):
            depth = plane_sweep(
                frames[shown], Ts[shown], intrinsics[shown], small.points, point_frames=shown,
                network=networks.depth,
            )  # fmt: skip
        with timed(row, "warp_s"):
            warp(
                frames[shown], depth.inverse_depth, Ts[shown], intrinsics[shown], Ts, intrinsics, away.image_size,
                confidence=depth.confidence, network=networks.blend,
            )  # fmt: skip
    return {f"speed_{name}": value for name, value in row.items()}


def speed_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """Medians over the windows; the slowest clip stands beside."""
    found = []
    for name, what, limit in (
        ("refine", "CPU seconds of tracks and refinement, 17 frames", 2.0),
        ("depth", "CPU seconds of the depth of 9 sources", 1.5),
        ("warp", "CPU seconds of the warp of 17 targets", 0.6),
    ):
        column = f"speed_{name}_s"
        figures = means(rows, column, "mean")
        value = statistics.median(row[column] for row in rows.values())
        found.append(Figure(f"speed {name}", what, value, "<=", limit, figures))
    return found
