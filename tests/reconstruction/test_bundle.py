"""The adjustment finds the cameras again, as SciPy does, from noise, outliers, another lens."""

from dataclasses import replace

import numpy as np
import pytest
from analytic_scenes import observe, path
from scipy.optimize import least_squares

from rap.geometry import se3
from rap.reconstruction.bundle import _blocks, _Kernel, _problem, _squared, _start, _State, bundle_adjust

PATH = path((0.3, -0.05, 0.1), (0.03, -0.25, 0.05), num_frames=6)
XYZ = np.random.default_rng(1).uniform([-0.4, -0.3, 0.8], [0.4, 0.3, 2.0], size=(60, 3))


def disturbed(trajectory, size=0.03, seed=0):
    """Poses off by `size` radians and lengths, the source's apart."""
    xi = size * np.random.default_rng(seed).normal(size=(len(trajectory), 6))
    xi[trajectory.source] = 0
    return trajectory.Ts_world_camera @ se3.exp(xi)


def gauge_free(poses, fixed=0):
    """Poses with their unit of length divided out."""
    poses = se3.inverse(poses[fixed]) @ poses
    poses[:, :3, 3] /= np.linalg.norm(poses[:, :3, 3])
    return poses


def test_poses_are_recovered_exactly():
    tracks = observe(XYZ, PATH)
    start = disturbed(PATH)
    bundle = bundle_adjust(tracks, start, PATH.intrinsics, iterations=40)
    np.testing.assert_allclose(gauge_free(bundle.Ts_world_camera), gauge_free(PATH.Ts_world_camera), atol=1e-4)
    assert (bundle.Ts_world_camera[0] == start[0]).all() and bundle.residual_px.max() < 1e-2
    unit = np.median(bundle.xyz[:, 2] / XYZ[:, 2])
    np.testing.assert_allclose(bundle.xyz / unit, XYZ, atol=1e-3)


def test_points_may_be_given_and_any_frame_fixed():
    tracks = observe(XYZ, PATH)
    start = disturbed(PATH.relative_to(3))
    bundle = bundle_adjust(tracks, start, PATH.intrinsics[0], fixed=3, points=XYZ @ np.eye(3) + 0.01, iterations=40)
    assert (bundle.Ts_world_camera[3] == start[3]).all()
    np.testing.assert_allclose(gauge_free(bundle.Ts_world_camera, 3), gauge_free(PATH.Ts_world_camera, 3), atol=1e-4)


def test_derivatives_agree_with_differences():
    """The gradient of the quadratic cost along every camera and point parameter, focal length included."""
    tracks = observe(XYZ[:5], PATH, noise_px=1.0)
    start = disturbed(PATH)
    problem = _problem(tracks, np.array(PATH.intrinsics), 0, "shared", None, False)
    state = _State(start, _start(problem, start, None, False), 0.05)
    blocks = _blocks(problem, state, _Kernel(1e9, 1))  # a scale so large that every weight is 1

    def cost(state):
        return 0.5 * _squared(problem, state).sum()

    def along(k, step):
        xi = np.zeros((6, 6))
        xi.ravel()[k] = step
        return replace(state, Ts=state.Ts @ se3.exp(xi))

    cameras = [(cost(along(k, 1e-6)) - cost(along(k, -1e-6))) / 2e-6 for k in range(36)]
    np.testing.assert_allclose(blocks.camera_gradient[:-1], cameras, rtol=1e-4, atol=1e-2)
    focal = (cost(replace(state, log_focal=0.05 + 1e-6)) - cost(replace(state, log_focal=0.05 - 1e-6))) / 2e-6
    np.testing.assert_allclose(blocks.camera_gradient[-1], focal, rtol=1e-4)
    uvr = state.charts.uvr
    column = problem.groups[0].points.tolist().index(1)
    for k in range(3):
        step = 1e-6 * (np.arange(15).reshape(5, 3) == 3 + k)
        plus, minus = (replace(state, charts=replace(state.charts, uvr=uvr + s)) for s in (step, -step))
        np.testing.assert_allclose(blocks.groups[0].gradient[k, column], (cost(plus) - cost(minus)) / 2e-6, rtol=1e-4)


