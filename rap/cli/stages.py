"""What a command is at, on stderr: nothing that takes long goes on behind a bar that has come to its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def stage(label: str) -> Iterator[None]:
    """A line for a stage whose steps cannot be counted: what it is, then how long it took."""
    begun = time.perf_counter()
    print(f"{label} …", file=sys.stderr, flush=True)
    yield
    print(f"{label}: {time.perf_counter() - begun:.1f} s", file=sys.stderr, flush=True)


def counted(items: Iterable[Item], total: int, label: str, unit: str = "frame") -> Iterator[Item]:
    """A bar for one whose steps can."""
    from tqdm import tqdm

    yield from tqdm(items, desc=label, total=total, unit=unit, file=sys.stderr)
