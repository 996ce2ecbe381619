"""What `rap bench geometry` runs: poses, depth and warping on real clips of known cameras.

All 17-frame windows of each folder, at each stride, or `--windows` of them, evenly chosen. One thread. Whole frames:
long side 224 px for what is seen (psnr, refine, speed), up to 448 px, never enlarged, for poses. Times are CPU seconds.

    psnr     true poses: PSNR of the frames between those shown (every other one, or 0, 8 and 16), holes filled by
             push-pull, beside repeating the nearest frame shown and warping it as a plane at its median depth. Points
             of all frames are range and prior of the depth; colours and depth come from the frames shown alone
    bound    the same for frames 0, 8 and 16, but under the depth that all frames give them: what their depth could be
             worth. Told with psnr
    adjusted the same as psnr under the true poses after `refine_trajectory`, because published poses have errors; the
             cameras of the frames that are judged are adjusted to their tracks as well. Told with psnr
    refine   true poses with a smooth drift of 1 degree and 5 % of the path's reach: how much of the PSNR that is lost
             (every other frame shown) `refine_trajectory` brings back
    poses    poses from nothing (the whole call from identity poses is timed), intrinsics known (principal points are
             not centred in real clips); focal length unknown, principal point taken as centred as for any upload;
             from identity without a search for a start; from the model's prediction with and without that search.
             AUC@30 over all pairs of a window
    whole    poses again, from nothing and from the model's prediction, of 17 frames spread evenly over each whole clip:
             what the app takes of an upload; such frames lie further apart. Told with poses
    colmap   pycolmap's incremental mapping with the same known intrinsics; skipped where it is not installed
    speed    tracks and refinement of 17 frames, depth of 9 sources, warp of 17 targets
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from rap import metrics
from rap.bench import Figure, report
from rap.bench import colmap as colmap_run
from rap.bench.windows import Footage, Window, drifted, evenly, whole_clips, windows_of
from rap.config import checkpoint_path
from rap.geometry import Trajectory, intrinsics_from_fov
from rap.pipeline import RaPPipeline
from rap.reconstruction.refine import Refinement, refine_trajectory
from rap.views.blend_network import REGISTERED, BlendNetwork, embedded_blend_network
from rap.views.depth import plane_sweep
from rap.views.depth_network import DepthNetwork, embedded_depth_network
from rap.views.warp import Warp, warp

SIDE = 224
SHOWN = {"even": (0, 2, 4, 6, 8, 10, 12, 14, 16), "sparse": (0, 8, 16)}
UNKNOWN_FOV_Y_RAD = math.radians(55.0)
"""Of a camera of which nothing is known: where self-calibration starts."""

Row = dict[str, float]


# --- psnr -------------------------------------------------------------------------------------------------------------


class Networks(NamedTuple):
    """What helps depth and colours, where it is used."""

    depth: DepthNetwork | None = None
    blend: BlendNetwork | None = None


NO_NETWORKS = Networks()


def psnr_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR in dB of the frames not shown, under the footage's own cameras, and of the two references."""
    small = footage.resized(SIDE)
    row = {}
    for name, shown in SHOWN.items():
        hidden = [i for i in range(len(small.frames_u8)) if i not in shown]
        nearest = [min(shown, key=lambda k, i=i: abs(k - i)) for i in hidden]
        truth = small.frames_u8[hidden]
        row[name] = metrics.psnr(between(small, shown, hidden, networks=networks_of(options)), truth)
        row[f"{name}_repeat"] = metrics.psnr(small.frames_u8[nearest], truth)
        row[f"{name}_plane"] = metrics.psnr(between(small, shown, hidden, plane=True), truth)
    return row


