"""The Trajectory is a value: immutable, checked, comparable, hashed alike everywhere; its splines end on their keys."""

import copy
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap.geometry import PRESETS, Trajectory, intrinsics_from_fov, preset, se3
from rap.geometry.presets import AROUND, GOES, amplitude_of

SIZE = (48, 64)


def random_path(seed=0, frames=6, source=0, spread=0.5):
    rng = np.random.default_rng(seed)
    poses = se3.exp(spread * rng.normal(size=(frames, 6)))
    intrinsics = np.tile(intrinsics_from_fov(1.0, SIZE), (frames, 1))
    intrinsics[:, :2] *= rng.uniform(0.8, 1.2, size=(frames, 1))
    return Trajectory(poses, intrinsics, SIZE, fps=12.0).relative_to(source)


def test_a_trajectory_cannot_be_changed_from_outside():
    poses, intrinsics = np.tile(np.eye(4), (3, 1, 1)), np.tile([50.0, 50, 32, 24], (3, 1))
    path = Trajectory(poses, intrinsics, SIZE)
    before = path.hash
    poses[0] = intrinsics[0] = 7
    assert path.hash == before and path == Trajectory(np.tile(np.eye(4), (3, 1, 1)), path.intrinsics, SIZE)
    for array in (path.Ts_world_camera, path.intrinsics, path.centres, copy.deepcopy(path).Ts_world_camera):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(FrozenInstanceError):
        path.fps = 1.0


def test_equality_and_hash_cover_every_field():
    path = random_path()
    assert path == copy.deepcopy(path) and hash(path) == hash(copy.deepcopy(path)) and len({path, random_path()}) == 1
    poses, intrinsics = path.Ts_world_camera.copy(), path.intrinsics.copy()
    poses[2, 0, 3] = np.nextafter(poses[2, 0, 3], 9)
    intrinsics[1, 0] = np.nextafter(intrinsics[1, 0], 1e9)
    others = [
        replace(path, Ts_world_camera=poses),
        replace(path, intrinsics=intrinsics),
        replace(path, image_size=(64, 48)),
        replace(path, fps=13.0),
        replace(path, source=1),
    ]
    assert len({path.hash, *(other.hash for other in others)}) == 6
    assert all(path != other for other in others) and path != "path"


def test_negative_zero_is_zero():
    path = preset("static", num_frames=2)
    assert replace(path, Ts_world_camera=path.Ts_world_camera * [[1, -1, 1, 1]] * [[1], [-1], [1], [1]]) == path


def test_hash_is_the_same_in_every_process():
    code = "from rap.geometry import preset; print(preset('static', image_size=(64, 64), fov_y_rad=1.0).hash)"
    here = preset("static", image_size=(64, 64), fov_y_rad=1.0).hash
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there and len(here) == 16


def test_units_of_the_properties():
    path = preset("truck-right", num_frames=3, image_size=(96, 128), fov_y_rad=0.8)
    np.testing.assert_allclose(path.fov_y_rad, 0.8)
    np.testing.assert_allclose(path.centres, [[0, 0, 0], [0.15, 0, 0], [0.3, 0, 0]])
    assert len(path) == 3


