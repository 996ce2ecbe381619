"""Arrays of matrices in an `.npz`, as generators of videos take their cameras; OpenCV cameras, intrinsics in pixels.

| layout | poses | intrinsics | read by |
|---|---|---|---|
| gen3c | `w2cs_all` (T,4,4) world to camera | `Ks_all` (T,3,3) | GEN3C, gen3c_multiview.py, beside its images |
| lyra2 | `w2c` (T,4,4) world to camera | `intrinsics` (T,3,3) | Lyra-2, lyra2_custom_traj_inference.py |
| c2w | `c2w` (T,4,4) camera to world, float32 | `K` (T,3,3), float32 | pipelines of diffusers, by torch.from_numpy |

The size stands in `image_height` and `image_width`, which GEN3C passes over; a file without them has that of its
pictures, else twice the principal point, and a warning says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rap.errors import InputError
from rap.formats import archive, checks
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.guard import reading
from rap.limits import CAMERAS, NPZ_BYTES
from rap.writing import whole_file

SIDES = ("image_height", "image_width")


@dataclass(frozen=True)
class Layout:
    """The names of the arrays, which way the poses go, and their type."""

    poses: str
    intrinsics: str
    is_world_to_camera: bool
    dtype: Any = np.float64


LAYOUTS = {
    "gen3c": Layout("w2cs_all", "Ks_all", True),
    "lyra2": Layout("w2c", "intrinsics", True),
    "c2w": Layout("c2w", "K", False, np.float32),
}


def layout_of(names: Sequence[str]) -> str | None:
    """The layout of an archive, by the names of its files."""
    return next((name for name, layout in LAYOUTS.items() if f"{layout.poses}.npy" in names), None)


def read(path: str | Path, layout: Layout) -> Trajectory:
    """Read an archive of a layout in its own world, source 0.

    Raises:
        InputError: no intact archive of plain arrays, an array that is missing or of another shape, or no cameras.
    """
    path = Path(path)
    checks.file_size_checked(path, NPZ_BYTES)
    wanted = (layout.poses, layout.intrinsics, *SIDES, "fps")
    with reading(path.name):
        arrays = archive.arrays(path, wanted, "iuf", NPZ_BYTES)
    poses = _matrices(arrays, layout.poses, (4, 4), path)
    matrices = _matrices(arrays, layout.intrinsics, (3, 3), path)
    if len(matrices) != len(poses):
        raise InputError(f"{path.name}: {layout.intrinsics} has {len(matrices)} matrices for {len(poses)} poses")
    Ts = np.stack([checks.rigid_pose(T, f"{layout.poses}[{i}]", path.name) for i, T in enumerate(poses)])
    intrinsics = np.stack([matrices[:, 0, 0], matrices[:, 1, 1], matrices[:, 0, 2], matrices[:, 1, 2]], axis=1)
    for i, focal in np.ndenumerate(intrinsics[:, :2]):
        checks.positive(float(focal), f"{layout.intrinsics}[{i[0]}] (focal length)", path.name)
    fps = float(arrays["fps"].reshape(-1)[0]) if arrays.get("fps", np.empty(0)).size == 1 else checks.DEFAULT_FPS
    return checks.build_trajectory(
        path,
        se3.inverse(Ts) if layout.is_world_to_camera else Ts,
        intrinsics,
        _image_size(arrays, intrinsics, path),
        fps=checks.positive(fps, "fps", path.name),
    )


def write(path: str | Path, trajectory: Trajectory, layout: Layout, frame_names: Sequence[str] | None = None) -> None:
    """Write an archive of a layout; `frame_names` have no place in it."""
    checks.names_for(len(trajectory), frame_names)
    Ts, lens = trajectory.Ts_world_camera, trajectory.intrinsics
    Ks = np.zeros((len(trajectory), 3, 3))
    Ks[:, 0, 0], Ks[:, 1, 1], Ks[:, 0, 2], Ks[:, 1, 2], Ks[:, 2, 2] = *lens.T, 1.0
    arrays = {
        layout.poses: (se3.inverse(Ts) if layout.is_world_to_camera else Ts).astype(layout.dtype),
        layout.intrinsics: Ks.astype(layout.dtype),
        **dict(zip(SIDES, map(np.array, trajectory.image_size), strict=True)),
        "fps": np.array(float(trajectory.fps)),
    }
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _matrices(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, int], path: Path) -> np.ndarray:
    if name not in arrays:
        raise InputError(f"{path.name}: {name} is missing, expected an array (T, {shape[0]}, {shape[1]})")
    found = arrays[name].astype(np.float64)
    if found.ndim != 3 or found.shape[1:] != shape or len(found) == 0:
        raise InputError(f"{path.name}: {name} has shape {found.shape}, expected (T, {shape[0]}, {shape[1]})")
    CAMERAS.check(len(found), f"{path.name}: has", "keep fewer frames")
    beyond = ~(np.abs(found) <= checks.MAX_NUMBER)
    if beyond.any():
        raise InputError(f"{path.name}: {name}{np.argwhere(beyond)[0].tolist()} is not finite, expected numbers")
    return found


def _image_size(arrays: dict[str, np.ndarray], intrinsics: np.ndarray, path: Path) -> tuple[int, int]:
    sides = [arrays[name] for name in SIDES if arrays.get(name, np.empty(0)).size == 1]
    if len(sides) == 2:
        height, width = (float(side.reshape(-1)[0]) for side in sides)
    else:
        width, height = np.round(2 * intrinsics[0, 2:])
        warnings.warn(
            f"{path.name}: has no {SIDES[0]} and {SIDES[1]}; twice its principal point, {width:g} x {height:g}, is "
            "taken for the size of its pictures",
            stacklevel=3,
        )
    return checks.image_side(height, SIDES[0], path.name), checks.image_side(width, SIDES[1], path.name)
