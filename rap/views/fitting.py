"""Camera moves that fit what is shown: about what is in the middle, of a size that it bears, past nothing.

A film that shows its scene from many places bears moves as large as elsewhere. A picture shows one side, and so does a
film whose camera goes another way (`rap.views.scene.Scene.is_open`): the sizes of `rap.geometry.presets` are made for
scenes that go on beyond the frame; there amplitude 1 is what fits: of arcs about 20 degrees, of moves to and fro a
third of the way to the pivot (Jang et al., ICML 2026, show arcs of 17 to 34 degrees and ways of 0.1 to 0.4 median
depths), less where the depth that a network gave the picture would bend what is straight in it (`rap.views.straight`),
and never so much that the camera comes close to a surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from rap.geometry import Trajectory, preset, scale_motion
from rap.geometry.presets import amplitude_of

USUAL_SHARE = {
    "arc-left": 2 / 3,  # 20 degrees
    "arc-right": 2 / 3,
    "orbit-left": 1 / 9,  # 40 degrees
    "orbit-right": 1 / 9,
    "zoom-in": 0.51,  # to 0.7 of the distance to the pivot
    "zoom-out": 0.38,  # to 1.3 of it
    "pan-left": 0.5,
    "pan-right": 0.5,
    "tilt-up": 0.5,
    "tilt-down": 0.5,
    "roll-left": 0.5,
    "roll-right": 0.5,
    "spiral": 0.6,
    "lemniscate": 0.6,
    "dolly-zoom": 0.5,
}
"""What a picture bears of the presets that it does not bear whole."""

ONE_SIDED = ("orbit-left", "orbit-right")
"""Presets that lead behind what a picture shows, so that whoever asks for one expects more than comes."""

FARTHEST_PIVOT = 1.5
"""Median depths: about a horizon in the middle an arc would lead out of the scene."""

KEPT_CLEAR = 0.3
"""Distance to the nearest surface that is kept along a path, in parts of that at its source."""

BENT_SHARE, LEAST_SHARE = 0.1, 0.5
"""Of the lines of a picture, how much may be bent; and how much of a move stays whatever bends. Chosen by eye on
photographs (benchmarks/README.md)."""

STEP = 0.8
SHRINKING = STEP ** np.arange(9)
"""Shares of a size that are tried, one after the other, until the path is clear."""


class Surfaces(Protocol):
    """What is needed of `rap.views.scene.Scene`."""

    def centre_depth(self) -> float:
        """Of what is in the middle of the picture."""
        ...

    def clearance(self, trajectory: Trajectory) -> Float[np.ndarray, " T"]:
        """Distance of each camera to the nearest surface, 0 behind one."""
        ...

    def is_open(self, trajectory: Trajectory) -> bool:
        """Whether a film shows too little of what lies along a path."""
        ...

    def bent_share(self, trajectory: Trajectory) -> float:
        """How much of the lines of a picture a path bends."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """A path in a scene, and what its owner should know of it; no note where it is as expected."""

    trajectory: Trajectory
    note: str = ""


def fitted_preset(
    scene: Surfaces,
    name: str,
    *,
    num_frames: int,
    image_size: tuple[int, int],
    fov_y_rad: float,
    amplitude: float = 1.0,
    pivot_distance: float | None = None,
    fps: float = 8.0,
    of_film: bool = False,
    pivot: tuple[float, float, float] | None = None,
    by: float | None = None,
) -> Fitted:
    """A preset of `rap.geometry.preset`, whose other arguments these are, made for a scene.

    Args:
        amplitude: 1 is what fits; more is what was asked for, as a size is, and the note says where it leads through
            a surface.
        of_film: the scene is not that of one picture.
        pivot_distance: None is `pivot_of` the scene.
        by: degrees or percent as in `rap.geometry.presets.amplitude_of`, in place of the amplitude, whatever fits.

    Raises:
        ValueError: as `rap.geometry.preset`.
    """
    distance = pivot_of(scene) if pivot_distance is None else pivot_distance
    is_asked_for = amplitude > 1 or by is not None
    given = {"num_frames": num_frames, "image_size": image_size, "pivot_distance": distance, "fps": fps, "pivot": pivot}
    usual = USUAL_SHARE.get(name, 1.0)
    if by is not None:
        amplitude, usual = amplitude_of(name, by), 1.0
    elif of_film and not scene.is_open(preset(name, fov_y_rad=fov_y_rad, amplitude=amplitude, **given)):
        usual = 1.0
    reason = ""
    for share in SHRINKING:
        path = preset(name, fov_y_rad=fov_y_rad, amplitude=amplitude * usual * share, **given)
        if is_asked_for or not (words := _too_large(scene, path, amplitude * share)):
            break
        reason = words
    if is_asked_for:
        return Fitted(path, too_near(scene, path))
    if share < 1:
        return Fitted(path, f"{name} is made {share:.0%} of its usual size: more would {reason}.")
    if name in ONE_SIDED and usual < 1:
        side = "the film" if of_film else "a picture"
        return Fitted(path, f"{name} turns by {360 * usual * amplitude:.0f} degrees only: {side} shows one side.")
    if of_film and usual < 1:
        return Fitted(path, f"{name} is made {usual:.0%} of its usual size: the film shows little of what lies beyond.")
    return Fitted(path)


def pivot_of(scene: Surfaces) -> float:
    """What moves turn about where nobody says: the depth in the middle of the picture, not far beyond the median."""
    return min(scene.centre_depth(), FARTHEST_PIVOT)


def fitted_path(scene: Surfaces, path: Trajectory) -> Fitted:
    """A path that nobody has asked for, such as a sampled one: less of its motion where it would pass a surface."""
    reason = ""
    for share in SHRINKING:
        shorter = scale_motion(path, float(share))
        if not (words := _too_large(scene, shorter, share)):
            break
        reason = words
    note = "" if share == 1 else f"The path is {share:.0%} of what was sampled: more would {reason}."
    return Fitted(shorter, note)


def _too_large(scene: Surfaces, path: Trajectory, share: float) -> str:
    """What a path that is so much of the usual one would do that none should do by itself; empty where it is well."""
    if not is_clear(scene, path):
        return "lead through what stands there"
    if share * STEP >= LEAST_SHARE and scene.bent_share(path) > BENT_SHARE:
        return "bend what is straight in the picture"
    return ""


def is_clear(scene: Surfaces, path: Trajectory) -> bool:
    """Whether every camera of a path keeps away from surfaces."""
    clearance = scene.clearance(path)
    return bool((clearance >= KEPT_CLEAR * clearance[path.source]).all())


def too_near(scene: Surfaces, path: Trajectory) -> str:
    """Where a path leads through a surface, in words; empty where it does not."""
    passed = np.flatnonzero(scene.clearance(path) == 0)
    if len(passed) == 0:
        return ""
    return f"From frame {passed[0]} on the path leads through what the picture shows; take a smaller amplitude."
