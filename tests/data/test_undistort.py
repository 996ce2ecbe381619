"""Pictures of lenses with distortion: what a pinhole of the same axis sees, against OpenCV and drawn spots."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rap.data import load_clip
from rap.data.images import ORIENTATION
from rap.data.undistort import pinhole_of, undistorted
from rap.formats.distortion import Distortion

SIZE = (96, 128)
K = (100.0, 104.0, 66.0, 45.0)
LENSES = {
    "barrel": Distortion(False, (-0.2, 0.03)),
    "pincushion": Distortion(False, (0.15, 0.02), (0.001, -0.002)),
    "rational": Distortion(False, (-0.1, 0.02, 0.003, 0.01, 0.02, 0.03), (0.002, 0.001)),
    "fisheye": Distortion(True, (0.05, -0.01, 0.002, 0.001)),
}


@pytest.mark.parametrize("name", LENSES)
def test_points_fall_where_opencv_says(name: str) -> None:
    lens = LENSES[name]
    xy = np.random.default_rng(0).uniform(-0.6, 0.6, (50, 2))
    matrix = np.array([[K[0], 0, K[2]], [0, K[1], K[3]], [0, 0, 1.0]])
    rays = np.concatenate([xy, np.ones((50, 1))], axis=1)
    k = (*lens.k, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if lens.is_fisheye:
        theirs, _ = cv2.fisheye.distortPoints(xy[None], matrix, np.array(lens.k)), None
        theirs = np.asarray(theirs).reshape(-1, 2)
    else:
        coefficients = np.array([k[0], k[1], *lens.p, *k[2:6]])
        theirs = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), matrix, coefficients)[0].reshape(-1, 2)
    np.testing.assert_allclose(lens.distorted(xy) * K[:2] + K[2:], theirs, atol=1e-9)


@pytest.mark.parametrize("name", LENSES)
def test_the_pinhole_sees_only_what_the_lens_saw_and_no_less(name: str) -> None:
    lens = LENSES[name]
    fx, fy, cx, cy = pinhole_of(lens, K, SIZE)
    h, w = SIZE
    assert (cx, cy) == K[2:] and fx / K[0] == pytest.approx(fy / K[1])
    border = np.array(
        [[x, y] for x in np.linspace(0, w, 200) for y in (0, h)] + [[x, y] for x in (0, w) for y in range(h)]
    )
    places = lens.distorted((border - (cx, cy)) / (fx, fy)) * K[:2] + K[2:]
    out = np.maximum.reduce([-places[:, 0], places[:, 0] - w, -places[:, 1], places[:, 1] - h])
    assert out.max() < 1e-3
    assert lens.is_fisheye or out.max() > -0.5, "somewhere it reaches the edge"


@pytest.mark.parametrize("name", LENSES)
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_spot_moves_to_where_the_pinhole_sees_it(name: str, orientation: int) -> None:
    lens, ray = LENSES[name], np.array([0.21, -0.17])
    h, w = SIZE
    x, y = lens.distorted(ray) * K[:2] + K[2:]
    rows, columns = np.mgrid[:h, :w] + 0.5
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
    stored = Image.fromarray(np.repeat((255 * spot).round().astype(np.uint8)[..., None], 3, axis=2))
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270}.get(orientation)
    upright = stored if turn is None else stored.transpose(turn)
    upright.info[ORIENTATION] = orientation
    straight = undistorted(upright, lens, np.array(K), SIZE)
    assert straight.size == upright.size and straight.info[ORIENTATION] == orientation
    pixels = np.asarray(straight, dtype=float)[..., 0]
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]] + 0.5
    found = (pixels * columns).sum() / pixels.sum(), (pixels * rows).sum() / pixels.sum()
    fx, fy, cx, cy = pinhole_of(lens, K, SIZE)
    px, py = fx * ray[0] + cx, fy * ray[1] + cy
    expected = {1: (px, py), 3: (w - px, h - py), 6: (h - py, px)}[orientation]
    assert found == pytest.approx(expected, abs=0.1)


def test_a_lens_that_folds_the_picture_is_none() -> None:
    wide = np.array([320.0, 320.0, 320.0, 240.0])
    for lens in (*LENSES.values(), Distortion(False, (-0.28, 0.07)), Distortion(True, (0.0, 0.0, 0.0, 0.0))):
        assert lens.is_usable(np.array(K), SIZE)
    assert Distortion(False, (-0.28, 0.07)).is_usable(wide, (480, 640)), "an action camera"
    for lens in (Distortion(False, (-2.0,)), Distortion(False, (0.0, 90.0)), Distortion(True, (-3.0, 0, 0, 0))):
        assert not lens.is_usable(wide, (480, 640))


def test_a_clip_with_distorted_cameras_is_straightened(tmp_path: Path) -> None:
    """Dots of a scene, as the lens saw them, lie where the clip's own cameras project them."""
    h, w = SIZE
    lens, points = LENSES["barrel"], np.array([[0.4, 0.3, 2.0], [-0.5, -0.2, 2.0]])
    (tmp_path / "images").mkdir()
    rows, columns = np.mgrid[:h, :w] + 0.5
    for i in range(2):
        x, y = lens.distorted(points[i, :2] / points[i, 2]) * K[:2] + K[2:]
        spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
        Image.fromarray(np.repeat((255 * spot).round().astype(np.uint8)[..., None], 3, 2)).save(
            tmp_path / f"images/{i}.png"
        )
    (tmp_path / "sparse").mkdir()
    (tmp_path / "sparse/cameras.txt").write_text(f"1 OPENCV {w} {h} {' '.join(map(str, K))} -0.2 0.03 0 0\n")
    (tmp_path / "sparse/images.txt").write_text("1 1 0 0 0 0 0 0 1 0.png\n\n2 1 0 0 0 0 0 0 1 1.png\n\n")
    clip = load_clip(tmp_path, num_frames=2, size=SIZE)
    assert clip.trajectory is not None and "the frames are undistorted (k1 -0.2 k2 0.03)" in clip.notes[-1]
    for i in range(2):
        fx, fy, cx, cy = clip.trajectory.intrinsics[i]
        for pixels in (clip.frames_u8[i, ..., 0].astype(float), clip.footage[i, ..., 0].astype(float)):
            found = (pixels * columns).sum() / pixels.sum(), (pixels * rows).sum() / pixels.sum()
            x, y, z = points[i]
            assert found == pytest.approx((fx * x / z + cx, fy * y / z + cy), abs=0.15)