def test_resized_relative_scaled():
    path = random_path()
    half = path.resized((24, 32))
    np.testing.assert_allclose(half.intrinsics * 2, path.intrinsics)
    np.testing.assert_allclose(half.fov_y_rad, path.fov_y_rad)
    assert path.relative_to(path.source) == path.resized(SIZE) == path, "what is shown is what the model gets"
    moved = path.relative_to(3)
    assert moved.source == 3 and np.array_equal(moved.Ts_world_camera[3], np.eye(4))
    np.testing.assert_allclose(moved.relative_to(0).Ts_world_camera, path.Ts_world_camera, atol=1e-12)
    np.testing.assert_allclose(path.scaled(2).centres, 2 * path.centres)
    assert path.scaled(1) == path
    with pytest.raises(ValueError, match=r"frame index must lie in \[0, 5\], got -1"):
        path.relative_to(-1)
    with pytest.raises(ValueError, match="factor must be positive"):
        path.scaled(0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Ts_world_camera": np.eye(4)}, r"Ts_world_camera must have shape \(frames, 4, 4\)"),
        ({"Ts_world_camera": np.zeros((0, 4, 4))}, "with a frame at least"),
        ({"Ts_world_camera": np.full((2, 4, 4), np.nan)}, r"Ts_world_camera\[0\] must be finite"),
        (
            {"Ts_world_camera": np.stack([np.eye(4), np.diag([1.0, 1, -1, 1])])},
            r"Ts_world_camera\[1\].*determinant \+1",
        ),
        ({"intrinsics": np.ones((3, 4))}, r"intrinsics must have shape \(2, 4\), one row a pose, got \(3, 4\)"),
        ({"intrinsics": np.array([[1.0, 1, 0, 0], [1, 0, 0, 0]])}, r"intrinsics\[1\].*positive focal"),
        ({"intrinsics": np.array([[1.0, 1, 0, 0], [1, 1, np.inf, 0]])}, r"intrinsics\[1\] must be finite"),
        ({"image_size": (0, 64)}, "image_size must be a positive"),
        ({"fps": float("nan")}, "fps must be positive, got nan"),
        ({"source": 2}, "source must be the index of one of the 2 frames, got 2"),
    ],
)
def test_what_is_no_trajectory_is_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(preset("static", num_frames=2), **changes)


