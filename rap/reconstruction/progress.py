"""How a reconstruction tells how far it is, several times a second, and how it is stopped: whoever listens may raise.

    with listened(print):
        refine_film(...)

The steps tell without knowing whether anybody listens, as they would log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Told = Callable[[float], None]
"""Gets the share of the whole that is done, in [0, 1]; it never falls. What it raises stops the work."""

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
