"""What `rap bench geometry` runs: poses, depth and warping on real clips of known cameras.

All 17-frame windows of each folder, at each stride, or `--windows` of them, evenly chosen. One thread. Whole frames:
long side 224 px for what is seen (psnr, refine, speed), up to 448 px, never enlarged, for poses. Times are CPU seconds.

    psnr     true poses: PSNR of the frames between those shown (every other one, or 0, 8 and 16), holes filled by
             push-pull, beside repeating the nearest frame shown and warping it as a plane at its median depth. Points
             of all frames are range and prior of the depth; colours and depth come from the frames shown alone
    fine     the same at the size of --side, as takes are made: decided at 224 px, with colours of frames of that size.
             Told with psnr; left out unless --side is given
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
    film     poses of 17 frames spread evenly over each whole clip, found in all of its frames: what the app and
             `rap estimate` do with an upload; focal length known and unknown
    spread   17 frames spread over each whole clip, true poses: PSNR of the frames halfway between them, from every
             other one of the 17 and from all of them
    colmap   pycolmap's incremental mapping with the same known intrinsics; skipped where it is not installed
    speed    tracks and refinement of 17 frames, depth of 9 sources, warp of 17 targets
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import torch

from rap.bench.geometry import colmap
from rap.bench.geometry.film import film_figures, film_row
from rap.bench.geometry.poses import poses_figures, poses_row
from rap.bench.geometry.psnr import (
    adjusted_row,
    bound_row,
    fine_row,
    psnr_figures,
    psnr_row,
    spread_figures,
    spread_row,
)
from rap.bench.geometry.refine import refine_figures, refine_row
from rap.bench.geometry.rows import Row
from rap.bench.geometry.speed import speed_figures, speed_row
from rap.bench.geometry.windows import Footage, TooShort, Window, evenly, whole_clips, windows_of
from rap.bench.measure import Figure, report
from rap.reconstruction.colmap import is_installed

PARTS: dict[str, Callable[[Footage, argparse.Namespace], Row]] = {
    "psnr": psnr_row,
    "fine": fine_row,
    "bound": bound_row,
    "adjusted": adjusted_row,
    "refine": refine_row,
    "poses": poses_row,
    "film": film_row,
    "spread": spread_row,
    "colmap": colmap.colmap_row,
    "speed": speed_row,
}

WHOLE = ("film", "spread")
"""Parts that measure whole clips, not windows."""

FIGURES: dict[str, Callable[[Mapping[str, Row]], list[Figure]]] = {
    "psnr": psnr_figures,
    "refine": refine_figures,
    "poses": poses_figures,
    "film": film_figures,
    "spread": spread_figures,
    "colmap": colmap.colmap_figures,
    "speed": speed_figures,
}


def figures_of(rows: Mapping[str, Mapping[str, Row]]) -> list[Figure]:
    """Of rows by part and window; colmap is compared with poses; bound and adjusted stand beside psnr."""
    found = []
    for part, make in FIGURES.items():
        chosen = rows.get(part, {})
        if part == "psnr":
            for beside in (rows.get(name, {}) for name in ("fine", "bound", "adjusted")):
                chosen = {key: {**row, **beside.get(key, {})} for key, row in chosen.items()}
        if part == "colmap":
            chosen = {key: {**rows.get("poses", {}).get(key, {}), **row} for key, row in chosen.items()}
        found += make(chosen) if chosen else []
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; returns 1 when a demand is missed."""
    options = parse(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    only_whole = set(options.parts) <= set(WHOLE)
    windows = [] if only_whole else evenly(_windows(options.clips, options.stride), options.windows)
    options.parts = [part for part in options.parts if part != "fine" or options.side is not None]
    parts = [part for part in options.parts if part != "colmap" or is_installed()]
    if len(parts) < len(options.parts):
        print("colmap: skipped, pycolmap is not installed; pip install 'rays-as-pixels[eval]'", file=sys.stderr)
    rows = measure(windows, [part for part in parts if part not in WHOLE], options)
    if whole := [part for part in parts if part in WHOLE]:
        rows |= measure(whole_clips(options.clips), whole, options)
    found = figures_of(rows)
    if options.json:
        counts = {part: len(chosen) for part, chosen in rows.items()}
        print(json.dumps({**report(found, threads=1), "windows": counts}, allow_nan=False))
    else:
        print("\n".join(line for figure in found for line in figure.lines()))
    return 0 if all(figure.reached for figure in found) else 1


def _windows(folders: Sequence[Path], strides: Sequence[int]) -> list[Window]:
    """All windows at all strides; a folder that is too short for a stride is named and left out of it."""
    found = []
    for folder in folders:
        for stride in strides:
            try:
                found += windows_of(folder, stride)
            except TooShort as refusal:
                print(f"skipped at stride {stride}: {refusal}", file=sys.stderr)
    return found


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
            kept = f"{part} {options.side}" if part == "fine" else part
            row = stored.get((kept, window.key))
            if row is None:
                footage = footage or window.read()
                row = PARTS[part](footage, options)
                _store(options.rows, kept, window.key, row)
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
    parser.add_argument("--side", type=int, metavar="N", help="long side in px at which the part fine is judged")
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
