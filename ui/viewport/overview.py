"""The camera from which a scene is seen as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from rap.geometry import Trajectory, se3
from ui.viewport.frustum_shape import image_corners
from ui.viewport.scene import ViewportScene

OVERVIEW_FOV_Y_RAD = np.radians(45.0)
OVERVIEW_DIRECTION = np.array([0.70, -0.55, -0.85])  # from behind the source camera, above it and to its right
OVERVIEW_ASPECT = 1.4  # width over height of the canvas from which on a wider one only shows more at the sides
FAR = 20.0  # a camera that is this many times farther off than most has gone astray: the overview does without it
OVERVIEW_FILL = 0.85  # share of the canvas that path and plane may fill
CAMERAS_FILL = 0.6  # that the cameras to be edited may: the gizmo, GIZMO_SCALE_PX long, fits beside each of them
WORLD_UP = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class Overview:
    """A camera from which path and unit-depth plane are both in view: world positions and a vertical fov."""

    position: Float64[np.ndarray, "3"]
    look_at: Float64[np.ndarray, "3"]
    fov_y_rad: float = float(OVERVIEW_FOV_Y_RAD)


def overview(scene: ViewportScene, aspect: float = OVERVIEW_ASPECT) -> Overview:
    """The camera that frames the path, its prediction and what is before the source: points, or a plane at unit depth.

    Seen from behind the source so that its picture reads the right way round, from as near as a canvas of
    that aspect allows: each point p with view coordinates (x, y, z) asks for a distance |y| / tan(fov / 2) - z.

    Args:
        aspect: width over height of the canvas; above `OVERVIEW_ASPECT` it makes no difference.
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
    extent = np.abs(in_view - middle)[:, :2] / np.array([min(aspect, OVERVIEW_ASPECT), 1.0])
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
