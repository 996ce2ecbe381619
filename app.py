"""Rays as Pixels in the browser: `python app.py` serves the editor on one port; `--help` lists the options."""

from __future__ import annotations

import rap.numpy_threads  # noqa: F401  before whatever imports NumPy
import ui.page.quick_start  # noqa: F401  before whatever imports Gradio

# isort: split
import argparse
import json
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import EMBEDDED_CHECKPOINT, NUM_FRAMES
from ui.page import layout
from ui.serve.front import Front, add_options
from ui.serve.hub import Hub

if TYPE_CHECKING:  # at run time these come in the background, see `start`
    from ui.session.sessions import Sessions

SESSION_GRACE_S = 60.0  # how long a session outlives its page: a reload or a short loss of the network


@dataclass(frozen=True)
class Running:
    """The served app. `sessions` is resolved when torch has been imported; the model follows it."""

    url: str
    demo: gr.Blocks
    front: Front
    sessions: Future[Sessions]

    def close(self) -> None:
        """End sessions, workers and server."""
        sessions = self.sessions.result()
        sessions.close()
        self.front.close()
        self.demo.close(verbose=False)


def main(argv: list[str] | None = None) -> None:
    """Parse options, serve, wait."""
    options = parse(argv)
    signal.signal(signal.SIGTERM, _end)  # a machine that shuts down asks like this: sessions take their files along
    running = start(options, partial(load_pipeline, options.checkpoint, options.device))
    print(f"Rays as Pixels: {running.url}", flush=True)
    try:
        running.demo.block_thread()
    finally:
        running.close()


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--root-path", help="sub-path under which a proxy serves the app")
    parser.add_argument("--share", action="store_true", help="open Gradio's public tunnel")
    parser.add_argument("--device", help="cpu, cuda, mps (default: the fastest there is)")
    parser.add_argument("--checkpoint", help="folder of a checkpoint (default: the embedded model)")
    parser.add_argument("--seed", type=int, default=0, help="seed the page starts with")
    parser.add_argument("--num-frames", type=frame_count, default=NUM_FRAMES, help="frames of a clip, 1 + 4 k")
    parser.add_argument("--steps", type=int, help="sampling steps the page starts with (default: the model's own)")
    add_options(parser)
    return parser.parse_args(argv)


def frame_count(text: str) -> int:
    """A clip's number of frames; the codec takes 1 + 4 k."""
    count = int(text)
    if count < 5 or count % 4 != 1:
        raise argparse.ArgumentTypeError(f"must be 1 + 4 k and at least 5 (5, 9, 13, 17 …), got {count}")
    return count


def start(options: argparse.Namespace, load: Callable[[], Any]) -> Running:
    """Serve the page at once and load the model beside it.

    Args:
        options: as `parse` gives them.
        load: gives the pipeline; called in the worker's thread.
    """
    front = Front(options, os.environ, SESSION_GRACE_S)
    sessions: Future[Sessions] = Future()
    demo = layout.build(sessions, seed=options.seed, steps=options.steps)
    demo.queue(default_concurrency_limit=None)  # the one model has its own line: ui.serve.jobs
    _, url, share_url = demo.launch(
        server_name=options.host,
        server_port=options.port,
        root_path=options.root_path,
        share=options.share,
        prevent_thread_lock=True,
        **front.launch_options(demo),
        **layout.launch_options(),
    )
    # not before the page answers: importing torch would compete with serving it
    threading.Thread(target=_open_sessions, args=(sessions, front.hub, options, load), daemon=True).start()
    return Running(share_url or url, demo, front, sessions)


def load_pipeline(checkpoint: str | None, device: str | None) -> Any:
    """The one cached model.

    Raises:
        FileNotFoundError: no checkpoint there.
    """
    import torch

    from rap.config import checkpoint_path
    from rap.pipeline import RaPPipeline

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return RaPPipeline.from_pretrained(checkpoint_path(checkpoint)).to(device)


def _default_steps(checkpoint: Path) -> int | None:
    """Of a take; what is wrong with the checkpoint is said by who loads it."""
    index = checkpoint / "model_index.json"
    return json.loads(index.read_text(encoding="utf-8")).get("default_steps") if index.is_file() else None


def _open_sessions(sessions: Future[Sessions], hub: Hub, options: argparse.Namespace, load: Callable[[], Any]) -> None:
    try:
        from rap.geometry.motion import MotionLimits
        from ui.document.verification import KnownPaths
        from ui.serve.jobs import Worker
        from ui.session.geometry_worker import GeometryWorker
        from ui.session.options import Options
        from ui.session.sessions import Sessions

        checkpoint = options.checkpoint or EMBEDDED_CHECKPOINT
        known, limits = KnownPaths.of_checkpoint(Path(checkpoint)), MotionLimits.of_checkpoint(Path(checkpoint))
        chosen = Options(options.num_frames, known, limits, _default_steps(Path(checkpoint)))
        sessions.set_result(Sessions(Worker(load), GeometryWorker(), hub, chosen))
    except BaseException as error:  # whoever waits for the sessions gets the reason
        sessions.set_exception(error)
        raise


if __name__ == "__main__":
    main()