@given(st.integers(1, 7), st.integers(2, 40), st.integers(0, 6), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_splines_end_on_their_keys_and_keep_the_source(count, num_frames, source, tension):
    keys = random_path(count, frames=count, source=min(source, count - 1))
    path = Trajectory.from_keys(keys, num_frames, tension=tension)
    assert len(path) == num_frames and path.fps == keys.fps
    assert np.array_equal(path.Ts_world_camera[0], keys.Ts_world_camera[0])
    assert np.array_equal(path.Ts_world_camera[-1], keys.Ts_world_camera[-1])
    assert np.array_equal(path.intrinsics[-1], keys.intrinsics[-1])
    if num_frames > 2:
        assert np.array_equal(path.Ts_world_camera[path.source], np.eye(4))


def test_splines_pass_through_their_keys_at_their_times():
    keys = random_path(frames=4)
    path = Trajectory.from_keys(keys, 13, times=[0, 1, 4, 6])
    assert np.array_equal(path.Ts_world_camera[[0, 2, 8, 12]], keys.Ts_world_camera)
    assert np.array_equal(path.intrinsics[[0, 2, 8, 12]], keys.intrinsics)
    assert Trajectory.from_keys(keys, 4) == keys and Trajectory.from_keys(keys, 1) == Trajectory.from_keys(
        replace(keys, Ts_world_camera=keys.Ts_world_camera[:1], intrinsics=keys.intrinsics[:1]), 1
    )


def test_splines_are_smooth():
    """C1: the velocity before and after a key agree, as finite differences show."""
    keys = random_path(frames=4, spread=0.8)
    for key in (1, 2):
        gaps = []
        for step in (1e-2, 1e-3):
            before, at, after = keys.interpolated([key - step, key, key + step]).Ts_world_camera
            gap = se3.log(se3.inverse(before) @ at) - se3.log(se3.inverse(at) @ after)
            gaps.append(np.abs(gap).max() / step)
        assert gaps[1] < 0.15 * gaps[0], "the jump of the velocity vanishes with the step"


def test_splines_do_not_depend_on_the_world():
    keys = random_path(frames=4)
    moved = keys.relative_to(2)
    here, there = Trajectory.from_keys(keys, 9), Trajectory.from_keys(replace(moved, source=0), 9)
    expected = moved.Ts_world_camera[0] @ here.Ts_world_camera
    np.testing.assert_allclose(there.Ts_world_camera, expected, atol=1e-12)


def test_two_keys_give_the_geodesic_and_arcs_stay_arcs():
    keys = random_path(frames=2)
    expected = se3.interpolate(*keys.Ts_world_camera, np.linspace(0, 1, 9))
    np.testing.assert_allclose(Trajectory.from_keys(keys, 9).Ts_world_camera, expected, atol=1e-12)
    arc = Trajectory.from_keys(preset("arc-left", num_frames=4), 13)
    np.testing.assert_allclose(arc.Ts_world_camera, preset("arc-left", num_frames=13).Ts_world_camera, atol=1e-12)


def test_focal_lengths_run_monotone_between_keys():
    keys = preset("static", num_frames=4)
    intrinsics = keys.intrinsics.copy()
    intrinsics[:, :2] *= np.array([1.0, 1.0, 5.0, 5.0])[:, None]
    focal = Trajectory.from_keys(replace(keys, intrinsics=intrinsics), 31).intrinsics[:, 0]
    assert (np.diff(focal) >= -1e-9).all() and focal[0] == intrinsics[0, 0] and focal[-1] == intrinsics[-1, 0]


def test_interpolated_names_its_source():
    path = random_path(source=2)
    between = path.interpolated([0.5, 1.9, 5.0])
    assert len(between) == 3 and between.source == 1
    assert np.array_equal(between.Ts_world_camera[2], path.Ts_world_camera[5])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda keys: Trajectory.from_keys(keys, 0), "num_frames must be at least 1, got 0"),
        (lambda keys: Trajectory.from_keys(keys, 5, times=[0, 1, 1]), "times must be 3 increasing numbers"),
        (lambda keys: Trajectory.from_keys(keys, 5, times=[0, 1]), "times must be 3 increasing numbers"),
        (lambda keys: Trajectory.from_keys(keys, 5, tension=2), r"tension must lie in \[0, 1\], got 2"),
        (lambda keys: keys.interpolated([0.0, 2.1]), r"frame_times must be numbers in \[0, 2\]"),
        (lambda keys: keys.interpolated([]), "frame_times"),
    ],
)
def test_wrong_times_are_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(random_path(frames=3))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("num_frames", [1, 2, 17])
def test_presets_start_at_the_source_and_scale_to_nothing(name, num_frames):
    path = preset(name, num_frames=num_frames, image_size=(96, 160), amplitude=0.8, fps=24)
    assert len(path) == num_frames and path.image_size == (96, 160) and path.source == 0 and path.fps == 24
    assert np.array_equal(path.Ts_world_camera[0], np.eye(4))
    assert preset(name, num_frames=num_frames, amplitude=0) == preset("static", num_frames=num_frames)
    if num_frames == 17 and name != "static":
        assert path != preset("static", image_size=(96, 160), fps=24)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_move_at_constant_speed_or_smoothly(name):
    steps = np.linalg.norm(np.diff(preset(name, num_frames=65).centres, axis=0), axis=1)
    assert steps.max() < 0.12 and np.abs(np.diff(steps)).max() < 0.02


@pytest.mark.parametrize("name", ["arc-left", "arc-right", "orbit-left", "orbit-right", "spiral", "lemniscate"])
@pytest.mark.parametrize("pivot_distance", [1.0, 2.5])
def test_the_pivot_stays_in_the_middle(name, pivot_distance):
    path = preset(name, pivot_distance=pivot_distance)
    pivots_camera = se3.inverse(path.Ts_world_camera) @ [0, 0, pivot_distance, 1]
    np.testing.assert_allclose(pivots_camera[:, :2], 0, atol=1e-12)
    if "arc" in name or "orbit" in name:
        np.testing.assert_allclose(pivots_camera[:, 2], pivot_distance)


