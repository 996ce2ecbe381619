"""Cameras survive their raxel maps: exactly, under noise, with garbage pixels, and as well as a slow solver can do."""

import numpy as np
import pytest
import torch
from beartype import beartype
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import jaxtyped
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from rap.geometry import (
    cameras_to_pluecker,
    cameras_to_raxels,
    intrinsics_from_fov,
    pluecker_to_cameras,
    raxels_to_cameras,
    se3,
)

ROUND_TRIPS = [(cameras_to_raxels, raxels_to_cameras), (cameras_to_pluecker, pluecker_to_cameras)]


def random_cameras(rng, batch=1, frames=2, size=(32, 32), fov_y_deg=(30, 100), reach=0.7):
    """Cameras with any rotation and centres around `reach` from the reference; slightly oblong pixels."""
    poses = np.tile(np.eye(4), (batch, frames, 1, 1))
    count = batch * (frames - 1)
    rotations = Rotation.from_rotvec(rng.normal(size=(count, 3)) * 1.5).as_matrix()
    poses[:, 1:, :3, :3] = rotations.reshape(batch, frames - 1, 3, 3)
    poses[:, 1:, :3, 3] = reach * rng.normal(size=(batch, frames - 1, 3))
    fov_y_rad = np.radians(rng.uniform(*fov_y_deg, size=batch))
    intrinsics = np.stack([intrinsics_from_fov(value, size) for value in fov_y_rad])
    intrinsics[:, 0] *= rng.uniform(0.9, 1.1, size=batch)
    return torch.tensor(poses), torch.tensor(np.repeat(intrinsics[:, None], frames, axis=1))


def noise_like(maps, rng, sigma):
    return torch.tensor(rng.normal(size=maps.shape) * sigma, dtype=maps.dtype)


def errors(estimate, truth):
    """Rotation errors in degrees and relative focal errors of the frames after the reference."""
    (poses, intrinsics), (true_poses, true_intrinsics) = estimate, truth
    relative = (true_poses[..., :3, :3].mT @ poses[..., :3, :3])[:, 1:]
    rotation_deg = np.degrees(se3.rotation_angle(relative.numpy()))
    return rotation_deg, (intrinsics / true_intrinsics - 1)[..., :2].abs().numpy()


@st.composite
def hard_cameras(draw):
    """One reference and two frames at the places where rotations and translations degenerate."""
    angle = st.one_of(st.sampled_from([0.0, 1e-8, np.pi / 2, np.pi - 1e-9, np.pi]), st.floats(0, np.pi))
    poses = np.tile(np.eye(4), (3, 1, 1))
    for i in (1, 2):
        axis = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=3)
        poses[i, :3, :3] = Rotation.from_rotvec(draw(angle) * axis / np.linalg.norm(axis)).as_matrix()
        reach = draw(st.sampled_from([0.0, 1e-6, 1.0, 5.0]))
        poses[i, :3, 3] = reach * np.roll(axis, 1)
    size = draw(st.sampled_from([(8, 8), (2, 2), (16, 9), (5, 12)]))
    intrinsics = intrinsics_from_fov(np.radians(draw(st.floats(2, 140))), size)
    intrinsics[0] *= draw(st.floats(0.8, 1.25))
    return torch.tensor(poses), torch.tensor(intrinsics).repeat(3, 1), size


