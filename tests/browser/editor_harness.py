"""A page of the editor as browser tests drive it."""

from __future__ import annotations

import gc
from contextlib import contextmanager

import numpy as np
from browser_harness import WAIT_MS, drag_mouse, pixels_per_unit, to_css, wait_for_client
from fakes import made_up_geometry, wait_until

from ui import app
from ui.viewport.frustum_shape import frustum_depth, image_corners
from ui.viewport.gizmo import GIZMO_SCALE_PX
from ui.viewport.overview import overview


def started(load, has_geometry=True):
    """The app until the fixture that yields from this ends; without its geometry what that finds is made up."""
    running = app.start(app.parse(["--predict", "when-asked"]), load)
    running.sessions.result(timeout=60)
    if not has_geometry:
        made_up_geometry(running)
    yield running
    running.close()
    gc.collect()


UNFOLD = """['rap-path-settings', 'rap-more-moves', 'rap-take-settings'].forEach(
    (fold) => document.querySelector(`#${fold} > button`).click()
)"""


@contextmanager
def closed_tabs_end(running):
    """As if the grace time had passed: at other times it must last for a reload on a busy machine."""
    hub = running.front.hub
    usual, hub.grace_s = hub.grace_s, 0.5
    try:
        yield
    finally:
        hub.grace_s = usual


class Editor:
    """A page of the app, and the session behind it; with what lies in its folds in view, unless that is not wanted."""

    def __init__(self, page, running, unfolded=True):
        self.page, self.sessions = page, running.sessions.result()
        page.set_default_timeout(WAIT_MS)
        page.set_viewport_size({"width": 1440, "height": 900})
        before = set(self.sessions._sessions)
        page.goto(running.url + "?fixedDpr=0.5")
        self.wait_enabled("rap-files input[type=file]")
        (session_id,) = set(self.sessions._sessions) - before
        self.session = self.sessions.get(session_id)
        if unfolded:
            self.unfold()

    def unfold(self):
        """A page begins with its folds closed, also when it is loaded again."""
        self.page.evaluate(UNFOLD)

    def wait_enabled(self, place):
        self.page.wait_for_selector(f"#{place}:enabled", state="attached")

    def press(self, name):
        self.wait_enabled(name)
        self.page.click(f"#{name}")

    def give(self, path):
        self.page.set_input_files("#rap-files input[type=file]", str(path))

    def text(self, place):
        return self.page.inner_text(f"#{place}").strip()

    def height(self):
        return self.page.evaluate("document.documentElement.scrollHeight")

    def client(self):
        return wait_for_client(self.page, self.session.viewport.started().server)

    def show_all(self):
        """Press it, and wait until the camera has got there: before, a picture at rest is one of the old view."""
        self.press("rap-overview")
        viewport = self.session.viewport
        (client,) = viewport.started().server.get_clients().values()

        def is_there():
            return (
                np.linalg.norm(client.camera.position - overview(viewport._scene, client.camera.aspect).position) < 0.01
            )

        wait_until(is_there)

    @property
    def document(self):
        return self.session.state.document


def bend(editor, index):
    """Click on frustum `index` (one in front of it may take the click) and drag the gizmo along an axis of its camera.

    It is x or y, whichever is longer on the screen: an axis towards the eye cannot be dragged.
    """
    page, client, path = editor.page, editor.client(), editor.document.edited
    corners = image_corners(path, index, frustum_depth(editor.document.predicted or path))
    page.mouse.click(*to_css(page, client, corners.mean(axis=0))[0])
    page.wait_for_function("document.querySelector('#rap-path-line').innerText.includes('selected')")
    selected = editor.document.selected
    assert selected, "the source was clicked: it hides the path in this view"
    client = editor.client()
    pose = path.Ts_world_camera[selected]
    middle, *ends = to_css(page, client, pose[:3, 3] + 0.1 * np.array([np.zeros(3), pose[:3, 0], pose[:3, 1]]))
    axis = pose[:3, int(np.argmax([np.linalg.norm(end - middle) for end in ends]))]
    tip = pose[:3, 3] + 0.9 * GIZMO_SCALE_PX / pixels_per_unit(page, client, pose[:3, 3]) * axis
    drag_mouse(page, *to_css(page, client, [tip, tip + 0.25 * axis]))
    return selected


def wait_for_video(page):
    """The result's video element has a file and plays it."""
    page.wait_for_function("document.querySelector('#rap-video video')?.readyState >= 2")
    at = page.evaluate("document.querySelector('#rap-video video').currentTime")
    page.wait_for_function(f"document.querySelector('#rap-video video').currentTime != {at}")
    assert page.evaluate("document.querySelector('#rap-video video').error") is None
