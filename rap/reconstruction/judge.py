"""What a path is worth, in one word: good, doubtful or failed, and by how many degrees it is probably off.

What fits tells little: of a wrong path nearly as many observations fit as of the right one. What tells most is whether
the same path is found twice. Each half of the tracks is grown to a path of its own (`rap.reconstruction.initialise`),
from seeds of its own; where the frames decide, both halves agree with the path, and where they do not, as on a plane,
under little parallax, or through a frame that ties two pieces weakly, each goes its own way. The limits below are those
of `rap bench verdict`; its table stands in benchmarks/README.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from rap.metrics import pose_errors

Verdict = Literal["good", "doubtful", "failed"]

GOOD_AGREEMENT = 0.75  # AUC@30 of the path against the half that agrees less
SURE_AGREEMENT = 0.9
FAILED_AGREEMENT = 0.35
LEAST_KNOWN = 0.5  # of the path's frames, in a half that can be compared with it
FITTING = 0.75  # of the observations fit, mean over frames; where fewer do, the halves have to agree better
DOUBT_OF_MISFIT = 2.0  # of agreement, for each unit of that share that is lacking
FITTING_WELL = 0.85  # where nothing can be compared that has to do; where one half went astray, it is no failure
LOST_SHARE = 0.5  # of the frames that were asked for: nothing is known of them
LENS_UNKNOWN = 3.0  # ratio of the focal lengths that fit as well


@dataclass(frozen=True, eq=False)
class Half:
    """A path found from half of the tracks: poses (T, 4, 4), and (T,) the frames that it has located."""

    Ts_world_camera: Float[np.ndarray, "t 4 4"]
    located: Bool[np.ndarray, " t"]


@dataclass(frozen=True)
class Agreement:
    """A path against the half that agrees with it less: AUC@30 over all pairs of frames, median error in degrees (the
    worse of rotation and direction); NaN where there is nothing to compare it with."""

    auc30: float
    error_deg: float

    @property
    def is_known(self) -> bool:
        """Whether there was something to compare with."""
        return not math.isnan(self.auc30)


UNKNOWN = Agreement(math.nan, math.nan)


@dataclass(frozen=True)
class Judgement:
    """A word, and the error that is to be expected; NaN where nothing tells it."""

    verdict: Verdict
    error_deg: float


def agreement(
    Ts_world_camera: Float[np.ndarray, "t 4 4"], placed: Bool[np.ndarray, " t"], halves: Sequence[Half]
) -> Agreement:
    """A path of `placed` frames against others of the same frames; unknown where one of them knows too few."""
    found = []
    for half in halves:
        both = placed & half.located
        if both.sum() < max(2, LEAST_KNOWN * placed.sum()):
            return UNKNOWN
        errors = pose_errors(Ts_world_camera[both], half.Ts_world_camera[both])
        worse = np.fmax(errors.rotation_deg, errors.direction_deg)
        found.append(Agreement(errors.auc30, float(np.median(worse))))
    return min(found, key=lambda one: one.auc30, default=UNKNOWN)


def agree(a: Half, b: Half) -> bool:
    """Whether two halves have found one path."""
    return agreement(a.Ts_world_camera, a.located, (b,)).auc30 >= GOOD_AGREEMENT  # NaN is not


def judged(found: Agreement, fitting: float, sound_pairs: float, lost: float) -> Judgement:
    """The word for a path.

    Args:
        found: with what was found apart from it.
        fitting: share of the observations that fit, mean over frames.
        sound_pairs: share of the pairs of frames with no weak joint between them (`rap.reconstruction.joints`).
        lost: share of the frames asked for that nothing ties to the others.
    """
    if lost > LOST_SHARE or (found.auc30 < FAILED_AGREEMENT and fitting < FITTING_WELL):
        return Judgement("failed", found.error_deg)
    needed = GOOD_AGREEMENT + DOUBT_OF_MISFIT * max(FITTING - fitting, 0.0)
    agreed = found.auc30 >= needed if found.is_known else fitting >= FITTING_WELL
    holds = sound_pairs == 1 or found.auc30 >= SURE_AGREEMENT  # a joint that two paths have alike is right
    if agreed and holds and lost == 0:
        return Judgement("good", found.error_deg)
    return Judgement("doubtful", found.error_deg)


def judged_turns(fitting: float, lost: float) -> Judgement:
    """The word for turns alone, which are good where turning explains nearly all: `fitting` of the observations."""
    if lost > LOST_SHARE:
        return Judgement("failed", math.nan)
    return Judgement("good" if fitting >= FITTING_WELL and lost == 0 else "doubtful", math.nan)


def one_frame_words(turns_only: bool, reason: str) -> str:
    """Why one frame of a film is all that is shown along a path, and what would show more; `reason` as the report's."""
    why, more = "The camera only turns, so that the film tells no depth", "film from places that lie apart"
    if not turns_only:
        why = f"The film's cameras are not known ({reason.rstrip('.')})"
        more = "give the field of view, if you know it, or a slower, sharper piece"
    return f"{why}: its first frame alone is seen along the path, by a depth of its own. To use all of it, {more}."


def verdict_words(verdict: Verdict, error_deg: float, doubtful_from: int | None, turns_only: bool) -> str:
    """The verdict with what belongs to it.

    Args:
        verdict: the word.
        error_deg: NaN where nothing is known of it.
        doubtful_from: the frame after the first weak joint, where there is one.
        turns_only: positions were not to be had.
    """
    if verdict == "failed":
        return verdict
    if turns_only:
        return f"{verdict} (turns only)"
    if verdict == "doubtful" and doubtful_from is not None:
        return f"doubtful from frame {doubtful_from} on"
    if math.isnan(error_deg):
        return verdict
    degrees = max(round(error_deg), 1)
    return f"{verdict} (about {degrees} degree{'s' if degrees != 1 else ''})"


def lens_is_known(interval_rad: tuple[float, float]) -> bool:
    """Whether the vertical fields of view that fit about as well are nearly one."""
    return math.tan(interval_rad[1] / 2) < LENS_UNKNOWN * math.tan(interval_rad[0] / 2)


def lens_words(interval_rad: tuple[float, float] | None) -> str:
    """A sentence on how well frames tell the lens; empty where it was given."""
    if interval_rad is None:
        return ""
    low, high = (math.degrees(fov) for fov in interval_rad)
    begin = "Lens" if lens_is_known(interval_rad) else "The lens cannot be known from these frames"
    return f" {begin}: a view {low:.0f} to {high:.0f} degrees high fits about as well."
