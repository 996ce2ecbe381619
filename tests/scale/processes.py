"""Processes of one training, started as `torchrun` starts them; run as a script this is one of them.

It logs every step, and kills itself with SIGKILL in the midst of step DIE_IN, if it is process DIE_RANK.
"""

from __future__ import annotations

import csv
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

TINY = ("--width", 24, "--heads", 2, "--layers", 2, "--batch", 2, "--warmup", 2, "--micro-batches", 2)
PATIENCE_S = 240


def arguments(shards: Path, codec: Path, out: Path, *more: object) -> list[str]:
    return list(map(str, ["model", "--data", shards, "--codec", codec, "--out", out, *TINY, *more]))


def started(count: int, words: list[str], **environment: str) -> list[subprocess.CompletedProcess]:
    """All processes of a training, ended."""
    shared = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    running = [
        subprocess.Popen(
            [sys.executable, __file__, *words],
            env={**shared, **environment, "RANK": str(k), "LOCAL_RANK": str(k), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(count)
    ]
    ended = []
    try:
        for process in running:
            out, err = process.communicate(timeout=PATIENCE_S)
            ended.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    except subprocess.TimeoutExpired as error:
        raise AssertionError(
            f"one waits for others, of which ended: {[(e.returncode, e.stderr) for e in ended]}"
        ) from error
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return ended


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


def main() -> int:
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
    return cli.main(["train", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
