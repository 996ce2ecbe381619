"""Rows: what was measured on one window, column by column, and figures of many of them."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

Row = dict[str, float]
"""Rows are kept by the key of their window, `clip/stride/start`."""


@contextlib.contextmanager
def timed(row: Row, name: str) -> Iterator[None]:
    """Put the CPU seconds of the block into the row: what else runs on the machine counts little, threads all do."""
    started = time.process_time()
    yield
    row[name] = time.process_time() - started


def _clip(key: str) -> str:
    return key.split("/")[0]


def stride_of(key: str) -> int:
    return int(key.split("/")[1])


def by_clip(rows: Mapping[str, Row]) -> dict[str, dict[str, Row]]:
    clips = dict.fromkeys(_clip(key) for key in rows)
    return {clip: {key: row for key, row in rows.items() if _clip(key) == clip} for clip in clips}


def means(rows: Mapping[str, Row], column: str, label: str) -> dict[str, float]:
    """Mean over all windows and over those of each clip; nothing where no row has the column."""
    figures = summary(rows, column, label, statistics.fmean)
    for clip, chosen in by_clip(rows).items():
        figures |= summary(chosen, column, f"{label}, {clip}", statistics.fmean)
    return figures


def summary(
    rows: Mapping[str, Row], column: str, label: str, reduce: Callable[[list[float]], float]
) -> dict[str, float]:
    values = [row[column] for row in rows.values() if column in row and math.isfinite(row[column])]
    return {label: reduce(values)} if values else {}
