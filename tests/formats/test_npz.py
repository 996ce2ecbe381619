"""npz: bit-for-bit round trip, and hostile or broken archives."""

from __future__ import annotations

import io
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectory_strategies import orbit, trajectories

from rap.errors import InputError
from rap.formats import npz
from rap.geometry.trajectory import Trajectory
from rap.limits import NPZ_BYTES


def arrays(**changes: Any) -> dict[str, Any]:
    """The arrays of a good file; a value of None removes one."""
    good = {
        "Ts_world_camera": np.tile(np.eye(4), (2, 1, 1)),
        "intrinsics": np.full((2, 4), 50.0),
        "image_size": [96, 160],
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def read(folder: Path, content: dict[str, Any] | bytes) -> Trajectory:
    path = folder / "path.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    return npz.read(path)


@given(trajectories())
@settings(max_examples=40, deadline=None)
def test_round_trip_is_exact(trajectory: Trajectory) -> None:
    with tempfile.TemporaryDirectory() as folder:
        npz.write(Path(folder) / "new" / "path.npz", trajectory)
        found = npz.read(Path(folder) / "new" / "path.npz")
    assert found == trajectory and found.hash == trajectory.hash


def test_rounding_is_kept(tmp_path: Path) -> None:
    rough = Trajectory(np.round(orbit().Ts_world_camera, 5), orbit().intrinsics, (128, 128))
    npz.write(tmp_path / "path.npz", rough)
    assert npz.read(tmp_path / "path.npz") == rough


def test_names_are_kept_or_absent(tmp_path: Path) -> None:
    npz.write(tmp_path / "a.npz", orbit(2), ["ü.png", "b.png"])
    npz.write(tmp_path / "b.npz", orbit(2))
    assert npz.read_frame_names(tmp_path / "a.npz") == ("ü.png", "b.png")
    assert npz.read_frame_names(tmp_path / "b.npz") == ()


def test_rate_and_source_may_be_missing(tmp_path: Path) -> None:
    found = read(tmp_path, arrays(Ts_world_camera=np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))))
    assert (found.fps, found.source, found.image_size) == (8.0, 0, (96, 160))


BAD = {
    "no poses": (
        arrays(Ts_world_camera=None),
        "Ts_world_camera is missing, expected the arrays Ts_world_camera, intrinsics",
    ),
    "3x4": (arrays(Ts_world_camera=np.zeros((2, 3, 4))), "Ts_world_camera has shape (2, 3, 4), expected (T, 4, 4)"),
    "no frames": (
        arrays(Ts_world_camera=np.zeros((0, 4, 4))),
        "Ts_world_camera has shape (0, 4, 4), expected (T, 4, 4) with T",
    ),
    "intrinsics": (arrays(intrinsics=np.ones(4)), "intrinsics has shape (4,), expected (2, 4): fx fy cx cy"),
    "size": (arrays(image_size=96), "image_size has shape (), expected (2,): height width"),
    "size zero": (arrays(image_size=[0, 96]), "image_size is 0, expected a whole number of pixels"),
    "NaN": (
        arrays(Ts_world_camera=np.full((2, 4, 4), np.nan)),
        "Ts_world_camera[0, 0, 0] is not finite, expected numbers",
    ),
    "infinite rate": (arrays(fps=np.inf), "fps[0] is not finite"),
    "mirrored": (
        arrays(Ts_world_camera=np.stack([np.eye(4), np.diag([1.0, -1.0, 1.0, 1.0])])),
        "the rotation of Ts_world_camera[1] is mirrored, its determinant is -1, expected +1; the axes may be flipped",
    ),
    "zero focal": (
        arrays(intrinsics=np.zeros((2, 4))),
        "intrinsics[0][0] (focal length) is 0, expected a number above 0",
    ),
    "source": (arrays(source=2), "source is 2, expected the index of a frame, 0 to 1"),
    "source half": (arrays(source=0.5), "source is 0.5, expected the index of a frame"),
    "rate zero": (arrays(fps=0.0), "fps is 0, expected a number above 0"),
    "two rates": (arrays(fps=[8.0, 9.0]), "fps has shape (2,), expected one number"),
    "words": (arrays(intrinsics=np.array(["a", "b"])), "intrinsics has type <U1, expected numbers"),
    "complex": (arrays(intrinsics=np.ones((2, 4), dtype=complex)), "intrinsics has type complex128, expected numbers"),
    "empty": (b"", "is empty (0 bytes)"),
    "garbage": (b"\x00\x01garbage", "not what it claims to be"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_files_are_refused_by_name(case: str, tmp_path: Path) -> None:
    content, words = BAD[case]
    with pytest.raises(InputError) as error:
        read(tmp_path, content)
    assert str(error.value).startswith("path.npz: ")
    assert words in str(error.value)


class Hostile:
    """Would raise if it were ever unpickled."""

    def __reduce__(self) -> tuple:
        return exec, ("raise SystemExit('unpickled')",)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    objects = np.array([Hostile()], dtype=object)
    with pytest.raises(InputError, match="an array cannot be read .* objects are never unpickled"):
        read(tmp_path, arrays(intrinsics=objects))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("Ts_world_camera", b"not an array")
    with pytest.raises(InputError, match="Ts_world_camera has type raw bytes, expected numbers"):
        read(tmp_path, buffer.getvalue())


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_truncated_and_damaged_archives_are_refused(data: st.DataObject) -> None:
    """Any cut, and any damaged byte, gives a trajectory or an InputError: never another exception, never a crash."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "path.npz"
        npz.write(path, orbit(), ["a", "b", "c", "d"])
        content = bytearray(path.read_bytes())
        if data.draw(st.booleans()):
            path.write_bytes(content[: data.draw(st.integers(1, len(content) - 1))])
            with pytest.raises(InputError, match="path.npz"):
                npz.read(path)
            return
        for _ in range(3):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        try:
            assert len(npz.read(path)) == 4
        except InputError as error:
            assert "path.npz" in str(error)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "NPZ_BYTES", replace(NPZ_BYTES, value=2**20))
    np.savez_compressed(tmp_path / "path.npz", **arrays(bomb=np.zeros(2**20)))
    assert (tmp_path / "path.npz").stat().st_size < 2**20
    with pytest.raises(InputError, match=r"unpacks to [\d,]+ bytes, at most 1,048,576 are taken"):
        npz.read(tmp_path / "path.npz")
