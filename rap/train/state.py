"""What a training leaves on disk to go on from, and its log. Every file is renamed into place when complete."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rap.errors import InputError
from rap.train.average import RunningMean
from rap.train.ranks import Ranks
from rap.train.sharded import cut_as, first_row, rows, take

STATE, PROGRESS, SUFFIX = "state", "progress.json", ".safetensors"

FIRST_ROWS = "first_rows"
"""In the header of a file of tensors: where this process's rows begin, as JSON, 0 left out."""

ALONE = Ranks()


class CsvLog:
    """Rows to a CSV file as they come; a resumed run drops those of steps that it does again."""

    def __init__(self, path: Path, columns: tuple[str, ...], start: int = 0) -> None:
        self._path = path
        kept: list[list[str]] = []
        if start and path.exists():
            with path.open(newline="") as file:
                kept = [row for row in list(csv.reader(file))[1:] if row and int(row[0]) < start]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *kept])

    def write(self, *values: float) -> None:
        """One row, floats shortened."""
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])


def write_tensors(tensors: Mapping[str, Tensor], path: Path, step: int) -> None:
    """This process's rows of tensors, renamed into place when complete, and marked with the step they belong to.

    Of tensors that are cut the header tells the first row; pieces without rows are left out.
    """
    partial = path.with_name(path.name + ".part")
    own = {key: rows(value).contiguous() for key, value in tensors.items()}
    first = {key: first_row(value) for key, value in tensors.items() if first_row(value)}
    marks = {"step": str(step), FIRST_ROWS: json.dumps(first)}
    save_file(
        {key: value for key, value in own.items() if value.numel() or not first_row(tensors[key])}, partial, marks
    )
    partial.replace(path)


class SavedTensors:
    """Tensors that as many processes as there were have written, each its rows; any number of processes reads them.

    Raises:
        InputError: a file of another step.
    """

    def __init__(self, folder: Path, stem: str, step: int) -> None:
        self._pieces: dict[str, list[_Piece]] = {}
        paths = [folder / f"{stem}{SUFFIX}", *sorted(folder.glob(f"{stem}-*{SUFFIX}"))]
        for path in (path for path in paths if path.exists()):
            file = safe_open(path, "pt")
            marks = file.metadata() or {}
            _check_step(path, marks.get("step", str(step)), step)
            first = json.loads(marks.get(FIRST_ROWS, "{}"))
            for key in file.keys():  # noqa: SIM118  it is no dictionary
                shape = tuple(file.get_slice(key).get_shape())
                self._pieces.setdefault(key, []).append(_Piece(file, key, shape, first.get(key, 0)))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the whole tensors."""
        return {
            key: pieces[0].shape and (max(piece.end for piece in pieces), *pieces[0].shape[1:])
            for key, pieces in self._pieces.items()
        }

    def read(self, key: str, like: Tensor | None = None) -> Tensor:
        """All of a tensor, or this process's rows of it where it is cut as `like` is."""
        pieces = sorted(self._pieces[key], key=attrgetter("first"))
        if not pieces[0].shape:
            return pieces[0].file.get_tensor(key)
        start, end = (0, pieces[-1].end) if like is None else (first_row(like), first_row(like) + len(rows(like)))
        found = [piece.between(start, end) for piece in pieces if piece.first < end and start < piece.end]
        return torch.cat(found) if found else pieces[0].between(0, 0)


@dataclass(frozen=True)
class _Piece:
    """Some rows of a tensor in a file."""

    file: Any
    key: str
    shape: tuple[int, ...]
    first: int

    @property
    def end(self) -> int:
        return self.first + self.shape[0]

    def between(self, start: int, end: int) -> Tensor:
        low, high = max(0, start - self.first), max(0, min(end, self.end) - self.first)
        return self.file.get_slice(self.key)[low:high]


def _check_step(path: Path, found: str, step: int) -> None:
    if found != str(step):
        raise InputError(
            f"{path}: is of step {found}, progress.json of step {step}: the run was cut while it saved; "
            "start again without --resume"
        )


