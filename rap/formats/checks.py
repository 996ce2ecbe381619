"""What every reader refuses, in one wording: file, field, value, expectation, remedy. Raises only `InputError`.

Files come from strangers. Nothing is read beyond the limits of `rap.limits`, nothing is unpickled, and no number is
believed before it is known to be finite.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rap.errors import InputError
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.limits import (
    CAMERA_BYTES,
    CAMERA_SIDE,
    CAMERAS,
    FRAME_NAME_CHARACTERS,
    JSON_NODES,
    LINE_CHARACTERS,
    LINES,
    Limit,
)

EXACT = 1e-9
"""A rotation with |R^T R - 1| up to this is kept bit for bit, so that what we wrote is read back unchanged; from here
to `se3.RIGID_TOLERANCE` it is taken for rounding and becomes the nearest rotation."""

MAX_NUMBER = 1e30
"""Numbers of a larger size are refused like infinity: their squares leave float64."""

DEFAULT_FPS = 8.0
"""Frame rate of a file that has none; the default of `Trajectory`."""

DEFAULT_IMAGE_SIZE = (480, 640)
"""(h, w) in pixels assumed for files without one: the camera of the TUM benchmark."""

DEFAULT_FOV_Y_RAD = math.radians(55.0)
"""Vertical field of view assumed for files without intrinsics; the default of the presets."""


def file_size_checked(path: Path, limit: Limit = CAMERA_BYTES) -> int:
    """Size of a file in bytes, from 1 to the limit."""
    if path.is_dir():
        raise InputError(f"{path.name}: is a folder, expected a file with camera poses")
    if not path.is_file():
        raise InputError(f"{path.name}: no such file in {path.parent.name or path.parent}; check the name")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path.name}: is empty (0 bytes); expected camera poses, export it again")
    limit.check(size, f"{path.name}: has", "keep fewer frames or drop the points")
    return size


def read_text(path: Path, limit: Limit = CAMERA_BYTES) -> str:
    """Whole text of a UTF-8 file (a byte-order mark is dropped), never blank."""
    file_size_checked(path, limit)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name}: byte {error.start} is not UTF-8 text, this looks like a binary file; "
            "expected a text file of poses"
        ) from None
    if "\0" in text:
        raise InputError(f"{path.name}: holds NUL bytes, this looks like a binary file; expected a text file of poses")
    if not text.strip():
        raise InputError(f"{path.name}: is blank; expected camera poses, export it again")
    return text


def parse_json(text: str, where: str) -> Any:
    """What a text of JSON holds; measured before it is parsed, because parsed it is many times as large.

    Raises:
        InputError: more lists and objects than `JSON_NODES`.
        ValueError, RecursionError: no JSON, or nested too deeply.
    """
    JSON_NODES.check(text.count("{") + text.count("["), f"{where}: has", "keep fewer frames")
    return json.loads(text)


def all_lines(text: str, name: str) -> list[str]:
    """The lines of a text, few enough and short enough to be taken apart.

    Raises:
        InputError: more than `LINES`, or one longer than `LINE_CHARACTERS`.
    """
    LINES.check(text.count("\n"), f"{name}: has", "keep fewer frames")
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        LINE_CHARACTERS.check(len(line), f"{name} line {number}: has", "drop the points")
    return lines


def data_lines(text: str, name: str) -> list[tuple[int, str]]:
    """(line number from 1, stripped line) of the lines that are neither blank nor a # comment.

    Raises:
        InputError: more of them than `CAMERAS` and a header.
    """
    lines = ((number, line.strip()) for number, line in enumerate(all_lines(text, name), start=1))
    found = [(number, line) for number, line in lines if line and not line.startswith("#")]
    CAMERAS.check(len(found) - 1, f"{name}: has", "keep fewer frames")
    return found


def numbers(tokens: Sequence[str], fields: Sequence[str], where: str) -> Float[np.ndarray, " n"]:
    """Finite numbers from the words of one line, one word per field name."""
    if len(tokens) != len(fields):
        raise InputError(f"{where}: has {len(tokens)} columns, expected {len(fields)}: {' '.join(fields)}")
    values = []
    for token, field in zip(tokens, fields, strict=True):
        try:
            values.append(float(token.replace("_", "?")))  # float() takes 1_0 for 10
        except ValueError:
            raise InputError(f"{where}: {field} is {shown(token)}, expected a number") from None
        if not abs(values[-1]) <= MAX_NUMBER:
            raise InputError(
                f"{where}: {field} is {shown(token)}, expected a finite number; leave out frames without a pose"
            )
    return np.array(values)


def shown(value: object) -> str:
    """A value of a file for an error sentence, never longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def positive(value: float, field: str, where: str) -> float:
    """A number above zero, e.g. a focal length or a side in pixels."""
    if not value > 0.0:
        raise InputError(f"{where}: {field} is {value:g}, expected a number above 0 (pixels)")
    return value


