"""How people move cameras: random smooth paths of T frames through a scene.

A path is built from yaw, pitch and roll curves and a curve of the camera centre, R = Ry(yaw) Rx(pitch) Rz(roll) in the
scene frame (y down). Kinds that turn about something (orbit, arc, crane) keep the pivot where it is in the image and
move the centre; the others move the centre and turn freely. On top of every kind lies low-frequency handheld noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rap.geometry.se3 import from_rotation_translation

GLANCE_SHARE = 0.6  # of the clips turn the view aside, beside what their kind does


@dataclass(frozen=True, eq=False)
class Start:
    """The camera before it moves: centre `eye` and the point `pivot` it looks about, in the scene frame."""

    eye: np.ndarray
    pivot: np.ndarray
    yaw_rad: float
    pitch_rad: float
    roll_rad: float = 0.0

    @property
    def distance(self) -> float:
        return float(np.linalg.norm(self.pivot - self.eye))


@dataclass(frozen=True, eq=False)
class Curves:
    """Path before the noise: (T,3) centres and (T,) angles."""

    centres: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray


def rotations_from_angles(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """(T,3,3) Ry(yaw) Rx(pitch) Rz(roll); positive yaw looks right, pitch up, roll turns clockwise."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    R = np.empty((*np.shape(yaw), 3, 3))
    R[..., 0, 0], R[..., 0, 1], R[..., 0, 2] = cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp
    R[..., 1, 0], R[..., 1, 1], R[..., 1, 2] = cp * sr, cp * cr, -sp
    R[..., 2, 0], R[..., 2, 1], R[..., 2, 2] = -sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp
    return R


