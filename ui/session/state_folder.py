"""The state folder: what pages work on, so that a browser finds it again after its tab or the app has ended.

    <root>/rap-app-<random>/<hash>/   sessions that are open in a running app, which holds the lock in there
    <root>/kept/<hash>/               sessions that are not: a manifest and its parts, for a day

<hash> is the SHA-256 of the session's id: who reads the folder's names cannot open a session. A session goes from one
place to the other by a rename, which only one of two apps can win. What lies here otherwise is left alone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rap.errors import InputError
from rap.limits import EXPORT_SECONDS, KEPT_BYTES, KEPT_BYTES_IN_ALL, KEPT_SECONDS, KEPT_SPARE_BYTES
from ui.serve.in_use import LOCK, hold, left_folders, remove_orphans
from ui.session.folder import PREFIX, SessionFolder
from ui.session.session_archive import MANIFEST, PARTS, SHA256

SESSION_ID = re.compile(r"[\w-]{43}", re.ASCII)
APP_PREFIX, TEMPORARY_PREFIX = "rap-app-", "rap-state-"
KEPT = "kept"
SWEEP_S = 3_600.0
LETTING_GO_S = 10.0
FULL = "The server has no room for more takes and exports; delete takes, or try again in ten minutes."

logger = logging.getLogger(__name__)


def opened(named: str | None) -> StateFolder:
    """The state folder of this name; without one the user's own, and where that cannot be written a temporary one.

    Raises:
        InputError: the folder that was named cannot be written.
    """
    try:
        return StateFolder(Path(named) if named else default_root())
    except (OSError, RuntimeError) as error:  # the latter: there is no home folder
        reason = getattr(error, "strerror", None) or error
        if named:
            raise InputError(f"--state {named}: cannot be written ({reason}); name another folder") from None
    print(
        f"rap: the cache folder cannot be written ({reason}), so what pages work on ends with the app; name a folder "
        "with --state DIR",
        file=sys.stderr,
    )
    remove_orphans(Path(tempfile.gettempdir()), TEMPORARY_PREFIX)
    return StateFolder(Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX)), is_temporary=True)


def default_root() -> Path:
    """In the user's cache, where the XDG base directory specification has it.

    Raises:
        RuntimeError: the user has no home folder.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))  # the specification: one that is not absolute is to be ignored
    if not cache.is_absolute():
        cache = Path.home() / ".cache"
        if cache.parent == Path(cache.anchor):  # what users without one are given
            raise RuntimeError("there is no home folder")
    return cache / "rays-as-pixels"


