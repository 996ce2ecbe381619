"""How the process ends: at the first signal in order and in time, at the second at once.

Closing goes through locks, threads and sockets of several libraries, and any of them may be busy for longer than a
supervisor waits before it kills. So it runs in a thread of its own against a deadline, and the process then leaves
without asking anybody: an ordinary exit would wait for the threads of every pool. Where not even that comes through,
because a library holds the interpreter, the system's alarm ends the process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

CLOSING_S = 6.0  # Docker kills after 10
ALARM_S = 7
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")  # the last: the terminal was closed; not on every system
LOOK_S = 0.1


class Ending:
    """Waits for the reason to end, and ends the process."""

    def __init__(self) -> None:
        self._status: int | None = None

    def listen(self) -> None:
        """Take the signals of this process; to be called in its main thread. One that is ignored stays so (`nohup`)."""
        for number in _signals():
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._signalled)

    def end(self, status: int) -> None:
        """Let `wait` return; the first status counts. From any thread."""
        if self._status is None:
            self._status = status

    def wait(self) -> int:
        """The exit status, once there is a reason to end."""
        while self._status is None:  # no lock: a signal's handler could wait for the one that it has interrupted
            time.sleep(LOOK_S)
        return self._status

    def leave(self, close: Callable[[], None]) -> None:
        """Call `close`, for as long as there is time, and end the process with the status; does not return."""
        closing = threading.Thread(target=_close, args=(close,), name="closing", daemon=True)
        closing.start()
        closing.join(CLOSING_S)
        for child in multiprocessing.active_children():
            child.kill()  # it would wait for orders for ever
        os._exit(self.wait())

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        for each in _signals():
            if signal.getsignal(each) == self._signalled:
                signal.signal(each, signal.SIG_DFL)  # the next one is the system's to carry out
        if hasattr(signal, "alarm"):
            signal.alarm(ALARM_S)
        self.end(128 + number)


def _signals() -> list[signal.Signals]:
    return [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]


def _close(close: Callable[[], None]) -> None:
    try:
        close()
    finally:
        for stream in (sys.stdout, sys.stderr):  # here, because a pipe that nobody reads takes no more
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
