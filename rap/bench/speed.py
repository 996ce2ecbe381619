"""What `rap bench` runs: speed and memory, each as a ratio to a reference that is measured in the same run.

A machine's speed and what else runs on it change from minute to minute; a figure taken next to its reference, the two
in turns, changes far less. Every ratio is therefore the median over pairs (reference, candidate), and `cores` says how
many cores the process was really given: below `--threads` something else was running and the times are not the
machine's.

    denoise    one step of the sampler against a 2048^3 matrix product of the same type, counted in FLOP   >= 0.35
    estimate   predicting a clip's trajectory against regenerating it with 20 steps                         <= 0.1
    page       the app until it answers GET / against `import gradio` in a fresh interpreter                  <= 3 s
    train      a training step of the default model against that matrix product                             >= 0.35
    render     clips of 17 frames at 128x128 that two worker processes render for the training         >= 8 clips/s
    drag       from a drag of the gizmo to the updated scene at 81 frusta, server side; ten users: <= 50 ms   <= 20 ms
    scrub      until the stage shows the camera at the playhead, 95th percentile of scrubbing and dragging <= 150 ms
    session    memory of each further idle session of the app, and what closing gives back                   < 10 MB

`rap bench geometry` measures quality and speed on clips of known cameras; it needs such clips and has options of its
own (`rap.bench.geometry`). So do `rap bench picture`, depth and lens of one picture, `rap bench take`, takes of films,
`rap bench film`, how long the cameras of whole films take, `rap bench verdict`, what is said of paths that may be
wrong, and `rap bench step`, a step of a network of any size, as of Wan's on a GPU. `session`, `drag` and `scrub` run
programs of the folder benchmarks/, which an installed package lacks: they want a checkout.
"""

from __future__ import annotations

import argparse
import importlib
import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap.bench.measure import MATMUL_SIDE, Figure, Pairs, in_turns, measured_cores, report, seconds
from rap.config import ASSETS, NUM_FRAMES, SIZE_BUCKETS, checkpoint_path
from rap.errors import InputError
from rap.limits import STEPS

if TYPE_CHECKING:  # the commands that need torch import it; measuring the page must not
    from rap.geometry import Trajectory
    from rap.pipeline import RaPPipeline

REGENERATE_STEPS = 20
PREDICTIONS = 10
SESSIONS = 10
PAGE_TIMEOUT_S = 60.0
ROOT = Path(__file__).resolve().parents[2]
APP = [sys.executable, "-c", "from ui.app import main; main()"]
DRAG_PROGRAM = ROOT / "benchmarks" / "drag.py"
DRAG_FRAMES, DRAG_USERS, DRAG_SECONDS = 81, 10, 10
SCRUB_PROGRAM, SCRUB_SECONDS = ROOT / "benchmarks" / "scrub.py", 8
SCRUB_OF = [f"{of}_{act}_p95_ms" for of in ("film", "picture") for act in ("scrub", "drag")]
SESSION_PROGRAM = ROOT / "benchmarks" / "session_memory.py"
EXAMPLE = ASSETS / "examples" / "arc_around_a_table.mp4"

