"""A figure, what it demands, and how it is taken: next to its reference, the two in turns."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

MATMUL_SIDE = 2048
"""Of the square matrix product that a rate is compared with."""


@dataclass(frozen=True)
class Pairs:
    """Seconds of reference and candidate, measured in turns."""

    reference_s: tuple[float, ...]
    candidate_s: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median over the pairs of candidate / reference."""
        return statistics.median(c / r for r, c in zip(self.reference_s, self.candidate_s, strict=True))


@dataclass(frozen=True)
class Figure:
    """One measured demand. `value` is what is compared with `limit`; `figures` are what it was made of."""

    name: str
    what: str
    value: float
    relation: str  # ">=", "<=" or "<"
    limit: float
    figures: dict[str, float]

    @property
    def reached(self) -> bool:
        """Whether the demand is met."""
        return {">=": self.value >= self.limit, "<=": self.value <= self.limit, "<": self.value < self.limit}[
            self.relation
        ]

    def lines(self) -> list[str]:
        """For a person."""
        mark = "reached" if self.reached else "MISSED"
        head = f"{self.name}: {self.what} = {self.value:.4g} ({self.relation} {self.limit:g}: {mark})"
        return [head, *(f"    {name} = {value:.4g}" for name, value in self.figures.items())]


def report(found: list[Figure], threads: int) -> dict[str, Any]:
    """What --json prints."""
    return {
        "date": date.today().isoformat(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "benchmarks": {figure.name: {**asdict(figure), "reached": figure.reached} for figure in found},
    }


def in_turns(reference: Callable[[], object], candidate: Callable[[], object], repeats: int) -> Pairs:
    """Time both `repeats` times, the reference before and after each candidate; its two times are averaged."""
    reference_s, candidate_s = [], []
    before = seconds(reference)
    for _ in range(repeats):
        candidate_s.append(seconds(candidate))
        after = seconds(reference)
        reference_s.append((before + after) / 2)
        before = after
    return Pairs(tuple(reference_s), tuple(candidate_s))


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def measured_cores(run: Callable[[], object], repeats: int = 5) -> float:
    """Cores that a call kept busy: CPU time of the process over wall time."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        run()
    return (time.process_time() - cpu) / (time.perf_counter() - wall)
