"""Our own lossless file: a NumPy `.npz` archive of plain arrays, never pickled.

Arrays: `Ts_world_camera` (T,4,4) float64 and `intrinsics` (T,4) float64 exactly as in `Trajectory` (OpenCV, pixels of
`image_size`), `image_size` (h, w) int64, and the scalars `fps` and `source`; `frame_names` (T,) strings if given.
Read back bit for bit, source included.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rap.errors import InputError
from rap.formats import archive, checks
from rap.geometry.trajectory import Trajectory
from rap.guard import reading
from rap.limits import CAMERAS, NPZ_BYTES
from rap.writing import whole_file

REQUIRED = ("Ts_world_camera", "intrinsics", "image_size")


def read(path: str | Path) -> Trajectory:
    """Read a trajectory, bit for bit.

    `fps` and `source` may be missing (8 and 0).

    Raises:
        InputError: no intact archive, an array that is missing, pickled, of another shape or not numeric, or no proper
        cameras.
    """
    path = Path(path)
    arrays = _arrays(path, (*REQUIRED, "fps", "source"))
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise InputError(f"{path.name}: {missing[0]} is missing, expected the arrays {', '.join(REQUIRED)}")
    poses, intrinsics = arrays["Ts_world_camera"], arrays["intrinsics"]
    if poses.ndim != 3 or poses.shape[1:] != (4, 4) or len(poses) == 0:
        raise InputError(f"{path.name}: Ts_world_camera has shape {poses.shape}, expected (T, 4, 4) with T >= 1")
    CAMERAS.check(len(poses), f"{path.name}: has", "keep fewer frames")
    if intrinsics.shape != (len(poses), 4):
        raise InputError(
            f"{path.name}: intrinsics has shape {intrinsics.shape}, expected ({len(poses)}, 4): fx fy cx cy"
        )
    if arrays["image_size"].shape != (2,):
        raise InputError(f"{path.name}: image_size has shape {arrays['image_size'].shape}, expected (2,): height width")
    for name, values in arrays.items():
        beyond = ~(np.abs(np.atleast_1d(values)) <= checks.MAX_NUMBER)
        if beyond.any():
            where = np.argwhere(beyond)[0].tolist()
            raise InputError(
                f"{path.name}: {name}{where} is not finite, expected numbers; leave out frames without a pose"
            )
    for i, T in enumerate(poses):  # only checked: rounding stays as it was saved
        checks.rigid_pose(T, f"Ts_world_camera[{i}]", path.name)
    for i, focal in np.ndenumerate(intrinsics[:, :2]):
        checks.positive(float(focal), f"intrinsics[{i[0]}][{i[1]}] (focal length)", path.name)
    height, width = (checks.image_side(float(side), "image_size", path.name) for side in arrays["image_size"])
    fps = checks.positive(_scalar(arrays, "fps", checks.DEFAULT_FPS, path), "fps", path.name)
    source = _scalar(arrays, "source", 0.0, path)
    if source not in range(len(poses)):
        raise InputError(f"{path.name}: source is {source:g}, expected the index of a frame, 0 to {len(poses) - 1}")
    return checks.build_trajectory(path, poses, intrinsics, (height, width), fps=fps, source=int(source))


def read_frame_names(path: str | Path) -> tuple[str, ...]:
    """The names stored with the frames, empty if there are none.

    Raises:
        InputError: no intact archive, or `frame_names` is no array of strings.
    """
    path = Path(path)
    names = _arrays(path, ("frame_names",), kinds="U").get("frame_names", np.array([], dtype=np.str_))
    CAMERAS.check(names.size, f"{path.name}: has names for", "keep fewer frames")
    return tuple(str(name) for name in names.reshape(-1))


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write a trajectory losslessly.

    Raises:
        ValueError: the names do not fit the frames.
    """
    names = checks.names_for(len(trajectory), frame_names)
    arrays: dict[str, np.ndarray] = {
        "Ts_world_camera": np.asarray(trajectory.Ts_world_camera, dtype=np.float64),
        "intrinsics": np.asarray(trajectory.intrinsics, dtype=np.float64),
        "image_size": np.array(trajectory.image_size, dtype=np.int64),
        "fps": np.array(trajectory.fps, dtype=np.float64),
        "source": np.array(trajectory.source, dtype=np.int64),
    }
    if frame_names is not None:
        arrays["frame_names"] = np.array(names, dtype=np.str_)
    with (
        whole_file(path) as partial,
        partial.open("wb") as file,
    ):  # savez given a path would add a suffix to other names
        np.savez(file, allow_pickle=False, **arrays)


def _arrays(path: Path, wanted: Sequence[str], kinds: str = "iuf") -> dict[str, np.ndarray]:
    """The wanted arrays that the archive has; numbers become float64."""
    checks.file_size_checked(path)
    with reading(path.name):
        arrays = archive.arrays(path, wanted, kinds, NPZ_BYTES)
        return arrays if kinds == "U" else {name: values.astype(np.float64) for name, values in arrays.items()}


def _scalar(arrays: dict[str, np.ndarray], name: str, default: float, path: Path) -> float:
    values = arrays.get(name, np.array(default))
    if values.size != 1:
        raise InputError(f"{path.name}: {name} has shape {values.shape}, expected one number")
    return float(values.reshape(()))
