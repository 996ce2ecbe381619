"""A hand's unrest, added to a path.

Angles and positions of a camera in the hand wander: the power of their spectrum falls with the square of the frequency,
as that of a walk of small random steps, up to the oscillation of the arms near 4 Hz (measured on cameras in the hand:
Japanese Journal of Ergonomics 31 (6), 1995, p. 399), and with its fourth power above, where the camera's own mass holds
it. Sizes are chosen by eye; no measurement of them is claimed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy
from jaxtyping import Float64

from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.limits import SHAKE

CORNER_HZ = 4.0
BAND_HZ = (0.2, 12.0)
WAVES = 48
TURN_RAD = np.radians([0.5, 0.5, 0.25])
"""Root mean square of pitch, yaw and roll at amount 1."""
SHIFT = np.array([0.004, 0.004, 0.002])
"""The same of x, y, z in median depths."""


def shaken(trajectory: Trajectory, amount: float, seed: int) -> Trajectory:
    """The path as a hand would hold it; the source stays where it is.

    Frames see the unrest below half their rate: what is faster blurs a frame and moves none.

    Args:
        amount: 0 leaves the path as it is, 1 is a careful hand, up to `SHAKE`.
        seed: of the waves' phases; the same one gives the same unrest, whatever the amount.

    Raises:
        ValueError: an amount outside its range.
    """
    SHAKE.check_range(amount, "amount", 0, "1 is a careful hand")
    if amount == 0:
        return trajectory
    unrest = _unrest(len(trajectory), trajectory.fps, seed)
    unrest = amount * (unrest - unrest[trajectory.source]) * np.concatenate([TURN_RAD, SHIFT])
    R = scipy.spatial.transform.Rotation.from_rotvec(unrest[:, :3]).as_matrix()
    poses = trajectory.Ts_world_camera @ se3.from_rotation_translation(R, unrest[:, 3:])
    poses[trajectory.source] = trajectory.Ts_world_camera[trajectory.source]
    return replace(trajectory, Ts_world_camera=poses)


def _unrest(frames: int, fps: float, seed: int) -> Float64[np.ndarray, "frames 6"]:
    """Six signals of root mean square 1 over a long time: sums of waves, evenly in the logarithm of the frequency."""
    rng = np.random.default_rng(seed)
    f = np.geomspace(*BAND_HZ, WAVES)
    phases = rng.uniform(0, 2 * np.pi, (WAVES, 6))
    power = f**-2.0 / (1 + (f / CORNER_HZ) ** 2) * f  # times the width of a band, which grows with its frequency
    size = np.sqrt(2 * power / power.sum()) * (f < fps / 2)
    t = np.arange(frames)[:, None, None] / fps
    return (size[:, None] * np.cos(2 * np.pi * f[:, None] * t + phases)).sum(axis=1)
