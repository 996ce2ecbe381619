"""How much memory a take may hold beside the program itself: `--memory-gb`, a setting of the process, as the number of
its threads is.

What must be there whole is reckoned beforehand, and a take that needs more is refused (`check`); what is left says how
many frames are made at a time (`at_once`). Bytes were measured as what a process grows by: of photographs 960, 1280 and
1920 px long by 0.3, 0.3 and 0.8 GB, of 49 frames of a film 960 px long by 0.2.
"""

from __future__ import annotations

from rap.errors import InputError
from rap.limits import LEAST_TAKE_BYTES, TAKE_BYTES

Size = tuple[int, int]

GB = 1e9
DEFAULT_GB, LEAST_GB = TAKE_BYTES.value / GB, LEAST_TAKE_BYTES / GB
FIXED = 130_000_000
"""Bytes, whatever the size: what is looked up at a time, and what is decided small. (0.1 GB was measured where memory
that others had left was used again; of 960 x 720 it was 4 % too little.)"""

HELD = 320
"""Bytes a pixel of one frame: a picture's layers at its size and what is looked up of them, or a film's sources."""

KEPT = 6
"""Bytes a pixel of every frame until the video is written: as it was made, and in a row with the others."""

AT_WORK = 90
"""Bytes a pixel of each further frame that is at work: some twenty floats."""

_memory_bytes = DEFAULT_GB * GB


def set_memory_gb(gb: float) -> None:
    """Let takes hold so much from now on.

    Raises:
        InputError: less than LEAST_GB, or no number.
    """
    global _memory_bytes
    if not LEAST_GB <= gb < float("inf"):
        raise InputError(f"--memory-gb must be at least {LEAST_GB:g}, got {gb:g}; leave it out for {DEFAULT_GB:g}")
    _memory_bytes = gb * GB


def needed_bytes(size: Size, frames: int) -> int:
    """Of so many frames of (H, W), made one after the other."""
    return FIXED + size[0] * size[1] * (HELD + KEPT * frames)


def check(size: Size, frames: int) -> None:
    """Refuse a take that cannot be made within the memory that takes may hold.

    Raises:
        InputError: with what it needs, and what would do.
    """
    if (needed := needed_bytes(size, frames)) > _memory_bytes:
        raise InputError(
            f"{frames} frames of {size[1]} x {size[0]} need {needed / GB:.1f} GB beside the program, and takes may "
            f"hold {_memory_bytes / GB:g}; take a smaller size or fewer frames, or start with a larger --memory-gb"
        )


def at_once(size: Size, frames: int, most: int) -> int:
    """How many of so many frames of (H, W) are made at a time: as many as there is room for, from 1 to `most`."""
    spare = _memory_bytes - needed_bytes(size, frames)
    return max(1, min(most, 1 + int(spare // (AT_WORK * size[0] * size[1]))))
