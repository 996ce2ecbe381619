"""The folder of what visitors upload: what of it an event may name, whose bytes lie there, and what is left over.

Gradio keeps an upload as <root>/<hash>/<name>. The hash is that of a secret of this process and of the content, so that
the path is a key: whoever does not have it from the page that uploaded, or the very content, cannot name the file.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rap import limits
from ui.serve.in_use import LOCK, hold, remove_orphans
from ui.serve.refusals import Refused

HASH = re.compile(r"[0-9a-f]{64}")
PREFIX = "rap-uploads-"
SWEEP_S = 3_600.0
PRUNE_S = 2.0  # between two looks at which of the counted files are still there
NOT_STORED = "A file that this app has not stored was named; upload it, then use what the upload answers."


@dataclass(frozen=True)
class _Stored:
    visitor: str
    size: int


class Storage:
    """The folder of one running app, unguessable, readable by nobody else, and gone when the app ends.

    Args:
        parent: where it is made.
    """

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        remove_orphans(parent, PREFIX)
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()
        self.secret = secrets.token_bytes(32)
        self._lock_file = hold(self.root)
        self._stored: dict[str, _Stored] = {}
        self._coming: Counter[str] = Counter()  # bytes on their way, by visitor
        self._bytes: Counter[str] = Counter()  # that lie here, by visitor
        self._files: Counter[str] = Counter()
        self._uploads = 0
        self._lock = threading.Lock()
        self._pruned_at = 0.0
        self._ended = threading.Event()
        threading.Thread(target=self._sweep_on_schedule, name="uploads", daemon=True).start()

    def stored(self, path: str) -> Path:
        """The stored file at `path`.

        Raises:
            Refused: it is no file that was stored here; the sentence says no more, whatever lies there.
        """
        candidate = Path(path) if "\0" not in path else Path()
        is_here = candidate.parent.parent == self.root and HASH.fullmatch(candidate.parent.name) is not None
        try:
            # as it is spelled: a link, a dot or a second slash would make two names of one file
            is_file = is_here and stat.S_ISREG(os.lstat(path).st_mode) and os.path.realpath(path) == path
        except (OSError, ValueError):  # too long a name, nothing there
            is_file = False
        if not is_file:
            raise Refused(403, NOT_STORED)
        return candidate

    def begin(self, visitor: str, size: int) -> None:
        """An upload begins, and says to have `size` bytes (0: does not say). `take` and `end` follow.

        Raises:
            Refused: there is no room for it.
        """
        with self._lock:
            self._prune()
            self._uploads += 1
        try:
            self._check(visitor, size)
        except Refused:
            self.end(visitor, 0, ())
            raise

    def take(self, visitor: str, size: int) -> None:
        """So many bytes more have come.

        Raises:
            Refused: they do not fit.
        """
        with self._lock:
            self._coming[visitor] += size
        self._check(visitor, 0)

    def end(self, visitor: str, came: int, paths: Iterable[str]) -> None:
        """An upload has ended: `came` bytes were taken, and these files are what was stored of it."""
        with self._lock:
            self._uploads -= 1
            self._coming[visitor] -= came
            if not self._coming[visitor]:
                del self._coming[visitor]
            for path in paths:
                try:
                    # two who upload the same content have one file; it is counted for the last of them
                    self._stored[path] = _Stored(visitor, self.stored(path).stat().st_size)
                except (Refused, OSError):
                    continue
            self._count()
            if not self._uploads:
                self._remove_loose(0.0)

    def held(self, visitor: str) -> int:
        """Bytes that lie here, or are on their way, for one visitor."""
        with self._lock:
            return self._coming[visitor] + self._bytes[visitor]

    def sweep(self) -> None:
        """Remove what no upload, no session and no other running app needs: pieces, empty folders, orphans."""
        old_s = limits.UPLOAD_PIECE_SECONDS.value
        with self._lock:
            self._remove_loose(old_s)
            for folder in self.root.iterdir():
                if folder.is_dir() and time.time() - folder.stat().st_mtime > old_s and not any(folder.iterdir()):
                    folder.rmdir()
            self._pruned_at = 0.0
            self._prune()
        remove_orphans(self.root.parent, PREFIX)

    def close(self) -> None:
        """Remove the folder; nothing may be uploaded after this."""
        self._ended.set()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
        shutil.rmtree(self.root, ignore_errors=True)

    def _check(self, visitor: str, size: int) -> None:
        with self._lock:
            held, files = self._bytes[visitor] + self._coming[visitor] + size, self._files[visitor]
            total = self._bytes.total() + self._coming.total() + size
        if held > limits.UPLOADED_BYTES.value:
            most = limits.UPLOADED_BYTES.value / (1 << 30)
            raise Refused(413, f"This makes more than {most:.2g} GB within an hour; upload less, or later.", 600)
        if files > limits.UPLOADED_FILES.value:
            raise Refused(413, f"More than {limits.UPLOADED_FILES.value} files within an hour; upload fewer.", 600)
        free = shutil.disk_usage(self.root).free * limits.UPLOAD_DISK_PERCENT.value / 100
        if total > limits.UPLOADED_BYTES_IN_ALL.value or size > free:
            raise Refused(507, "The server has no room for this upload; try again in ten minutes.", 600)

    def _prune(self) -> None:
        if time.monotonic() - self._pruned_at < PRUNE_S:
            return
        self._pruned_at = time.monotonic()
        self._stored = {path: stored for path, stored in self._stored.items() if os.path.lexists(path)}
        self._count()

    def _count(self) -> None:
        self._bytes, self._files = Counter(), Counter()
        for stored in self._stored.values():
            self._bytes[stored.visitor] += stored.size
            self._files[stored.visitor] += 1

    def _remove_loose(self, older_than_s: float) -> None:
        """Files beside the folders are pieces of uploads that were cut."""
        for entry in os.scandir(self.root):
            if entry.name == LOCK or not entry.is_file(follow_symlinks=False):
                continue
            if time.time() - entry.stat(follow_symlinks=False).st_mtime >= older_than_s:
                Path(entry.path).unlink(missing_ok=True)

    def _sweep_on_schedule(self) -> None:
        while not self._ended.wait(SWEEP_S):
            self.sweep()
