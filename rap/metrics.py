"""Pose and image metrics: pure functions of arrays, each with its protocol in its docstring.

Numbers of different protocols must never be compared: one published model on one data set has three AUC@30 in three
papers. Conventions are those of `rap.geometry`: camera-to-world poses `Ts_world_camera`, OpenCV axes. None of the pose
metrics here depends on the choice of world, and none but `path_errors(...).ate` on the unit of the reference.

What is undefined, and what we do about it (tests hold us to it):

- The direction of a translation that is zero. Where the *reference* pair has no baseline there is nothing to compare
  with: its direction error is NaN, the pair is judged by rotation alone, and RTA@30 is taken over the other pairs (NaN
  when there are none, e.g. for a pan). Where only the *prediction* has none, it knows nothing: 90 degrees when the sign
  is ignored (as in VGGT), and 90 with the sign as well.
- "Zero" means below 1e-6 of the longest baseline of the same path, or below 1e-12.
- A frame of which the prediction knows nothing (`lost`) is not left out, or a path of two frames would be a good one:
  its pairs are 180 degrees off in rotation and 90 in direction, the frame itself 180 degrees and the whole path.
- A path of no motion cannot be normalised by its largest translation: it stays at zero (`path_errors`).
- Umeyama's scale when either point set is a single point: kept at 1, so that the ATE is then the plain spread of the
  other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import correlate1d
from scipy.spatial.transform import Rotation

from rap.geometry import se3

RELATIVE_ZERO = 1e-6
ABSOLUTE_ZERO = 1e-12
LOST_ROTATION_DEG, LOST_DIRECTION_DEG = 180.0, 90.0

SSIM_RADIUS = 5
SSIM_SIGMA = 1.5


# --- poses, pair by pair ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """Errors of the relative poses over all P = T (T - 1) / 2 pairs i < j, in `np.triu_indices` order.

    `direction_deg` ignores the sign of the translation (VGGT's convention), `direction_signed_deg` does not.
    """

    rotation_deg: Float[np.ndarray, " P"]
    direction_deg: Float[np.ndarray, " P"]
    direction_signed_deg: Float[np.ndarray, " P"]

    @property
    def rra30(self) -> float:
        """RRA@30: share of pairs whose rotation is less than 30 degrees off."""
        return self.rra(30.0)

    @property
    def rta30(self) -> float:
        """RTA@30, sign ignored: share of pairs whose direction is less than 30 degrees off; see `rta`."""
        return self.rta(30.0)

    @property
    def auc30(self) -> float:
        """AUC@30 in one-degree bins, sign ignored; see `auc`."""
        return self.auc(30)

    @property
    def auc30_signed(self) -> float:
        """AUC@30 of a path run forwards: one run backwards along a line is as far off as can be."""
        return _auc(np.fmax(self.rotation_deg, self.direction_signed_deg), 30)

    def rra(self, threshold_deg: float) -> float:
        """Share of pairs with a rotation error below `threshold_deg`."""
        return float(np.mean(self.rotation_deg < threshold_deg))

    def rta(self, threshold_deg: float) -> float:
        """Share of the pairs with a baseline whose direction error is below `threshold_deg`; NaN without any."""
        defined = self.direction_deg[~np.isnan(self.direction_deg)]
        return float(np.mean(defined < threshold_deg)) if len(defined) else float("nan")

    def auc(self, max_deg: int) -> float:
        """Mean over tau = 1 .. `max_deg` degrees of the share of pairs with max(rotation, direction) below tau.

        VGGT's binning (`calculate_auc_np`), except that its last bin also takes an error of exactly `max_deg`.
        """
        return _auc(np.fmax(self.rotation_deg, self.direction_deg), max_deg)

    def summary(self) -> dict[str, float | None]:
        """The scores and median errors by name, for a table or JSON; None where a value is undefined."""
        values = {
            "rra30": self.rra30,
            "rta30": self.rta30,
            "auc30": self.auc30,
            "auc30_signed": self.auc30_signed,
            "rotation_deg_mean": float(np.mean(self.rotation_deg)),
            "rotation_deg_median": float(np.median(self.rotation_deg)),
            "direction_deg_median": _median(self.direction_deg),
            "direction_signed_deg_median": _median(self.direction_signed_deg),
        }
        return _without_nan(values)


def _auc(worse_deg: Float[np.ndarray, " P"], max_deg: int) -> float:
    """Of the worse of two errors by `np.fmax`, which leaves the rotation where the direction is NaN."""
    return float(np.mean([np.mean(worse_deg < tau) for tau in range(1, max_deg + 1)]))


def pose_errors(
    Ts_pred: Float[np.ndarray, "T 4 4"], Ts_true: Float[np.ndarray, "T 4 4"], lost: Sequence[int] = ()
) -> PoseErrors:
    """Compare two paths by their relative poses T_i_j over all pairs i < j; free of world, and of scale.

    Args:
        Ts_pred, Ts_true: camera-to-world poses of the same T >= 2 frames.
        lost: frames of which the prediction knows nothing, whatever it says.

    Raises:
        ValueError: shapes differ or are not (T, 4, 4), fewer than two frames, or values that are not finite.

    Source: the protocol of VGGT (Wang et al. 2025, section 4.1 and its released evaluation code), rotation error as
    geodesic angle, translation error as angle between directions.
    """
    Ts_pred, Ts_true = _check_paths(Ts_pred, Ts_true)
    i, j = np.triu_indices(len(Ts_true), k=1)
    T_pred, T_true = (_relative(Ts[i], Ts[j]) for Ts in (Ts_pred, Ts_true))
    unknown = np.isin(i, lost) | np.isin(j, lost)
    signed = np.where(unknown, LOST_DIRECTION_DEG, _direction_angles(T_pred[:, :3, 3], T_true[:, :3, 3]))
    return PoseErrors(
        rotation_deg=np.where(unknown, LOST_ROTATION_DEG, _rotation_difference_deg(T_pred, T_true)),
        direction_deg=np.minimum(signed, 180.0 - signed),
        direction_signed_deg=signed,
    )


def _relative(T_w_a: Float[np.ndarray, "#P 4 4"], T_w_b: Float[np.ndarray, "P 4 4"]) -> Float[np.ndarray, "P 4 4"]:
    """T_a_b; the centres are subtracted first, so equal centres give exactly zero however far the world is."""
    R_a_w = np.swapaxes(T_w_a[:, :3, :3], -1, -2)
    t_a_b = R_a_w @ (T_w_b[:, :3, 3:] - T_w_a[:, :3, 3:])
    return se3.from_rotation_translation(R_a_w @ T_w_b[:, :3, :3], t_a_b[..., 0])


def _direction_angles(t_pred: Float[np.ndarray, "P 3"], t_true: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    """Angles in degrees between translations, 0 .. 180, with the module's rules for translations of zero length."""
    # atan2 of cross and dot product: arccos alone loses half the digits near 0 and 180 degrees.
    cross = np.linalg.norm(np.cross(t_pred, t_true), axis=-1)
    angles = np.degrees(np.arctan2(cross, np.sum(t_pred * t_true, axis=-1)))
    angles[_is_zero(t_pred)] = 90.0
    angles[_is_zero(t_true)] = np.nan
    return angles


def _is_zero(translations: Float[np.ndarray, "P 3"]) -> np.ndarray:
    lengths = np.linalg.norm(translations, axis=-1)
    return lengths <= max(RELATIVE_ZERO * lengths.max(initial=0.0), ABSOLUTE_ZERO)


def _rotation_difference_deg(
    T_a: Float[np.ndarray, "T 4 4"], T_b: Float[np.ndarray, "T 4 4"]
) -> Float[np.ndarray, " T"]:
    R_difference = np.swapaxes(T_a[:, :3, :3], -1, -2) @ T_b[:, :3, :3]
    return np.degrees(se3.rotation_angle(R_difference))


# --- poses, path by path ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PathErrors:
    """Errors of one path against another, per frame and reduced.

    `rotation_deg` and `translation` (T,) are relative to frame 0, translations divided by the largest one of their own
    path; `position` (T,) and `ate` (its root mean square) are distances in the reference's unit after the Sim(3)
    `alignment`.
    """

    rotation_deg: Float[np.ndarray, " T"]
    translation: Float[np.ndarray, " T"]
    position: Float[np.ndarray, " T"]
    alignment: Similarity

    @property
    def r_err(self) -> float:
        """CamI2V's RotErr: sum over the frames of the rotation error, in radians."""
        return float(np.sum(np.radians(self.rotation_deg)))

    @property
    def t_err(self) -> float:
        """CamI2V's TransErr: sum over the frames of the distance between normalised translations."""
        return float(np.sum(self.translation))

    @property
    def rotation_deg_mean(self) -> float:
        """Mean rotation error in degrees over the frames after the first, which is zero by construction."""
        return float(np.mean(self.rotation_deg[1:]))

    @property
    def ate(self) -> float:
        """Absolute trajectory error: root mean square of `position`."""
        return float(np.sqrt(np.mean(self.position**2)))

    def summary(self) -> dict[str, float]:
        """The reduced errors by name, for a table or JSON."""
        return {
            "r_err_rad_sum": self.r_err,
            "t_err_sum": self.t_err,
            "rotation_deg_mean": self.rotation_deg_mean,
            "ate": self.ate,
            "alignment_scale": self.alignment.scale,
        }


def path_errors(
    Ts_pred: Float[np.ndarray, "T 4 4"], Ts_true: Float[np.ndarray, "T 4 4"], lost: Sequence[int] = ()
) -> PathErrors:
    """Compare two paths frame by frame: CamI2V's R_err and T_err, mean rotation error, ATE after Sim(3) alignment.

    Args:
        Ts_pred, Ts_true: camera-to-world poses of the same T >= 2 frames.
        lost: frames of which the prediction knows nothing, whatever it says; the alignment takes them as they are.

    Raises:
        ValueError: shapes differ or are not (T, 4, 4), fewer than two frames, or values that are not finite.

    Source: CamI2V (Zheng et al. 2024), poses relative to the first frame and translations normalised by the largest
    one; ATE as in Sturm et al. 2012 with the scale free. The exact reduction of the Rays-as-Pixels tables is not
    public.
    """
    Ts_pred, Ts_true = _check_paths(Ts_pred, Ts_true)
    relative_pred, relative_true = (_relative(Ts[:1], Ts) for Ts in (Ts_pred, Ts_true))
    alignment = umeyama(Ts_pred[:, :3, 3], Ts_true[:, :3, 3])
    offsets = alignment.apply(Ts_pred[:, :3, 3]) - Ts_true[:, :3, 3]
    shift = np.linalg.norm(_by_largest(relative_pred[:, :3, 3]) - _by_largest(relative_true[:, :3, 3]), axis=-1)
    unknown = np.isin(np.arange(len(Ts_true)), lost)
    return PathErrors(
        rotation_deg=np.where(unknown, LOST_ROTATION_DEG, _rotation_difference_deg(relative_pred, relative_true)),
        translation=np.where(unknown, 1.0, shift),
        position=np.linalg.norm(offsets, axis=-1),
        alignment=alignment,
    )


def _by_largest(translations: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
    largest = np.linalg.norm(translations, axis=-1).max()
    return translations / largest if largest > ABSOLUTE_ZERO else np.zeros_like(translations)


@dataclass(frozen=True, eq=False)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]

    def apply(self, points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """Map points."""
        return self.scale * points @ self.rotation.T + self.translation

    def apply_to_poses(self, Ts_world_camera: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 4 4"]:
        """Map camera-to-world poses: centres as points, orientations by the rotation alone, so that they stay rigid."""
        aligned = np.array(Ts_world_camera, dtype=np.float64)
        aligned[:, :3, :3] = self.rotation @ aligned[:, :3, :3]
        aligned[:, :3, 3] = self.apply(aligned[:, :3, 3])
        return aligned


def umeyama(
    points: Float[np.ndarray, "N 3"], target: Float[np.ndarray, "N 3"], *, with_scale: bool = True
) -> Similarity:
    """Similarity that maps `points` onto `target` with the least sum of squared distances; never a reflection.

    Collinear points leave a turn about their line free: the smallest rotation is taken (dolly and truck shots are such
    lines). Coincident points leave everything but the offset free: rotation identity, scale 1.

    Args:
        points, target: N >= 1 corresponding points.
        with_scale: False fixes the scale at 1.

    Raises:
        ValueError: shapes differ or are not (N, 3), or values that are not finite.

    Source: Umeyama 1991, equations (34) to (43).
    """
    points, target = np.asarray(points, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if points.shape != target.shape or points.ndim != 2 or points.shape[-1] != 3 or len(points) == 0:
        raise ValueError(f"umeyama: points {points.shape} and target {target.shape} must both have one shape (N, 3)")
    if not (np.isfinite(points).all() and np.isfinite(target).all()):
        raise ValueError("umeyama: points and target must be finite; leave out the points that are not known")
    # Means of offsets from the first point: the mean of equal numbers may round, and equal points must stay equal.
    mean = points[0] + (points - points[0]).mean(axis=0)
    target_mean = target[0] + (target - target[0]).mean(axis=0)
    rotation, stretch = _best_rotation(points - mean, target - target_mean)
    variance = np.sum((points - mean) ** 2)
    # The optimum for a coincident target would be scale 0, which makes every prediction look perfect: keep 1.
    scale = float(stretch / variance) if with_scale and stretch > 0.0 else 1.0
    return Similarity(scale, rotation, target_mean - scale * rotation @ mean)


def _best_rotation(centred: np.ndarray, centred_target: np.ndarray) -> tuple[np.ndarray, float]:
    """Rotation that aligns centred points best, and trace(D S), the covariance it explains (0 if undefined)."""
    spread, target_spread = np.linalg.norm(centred), np.linalg.norm(centred_target)
    if min(spread, target_spread) <= ABSOLUTE_ZERO:
        return np.eye(3), 0.0
    U, D, Vt = np.linalg.svd(centred_target.T @ centred / (spread * target_spread))
    if D[1] <= ABSOLUTE_ZERO * D[0]:
        rotation = Rotation.align_vectors(U[:, :1].T, Vt[:1])[0]
        return rotation.as_matrix(), float(D[0] * spread * target_spread)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
    return (U * signs) @ Vt, float(np.sum(D * signs) * spread * target_spread)


def _check_paths(Ts_pred: np.ndarray, Ts_true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    Ts_pred, Ts_true = np.asarray(Ts_pred, dtype=np.float64), np.asarray(Ts_true, dtype=np.float64)
    if Ts_true.ndim != 3 or Ts_true.shape[1:] != (4, 4) or Ts_pred.shape != Ts_true.shape:
        raise ValueError(
            f"Ts_pred {Ts_pred.shape} and Ts_true {Ts_true.shape} must both have one shape (T, 4, 4); "
            "select the frames that both paths have"
        )
    if len(Ts_true) < 2:
        raise ValueError(f"pose metrics compare relative poses and need at least 2 frames, got {len(Ts_true)}")
    for name, poses in (("Ts_pred", Ts_pred), ("Ts_true", Ts_true)):
        bad = np.flatnonzero(~np.isfinite(poses).all(axis=(1, 2)))
        if len(bad):
            raise ValueError(f"{name}[{bad[0]}] holds values that are not finite; leave such frames out")
    return Ts_pred, Ts_true


# --- images -----------------------------------------------------------------------------------------------------------


def psnr_per_frame(a_u8: UInt8[np.ndarray, "*T H W C"], b_u8: UInt8[np.ndarray, "*T H W C"]) -> np.ndarray:
    """Peak signal-to-noise ratio of each frame in dB, over all pixels and channels; inf where the frames are equal.

    Raises:
        ValueError: shapes differ, or the arrays are not uint8 (..., H, W, C).
    """
    _check_images(a_u8, b_u8)
    squared = (a_u8.astype(np.float64) - b_u8.astype(np.float64)) ** 2
    return _decibel(np.asarray(squared.mean(axis=(-3, -2, -1))))


def psnr(a_u8: UInt8[np.ndarray, "*T H W C"], b_u8: UInt8[np.ndarray, "*T H W C"]) -> float:
    """Mean over the frames of the PSNR in dB (the usual video protocol); inf where all frames are equal.

    Frames that are equal while others are not would make the mean infinite: they are left out of it.

    Raises:
        ValueError: shapes differ, or the arrays are not uint8 (..., H, W, C).
    """
    values = np.atleast_1d(psnr_per_frame(a_u8, b_u8))
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("inf")


def ssim_per_frame(a_u8: UInt8[np.ndarray, "*T H W C"], b_u8: UInt8[np.ndarray, "*T H W C"]) -> np.ndarray:
    """Structural similarity of each frame, the channels averaged.

    Gaussian 11x11 window of sigma 1.5, K1 = 0.01, K2 = 0.03, range 255, only where the whole window fits (Wang et al.
    2004); the same as scikit-image with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`.

    Raises:
        ValueError: shapes differ, the arrays are not uint8 (..., H, W, C), or a side is shorter than the window.
    """
    _check_images(a_u8, b_u8)
    window = 2 * SSIM_RADIUS + 1
    if min(a_u8.shape[-3:-1]) < window:
        raise ValueError(f"ssim: frames of size {a_u8.shape[-3:-1]} are smaller than its {window}x{window} window")
    a, b = a_u8.astype(np.float64), b_u8.astype(np.float64)
    mean_a, mean_b = _gaussian_window(a), _gaussian_window(b)
    variance_a = _gaussian_window(a * a) - mean_a**2
    variance_b = _gaussian_window(b * b) - mean_b**2
    covariance = _gaussian_window(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )
    return np.asarray(similarity.mean(axis=(-3, -2, -1)))


def ssim(a_u8: UInt8[np.ndarray, "*T H W C"], b_u8: UInt8[np.ndarray, "*T H W C"]) -> float:
    """Mean over the frames of `ssim_per_frame`.

    Raises:
        ValueError: shapes differ, the arrays are not uint8 (..., H, W, C), or a side is shorter than the window.
    """
    return float(np.mean(ssim_per_frame(a_u8, b_u8)))


def ssim_kernel() -> Float[np.ndarray, " 11"]:
    """The one-dimensional Gaussian window of SSIM, summing to one."""
    x = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = np.exp(-0.5 * (x / SSIM_SIGMA) ** 2)
    return weights / weights.sum()


def _gaussian_window(images: np.ndarray) -> np.ndarray:
    kernel = ssim_kernel()
    smooth = correlate1d(correlate1d(images, kernel, axis=-3), kernel, axis=-2)
    return smooth[..., SSIM_RADIUS:-SSIM_RADIUS, SSIM_RADIUS:-SSIM_RADIUS, :]


def _decibel(mean_squared_error: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(255.0**2 / mean_squared_error))


def _check_images(a_u8: np.ndarray, b_u8: np.ndarray) -> None:
    if a_u8.shape != b_u8.shape or a_u8.ndim < 3 or a_u8.size == 0:
        raise ValueError(f"images of shapes {a_u8.shape} and {b_u8.shape} must have one shape (..., H, W, C)")
    if a_u8.dtype != np.uint8 or b_u8.dtype != np.uint8:
        raise ValueError(
            f"images must be uint8 in 0 .. 255, got {a_u8.dtype} and {b_u8.dtype}; "
            "model frames in [-1, 1] become uint8 by round((x + 1) * 127.5)"
        )


def _median(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(np.median(defined)) if len(defined) else float("nan")


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in values.items()}
