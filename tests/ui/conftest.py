"""What the tests of sessions begin with; a file whose sessions are made otherwise has fixtures of its own."""

from __future__ import annotations

import ui.page.quick_start  # noqa: F401  Gradio, as the app imports it: before tests do, the slow way

# isort: split
import pytest
from editing import App
from fakes import moving_frames
from PIL import Image

from rap.data import write_video
from ui.document import messages as msg


@pytest.fixture
def app():
    app = App()
    yield app
    app.close()


@pytest.fixture
def session(app):
    """A session that leaves predictions and takes as they are; what refining does is tested in test_geometry.py."""
    session = app.sessions.open()
    session.dispatch(msg.SetRefine(False))
    session.dispatch(msg.SetUseGeometry(False))
    session.dispatch(msg.SetVerify(False))
    return session


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "slide.mp4"
    write_video(path, moving_frames(40), 20.0)
    return path


@pytest.fixture(scope="session")
def still(tmp_path_factory):
    path = tmp_path_factory.mktemp("still") / "one.png"
    Image.fromarray(moving_frames(1)[0]).save(path)
    return path
