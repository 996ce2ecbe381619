"""Lines of a picture: found, and bent by cameras that their depth does not bear."""

from __future__ import annotations

import numpy as np
import pytest

from rap.views.straight import Lines

SIZE = (240, 320)
LENS = np.array([280.0, 280.0, 160.0, 120.0])


def masts() -> np.ndarray:
    """Three upright bars."""
    picture_u8 = np.full((*SIZE, 3), 40, np.uint8)
    for left in (60, 150, 240):
        picture_u8[30:210, left : left + 14] = 200
    return picture_u8


def waved(amplitude: float) -> np.ndarray:
    y = np.arange(SIZE[0], dtype=np.float32)[:, None]
    return np.broadcast_to(1 + amplitude * np.sin(y / 20), SIZE).astype(np.float32)


def moved(x: float) -> np.ndarray:
    T = np.eye(4)
    T[0, 3] = x
    return T


def test_lines_are_those_of_the_picture() -> None:
    lines = Lines.of(masts(), waved(0.0), LENS)
    assert len(lines.lengths) == 6 and lines.lengths == pytest.approx(180, abs=8), "both sides of each bar"
    assert np.ptp(lines.places[..., 0], axis=1) == pytest.approx(0, abs=1)
    assert lines.inverse_depth == pytest.approx(1.0)


@pytest.mark.parametrize("inverse_depth", [waved(0.0), waved(0.0) + np.linspace(0, 1, SIZE[1], dtype=np.float32)])
def test_planes_bend_nothing(inverse_depth: np.ndarray) -> None:
    lines = Lines.of(masts(), inverse_depth, LENS)
    assert all(lines.bent_share(moved(x), LENS, SIZE) == 0.0 for x in (0.0, 0.1, 0.4))


def test_waves_bend_the_more_the_farther_the_camera_goes() -> None:
    lines = Lines.of(masts(), waved(0.1), LENS)
    shares = [lines.bent_share(moved(x), LENS, SIZE) for x in (0.0, 0.005, 0.2)]
    assert shares == pytest.approx([0.0, 0.0, 1.0])


def test_a_turn_bends_nothing() -> None:
    T = np.eye(4)
    T[:3, :3] = [[0.96, 0, 0.28], [0, 1, 0], [-0.28, 0, 0.96]]
    assert Lines.of(masts(), waved(0.3), LENS).bent_share(T, LENS, SIZE) == 0.0


def test_a_picture_without_lines_bears_everything() -> None:
    empty = Lines.of(np.full((*SIZE, 3), 90, np.uint8), waved(0.3), LENS)
    assert len(empty.lengths) == 0 and empty.bent_share(moved(0.3), LENS, SIZE) == 0.0


def test_what_comes_to_lie_behind_the_camera_is_not_seen_bent() -> None:
    T = np.eye(4)
    T[2, 3] = 2.0
    assert Lines.of(masts(), waved(0.1), LENS).bent_share(T, LENS, SIZE) == 0.0