OTHERS = {
    "geometry": "rap.bench.geometry.run",
    "picture": "rap.bench.picture",
    "film": "rap.bench.film",
    "verdict": "rap.bench.verdict",
    "take": "rap.bench.take",
    "step": "rap.bench.step",
}
"""With options of their own."""


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks named on the command line; returns 1 when a demand is missed."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in OTHERS:
        return int(importlib.import_module(OTHERS[argv[0]]).main(argv[1:]))
    options = parse(argv)
    names = list(BENCHMARKS) if options.name == "all" else [options.name]
    found = []
    for name in names:
        found.append(BENCHMARKS[name](options))
        if not options.json:
            print("\n".join(found[-1].lines()), flush=True)
    if options.json:
        print(json.dumps(report(found, options.threads), allow_nan=False))
    return 0 if all(figure.reached for figure in found) else 1


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="rap bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", default="all", choices=[*BENCHMARKS, "all"], help="default: all")
    parser.add_argument("--checkpoint", help="folder of a checkpoint (default: the embedded model)")
    parser.add_argument("--threads", type=_positive, default=2, help="threads of torch (default: 2)")
    parser.add_argument("--repeats", type=_positive, default=7, help="pairs of which the median is taken (default: 7)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args(argv)


# --- denoise ----------------------------------------------------------------------------------------------------------


def denoise(options: argparse.Namespace) -> Figure:
    """FLOP per second of one denoising step of `generate_video`, as a share of a large matrix product's."""
    import torch

    from rap.train.throughput import count_flop

    torch.set_num_threads(options.threads)
    pipeline = _pipeline(options.checkpoint)
    dtype, device = pipeline.transformer.dtype, pipeline.device
    a, b = (torch.randn(MATMUL_SIDE, MATMUL_SIDE).to(device, dtype) for _ in range(2))
    step = generate_step(pipeline)
    flop, matmul_flop = count_flop(step), 2 * MATMUL_SIDE**3
    cores = measured_cores(partial(torch.matmul, a, b))
    pairs = in_turns(partial(torch.matmul, a, b), step, options.repeats)
    share = flop / (matmul_flop * pairs.ratio)
    return Figure(
        "denoise",
        f"one step's rate over that of a {MATMUL_SIDE}^3 {str(dtype).removeprefix('torch.')} matrix product",
        share,
        ">=",
        0.35,
        {
            "step_gflop": flop / 1e9,
            "step_ms": 1e3 * statistics.median(pairs.candidate_s),
            "step_gflop_per_s": flop / statistics.median(pairs.candidate_s) / 1e9,
            "matmul_gflop_per_s": matmul_flop / statistics.median(pairs.reference_s) / 1e9,
            "cores": cores,
        },
    )


def generate_step(pipeline: RaPPipeline) -> Callable[[], object]:
    """One step of generating a clip of the default size along a path from one frame: what the app's worker calls."""
    from rap.geometry import preset
    from rap.pipeline import GenerateTask

    path = preset("arc-left", num_frames=NUM_FRAMES, image_size=SIZE_BUCKETS[0])
    source = _example_frames()[:1]
    steps = pipeline.stream(GenerateTask(source, path, steps=STEPS.value))  # not walked to its end
    return partial(next, steps)


# --- estimate ---------------------------------------------------------------------------------------------------------


def _regenerate(pipeline: RaPPipeline, frames: Any, path: Trajectory) -> None:
    pipeline.forget_latents()  # as for a clip that is new
    pipeline.generate_video(frames[:1], path, steps=REGENERATE_STEPS)


def _predict(pipeline: RaPPipeline, frames: Any) -> None:
    """As often as it may cost: both sides of a pair then last as long and are disturbed alike."""
    for _ in range(PREDICTIONS):
        pipeline.forget_latents()
        pipeline.estimate_trajectory(frames)


def estimate(options: argparse.Namespace) -> Figure:
    """Time of predicting a clip's trajectory over the time of regenerating it from its source frame along it."""
    import torch

    torch.set_num_threads(options.threads)
    pipeline = _pipeline(options.checkpoint)
    frames = _example_frames()
    path = pipeline.estimate_trajectory(frames).trajectory
    assert path is not None
    pairs = in_turns(partial(_regenerate, pipeline, frames, path), partial(_predict, pipeline, frames), options.repeats)
    return Figure(
        "estimate",
        f"prediction's time over that of a regeneration with {REGENERATE_STEPS} steps",
        pairs.ratio / PREDICTIONS,
        "<=",
        0.1,
        {
            "estimate_s": statistics.median(pairs.candidate_s) / PREDICTIONS,
            "regenerate_s": statistics.median(pairs.reference_s),
            "estimate_steps": pipeline.config.default_estimate_steps,
        },
    )


# --- page -------------------------------------------------------------------------------------------------------------


def page(options: argparse.Namespace) -> Figure:
    """Seconds from starting the app to its first answer on GET /, files warm in the system's cache."""
    arguments = ["--checkpoint", options.checkpoint] if options.checkpoint else []
    answer = partial(seconds_to_first_page, arguments)
    answer()  # warms the cache
    reference_s, candidate_s = [], []
    bare = [sys.executable, "-c", "import gradio, os; os._exit(0)"]  # without the interpreter's own tidying up
    for _ in range(min(options.repeats, 5)):
        reference_s.append(seconds(partial(subprocess.run, bare, check=True)))
        candidate_s.append(answer())
    pairs = Pairs(tuple(reference_s), tuple(candidate_s))
    return Figure(
        "page",
        "seconds until the page answers",
        statistics.median(candidate_s),
        "<=",
        3.0,
        {"import_gradio_s": statistics.median(reference_s), "over_import_gradio": pairs.ratio},
    )


def seconds_to_first_page(arguments: list[str]) -> float:
    """Start the app on a free port, wait for a 200, end it.

    Raises:
        RuntimeError: the app ended by itself or did not answer in time.
    """
    port = _free_port()
    command = [*APP, "--port", str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        started = time.perf_counter()
        try:
            while not _answers(f"http://127.0.0.1:{port}/"):
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}; run it to see why")
                if time.perf_counter() - started > PAGE_TIMEOUT_S:
                    raise RuntimeError(f"{' '.join(command)} gave no page within {PAGE_TIMEOUT_S:g} s")
                time.sleep(0.02)
            return time.perf_counter() - started
        finally:
            process.kill()


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows this machine's inside
    try:
        with opener.open(url, timeout=5) as response:
            return response.status == 200
    except OSError:  # not listening yet, or not answering yet
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# --- session ----------------------------------------------------------------------------------------------------------


def session(options: argparse.Namespace) -> Figure:
    """Memory of each idle session beyond the first, of the app's own sessions, in a process of their own."""
    return session_figure(_measured(SESSION_PROGRAM, SESSIONS))


def session_figure(seen: Mapping[str, float]) -> Figure:
    """From resident megabytes: with the first session, with `count` more, after closing those, with as many again."""
    return Figure(
        "session",
        "MB of an idle session above the first",
        (seen["full_mb"] - seen["first_mb"]) / seen["count"],
        "<",
        10.0,
        {
            "first_mb": seen["first_mb"],
            "over_first": (seen["full_mb"] - seen["first_mb"]) / seen["count"] / seen["first_mb"],
            "left_by_each_closed_mb": (seen["closed_mb"] - seen["first_mb"]) / seen["count"],
            "growth_by_each_reopened_mb": (seen["again_mb"] - seen["full_mb"]) / seen["count"],
            "closed_but_alive": seen["alive"],
        },
    )


# --- drag -------------------------------------------------------------------------------------------------------------


def drag(options: argparse.Namespace) -> Figure:
    """A drag of the gizmo until the viewport's scene is the new one, for one user and for ten at once."""
    return drag_figure(_measured(DRAG_PROGRAM, DRAG_FRAMES, DRAG_USERS, DRAG_SECONDS))


def drag_figure(seen: Mapping[str, float]) -> Figure:
    """The larger of the two shares of what is allowed decides: 20 ms for one user, 50 ms for ten."""
    share = max(seen["one_ms"] / 20.0, seen["many_ms"] / 50.0)
    return Figure(
        "drag",
        "part of 20 ms (one user) and of 50 ms (ten users) that a drag takes",
        share,
        "<=",
        1.0,
        {
            **{key: seen[key] for key in ("one_ms", "one_p95_ms", "many_ms", "many_p95_ms", "reference_ms")},
            "one_over_pure_edit": seen["one_ms"] / seen["reference_ms"],
        },
    )


# --- scrub ------------------------------------------------------------------------------------------------------------


def scrub(options: argparse.Namespace) -> Figure:
    """A move of the playhead, or of a frustum, until the picture of the camera there is offered to the page."""
    return scrub_figure(_measured(SCRUB_PROGRAM, SCRUB_SECONDS, options.threads))


def scrub_figure(seen: Mapping[str, float]) -> Figure:
    """The slowest 95th percentile of film and picture, scrubbed and dragged, decides."""
    slowest = max(seen[name] for name in SCRUB_OF)
    words = "ms until the stage shows the camera at the playhead, slowest 95th percentile"
    return Figure("scrub", words, slowest, "<=", 150.0, dict(seen))


# --- train and render -------------------------------------------------------------------------------------------------


def train(options: argparse.Namespace) -> Figure:
    """`rap.bench.training.train`."""
    from rap.bench import training

    return training.train(options)


def render(options: argparse.Namespace) -> Figure:
    """`rap.bench.training.render`."""
    from rap.bench import training

    return training.render(options)


# --- shared -----------------------------------------------------------------------------------------------------------


def _pipeline(checkpoint: str | None) -> RaPPipeline:
    """On the CPU, whose speed the demands are about."""
    from rap.pipeline import RaPPipeline

    pipeline = RaPPipeline.from_pretrained(checkpoint_path(checkpoint))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _measured(program: Path, *arguments: int) -> dict[str, float]:
    """What a program of the checkout prints last."""
    if not program.is_file():
        raise InputError(f"{program} is not there: this benchmark is a program of the checkout; run it from one")
    command = [sys.executable, str(program), *map(str, arguments)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(run.stdout.splitlines()[-1])


def _example_frames() -> Any:
    from rap.data import load_clip

    return load_clip(EXAMPLE, num_frames=NUM_FRAMES, size=SIZE_BUCKETS[0]).frames_u8


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


BENCHMARKS: dict[str, Callable[[argparse.Namespace], Figure]] = {
    "denoise": denoise,
    "estimate": estimate,
    "page": page,
    "session": session,
    "drag": drag,
    "scrub": scrub,
    "train": train,
    "render": render,
}
