"""A session's folder: removed with all that is in it as soon as the session has ended and nobody writes into it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rap.errors import InputError


class SessionFolder:
    """A new temporary folder. Writers in other threads may outlive the session; the last of them removes the folder.

    Without that count, a take written while the folder is being removed would leave a file, and with it the folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="rap-session-"))
        self._lock = threading.Lock()
        self._writers = 0
        self._closed = False

    @contextmanager
    def writing(self) -> Generator[Path, None, None]:
        """The folder, kept until the block ends.

        Raises:
            InputError: the session has ended.
        """
        with self._lock:
            if self._closed:
                raise InputError("this session has ended and its files are gone; reload the page to start a new one")
            self._writers += 1
        try:
            yield self.path
        finally:
            with self._lock:
                self._writers -= 1
                self._remove_if_free()

    def close(self) -> None:
        """Remove the folder, now or when the last writer is done; nobody may begin to write after this."""
        with self._lock:
            self._closed = True
            self._remove_if_free()

    def _remove_if_free(self) -> None:
        if self._closed and not self._writers:
            shutil.rmtree(self.path, ignore_errors=True)
