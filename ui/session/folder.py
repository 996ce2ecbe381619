"""A session's folder: let go of as soon as the session has ended and nobody writes into it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rap.errors import InputError

PREFIX = "rap-session-"


class SessionFolder:
    """A folder with the files of one session. Writers in other threads may outlive the session; the last lets go of it.

    Without that count, a take written while the folder is being removed would leave a file, and with it the folder.

    Args:
        path: of a folder that is there; by default a new one among the system's temporary files.
        let_go: called once, when the session has ended and the last writer is done; by default removes it.
        make_room: called before something is written that counts, with the folder and what in it is in use; raises
            InputError where there is no room.
    """

    def __init__(
        self,
        path: Path | None = None,
        let_go: Callable[[Path], None] | None = None,
        make_room: Callable[[Path, set[Path]], None] | None = None,
    ) -> None:
        self.path = path or Path(tempfile.mkdtemp(prefix=PREFIX))
        self.is_lasting = let_go is not None
        """Whether its session is found there again."""
        self.in_use: Callable[[], set[Path]] = set
        """Files that must stay; set by who knows."""
        self._let_go, self._make_room = let_go or _remove, make_room
        self._lock = threading.Lock()
        self._writers = 0
        self._closed = False

    @contextmanager
    def writing(self, is_counted: bool = True) -> Generator[Path, None, None]:
        """The folder, kept until the block ends.

        Args:
            is_counted: what is written counts to what a page may have; not what takes the place of something.

        Raises:
            InputError: the session has ended, or there is no room.
        """
        with self._lock:
            if self._closed:
                raise InputError("this session has ended; reload the page to get it back, or to start a new one")
            self._writers += 1
        try:
            if is_counted and self._make_room is not None:
                self._make_room(self.path, self.in_use())
            yield self.path
        finally:
            with self._lock:
                self._writers -= 1
                self._let_go_if_free()

    def close(self) -> None:
        """Let go of the folder, now or when the last writer is done; nobody may begin to write after this."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._let_go_if_free()

    def _let_go_if_free(self) -> None:
        if self._closed and not self._writers:
            self._let_go(self.path)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
