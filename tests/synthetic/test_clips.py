"""Clips as a whole: units, determinism, motion statistics."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest
import torch

from rap.geometry.se3 import check_rigid, rotation_angle
from rap.synthetic import SyntheticBatch, SyntheticConfig, render_clips, stream
from rap.synthetic.clips import _blurred, _compressed, _vignette
from rap.synthetic.families import FAMILY_WEIGHTS
from rap.synthetic.motion import (
    KINDS,
    PURE_ROTATION,
    PURE_TRANSLATION,
    Start,
    rotations_from_angles,
    sample_path,
)

TINY = SyntheticConfig(size=(32, 48), num_frames=5, texture_size=16)


@functools.cache
def many() -> SyntheticBatch:
    return render_clips(11, 60, SyntheticConfig(size=(16, 16), texture_size=16), with_depth=True)


def test_shapes_and_units() -> None:
    batch = render_clips(1, 3, TINY, with_depth=True)
    assert batch.frames_u8.shape == (3, 5, 32, 48, 3) and batch.frames_u8.dtype == torch.uint8
    assert batch.depth is not None and batch.depth.shape == (3, 5, 32, 48)
    for k in range(3):
        check_rigid(batch.Ts_world_camera[k].numpy(), f"Ts_world_camera[{k}]")
    assert (batch.Ts_world_camera[:, 0] == torch.eye(4)).all()
    assert (batch.median_depth[:, 0] == 1).all()
    medians = batch.depth.flatten(2).double().median(-1).values
    torch.testing.assert_close(medians, batch.median_depth, rtol=0.03, atol=0)  # lower against upper median
    assert render_clips(1, 1, TINY).depth is None


def test_depends_on_seed_and_index_alone() -> None:
    whole = render_clips(2, 4, TINY, with_depth=True)
    parts = [render_clips(2, 1, TINY, start=3), render_clips(2, 2, TINY, start=1)]
    assert torch.equal(whole.frames_u8[3], parts[0].frames_u8[0])
    assert torch.equal(whole.frames_u8[1:3], parts[1].frames_u8)
    assert torch.equal(whole.Ts_world_camera[1:3], parts[1].Ts_world_camera)
    assert whole.kinds[1:3] == parts[1].kinds
    first = stream(2, TINY)
    assert torch.equal(whole.frames_u8[:1], next(first).frames_u8)
    assert torch.equal(whole.frames_u8[1:2], next(first).frames_u8)
    assert not torch.equal(whole.frames_u8, render_clips(3, 4, TINY).frames_u8)


def test_motion_statistics() -> None:
    """Real windows of 17 frames turn by 39 degrees on average, up to 120, and stay off surfaces."""
    batch = many()
    Ts = batch.Ts_world_camera.numpy()
    turn = np.rad2deg(rotation_angle(Ts[:, -1, :3, :3]))
    assert 20 < turn.mean() < 55
    assert np.percentile(turn, 90) > 50
    step = np.rad2deg(rotation_angle(np.swapaxes(Ts[:, :-1, :3, :3], -1, -2) @ Ts[:, 1:, :3, :3]))
    assert step.max() < 20
    travel = np.linalg.norm(Ts[:, -1, :3, 3], axis=-1)
    assert 0.15 < np.median(travel) < 1.5
    assert len({kind.split("/")[0] for kind in batch.kinds}) == len(FAMILY_WEIGHTS)
    assert len(Counter(kind.split("/")[1] for kind in batch.kinds)) > 6
    fov = np.rad2deg(2 * np.arctan(16 / (2 * batch.intrinsics[:, 0, 1].numpy())))
    assert fov.min() >= 29.9 and fov.max() <= 85.1 and 45 < fov.mean() < 65


def test_nothing_fills_the_view() -> None:
    batch = many()
    assert batch.depth is not None
    nearest = batch.depth.flatten(2).min(-1).values
    assert (nearest > 0.1 * batch.median_depth).all()
    steps = batch.median_depth.log().diff(dim=1).abs()
    assert steps.max() < np.log(2.2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_starts_at_the_start(kind: str) -> None:
    start = Start(np.array([1.0, -1.5, 0.5]), np.array([0.5, -1.0, 3.0]), 0.3, -0.2, 0.05)
    path = sample_path(np.random.default_rng(0), kind, start, 17)
    check_rigid(path, kind)
    np.testing.assert_allclose(path[0, :3, 3], start.eye, atol=1e-9)
    R = rotations_from_angles(*np.array([[0.3], [-0.2], [0.05]]))[0]
    if kind != "wander":
        np.testing.assert_allclose(path[0, :3, :3], R, atol=1e-9)


def test_angles_turn_the_way_their_names_say() -> None:
    zero, some = np.zeros(1), np.full(1, 0.1)
    assert rotations_from_angles(some, zero, zero)[0, 0, 2] > 0  # looks right
    assert rotations_from_angles(zero, some, zero)[0, 1, 2] < 0  # looks up: y is down
    assert rotations_from_angles(zero, zero, some)[0, 1, 0] > 0  # the right side goes down


def test_photometry_leaves_geometry_alone() -> None:
    plain = SyntheticConfig(size=(32, 48), num_frames=5, texture_size=16, photometric=False)
    a, b = render_clips(4, 2, plain, with_depth=True), render_clips(4, 2, TINY, with_depth=True)
    assert a.depth is not None and b.depth is not None
    assert torch.equal(a.depth, b.depth) and not torch.equal(a.frames_u8, b.frames_u8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (4, 64)}, "size must be at least 8"),
        ({"num_frames": 0}, "num_frames must be at least 1"),
        ({"supersample_share": 2.0}, r"supersample_share must lie in \[0, 1\], got 2.0"),
    ],
)
def test_bad_config_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyntheticConfig(**change)


def test_bad_texture_size_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two from 16 to 1024, got 100"):
        render_clips(0, 1, SyntheticConfig(texture_size=100))


@pytest.mark.parametrize("seed", range(4))
def test_pure_motions_are_pure(seed: int) -> None:
    """Yaw and truck look alike: some clips have exactly one of them."""
    start = Start(np.array([1.0, -1.5, 0.5]), np.array([0.5, -1.0, 3.0]), 0.3, -0.2, 0.05)
    for kind in PURE_ROTATION:
        path = sample_path(np.random.default_rng(seed), kind, start, 17)
        assert (path[:, :3, 3] == path[0, :3, 3]).all() and rotation_angle(path[0, :3, :3].T @ path[-1, :3, :3]) > 0.1
    for kind in PURE_TRANSLATION:
        path = sample_path(np.random.default_rng(seed), kind, start, 17)
        assert (path[:, :3, :3] == path[0, :3, :3]).all()
        assert np.linalg.norm(path[-1, :3, 3] - path[0, :3, 3]) > 0.1 * start.distance


def test_a_drive_looks_where_it_goes() -> None:
    start = Start(np.array([0.0, -1.5, 0.0]), np.array([0.0, -1.5, 4.0]), 0.0, 0.0, 0.0)
    ahead = []
    for seed in range(30):
        path = sample_path(np.random.default_rng(seed), "drive", start, 17)
        step = path[-1, :3, 3] - path[0, :3, 3]
        ahead.append(step[2] / np.linalg.norm(step))
    assert np.median(ahead) > 0.8


def test_a_vignette_darkens_the_corners_by_its_strength() -> None:
    light = _vignette(torch.ones(3, 2, 32, 48), 0.4)
    assert light.max() <= 1 and light[16, 24] > 0.99
    np.testing.assert_allclose([light[0, 0], light[0, -1], light[-1, 0]], 0.6, atol=1e-5)


def test_blur_is_a_gaussian_of_its_size() -> None:
    spot = torch.zeros(3, 1, 17, 17)
    spot[:, :, 8, 8] = 1.0
    blurred = _blurred(spot, 0.8)[0, 0]
    at = torch.arange(17.0) - 8
    assert abs(float(blurred.sum()) - 1) < 1e-5 and torch.equal(blurred, blurred.T)
    assert abs(float((blurred.sum(0) * at**2).sum()) - 0.8**2) < 0.06  # five taps cut the tails off
    flat = torch.full((3, 2, 8, 9), 7.0)
    torch.testing.assert_close(_blurred(flat, 0.8), flat)


def test_jpeg_keeps_colours_in_their_channels() -> None:
    frames = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    frames[..., 0], frames[..., 2] = 200, 40
    back = _compressed(frames, 80).int()
    assert (back - frames.int()).abs().max() < 12
    noisy = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    errors = [(_compressed(noisy, q).int() - noisy.int()).abs().float().mean() for q in (40, 90)]
    assert errors[0] > errors[1] > 0