def slow_cost(tracks, trajectory, start, scale):
    """The same robust cost minimised by SciPy over poses and points, all Jacobians by differences."""
    T, P = len(start), tracks.num_points

    def residuals(x):
        xi = np.concatenate([np.zeros((1, 6)), x[: 6 * (T - 1)].reshape(-1, 6)])
        inverse = se3.inverse(start @ se3.exp(xi))[tracks.frame]
        local = np.einsum("nij,nj->ni", inverse[:, :3, :3], x[6 * (T - 1) :].reshape(P, 3)[tracks.point])
        local += inverse[:, :3, 3]
        lens = trajectory.intrinsics[0]
        error = local[:, :2] / local[:, 2:] * lens[:2] + lens[2:] - tracks.xy
        length = np.linalg.norm(error, axis=1)
        return length / np.sqrt(1 + (length / scale) ** 2)  # its square is the kernel

    x0 = np.concatenate([np.zeros(6 * (T - 1)), XYZ[:P].ravel()])
    return 2 * least_squares(residuals, x0, x_scale="jac", max_nfev=60).cost / len(tracks)


def test_the_slow_twin_finds_no_better():
    trajectory = path((0.3, -0.05, 0.1), (0.03, -0.25, 0.05), num_frames=4)
    tracks = observe(XYZ[:15], trajectory, noise_px=0.3)
    start = disturbed(trajectory, 0.01)
    bundle = bundle_adjust(tracks, start, trajectory.intrinsics, iterations=60)
    slow = slow_cost(tracks, trajectory, start, bundle.scale_px)
    assert bundle.cost_px2 < 1.02 * slow + 1e-6


def worst_turn_deg(bundle):
    off = se3.inverse(gauge_free(bundle.Ts_world_camera)) @ gauge_free(PATH.Ts_world_camera)
    return np.rad2deg(se3.rotation_angle(off[:, :3, :3])).max()


def test_outliers_do_not_pull():
    rng = np.random.default_rng(3)
    tracks = observe(XYZ, PATH, noise_px=0.1)
    clean = bundle_adjust(tracks, disturbed(PATH, 0.01), PATH.intrinsics, iterations=40)
    wrong = rng.random(len(tracks)) < 0.2
    tracks.xy[wrong] += rng.uniform(-20, 20, (wrong.sum(), 2))
    bundle = bundle_adjust(tracks, disturbed(PATH, 0.01), PATH.intrinsics, iterations=40)
    assert worst_turn_deg(bundle) < 2 * worst_turn_deg(clean) + 0.05
    assert bundle.weight[~wrong].mean() > 0.8 and np.median(bundle.weight[wrong]) < 0.05


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_shared_focal_length_is_found(factor):
    trajectory = path((0.5, -0.05, 0.3), (0.1, -0.45, 0.2), num_frames=8)
    tracks = observe(XYZ, trajectory, noise_px=0.02)
    wrong = trajectory.intrinsics * [factor, factor, 1, 1]
    bundle = bundle_adjust(
        tracks, trajectory.Ts_world_camera, wrong, focal="shared", focal_prior=(np.deg2rad(55), 0.35), iterations=80
    )
    np.testing.assert_allclose(bundle.intrinsics, trajectory.intrinsics, rtol=0.03)


def test_rotations_alone():
    trajectory = path(None, (0.05, -0.3, 0.05))
    tracks = observe(XYZ * 1e6, trajectory)
    start = np.repeat(np.eye(4)[None], len(trajectory), axis=0)
    bundle = bundle_adjust(tracks, start, trajectory.intrinsics, at_infinity=True)
    np.testing.assert_allclose(bundle.Ts_world_camera, trajectory.Ts_world_camera, atol=1e-5)


def test_a_frame_without_tracks_keeps_its_pose():
    tracks = observe(XYZ, PATH)
    tracks = tracks.where(tracks.frame != 2)
    start = disturbed(PATH)
    bundle = bundle_adjust(tracks, start, PATH.intrinsics)
    assert (bundle.Ts_world_camera[2] == start[2]).all() and np.median(bundle.residual_px) < 0.05


def test_no_tracks_change_nothing():
    empty = observe(XYZ, PATH).where(np.zeros(len(XYZ) * len(PATH), dtype=bool))
    bundle = bundle_adjust(empty, PATH.Ts_world_camera, PATH.intrinsics)
    assert (bundle.Ts_world_camera == PATH.Ts_world_camera).all() and len(bundle.xyz) == 0


def test_arguments_are_checked():
    tracks = observe(XYZ, PATH)
    with pytest.raises(ValueError, match="fixed must be one of the 6 frames, got 6"):
        bundle_adjust(tracks, PATH.Ts_world_camera, PATH.intrinsics, fixed=6)
    with pytest.raises(ValueError, match=r"Ts_world_camera must have shape \(6, 4, 4\), got \(5, 4, 4\)"):
        bundle_adjust(tracks, PATH.Ts_world_camera[:5], PATH.intrinsics)
    with pytest.raises(ValueError, match=r"points must have shape \(60, 3\)"):
        bundle_adjust(tracks, PATH.Ts_world_camera, PATH.intrinsics, points=XYZ[:3])