def bound_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR in dB from frames 0, 8 and 16 where their depth may use the frames that are judged."""
    small = footage.resized(SIDE)
    shown = list(SHOWN["sparse"])
    hidden = [i for i in range(len(small.frames_u8)) if i not in shown]
    frames, cameras = to_torch(small.frames_u8), small.cameras
    Ts, intrinsics = cameras.Ts_world_camera, cameras.intrinsics
    networks = networks_of(options)
    depth = plane_sweep(frames, Ts, intrinsics, small.points, point_frames=range(len(frames)), network=networks.depth)
    seen = warp(
        frames[shown], depth.inverse_depth[shown], Ts[shown], intrinsics[shown], Ts[hidden], intrinsics[hidden],
        cameras.image_size, confidence=depth.confidence[shown], network=networks.blend,
    )  # fmt: skip
    return {"sparse_bound": metrics.psnr(filled_u8(seen), small.frames_u8[hidden])}


def adjusted_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR in dB as `psnr_row` has it, under the footage's own cameras after refinement."""
    fov_y_rad = float(footage.cameras.fov_y_rad[0])
    refined = refine_trajectory(footage.frames_u8, footage.cameras, known_fov_y_rad=fov_y_rad).trajectory
    small = footage.under(refined).resized(SIDE)
    row = {}
    for name, shown in SHOWN.items():
        hidden = [i for i in range(len(small.frames_u8)) if i not in shown]
        found = between(small, shown, hidden, networks=networks_of(options))
        row[f"{name}_adjusted"] = metrics.psnr(found, small.frames_u8[hidden])
    return row


def between(
    footage: Footage,
    shown: Sequence[int],
    hidden: Sequence[int],
    plane: bool = False,
    networks: Networks = NO_NETWORKS,
) -> UInt8[np.ndarray, "T H W 3"]:
    """The hidden frames as the shown ones give them; with `plane` each is taken for a plane at its median depth."""
    shown, hidden = list(shown), list(hidden)
    frames = to_torch(footage.frames_u8[shown])
    Ts, intrinsics = footage.cameras.Ts_world_camera, footage.cameras.intrinsics
    if plane:
        medians = [np.median(1 / footage.points.in_front_depths(T)) for T in Ts[shown]]
        inverse_depth = torch.tensor(np.array(medians), dtype=torch.float32)[:, None, None]
        inverse_depth, confidence = inverse_depth.expand(-1, *footage.cameras.image_size).contiguous(), None
    else:
        depth = plane_sweep(
            frames, Ts[shown], intrinsics[shown], footage.points, point_frames=shown, network=networks.depth
        )
        inverse_depth, confidence = depth.inverse_depth, depth.confidence
    seen = warp(
        frames, inverse_depth, Ts[shown], intrinsics[shown], Ts[hidden], intrinsics[hidden], footage.cameras.image_size,
        confidence=confidence, nearest=1 if plane else REGISTERED, network=None if plane else networks.blend,
    )  # fmt: skip
    return filled_u8(seen)


def networks_of(options: argparse.Namespace) -> Networks:
    """The embedded ones that the options leave."""
    return Networks(
        embedded_depth_network() if options.depth_network else None,
        embedded_blend_network() if options.blend_network else None,
    )


def to_torch(frames_u8: UInt8[np.ndarray, "T H W 3"]) -> torch.Tensor:
    """(T, 3, H, W) in [0, 1]."""
    return torch.from_numpy(frames_u8).permute(0, 3, 1, 2).float() / 255


