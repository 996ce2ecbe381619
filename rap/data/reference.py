"""Cameras that are known of an upload: found beside its pictures or given with it, and matched to its frames.

Which camera belongs to which frame is told by name first, then by time, and by order only where the numbers agree; a
note says which it was. A file that names pictures is for their stored pixels (COLMAP and nerfstudio pass over EXIF), so
where a picture is turned its camera is turned with it. The crop and the resize of the frames are followed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from PIL import Image

from rap import formats
from rap.data.images import crop_box, natural_key
from rap.data.undistort import pinhole_of, undistorted
from rap.errors import InputError
from rap.formats import colmap
from rap.formats.distortion import Distortion
from rap.formats.located import recording_in, transforms_in
from rap.formats.pictures import Pictures, matched
from rap.geometry import Trajectory, crop_intrinsics, resize_intrinsics, se3

MODEL_FOLDERS = ("sparse", "colmap", "model", "undistorted", "dense")
"""Folders beside pictures that have COLMAP models."""

PICTURE_FOLDERS = ("frames", "images", "rgb", "rgbd", "corrected_images")
"""A folder whose name begins like this belongs to the cameras in its parent."""

SPLITS = {
    "train": ("transforms_train.json", "transforms.json"),
    "val": ("transforms_val.json",),
    "test": ("transforms_test.json",),
}
"""Folders that have pictures of the same names, and the files beside them whose cameras are theirs."""

ASPECT_TOLERANCE = 0.02
"""A picture resized to whole pixels changes its aspect ratio by less than this."""

SAME_DURATION = 0.03
"""Films and paths that were recorded together begin and end within this share of each other."""

NOT_PINHOLE_TURNS = (2, 4, 5, 7)
"""EXIF orientations that mirror."""


def cameras_beside(folder: Path) -> Path | None:
    """The cameras of a folder of pictures: in it, or in its parent when it is called frames, images, train ...

    A file, or a folder below which a COLMAP model is.
    """
    if (found := _cameras_of(folder)) is not None:
        return found
    whole = folder.resolve()
    if whole.name.startswith(PICTURE_FOLDERS):
        return _cameras_of(whole.parent)
    split = (whole.parent / name for name in SPLITS.get(whole.name, ()))
    return next((file for file in split if file.is_file()), None)


def _cameras_of(folder: Path) -> Path | None:
    """Those at places that programs put them, not anywhere below: the folder may be a whole home."""
    named = transforms_in(folder)
    if named is not None:
        return named
    own = next((folder / name for name in ("images.txt", "images.bin") if (folder / name).is_file()), None)
    if own is not None:
        return own
    places = [folder / name for name in MODEL_FOLDERS if (folder / name).is_dir()]
    model = next((place for place in places if colmap.models_below(place)), None)
    if model is not None:
        return model
    recording = recording_in(folder)
    return None if recording is None else recording[1]


def pictures_named(names: Sequence[str], folder: Path, cameras: Path) -> list[Path]:
    """The existing pictures that a file of cameras names, in name order.

    Only those below `folder`: a stranger's path must not lead elsewhere.

    Args:
        cameras: the file, or the folder above the model, which may have the pictures beside it.
    """
    roots = [folder, cameras] if cameras.is_dir() else [folder]
    places = [root / name for root in roots for name in ("", *PICTURE_FOLDERS) if (root / name).is_dir()]
    for pictures in map(Pictures, places):
        found = {path for name in names if (path := pictures.find(name)) is not None}
        if found:
            return sorted(found, key=lambda path: natural_key(str(path)))
    return []


MASK = re.compile(r"[_.-](mask|depth|normals?|alpha)([_.-]?\d+)?$", re.IGNORECASE)


def without_masks(pictures: Sequence[Path]) -> list[Path]:
    """Pictures of a folder but for masks, depth and the like of others in it, by their names."""
    stems = {path.stem for path in pictures}
    return [path for path in pictures if MASK.sub("", path.stem) == path.stem or MASK.sub("", path.stem) not in stems]


@dataclasses.dataclass(frozen=True)
class Frame:
    """A picture of the clip: number in the upload, name where it has one, (h, w) upright and its EXIF orientation."""

    index: int
    name: str
    size: tuple[int, int]
    orientation: int


@dataclasses.dataclass(frozen=True)
class Straightener:
    """Takes the distortion of its lens out of each picture.

    Attributes:
        rows: for each picture in turn its camera; one without is left as it is.
    """

    lenses: Sequence[Distortion | None]
    cameras: Trajectory
    rows: Sequence[int | None]

    def __call__(self, image: Image.Image, turn: int) -> Image.Image:
        """The picture number `turn`, undistorted."""
        row = self.rows[turn]
        lens = None if row is None else self.lenses[row]
        if row is None or lens is None:
            return image
        return undistorted(image, lens, self.cameras.intrinsics[row], self.cameras.image_size)


class KnownCameras:
    """A file of cameras that an upload has.

    Args:
        path: file, folder or zip.
        is_given: by the person, for this upload: what does not fit is refused. What was only found beside it is left
            out then, with a note.
        fov_y_rad: vertical field of view of the whole picture, for files without a lens.
        size: (h, w) of the pictures, for files without one, where that is known before they are read.
    """

    def __init__(
        self, path: Path, is_given: bool, fov_y_rad: float | None = None, size: tuple[int, int] | None = None
    ) -> None:
        self.path, self._is_given, self._fov_y_rad, self._size = path, is_given, fov_y_rad, size

    @cached_property
    def file(self) -> formats.CameraFile:
        """What it says, read without what only the pictures tell but their size.

        Raises:
            InputError: it is malformed.
        """
        return self._read(self._size, None)

    def rows(self, names: Sequence[str]) -> list[int | None]:
        """For each picture of an upload the camera of the same name; all None where there is no such name."""
        return matched(list(self.file.names), list(names)) if names and self.file.names else [None] * len(names)

    def straightener(self, names: Sequence[str], wanted: Sequence[int]) -> Straightener | None:
        """What takes the distortion of the lens out of the wanted frames; None where the file tells of none.

        Args:
            names: of all frames of the upload, empty where it has none.

        Raises:
            InputError: that of each frame is another, and the frames have no names.
        """
        lenses, cameras = self.file.distortion, self.file.trajectory
        if not lenses:
            return None
        rows = self.rows(names)
        if any(row is not None for row in rows):
            return Straightener(lenses, cameras, [rows[i] for i in wanted])
        if len(set(lenses)) > 1 or np.ptp(cameras.intrinsics, axis=0).any():
            raise InputError(
                f"{self.path.name}: the lens distortion changes from frame to frame, but the frames are not matched "
                "by name; give the pictures under the names of the file"
            )
        return Straightener(lenses, cameras, [0] * len(wanted))

    def of_frames(
        self,
        frames: Sequence[Frame],
        names: Sequence[str],
        times_s: np.ndarray,
        size: tuple[int, int],
        fps: float,
        lens_fov_y_rad: float | None,
    ) -> tuple[Trajectory | None, tuple[str, ...]]:
        """Cameras of the clip's frames: world = the first one's, unit of length = the file's; and notes.

        Args:
            names: of all frames of the upload, empty where it has none.
            times_s: of all frames of the upload.
            size: (h, w) of the clip's frames after crop and resize.
            lens_fov_y_rad: as EXIF has it, of the whole picture; for files without a lens.

        Returns:
            The trajectory, or None when a picture has no pose or another shape than the file says.

        Raises:
            InputError: the file is malformed, or was given and does not fit.
        """
        file = self._read(frames[0].size, self._fov_y_rad or lens_fov_y_rad)
        notes = list(file.notes)
        if self._is_given and len(times_s) == 1 and len(file.trajectory) > 1:
            return None, (f"{self.path.name}: has {len(file.trajectory)} cameras, which one picture has no use for",)
        by_name = self.rows(names)
        if any(row is not None for row in by_name):
            missing = list(dict.fromkeys(f.name for f in frames if by_name[f.index] is None))
            if missing:
                return self._left_out(notes, f"has no pose for {', '.join(missing[:5])}")
            whole = file.trajectory
            places = [float(by_name[f.index] or 0) for f in frames]
            if self._is_given and len(whole) != len(names):
                notes.append(f"{self.path.name}: of its {len(whole)} cameras those of the same names")
        elif not self._is_given and file.names and names:
            missing = list(dict.fromkeys(f.name for f in frames))
            return self._left_out(notes, f"has no pose for {', '.join(missing[:5])}")
        else:
            places, told = self._unnamed(file, frames, times_s)
            notes += told
        turns = any(row is not None for row in by_name) and file.has_size and file.format.name != "npz"
        return self._fitted(file, places, frames, turns, size, fps, notes)

    def _read(self, size: tuple[int, int] | None, fov_y_rad: float | None) -> formats.CameraFile:
        try:
            return formats.load(self.path, image_size=size, fov_y_rad=fov_y_rad)
        except InputError as error:
            if self._is_given:
                raise
            raise InputError(
                f"{error}; or move {self.path.name} away to use the pictures without reference cameras"
            ) from error

    def _left_out(self, notes: list[str], why: str) -> tuple[None, tuple[str, ...]]:
        if self._is_given:
            raise InputError(f"{self.path.name}: {why}; give one with a camera for each of the clip's frames")
        return None, (*notes, f"{self.path.name} {why}: used without reference cameras")

    def _unnamed(
        self, file: formats.CameraFile, frames: Sequence[Frame], times_s: np.ndarray
    ) -> tuple[list[float], list[str]]:
        """Where in the file the frames' cameras stand, where no names tell, perhaps between two; and a note."""
        count, indices, whole = len(file.trajectory), [frame.index for frame in frames], len(times_s)
        name = self.path.name
        if count == whole:
            note = [f"{name}: its {count} cameras are taken to be those of the input's frames"]
            return [float(i) for i in indices], note if count > len(frames) else []
        if count == len(frames):
            return [float(i) for i in range(count)], [f"{name}: its cameras are taken to be those of the clip's frames"]
        if file.times_s is not None and count > 1 and whole > 1:
            stamps, film = file.times_s - file.times_s[0], times_s - times_s[0]
            if abs(stamps[-1] / film[-1] - 1) <= SAME_DURATION + stamps[-1] / (count - 1) / film[-1]:
                wanted = np.clip(film[indices], 0.0, stamps[-1])
                note = f"{name}: its {count} cameras over {stamps[-1]:.3g} s are matched to the {whole} frames by time"
                return np.interp(wanted, stamps, np.arange(count)).tolist(), [note]
        last = max(indices)
        raise InputError(
            f"{name}: has {count} cameras, but the clip has {len(frames)} frames, up to number {last} of the "
            f"input's {whole}; give a camera for each frame of the clip, or for each frame of the input"
        )

    def _fitted(
        self,
        file: formats.CameraFile,
        places: Sequence[float],
        frames: Sequence[Frame],
        turns: bool,
        size: tuple[int, int],
        fps: float,
        notes: list[str],
    ) -> tuple[Trajectory | None, tuple[str, ...]]:
        whole = file.trajectory
        h, w = whole.image_size
        poses, intrinsics, turned = [], [], 0
        for place, frame in zip(places, frames, strict=True):
            pose, lens = _between(whole, place)
            distortion = file.distortion[round(place)] if file.distortion else None
            if distortion is not None:
                lens = np.array(pinhole_of(distortion, tuple(lens.tolist()), (h, w)))
            stated = h, w
            if turns and frame.orientation in NOT_PINHOLE_TURNS:
                return self._left_out(notes, "has cameras of pictures that their EXIF mirrors, which none can take")
            if turns and frame.orientation != 1 and _is_for_stored(stated, frame):
                pose, lens, stated = turned_camera(pose, lens, stated, frame.orientation)
                turned += 1
            if _same_shape(stated, frame.size):
                lens = fitted_intrinsics(lens, stated, frame.size, size)
            elif self._is_given and _same_shape(stated, size):  # of the frames as they are cropped, as we write them
                lens = resize_intrinsics(lens, stated, size)
            else:
                return self._other_shape(notes, stated, frame)
            poses.append(pose)
            intrinsics.append(lens)
        if turned:
            notes.append(
                f"{self.path.name}: {turned} pictures are turned as their EXIF says, and their cameras with them: "
                "a file of cameras is for pictures as they are stored"
            )
        if file.distortion:
            told = next(lens.words() for lens in file.distortion if lens is not None)
            notes.append(f"{self.path.name}: the frames are undistorted ({told}); their cameras are pinholes")
        return Trajectory(np.stack(poses), np.stack(intrinsics), size, fps=fps).relative_to(0), tuple(notes)

    def _other_shape(self, notes: list[str], stated: tuple[int, int], frame: Frame) -> tuple[None, tuple[str, ...]]:
        there = f"{frame.size[1]} x {frame.size[0]}"
        if self._is_given:
            raise InputError(
                f"{self.path.name}: is for pictures of {stated[1]} x {stated[0]}, but {frame.name} has {there}; "
                "give the cameras of these pictures"
            )
        note = f"{self.path.name} is for pictures of {stated[1]} x {stated[0]}, but {frame.name} has {there}"
        return None, (*notes, f"{note}: used without reference cameras")


