"""Things that move by themselves are found where they are, and neither a scene at rest nor one lost track is one."""

import math
from dataclasses import replace

import numpy as np
import pytest
from analytic_scenes import FOV_Y_RAD, Plane, Sphere, World, observe, path

from rap.reconstruction.film import refine_film
from rap.reconstruction.moving import cell_counts, moving_cells, moving_words, shown_moving
from rap.reconstruction.tracks import Tracks

SIZE = (120, 160)
TRUTH = path((0.5, -0.05, 0.1), (0.05, -0.45, 0.02), num_frames=9, size=SIZE)
RNG = np.random.default_rng(0)
POINTS = np.column_stack([RNG.uniform(-0.6, 0.6, (600, 2)), RNG.uniform(1.2, 2.0, 600)])


def with_things(shift_px, which):
    """Points of a scene at rest, of which some are carried off by so many pixels a frame."""
    tracks = observe(POINTS, TRUTH, noise_px=0.2)
    away = np.isin(tracks.point, which)[:, None] * tracks.frame[:, None] * np.asarray(shift_px)
    return replace(tracks, xy=tracks.xy + away)


def cells_of(tracks: Tracks):
    inside = ((tracks.xy >= 0) & (tracks.xy < SIZE[::-1])).all(axis=1)
    return moving_cells(tracks.where(inside), TRUTH.Ts_world_camera, TRUTH.intrinsics)


def test_a_scene_at_rest_does_not_move():
    cells = cells_of(with_things((0, 0), []))
    assert cells.shape == (9, *cell_counts(SIZE)) == (9, 21, 28) and not cells.any()


def test_points_that_are_carried_off_together_are_found_where_they_are():
    thing = np.flatnonzero(np.abs(POINTS[:, :2] / POINTS[:, 2:] - [0.1, 0.1]).max(axis=1) < 0.1)
    tracks = with_things((-4.0, 2.0), thing)
    cells = cells_of(tracks)
    assert len(thing) > 20 and cells[1:6].any(axis=(1, 2)).all() and cells.mean() < 0.1
    rows, columns = np.nonzero(cells[4])
    seen = tracks.xy[(tracks.frame == 4) & np.isin(tracks.point, thing)] / SIZE[::-1] * cells.shape[:0:-1]
    away = np.abs(np.column_stack([columns, rows])[:, None] + 0.5 - seen).max(axis=-1).min(axis=1)
    assert away.max() < 1.5, "no further than the next cell"


def test_one_track_that_went_astray_is_no_thing():
    assert not cells_of(with_things((-4.0, 2.0), [5])).any()


def test_no_tracks_no_things():
    none = Tracks.build([], [], np.zeros((0, 2)), 9, SIZE)
    assert not moving_cells(none, TRUTH.Ts_world_camera, TRUTH.intrinsics).any()


@pytest.mark.parametrize(("share", "words"), [(math.nan, ""), (0.004, ""), (0.03, "At least 3% of the picture moves")])
def test_a_little_is_not_worth_saying(share, words):
    assert words in moving_words(share) and bool(words) == bool(moving_words(share))


def test_a_ball_that_rolls_through_a_film_is_shown():
    count = 17
    truth = path((0.5, -0.05, 0.1), (0.05, -0.45, 0.02), num_frames=count, size=SIZE)
    ball = np.linspace(0, 1, count)[:, None] * (0.3, -0.25, 0.0)
    surfaces = (Plane((0.3, 0.1, 1.0), 1.6), Sphere((-0.25, 0.1, 1.0), 0.25), Sphere((0.15, 0.05, 1.0), 0.2))
    film_u8 = World(surfaces, {2: ball}).look(truth)[0]
    at = np.arange(0, count, 4)
    start = replace(
        truth, Ts_world_camera=np.tile(np.eye(4), (len(at), 1, 1)), intrinsics=truth.intrinsics[: len(at)], source=0
    )
    found = refine_film(film_u8, at, start, known_fov_y_rad=FOV_Y_RAD)
    assert found.moving is not None and found.moving.shape == (5, 21, 28)
    assert found.report.moving_share == found.moving.mean() > 0.02 and "moves by itself" in found.report.reason
    shown = shown_moving(film_u8[at], found.moving)
    same = (shown == film_u8[at]).all(axis=-1)
    assert same[2].any() and same[2].mean() < 0.3, "most of it is dim"
