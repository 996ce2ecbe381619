"""How far a mean would move with other clips: percentile bootstrap (Efron, Annals of Statistics 1979, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
COVERED = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean with its interval of 95 %.

    Attributes:
        low, high: None where there is nothing to draw from but one value.
        count: values it is of.
        groups: recordings they come from.
    """

    value: float
    low: float | None
    high: float | None
    count: int
    groups: int


def mean_of(values: Sequence[float], groups: Sequence[str], seed: int = 0) -> Mean:
    """Mean over groups of the mean of each group's values, and its interval.

    Windows of one recording overlap and look alike, so that recordings are drawn, each with all its windows; of a
    single recording its windows are, and the interval is then narrower than it should be.

    Args:
        values: (N,) finite.
        groups: (N,) the recording of each.

    Raises:
        ValueError: no values, or not one group for each.
    """
    if len(values) == 0 or len(values) != len(groups):
        raise ValueError(f"values must be one or more, each with its group, got {len(values)} and {len(groups)}")
    numbers, names = np.asarray(values, dtype=np.float64), np.asarray(groups)
    each = np.array([numbers[names == name].mean() for name in dict.fromkeys(groups)])
    drawn = each if len(each) > 1 else numbers
    if len(drawn) == 1:
        return Mean(float(each.mean()), None, None, len(numbers), len(each))
    picks = np.random.default_rng(seed).integers(0, len(drawn), (DRAWS, len(drawn)))
    tail = (1 - COVERED) / 2
    low, high = np.quantile(drawn[picks].mean(axis=1), [tail, 1 - tail])
    return Mean(float(each.mean()), float(low), float(high), len(numbers), len(each))
