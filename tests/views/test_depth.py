"""Depth by plane sweep on scenes whose depth is known exactly."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from rap.geometry.se3 import from_rotation_translation, look_at
from rap.reconstruction.tracks import PointCloud
from rap.views.depth import _without_ramps, plane_sweep
from rap.views.stereo import correlation_cost
from rap.views.sweep import OUT_OF_VIEW, Sweep, Views, neighbour_costs
from rap.views.sweep_plan import _grid_transfer, plan

SIZE = (48, 64)
INTRINSICS = np.array([60.0, 60.0, 30.0, 25.0])  # the principal point is not the middle
UP = np.array([0.0, -1.0, 0.0])
WAVES = np.random.default_rng(5).normal(size=(12, 3)) * np.geomspace(4, 30, 12)[:, None]
PHASES = np.random.default_rng(6).uniform(0, 6.28, size=(12, 3))


def _texture(points: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] of points (…,3) of a solid texture: waves of several lengths."""
    return 0.5 + 0.5 * np.sin((points @ WAVES.T)[..., None] + PHASES).mean(axis=-2) * 1.8


def _slanted_plane(origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    normal = np.array([0.35, -0.2, -1.0])
    return (2.0 * normal[2] - origin @ normal) / (rays @ normal)


def _sphere(origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Ray parameter of a ball before the plane, infinite beside it."""
    to_centre = np.array([0.05, 0.0, 1.35]) - origin
    a, b = (rays * rays).sum(axis=-1), rays @ to_centre
    root = b * b - a * (to_centre @ to_centre - 0.35**2)
    return np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)


def _render(Ts: np.ndarray, ball: bool, size=SIZE, oversample: int = 3) -> tuple[torch.Tensor, np.ndarray]:
    """Frames (S,3,h,w) in [0, 1], and z-depth (S,h,w) at the pixel centres."""
    h, w = size
    frames, depths = [], []
    y, x = (np.mgrid[: h * oversample, : w * oversample] + 0.5) / oversample
    directions = np.stack([(x - INTRINSICS[2]) / INTRINSICS[0], (y - INTRINSICS[3]) / INTRINSICS[1], 0 * x + 1], -1)
    for T in Ts:
        rays = directions @ T[:3, :3].T
        z = _slanted_plane(T[:3, 3], rays)
        z = np.minimum(z, _sphere(T[:3, 3], rays)) if ball else z
        colours = _texture(T[:3, 3] + rays * z[..., None]).clip(0, 1)
        frames.append(colours.reshape(h, oversample, w, oversample, 3).mean(axis=(1, 3)).transpose(2, 0, 1))
        depths.append(z[oversample // 2 :: oversample, oversample // 2 :: oversample])
    return torch.from_numpy(np.stack(frames)).float(), np.stack(depths)


def _arc(count: int, reach: float = 0.3) -> np.ndarray:
    pivot = np.array([0.0, 0.0, 2.0])
    return np.stack([look_at(np.array([x, -0.3 * x, 0.0]), pivot, UP) for x in np.linspace(-reach, reach, count)])


def _points(Ts: np.ndarray, depths: np.ndarray, step: int = 9) -> PointCloud:
    """Some of the true surface as a sparse cloud."""
    found, span = [], []
    for k, (T, z) in enumerate(zip(Ts, depths, strict=True)):
        y, x = np.mgrid[step // 2 : z.shape[0] : step, step // 2 : z.shape[1] : step]
        at = z[y, x]
        rays = np.stack(
            [(x + 0.5 - INTRINSICS[2]) / INTRINSICS[0], (y + 0.5 - INTRINSICS[3]) / INTRINSICS[1], 0 * x + 1], -1
        )
        found.append((rays * at[..., None]).reshape(-1, 3) @ T[:3, :3].T + T[:3, 3])
        span.append(np.full((at.size, 2), k))
    xyz = np.concatenate(found)
    none = np.zeros(len(xyz))
    colours_u8 = np.zeros((len(xyz), 3), np.uint8)
    return PointCloud(xyz, colours_u8, none, none + 1, np.arange(len(xyz)), np.concatenate(span))


def _relative_error(maps, depths: np.ndarray) -> np.ndarray:
    return np.abs(maps.inverse_depth.numpy() * depths - 1)


def _tiled(count: int) -> np.ndarray:
    return np.tile(INTRINSICS, (count, 1))


@pytest.mark.parametrize("with_points", [True, False])
def test_slanted_plane(with_points):
    Ts = _arc(5)
    frames, depths = _render(Ts, ball=False)
    maps = plane_sweep(frames, Ts, _tiled(5), _points(Ts, depths) if with_points else None)
    assert maps.inverse_depth.shape == maps.confidence.shape == (5, *SIZE)
    assert maps.inverse_depth.dtype == torch.float32 and (maps.inverse_depth > 0).all()
    assert np.median(_relative_error(maps, depths)) < 0.015
    assert maps.confidence[:, 8:-8, 12:-12].mean() > 0.8


def test_sphere_before_a_plane_and_confidence_knows_where_it_is_wrong():
    Ts = _arc(5)
    frames, depths = _render(Ts, ball=True)
    maps = plane_sweep(frames, Ts, _tiled(5), _points(Ts, depths, step=15))  # few: they mend what confidence doubts
    error = _relative_error(maps, depths)
    assert np.median(error) < 0.04
    assert (error < 0.06).mean() > 0.7
    sure = maps.confidence.numpy() > 0.6
    assert sure.mean() > 0.5
    assert error[sure].mean() < 0.5 * error[~sure].mean()


def test_depth_scales_with_the_world():
    Ts = _arc(3)
    frames, depths = _render(Ts, ball=True)
    cloud = _points(Ts, depths)
    maps = plane_sweep(frames, Ts, _tiled(3), cloud)
    larger = Ts.copy()
    larger[:, :3, 3] *= 7
    scaled = plane_sweep(frames, larger, _tiled(3), cloud.transformed(np.eye(4), 7.0))
    torch.testing.assert_close(scaled.inverse_depth * 7, maps.inverse_depth, rtol=1e-3, atol=1e-3)


def test_the_order_of_the_frames_does_not_matter():
    Ts = _arc(3)
    frames, depths = _render(Ts, ball=False)
    cloud = _points(Ts, depths)
    maps = plane_sweep(frames, Ts, _tiled(3), cloud)
    turned = plane_sweep(frames.flip(0), Ts[::-1], _tiled(3), cloud)
    torch.testing.assert_close(turned.inverse_depth.flip(0), maps.inverse_depth, rtol=1e-4, atol=1e-4)


def test_one_frame_or_one_place_is_a_plane_without_confidence():
    Ts = _arc(3)
    frames, depths = _render(Ts, ball=False)
    turning = np.stack([from_rotation_translation(T[:3, :3], np.zeros(3)) for T in Ts])
    for count, poses in ((1, Ts), (3, turning)):
        maps = plane_sweep(frames[:count], poses[:count], _tiled(count))
        assert (maps.inverse_depth == 1).all() and (maps.confidence == 0).all()
    maps = plane_sweep(frames[:1], Ts[:1], _tiled(1), _points(Ts[:1], depths[:1]))
    assert maps.inverse_depth.unique().numel() == 1
    assert maps.inverse_depth[0, 0, 0] == pytest.approx(np.median(1 / depths[0]), rel=0.05)


def test_cameras_that_hardly_move_give_depth_without_confidence():
    Ts = _arc(3, reach=0.015)
    frames, depths = _render(Ts, ball=False)
    maps = plane_sweep(frames, Ts, _tiled(3), _points(Ts, depths))
    assert maps.confidence.max() < 0.5
    assert np.median(_relative_error(maps, depths)) < 0.3


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_nothing_to_match_gives_finite_depth_in_the_range(level):
    Ts = _arc(3)
    _, depths = _render(Ts, ball=False)
    frames = torch.full((3, 3, *SIZE), level)
    maps = plane_sweep(frames, Ts, _tiled(3), _points(Ts, depths))
    assert np.median(_relative_error(maps, depths)) < 0.15  # the points alone
    maps = plane_sweep(frames, Ts, _tiled(3))
    assert torch.isfinite(maps.inverse_depth).all() and (maps.inverse_depth > 0).all()


def test_points_that_a_frame_has_not_seen_are_not_its_surface():
    Ts = _arc(3)
    near, far = _points(Ts, np.full((3, *SIZE), 2.0)), _points(Ts, np.full((3, *SIZE), 6.0))
    by_all, by_none = np.tile([0, 2], (len(near), 1)), np.tile([9, 12], (len(far), 1))
    columns = ((getattr(near, f.name), getattr(far, f.name)) for f in fields(PointCloud) if f.name != "span")
    cloud = PointCloud(*(np.concatenate(pair) for pair in columns), span=np.concatenate([by_all, by_none]))
    flat = torch.full((3, 3, *SIZE), 0.7)  # nothing to match: the points alone decide
    known = plane_sweep(flat, Ts, _tiled(3), cloud, point_frames=range(3)).inverse_depth
    assert (1 / known - 2).abs().median() < 0.1 and (1 / known).max() < 3
    assert (1 / plane_sweep(flat, Ts, _tiled(3), cloud).inverse_depth).max() > 3, "where all points in view count"
    with pytest.raises(ValueError, match="each of the 3 frames, got 2"):
        plane_sweep(flat, Ts, _tiled(3), cloud, point_frames=[0, 1])


def test_nothing_hangs_between_two_surfaces():
    step = torch.tensor([1.0, 1.0, 1.3, 1.7, 2.0, 2.0])
    maps = torch.stack([step.expand(4, 6), step.flip(0).expand(4, 6), torch.linspace(1, 1.25, 6).expand(4, 6)])
    found = _without_ramps(maps)
    expected = torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    torch.testing.assert_close(found[0], expected.expand(4, 6))
    torch.testing.assert_close(found[1], expected.flip(0).expand(4, 6))
    assert (found[2] == maps[2]).all(), "a slope is no edge"


def test_a_frame_that_shares_nothing_has_no_confidence_and_harms_no_other():
    Ts = _arc(4)
    frames, depths = _render(Ts, ball=False)
    Ts[3] = look_at(np.array([0.0, 0.0, 0.0]), np.array([0.0, 0.0, -2.0]), UP)
    maps = plane_sweep(frames, Ts, _tiled(4), _points(Ts[:3], depths[:3]))
    assert maps.confidence[3].max() < 0.05
    assert torch.isfinite(maps.inverse_depth).all()
    assert np.median(_relative_error(maps, depths)[:3]) < 0.02


def test_odd_and_tiny_sizes():
    Ts = _arc(2)
    for size in ((13, 17), (5, 3), (1, 1)):
        frames = torch.rand(2, 3, *size)
        maps = plane_sweep(frames, Ts, _tiled(2))
        assert maps.inverse_depth.shape == (2, *size) and torch.isfinite(maps.inverse_depth).all()


def test_sweep_compares_what_projection_says():
    """The cost of one pixel at one plane, by projecting the window's pixels one by one."""
    Ts = _arc(3)
    frames, _ = _render(Ts, ball=False)
    views = Views.of(frames, Ts, _tiled(3), 2)
    sweep = Sweep(np.linspace([0.4] * 3, [0.8] * 3, 5, axis=1), np.array([[1], [2], [1]]), np.ones(3))
    cost = neighbour_costs(views, sweep, np.arange(3))[0]
    h, w = views.size
    fine = views.fine[:, 0].numpy()
    for s, d in ((0, 2), (2, 4)):
        j, shown = sweep.neighbours[s, 0], np.zeros((h, w))
        for y in range(h):
            for x in range(w):
                ray = np.array([(x + 0.5 - views.intrinsics[s, 2]) / views.intrinsics[s, 0],
                                (y + 0.5 - views.intrinsics[s, 3]) / views.intrinsics[s, 1], 1.0])  # fmt: skip
                at = np.linalg.inv(Ts[j]) @ Ts[s] @ np.append(ray / sweep.planes[s, d], 1.0)
                u = at[0] / at[2] * views.intrinsics[j, 0] + views.intrinsics[j, 2]
                v = at[1] / at[2] * views.intrinsics[j, 1] + views.intrinsics[j, 3]
                shown[y, x] = fine[j, int(np.clip(v * 4, 0, 4 * h - 1)), int(np.clip(u * 4, 0, 4 * w - 1))]
        expected = correlation_cost(views.grey[s : s + 1], torch.from_numpy(shown).float()[None, None])[0, 0]
        in_view = cost[s, d] != OUT_OF_VIEW
        assert in_view.float().mean() > 0.5
        difference = (cost[s, d] - expected).abs()[in_view]
        assert difference.median() < 1e-4 and difference.mean() < 0.01  # a look-up at the edge of a fine pixel may tip


def test_planes_step_by_about_a_pixel():
    Ts = _arc(3)
    frames, depths = _render(Ts, ball=False)
    views = Views.of(frames, Ts, _tiled(3), 1)
    ranges = np.tile([0.3, 1.0], (3, 1))
    sweep = plan(views, ranges, np.full(3, 0.5), 2)
    zero, one = (_grid_transfer(views, np.array([1]), np.array([2]), sweep.planes[1:2, k])[0] for k in (3, 4))
    assert 0.3 < np.median(np.linalg.norm(one - zero, axis=-1)) < 1.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": torch.zeros(3, 48, 64)}, "frames must have shape"),
        ({"Ts_world_camera": np.zeros((2, 4, 4))}, "Ts_world_camera must have one pose a frame"),
        ({"intrinsics": INTRINSICS}, "intrinsics must have one row a frame"),
        ({"num_neighbours": 0}, "num_neighbours must be at least 1"),
    ],
)
def test_shapes_that_do_not_agree(change, message):
    arguments = {"frames": torch.zeros(3, 3, *SIZE), "Ts_world_camera": _arc(3), "intrinsics": _tiled(3)} | change
    with pytest.raises(ValueError, match=message):
        plane_sweep(**arguments)


def test_where_views_do_not_agree_depth_follows_the_points():
    Ts = _arc(3)
    _, truth = _render(Ts, ball=False)
    noise = torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    error = _relative_error(plane_sweep(noise, Ts, _tiled(3), _points(Ts, truth, step=5)), truth)
    assert np.median(error) < 0.11  # chance matches are left; 0.15 where a point weighs half a pixel
