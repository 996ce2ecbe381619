"""Points of the scene, and the few places that are marked in it."""

from __future__ import annotations

import numpy as np
import viser
from jaxtyping import Float

from ui.document.state import Points
from ui.viewport.palette import Colour

POINT_SIZE = 0.009  # of triangulated points: a small part of a frustum
DENSE_POINT_SIZE = 0.005  # about a pixel of a depth map, at the source view's median depth
KEY_SIZE = 0.03  # of the dot on a key camera
TARGET_SIZE = 0.035  # of the dot on the picked point


class Cloud:
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


class Dots:
    """A few marked places."""

    def __init__(self, server: viser.ViserServer, name: str, size: float):
        self._cloud, self._colour = Cloud(server, name, size), (0, 0, 0)
        self._xyz = np.zeros((0, 3))

    def draw(self, xyz: Float[np.ndarray, "n 3"], colour: Colour) -> None:
        """Mark these places and no others."""
        if np.array_equal(xyz, self._xyz) and colour == self._colour:
            return
        self._xyz, self._colour = xyz, colour
        self._cloud.draw(Points(xyz, np.tile(np.array(colour, np.uint8), (len(xyz), 1))) if len(xyz) else None)
