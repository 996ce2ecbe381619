"""What stands around the path: the source's picture, the floor, the source camera's axes."""

from __future__ import annotations

import numpy as np
import viser

from rap.geometry import se3
from ui.viewport.frustum_shape import image_corners
from ui.viewport.palette import LIGHT, Palette, palette
from ui.viewport.scene import ViewportScene

GRID_CELL = 0.25


class Surroundings:
    """What makes the space readable: the source's picture at unit depth, a floor grid, the source camera's axes.

    Where the scene's own points are shown, the picture would only hide those behind it, and goes.
    """

    def __init__(self, server: viser.ViserServer):
        self._server = server
        self._plane: viser.ImageHandle | None = None
        self._image: np.ndarray | None = None
        self._T: np.ndarray | None = None
        axes = self._axes = server.scene.world_axes
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
        if self._axes.visible != (trajectory is not None):  # without a path there is no source camera
            self._axes.visible = trajectory is not None
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
