"""Which frames of an upload become a clip: how many, from where to where, at which spacing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rap.errors import InputError
from rap.limits import FOLLOWED_FRAMES, PATH_FRAMES


@dataclass(frozen=True)
class Sampling:
    """Which frames of an upload are wanted.

    Attributes:
        num_frames: of the clip, at least 1.
        start: the first that may be used, from 0.
        stride: take every stride-th frame; None spreads them evenly from `start` to the end.
        film: what lies between the frames is wanted as well.
        end: the last that may be used; None is the upload's last.
        full: the clip's frames are wanted at the upload's own size as well.

    Raises:
        ValueError: a number out of range.
        InputError: the end lies before the start.
    """

    num_frames: int
    start: int = 0
    stride: int | None = None
    film: bool = False
    end: int | None = None
    full: bool = False

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise ValueError(f"num_frames must be at least 1, got {self.num_frames}")
        PATH_FRAMES.check(self.num_frames, "num_frames:", "take fewer, or every n-th by a stride")
        if self.start < 0:
            raise ValueError(f"start must be at least 0, got {self.start}")
        if self.stride is not None and self.stride < 1:
            raise ValueError(f"stride must be at least 1, got {self.stride}; leave it out to cover the whole input")
        if self.end is not None and self.end < self.start:
            raise InputError(f"end {self.end} lies before start {self.start}; give a later end")

    @property
    def meets_end(self) -> bool:
        """Whether the upload's last frame is one of the clip's."""
        return self.stride is None and self.end is None

    def of(self, count: int, name: str, times_s: np.ndarray | None = None) -> tuple[int, ...]:
        """The clip's frames, of the `count` of an upload.

        Args:
            times_s: of the frames, where they do not come at an even rate: without a stride they are then spread over
                the time and not over their numbers.

        Raises:
            InputError: start, end or stride runs off the end; the sentence gives the largest usable value.
        """
        if times_s is not None and len(times_s) == count and self.stride is None:
            return self._in_time(self.of(count, name), times_s)
        if self.end is None:
            return choose_frames(count, self.num_frames, self.start, self.stride, name=name)
        if self.end >= count:
            frames = _counted(name, count)
            raise InputError(f"end {self.end} lies too late: {frames}; the largest usable end is {count - 1}")
        until = f"{name}, used up to number {self.end},"
        return choose_frames(self.end + 1, self.num_frames, self.start, self.stride, name=until)

    def _in_time(self, evenly: tuple[int, ...], times_s: np.ndarray) -> tuple[int, ...]:
        """As many frames with the same ends, each the one shown nearest to its moment."""
        moments = np.linspace(times_s[evenly[0]], times_s[evenly[-1]], len(evenly))
        after = np.clip(np.searchsorted(times_s, moments), 1, len(times_s) - 1)
        is_before = moments - times_s[after - 1] < times_s[after] - moments
        return tuple(int(i) for i in np.where(is_before, after - 1, after))

    def read(self, chosen: tuple[int, ...]) -> list[int]:
        """All that are read for these: with a film those between them as well."""
        if not self.film:
            return sorted(set(chosen))
        span = chosen[-1] - chosen[0] + 1
        step = -(-span // (FOLLOWED_FRAMES.value - len(set(chosen)))) if span > FOLLOWED_FRAMES.value else 1
        return sorted({*chosen, *range(chosen[0], chosen[-1] + 1, max(step, 1))})


def _counted(name: str, count: int) -> str:
    return f"{name} has {count} frame{'s' if count != 1 else ''}"


def choose_frames(count: int, num_frames: int, start: int, stride: int | None, *, name: str) -> tuple[int, ...]:
    """Which frames of `count` a clip of `num_frames` takes (see `load_clip`); a single frame gives a clip of one.

    Raises:
        InputError: start or stride runs off the end; the sentence gives the count and the largest usable value.
    """
    if count == 1 and start == 0 and stride is None:
        return (0,)
    frames = _counted(name, count)
    if stride is None:
        largest = count - min(2, num_frames, count)
        if start > largest:
            raise InputError(f"start {start} lies too late: {frames}; the largest usable start is {largest}")
        return tuple(int(i) for i in np.floor(np.linspace(start, count - 1, num_frames) + 0.5))
    last = start + stride * (num_frames - 1)
    if last < count:
        return tuple(range(start, last + 1, stride))
    remedies = []
    if num_frames > 1 and (largest_stride := (count - 1 - start) // (num_frames - 1)) >= 1:
        remedies.append(f"the largest usable stride from there is {largest_stride}")
    if (largest_start := count - 1 - stride * (num_frames - 1)) >= 0:
        remedies.append(f"the largest usable start at this stride is {largest_start}")
    remedies = remedies or [f"leave the stride out, or take fewer than {num_frames} frames"]
    raise InputError(
        f"start {start} with stride {stride} needs {num_frames} frames up to number {last}, but {frames} "
        f"(numbered from 0); {'; '.join(remedies)}"
    )


def sampling_notes(name: str, indices: tuple[int, ...], own: tuple[int, ...], count: int | None) -> tuple[str, ...]:
    """A sentence on which frames of an upload are used, where these are not all of them.

    Args:
        own: frames of the clip that stand for one of the upload each, where some are repeated.
    """
    if len(indices) == count and list(indices) == sorted(set(indices)):
        return ()
    numbers = [str(i) for i in indices]
    shown = ", ".join(numbers if len(numbers) <= 33 else [*numbers[:16], "...", *numbers[-16:]])
    total = "" if count is None else f" of {count}"  # with a stride the end is not seen, and the claim may be wrong
    if len(own) < len(indices):
        at = ", ".join(map(str, own))
        return (
            f"{name}: its {len(own)} frames are cameras {at} of a path of {len(indices)}, which leads smoothly from "
            "one to the next; nothing was seen between them",
        )
    return (f"{name}: frames {shown}{total} are used (numbered from 0)",)
