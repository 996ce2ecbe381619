"""The 3D view of one session: draws a trajectory in viser and turns gestures into messages.

World = the source camera: OpenCV axes (+x right, +y down, +z forward), lengths in median depths of the source view.
Nothing here decides anything: `draw` shows a value, `dispatch` says what the hand did, and the session's next `draw`
answers. While a gizmo is held it belongs to the hand alone; everything else follows it live.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import rich
import viser
from jaxtyping import Float, Float64, UInt8

from rap.geometry import Trajectory, se3
from ui.document.messages import Drag, DragEnd, DragStart, GizmoMode, PickPoint, Select
from ui.document.state import Points
from ui.viewport.palette import (
    FOLLOWED,
    LIGHT,
    PENDING,
    SELECTED,
    TARGET,
    TUBE,
    Colour,
    Palette,
    palette,
    time_colours,
)

PLAYHEAD_PX = 4.5
HELD_TOLERANCE = 0.003  # parts of a frustum's depth: less than a pixel of it
RING_POINTS = 16
FRUSTUM_DEPTH_RANGE = (0.08, 0.16)  # below it a frustum is too small to hit with a mouse, above it neighbours hide
OVERVIEW_FOV_Y_RAD = np.radians(45.0)
OVERVIEW_DIRECTION = np.array([0.70, -0.55, -0.85])  # from behind the source camera, above it and to its right
OVERVIEW_ASPECT = 1.4  # width over height of the canvas it is made for; a wider one only shows more at the sides
FAR = 20.0  # a camera that is this many times farther off than most has gone astray: the overview does without it
OVERVIEW_FILL = 0.85  # share of the canvas that path and plane may fill
CAMERAS_FILL = 0.6  # that the cameras to be edited may: the gizmo, GIZMO_SCALE_PX long, fits beside each of them
WORLD_UP = np.array([0.0, -1.0, 0.0])
GIZMO_SCALE_PX = 100.0
GRID_CELL = 0.25
DASHES_PER_STEP = 2  # of the followed path, from frame to frame
POINT_SIZE = 0.009  # of triangulated points: a small part of a frustum
DENSE_POINT_SIZE = 0.005  # about a pixel of a depth map, at the source view's median depth
KEY_SIZE = 0.03  # of the dot on a key camera
TARGET_SIZE = 0.035  # of the dot on the picked point
CLICK_TOLERANCE = 0.01  # share of the canvas within which two reports are of one click
VIEW_TOLERANCE = 0.02  # share of the distance to what is looked at, below which a camera has not been moved


@dataclass(frozen=True, eq=False)
class ViewportScene:
    """What the viewport shows; a value, compared by the identity of its parts.

    Args:
        trajectory: the edited path, one frustum per frame.
        ghost: the path that edits start from, drawn faint behind it.
        thumbnails: one (h, w, 3) uint8 image per frame of the trajectory, shown on its frustum.
        selected: frame that carries the gizmo.
        source: frame that is marked and cannot be dragged.
        soft_radius: reach of a drag in frames; frusta inside it are drawn bolder.
        raw: the prediction before it was refined, drawn thinner still.
        points: triangulated points of the scene.
        dense: points of its depth maps.
        home: the path that is brought into view when it is a new one.
        followed: the cameras that the model sees in the take on show, dashed.
        keys: frames that are keys, with a dot each; None for a key that has no frame.
        target: the picked point.
        picking: a click into the scene picks a point.
        playhead: frame that is drawn boldest.
        gizmo: what the gizmo does.
        pending: cameras of a file that are to become the path.
        tube: a path and a radius around each of its cameras, in which samples of it lie.
        known: the clip's known cameras.
        is_dark: the page around the viewport is dark.
        held: a hand is on the path, so that what moves by less than a pixel may be shown later.
        through: the pages look through the camera at the playhead, and the frusta are hidden: one would be around them.
    """

    trajectory: Trajectory | None = None
    ghost: Trajectory | None = None
    thumbnails: tuple[UInt8[np.ndarray, "h w 3"], ...] | None = None
    selected: int | None = None
    source: int = 0
    soft_radius: float = 0.0
    raw: Trajectory | None = None
    points: Points | None = None
    dense: Points | None = None
    home: Trajectory | None = None
    followed: Trajectory | None = None
    keys: tuple[int | None, ...] = ()
    target: tuple[float, float, float] | None = None
    picking: bool = False
    playhead: int = 0
    through: bool = False
    gizmo: GizmoMode = "both"
    held: bool = False
    pending: Trajectory | None = None
    known: Trajectory | None = None
    is_dark: bool = False
    tube: tuple[Trajectory, Float[np.ndarray, " t"]] | None = None


@dataclass(frozen=True)
class Overview:
    """A camera from which path and unit-depth plane are both in view: world positions and a vertical fov."""

    position: Float64[np.ndarray, "3"]
    look_at: Float64[np.ndarray, "3"]
    fov_y_rad: float = float(OVERVIEW_FOV_Y_RAD)


@lru_cache(maxsize=16)
def _line_colours(num_frames: int) -> UInt8[np.ndarray, "segments 2 3"]:
    colours = time_colours(num_frames)
    return np.stack([colours[:-1], colours[1:]], axis=1)


def drag_weights(num_frames: int, index: int | None, radius: float) -> Float[np.ndarray, " t"]:
    """Share of a drag of frame `index` that each frame follows, exp(-2 x^2) with x = |j - i| / radius.

    The same law as `rap.geometry.soft_drag`; here it only sets line widths.
    """
    if index is None:
        return np.zeros(num_frames)
    distance = np.abs(np.arange(num_frames) - index)
    if radius <= 0:
        return (distance == 0).astype(float)
    return np.exp(-2.0 * (distance / radius) ** 2)


def frustum_depth(trajectory: Trajectory) -> float:
    """Depth at which a frustum ends (world units): about one step of the path, within `FRUSTUM_DEPTH_RANGE`."""
    steps = np.linalg.norm(np.diff(trajectory.centres, axis=0), axis=-1)
    typical = float(np.median(steps)) if len(steps) else 0.0
    return float(np.clip(typical, *FRUSTUM_DEPTH_RANGE))


def image_corners(trajectory: Trajectory, index: int, depth: float) -> Float64[np.ndarray, "4 3"]:
    """World positions of the four image corners of frame `index` at z-depth `depth`, clockwise from the top left."""
    h, w = trajectory.image_size
    fx, fy, cx, cy = trajectory.intrinsics[index]
    pixels = np.array([(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)])
    points_camera = np.column_stack([(pixels[:, 0] - cx) / fx, (pixels[:, 1] - cy) / fy, np.ones(4)]) * depth
    T = trajectory.Ts_world_camera[index]
    return points_camera @ T[:3, :3].T + T[:3, 3]


def overview(scene: ViewportScene) -> Overview:
    """The camera that frames the path, its prediction and what is before the source: points, or a plane at unit depth.

    Seen from behind the source so that its picture reads the right way round, from as near as a canvas of
    `OVERVIEW_ASPECT` allows: each point p with view coordinates (x, y, z) asks for a distance |y| / tan(fov / 2) - z.
    """
    points, edited = [np.zeros((1, 3)), np.array([[0.0, 0.0, 1.0]])], _near_centres(scene.trajectory)
    points += [_near_centres(trajectory) for trajectory in (scene.ghost, scene.raw)]
    shown = scene.points or scene.dense
    if shown is not None:
        points.append(_bulk(shown.xyz))
    elif scene.trajectory is not None:
        points.append(image_corners(scene.trajectory, scene.source, 1.0))
    cloud = np.concatenate([edited, *points])
    R = se3.look_at(OVERVIEW_DIRECTION, np.zeros(3), WORLD_UP)[:3, :3]
    in_view = cloud @ R
    middle = (in_view.min(axis=0) + in_view.max(axis=0)) / 2.0
    extent = np.abs(in_view - middle)[:, :2] / np.array([OVERVIEW_ASPECT, 1.0])
    fill = np.where(np.arange(len(cloud)) < len(edited), CAMERAS_FILL, OVERVIEW_FILL)
    tangents = fill * np.tan(OVERVIEW_FOV_Y_RAD / 2.0)
    distance = float((extent.max(axis=1) / tangents - (in_view - middle)[:, 2]).max())
    return Overview(position=R @ middle - R[:, 2] * distance, look_at=R @ middle)


def _near_centres(trajectory: Trajectory | None) -> Float[np.ndarray, "n 3"]:
    """Camera centres without those that have gone astray."""
    if trajectory is None:
        return np.zeros((0, 3))
    away = np.linalg.norm(trajectory.centres, axis=1)
    return trajectory.centres[away <= FAR * max(1.0, float(np.median(away)))]


def _bulk(xyz: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    """At most some hundred of the points, without the outermost tenth along each axis."""
    xyz = xyz[:: max(1, len(xyz) // 500)]
    low, high = np.quantile(xyz, [0.1, 0.9], axis=0)
    return xyz[((low <= xyz) & (xyz <= high)).all(axis=1)]


def _polyline(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "segments 2 3"]:
    return np.stack([points[:-1], points[1:]], axis=1)


def _dashes(trajectory: Trajectory, selected: int | None, depth: float) -> Float[np.ndarray, "segments 2 3"]:
    """A dashed path: every other piece of each step from frame to frame, and the frustum of the selected frame."""
    start, step = trajectory.centres[:-1, None], np.diff(trajectory.centres, axis=0)[:, None]
    at = np.arange(0, DASHES_PER_STEP, dtype=float)[:, None] / DASHES_PER_STEP
    dashes = np.stack([start + at * step, start + (at + 0.5 / DASHES_PER_STEP) * step], axis=2).reshape(-1, 2, 3)
    if selected is None or selected >= len(trajectory):
        return dashes
    corners, apex = image_corners(trajectory, selected, depth), trajectory.centres[selected]
    outline = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    return np.concatenate([dashes, outline, np.stack([np.broadcast_to(apex, (4, 3)), corners], axis=1)])


def _rings(trajectory: Trajectory, radii: Float[np.ndarray, " t"]) -> Float[np.ndarray, "segments 2 3"]:
    """A ring around each camera, across the way it goes, and four lines along them: a tube."""
    along = np.gradient(trajectory.centres, axis=0) if len(trajectory) > 1 else np.array([[0.0, 0.0, 1.0]])
    still = np.linalg.norm(along, axis=1) < 1e-9
    along[still] = trajectory.Ts_world_camera[still, :3, 2]
    aside = np.cross(
        along, np.where(np.abs(along[:, 1:2]) < 0.9 * np.linalg.norm(along, axis=1)[:, None], WORLD_UP, 1.0)
    )
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    across = np.cross(along / np.linalg.norm(along, axis=1, keepdims=True), aside)
    turn = np.linspace(0, 2 * np.pi, RING_POINTS, endpoint=False)[None, :, None]
    rings = np.cos(turn) * aside[:, None] + np.sin(turn) * across[:, None]
    points = trajectory.centres[:, None] + radii[:, None, None] * rings
    around = np.stack([points, np.roll(points, -1, axis=1)], axis=2).reshape(-1, 2, 3)
    lengthwise = np.stack([points[:-1, :: RING_POINTS // 4], points[1:, :: RING_POINTS // 4]], axis=2).reshape(-1, 2, 3)
    return np.concatenate([around, lengthwise])


def _wireframes(trajectory: Trajectory, depth: float) -> Float[np.ndarray, "segments 2 3"]:
    """All frusta and the path as one set of segments: a single cheap node for what is never clicked."""
    segments = [_polyline(trajectory.centres)]
    for i in range(len(trajectory)):
        corners = image_corners(trajectory, i, depth)
        segments.append(np.stack([corners, np.roll(corners, -1, axis=0)], axis=1))
        segments.append(np.stack([np.broadcast_to(trajectory.centres[i], (4, 3)), corners], axis=1))
    return np.concatenate(segments)


def _set_pose(handle: viser.SceneNodeHandle, wxyz: np.ndarray, position: np.ndarray) -> None:
    """Put a node exactly there: viser drops a change of less than 1e-5, but what is shown is what the model gets."""
    if not np.array_equal(handle.wxyz, wxyz):
        handle.wxyz[:] = np.nan  # unlike any pose; viser hands out its own array
        handle.wxyz = wxyz
    if not np.array_equal(handle.position, position):
        handle.position[:] = np.nan
        handle.position = position


class _Lines:
    """One named set of line segments, replaced only when its number of segments changes."""

    def __init__(self, server: viser.ViserServer, name: str, thickness_px: float):
        self._server, self._name, self._thickness_px = server, name, thickness_px
        self._handle: viser.LineSegmentsHandle | None = None
        self._colours: np.ndarray | None = None
        self._drawn_from: tuple[Any, ...] = ()

    def show(self, visible: bool) -> None:
        """Show or hide the lines without forgetting them."""
        if self._handle is not None:
            self._handle.visible = visible

    def trace(self, colour: Colour, segments: Callable[..., np.ndarray], subject: Any, *rest: Any) -> None:
        """Show `segments(subject, *rest)`, nothing for no subject; made only when one of these is another."""
        drawn_from = (subject, colour, *rest)
        if _are_same(drawn_from, self._drawn_from):
            return
        self._drawn_from = drawn_from
        self.draw(None if subject is None else segments(subject, *rest), np.array(colour, np.uint8))

    def draw(self, segments: Float[np.ndarray, "n 2 3"] | None, colours: np.ndarray) -> None:
        """Show `segments` in `colours`, (3,) or (n, 2, 3) uint8; None or no segment removes the node."""
        if segments is None or len(segments) == 0:
            if self._handle is not None:
                self._handle.remove()
                self._handle = None
        elif self._handle is not None and self._handle.points.shape == segments.shape:
            self._handle.points = segments.astype(np.float32)
            if colours is not self._colours:
                self._handle.colors = colours
        else:
            self._handle = self._server.scene.add_line_segments(
                self._name, segments, colours, thickness=self._thickness_px, thickness_units="screen"
            )
        self._colours = colours


def _are_same(ones: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    """Paths and arrays by identity, colours and numbers by value."""
    pairs = zip(ones, others, strict=False)
    is_same = all(a is b or (isinstance(a, float | int | tuple) and a == b) for a, b in pairs)
    return len(ones) == len(others) and is_same


class _Cloud:
    """One named set of coloured points, sent when it is another object than before."""

    def __init__(self, server: viser.ViserServer, name: str, point_size: float):
        self._server, self._name, self._point_size = server, name, point_size
        self._handle: viser.PointCloudHandle | None = None
        self._points: Points | None = None

    def draw(self, points: Points | None) -> None:
        """Show `points`; None takes them away."""
        if points is self._points:
            return
        self._points = points
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        if points is not None:
            self._handle = self._server.scene.add_point_cloud(
                self._name,
                points.xyz.astype(np.float32),
                points.colours_u8,
                point_size=self._point_size,
                point_shape="circle",
                point_shading="flat",
                precision="float32",
            )


class _Dots:
    """A few marked places."""

    def __init__(self, server: viser.ViserServer, name: str, size: float):
        self._cloud, self._colour = _Cloud(server, name, size), (0, 0, 0)
        self._xyz = np.zeros((0, 3))

    def draw(self, xyz: Float[np.ndarray, "n 3"], colour: Colour) -> None:
        """Mark these places and no others."""
        if np.array_equal(xyz, self._xyz) and colour == self._colour:
            return
        self._xyz, self._colour = xyz, colour
        self._cloud.draw(Points(xyz, np.tile(np.array(colour, np.uint8), (len(xyz), 1))) if len(xyz) else None)


@dataclass(frozen=True, eq=False)
class _FrustaLook:
    """How all frusta look, as arrays, so that only those that differ need be touched.

    Args:
        cameras: poses, camera-to-world.
        lenses: vertical field of view (radians), aspect, and viser's scale.
        filled: 1.0 for a frustum that is filled, so that a click can hit it.
    """

    cameras: Float64[np.ndarray, "t 4 4"]
    lenses: Float64[np.ndarray, "t 3"]
    colours: Float64[np.ndarray, "t 3"]
    thickness: Float64[np.ndarray, " t"]
    filled: Float64[np.ndarray, " t"]

    @classmethod
    def none(cls) -> _FrustaLook:
        """Of no frusta."""
        return cls(np.zeros((0, 4, 4)), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0))

    @classmethod
    def of(cls, scene: ViewportScene, trajectory: Trajectory, depth: float) -> _FrustaLook:
        """Of the frusta of a trajectory that end at z-depth `depth`."""
        count, (h, w) = len(trajectory), trajectory.image_size
        fov_y_rad, (fx, fy) = trajectory.fov_y_rad, trajectory.intrinsics.T[:2]
        aspect = (w / fx) / (h / fy)
        # viser keeps the volume of a frustum fixed (its `compute_canonical_frustum_size`); we fix the depth.
        scale = depth * np.cbrt(np.tan(fov_y_rad / 2.0) ** 2 * aspect / 3.0)
        colours = time_colours(count).astype(np.float64)
        thickness = 1.5 + 1.5 * drag_weights(count, scene.selected, scene.soft_radius)
        colours[scene.source], thickness[scene.source] = palette(scene.is_dark).strong, 3.0
        if scene.selected is not None:
            colours[scene.selected], thickness[scene.selected] = SELECTED, 4.0
        if 0 <= scene.playhead < count:
            thickness[scene.playhead] = max(thickness[scene.playhead], PLAYHEAD_PX)
        # Without an image only the lines could be hit by a click: fill the frustum then.
        filled = np.full(count, float(scene.thumbnails is None))
        filled[scene.source] = 1.0
        lenses = np.column_stack([fov_y_rad, aspect, scale])
        return cls(trajectory.Ts_world_camera, lenses, colours, thickness, filled)

    def resized(self, count: int) -> _FrustaLook:
        """The first `count`; NaN, which differs from everything, for those beyond."""
        return _FrustaLook(*(_padded(getattr(self, field.name), count) for field in fields(self)))


def _padded(rows: np.ndarray, count: int) -> np.ndarray:
    padded = np.full((count, *rows.shape[1:]), np.nan)
    padded[: len(rows)] = rows[:count]
    return padded


class _Frusta:
    """One clickable frustum per frame of the edited path, updated in place."""

    def __init__(self, server: viser.ViserServer, on_click: Callable[[int, tuple[float, float]], None]):
        self._server, self._on_click = server, on_click
        self._handles: list[viser.CameraFrustumHandle] = []
        self._thumbnails: list[np.ndarray | None] = []
        self._shown = _FrustaLook.none()
        self._parent = server.scene.add_frame("/path", show_axes=False)

    def show(self, visible: bool) -> None:
        """Show or hide the frusta and the path line (which hangs under the same parent)."""
        self._parent.visible = visible

    def draw(self, scene: ViewportScene, depth: float, tolerance: float = 0.0) -> None:
        """Make the frusta those of `scene.trajectory`, ending at z-depth `depth`; only what differs is sent.

        Args:
            tolerance: cameras that have moved and turned by less than this stay where they are shown: while a gizmo is
                held most of a path moves by less than a pixel, and each node costs time. 0 shows every bit.
        """
        trajectory = scene.trajectory
        count = 0 if trajectory is None else len(trajectory)
        while len(self._handles) > count:
            self._handles.pop().remove()
            self._thumbnails.pop()
        if trajectory is None:
            self._shown = _FrustaLook.none()
            return
        look = _FrustaLook.of(scene, trajectory, depth)
        for i in range(len(self._handles), count):
            self._add(i)
        self._update(look, tolerance)
        for i in range(count):
            self._set_thumbnail(i, scene.thumbnails)

    def _update(self, look: _FrustaLook, tolerance: float) -> None:
        before = self._shown.resized(len(self._handles))
        away = np.abs(look.cameras - before.cameras).max(axis=(1, 2))
        moved = np.flatnonzero(~(away <= tolerance))  # what is not shown yet is NaN
        quaternions = se3.quaternion_wxyz(look.cameras[moved, :3, :3])
        for i, wxyz in zip(moved, quaternions, strict=True):
            _set_pose(self._handles[i], wxyz, look.cameras[i, :3, 3])
        for i in np.flatnonzero((look.lenses != before.lenses).any(axis=1)):
            handle = self._handles[i]
            handle.fov, handle.aspect, handle.scale = (float(value) for value in look.lenses[i])
        for i in np.flatnonzero((look.colours != before.colours).any(axis=1)):
            r, g, b = (int(value) for value in look.colours[i])
            self._handles[i].color = (r, g, b)
        for i in np.flatnonzero(look.thickness != before.thickness):
            self._handles[i].thickness = float(look.thickness[i])
        for i in np.flatnonzero(look.filled != before.filled):
            self._handles[i].variant = "filled" if look.filled[i] else "wireframe"
        shown = before.cameras
        shown[moved] = look.cameras[moved]
        self._shown = replace(look, cameras=shown)

    def _add(self, index: int) -> None:
        handle = self._server.scene.add_camera_frustum(
            f"/path/frustum_{index}", fov=1.0, aspect=1.0, thickness=1.0, thickness_units="screen", cast_shadow=False
        )
        handle.on_click(partial(self._clicked, index))
        self._handles.append(handle)
        self._thumbnails.append(None)

    def _set_thumbnail(self, index: int, thumbnails: Sequence[np.ndarray] | None) -> None:
        image = thumbnails[index] if thumbnails is not None and index < len(thumbnails) else None
        if image is not self._thumbnails[index]:  # by identity: encoding an image costs more than all the rest
            self._handles[index].image = image
            self._thumbnails[index] = image

    async def _clicked(self, index: int, event: viser.SceneNodePointerEvent) -> None:
        self._on_click(index, event.screen_pos)


class _Gizmo:
    """The handle on the selected frustum. While it is held nobody but the hand moves it."""

    def __init__(self, server: viser.ViserServer, dispatch: Callable[[Any], None]):
        self._server, self._dispatch = server, dispatch
        self._handle: viser.TransformControlsHandle | None = None
        self._index: int | None = None
        self.dragged: int | None = None
        self._latest: Float64[np.ndarray, "4 4"] | None = None

    def draw(
        self, index: int | None, T_world_camera: Float64[np.ndarray, "4 4"] | None, mode: GizmoMode = "both"
    ) -> None:
        """Put the gizmo on frame `index` at its pose; None takes it away. Does nothing while it is held."""
        if self.dragged is not None:
            return
        self._index = index
        if index is None or T_world_camera is None:
            if self._handle is not None:
                self._handle.remove()
                self._handle = None
            return
        wxyz, position = se3.quaternion_wxyz(T_world_camera[:3, :3]), T_world_camera[:3, 3]
        if self._handle is None:
            self._handle = self._server.scene.add_transform_controls(
                "/gizmo",
                scale=GIZMO_SCALE_PX,
                fixed=True,
                line_width=3.0,
                depth_test=False,
                wxyz=wxyz,
                position=position,
            )
            self._handle.on_update(self._moved)
        else:
            _set_pose(self._handle, wxyz, position)
        self._handle.disable_rotations = mode == "move"
        self._handle.disable_axes = self._handle.disable_sliders = mode == "turn"

    async def _moved(self, event: viser.TransformControlsEvent) -> None:
        # A coroutine without awaits runs on viser's loop in order of arrival; plain functions go to a pool and may not.
        if event.phase == "end":
            if self.dragged is not None:
                index, self.dragged = self.dragged, None  # first: the session's answer may move the gizmo again
                self._latest = None
                self._dispatch(DragEnd(index, self._pose(event.target)))
            return
        if self.dragged is None and self._index is not None:
            self.dragged = self._index
            self._dispatch(DragStart(self.dragged))
        if event.phase == "update" and self.dragged is not None:
            is_first, self._latest = self._latest is None, self._pose(event.target)
            if is_first:
                asyncio.get_running_loop().call_soon(self._tell_latest)

    def _tell_latest(self) -> None:
        """Of moves that have come in while the last one was being drawn, only the newest counts: no lag builds up."""
        latest, self._latest = self._latest, None
        if self.dragged is not None and latest is not None:
            self._dispatch(Drag(self.dragged, latest))

    @staticmethod
    def _pose(handle: viser.TransformControlsHandle) -> Float64[np.ndarray, "4 4"]:
        wxyz = np.asarray(handle.wxyz, float)
        return se3.from_rotation_translation(
            se3.rotation_from_wxyz(wxyz / np.linalg.norm(wxyz)), np.asarray(handle.position, float)
        )


class _Surroundings:
    """What makes the space readable: the source's picture at unit depth, a floor grid, the source camera's axes.

    Where the scene's own points are shown, the picture would only hide those behind it, and goes.
    """

    def __init__(self, server: viser.ViserServer):
        self._server = server
        self._plane: viser.ImageHandle | None = None
        self._image: np.ndarray | None = None
        self._T: np.ndarray | None = None
        server.scene.world_axes.visible = True
        axes = server.scene.world_axes
        axes.axes_length, axes.axes_radius, axes.origin_radius = 0.12, 0.004, 0.006
        self._grid = server.scene.add_grid(
            "/floor",
            width=4.0,
            height=4.0,
            plane="xz",
            cell_size=GRID_CELL,
            section_size=4 * GRID_CELL,
            cell_color=LIGHT.cell,
            section_color=LIGHT.section,
            cell_thickness=0.6,
            section_thickness=0.8,
            position=(0.0, 0.6, 1.0),
        )

    def draw(self, scene: ViewportScene) -> None:
        """Stand the source frame's thumbnail at z-depth 1 before the source camera, the floor at its lower edge."""
        self._colour_floor(palette(scene.is_dark))
        trajectory = scene.trajectory
        has_points = scene.points is not None or scene.dense is not None
        if trajectory is None or scene.thumbnails is None or has_points:
            if self._plane is not None:
                self._plane.remove()
                self._plane, self._image = None, None
            if trajectory is not None:
                self._lower_floor(image_corners(trajectory, scene.source, 1.0))
            return
        image, T = scene.thumbnails[scene.source], trajectory.Ts_world_camera[scene.source]
        if image is self._image and self._T is not None and np.array_equal(T, self._T):
            return
        self._image, self._T = image, T
        corners = image_corners(trajectory, scene.source, 1.0)
        self._plane = self._server.scene.add_image(
            "/source_plane",
            image,
            render_width=float(np.linalg.norm(corners[1] - corners[0])),
            render_height=float(np.linalg.norm(corners[3] - corners[0])),
            format="jpeg",
            jpeg_quality=90,
            wxyz=se3.quaternion_wxyz(T[:3, :3]),
            position=corners.mean(axis=0),
            cast_shadow=False,
        )
        self._lower_floor(corners)

    def _colour_floor(self, colours: Palette) -> None:
        if tuple(self._grid.cell_color) != colours.cell:
            self._grid.cell_color, self._grid.section_color = colours.cell, colours.section

    def _lower_floor(self, corners: np.ndarray) -> None:
        position = (0.0, float(corners[:, 1].max()), 1.0)
        if tuple(self._grid.position) != position:
            self._grid.position = position


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
        rich.get_console().quiet = True  # viser would announce the address of every session's inner server there
        self.server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        self.server.scene.set_up_direction("-y")
        self._is_dark = False
        self._set_theme()
        self._surroundings = _Surroundings(self.server)
        self._frusta = _Frusta(self.server, self._clicked)
        self._path = _Lines(self.server, "/path/line", thickness_px=3.0)
        self._ghost = _Lines(self.server, "/ghost", thickness_px=1.0)
        self._raw = _Lines(self.server, "/raw", thickness_px=1.0)
        self._followed = _Lines(self.server, "/followed", thickness_px=2.5)
        self._known = _Lines(self.server, "/known", thickness_px=1.0)
        self._tube = _Lines(self.server, "/tube", thickness_px=1.0)
        self._pending = _Lines(self.server, "/pending", thickness_px=1.5)
        self._points = _Cloud(self.server, "/points", POINT_SIZE)
        self._dense = _Cloud(self.server, "/dense", DENSE_POINT_SIZE)
        self._keys = _Dots(self.server, "/path/keys", KEY_SIZE)
        self._target = _Dots(self.server, "/target", TARGET_SIZE)
        self._gizmo = _Gizmo(self.server, dispatch)
        self._set_initial_camera()

    @property
    def port(self) -> int:
        """TCP port of the viser server on 127.0.0.1; the hub forwards to it, browsers never see it."""
        return self.server.get_port()

    def draw(self, scene: ViewportScene) -> None:
        """Show `scene`. Idempotent: what has not changed is not sent again. After `close` it does nothing.

        The gizmo stands on the selected frame unless that is the source. The first trajectory to appear is brought
        into view, and each new `home` unless the user has moved the camera (`orbit_view` brings it back).

        Raises:
            ValueError: `selected` or `source` is no frame of the trajectory, or the thumbnails are too few.
        """
        _check(scene)
        with self._lock:
            if self._closed:
                return
            is_first = self._scene.trajectory is None and scene.trajectory is not None
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
            view = overview(self._scene)
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
        camera = max(cameras, key=_moved_at)
        wxyz = np.asarray(camera.wxyz, float)
        R = se3.rotation_from_wxyz(wxyz / np.linalg.norm(wxyz))
        return se3.from_rotation_translation(R, np.asarray(camera.position, float))

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
        colours = palette(scene.is_dark)
        self._ghost.trace(colours.ghost, _wireframes, scene.ghost, self._depth)
        self._raw.trace(colours.raw, _wireframes, scene.raw, self._depth / 2.0)
        self._followed.trace(FOLLOWED, _dashes, scene.followed, scene.selected, self._depth)
        self._known.trace(colours.known, _wireframes, scene.known, self._depth / 2.0)
        self._tube.trace(TUBE, _rings, *(scene.tube or (None,)))
        self._pending.trace(PENDING, _wireframes, scene.pending, self._depth)
        marked = [frame for frame in scene.keys if frame is not None]
        centres = np.zeros((0, 3)) if scene.trajectory is None else scene.trajectory.centres[marked]
        self._keys.draw(centres, colours.strong)
        if scene.trajectory is None:
            self._path.draw(None, np.zeros(3, np.uint8))
        else:
            self._path.draw(_polyline(scene.trajectory.centres), _line_colours(len(scene.trajectory)))

    def _show_all(self, visible: bool) -> None:
        self._frusta.show(visible)
        for lines in (self._ghost, self._raw, self._followed, self._known, self._tube, self._pending):
            lines.show(visible)
        trajectory, index = self._scene.trajectory, self._scene.selected
        if not visible or trajectory is None or index is None or index == self._scene.source:
            self._gizmo.draw(None, None)
        elif not self._scene.held:  # while it is, nobody but the hand moves it
            self._gizmo.draw(index, trajectory.Ts_world_camera[index], self._scene.gizmo)

    def _set_theme(self) -> None:
        self.server.gui.configure_theme(show_logo=False, show_share_button=False, dark_mode=self._is_dark)

    def _set_initial_camera(self) -> None:
        view = overview(self._scene)
        camera = self.server.initial_camera  # for pages that connect later, and for viser's own "reset view"
        camera.position, camera.look_at, camera.fov = view.position, view.look_at, view.fov_y_rad
        self._views = (view,)

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


def _moved_at(camera: viser.CameraHandle) -> float:
    return camera.update_timestamp


def _check(scene: ViewportScene) -> None:
    count = 0 if scene.trajectory is None else len(scene.trajectory)
    if scene.trajectory is not None and not 0 <= scene.source < count:
        raise ValueError(f"source must name a frame of the trajectory (0 to {count - 1}), got {scene.source}")
    if scene.selected is not None and not 0 <= scene.selected < count:
        raise ValueError(f"selected must name a frame of the trajectory ({count} frames), got {scene.selected}")
    if scene.thumbnails is not None and len(scene.thumbnails) < count:
        raise ValueError(f"thumbnails must be one per frame ({count}), got {len(scene.thumbnails)}; pass None for none")
