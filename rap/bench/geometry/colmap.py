"""The part colmap: COLMAP on a window, through pycolmap, which the poses from nothing are measured against."""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from rap.bench.geometry.poses import pose_errors, start_figures
from rap.bench.geometry.rows import Row, means, timed
from rap.bench.geometry.windows import Footage
from rap.bench.measure import Figure
from rap.geometry import se3


def is_installed() -> bool:
    """pycolmap is an extra (`eval`)."""
    return importlib.util.find_spec("pycolmap") is not None


def poses(
    frames_u8: UInt8[np.ndarray, "T H W 3"], intrinsics: Float[np.ndarray, "4"]
) -> tuple[Float[np.ndarray, "T 4 4"], int]:
    """Incremental mapping of one camera whose intrinsics are known and stay, every pair of frames matched, one thread.

    Returns:
        Camera-to-world poses of the largest model, world = its first registered frame; frames that are not in it have
        the identity. And how many frames are in it, 0 when there is no model.
    """
    import pycolmap  # pyright: ignore[reportMissingImports]  an extra

    pycolmap.logging.minloglevel = 3  # its progress would drown ours
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [f"{i:04d}.png" for i in range(len(frames_u8))]
        for frame, file_name in zip(frames_u8, names, strict=True):
            Image.fromarray(frame).save(folder / file_name)
        models = _map(pycolmap, folder, names, intrinsics)
    found = np.tile(np.eye(4), (len(frames_u8), 1, 1))
    if not models:
        return found, 0
    model = max(models.values(), key=lambda candidate: candidate.num_reg_images())
    registered = [image for image in model.images.values() if image.has_pose]
    index = [names.index(image.name) for image in registered]
    T_camera_world = np.stack([np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]]) for image in registered])
    T_world_camera = se3.inverse(T_camera_world)
    first = T_world_camera[int(np.argmin(index))]
    found[index] = se3.inverse(first) @ T_world_camera
    return found, len(index)


def _map(pycolmap: Any, folder: Path, names: list[str], intrinsics: Float[np.ndarray, "4"]) -> dict[int, Any]:
    """COLMAP's own defaults throughout, but for the intrinsics and the one thread."""
    database = folder / "database.db"
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "PINHOLE"
    reader.camera_params = ",".join(str(float(value)) for value in intrinsics)
    extraction, matching = pycolmap.FeatureExtractionOptions(), pycolmap.FeatureMatchingOptions()
    for options in (extraction, matching):
        options.num_threads, options.use_gpu = 1, False
    pycolmap.extract_features(
        database,
        folder,
        image_names=names,
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=extraction,
    )
    pycolmap.match_exhaustive(database, matching_options=matching)
    mapping = pycolmap.IncrementalPipelineOptions()
    mapping.num_threads = 1
    mapping.ba_refine_focal_length = mapping.ba_refine_principal_point = mapping.ba_refine_extra_params = False
    return pycolmap.incremental_mapping(database, folder, folder / "models", options=mapping)


def colmap_row(footage: Footage, options: argparse.Namespace) -> Row:
    """Errors, CPU seconds and registered frames of COLMAP."""
    row: Row = {}
    with timed(row, "colmap_s"):
        Ts_world_camera, registered = poses(footage.frames_u8, footage.cameras.intrinsics[0])
    row["colmap_registered"] = registered
    return row | pose_errors(replace(footage.cameras, Ts_world_camera=Ts_world_camera), footage.cameras, "colmap")


def colmap_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """Ours against COLMAP's on the windows where both ran; AUC@30 as a difference, time as a ratio."""
    both = {key: row for key, row in rows.items() if "known_auc" in row and "colmap_auc" in row}
    if not both:
        return []
    ours, theirs = (statistics.fmean(row[f"{name}_auc"] for row in both.values()) for name in ("known", "colmap"))
    seconds = [statistics.fmean(row[f"{name}_s"] for row in both.values()) for name in ("known", "colmap")]
    figures = {"windows": float(len(both))}
    for name, label in (("known", "ours"), ("colmap", "pycolmap")):
        figures |= start_figures(both, name, label)
    figures |= means(both, "colmap_registered", "pycolmap: frames registered")
    return [
        Figure("poses against colmap", "AUC@30 above pycolmap's", ours - theirs, ">=", 0.0, figures),
        Figure(
            "time against colmap", "CPU time over pycolmap's", seconds[0] / seconds[1], "<=", 0.2,
            {"ours, mean CPU seconds": seconds[0], "pycolmap, mean CPU seconds": seconds[1]},
        ),
    ]  # fmt: skip
