"""Means with their intervals, Frechet distances, and tables in Markdown, from rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rap.evaluation.bootstrap import mean_of
from rap.evaluation.frechet import frechet_distance
from rap.evaluation.rows import Results, Row

Summary = dict[str, dict[str, Any]]
"""By protocol and group: "windows", "recordings", "failed" {key: why}, "methods" {method: {measure: mean}}."""


@dataclass(frozen=True)
class Column:
    """Of a table: which measure, what it is called, and how exactly it is told."""

    measure: str
    title: str
    digits: int = 2


@dataclass(frozen=True)
class Table:
    """What of a protocol stands in one table: the methods that have any of its measures."""

    title: str
    protocols: tuple[str, ...]
    columns: tuple[Column, ...]


TABLES = (
    Table(
        "Poses",
        ("pose",),
        tuple(
            Column(f"{name}{degrees}", f"{title}@{degrees}")
            for name, title in (("auc", "AUC"), ("rra", "mRRA"), ("rta", "mRTA"))
            for degrees in (5, 15, 30)
        ),
    ),
    Table(
        "Paths",
        ("pose",),
        (
            Column("rotation_deg_median", "rotation (deg)", 1), Column("r_err", "R_err (rad)"),
            Column("t_err", "T_err"), Column("focal_error_percent", "focal error %", 0),
            Column("registered_share", "registered"), Column("refined_share", "refined"),
        ),
    ),
    Table(
        "Videos",
        ("generate", "loop"),
        (
            Column("psnr_db", "PSNR (dB)", 1), Column("ssim", "SSIM"), Column("hole_psnr_db", "PSNR in holes", 1),
            Column("seen_share", "seen"), Column("frechet", "Frechet", 0),
        ),
    ),
    Table(
        "Paths that the videos show",
        ("generate", "loop"),
        tuple(
            Column(f"{judge}_{name}", f"{title}, by {'tracks' if judge == 'tracks' else 'the model'}", digits)
            for judge in ("model", "tracks")
            for name, title, digits in (
                ("r_err", "R_err (rad)", 2), ("t_err", "T_err", 2), ("rotation_deg_median", "rotation (deg)", 1),
                ("auc30", "AUC@30", 2),
            )
        )
        + (Column("tracks_share", "tracks tell a path"),),
    ),
    Table(
        "Sampled paths",
        ("joint",),
        (
            Column("clear_share", "free of collisions"), Column("slow_share", "within the speed of films"),
            Column("both_share", "both"),
        ),
    ),
)  # fmt: skip


def summary(results: Results, networks: Sequence[str], seed: int) -> Summary:
    """Every mean of every method, by protocol and group.

    Args:
        networks: names of those whose Frechet distances are wanted.
    """
    found: Summary = {}
    for row in results.rows.values():
        found.setdefault(row.protocol, {}).setdefault(row.group, None)
    for protocol, groups in found.items():
        for group in groups:
            rows = [row for row in results.rows.values() if (row.protocol, row.group) == (protocol, group)]
            groups[group] = _of_group(results, rows, networks, seed)
    return found


def _of_group(results: Results, rows: list[Row], networks: Sequence[str], seed: int) -> dict[str, Any]:
    good = [row for row in rows if not row.failed]
    methods: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(name for row in good for name in row.figures):
        method, measure = name.rsplit("/", 1)
        pairs = [(row.figures[name], row.recording) for row in good if row.figures.get(name) is not None]
        if pairs:
            mean = mean_of([float(value or 0.0) for value, _ in pairs], [place for _, place in pairs], seed)
            methods.setdefault(method, {})[measure] = asdict(mean)
    for network in networks:
        for method, distance in _distances(results, good, network).items():
            methods.setdefault(method, {}).setdefault("frechet", {})[network] = distance
    recordings = len({row.recording for row in good})
    failed = {row.key: row.failed for row in rows if row.failed}
    return {"windows": len(good), "recordings": recordings, "failed": failed, "methods": methods}


def _distances(results: Results, rows: list[Row], network: str) -> dict[str, dict[str, float]]:
    """Frechet distance of each method's videos from the clips, and of how many samples it is."""
    sets: dict[str, list[np.ndarray]] = {}
    for row in rows:
        for name, features in results.features(row).items():
            method, of = name.split("|", 1)
            if of == network:
                sets.setdefault(method, []).append(features)
    joined = {method: np.concatenate(parts) for method, parts in sets.items()}
    truth = joined.pop("truth", np.zeros((0, 0)))
    return {
        method: {"value": frechet_distance(made, truth), "samples": len(made)}
        for method, made in joined.items()
        if min(len(made), len(truth)) > 1
    }


def markdown(found: Summary, network: str) -> str:
    """All tables; means with their 95 % intervals in brackets.

    Args:
        network: the one whose distances stand in them; all are in the summary.
    """
    parts = [
        text for table in TABLES for protocol in table.protocols if (text := _table(table, protocol, found, network))
    ]
    lines = [
        f"- {protocol}, {key}: {why}"
        for protocol, groups in found.items()
        for group in groups.values()
        for key, why in group["failed"].items()
    ]
    return "\n\n".join(parts + (["Not measured:\n\n" + "\n".join(lines)] if lines else []))


def _table(table: Table, protocol: str, found: Summary, network: str) -> str:
    """One table; nothing where no method has any of its measures."""
    groups = found.get(protocol, {})
    measured = [methods for group in groups.values() for methods in group["methods"].values()]
    columns = [column for column in table.columns if any(column.measure in methods for methods in measured)]
    rows = []
    for name, group in groups.items():
        label = f"{name} ({group['recordings']}/{group['windows']})"
        for method, measures in group["methods"].items():
            if any(column.measure in measures for column in columns):
                rows.append([label, method, *(_cell(measures, column, network) for column in columns)])
                label = ""
    if not rows:
        return ""
    titles = [f"{network} (samples)" if column.measure == "frechet" else column.title for column in columns]
    head = ["clips (recordings/windows)", "method", *titles]
    body = [head, ["---"] * len(head), *rows]
    title = f"**{table.title}**" if len(table.protocols) == 1 else f"**{table.title}, {protocol}**"
    return title + "\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in body)


def _cell(measures: dict[str, Any], column: Column, network: str) -> str:
    found = measures.get(column.measure)
    if found is None:
        return ""
    if column.measure == "frechet":
        return f"{found[network]['value']:.{column.digits}f} ({found[network]['samples']})" if network in found else ""
    value, low, high = found["value"], found["low"], found["high"]
    told = f"{value:.{column.digits}f}"
    return told if low is None else f"{told} [{low:.{column.digits}f}, {high:.{column.digits}f}]"
