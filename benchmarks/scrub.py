"""Milliseconds until the stage shows what the camera at the playhead sees, server side, as JSON; run by
`rap bench scrub`: python scrub.py SECONDS THREADS.

A session of the app, without browser and model, of a film of known cameras and of a picture, 640 px both; one user
scrubs at the page's pace and then drags a frustum at the rate at which viser reports a held gizmo. The time of a
picture runs from the moment the newest move it shows was due until its JPEG is offered; moves that the next has
overtaken are left out, as in `drag.py`. The reference is the CPU time of making one such picture, which other work
hardly changes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, as for app.py

from rap.data import Clip, load_clip
from rap.formats import read
from rap.pipeline import Progress, RaPOutput
from ui.document import messages as msg
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.session import Session
from ui.session.sessions import Sessions

SCRUB_HZ, DRAG_HZ = 10.0, 20.0  # PACE_MS of assets/timeline.js; of a held gizmo
SIDE, FRAMES = 640, 17
WARM_UP_S = 1.0
EXAMPLE = Path(__file__).resolve().parent.parent / "assets" / "examples" / "arc_around_a_table"
PATIENCE_S = 120.0


class Looked(Hub):
    """A hub whose pages are all open, and which keeps when it was offered which state's picture."""

    def __init__(self) -> None:
        super().__init__(grace_s=3600.0)
        self.offered: dict[int, float] = {}

    def connections(self, sid: str) -> int:
        return 1

    def show(self, sid: str, told: Mapping[str, Any], jpeg: bytes) -> None:
        self.offered[told["version"]] = time.perf_counter()


def main() -> None:
    """Measure scrubbing and dragging in a film and in a picture; print medians, 95th percentiles and references."""
    seconds, threads = float(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    hub = Looked()
    sessions = Sessions(Worker(KnownCameras), GeometryWorker(), hub, Options(FRAMES))
    seen: dict[str, float] = {"seconds": seconds, "threads": threads}
    for name, prepared in (("film", _film), ("picture", _picture)):
        session = sessions.open()
        prepared(session)
        seen[f"{name}_cpu_ms"] = _alone(session)
        for act, moves in (("scrub", _scrub), ("drag", _drag)):
            times = moves(session, hub, seconds)
            seen |= {
                f"{name}_{act}_ms": float(np.median(times)),
                f"{name}_{act}_p95_ms": float(np.percentile(times, 95)),
            }
    sessions.close()
    print(json.dumps(seen))


def _large(clip: Clip) -> Clip:
    """With its uncropped frames at SIDE pixels: what is uploaded is seldom as small as the examples."""
    footage = clip.frames_u8 if clip.footage_u8 is None else clip.footage_u8
    h, w = footage.shape[1:3]
    size = SIDE, round(h * SIDE / w)
    return replace(clip, footage_u8=np.stack([cv2.resize(one, size, interpolation=cv2.INTER_CUBIC) for one in footage]))


class KnownCameras:
    """In the model's place: a film's cameras are those that came with it."""

    def stream(self, task: Any) -> Generator[Progress, None, None]:
        clip = load_clip(EXAMPLE.with_suffix(".mp4"))
        on_upload = read(EXAMPLE.with_suffix(".transforms.json")).relative_to(0)
        path = replace(clip.on_frames(on_upload.resized(clip.footage_size)), fps=clip.fps)
        yield Progress(1, 1, None, path, True, RaPOutput(frames_u8=task.frames_u8, trajectory=path, raxels=None))


def _film(session: Session) -> None:
    session.dispatch(msg.SetRefine(False))
    session.dispatch(msg.ClipRead(_large(load_clip(EXAMPLE.with_suffix(".mp4")))))
    session.dispatch(msg.Predict())
    _wait(lambda: session.state.document.edited is not None)
    _bent(session)


def _picture(session: Session) -> None:
    clip = _large(load_clip(EXAMPLE.with_suffix(".mp4")))
    assert clip.footage_u8 is not None
    one = Clip(clip.frames_u8[:1], clip.fps, name="a picture", footage_u8=clip.footage_u8[:1])
    session.dispatch(msg.ClipRead(one))
    _bent(session)


def _bent(session: Session) -> None:
    """Along half an arc, once its preview has shown that all is there."""
    session.dispatch(msg.ApplyPreset("arc-left", 0.5))
    _wait(lambda: session.state.geometry.preview is not None and not session.state.busy)
    session.dispatch(msg.Select(FRAMES // 2))


def _alone(session: Session) -> float:
    state = session.state
    built, path = state.geometry.scene, state.document.edited
    assert built is not None and path is not None
    return 1e3 * min(_cpu_seconds(built.scene.glimpse, path, FRAMES // 2) for _ in range(5))


def _cpu_seconds(call: Callable[..., Any], *arguments: Any) -> float:
    began = time.process_time()
    call(*arguments)
    return time.process_time() - began


def _scrub(session: Session, hub: Looked, seconds: float) -> list[float]:
    """To and fro over the frames between the ends."""

    def move(i: int) -> None:
        session.dispatch(msg.SetPlayhead(1 + i % (FRAMES - 2), False, looks=True))

    return _moved(session, hub, seconds, SCRUB_HZ, move)


def _drag(session: Session, hub: Looked, seconds: float) -> list[float]:
    """One frustum, softly, a little farther each time."""
    path, index = session.state.document.edited, FRAMES // 2
    assert path is not None
    T = path.Ts_world_camera[index]

    def move(i: int) -> None:
        moved = T.copy()
        moved[1, 3] += 1e-3 * (i + 1)
        session.dispatch(msg.Drag(index, moved))

    session.dispatch(msg.DragStart(index))
    times = _moved(session, hub, seconds, DRAG_HZ, move)
    session.dispatch(msg.DragEnd(index, T))
    _wait(lambda: session.state.geometry.wanted is None and not session.state.busy)
    return times


def _moved(session: Session, hub: Looked, seconds: float, rate_hz: float, move: Callable[[int], None]) -> list[float]:
    """Milliseconds of each picture that came after the warm-up."""
    hub.offered.clear()
    due_at: dict[int, float] = {}
    began = time.perf_counter()
    i = -1
    while (i := max(i + 1, int((time.perf_counter() - began) * rate_hz))) < (seconds + WARM_UP_S) * rate_hz:
        due = began + i / rate_hz
        time.sleep(max(0.0, due - time.perf_counter()))
        move(i)
        if i >= WARM_UP_S * rate_hz:
            due_at[session.state.version] = due
    last = max(due_at)
    _wait(lambda: last in hub.offered)
    return [1e3 * (hub.offered[version] - due) for version, due in due_at.items() if version in hub.offered]


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {PATIENCE_S:g} s in vain")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
