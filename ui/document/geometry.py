"""What is known of the clip's space, and what can be done with it: pure functions of document and geometry."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rap.config import LAYERS_SIDE
from rap.data import Clip
from rap.errors import InputError
from rap.geometry import preset
from ui.document.document import DEFAULT_FOV_Y_RAD, Document, clip_of
from ui.document.state import Basis, Geometry, Points

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from rap.reconstruction.tracks import PointCloud
    from rap.views.scene import Scene

FAR = 30.0  # points farther off than this, in median depths of the source view, only make the view jump


def basis_of(document: Document, geometry: Geometry) -> Basis | None:
    """What the document's scene is made from: the clip's cameras where they are known, else the source frame alone.

    A picture has a scene before there is a path: only its lens must be known, or is assumed.
    """
    clip, path, best = document.clip, document.edited, document.best
    if clip is None or (path is None and len(clip) > 1):
        return None
    shows_more = path is None or document.follows_clip or not tells_no_depth(document)
    if best is not None and document.prediction_follows_clip and len(best) == len(clip) and shows_more:
        return Basis(clip, best, "predicted" if document.refined is None else "refined")
    if path is None:
        path = preset("static", num_frames=1, image_size=clip.image_size, fov_y_rad=lens_fov_y_rad(document, geometry))
    if geometry.flat_on:
        return Basis(clip, path, "flat image")
    return Basis(clip, path, "one image", geometry.depth_by)


def scene_of(basis: Basis, geometry: Geometry) -> Scene | None:
    """The scene of a basis, if that is the one which is there."""
    built = geometry.scene
    return built.scene if built is not None and built.basis.key == basis.key else None


def cameras_of_view(document: Document, geometry: Geometry, view: str) -> Trajectory | None:
    """Cameras of the whole frames that the stage shows: of the "clip" those that its scene is made from, else the
    path's; None where they are not known."""
    clip, path = document.clip, document.edited
    if view == "clip":
        basis = basis_of(document, geometry)
        path = None if basis is None else basis.trajectory
        if basis is not None and basis.is_picture:
            path = basis.trajectory.at([basis.trajectory.source])
    if clip is None or path is None:
        return None
    return clip.on_footage(path.resized(clip.image_size))


def tells_no_depth(document: Document) -> bool:
    """Whether the clip's frames tell no depth together: its camera only turns, or was looked for and not found."""
    return document.report is not None and document.report.outcome != "refined"


def why_one_frame(document: Document) -> str:
    """Why one frame of a film is all that is shown along a path; empty where it is not."""
    report = document.report
    if report is None or not tells_no_depth(document) or document.follows_clip:
        return ""
    from rap.reconstruction.judge import one_frame_words

    return one_frame_words(report.outcome == "no_parallax", report.reason)


def lens_fov_y_rad(document: Document, geometry: Geometry) -> float:
    """Vertical field of view of a preset: as predicted, as known, of a picture the usual one.

    Raises:
        InputError: there is no clip yet.
    """
    clip, best = clip_of(document), document.best
    if best is not None:
        return float(best.fov_y_rad[best.source])
    if geometry.known_fov_y_rad is not None:
        return geometry.known_fov_y_rad
    if len(clip) > 1:
        return DEFAULT_FOV_Y_RAD
    from rap.views.scene import usual_fov_y_rad

    return usual_fov_y_rad(clip)


def take_side(basis: Basis, side: int) -> int:
    """Long side in pixels of a take where `side` is asked for, as `Scene.take_size` bounds it."""
    return min(side, max(LAYERS_SIDE if basis.known_from == "one image" else 0, *basis.clip.full_size))


def is_walk(document: Document, geometry: Geometry) -> bool:
    """Whether takes are made of a picture's own layers, at full size, and the model is not asked."""
    basis = basis_of(document, geometry)
    if not geometry.use_on or basis is None or basis.known_from != "one image":
        return False
    return not why_unusable(document, geometry)


def is_of_film(document: Document, geometry: Geometry) -> bool:
    """Whether takes are made of the film's own frames, at full size, and the model is asked for the holes alone."""
    basis = basis_of(document, geometry)
    if not geometry.use_on or basis is None or basis.is_picture:
        return False
    return not why_unusable(document, geometry)


def imagined_basis(document: Document, geometry: Geometry) -> Basis | None:
    """The picture whose layers show an imagined path; None where the model's own video does."""
    if not geometry.use_on or geometry.flat_on or len(clip_of(document)) > 1:
        return None
    return basis_of(replace(document, edited=None), geometry)


def why_unusable(document: Document, geometry: Geometry) -> str:
    """Why the clip cannot help the model along a path; empty where it can."""
    clip, basis, report = document.clip, basis_of(document, geometry), document.report
    if clip is None or document.edited is None or basis is None:
        return "there is no path yet"
    if basis.is_picture and len(clip) > 1 and not tells_no_depth(document):
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
    if scene is None or not (geometry.shows_dense or through):
        return geometry.sparse
    points = scene.picture if through else scene.dense
    return geometry.sparse if points is None else points


def of_another_path(geometry: Geometry) -> Geometry:
    """What remains when a new prediction makes points, scene and preview those of another path."""
    gone = dict(cloud=None, sparse=None, moving=b"", scene=None, job=None, preview=None, wanted=None)
    return replace(geometry, **gone, unfitted=None, held=None)


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
