"""What `rap bench picture` runs: depth and lens of one picture, on pictures that no network was trained on.

    depth    pairs of RGB and inverse depth. Scale and shift are fitted to the truth's inverse depth by least squares;
             then the share of pixels whose depth is within 25 %, and the correlation of inverse depths. Beside it
             the same of a vertical ramp, which knows nothing of the picture but that the ground is below. Then the
             share without any fit, both sides over their own medians: there the shift is judged, too
    lens     vertical field of view against that of posed scenes, frames averaged by scene, beside 55 degrees for every
             picture, and beside one focal length for every long side

    frames   one frame of posed clips given, the others along the true path, and fills compared (`picture_frames`)
    speed    CPU seconds of depth, layers and 17 frames of the first of --pictures
    sheets   contact sheets of pictures, or of films' first frames, along presets, to be looked at

Means over pictures (depth) and scenes (lens). What is not held out (`rap.train.monocular_data.is_held_out`) was trained
on and stands in rows of its own, which no goal counts.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from rap.bench.measure import Figure, report
from rap.bench.picture_frames import fill_figures, fills, frames_figures, measure_frames
from rap.bench.picture_sheets import picture_of, write_sheets
from rap.bench.picture_speed import speed_figures
from rap.config import MONOCULAR_NETWORK
from rap.errors import InputError
from rap.train.monocular_data import is_held_out, pair_folders, read_pair, read_rgb
from rap.views.monocular import USUAL_FOCAL, MonocularDepth, PictureDepth, fov_y_of

WITHIN = 1.25
CONSTANT_FOV_Y_DEG = 55.0
LENS_GOAL = 2 / 3
GOALS = {
    "nyuv2_labeled": {"correlation": 0.87, "share": 0.80},
    "tartanair_hospital_P000": {"correlation": 0.82, "share": 0.60},
    "tum_fr3_cabinet": {"correlation": 0.82, "share": 0.60},
}
"""Of other sets the ramp's figures are the goal."""

FEWEST_KNOWN = 50
"""Pixels: a picture whose depth is known at fewer is passed over."""

LEAST_INVERSE = 1e-3
"""Of the median: a fitted inverse depth below it is as far as can be told."""

Row = dict[str, float]
Predict = Callable[[np.ndarray], PictureDepth]


# --- depth ------------------------------------------------------------------------------------------------------------


