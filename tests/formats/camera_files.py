"""A file of any format from a path: by its writer, or made by hand where others alone write it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rap import formats
from rap.formats.axes import SIGNS_OPENGL
from rap.geometry import Trajectory, se3


def made(path: Path, trajectory: Trajectory, name: str, frame_names: Sequence[str] | None = None) -> Path:
    """Write it, whatever can be read of it; `path` without the part that a format has a name of its own for."""
    if name in MAKERS:
        return MAKERS[name](path, trajectory)
    formats.write(path, trajectory, frame_names, format_name=name)
    return path


def llff(path: Path, trajectory: Trajectory) -> Path:
    """Of the first frame's focal length in y; columns are down, right, backwards."""
    right, down, ahead, centre = np.moveaxis(trajectory.Ts_world_camera[:, :3], 2, 0)
    height, width = trajectory.image_size
    sizes = np.column_stack([np.tile([height, width], (len(trajectory), 1)), trajectory.intrinsics[:, 1]])
    matrices = np.stack([down, right, -ahead, centre, sizes], axis=2)
    rows = np.column_stack([matrices.reshape(-1, 15), np.tile([1.0, 9.0], (len(trajectory), 1))])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, rows, allow_pickle=False)
    return path


def record3d(path: Path, trajectory: Trajectory) -> Path:
    poses = trajectory.Ts_world_camera * SIGNS_OPENGL
    height, width = trajectory.image_size
    q_xyzw = se3.quaternion_wxyz(poses[:, :3, :3])[:, [1, 2, 3, 0]]
    fx, fy, cx, cy = trajectory.intrinsics[0].tolist()
    document = {
        "w": width, "h": height, "K": [fx, 0, 0, 0, fy, 0, cx, cy, 1], "fps": trajectory.fps,
        "poses": np.column_stack([q_xyzw, poses[:, :3, 3]]).tolist(),
        "perFrameIntrinsicCoeffs": trajectory.intrinsics.tolist(),
        "frameTimestamps": (np.arange(len(trajectory)) / trajectory.fps).tolist(),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def polycam(path: Path, trajectory: Trajectory) -> Path:
    """The folder of cameras that ends the path."""
    path.mkdir(parents=True, exist_ok=True)
    height, width = trajectory.image_size
    for i, (T, lens) in enumerate(zip(trajectory.Ts_world_camera * SIGNS_OPENGL, trajectory.intrinsics, strict=True)):
        matrix = {f"t_{row}{column}": float(T[row, column]) for row in range(3) for column in range(4)}
        fields = dict(zip(("fx", "fy", "cx", "cy"), lens.tolist(), strict=True))
        document = {**matrix, **fields, "width": width, "height": height, "timestamp": 100 * i}
        (path / f"{100 * i}.json").write_text(json.dumps(document))
    return path


MAKERS = {"llff": llff, "record3d": record3d, "polycam": polycam}
