"""Milliseconds from a drag of the gizmo to the updated scene, server side, as JSON; run by `rap bench drag`:
python drag.py FRAMES USERS SECONDS.

Sessions, viewport and hub are the app's, without browser and model. Each user drags a frame of a dense path with soft
drag at `RATE_HZ`, the rate at which viser reports a held gizmo; the time of a drag runs from the moment it was due, so
that waiting for other users counts; a move that the next one has overtaken is left out. The reference is the pure edit
alone, `rap.geometry.soft_drag`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, as for app.py

from rap.data import Clip
from rap.geometry import preset, soft_drag
from ui.document import messages as msg
from ui.document.document import SoftDrag
from ui.document.edits import SetPath
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.session import Session
from ui.session.sessions import Sessions

RATE_HZ = 20.0
SIZE = (96, 128)
WARM_UP_S = 1.0
RADIUS = SoftDrag().radius


def main() -> None:
    """Measure one user, then USERS at once; print medians, 95th percentiles and the reference in milliseconds."""
    frames, users, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    hub, worker, geometry = Hub(grace_s=3600.0), Worker(lambda: None), GeometryWorker()
    sessions = Sessions(worker, geometry, hub, Options(frames))
    opened = [_prepared(sessions.open(), frames) for _ in range(users)]
    path = opened[0].state.document.edited
    assert path is not None
    reference = _timed_edits(path, frames // 2)
    seen = {"frames": frames, "users": users, "reference_ms": float(np.median(reference))}
    for name, group in (("one", opened[:1]), ("many", opened)):
        times = _drag_at_once(group, frames // 2, seconds)
        seen |= {f"{name}_ms": float(np.median(times)), f"{name}_p95_ms": float(np.percentile(times, 95))}
    sessions.close()
    print(json.dumps(seen))


def _prepared(session: Session, frames: int) -> Session:
    """A session with a clip, a dense path and a selected frame."""
    rng = np.random.default_rng(0)
    clip = Clip(rng.integers(0, 255, (frames, *SIZE, 3), dtype=np.uint8), fps=8.0, name="noise")
    session.dispatch(msg.ClipRead(clip))
    session.dispatch(SetPath(preset("orbit-left", num_frames=frames, image_size=SIZE), True, "orbit"))
    session.dispatch(msg.Select(frames // 2))
    return session


def _timed_edits(path, index: int, count: int = 200) -> list[float]:
    times = []
    for i in range(count):
        T = path.Ts_world_camera[index].copy()
        T[0, 3] += 1e-3 * (i + 1)
        began = time.perf_counter()
        soft_drag(path, index, T, RADIUS)
        times.append(1e3 * (time.perf_counter() - began))
    return times


def _drag_at_once(sessions: list[Session], index: int, seconds: float) -> list[float]:
    times: list[list[float]] = [[] for _ in sessions]
    threads = [
        threading.Thread(target=_drag, args=(session, index, seconds, k / len(sessions), times[k]))
        for k, session in enumerate(sessions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [value for row in times for value in row]


def _drag(session: Session, index: int, seconds: float, offset: float, times: list[float]) -> None:
    """Hold the gizmo for so long; `offset` is a part of the interval, so that users are not in step."""
    path = session.state.document.edited
    assert path is not None
    session.dispatch(msg.DragStart(index))
    began = time.perf_counter() + offset / RATE_HZ
    i = -1
    while (i := max(i + 1, int((time.perf_counter() - began) * RATE_HZ))) < (seconds + WARM_UP_S) * RATE_HZ:
        due = began + i / RATE_HZ  # what came in during the last one is overtaken, as in the app
        time.sleep(max(0.0, due - time.perf_counter()))
        T = path.Ts_world_camera[index].copy()
        T[0, 3] += 1e-3 * (i + 1)
        session.dispatch(msg.Drag(index, T))
        if i >= WARM_UP_S * RATE_HZ:
            times.append(1e3 * (time.perf_counter() - due))
    session.dispatch(msg.DragEnd(index, path.Ts_world_camera[index]))


if __name__ == "__main__":
    main()