def image_side(value: float, field: str, where: str) -> int:
    """A whole number of pixels, from 1 to `CAMERA_SIDE`."""
    if not 1 <= value <= CAMERA_SIDE.value or value != int(value):
        most = CAMERA_SIDE.value
        raise InputError(f"{where}: {field} is {value:g}, expected a whole number of pixels from 1 to {most}")
    return int(value)


def rigid_pose(matrix: Float[np.ndarray, "4 4"], field: str, where: str) -> Float[np.ndarray, "4 4"]:
    """A finite 4x4 matrix as a rigid pose; rounding of the rotation is repaired, everything else refused by name."""
    beyond = ~(np.abs(matrix) <= MAX_NUMBER)
    if beyond.any():
        row, column = np.argwhere(beyond)[0]
        raise InputError(
            f"{where}: {field}[{row}][{column}] is {matrix[row, column]}, expected a finite number; "
            "leave out frames without a pose"
        )
    if np.abs(matrix[3] - (0.0, 0.0, 0.0, 1.0)).max() > EXACT:
        raise InputError(
            f"{where}: the last row of {field} is {matrix[3].tolist()}, expected [0, 0, 0, 1]; "
            "the matrix may be transposed"
        )
    pose = matrix.copy()
    pose[3] = (0.0, 0.0, 0.0, 1.0)
    pose[:3, :3] = _rotation(matrix[:3, :3], field, where)
    return pose


def _rotation(R: Float[np.ndarray, "3 3"], field: str, where: str) -> Float[np.ndarray, "3 3"]:
    determinant = float(np.linalg.det(R))
    defect = float(np.abs(R.T @ R - np.eye(3)).max())
    if determinant < 0.0:
        raise InputError(
            f"{where}: the rotation of {field} is mirrored, its determinant is {determinant:.4g}, expected +1; "
            "the axes may be flipped (one axis negated or two swapped): undo that for all frames"
        )
    if not defect <= se3.RIGID_TOLERANCE:
        raise InputError(
            f"{where}: the rotation of {field} is not orthonormal, |R^T R - 1| reaches {defect:.3g} "
            f"(determinant {determinant:.4g}), expected at most {se3.RIGID_TOLERANCE:g}; "
            "remove scale or shear from the poses, or write more digits"
        )
    if defect <= EXACT:
        return R
    return se3.nearest_rotation(R)


def unit_quaternion(q: Float[np.ndarray, "4"], field: str, where: str) -> Float[np.ndarray, "4"]:
    """A quaternion normalised; refused where its length is further than 1 % from one (the columns may be mixed up)."""
    length = float(np.linalg.norm(q))
    if not abs(length - 1.0) <= 0.01:
        raise InputError(
            f"{where}: the quaternion {field} has length {length:.4g}, expected 1; the columns may be in another order"
        )
    return q / length


SLOWEST_STEP_S, FASTEST_STEP_S = 10.0, 1e-3
"""Between frames; keyframes lie seconds apart."""

