"""Processes of one training, each with its place in the environment as `torchrun` tells it; as a script this is one.

They are forked off one that has imported everything, which takes as long as their training. A training logs every step,
and kills itself with SIGKILL in the midst of step DIE_IN, if it is process DIE_RANK.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

TINY = ("--width", 24, "--heads", 2, "--layers", 2, "--batch", 2, "--warmup", 2, "--micro-batches", 2)
PATIENCE_S = 240
READY = multiprocessing.get_context("forkserver")
READY.set_forkserver_preload(["rap.cli", "rap.train.model"])


def arguments(shards: Path, codec: Path, out: Path, *more: object) -> list[str]:
    return list(map(str, ["model", "--data", shards, "--codec", codec, "--out", out, *TINY, *more]))


def started(
    count: int, words: list[str], run: Callable[[list[str]], int] | None = None, **environment: str
) -> list[subprocess.CompletedProcess]:
    """All processes of a training, or of what else they run, ended."""
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), **environment}
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder, str(k)) for k in range(count)]
        places = [{**shared, "RANK": str(k), "LOCAL_RANK": str(k)} for k in range(count)]
        given = [(run or trained, words, place, out) for place, out in zip(places, outs, strict=True)]
        running = [READY.Process(target=_one, args=each) for each in given]
        for process in running:
            process.start()
        for process in running:
            process.join(PATIENCE_S)
        waiting = [process for process in running if process.is_alive()]
        for process in waiting:
            process.kill()
            process.join()
        ended = [
            subprocess.CompletedProcess(words, process.exitcode, out.read_text(), out.read_text())
            for process, out in zip(running, outs, strict=True)
        ]
    assert not waiting, f"one waits for others: {[(each.returncode, each.stderr) for each in ended]}"
    return ended


def _one(run: Callable[[list[str]], int], words: list[str], place: dict[str, str], out: Path) -> None:
    os.environ.update(place)
    with out.open("w") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    torch.set_num_threads(1)
    sys.exit(run(words))


def free_port() -> int:
    """Below those that the system gives to whoever connects, which may be taken again before a process listens."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)):
                return port


def completed(count: int, words: list[str]) -> None:
    for process in started(count, words):
        assert process.returncode == 0, process.stderr


def rows(out: Path) -> list[dict[str, float]]:
    """Of the log, without its seconds."""
    with (out / "log.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def trained(words: list[str]) -> int:
    """One of the processes, to its end."""
    import rap.train.model
    from rap import cli

    rap.train.model.LOG_EVERY = 1
    if os.environ.get("DIE_RANK") == os.environ["RANK"]:
        whole, left = rap.train.model.batch_losses, [int(os.environ["DIE_IN"])]

        def losses(*given):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return whole(*given)

        rap.train.model.batch_losses = losses
    return cli.main(["train", *words])


if __name__ == "__main__":
    sys.exit(trained(sys.argv[1:]))
