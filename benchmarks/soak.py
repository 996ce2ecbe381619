"""Simulated users at the app for a long time: python soak.py [--users 5 | --clients 10 --hostile 5] [--minutes 30].

Each user uploads a clip and then edits, predicts, regenerates, cancels, deletes takes, saves and reopens sessions,
reloads the page or closes the tab, at random, as messages to the app's own sessions with the embedded model; without a
browser. Afterwards nothing may be left: no error in the log, no file, no thread, no session, and resident memory that
has not grown by more than 5 % since the warm-up. Prints what was done and found as JSON; exit status 1 if not clean.

With --clients it is the app in a process of its own that is used, through HTTP, and some of the clients mean harm: see
`soak_strangers.py` for what is demanded then.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, as for app.py

from rap.config import ASSETS, checkpoint_path
from rap.geometry import PRESETS, se3
from rap.geometry.reshape import EASINGS
from rap.pipeline import RaPPipeline
from ui.document import messages as msg
from ui.document import path_edits as edits
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.session import Session
from ui.session.sessions import Sessions

CLIPS = sorted((ASSETS / "examples").glob("*.mp4"))
FEW_STEPS = 2
GROWTH_LIMIT = 0.05
SETTLE_S = 3.0
WARM_UP_SHARE = 0.4  # of the time, until every kind of thing has been done by everybody
NAMES = list(PRESETS)


class Errors(logging.Handler):
    """Everything that is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()} {record.exc_info[1] if record.exc_info else ''}")


@dataclass
class User:
    """One person: what they do next is drawn at random, and what they have done is counted."""

    sessions: Sessions
    rng: random.Random
    done: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    session: Session | None = None

    def work(self, until: float) -> None:
        """Act until that time, then close the tab."""
        while time.monotonic() < until:
            if self.session is None or self.session.closed:
                self.session = self.sessions.open()
                self.session.dispatch(msg.Upload((str(self.rng.choice(CLIPS)),)))
                self.session.dispatch(msg.ApplyPreset(self.rng.choice(NAMES)))
            name = self.rng.choice(ACTS)
            getattr(self, name)(self.session)
            self.done[name] += 1
            notice = None if self.session is None else self.session.state.notice
            self.refused += notice is not None and notice.is_error
            time.sleep(self.rng.uniform(0.0, 0.15))
        self.close_tab(self.session)

    def preset(self, session: Session) -> None:
        session.dispatch(msg.ApplyPreset(self.rng.choice(NAMES), self.rng.uniform(0.2, 1.5)))

    def drag(self, session: Session) -> None:
        path = session.state.document.edited
        if path is None:
            return
        frame = self.rng.randrange(len(path))
        session.dispatch(msg.Select(frame))
        session.dispatch(msg.DragStart(frame))
        step = se3.exp(0.05 * np.random.default_rng(self.rng.randrange(2**32)).normal(size=6))
        T = path.Ts_world_camera[frame]
        for _ in range(self.rng.randrange(1, 12)):
            T = T @ step
            session.dispatch(msg.Drag(frame, T))
        session.dispatch(msg.DragEnd(frame, T))

    def edit(self, session: Session) -> None:
        frame = session.state.document.selected or self.rng.randrange(1, 17)
        session.dispatch(self.rng.choice(_some_edits(frame, self.rng)))

    def history(self, session: Session) -> None:
        for _ in range(self.rng.randrange(1, 6)):
            session.dispatch(self.rng.choice((msg.Undo(), msg.Redo())))

    def look(self, session: Session) -> None:
        session.dispatch(msg.SetPlayhead(self.rng.randrange(17), self.rng.random() < 0.3))
        session.dispatch(msg.SetDensePoints(self.rng.random() < 0.5))

    def predict(self, session: Session) -> None:
        session.dispatch(msg.Predict(FEW_STEPS, self.rng.randrange(100)))

    def regenerate(self, session: Session) -> None:
        session.dispatch(msg.SetVerify(self.rng.random() < 0.5))
        session.dispatch(msg.Regenerate(FEW_STEPS, self.rng.randrange(100)))

    def vary(self, session: Session) -> None:
        session.dispatch(msg.Variations(self.rng.choice(("seeds", "amplitudes")), FEW_STEPS))

    def cancel(self, session: Session) -> None:
        session.dispatch(msg.Cancel())

    def takes(self, session: Session) -> None:
        numbers = [take.number for take in session.state.document.takes]
        if not numbers:
            return
        number = self.rng.choice(numbers)
        session.dispatch(msg.ShowTake(number))
        session.dispatch(msg.StarTake(number, True))
        if len(numbers) > 3:
            session.dispatch(msg.DeleteTake(number))
            session.dispatch(msg.DeleteTake(number))

    def keep(self, session: Session) -> None:
        if session.state.document.edited is not None:
            session.export(self.rng.choice([name for _, name in session.export_formats]))
            session.dispatch(msg.OpenSession(str(session.save())))

    def upload(self, session: Session) -> None:
        session.dispatch(msg.Upload((str(self.rng.choice(CLIPS)),)))

    def reload(self, session: Session) -> None:
        assert self.sessions.open(session.id) is session

    def close_tab(self, session: Session | None) -> None:
        if session is not None:
            self.sessions.free(session.id)
        self.session = None


