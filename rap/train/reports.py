"""The log of a training: a CSV file always, a dashboard where one was asked for."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from rap.errors import InputError
from rap.train.settings import ModelTraining
from rap.train.state import CsvLog

COLUMNS = ("step", "loss_video", "loss_rays", "grad_norm", "rate", "seconds")

PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb"}
"""What each `--report` needs, none of which any extra brings."""


class TrainingLog:
    """Rows of COLUMNS into `out/log.csv`, and to TensorBoard (`out/tensorboard`) or Weights & Biases as they come.

    Raises:
        InputError: the package that `settings.report` needs is missing.
    """

    def __init__(self, out: Path, settings: ModelTraining, start: int) -> None:
        self._csv = CsvLog(out / "log.csv", COLUMNS, start)
        self._send = None
        if settings.report:
            self._send = _sender(settings.report, out, settings)

    def write(self, *values: float) -> None:
        """One row."""
        self._csv.write(*values)
        if self._send is not None:
            step, *figures = values
            self._send(dict(zip(COLUMNS[1:], figures, strict=True)), int(step))


def _sender(report: str, out: Path, settings: ModelTraining) -> Any:
    try:
        return _tensorboard(out) if report == "tensorboard" else _wandb(out, settings)
    except ImportError as error:
        package = PACKAGES[report]
        raise InputError(f"--report {report}: the package {package} is missing; pip install {package}") from error


def _tensorboard(out: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return partial(_to_board, SummaryWriter(out / "tensorboard"))


def _to_board(writer: Any, figures: dict[str, float], step: int) -> None:
    for name, value in figures.items():
        writer.add_scalar(name, value, step)
    writer.flush()


def _wandb(out: Path, settings: ModelTraining) -> Any:
    import wandb  # pyright: ignore[reportMissingImports]

    return wandb.init(project="rays-as-pixels", dir=out, config=dataclasses.asdict(settings), resume="allow").log