LARGEST_STRIDE = 30
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def seconds(words: Sequence[str], unit_s: float, name: str) -> Float[np.ndarray, " T"] | None:
    """Time stamps in seconds; None where they count frames.

    Stamps that cannot be in the unit of their format are taken for the unit in which they fit a camera; a warning says
    so.

    Args:
        words: the stamps, rising numbers as the file has them.
        unit_s: what the format says.
    """
    stamps = np.array([float(word) for word in words])
    steps = np.diff(stamps)
    if not len(steps):
        return stamps * unit_s
    step = float(np.median(steps))
    is_count = all(word.isdecimal() for word in words) and step in range(1, LARGEST_STRIDE + 1)
    if is_count and len(steps) > 1 and (steps == step).all():
        warnings.warn(
            f"{name}: its time stamps rise by {step:g} each, so they are taken for numbers of frames; "
            f"the frame rate is not known, {DEFAULT_FPS:g} a second is assumed",
            stacklevel=3,
        )
        return None
    if FASTEST_STEP_S * (unit_s < 1.0) <= step * unit_s <= SLOWEST_STEP_S:
        return stamps * unit_s
    word = next((word for word, unit in UNITS.items() if FASTEST_STEP_S <= step * unit < 1.0), None)
    if word is None:
        return stamps * unit_s
    rate = 1.0 / (step * UNITS[word])
    warnings.warn(
        f"{name}: its time stamps rise by {step:g} each, so they are taken for {word} ({rate:.3g} frames a second)",
        stacklevel=3,
    )
    return stamps * UNITS[word]


def frame_rate(times_s: Float[np.ndarray, " T"] | None) -> float:
    """Frames per second from times that rise: one over the median step, so that dropped frames do not matter.

    A single frame, and one whose time is not known, gets `DEFAULT_FPS`.
    """
    return DEFAULT_FPS if times_s is None or len(times_s) < 2 else float(1.0 / np.median(np.diff(times_s)))


def rising(stamps: Float[np.ndarray, " T"], places: Sequence[str]) -> None:
    """Time stamps that rise from frame to frame, in whatever unit."""
    steps = np.diff(stamps)
    wrong = np.flatnonzero(steps <= 0.0)
    if len(wrong):
        i = int(wrong[0])
        problem = "is a duplicate" if steps[i] == 0.0 else "comes before the one above"
        raise InputError(f"{places[i + 1]}: the timestamp {problem}; expected each frame once, in rising order of time")


def unique(names: Sequence[str], field: str, file_name: str) -> None:
    """Each frame once, by a name of bounded length."""
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        FRAME_NAME_CHARACTERS.check(len(name), f"{file_name}: the {field} of frame {i} has", "shorten it")
        if name in first:
            raise InputError(
                f"{file_name}: frames {first[name]} and {i} have the same {field} {shown(name)}; "
                "expected each frame once"
            )
        first[name] = i


def natural_order(names: Sequence[str]) -> list[int]:
    """Indices that sort names as people do, runs of digits by value: r_2.png before r_10.png."""
    keys = [
        [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d{1,18})", n)] for n in names
    ]
    return sorted(range(len(names)), key=lambda i: (keys[i], names[i]))


def names_for(num_frames: int, frame_names: Sequence[str] | None) -> list[str]:
    """Frame names to write, frames/0000.png and so on when none are given.

    Raises:
        ValueError: the number of names differs, or a name is empty, has a line break or is given twice.
    """
    if frame_names is None:
        return [f"frames/{i:04d}.png" for i in range(num_frames)]
    names = [str(name) for name in frame_names]
    if len(names) != num_frames:
        raise ValueError(
            f"frame_names has {len(names)} names for a trajectory of {num_frames} frames; give one per frame"
        )
    for name in names:
        if not name.strip() or "\n" in name or "\r" in name:
            raise ValueError(f"frame_names holds {name!r}; a name must not be empty and must be one line")
    if len(set(names)) != len(names):
        raise ValueError("frame_names holds a name twice; frames are told apart by name")
    return names


