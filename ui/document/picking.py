"""Which point of the scene a click means, and where a picture shows it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike

from rap.errors import InputError
from rap.geometry import Trajectory, se3

CONE_RAD = np.radians(1.5)  # how far from the pointer a point may be: some ten pixels of the viewport


def picked_point(
    xyz: Float[np.ndarray, "n 3"] | None, origin: Float[ArrayLike, "3"], direction: Float[ArrayLike, "3"]
) -> tuple[float, float, float]:
    """The nearest of the points under the pointer; without points, where its ray meets the plane at unit depth.

    Args:
        xyz: what is shown of the scene, in the world of the paths; None where that is the source's picture at z = 1.
        origin, direction: the ray under the pointer.

    Raises:
        InputError: there is nothing under the pointer.
    """
    start, along = np.asarray(origin, dtype=np.float64), np.asarray(direction, dtype=np.float64)
    along = along / np.linalg.norm(along)
    if xyz is None:
        depth = (1 - start[2]) / along[2] if abs(along[2]) > 1e-9 else -1.0
        if depth <= 0:
            raise InputError("there is no point under the pointer; click on the picture or near the path's view")
        found = start + depth * along
    else:
        depth = (xyz - start) @ along
        aside = np.linalg.norm(xyz - start - depth[:, None] * along, axis=1)
        under = np.flatnonzero((depth > 0) & (aside < depth * np.tan(CONE_RAD)))
        if len(under) == 0:
            raise InputError("there is no point of the scene under the pointer; click on one of the coloured points")
        found = xyz[under[depth[under].argmin()]]
    x, y, z = (float(value) for value in found)
    return x, y, z


def point_on_ray(
    xyz: Float[np.ndarray, "n 3"] | None, origin: Float[ArrayLike, "3"], direction: Float[ArrayLike, "3"]
) -> tuple[float, float, float]:
    """What a picture shows along a ray through it: a point of the ray itself, as far off as the one that lies nearest
    beside it. Arguments and errors as of `picked_point`."""
    if xyz is None:
        return picked_point(None, origin, direction)
    start, along = np.asarray(origin, dtype=np.float64), np.asarray(direction, dtype=np.float64)
    along = along / np.linalg.norm(along)
    depth = (xyz - start) @ along
    aside = np.linalg.norm(xyz - start - depth[:, None] * along, axis=1)
    angle = np.arctan2(aside, depth)
    nearest = int(angle.argmin()) if len(angle) else -1
    if nearest < 0 or angle[nearest] > CONE_RAD:
        raise InputError("there is no point of the scene under the pointer; click on something nearer")
    x, y, z = (float(value) for value in start + depth[nearest] * along)
    return x, y, z


def ray_of(
    path: Trajectory, index: int, x: float, y: float
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    """Origin and direction, in the world of a path, of what a camera shows at shares x, y of its picture's sides."""
    (h, w), (fx, fy, cx, cy) = path.image_size, path.intrinsics[index]
    T = path.Ts_world_camera[index]
    return T[:3, 3], T[:3, :3] @ np.array([(x * w - cx) / fx, (y * h - cy) / fy, 1.0])


def places_of(path: Trajectory, point: tuple[float, float, float]) -> Float64[np.ndarray, "T 2"]:
    """Where each camera of a path shows a point, as shares of its picture's width and height; NaN behind it."""
    h, w = path.image_size
    in_camera = se3.inverse(path.Ts_world_camera)[:, :3] @ np.array([*point, 1.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = path.intrinsics[:, :2] * in_camera[:, :2] / in_camera[:, 2:] + path.intrinsics[:, 2:]
    return np.where(in_camera[:, 2:] > 1e-6, pixels / [w, h], np.nan)