def filled_u8(seen: Warp) -> UInt8[np.ndarray, "T H W 3"]:
    """Colours as bytes, holes filled."""
    return (seen.filled * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def psnr_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """Demanded at stride 1; stride 2 and the references stand beside."""
    found = []
    for name, what, limit in (
        ("even", "PSNR in dB, every other frame shown, stride 1", 28.0),
        ("sparse", "PSNR in dB, frames 0, 8 and 16 shown, stride 1", 24.5),
    ):
        columns = {"": name, " repeat nearest": f"{name}_repeat", " plane at median depth": f"{name}_plane"}
        columns |= {" depth of all frames": f"{name}_bound", " poses refined": f"{name}_adjusted"}
        figures = {}
        for stride in sorted({_stride(key) for key in rows}):
            chosen = {key: row for key, row in rows.items() if _stride(key) == stride}
            for label, column in columns.items():
                figures |= _means(chosen, column, f"stride {stride}{label}")
        demanded = [row[name] for key, row in rows.items() if _stride(key) == 1]
        if demanded:
            found.append(Figure(f"psnr {name}", what, statistics.fmean(demanded), ">=", limit, figures))
    return found


# --- refine -----------------------------------------------------------------------------------------------------------


def refine_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR with every other frame shown: given poses, with drift, and after refinement; poses' AUC@30 likewise."""
    away = drifted(footage.cameras, seed=footage.seed)
    fov_y_rad = float(away.fov_y_rad[0])
    refined = refine_trajectory(footage.frames_u8, away, known_fov_y_rad=fov_y_rad)
    row = {"refined_verdict": float(refined.report.verdict == "refined"), "refine_s": refined.report.seconds}
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
    figures = {f"recovered, {clip}": _recovered(chosen.values()) for clip, chosen in _by_clip(rows).items()}
    for name in ("given", "drifted", "refined", "auc_drifted", "auc_refined", "refined_verdict"):
        figures |= _means(rows, name, name)
    return [Figure("refine", "share of the PSNR lost to drift that is recovered", share, ">=", 0.8, figures)]


def _recovered(rows: Iterable[Row]) -> float:
    rows = list(rows)
    given, away, refined = (statistics.fmean(row[name] for row in rows) for name in ("given", "drifted", "refined"))
    return (refined - away) / max(given - away, 1e-6)


# --- poses ------------------------------------------------------------------------------------------------------------


def poses_row(footage: Footage, options: argparse.Namespace) -> Row:
    """Errors and CPU seconds from every start; the prefixes are those of `STARTS`."""
    return _still_row(footage, ("known", "unknown", "identity")) | (
        _model_row(footage, options) if options.model else {}
    )


def whole_row(footage: Footage, options: argparse.Namespace) -> Row:
    """The same without identity poses that are only adjusted: that is no way anybody goes."""
    return _still_row(footage, ("known", "unknown")) | (_model_row(footage, options) if options.model else {})


def _still_row(footage: Footage, names: Sequence[str]) -> Row:
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
    for name in names:
        start, fov, initialise = starts[name]
        with timed(row, f"{name}_s"):
            found = refine_trajectory(frames, start, known_fov_y_rad=fov, initialise=initialise)
        row |= _pose_errors(found.trajectory, truth, name) | _outcome(found, truth, name)
    return row


def _model_row(footage: Footage, options: argparse.Namespace) -> Row:
    """The model's prediction alone, adjusted as it stands, and with the search for a better start (the default)."""
    row: Row = {}
    with timed(row, "model_s"):
        found = _pipeline(options.checkpoint).estimate_trajectory(footage.clip.frames_u8, fps=footage.clip.fps)
    assert found.trajectory is not None
    predicted = footage.clip.on_footage(found.trajectory)
    row |= _pose_errors(predicted, footage.cameras, "model")
    fov_y_rad = float(footage.cameras.fov_y_rad[0])
    lens = replace(predicted, intrinsics=footage.cameras.intrinsics)
    for name, start, known, initialise in (
        ("model_adjusted", lens, fov_y_rad, False),
        ("model_known", lens, fov_y_rad, True),
        ("model_unknown", predicted, None, True),
    ):
        with timed(row, f"{name}_s"):
            refined = refine_trajectory(footage.frames_u8, start, known_fov_y_rad=known, initialise=initialise)
        row |= _pose_errors(refined.trajectory, footage.cameras, name) | _outcome(refined, footage.cameras, name)
    return row


def colmap_row(footage: Footage, options: argparse.Namespace) -> Row:
    """Errors, CPU seconds and registered frames of COLMAP."""
    row: Row = {}
    with timed(row, "colmap_s"):
        Ts_world_camera, registered = colmap_run.poses(footage.frames_u8, footage.cameras.intrinsics[0])
    row["colmap_registered"] = registered
    return row | _pose_errors(replace(footage.cameras, Ts_world_camera=Ts_world_camera), footage.cameras, "colmap")


def _pose_errors(found: Trajectory, truth: Trajectory, name: str) -> Row:
    errors = metrics.pose_errors(found.Ts_world_camera, truth.Ts_world_camera)
    return {
        f"{name}_auc": errors.auc30,
        f"{name}_rotation_deg": float(np.median(errors.rotation_deg)),
        f"{name}_direction_deg": float(np.nanmedian(errors.direction_deg)),
    }


def _outcome(found: Refinement, truth: Trajectory, name: str) -> Row:
    focal = float(found.trajectory.intrinsics[0, 1] / truth.intrinsics[0, 1])
    return {
        f"{name}_refined": float(found.report.verdict == "refined"),
        f"{name}_from_frames": float(found.report.start == "frames"),
        f"{name}_in_pieces": float(len(found.report.weak_joints) > 0),
        f"{name}_focal_error_percent": 100 * abs(focal - 1),
    }


@lru_cache(maxsize=1)
def _pipeline(checkpoint: str | None) -> RaPPipeline:
    pipeline = RaPPipeline.from_pretrained(checkpoint_path(checkpoint))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


STARTS = {
    "known": "intrinsics known",
    "unknown": "focal length unknown",
    "identity": "from identity, no search",
    "model": "model alone",
    "model_adjusted": "from the model, no search",
    "model_known": "from the model, intrinsics known",
    "model_unknown": "from the model, its focal length",
}


def poses_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """AUC@30 with known and unknown focal length are demanded; all other starts stand beside the first."""
    found = []
    for demanded, limit in (("known", 0.90), ("unknown", 0.80)):
        figures: dict[str, float] = {}
        for name, label in STARTS.items():
            if name == demanded or (demanded == "known" and name != "unknown"):
                figures |= _start_figures(rows, name, label)
        value = statistics.fmean(row[f"{demanded}_auc"] for row in rows.values())
        what = f"AUC@30 of poses from nothing, {STARTS[demanded]}"
        found.append(Figure(f"poses {demanded}", what, value, ">=", limit, figures))
    return found


def with_whole(found: Sequence[Figure], whole: Mapping[str, Row]) -> list[Figure]:
    """The figures of poses with those of whole clips beside them: focal length known beside known."""
    beside = []
    for figure in found:
        figures = dict(figure.figures)
        demanded = figure.name.removeprefix("poses ")
        for name in (demanded, f"model_{demanded}"):
            figures |= _start_figures(whole, name, f"17 frames over the whole clip, {STARTS[name]}")
        beside.append(replace(figure, figures=figures))
    return beside


def _start_figures(rows: Mapping[str, Row], name: str, label: str) -> dict[str, float]:
    figures = _means(rows, f"{name}_auc", f"AUC@30 {label}")
    for column, title in (("rotation_deg", "rotation, median degrees"), ("direction_deg", "direction, median degrees")):
        figures |= _summary(rows, f"{name}_{column}", f"{label}: {title}", statistics.median)
    for column, title in (
        ("focal_error_percent", "focal length, median error in %"),
        ("s", "CPU seconds, median"),
    ):
        figures |= _summary(rows, f"{name}_{column}", f"{label}: {title}", statistics.median)
    for column, title in (
        ("refined", "share refined"),
        ("from_frames", "share started from the frames"),
        ("in_pieces", "share with a weak joint"),
    ):
        figures |= _summary(rows, f"{name}_{column}", f"{label}: {title}", statistics.fmean)
    return figures


def colmap_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """Ours against COLMAP's on the windows where both ran; AUC@30 as a difference, time as a ratio."""
    both = {key: row for key, row in rows.items() if "known_auc" in row and "colmap_auc" in row}
    if not both:
        return []
    ours, theirs = (statistics.fmean(row[f"{name}_auc"] for row in both.values()) for name in ("known", "colmap"))
    seconds = [statistics.fmean(row[f"{name}_s"] for row in both.values()) for name in ("known", "colmap")]
    figures = {"windows": float(len(both))}
    for name, label in (("known", "ours"), ("colmap", "pycolmap")):
        figures |= _start_figures(both, name, label)
    figures |= _means(both, "colmap_registered", "pycolmap: frames registered")
    return [
        Figure("poses against colmap", "AUC@30 above pycolmap's", ours - theirs, ">=", 0.0, figures),
        Figure(
            "time against colmap", "CPU time over pycolmap's", seconds[0] / seconds[1], "<=", 0.2,
            {"ours, mean CPU seconds": seconds[0], "pycolmap, mean CPU seconds": seconds[1]},
        ),
    ]  # fmt: skip


# --- speed ------------------------------------------------------------------------------------------------------------


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
        figures = _means(rows, column, "mean")
        value = statistics.median(row[column] for row in rows.values())
        found.append(Figure(f"speed {name}", what, value, "<=", limit, figures))
    return found


# --- rows and figures -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def timed(row: Row, name: str) -> Iterator[None]:
    """Put the CPU seconds of the block into the row: what else runs on the machine counts little, threads all do."""
    started = time.process_time()
    yield
    row[name] = time.process_time() - started


def _clip(key: str) -> str:
    return key.split("/")[0]


def _stride(key: str) -> int:
    return int(key.split("/")[1])


def _by_clip(rows: Mapping[str, Row]) -> dict[str, dict[str, Row]]:
    clips = dict.fromkeys(_clip(key) for key in rows)
    return {clip: {key: row for key, row in rows.items() if _clip(key) == clip} for clip in clips}


def _means(rows: Mapping[str, Row], column: str, label: str) -> dict[str, float]:
    """Mean over all windows and over those of each clip; nothing where no row has the column."""
    figures = _summary(rows, column, label, statistics.fmean)
    for clip, chosen in _by_clip(rows).items():
        figures |= _summary(chosen, column, f"{label}, {clip}", statistics.fmean)
    return figures


def _summary(
    rows: Mapping[str, Row], column: str, label: str, reduce: Callable[[list[float]], float]
) -> dict[str, float]:
    values = [row[column] for row in rows.values() if column in row and math.isfinite(row[column])]
    return {label: reduce(values)} if values else {}


PARTS: dict[str, Callable[[Footage, argparse.Namespace], Row]] = {
    "psnr": psnr_row,
    "bound": bound_row,
    "adjusted": adjusted_row,
    "refine": refine_row,
    "poses": poses_row,
    "whole": whole_row,
    "colmap": colmap_row,
    "speed": speed_row,
}

FIGURES: dict[str, Callable[[Mapping[str, Row]], list[Figure]]] = {
    "psnr": psnr_figures,
    "refine": refine_figures,
    "poses": poses_figures,
    "colmap": colmap_figures,
    "speed": speed_figures,
}


def figures_of(rows: Mapping[str, Mapping[str, Row]]) -> list[Figure]:
    """Of rows by part and window; colmap is compared with poses; bound, adjusted and whole stand beside others."""
    found = []
    for part, make in FIGURES.items():
        chosen = rows.get(part, {})
        if part == "psnr":
            bound, adjusted = rows.get("bound", {}), rows.get("adjusted", {})
            chosen = {key: {**row, **bound.get(key, {}), **adjusted.get(key, {})} for key, row in chosen.items()}
        if part == "colmap":
            chosen = {key: {**rows.get("poses", {}).get(key, {}), **row} for key, row in chosen.items()}
        figures = make(chosen) if chosen else []
        found += with_whole(figures, rows.get("whole", {})) if part == "poses" else figures
    return found


# --- the run ----------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; returns 1 when a demand is missed."""
    options = parse(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    windows = [w for folder in options.clips for stride in options.stride for w in windows_of(folder, stride)]
    windows = evenly(windows, options.windows)
    parts = [part for part in options.parts if part != "colmap" or colmap_run.is_installed()]
    if len(parts) < len(options.parts):
        print("colmap: skipped, pycolmap is not installed; pip install 'rays-as-pixels[eval]'", file=sys.stderr)
    rows = measure(windows, [part for part in parts if part != "whole"], options)
    if "whole" in parts:
        rows |= measure(whole_clips(options.clips), ["whole"], options)
    found = figures_of(rows)
    if options.json:
        counts = {part: len(chosen) for part, chosen in rows.items()}
        print(json.dumps({**report(found, threads=1), "windows": counts}, allow_nan=False))
    else:
        print("\n".join(line for figure in found for line in figure.lines()))
    return 0 if all(figure.reached for figure in found) else 1


def measure(windows: Sequence[Window], parts: Sequence[str], options: argparse.Namespace) -> dict[str, dict[str, Row]]:
    """Rows by part and window. Those found in `--rows` are not measured again; new ones are appended as they come."""
    rows: dict[str, dict[str, Row]] = {part: {} for part in parts}
    stored = _stored(options.rows)
    compared = {window.key for window in evenly(windows, options.colmap_windows)}
    for number, window in enumerate(windows, start=1):
        footage = None
        for part in parts:
            if part == "colmap" and window.key not in compared:
                continue
            row = stored.get((part, window.key))
            if row is None:
                footage = footage or window.read()
                row = PARTS[part](footage, options)
                _store(options.rows, part, window.key, row)
            rows[part][window.key] = row
        print(f"{number} of {len(windows)}: {window.key}", file=sys.stderr, flush=True)
    return rows


def _stored(path: Path | None) -> dict[tuple[str, str], Row]:
    """The rows of an earlier run, the last one of each window."""
    if path is None or not path.exists():
        return {}
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(entry["part"], entry["window"]): entry["row"] for entry in entries}


def _store(path: Path | None, part: str, key: str, row: Row) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": part, "window": key, "row": row}) + "\n")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="rap bench geometry", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--clips", nargs="+", type=Path, required=True, metavar="FOLDER", help="folders with a transforms.json"
    )
    parser.add_argument("--windows", type=_count, default=None, metavar="all|N", help="N, evenly chosen (default: all)")
    parser.add_argument("--stride", nargs="+", type=int, default=[1, 2], help="of the windows (default: 1 2)")
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)} (default: all)")
    parser.add_argument(
        "--colmap-windows", type=_count, default=None, metavar="all|N", help="for colmap (default: all)"
    )
    parser.add_argument("--checkpoint", help="folder of a checkpoint (default: the embedded model)")
    parser.add_argument(
        "--no-depth-network", dest="depth_network", action="store_false", help="depth as the plane sweep alone finds it"
    )
    parser.add_argument(
        "--no-blend-network",
        dest="blend_network",
        action="store_false",
        help="colours as the weighed mean of the sources, holes filled smoothly",
    )
    parser.add_argument("--no-model", dest="model", action="store_false", help="poses without the model's predictions")
    parser.add_argument(
        "--rows",
        type=Path,
        help="JSON lines: results are appended, those that are there already are not measured again",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args(argv)


def _count(text: str) -> int | None:
    if text == "all":
        return None
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 'all' or at least 1, got {value}")
    return value


def _parts(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(PARTS)}, separated by commas, got {unknown[0]!r}")
    return [name for name in PARTS if name in names]
