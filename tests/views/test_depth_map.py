"""The depth map's file and picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from rap.views.depth_map import FARTHEST, STEPS_A_UNIT, depth_picture, depth_u16, write_depth_png


def inverse_depth(size=(12, 20)) -> np.ndarray:
    """Rows from far above to near below, the median at 4."""
    return np.repeat(np.linspace(0.1, 0.4, size[0])[:, None], size[1], axis=1).astype(np.float32)


def test_the_file_says_how_it_is_read(tmp_path):
    given = inverse_depth()
    write_depth_png(tmp_path / "depth.png", given, math.radians(40))
    with Image.open(tmp_path / "depth.png") as picture:
        values, text = np.asarray(picture), picture.text
    assert values.dtype == np.uint16 and values.shape == given.shape
    assert np.median(values) == pytest.approx(STEPS_A_UNIT, abs=1), "the unit is the median"
    depth = 1 / given
    np.testing.assert_allclose(values / float(text["Steps per unit"]), depth / np.median(depth), atol=1e-3)
    assert text["Depth"] == "value / 2000, along the optical axis; 65535: that far or farther"
    assert text["Vertical field of view"] == "40.00 degrees"


def test_what_does_not_fit_is_as_far_as_fits():
    given = inverse_depth()
    given[0], given[1] = 0.0, 1e-9
    values = depth_u16(given)
    assert (values[:2] == FARTHEST).all() and (values[2:] < FARTHEST).all() and values.min() > 0


def test_near_is_bright_in_the_picture():
    picture = depth_picture(inverse_depth()).astype(int).sum(axis=-1)
    assert picture[-1].min() > 500 and picture[0].max() < 30 and (np.diff(picture[:, 0]) > 0).all()
    assert (depth_picture(np.ones((4, 4), np.float32)) == depth_picture(np.ones((4, 4), np.float32))[0, 0]).all()
