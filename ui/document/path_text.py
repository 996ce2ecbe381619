"""A path, or the pose of one frame, as text to copy and paste: JSON with its convention in words.

    {"rap": "path", "convention": "...", "image_size": [h, w], "fps": 8.0, "source": 0,
     "intrinsics": [[fx, fy, cx, cy], ...], "Ts_world_camera": [[[4 numbers] x 4], ...]}
    {"rap": "pose", "convention": "...", "T_world_camera": [[4 numbers] x 4], "fov_y_deg": 55.0}

Numbers are written so that reading gives the same bits again.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from jaxtyping import Float64

from rap.errors import InputError
from rap.formats import checks
from rap.geometry import Trajectory, se3
from rap.limits import CAMERA_SIDE, EXPORTED_CAMERAS, PATH_CHARACTERS

CONVENTION = "OpenCV camera-to-world (+x right, +y down, +z forward), world = source camera, unit = its median depth"
SOURCE_TOLERANCE = 1e-6


def path_text(path: Trajectory) -> str:
    """One line for each frame's pose."""
    head = {
        "rap": "path",
        "convention": CONVENTION,
        "image_size": list(path.image_size),
        "fps": path.fps,
        "source": path.source,
    }
    lenses = ",\n".join(json.dumps(row) for row in path.intrinsics.tolist())
    poses = ",\n".join(json.dumps(pose) for pose in path.Ts_world_camera.tolist())
    return f'{json.dumps(head)[:-1]},\n"intrinsics": [\n{lenses}],\n"Ts_world_camera": [\n{poses}]}}'


def pose_text(path: Trajectory, index: int) -> str:
    """The camera of one frame."""
    pose = path.Ts_world_camera[index].tolist()
    fov_y_deg = float(np.degrees(path.fov_y_rad[index]))
    return json.dumps({"rap": "pose", "convention": CONVENTION, "T_world_camera": pose, "fov_y_deg": fov_y_deg})


def read_path(text: str, num_frames: int | None) -> Trajectory:
    """A path from its text, of `num_frames` frames; None takes any number.

    Raises:
        ValueError: no JSON object of this kind, another number of frames, a source that is not the identity, or what a
            `Trajectory` refuses: poses that are not rigid, lenses and sizes that are not positive.
    """
    fields = _fields(text, "path", ("image_size", "fps", "source", "intrinsics", "Ts_world_camera"))
    source = fields["source"]
    if isinstance(source, bool) or not isinstance(source, int):
        raise ValueError(f"source must be a frame number, got {source!r}")
    size = _numbers(fields["image_size"], "image_size", (2,))
    for side in size:
        CAMERA_SIDE.check_range(side, "image_size", 1, "make it smaller")
    poses = _numbers(fields["Ts_world_camera"], "Ts_world_camera", None)
    EXPORTED_CAMERAS.check(len(poses) if poses.ndim else 0, "Ts_world_camera has", "keep fewer frames")
    path = Trajectory(
        poses,
        _numbers(fields["intrinsics"], "intrinsics", None),
        (int(size[0]), int(size[1])),
        fps=float(_numbers(fields["fps"], "fps", ())),
        source=source,
    )
    if num_frames is not None and len(path) != num_frames:
        raise ValueError(f"the text holds {len(path)} frames, and this path has {num_frames}; resample it elsewhere")
    if np.abs(path.Ts_world_camera[source] - np.eye(4)).max() > SOURCE_TOLERANCE:
        raise ValueError(
            f"frame {source} is the source, so that its pose must be the identity; multiply all poses by its inverse"
        )
    return path


def read_pose(text: str) -> tuple[Float64[np.ndarray, "4 4"], float | None]:
    """Pose and vertical field of view in degrees (None: not given). Raises ValueError as `read_path` does."""
    fields = _fields(text, "pose", ("T_world_camera",))
    T = _numbers(fields["T_world_camera"], "T_world_camera", (4, 4))
    se3.check_rigid(T, "T_world_camera")
    fov = fields.get("fov_y_deg")
    return T, None if fov is None else float(_numbers(fov, "fov_y_deg", ()))


def is_pose(text: str) -> bool:
    """Whether a text says of itself that it is a pose."""
    try:
        return _parsed(text).get("rap") == "pose"
    except (ValueError, AttributeError, RecursionError):
        return False


def _parsed(text: str) -> Any:
    PATH_CHARACTERS.check(len(text), "the text has", "keep fewer frames")
    return checks.parse_json(text, "the text")


def _fields(text: str, kind: str, wanted: tuple[str, ...]) -> dict[str, Any]:
    try:
        fields = _parsed(text)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the text must be JSON as Copy gives it, but: {error}") from error
    if not isinstance(fields, dict) or fields.get("rap") != kind:
        raise ValueError(f'the text must be a JSON object with "rap": "{kind}", as Copy gives it')
    missing = [name for name in wanted if name not in fields]
    if missing:
        raise ValueError(f"the text lacks {', '.join(missing)}; copy a {kind} to see what belongs there")
    return fields


def _numbers(values: Any, name: str, shape: tuple[int, ...] | None) -> np.ndarray:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be numbers in rows of one length") from error
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return array
