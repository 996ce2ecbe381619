"""A reconstruction says how far it is, and stops where its listener raises."""

import numpy as np
import pytest
from analytic_scenes import Plane, World, path

from rap.reconstruction.progress import STAGES, beat, listened, tell
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
