"""TUM: round trip, quaternion order, frame rate, defaults, and what is refused."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from trajectory_strategies import assert_close, orbit, trajectories

from rap.errors import InputError
from rap.formats import tum
from rap.geometry.trajectory import Trajectory


def read(folder: Path, content: str | bytes) -> Trajectory:
    path = folder / "path.tum"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tum.read(path)


@given(trajectories())
@settings(max_examples=40, deadline=None)
def test_round_trip(trajectory: Trajectory) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tum.write(Path(folder) / "new" / "path.tum", trajectory)
        found = tum.read(Path(folder) / "new" / "path.tum", image_size=trajectory.image_size, fov_y_rad=1.0)
    assert_close(found, trajectory, intrinsics=False, fps_rtol=1e-9 if len(trajectory) > 1 else None)
    np.testing.assert_allclose(found.fov_y_rad, 1.0)
    assert found.image_size == trajectory.image_size


def test_the_scalar_of_the_quaternion_is_last(tmp_path: Path) -> None:
    half = math.sin(math.pi / 4)
    found = read(tmp_path, f"# comment\n\n0 1 2 3 {half} 0 0 {half}\n")  # a quarter turn about x
    np.testing.assert_allclose(found.Ts_world_camera[0, :3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-15)
    np.testing.assert_array_equal(found.centres, [[1, 2, 3]])
    assert (found.image_size, found.fps) == ((480, 640), 8.0)
    assert found.fov_y_rad[0] == pytest.approx(math.radians(55))


def test_frame_rate_ignores_a_gap_and_digits_are_normalised(tmp_path: Path) -> None:
    found = read(tmp_path, "".join(f"{t} 0 0 0 0 0 0.7071 0.7071\n" for t in (100.0, 100.1, 100.2, 105.0)))
    assert found.fps == pytest.approx(10.0)


BAD = {
    "empty": ("", "path.tum: is empty (0 bytes)"),
    "blank": (" \n\n", "path.tum: is blank"),
    "comments": ("# only\n", "path.tum: has no pose, only comments"),
    "columns": (
        "0 0 0 0 0 0 0 1\n1 2 3\n",
        "path.tum line 2: has 3 columns, expected 8: timestamp tx ty tz qx qy qz qw",
    ),
    "commas": ("0,0,0,0,0,0,0,1\n", "path.tum line 1: has 1 columns, expected 8"),
    "word": ("0 0 a 0 0 0 0 1\n", "path.tum line 1: ty is 'a', expected a number"),
    "underscore": ("0 0 1_0 0 0 0 0 1\n", "path.tum line 1: ty is '1_0', expected a number"),
    "NaN": ("# c\n0 nan 0 0 0 0 0 1\n", "path.tum line 2: tx is 'nan', expected a finite number"),
    "infinite": ("0 1e999 0 0 0 0 0 1\n", "path.tum line 1: tx is '1e999', expected a finite number"),
    "huge": ("0 0 0 0 0 0 0 1e308\n", "path.tum line 1: qw is '1e308', expected a finite number"),
    "quaternion": ("0 0 0 0 0 0 0 0.5\n", "line 1: the quaternion qx qy qz qw has length 0.5, expected 1; the columns"),
    "duplicate": ("0 0 0 0 0 0 0 1\n0 0 0 0 0 0 0 1\n", "path.tum line 2: the timestamp is a duplicate"),
    "backwards": ("1 0 0 0 0 0 0 1\n0 0 0 0 0 0 0 1\n", "path.tum line 2: the timestamp comes before the one above"),
    "binary": (b"\x00\x01\x02\xff", "path.tum: byte 3 is not UTF-8 text, this looks like a binary file"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_files_are_refused_by_name(case: str, tmp_path: Path) -> None:
    content, words = BAD[case]
    with pytest.raises(InputError) as error:
        read(tmp_path, content)
    assert words in str(error.value)


def test_names_must_fit_though_they_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 names for a trajectory of 4 frames"):
        tum.write(tmp_path / "path.tum", orbit(4), ["a", "b"])
