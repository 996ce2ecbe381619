"""Presets fitted to what one picture shows, before a wall across the way."""

from __future__ import annotations

import numpy as np
import pytest

from rap.geometry import PRESETS, Trajectory, preset
from rap.views.fitting import KEPT_CLEAR, fitted_path, fitted_preset, is_clear, too_near

LENS = {"num_frames": 9, "image_size": (96, 128), "fov_y_rad": 0.9}


class Wall:
    """A surface across the source camera's way at a depth; what is in the middle of the picture is at another."""

    def __init__(self, depth: float, middle: float = 0.8, filmed: float = 99.0, straight: float = 99.0) -> None:
        self.depth, self.middle, self.filmed, self.straight = depth, middle, filmed, straight

    def centre_depth(self) -> float:
        return self.middle

    def clearance(self, trajectory: Trajectory) -> np.ndarray:
        return np.maximum(0.0, self.depth - trajectory.centres[:, 2])

    def is_open(self, trajectory: Trajectory) -> bool:
        return bool(np.abs(trajectory.centres).max() > self.filmed)

    def bent_share(self, trajectory: Trajectory) -> float:
        return float(np.linalg.norm(trajectory.centres, axis=1).max() > self.straight)


def turned_deg(path: Trajectory) -> float:
    return float(np.degrees(np.arccos((np.trace(path.Ts_world_camera[-1, :3, :3]) - 1) / 2)))


def test_sizes_are_those_of_the_papers_walks():
    for name in ("arc-left", "arc-right"):
        assert turned_deg(fitted_preset(Wall(9.0), name, **LENS).trajectory) == pytest.approx(20)
    for name in ("zoom-in", "zoom-out", "dolly-in", "truck-left", "pedestal-up"):
        fitted = fitted_preset(Wall(9.0), name, **LENS)
        assert np.linalg.norm(fitted.trajectory.centres[-1]) == pytest.approx(0.3 * 0.8, abs=0.01), name
        assert fitted.note == ""


def test_the_pivot_is_what_is_in_the_middle_unless_another_is_named():
    for distance, expected in ((None, 0.8), (2.0, 2.0)):
        path = fitted_preset(Wall(9.0), "arc-right", pivot_distance=distance, **LENS).trajectory
        centre = path.Ts_world_camera[-1] @ [0, 0, expected, 1]
        np.testing.assert_allclose(centre[:3], [0, 0, expected], atol=1e-9)


def test_a_horizon_in_the_middle_is_no_pivot():
    path = fitted_preset(Wall(99.0, middle=7.0), "arc-right", **LENS).trajectory
    centre = path.Ts_world_camera[-1] @ [0, 0, 1.5, 1]
    np.testing.assert_allclose(centre[:3], [0, 0, 1.5], atol=1e-9)


def test_a_film_bears_presets_whole():
    for name in ("arc-left", "orbit-left"):
        fitted = fitted_preset(Wall(99.0), name, of_film=True, **LENS)
        whole = preset(name, pivot_distance=0.8, **LENS)
        assert fitted.trajectory == whole and fitted.note == ""


def test_a_film_that_shows_little_beside_its_own_way_bears_what_a_picture_does():
    for name, words in (("arc-left", "67% of its usual size: the film"), ("orbit-left", "the film shows one side")):
        fitted = fitted_preset(Wall(99.0, filmed=0.3), name, of_film=True, **LENS)
        assert fitted.trajectory == fitted_preset(Wall(99.0), name, **LENS).trajectory and words in fitted.note
    asked = fitted_preset(Wall(99.0, filmed=0.3), "arc-left", of_film=True, by=25.0, **LENS)
    assert turned_deg(asked.trajectory) == pytest.approx(25), "what is asked for is done"


def test_a_move_is_smaller_where_it_would_bend_what_is_straight():
    whole = fitted_preset(Wall(9.0), "arc-left", **LENS)
    reach = float(np.linalg.norm(whole.trajectory.centres[-1]))
    some = fitted_preset(Wall(9.0, straight=0.7 * reach), "arc-left", **LENS)
    assert turned_deg(some.trajectory) == pytest.approx(0.64 * 20)
    assert some.note == "arc-left is made 64% of its usual size: more would bend what is straight in the picture."
    least = fitted_preset(Wall(9.0, straight=0.0), "arc-left", **LENS)
    assert turned_deg(least.trajectory) == pytest.approx(0.512 * 20, abs=0.1), "no less, whatever bends"
    half = fitted_preset(Wall(9.0, straight=0.0), "arc-left", amplitude=0.5, **LENS)
    assert turned_deg(half.trajectory) == pytest.approx(10) and half.note == "", "what is small enough stays"
    asked = fitted_preset(Wall(9.0, straight=0.0), "arc-left", by=20.0, **LENS)
    assert turned_deg(asked.trajectory) == pytest.approx(20) and asked.note == "", "what is asked for is done"
    sampled = fitted_path(Wall(9.0, straight=0.7 * reach), whole.trajectory)
    assert sampled.note == "The path is 64% of what was sampled: more would bend what is straight in the picture."


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_comes_close_to_a_surface_by_itself(name):
    scene = Wall(0.3)
    fitted = fitted_preset(scene, name, **LENS)
    assert (scene.clearance(fitted.trajectory) >= KEPT_CLEAR * 0.3).all()
    is_smaller = fitted.note.startswith(f"{name} is made ")
    whole = fitted_preset(Wall(99.0), name, **LENS).trajectory
    assert is_smaller == (not is_clear(scene, whole)), "said exactly where it had to be"
    assert fitted_preset(scene, name, amplitude=0.0, **LENS).trajectory == preset(
        name, amplitude=0, pivot_distance=0.8, **LENS
    )


def test_more_is_made_as_asked_and_told():
    scene = Wall(0.3)
    fitted = fitted_preset(scene, "dolly-in", amplitude=2.0, **LENS)
    assert fitted.trajectory == preset("dolly-in", amplitude=2.0, pivot_distance=0.8, **LENS)
    assert fitted.note == "From frame 5 on the path leads through what the picture shows; take a smaller amplitude."
    assert fitted_preset(Wall(9.0), "dolly-in", amplitude=2.0, **LENS).note == ""


def test_an_orbit_says_that_it_is_none():
    assert "turns by 40 degrees only" in fitted_preset(Wall(9.0), "orbit-left", **LENS).note


def test_a_sampled_path_moves_less_before_a_surface():
    path = preset("dolly-in", **LENS)
    assert fitted_path(Wall(9.0), path).trajectory is path
    scene = Wall(0.3)
    fitted = fitted_path(scene, path)
    assert is_clear(scene, fitted.trajectory) and "64% of what was sampled" in fitted.note
    assert too_near(scene, fitted.trajectory) == ""
