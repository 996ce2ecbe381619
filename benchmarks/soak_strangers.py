"""The app among strangers: honest clients and hostile ones for some minutes, and what they leave behind (`soak.py`).

The app runs as its users start it, with the embedded model, in a process of its own; it is watched from outside through
Linux's /proc. "Start" is after one round of every honest client and the time that closed pages are kept in memory;
"end" is the same time after the last client has gone. Kept by design, and counted apart: takes of closed pages for a
day (`kept`), uploads and answers of the API for an hour (`stored`); when the app ends, the latter must go with it.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import soak_clients
from app_process import App, running  # found where soak_clients has put the tests' helpers

GROWTH_LIMIT = 0.10
EVERY_S = 5.0
FORGOTTEN_S = 90.0  # a page is, 60 s after it was closed, looked at every 5; the rest is for a busy machine
AT_WORK_S, AT_REST = 300.0, 0.05  # at most, for what is still at work; processors that it then keeps busy
SETTLE_S = 5.0
LONGEST_ROUND_S = 900.0  # of an honest client that waits for each job as long as it may
HASH = re.compile(r"[0-9a-f]{64}")


def run(clients: int, hostile: int, minutes: float, seed: int) -> dict[str, Any]:
    """So many clients at the app, the hostile ones among them: figures of what they did and of what is left."""
    with tempfile.TemporaryDirectory(prefix="rap-soak-") as name:
        folder, apart = Path(name) / "app", Path(name) / "bombs"
        folder.mkdir()
        apart.mkdir()
        files = soak_clients.bombs(apart)
        with running(folder, "--state", str(folder / "state"), "--predict", "when-asked") as app:
            found = _among_strangers(app, folder, (clients, hostile, 60 * minutes, seed), files)
            found["log_kb"] = len(app.words()) // 1000
            found["exit"], found["ended_in_s"] = app.ended(signal.SIGTERM, 20.0)
            found["tracebacks"] = app.words().count("Traceback")
            found["errors"] = Counter(
                re.findall(r"^(?:\w+\.)*\w+(?:Error|Exception)\b.{0,120}", app.words(), re.MULTILINE)
            )
        left = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
        found["left_after_the_app"] = sorted(path for path in left if not path.startswith(("state/kept/", "app.log")))
    found["verdicts"] = _verdicts(found)
    return found


def _among_strangers(
    app: App, folder: Path, asked: tuple[int, int, float, int], files: dict[str, list[tuple[str, bytes]]]
) -> dict[str, Any]:
    clients, hostile, seconds, seed = asked
    honest = [soak_clients.Honest(app.url, 10 + i, random.Random(seed * 1000 + i)) for i in range(clients - hostile)]
    others = [soak_clients.Hostile(app.url, 40 + i, random.Random(seed * 1000 + 500 + i)) for i in range(hostile)]
    for client in others:
        client.bombs = files
    _together([threading.Thread(target=client.round, daemon=True) for client in honest], LONGEST_ROUND_S)
    _wait_until_forgotten(app, folder)
    start, until = _settled(app, folder), time.monotonic() + seconds
    print("start", json.dumps(start), [client.slowest_s for client in honest], flush=True)
    ended = threading.Event()
    watched: list[dict[str, Any]] = []
    watcher = threading.Thread(target=_watch, args=(app, folder, honest, ended, watched), daemon=True)
    watcher.start()
    stuck = _together(
        [threading.Thread(target=client.work, args=(until,), daemon=True) for client in [*honest, *others]],
        seconds + LONGEST_ROUND_S,
    )
    _wait_until_forgotten(app, folder)
    ended.set()
    watcher.join()
    end = _settled(app, folder)
    counts = sum((client.counts for client in honest), Counter())
    slowest_s = {name: max(client.slowest_s.get(name, 0.0) for client in honest) for name in honest[0].slowest_s}
    return {
        "clients": clients, "hostile": hostile, "seconds": seconds,
        "honest": dict(counts), "slowest_s": slowest_s,
        "honest_failures": [line for client in honest for line in client.failures][:20],
        "attacks": dict(sum((client.counts for client in others), Counter())), "stuck": stuck,
        "start": start, "end": end,
        "most": {key: max(row[key] for row in watched) for key in ("pss_mb", "fds", "threads")},
        "memory_ratio": end["pss_mb"] / start["pss_mb"],
        "files_left": sorted(set(end["files"]) - set(start["files"])),
    }  # fmt: skip


def _wait_until_forgotten(app: App, folder: Path) -> None:
    """Until no page has a folder among the running app's and nothing is at work, for whom nobody listens."""
    end = time.monotonic() + FORGOTTEN_S
    while time.monotonic() < end and any(path.is_dir() for path in folder.glob("state/rap-app-*/*")):
        time.sleep(1.0)
    end = time.monotonic() + AT_WORK_S
    while time.monotonic() < end and _load(app.process.pid) > AT_REST:
        pass


