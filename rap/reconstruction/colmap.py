"""Cameras by COLMAP, through pycolmap (the extra `eval`): to hold our own against, and where these fail.

Incremental mapping (Schönberger and Frahm, Structure-from-Motion revisited, CVPR 2016) or global (Pan et al., Global
structure-from-motion revisited, ECCV 2024), with COLMAP's own defaults but for one thread and one camera for all
frames. Its tracks are triangulated like ours, so that unit of length and points are what everything else expects.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.reconstruction.refine import (
    MIN_POINTS,
    Refinement,
    RefinementReport,
    finished,
    kept,
    lens_of,
    source_depth,
)
from rap.reconstruction.tie import interpolated
from rap.reconstruction.tracks import Tracks, check_frames, locate, triangulate

Mapping = Literal["incremental", "global"]
MAPPED_FRAMES = 60  # of a film at most: every pair is matched
SENTENCE = "COLMAP needs pycolmap, which is not installed; pip install 'rays-as-pixels[eval]'"


@dataclass(frozen=True, eq=False)
class Model:
    """The largest model: poses (T, 4, 4) of the frames that it has `registered`, the identity for others; (4,)
    intrinsics; and its tracks in the T frames."""

    Ts_world_camera: Float[np.ndarray, "t 4 4"]
    registered: Bool[np.ndarray, " t"]
    intrinsics: Float[np.ndarray, "4"]
    tracks: Tracks


def is_installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("pycolmap") is not None


def mapped(
    frames_u8: UInt8[np.ndarray, "t h w 3"],
    intrinsics: Float[np.ndarray, "4"],
    *,
    is_known: bool = True,
    mapping: Mapping = "incremental",
) -> Model | None:
    """Map frames, every pair matched; None where COLMAP makes no model.

    Args:
        intrinsics: px; where they are not known the focal length to begin with.
    """
    import pycolmap  # pyright: ignore[reportMissingImports]  an extra

    pycolmap.logging.minloglevel = 3  # its progress would drown ours
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [f"{i:04d}.png" for i in range(len(frames_u8))]
        for frame, file_name in zip(frames_u8, names, strict=True):
            Image.fromarray(frame).save(folder / file_name, compress_level=0)  # read once
        _match(pycolmap, folder, names, intrinsics, is_known)
        models = _map(pycolmap, folder, is_known, mapping)
    if not models:
        return None
    return _model(max(models.values(), key=lambda one: one.num_reg_images()), names, frames_u8.shape[1:3])


def _match(pycolmap: Any, folder: Path, names: list[str], intrinsics: Float[np.ndarray, "4"], is_known: bool) -> None:
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "PINHOLE" if is_known else "SIMPLE_PINHOLE"
    numbers = intrinsics if is_known else intrinsics[[1, 2, 3]]
    reader.camera_params = ",".join(str(float(value)) for value in numbers)
    extraction, matching = pycolmap.FeatureExtractionOptions(), pycolmap.FeatureMatchingOptions()
    for options in (extraction, matching):
        options.num_threads, options.use_gpu = 1, False
    pycolmap.extract_features(
        folder / "database.db",
        folder,
        image_names=names,
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=extraction,
    )
    pycolmap.match_exhaustive(folder / "database.db", matching_options=matching)


def _map(pycolmap: Any, folder: Path, is_known: bool, mapping: Mapping) -> dict[int, Any]:
    database, models = folder / "database.db", folder / "models"
    if mapping == "global":
        models.mkdir(exist_ok=True)
        options = pycolmap.GlobalPipelineOptions()
        options.num_threads = 1
        if is_known:
            options.mapper.bundle_adjustment.refine_focal_length = False
        return pycolmap.global_mapping(database, folder, models, options=options)
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = 1
    if is_known:
        options.ba_refine_focal_length = options.ba_refine_principal_point = options.ba_refine_extra_params = False
    return pycolmap.incremental_mapping(database, folder, models, options=options)


def _model(found: Any, names: list[str], size: tuple[int, int]) -> Model:
    images = [image for image in found.images.values() if image.has_pose]
    index = [names.index(image.name) for image in images]
    T_camera_world = np.stack([np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]]) for image in images])
    Ts = np.tile(np.eye(4), (len(names), 1, 1))
    T_world_camera = se3.inverse(T_camera_world)
    Ts[index] = se3.inverse(T_world_camera[int(np.argmin(index))]) @ T_world_camera
    registered = np.isin(np.arange(len(names)), index)
    numbers = list(next(iter(found.cameras.values())).params)
    intrinsics = np.array(numbers if len(numbers) == 4 else [numbers[0], *numbers])
    seen = [
        (number, point.point3D_id, point.xy)
        for number, image in zip(index, images, strict=True)
        for point in image.get_observation_points2D()
    ]
    frame, point, xy = zip(*seen, strict=True) if seen else ((), (), np.zeros((0, 2)))
    return Model(Ts, registered, intrinsics, Tracks.build(frame, point, xy, len(names), size))


def refine_with_colmap(
    film_u8: UInt8[np.ndarray, "f h w 3"],
    at: Int[np.ndarray, " t"],
    trajectory: Trajectory,
    *,
    known_fov_y_rad: float | None = None,
    mapping: Mapping = "incremental",
) -> Refinement:
    """Cameras of some frames of a film, as `rap.reconstruction.film.refine_film`, by COLMAP.

    Nobody has judged them, so that the verdict is "doubtful" where there is a path.

    Args:
        at: (T,) numbers of the frames whose cameras are asked for, ascending.

    Raises:
        ValueError: pycolmap is not installed; frames that are not bytes.
    """
    if not is_installed():
        raise ValueError(SENTENCE)
    started, film_u8, at = time.perf_counter(), check_frames(film_u8), np.asarray(at)
    start = trajectory.relative_to(trajectory.source)
    lens = lens_of(start, known_fov_y_rad, False)
    used = _used(len(film_u8), at)
    model = mapped(film_u8[used], lens.intrinsics[0], is_known=lens.focal == "fixed", mapping=mapping)
    asked = np.searchsorted(used, at)
    if model is None or model.registered[asked].sum() < 2 or model.tracks.num_points < MIN_POINTS:
        reason = "COLMAP could not put the frames together; the given trajectory is kept."
        none = Tracks.build([], [], np.zeros((0, 2)), len(at), start.image_size)
        return finished(kept(trajectory, none, "too_few_tracks", reason), started)
    return finished(_refined(film_u8[used], asked, start, model, mapping, lens.source), started)


def _used(count: int, at: np.ndarray) -> np.ndarray:
    """The asked frames, and of those between as many as may be matched."""
    more = max(MAPPED_FRAMES - len(at), 2)
    return np.union1d(at, np.linspace(at[0], at[-1], min(more, count)).round().astype(int))


def _refined(
    frames_u8: np.ndarray, asked: np.ndarray, start: Trajectory, model: Model, mapping: Mapping, source: Any
) -> Refinement:
    """In our gauge and unit, with the points of COLMAP's tracks; frames that it left out stand between the others."""
    count, places = len(frames_u8), np.flatnonzero(model.registered)
    Ts = interpolated(model.Ts_world_camera[places], places, count)
    Ts = se3.inverse(Ts[asked[start.source]]) @ Ts
    points = triangulate(model.tracks, Ts, model.intrinsics, frames_u8)
    nearest = int(places[np.abs(places - asked[start.source]).argmin()])
    unit = source_depth(model.tracks, points, Ts[nearest], nearest)
    _, residual_px, _ = locate(model.tracks, Ts, np.tile(model.intrinsics, (count, 1)))
    poses = Ts[asked]
    poses[:, :3, 3] /= unit
    poses[start.source] = np.eye(4)
    intrinsics = np.tile(model.intrinsics, (len(asked), 1))
    lost = tuple(np.flatnonzero(~model.registered[asked]).tolist())
    left_out = f" Frames {list(lost)} are not in it and stand between or beside their neighbours." if lost else ""
    reason = f"COLMAP, {mapping} mapping: {len(places)} of {count} frames in one model.{left_out} Nobody has judged it."
    report = RefinementReport(
        "refined", reason, "frames", source, float("nan"), float(np.median(residual_px)), len(model.tracks),
        model.tracks.num_points, float(model.intrinsics[1] / start.intrinsics[0, 1]), 0.0, lost=lost,
    )  # fmt: skip
    span = np.stack(
        [
            np.searchsorted(asked, points.span[:, 0]).clip(max=len(asked) - 1),
            np.searchsorted(asked, points.span[:, 1], "right") - 1,
        ],
        axis=1,
    )
    points = replace(points, span=span).transformed(np.eye(4), 1 / unit)
    return Refinement(replace(start, Ts_world_camera=poses, intrinsics=intrinsics), report, points, model.tracks)
