"""What the camera at the playhead sees while a path is bent or looked through: one picture at a time, in a moment.

A preview begins once the hand rests and shows the whole path. A glimpse is of one frame, made beside everything else in
a thread of its own; of each session only the newest wish counts, and sessions take turns.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rap.geometry import Trajectory
from ui.session.pictures import jpeg

if TYPE_CHECKING:
    from rap.views.scene import Scene

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Wish:
    """A frame to be seen.

    Args:
        held: the path as it was when a hand took it, None where none holds it.
        show: is handed the JPEG, in the thread that has made it.
    """

    scene: Scene
    trajectory: Trajectory
    index: int
    show: Callable[[bytes], None]
    held: Trajectory | None = None


class Glimpses:
    """The thread in which they are made for all sessions; it starts with the first wish."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wishes: dict[str, Wish] = {}  # by session, the one that waits longest first
        self._thread: threading.Thread | None = None
        self._closed = False

    def ask(self, session_id: str, wish: Wish) -> None:
        """In the place of what this session has asked for before; nothing after `close`."""
        with self._changed:
            if self._closed:
                return
            self._wishes[session_id] = wish
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="rap-glimpses", daemon=True)
                self._thread.start()
            self._changed.notify()

    def forget(self, session_id: str) -> None:
        """Nobody looks any more."""
        with self._changed:
            self._wishes.pop(session_id, None)

    def close(self, timeout_s: float = 10.0) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._wishes.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while (wish := self._next()) is not None:
            try:
                wish.show(jpeg(wish.scene.glimpse(wish.trajectory, wish.index, wish.held)))
            except Exception:  # the preview that follows tells the person what is wrong
                logger.exception("a glimpse could not be made")
            del wish  # it holds a whole scene, and the next may be long in coming

    def _next(self) -> Wish | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._wishes)
            return None if self._closed else self._wishes.pop(next(iter(self._wishes)))
