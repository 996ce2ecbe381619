"""What Gradio keeps of pages that were closed and of answers that nobody fetches: it goes when it can serve no one.

Gradio has a copy of the page's values, and all that the page was last told, for each name of an event stream: about a
megabyte together, of up to 10,000 and 2,000 names, and whoever asks may make up as many names as the gate lets in.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from rap import limits

if TYPE_CHECKING:
    import gradio as gr

SWEEP_S = 10.0
HEARTBEAT = "/gradio_api/heartbeat/"


class Leftovers:
    """Knows which streams are listened to, and empties Gradio's stores of the others. Used from the event loop alone.

    Args:
        demo: the page, whose queue has been made.
    """

    def __init__(self, demo: gr.Blocks) -> None:
        self._demo = demo
        self._listened: Counter[str] = Counter()
        self._idle_since: dict[str, float] = {}
        self._sweeping: asyncio.Task[None] | None = None

    @contextmanager
    def listening(self, name: str | None) -> Iterator[None]:
        """A stream of this name is open within the block."""
        if name is None:
            yield
            return
        self.use(name)
        self._listened[name] += 1
        try:
            yield
        finally:
            self._listened[name] -= 1
            if not self._listened[name]:
                del self._listened[name]

    def use(self, name: str | None) -> None:
        """A call was made that will be answered on this stream."""
        self._idle_since.pop(name or "", None)
        if self._sweeping is None:
            self._sweeping = asyncio.ensure_future(self._sweep_for_ever())

    def sweep(self, now: float) -> None:
        """Drop what has been of no use for `limits.ANSWER_SECONDS`.

        Args:
            now: seconds of a clock that never goes back.
        """
        queue, states = self._demo._queue, self._demo.state_holder
        names = {*states.session_data, *queue.pending_messages_per_session}
        waited_for = {event.session_hash for event in queue.event_ids_to_events.values()}
        free = names - waited_for - self._listened.keys()
        self._idle_since = {name: self._idle_since.get(name, now) for name in free}
        for name in [name for name, since in self._idle_since.items() if now - since >= limits.ANSWER_SECONDS.value]:
            del self._idle_since[name]
            states.session_data.pop(name, None)
            states.time_last_used.pop(name, None)
            queue.pending_event_ids_session.pop(name, None)
            if name in queue.pending_messages_per_session:
                del queue.pending_messages_per_session[name]

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep(time.monotonic())


def stream_name(scope: Any, path: str) -> str | None:
    """Which event stream a request listens to, or keeps alive; None where it is none."""
    if path.startswith(HEARTBEAT):
        return path.removeprefix(HEARTBEAT)
    return parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", [None])[0]
