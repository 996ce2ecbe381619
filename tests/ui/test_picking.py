"""Which point a click means: the nearest under the pointer, the picture's plane without points, or none."""

import numpy as np
import pytest

from rap.geometry import preset
from ui.document.picking import picked_point, places_of, point_on_ray, ray_of

POINTS = np.array([[0.0, 0.0, 2.0], [0.0, 0.01, 1.0], [0.5, 0.0, 1.0], [0.0, 0.0, -1.0]])


def test_the_nearest_under_the_pointer():
    assert picked_point(POINTS, (0, 0, 0), (0, 0, 3)) == (0.0, 0.01, 1.0)
    assert picked_point(POINTS, (0, 0, 0), (0.5, 0, 1)) == (0.5, 0.0, 1.0)
    assert picked_point(POINTS, (0, 0, 4), (0, 0, -1)) == (0.0, 0.0, 2.0)


def test_the_picture_at_unit_depth_where_there_are_no_points():
    assert picked_point(None, (1.0, 2.0, -1.0), (-0.5, 0.0, 1.0)) == pytest.approx((0.0, 2.0, 1.0))


def test_in_a_picture_the_point_lies_where_it_was_clicked():
    assert point_on_ray(POINTS, (0, 0, 0), (0, 0, 3)) == (0.0, 0.0, 2.0), "not what is nearer beside it"
    x, y, z = point_on_ray(POINTS, (0, 0, 0), (0.505, 0, 1))
    assert x / z == pytest.approx(0.505) and y == 0 and z == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("pick", [picked_point, point_on_ray])
@pytest.mark.parametrize("points", [POINTS, None])
def test_nothing_is_said_so(points, pick):
    with pytest.raises(ValueError, match="there is no point"):
        pick(points, (0, 0, 0), (0, 1, 0))


def test_a_point_is_seen_where_its_ray_goes_through_the_picture():
    path, point = preset("arc-left", image_size=(96, 128)), (0.2, -0.1, 1.5)
    for index, (x, y) in enumerate(places_of(path, point)):
        origin, direction = ray_of(path, index, x, y)
        along = (np.array(point) - origin) / direction
        np.testing.assert_allclose(along, along[0])
    assert np.isnan(places_of(path, (0.0, 0.0, -1.0))[0]).all(), "behind the camera"
