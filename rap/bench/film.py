"""What `rap bench film` runs: how long the cameras of a whole film take, focal length unknown.

Films, or one of N procedural frames that is rendered first (--rendered), are read as an upload is. Then the cameras of
17 frames are found in all of them, from cameras at rest. Demanded are 20 s for 300 frames and 4 s for 60, by the clock
on two quiet cores, and in proportion between; under 1 GB, and a word of how far it is each half second. On a machine
that others use the clock tells nothing: CPU seconds stand beside both. --profile tells where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import multiprocessing
import pstats
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from rap.bench.measure import Figure, report
from rap.data import Clip, load_clip, write_video
from rap.geometry import Trajectory, intrinsics_from_fov
from rap.reconstruction.progress import listened
from rap.reconstruction.refine import RefinementReport
from rap.synthetic import SyntheticConfig, render_clips
from rap.views.scene import refine

UNKNOWN_FOV_Y_RAD = np.radians(55.0)
SECONDS = ((0, 2.0), (60, 4.0), (300, 20.0))  # frames of the film, and what they may take; straight between
SILENCE_S = 0.5
MEMORY_MB = 1000.0
RENDERED_SIZE, RENDERED_SEED = (544, 960), 31


@dataclass
class Silence:
    """The longest time between two words, by one clock."""

    clock: Callable[[], float]
    longest_s: float = 0.0
    last_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.last_s = self.clock()

    def __call__(self, share: float) -> None:
        now = self.clock()
        self.longest_s, self.last_s = max(self.longest_s, now - self.last_s), now


@dataclass
class Silences:
    """The same by the clock and of CPU time."""

    by_clock: Silence = field(default_factory=lambda: Silence(time.perf_counter))
    of_cpu: Silence = field(default_factory=lambda: Silence(time.process_time))

    def __call__(self, share: float) -> None:
        self.by_clock(share)
        self.of_cpu(share)


def rendered(path: Path, count: int) -> None:
    """Write a film of a procedural scene at 960 x 544 px."""
    config = SyntheticConfig(size=RENDERED_SIZE, num_frames=count)
    made = render_clips(RENDERED_SEED, 1, config)
    write_video(path, made.frames_u8[0].numpy(), 30.0)


def timed(clip: Clip) -> tuple[RefinementReport, dict[str, float]]:
    """What is said of the path, and what finding it took."""
    lens = np.tile(intrinsics_from_fov(UNKNOWN_FOV_Y_RAD, clip.image_size), (len(clip), 1))
    still = Trajectory(np.tile(np.eye(4), (len(clip), 1, 1)), lens, clip.image_size, fps=clip.fps)
    silences = Silences()
    cpu_s, began = time.process_time(), time.perf_counter()
    with listened(silences):
        found = refine(clip, still)
    silences(1.0)
    return found.report, {
        "frames": float(len(clip) if clip.film is None else len(clip.film.frames_u8)),
        "seconds": time.perf_counter() - began,
        "CPU seconds": time.process_time() - cpu_s,
        "longest silence (s)": silences.by_clock.longest_s,
        "longest silence (CPU s)": silences.of_cpu.longest_s,
        "most memory of the process (MB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def film_figures(name: str, took: dict[str, float]) -> list[Figure]:
    """The demands on one film."""
    frames, seconds = zip(*SECONDS, strict=True)
    limit = float(np.interp(took["frames"], frames, seconds))
    return [
        Figure(f"{name} time", "seconds for the cameras of the whole film", took["seconds"], "<=", limit, took),
        Figure(f"{name} silence", "seconds without a word", took["longest silence (s)"], "<=", SILENCE_S, {}),
        Figure(f"{name} memory", "MB", took["most memory of the process (MB)"], "<", MEMORY_MB, {}),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; returns 1 when a demand is missed."""
    options = parse(argv)
    torch.set_num_threads(options.threads)
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        films = list(options.films)
        if options.rendered:
            path = Path(name) / f"rendered_{options.rendered}.mp4"
            renderer = multiprocessing.get_context("spawn").Process(target=rendered, args=(path, options.rendered))
            renderer.start()  # of its own: what rendering holds is not the film's
            renderer.join()
            films.append(path)
        for path in films:
            clip = load_clip(path, film=True)
            profile = cProfile.Profile(time.process_time)
            if options.profile:
                profile.enable()
            said, took = timed(clip)
            profile.disable()
            found += film_figures(path.stem, took)
            if not options.json:
                print(f"{path.stem}: {said.words}. {said.reason}", flush=True)
            if options.profile:
                pstats.Stats(profile).sort_stats("cumtime").print_stats(40)
    if options.json:
        print(json.dumps(report(found, options.threads), allow_nan=False))
    else:
        print("\n".join(line for figure in found for line in figure.lines()))
    return 0 if all(figure.reached for figure in found) else 1


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="rap bench film", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("films", nargs="*", type=Path, help="videos or folders of frames")
    parser.add_argument("--rendered", type=int, default=0, metavar="N", help="a procedural film of N frames")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of the matrix products (default: 2)")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args(argv)
