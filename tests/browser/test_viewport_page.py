"""The viewport alone in a browser: it draws, is clicked and dragged, and without a WebSocket it steps aside."""

from __future__ import annotations

import time
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
from browser_harness import ASSETS, drag_mouse, pixels_per_unit, to_css, viewport_frame, wait_for_client
from fakes import wait_until

from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from ui.document.messages import Drag, DragEnd, DragStart, Select
from ui.serve.hub import Hub
from ui.viewport.frustum_shape import frustum_depth, image_corners
from ui.viewport.gizmo import GIZMO_SCALE_PX
from ui.viewport.scene import ViewportScene
from ui.viewport.viewport import Viewport


def five_cameras() -> Trajectory:
    """A path to the right with a slight turn; spaced so that no frustum hides another from the overview."""
    Ts = np.tile(np.eye(4), (5, 1, 1))
    for i, T in enumerate(Ts):
        angle = -0.12 * i
        T[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        T[:3, 3] = 0.3 * i, -0.03 * i, 0.02 * i
    return Trajectory(Ts, np.tile([110.0, 110.0, 64.0, 48.0], (5, 1)), (96, 128))


def pictures(count: int) -> tuple[np.ndarray, ...]:
    ramp = np.indices((48, 64)).sum(axis=0)
    return tuple(
        np.stack([ramp * 2, np.full_like(ramp, 40 * i + 30), 255 - ramp * 2], -1).astype(np.uint8) for i in range(count)
    )


class Editor:
    """The smallest session: keeps the messages, answers a selection and a drag with the next scene."""

    def __init__(self, hub: Hub):
        self.messages = []
        self.draw_times = []
        self.viewport = Viewport(self.dispatch)
        trajectory = five_cameras()
        self.scene = ViewportScene(trajectory, trajectory.scaled(0.9), pictures(5), soft_radius=1.0)
        self.viewport.draw(self.scene)
        self.sid = hub.open(self.viewport, self)

    def dispatch(self, message):
        self.messages.append((time.perf_counter(), message))
        changes = {}
        if isinstance(message, Select):
            changes["selected"] = message.index
        if isinstance(message, Drag | DragEnd):
            Ts = self.scene.trajectory.Ts_world_camera.copy()
            Ts[message.index] = message.T_world_camera
            changes["trajectory"] = Trajectory(Ts, self.scene.trajectory.intrinsics, (96, 128))
        if changes:
            self.scene = ViewportScene(**{**self.scene.__dict__, **changes})
            start = time.perf_counter()
            self.viewport.draw(self.scene)
            self.draw_times.append(time.perf_counter() - start)

    def of(self, kind):
        return [message for _, message in self.messages if isinstance(message, kind)]


@pytest.fixture
def editor(serve, page):
    hub = Hub()
    editor = Editor(hub)
    with gr.Blocks() as demo:
        gr.HTML(
            value=editor.sid,
            html_template='<div class="rap-viewport"></div>',
            js_on_load=(ASSETS / "viewport.js").read_text(),
        )
        gr.Markdown("stand-in", elem_classes="rap-fallback")
    editor.hub = hub
    editor.url = serve(demo, hub, css=(ASSETS / "viewport.css").read_text())
    return editor


def image_centre(editor, index):
    trajectory = editor.scene.trajectory
    return image_corners(trajectory, index, frustum_depth(editor.scene.ghost)).mean(axis=0)


def test_scene_is_drawn_clicked_and_dragged(editor, page, shot):
    page.goto(editor.url + "?fixedDpr=0.5")
    client = wait_for_client(page, editor.viewport.server)
    picture = shot("overview")
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100, "the viewport is blank"
    assert page.evaluate("document.body.dataset.rapViewport") == "live"

    for index in (3, 1):
        page.mouse.click(*to_css(page, client, image_centre(editor, index))[0])
        wait_until(lambda chosen=index: [message.index for message in editor.of(Select)][-1:] == [chosen])
    wait_for_client(page, editor.viewport.server)
    shot("selected")

    before = editor.scene.trajectory.Ts_world_camera[1]
    tip = before[:3, 3] + 0.9 * GIZMO_SCALE_PX / pixels_per_unit(page, client, before[:3, 3]) * before[:3, 0]
    start, end = to_css(page, client, [tip, tip + 0.2 * before[:3, 0]])
    drag_mouse(page, start, end)
    shot("dragged")
    assert [message.index for message in editor.of(DragStart)] == [1]
    drags, ends = editor.of(Drag), editor.of(DragEnd)
    assert len(drags) >= 3 and len(ends) == 1
    moved = ends[0].T_world_camera[:3, 3] - before[:3, 3]
    np.testing.assert_allclose(moved, 0.2 * before[:3, 0], atol=0.03)
    np.testing.assert_allclose(ends[0].T_world_camera[:3, :3], before[:3, :3], atol=1e-5)
    np.testing.assert_array_equal(editor.scene.trajectory.Ts_world_camera[1], ends[0].T_world_camera)


THREE_DRAWINGS_MS = """async (touch) => {
    const began = performance.now();
    for (let i = 0; i < 3; i++) {
        if (touch) window.dispatchEvent(new PointerEvent("pointermove"));
        await new Promise(requestAnimationFrame);
    }
    return performance.now() - began;
}"""


def test_the_view_rests_while_nothing_moves(editor, page):
    """Drawn by software, as here, a view that never rests is a core of the machine that makes the take."""
    page.goto(editor.url + "?fixedDpr=0.1")
    wait_for_client(page, editor.viewport.server)
    page.wait_for_timeout(5000)  # it is awake while it loads
    frame = viewport_frame(page)
    assert max(frame.evaluate(THREE_DRAWINGS_MS, False) for _ in range(2)) > 1500
    assert min(frame.evaluate(THREE_DRAWINGS_MS, True) for _ in range(5)) < 1000


def test_drag_is_live_and_prompt(editor, page, capsys):
    """Drags come at the client's 20 Hz, and one redraw of the path costs a small part of the 50 ms between them."""
    page.goto(editor.url + "?fixedDpr=0.5")
    client = wait_for_client(page, editor.viewport.server)
    editor.dispatch(Select(2))
    wait_for_client(page, editor.viewport.server)
    at = editor.scene.trajectory.centres[2]
    axis = editor.scene.trajectory.Ts_world_camera[2][:3, 1]
    tip = at + 0.9 * GIZMO_SCALE_PX / pixels_per_unit(page, client, at) * axis
    start, end = to_css(page, client, [tip, tip + 0.3 * axis])
    editor.draw_times.clear()
    drag_mouse(page, start, end, steps=30)
    times = np.array([at for at, message in editor.messages if isinstance(message, Drag)])
    assert len(times) > 10
    with capsys.disabled():
        every, redraw = np.median(np.diff(times)) * 1e3, np.median(editor.draw_times) * 1e3
        print(f"\ndrag: {len(times)} messages, one every {every:.0f} ms, redraw {redraw:.1f} ms (medians)")
    assert np.median(editor.draw_times) < 0.025


def test_flying_and_coming_back(editor, page, shot):
    page.goto(editor.url + "?fixedDpr=0.5")
    client = wait_for_client(page, editor.viewport.server)
    overview = client.camera.position.copy()
    editor.viewport.draw(replace(editor.scene, playhead=4, through=True))
    wait_for_client(page, editor.viewport.server)
    shot("frame-4")
    T = editor.scene.trajectory.Ts_world_camera[4]
    np.testing.assert_allclose(client.camera.position, T[:3, 3], atol=1e-3)
    np.testing.assert_allclose(se3.rotation_from_wxyz(client.camera.wxyz), T[:3, :3], atol=1e-3)
    editor.viewport.draw(editor.scene)
    wait_for_client(page, editor.viewport.server)
    shot("back")
    np.testing.assert_allclose(client.camera.position, overview, atol=1e-2)


def state(page):
    return page.evaluate("document.body.dataset.rapViewport")


def test_without_a_websocket_the_page_shows_the_stand_in(editor, page, shot, console_errors):
    page.route_web_socket("**/viewport/**", lambda socket: socket.close())
    page.goto(editor.url)
    page.wait_for_function("document.body.dataset.rapViewport === 'fallback'")
    page.wait_for_selector(".rap-fallback", state="visible")
    shot("fallback")
    assert page.query_selector(".rap-viewport iframe") is None
    console_errors.clear()  # the refused WebSocket is what this test is about


def test_stand_in_can_be_asked_for(editor, page):
    page.goto(editor.url + "?noviewport=1")
    page.wait_for_selector(".rap-fallback", state="visible")
    assert state(page) == "fallback"


def test_an_ended_session_says_so(editor, page, console_errors):
    page.goto(editor.url + "?fixedDpr=0.5")
    wait_for_client(page, editor.viewport.server)
    assert page.is_hidden(".rap-fallback")
    editor.hub.close(editor.sid)
    page.wait_for_function("document.body.dataset.rapViewport === 'ended'")
    console_errors.clear()  # 403 for the closed session, as it should be
