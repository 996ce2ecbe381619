"""The line before the worker: whoever has had less of it goes first, so that many jobs of one delay nobody else.

Fair queuing (Demers, Keshav and Shenker, 1989) with seconds of the worker as what is shared out. Time passes here as
fast as it would for each of those who wait or are at work, were they all served at once. Owners' next jobs stand at the
time up to which these have been served; who comes stands at the present at least, for what somebody did not use is not
saved up. Of equal times the job that came first goes first, so one owner alone has a plain line. Several jobs may be at
work at a time: each is charged what it is expected to take, and the rest when it ends.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, Protocol, TypeVar

REMEMBERED = 2_000  # owners, those served last


class Owned(Hashable, Protocol):
    """What may stand in the line."""

    @property
    def owner(self) -> str: ...


Item = TypeVar("Item", bound=Owned)


class Line(Generic[Item]):
    """Jobs that wait, of whomever they are. Not thread-safe: the worker holds its lock."""

    def __init__(self) -> None:
        self._waiting: list[Item] = []  # as they came
        self._now = 0.0
        self._until: dict[str, float] = {}  # up to which an owner has been served
        self._usual_s = 1.0  # of a job
        self._at_work: dict[Item, float] = {}  # and the seconds that each was expected to take

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Item]:
        """In the order in which they are expected to be served: how long a job takes is not known before."""
        turns: dict[str, float] = {}
        places = []
        for came, item in enumerate(self._waiting):
            at = turns.get(item.owner, self._until[item.owner])
            turns[item.owner] = at + self._usual_s
            places.append((at, came))
        return iter([self._waiting[came] for _, came in sorted(places)])

    def add(self, item: Item) -> None:
        """Another job."""
        if item.owner not in self._owners():
            self._until[item.owner] = max(self._now, self._until.pop(item.owner, 0.0))  # popped, to be the youngest
            for owner in list(self._until)[: -REMEMBERED or None]:
                if owner not in self._owners():
                    del self._until[owner]
        self._waiting.append(item)

    def remove(self, item: Item) -> None:
        """One that is not wanted any more."""
        self._waiting.remove(item)

    def pop(self) -> Item:
        """The next one, which is at work from now on."""
        item = next(iter(self))
        self._waiting.remove(item)
        self._at_work[item] = self._usual_s
        self._until[item.owner] += self._usual_s
        return item

    def served(self, item: Item, seconds: float) -> None:
        """A job at work has ended, or was stopped, after so much of the worker's time."""
        owner = item.owner
        self._usual_s += 0.2 * (seconds - self._usual_s)
        self._now += seconds / len(self._owners() | {other.owner for other in self._at_work})
        self._until[owner] = self._until.get(owner, self._now) + seconds - self._at_work.pop(item)

    def clear(self) -> list[Item]:
        """Nobody waits any more; who did."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _owners(self) -> set[str]:
        return {item.owner for item in self._waiting}
