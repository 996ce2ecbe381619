"""COLMAP text: round trip, an example with known geometry, order by name, and what is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from trajectory_strategies import assert_close, orbit, trajectories

from rap.errors import InputError
from rap.formats import colmap
from rap.geometry.trajectory import Trajectory

CAMERAS = "# cameras\n1 PINHOLE 160 96 100 101 80 48\n2 SIMPLE_PINHOLE 160 96 99 81 47\n"
# The second image: half a turn about y (w = 0), then moved by (0, 0, 2) in the camera.
IMAGES = "# images\n2 0 0 1 0 0 0 2 2 b 10.png\n1.5 2.5 -1 3 4 7\n1 1 0 0 0 0 0 0 1 b 9.png\n\n"


def model(folder: Path, cameras: str | bytes = CAMERAS, images: str | bytes = IMAGES) -> Path:
    for name, content in (("cameras.txt", cameras), ("images.txt", images)):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@given(trajectories())
@settings(max_examples=40, deadline=None)
def test_round_trip(trajectory: Trajectory) -> None:
    with tempfile.TemporaryDirectory() as folder:
        colmap.write(Path(folder) / "new" / "model", trajectory)
        assert_close(colmap.read(Path(folder) / "new" / "model"), trajectory, fps_rtol=None)


def test_known_geometry_and_order_by_name(tmp_path: Path) -> None:
    found = colmap.read(model(tmp_path))
    assert colmap.read_frame_names(tmp_path) == ("b 9.png", "b 10.png")
    np.testing.assert_array_equal(found.Ts_world_camera[0], np.eye(4))
    np.testing.assert_allclose(found.Ts_world_camera[1, :3, :3], np.diag([-1.0, 1.0, -1.0]), atol=1e-15)
    np.testing.assert_allclose(found.centres[1], [0.0, 0.0, 2.0])  # -R^T t
    np.testing.assert_array_equal(found.intrinsics, [[100, 101, 80, 48], [99, 99, 81, 47]])
    assert found.image_size == (96, 160) and found.source == 0


def test_last_line_of_points_may_be_missing(tmp_path: Path) -> None:
    assert len(colmap.read(model(tmp_path, images=IMAGES.rstrip()))) == 2


def test_written_files_share_cameras(tmp_path: Path) -> None:
    colmap.write(tmp_path, orbit(4))
    assert (tmp_path / "cameras.txt").read_text().splitlines()[1:] == ["1 PINHOLE 128 128 110.0 112.0 63.0 65.0"]
    assert len((tmp_path / "points3D.txt").read_text().splitlines()) == 1
    assert colmap.read_frame_names(tmp_path) == ("0000.png", "0001.png", "0002.png", "0003.png")


@pytest.mark.parametrize("inner", [".", "sparse/0", "sparse", "colmap/sparse/0"])
def test_usual_sub_folders_are_found(inner: str, tmp_path: Path) -> None:
    (tmp_path / inner).mkdir(parents=True, exist_ok=True)
    model(tmp_path / inner)
    assert len(colmap.read(tmp_path)) == len(colmap.read(tmp_path / inner / "images.txt")) == 2


def test_unsorted_names_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"frame_names\[0\] is 'b.png', but COLMAP keeps no order"):
        colmap.write(tmp_path, orbit(2), ["b.png", "a.png"])
    assert not (tmp_path / "images.txt").exists()


BAD_CAMERAS = {
    "empty": ("", "cameras.txt: is empty (0 bytes)"),
    "comments": ("# nothing\n", "cameras.txt: has no camera, only comments"),
    "model": (
        "1 THIN_PRISM_FISHEYE 160 96 100 101 80 48 0 0 0 0 0 0 0 0\n",
        "cameras.txt line 1: the camera model is 'THIN_PRISM_FISHEYE', expected one of SIMPLE_PINHOLE, ",
    ),
    "columns": (
        "\n1 PINHOLE 160 96 100 80 48\n",
        "cameras.txt line 2: has 6 columns, expected 7: CAMERA_ID WIDTH HEIGHT FX FY CX CY",
    ),
    "zero focal": ("1 PINHOLE 160 96 100 0 80 48\n", "cameras.txt line 1: FY is 0, expected a number above 0"),
    "zero f": ("1 SIMPLE_PINHOLE 160 96 0 80 48\n", "cameras.txt line 1: F is 0, expected a number above 0"),
    "word": ("1 PINHOLE 160 96 100 f 80 48\n", "cameras.txt line 1: FY is 'f', expected a number"),
    "width": ("1 PINHOLE 0 96 100 100 80 48\n", "cameras.txt line 1: WIDTH is 0, expected a whole number of pixels"),
    "twice": (CAMERAS + "1 PINHOLE 160 96 100 101 80 48\n", "cameras.txt line 4: CAMERA_ID 1 is given twice"),
    "sizes": (
        CAMERAS.replace("160 96 99", "80 96 99"),
        "images.txt line 2: has the size 80x96, the first frame 160x96",
    ),
    "binary": (b"\x80\x81\x82", "cameras.txt: byte 0 is not UTF-8 text"),
    "one word": ("1\n", "cameras.txt line 1: the camera model is 'missing'"),
}
BAD_IMAGES = {
    "comments": ("# nothing\n", "images.txt: has no image, only comments"),
    "columns": (
        "1 1 0 0 0 0 0 0 1\n\n",
        "images.txt line 1: has 9 columns, expected 10: IMAGE_ID QW QX QY QZ TX TY TZ",
    ),
    "NaN": ("1 1 0 0 0 nan 0 0 1 a\n\n", "images.txt line 1: TX is 'nan', expected a finite number"),
    "quaternion": ("1 0 0 0 0 0 0 0 1 a\n\n", "images.txt line 1: the quaternion QW QX QY QZ has length 0, expected 1"),
    "camera": ("1 1 0 0 0 0 0 0 7 a\n\n", "images.txt line 1: CAMERA_ID is 7, expected one of cameras.txt: [1, 2]"),
    "half a point": (
        "1 1 0 0 0 0 0 0 1 a\n7.5 8.5 -1 4.5\n2 1 0 0 0 0 0 0 1 b\n",
        "images.txt line 2: has 4 columns, expected the 2D points of the image above in triples",
    ),
    "duplicate": (
        "1 1 0 0 0 0 0 0 1 a\n\n2 1 0 0 0 0 0 0 1 a\n\n",
        "images.txt: frames 0 and 1 have the same NAME 'a'",
    ),
}


@pytest.mark.parametrize("case", BAD_CAMERAS)
def test_malformed_cameras_are_refused_by_name(case: str, tmp_path: Path) -> None:
    content, words = BAD_CAMERAS[case]
    with pytest.raises(InputError) as error:
        colmap.read(model(tmp_path, cameras=content))
    assert words in str(error.value)


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_malformed_images_are_refused_by_name(case: str, tmp_path: Path) -> None:
    content, words = BAD_IMAGES[case]
    with pytest.raises(InputError) as error:
        colmap.read(model(tmp_path, images=content))
    assert words in str(error.value)


def test_folders_without_a_text_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="has no images.txt, expected a folder with COLMAP's cameras.txt and images.txt"
    ):
        colmap.read(tmp_path)
    (tmp_path / "sparse" / "0").mkdir(parents=True)
    (tmp_path / "sparse" / "0" / "images.bin").write_bytes(b"\0")
    with pytest.raises(InputError, match="cameras.bin: no such file"):
        colmap.read(tmp_path)
    (tmp_path / "images.txt").write_text(IMAGES)
    with pytest.raises(InputError, match="cameras.txt: no such file"):
        colmap.read(tmp_path)
