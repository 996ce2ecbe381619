"""Paths drawn by hand: a stroke is walked along at one speed from the source, a moved view becomes its motion."""

import numpy as np
import pytest

from rap.geometry import preset, se3
from rap.geometry.sketch import GAZES, recorded, sketched

LIKE = preset("static", image_size=(96, 128))
T = np.linspace(0, 1, 60)
CURVE = np.stack([0.5 * np.sin(2 * T), 0.6 * T**2], axis=-1) + [3.0, 1.0]


@pytest.mark.parametrize("gaze", GAZES)
def test_a_stroke_is_walked_at_one_speed_from_the_source(gaze):
    path = sketched(CURVE, LIKE, gaze)
    np.testing.assert_array_equal(path.Ts_world_camera[0], np.eye(4))
    assert len(path) == len(LIKE) and path.image_size == LIKE.image_size and path.source == 0
    np.testing.assert_allclose(path.centres[-1, [0, 2]], CURVE[-1] - CURVE[0], atol=1e-6)
    np.testing.assert_allclose(path.centres[:, 1], 0, atol=1e-12)
    steps = np.linalg.norm(np.diff(path.centres, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.03)


def test_the_cameras_look_where_they_are_told():
    subject = se3.inverse(sketched(CURVE, LIKE, "subject", 2.0).Ts_world_camera) @ [0, 0, 2.0, 1]
    np.testing.assert_allclose(subject[:, :2], 0, atol=1e-9)
    ahead = sketched(CURVE, LIKE, "ahead")
    np.testing.assert_allclose(ahead.Ts_world_camera[:, :3, :3], np.tile(np.eye(3), (len(LIKE), 1, 1)), atol=1e-12)


def test_a_trembling_hand_is_calmed():
    rough = CURVE + 0.02 * np.random.default_rng(0).normal(size=CURVE.shape)
    rough[[0, -1]] = CURVE[[0, -1]]
    calm, drawn = sketched(rough, LIKE).centres, sketched(CURVE, LIKE).centres
    assert np.abs(calm - drawn).max() < 0.03


@pytest.mark.parametrize("stroke", [[], [[0.0, 0.0]], [[1.0, 1.0]] * 9, [[0.0, float("nan")], [1.0, 1.0]]])
def test_what_is_no_stroke_is_refused(stroke):
    with pytest.raises(ValueError, match="stroke"):
        sketched(np.array(stroke).reshape(-1, 2), LIKE)


def test_the_motion_of_a_view_becomes_the_path():
    arc = preset("arc-left", num_frames=40)
    start = se3.look_at((1.0, -2.0, 3.0), (0.0, 0.0, 9.0))
    times = 5.0 + np.linspace(0, 1, 40) ** 2  # slower at first
    path = recorded(times, start @ arc.Ts_world_camera, LIKE)
    np.testing.assert_allclose(path.Ts_world_camera[-1], arc.Ts_world_camera[-1], atol=1e-9)
    assert np.linalg.norm(path.centres[8]) > np.linalg.norm(arc.centres[20])
    with pytest.raises(ValueError, match="has not been moved"):
        recorded(times, np.tile(start, (40, 1, 1)), LIKE)
