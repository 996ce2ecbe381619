"""The viewport without a browser: geometry of the picture, incremental drawing, the gizmo's life, what is freed."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from viser._messages import Message

from rap.geometry import intrinsics_from_fov, replace_pose, se3
from rap.geometry.trajectory import Trajectory
from ui.document.messages import Drag, DragEnd, DragStart, PickPoint, Select
from ui.document.state import Points
from ui.viewport.frusta import drag_weights
from ui.viewport.frustum_shape import FRUSTUM_DEPTH_RANGE, frustum_depth, image_corners
from ui.viewport.gizmo import GIZMO_SCALE_PX
from ui.viewport.overview import OVERVIEW_ASPECT, overview
from ui.viewport.palette import DARK, LIGHT, time_colours
from ui.viewport.scene import ViewportScene
from ui.viewport.viewport import Viewport

CANVAS_HEIGHT_PX = 490  # on a page of 1440 x 900

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector


def path(count=9, step=0.1, size=(96, 128)) -> Trajectory:
    poses = se3.exp(np.outer(np.arange(count), [step, -0.02, 0.03, 0.0, -0.05, 0.01]))
    return Trajectory(poses, np.tile(intrinsics_from_fov(0.9, size), (count, 1)), size)


def pictures(count=9):
    return tuple(np.full((48, 64, 3), i, np.uint8) for i in range(count))


@pytest.fixture
def messages():
    return []


@pytest.fixture
def viewport(messages):
    viewport = Viewport(messages.append)
    yield viewport
    viewport.close()


@pytest.fixture
def sent(viewport, monkeypatch):
    """Everything that goes to the browser from now on."""
    sent: list[Message] = []
    queue = viewport.server._websock_server.queue_message
    monkeypatch.setattr(
        viewport.server._websock_server, "queue_message", lambda message: (sent.append(message), queue(message))
    )
    return sent


def node(viewport, name):
    return viewport.server.scene._handle_from_node_name.get(name)


def grab(viewport, phase, T=None):
    """What viser does when the hand moves the gizmo: the handle takes the pose, then the callbacks run."""
    handle = viewport._gizmo._handle
    if T is not None:
        handle._impl.position = T[:3, 3].copy()
        handle._impl.wxyz = se3.quaternion_wxyz(T[:3, :3])
    asyncio.run(viewport._gizmo._moved(SimpleNamespace(phase=phase, target=handle)))


# --- pure parts -------------------------------------------------------------------------------------------------------


def test_image_corners_project_to_the_corners_of_the_image():
    trajectory = path()
    h, w = trajectory.image_size
    for i in (0, 5):
        camera = (image_corners(trajectory, i, 0.7) - trajectory.centres[i]) @ trajectory.Ts_world_camera[i][:3, :3]
        np.testing.assert_allclose(camera[:, 2], 0.7)
        fx, fy, cx, cy = trajectory.intrinsics[i]
        pixels = np.column_stack([fx * camera[:, 0] / 0.7 + cx, fy * camera[:, 1] / 0.7 + cy])
        np.testing.assert_allclose(pixels, [(0, 0), (w, 0), (w, h), (0, h)], atol=1e-9)


@pytest.mark.parametrize(("step", "aspect"), [(0.0, 1.0), (0.01, OVERVIEW_ASPECT), (0.5, 0.8), (10.0, OVERVIEW_ASPECT)])
def test_overview_sees_path_and_plane(step, aspect):
    scene = ViewportScene(path(step=step), path(step=step / 2))
    view = overview(scene, aspect)
    R = se3.look_at(view.position, view.look_at, (0.0, -1.0, 0.0))[:3, :3]
    points = np.concatenate([scene.trajectory.centres, scene.ghost.centres, image_corners(scene.trajectory, 0, 1.0)])
    camera = (points - view.position) @ R
    assert (camera[:, 2] > 0).all()
    tangent = np.tan(view.fov_y_rad / 2)
    assert (np.abs(camera[:, 1] / camera[:, 2]) < tangent).all()
    assert (np.abs(camera[:, 0] / camera[:, 2]) < tangent * aspect).all()
    assert view.position[1] < 0 and view.position[2] < 0, "from above and behind the source"
    edited = camera[: len(scene.trajectory)]  # the gizmo fits beside each camera that can be dragged
    room = tangent * (1 - GIZMO_SCALE_PX / (CANVAS_HEIGHT_PX / 2)) + 0.01
    assert (np.abs(edited[:, 1] / edited[:, 2]) < room).all()


def test_overview_of_nothing_is_finite():
    assert np.isfinite(overview(ViewportScene()).position).all()


def test_frustum_depth_follows_the_step_within_bounds():
    assert frustum_depth(path(step=0.0)) == FRUSTUM_DEPTH_RANGE[0]
    assert frustum_depth(path(step=5.0)) == FRUSTUM_DEPTH_RANGE[1]
    assert frustum_depth(path(count=1)) == FRUSTUM_DEPTH_RANGE[0]


def test_drag_weights_are_the_soft_drags():
    np.testing.assert_allclose(drag_weights(5, 2, 2.0), np.exp(-2 * np.array([1, 0.25, 0, 0.25, 1])))
    np.testing.assert_array_equal(drag_weights(4, 1, 0.0), [0, 1, 0, 0])
    np.testing.assert_array_equal(drag_weights(4, None, 3.0), 0)


def test_time_colours_are_distinct_and_run_from_blue_to_red():
    colours = time_colours(17).astype(int)
    assert len(np.unique(colours, axis=0)) == 17
    assert colours[0, 2] > colours[0, 0] and colours[-1, 0] > colours[-1, 2]
    assert time_colours(1).shape == (1, 3)


# --- drawing ----------------------------------------------------------------------------------------------------------


def test_frusta_stand_where_the_cameras_are(viewport):
    trajectory = path()
    viewport.draw(ViewportScene(trajectory, trajectory, pictures(), selected=4))
    for i in range(9):
        frustum = node(viewport, f"/path/frustum_{i}")
        np.testing.assert_allclose(frustum.position, trajectory.centres[i])
        np.testing.assert_allclose(se3.rotation_from_wxyz(frustum.wxyz), trajectory.Ts_world_camera[i][:3, :3])
        assert frustum.fov == pytest.approx(0.9) and frustum.aspect == pytest.approx(128 / 96)
        depth = frustum.compute_canonical_frustum_size()[2] * frustum.scale
        assert depth == pytest.approx(frustum_depth(trajectory))
        assert frustum.image is not None and (frustum.image == i).all()
    np.testing.assert_allclose(node(viewport, "/gizmo").position, trajectory.centres[4])
    plane = node(viewport, "/source_plane")
    np.testing.assert_allclose(plane.position, (0, 0, 1), atol=1e-9)
    assert plane.render_height == pytest.approx(2 * np.tan(0.45))


def test_drawing_the_same_again_sends_nothing(viewport, sent):
    scene = ViewportScene(path(), path(step=0.09), pictures(), selected=3, soft_radius=2.0)
    viewport.draw(scene)
    assert sent
    sent.clear()
    viewport.draw(scene)
    viewport.draw(ViewportScene(path(), path(step=0.09), scene.thumbnails, selected=3, soft_radius=2.0))
    assert sent == []


def test_a_moved_frame_sends_no_image_and_no_new_node(viewport, sent):
    trajectory, images = path(), pictures()
    viewport.draw(ViewportScene(trajectory, trajectory, images, selected=3))
    sent.clear()
    Ts = trajectory.Ts_world_camera.copy()
    Ts[3, 0, 3] += 0.2
    moved = Trajectory(Ts, trajectory.intrinsics, trajectory.image_size)
    viewport.draw(ViewportScene(moved, trajectory, images, selected=3))
    kinds = {type(message).__name__ for message in sent}
    assert kinds == {"SetPositionMessage", "SceneNodeUpdateMessage"}
    assert {m.name for m in sent if type(m).__name__ == "SetPositionMessage"} == {"/path/frustum_3", "/gizmo"}
    assert all("_image_data" not in m.updates for m in sent if type(m).__name__ == "SceneNodeUpdateMessage")


def test_frames_come_and_go(viewport):
    for count in (5, 9, 3):
        viewport.draw(ViewportScene(path(count), None, pictures(count)))
        names = [n for n in viewport.server.scene._handle_from_node_name if n.startswith("/path/frustum_")]
        assert len(names) == count
    viewport.draw(ViewportScene())
    names = viewport.server.scene._handle_from_node_name
    assert not [n for n in names if n.startswith("/path/")] and "/source_plane" not in names and "/gizmo" not in names


def test_the_source_carries_no_gizmo(viewport):
    viewport.draw(ViewportScene(path(), selected=0))
    assert node(viewport, "/gizmo") is None
    viewport.draw(ViewportScene(path(), selected=1))
    assert node(viewport, "/gizmo") is not None
    viewport.draw(ViewportScene(path(), selected=1, source=1))
    assert node(viewport, "/gizmo") is None


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        (dict(trajectory=path(), selected=9), r"selected must name a frame of the trajectory \(9 frames\), got 9"),
        (dict(selected=0), "selected must name a frame"),
        (dict(trajectory=path(), source=-1), "source must name a frame of the trajectory .0 to 8., got -1"),
        (dict(trajectory=path(), thumbnails=pictures(2)), r"thumbnails must be one per frame \(9\), got 2"),
    ],
)
def test_wrong_scenes_are_refused(viewport, scene, sentence):
    with pytest.raises(ValueError, match=sentence):
        viewport.draw(ViewportScene(**scene))


def test_nothing_stands_around_the_camera_that_is_looked_through(viewport):
    scene = ViewportScene(path(), selected=2)
    viewport.draw(scene)
    viewport.draw(replace(scene, playhead=3, through=True))
    assert not node(viewport, "/path").visible and node(viewport, "/gizmo") is None
    viewport.draw(scene)
    assert node(viewport, "/path").visible and node(viewport, "/gizmo") is not None


# --- gestures ---------------------------------------------------------------------------------------------------------


def test_a_click_selects(viewport, messages):
    viewport.draw(ViewportScene(path()))
    for entry in node(viewport, "/path/frustum_6")._impl.click_cb:
        asyncio.run(entry.callback(SimpleNamespace(screen_pos=(0.4, 0.5))))
    assert messages == [Select(6)]


def click_anywhere(viewport, screen_pos):
    """What viser reports beside the click on a node, for every click."""
    for entry in list(viewport.server.scene._scene_pointer_cb):
        ray = {"ray_origin": (0.0, 0.0, -1.0), "ray_direction": (0.0, 0.0, 1.0)}
        asyncio.run(entry.callback(SimpleNamespace(screen_pos=screen_pos, **ray)))


def test_a_click_beside_the_frusta_clears_the_selection(viewport, messages):
    viewport.draw(ViewportScene(path()))
    click_anywhere(viewport, (0.1, 0.1))
    assert messages == [], "nothing is selected, and the pointer says so"
    viewport.draw(ViewportScene(path(), selected=2))
    for entry in node(viewport, "/path/frustum_6")._impl.click_cb:
        asyncio.run(entry.callback(SimpleNamespace(screen_pos=(0.4, 0.5))))
    click_anywhere(viewport, (0.402, 0.5))
    assert messages == [Select(6)], "the same click, reported twice"
    click_anywhere(viewport, (0.402, 0.5))
    assert messages == [Select(6), Select(None)]
    viewport.draw(ViewportScene(path()))
    click_anywhere(viewport, (0.1, 0.1))
    assert len(messages) == 2


def test_a_click_picks_a_point_while_one_is_wanted(viewport, messages):
    viewport.draw(ViewportScene(path(), picking=True))
    click_anywhere(viewport, (0.1, 0.1))
    assert messages == [PickPoint((0.0, 0.0, -1.0), (0.0, 0.0, 1.0))]
    viewport.draw(ViewportScene(path(), target=(0.1, 0.2, 1.0)))
    click_anywhere(viewport, (0.1, 0.1))
    assert len(messages) == 1, "and no longer"
    np.testing.assert_array_equal(node(viewport, "/target").points, np.float32([[0.1, 0.2, 1.0]]))


def test_nothing_is_around_the_camera_that_is_looked_through(viewport):
    lines = {"ghost": path(), "raw": path(), "followed": path(), "known": path(), "pending": path()}
    scene = ViewportScene(path(), tube=(path(), np.full(9, 0.1)), **lines)
    names = ["/path", *(f"/{name}" for name in (*lines, "tube"))]
    for through in (True, False):
        viewport.draw(replace(scene, through=through))
        assert [node(viewport, name).visible for name in names] == [not through] * len(names)


def test_keys_carry_a_dot_each(viewport, sent):
    viewport.draw(ViewportScene(path(), keys=(0, 4, None, 8)))
    np.testing.assert_array_equal(node(viewport, "/path/keys").points, path().centres[[0, 4, 8]].astype(np.float32))
    sent.clear()
    viewport.draw(ViewportScene(path(), keys=(0, 4, None, 8)))
    assert not sent
    viewport.draw(ViewportScene(path()))
    assert node(viewport, "/path/keys") is None


def test_the_view_of_the_page_that_moved_last(viewport, monkeypatch):
    assert viewport.current_view() is None
    T = path().Ts_world_camera[3]
    cameras = [
        SimpleNamespace(wxyz=se3.quaternion_wxyz(pose[:3, :3]), position=pose[:3, 3], update_timestamp=time)
        for time, pose in ((1.0, np.eye(4)), (2.0, T), (1.5, np.eye(4)))
    ]
    clients = {i: SimpleNamespace(camera=camera) for i, camera in enumerate(cameras)}
    monkeypatch.setattr(viewport.server, "get_clients", lambda: clients)
    np.testing.assert_allclose(viewport.current_view(), T, atol=1e-12)


def points(count=50):
    return Points(np.random.default_rng(0).normal(size=(count, 3)), np.full((count, 3), 100, np.uint8))


def test_points_are_sent_once_and_take_the_place_of_the_picture(viewport, sent):
    trajectory, cloud, dense = path(), points(), points(900)
    scene = ViewportScene(trajectory, thumbnails=pictures())
    viewport.draw(scene)
    assert node(viewport, "/source_plane") is not None and node(viewport, "/points") is None
    viewport.draw(replace(scene, points=cloud))
    assert node(viewport, "/points").points.shape == (50, 3) and node(viewport, "/source_plane") is None
    sent.clear()
    moved = replace_pose(trajectory, 4, trajectory.Ts_world_camera[5])
    viewport.draw(replace(scene, trajectory=moved, points=cloud))
    assert not [message for message in sent if "PointCloud" in type(message).__name__]
    viewport.draw(replace(scene, dense=dense))
    assert node(viewport, "/points") is None and node(viewport, "/dense").points.shape == (900, 3)
    viewport.draw(scene)
    assert node(viewport, "/dense") is None and node(viewport, "/source_plane") is not None


def test_the_raw_prediction_is_a_thin_node_of_its_own(viewport):
    viewport.draw(ViewportScene(path(), raw=path(step=0.2)))
    assert node(viewport, "/raw").thickness == 1.0 and node(viewport, "/ghost") is None
    viewport.draw(ViewportScene(path()))
    assert node(viewport, "/raw") is None


class Client:
    """A page that looks from somewhere."""

    def __init__(self, position, look_at):
        self.camera = SimpleNamespace(position=position, look_at=look_at, up_direction=None, fov=None, aspect=1.0)

    @contextmanager
    def atomic(self):
        yield


@pytest.mark.parametrize(("moved", "framed"), [(0.0, True), (0.5, False)])
def test_a_new_prediction_is_framed_unless_the_view_was_moved(viewport, monkeypatch, moved, framed):
    first = path()
    viewport.draw(ViewportScene(first, home=first))
    view = overview(ViewportScene(first))
    client = Client(view.position + moved, view.look_at)
    monkeypatch.setattr(viewport.server, "get_clients", lambda: {0: client})
    second = path(step=0.4)
    viewport.draw(ViewportScene(path(), home=first))
    np.testing.assert_allclose(client.camera.position, view.position + moved, err_msg="no new home: left alone")
    viewport.draw(ViewportScene(second, home=second))
    wanted = overview(ViewportScene(second), 1.0).position if framed else view.position + moved
    np.testing.assert_allclose(client.camera.position, wanted)


def test_a_drag_starts_moves_and_ends_and_keeps_the_gizmo_in_the_hand(viewport, messages, sent):
    trajectory = path()
    viewport.draw(ViewportScene(trajectory, selected=4))
    sent.clear()
    T = trajectory.Ts_world_camera[4] @ se3.exp(np.array([0.1, 0.0, 0.2, 0.0, 0.3, 0.0]))
    grab(viewport, "start")
    grab(viewport, "update", T)
    elsewhere = path(step=0.3)
    viewport.draw(ViewportScene(elsewhere, selected=4))
    assert not [m for m in sent if getattr(m, "name", "") == "/gizmo"], "the hand's gizmo was moved by a redraw"
    np.testing.assert_allclose(node(viewport, "/path/frustum_4").position, elsewhere.centres[4])
    grab(viewport, "end", T)
    assert [type(m) for m in messages] == [DragStart, Drag, DragEnd]
    assert {m.index for m in messages} == {4}
    for message in messages[1:]:
        np.testing.assert_allclose(message.T_world_camera, T, atol=1e-12)
        assert message.T_world_camera.dtype == np.float64
    viewport.draw(ViewportScene(elsewhere, selected=4))
    np.testing.assert_allclose(node(viewport, "/gizmo").position, elsewhere.centres[4])


def test_updates_without_a_start_and_ends_without_a_drag(viewport, messages):
    trajectory = path()
    viewport.draw(ViewportScene(trajectory, selected=4))
    grab(viewport, "end")
    assert messages == []
    grab(viewport, "update", trajectory.Ts_world_camera[5])
    assert [type(m) for m in messages] == [DragStart, Drag]


def test_the_frusta_keep_their_size_while_dragged(viewport):
    viewport.draw(ViewportScene(path(step=0.1), selected=4))
    before = node(viewport, "/path/frustum_4").scale
    grab(viewport, "start")
    viewport.draw(ViewportScene(path(step=0.15), selected=4))
    assert node(viewport, "/path/frustum_4").scale == before
    grab(viewport, "end")
    viewport.draw(ViewportScene(path(step=0.15), selected=4))
    assert node(viewport, "/path/frustum_4").scale != before


# --- life and cost ----------------------------------------------------------------------------------------------------


def test_close_frees_server_and_threads_and_may_be_repeated():
    threads = threading.active_count()
    viewport = Viewport(lambda message: None)
    viewport.draw(ViewportScene(path(), None, pictures()))
    assert threading.active_count() == threads + 1
    viewport.close()
    viewport.close()
    viewport.draw(ViewportScene(path(), selected=2))  # late, from a job that has not heard
    viewport.orbit_view()
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        viewport.connect()


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="reads Linux's /proc")
def test_an_idle_session_is_small():
    """The requirement is 10 MB above the first; 17 thumbnails of 128 x 128 are 0.8 of them."""
    trajectory = path(17)
    rng = np.random.default_rng(0)
    viewports = []

    def open_sessions(count):
        for _ in range(count):
            images = tuple(rng.integers(0, 255, (128, 128, 3), np.uint8) for _ in range(17))
            viewports.append(Viewport(lambda message: None))
            viewports[-1].draw(ViewportScene(trajectory, trajectory, images, selected=3))

    open_sessions(2)
    gc.collect()
    before, start = resident_bytes(), time.perf_counter()
    open_sessions(8)
    seconds = (time.perf_counter() - start) / 8
    gc.collect()
    each = (resident_bytes() - before) / 8 / 1e6
    print(f"{each:.1f} MB and {seconds * 1e3:.0f} ms per session")
    for viewport in viewports:
        viewport.close()
    assert each < 10.0


def test_a_dark_page_recolours_what_is_drawn_and_sends_no_geometry(viewport, sent):
    scene = ViewportScene(path(), ghost=path(step=0.2), raw=path(step=0.3), known=path(step=0.1), keys=(0, 4, 8))
    viewport.draw(scene)
    assert node(viewport, "/path/frustum_0").color == LIGHT.strong
    sent.clear()
    viewport.draw(replace(scene, is_dark=True))
    assert [message.dark_mode for message in sent if type(message).__name__ == "ThemeConfigurationMessage"] == [True]
    assert node(viewport, "/path/frustum_0").color == DARK.strong
    assert node(viewport, "/floor").cell_color == DARK.cell
    for name, colour in (("/ghost", DARK.ghost), ("/raw", DARK.raw), ("/known", DARK.known)):
        assert (node(viewport, name).colors == np.array(colour)).all(), name
    assert (node(viewport, "/path/keys").colors == np.array(DARK.strong)).all()
    sent.clear()
    viewport.draw(replace(scene, is_dark=True))
    assert sent == [] or {type(message).__name__ for message in sent} <= {"SceneNodeUpdateMessage"}