def test_presets_go_the_way_they_say():
    def end(name):
        return preset(name).Ts_world_camera[-1]

    for left, right in (("arc-left", "arc-right"), ("truck-left", "truck-right")):
        assert end(left)[0, 3] < 0 < end(right)[0, 3]
    assert preset("orbit-left").centres[1, 0] < 0 < preset("orbit-right").centres[1, 0]
    assert end("pan-left")[0, 2] < 0 < end("pan-right")[0, 2]
    assert end("pedestal-up")[1, 3] < 0 < end("pedestal-down")[1, 3]
    assert end("tilt-up")[1, 2] < 0 < end("tilt-down")[1, 2]
    assert end("roll-left")[1, 0] < 0 < end("roll-right")[1, 0], "rolling left lifts the camera's right side"
    for ahead, back in (("zoom-in", "zoom-out"), ("dolly-in", "dolly-out")):
        assert end(back)[2, 3] < 0 < end(ahead)[2, 3] < 1
    np.testing.assert_allclose(preset("zoom-in", pivot_distance=3).centres[-1], [0, 0, 1.5])
    assert preset("zoom-in", amplitude=50).centres[-1, 2] <= 1
    for loop in ("orbit-left", "orbit-right", "lemniscate"):
        np.testing.assert_allclose(end(loop), np.eye(4), atol=1e-12)


@pytest.mark.parametrize("name", [*AROUND, "zoom-in", "zoom-out", "dolly-zoom", "spiral", "lemniscate"])
def test_a_pivot_beside_the_axis_stays_where_the_first_image_has_it(name):
    pivot = (0.4, 0.3, 1.6)
    path = preset(name, pivot=pivot)
    in_camera = se3.inverse(path.Ts_world_camera) @ [*pivot, 1]
    heading = in_camera[:, 0] / in_camera[:, 2]
    np.testing.assert_allclose(heading, 0.25, atol=1e-9)
    np.testing.assert_array_equal(path.Ts_world_camera[0], np.eye(4))
    if name in AROUND:
        np.testing.assert_allclose(path.centres[:, 1], 0, atol=1e-12, err_msg="at the source's height")
    np.testing.assert_allclose(in_camera[:, 1] / in_camera[:, 2], 0.1875, atol=1e-9)


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_pivot_on_the_axis_is_the_pivot_at_its_distance(name):
    on_axis = preset(name, pivot=(0.0, 0.0, 2.5), amplitude=0.7)
    np.testing.assert_allclose(
        on_axis.Ts_world_camera, preset(name, pivot_distance=2.5, amplitude=0.7).Ts_world_camera, atol=1e-12
    )


def test_a_move_is_as_large_as_its_angle_or_its_way_says():
    path = preset("orbit-left", amplitude=amplitude_of("orbit-left", 90))
    np.testing.assert_allclose(se3.rotation_angle(path.Ts_world_camera[-1, :3, :3]), np.radians(90))
    for name in GOES:
        path = preset(name, amplitude=amplitude_of(name, 40), pivot_distance=2.0)
        np.testing.assert_allclose(np.linalg.norm(path.centres[-1]), 0.8, err_msg=name)
    for name, by, words in (("spiral", 1, "spiral is neither a turn nor a way"), ("zoom-in", 100, "below 100 %")):
        with pytest.raises(ValueError, match=words):
            amplitude_of(name, by)


def test_dolly_zoom_keeps_the_pivot_plane_in_size():
    path = preset("dolly-zoom", pivot_distance=2.0)
    size_px = path.intrinsics[:, 0] / (2.0 - path.centres[:, 2])
    np.testing.assert_allclose(size_px, size_px[0])
    assert path.fov_y_rad[-1] > path.fov_y_rad[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "arc"}, "preset must be one of static, arc-left"),
        ({"num_frames": 0}, "num_frames must be at least 1, got 0"),
        ({"amplitude": float("inf")}, "amplitude must be -100 to 100, got inf"),
        ({"pivot": (0.0, 0.0, -1.0)}, "pivot must lie ahead of the source camera"),
        ({"pivot_distance": 0.0}, "pivot_distance must be positive, got 0.0"),
        ({"fov_y_rad": 55}, r"fov_y_rad must lie in \(0, pi\), got 55; degrees\?"),
    ],
)
def test_wrong_presets_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        preset(**{"name": "static", **arguments})
