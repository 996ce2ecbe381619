"""What a training leaves on disk to go on from, and its log. Every file is renamed into place when complete."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rap.errors import InputError


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


def write_tensors(tensors: dict[str, Tensor], path: Path, step: int) -> None:
    """Renamed into place when complete, and marked with the step it belongs to."""
    partial = path.with_name(path.name + ".part")
    save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata={"step": str(step)})
    partial.replace(path)


def read_tensors(path: Path, step: int) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        found = (file.metadata() or {}).get("step", str(step))
    if found != str(step):
        raise InputError(
            f"{path}: is of step {found}, progress.json of step {step}: the run was cut while it saved; "
            "start again without --resume"
        )
    return load_file(path)


def write_progress(out: Path, progress: dict[str, int | float]) -> None:
    """The step, written after everything else."""
    write_json(out / "progress.json", progress)


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


def saved_step(out: Path) -> int:
    """The step a run was saved at; 0 when there is none."""
    path = out / "progress.json"
    return int(json.loads(path.read_text())["step"]) if path.exists() else 0


def saved_seconds(out: Path) -> float:
    """Wall time of all parts of a run until it was saved; 0 where there is none, or where it was not noted."""
    path = out / "progress.json"
    return float(json.loads(path.read_text()).get("elapsed_s", 0.0)) if path.exists() else 0.0


def save_optimizer(optimizer: torch.optim.Optimizer, path: Path, step: int) -> None:
    state = optimizer.state_dict()["state"]
    tensors = {f"{i}.{key}": torch.as_tensor(value) for i, entry in state.items() for key, value in entry.items()}
    write_tensors(tensors, path, step)


def load_optimizer(optimizer: torch.optim.Optimizer, path: Path, step: int) -> None:
    """The moments; rates stay those of the settings."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in read_tensors(path, step).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


@contextmanager
def running_mean(ema: EMAModel, network: nn.Module) -> Iterator[None]:
    """While open, the network's parameters are their running mean."""
    ema.store(network.parameters())
    ema.copy_to(network.parameters())
    try:
        yield
    finally:
        ema.restore(network.parameters())


def save_model(out: Path, model: nn.Module, optimizers: list, ema: EMAModel, step: int, elapsed_s: float) -> None:
    """All state of the run; the step is written last, so a cut between files is noticed on resume."""
    write_tensors(model.state_dict(), out / "model.safetensors", step)
    for i, optimizer in enumerate(optimizers):
        save_optimizer(optimizer, out / f"optimizer{i}.safetensors", step)
    write_tensors({str(i): p for i, p in enumerate(ema.shadow_params)}, out / "ema.safetensors", step)
    write_progress(out, {"step": step, "ema_steps": int(ema.optimization_step), "elapsed_s": elapsed_s})


def resume_model(out: Path, model: nn.Module, optimizers: list, ema: EMAModel) -> int:
    """Load what `save_model` wrote; returns the step to go on from, 0 where nothing was saved.

    Raises:
        InputError: the saved run has another network.
    """
    step = saved_step(out)
    if step == 0:
        return 0
    weights = read_tensors(out / "model.safetensors", step)
    own = model.state_dict()
    if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in own.items()}:
        raise InputError(f"--resume: the run in {out} has a network of another size or kind; give its settings")
    model.load_state_dict(weights)
    for i, optimizer in enumerate(optimizers):
        load_optimizer(optimizer, out / f"optimizer{i}.safetensors", step)
    shadow = read_tensors(out / "ema.safetensors", step)
    for i, parameter in enumerate(ema.shadow_params):  # in the order of model.parameters()
        parameter.copy_(shadow[str(i)])
    ema.optimization_step = int(json.loads((out / "progress.json").read_text())["ema_steps"])
    return step
