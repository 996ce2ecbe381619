"""Warping against homographies, analytic textures, a slow twin, and what must not be seen."""

import math

import cv2
import numpy as np
import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped

from rap.geometry import se3
from rap.views import warp as module
from rap.views.warp import camera_distance, fill_holes, plane_inverse_depth, warp

SIZE = (48, 64)
INTRINSICS = np.array([[60.0, 58.0, 31.0, 25.0]])


def pose(x=0.0, y=0.0, z=0.0, yaw=0.0, pitch=0.0):
    return se3.from_rotation_translation(se3.exp([0, 0, 0, pitch, yaw, 0])[:3, :3], [x, y, z])[None]


def texture(x, y, period=7.0):
    """Smooth colours of points of a plane or of pixels: what interpolation can follow."""
    turn = 2 * math.pi / period
    waves = [torch.sin(turn * x), torch.cos(turn * 0.7 * y), torch.sin(turn * 0.5 * (x + y))]
    return torch.stack(waves, dim=-3) * 0.5 + 0.5


def picture(size=SIZE, period=12.0):
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    return texture(x, y, period)


def plane_scene(Ts_world_camera, intrinsics, size, normal):
    """Colours and inverse depth of the plane normal . X = 1 of the world, whose texture lies along world x and y."""
    images, depths = [], []
    y, x = torch.meshgrid(torch.arange(size[0]).double() + 0.5, torch.arange(size[1]).double() + 0.5, indexing="ij")
    for T_world_camera, (fx, fy, cx, cy) in zip(Ts_world_camera, intrinsics, strict=True):
        rays = torch.stack([(x - cx) / fx, (y - cy) / fy, torch.ones_like(x)], dim=-1)
        R, t = torch.from_numpy(T_world_camera[:3, :3]), torch.from_numpy(T_world_camera[:3, 3])
        n = torch.from_numpy(np.asarray(normal))
        inverse_depth = (rays @ (R.T @ n)) / (1 - n @ t)
        points = (rays / inverse_depth[..., None]) @ R.T + t
        images.append(texture(points[..., 0], points[..., 1], 0.25))
        depths.append(inverse_depth)
    return torch.stack(images).float(), torch.stack(depths).float()


@pytest.mark.parametrize("kind", ["plane", "ramp"])
def test_a_plane_is_an_exact_homography(kind):
    """OpenCV warps by its own matrix; pixels at +0.5 there as here once the matrix is shifted."""
    target = pose(0.12, -0.05, 0.1, yaw=0.15, pitch=-0.1)
    found = warp(picture()[None], plane_inverse_depth(SIZE, kind), pose(), INTRINSICS, target, INTRINSICS, SIZE)
    fx, fy, cx, cy = INTRINSICS[0]
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    h = SIZE[0]
    normal = [0, 0, 1] if kind == "plane" else [0, 0.8 * fy / h, 0.6 + 0.8 * cy / h]
    T_target_source = se3.inverse(target[0])
    H = K @ (T_target_source[:3, :3] + np.outer(T_target_source[:3, 3], normal)) @ np.linalg.inv(K)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    H = np.linalg.inv(half) @ H @ half
    image = picture().permute(1, 2, 0).numpy()
    expected = cv2.warpPerspective(image, H, SIZE[::-1], flags=cv2.INTER_LINEAR)
    mask = found.mask[0].numpy()
    inside = cv2.warpPerspective(np.ones(SIZE), H, SIZE[::-1], flags=cv2.INTER_LINEAR) > 0.999
    assert inside.mean() > 0.6 and (mask == inside).mean() > 0.95 and not (inside & ~mask).any()
    difference = np.abs(found.colour[0].permute(1, 2, 0).numpy() - expected)[mask & inside]
    assert difference.max() < 0.02  # OpenCV interpolates in steps of 1/32 px


