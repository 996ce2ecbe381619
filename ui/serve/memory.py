"""How much memory this process has needed, and how it goes back to the system."""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import Any


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


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
_trimming = threading.Lock()