def progress(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """(T,) from 0 to 1: an uneven hand's speed, sometimes eased in and out, sometimes there and back."""
    at = np.linspace(0, 1, num_frames)
    steps = at[1:] - 0.5 / max(num_frames - 1, 1)
    speed = np.exp(rng.uniform(0, 0.6) * np.sin(2 * np.pi * (rng.uniform(0.3, 1.5) * steps + rng.random())))
    if rng.random() < 0.25:
        speed = speed * (0.15 + np.sin(np.pi * steps))
    s = np.concatenate([[0.0], np.cumsum(speed)])
    s = s / s[-1] if s[-1] > 0 else s
    return np.sin(np.pi * s) if rng.random() < 0.06 else s


def handheld(rng: np.random.Generator, num_frames: int, waves: int = 3) -> np.ndarray:
    """(T,6) smooth noise of about unit size, zero at frame 0: sums of sinusoids of at most two periods per clip."""
    at = np.linspace(0, 1, num_frames)[:, None, None]
    frequency, phase = rng.uniform(0.2, 2.0, (6, waves)), rng.uniform(0, 2 * np.pi, (6, waves))
    noise = (rng.standard_normal((6, waves)) * np.sin(2 * np.pi * at * frequency + phase)).sum(-1) / np.sqrt(waves)
    return noise - noise[0]


def _sign(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


def _degrees(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.deg2rad(rng.uniform(low, high)) * _sign(rng))


def _about_pivot(start: Start, yaw: np.ndarray, pitch: np.ndarray, radius: np.ndarray) -> Curves:
    """Turn by yaw and pitch (relative to the start) about the pivot, at `radius` times the first distance."""
    roll = np.full_like(yaw, start.roll_rad)
    R = rotations_from_angles(start.yaw_rad + yaw, start.pitch_rad + pitch, roll)
    first = rotations_from_angles(*np.array([[start.yaw_rad], [start.pitch_rad], [start.roll_rad]]))[0]
    local = first.T @ (start.eye - start.pivot)
    centres = start.pivot + (R @ local) * radius[:, None]
    return Curves(centres, start.yaw_rad + yaw, start.pitch_rad + pitch, roll)


def _free(start: Start, shift: np.ndarray, yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> Curves:
    """Move the centre by `shift` (T,3) along the first camera's right, the scene's down and the level forward."""
    c, s = np.cos(start.yaw_rad), np.sin(start.yaw_rad)
    axes = np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
    return Curves(start.eye + shift @ axes, start.yaw_rad + yaw, start.pitch_rad + pitch, start.roll_rad + roll)


def _orbit(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    radius = np.exp(s * rng.uniform(-0.2, 0.2))
    return _about_pivot(start, s * _degrees(rng, 25, 125), s * _degrees(rng, 0, 20), radius)


def _arc(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    bow = np.sin(np.pi * s) * _degrees(rng, 0, 12)
    return _about_pivot(
        start, s * _degrees(rng, 10, 60), bow + s * _degrees(rng, 0, 8), np.exp(s * rng.uniform(-0.4, 0.3))
    )


def _crane(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    return _about_pivot(start, s * _degrees(rng, 0, 25), s * _degrees(rng, 8, 40), np.exp(s * rng.uniform(-0.3, 0.3)))


def _walk(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    length = start.distance * rng.uniform(0.3, 1.4)
    heading = _degrees(rng, 0, 40)
    turn = _degrees(rng, 5, 90)
    course = heading + turn * s * rng.uniform(0.3, 1.0)
    steps = np.diff(s, prepend=0.0)[:, None] * np.stack([np.sin(course), np.zeros_like(s), np.cos(course)], -1)
    shift = length * np.cumsum(steps, 0)
    stride = rng.uniform(2, 5)
    shift[:, 1] += start.distance * rng.uniform(0, 0.02) * (np.sin(2 * np.pi * stride * s) ** 2)
    return _free(start, shift, turn * s, s * _degrees(rng, 0, 10), 0 * s)


def _truck(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    across = start.distance * rng.uniform(0.15, 1.1) * _sign(rng)
    shift = s[:, None] * np.array([across, start.distance * rng.normal(0, 0.05), start.distance * rng.normal(0, 0.1)])
    follow = rng.uniform(-0.3, 1.0) if rng.random() < 0.6 else 0.0
    return _free(start, shift, -follow * np.arctan(shift[:, 0] / start.distance), 0 * s, 0 * s)


def _dolly(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    along = start.distance * (rng.uniform(0.15, 0.65) if rng.random() < 0.6 else -rng.uniform(0.15, 1.0))
    shift = s[:, None] * np.array([start.distance * rng.normal(0, 0.08), 0.0, along])
    return _free(start, shift, s * _degrees(rng, 0, 12), s * _degrees(rng, 0, 5), 0 * s)


def _pan(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    return _free(start, _arm(rng, s, start), s * _degrees(rng, 20, 110), s * _degrees(rng, 0, 8), 0 * s)


def _tilt(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    return _free(start, _arm(rng, s, start), s * _degrees(rng, 0, 8), s * _degrees(rng, 8, 45), 0 * s)


def _arm(rng: np.random.Generator, s: np.ndarray, start: Start) -> np.ndarray:
    """Nobody turns exactly about the lens: up to 15 % of the distance of drift."""
    return s[:, None] * start.distance * rng.uniform(-0.15, 0.15, 3) * rng.choice([0.0, 1.0])


def _roll(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    return _free(start, _arm(rng, s, start), s * _degrees(rng, 0, 10), 0 * s, s * _degrees(rng, 10, 80))


def _pedestal(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    up = -start.distance * rng.uniform(0.1, 0.6) * _sign(rng)
    shift = s[:, None] * np.array([start.distance * rng.normal(0, 0.05), up, 0.0])
    return _free(start, shift, 0 * s, rng.uniform(0, 1) * np.arctan(shift[:, 1] / start.distance), 0 * s)


def _still(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    return _free(start, np.zeros((len(s), 3)), 0 * s, 0 * s, 0 * s)


def _wander(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    """Two slow waves on every axis: looking around by hand."""
    wave = handheld(rng, len(s), waves=2)
    size = start.distance * rng.uniform(0.05, 0.35)
    return _free(
        start,
        size * wave[:, :3],
        np.deg2rad(rng.uniform(5, 30)) * wave[:, 3],
        np.deg2rad(rng.uniform(2, 12)) * wave[:, 4],
        np.deg2rad(rng.uniform(0, 8)) * wave[:, 5],
    )


def _turn(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    """About the lens alone: not a hair of translation, which a model has to tell from a truck."""
    still = np.zeros((len(s), 3))
    return _free(start, still, s * _degrees(rng, 10, 100), s * _degrees(rng, 0, 25), s * _degrees(rng, 0, 10))


def _slide(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    """Straight in any direction, the view kept: not a hair of rotation, which a model has to tell from a pan."""
    direction = rng.normal(size=3) * [1.0, 0.5, 0.8]
    size = start.distance * rng.uniform(0.15, 0.8)
    return _free(start, s[:, None] * size * direction / np.linalg.norm(direction), 0 * s, 0 * s, 0 * s)


def _drive(rng: np.random.Generator, s: np.ndarray, start: Start) -> Curves:
    """Ahead along a bend, the view along the course; a road shakes fast and little."""
    bend = _degrees(rng, 0, 50)
    course = bend * s
    steps = np.diff(s, prepend=0.0)[:, None] * np.stack([np.sin(course), np.zeros_like(s), np.cos(course)], -1)
    shift = start.distance * rng.uniform(0.4, 1.6) * np.cumsum(steps, 0)
    bumps = rng.normal(0, 0.003, (2, len(s)))
    shift[1:, 1] += start.distance * bumps[0, 1:]
    return _free(start, shift, course, np.concatenate([[0.0], bumps[1, 1:]]), 0 * s)


Kind = Callable[[np.random.Generator, np.ndarray, Start], Curves]
KINDS: dict[str, tuple[Kind, float]] = {  # the share of each in the mix
    "orbit": (_orbit, 0.26),
    "arc": (_arc, 0.10),
    "crane": (_crane, 0.06),
    "walk": (_walk, 0.13),
    "truck": (_truck, 0.07),
    "dolly": (_dolly, 0.06),
    "pan": (_pan, 0.06),
    "tilt": (_tilt, 0.03),
    "roll": (_roll, 0.02),
    "pedestal": (_pedestal, 0.03),
    "wander": (_wander, 0.05),
    "still": (_still, 0.02),
    "turn": (_turn, 0.04),
    "slide": (_slide, 0.04),
    "drive": (_drive, 0.03),
}

PURE_ROTATION, PURE_TRANSLATION = ("turn",), ("slide",)
"""Kinds whose clips have exactly no translation, and exactly no rotation: no hand shakes them in the other way."""


def sample_kind(rng: np.random.Generator) -> str:
    """A kind of motion by its share."""
    names = list(KINDS)
    return names[int(rng.choice(len(names), p=[KINDS[name][1] for name in names]))]


def sample_fov_y_rad(rng: np.random.Generator) -> float:
    """Vertical field of view from 30 to 90 degrees, mostly about 55 (a phone held upright or across)."""
    return float(np.deg2rad(np.clip(rng.normal(56, 13), 30, 90)))


def sample_start(rng: np.random.Generator, eye: np.ndarray, pivot: np.ndarray, yaw: float, pitch: float) -> Start:
    """Aim about, not at, the pivot, and hold the camera about, not exactly, level."""
    aim = np.deg2rad([rng.normal(0, 6), rng.normal(0, 5), rng.normal(0, 2.5)])
    return Start(eye, pivot, yaw + aim[0], pitch + aim[1], aim[2])


def sample_path(
    rng: np.random.Generator, kind: str, start: Start, num_frames: int, amplitude: float = 1.0
) -> np.ndarray:
    """Ts_scene_camera (T,4,4) of one motion.

    Args:
        kind: a key of KINDS.
        amplitude: in (0, 1]; shrinks the whole motion towards its first camera (used when the scene leaves no room).
    """
    curves = KINDS[kind][0](rng, amplitude * progress(rng, num_frames), start)
    noise = amplitude * handheld(rng, num_frames)
    aside = np.zeros((num_frames, 3))
    if kind != "still" and rng.random() < GLANCE_SHARE:  # few people keep the view fixed while they move
        aside = amplitude * progress(rng, num_frames)[:, None] * np.deg2rad(rng.normal(0, [26.0, 8.0, 4.0]))
    centres = curves.centres + start.distance * np.exp(rng.uniform(np.log(0.001), np.log(0.02))) * noise[:, :3]
    turn = np.deg2rad(np.exp(rng.uniform(np.log(0.1), np.log(2.0)))) * noise[:, 3:]
    turn = np.zeros_like(turn) if kind in PURE_TRANSLATION else turn + aside
    if kind in PURE_ROTATION:
        centres = curves.centres
    R = rotations_from_angles(curves.yaw + turn[:, 0], curves.pitch + turn[:, 1], curves.roll + turn[:, 2])
    return from_rotation_translation(R, centres)
