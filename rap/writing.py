"""Files that are whole or not there: written beside their place, under another name, and then put into it."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rap.errors import InputError

NO_ROOM = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)}
"""A full disk, a person's share of it that is used up, a file larger than the system or a limit allows."""


class NoRoom(InputError):
    """There is no room for a file; nothing of it was left behind."""


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A name to write to, in the folder of `path` (made if missing) and with its suffix.

    When the block ends, what was written takes the place of `path`; when it fails, `path` is as it was before.

    Raises:
        NoRoom: the disk is full.
    """
    path = Path(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")  # short: a long name may fill its limit
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Says in words that the disk is full, when what is written within finds that."""
    try:
        yield
    except Exception as error:
        number = getattr(error, "errno", None)  # FFmpeg's errors have it, and are no OSError
        if number not in NO_ROOM:
            raise
        reason = getattr(error, "strerror", None) or error
        raise NoRoom(
            f"{path.name}: there is no room to write it ({reason}); nothing of it was kept, free some space"
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """A whole text file, UTF-8 with line ends as they are."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
