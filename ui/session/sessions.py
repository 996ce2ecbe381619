"""All sessions of the process: one for each page, freed when its page has been gone for a while, and found again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from rap.errors import InputError
from ui.document import messages as msg
from ui.serve.hub import Hub, HubFull
from ui.serve.jobs import Worker, explained
from ui.session import session_file
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.session import Session
from ui.session.state_folder import StateFolder

FOUND_AGAIN = "Your session of before"

logger = logging.getLogger(__name__)


class SessionGone(InputError):
    """The session has been freed; the page must be loaded anew."""


class Sessions:
    """All sessions of the process. One is freed when its page has been gone for the hub's grace time.

    Args:
        worker, geometry: closed by `close`.
        hub: its `on_expired` becomes this object's.
        state: where pages' sessions are kept, to be found again after that; closed by `close`. None: they are not.
    """

    def __init__(
        self, worker: Worker, geometry: GeometryWorker, hub: Hub, options: Options, state: StateFolder | None = None
    ) -> None:
        self.worker, self._geometry = worker, geometry
        self._hub, self._options, self._state = hub, options, state
        self._changed = threading.Condition()
        self._sessions: dict[str, Session] = {}
        self._moving: set[str] = set()  # ids of sessions that come or go at this moment
        hub.on_expired = self.free

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, wanted: str = "", visitor: str = "") -> Session:
        """The session for a page just loaded: `wanted` if it is still open (a reload) or kept, else a new one.

        Args:
            wanted: the id the browser tab remembers; unguessable, so that knowing it is owning it.
            visitor: who has loaded it, as `ui.serve.visitors` names them.

        Raises:
            HubFull: there are as many pages as may be.
        """
        if not wanted:
            return self._new(visitor)
        with self._alone_with(wanted):
            session, why_not = self._sessions.get(wanted), ""
            if session is None and self._state is not None:
                session, why_not = self._found_again(self._state, wanted, visitor)
            if session is not None:
                self._hub.touch(session.id)
                return session
        session = self._new(visitor)
        if why_not:
            session.dispatch(msg.Refused("input", f"{why_not.rstrip('.')}. A new session was begun."))
        return session

    def without_page(self, visitor: str = "") -> Session:
        """A session for a program of this visitor: nobody but its maker knows it, and its maker closes it."""
        folder_of = None if self._state is None else self._state.scratch
        options = replace(self._options, predict_at_once=False)  # a program says what it wants
        return Session(self.worker, self._geometry, self._hub, options, visitor, False, folder_of)

    def get(self, session_id: str) -> Session:
        """Raises SessionGone for an id that is not, or no longer, known."""
        session = self._sessions.get(session_id)
        if session is None:
            raise SessionGone("this session has ended; reload the page to get it back, or to start a new one")
        return session

    def free(self, session_id: str) -> None:
        """End a session; harmless when repeated."""
        if session_id not in self._sessions:
            return
        with self._alone_with(session_id):
            session = self._sessions.pop(session_id, None)
            if session is not None:
                session.close()

    def close(self, workers_s: float = 10.0) -> None:
        """Free every session and end the workers; each has `workers_s` seconds for what it is at."""
        for session_id in list(self._sessions):
            self.free(session_id)
        self.worker.close(workers_s)
        self._geometry.close(workers_s)
        if self._state is not None:
            self._state.close()

    def _new(self, visitor: str, id: str | None = None) -> Session:
        folder_of = None if self._state is None else self._state.folder
        session = Session(self.worker, self._geometry, self._hub, self._options, visitor, True, folder_of, id)
        self._sessions[session.id] = session
        return session

    def _found_again(self, state: StateFolder, wanted: str, visitor: str) -> tuple[Session | None, str]:
        """A session that was kept, or why it cannot be had; neither where there was none."""
        folder = None
        try:
            folder = state.claim(wanted)
            if folder is None:
                return None, ""
            opened = session_file.open_kept(folder)
            session = self._new(visitor, wanted)
        except BaseException as error:
            if folder is not None:
                state.release(folder)
            if isinstance(error, HubFull) or not isinstance(error, InputError | OSError):
                raise
            logger.warning("a session that was kept could not be opened: %s", error)
            return None, explained(error)
        session.dispatch(
            msg.SessionRead(opened.document, opened.known_fov_y_rad, FOUND_AGAIN, opened.cloud, opened.flat)
        )
        return session, ""

    @contextmanager
    def _alone_with(self, session_id: str) -> Iterator[None]:
        """Nobody else opens or ends this session meanwhile; others are not kept waiting."""
        with self._changed:
            while session_id in self._moving:
                self._changed.wait()
            self._moving.add(session_id)
        try:
            yield
        finally:
            with self._changed:
                self._moving.discard(session_id)
                self._changed.notify_all()