def test_a_slanted_plane_seen_from_several_sources():
    Ts = np.concatenate([pose(x, 0.3 * x, -0.2 * x, yaw=-0.3 * x) for x in (-0.2, -0.05, 0.1, 0.25, 0.3)])
    intrinsics = np.repeat(INTRINSICS * 2, len(Ts), axis=0)
    size = (96, 128)
    images, depth = plane_scene(Ts, intrinsics, size, (0.3, 0.4, 0.8))
    rows = slice(1, 2)
    others = [0, 2, 3, 4]
    found = warp(images[others], depth[others], Ts[others], intrinsics[others], Ts[rows], intrinsics[rows], size)
    assert found.mask.float().mean() > 0.95
    inner = found.mask[0]
    assert ((found.colour[0] - images[1]).abs()[:, inner]).mean() < 0.01  # a slope of 2 px a texel, interpolated
    torch.testing.assert_close(found.inverse_depth[0][inner], depth[1][inner], rtol=2e-3, atol=0)


def test_the_sources_own_view_returns_it():
    generator = torch.Generator().manual_seed(0)
    image, depth = torch.rand(1, 3, *SIZE, generator=generator), torch.rand(1, *SIZE, generator=generator) + 0.5
    found = warp(image, depth, pose(0.3, yaw=1.0), INTRINSICS, pose(0.3, yaw=1.0), INTRINSICS, SIZE)
    assert found.mask.all()
    torch.testing.assert_close(found.colour, image, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.layer_colours[:, 0], image, atol=1e-4, rtol=0)
    assert not found.layer_masks[:, 1].any() and not found.layer_colours[:, 1].any()


