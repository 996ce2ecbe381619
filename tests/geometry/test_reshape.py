"""Laws of the whole-path edits: the source stays, an edit done back is undone, ends are reached, speeds are as said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rap.geometry import Trajectory, preset, se3
from rap.geometry.reshape import (
    EASINGS,
    angles_from_rotation,
    backwards,
    close_loop,
    ease,
    look_at_point,
    mirror,
    move_all,
    quarter_turned,
    retime,
    rotation_from_angles,
    scale_about,
    set_field_of_view,
    step_lengths,
)

SEEDS = st.integers(0, 2**31)
MIDDLE = np.eye(4)


def wandering(seed: int, frames: int = 9, source: int | None = None) -> Trajectory:
    """A path of small random steps around its source."""
    rng = np.random.default_rng(seed)
    steps = se3.exp(0.1 * rng.normal(size=(frames, 6)))
    poses = [np.eye(4)]
    for step in steps[1:]:
        poses.append(poses[-1] @ step)
    intrinsics = np.tile([60.0, 60.0, 32.0, 24.0], (frames, 1))
    intrinsics[:, :2] *= rng.uniform(0.9, 1.1, size=(frames, 1))
    path = Trajectory(np.stack(poses), intrinsics, (48, 64))
    return path.relative_to(int(rng.integers(frames)) if source is None else source)


EDITS = [
    mirror,
    backwards,
    close_loop,
    *(lambda path, easing=easing: retime(path, easing) for easing in EASINGS),
    lambda path: move_all(path, se3.exp(np.array([0.1, 0.2, 0.3, 0.2, 0.1, 0.0])), (0, 0, 1)),
    lambda path: move_all(path, se3.exp(np.array([0.1, 0.2, 0.3, 0.2, 0.1, 0.0])), (0, 0, 1), reach=3.0),
    lambda path: scale_about(path, 1.5, (0, 0, 1), reach=2.0),
    lambda path: look_at_point(path, (0.0, 0.2, 3.0)),
]


@pytest.mark.parametrize("edit", EDITS)
@given(SEEDS)
def test_the_source_and_the_frame_count_stay(edit, seed):
    path = wandering(seed)
    after = edit(path)
    assert (len(after), after.source, after.image_size, after.fps) == (9, path.source, (48, 64), path.fps)
    np.testing.assert_array_equal(after.Ts_world_camera[path.source], path.Ts_world_camera[path.source])
    np.testing.assert_array_equal(after.intrinsics[path.source], path.intrinsics[path.source])


@given(SEEDS)
def test_mirroring_twice_is_nothing_and_once_negates_yaw_roll_and_x(seed):
    path = wandering(seed)
    once = mirror(path)
    np.testing.assert_array_equal(mirror(once).Ts_world_camera, path.Ts_world_camera)
    np.testing.assert_allclose(once.centres, path.centres * [-1, 1, 1], atol=1e-15)
    for before, after in zip(path.Ts_world_camera, once.Ts_world_camera, strict=True):
        yaw, pitch, roll = angles_from_rotation(before[:3, :3])
        np.testing.assert_allclose(angles_from_rotation(after[:3, :3]), (-yaw, pitch, -roll), atol=1e-12)


def test_a_quarter_turn_makes_a_truck_to_the_left_a_pedestal_up_and_four_are_nothing():
    truck, turned = preset("truck-left", num_frames=9), quarter_turned(preset("truck-left", num_frames=9))
    np.testing.assert_allclose(turned.centres[:, 1], preset("truck-left", num_frames=9).centres[:, 0], atol=1e-12)
    assert turned.centres[-1, 1] < -0.1 and np.abs(turned.centres[:, [0, 2]]).max() < 1e-12
    for _ in range(3):
        turned = quarter_turned(turned)
    np.testing.assert_array_equal(turned.Ts_world_camera, truck.Ts_world_camera)


def test_a_truck_mirrored_is_the_truck_the_other_way():
    np.testing.assert_allclose(
        mirror(preset("truck-left", num_frames=9)).Ts_world_camera,
        preset("truck-right", num_frames=9).Ts_world_camera,
        atol=1e-12,
    )


@given(SEEDS)
def test_backwards_twice_is_nothing_and_the_steps_come_in_the_other_order(seed):
    path = wandering(seed, source=0)
    once = backwards(path)
    np.testing.assert_allclose(step_lengths(once.Ts_world_camera), step_lengths(path.Ts_world_camera)[::-1], atol=1e-9)
    np.testing.assert_allclose(backwards(once).Ts_world_camera, path.Ts_world_camera, atol=1e-9)


def test_a_full_orbit_closed_has_no_doubled_camera_and_even_steps():
    closed = close_loop(preset("orbit-left", num_frames=17))
    around = np.concatenate([closed.Ts_world_camera, closed.Ts_world_camera[:1]])
    np.testing.assert_allclose(step_lengths(around), step_lengths(around)[0], rtol=2e-3)


@given(SEEDS)
def test_the_way_back_of_a_closed_path_is_a_step_like_the_others(seed):
    path = wandering(seed, source=0)
    around = step_lengths(close_loop(path).Ts_world_camera[[*range(9), 0]])
    assert around[-1] < 3 * np.median(around)


@pytest.mark.parametrize("easing", EASINGS)
def test_easings_run_from_0_to_1_and_only_forwards(easing):
    u = np.linspace(0, 1, 101)
    eased = ease(u, easing)
    assert eased[0] == 0 and eased[-1] == 1 and (np.diff(eased) >= 0).all()
    starts_at_rest, ends_at_rest = eased[1] < 0.005, 1 - eased[-2] < 0.005
    assert (starts_at_rest, ends_at_rest) == (
        easing in ("ease in", "ease in-out"),
        easing in ("ease out", "ease in-out"),
    )


def test_constant_speed_makes_the_steps_of_an_uneven_path_even():
    even = preset("arc-left", num_frames=33)
    uneven = replace(even.interpolated(32 * np.linspace(0, 1, 33) ** 2), source=0)
    lengths = step_lengths(retime(uneven, "constant speed").Ts_world_camera)
    assert lengths.std() < 0.01 * lengths.mean() < step_lengths(uneven.Ts_world_camera).std()


def test_ease_in_out_of_a_straight_line_is_its_cubic():
    line = preset("truck-right", num_frames=9)
    eased = retime(line, "ease in-out")
    u = np.linspace(0, 1, 9)
    np.testing.assert_allclose(eased.centres[:, 0], line.centres[-1, 0] * u**2 * (3 - 2 * u), atol=1e-9)


def test_a_still_path_has_nothing_to_retime_and_nothing_to_close():
    still = preset("static", num_frames=9)
    for easing in EASINGS:
        np.testing.assert_allclose(retime(still, easing).Ts_world_camera, still.Ts_world_camera, atol=1e-12)
    assert close_loop(still) == still


def test_an_unknown_easing_is_refused():
    with pytest.raises(ValueError, match="easing must be one of linear.*'bounce'"):
        ease(0.5, "bounce")  # pyright: ignore[reportArgumentType]


@given(SEEDS, st.floats(0.2, 5))
def test_a_move_about_a_pivot_keeps_distances_to_it(seed, angle):
    path, pivot = wandering(seed, source=0), np.array([0.3, -0.2, 1.0])
    turn = se3.from_rotation_translation(Rotation.from_rotvec([0, angle, 0]).as_matrix(), np.zeros(3))
    moved = move_all(path, turn, pivot)
    distance = np.linalg.norm(path.centres - pivot, axis=1)
    np.testing.assert_allclose(np.linalg.norm(moved.centres - pivot, axis=1), distance, rtol=1e-9)


def test_reach_lets_a_shift_grow_from_nothing_to_the_whole():
    path = preset("static", num_frames=33)
    moved = move_all(path, se3.from_rotation_translation(np.eye(3), (1.0, 0, 0)), reach=4.0)
    distance = np.arange(33)
    np.testing.assert_allclose(moved.centres[:, 0], 1 - np.exp(-2 * (distance / 4) ** 2), atol=1e-12)


@given(SEEDS, st.floats(0.3, 3))
def test_scaling_back_restores_the_centres(seed, factor):
    path = wandering(seed)
    there = scale_about(path, factor, (0.1, 0.2, 1.0), reach=3.0)
    back = scale_about(there, 1 / factor, (0.1, 0.2, 1.0), reach=3.0)
    np.testing.assert_allclose(back.centres, path.centres, atol=1e-9)
    np.testing.assert_array_equal(there.Ts_world_camera[:, :3, :3], path.Ts_world_camera[:, :3, :3])


@given(SEEDS)
def test_all_but_the_source_see_the_point_in_the_middle(seed):
    path, target = wandering(seed), np.array([0.4, 0.1, 2.0])
    after = look_at_point(path, target)
    np.testing.assert_array_equal(after.centres, path.centres)
    for i in range(len(path)):
        if i != path.source:
            seen = after.Ts_world_camera[i, :3, :3].T @ (target - after.centres[i])
            np.testing.assert_allclose(seen[:2], 0, atol=1e-9)
            assert seen[2] > 0


def test_a_camera_that_stands_at_the_point_is_named():
    path = preset("dolly-in", num_frames=3)
    with pytest.raises(ValueError, match="frame 2 stands at"):
        look_at_point(path, path.centres[2])


@given(SEEDS, st.floats(0.2, 2.5), st.floats(0.5, 10))
def test_another_field_of_view_is_read_back_and_shared_with_neighbours(seed, fov, radius):
    path = wandering(seed, source=0)
    after = set_field_of_view(path, 4, fov, radius)
    np.testing.assert_allclose(after.fov_y_rad[4], fov, rtol=1e-9)
    gain = np.log(after.intrinsics[:, 0] / path.intrinsics[:, 0])
    weights = np.exp(-2 * ((np.arange(9) - 4) / radius) ** 2)
    np.testing.assert_allclose(gain[1:], gain[4] * weights[1:], atol=1e-9)
    assert gain[0] == 0


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda path: set_field_of_view(path, 0, 1.0), "frame 0 is the source"),
        (lambda path: set_field_of_view(path, 3, 60.0), r"\(0, pi\), got 60.0; degrees"),
        (lambda path: set_field_of_view(path, 3, 1.0, radius=0.0), "radius must be a positive"),
        (lambda path: scale_about(path, 0.0), "factor must be above 0"),
        (lambda path: scale_about(path, 2.0, (0, np.nan, 0)), "pivot must be a finite point"),
        (lambda path: move_all(path, np.eye(4) * 2), "T"),
        (lambda path: move_all(path, np.eye(4), reach=-1.0), "reach must be a positive"),
        (lambda path: close_loop(path.interpolated([0.0, 1.0])), "at least 3 frames"),
    ],
)
def test_what_cannot_be_done_is_said(edit, sentence):
    with pytest.raises(ValueError, match=sentence):
        edit(wandering(1, source=0))


@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
def test_angles_read_back(yaw, pitch, roll):
    np.testing.assert_allclose(
        angles_from_rotation(rotation_from_angles(yaw, pitch, roll)), (yaw, pitch, roll), atol=1e-7
    )


def test_angles_mean_what_they_say():
    right, up = rotation_from_angles(0.1, 0, 0)[:, 2], rotation_from_angles(0, 0.1, 0)[:, 2]
    assert right[0] > 0 and up[1] < 0, "+x is right, +y is down"
    assert rotation_from_angles(0, 0, 0.1)[:, 0][1] > 0, "clockwise: the camera's right sinks"
    yaw, pitch, roll = angles_from_rotation(rotation_from_angles(0.3, np.pi / 2, 0.0))
    assert pitch == pytest.approx(np.pi / 2) and roll == 0 and yaw == pytest.approx(0.3)