def build_trajectory(
    path: Path,
    Ts_world_camera: Sequence[np.ndarray] | np.ndarray,
    intrinsics: Sequence[np.ndarray] | np.ndarray,
    image_size: tuple[int, int],
    fps: float = DEFAULT_FPS,
    source: int = 0,
) -> Trajectory:
    """The Trajectory of a file; what only Trajectory itself refuses is reported under the file's name.

    Lenses that no camera has are asked about: their numbers are in another unit. A principal point of 0, 0 for every
    frame is how some programs say that they give none; the middle takes its place, with a warning.
    """
    lenses = np.array(intrinsics, dtype=np.float64)
    if lenses.ndim == 2 and lenses.shape[1] == 4 and min(image_size) > 0:
        _ask_about_lens(path.name, lenses, image_size)
        if not lenses[:, 2:].any():
            lenses[:, 2:] = image_size[1] / 2, image_size[0] / 2
            warnings.warn(
                f"{path.name}: its principal point is 0, 0, the corner of the picture; "
                "taken for none given, the middle is used",
                stacklevel=3,
            )
    try:
        return Trajectory(np.array(Ts_world_camera), lenses, image_size, fps=fps, source=source)
    except ValueError as error:
        raise InputError(f"{path.name}: {error}") from None


FRACTION, SMALL_SIDE = 5.0, 24
"""A focal length of fewer pixels than this, for pictures with sides above that, is a fraction of a side."""

LONGEST_LENS = 150.0
"""Focal length over the longer side, of a third of a degree of view."""


def _ask_about_lens(name: str, intrinsics: Float[np.ndarray, "T 4"], image_size: tuple[int, int]) -> None:
    """Refuse fractions where pixels are expected, and what can be neither."""
    h, w = image_size
    focal, centre = intrinsics[:, :2].max(axis=1), intrinsics[:, 2:]
    if min(h, w) >= SMALL_SIDE:
        is_fraction = (focal < FRACTION) | ((centre > 0) & (centre <= 1)).all(axis=1)
        if is_fraction.any():
            fx, fy, cx, cy = intrinsics[int(np.argmax(is_fraction))]
            fov_deg = math.degrees(2 * math.atan(max(h, w) / (2 * max(fx, 1e-9))))
            raise InputError(
                f"{name}: focal length {fx:.4g}, {fy:.4g} and principal point {cx:.4g}, {cy:.4g} for pictures of "
                f"{w} x {h} would be a lens of {fov_deg:.0f} degrees; are they fractions of the sides? Then multiply "
                f"those of x by {w} and those of y by {h}"
            )
    is_long = focal > LONGEST_LENS * max(h, w)
    if is_long.any():
        fx = float(focal[int(np.argmax(is_long))])
        fov_deg = math.degrees(2 * math.atan(max(h, w) / (2 * fx)))
        raise InputError(
            f"{name}: focal length {fx:.4g} pixels for pictures of {w} x {h} would be a lens of {fov_deg:.2g} degrees; "
            "have the pictures another size, or is the focal length in another unit than pixels?"
        )


FAR = 0.35
"""Shares of a side off the middle; shifted lenses and crops stay below, and pictures halved since come to 0.5."""

NOT_SQUARE = 0.1
"""Share by which the two focal lengths may differ in pixels, where the size of these is not the file's."""


def doubts(name: str, trajectory: Trajectory, has_size: bool) -> list[str]:
    """Sentences on a lens that may be for other pictures: of another size, or cropped since.

    Args:
        has_size: whether the size of the pictures is the file's; else its lens is in fractions of whatever they are.
    """
    height, width = trajectory.image_size
    fx, fy, cx, cy = np.median(trajectory.intrinsics, axis=0)
    told = []
    if max(abs(cx / width - 0.5), abs(cy / height - 0.5)) > FAR:
        told.append(
            f"{name}: its principal point {cx:g}, {cy:g} is far from the middle of pictures of {width} x {height}; "
            "is its lens for pictures of another size?"
        )
    ratio = max(fx / fy, fy / fx)
    if not has_size and ratio > 1 + NOT_SQUARE:
        sides = "wide as high" if fy > fx else "high as wide"
        told.append(
            f"{name}: by its lens pixels of pictures of {width} x {height} would be {ratio:.3g} times as {sides}; its "
            "fractions are of pictures of another shape, as before a film was cropped or squeezed"
        )
    return told
