"""Folders of running apps: which of them belong to nobody any more because their app was killed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

LOCK = ".in-use"  # held as long as the process lives, where the system has such locks
ORPHAN_S = 86_400.0  # where there are no locks: a folder that nobody has touched for so long is nobody's


def hold(folder: Path) -> int | None:
    """Mark a folder as this process's for as long as it lives: the lock's descriptor; None where there are no locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    path = folder / LOCK
    unheld = path.with_suffix(".new")  # under its name only when it is locked, or another app would take it
    descriptor = os.open(unheld, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unheld.rename(path)
    return descriptor


def left_folders(parent: Path, prefix: str) -> list[Path]:
    """The folders with this prefix whose apps ended without removing them (kill -9, a lost machine)."""
    return [f for f in parent.glob(f"{prefix}*") if f.is_dir() and not f.is_symlink() and _is_left(f)]


def remove_orphans(parent: Path, prefix: str) -> None:
    """Remove what is left of such apps."""
    for folder in left_folders(parent, prefix):
        shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    is_old = False
    try:
        is_old = time.time() - folder.stat().st_mtime > ORPHAN_S
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:  # where there are no locks, or one that is being made at this moment
        return is_old
    except OSError:  # another user's
        return False
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return is_old
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