ACTS = (
    *("drag",) * 8, *("edit",) * 8, *("history",) * 4, *("look",) * 3, "preset", "preset", "predict", "regenerate",
    "regenerate", "vary", "cancel", "cancel", "takes", "takes", "keep", "upload", "reload", "close_tab",
)  # fmt: skip


def _some_edits(frame: int, rng: random.Random) -> list[edits.PathEdit]:
    return [
        edits.Amplify(rng.uniform(20, 180)), edits.Mirror(), edits.Backwards(), edits.CloseLoop(),
        edits.Retime(rng.choice(EASINGS)), edits.Smooth(rng.random()), edits.MoveAll((rng.gauss(0, 0.1), 0, 0)),
        edits.RotateAll((rng.gauss(0, 10), rng.gauss(0, 5), 0)), edits.ScaleAll(rng.uniform(0.7, 1.4)), edits.LookAt(),
        edits.SnapFrame(frame), edits.ToKeys(rng.randrange(2, 9)), edits.ToDense(), edits.InsertKey(frame),
        edits.ChangeKey(frame, rng.choice(("duplicate", "delete", "earlier", "later"))),
        edits.KeyStyle(rng.random(), rng.choice(EASINGS), rng.random() < 0.3),
        edits.SetKeyTime(frame, rng.uniform(0, 16)),
    ]  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Let the users in, watch, and say what is left when they have gone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=5)
    parser.add_argument("--clients", type=int, default=0, help="through HTTP, in place of users")
    parser.add_argument("--hostile", type=int, default=5, help="of the clients")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    if options.clients:
        return _among_strangers(options)
    tqdm.tqdm.monitor_interval = 0  # its monitor is a thread that stays
    errors = Errors()
    logging.getLogger().addHandler(errors)
    failures: list[str] = []
    threading.excepthook = partial(_note_failure, failures)
    with tempfile.TemporaryDirectory(prefix="rap-soak-") as folder:
        tempfile.tempdir = folder  # other programs' files are none of ours
        found = soak(options.users, 60 * options.minutes, options.seed)
        tempfile.tempdir = None
    found |= {"errors": errors.lines[:20], "failures": failures[:20]}
    clean = not (errors.lines or failures or found["files_left"] or found["threads_left"] or found["sessions_left"])
    found["clean"] = bool(clean and found["growth"] <= GROWTH_LIMIT)
    print(json.dumps(found))
    return 0 if found["clean"] else 1


def _among_strangers(options: argparse.Namespace) -> int:
    import soak_strangers  # asks Linux's /proc, and imports the tests' helpers

    if not 0 <= options.hostile < options.clients:
        raise SystemExit(f"--hostile must be 0 to {options.clients - 1}, got {options.hostile}: some must be honest")
    found = soak_strangers.run(options.clients, options.hostile, options.minutes, options.seed)
    print(json.dumps(found))
    for words, is_met in found["verdicts"].items():
        print(f"{'met' if is_met else 'MISSED'}: {words}")
    return 0 if all(found["verdicts"].values()) else 1


def soak(count: int, seconds: float, seed: int) -> dict[str, object]:
    """So many users for so long; figures of what they did and of what is left."""
    threads = set(threading.enumerate())
    worker, geometry, hub = Worker(_load), GeometryWorker(), Hub(grace_s=3600.0)
    sessions = Sessions(worker, geometry, hub, Options())
    users = [User(sessions, random.Random(seed * 1000 + k)) for k in range(count)]
    began = time.monotonic()
    running = [threading.Thread(target=user.work, args=(began + seconds,), daemon=True) for user in users]
    for thread in running:
        thread.start()
    early, late = [], []
    while time.monotonic() < began + seconds:
        time.sleep(min(2.0, seconds / 30))
        at = (time.monotonic() - began) / seconds
        if at > WARM_UP_SHARE:
            (early if at < (1 + WARM_UP_SHARE) / 2 else late).append(_resident_mb())
    for thread in running:
        thread.join(timeout=60)
    left = len(sessions)
    sessions.close()
    time.sleep(SETTLE_S)
    gc.collect()
    before, after = statistics.median(early), statistics.median(late)
    return {
        "users": count,
        "seconds": seconds,
        "acts": dict(sum((user.done for user in users), Counter())),
        "refused": sum(user.refused for user in users),
        "resident_mb": [round(before, 1), round(after, 1)],
        "growth": after / before - 1,
        "sessions_left": left,
        "files_left": sorted(path.name for path in Path(tempfile.gettempdir()).iterdir()),
        "threads_left": sorted(thread.name for thread in set(threading.enumerate()) - threads),
    }


def _load() -> RaPPipeline:
    import torch

    torch.set_num_threads(1)
    pipeline = RaPPipeline.from_pretrained(checkpoint_path())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _note_failure(failures: list[str], told: threading.ExceptHookArgs) -> None:
    failures.append(f"{told.thread.name if told.thread else ''}: {told.exc_type.__name__}: {told.exc_value}")


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
