"""Batches that processes draw on the CPU, each used several times, for a GPU that would wait for them.

Drawing takes a CPU core about a tenth of a second a sample at 128 x 128 (flow, warps, encoding), a GPU's step one or
two thousandths. So processes on all cores draw, and the training replays what is there: a batch is used again, under
other noise and other times, until newer ones have taken its place. The processes give way to the training's own thread,
which launches thousands of kernels a step: beside 15 that did not, an H100 took 60 samples/s instead of 400.
"""

from __future__ import annotations

import os
import queue
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.multiprocessing
from torch import Tensor

from rap.data.dataset import ClipStore
from rap.flow import Pair
from rap.train.batches import Batch, BatchMaker
from rap.train.codec import load_codec
from rap.train.settings import ModelTraining

AHEAD = 2
"""Batches a process may have ready before anyone takes them."""

REFRESH_EVERY = 20
"""Batches after which a process looks for new shards."""

POLL_S = 1.0

NICENESS = 15
"""Of the processes."""


class Replay:
    """Random ones of the latest batches of `settings.draw_processes` processes; call it with the number of a step.

    Which batch a step gets depends on how fast the processes are: a training with them is not repeated bit for bit.

    Raises:
        RuntimeError: from a call, when every process has ended.
    """

    def __init__(self, settings: ModelTraining, device: torch.device) -> None:
        self._device, self._seed = device, settings.seed
        self._capacity, self._first = settings.replay_batches, settings.draw_processes
        self._batches: list[Batch] = []
        self._drawn, self._closed = 0, threading.Event()
        context = torch.multiprocessing.get_context("spawn")
        self._ready = context.Queue(AHEAD * settings.draw_processes)
        arguments = [(settings, number, self._ready) for number in range(settings.draw_processes)]
        self._processes = [context.Process(target=_draw_forever, args=args, daemon=True) for args in arguments]
        for process in self._processes:
            process.start()
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def __call__(self, step: int) -> Batch:
        """A batch under times of its own; the first call waits until there is one of every process."""
        while len(self._batches) < min(self._first, self._capacity):
            if self._closed.wait(POLL_S / 10) or not any(process.is_alive() for process in self._processes):
                raise RuntimeError("the processes that draw batches have ended; their errors stand above")
        rng = np.random.default_rng([self._seed, step, 2])
        batch = self._batches[int(rng.integers(len(self._batches)))]
        return replace(batch, times=redrawn(batch.times, rng))

    @property
    def drawn(self) -> int:
        """Batches that have come from the processes so far."""
        return self._drawn

    def close(self) -> None:
        """End the processes."""
        self._closed.set()
        self._thread.join()  # first: what it takes is memory of a process that lives
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def _take(self) -> None:
        """Move batches to the device as they come, the oldest making room."""
        while not self._closed.is_set():
            try:
                batch = on_device(self._ready.get(timeout=POLL_S), self._device)
            except queue.Empty:
                continue
            if len(self._batches) < self._capacity:
                self._batches.append(batch)
            else:
                self._batches[self._drawn % self._capacity] = batch
            self._drawn += 1


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors there; a copy of its own, free of the memory that processes share."""
    moved: dict[str, Any] = {}
    for item in fields(batch):
        value = getattr(batch, item.name)
        if isinstance(value, Pair):
            moved[item.name] = Pair(*(part.to(device, copy=True) for part in value))
        elif isinstance(value, Tensor):
            moved[item.name] = value.to(device, copy=True)
    return replace(batch, **moved)


def redrawn(times: Pair, rng: np.random.Generator) -> Pair:
    """Times strictly between 0 and 1 drawn again, so that tasks and hints stay: 0 is given, 1 is pure noise.

    Frames of one clip that had one time get one, frames with times of their own get such.
    """
    return Pair(*(_redrawn(part, rng) for part in times))


def _redrawn(times: Tensor, rng: np.random.Generator) -> Tensor:
    clip, frame = (torch.from_numpy(1 - rng.random(size)).to(times) for size in ((len(times), 1), tuple(times.shape)))
    inner = (times > 0) & (times < 1)
    highest = torch.where(inner, times, 0.0).amax(dim=1, keepdim=True)
    alike = (~inner | (times == highest)).all(dim=1, keepdim=True)
    return torch.where(inner, torch.where(alike, clip, frame), times)


def _draw_forever(settings: ModelTraining, number: int, ready: Any) -> None:
    """A process: its share of the shards, of new ones as well, one thread, batch after batch."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(NICENESS)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    codec, _ = load_codec(settings)
    store = ClipStore(Path(settings.data), share=(number, settings.draw_processes))
    count = 0
    while True:
        rng = np.random.default_rng([settings.seed, number, count, 3])
        ready.put(BatchMaker(store, codec, settings, rng).draw())
        count += 1
        if count % REFRESH_EVERY == 0:
            store.refresh()  # whoever renders may go on while the training runs
