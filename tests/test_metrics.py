"""Pose and image metrics: analytic cases, slow twins, invariances, degenerate paths, other implementations."""

from __future__ import annotations

import math

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rap import metrics
from rap.geometry import se3


def random_path(seed: int, num_frames: int = 6, turn: float = 0.5, move: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return se3.exp(
        np.concatenate([move * rng.normal(size=(num_frames, 3)), turn * rng.normal(size=(num_frames, 3))], axis=1)
    )


def turned(Ts: np.ndarray, degrees: float, axis: tuple[float, float, float] = (0.0, 1.0, 0.0)) -> np.ndarray:
    """Each camera after the first turned about its own centre."""
    R = Rotation.from_rotvec(np.radians(degrees) * np.array(axis)).as_matrix()
    out = Ts.copy()
    out[1:, :3, :3] = out[1:, :3, :3] @ R
    return out


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where shapes are checked at run time too (jaxtyping's import hook), let the functions themselves refuse."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


seeds = st.integers(0, 2**32 - 1)


# --- pairs ------------------------------------------------------------------------------------------------------------


def slow_pose_errors(Ts_pred: np.ndarray, Ts_true: np.ndarray) -> list[tuple[float, float]]:
    """Rotation and signed direction by loops, inverse matrices and arccos."""
    errors = []
    for i in range(len(Ts_true)):
        for j in range(i + 1, len(Ts_true)):
            pred, true = np.linalg.inv(Ts_pred[i]) @ Ts_pred[j], np.linalg.inv(Ts_true[i]) @ Ts_true[j]
            trace = np.trace(pred[:3, :3].T @ true[:3, :3])
            a, b = pred[:3, 3], true[:3, 3]
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            angles = (np.clip((trace - 1) / 2, -1, 1), np.clip(cosine, -1, 1))
            errors.append(tuple(math.degrees(math.acos(value)) for value in angles))
    return errors


@given(seeds)
@settings(max_examples=20)
def test_pose_errors_agree_with_the_slow_twin(seed: int) -> None:
    Ts_pred, Ts_true = random_path(seed), random_path(seed + 1)
    errors = metrics.pose_errors(Ts_pred, Ts_true)
    slow = np.array(slow_pose_errors(Ts_pred, Ts_true))
    np.testing.assert_allclose(errors.rotation_deg, slow[:, 0], atol=1e-5)
    np.testing.assert_allclose(errors.direction_signed_deg, slow[:, 1], atol=1e-5)
    np.testing.assert_allclose(errors.direction_deg, np.minimum(slow[:, 1], 180 - slow[:, 1]), atol=1e-5)


@given(seeds, st.floats(0.01, 100.0))
@settings(max_examples=20)
def test_pose_errors_do_not_see_world_or_scale(seed: int, factor: float) -> None:
    Ts_pred, Ts_true = random_path(seed), random_path(seed + 1)
    moved = random_path(seed + 2, 1)[0] @ Ts_pred
    moved[:, :3, 3] *= factor
    a, b = metrics.pose_errors(Ts_pred, Ts_true), metrics.pose_errors(moved, Ts_true)
    np.testing.assert_allclose(a.rotation_deg, b.rotation_deg, atol=1e-5)
    np.testing.assert_allclose(a.direction_signed_deg, b.direction_signed_deg, atol=1e-5)


def test_perfect_prediction_scores_one() -> None:
    Ts = random_path(0)
    errors = metrics.pose_errors(Ts, Ts)
    assert (errors.rra30, errors.rta30, errors.auc30) == (1.0, 1.0, 1.0)
    assert errors.rotation_deg.shape == (15,)
    assert errors.rotation_deg.max() < 1e-5


def test_auc_counts_whole_degrees() -> None:
    # Two frames, so one pair; 10.5 degrees off in rotation, none in direction: tau = 11 .. 30 are reached, 20 of 30.
    Ts = np.stack([np.eye(4), se3.from_rotation_translation(np.eye(3), [1.0, 0.0, 0.0])])
    errors = metrics.pose_errors(turned(Ts, 10.5), Ts)
    assert errors.auc30 == pytest.approx(20 / 30)
    assert errors.auc(15) == pytest.approx(5 / 15)
    assert errors.rra30 == errors.rta30 == 1.0
    assert errors.rra(10.0) == 0.0


def test_a_backward_path_is_right_without_sign_and_wrong_with_it() -> None:
    Ts = se3.from_rotation_translation(np.eye(3), np.arange(5)[:, None] * [0.0, 0.0, 1.0])
    backward = Ts.copy()
    backward[:, :3, 3] *= -1
    errors = metrics.pose_errors(backward, Ts)
    assert errors.direction_deg.max() == 0.0
    assert errors.direction_signed_deg.min() == 180.0
    assert errors.auc30 == 1.0


@pytest.mark.parametrize("max_deg", [30, 15])
def test_auc_agrees_with_the_histogram_of_vggt(max_deg: int) -> None:
    rng = np.random.default_rng(0)
    rotation, direction = rng.uniform(0, 40, (2, 500))
    errors = metrics.PoseErrors(rotation, direction, direction)
    histogram, _ = np.histogram(np.maximum(rotation, direction), bins=np.arange(max_deg + 1))
    assert errors.auc(max_deg) == pytest.approx(np.mean(np.cumsum(histogram / 500)))


# --- degenerate pairs -------------------------------------------------------------------------------------------------


def test_a_pan_has_no_direction_and_is_judged_by_rotation() -> None:
    pan = se3.exp(np.radians([[0, 0, 0, 0, degrees, 0] for degrees in (0, 5, 10, 15)]))
    errors = metrics.pose_errors(random_path(0, 4, turn=0.0) @ pan, pan)
    assert np.isnan(errors.direction_deg).all() and np.isnan(errors.direction_signed_deg).all()
    assert math.isnan(errors.rta30)
    assert errors.auc30 == 1.0
    assert errors.summary()["rta30"] is None and errors.summary()["direction_deg_median"] is None


def test_a_static_camera_far_from_the_origin_is_still_static() -> None:
    rotations = random_path(2, 4)[:, :3, :3]
    pan = se3.from_rotation_translation(rotations, np.array([1234.567, -0.1, 987.3]))
    assert np.isnan(metrics.pose_errors(pan, pan).direction_deg).all()
    drift = se3.from_rotation_translation(rotations, np.arange(4)[:, None] * [0.0, 0.0, 0.1])
    errors = metrics.path_errors(drift, pan)
    assert errors.alignment.scale == 1.0
    assert errors.ate == pytest.approx(0.1 * np.std(np.arange(4)))


def test_a_prediction_without_motion_is_90_degrees_off() -> None:
    Ts_true = random_path(1, turn=0.0)
    errors = metrics.pose_errors(np.tile(np.eye(4), (6, 1, 1)), Ts_true)
    assert (errors.direction_deg == 90.0).all() and (errors.direction_signed_deg == 90.0).all()
    assert errors.rta30 == 0.0 and errors.auc30 == 0.0 and errors.rra30 == 1.0


def test_two_frames_at_one_place_leave_the_other_pairs() -> None:
    Ts = se3.from_rotation_translation(np.eye(3), [[0, 0, 0], [0, 0, 0], [1, 0, 0]])
    errors = metrics.pose_errors(Ts, Ts)
    assert np.isnan(errors.direction_deg).tolist() == [True, False, False]
    assert errors.rta30 == 1.0


@pytest.mark.parametrize(
    ("Ts_pred", "Ts_true", "words"),
    [
        (random_path(0, 5), random_path(0, 6), "(5, 4, 4) and Ts_true (6, 4, 4)"),
        (random_path(0, 1), random_path(0, 1), "at least 2 frames, got 1"),
        (np.full((3, 4, 4), np.nan), random_path(0, 3), "Ts_pred[0] holds values that are not finite"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_unusable_paths_are_refused_by_name(Ts_pred: np.ndarray, Ts_true: np.ndarray, words: str) -> None:
    for metric in (metrics.pose_errors, metrics.path_errors):
        with pytest.raises(ValueError) as error:
            metric(Ts_pred, Ts_true)
        assert words in str(error.value)


# --- paths ------------------------------------------------------------------------------------------------------------


def slow_path_errors(Ts_pred: np.ndarray, Ts_true: np.ndarray) -> tuple[float, float]:
    """CamI2V's two sums by loops."""
    pred = [np.linalg.inv(Ts_pred[0]) @ T for T in Ts_pred]
    true = [np.linalg.inv(Ts_true[0]) @ T for T in Ts_true]
    longest_pred, longest_true = (max(float(np.linalg.norm(T[:3, 3])) for T in Ts) for Ts in (pred, true))
    r_err = t_err = 0.0
    for a, b in zip(pred, true, strict=True):
        r_err += math.acos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1))
        t_err += float(np.linalg.norm(a[:3, 3] / longest_pred - b[:3, 3] / longest_true))
    return r_err, t_err


@given(seeds)
@settings(max_examples=20)
def test_path_errors_agree_with_the_slow_twin(seed: int) -> None:
    Ts_pred, Ts_true = random_path(seed), random_path(seed + 1)
    errors = metrics.path_errors(Ts_pred, Ts_true)
    assert (errors.r_err, errors.t_err) == pytest.approx(slow_path_errors(Ts_pred, Ts_true), abs=1e-6)


def test_path_errors_of_a_constant_turn() -> None:
    Ts = random_path(0, 5)
    errors = metrics.path_errors(turned(Ts, 3.0), Ts)
    np.testing.assert_allclose(errors.rotation_deg, [0, 3, 3, 3, 3], atol=1e-6)
    assert errors.r_err == pytest.approx(4 * math.radians(3.0))
    assert errors.rotation_deg_mean == pytest.approx(3.0)
    assert errors.t_err == pytest.approx(0.0, abs=1e-12) and errors.ate == pytest.approx(0.0, abs=1e-12)
    assert set(errors.summary()) == {"r_err_rad_sum", "t_err_sum", "rotation_deg_mean", "ate", "alignment_scale"}


def test_ate_is_in_the_unit_of_the_reference() -> None:
    Ts_true = random_path(3, 20)
    Ts_pred = Ts_true.copy()
    Ts_pred[:, :3, 3] += 0.05 * np.random.default_rng(0).normal(size=(20, 3))
    larger = Ts_true.copy()
    larger[:, :3, 3] *= 10
    assert metrics.path_errors(Ts_pred, larger).ate == pytest.approx(10 * metrics.path_errors(Ts_pred, Ts_true).ate)


def test_a_static_reference_keeps_the_unit_of_the_prediction() -> None:
    static = np.tile(np.eye(4), (4, 1, 1))
    drift = static.copy()
    drift[:, 0, 3] = [0.0, 0.1, 0.2, 0.3]
    errors = metrics.path_errors(drift, static)
    assert errors.ate == pytest.approx(np.std([0.0, 0.1, 0.2, 0.3]))
    np.testing.assert_allclose(errors.translation, [0, 1 / 3, 2 / 3, 1])
    assert metrics.path_errors(static, static).t_err == metrics.path_errors(static, static).ate == 0.0


# --- umeyama ----------------------------------------------------------------------------------------------------------


@given(seeds, st.floats(0.01, 100.0), st.sampled_from([3, 4, 20]))
@settings(max_examples=40)
def test_umeyama_recovers_a_similarity(seed: int, scale: float, num_points: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(num_points, 3))  # 3 points: coplanar, where the sign of the determinant decides
    R, t = Rotation.random(random_state=seed % 2**31).as_matrix(), rng.normal(size=3)
    found = metrics.umeyama(points, scale * points @ R.T + t)
    assert found.scale == pytest.approx(scale, rel=1e-6)
    np.testing.assert_allclose(found.rotation, R, atol=1e-5)
    np.testing.assert_allclose(found.apply(points), scale * points @ R.T + t, atol=1e-9 * scale + 1e-9)


@given(seeds, st.booleans())
@settings(max_examples=5, deadline=None)
def test_umeyama_is_as_good_as_nonlinear_least_squares(seed: int, mirrored: bool) -> None:
    """The slow twin minimises over log scale, turn and shift, also where a reflection would fit better."""
    from scipy.optimize import least_squares

    rng = np.random.default_rng(seed)
    points = rng.normal(size=(8, 3))
    target = points * ([1, 1, -1] if mirrored else [1, 1, 1]) + 0.1 * rng.normal(size=(8, 3))

    def residuals(x: np.ndarray) -> np.ndarray:
        return (np.exp(x[0]) * Rotation.from_rotvec(x[1:4]).apply(points) + x[4:] - target).ravel()

    starts = [np.concatenate([[0.0], 2.0 * rng.normal(size=3), np.zeros(3)]) for _ in range(8)]
    best = min(2 * least_squares(residuals, start).cost for start in starts)
    found = metrics.umeyama(points, target)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    assert np.sum((found.apply(points) - target) ** 2) <= best + 1e-6


def test_umeyama_turns_a_line_by_the_smallest_angle() -> None:
    line = np.arange(5)[:, None] * [0.0, 0.0, 1.0]
    same = metrics.umeyama(line, 2 * line + 1)
    np.testing.assert_allclose(same.rotation, np.eye(3), atol=1e-12)
    assert same.scale == pytest.approx(2.0)
    aside = metrics.umeyama(line, line[:, [2, 1, 0]])
    assert Rotation.from_matrix(aside.rotation).magnitude() == pytest.approx(math.pi / 2)
    np.testing.assert_allclose(aside.apply(line), line[:, [2, 1, 0]], atol=1e-12)
    back = metrics.umeyama(line, -line)
    assert np.linalg.det(back.rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(back.apply(line), -line, atol=1e-12)


def test_umeyama_of_coincident_points_only_shifts() -> None:
    point, spread = np.tile([1.0, 2.0, 3.0], (4, 1)), np.random.default_rng(0).normal(size=(4, 3))
    for points, target in ((point, spread), (spread, point), (point, point + 1), (spread[:1], point[:1])):
        found = metrics.umeyama(points, target)
        assert found.scale == 1.0
        np.testing.assert_array_equal(found.rotation, np.eye(3))
        np.testing.assert_allclose(found.apply(points).mean(axis=0), target.mean(axis=0))


def test_umeyama_without_scale_and_on_poses() -> None:
    Ts = random_path(5)
    T = random_path(6, 1)[0]
    found = metrics.umeyama(Ts[:, :3, 3], (T @ Ts)[:, :3, 3], with_scale=False)
    assert found.scale == 1.0
    np.testing.assert_allclose(found.apply_to_poses(Ts), T @ Ts, atol=1e-9)


@pytest.mark.parametrize("bad", [np.zeros((4, 2)), np.zeros((5, 3)), np.full((4, 3), np.inf)])
@pytest.mark.usefixtures("unchecked")
def test_umeyama_refuses_by_name(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="umeyama"):
        metrics.umeyama(bad, np.zeros((4, 3)))


def test_frames_of_which_nothing_is_known_count_as_wrong() -> None:
    Ts = random_path(3, 5)
    assert metrics.pose_errors(Ts, Ts).auc30 == 1.0
    pairs = metrics.pose_errors(Ts, Ts, lost=(1, 2))
    assert pairs.auc30 == pytest.approx(3 / 10) and (pairs.rotation_deg == 180).sum() == 7
    path = metrics.path_errors(Ts, Ts, lost=(1, 2))
    np.testing.assert_allclose(path.rotation_deg, [0, 180, 180, 0, 0], atol=1e-5)
    np.testing.assert_allclose(path.translation, [0, 1, 1, 0, 0], atol=1e-9)


# --- images -----------------------------------------------------------------------------------------------------------


def noisy_pair(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, shape)
    return a.astype(np.uint8), np.clip(a + rng.normal(0, 20, shape), 0, 255).astype(np.uint8)


def test_psnr_of_a_constant_difference() -> None:
    a = np.full((2, 16, 16, 3), 100, np.uint8)
    assert metrics.psnr(a, a + np.uint8(5)) == pytest.approx(20 * math.log10(255 / 5))
    assert metrics.psnr(a, a) == math.inf
    b = a.copy()
    b[1] += 5
    assert metrics.psnr(a, b) == pytest.approx(20 * math.log10(255 / 5))
    assert metrics.psnr_per_frame(a, b).tolist() == [math.inf, pytest.approx(20 * math.log10(255 / 5))]


def test_ssim_agrees_with_the_slow_twin() -> None:
    a, b = noisy_pair((13, 14, 1))
    window = np.outer(metrics.ssim_kernel(), metrics.ssim_kernel())
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y in range(3):
        for x in range(4):
            p, q = (image[y : y + 11, x : x + 11, 0].astype(float) for image in (a, b))
            mp, mq = np.sum(window * p), np.sum(window * q)
            vp, vq = np.sum(window * (p - mp) ** 2), np.sum(window * (q - mq) ** 2)
            cov = np.sum(window * (p - mp) * (q - mq))
            values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    assert metrics.ssim(a, b) == pytest.approx(np.mean(values), abs=1e-9)


def test_ssim_is_one_for_equal_frames_and_per_frame() -> None:
    a, b = noisy_pair((3, 16, 20, 3))
    assert metrics.ssim(a, a) == pytest.approx(1.0)
    per_frame = metrics.ssim_per_frame(a, b)
    assert per_frame.shape == (3,)
    assert per_frame[1] == pytest.approx(metrics.ssim(a[1], b[1]))
    assert metrics.ssim(a, b) == pytest.approx(per_frame.mean()) and per_frame.max() < 0.99


@pytest.mark.usefixtures("unchecked")
def test_images_are_refused_by_name() -> None:
    a = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match=r"\(16, 16, 3\) and \(16, 8, 3\)"):
        metrics.psnr(a, a[:, :8])
    with pytest.raises(ValueError, match="must be uint8 .* got float64"):
        metrics.psnr(a / 255.0, a / 255.0)
    with pytest.raises(ValueError, match="smaller than its 11x11 window"):
        metrics.ssim(a[:8], a[:8])


# --- other implementations, where installed ---------------------------------------------------------------------------


def test_ate_agrees_with_evo() -> None:
    pytest.importorskip("evo")
    from evo.core import metrics as evo_metrics
    from evo.core.trajectory import PosePath3D

    Ts_pred, Ts_true = random_path(7, 12), random_path(8, 12)
    predicted, reference = PosePath3D(poses_se3=list(Ts_pred)), PosePath3D(poses_se3=list(Ts_true))
    R, t, scale = predicted.align(reference, correct_scale=True)
    ape = evo_metrics.APE(evo_metrics.PoseRelation.translation_part)
    ape.process_data((reference, predicted))
    errors = metrics.path_errors(Ts_pred, Ts_true)
    assert errors.ate == pytest.approx(ape.get_statistic(evo_metrics.StatisticsType.rmse))
    assert errors.alignment.scale == pytest.approx(scale)
    np.testing.assert_allclose(errors.alignment.rotation, R, atol=1e-9)
    np.testing.assert_allclose(errors.alignment.translation, t, atol=1e-9)


def test_relative_rotation_agrees_with_evo() -> None:
    pytest.importorskip("evo")
    from evo.core import metrics as evo_metrics
    from evo.core.trajectory import PosePath3D

    Ts_pred, Ts_true = random_path(9, 2), random_path(10, 2)
    rpe = evo_metrics.RPE(evo_metrics.PoseRelation.rotation_angle_deg, delta=1, delta_unit=evo_metrics.Unit.frames)
    rpe.process_data((PosePath3D(poses_se3=list(Ts_true)), PosePath3D(poses_se3=list(Ts_pred))))
    assert metrics.pose_errors(Ts_pred, Ts_true).rotation_deg == pytest.approx(rpe.error, abs=1e-5)


def test_rotation_angles_agree_with_roma() -> None:
    roma = pytest.importorskip("roma")
    import torch

    Ts_pred, Ts_true = random_path(11, 2, turn=3.0), random_path(12, 2, turn=3.0)
    relative = [torch.from_numpy(Ts[0, :3, :3].T @ Ts[1, :3, :3]) for Ts in (Ts_pred, Ts_true)]
    degrees = math.degrees(float(roma.rotmat_geodesic_distance(*relative)))
    assert metrics.pose_errors(Ts_pred, Ts_true).rotation_deg[0] == pytest.approx(degrees, abs=1e-6)


def test_umeyama_agrees_with_roma() -> None:
    roma = pytest.importorskip("roma")
    import torch

    points, target = np.random.default_rng(13).normal(size=(2, 10, 3))
    R, t, scale = roma.rigid_points_registration(
        torch.from_numpy(points), torch.from_numpy(target), compute_scaling=True
    )
    found = metrics.umeyama(points, target)
    assert found.scale == pytest.approx(float(scale))
    np.testing.assert_allclose(found.rotation, R.numpy(), atol=1e-9)
    np.testing.assert_allclose(found.translation, t.numpy(), atol=1e-9)


def test_ssim_agrees_with_scikit_image() -> None:
    skimage_metrics = pytest.importorskip("skimage.metrics")
    a, b = noisy_pair((32, 40, 3))
    theirs = skimage_metrics.structural_similarity(
        a, b, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert metrics.ssim(a, b) == pytest.approx(theirs, abs=1e-6)