@pytest.mark.parametrize(("write", "read"), ROUND_TRIPS)
@settings(max_examples=60, deadline=None)
@given(hard_cameras())
def test_round_trip_is_exact(write, read, cameras):
    poses, intrinsics, size = cameras
    again, intrinsics_again = read(write(poses, intrinsics, size))
    torch.testing.assert_close(again, poses, rtol=0, atol=1e-5)
    torch.testing.assert_close(intrinsics_again, intrinsics, rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.linalg.det(again[..., :3, :3]), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize(("write", "read"), ROUND_TRIPS)
def test_float32_stays_float32_and_exact(write, read):
    poses, intrinsics = random_cameras(np.random.default_rng(0), batch=20, frames=3)
    again, intrinsics_again = read(write(poses.float(), intrinsics.float(), (32, 32)))
    assert again.dtype == intrinsics_again.dtype == torch.float32
    torch.testing.assert_close(again, poses.float(), rtol=0, atol=1e-5)
    torch.testing.assert_close(intrinsics_again, intrinsics.float(), rtol=1e-5, atol=0)


def test_half_precision_maps_are_read():
    poses, intrinsics = random_cameras(np.random.default_rng(0), batch=4, frames=3)
    again, _ = raxels_to_cameras(cameras_to_raxels(poses, intrinsics, (32, 32)).to(torch.bfloat16))
    assert again.dtype == torch.float32
    assert np.median(errors((again.double(), intrinsics), (poses, intrinsics))[0]) < 0.3


@pytest.mark.parametrize("size", [(32, 32), (64, 64)])
@pytest.mark.parametrize("frames", [2, 5])
def test_one_percent_of_noise(size, frames):
    """Issue 2: 1 % of the unit ray, 200 cameras: median rotation error below 0.3 degrees, focal error below 1 %."""
    rng = np.random.default_rng(1)
    truth = random_cameras(rng, batch=200 // (frames - 1), frames=frames, size=size)
    maps = cameras_to_raxels(*truth, size)
    rotation_deg, focal = errors(raxels_to_cameras(maps + noise_like(maps, rng, 0.01)), truth)
    assert np.median(rotation_deg) < 0.12
    assert np.median(focal) < 0.002 and focal.max() < 0.01


@pytest.mark.parametrize("moves", [True, False])
def test_agrees_with_nonlinear_least_squares(moves):
    """The slow twin: SciPy over all rotations, translations and both focal lengths at once, from the true cameras."""
    rng = np.random.default_rng(2)
    size = (12, 16)
    for item in range(6):
        poses, intrinsics = random_cameras(rng, frames=4, size=size, reach=0.7 if moves else 0.0)
        maps = cameras_to_raxels(poses, intrinsics, size)
        maps = (maps + noise_like(maps, rng, 0.02)) if moves else maps + noise_like(maps, rng, 0.02)
        slow = slow_cameras(maps[0].numpy(), poses[0].numpy(), intrinsics[0, 0].numpy(), moves)
        if moves:
            fast = raxels_to_cameras(maps)
        else:
            fast = pluecker_to_cameras(torch.cat([torch.zeros_like(maps), maps], dim=2))
        np.testing.assert_allclose(fast[0][0].numpy(), slow[0], atol=2e-4, err_msg=f"item {item}")
        np.testing.assert_allclose(fast[1][0, 0].numpy(), slow[1], rtol=2e-4, err_msg=f"item {item}")


def slow_cameras(maps, start_poses, start_intrinsics, moves):
    frames, _, h, w = maps.shape

    def unpack(parameters):
        poses = np.tile(np.eye(4), (frames, 1, 1))
        poses[1:, :3, :3] = Rotation.from_rotvec(parameters[2 : 2 + 3 * (frames - 1)].reshape(-1, 3)).as_matrix()
        if moves:
            poses[1:, :3, 3] = parameters[2 + 3 * (frames - 1) :].reshape(-1, 3)
        return poses, np.array([*np.exp(parameters[:2]), w / 2, h / 2])

    def residual(parameters):
        poses, intrinsics = unpack(parameters)
        return (cameras_to_raxels(poses, np.tile(intrinsics, (frames, 1)), (h, w)).numpy() - maps).ravel()

    rotvecs = Rotation.from_matrix(start_poses[1:, :3, :3]).as_rotvec().ravel()
    start = [np.log(start_intrinsics[:2]), rotvecs, *([start_poses[1:, :3, 3].ravel()] if moves else [])]
    # Frames are weighed by their own noise in the fast fit; here all are equally noisy, so plain least squares agrees.
    return unpack(least_squares(residual, np.concatenate(start), method="lm").x)


@pytest.mark.parametrize("part", [0.001, 0.05, 0.2])
@pytest.mark.parametrize("size_of_garbage", [1.0, 100.0, 1e6])
def test_garbage_pixels_are_survived(part, size_of_garbage):
    rng = np.random.default_rng(3)
    truth = random_cameras(rng, batch=40, frames=3)
    maps = cameras_to_raxels(*truth, (32, 32))
    garbage = torch.tensor(rng.random((40, 3, 1, 32, 32)) < part)
    spoilt = torch.where(garbage, noise_like(maps, rng, size_of_garbage), maps + noise_like(maps, rng, 0.01))
    rotation_deg, focal = errors(raxels_to_cameras(spoilt), truth)
    assert np.median(rotation_deg) < 0.15 and rotation_deg.max() < 1.5
    assert np.median(focal) < 0.002 and focal.max() < 0.012


def test_leaving_out_robust_weights_changes_spoilt_maps_only():
    rng = np.random.default_rng(8)
    maps = cameras_to_raxels(*random_cameras(rng, frames=3), (32, 32))
    maps = maps + noise_like(maps, rng, 0.01)
    for with_weights, without in zip(raxels_to_cameras(maps), raxels_to_cameras(maps, robust=False), strict=True):
        assert torch.equal(with_weights, without)
    maps[:, 1, :, :2] += 0.5
    assert (raxels_to_cameras(maps)[0] - raxels_to_cameras(maps, robust=False)[0]).abs().max() > 1e-3


def test_pixels_that_are_not_finite_are_left_out():
    rng = np.random.default_rng(4)
    truth = random_cameras(rng, frames=3)
    for write, read in ROUND_TRIPS:
        maps = write(*truth, (32, 32))
        maps[:, 1, 0, :4] = torch.nan
        maps[:, 0, 2, 5] = torch.inf
        torch.testing.assert_close(read(maps)[0], truth[0], rtol=0, atol=1e-8)


@pytest.mark.parametrize("fov_y_deg", [0.2, 2.0])
def test_narrow_views_stay_defined(fov_y_deg):
    """A narrow map shows turns about the axis and little else; still cameras come back, exact without noise."""
    rng = np.random.default_rng(5)
    truth = random_cameras(rng, batch=20, frames=3, fov_y_deg=(fov_y_deg, fov_y_deg))
    maps = cameras_to_raxels(*truth, (32, 32))
    rotation_deg, focal = errors(raxels_to_cameras(maps), truth)
    assert rotation_deg.max() < 1e-3 and focal.max() < 1e-6
    poses, intrinsics = raxels_to_cameras(maps + noise_like(maps, rng, 0.01))
    assert poses.isfinite().all() and (intrinsics[..., :2] > 0).all()
    if fov_y_deg == 2.0:
        assert np.median(errors((poses, intrinsics), truth)[0]) < 6


@pytest.mark.parametrize("maps", [torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8), -torch.ones(2, 3, 8, 8)])
def test_maps_of_no_camera_give_finite_rigid_poses(maps):
    for values in (maps, torch.randn(maps.shape, generator=torch.Generator().manual_seed(0)), 1e8 * maps):
        poses, intrinsics = raxels_to_cameras(values)
        se3.check_rigid(poses.numpy(), "poses")
        assert intrinsics.isfinite().all() and (intrinsics[..., :2] > 0).all()


def test_any_frame_can_be_the_reference():
    rng = np.random.default_rng(6)
    poses, intrinsics = random_cameras(rng, frames=5)
    for reference in (2, -1):
        relative = torch.linalg.inv(poses[:, reference]) @ poses
        maps = cameras_to_raxels(relative, intrinsics, (32, 32))
        again, _ = raxels_to_cameras(maps + noise_like(maps, rng, 1e-3), reference=reference)
        assert torch.equal(again[:, reference], torch.eye(4, dtype=torch.float64)[None])
        assert (again - relative).abs().max() < 1e-2


def test_a_batch_is_its_items():
    rng = np.random.default_rng(7)
    truth = random_cameras(rng, batch=4, frames=3)
    maps = cameras_to_raxels(*truth, (16, 16))
    maps = maps + noise_like(maps, rng, 0.01)
    maps[1, 2, :, 3, 4] = 1.7  # an outlier in one item must not change the others
    together = raxels_to_cameras(maps.reshape(2, 2, 3, 3, 16, 16))
    assert together[0].shape == (2, 2, 3, 4, 4) and together[1].shape == (2, 2, 3, 4)
    for i in range(4):
        poses, intrinsics = raxels_to_cameras(maps[i])
        torch.testing.assert_close(together[0].flatten(0, 1)[i], poses, rtol=0, atol=1e-12)
        torch.testing.assert_close(together[1].flatten(0, 1)[i], intrinsics, rtol=0, atol=1e-9)


def test_a_cleaner_frame_counts_more():
    """The reference is often given clean: then its focal length must not be spoilt by the noisy frames."""
    rng = np.random.default_rng(8)
    truth = random_cameras(rng, batch=20, frames=5)
    maps = cameras_to_raxels(*truth, (32, 32))
    noisy = maps + noise_like(maps, rng, 0.05)
    noisy[:, 0] = maps[:, 0]
    assert errors(raxels_to_cameras(noisy), truth)[1].max() < 1e-4


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((2, 4, 8, 8), r"raxels must have shape \(…, frames, 3, h, w\), got \(2, 4, 8, 8\)"),
        ((3, 8, 8), r"raxels must have shape"),
        ((0, 3, 8, 8), r"raxels must have shape"),
        ((2, 3, 1, 8), r"raxels must be at least 2x2 pixels to show a field of view, got 1x8"),
    ],
)
def test_wrong_shapes_are_refused(shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        raxels_to_cameras(torch.zeros(shape))


def test_other_wrong_input_is_refused():
    maps = torch.zeros(1, 3, 3, 8, 8)
    with pytest.raises(ValueError, match="reference must be the index of one of the 3 frames, got 3"):
        raxels_to_cameras(maps, reference=3)
    maps[0, 1] = torch.nan
    with pytest.raises(ValueError, match="at least 3 finite pixels in every frame, but frame 1 of item 0 has 0 of 64"):
        raxels_to_cameras(maps)
    with pytest.raises(ValueError, match=r"pluecker must have shape \(…, frames, 6, h, w\)"):
        pluecker_to_cameras(maps)
    poses, intrinsics = np.eye(4)[None], np.array([[10.0, 10, 4, 4]])
    with pytest.raises(ValueError, match=r"Ts_world_camera must have shape \(…, frames, 4, 4\), got \(4, 4\)"):
        cameras_to_raxels(poses[0], intrinsics, (8, 8))
    with pytest.raises(ValueError, match=r"intrinsics must have shape \(1, 4\)"):
        cameras_to_raxels(poses, intrinsics[0], (8, 8))
    with pytest.raises(ValueError, match="positive focal lengths, got -10 px"):
        cameras_to_raxels(poses, -intrinsics, (8, 8))


def test_annotations_hold():
    poses, intrinsics = random_cameras(np.random.default_rng(0), frames=3)
    for write, read in ROUND_TRIPS:
        maps = jaxtyped(write, typechecker=beartype)(poses, intrinsics, (6, 8))
        assert jaxtyped(read, typechecker=beartype)(maps)[0].shape == (1, 3, 4, 4)
