"""The focal length by trial: a few frames are reconstructed under each of some lenses, and the misfit tells.

A focal length that is free in an adjustment moves to the nearest valley of the cost; a camera that turns far, or a
narrow lens, has several. Where frames tell the lens, the curve over the trials has one deep minimum; where they do not,
as in straight driving, it is flat. Both are told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rap.geometry.camera import intrinsics_from_fov
from rap.reconstruction.growth import Sightings, find_seeds, grown, misfit, planted, seed_pairs

COARSE_FOV_Y_RAD = np.radians([8.0, 14.0, 24.0, 37.0, 52.0, 70.0, 92.0])
TRACKS_A_FRAME = 80  # of the frames that are tried
PAIRS = 10  # of them, whose motion is looked for under each lens
FRAMES = 10  # that are tried: few enough to be quick, enough to turn
TRIALS = 2  # seeds for every lens
LINK_POINTS = 60  # shared points that count when frames are chosen: more say no more
AS_GOOD = 0.08  # of the misfit's lowest value (and a hundredth): lenses that the frames cannot tell from the best one


@dataclass(frozen=True, eq=False)
class LensCurve:
    """Misfit in [0, 1] over vertical fields of view in radians, ascending; both (L,)."""

    fov_y_rad: Float[np.ndarray, " l"]
    misfit: Float[np.ndarray, " l"]

    @property
    def best_fov_y_rad(self) -> float:
        """The field of view that fits best."""
        return float(self.fov_y_rad[self.misfit.argmin()])

    @property
    def interval_rad(self) -> tuple[float, float]:
        """The fields of view that fit about as well, between neighbours of the trials."""
        lowest = self.misfit.min()
        near = np.flatnonzero(self.misfit <= lowest + 0.01 + AS_GOOD * lowest)
        low, high = max(near[0] - 1, 0), min(near[-1] + 1, len(self.misfit) - 1)
        return float(self.fov_y_rad[low]), float(self.fov_y_rad[high])


def lens_curve(sightings: Sightings) -> LensCurve:
    """Misfits of a coarse row of lenses, and of one more on either side of the best."""
    few = Sightings.of(sightings.tracks.at(_chosen_frames(sightings)).longest(TRACKS_A_FRAME))
    pairs = seed_pairs(few)[:PAIRS]
    found = {float(fov): _misfit(few, pairs, float(fov)) for fov in COARSE_FOV_Y_RAD}
    order = sorted(found)
    best = order.index(min(found, key=found.__getitem__))
    for other in (best - 1, best + 1):
        if 0 <= other < len(order):
            between = float(np.sqrt(order[best] * order[other]))
            found[between] = _misfit(few, pairs, between)
    fovs = np.array(sorted(found))
    return LensCurve(fovs, np.array([found[fov] for fov in fovs]))


def _chosen_frames(sightings: Sightings) -> Int[np.ndarray, " f"]:
    """The pair that promises most as a seed, and the frames that share most points with what is chosen."""
    pairs = seed_pairs(sightings)
    if not pairs:
        return np.arange(min(FRAMES, sightings.tracks.num_frames))
    link = np.minimum(sightings.shared, LINK_POINTS)
    chosen = list(pairs[0])
    while len(chosen) < min(FRAMES, len(link)):
        total = link[chosen].sum(axis=0)
        total[chosen] = -1
        chosen.append(int(total.argmax()))
    return np.sort(chosen)


def _misfit(sightings: Sightings, pairs: list[tuple[int, int]], fov_y_rad: float) -> float:
    lens = intrinsics_from_fov(fov_y_rad, sightings.tracks.image_size)
    seeds = find_seeds(sightings, lens, pairs)[:TRIALS]
    models = [grown(sightings, planted(sightings, seed, lens), None) for seed in seeds]
    return min((misfit(sightings, model) for model in models), default=1.0)
