"""All sessions of the process: one for each page, freed when its page has been gone for a while."""

from __future__ import annotations

import threading

from rap.errors import InputError
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.session import Session


class SessionGone(InputError):
    """The session has been freed; the page must be loaded anew."""


class Sessions:
    """All sessions of the process. One is freed when its page has been gone for the hub's grace time.

    Args:
        worker, geometry: closed by `close`.
        hub: its `on_expired` becomes this object's.
    """

    def __init__(self, worker: Worker, geometry: GeometryWorker, hub: Hub, options: Options) -> None:
        self.worker, self._geometry = worker, geometry
        self._hub, self._options = hub, options
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        hub.on_expired = self.free

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, wanted: str = "", visitor: str | None = None) -> Session:
        """The session for a page just loaded: `wanted` if it is still kept (a reload), else a new one.

        Args:
            wanted: the id the browser tab remembers; unguessable, so that knowing it is owning it.
            visitor: who has loaded it, as `ui.serve.visitors` names them.

        Raises:
            HubFull: there are as many pages as may be.
        """
        session = self._sessions.get(wanted)
        if session is None:
            # outside the lock: whatever keeps this page waiting must not keep others from ending
            session = Session(self.worker, self._geometry, self._hub, self._options, visitor)
            with self._lock:
                self._sessions[session.id] = session
        self._hub.touch(session.id)
        return session

    def without_page(self) -> Session:
        """A session for a program: nobody but its maker knows it, and its maker closes it."""
        return Session(self.worker, self._geometry, self._hub, self._options)

    def get(self, session_id: str) -> Session:
        """Raises SessionGone for an id that is not, or no longer, known."""
        session = self._sessions.get(session_id)
        if session is None:
            raise SessionGone("this session has ended and its files are gone; reload the page to start a new one")
        return session

    def free(self, session_id: str) -> None:
        """End a session; harmless when repeated."""
        with self._lock:
            session = self._sessions.pop(session_id, None)
        if session is not None:
            session.close()

    def close(self, workers_s: float = 10.0) -> None:
        """Free every session and end the workers; each has `workers_s` seconds for what it is at."""
        for session_id in list(self._sessions):
            self.free(session_id)
        self.worker.close(workers_s)
        self._geometry.close(workers_s)
