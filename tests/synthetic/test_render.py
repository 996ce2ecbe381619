"""The fast ray caster against a slow obvious twin, and against its own cameras."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize_scalar

from rap.geometry import se3
from rap.geometry.camera import pixel_centres, project, unproject
from rap.synthetic import SyntheticConfig, render_clips
from rap.synthetic.builder import SceneBuilder
from rap.synthetic.clips import plan_clip
from rap.synthetic.render import Hits, Views, cast, resolve
from rap.synthetic.scene import HULL_FACES, Scene
from rap.synthetic.superquadrics import EXPONENTS, first_hit, gauge
from rap.synthetic.textures import texture_bank

SMALL = SyntheticConfig(size=(20, 28), num_frames=5, texture_size=32, photometric=False)
SHARP = SyntheticConfig(size=(64, 64), num_frames=5, texture_size=32, photometric=False)


def slow_depths(scene: Scene, T: np.ndarray, intrinsics: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h,w) z-depth, one surface at a time, by solving for the intersection of every ray with each."""
    fx, fy, cx, cy = intrinsics
    y, x = np.mgrid[: size[0], : size[1]].reshape(2, -1)
    rays = np.stack([(x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy, np.ones(x.size)], axis=1) @ T[:3, :3].T
    depths = np.full(x.size, np.inf)
    for k, (origin, u, v) in enumerate(zip(scene.origins, scene.edges_u, scene.edges_v, strict=True)):
        np.minimum(depths, slow_plane_hits(T[:3, 3] - origin, rays, u, v, 1e-6 if k < HULL_FACES else 0.0), out=depths)
    for k in range(scene.num_round):
        start = (T[:3, 3] - scene.centres[k]) @ scene.spins[k] / scene.radii[k]
        steps = rays @ scene.spins[k] / scene.radii[k]
        if scene.is_superquadric[k]:
            exponents = scene.exponents[k]
            found = np.array([min(slow_superquadric_hits(start, step, *exponents), default=np.inf) for step in steps])
        else:
            found = slow_round_hits(start, steps, scene.profiles[k])
        np.minimum(depths, found, out=depths)
    return depths.reshape(size)


def slow_plane_hits(start: np.ndarray, rays: np.ndarray, u: np.ndarray, v: np.ndarray, slack: float) -> np.ndarray:
    """How far along each ray start + z ray = a u + b v, a and b within [0, 1], as the solution of three equations."""
    matrices = np.stack([np.broadcast_to(u, rays.shape), np.broadcast_to(v, rays.shape), -rays], axis=2)
    meets = np.abs(np.linalg.det(matrices)) >= 1e-12
    found = np.full(len(rays), np.inf)
    a, b, z = np.linalg.solve(matrices[meets], start[:, None])[..., 0].T
    inside = (z > 0) & (-slack <= a) & (a <= 1 + slack) & (-slack <= b) & (b <= 1 + slack)
    found[np.flatnonzero(meets)[inside]] = z[inside]
    return found


def slow_round_hits(start: np.ndarray, steps: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Where each ray start + z step first meets x^2 + z^2 = p0 + p1 y + p2 y^2 between y = -1 and 1, as the lesser of
    the roots of c0 + c1 z + c2 z^2 that lies there."""
    p0, p1, p2 = profile
    (x, y, z), (dx, dy, dz) = start, steps.T
    c0 = x * x + z * z - p2 * y * y - p1 * y - p0
    c1 = 2 * (x * dx + z * dz - p2 * y * dy) - p1 * dy
    c2 = dx * dx + dz * dz - p2 * dy * dy
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(c1 * c1 - 4 * c0 * c2)
        roots = np.stack([(-c1 - root) / (2 * c2), (-c1 + root) / (2 * c2)])
        seen = np.isfinite(roots) & (roots > 0) & (np.abs(y + roots * dy) <= 1)
    return np.where(seen, roots, np.inf).min(axis=0)


def slow_superquadric_hits(start: np.ndarray, step: np.ndarray, n: int, m: int) -> list[float]:
    """Where a ray start + z step first meets a superquadric: a least value along it, then halving of intervals."""
    inside_out = partial(superquadric, start, step, n, m)
    middle = -float(start @ step / (step @ step))
    reach = np.sqrt(3 / (step @ step))
    deepest = minimize_scalar(inside_out, bounds=(middle - reach, middle + reach), method="bounded").x
    first = middle - 2 * reach
    if inside_out(deepest) >= 0 or first < 0:
        return []
    return [brentq(inside_out, first, deepest)]


def superquadric(start: np.ndarray, step: np.ndarray, n: int, m: int, z: float) -> float:
    """Negative inside."""
    at = np.abs(start + z * step)
    return float((at[0] ** m + at[2] ** m) ** (n / m) + at[1] ** n - 1)


def hits_as_the_slow_twin_finds(scene: Scene, Ts: np.ndarray) -> Hits:
    """What three cameras see, its depths held against the slow twin's."""
    views = Views(Ts, np.tile([24.0, 24.0, 20.0, 16.0], (3, 1)), (32, 40))
    hits = resolve(scene, views, cast(scene, views), 32)
    fast = 1 / hits.inverse_depth.view(3, *views.size).numpy()
    for i in range(3):
        slow = slow_depths(scene, Ts[i], views.intrinsics[i], views.size)
        assert (np.abs(fast[i] / slow - 1) > 1e-4).mean() < 0.004
    return hits


def test_superquadrics_agree_with_slow_twin() -> None:
    """Solids of four pairs of exponents, one before the other, from the side, from above and from a corner."""
    b = SceneBuilder(np.random.default_rng(0), texture_bank(None, 32))
    look = b.photo()
    b.hull(np.array([-3.0, -4.0, -3.0]), np.array([3.0, 0.0, 3.0]), [look] * 6)
    kinds = [(8, 8), (2, 4), (8, 2), (1, 1)]
    for k, kind in enumerate(kinds):
        centre = np.array([k - 1.5, -0.9 + 0.1 * k, 0.3 * k])
        b.superquadric(centre, np.array([0.45, 0.3, 0.35]), 0.4 * k, look, kind)
    scene = b.finish(np.zeros(3), np.array([0.0, -1.0, -2.0]), np.array([0.0, -1.0, 0.0, 0.0]), 3.0)
    eyes = np.array([[0.0, -0.9, -2.2], [0.3, -3.2, -0.4], [-2.5, -1.6, -1.0]])
    Ts = se3.look_at(eyes, np.array([0.0, -0.8, 0.3]), up=np.array([0.1, 0.2, 1.0]))
    hits = hits_as_the_slow_twin_finds(scene, Ts)
    assert hits.round is not None and set(hits.round.solid.tolist()) == {0, 1, 2, 3}
    for k, (n, m) in enumerate(kinds):
        x, y, z = np.abs(hits.round.local[:, hits.round.solid == k].numpy())
        assert np.abs((x**m + z**m) ** (n / m) + y**n - 1).max() < 1e-3 * n


@pytest.mark.parametrize(("n", "m"), list(itertools.product(EXPONENTS, EXPONENTS)))
def test_the_gradient_of_a_gauge_is_its_derivative(n: int, m: int) -> None:
    """By autograd on the formula as it stands in the module, in all octants."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3, 500, generator=generator, dtype=torch.float64).requires_grad_()
    x, y, z = points.abs()
    expected = ((x**m + z**m) ** (n / m) + y**n) ** (1 / n)
    (slope,) = torch.autograd.grad(expected.sum(), points)
    found, gradient = gauge((points[0], points[1], points[2]), n, m)
    assert torch.allclose(found, expected, atol=1e-9)
    assert torch.allclose(torch.stack(gradient), slope, atol=1e-9)


def test_rays_miss_a_superquadric_and_do_not_begin_in_it() -> None:
    """Beside it, towards the cube's corner where a ball is not, away from it, and out of its middle."""
    ray = torch.tensor([[0.0, 0.0, 1.0], [0.24, 0.24, 1.0], [0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [0.24, 0.24, 1.0]]).T
    centre = torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 4.0], [0.0, 0.0, 4.0], [0.0, 0.0, 0.0], [0.0, 0.0, 4.0]]).T
    for n, met in ((2, [False, False, False, False, False]), (8, [False, True, False, False, True])):
        _, hit = first_hit((ray[0], ray[1], ray[2]), (centre[0], centre[1], centre[2]), n, n)
        assert hit.tolist() == met


