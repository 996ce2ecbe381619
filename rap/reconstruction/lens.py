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
from rap.reconstruction.growth import Seed, Sightings, find_seeds, grown, misfit, planted, seed_pairs
from rap.reconstruction.judge import lens_is_known
from rap.reconstruction.progress import beat, tell

COARSE_FOV_Y_RAD = np.radians([8.0, 14.0, 24.0, 37.0, 52.0, 70.0, 92.0])
TRACKS_A_FRAME = 80  # of the frames that are tried
PAIRS = 10  # of them, whose motion is looked for under each lens
FRAMES = 10  # that are tried: few enough to be quick, enough to turn
TRIALS = 2  # seeds for a lens at most
TRIED_AGAIN = 3  # lenses that look best, from a second seed
TRIAL_ITERATIONS = 5  # of each adjustment: which lens fits best shows early
LINK_POINTS = 60  # shared points that count when frames are chosen: more say no more
USUAL_FOV_Y_RAD = np.radians(55.0)
UNUSUAL = 0.01  # of misfit, for a lens whose focal length is e times the usual one, or a part of it
AS_GOOD = 0.08  # of the misfit's lowest value (and a hundredth): lenses that the frames cannot tell from the best one


@dataclass(frozen=True, eq=False)
class LensCurve:
    """Misfit in [0, 1] over vertical fields of view in radians, ascending; both (L,)."""

    fov_y_rad: Float[np.ndarray, " l"]
    misfit: Float[np.ndarray, " l"]

    @property
    def best_fov_y_rad(self) -> float:
        """The field of view that fits best; of those that fit alike, one that many cameras have."""
        unusual = np.log(np.tan(self.fov_y_rad / 2) / np.tan(USUAL_FOV_Y_RAD / 2))
        return float(self.fov_y_rad[(self.misfit + UNUSUAL * unusual**2).argmin()])

    @property
    def is_flat(self) -> bool:
        """Whether the frames do not tell the lens."""
        return not lens_is_known(self.interval_rad)

    @property
    def interval_rad(self) -> tuple[float, float]:
        """From the narrowest to the widest field of view that fits about as well, on straight lines between trials."""
        lowest = self.misfit.min()
        limit = lowest + 0.01 + AS_GOOD * lowest
        near = np.flatnonzero(self.misfit <= limit)
        return self._crossing(near[0], near[0] - 1, limit), self._crossing(near[-1], near[-1] + 1, limit)

    def _crossing(self, inside: int, outside: int, limit: float) -> float:
        """Where the curve meets the limit between two neighbouring trials; the first of them at an end of the row."""
        if not 0 <= outside < len(self.misfit):
            return float(self.fov_y_rad[inside])
        step = (limit - self.misfit[inside]) / (self.misfit[outside] - self.misfit[inside])
        a, b = np.log(self.fov_y_rad[[inside, outside]])
        return float(np.exp(a + step * (b - a)))


def lens_curve(sightings: Sightings) -> LensCurve:
    """Misfits of a coarse row of lenses, and of one more on either side of the best.

    Each is tried from its best seed; those that look best from another one, too, for a seed may be a plane.
    """
    tell("lens", 0.0)
    few = Sightings.of(sightings.tracks.at(_chosen_frames(sightings)).longest(TRACKS_A_FRAME))
    pairs = seed_pairs(few)[:PAIRS]
    trials = {float(fov): _Trial.of(few, pairs, float(fov)) for fov in COARSE_FOV_Y_RAD}
    _try_again(few, trials, len(trials) if _curve(trials).is_flat else TRIED_AGAIN)
    order = sorted(trials)
    best = order.index(_best(trials)[0])
    for other in (best - 1, best + 1):
        if 0 <= other < len(order):
            between = float(np.sqrt(order[best] * order[other]))
            trials[between] = _Trial.of(few, pairs, between)
    _try_again(few, trials, 2)
    return _curve(trials)


@dataclass
class _Trial:
    """One lens: the least misfit so far, and the seeds that have not been grown yet."""

    intrinsics: Float[np.ndarray, "4"]
    seeds: list[Seed]
    misfit: float = 1.0

    @staticmethod
    def of(few: Sightings, pairs: list[tuple[int, int]], fov_y_rad: float) -> _Trial:
        lens = intrinsics_from_fov(fov_y_rad, few.tracks.image_size)
        trial = _Trial(lens, find_seeds(few, lens, pairs)[:TRIALS])
        trial.go_on(few)
        return trial

    def go_on(self, few: Sightings) -> None:
        """Grow the next seed, if there is one."""
        beat()
        if self.seeds:
            seed = self.seeds.pop(0)
            model = grown(few, planted(few, seed, self.intrinsics), None, iterations=TRIAL_ITERATIONS)
            self.misfit = min(self.misfit, misfit(few, model))


def _curve(trials: dict[float, _Trial]) -> LensCurve:
    fovs = np.array(sorted(trials))
    return LensCurve(fovs, np.array([trials[fov].misfit for fov in fovs]))


def _best(trials: dict[float, _Trial]) -> list[float]:
    return sorted(trials, key=lambda fov: trials[fov].misfit)


def _try_again(few: Sightings, trials: dict[float, _Trial], count: int) -> None:
    for fov in _best(trials)[:count]:
        trials[fov].go_on(few)


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