def write_progress(out: Path, progress: dict[str, int | float]) -> None:
    """The step, written after everything else."""
    write_json(out / PROGRESS, progress)


def write_json(path: Path, value: object) -> None:
    """Renamed into place when complete."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(value))
    partial.replace(path)


def replace_folder(new: Path, folder: Path) -> None:
    """Rename a complete folder into the place of another one, which stays until then."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    new.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def saved_folder(out: Path) -> Path:
    """Where the state of a run lies; runs of before 2026-11-29 have it in their folder itself."""
    found = [folder for folder in (out / STATE, out / f"{STATE}.old") if (folder / PROGRESS).exists()]
    return found[0] if found else out


def saved_step(out: Path) -> int:
    """The step a run was saved at; 0 when there is none."""
    return int(_progress(out).get("step", 0))


def saved_seconds(out: Path) -> float:
    """Wall time of all parts of a run until it was saved; 0 where there is none, or where it was not noted."""
    return float(_progress(out).get("elapsed_s", 0.0))


def _progress(out: Path) -> dict[str, int | float]:
    path = saved_folder(out) / PROGRESS
    return json.loads(path.read_text()) if path.exists() else {}


def save_optimizer(optimizer: torch.optim.Optimizer, path: Path, step: int) -> None:
    state = optimizer.state_dict()["state"]
    tensors = {f"{i}.{key}": torch.as_tensor(value) for i, entry in state.items() for key, value in entry.items()}
    write_tensors(tensors, path, step)


def load_optimizer(optimizer: torch.optim.Optimizer, saved: SavedTensors) -> None:
    """The moments; rates stay those of the settings."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    shapes, state = saved.shapes(), {}
    for key, shape in shapes.items():
        index, name = key.split(".", 1)
        like = parameters[int(index)]
        is_moment = shape == tuple(like.shape)
        value = cut_as(saved.read(key, like).to(like.device), like) if is_moment else saved.read(key)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def save_model(
    out: Path,
    model: nn.Module,
    optimizers: list,
    mean: RunningMean,
    step: int,
    elapsed_s: float,
    ranks: Ranks = ALONE,
) -> None:
    """All state of the run, each process its rows; the state before stays until the new one is complete."""
    folder = out / f"{STATE}.part"
    if ranks.is_first:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    ranks.wait()
    suffix = "" if ranks.count == 1 else f"-{ranks.index:05d}-of-{ranks.count:05d}"
    write_tensors(model.state_dict(), folder / f"model{suffix}{SUFFIX}", step)
    for i, optimizer in enumerate(optimizers):
        save_optimizer(optimizer, folder / f"optimizer{i}{suffix}{SUFFIX}", step)
    parameters = dict(model.named_parameters())
    averages = {str(i): cut_as(mean.tensors[name], p) for i, (name, p) in enumerate(parameters.items())}
    write_tensors(averages, folder / f"ema{suffix}{SUFFIX}", step)
    ranks.wait()
    if ranks.is_first:
        write_progress(folder, {"step": step, "ema_steps": mean.steps, "elapsed_s": elapsed_s})
        replace_folder(folder, out / STATE)


def resume_model(out: Path, model: nn.Module, optimizers: list, mean: RunningMean) -> int:
    """Load what `save_model` wrote, from any number of processes; returns the step to go on from, 0 without any.

    Raises:
        InputError: the saved run has another network.
    """
    folder, step = saved_folder(out), saved_step(out)
    if step == 0:
        return 0
    weights, own = SavedTensors(folder, "model", step), model.state_dict()
    if weights.shapes() != {k: tuple(v.shape) for k, v in own.items()}:
        raise InputError(f"--resume: the run in {out} has a network of another size or kind; give its settings")
    for key, value in own.items():
        take(value, weights.read(key, value))
    for i, optimizer in enumerate(optimizers):
        load_optimizer(optimizer, SavedTensors(folder, f"optimizer{i}", step))
    averages = SavedTensors(folder, "ema", step)
    for i, (name, parameter) in enumerate(model.named_parameters()):
        mean.tensors[name].copy_(averages.read(str(i), parameter))
    mean.steps = int(_progress(out)["ema_steps"])
    return step
