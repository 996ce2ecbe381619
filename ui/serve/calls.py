"""Who holds how much of the server at this moment: calls that wait for their answer, and connections under way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rap import limits
from ui.serve.descriptors import Room
from ui.serve.refusals import Refused


class Calls:
    """Calls that wait or run, by visitor. Used from the event loop alone.

    Args:
        is_waiting: whether the call of this number has not been answered yet; whoever made it may be gone.
    """

    def __init__(self, is_waiting: Callable[[str], bool]) -> None:
        self._is_waiting = is_waiting
        self._visitors: dict[str, str] = {}  # of each call
        self._coming: Counter[str] = Counter()  # calls whose number is not known yet

    @contextmanager
    def one_more(self, visitor: str) -> Iterator[None]:
        """A call is handed over within the block.

        Raises:
            Refused: the line is full, or this visitor's part of it.
        """
        self._visitors = {call: who for call, who in self._visitors.items() if self._is_waiting(call)}
        own = sum(who == visitor for who in self._visitors.values()) + self._coming[visitor]
        waiting = len(self._visitors) + self._coming.total()
        if own >= limits.CALLS.value:
            words = f"{own} of your calls wait already, {waiting} in all; try again when one of them has been answered."
            raise Refused(429, words, 10)
        if waiting >= limits.CALLS_IN_ALL.value:
            raise Refused(503, f"The line is full: {waiting} calls wait before this one; try again in a minute.", 60)
        self._coming[visitor] += 1
        try:
            yield
        finally:
            self._coming[visitor] -= 1
            if not self._coming[visitor]:
                del self._coming[visitor]

    def add(self, call: str, visitor: str) -> None:
        """A call has been handed over under this number."""
        self._visitors[call] = visitor


class Connections:
    """Requests under way, in descriptors, by visitor. Used from the event loop alone."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held: Counter[str] = Counter()

    @contextmanager
    def held(self, visitor: str, descriptors: int) -> Iterator[None]:
        """A request holds so many descriptors within the block.

        Raises:
            Refused: there are no more, or no more for this visitor.
        """
        if self._held[visitor] + descriptors > self._room.open_per_visitor:
            raise Refused(429, "Too many connections from your address; close some pages, then try again.", 10)
        if self._held.total() + descriptors > self._room.open:
            raise Refused(503, "The server is full; try again in a minute.", 60)
        self._held[visitor] += descriptors
        try:
            yield
        finally:
            self._held[visitor] -= descriptors
            if not self._held[visitor]:
                del self._held[visitor]


@dataclass
class _Allowance:
    left: float
    at: float


class NewLines:
    """How fast a visitor opens event streams: Gradio keeps the 2,000 youngest, and the oldest are those of others."""

    def __init__(self) -> None:
        self._allowances: dict[str, _Allowance] = {}
        self._known: dict[str, None] = {}  # the youngest streams, in their order

    def use(self, visitor: str, name: str | None) -> None:
        """A call goes to the stream of this name; None: to one of its own.

        Raises:
            Refused: it is another new one, and there have been too many.
        """
        if name is not None and name in self._known:
            return
        now = time.monotonic()
        most, a_second = limits.NEW_STREAMS.value, limits.NEW_STREAMS_A_MINUTE.value / 60
        allowance = self._allowances.pop(visitor, None) or _Allowance(most, now)
        allowance.left = min(most, allowance.left + (now - allowance.at) * a_second)
        allowance.at = now
        self._allowances[visitor] = allowance
        if allowance.left < 1.0:
            raise Refused(429, "Too many calls from your address one after the other; try again in a minute.", 60)
        allowance.left -= 1.0
        if name is not None:
            self._known[name] = None
        for youngest in (self._known, self._allowances):
            while len(youngest) > 2_000:
                del youngest[next(iter(youngest))]
