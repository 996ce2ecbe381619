"""Camera files from elsewhere, on their way to becoming the path: what was read, and what makes it fit.

Of the world's axes nothing needs to be known, because a path is told from its source camera; what can be wrong are the
cameras' own axes, the direction of the poses, the unit of length and the number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rap import formats, sandbox
from rap.data.packed import packed_path, unpacked_path
from rap.geometry import Trajectory, resample, se3
from rap.geometry.camera import intrinsics_from_fov
from rap.guard import given_file, plain
from rap.sandbox import Packed

FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenGL camera axes to OpenCV's and back


@dataclass(frozen=True, eq=False)
class Import:
    """A camera file that has been read, and how it is to be taken.

    Args:
        name: of the file.
        format, convention: what it was taken for.
        cameras: as read, in its own world.
        notes: what its reader had to assume.
        flipped: its cameras look along -z with y up (OpenGL), although it was read otherwise, or the other way round.
        inverted: its poses are world-to-camera.
        scale: median depths in one of its units.
        has_lens: whether the field of view is the file's, and not assumed for want of one.
    """

    name: str
    format: str
    convention: str
    cameras: Trajectory
    notes: tuple[str, ...] = ()
    flipped: bool = False
    inverted: bool = False
    scale: float = 1.0
    has_lens: bool = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                f"the scale must be above 0, got {self.scale:g}; 1 takes the file's unit for a median depth"
            )


def read_import(path: Path, image_size: tuple[int, int] | None) -> Import:
    """A camera file of any format that can be read; one of several files as a zip.

    It is read by a process that can be killed.

    Args:
        image_size: (h, w) for the formats that do not know it.

    Raises:
        InputError: it cannot be used; the sentence names file, field, value and remedy.
    """
    size = None if image_size is None else list(image_size)
    found, arrays = sandbox.call(packed_import, path.name, path=str(path.absolute()), image_size=size)
    cameras = unpacked_path((found["cameras"], arrays))
    chosen = formats.FORMATS[found["format"]]
    return Import(
        plain(path.name), chosen.title, chosen.convention, cameras, tuple(found["notes"]), has_lens=found["has_lens"]
    )


def packed_import(path: str, image_size: list[int] | None) -> Packed:
    """The cameras of a file, its format's name and its reader's notes, for `read_import`."""
    file, size = given_file(Path(path)), None if image_size is None else (image_size[0], image_size[1])
    found = formats.load(file, image_size=size)
    values, arrays = packed_path(found.trajectory)
    said = {"format": found.format.name, "has_lens": found.has_lens, "notes": list(map(plain, found.notes))}
    return {"cameras": values, **said}, arrays


def as_path(
    given: Import, num_frames: int, image_size: tuple[int, int], fov_y_rad: float | None, fps: float
) -> Trajectory:
    """The path that an import stands for: from its first camera, in `num_frames` frames.

    Args:
        image_size: (h, w) of the clip.
        fov_y_rad: vertical field of view of the clip's source, which the path's becomes; the file's zoom stays. None
            takes the file's.
        fps: of the clip.
    """
    poses = given.cameras.Ts_world_camera
    if given.inverted:
        poses = se3.inverse(poses)
    if given.flipped:
        poses = poses @ FLIP
    fov = given.cameras.fov_y_rad
    focal = 1 / np.tan(fov / 2)  # in half heights
    if fov_y_rad is not None:
        focal = focal * (1 / np.tan(fov_y_rad / 2) / focal[0])
    intrinsics = np.stack([intrinsics_from_fov(float(2 * np.arctan(1 / one)), image_size) for one in focal])
    path = Trajectory(poses, intrinsics, image_size, fps=fps).relative_to(0).scaled(given.scale)
    poses = path.Ts_world_camera.copy()
    poses[0] = np.eye(4)  # to the bit
    return resample(replace(path, Ts_world_camera=poses), num_frames)
