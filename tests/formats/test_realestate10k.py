"""RealEstate10K: round trip, an example in the data set's words, and what is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from trajectory_strategies import assert_close, orbit, trajectories

from rap.errors import InputError
from rap.formats import realestate10k
from rap.geometry.trajectory import Trajectory

URL = "https://www.example.org/watch?v=x\n"
POSE = "1 0 0 0 0 1 0 0 0 0 1 -2"
LINE = f"0 0.5 0.9 0.5 0.5 0 0 {POSE}\n"


def read(folder: Path, content: str | bytes) -> Trajectory:
    path = folder / "a.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return realestate10k.read(path)


@given(trajectories())
@settings(max_examples=40, deadline=None)
def test_round_trip(trajectory: Trajectory) -> None:
    with tempfile.TemporaryDirectory() as folder:
        realestate10k.write(Path(folder) / "new" / "a.txt", trajectory)
        found = realestate10k.read(Path(folder) / "new" / "a.txt", image_size=trajectory.image_size)
    assert_close(found, trajectory, fps_rtol=1e-4 if len(trajectory) > 1 else None)


def test_known_geometry(tmp_path: Path) -> None:
    found = read(tmp_path, URL + LINE + LINE.replace("0 0.5", "33333 0.5", 1))
    np.testing.assert_array_equal(found.intrinsics[0], [320.0, 324.0, 320.0, 180.0])
    np.testing.assert_array_equal(found.centres[0], [0.0, 0.0, 2.0])  # world to camera moves by -2, the camera is at +2
    assert found.image_size == (360, 640) and found.fps == pytest.approx(30.0, rel=1e-4)


def test_the_url_is_the_first_line(tmp_path: Path) -> None:
    realestate10k.write(tmp_path / "a.txt", orbit(), url=URL.strip())
    lines = (tmp_path / "a.txt").read_text().splitlines()
    assert lines[0] == URL.strip() and len(lines) == 5 and len(lines[1].split()) == 19
    with pytest.raises(ValueError, match="url must be one line"):
        realestate10k.write(tmp_path / "a.txt", orbit(), url="no address")


BAD = {
    "empty": ("", "a.txt: is empty (0 bytes)"),
    "no url": (LINE, "a.txt line 1: is '0 0.5 0.9"),
    "comments": ("# x\n", "a.txt line 1: is '', expected the URL of the video first"),
    "only url": (URL, "a.txt: has no frame after the URL, expected lines of 19 numbers"),
    "columns": (URL + LINE + "1 2 3\n", "a.txt line 3: has 3 columns, expected 19: timestamp fx fy cx cy"),
    "word": (URL + LINE.replace("0.9", "high"), "a.txt line 2: fy is 'high', expected a number"),
    "NaN": (URL + LINE.replace("-2", "nan"), "a.txt line 2: m23 is 'nan', expected a finite number"),
    "huge": (URL + LINE.replace("0.9", "1e308"), "a.txt line 2: fy is '1e308', expected a finite number"),
    "zero focal": (URL + LINE.replace("0.9", "0"), "a.txt line 2: fy is 0, expected a number above 0"),
    "mirrored": (
        URL + LINE.replace(POSE, "1 0 0 0 0 1 0 0 0 0 -1 0"),
        "a.txt line 2: the rotation of the 3x4 matrix is mirrored, its determinant is -1, expected +1",
    ),
    "scaled": (
        URL + LINE.replace(POSE, "2 0 0 0 0 1 0 0 0 0 1 0"),
        "a.txt line 2: the rotation of the 3x4 matrix is not",
    ),
    "duplicate": (URL + LINE + LINE, "a.txt line 3: the timestamp is a duplicate"),
    "binary": (b"\x89PNG\r\n\x1a\n", "a.txt: byte 0 is not UTF-8 text"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_files_are_refused_by_name(case: str, tmp_path: Path) -> None:
    content, words = BAD[case]
    with pytest.raises(InputError) as error:
        read(tmp_path, content)
    assert words in str(error.value)