class StateFolder:
    """The part of a running app in a state folder, which several apps may share.

    Args:
        root: made where it is missing.
        is_temporary: removed with the app.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, root: Path, is_temporary: bool = False) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root, self._is_temporary = root.resolve(), is_temporary
        self._kept = self.root / KEPT
        self._mine = Path(tempfile.mkdtemp(prefix=APP_PREFIX, dir=self.root))
        self._locks: list[int | None] = []
        self._lock, self._released = threading.Lock(), threading.Condition()
        self._stand()
        self._sizes: dict[str, int] = {}  # bytes by a session's hash, open or not
        self._ended = threading.Event()
        self._warn_of_foreign()
        self.sweep()
        threading.Thread(target=self._sweep_on_schedule, name="state", daemon=True).start()

    def folder(self, session_id: str) -> SessionFolder:
        """Of a session that is open here, claimed or new."""
        self._stand()
        path = self._mine / key(session_id)
        path.mkdir(mode=0o700, exist_ok=True)
        return SessionFolder(path, self.release, self.make_room)

    def scratch(self, session_id: str) -> SessionFolder:
        """Of a session that nobody comes back to; the id is not used, nor anything by which it were found."""
        self._stand()
        return SessionFolder(Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._mine)))

    def _stand(self) -> None:
        """Make what is missing: people clear their caches while apps run."""
        with self._lock:
            self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self._mine, self.root) if self._is_temporary else (self._mine,):
                folder.mkdir(mode=0o700, exist_ok=True)
                if not (folder / LOCK).exists():
                    self._locks.append(hold(folder))

    def claim(self, session_id: str) -> Path | None:
        """Take a session that was kept; None where there is none. `release` gives it back.

        Raises:
            InputError: another app that runs with this folder has it.
        """
        if not SESSION_ID.fullmatch(session_id):
            return None
        name = key(session_id)
        with self._released:  # a worker may still be writing into one that has just ended
            self._released.wait_for(lambda: not (self._mine / name).exists(), LETTING_GO_S)
        for _ in range(2):
            kept = self._kept / name
            if kept.is_dir() and not kept.is_symlink():
                with suppress(OSError):  # another app was faster
                    return kept.rename(self._mine / name)
            self._adopt_all()  # an app that ended meanwhile may have had it
        if any(self.root.glob(f"{APP_PREFIX}*/{name}")):
            raise InputError("this page's session is open in another app that runs with the same state folder")
        return None

    def release(self, path: Path) -> None:
        """A session has ended: keep its manifest and what that names, for it to be claimed; nothing else."""
        with self._lock:
            self._sizes.pop(path.name, None)
        self._keep(path, time.time())
        with self._released:
            self._released.notify_all()

    def make_room(self, path: Path, in_use: set[Path]) -> None:
        """Before something is written that counts: what is not in use goes where room is short, the oldest first.

        Raises:
            InputError: this session, or all of them, have as much as they may.
        """
        self._stand()
        held = _bytes(path)
        for file in _unused(path, in_use) if held > KEPT_BYTES.value else ():
            file.unlink(missing_ok=True)
            held = _bytes(path)
            if held <= KEPT_BYTES.value:
                break
        KEPT_BYTES.check(
            held, "this page's takes and exports have", "delete takes, or export again in an hour: they count so long"
        )
        with self._lock:
            self._sizes[path.name] = held
            for kept in () if self._has_room() else self._oldest_first():
                self._forget(kept)
                if self._has_room():
                    break
            if self._total() > KEPT_BYTES_IN_ALL.value:
                raise InputError(FULL)

    def sweep(self) -> None:
        """Take over what apps that were killed have left, and remove what nobody has come back to."""
        self._stand()
        self._adopt_all()
        for open_ in self._mine.iterdir():
            if SHA256.fullmatch(open_.name):
                with suppress(OSError):
                    os.utime(open_)  # if this app is killed, its day begins about now
        with self._lock:
            for kept in self._oldest_first():
                with suppress(FileNotFoundError):  # another app of this folder has claimed it
                    age = time.time() - kept.lstat().st_mtime
                    if age > KEPT_SECONDS.value:
                        self._forget(kept)
                    elif age < 0:  # a clock that was set back: its day begins now
                        os.utime(kept)
            self._sizes = {path.name: _bytes(path) for path in (*self._oldest_first(), *self._mine.iterdir())}

    def close(self) -> None:
        """The app ends; its sessions have."""
        self._ended.set()
        for descriptor in filter(None, self._locks):
            os.close(descriptor)
        self._locks = []
        if self._is_temporary:
            shutil.rmtree(self.root, ignore_errors=True)
        else:
            self._adopt(self._mine)

    def _adopt_all(self) -> None:
        for folder in left_folders(self.root, APP_PREFIX):
            logger.info("taking over the sessions of an app that was killed")
            self._adopt(folder)

    def _adopt(self, app: Path) -> None:
        """Another app may be at the same: each rename has one winner."""
        try:
            left = list(app.iterdir())
        except FileNotFoundError:  # all of it has been taken over
            return
        for path in left:
            if SHA256.fullmatch(path.name) and not path.is_symlink() and path.is_dir():
                with suppress(FileNotFoundError):
                    self._keep(path, path.stat().st_mtime)
        shutil.rmtree(app, ignore_errors=True)

    def _keep(self, path: Path, used_at: float) -> None:
        """Among those that may be claimed, without what the manifest does not name; gone where there is no manifest."""
        if not (path / MANIFEST).is_file():
            shutil.rmtree(path, ignore_errors=True)
            return
        for entry in path.iterdir():
            if entry.name not in (MANIFEST, PARTS):
                _remove(entry)
        os.utime(path, (used_at, used_at))
        size, target = _bytes(path), self._kept / path.name
        try:
            path.rename(target)
        except FileNotFoundError:  # another app was faster
            raise
        except OSError:  # there is one of this name already, which can only be older
            shutil.rmtree(target, ignore_errors=True)
            path.rename(target)
        with self._lock:
            self._sizes[path.name] = size

    def _oldest_first(self) -> list[Path]:
        """Sessions that are not open; links and strange names are not ours."""
        found = []
        for entry in _sessions(self._kept):
            with suppress(FileNotFoundError):  # another app of this folder has claimed it
                found.append((entry.stat(follow_symlinks=False).st_mtime, Path(entry.path)))
        return [path for _, path in sorted(found)]

    def _forget(self, kept: Path) -> None:
        self._sizes.pop(kept.name, None)
        shutil.rmtree(kept, ignore_errors=True)

    def _has_room(self) -> bool:
        return self._total() <= KEPT_BYTES_IN_ALL.value and self._spare() >= KEPT_SPARE_BYTES.value

    def _total(self) -> int:
        return sum(self._sizes.values())

    def _spare(self) -> int:
        return shutil.disk_usage(self.root).free

    def _warn_of_foreign(self) -> None:
        known = {entry.name for entry in _sessions(self._kept)}
        foreign = sorted(entry.name for entry in self._kept.iterdir() if entry.name not in known)
        if foreign:
            words = "%d entries of the state folder's %s are no sessions and left alone, %s first"
            logger.warning(words, len(foreign), KEPT, ascii(foreign[0]))

    def _sweep_on_schedule(self) -> None:
        while not self._ended.wait(SWEEP_S):
            try:
                self.sweep()
            except OSError as error:
                logger.warning("the state folder could not be swept: %s", error)


def key(session_id: str) -> str:
    """What a session's folder is called."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def _sessions(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (e for e in entries if SHA256.fullmatch(e.name) and e.is_dir(follow_symlinks=False))


def _unused(path: Path, in_use: set[Path]) -> list[Path]:
    """Exports that the page offers no more, takes that it has no more: the oldest first."""
    kept = (path / MANIFEST, *(path / PARTS).glob("*"))
    files = [file for file in path.rglob("*") if file.is_file() and file not in in_use and file not in kept]
    found = sorted((file.stat().st_mtime, file) for file in files)
    return [file for at, file in found if time.time() - at > EXPORT_SECONDS.value]


def _bytes(folder: Path) -> int:
    """Of all files in a folder; one with several names counts once. What goes meanwhile counts for nothing."""
    sizes: dict[int, int] = {}
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                stat = os.lstat(os.path.join(at, name))
                sizes[stat.st_ino] = stat.st_size
    return sum(sizes.values())


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)
