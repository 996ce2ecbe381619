"""COLMAP's cameras in our gauge and unit, and what is said where it finds none or is not there."""

from dataclasses import replace

import numpy as np
import pytest
from analytic_scenes import FOV_Y_RAD, Plane, Sphere, World, path

from rap.metrics import pose_errors
from rap.reconstruction import colmap
from rap.reconstruction.colmap import refine_with_colmap

SIZE = (180, 240)
SCENE = World((Plane((0.3, 0.1, 1.0), 1.6), Sphere((-0.25, 0.1, 1.0), 0.25), Sphere((0.3, -0.1, 1.2), 0.3)))
TRUTH = path((0.5, -0.05, 0.1), (0.05, -0.45, 0.02), num_frames=7, size=SIZE)
AT = np.array([0, 3, 6])


@pytest.fixture(scope="module")
def film_u8():
    return SCENE.look(TRUTH)[0]


def start(source=0):
    still = np.tile(np.eye(4), (3, 1, 1))
    return replace(TRUTH, Ts_world_camera=still, intrinsics=TRUTH.intrinsics[:3], source=source)


@pytest.mark.parametrize("mapping", ["incremental", "global"])
def test_the_asked_frames_get_their_cameras(film_u8, mapping):
    found = refine_with_colmap(film_u8, AT, start(1), known_fov_y_rad=FOV_Y_RAD, mapping=mapping)
    errors = pose_errors(found.trajectory.Ts_world_camera, TRUTH.Ts_world_camera[AT])
    assert found.report.outcome == "refined" and found.report.verdict == "doubtful" and errors.auc30 > 0.9
    assert (found.trajectory.Ts_world_camera[1] == np.eye(4)).all()
    np.testing.assert_allclose(found.trajectory.fov_y_rad, FOV_Y_RAD)
    assert found.points is not None and set(np.unique(found.points.span)) <= {0, 1, 2}
    assert 0.7 < np.median(found.points.kept().in_front_depths(np.eye(4))) < 1.4
    assert f"COLMAP, {mapping} mapping: 7 of 7 frames" in found.report.reason


def test_frames_that_show_nothing_keep_the_given_path(film_u8):
    found = refine_with_colmap(np.full_like(film_u8, 90), AT, start())
    assert found.report.verdict == "failed" and "could not put the frames together" in found.report.reason
    assert found.trajectory == start()


def test_without_the_extra_a_sentence_says_what_to_install(film_u8, monkeypatch):
    monkeypatch.setattr(colmap, "is_installed", lambda: False)
    with pytest.raises(ValueError, match="pip install 'rays-as-pixels\\[eval\\]'"):
        refine_with_colmap(film_u8, AT, start())


def test_of_a_long_film_few_frames_are_matched_and_the_asked_ones_among_them():
    at = np.linspace(0, 299, 17).round().astype(int)
    used = colmap._used(300, at)
    assert len(used) <= colmap.MAPPED_FRAMES and set(at) <= set(used)
