"""Waiting for the hand to rest: what is asked for often is done once, when the asking pauses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

REST_S = 0.4  # how long a path must rest before it is previewed


class Debounce:
    """Calls a function once nothing has been touched for a while; at most one timer runs at any time."""

    def __init__(self, rest_s: float, call: Callable[[], None]) -> None:
        self._rest_s, self._call = rest_s, call
        self._lock = threading.Lock()
        self._due = 0.0
        self._timer: threading.Timer | None = None
        self._closed = False

    def touch(self) -> None:
        """Something has changed: the call comes `rest_s` after the last of these."""
        with self._lock:
            self._due = time.monotonic() + self._rest_s
            if self._timer is None and not self._closed:
                self._start(self._rest_s)

    def close(self) -> None:
        """No call comes after this."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _start(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        with self._lock:
            left = self._due - time.monotonic()
            if self._closed or left > 0.005:
                self._timer = None
                if not self._closed:
                    self._start(left)
                return
            self._timer = None
        self._call()
