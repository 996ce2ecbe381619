"""Laws of a path held by keys: keys are its frames to the bit, the source keeps its index, ends are reached."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reshape import wandering

from rap.geometry import preset, se3
from rap.geometry.keys import KeyPath, key_path_error, simplify
from rap.geometry.reshape import EASINGS, step_lengths

SEEDS = st.integers(0, 2**31)


@st.composite
def key_paths(draw):
    """4 keys over 17 frames, the source any of them."""
    path = wandering(draw(SEEDS), frames=17, source=draw(st.integers(0, 16)))
    return simplify(path, draw(st.integers(4, 8)))


def held(frames: int = 17, count: int = 5) -> KeyPath:
    return simplify(preset("arc-left", num_frames=frames), count)


@given(key_paths(), st.sampled_from(EASINGS), st.sampled_from([0.0, 0.5, 1.0]))
def test_keys_are_frames_to_the_bit(keys, easing, tension):
    keys = KeyPath(keys.keys, keys.times, keys.num_frames, tension, easing)
    path = keys.trajectory
    assert len(path) == keys.num_frames and path.source == keys.source
    for key, frame in enumerate(keys.frames):
        if frame is not None:
            np.testing.assert_array_equal(path.Ts_world_camera[frame], keys.keys.Ts_world_camera[key])
            np.testing.assert_array_equal(path.intrinsics[frame], keys.keys.intrinsics[key])
    assert keys.frames[0] == 0 and keys.frames[-1] == keys.num_frames - 1
    np.testing.assert_array_equal(path.Ts_world_camera[path.source], np.eye(4))


def test_as_many_keys_as_frames_are_the_path():
    path = wandering(3, source=4)
    assert simplify(path, len(path)).trajectory == path


def test_more_keys_miss_less_and_an_arc_is_its_two_ends():
    spiral, arc = preset("spiral", num_frames=33), preset("arc-left", num_frames=33)
    misses = [key_path_error(simplify(spiral, count), spiral).distance for count in (3, 9, 17, 33)]
    assert misses == sorted(misses, reverse=True) and misses[-1] == 0
    two = key_path_error(simplify(arc, 2), arc)  # the geodesic between them
    assert two.distance < 1e-9 and two.angle_rad < 1e-7


@given(key_paths(), st.integers(0, 16))
def test_an_inserted_key_is_on_the_path_and_can_be_taken_away_again(keys, frame):
    if keys.key_at(frame) is not None:
        return
    before = keys.trajectory
    more, key = keys.inserted(keys.time_of(frame))
    assert more.key_at(frame) == key and len(more.times) == len(keys.times) + 1
    np.testing.assert_allclose(more.trajectory.Ts_world_camera[frame], before.Ts_world_camera[frame], atol=1e-9)
    less = more.deleted(key)
    assert less.times == keys.times
    np.testing.assert_array_equal(less.trajectory.Ts_world_camera, before.Ts_world_camera)


@given(key_paths(), SEEDS)
def test_a_placed_frame_is_where_it_was_put_and_the_source_stays(keys, seed):
    frame = (seed % 16) + 1
    if frame == keys.source:
        return
    T = se3.exp(0.3 * np.random.default_rng(seed).normal(size=6))
    after = keys.placed(frame, T).trajectory
    np.testing.assert_array_equal(after.Ts_world_camera[frame], T)
    np.testing.assert_array_equal(after.Ts_world_camera[keys.source], np.eye(4))


def test_a_placed_lens_is_read_back():
    after = held().placed(8, None, np.radians(30)).trajectory
    assert after.fov_y_rad[8] == pytest.approx(np.radians(30)) and after.fov_y_rad[0] == held().keys.fov_y_rad[0]


def test_a_duplicate_holds_the_camera_for_a_while():
    keys = held()
    more, key = keys.duplicated(2)
    assert more.times[key] == (keys.times[2] + keys.times[3]) / 2
    np.testing.assert_array_equal(more.keys.Ts_world_camera[key], keys.keys.Ts_world_camera[2])
    assert (
        step_lengths(more.trajectory.Ts_world_camera).min() < 0.2 * step_lengths(keys.trajectory.Ts_world_camera).min()
    )


def test_swapping_twice_is_nothing_and_once_exchanges_cameras_not_times():
    keys = held()
    once = keys.swapped(2, 4)
    assert once.times == keys.times
    np.testing.assert_array_equal(once.keys.Ts_world_camera[4], keys.keys.Ts_world_camera[2])
    assert once.swapped(2, 4).trajectory == keys.trajectory


def test_a_key_passed_later_is_reached_later():
    keys = held()
    later = keys.with_time(2, keys.times[3] - 1)
    assert later.frames[2] == keys.frames[3] - 1 > keys.frames[2]


def test_the_end_goes_to_the_neighbour_when_it_is_deleted():
    keys = held()
    less = keys.deleted(4)
    assert less.times[-1] == 16
    np.testing.assert_array_equal(less.trajectory.Ts_world_camera[16], keys.keys.Ts_world_camera[3])


def test_a_loop_of_an_orbit_passes_its_seam_evenly_and_opens_again():
    cameras = replace(preset("orbit-left", num_frames=33).interpolated(np.arange(0.0, 32.0, 4.0)), source=0)
    keys = KeyPath(cameras, tuple(np.linspace(0, 32, 8)[:-1]) + (32.0,), 33)  # seven eighths of the turn
    looped = keys.with_loop(True)
    poses = looped.trajectory.Ts_world_camera
    around = step_lengths(np.concatenate([poses, poses[:1]]))
    assert around.max() < 1.3 * around.min()
    opened = looped.with_loop(False)
    assert not opened.loop and opened.times[-1] == 32 and opened.with_loop(False) is opened


@pytest.mark.parametrize("easing", EASINGS)
def test_constant_speed_evens_the_steps_and_the_others_start_or_end_slowly(easing):
    keys = simplify(preset("arc-left", num_frames=33), 3)
    keys = KeyPath(keys.keys, (0.0, 24.0, 32.0), 33, easing=easing)
    steps = step_lengths(keys.trajectory.Ts_world_camera)
    if easing == "constant speed":
        assert steps.std() < 0.2 * steps.mean()
    if easing in ("ease in", "ease in-out"):
        assert steps[0] < 0.2 * steps.mean()
    if easing in ("ease out", "ease in-out"):
        assert steps[-1] < 0.5 * steps.mean()


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda keys: keys.with_camera(0, np.eye(4)), "key 0 is the source"),
        (lambda keys: keys.with_camera(9, np.eye(4)), "key must be 0 to 4, got 9"),
        (lambda keys: keys.with_camera(2, np.ones((4, 4))), "Ts_world_camera"),
        (lambda keys: keys.deleted(0), "cannot be deleted"),
        (lambda keys: keys.swapped(0, 2), "cannot be reordered"),
        (lambda keys: keys.with_time(2, 99), "between its neighbours' times"),
        (lambda keys: keys.with_time(4, 12), "key 4 is an end"),
        (lambda keys: keys.inserted(40), r"must lie in \[0, 16\], got 40"),
        (lambda keys: keys.inserted(keys.times[2]), "there is a key at time"),
        (lambda keys: keys.time_of(17), r"\[0, 16\], got 17"),
        (lambda keys: held(count=2).deleted(1), "2 keys at least"),
        (lambda keys: KeyPath(keys.keys, keys.times, 4), "keys must be 2 to 4"),
        (lambda keys: KeyPath(keys.keys, (0, 3, 2, 9, 16), 17), "increasing numbers"),
        (lambda keys: KeyPath(keys.keys, (0, 1, 2, 9, 15), 17), "begin at 0 and end at 16"),
        (lambda keys: KeyPath(keys.keys, keys.times, 17, tension=2), "tension must lie"),
        (lambda keys: simplify(keys.trajectory, 1), "keys must be 2 to 17"),
    ],
)
def test_what_cannot_be_done_is_said(act, sentence):
    with pytest.raises(ValueError, match=sentence):
        act(held())
