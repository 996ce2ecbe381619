"""What `rap bench verdict` runs: whether the word that is said of a path is worth its colour.

Films of known cameras are taken as they are and spoiled to fail: thinned, cut short, cropped (a narrow lens), blurred,
with frames dropped from the middle, with noise. Of each 17 frames' cameras are found in all of its frames, focal
length unknown, and what is said of them is held against the truth. Of paths with AUC@30 under 0.5 nine in ten must be
doubtful or failed, of those over 0.9 nine in ten good. --rendered adds procedural clips, each spoiled in one way.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from rap.bench.measure import Figure, report
from rap.data import load_clip
from rap.data.clip import open_upload
from rap.errors import InputError
from rap.geometry import Trajectory, intrinsics_from_fov
from rap.metrics import pose_errors
from rap.reconstruction.film import refine_film
from rap.synthetic import SyntheticConfig, render_clips

ASKED = 17  # frames, as many as the model takes
LEAST_FRAMES = 8  # of a film that is left: fewer are no film
UNKNOWN_FOV_Y_RAD = np.radians(55.0)
WRONG_AUC, RIGHT_AUC = 0.5, 0.9
DEMANDED_SHARE = 0.9
RENDERED_SEED, RENDERED_FRAMES, RENDERED_SIZE = 770_000, 41, (192, 256)

Film = tuple[str, UInt8[np.ndarray, "f h w 3"], Trajectory]
Row = dict[str, float | str]


@dataclass(frozen=True)
class Spoiling:
    """What is done to a film.

    Attributes:
        name: in a word or two.
        stride: every n-th frame is left.
        part: from which to which share of its frames it is taken.
        dropped: from which to which share of what is left is dropped.
        crop: of height and width that is left in the middle.
        blur_px: standard deviation.
        noise: standard deviation in 8-bit steps.
    """

    name: str
    stride: int = 1
    part: tuple[float, float] = (0.0, 1.0)
    dropped: tuple[float, float] = (0.0, 0.0)
    crop: float = 1.0
    blur_px: float = 0.0
    noise: float = 0.0

    def of(
        self, frames_u8: UInt8[np.ndarray, "f h w 3"], cameras: Trajectory
    ) -> tuple[UInt8[np.ndarray, "g a b 3"], Trajectory]:
        """The spoiled film with its true cameras."""
        begin, end = (round(share * len(frames_u8)) for share in self.part)
        left = np.arange(begin, end, self.stride)
        a, b = (round(share * len(left)) for share in self.dropped)
        left = np.delete(left, np.arange(a, b))
        h, w = frames_u8.shape[1:3]
        ch, cw = (max(round(side * self.crop / 2) * 2, 2) for side in (h, w))
        top, corner = (h - ch) // 2, (w - cw) // 2
        frames = frames_u8[left, top : top + ch, corner : corner + cw]
        if self.blur_px > 0:
            frames = np.stack([cv2.GaussianBlur(frame, (0, 0), self.blur_px) for frame in frames])
        if self.noise > 0:
            grain = np.random.default_rng(0).normal(0, self.noise, frames.shape)
            frames = np.clip(frames + grain, 0, 255).astype(np.uint8)
        lenses = cameras.intrinsics[left] - np.array([0, 0, corner, top])
        kept = replace(
            cameras, Ts_world_camera=cameras.Ts_world_camera[left], intrinsics=lenses, image_size=(ch, cw), source=0
        )
        return np.ascontiguousarray(frames), kept.relative_to(0)


SPOILINGS = (
    Spoiling("whole"),
    *(Spoiling(f"stride {n}", stride=n) for n in (2, 3, 4, 6, 8)),
    Spoiling("first half", part=(0, 0.5)),
    Spoiling("second half", part=(0.5, 1)),
    Spoiling("middle third", part=(0.33, 0.67)),
    Spoiling("crop 0.5", crop=0.5),
    Spoiling("crop 0.35", crop=0.35),
    Spoiling("blur 2", blur_px=2),
    Spoiling("blur 4", blur_px=4),
    Spoiling("fifth dropped", dropped=(0.4, 0.6)),
    Spoiling("two fifths dropped", dropped=(0.3, 0.7)),
    Spoiling("noise 15", noise=15),
    Spoiling("noise 30", noise=30),
    Spoiling("stride 2, crop 0.5", stride=2, crop=0.5),
    Spoiling("stride 2, blur 1.5", stride=2, blur_px=1.5),
    Spoiling("stride 3, sixth dropped", stride=3, dropped=(0.45, 0.6)),
)


def films(folders: Sequence[Path], rendered: int, ways: int | None) -> Iterator[Film]:
    """Key, frames and true cameras of every spoiled film; a rendered one is spoiled in the next way of all.

    Raises:
        InputError: a folder without known cameras.
    """
    clips = [load_clip(folder, num_frames=open_upload(folder).source.count, stride=1) for folder in folders]
    for folder, clip in zip(folders, clips, strict=True):
        if clip.trajectory is None:
            raise InputError(f"{folder}: no known cameras; give folders with a transforms.json")
    for spoiling in SPOILINGS[
        :ways
    ]:  # all folders in one way, then in the next: a run that is broken off has seen them all
        for folder, clip in zip(folders, clips, strict=True):
            assert clip.trajectory is not None
            yield f"{folder.name}/{spoiling.name}", *spoiling.of(clip.footage, clip.on_footage(clip.trajectory))
    config = SyntheticConfig(size=RENDERED_SIZE, num_frames=RENDERED_FRAMES)
    for number in range(rendered):
        made, spoiling = render_clips(RENDERED_SEED, 1, config, start=number), SPOILINGS[number % len(SPOILINGS)]
        cameras = Trajectory(made.Ts_world_camera[0].numpy(), made.intrinsics[0].numpy(), config.size)
        key = f"rendered {number} {made.kinds[0]}/{spoiling.name}"
        yield key, *spoiling.of(made.frames_u8[0].numpy(), cameras)


def judged(frames_u8: UInt8[np.ndarray, "f h w 3"], truth: Trajectory) -> Row:
    """What is said of the path that is found in a film, and what is true of it."""
    at = np.floor(np.linspace(0, len(frames_u8) - 1, min(ASKED, len(frames_u8))) + 0.5).astype(int)
    lens = np.tile(intrinsics_from_fov(UNKNOWN_FOV_Y_RAD, truth.image_size), (len(at), 1))
    start = Trajectory(np.tile(np.eye(4), (len(at), 1, 1)), lens, truth.image_size)
    began = time.process_time()
    found = refine_film(frames_u8, at, start)
    errors = pose_errors(found.trajectory.Ts_world_camera, truth.Ts_world_camera[at], found.report.lost)
    worse = np.fmax(errors.rotation_deg, errors.direction_deg)
    low, high = found.report.fov_y_interval_rad or (np.nan, np.nan)
    return {
        "auc": errors.auc30,
        "median_deg": float(np.median(worse)),
        "verdict": found.report.verdict,
        "outcome": found.report.outcome,
        "words": found.report.words,
        "told_deg": found.report.error_deg,
        "focal": float(found.trajectory.intrinsics[0, 1] / truth.intrinsics[0, 1]),
        "fov_low_rad": float(low),
        "fov_high_rad": float(high),
        "fov_rad": float(truth.fov_y_rad[0]),
        "cpu_s": time.process_time() - began,
    }


def verdict_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """How many wrong paths are told, and how many right ones are believed."""
    found = []
    for name, what, chosen, said in (
        (
            "told",
            f"share doubtful or failed of AUC@30 < {WRONG_AUC}",
            _with(rows, 0, WRONG_AUC),
            ("doubtful", "failed"),
        ),
        ("believed", f"share good of AUC@30 > {RIGHT_AUC}", _with(rows, RIGHT_AUC, 2), ("good",)),
    ):
        share = statistics.fmean(row["verdict"] in said for row in chosen) if chosen else 1.0
        counts = {word: float(sum(row["verdict"] == word for row in chosen)) for word in ("good", "doubtful", "failed")}
        found.append(Figure(f"verdict {name}", what, share, ">=", DEMANDED_SHARE, counts))
    return found


def _with(rows: Mapping[str, Row], above: float, below: float) -> list[Row]:
    return [row for row in rows.values() if above <= float(row["auc"]) < below]


def table(rows: Mapping[str, Row]) -> list[str]:
    """AUC@30 and error of the paths of each word, as lines of Markdown."""
    lines = ["| said | paths | AUC@30, mean | under 0.5 | over 0.9 | median error (deg), median |", "| --- " * 6 + "|"]
    for word in ("good", "doubtful", "failed"):
        chosen = [row for row in rows.values() if row["verdict"] == word]
        if chosen:
            auc = [float(row["auc"]) for row in chosen]
            low, high = sum(value < WRONG_AUC for value in auc), sum(value > RIGHT_AUC for value in auc)
            error = statistics.median(float(row["median_deg"]) for row in chosen)
            lines.append(f"| {word} | {len(chosen)} | {statistics.fmean(auc):.2f} | {low} | {high} | {error:.1f} |")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; returns 1 when a demand is missed."""
    options = parse(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows: dict[str, Row] = {}
    kept: Path | None = options.rows
    if kept is not None and kept.exists():
        rows = {row.pop("key"): row for row in map(json.loads, kept.read_text(encoding="utf-8").splitlines())}
    for key, frames_u8, truth in films(options.clips, options.rendered, options.ways):
        if key in rows or len(frames_u8) < LEAST_FRAMES:
            continue
        rows[key] = judged(frames_u8, truth)
        print(f"{key}: AUC@30 {rows[key]['auc']:.2f}, {rows[key]['words']}", file=sys.stderr, flush=True)
        if kept is not None:
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, **rows[key]}) + "\n")
    found = verdict_figures(rows)
    if options.json:
        print(json.dumps({**report(found, threads=1), "films": len(rows)}, allow_nan=False))
    else:
        print("\n".join([*(line for figure in found for line in figure.lines()), *table(rows)]))
    return 0 if all(figure.reached for figure in found) else 1


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="rap bench verdict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", nargs="*", type=Path, default=[], metavar="FOLDER", help="with a transforms.json")
    parser.add_argument("--rendered", type=int, default=0, metavar="N", help="procedural clips")
    parser.add_argument(
        "--rows", type=Path, help="JSON lines: results are appended, what is there is not measured again"
    )
    parser.add_argument("--ways", type=int, metavar="N", help="spoil in the first N ways only; 1: films as they are")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args(argv)
