"""Sessions around a fake pipeline, and the steps that tests of sessions take in them."""

from __future__ import annotations

from fakes import FakeGeometry, FakePipeline, wait_until

from ui.document import messages as msg
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.sessions import Sessions


class App:
    """Sessions around a fake pipeline; with a state folder they are found again."""

    def __init__(self, state=None, options=Options()):  # noqa: B008  a value that never changes
        self.pipeline = FakePipeline()
        self.hub = Hub(grace_s=60.0)
        self.backend = FakeGeometry()
        self.sessions = Sessions(
            Worker(lambda: self.pipeline), GeometryWorker(lambda: self.backend), self.hub, options, state
        )

    def close(self):
        self.sessions.close()


def give(session, *paths):
    session.dispatch(msg.Upload(tuple(map(str, paths))))
    return session.state


def finish(session):
    wait_until(lambda: session.state.job is None and session.state.geometry.held is None)
    return session.state


def predicted(session, path):
    give(session, path)
    session.dispatch(msg.Predict())
    return finish(session)


def moved(session, index, by=0.2):
    T = session.state.document.edited.Ts_world_camera[index].copy()
    T[1, 3] += by
    return T


def made(session, count=2):
    """A prediction and so many takes of it."""
    session.dispatch(msg.SetVerify(False))
    for seed in range(count):
        session.dispatch(msg.Regenerate(steps=1, seed=seed))
        finish(session)
    return session.state.document


def at_rest(session):
    """Once no geometry is at work and the preview is that of the path."""

    def rests():
        state, geometry = session.state, session.state.geometry
        if state.document.edited is None or geometry.job is not None or geometry.preview is None:
            return False
        return geometry.preview.key[-1] == state.document.edited.hash

    wait_until(rests)
    return session.state


def bent(session, index=8, by=0.2):
    T = session.state.document.edited.Ts_world_camera[index].copy()
    T[1, 3] += by
    session.dispatch(msg.DragEnd(index, T))
    return session.state.document.edited


def depth_found(session):
    """Once the picture's depth is there."""
    wait_until(lambda: session.state.geometry.scene is not None and session.state.geometry.job is None)
    return session.state.geometry
