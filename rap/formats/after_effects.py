"""After Effects' keyframe data of a camera layer: text that is pasted onto a camera, or copied from one.

The format: `Adobe After Effects 8.0 Keyframe Data`, a head with `Units Per Second` (the rate) and the size of the
composition, then blocks of rows that begin with the frame: `Position` in pixels, `Orientation` (or the three rotations)
in degrees, `Zoom`, the focal length in pixels. +x is right, +y down, +z away from the viewer, as ours; the camera looks
along +z, and its rotation is Rx Ry Rz. The middle of the composition is the origin of our world.

Lengths are pixels there: ours are multiplied by `PIXELS_PER_UNIT`, and divided by it when read.

Reference: helpx.adobe.com, After Effects, "Keyframe interpolation: copy keyframes as text"; Blender's
`io_export_after_effects.py` for the order of rotation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from rap.errors import InputError
from rap.formats import checks
from rap.geometry.trajectory import Trajectory
from rap.limits import CAMERAS
from rap.writing import write_text

HEAD, END = "Adobe After Effects 8.0 Keyframe Data", "End of Keyframe Data"
PIXELS_PER_UNIT = 1000.0
ORDER = "XYZ"
"""SciPy's capitals turn about the axes that have been turned: R = Rx Ry Rz."""

COLUMNS = {"Position": 3, "Orientation": 3, "Zoom": 1, "X Rotation": 1, "Y Rotation": 1, "Rotation": 1, "Z Rotation": 1}
"""Numbers of a row of the properties that are read."""


def is_head(line: str) -> bool:
    """Whether a text that begins with this line is such a file, of whatever version."""
    return line.startswith("Adobe After Effects") and line.rstrip().endswith("Keyframe Data")


