"""How much memory this process has needed."""

from __future__ import annotations

import sys
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
