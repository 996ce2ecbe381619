"""Camera files from elsewhere, on their way to becoming the path: what was read, and what makes it fit.

Of the world's axes nothing needs to be known, because a path is told from its source camera; what can be wrong are the
cameras' own axes, the direction of the poses, the unit of length and the number of frames.
"""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rap import formats
from rap.errors import InputError
from rap.formats import checks
from rap.geometry import Trajectory, resample, se3
from rap.geometry.camera import intrinsics_from_fov

COLMAP_FILES = ("cameras.txt", "images.txt", "points3D.txt")
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
    """

    name: str
    format: str
    convention: str
    cameras: Trajectory
    notes: tuple[str, ...] = ()
    flipped: bool = False
    inverted: bool = False
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                f"the scale must be above 0, got {self.scale:g}; 1 takes the file's unit for a median depth"
            )


def read_import(path: Path, image_size: tuple[int, int] | None) -> Import:
    """A camera file of any format that can be read; COLMAP's text files as a zip, which is unpacked beside it.

    Args:
        image_size: (h, w) for the formats that do not know it.

    Raises:
        InputError: it cannot be used; the sentence names file, field, value and remedy.
    """
    name = path.name
    if path.suffix.lower() == ".zip":
        path = _unpacked_colmap(path)
    found = formats.detect(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cameras = formats.read(path, image_size=image_size)
    return Import(name, found.title, found.convention, cameras, tuple(str(note.message) for note in caught))


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


def _unpacked_colmap(path: Path) -> Path:
    """Folder with COLMAP's text files of a zip; whatever else is in it stays there."""
    folder = path.with_suffix("")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {Path(member.filename).name: member for member in archive.infolist()}
            wanted = {name: members[name] for name in COLMAP_FILES if name in members}
            if not wanted:
                raise InputError(f"{path.name}: holds none of {', '.join(COLMAP_FILES)}, expected COLMAP's text files")
            folder.mkdir(exist_ok=True)
            for name, member in wanted.items():
                if member.file_size > checks.MAX_BYTES:
                    raise InputError(f"{path.name}: {name} has {member.file_size} bytes, at most {checks.MAX_BYTES}")
                with archive.open(member) as source:
                    data = source.read(checks.MAX_BYTES + 1)  # what a header says of the size need not be true
                if len(data) > checks.MAX_BYTES:
                    raise InputError(f"{path.name}: {name} is larger than {checks.MAX_BYTES} bytes")
                (folder / name).write_bytes(data)
    except checks.DAMAGED_ZIP as error:
        raise InputError(f"{path.name}: is no intact zip ({error}); pack it again") from None
    return folder
