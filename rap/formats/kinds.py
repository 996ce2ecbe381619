"""Which format a file is of: by its suffix where that tells, else by how it begins and what is in it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from rap.errors import InputError
from rap.formats import after_effects, archive, chan, checks, matrix_arrays, realestate10k, tum
from rap.limits import JSON_BYTES, NPZ_BYTES

BY_SUFFIX = {
    ".tum": "tum", ".glb": "glb", ".chan": "chan", ".usda": "usd", ".usd": "usd", ".usdc": "usd", ".npy": "llff",
    ".py": "blender_script",
}  # fmt: skip
BY_FIRST_BYTES = {b"PXR-USDC": "usd", b"#usda": "usd", b"\x93NUMPY": "llff", b"glTF": "glb"}
FIELDS = (
    (re.compile(r'"(camera_path|keyframes)"\s*:'), "camera_path"),
    (re.compile(r'"poses"\s*:'), "record3d"),
    (re.compile(r'"file_path"\s*:\s*null'), "stable_virtual_camera"),
)
"""What stands in a file of JSON of some kind, and not in others."""

ONE_ANGLE, FOCAL = re.compile(r'"camera_angle_x"\s*:'), re.compile(r'"fl_x"\s*:')
LEAST_ANGLES = 2.0
"""Degrees, as a length, of the rotations and field of view of a `.chan`; the quaternion of a TUM file has length 1."""


def kind_of(path: Path, readable: str) -> str:
    """The name of the format of a file.

    Args:
        readable: the formats, for the sentence.

    Raises:
        InputError: it looks like none.
        OSError, zipfile.BadZipFile: it cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix in BY_SUFFIX:
        return BY_SUFFIX[suffix]
    if suffix == ".npz":
        return _kind_of_arrays(path)
    checks.file_size_checked(path, NPZ_BYTES if suffix not in (".json", ".txt") else JSON_BYTES)
    with path.open("rb") as file:
        head = file.read(8)
    found = next((name for start, name in BY_FIRST_BYTES.items() if head.startswith(start)), None)
    if found is not None:
        return found
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_arrays(path)
    return _kind_of_text(path, readable)


def _kind_of_arrays(path: Path) -> str:
    if not path.is_file():
        return "npz"  # whose reader has the sentence
    try:
        with archive.opened(path, NPZ_BYTES) as found:
            return matrix_arrays.layout_of(found.namelist()) or "npz"
    except (InputError, OSError, zipfile.BadZipFile):
        return "npz"


def _kind_of_text(path: Path, readable: str) -> str:
    text = checks.read_text(path, JSON_BYTES) if path.suffix.lower() == ".json" else checks.read_text(path)
    if path.suffix.lower() == ".json" or text.lstrip().startswith("{"):
        return _kind_of_json(text)
    if after_effects.is_head(text.split("\n", 1)[0]):
        return "after_effects"
    lines = checks.data_lines(text, path.name)
    first = lines[0][1] if lines else ""
    words = first.split()
    if realestate10k.is_header(first) or len(words) == len(realestate10k.FIELDS):
        return "realestate10k"
    if len(words) == len(tum.FIELDS):
        return "chan" if _has_angles(words) else "tum"
    raise InputError(
        f"{path.name}: looks like no known camera file, its first line is {checks.shown(first)}; expected one of "
        f"{readable} (TUM has {len(tum.FIELDS)} columns, RealEstate10K a URL and then {len(realestate10k.FIELDS)}; "
        "docs/conventions.md has an example of each)"
    )


def _kind_of_json(text: str) -> str:
    for field, name in FIELDS:
        if field.search(text):
            return name
    return "nerf_synthetic" if ONE_ANGLE.search(text) and not FOCAL.search(text) else "nerfstudio"


def _has_angles(words: list[str]) -> bool:
    """Whether a line of eight numbers is of a `.chan`: a whole frame number, and no quaternion at its end."""
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        return False
    return words[0].isdecimal() and len(words) == len(chan.FIELDS) and float(np.linalg.norm(values[4:])) > LEAST_ANGLES
