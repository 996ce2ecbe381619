"""How far a training is, and being told to stop before its end."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Protocol

SIGTERM_STATUS = 128 + signal.SIGTERM
"""Exit status of a training that was told to end."""


def seconds(cpu_time: bool) -> float:
    """Of the wall's clock, or of the work of this process: what else is at work on the machine takes none of these."""
    return time.process_time() if cpu_time else time.monotonic()


class Timed(Protocol):
    """Settings of a training that ends after `steps`, or after `minutes` where there are any."""

    @property
    def steps(self) -> int: ...

    @property
    def minutes(self) -> float: ...

    @property
    def cpu_time(self) -> bool: ...


@dataclass
class Clock:
    """From 0 to 1, by steps or by the seconds of all parts of a run that was resumed.

    Attributes:
        before_s: seconds that earlier parts of the run took.
    """

    settings: Timed
    before_s: float = 0.0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = seconds(self.settings.cpu_time)

    def elapsed_s(self) -> float:
        """Seconds of all parts so far."""
        return self.before_s + seconds(self.settings.cpu_time) - self.began

    def progress(self, step: int) -> float:
        """Share of the training that is done before `step` (from 0); 1 is its end."""
        if self.settings.minutes:
            return min(1.0, self.elapsed_s() / (60 * self.settings.minutes))
        return min(1.0, step / self.settings.steps)


class Interruption:
    """While open, SIGINT and SIGTERM wait for the step to end: what is saved then is whole.

    A second signal of either kind is obeyed at once. Outside the main thread no signal arrives, and nothing is done.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, signal.Handlers] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._noted)  # type: ignore[assignment]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def raise_if_told(self) -> None:
        """End as the signal would have: KeyboardInterrupt, or an exit with the status of SIGTERM."""
        if self.signal == signal.SIGTERM:
            raise SystemExit(SIGTERM_STATUS)
        if self.signal is not None:
            raise KeyboardInterrupt

    def _noted(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
