"""Camera moves from a single image: name, amplitude -> Trajectory.

Every preset starts at the identity (frame 0 is the source), runs at constant speed over s = i / (n - 1), so that the
last frame is the end of the move, and stands still at amplitude 0. A negative amplitude is the opposite move. "Pivot"
is the point on the source's optical axis at `pivot_distance`; the default 1 is the median depth of the source view.

What moves, at amplitude 1 and pivot distance L:

    arc-left, arc-right         30 degrees around the pivot, which stays in the middle of the image
    orbit-left, orbit-right     one full turn around the pivot; the last frame is the source camera again
    zoom-in, zoom-out           the CAMERA moves along its axis, as on the paper's pages (the lens stays as it is); the
                                distance to the pivot halves / doubles at a constant rate, so the camera never passes it
    dolly-in, dolly-out         the same axis, a smaller move at constant speed: 0.3 L
    truck-left, truck-right     0.3 L sideways          pedestal-up, pedestal-down    0.3 L up or down
    pan-left, pan-right         25 degrees on the spot  tilt-up, tilt-down            20 degrees on the spot
    roll-left, roll-right       30 degrees about the axis; left is counter-clockwise for the viewer
    spiral                      two turns that widen to 0.25 L while moving 0.2 L ahead, looking at the pivot
    lemniscate                  a lying eight, 0.5 L wide, looking at the pivot; ends at the source camera
    dolly-zoom                  moves ahead to 0.6 L from the pivot while the LENS widens, so that the plane through the
                                pivot keeps its size in the image
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable

import numpy as np
import scipy
from jaxtyping import Float

from rap.geometry import se3
from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.trajectory import Trajectory
from rap.limits import AMPLITUDE

ARC_RAD = np.radians(30)
ORBIT_RAD = 2 * np.pi
PAN_RAD = np.radians(25)
TILT_RAD = np.radians(20)
ROLL_RAD = np.radians(30)
STRAIGHT = 0.3  # dolly, truck, pedestal: part of the pivot distance
SPIRAL_TURNS, SPIRAL_RADIUS, SPIRAL_ADVANCE = 2, 0.25, 0.2
LEMNISCATE_WIDTH, LEMNISCATE_HEIGHT = 0.25, 0.24  # half the width, full height: the curve's y is sin t cos t
DOLLY_ZOOM_RATE = 0.5  # distance to the pivot at the end: exp(-0.5) = 0.61

Progress = Float[np.ndarray, " frames"]
"""Amplitude times s: 0 at the source, `amplitude` at the last frame."""

Move = Callable[[Progress], Float[np.ndarray, "frames 4 4"]]
"""Poses of a move for a pivot at distance 1; other distances scale the translations."""


def _turn(axis: str, angle_rad: Progress) -> Float[np.ndarray, "frames 4 4"]:
    rotations = scipy.spatial.transform.Rotation.from_euler(axis, angle_rad[:, None]).as_matrix().reshape(-1, 3, 3)
    return se3.from_rotation_translation(rotations, np.zeros(3))


def _shift(centres: Float[np.ndarray, "frames 3"]) -> Float[np.ndarray, "frames 4 4"]:
    return se3.from_rotation_translation(np.eye(3), centres)


def _along(direction: tuple[float, float, float], distance: Progress) -> Float[np.ndarray, "frames 4 4"]:
    return _shift(distance[:, None] * np.array(direction))


def _around_pivot(angle_rad: Progress) -> Float[np.ndarray, "frames 4 4"]:
    """Turn about the vertical through the pivot; a positive angle moves the camera to its left."""
    poses = _turn("y", angle_rad)
    poses[:, :3, 3] = np.array([0.0, 0.0, 1.0]) - poses[:, :3, 2]
    return poses


def _towards_pivot(rate: Progress) -> Float[np.ndarray, "frames 4 4"]:
    """Distance to the pivot exp(-rate)."""
    return _along((0, 0, 1), 1 - np.exp(-rate))


def _watching_pivot(centres: Float[np.ndarray, "frames 3"]) -> Float[np.ndarray, "frames 4 4"]:
    return se3.look_at(centres, np.array([0.0, 0.0, 1.0]))


def _spiral(progress: Progress) -> Float[np.ndarray, "frames 4 4"]:
    phase = 2 * np.pi * SPIRAL_TURNS * _fraction(progress)
    radius = SPIRAL_RADIUS * progress
    ahead = 1 - (1 - SPIRAL_ADVANCE) ** progress
    return _watching_pivot(np.stack([radius * np.cos(phase), radius * np.sin(phase), ahead], axis=-1))


def _lemniscate(progress: Progress) -> Float[np.ndarray, "frames 4 4"]:
    """Gerono's lemniscate (sin t, sin t cos t)."""
    amplitude, phase = progress[-1], 2 * np.pi * _fraction(progress)
    x = amplitude * LEMNISCATE_WIDTH * np.sin(phase)
    y = amplitude * LEMNISCATE_HEIGHT * np.sin(phase) * np.cos(phase)
    return _watching_pivot(np.stack([x, y, np.zeros_like(x)], axis=-1))


