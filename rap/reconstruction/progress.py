"""How a reconstruction tells how far it is, several times a second, and how it is stopped: whoever listens may raise.

    with listened(print):
        refine_film(...)

The steps tell without knowing whether anybody listens, as they would log. `together` runs several at a time, each of
which tells; `beside` runs what tells in a thread, for whoever has to give word of it meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import TypeVar

WORKERS = min(4, os.cpu_count() or 1)  # threads that reckon at a time

Item = TypeVar("Item")
Result = TypeVar("Result")
Said = TypeVar("Said")

Told = Callable[[float], None]
"""Gets the share of the whole that is done, in [0, 1]; it never falls. What it raises stops the work.
`together` calls it from several threads."""

STAGES = {"follow": 0.2, "match": 0.25, "lens": 0.2, "grow": 0.25, "fit": 0.1}
"""In their order, with the share of the time that each takes, roughly."""


@dataclass
class _Listener:
    told: Told
    done: float = 0.0


_LISTENER: ContextVar[_Listener | None] = ContextVar("listener of a reconstruction", default=None)


@contextmanager
def listened(told: Told) -> Iterator[None]:
    """Whoever is told of what is computed within, in this thread."""
    token = _LISTENER.set(_Listener(told))
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(stage: str, share: float) -> None:
    """A share of one of `STAGES` is done."""
    if (listener := _LISTENER.get()) is not None:
        names = list(STAGES)
        before = sum(STAGES[name] for name in names[: names.index(stage)])
        listener.done = max(listener.done, before + STAGES[stage] * min(max(share, 0.0), 1.0))
        listener.told(listener.done)


def beat() -> None:
    """Still at work, no farther than before."""
    if (listener := _LISTENER.get()) is not None:
        listener.told(listener.done)


def together(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What `work` makes of each item, in their order, as many at a time as there are processors, four at most.

    NumPy and OpenCV let each other run while they reckon; what they are called from does not, so that many small steps
    gain little. The first error is raised when those that have begun have ended; the others do not begin.
    """
    with ThreadPoolExecutor(WORKERS, "rap-together") as pool:
        running = [pool.submit(copy_context().run, work, item) for item in items]
        try:
            return [one.result() for one in running]
        finally:
            for one in running:
                one.cancel()


class Stopped(Exception):
    """Nobody waits for the result any more."""


@dataclass
class Word:
    """What work in another thread said last of how far it is; after the last word it is stopped."""

    share: float = 0.0
    is_last: bool = False

    def __call__(self, share: float) -> None:
        """Called by the work; raises where it is to end."""
        if self.is_last:
            raise Stopped
        self.share = share


def beside(
    work: Callable[[Word], Result], every_s: float, said: Callable[[float], Said]
) -> Generator[Said, None, Result]:
    """Run work in a thread beside, and say so often, in `said`'s words, which share of it is done; closing waits for
    its next word, which ends it."""
    word = Word()
    with ThreadPoolExecutor(1, "rap-beside") as pool:
        running = pool.submit(work, word)
        try:
            while not running.done():
                yield said(word.share)
                wait([running], every_s)
        finally:
            word.is_last = True
    return running.result()
