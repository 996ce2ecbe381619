"""The pinhole camera agrees with itself: project and unproject, resize and crop, rays and pixels."""

import numpy as np
import pytest
import torch
from beartype import beartype
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import jaxtyped

from rap.geometry import camera

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(st.floats(0.01, 3.1), SIZES)
def test_field_of_view_reads_back(fov_y_rad, image_size):
    intrinsics = camera.intrinsics_from_fov(fov_y_rad, image_size)
    np.testing.assert_allclose(camera.fov_y_from_intrinsics(intrinsics, image_size[0]), fov_y_rad, rtol=1e-9)
    assert intrinsics[0] == intrinsics[1]


def test_degrees_are_refused():
    with pytest.raises(ValueError, match=r"fov_y_rad must lie in \(0, pi\), got 60; degrees\?"):
        camera.intrinsics_from_fov(60, (64, 64))
    with pytest.raises(ValueError, match="image_size"):
        camera.intrinsics_from_fov(1.0, (0, 64))


def test_a_ray_goes_through_its_pixel():
    intrinsics = torch.tensor([[30.0, 40.0, 7.0, 5.0], [9.0, 8.0, 3.5, 2.0]], dtype=torch.float64)
    rays = camera.ray_directions(intrinsics, (6, 8))
    assert rays.shape == (2, 6, 8, 3)
    torch.testing.assert_close(rays.norm(dim=-1), torch.ones(2, 6, 8, dtype=torch.float64))
    pixels = camera.project(rays.flatten(1, 2), intrinsics).unflatten(1, (6, 8))
    centres = camera.pixel_centres((6, 8), dtype=torch.float64)
    torch.testing.assert_close(pixels, centres.expand_as(pixels))
    assert centres[0, 0].tolist() == [0.5, 0.5] and centres[5, 7].tolist() == [7.5, 5.5]


def test_unproject_undoes_project():
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(3, 20, 3, generator=generator, dtype=torch.float64) + 0.2
    intrinsics = torch.tensor([30.0, 40.0, 7.0, 5.0], dtype=torch.float64).expand(3, 4)
    again = camera.unproject(camera.project(points, intrinsics), points[..., 2], intrinsics)
    torch.testing.assert_close(again, points)


@given(SIZES, SIZES)
def test_resize_keeps_the_relative_position(old_hw, new_hw):
    intrinsics = np.array([30.0, 40.0, 7.0, 5.0])
    resized = camera.resize_intrinsics(intrinsics, old_hw, new_hw)
    np.testing.assert_allclose(camera.resize_intrinsics(resized, new_hw, old_hw), intrinsics)
    fov_y_rad = camera.fov_y_from_intrinsics(intrinsics, old_hw[0])
    np.testing.assert_allclose(camera.fov_y_from_intrinsics(resized, new_hw[0]), fov_y_rad)


def test_crop_shifts_the_pixels():
    point = torch.tensor([[[0.3, -0.2, 2.0]]], dtype=torch.float64)
    intrinsics = np.array([[30.0, 40.0, 7.0, 5.0]])
    before = camera.project(point, torch.tensor(intrinsics))
    after = camera.project(point, torch.tensor(camera.crop_intrinsics(intrinsics, top=2, left=3)))
    torch.testing.assert_close(before - after, torch.tensor([[[3.0, 2.0]]], dtype=torch.float64))


def test_annotations_hold():
    intrinsics = torch.tensor([[30.0, 30.0, 4.0, 3.0]])
    rays = jaxtyped(camera.ray_directions, typechecker=beartype)(intrinsics, (6, 8))
    pixels = jaxtyped(camera.project, typechecker=beartype)(rays.flatten(1, 2), intrinsics)
    assert jaxtyped(camera.unproject, typechecker=beartype)(pixels, pixels[..., 0], intrinsics).shape == (1, 48, 3)
    assert jaxtyped(camera.pixel_centres, typechecker=beartype)((6, 8)).shape == (6, 8, 2)
