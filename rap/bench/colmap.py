"""COLMAP on a window, through pycolmap: what the poses from nothing are measured against."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

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
