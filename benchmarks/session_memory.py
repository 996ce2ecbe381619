"""Resident memory of the app's sessions, as JSON; run by `rap bench session`: python session_memory.py COUNT.

Sessions are opened as the page opens them, viewport and files included, but without a browser or a model.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import weakref
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, as for app.py

from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.session import Session
from ui.session.sessions import Sessions

SETTLE_S = 1.0  # for threads to start or end


def main() -> None:
    """Open one session, COUNT more, close those, open as many again; print what was resident each time."""
    count = int(sys.argv[1])
    hub = Hub(grace_s=3600.0)
    worker = Worker(_no_pipeline)
    sessions = Sessions(worker, GeometryWorker(), hub, Options())
    sessions.open()
    seen: dict[str, float] = {"count": count, "first_mb": _resident_mb()}
    opened = [sessions.open() for _ in range(count)]
    seen["full_mb"] = _resident_mb()
    watched = [weakref.ref(session) for session in opened]
    _close(sessions, opened)
    seen["closed_mb"] = _resident_mb()
    seen["alive"] = sum(reference() is not None for reference in watched)
    opened = [sessions.open() for _ in range(count)]
    seen["again_mb"] = _resident_mb()
    sessions.close()
    worker.close()
    print(json.dumps(seen))


def _close(sessions: Sessions, opened: list[Session]) -> None:
    while opened:
        sessions.free(opened.pop().id)


def _no_pipeline() -> Any:
    return None


def _resident_mb() -> float:
    """Of this process, once it has settled; Linux only."""
    time.sleep(SETTLE_S)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
