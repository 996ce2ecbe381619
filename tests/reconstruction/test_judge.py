"""The word for a path: what was found twice is believed, what was found in two ways is not."""

import math

import numpy as np
import pytest
from analytic_scenes import path

from rap.geometry import se3
from rap.reconstruction.judge import (
    UNKNOWN,
    Agreement,
    Half,
    agreement,
    judged,
    judged_turns,
    lens_is_known,
    lens_words,
    verdict_words,
)

PATH = path((0.5, 0.1, 0.2), (0.1, -0.4, 0.05), num_frames=11).Ts_world_camera
ALL = np.ones(11, dtype=bool)


def bent(degrees):
    """The same path, its second half turned at the middle frame."""
    turn = se3.exp([0, 0, 0, 0, np.radians(degrees), 0])
    bent = PATH.copy()
    bent[6:] = PATH[5] @ turn @ se3.inverse(PATH[5]) @ PATH[6:]
    return bent


def test_a_path_agrees_with_itself_in_any_world_and_unit():
    moved = se3.exp([1, 2, 3, 0.4, 0.5, 0.6]) @ PATH
    moved[:, :3, 3] *= 3
    found = agreement(PATH, ALL, [Half(PATH, ALL), Half(moved, ALL)])
    assert found.auc30 == 1.0 and found.error_deg < 1e-4


def test_the_half_that_agrees_less_counts():
    mild, wild = (agreement(PATH, ALL, [Half(PATH, ALL), Half(bent(degrees), ALL)]) for degrees in (5, 60))
    assert 0.8 < mild.auc30 < 1 and wild.auc30 < 0.5
    assert agreement(PATH, ALL, [Half(bent(60), ALL)]).auc30 == wild.auc30


def test_halves_that_know_few_of_the_frames_tell_nothing():
    few, part = ALL.copy(), ALL.copy()
    few[4:], part[8:] = False, False
    assert not agreement(PATH, ALL, [Half(PATH, ALL), Half(bent(60), few)]).is_known
    assert agreement(PATH, ALL, [Half(PATH, part)]).auc30 == 1.0
    assert not agreement(PATH, ALL, []).is_known


@pytest.mark.parametrize(
    "found, fitting, sound, lost, verdict",
    [
        (Agreement(0.9, 1.0), 0.7, 1.0, 0.0, "good"),
        (Agreement(0.85, 1.0), 0.7, 0.8, 0.0, "doubtful"),  # a weak joint
        (Agreement(0.95, 1.0), 0.7, 0.8, 0.0, "good"),  # which two paths have alike
        (Agreement(0.9, 1.0), 0.7, 1.0, 0.1, "doubtful"),  # a frame that nothing ties
        (Agreement(0.9, 1.0), 0.7, 1.0, 0.6, "failed"),
        (Agreement(0.5, 9.0), 0.9, 1.0, 0.0, "doubtful"),
        (Agreement(0.8, 5.0), 0.7, 1.0, 0.0, "doubtful"),  # less fits: then it has to agree better
        (Agreement(0.2, 25.0), 0.7, 1.0, 0.0, "failed"),
        (Agreement(0.2, 25.0), 0.9, 1.0, 0.0, "doubtful"),  # one half went astray, but nearly all fits
        (UNKNOWN, 0.9, 1.0, 0.0, "good"),  # nothing to compare with: then nearly all must fit
        (UNKNOWN, 0.8, 1.0, 0.0, "doubtful"),
    ],
)
def test_words_for_what_was_found(found, fitting, sound, lost, verdict):
    assert judged(found, fitting, sound, lost).verdict == verdict


def test_turns_are_good_where_turning_explains_nearly_all():
    found = [judged_turns(fitting, lost).verdict for fitting, lost in ((0.9, 0), (0.7, 0), (0.9, 0.2), (0.9, 0.6))]
    assert found == ["good", "doubtful", "doubtful", "failed"]


def test_verdicts_in_words():
    assert verdict_words("good", 0.3, None, False) == "good (about 1 degree)"
    assert verdict_words("good", 2.4, None, False) == "good (about 2 degrees)"
    assert verdict_words("good", math.nan, None, False) == "good"
    assert verdict_words("doubtful", 2.4, 12, False) == "doubtful from frame 12 on"
    assert verdict_words("doubtful", math.nan, None, True) == "doubtful (turns only)"
    assert verdict_words("failed", 40.0, 12, False) == "failed"


def test_how_well_the_lens_is_told():
    narrow, flat = (math.radians(40), math.radians(60)), (math.radians(20), math.radians(90))
    assert lens_is_known(narrow) and not lens_is_known(flat) and lens_words(None) == ""
    assert lens_words(narrow) == " Lens: a view 40 to 60 degrees high fits about as well."
    assert "cannot be known from these frames: a view 20 to 90 degrees" in lens_words(flat)
