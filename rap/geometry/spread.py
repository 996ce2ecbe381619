"""How far samples of one clip's trajectory lie apart, frame by frame: what p(cameras | video) leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Float

from rap.geometry.trajectory import Trajectory

HALF_WEIGHT = float(np.sqrt(np.log(2) / 2))  # x at which the soft drag's exp(-2 x^2) is one half
MIN_MOTION = 1e-6


@dataclass(frozen=True, eq=False)
class PathSpread:
    """Of each frame: root mean square over the samples of the deviation from their mean.

    Args:
        samples: how many.
        rotation_deg: (T,) angle to the mean rotation.
        distance: (T,) distance to the mean centre, in the reference path's unit.
        reach: frames to each side over which the centres' deviations go together, as a radius of the soft drag: at the
            distance in time where their correlation is one half, its weight is one half.
    """

    samples: int
    rotation_deg: Float[np.ndarray, " T"]
    distance: Float[np.ndarray, " T"]
    reach: float


def path_spread(samples: Sequence[Trajectory], reference: Trajectory) -> PathSpread:
    """The spread of samples of one clip.

    Each sample starts at the source camera, as the reference does, and is scaled to the reference by least squares on
    the centres: a video tells no unit of length, and that freedom is no uncertainty of the path.

    Args:
        samples: paths of the reference's length.
        reference: the path whose unit of length counts.

    Raises:
        ValueError: fewer than two samples, or lengths that differ.
    """
    if len(samples) < 2:
        raise ValueError(f"a spread needs at least 2 samples, got {len(samples)}")
    if any(len(sample) != len(reference) for sample in samples):
        raise ValueError(f"samples must have {len(reference)} frames, got {[len(sample) for sample in samples]}")
    goal = reference.relative_to(reference.source).centres
    paths = [sample.relative_to(reference.source) for sample in samples]
    centres = np.stack([path.centres * fitted_scale(path.centres, goal) for path in paths])
    away = centres - centres.mean(axis=0)
    rotations = np.stack([path.Ts_world_camera[:, :3, :3] for path in paths], axis=1)
    angles = np.stack([_angles_to_mean(frame) for frame in rotations])
    return PathSpread(
        len(paths),
        np.degrees(np.sqrt((angles**2).mean(axis=1))),
        np.sqrt((away**2).sum(axis=-1).mean(axis=0)),
        correlation_reach(away),
    )


def correlation_reach(away: Float[np.ndarray, "K T 3"]) -> float:
    """Lag at which the correlation of deviations falls to one half, over the x at which a soft drag's weight does.

    Correlations are pooled over frames and samples; between two lags the crossing is found by a straight line. Where
    they never fall that low the lag is the path's length; where nothing deviates it is 1.
    """
    count = away.shape[1]
    power = float((away**2).sum(axis=-1).mean())
    if power < MIN_MOTION**2 or count < 3:
        return 1.0 / HALF_WEIGHT
    before = 1.0
    for lag in range(1, count - 1):
        product = (away[:, lag:] * away[:, :-lag]).sum(axis=-1)
        sizes = np.sqrt((away[:, lag:] ** 2).sum(axis=-1).mean() * (away[:, :-lag] ** 2).sum(axis=-1).mean())
        now = float(product.mean() / max(sizes, MIN_MOTION**2))
        if now < 0.5:
            return float((lag - 1 + (before - 0.5) / (before - now)) / HALF_WEIGHT)
        before = now
    return float((count - 1) / HALF_WEIGHT)


def fitted_scale(centres: Float[np.ndarray, "T 3"], goal: Float[np.ndarray, "T 3"]) -> float:
    """The factor on `centres` that brings them nearest to `goal`; 1 where either stands still or they run apart."""
    size, overlap = float((centres**2).sum()), float((centres * goal).sum())
    return overlap / size if size > MIN_MOTION**2 and overlap > MIN_MOTION**2 else 1.0


def _angles_to_mean(rotations: Float[np.ndarray, "K 3 3"]) -> Float[np.ndarray, " K"]:
    found = scipy.spatial.transform.Rotation.from_matrix(rotations)
    return (found.mean().inv() * found).magnitude()
