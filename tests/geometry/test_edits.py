"""Laws of the edits: what is undone is gone, the source never moves, what cannot be done is said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap.geometry import (
    PRESETS,
    Trajectory,
    delete_pose,
    insert_pose,
    intrinsics_from_fov,
    preset,
    replace_pose,
    resample,
    reverse,
    scale_motion,
    se3,
    smooth,
    soft_drag,
    transform_all,
)

SEEDS = st.integers(0, 2**31)


@st.composite
def paths(draw, min_frames=3):
    rng = np.random.default_rng(draw(SEEDS))
    frames = draw(st.integers(min_frames, 9))
    intrinsics = np.tile(intrinsics_from_fov(1.0, (48, 64)), (frames, 1))
    intrinsics[:, :2] *= rng.uniform(0.8, 1.2, size=(frames, 1))
    steps = se3.exp(draw(st.sampled_from([0.0, 1e-9, 0.1, 0.5])) * rng.normal(size=(frames, 6)))
    poses = np.stack([np.linalg.multi_dot([np.eye(4), *steps[: i + 1], np.eye(4)]) for i in range(frames)])
    return Trajectory(poses, intrinsics, (48, 64)).relative_to(draw(st.integers(0, frames - 1)))


def pose(seed):
    return se3.exp(np.random.default_rng(seed).normal(size=6))


def movable(path, seed):
    frames = [i for i in range(len(path)) if i != path.source]
    return frames[seed % len(frames)]


def assert_same(path, other, atol=1e-10):
    assert (len(path), path.source, path.image_size, path.fps) == (
        len(other),
        other.source,
        other.image_size,
        other.fps,
    )
    np.testing.assert_allclose(path.Ts_world_camera, other.Ts_world_camera, atol=atol)
    np.testing.assert_allclose(path.intrinsics, other.intrinsics, rtol=1e-12)


@given(paths(), SEEDS)
def test_replace_reads_back_and_changes_nothing_else(path, seed):
    i, T = movable(path, seed), pose(seed)
    edited = replace_pose(path, i, T)
    assert np.array_equal(edited.Ts_world_camera[i], T)
    others = np.arange(len(path)) != i
    assert np.array_equal(edited.Ts_world_camera[others], path.Ts_world_camera[others])
    assert replace_pose(edited, i, path.Ts_world_camera[i]) == path


@given(paths(), SEEDS)
def test_a_soft_drag_of_tiny_radius_is_a_replacement(path, seed):
    i, T = movable(path, seed), pose(seed)
    assert soft_drag(path, i, T, radius=1e-3) == replace_pose(path, i, T)


@given(paths(), SEEDS, st.floats(0.1, 100))
def test_a_soft_drag_pins_the_source_and_moves_by_the_weights(path, seed, radius):
    i, T = movable(path, seed), pose(seed)
    edited = soft_drag(path, i, T, radius)
    assert np.array_equal(edited.Ts_world_camera[i], T)
    assert np.array_equal(edited.Ts_world_camera[path.source], np.eye(4))
    frames = np.arange(len(path))
    weights = np.exp(-2 * ((frames - i) / radius) ** 2) * (frames != path.source)
    shift = T[:3, 3] - path.centres[i]
    np.testing.assert_allclose(edited.centres - path.centres, weights[:, None] * shift, atol=1e-12)
    turn = np.swapaxes(path.Ts_world_camera[:, :3, :3], 1, 2) @ edited.Ts_world_camera[:, :3, :3]
    angles_rad = se3.rotation_angle(turn)
    np.testing.assert_allclose(angles_rad, weights * angles_rad[i], atol=1e-6)
    se3.check_rigid(edited.Ts_world_camera, "edited")


@given(paths(), SEEDS)
def test_a_drag_to_where_it_was_does_nothing(path, seed):
    i = movable(path, seed)
    assert_same(soft_drag(path, i, path.Ts_world_camera[i], 3.0), path, atol=1e-12)


def test_pinned_frames_stay():
    path = preset("arc-left")
    edited = soft_drag(path, 8, pose(0), radius=5, pinned=[4, 12])
    assert np.array_equal(edited.Ts_world_camera[[0, 4, 12]], path.Ts_world_camera[[0, 4, 12]])
    assert not np.array_equal(edited.Ts_world_camera[5], path.Ts_world_camera[5])
    with pytest.raises(ValueError, match="frame 4 is pinned and cannot be dragged; unpin it first"):
        soft_drag(path, 4, pose(0), radius=5, pinned=[4])


@given(paths(), SEEDS, st.booleans())
def test_transform_all_is_undone_by_its_inverse(path, seed, about_a_pivot):
    T, pivot = pose(seed), (np.array([0.0, 0.0, 1.0]) if about_a_pivot else None)
    there = transform_all(path, T, pivot)
    assert_same(transform_all(there, se3.inverse(T), pivot), path, atol=1e-9)
    assert np.array_equal(there.Ts_world_camera[path.source], np.eye(4))


def test_a_turn_about_a_pivot_keeps_the_distance_to_it():
    path, pivot = preset("truck-left"), np.array([0.0, 0.0, 1.0])
    T = se3.exp([0, 0, 0, 0.2, 0.3, -0.1])
    turned = transform_all(path, T, pivot)
    distances = np.linalg.norm(path.centres - pivot, axis=1)
    np.testing.assert_allclose(np.linalg.norm(turned.centres - pivot, axis=1), distances)


@given(paths(), SEEDS, st.booleans())
def test_delete_undoes_insert(path, seed, by_itself):
    i = seed % (len(path) + 1)
    longer = insert_pose(path, i, None if by_itself else pose(seed))
    assert len(longer) == len(path) + 1 and np.array_equal(longer.Ts_world_camera[longer.source], np.eye(4))
    assert delete_pose(longer, i) == path


def test_an_inserted_pose_lies_halfway():
    path = insert_pose(preset("arc-left", num_frames=5), 3)
    np.testing.assert_allclose(path.Ts_world_camera[3], preset("arc-left", num_frames=9).Ts_world_camera[5], atol=1e-12)
    assert np.array_equal(insert_pose(path, 6).Ts_world_camera[6], path.Ts_world_camera[5])
    assert insert_pose(path, 0).source == 1


@given(paths(min_frames=1))
def test_reverse_undoes_itself(path):
    back = reverse(path)
    assert reverse(back) == path
    assert np.array_equal(back.Ts_world_camera[back.source], np.eye(4))
    assert np.array_equal(back.Ts_world_camera[0], path.Ts_world_camera[-1])


@given(paths())
def test_doing_nothing_changes_nothing(path):
    assert smooth(path, 0) == path
    assert resample(path, len(path)) == path
    assert scale_motion(path, 1) == path
    assert_same(transform_all(path, np.eye(4)), path, atol=1e-15)


@given(paths(), st.floats(0.01, 1))
def test_smoothing_keeps_ends_and_source(path, strength):
    smoothed = smooth(path, strength)
    kept = [0, path.source, len(path) - 1]
    assert np.array_equal(smoothed.Ts_world_camera[kept], path.Ts_world_camera[kept])
    se3.check_rigid(smoothed.Ts_world_camera, "smoothed")


def test_smoothing_takes_jitter_and_leaves_arcs():
    arc = preset("orbit-left")
    assert_same(smooth(arc, 1), arc, atol=1e-12)
    rng = np.random.default_rng(0)
    shaken = arc.Ts_world_camera @ se3.exp(0.05 * rng.normal(size=(17, 6)))
    shaken[[0, -1]] = arc.Ts_world_camera[[0, -1]]

    def distance(path):
        return np.abs(se3.log(se3.inverse(arc.Ts_world_camera) @ path.Ts_world_camera)).mean()

    path = replace(arc, Ts_world_camera=shaken)
    errors = [distance(smooth(path, strength)) for strength in (0, 0.3, 1)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.6 * errors[0]


@given(paths(), st.floats(0.3, 1.6))
@settings(deadline=None)
def test_scaling_the_motion_is_undone_by_the_inverse_factor(path, factor):
    assert_same(scale_motion(scale_motion(path, factor), 1 / factor), path, atol=1e-8)
    still = scale_motion(path, 0)
    np.testing.assert_allclose(still.Ts_world_camera, np.tile(np.eye(4), (len(path), 1, 1)), atol=1e-12)


@pytest.mark.parametrize("name", [name for name in PRESETS if name.split("-")[0] in ("arc", "truck", "pan", "orbit")])
def test_half_the_motion_is_half_the_amplitude(name):
    assert_same(scale_motion(preset(name), 0.5), preset(name, amplitude=0.5), atol=1e-12)


def test_resampling_keeps_ends_and_source():
    path = preset("spiral").relative_to(5)
    for n in (3, 9, 33):
        again = resample(path, n)
        assert len(again) == n and np.array_equal(again.Ts_world_camera[again.source], np.eye(4))
        assert np.array_equal(again.Ts_world_camera[[0, -1]], path.Ts_world_camera[[0, -1]])


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            lambda p: replace_pose(p, 0, np.eye(4)),
            "frame 0 is the source frame: its camera is the world and cannot be moved",
        ),
        (lambda p: soft_drag(p, 0, np.eye(4), 2), "frame 0 is the source frame: its camera is the world"),
        (lambda p: soft_drag(p, 5, np.eye(4), 2), r"frame index must lie in \[0, 4\], got 5"),
        (lambda p: soft_drag(p, 1, np.eye(4), 0), "radius must be a positive number of frames, got 0"),
        (lambda p: soft_drag(p, 1, np.eye(4), 1, pinned=[9]), r"frame index must lie in \[0, 4\], got 9"),
        (lambda p: replace_pose(p, -1, np.eye(4)), r"frame index must lie in \[0, 4\], got -1"),
        (lambda p: replace_pose(p, 1, np.eye(3)), r"T_world_camera must have shape \(4, 4\), got \(3, 3\)"),
        (lambda p: replace_pose(p, 1, np.diag([1.0, -1, 1, 1])), r"determinant \+1, got -1"),
        (lambda p: transform_all(p, 2 * np.eye(4)), "T must"),
        (lambda p: transform_all(p, np.eye(4), pivot=(0, 0)), "pivot must be a finite point"),
        (lambda p: insert_pose(p, 6), r"frame index must lie in \[0, 5\] to insert, got 6"),
        (lambda p: delete_pose(p, 0), "frame 0 is the source frame and cannot be deleted; choose another source first"),
        (lambda p: delete_pose(preset("static", num_frames=1), 0), "the only frame of a trajectory cannot be deleted"),
        (lambda p: delete_pose(p, 5), r"frame index must lie in \[0, 4\], got 5"),
        (lambda p: smooth(p, 1.5), r"strength must lie in \[0, 1\], got 1.5"),
        (lambda p: scale_motion(p, float("nan")), "factor must be a finite number, got nan"),
        (lambda p: resample(p, 0), "num_frames must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_done_is_said(edit, sentence):
    with pytest.raises(ValueError, match=sentence):
        edit(preset("arc-left", num_frames=5))
