"""What is known of the clip's space, and what can be done with it: pure functions of document and geometry."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rap.data import Clip
from rap.errors import InputError
from ui.document.document import Document
from ui.document.state import Basis, Geometry, Points

if TYPE_CHECKING:
    from rap.reconstruction.tracks import PointCloud

FAR = 30.0  # points farther off than this, in median depths of the source view, only make the view jump


def basis_of(document: Document) -> Basis | None:
    """What the document's scene is made from: the clip's cameras where they are known, else the source frame alone."""
    clip, path = document.clip, document.edited
    if clip is None or path is None:
        return None
    best = document.best
    if best is not None and document.prediction_follows_clip and len(best) == len(clip):
        return Basis(clip, best, "predicted" if document.refined is None else "refined")
    return Basis(clip, path, "one image")


def why_unusable(document: Document) -> str:
    """Why the clip cannot help the model along a path; empty where it can."""
    clip, basis, report = document.clip, basis_of(document), document.report
    if clip is None or basis is None:
        return "there is no path yet"
    if basis.known_from == "one image" and len(clip) > 1:
        return "the clip's own cameras are not known; press Predict path first"
    if basis.known_from == "predicted" and report is not None:
        remedy = "Refine again with the field of view, if you know it, or take a slower, sharper piece of the clip."
        return f"the clip's frames do not bear the predicted cameras out. {report.reason} {remedy}"
    return ""


def with_known_fov(geometry: Geometry, clip: Clip | None, fov_y_deg: float | None) -> Geometry:
    """The person says the vertical field of view of the upload, in degrees; None or 0: it is not known.

    Raises:
        InputError: no clip yet, or not between 1 and 170 degrees.
    """
    if not fov_y_deg:
        return replace(geometry, known_fov_y_rad=None)
    if clip is None:
        raise InputError("there is no clip yet; give a video or an image first")
    if not 1 <= fov_y_deg <= 170:
        raise InputError(
            f"the field of view must lie between 1 and 170 degrees, got {fov_y_deg:g}; it is not used: type another, "
            "or empty the field"
        )
    return replace(geometry, known_fov_y_rad=clip.cropped_fov_y_rad(math.radians(fov_y_deg)))


def upload_fov_y_deg(clip: Clip | None, fov_y_rad: float | None) -> float | None:
    """Vertical field of view of the upload, in degrees, given that of the clip's frames: undoes the crop."""
    if clip is None or fov_y_rad is None:
        return None
    crop = math.tan(clip.cropped_fov_y_rad(1.0) / 2) / math.tan(0.5)
    return math.degrees(2 * math.atan(math.tan(fov_y_rad / 2) / crop))


def points_on_show(geometry: Geometry, through: bool) -> Points | None:
    """Sparse ones, or those of the depth maps: on demand, and for who looks through a camera, as its picture."""
    scene = geometry.scene
    if scene is None or not (geometry.dense_on or through):
        return geometry.sparse
    points = scene.picture if through else scene.dense
    return geometry.sparse if points is None else points


def of_another_path(geometry: Geometry) -> Geometry:
    """What remains when a new prediction makes points, scene and preview those of another path."""
    return replace(geometry, cloud=None, sparse=None, scene=None, job=None, preview=None, wanted=None)


def shown_points(cloud: PointCloud | None) -> Points | None:
    """The well-seen points of a cloud (all, where hardly one is), without those far away."""
    if cloud is None or len(cloud) == 0:
        return None
    kept = cloud.kept()
    if len(kept) < len(cloud) // 10:
        kept = cloud
    return near_points(kept.xyz, kept.colours_u8)


def near_points(xyz: np.ndarray, colours_u8: np.ndarray) -> Points | None:
    """Those within `FAR` of the source camera; None where there are none."""
    near = np.isfinite(xyz).all(axis=1) & (np.linalg.norm(xyz, axis=1) < FAR)
    return Points(xyz[near], colours_u8[near]) if near.any() else None
