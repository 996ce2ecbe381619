"""A worker's word on a job, as messages: where it stands in the line, how far it is, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True)
class JobQueued:
    """The job waits with `place` jobs before it; `waiting_for` says for what, as the person reads it."""

    job: int
    place: int
    waiting_for: str


@dataclass(frozen=True, eq=False)
class JobProgress:
    """Step `step` of `steps` is done.

    Args:
        seconds_per_step: measured in this job, `None` before the first step has ended.
        preview_u8: the current estimate of the video, if the task makes one.
    """

    job: int
    step: int
    steps: int
    seconds_per_step: float | None
    preview_u8: UInt8[np.ndarray, "t h w 3"] | None = None


@dataclass(frozen=True, eq=False)
class JobDone:
    """The job has ended well. `result` is what the session's own `keep` made of the output, already on disk."""

    job: int
    result: Any
    seconds: float


@dataclass(frozen=True)
class JobFailed:
    """The job has ended with an error; `text` is its sentence."""

    job: int
    text: str


@dataclass(frozen=True)
class JobCancelled:
    """The job was stopped before its end."""

    job: int


JobMessage = JobQueued | JobProgress | JobDone | JobFailed | JobCancelled
