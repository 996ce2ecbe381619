"""Curves of the logs of a training, or of several side by side, as pictures."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from rap.errors import InputError

VALIDATION_LOG = "validation.csv"

SMOOTHING_ROWS = 25
"""Of a log with a row of one batch each, taken together in a comparison: single batches vary more than runs do."""

Columns = dict[str, list[float]]


def plot_run(folder: Path) -> str:
    """Write `log.png` and `validation.png` beside the logs of a training; matplotlib comes with the extra `train`.

    Returns:
        A sentence that says what was written, or why nothing was.
    """
    try:
        from matplotlib.figure import Figure  # pyright: ignore[reportMissingImports]  an extra
    except ImportError:
        return "no curves were drawn: matplotlib is missing; pip install 'rays-as-pixels[train]'"
    written = []
    for name in ("log.csv", VALIDATION_LOG):
        columns = read_columns(folder / name)
        x = columns.pop("step", [])
        curves = {key: values for key, values in columns.items() if key != "seconds"}
        if not x or not curves:
            continue
        across = min(3, len(curves))
        figure = Figure(figsize=(4 * across, 2.6 * math.ceil(len(curves) / across)), layout="constrained")
        for k, (key, values) in enumerate(curves.items()):
            axes = figure.add_subplot(math.ceil(len(curves) / across), across, k + 1)
            axes.plot(x, values, linewidth=1, marker="." if len(x) < 30 else "")
            axes.set_title(key, fontsize=9)
            axes.set_xlabel("step", fontsize=8)
            axes.grid(alpha=0.3)
            if key.startswith("loss") and min(values) > 0:
                axes.set_yscale("log")
        path = folder / Path(name).with_suffix(".png")
        figure.savefig(path, dpi=90)
        written.append(str(path))
    return f"curves: {', '.join(written)}" if written else f"no curves were drawn: {folder} holds no logs with rows"


def read_columns(path: Path) -> Columns:
    """The numbers of a CSV file by the names of its columns; nothing where there is no such file."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: [float(row[key]) for row in rows] for key in rows[0]} if rows else {}


@dataclass(frozen=True)
class RunComparison:
    """Curves of several trainings in one picture, over the time each has spent.

    `runs` are the folders of trainings (`--out` of `rap train model`), separated by commas; their names become the
    legend. `out` is the picture, `.png` or `.svg`.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("runs",)

    runs: str = ""
    out: str = "curves.png"
    threads: int = 0


def run_comparison(settings: RunComparison) -> None:
    """Draw the losses and the validation figures that any of the runs has.

    Raises:
        InputError: a folder holds no log, or matplotlib is missing.
    """
    folders = [Path(name) for name in settings.runs.split(",") if name]
    logs = {}
    for folder in folders:
        log = _over_minutes(folder)
        if not log:
            raise InputError(f"--runs: {folder} holds no log.csv with rows; give the --out of a training")
        logs[folder.name] = log
    try:
        from matplotlib.figure import Figure  # pyright: ignore[reportMissingImports]  an extra
    except ImportError as error:
        raise InputError("matplotlib is missing; pip install 'rays-as-pixels[train]'") from error
    names = list(dict.fromkeys(name for log in logs.values() for name in log))
    across = min(4, len(names))
    down = math.ceil(len(names) / across)
    figure = Figure(figsize=(3.4 * across, 2.5 * down), layout="constrained")
    for k, name in enumerate(names):
        axes = figure.add_subplot(down, across, k + 1)
        for colour, (run, log) in enumerate(logs.items()):
            if name in log:
                marker = "." if len(log[name][0]) < 30 else ""
                axes.plot(*log[name], color=f"C{colour}", linewidth=1, marker=marker, label=run)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("minutes", fontsize=8)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(settings.out, dpi=90)
    print(f"curves of {', '.join(logs)} in {settings.out}")


def _over_minutes(folder: Path) -> Mapping[str, tuple[list[float], list[float]]]:
    """Curves by name: minutes, and losses averaged over some rows or validation figures as they are."""
    curves = {}
    for file, rows in (("log.csv", SMOOTHING_ROWS), (VALIDATION_LOG, 1)):
        columns = read_columns(folder / file)
        count = len(columns.get("seconds", []))
        ends = list(range(0, count + 1, max(1, min(rows, count))))  # a log shorter than a group is one
        for name, values in columns.items():
            if name.startswith("loss") or (file == VALIDATION_LOG and name not in ("step", "seconds")):
                minutes = [sum(columns["seconds"][a:b]) / (b - a) / 60 for a, b in pairwise(ends)]
                curves[name] = minutes, [sum(values[a:b]) / (b - a) for a, b in pairwise(ends)]
    return curves
