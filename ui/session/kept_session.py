"""What is kept of an open page on disk, so that its browser finds it again: written after every change that matters.

It is a session file in pieces (`ui.session.session_file.open_kept` reads it): a manifest, and parts that are named by
their SHA-256. Values are immutable, so a part is written once however often the manifest is; the manifest takes the
place of the one before when all that it names is there, and parts that none names any more go after that. Takes get
a second name among the parts, so that a take that is deleted is still whole for the manifest of before.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from rap.errors import InputError
from rap.limits import KEPT_BYTES
from rap.writing import room_for, write_text
from ui.document.state import State
from ui.session.debounce import Debounce
from ui.session.folder import SessionFolder
from ui.session.session_archive import MANIFEST, PARTS
from ui.session.session_file import contents, fingerprint, manifest_text, write_content

REST_S = 2.0  # how long the work must rest before it is written

logger = logging.getLogger(__name__)


class KeptSession:
    """Writes a session's newest state into its folder, at rest, in a thread of its own, one write at a time.

    Args:
        folder: the session's.
    """

    def __init__(self, folder: SessionFolder) -> None:
        self.lock = threading.RLock()
        """Held while a state is written; who holds it keeps older states from being written meanwhile."""
        self._folder = folder
        self._newest: State | None = None
        self._rows: dict[str, tuple[Any, dict[str, Any]]] = {}  # by entry: what is in it, and its size and hash
        self._manifest = ""
        self._rest = Debounce(REST_S, self._write_at_rest)

    def touch(self, before: State, state: State) -> None:
        """The state has changed: where it matters it is written once it has come to rest. Costs microseconds.

        To be called under the session's lock, so that the newest state is the last one.
        """
        self._newest = state
        if any(a is not b for a, b in zip(_matters(before), _matters(state), strict=True)):
            self._rest.touch()

    def write(self, state: State) -> None:
        """Write a state, now.

        Raises:
            InputError: there is no room for it, or it is too large; what was written before is as it was.
            OSError: the folder cannot be written.
        """
        document = state.document
        if document.clip is None:
            return
        with self.lock, self._folder.writing(is_counted=False) as folder:
            found = contents(document, document.clip, state.geometry.cloud)
            self._rows = {entry: (value, self._row(folder / PARTS, entry, value)) for entry, value in found.items()}
            files = {entry: row for entry, (_, row) in self._rows.items()}
            KEPT_BYTES.check(sum(row["bytes"] for row in files.values()), "this page's work has", "delete takes")
            manifest = manifest_text(
                document, document.clip, state.geometry.known_fov_y_rad, files, state.geometry.flat_on
            )
            if manifest != self._manifest:
                write_text(folder / MANIFEST, manifest)
                self._manifest = manifest
                named = {row["sha256"] for row in files.values()}
                for part in (folder / PARTS).iterdir():
                    if part.name not in named:
                        part.unlink(missing_ok=True)

    def close(self) -> None:
        """Write what has not been written yet; nothing is written after this."""
        self._rest.close()
        with self.lock:
            self._write_newest()
            self._newest = None

    def _row(self, parts: Path, entry: str, value: Any) -> dict[str, Any]:
        """Size and hash of a part, which is written unless it is there."""
        if entry in self._rows and self._rows[entry][0] is value:
            row = self._rows[entry][1]
            if (parts / row["sha256"]).exists():
                return row
        with room_for(Path(entry)):
            parts.mkdir(mode=0o700, exist_ok=True)
            fresh = parts / f"new{Path(entry).suffix}"
            fresh.unlink(missing_ok=True)  # it may be a second name of a take, which must not be written into
            try:
                write_content(fresh, value)
                row = fingerprint(fresh)
                fresh.replace(parts / row["sha256"])
            except FileNotFoundError:
                raise InputError(f"{entry} is gone from the disk; delete that take, or begin anew") from None
            finally:
                fresh.unlink(missing_ok=True)  # two names of one file are not made one by `replace`
        return row

    def _write_at_rest(self) -> None:
        if not self.lock.acquire(blocking=False):  # a slow disk is at the last write: no thread more waits for it
            self._rest.touch()
            return
        try:
            self._write_newest()
        finally:
            self.lock.release()

    def _write_newest(self) -> None:
        if self._newest is None:
            return
        try:
            self.write(self._newest)
        except (InputError, OSError) as error:  # the person goes on working; the next take says why it is refused
            logger.warning("what a page works on could not be kept: %s", error)


def _matters(state: State) -> tuple[Any, ...]:
    return state.document, state.geometry.cloud, state.geometry.known_fov_y_rad, state.geometry.flat_on
