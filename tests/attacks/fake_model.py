"""The app with a model that works for as long as it is let, and reports it: python fake_model.py SECONDS [options].

A step sleeps for SECONDS; "hold" in place of the number keeps the interpreter to itself instead, as a library may;
"done" makes a result at once.
"""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "ui")]

from ui import app  # noqa: E402


class Slow:
    """A pipeline whose first step takes `seconds`, and then another, without end."""

    def __init__(self, seconds: str) -> None:
        self.seconds = seconds

    def stream(self, task):
        from rap.pipeline import Progress

        print("job begun", flush=True)
        step = 0
        while True:
            if self.seconds == "hold":
                ctypes.PyDLL(None).usleep(300_000)  # a C call that lets no other thread run
            else:
                time.sleep(float(self.seconds))
            step += 1
            yield Progress(step, 10**6)


if __name__ == "__main__":
    seconds = sys.argv.pop(1)
    if seconds == "done":
        from fakes import FakePipeline
    app.load_pipeline = lambda options: FakePipeline(steps=1) if seconds == "done" else Slow(seconds)
    app.main()
