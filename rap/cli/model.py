"""Loading the pipeline and running one task with a progress bar."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from rap.checkpoint import check_checkpoint
from rap.errors import InputError
from rap.generators.kinds import chosen_generator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any, Protocol

    from rap.generators.adapter import FilmGenerator
    from rap.pipeline import Progress, RaPOutput, RaPPipeline

    class Streams(Protocol):
        """What runs tasks: our pipeline, or a model of others behind its interface."""

        def stream(self, task: Any) -> Iterator[Progress]: ...


def device_name(device: str | None) -> str:
    """The device asked for, else the GPU, if there is one."""
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


def load_pipeline(checkpoint: str | None, device: str | None, **placement: Any) -> RaPPipeline:
    """The pipeline of a checkpoint on a device; None is the embedded one on the GPU, if there is one.

    Args:
        placement: as `rap.pipeline.placing.Placement` names it.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        InputError: there is no such device, or the checkpoint cannot be loaded.
    """
    path = check_checkpoint(checkpoint)
    name = usable_device(device)
    from rap.pipeline.placing import Placement, placed

    return placed(_loaded(path), name, Placement(**placement))


def load_any(checkpoint: str | None, device: str | None, **placement: Any) -> RaPPipeline | FilmGenerator:
    """As `load_pipeline`, or a model of others (`rap.generators`) where the checkpoint is one of theirs."""
    chosen = chosen_generator(checkpoint)
    if chosen is None:
        return load_pipeline(checkpoint, device, **placement)
    name = usable_device(device)
    from rap.generators.loading import load_generator

    return load_generator(chosen, name, **placement)


def usable_device(device: str | None) -> str:
    """As `device_name`.

    Raises:
        InputError: it is not there.
    """
    import torch

    name = device_name(device)
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:  # torch raises either for a missing device
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name} cannot be used here ({reason}); try --device cpu") from error
    return name


def _loaded(path: Path) -> RaPPipeline:
    """Of a checkpoint whose files are whole; what is in them may still be another model's, or no numbers."""
    from diffusers.utils import logging

    from rap.pipeline.parts import from_parts

    logging.disable_progress_bar()  # its bars name shards, which are nothing to whoever waits

    try:
        pipeline = from_parts(path)
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


def run_task(pipeline: Streams, task: Any, label: str) -> RaPOutput:
    """Run a task to its end, with a bar on stderr."""
    from tqdm import tqdm

    with tqdm(desc=label, unit="step", file=sys.stderr) as bar, closing(pipeline.stream(task)) as steps:  # type: ignore[type-var]
        for progress in steps:
            bar.total = progress.steps
            bar.update(progress.step - bar.n)
            if progress.output is not None:
                return progress.output
    raise RuntimeError(f"{label}: the model ended without a result")
