"""Loading the pipeline and running one task with a progress bar."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from rap.checkpoint import check_checkpoint
from rap.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from rap.pipeline import RaPOutput, RaPPipeline, Task


def device_name(device: str | None) -> str:
    """The device asked for, else the GPU, if there is one."""
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


def load_pipeline(checkpoint: str | None, device: str | None) -> RaPPipeline:
    """The pipeline of a checkpoint on a device; None is the embedded one on the GPU, if there is one.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        InputError: there is no such device, or the checkpoint cannot be loaded.
    """
    path = check_checkpoint(checkpoint)
    import torch

    name = device_name(device)
    try:
        torch.empty(1, device=name)
    except (
        RuntimeError,
        AssertionError,
        NotImplementedError,
    ) as error:  # torch raises any of these for a missing device
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name} cannot be used here ({reason}); try --device cpu") from error
    return _loaded(path).to(name)


def _loaded(path: Path) -> RaPPipeline:
    """Of a checkpoint whose files are whole; what is in them may still be another model's, or no numbers."""
    from rap.pipeline import RaPPipeline

    try:
        pipeline = RaPPipeline.from_pretrained(path)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:  # as the libraries meet it
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: cannot be loaded ({reason}); copy the checkpoint again, or give another") from error
    for module in (pipeline.transformer, pipeline.vae):
        for name, values in module.state_dict().items():
            if values.is_meta or not values.isfinite().all():
                raise InputError(
                    f"{path}: {name} of the {type(module).__name__} is missing or holds no numbers; copy the "
                    "checkpoint again, or give another"
                )
    return pipeline


def run_task(pipeline: RaPPipeline, task: Task, label: str) -> RaPOutput:
    """Run a task to its end, with a bar on stderr."""
    from tqdm import tqdm

    with tqdm(desc=label, unit="step", file=sys.stderr) as bar, closing(pipeline.stream(task)) as steps:  # type: ignore[type-var]
        for progress in steps:
            bar.total = progress.steps
            bar.update(progress.step - bar.n)
            if progress.output is not None:
                return progress.output
    raise RuntimeError(f"{label}: the model ended without a result")