def _same_shape(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return abs((a[1] / a[0]) / (b[1] / b[0]) - 1) <= ASPECT_TOLERANCE


def _is_for_stored(stated: tuple[int, int], frame: Frame) -> bool:
    """Whether cameras are for a picture as it is stored: by its sides, where these tell."""
    return frame.orientation < 5 or _same_shape(stated, (frame.size[1], frame.size[0]))


def turned_camera(
    T_world_camera: Float[np.ndarray, "4 4"],
    intrinsics: Float[np.ndarray, "4"],
    size: tuple[int, int],
    orientation: int,
) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, "4"], tuple[int, int]]:
    """A camera of a stored picture as that of the picture turned upright.

    Args:
        size: (h, w) as stored.
        orientation: of EXIF: 3 half a turn, 6 a quarter clockwise, 8 one the other way.
    """
    h, w = size
    fx, fy, cx, cy = intrinsics
    if orientation == 3:
        axes, lens, shown = ((-1, 0), (0, -1)), (fx, fy, w - cx, h - cy), (h, w)
    elif orientation == 6:  # (x, y) -> (h - y, x)
        axes, lens, shown = ((0, -1), (1, 0)), (fy, fx, h - cy, cx), (w, h)
    else:  # (x, y) -> (y, w - x)
        axes, lens, shown = ((0, 1), (-1, 0)), (fy, fx, cy, w - cx), (w, h)
    T_upright_stored = np.eye(4)
    T_upright_stored[:2, :2] = axes
    return T_world_camera @ T_upright_stored.T, np.array(lens), shown


