"""Rotations and rigid poses: exp, log, inverse, interpolation, checks (numpy, float64).

Every function broadcasts over leading dimensions. A pose is a 4x4 matrix `T_a_b` that maps points of frame b to frame
a; a twist is `(rho, phi)`: three numbers of translation, then a rotation vector in radians. Rotations are read by
SciPy's `Rotation` (quaternions inside), which stays accurate at the identity and at half turns.
"""

from __future__ import annotations

import numpy as np
import scipy
from jaxtyping import Float
from numpy.typing import ArrayLike

SMALL_ANGLE_RAD = 1e-3  # below it the series are exact to float64 and the closed forms lose digits
RIGID_TOLERANCE = 1e-3  # files print poses with as few as four digits; a mirrored or scaled matrix misses by far more


def _rotations(matrices: Float[np.ndarray, "*batch 3 3"]) -> scipy.spatial.transform.Rotation:
    """SciPy takes one leading dimension; flatten to it."""
    return scipy.spatial.transform.Rotation.from_matrix(matrices.reshape(-1, 3, 3))


def _cross_matrix(vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """[v]x with [v]x w = v x w."""
    cross = np.zeros((*vectors.shape, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        cross[..., j, k], cross[..., k, j] = -vectors[..., i], vectors[..., i]
    return cross


def from_rotation_translation(
    R: Float[ArrayLike, "*batch 3 3"], t: Float[ArrayLike, "*batch 3"]
) -> Float[np.ndarray, "*batch 4 4"]:
    """Pose from its rotation (…,3,3) and translation (…,3)."""
    R, t = np.asarray(R, dtype=np.float64), np.asarray(t, dtype=np.float64)
    batch = np.broadcast_shapes(R.shape[:-2], t.shape[:-1])
    T = np.zeros((*batch, 4, 4))
    T[..., :3, :3] = R
    T[..., :3, 3] = t
    T[..., 3, 3] = 1.0
    return T


def exp(xi: Float[ArrayLike, "*batch 6"]) -> Float[np.ndarray, "*batch 4 4"]:
    """Pose of a twist (translation part first, then the rotation vector).

    R = exp([phi]x) = I + [phi]x V, t = V rho with V = I + (1 - cos a)/a^2 [phi]x + (a - sin a)/a^3 [phi]x^2, a = |phi|
    (Sola, Deray, Atchuthan: A micro Lie theory, arXiv 1812.01537, eq. 172-174). Not by SciPy's `Rotation`: adjustments
    ask for a few poses at a time, and then calling it took a third of this function's time.
    """
    xi = np.asarray(xi, dtype=np.float64)
    if xi.shape[-1:] != (6,):
        raise ValueError(f"xi must have shape (…, 6), translation then rotation vector, got {xi.shape}")
    rho, phi = xi[..., :3], xi[..., 3:]
    angle = np.linalg.norm(phi, axis=-1)[..., None, None]
    small = angle < SMALL_ANGLE_RAD
    safe = np.where(small, 1.0, angle)
    first = np.where(small, 0.5 - angle**2 / 24, (1 - np.cos(safe)) / safe**2)
    second = np.where(small, 1 / 6 - angle**2 / 120, (safe - np.sin(safe)) / safe**3)
    cross = _cross_matrix(phi)
    V = np.eye(3) + first * cross + second * (cross @ cross)
    return from_rotation_translation(np.eye(3) + cross @ V, (V @ rho[..., None])[..., 0])


def log(T: Float[ArrayLike, "*batch 4 4"]) -> Float[np.ndarray, "*batch 6"]:
    """Twist of a pose, the inverse of `exp`; the rotation vector's length lies in [0, pi].

    V^-1 = I - [phi]x/2 + (1/a^2 - (1 + cos a)/(2 a sin a)) [phi]x^2 (same source as `exp`), with the bracket written
    by the half angle, (1 - (a/2) cot(a/2))/a^2, which stays finite at a = pi.
    """
    T = np.asarray(T, dtype=np.float64)
    phi = _rotations(T[..., :3, :3]).as_rotvec().reshape(*T.shape[:-2], 3)
    angle = np.linalg.norm(phi, axis=-1)[..., None, None]
    small = angle < SMALL_ANGLE_RAD
    half = np.where(small, 1.0, angle) / 2
    second = np.where(small, 1 / 12 + angle**2 / 720, (1 - half / np.tan(half)) / (4 * half**2))
    cross = _cross_matrix(phi)
    V_inverse = np.eye(3) - 0.5 * cross + second * (cross @ cross)
    rho = (V_inverse @ T[..., :3, 3:])[..., 0]
    return np.concatenate([rho, phi], axis=-1)


def inverse(T: Float[ArrayLike, "*batch 4 4"]) -> Float[np.ndarray, "*batch 4 4"]:
    """`T_b_a` of `T_a_b`: (R^T, -R^T t)."""
    T = np.asarray(T, dtype=np.float64)
    R_transposed = np.swapaxes(T[..., :3, :3], -1, -2)
    return from_rotation_translation(R_transposed, -(R_transposed @ T[..., :3, 3:])[..., 0])


def interpolate(
    T_a: Float[ArrayLike, "*batch 4 4"], T_b: Float[ArrayLike, "*batch 4 4"], alpha: Float[ArrayLike, "*batch"]
) -> Float[np.ndarray, "*batch 4 4"]:
    """Geodesic of SE(3), T_a exp(alpha log(T_a^-1 T_b)); alpha 0 and 1 return T_a and T_b bit for bit.

    alpha outside [0, 1] extrapolates. At a relative rotation of exactly pi both ways round are geodesics; one is taken.
    """
    T_a, T_b = np.asarray(T_a, dtype=np.float64), np.asarray(T_b, dtype=np.float64)
    alpha = np.asarray(alpha, dtype=np.float64)[..., None]
    between = T_a @ exp(alpha * log(inverse(T_a) @ T_b))
    alpha = alpha[..., None]
    return np.where(alpha == 0, T_a, np.where(alpha == 1, T_b, between))


def rotation_angle(R: Float[ArrayLike, "*batch 3 3"]) -> Float[np.ndarray, "*batch"]:
    """Angle of a rotation in radians, in [0, pi]; accurate for tiny angles, where arccos of the trace is not."""
    R = np.asarray(R, dtype=np.float64)
    return _rotations(R).magnitude().reshape(R.shape[:-2])


def quaternion_wxyz(R: Float[ArrayLike, "*batch 3 3"]) -> Float[np.ndarray, "*batch 4"]:
    """Unit quaternion (w, x, y, z) of a rotation, with w >= 0 so that one rotation gives one quaternion."""
    R = np.asarray(R, dtype=np.float64)
    xyzw = _rotations(R).as_quat()
    wxyz = np.roll(xyzw, 1, axis=-1)
    wxyz = np.where(wxyz[..., :1] < 0, -wxyz, wxyz)
    return wxyz.reshape(*R.shape[:-2], 4)


def rotation_from_wxyz(q: Float[ArrayLike, "*batch 4"]) -> Float[np.ndarray, "*batch 3 3"]:
    """Rotation of a quaternion (w, x, y, z) of any length but zero.

    Raises:
        ValueError: the quaternion is zero or not finite, or the last dimension is not 4.
    """
    q = np.asarray(q, dtype=np.float64)
    if q.shape[-1:] != (4,):
        raise ValueError(f"q must have shape (…, 4), ordered w x y z, got {q.shape}")
    length = np.linalg.norm(q, axis=-1)
    if not np.all(np.isfinite(length)) or np.any(length < 1e-12):
        raise ValueError(f"q must be finite and not zero to be a rotation, got {q[~(length >= 1e-12)].tolist()[:1]}")
    xyzw = np.roll(q, -1, axis=-1).reshape(-1, 4)
    return scipy.spatial.transform.Rotation.from_quat(xyzw).as_matrix().reshape(*q.shape[:-1], 3, 3)


def nearest_rotation(M: Float[ArrayLike, "*batch 3 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """The rotation closest to M in the Frobenius norm (U diag(1, 1, det UV^T) V^T of its SVD)."""
    U, _, Vt = np.linalg.svd(np.asarray(M, dtype=np.float64))
    signs = np.ones(U.shape[:-1])
    signs[..., 2] = np.sign(np.linalg.det(U @ Vt))
    return (U * signs[..., None, :]) @ Vt


def check_rigid(T: Float[ArrayLike, "*batch 4 4"], name: str) -> None:
    """Refuse what is not a rigid pose; `name` is how the message calls the value, an index is added for a batch.

    Raises:
        ValueError: shape, NaN or infinity, last row, determinant or orthonormality; the sentence says which.
    """
    T = np.asarray(T, dtype=np.float64)
    if T.shape[-2:] != (4, 4):
        raise ValueError(f"{name} must have shape (…, 4, 4), got {T.shape}")
    poses = T.reshape(-1, 4, 4)
    finite = np.asarray(np.isfinite(poses).all(axis=(1, 2)))
    R = np.where(finite[:, None, None], poses[:, :3, :3], np.eye(3))
    determinant = np.linalg.det(R)
    defect = np.abs(np.swapaxes(R, -1, -2) @ R - np.eye(3)).max(axis=(1, 2), initial=0)
    last_row = np.abs(poses[:, 3] - [0, 0, 0, 1]).max(axis=1, initial=0)
    bad = np.logical_or.reduce([~finite, determinant <= 0, defect > RIGID_TOLERANCE, last_row > RIGID_TOLERANCE])
    if not bad.any():
        return
    flat = int(np.flatnonzero(bad)[0])
    where = name + "".join(f"[{k}]" for k in np.unravel_index(flat, T.shape[:-2]))
    if not finite[flat]:
        raise ValueError(f"{where} must be finite, but it holds NaN or infinity")
    if last_row[flat] > RIGID_TOLERANCE:
        row = [float(f"{value:.4g}") for value in poses[flat, 3]]
        raise ValueError(f"{where} must end in the row [0, 0, 0, 1], got {row}; a transposed or projective matrix?")
    if determinant[flat] <= 0:
        raise ValueError(
            f"{where} must be a rotation with determinant +1, got {determinant[flat]:.4g}; "
            "one axis is mirrored, flip one or three axes of the export"
        )
    raise ValueError(
        f"{where} must have orthonormal columns, but R^T R misses the identity by {defect[flat]:.3g} "
        f"(determinant {determinant[flat]:.4g}); remove scale or shear from the matrix"
    )


def look_at(
    eye: Float[ArrayLike, "*batch 3"],
    target: Float[ArrayLike, "*batch 3"],
    up: Float[ArrayLike, "*batch 3"] = (0, -1, 0),
) -> Float[np.ndarray, "*batch 4 4"]:
    """`T_world_camera` of an OpenCV camera at `eye` that looks at `target`, its top towards `up` (default world -y).

    Raises:
        ValueError: the eye is at the target, or looks along `up`.
    """
    eye, target, up = (np.asarray(value, dtype=np.float64) for value in (eye, target, up))
    forward = target - eye
    distance = np.linalg.norm(forward, axis=-1, keepdims=True)
    if np.any(distance < 1e-12):
        raise ValueError(f"eye and target must be apart to give a viewing direction, both are {eye.tolist()}")
    forward = forward / distance
    right = np.cross(forward, up)
    length = np.linalg.norm(right, axis=-1, keepdims=True)
    if np.any(length < 1e-9 * np.linalg.norm(up, axis=-1, keepdims=True)):
        raise ValueError(f"the viewing direction must not run along up = {up.tolist()}; give another up vector")
    right = right / length
    down = np.cross(forward, right)
    return from_rotation_translation(np.stack([right, down, forward], axis=-1), np.broadcast_to(eye, forward.shape))
