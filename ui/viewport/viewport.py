"""The 3D view of one session: draws a trajectory in viser and turns gestures into messages.

World = the source camera: OpenCV axes (+x right, +y down, +z forward), lengths in median depths of the source view.
Nothing here decides anything: `draw` shows a value, `dispatch` says what the hand did, and the session's next `draw`
answers. While a gizmo is held it belongs to the hand alone; everything else follows it live.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import rich
import viser
from jaxtyping import Float64

from rap.geometry import Trajectory, se3
from rap.limits import STROKE_POINTS
from ui.document.messages import PickPoint, Select
from ui.viewport.clouds import DENSE_POINT_SIZE, POINT_SIZE, TARGET_SIZE, Cloud, Dots
from ui.viewport.frusta import Frusta
from ui.viewport.frustum_shape import FRUSTUM_DEPTH_RANGE, frustum_depth
from ui.viewport.gizmo import Gizmo
from ui.viewport.inner_server import connect, inner_server
from ui.viewport.overview import OVERVIEW_ASPECT, WORLD_UP, Overview, overview
from ui.viewport.palette import TARGET
from ui.viewport.paths import Paths
from ui.viewport.scene import ViewportScene, check
from ui.viewport.surroundings import Surroundings

HELD_TOLERANCE = 0.003  # parts of a frustum's depth: less than a pixel of it
CLICK_TOLERANCE = 0.01  # share of the canvas within which two reports are of one click
VIEW_TOLERANCE = 0.02  # share of the distance to what is looked at, below which a camera has not been moved


class Viewport:
    """One session's viser server and the scene in it.

    `draw` may be called from any thread, also from within `dispatch` (which runs on viser's thread).

    Args:
        dispatch: receives every gesture; must return quickly, for it runs on the viewport's event loop.
    """

    def __init__(self, dispatch: Callable[[Any], None]):
        self._dispatch = dispatch
        self._lock = threading.RLock()
        self._scene = ViewportScene()
        self._closed = False
        self._depth = FRUSTUM_DEPTH_RANGE[0]
        self._node_clicked_at: tuple[float, float] | None = None
        self._listening = False
        self._through: np.ndarray | None = None
        self._views: tuple[Overview, ...] = ()
        self._recorded: list[tuple[float, np.ndarray]] | None = None
        self._watched: set[int] = set()
        rich.get_console().quiet = True  # viser would announce an address for every session there
        self.server = inner_server()
        self.server.scene.set_up_direction("-y")
        # nothing here is lit: lights would draw their shadows, and surroundings be mirrored, in every picture
        self.server.scene.configure_default_lights(enabled=False, cast_shadow=False)
        self.server.scene.configure_environment_map(None)
        self._is_dark = False
        self._set_theme()
        self._surroundings = Surroundings(self.server)
        self._frusta = Frusta(self.server, self._clicked)
        self._paths = Paths(self.server)
        self._points = Cloud(self.server, "/points", POINT_SIZE)
        self._dense = Cloud(self.server, "/dense", DENSE_POINT_SIZE)
        self._target = Dots(self.server, "/target", TARGET_SIZE)
        self._gizmo = Gizmo(self.server, dispatch)
        self._set_initial_camera()

    def connect(self) -> socket.socket:
        """A connection to the viser server, as `InnerServer.connect` makes it: there is no other way to reach it."""
        return connect(self.server)

    def draw(self, scene: ViewportScene) -> None:
        """Show `scene`. Idempotent: what has not changed is not sent again. After `close` it does nothing.

        The gizmo stands on the selected frame unless that is the source. The first trajectory to appear is brought
        into view, and so are points before there is one, and each new `home` unless the user has moved the camera
        (`orbit_view` brings it back).

        Raises:
            ValueError: `selected` or `source` is no frame of the trajectory, or the thumbnails are too few.
        """
        check(scene)
        with self._lock:
            if self._closed:
                return
            is_first = self._scene.trajectory is None and (
                scene.trajectory is not None or (scene.dense is not None and self._scene.dense is None)
            )
            is_new = scene.home is not None and scene.home is not self._scene.home
            is_moved = is_new and self._is_moved()
            was_through, self._scene = self._scene.through, scene
            with self.server.atomic():
                if scene.is_dark != self._is_dark:
                    self._is_dark = scene.is_dark
                    self._set_theme()
                self._draw_paths(scene)
                self._surroundings.draw(scene)
                self._points.draw(scene.points)
                self._dense.draw(scene.dense)
                self._target.draw(np.zeros((0, 3)) if scene.target is None else np.array([scene.target]), TARGET)
                self._show_all(not scene.through)
            self._listen(scene.selected is not None or scene.picking)
            if scene.through and scene.trajectory is not None:
                self._look_through(scene.trajectory, scene.playhead)
            elif was_through or is_first or (is_new and not is_moved):
                self.orbit_view()

    def orbit_view(self) -> None:
        """Bring path and unit-depth plane into view again, world up, and show the frusta."""
        with self._lock:
            if self._closed:
                return
            self._set_initial_camera()
            self._through = None
            view = self._overview()
            self._fly(view.position, view.look_at, WORLD_UP, view.fov_y_rad)
            self._show_all(True)

    def add_commands(self, commands: Mapping[str, Any]) -> None:
        """Offer messages by name in viser's command palette (Ctrl K in the viewport)."""
        for label, message in commands.items():
            self.server.gui.add_command(label).on_trigger(partial(self._commanded, message))

    async def _commanded(self, message: Any, _: viser.CommandEvent) -> None:
        self._dispatch(message)

    def current_view(self) -> Float64[np.ndarray, "4 4"] | None:
        """Camera-to-world pose of the page that moved its view last, OpenCV axes; None while no page is connected."""
        cameras = [client.camera for client in self.server.get_clients().values()]
        if not cameras:
            return None
        return _pose_of(max(cameras, key=_moved_at))

    def begin_recording(self) -> bool:
        """Note every pose of the page that moved its view last; False while no page is connected."""
        cameras = {number: client.camera for number, client in self.server.get_clients().items()}
        if not cameras:
            return False
        number, camera = max(cameras.items(), key=lambda entry: _moved_at(entry[1]))
        self._recorded = [(time.monotonic(), _pose_of(camera))]
        if number not in self._watched:  # viser takes no callback back
            self._watched.add(number)
            camera.on_update(self._note)
        return True

    def end_recording(self) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n 4 4"]]:
        """When the view was where, in seconds and as `current_view` has it, since `begin_recording`."""
        found, self._recorded = self._recorded or [], None
        times, poses = [time for time, _ in found], [pose for _, pose in found]
        return np.array(times), np.array(poses).reshape(-1, 4, 4)

    async def _note(self, camera: viser.CameraHandle) -> None:
        if self._recorded is not None and len(self._recorded) < STROKE_POINTS.value:
            self._recorded.append((time.monotonic(), _pose_of(camera)))

    def close(self) -> None:
        """Stop the viser server and free its port and threads; harmless when repeated.

        Not to be called from within `dispatch` (the server's own thread cannot wait for itself to end).
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.server.stop()

    def _look_through(self, trajectory: Trajectory, index: int) -> None:
        T, fov_y_rad = trajectory.Ts_world_camera[index], float(trajectory.fov_y_rad[index])
        if self._through is None or not np.array_equal(self._through, T):  # else the person may have looked aside
            self._through = T
            self._fly(T[:3, 3], T[:3, 3] + T[:3, 2], -T[:3, 1], fov_y_rad)

    def _draw_paths(self, scene: ViewportScene) -> None:
        reference = scene.ghost or scene.trajectory
        held = scene.held or self._gizmo.dragged is not None  # a drag must not make the frusta grow under the hand
        if reference is not None and not held:
            self._depth = frustum_depth(reference)
        self._frusta.draw(scene, self._depth, HELD_TOLERANCE * self._depth if scene.held else 0.0)
        self._paths.draw(scene, self._depth)

    def _show_all(self, visible: bool) -> None:
        self._frusta.show(visible)
        self._paths.show(visible)
        trajectory, index = self._scene.trajectory, self._scene.selected
        if not visible or trajectory is None or index is None or index == self._scene.source:
            self._gizmo.draw(None, None)
        elif not self._scene.held:  # while it is, nobody but the hand moves it
            self._gizmo.draw(index, trajectory.Ts_world_camera[index], self._scene.gizmo)

    def _set_theme(self) -> None:
        self.server.gui.configure_theme(show_logo=False, show_share_button=False, dark_mode=self._is_dark)

    def _set_initial_camera(self) -> None:
        view = self._overview()
        camera = self.server.initial_camera  # for pages that connect later, and for viser's own "reset view"
        camera.position, camera.look_at, camera.fov = view.position, view.look_at, view.fov_y_rad
        self._views = (view,)

    def _overview(self) -> Overview:
        """For the narrowest of the canvases that show it."""
        aspects = [client.camera.aspect for client in self.server.get_clients().values()]
        return overview(self._scene, min(aspects, default=OVERVIEW_ASPECT))

    def _is_moved(self) -> bool:
        """Whether a user looks from elsewhere than this viewport has put the camera."""
        for client in self.server.get_clients().values():
            at, towards = np.asarray(client.camera.position), np.asarray(client.camera.look_at)
            near = VIEW_TOLERANCE * np.linalg.norm(towards - at)
            if not any(
                np.linalg.norm(at - view.position) < near and np.linalg.norm(towards - view.look_at) < near
                for view in self._views
            ):
                return True
        return False

    def _fly(self, position: np.ndarray, look_at: np.ndarray, up: np.ndarray, fov_y_rad: float) -> None:
        # the first is for pages that connect later, the last but one for a camera that is still on its way
        self._views = (self._views[0], *self._views[-1:], Overview(position, look_at))
        for client in self.server.get_clients().values():
            with client.atomic():
                client.camera.up_direction = up
                client.camera.position = position
                client.camera.look_at = look_at
                client.camera.fov = fov_y_rad

    def _listen(self, for_clicks: bool) -> None:
        """Hear clicks beside the frusta only while they mean something: the pointer shows whether they do."""
        if for_clicks == self._listening:
            return
        self._listening = for_clicks
        if for_clicks:
            self.server.scene.on_click()(self._clicked_anywhere)  # pyright: ignore[reportArgumentType]  viser awaits it
        else:
            self.server.scene.remove_click_callback()

    def _clicked(self, index: int, screen_pos: tuple[float, float]) -> None:
        self._node_clicked_at = screen_pos
        self._dispatch(Select(index))

    async def _clicked_anywhere(self, event: viser.SceneClickEvent) -> None:
        # viser reports a click on a frustum here, too, after the frustum's own report
        at, self._node_clicked_at = self._node_clicked_at, None
        if at is not None and np.abs(np.subtract(event.screen_pos, at)).max() < CLICK_TOLERANCE:
            return
        self._dispatch(PickPoint(event.ray_origin, event.ray_direction) if self._scene.picking else Select(None))


def _pose_of(camera: viser.CameraHandle) -> Float64[np.ndarray, "4 4"]:
    wxyz = np.asarray(camera.wxyz, float)
    R = se3.rotation_from_wxyz(wxyz / np.linalg.norm(wxyz))
    return se3.from_rotation_translation(R, np.asarray(camera.position, float))


def _moved_at(camera: viser.CameraHandle) -> float:
    return camera.update_timestamp