def test_round_solids_agree_with_slow_twin() -> None:
    """A ball, a cylinder, cones either way up, from the side, from above (into them) and from below."""
    b = SceneBuilder(np.random.default_rng(0), texture_bank(None, 32))
    look = b.photo()
    b.hull(np.array([-3.0, -4.0, -3.0]), np.array([3.0, 0.0, 3.0]), [look] * 6)
    b.shell(np.array([-1.0, -0.5, 0.0]), 0.8, 0.4, 0.4, look)
    b.shell(np.array([0.0, -0.5, 0.0]), 0.8, 0.45, 0.1, look)
    b.shell(np.array([1.0, -0.5, 0.0]), 0.8, 0.1, 0.45, look)
    b.ball(np.array([0.0, -1.0, 1.0]), np.array([0.5, 0.3, 0.2]), 0.7, look)
    scene = b.finish(np.zeros(3), np.array([0.0, -1.0, -2.0]), np.array([0.0, -1.0, 0.0, 0.0]), 3.0)
    eyes = np.array([[0.0, -0.9, -2.2], [0.3, -3.2, -0.4], [0.2, -0.05, -0.3]])
    Ts = se3.look_at(eyes, np.array([0.0, -0.9, 0.0]), up=np.array([0.1, 0.2, 1.0]))
    hits = hits_as_the_slow_twin_finds(scene, Ts)
    assert hits.round is not None
    x, y, z = hits.round.local.numpy()
    p0, p1, p2 = scene.profiles[hits.round.solid.numpy()].T
    assert np.abs(x**2 + z**2 - p0 - p1 * y - p2 * y**2).max() < 1e-3
    assert np.abs(y).max() < 1.01
    assert set(hits.round.solid.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("index", range(4))
def test_depth_agrees_with_slow_twin(index: int) -> None:
    bank = texture_bank(None, 32)
    plan = plan_clip(np.random.default_rng((7, index)), SMALL, bank)
    views = Views(plan.views.Ts_scene_camera[[0, 4]], plan.views.intrinsics[[0, 4]], SMALL.size)
    fast = 1 / resolve(plan.scene, views, cast(plan.scene, views), 32).inverse_depth.view(2, *SMALL.size).numpy()
    for i in range(2):
        slow = slow_depths(plan.scene, views.Ts_scene_camera[i], views.intrinsics[i], SMALL.size)
        wrong = np.abs(fast[i] / slow - 1) > 1e-4
        assert wrong.mean() < 0.004, f"{wrong.sum()} of {wrong.size} pixels differ"  # rays that graze an edge may


@pytest.mark.parametrize("index", range(6))
def test_depth_and_colour_agree_between_views(index: int) -> None:
    batch = render_clips(3, 1, SHARP, start=index, with_depth=True)
    assert batch.depth is not None
    depth, Ts, K = batch.depth[0].double(), batch.Ts_world_camera[0], batch.intrinsics[0]
    pixels = pixel_centres(SHARP.size, dtype=torch.float64).flatten(0, 1)
    points = unproject(pixels, depth[0].flatten(), K[0])
    seen = 0
    for k in range(1, SHARP.num_frames):
        in_camera = (points - Ts[k, :3, 3]) @ Ts[k, :3, :3]
        grid = 2 * project(in_camera, K[k]) / torch.tensor(SHARP.size[::-1]) - 1
        inside = (grid.abs().max(-1).values < 0.95) & (in_camera[:, 2] > 0.05)
        # inverse depth is affine on planes, so that bilinear sampling of it is exact away from edges
        there = 1 / sample(1 / depth[k][None], grid)[0]
        visible = inside & ((there / in_camera[:, 2] - 1).abs() < 3e-3)
        occluded = inside & (there < 0.99 * in_camera[:, 2])
        nearest = 1 / sample(torch.nn.functional.max_pool2d(1 / depth[k][None], 3, 1, 1), grid)[0]
        looked_through = inside & (nearest > 1.02 * in_camera[:, 2])  # seen from view 0, but not there for view k
        assert looked_through.double().mean() < 0.02  # panels seen edge-on are thinner than a pixel
        if visible.double().mean() < 0.2:
            continue
        seen += 1
        assert occluded.double().mean() < 0.8
        colour = batch.frames_u8[0].double().permute(0, 3, 1, 2)
        moved = (sample(colour[k], grid)[:, visible] - colour[0].flatten(1)[:, visible]).abs().mean()
        shuffled = (colour[k].flatten(1)[:, visible] - colour[0].flatten(1)[:, visible]).abs().mean()
        assert moved < max(0.75 * float(shuffled), 7.0)
    assert seen or "pan" in batch.kinds[0] or "walk" in batch.kinds[0]


def sample(image: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """(C,h,w) at (N,2) positions in [-1,1]."""
    return torch.nn.functional.grid_sample(image[None], grid[None, None], align_corners=False)[0, :, 0]


def test_supersampling_changes_colours_only() -> None:
    plain = render_clips(5, 1, SHARP, with_depth=True)
    smooth = render_clips(5, 1, replace(SHARP, supersample_share=1.0), with_depth=True)
    assert plain.depth is not None and smooth.depth is not None
    torch.testing.assert_close(plain.depth, smooth.depth, rtol=1e-5, atol=1e-5)
    difference = (plain.frames_u8.float() - smooth.frames_u8.float()).abs().mean()
    assert 0 < difference < 12
