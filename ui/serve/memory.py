"""How much memory this process has needed, and how it goes back to the system."""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import Any

M_ARENA_MAX, HEAPS = -8, 2  # the first is of glibc's malloc.h


def peak_memory_bytes() -> int | None:
    """Most bytes in use so far: on the GPU where there is one, else of the process; None where that is not told."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def give_back() -> None:
    """Hand what has been freed back to the system, where the C library keeps it (glibc; elsewhere nothing is done).

    glibc returns only the end of each thread's heap, and one small block that lives on keeps all before it.
    """
    if _trim is not None and _trimming.acquire(blocking=False):  # another thread is at it: once is enough
        try:
            _trim(0)
        finally:
            _trimming.release()


def keep_few_heaps() -> None:
    """Have the threads to come share two heaps (glibc; elsewhere nothing is done).

    Else each of some forty threads of a busy app has one of its own, and each keeps what lies between blocks in use.
    """
    if _set_option is not None:
        _set_option(M_ARENA_MAX, HEAPS)


_library = ctypes.CDLL(None) if sys.platform == "linux" else None
_trim, _set_option = (getattr(_library, name, None) for name in ("malloc_trim", "mallopt"))
_trimming = threading.Lock()
