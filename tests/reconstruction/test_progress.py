"""A reconstruction says how far it is, and stops where its listener raises."""

import time

import numpy as np
import pytest
from analytic_scenes import Plane, World, path

from rap.reconstruction.progress import STAGES, WORKERS, beat, listened, tell, together
from rap.reconstruction.refine import refine_trajectory


def test_shares_are_of_the_whole_and_never_fall():
    told = []
    with listened(told.append):
        for stage in STAGES:
            tell(stage, 0.0)
            tell(stage, 1.0)
            beat()
        tell("follow", 0.5)
    assert told == sorted(told) and told[0] == 0 and told[-1] == pytest.approx(1.0)
    tell("fit", 1.0)  # nobody listens any more
    assert told[-1] == pytest.approx(1.0) and sum(STAGES.values()) == pytest.approx(1.0)


def test_what_is_done_together_comes_in_its_order_and_tells_who_listens():
    told = []

    def square(number):
        beat()
        return number**2

    with listened(told.append):
        assert together(square, range(20)) == [number**2 for number in range(20)]
    assert len(told) == 20 and together(square, []) == []


def test_after_an_error_nothing_more_begins():
    begun = []

    def fails(number):
        begun.append(number)
        time.sleep(0.01)
        raise ValueError(f"{number} is wrong")

    with pytest.raises(ValueError, match="0 is wrong"):
        together(fails, range(1000))
    assert len(begun) < 1000 / 2 + WORKERS


def test_a_listener_that_raises_stops_the_work():
    truth = path((0.3, 0, 0.1), num_frames=4)
    frames_u8 = World((Plane((0.3, 0.1, 1.0), 1.6),)).look(truth)[0]
    told = []

    def listener(share):
        told.append(share)
        if len(told) > 5:
            raise InterruptedError

    with pytest.raises(InterruptedError), listened(listener):
        refine_trajectory(frames_u8, truth)
    assert len(told) == 6 and np.ptp(told) >= 0
