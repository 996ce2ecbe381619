"""Trajectories for round-trip tests, sampled where the maths degenerates, and the comparison after a round trip."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from rap.geometry import se3
from rap.geometry.trajectory import Trajectory


@st.composite
def trajectories(draw: st.DrawFn, max_frames: int = 5) -> Trajectory:
    """Identity, half turns, no motion, tiny and huge translations; constant or changing, off-centre intrinsics."""
    num_frames = draw(st.integers(1, max_frames))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    angle = draw(st.sampled_from([0.0, 1e-9, 0.3, math.pi - 1e-9, math.pi]))
    reach = draw(st.sampled_from([0.0, 1e-6, 1.0, 1e4]))
    axes = rng.normal(size=(num_frames, 3))
    twists = np.concatenate(
        [reach * rng.normal(size=(num_frames, 3)), angle * axes / np.linalg.norm(axes, axis=1)[:, None]], 1
    )
    height, width = draw(st.sampled_from([(128, 128), (96, 160), (1, 1), (1080, 1920)]))
    rows = num_frames if draw(st.booleans()) else 1
    focal = rng.uniform(0.2, 5.0, (rows, 2)) * height
    centre = rng.uniform(0.3, 0.7, (rows, 2)) * (width, height)
    intrinsics = np.broadcast_to(np.concatenate([focal, centre], axis=1), (num_frames, 4))
    fps = draw(st.sampled_from([8.0, 23.976, 30.0, 1.0]))
    return Trajectory(
        se3.exp(twists), intrinsics, (height, width), fps=fps, source=draw(st.integers(0, num_frames - 1))
    )


def orbit(num_frames: int = 4) -> Trajectory:
    """A small path without symmetries."""
    i = np.arange(num_frames)[:, None]
    twists = np.concatenate([i * [0.3, -0.1, 0.2], i * [0.05, 0.2, -0.03]], axis=1)
    return Trajectory(se3.exp(twists), np.tile([110.0, 112.0, 63.0, 65.0], (num_frames, 1)), (128, 128), fps=8.0)


def assert_close(
    found: Trajectory, expected: Trajectory, *, intrinsics: bool = True, fps_rtol: float | None = 1e-9
) -> None:
    """Equal up to float64 rounding; the parts that a format does not keep are left out."""
    reach = max(1.0, float(np.abs(expected.Ts_world_camera).max()))
    np.testing.assert_allclose(found.Ts_world_camera, expected.Ts_world_camera, atol=1e-11 * reach)
    if intrinsics:
        np.testing.assert_allclose(found.intrinsics, expected.intrinsics, rtol=1e-12)
        assert found.image_size == expected.image_size
    if fps_rtol is not None:
        np.testing.assert_allclose(found.fps, expected.fps, rtol=fps_rtol)