def read(path: str | Path) -> Trajectory:
    """Read a camera; between keyframes it moves evenly. World: the middle of the composition. Source 0.

    Raises:
        InputError: no keyframe data, no position, no zoom, or a camera that follows a point of interest.
    """
    path = Path(path)
    head, blocks = _parsed(path)
    if "Point of Interest" in blocks:
        raise InputError(
            f"{path.name}: the camera follows a point of interest; choose Layer, Transform, Auto-Orient, Off, "
            "and copy its keyframes again"
        )
    for name in ("Position", "Zoom"):
        if name not in blocks:
            raise InputError(
                f"{path.name}: has no keyframes of {name}; select Position, Orientation and Zoom, and copy"
            )
    size = (
        checks.image_side(_head_number(head, "Source Height", path), "Source Height", path.name),
        checks.image_side(_head_number(head, "Source Width", path), "Source Width", path.name),
    )
    fps = checks.positive(_head_number(head, "Units Per Second", path), "Units Per Second", path.name)
    first = round(min(keys[0, 0] for keys in blocks.values()))
    last = round(max(keys[-1, 0] for keys in blocks.values()))
    CAMERAS.check(last - first + 1, f"{path.name}: has", "keep fewer frames")
    frames = np.arange(first, last + 1)
    middle = np.array([size[1] / 2, size[0] / 2, 0.0])
    poses = np.tile(np.eye(4), (len(frames), 1, 1))
    poses[:, :3, :3] = _rotations(blocks, frames, path)
    poses[:, :3, 3] = (_at(blocks["Position"], frames) - middle) / PIXELS_PER_UNIT
    focal = _at(blocks["Zoom"], frames)[:, 0]
    checks.positive(float(focal.min()), "Zoom", path.name)
    centre = np.broadcast_to(middle[:2], (len(frames), 2))
    return checks.build_trajectory(path, poses, np.column_stack([focal, focal, centre]), size, fps=fps)


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write a keyframe for each frame; `frame_names` have no place in it."""
    checks.names_for(len(trajectory), frame_names)
    height, width = trajectory.image_size
    Ts = trajectory.Ts_world_camera
    positions = Ts[:, :3, 3] * PIXELS_PER_UNIT + [width / 2, height / 2, 0.0]
    turns_deg = Rotation.from_matrix(Ts[:, :3, :3]).as_euler(ORDER, degrees=True) % 360.0
    lines = [
        HEAD, "", f"\tUnits Per Second\t{trajectory.fps!r}", f"\tSource Width\t{width}", f"\tSource Height\t{height}",
        "\tSource Pixel Aspect Ratio\t1", "\tComp Pixel Aspect Ratio\t1", "",
        *_block("Transform\tPosition", "X pixels\tY pixels\tZ pixels", positions),
        *_block("Transform\tOrientation", "X degrees\tY degrees\tZ degrees", turns_deg),
        *_block("Camera Options\tZoom", "pixels", trajectory.intrinsics[:, 1:2]),
        "", END,
    ]  # fmt: skip
    write_text(path, "\n".join(lines) + "\n")


def _block(title: str, columns: str, rows: np.ndarray) -> list[str]:
    body = ["\t".join(["", str(i), *map(repr, row)]) for i, row in enumerate(rows.tolist())]
    return [title, f"\tFrame\t{columns}", *body, ""]


def _parsed(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The head, and the keyframes (frame, values) of each property that is read, by rising frames."""
    lines = checks.all_lines(checks.read_text(path).replace("\r\n", "\n").replace("\r", "\n"), path.name)
    if not is_head(lines[0]):
        raise InputError(f"{path.name}: begins with {checks.shown(lines[0])}, expected {HEAD!r}")
    head, blocks, name = {}, {}, None
    for number, line in enumerate(lines[1:], start=2):
        words = [word for word in line.split("\t") if word.strip()]
        if not words:
            continue
        if line.startswith(END):
            break
        if not line.startswith("\t"):
            name = words[-1].strip()
            blocks[name] = []
        elif name is None:
            head[words[0].strip()] = words[-1].strip()
        elif name in COLUMNS and words[0].strip() != "Frame":
            fields = ["Frame", *(f"{name} {i + 1}" for i in range(COLUMNS[name]))]
            blocks[name].append(checks.numbers([word.strip() for word in words], fields, f"{path.name} line {number}"))
    found = {name: np.array(rows) for name, rows in blocks.items() if rows}
    for name, rows in found.items():
        checks.rising(rows[:, 0], [f"{path.name}: {name}, keyframe {i}" for i in range(len(rows))])
    return head, found | {name: np.empty((0, 1)) for name in blocks if name == "Point of Interest"}


def _head_number(head: dict[str, str], name: str, path: Path) -> float:
    value = head.get(name, "")
    if not re.fullmatch(r"[0-9.eE+-]{1,32}", value):
        raise InputError(f"{path.name}: {name} is {checks.shown(value)}, expected a number")
    return float(checks.numbers([value], [name], path.name)[0])


def _at(keys: np.ndarray, frames: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(frames, keys[:, 0], column) for column in keys[:, 1:].T], axis=1)


def _rotations(blocks: dict[str, np.ndarray], frames: np.ndarray, path: Path) -> np.ndarray:
    turned = [next((blocks[name] for name in names if name in blocks), None) for names in _AXES]
    if "Orientation" in blocks and any(keys is not None and keys[:, 1].any() for keys in turned):
        raise InputError(f"{path.name}: has both Orientation and Rotation; set one of them to 0 and copy again")
    if "Orientation" in blocks:
        keys = blocks["Orientation"].copy()
        keys[:, 1:] = np.unwrap(keys[:, 1:], axis=0, period=360.0)  # the shorter way, as there
        return Rotation.from_euler(ORDER, _at(keys, frames), degrees=True).as_matrix()
    still = np.zeros(len(frames))
    angles = [still if keys is None else _at(keys, frames)[:, 0] for keys in turned]
    return Rotation.from_euler(ORDER, np.stack(angles, axis=1), degrees=True).as_matrix()


_AXES = (("X Rotation",), ("Y Rotation",), ("Z Rotation", "Rotation"))