def _between(cameras: Trajectory, place: float) -> tuple[np.ndarray, np.ndarray]:
    """Pose and intrinsics at a place among the cameras, which may lie between two."""
    i = int(np.floor(place))
    share = place - i
    if share == 0.0:
        return cameras.Ts_world_camera[i], cameras.intrinsics[i]
    pose = se3.interpolate(cameras.Ts_world_camera[i], cameras.Ts_world_camera[i + 1], share)
    return pose, (1 - share) * cameras.intrinsics[i] + share * cameras.intrinsics[i + 1]


def fit_trajectory(trajectory: Trajectory, size: tuple[int, int]) -> Trajectory:
    """The same path for pictures that are centre-cropped and resized to `size` (h, w) as `load_clip` does it."""
    old = trajectory.image_size
    intrinsics = fitted_intrinsics(trajectory.intrinsics, old, old, size)
    return dataclasses.replace(trajectory, intrinsics=intrinsics, image_size=size)


def fitted_intrinsics(
    intrinsics: Float[ArrayLike, "*batch 4"],
    stated: tuple[int, int],
    picture: tuple[int, int],
    size: tuple[int, int],
) -> Float[np.ndarray, "*batch 4"]:
    """Intrinsics in pixels of `stated` -> of the `picture` as it is on disk -> centre-cropped -> of `size`, all (h, w).

    `stated` shows the whole picture, perhaps at another resolution.
    """
    top, left, box_h, box_w = crop_box(picture, size)
    h, w = size
    cropped = crop_intrinsics(resize_intrinsics(intrinsics, stated, picture), top, left)
    return cropped * np.array([w / box_w, h / box_h, w / box_w, h / box_h])


def unfitted_intrinsics(
    intrinsics: Float[ArrayLike, "*batch 4"], picture: tuple[int, int], size: tuple[int, int]
) -> Float[np.ndarray, "*batch 4"]:
    """Intrinsics in pixels of `size` -> of the whole `picture` it was centre-cropped from, both (h, w)."""
    top, left, box_h, box_w = crop_box(picture, size)
    h, w = size
    cropped = np.asarray(intrinsics, dtype=np.float64) * np.array([box_w / w, box_h / h, box_w / w, box_h / h])
    return crop_intrinsics(cropped, -top, -left)