def _fraction(progress: Progress) -> Progress:
    """s in [0, 1] of a progress: shapes keep their turns at any amplitude, which sets their size."""
    return np.linspace(0, 1, len(progress)) if len(progress) > 1 else np.zeros(1)


PRESETS: dict[str, Move] = {
    "static": lambda a: _along((0, 0, 0), a),
    "arc-left": lambda a: _around_pivot(ARC_RAD * a),
    "arc-right": lambda a: _around_pivot(-ARC_RAD * a),
    "zoom-in": lambda a: _towards_pivot(np.log(2) * a),
    "zoom-out": lambda a: _towards_pivot(-np.log(2) * a),
    "dolly-in": lambda a: _along((0, 0, 1), STRAIGHT * a),
    "dolly-out": lambda a: _along((0, 0, -1), STRAIGHT * a),
    "truck-left": lambda a: _along((-1, 0, 0), STRAIGHT * a),
    "truck-right": lambda a: _along((1, 0, 0), STRAIGHT * a),
    "pedestal-up": lambda a: _along((0, -1, 0), STRAIGHT * a),
    "pedestal-down": lambda a: _along((0, 1, 0), STRAIGHT * a),
    "pan-left": lambda a: _turn("y", -PAN_RAD * a),
    "pan-right": lambda a: _turn("y", PAN_RAD * a),
    "tilt-up": lambda a: _turn("x", TILT_RAD * a),
    "tilt-down": lambda a: _turn("x", -TILT_RAD * a),
    "roll-left": lambda a: _turn("z", -ROLL_RAD * a),
    "roll-right": lambda a: _turn("z", ROLL_RAD * a),
    "orbit-left": lambda a: _around_pivot(ORBIT_RAD * a),
    "orbit-right": lambda a: _around_pivot(-ORBIT_RAD * a),
    "spiral": _spiral,
    "lemniscate": _lemniscate,
    "dolly-zoom": lambda a: _towards_pivot(DOLLY_ZOOM_RATE * a),
}
"""Name -> move; call `preset` to get a Trajectory."""


TURNS_RAD = {
    **dict.fromkeys(("arc-left", "arc-right"), ARC_RAD),
    **dict.fromkeys(("orbit-left", "orbit-right"), ORBIT_RAD),
    **dict.fromkeys(("pan-left", "pan-right"), PAN_RAD),
    **dict.fromkeys(("tilt-up", "tilt-down"), TILT_RAD),
    **dict.fromkeys(("roll-left", "roll-right"), ROLL_RAD),
}
"""By how much the presets that turn do so at amplitude 1."""

GOES: dict[str, Callable[[float], float]] = {
    "zoom-in": lambda share: -np.log2(1 - share),
    "zoom-out": lambda share: np.log2(1 + share),
    **dict.fromkeys(
        ("dolly-in", "dolly-out", "truck-left", "truck-right", "pedestal-up", "pedestal-down"),
        lambda share: share / STRAIGHT,
    ),
}
"""Of the presets that go: the amplitude at which that is by some share of the distance to the pivot."""

AROUND = ("arc-left", "arc-right", "orbit-left", "orbit-right")
"""They turn about the vertical through the pivot, at the source's height."""

