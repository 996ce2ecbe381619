"""Hugging Face's ZeroGPU: a GPU is lent for the length of a function, which runs in a forked process.

Off unless the variable SPACES_ZERO_GPU says that the app runs there; then the package `spaces` is there as well. What
crosses to the process and back is NumPy: tasks and progress hold nothing else, and a tensor of the GPU could not leave
it. An error of ours crosses as its sentence, because `spaces` tells of an exception's class alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rap.errors import InputError

if TYPE_CHECKING:
    from ui.serve.jobs import Pipeline

_lent: list[Pipeline] = []  # filled before the fork: the process has the copy that it brought along


@dataclass(frozen=True)
class Refusal:
    """What a task of ours was refused with."""

    sentence: str


class LentGpu:
    """A pipeline whose every task runs in a process with a GPU. To be made before the server starts.

    Args:
        load: gives the pipeline, on the device that `spaces` stands in for until then.
    """

    def __init__(self, load: Callable[[], Pipeline]) -> None:
        import spaces  # type: ignore[reportMissingImports]  # there on ZeroGPU; before anything that touches CUDA

        self._stream = spaces.GPU(stream)
        _lent[:] = [load()]

    def stream(self, task: Any) -> Generator[Any, None, None]:
        """As the pipeline's own; closing it stops the process before its next step.

        Raises:
            InputError: the pipeline refused the task.
        """
        with closing(self._stream(task)) as steps:
            for progress in steps:
                if isinstance(progress, Refusal):
                    raise InputError(progress.sentence)
                yield progress


def stream(task: Any) -> Generator[Any, None, None]:
    """Runs in the process: module-level, so that it is found there by name."""
    yield from in_words(_lent[0], task)


def in_words(pipeline: Pipeline, task: Any) -> Generator[Any, None, None]:
    """The stream of a task, for another process: a refusal is its last word instead of an exception."""
    try:
        yield from pipeline.stream(task)
    except ValueError as error:
        yield Refusal(str(error))


def is_zero_gpu() -> bool:
    """Whether the app runs on ZeroGPU, as `spaces` itself reads it."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
