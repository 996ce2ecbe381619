"""Which point a click means: the nearest under the pointer, the picture's plane without points, or none."""

import numpy as np
import pytest

from rap.geometry import preset
from ui.document.picking import picked_point, places_of, ray_of

POINTS = np.array([[0.0, 0.0, 2.0], [0.0, 0.01, 1.0], [0.5, 0.0, 1.0], [0.0, 0.0, -1.0]])


def test_the_nearest_under_the_pointer():
    assert picked_point(POINTS, (0, 0, 0), (0, 0, 3)) == (0.0, 0.01, 1.0)
    assert picked_point(POINTS, (0, 0, 0), (0.5, 0, 1)) == (0.5, 0.0, 1.0)
    assert picked_point(POINTS, (0, 0, 4), (0, 0, -1)) == (0.0, 0.0, 2.0)


def test_the_picture_at_unit_depth_where_there_are_no_points():
    assert picked_point(None, (1.0, 2.0, -1.0), (-0.5, 0.0, 1.0)) == pytest.approx((0.0, 2.0, 1.0))


@pytest.mark.parametrize("points", [POINTS, None])
def test_nothing_is_said_so(points):
    with pytest.raises(ValueError, match="there is no point"):
        picked_point(points, (0, 0, 0), (0, 1, 0))


def test_a_point_is_seen_where_its_ray_goes_through_the_picture():
    path, point = preset("arc-left", image_size=(96, 128)), (0.2, -0.1, 1.5)
    for index, (x, y) in enumerate(places_of(path, point)):
        origin, direction = ray_of(path, index, x, y)
        along = (np.array(point) - origin) / direction
        np.testing.assert_allclose(along, along[0])
    assert np.isnan(places_of(path, (0.0, 0.0, -1.0))[0]).all(), "behind the camera"