def _load(pid: int) -> float:
    """Processors that a process and all below it keep busy, over some seconds."""
    before = {member: _used_s(member) for member in _family(pid)}
    time.sleep(SETTLE_S)
    return sum(max(0.0, _used_s(member) - used) for member, used in before.items()) / SETTLE_S


def _used_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _together(threads: list[threading.Thread], within_s: float) -> int:
    """Start them and wait; how many have not ended by then."""
    end = time.monotonic() + within_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return sum(thread.is_alive() for thread in threads)


def _watch(
    app: App, folder: Path, honest: list[soak_clients.Honest], ended: threading.Event, rows: list[dict[str, Any]]
) -> None:
    while not ended.is_set():
        rows.append(measured(app.process.pid, folder))
        told = {key: value for key, value in rows[-1].items() if key not in ("files", "fd_kinds")}
        jobs = {name: sum(client.counts[name] for client in honest) for name in ("begun", "done")}
        print(json.dumps({**told, "files": len(rows[-1]["files"]), **jobs}), flush=True)
        ended.wait(EVERY_S)


def _settled(app: App, folder: Path) -> dict[str, Any]:
    """The median memory of three looks; of descriptors and files the last one."""
    rows = []
    for _ in range(3):
        rows.append(measured(app.process.pid, folder))
        time.sleep(1.0)
    return {**rows[-1], "pss_mb": statistics.median(row["pss_mb"] for row in rows)}


def measured(pid: int, folder: Path) -> dict[str, Any]:
    """Memory (proportional set size), descriptors and threads of a process and all below it, and the files it has."""
    kinds: Counter[str] = Counter()
    memory, threads, family = 0.0, 0, _family(pid)
    for member in family:
        try:
            process = Path(f"/proc/{member}")
            rollup = (process / "smaps_rollup").read_text()
            memory += int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024
            threads += len(list((process / "task").iterdir()))
            kinds.update(filter(None, map(_kind, (process / "fd").iterdir())))
        except (OSError, StopIteration):  # it, or what it held, has ended meanwhile
            continue
    return {
        "pss_mb": round(memory, 1), "fds": kinds.total(), "threads": threads, "processes": len(family),
        "fd_kinds": dict(kinds), **_files(folder),
    }  # fmt: skip


def _kind(descriptor: Path) -> str | None:
    try:
        return os.readlink(descriptor).split(":[")[0]
    except OSError:  # closed meanwhile
        return None


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue
    return found


def _files(folder: Path) -> dict[str, Any]:
    """How much is kept by design, and every file and empty folder beyond."""
    kept, stored, others = set(), 0, []
    for path, folders, names in os.walk(folder):
        parts = Path(path).relative_to(folder).parts
        if parts[:2] == ("state", "kept"):
            kept.update(parts[2:3])
        elif len(parts) > 1 and HASH.fullmatch(parts[-1]) and parts[0] != "state":
            stored += len(names)  # an upload, or an answer of the API
        else:
            others += ["/".join((*parts, name)) for name in names]
            others += ["/".join(parts)] * (path != str(folder) and not folders and not names)
    return {"kept": len(kept), "stored": stored, "files": sorted(others)}


def _verdicts(found: dict[str, Any]) -> dict[str, bool]:
    honest = found["honest"]
    return {
        "honest jobs all done": honest["begun"] == honest["done"] > 0 and not found["honest_failures"],
        "every client has ended": not found["stuck"],
        "memory back within 10 %": found["memory_ratio"] <= 1 + GROWTH_LIMIT,
        "no descriptor left": found["end"]["fds"] <= found["start"]["fds"],
        "no file left": not found["files_left"] and not found["left_after_the_app"],
        "nobody got in": not any(name.startswith("got into") for name in found["attacks"]),
    }