TOWARDS = ("zoom-in", "zoom-out", "dolly-in", "dolly-out", "dolly-zoom", "spiral", "lemniscate")
"""They go to, or look at, the pivot itself; all others only take their size from its depth."""


def _aim(name: str, pivot: tuple[float, float, float]) -> tuple[Float[np.ndarray, "4 4"], float]:
    """The rotation that takes a move made about the axis to a pivot beside it, and how far the pivot is for it."""
    x, y, z = pivot
    if not (np.isfinite(pivot).all() and z > 0):
        raise ValueError(f"pivot must lie ahead of the source camera, got {pivot}; pick a point in its picture")
    if name not in AROUND + TOWARDS:
        return np.eye(4), z
    heading, level = np.arctan2(x, z), float(np.hypot(x, z))
    Rotation = scipy.spatial.transform.Rotation
    R = Rotation.from_euler("y", heading)
    if name in TOWARDS:
        R, level = R * Rotation.from_euler("x", -np.arctan2(y, level)), float(np.linalg.norm(pivot))
    return se3.from_rotation_translation(R.as_matrix(), np.zeros(3)), level


def amplitude_of(name: str, by: float) -> float:
    """The amplitude at which a preset is as large as it is asked to be.

    Args:
        by: degrees of one that turns, percent of the distance to the pivot of one that goes.

    Raises:
        ValueError: it does neither, or would get to the pivot, which a zoom never does.
    """
    if name in TURNS_RAD:
        return float(np.radians(by) / TURNS_RAD[name])
    if name not in GOES:
        sized = ", ".join((*TURNS_RAD, *GOES))
        raise ValueError(f"{name} is neither a turn nor a way; empty the field, or take one of {sized}")
    if name == "zoom-in" and by >= 100:
        raise ValueError(f"zoom-in must stay below 100 % of the distance, got {by:g}; it never gets there")
    return float(GOES[name](by / 100))


def preset(
    name: str,
    *,
    num_frames: int = 17,
    image_size: tuple[int, int] = (128, 128),
    fov_y_rad: float = float(np.radians(55)),
    amplitude: float = 1.0,
    pivot_distance: float = 1.0,
    fps: float = 8.0,
    pivot: tuple[float, float, float] | None = None,
) -> Trajectory:
    """A named camera move (see the module's table) as an ordinary trajectory with square pixels and source 0.

    Args:
        name: one of `PRESETS`.
        num_frames: at least 1.
        image_size: (h, w) in pixels.
        fov_y_rad: vertical field of view of the source frame in radians.
        amplitude: size of the move; 1 is the table's, 0 stands still, negative reverses the direction.
        pivot_distance: distance of the pivot along the source's axis, in scene units, > 0.
        fps: frames a second.
        pivot: a point in the source camera's axes, ahead of it, in place of the one on its axis; what keeps the pivot
            in the middle of the image keeps this point where the source's image has it.

    Raises:
        ValueError: an unknown name, or a value out of its range.
    """
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {reprlib.repr(name)}")
    if num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, got {num_frames}")
    AMPLITUDE.check_range(amplitude, "amplitude", -AMPLITUDE.value, "1 is the preset's own size")
    if not (np.isfinite(pivot_distance) and pivot_distance > 0):
        raise ValueError(f"pivot_distance must be positive, got {pivot_distance}")
    progress = amplitude * (np.linspace(0, 1, num_frames) if num_frames > 1 else np.zeros(1))
    poses = PRESETS[name](progress)
    T_aim, distance = (np.eye(4), pivot_distance) if pivot is None else _aim(name, pivot)
    poses[:, :3, 3] *= distance
    poses = T_aim @ poses @ T_aim.T
    poses[0] = np.eye(4)
    intrinsics = np.tile(intrinsics_from_fov(fov_y_rad, image_size), (num_frames, 1))
    if name == "dolly-zoom":  # the focal length follows the distance to the pivot
        intrinsics[:, :2] *= np.exp(-DOLLY_ZOOM_RATE * progress)[:, None]
    return Trajectory(poses, intrinsics, image_size, fps=fps)
