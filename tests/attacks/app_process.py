"""The app as its users start it: a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STARTS_S = 120.0  # for machines with other work; alone it takes three
ENDS_S = 10.0


@dataclass(frozen=True)
class App:
    """A running app: its address, its process, and the file that takes what it says."""

    url: str
    process: subprocess.Popen
    log: Path

    def words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ended(self, number: int = signal.SIGTERM, within_s: float = ENDS_S) -> tuple[int, float]:
        """Send a signal: the exit status, and the seconds until it was there. Raises TimeoutExpired after that time."""
        begun = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(within_s), time.monotonic() - begun


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a process that leaves its temporary files in `folder`, and knows nothing of this one's Gradio."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADIO_")}
    return {**kept, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "RAP_STATE": str(folder / "state"), **more}


def refused(*arguments: str, program: tuple[str, ...] = ("app.py",), **more: str) -> tuple[int, str]:
    """Start it with something wrong: exit status, and what it said on stderr."""
    run = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env=environment(Path(tempfile.gettempdir()), **{"RAP_STATE": "", **more}),
        capture_output=True,
        text=True,
        timeout=STARTS_S,
    )
    assert run.stdout == ""
    return run.returncode, run.stderr


@contextmanager
def running(
    folder: Path,
    *arguments: str,
    program: tuple[str, ...] = ("app.py",),
    command: Sequence[str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[App]:
    """The app on a free port, once its page answers; killed at the end if it still runs.

    Args:
        command: in place of Python and the program.
    """
    port, log = free_port(), folder / "app.log"
    with log.open("wb") as words, signals_heard():
        process = subprocess.Popen(
            [*(command or (sys.executable, *program)), "--port", str(port), *arguments],
            cwd=ROOT,
            env=environment(folder, **(variables or {})),
            stdout=words,
            stderr=subprocess.STDOUT,
        )
    app = App(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_for(app)
        yield app
    finally:
        process.kill()
        process.wait()


@contextmanager
def signals_heard() -> Iterator[None]:
    """A process that is started here hears them even where the tests run in the background, or under `nohup`."""
    ignored = [number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def wait_for(app: App) -> None:
    end = time.monotonic() + STARTS_S
    while not answers(app.url):
        assert app.process.poll() is None, f"it has ended: {app.words()}"
        assert time.monotonic() < end, f"no answer in time: {app.words()}"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
