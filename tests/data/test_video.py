"""At what rate a clip's video is written."""

import pytest

from rap.data import playback_fps


@pytest.mark.parametrize(("fps", "played"), [(2.4, 8.0), (4.0, 4.0), (24.0, 24.0), (30.0, 30.0), (128.0, 8.0)])
def test_a_rate_that_cannot_be_watched_is_played_at_eight(fps, played):
    assert playback_fps(fps) == played
