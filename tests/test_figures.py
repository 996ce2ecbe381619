"""The paper's layout: pictures in their places, and cameras of both paths that fall together when equal."""

from dataclasses import replace

import numpy as np
import pytest

from rap.data import raxels_to_u8
from rap.figures import GAP, NOW, PREDICTED, REFERENCE, aligned_to, draw_cameras, paper_layout
from rap.geometry import cameras_to_raxels, preset

SIZE = (48, 64)
PATH = preset("arc-left", num_frames=5, image_size=SIZE)


def frames():
    return np.random.default_rng(0).integers(0, 255, (5, *SIZE, 3), dtype=np.uint8)


def maps(path):
    return raxels_to_u8(np.asarray(cameras_to_raxels(path.Ts_world_camera, path.intrinsics, SIZE)))


def test_maps_and_cameras_are_in_their_places():
    other = preset("truck-left", num_frames=5, image_size=SIZE)
    picture = paper_layout(frames(), PATH, other)
    tall = 2 * 48 + GAP
    left = round(64 * tall / 48) + GAP
    assert picture.shape == (5, tall, left + 64 + GAP + tall, 3)
    np.testing.assert_array_equal(picture[:, :48, left : left + 64], maps(PATH))
    np.testing.assert_array_equal(picture[:, 48 + GAP :, left : left + 64], maps(aligned_to(PATH, other)))
    np.testing.assert_array_equal(picture[:, :, -tall:], draw_cameras(PATH, aligned_to(PATH, other), tall))


def test_without_a_reference_the_maps_stand_alone():
    tall = 2 * 48 + GAP
    left = round(64 * tall / 48) + GAP
    column = paper_layout(frames(), PATH)[:, :, left : left + 64]
    np.testing.assert_array_equal(column[:, tall // 4 : tall // 4 + 48], maps(PATH))
    assert (column[:, : tall // 4] == 255).all() and (column[:, tall // 4 + 48 :] == 255).all()


def near(pictures, colour):
    return int((np.abs(pictures.astype(int) - colour).max(axis=-1) < 40).sum())


def test_a_reference_in_another_unit_falls_on_the_prediction_and_another_path_does_not():
    same = draw_cameras(PATH, aligned_to(PATH, PATH.scaled(3.0)), 120)
    other = draw_cameras(PATH, aligned_to(PATH, preset("truck-left", num_frames=5, image_size=SIZE)), 120)
    assert near(other, REFERENCE) > 3 * near(same, REFERENCE)
    assert near(same, PREDICTED) > 50 and all(near(picture, NOW) > 20 for picture in same)
    np.testing.assert_allclose(aligned_to(PATH, PATH.scaled(3.0)).centres, PATH.centres, atol=1e-12)


def test_a_camera_that_stands_still_is_drawn():
    still = preset("static", num_frames=5, image_size=SIZE)
    assert near(paper_layout(frames(), still, still), NOW) > 20


def test_what_was_made_of_the_video_is_the_last_column():
    made = np.full((5, 90, 160, 3), 77, np.uint8)
    alone, beside = paper_layout(frames(), PATH), paper_layout(frames(), PATH, made_u8=made)
    np.testing.assert_array_equal(beside[:, :, : alone.shape[2]], alone)
    column = beside[:, :, alone.shape[2] + GAP :]
    assert (column == 77).all() and column.shape[2] == round(160 * column.shape[1] / 90)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="predicted must be cameras of 5 frames"):
        paper_layout(frames(), preset("arc-left", num_frames=9, image_size=SIZE))
    with pytest.raises(ValueError, match="reference must be cameras of 5 frames of"):
        paper_layout(frames(), PATH, replace(PATH, image_size=(64, 48)))
