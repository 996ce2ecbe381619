"""The frusta of the edited path, one a frame, which can be clicked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import viser
from jaxtyping import Float, Float64

from rap.geometry import Trajectory, se3
from ui.viewport.palette import SELECTED, palette, time_colours
from ui.viewport.placing import set_pose
from ui.viewport.scene import ViewportScene

PLAYHEAD_PX = 4.5


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


@dataclass(frozen=True, eq=False)
class FrustaLook:
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
    def none(cls) -> FrustaLook:
        """Of no frusta."""
        return cls(np.zeros((0, 4, 4)), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0))

    @classmethod
    def of(cls, scene: ViewportScene, trajectory: Trajectory, depth: float) -> FrustaLook:
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

    def resized(self, count: int) -> FrustaLook:
        """The first `count`; NaN, which differs from everything, for those beyond."""
        return FrustaLook(*(_padded(getattr(self, field.name), count) for field in fields(self)))


def _padded(rows: np.ndarray, count: int) -> np.ndarray:
    padded = np.full((count, *rows.shape[1:]), np.nan)
    padded[: len(rows)] = rows[:count]
    return padded


class Frusta:
    """One clickable frustum per frame of the edited path, updated in place."""

    def __init__(self, server: viser.ViserServer, on_click: Callable[[int, tuple[float, float]], None]):
        self._server, self._on_click = server, on_click
        self._handles: list[viser.CameraFrustumHandle] = []
        self._thumbnails: list[np.ndarray | None] = []
        self._shown = FrustaLook.none()
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
            self._shown = FrustaLook.none()
            return
        look = FrustaLook.of(scene, trajectory, depth)
        for i in range(len(self._handles), count):
            self._add(i)
        self._update(look, tolerance)
        for i in range(count):
            self._set_thumbnail(i, scene.thumbnails)

    def _update(self, look: FrustaLook, tolerance: float) -> None:
        before = self._shown.resized(len(self._handles))
        away = np.abs(look.cameras - before.cameras).max(axis=(1, 2))
        moved = np.flatnonzero(~(away <= tolerance))  # what is not shown yet is NaN
        quaternions = se3.quaternion_wxyz(look.cameras[moved, :3, :3])
        for i, wxyz in zip(moved, quaternions, strict=True):
            set_pose(self._handles[i], wxyz, look.cameras[i, :3, 3])
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
