"""Curves of the logs of a training as pictures."""

from __future__ import annotations

import csv
import math
from pathlib import Path

VALIDATION_LOG = "validation.csv"

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
        w, h = 4 * across, 2.6 * math.ceil(len(curves) / across)
        figure = Figure(figsize=(w, h))  # without a layout of Matplotlib's own, which draws everything three times
        figure.subplots_adjust(0.55 / w, 0.5 / h, 1 - 0.1 / w, 1 - 0.3 / h, wspace=0.2, hspace=0.5)
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
