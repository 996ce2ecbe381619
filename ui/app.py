"""Rays as Pixels in the browser: `rap app` serves the editor on one port; `--help` lists the options."""

from __future__ import annotations

import rap.threads  # noqa: F401  before whatever imports NumPy or torch

# isort: split
import argparse
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap.cli import BAD_INPUT, refusal
from rap.cli.options import placement
from rap.config import EMBEDDED_CHECKPOINT
from rap.errors import InputError
from rap.generators.kinds import Chosen, chosen_generator
from ui.serve import startup
from ui.serve.ending import Ending
from ui.serve.memory import keep_few_heaps
from ui.serve.zero_gpu import LentGpu, is_zero_gpu

if TYPE_CHECKING:  # at run time Gradio waits for the options, and torch for the page, see `start`
    import gradio as gr

    from ui.serve.front import Front
    from ui.serve.hub import Hub
    from ui.session.sessions import Sessions

SESSION_GRACE_S = 60.0  # how long a session outlives its page: a reload or a short loss of the network
WORKERS_S = 1.0  # how long a job has to end when the app does; what it makes is not kept any more


@dataclass(frozen=True)
class Running:
    """The served app. `sessions` is resolved when torch has been imported; the model follows it."""

    url: str
    demo: gr.Blocks
    front: Front
    sessions: Future[Sessions]

    def close(self, workers_s: float = 10.0) -> None:
        """End sessions, workers and server.

        Args:
            workers_s: how long each worker's job has to end.
        """
        if not self.sessions.cancel():  # else still importing: there are none yet
            self.sessions.result().close(workers_s)
        self.front.close()
        self.demo.close(verbose=False)


def main(argv: list[str] | None = None) -> None:
    """Parse options, serve, wait; the process ends with it."""
    options, ending = parse(argv), Ending()
    keep_few_heaps()
    ending.listen()
    try:
        startup.check(options)
        load = partial(_load_or_end, options, ending)
        if is_zero_gpu() and not options.serve:
            load = partial(_itself, LentGpu(partial(load_pipeline, options)))
        running = start(options, load)
    except (ValueError, FileNotFoundError) as error:
        _end(ending, error)
        sys.exit(ending.wait())
    running.sessions.add_done_callback(partial(_end_if_failed, ending))
    print(f"Rays as Pixels: {running.url}", flush=True)
    ending.wait()
    ending.leave(partial(running.close, WORKERS_S))


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    return startup.parser(__doc__).parse_args(argv)


def start(options: argparse.Namespace, load: Callable[[], Any]) -> Running:
    """Serve the page at once and load the model beside it.

    Args:
        options: as `parse` gives them.
        load: gives the pipeline; called in the worker's thread.

    Raises:
        InputError: there is no free port, or this machine does not answer at its own address.
    """
    import ui.page.quick_start  # noqa: F401  before whatever imports Gradio

    # isort: split
    from ui.page import layout
    from ui.serve.front import Front

    front = Front(options, os.environ, SESSION_GRACE_S)
    sessions: Future[Sessions] = Future()
    generator = chosen_generator(options.checkpoint)
    demo = layout.build(sessions, kiosk_s=options.kiosk, generator=generator)
    demo.queue(default_concurrency_limit=None)  # the one model has its own line: ui.serve.jobs
    served = front.launch_options(demo)
    if options.mcp:
        from ui.page import tools

        served["app_kwargs"]["lifespan"] = tools.lifespan(demo, front.storage)
    try:
        _, url, share_url = demo.launch(
            server_name=options.host,
            server_port=options.port,
            root_path=options.root_path,
            share=options.share,
            prevent_thread_lock=True,
            _frontend=False,  # else Gradio asks its own page, and gives up after 3 s: a busy machine needs more
            mcp_server=options.mcp,  # else Gradio looks for a word in the environment
            **served,
            **layout.launch_options(),
        )
    except (OSError, ValueError) as error:  # no free port; a machine that does not answer itself
        raise InputError(f"the server could not be started: {' '.join(str(error).split())}") from error
    # not before the page answers: importing torch would compete with serving it
    opening = (sessions, front.hub, options, load, generator)
    threading.Thread(target=_open_sessions, args=opening, daemon=True).start()
    return Running(share_url or url, demo, front, sessions)


def load_pipeline(options: argparse.Namespace) -> Any:
    """The one cached model, torch is imported here; or models in processes of their own, by Ray."""
    if options.serve:
        from ui.serve.replicas import Serving, deployed

        (least, most), shares = options.replicas, (options.replica_cpus, options.replica_gpus)
        what = (options.checkpoint, options.device, placement(options))
        return deployed(Serving(options.serve, least, most, *shares, *what))
    from rap.cli.model import load_any

    return load_any(options.checkpoint, options.device, **placement(options))


def _itself(pipeline: Any) -> Any:
    return pipeline


def _load_or_end(options: argparse.Namespace, ending: Ending) -> Any:
    """Without its model the app is of no use: whoever started it reads why, and no page waits for a take in vain."""
    try:
        if options.depth_model:
            from rap.views.depth_model import depth_model

            depth_model(options.depth_model)  # kept there; one that cannot be loaded is told now, not at a picture
        return load_pipeline(options)
    except BaseException as error:
        _end(ending, error)
        raise SystemExit from error  # ends the worker's thread in silence: all is said


def _end(ending: Ending, error: BaseException) -> None:
    words = refusal(error) if isinstance(error, ValueError | FileNotFoundError) else None
    if words is None:
        traceback.print_exception(error)
    else:
        print(f"rap: {words}", file=sys.stderr)
    ending.end(BAD_INPUT if words else 1)


def _end_if_failed(ending: Ending, sessions: Future[Sessions]) -> None:
    if not sessions.cancelled() and (error := sessions.exception()) is not None:
        _end(ending, error)


def _default_steps(checkpoint: Path) -> int | None:
    """Of a take; what is wrong with the checkpoint is said by who loads it."""
    index = checkpoint / "model_index.json"
    return json.loads(index.read_text(encoding="utf-8")).get("default_steps") if index.is_file() else None


def _open_sessions(
    sessions: Future[Sessions],
    hub: Hub,
    options: argparse.Namespace,
    load: Callable[[], Any],
    generator: Chosen | None,
) -> None:
    try:
        from rap import sandbox
        from rap.geometry.motion import MotionLimits
        from ui.document.messages import Regenerate
        from ui.document.verification import KnownPaths
        from ui.serve.jobs import Worker
        from ui.session.geometry_worker import GeometryWorker
        from ui.session.options import Options
        from ui.session.sessions import Sessions
        from ui.session.state_folder import opened

        checkpoint = options.checkpoint or EMBEDDED_CHECKPOINT
        known, limits = KnownPaths.of_checkpoint(Path(checkpoint)), MotionLimits.of_checkpoint(Path(checkpoint))
        steps = _default_steps(Path(checkpoint)) if generator is None else generator.kind.steps
        at_once = options.predict == "at-once"
        asked = Regenerate(options.steps, options.seed, prompt=options.prompt)
        chosen = Options(
            options.num_frames, known, limits, steps, at_once, options.depth_model, generator, options.prompt, asked
        )
        if not sessions.set_running_or_notify_cancel():
            return  # the app has ended meanwhile
        worker = Worker(load, lanes=options.replicas[1] if options.serve else 1)
        sessions.set_result(Sessions(worker, GeometryWorker(), hub, chosen, opened(options.state)))
        sandbox.warm_up("ui.session.uploads", "ui.document.importing", "ui.session.session_archive")
    except BaseException as error:  # whoever waits for the sessions gets the reason
        sessions.set_exception(error)