def depth_row(found: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"]) -> Row:
    """Figures of one picture.

    Args:
        found: inverse depth, of any scale.
        truth: inverse depth, 0 where it is not known.
    """
    known = truth > 0
    x, y = found[known].astype(np.float64), truth[known].astype(np.float64)
    ramp = np.broadcast_to(np.linspace(0, 1, len(truth))[:, None], truth.shape)[known]
    return {
        "share": share_within(fitted(x, y), y),
        "correlation": correlation(x, y),
        "unfitted": share_within(x / np.median(x), y / np.median(y)),
        "ramp_share": share_within(fitted(ramp, y), y),
        "ramp_correlation": correlation(ramp, y),
        "flat_share": share_within(np.ones_like(y), y / np.median(y)),
    }


def fitted(x: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """x under the scale and shift that bring it nearest to y, by least squares."""
    spread = x.var()
    scale = ((x - x.mean()) * (y - y.mean())).mean() / spread if spread > 0 else 0.0
    return scale * (x - x.mean()) + y.mean()


def share_within(x: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"]) -> float:
    """Share of inverse depths x whose depth is within 25 % of that of y."""
    ratio = x.clip(LEAST_INVERSE * np.median(y)) / y
    return float(((ratio < WITHIN) & (ratio > 1 / WITHIN)).mean())


def correlation(x: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"]) -> float:
    """Pearson's; 0 where one side is constant."""
    if x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def measure_depth(folder: Path, predict: Predict, every: int) -> dict[str, list[Row]]:
    """Rows of a folder's pictures, those held out and those that may have been trained on."""
    rows: dict[str, list[Row]] = {}
    for path in sorted(folder.glob("*.jpg"))[::every]:
        pair = read_pair(path)
        truth = pair.inverse_depth.astype(np.float32)
        if (truth > 0).sum() >= FEWEST_KNOWN:
            found = 1 / predict(pair.frame_u8).depth
            name = folder.name if is_held_out(path, int(path.stem)) else f"{folder.name} (trained on)"
            rows.setdefault(name, []).append(depth_row(found, truth))
    return rows


def depth_figures(rows: dict[str, list[Row]]) -> list[Figure]:
    """Two figures a set, means over its pictures."""
    found = []
    for name, chosen in rows.items():
        means = {key: statistics.fmean(row[key] for row in chosen) for key in chosen[0]}
        for column, what in (("correlation", "correlation of inverse depth"), ("share", "share within 25 %")):
            goal = GOALS.get(name, {}).get(column, means[f"ramp_{column}"])
            label = f"{what}, {len(chosen)} pictures"
            found.append(Figure(f"depth, {name}, {column}", label, means[column], ">=", goal, means))
    return found


# --- lens -------------------------------------------------------------------------------------------------------------


def measure_lens(folder: Path, predict: Predict, every: int) -> Row:
    """Means over a scene's frames, in degrees: errors of the network, of the constant and of the usual focal length.

    Raises:
        InputError: the folder has no transforms.json with intrinsics.
    """
    path = folder / "transforms.json"
    try:
        camera = json.loads(path.read_text(encoding="utf-8"))
        frames = [(folder / frame["file_path"], {**camera, **frame}) for frame in camera["frames"]]
        truths = [2 * math.atan(frame["h"] / (2 * frame["fl_y"])) for _, frame in frames]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: must name frames, their h and fl_y ({error})") from error
    errors, biases, constant, usual = [], [], [], []
    for (image, _), truth in list(zip(frames, truths, strict=True))[::every]:
        frame_u8 = read_rgb(image)
        difference = predict(frame_u8).fov_y_rad - truth
        errors.append(abs(difference))
        biases.append(difference)
        constant.append(abs(math.radians(CONSTANT_FOV_Y_DEG) - truth))
        usual.append(abs(fov_y_of(USUAL_FOCAL, frame_u8.shape[:2]) - truth))
    columns = {"error_deg": errors, "bias_deg": biases, "constant_deg": constant, "usual_deg": usual}
    return {name: math.degrees(statistics.fmean(values)) for name, values in columns.items()}


def lens_figures(rows: dict[str, Row]) -> list[Figure]:
    """Mean error over scenes as a part of the constant's, of scenes held out and of others."""
    found = []
    for kind in ("held out", "trained on"):
        chosen = {name: row for name, row in rows.items() if is_held_out(name) == (kind == "held out")}
        if chosen:
            means = {key: statistics.fmean(row[key] for row in chosen.values()) for key in next(iter(chosen.values()))}
            figures = {**means, **{f"{Path(name).name}, error_deg": row["error_deg"] for name, row in chosen.items()}}
            what = f"error of the field of view over the constant's, {len(chosen)} scenes"
            ratio = means["error_deg"] / means["constant_deg"]
            found.append(Figure(f"lens, {kind}", what, ratio, "<=", LENS_GOAL, figures))
    return found


# --- the run ----------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; returns 1 when a goal is missed."""
    options = parse(argv)
    torch.set_num_threads(options.threads)
    try:
        predict = MonocularDepth.from_pretrained(options.network).predict
        if options.sheets:
            written = write_sheets(options.pictures, options.sheets, predict)
            print("\n".join(f"sheet: {path}" for path in written), file=sys.stderr, flush=True)
        found = depth_figures(_depth_rows(options, predict)) + lens_figures(_lens_rows(options, predict))
        found += _frames_figures(options, predict)
        if options.speed and options.pictures:
            found += speed_figures(picture_of(options.pictures[0]), predict)
    except InputError as error:
        print(f"rap bench picture: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report(found, options.threads), allow_nan=False))
    else:
        print("\n".join(line for figure in found for line in figure.lines()))
    return 0 if all(figure.reached for figure in found) else 1


def _depth_rows(options: argparse.Namespace, predict: Predict) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for parent in options.depth:
        folders = [parent] if (parent / "meta.json").is_file() else pair_folders(parent)
        for folder in folders:
            if options.all or any(is_held_out(path, int(path.stem)) for path in folder.glob("*.jpg")):
                rows |= {
                    name: found
                    for name, found in measure_depth(folder, predict, options.every).items()
                    if options.all or not name.endswith("(trained on)")
                }
                print(f"depth: {folder.name}", file=sys.stderr, flush=True)
    return rows


def _lens_rows(options: argparse.Namespace, predict: Predict) -> dict[str, Row]:
    rows = {}
    for parent in options.posed:
        for path in sorted(parent.rglob("transforms.json")):
            rows[str(path.parent)] = measure_lens(path.parent, predict, options.every)
            print(f"lens: {path.parent.name}", file=sys.stderr, flush=True)
    return rows


def _frames_figures(options: argparse.Namespace, predict: Predict) -> list[Figure]:
    rows, invented = {}, {}
    for folder in options.frames:
        row, found = measure_frames(folder, predict, options.network, fills(), options.stride)
        rows[str(folder)], invented[str(folder)] = row, found
        print(f"frames: {folder.name} {json.dumps(row)} {json.dumps(found)}", file=sys.stderr, flush=True)
    return frames_figures(rows) + fill_figures(invented)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="rap bench picture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depth", nargs="*", type=Path, default=[], metavar="FOLDER", help="of pairs, or of such")
    parser.add_argument("--posed", nargs="*", type=Path, default=[], metavar="FOLDER", help="of posed scenes")
    parser.add_argument("--frames", nargs="*", type=Path, default=[], metavar="FOLDER", help="of posed clips")
    parser.add_argument("--stride", type=int, metavar="N", help="of --frames (default: 17 over the whole clip)")
    parser.add_argument("--pictures", nargs="*", type=Path, default=[], metavar="FILE", help="of --sheets and --speed")
    parser.add_argument("--speed", action="store_true", help="CPU seconds of the first of --pictures")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER", help="write contact sheets of --pictures there")
    parser.add_argument(
        "--network", type=Path, default=MONOCULAR_NETWORK, metavar="FOLDER", help="default: the one of the checkout"
    )
    parser.add_argument("--all", action="store_true", help="also pairs that were trained on, in rows of their own")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth picture (default: all)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the network (default: 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args(argv)
