"""Laws of SE(3), sampled where the maths degenerates: the identity, half turns, no translation."""

import numpy as np
import pytest
from beartype import beartype
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jaxtyping import jaxtyped
from scipy.linalg import expm

from rap.geometry import se3

ANGLES = st.one_of(
    st.sampled_from([0.0, 1e-12, 1e-9, 1e-7, 1e-5, 0.99e-3, 1.01e-3, 1.0, np.pi - 1e-3, np.pi - 1e-7, np.pi]),
    st.floats(0, np.pi),
)


@st.composite
def twists(draw):
    axis = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=3)
    rho = draw(arrays(np.float64, 3, elements=st.floats(-10, 10).map(lambda x: round(x, 6))))
    return np.concatenate([rho, draw(ANGLES) * axis / np.linalg.norm(axis)])


def slow_exp(xi):
    """The definition: the matrix exponential of the 4x4 twist."""
    x, y, z = xi[3:]
    matrix = np.zeros((4, 4))
    matrix[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    matrix[:3, 3] = xi[:3]
    return expm(matrix)


@given(twists())
def test_exp_is_the_matrix_exponential(xi):
    np.testing.assert_allclose(se3.exp(xi), slow_exp(xi), atol=1e-12)


@given(twists())
def test_exp_undoes_log(xi):
    T = se3.exp(xi)
    np.testing.assert_allclose(se3.exp(se3.log(T)), T, atol=1e-12)


@given(twists())
def test_log_undoes_exp_below_a_half_turn(xi):
    if np.linalg.norm(xi[3:]) < np.pi - 1e-6:
        np.testing.assert_allclose(se3.log(se3.exp(xi)), xi, atol=1e-8)


@given(twists(), twists())
def test_inverse_and_geodesic(xi_a, xi_b):
    T_a, T_b = se3.exp(xi_a), se3.exp(xi_b)
    np.testing.assert_allclose(se3.inverse(T_a) @ T_a, np.eye(4), atol=1e-13)
    assert np.array_equal(se3.interpolate(T_a, T_b, 0.0), T_a)
    assert np.array_equal(se3.interpolate(T_a, T_b, 1.0), T_b)
    half = se3.interpolate(T_a, T_b, 0.5)
    np.testing.assert_allclose(half @ se3.inverse(T_a) @ half, T_b, atol=1e-8)


@given(twists())
def test_quaternions_read_back(xi):
    R = se3.exp(xi)[:3, :3]
    q = se3.quaternion_wxyz(R)
    assert q[0] >= 0 and abs(np.linalg.norm(q) - 1) < 1e-12
    np.testing.assert_allclose(se3.rotation_from_wxyz(q), R, atol=1e-12)
    np.testing.assert_allclose(se3.rotation_from_wxyz(-3 * q), R, atol=1e-12)
    np.testing.assert_allclose(se3.rotation_angle(R), np.linalg.norm(xi[3:]), atol=1e-9)


def test_everything_broadcasts():
    xi = np.random.default_rng(0).normal(size=(2, 5, 6))
    T = se3.exp(xi)
    assert T.shape == (2, 5, 4, 4) and se3.log(T).shape == (2, 5, 6)
    np.testing.assert_allclose(T[1, 3], slow_exp(xi[1, 3]), atol=1e-12)
    assert se3.interpolate(T[0], T[1], np.linspace(0, 1, 5)).shape == (5, 4, 4)
    assert se3.quaternion_wxyz(T[..., :3, :3]).shape == (2, 5, 4) and se3.rotation_angle(T[..., :3, :3]).shape == (2, 5)
    assert se3.exp(np.zeros((0, 6))).shape == (0, 4, 4) and se3.log(np.zeros((0, 4, 4))).shape == (0, 6)


def test_look_at_is_an_opencv_camera():
    np.testing.assert_allclose(se3.look_at((0, 0, 0), (0, 0, 1)), np.eye(4), atol=1e-15)
    T_world_camera = se3.look_at((1.0, -2.0, 3.0), (4.0, 0.0, -1.0))
    se3.check_rigid(T_world_camera, "T_world_camera")
    target_camera = se3.inverse(T_world_camera) @ [4, 0, -1, 1]
    np.testing.assert_allclose(target_camera[:2], 0, atol=1e-12)
    assert target_camera[2] > 0
    assert T_world_camera[1, 1] > 0, "the camera's down points to the world's down"
    with pytest.raises(ValueError, match="apart"):
        se3.look_at((1, 2, 3), (1, 2, 3))
    with pytest.raises(ValueError, match="up"):
        se3.look_at((0, 0, 0), (0, 1, 0))


def test_nearest_rotation_is_a_rotation():
    noisy = np.random.default_rng(0).normal(size=(50, 3, 3))
    R = se3.nearest_rotation(noisy)
    np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-12)
    np.testing.assert_allclose(se3.nearest_rotation(R), R, atol=1e-12)


def test_check_rigid_names_what_is_wrong():
    good = np.tile(np.eye(4), (3, 1, 1))
    se3.check_rigid(good, "poses")
    se3.check_rigid(good[:0], "poses")
    cases = {
        "poses[1] must be finite, but it holds NaN or infinity": lambda T: T.__setitem__((1, 0, 0), np.nan),
        "poses[2] must end in the row [0, 0, 0, 1], got [0.0, 0.0, 1.0, 1.0]; a transposed or projective matrix?": (
            lambda T: T.__setitem__((2, 3, 2), 1.0)
        ),
        "poses[0] must be a rotation with determinant +1, got -1; one axis is mirrored, "
        "flip one or three axes of the export": lambda T: T.__setitem__((0, 0, 0), -1.0),
        "poses[1] must have orthonormal columns, but R^T R misses the identity by 3 (determinant 8); "
        "remove scale or shear from the matrix": lambda T: T.__setitem__((1, slice(3), slice(3)), 2 * np.eye(3)),
    }
    for sentence, spoil in cases.items():
        bad = good.copy()
        spoil(bad)
        with pytest.raises(ValueError) as caught:
            se3.check_rigid(bad, "poses")
        assert str(caught.value) == sentence


@pytest.mark.parametrize("values", [np.zeros(4), np.full(4, np.nan), np.ones(3)])
def test_no_rotation_of_a_zero_quaternion(values):
    with pytest.raises(ValueError, match="q must"):
        se3.rotation_from_wxyz(values)


def test_annotations_hold():
    xi = np.random.default_rng(0).normal(size=(2, 6))
    T = jaxtyped(se3.exp, typechecker=beartype)(xi)
    assert jaxtyped(se3.log, typechecker=beartype)(T).shape == (2, 6)
    assert jaxtyped(se3.inverse, typechecker=beartype)(T).shape == (2, 4, 4)
    q = jaxtyped(se3.quaternion_wxyz, typechecker=beartype)(T[:, :3, :3])
    assert jaxtyped(se3.rotation_from_wxyz, typechecker=beartype)(q).shape == (2, 3, 3)
    assert jaxtyped(se3.rotation_angle, typechecker=beartype)(T[:, :3, :3]).shape == (2,)