def square_before_a_wall(T_world_camera):
    """A white square of side 0.2 at depth 0.5 before a wall at depth 1 whose texture is dark."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
    fx, fy, cx, cy = INTRINSICS[0]
    at_x, at_y = (x - cx) / fx, (y - cy) / fy
    shift = float(T_world_camera[0, 3])
    square = ((at_x * 0.5 + shift).abs() < 0.1) & ((at_y * 0.5).abs() < 0.1)
    wall = texture(at_x + shift, at_y, 0.3) * 0.4
    return torch.where(square, torch.ones(3, 1, 1), wall), torch.where(square, 2.0, 1.0), square


def test_foreground_wins_and_uncovered_wall_is_a_hole():
    left, right = pose(-0.1), pose(0.1)
    image, depth, _ = square_before_a_wall(left[0])
    expected, _, square = square_before_a_wall(right[0])
    found = warp(image[None], depth[None], left, INTRINSICS, right, INTRINSICS, SIZE)
    inner = torch.from_numpy(cv2.erode(square.numpy().astype(np.uint8), np.ones((3, 3))) > 0)
    assert found.mask[0][inner].all() and (found.colour[0][:, inner] > 0.95).all()
    # The square moves by 24 px, the wall by 12: between the two the wall was hidden.
    columns = torch.nonzero(square.any(dim=0)).flatten()
    hidden = torch.zeros(SIZE, dtype=torch.bool)
    rows = square.any(dim=1)
    hidden[rows, :] = (torch.arange(SIZE[1]) > columns.max() + 1) & (torch.arange(SIZE[1]) < columns.max() + 11)
    assert found.mask[0][hidden].float().mean() < 0.1
    assert not found.colour[0][:, ~found.mask[0]].any()
    seen = found.mask[0] & ~torch.from_numpy(cv2.dilate(square.numpy().astype(np.uint8), np.ones((3, 3))) > 0)
    assert (found.colour[0] - expected).abs()[:, seen].mean() < 0.02


def test_two_sources_fill_each_others_holes():
    Ts = np.concatenate([pose(-0.1), pose(0.1)])
    images, depths, _ = zip(*(square_before_a_wall(T) for T in Ts), strict=True)
    expected, depth, square = square_before_a_wall(pose()[0])
    found = warp(torch.stack(images), torch.stack(depths), Ts, INTRINSICS.repeat(2, 0), pose(), INTRINSICS, SIZE)
    assert found.mask.float().mean() > 0.99
    edge = torch.from_numpy(cv2.morphologyEx(square.numpy().astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0)
    assert (found.colour[0] - expected).abs()[:, ~edge & found.mask[0]].max() < 0.1
    assert (found.inverse_depth[0] - depth).abs()[~edge & found.mask[0]].max() < 0.02


def test_a_closer_and_a_larger_target_have_no_cracks():
    image, depth = picture()[None], plane_inverse_depth(SIZE)
    closer = warp(image, depth, pose(), INTRINSICS, pose(z=0.45), INTRINSICS, SIZE)
    assert closer.mask.all()
    larger = warp(image, depth, pose(), INTRINSICS, pose(), INTRINSICS * 3, (3 * SIZE[0], 3 * SIZE[1]))
    assert larger.mask.all()


def test_a_smaller_target_is_not_aliased():
    checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    image = checks.float().expand(1, 3, 64, 64)
    K = np.array([[60.0, 60.0, 32.0, 32.0]])
    found = warp(image, torch.ones(1, 64, 64), pose(), K, pose(), K / 4, (16, 16))
    assert found.mask.all()
    torch.testing.assert_close(found.colour[..., 2:-2, 2:-2], torch.full((1, 3, 12, 12), 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("value", [float("nan"), -1.0, -float("inf")])
def test_invalid_depth_shows_nothing(value):
    found = warp(picture()[None], torch.full((1, *SIZE), value), pose(), INTRINSICS, pose(0.1), INTRINSICS, SIZE)
    assert not found.mask.any() and not found.layer_masks.any()
    for part in (found.colour, found.weight, found.inverse_depth, found.layer_colours):
        assert (part == 0).all()


def test_behind_the_camera_and_looking_away_show_nothing():
    for target in (pose(z=2.0), pose(yaw=math.pi)):
        found = warp(picture()[None], plane_inverse_depth(SIZE), pose(), INTRINSICS, target, INTRINSICS, SIZE)
        assert not found.mask.any() and torch.isfinite(found.colour).all()


def test_infinitely_far_moves_with_rotation_only():
    image, depth = picture()[None], torch.zeros(1, *SIZE)
    found = warp(image, depth, pose(), INTRINSICS, pose(5.0), INTRINSICS, SIZE)
    torch.testing.assert_close(found.colour, image, atol=1e-3, rtol=0)


def test_confidence_weighs_the_sources():
    images = torch.stack([torch.zeros(3, *SIZE), torch.ones(3, *SIZE)])
    Ts = np.concatenate([pose(-0.05), pose(0.05)])
    sure = torch.stack([torch.ones(SIZE), torch.zeros(SIZE)])
    arguments = (images, torch.ones(2, *SIZE), Ts, INTRINSICS.repeat(2, 0), pose(), INTRINSICS, SIZE)
    even, first = warp(*arguments), warp(*arguments, confidence=sure)
    middle = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    assert (even.colour[middle] - 0.5).abs().max() < 0.01 and first.colour[middle].max() < 0.1
    none = warp(*arguments, confidence=torch.zeros_like(sure))
    assert none.mask.float().mean() > 0.9 and (none.colour[middle] - 0.5).abs().max() < 0.01


def test_nearest_sources_come_first():
    Ts = np.concatenate([pose(0.4), pose(0.1), pose(0.2)])
    images = torch.tensor([0.4, 0.1, 0.2])[:, None, None, None].expand(3, 3, *SIZE)
    found = warp(images, torch.full((3, *SIZE), 0.3), Ts, INTRINSICS.repeat(3, 0), pose(), INTRINSICS, SIZE, nearest=2)
    layers = found.layer_colours[0, :, 0, 24, 40]
    torch.testing.assert_close(layers, torch.tensor([0.1, 0.2]))
    assert 0.1 < found.colour[0, 0, 24, 40] < 0.15


def test_targets_do_not_depend_on_their_chunk(monkeypatch):
    Ts = np.concatenate([pose(0.1 * k, yaw=0.05 * k) for k in range(5)])
    images = torch.rand(5, 3, *SIZE, generator=torch.Generator().manual_seed(3))
    K = INTRINSICS.repeat(5, 0)
    whole = warp(images, torch.ones(5, *SIZE), Ts, K, Ts, K, SIZE)
    monkeypatch.setattr(module, "CHUNK_PIXELS_CPU", 1)
    single = warp(images, torch.ones(5, *SIZE), Ts, K, Ts, K, SIZE)
    torch.testing.assert_close(whole.colour, single.colour)
    assert (whole.mask == single.mask).all()


def test_camera_distance():
    far = camera_distance(pose(), np.concatenate([pose(), pose(0.3, 0.4), pose(yaw=0.2)]), 2.0)
    np.testing.assert_allclose(far, [[0, 1.0, 0.1]], atol=1e-9)


def test_holes_are_filled_from_around_them():
    y, x = torch.meshgrid(torch.arange(37.0), torch.arange(50.0), indexing="ij")
    image = (0.01 * x + 0.005 * y).expand(1, 3, 37, 50)
    mask = torch.ones(1, 37, 50, dtype=torch.bool)
    mask[:, 10:20, 15:30] = False
    filled = fill_holes(torch.where(mask[:, None], image, 7.0), mask)
    assert (filled == image)[:, :, mask[0]].all()
    assert (filled - image).abs().max() < 0.12 and (filled <= image.max()).all() and (filled >= image.min()).all()
    assert (fill_holes(image, torch.zeros_like(mask)) == 0).all()
    one = torch.zeros_like(mask)
    one[:, 5, 7] = True
    torch.testing.assert_close(fill_holes(image, one), image[:, :, 5:6, 7:8].expand_as(image))


def test_single_picture_depths():
    assert (plane_inverse_depth((4, 6)) == 1).all()
    torch.testing.assert_close(plane_inverse_depth((4, 6), "ramp")[0, :, 2], torch.tensor([0.7, 0.9, 1.1, 1.3]))
    with pytest.raises(ValueError, match="kind must be 'plane' or 'ramp', got 'wall'"):
        plane_inverse_depth((4, 6), "wall")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"frames": torch.zeros(2, 4, 5)}, r"frames must have shape \(sources, 3, h, w\)"),
        ({"inverse_depth": torch.ones(1, 4, 6)}, r"inverse_depth must have shape \(1, 48, 64\) like the frames"),
        ({"confidence": torch.ones(2, *SIZE)}, r"confidence must have shape \(1, 48, 64\)"),
        ({"Ts_world_source": pose().repeat(2, 0), "source_intrinsics": INTRINSICS.repeat(2, 0)}, "one pose a frame"),
        ({"target_intrinsics": INTRINSICS[0]}, r"target_intrinsics must have shape \(1, 4\)"),
        ({"Ts_world_target": pose()[0]}, r"Ts_world_target must have shape \(n, 4, 4\)"),
        ({"size": (0, 4)}, "size must be a positive"),
        ({"nearest": 0}, "nearest must be at least 1"),
    ],
)
def test_refusals(changes, sentence):
    arguments = {
        "frames": picture()[None],
        "inverse_depth": torch.ones(1, *SIZE),
        "Ts_world_source": pose(),
        "source_intrinsics": INTRINSICS,
        "Ts_world_target": pose(),
        "target_intrinsics": INTRINSICS,
        "size": SIZE,
    }
    with pytest.raises(ValueError, match=sentence):
        warp(**{**arguments, **changes})


def test_annotations_hold():
    checked = jaxtyped(warp, typechecker=beartype)
    checked(picture()[None], torch.ones(1, *SIZE), pose(), INTRINSICS, pose(0.1), INTRINSICS, (20, 30))
    assert jaxtyped(fill_holes, typechecker=beartype)(picture()[None], torch.ones(1, *SIZE).bool()).shape[1] == 3
