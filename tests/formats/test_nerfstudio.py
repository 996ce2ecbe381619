"""nerfstudio transforms.json: exact round trip, axes, the many ways to say intrinsics, what is refused."""

from __future__ import annotations

import copy
import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from trajectory_strategies import orbit, trajectories

from rap.errors import InputError
from rap.formats import documents, nerfstudio
from rap.geometry.trajectory import Trajectory
from rap.limits import JSON_BYTES

IDENTITY = np.eye(4).tolist()


def document(**changes: Any) -> dict[str, Any]:
    """A good file of two frames."""
    moved = np.eye(4)
    moved[:3, 3] = [1.0, 2.0, 3.0]
    frames = [
        {"file_path": f"frames/{i:04d}.png", "transform_matrix": T} for i, T in enumerate([IDENTITY, moved.tolist()])
    ]
    return {"w": 160, "h": 96, "fl_x": 100.0, "fl_y": 101.0, "cx": 80.0, "cy": 48.0, "frames": frames, **changes}


def second_frame(**changes: Any) -> dict[str, Any]:
    """The good file with fields of frame 1 changed; a value of None removes the field."""
    result = copy.deepcopy(document())
    result["frames"][1].update(changes)
    result["frames"][1] = {name: value for name, value in result["frames"][1].items() if value is not None}
    return result


def matrix(row: int, column: int, value: object) -> list:
    entries: list = copy.deepcopy(IDENTITY)
    entries[row][column] = value
    return entries


def read(folder: Path, content: object) -> Trajectory:
    path = folder / "transforms.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return nerfstudio.read(path)


@given(trajectories())
@settings(max_examples=40, deadline=None)
def test_round_trip_is_exact(trajectory: Trajectory) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "transforms.json"
        nerfstudio.write(path, trajectory)
        found = nerfstudio.read(path)
    np.testing.assert_array_equal(found.Ts_world_camera, trajectory.Ts_world_camera)
    np.testing.assert_array_equal(found.intrinsics, trajectory.intrinsics)
    assert (found.image_size, found.fps, found.source) == (trajectory.image_size, trajectory.fps, 0)


def test_a_path_in_its_source_world_comes_back_with_the_same_hash(tmp_path: Path) -> None:
    nerfstudio.write(tmp_path / "transforms.json", orbit().relative_to(0))
    assert nerfstudio.read(tmp_path / "transforms.json").relative_to(0).hash == orbit().relative_to(0).hash


def test_axes_are_opengl(tmp_path: Path) -> None:
    """A camera that looks along world -z with +y up is the identity in the file, a half turn about x for us."""
    found = read(tmp_path, document())
    np.testing.assert_array_equal(found.Ts_world_camera[0], np.diag([1.0, -1.0, -1.0, 1.0]))
    np.testing.assert_array_equal(found.centres[1], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found.intrinsics, np.tile([100.0, 101.0, 80.0, 48.0], (2, 1)))
    assert found.image_size == (96, 160) and found.source == 0 and found.fps == 8.0


def test_no_negative_zero_is_written(tmp_path: Path) -> None:
    nerfstudio.write(tmp_path / "transforms.json", orbit())
    assert "-0.0," not in (tmp_path / "transforms.json").read_text()


def test_intrinsics_of_a_frame_win_over_the_top_level(tmp_path: Path) -> None:
    found = read(tmp_path, second_frame(fl_x=200.0, cx=79.0))
    np.testing.assert_array_equal(found.intrinsics[1], [200.0, 101.0, 79.0, 48.0])


def test_missing_intrinsics_are_completed(tmp_path: Path) -> None:
    content = document()
    for name in ("fl_x", "fl_y", "cx", "cy"):
        del content[name]
    found = read(tmp_path, {**content, "camera_angle_x": math.pi / 2})
    np.testing.assert_allclose(found.intrinsics[0], [80.0, 80.0, 80.0, 48.0])
    assert read(tmp_path, {**content, "fl_y": 50.0}).intrinsics[0].tolist() == [50.0, 50.0, 80.0, 48.0]


@pytest.mark.parametrize("written", ["frames/0000.png", "frames/0000"])
def test_missing_size_comes_from_the_image(tmp_path: Path, written: str) -> None:
    content = document()
    del content["w"], content["h"]
    (tmp_path / "frames").mkdir()
    for i in range(2):
        Image.new("RGB", (40, 30)).save(tmp_path / "frames" / f"{i:04d}.png")
        content["frames"][i]["file_path"] = written.replace("0000", f"{i:04d}")
    assert read(tmp_path, content).image_size == (30, 40)


def test_an_image_outside_the_folder_is_not_opened(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "secret.png")
    content = document()
    del content["w"], content["h"]
    content["frames"] = [{"file_path": "../secret.png", "transform_matrix": IDENTITY}]
    (tmp_path / "inner").mkdir()
    with pytest.raises(InputError, match="'w' and 'h' are missing"):
        read(tmp_path / "inner", content)


def test_shuffled_frames_are_sorted_unless_the_file_is_ours(tmp_path: Path) -> None:
    content = document()
    content["frames"] = [
        {"file_path": name, "transform_matrix": matrix(0, 3, x)} for x, name in ((10, "r_10"), (2, "r_2"))
    ]
    assert read(tmp_path, content).centres[:, 0].tolist() == [2.0, 10.0]
    assert nerfstudio.read_frame_names(tmp_path / "transforms.json") == ("r_2", "r_10")
    assert read(tmp_path, {**content, "frame_order": "file"}).centres[:, 0].tolist() == [10.0, 2.0]


def test_names_are_kept_in_their_order(tmp_path: Path) -> None:
    names = ("z.jpg", "ä b.jpg", "frames/10.jpg", "frames/9.jpg")
    nerfstudio.write(tmp_path / "transforms.json", orbit(4), names)
    assert nerfstudio.read_frame_names(tmp_path / "transforms.json") == names


def test_applied_transform_leaves_the_world_as_it_is(tmp_path: Path) -> None:
    applied = [[1.0, 0.0, 0.0, 5.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0]]
    assert read(tmp_path, document(applied_transform=applied, applied_scale=0.5)) == read(tmp_path, document())


def test_rounded_rotations_are_repaired(tmp_path: Path) -> None:
    rounded = np.round(orbit().Ts_world_camera[3], 5)
    found = read(tmp_path, second_frame(transform_matrix=rounded.tolist())).Ts_world_camera[1, :3, :3]
    assert np.abs(found.T @ found - np.eye(3)).max() < 1e-14


def test_distortion_is_ignored_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="transforms.json: the images have lens distortion"):
        read(tmp_path, document(camera_model="OPENCV", k1=0.1))
    read(tmp_path, document(camera_model="OPENCV", k1=0.0))


BAD = {
    "no JSON": ("{'frames': []}", "is not JSON"),
    "cut off": (json.dumps(document())[:-20], "is not JSON"),
    "deep": ("[" * 100_000, "is not JSON"),
    "a list": ([1, 2], "holds a list, expected an object with a list 'frames'"),
    "frames missing": ({"w": 1}, "'frames' is missing, expected a list with at least one frame"),
    "no frames": (document(frames=[]), "'frames' is [], expected a list with at least one frame"),
    "frames an object": (document(frames={"0": 1}), "'frames' is {'0': 1}, expected a list"),
    "frame a number": (document(frames=[3]), "frame 0: is 3, expected an object"),
    "no file_path": (
        second_frame(file_path=None),
        "frame 1: file_path is None, expected an object with the image's path",
    ),
    "no matrix": (second_frame(transform_matrix=None), "frame 1 ('frames/0001.png'): transform_matrix is missing"),
    "3x4": (second_frame(transform_matrix=IDENTITY[:3]), "transform_matrix is 3x4, expected a 4x4 matrix"),
    "ragged": (second_frame(transform_matrix=[[1.0], *IDENTITY[1:]]), "transform_matrix is 4x1/4, expected a 4x4"),
    "flat": (second_frame(transform_matrix=[1.0] * 16), "transform_matrix is 16x0, expected a 4x4 matrix"),
    "a word": (second_frame(transform_matrix="eye"), "transform_matrix is 'eye', expected a 4x4 matrix"),
    "word inside": (
        second_frame(transform_matrix=matrix(1, 2, "x")),
        "transform_matrix[1][2] is 'x', expected a number",
    ),
    "true inside": (
        second_frame(transform_matrix=matrix(0, 0, True)),
        "transform_matrix[0][0] is True, expected a number",
    ),
    "NaN": (
        second_frame(transform_matrix=matrix(0, 3, math.nan)),
        "transform_matrix[0][3] is nan, expected a finite number",
    ),
    "infinite": (
        second_frame(transform_matrix=matrix(0, 3, 10**400)),
        "transform_matrix[0][3] is inf, expected a finite",
    ),
    "mirrored": (
        second_frame(transform_matrix=np.diag([1.0, 1.0, -1.0, 1.0]).tolist()),
        "frame 1 ('frames/0001.png'): the rotation of transform_matrix is mirrored, its determinant is -1, "
        "expected +1; the axes may be flipped",
    ),
    "scaled": (
        second_frame(transform_matrix=np.diag([2.0, 2.0, 2.0, 1.0]).tolist()),
        "is not orthonormal, |R^T R - 1| reaches 3 (determinant 8), expected at most 0.001; remove scale or shear",
    ),
    "sheared": (second_frame(transform_matrix=matrix(0, 1, 0.5)), "is not orthonormal, |R^T R - 1| reaches 0.5"),
    "huge": (
        second_frame(transform_matrix=matrix(0, 1, 1e300)),
        "transform_matrix[0][1] is 1e+300, expected a finite number",
    ),
    "transposed": (
        second_frame(transform_matrix=np.array(document()["frames"][1]["transform_matrix"]).T.tolist()),
        "the last row of transform_matrix is [1.0, 2.0, 3.0, 1.0], expected [0, 0, 0, 1]; the matrix may be transposed",
    ),
    "duplicate": (
        second_frame(file_path="frames/0000.png"),
        "frames 0 and 1 have the same file_path 'frames/0000.png'",
    ),
    "no focal": (
        {k: v for k, v in document().items() if not k.startswith("fl_")},
        "the focal length is missing, expected fl_x (pixels) or camera_angle_x (radians)",
    ),
    "zero focal": (document(fl_x=0.0), "fl_x is 0, expected a number above 0 (pixels)"),
    "negative focal": (document(fl_y=-3), "fl_y is -3, expected a number above 0"),
    "angle in degrees": (
        {**{k: v for k, v in document().items() if not k.startswith("fl_")}, "camera_angle_x": 60},
        "camera_angle_x is 60, expected radians between 0 and pi; is it in degrees?",
    ),
    "thin prism": (document(camera_model="THIN_PRISM_FISHEYE"), "camera_model is 'THIN_PRISM_FISHEYE', expected"),
    "panorama frame": (second_frame(camera_model="EQUIRECTANGULAR"), "frame 1 ('frames/0001.png'): camera_model is"),
    "width zero": (document(w=0), "w is 0, expected a whole number of pixels from 1 to 16384"),
    "height half": (document(h=95.5), "h is 95.5, expected a whole number of pixels"),
    "size missing": (
        {k: v for k, v in document().items() if k != "w"},
        "'w' and 'h' are missing and its image cannot be opened",
    ),
    "two sizes": (second_frame(w=80), "has the size 80x96, the first frame 160x96; expected one size for all frames"),
    "fps zero": (document(fps=0), "fps is 0, expected a number above 0"),
    "applied shape": (document(applied_transform=[[1.0]]), "applied_transform is 1x1, expected a 3x4 matrix"),
    "applied scale": (document(applied_scale=0), "applied_scale is 0, expected a number above 0"),
    "applied mirrored": (
        document(applied_transform=np.diag([1.0, 1.0, -1.0, 0.0])[:3].tolist()),
        "the rotation of applied_transform is mirrored",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_files_are_refused_by_name(case: str, tmp_path: Path) -> None:
    content, words = BAD[case]
    with pytest.raises(InputError) as error:
        read(tmp_path, content)
    assert str(error.value).startswith("transforms.json: ")
    assert words in str(error.value)


def test_files_that_are_no_text_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "transforms.json"
    for content, words in (
        (b"", "is empty (0 bytes)"),
        (b" \n ", "is blank"),
        (b"\xff\xd8\xff\xe0garbage", "byte 0 is not UTF-8 text, this looks like a binary file"),
        (b"{}\0", "holds NUL bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            nerfstudio.read(path)
        assert words in str(error.value)
    monkeypatch.setattr(documents, "JSON_BYTES", replace(JSON_BYTES, value=2**20))
    path.write_bytes(b" " * (2**20 + 1))
    with pytest.raises(InputError, match=r"transforms.json: has 1,048,577 bytes, at most 1,048,576 are taken"):
        nerfstudio.read(path)
    with pytest.raises(InputError, match="is a folder, expected a file"):
        nerfstudio.read(tmp_path)
    with pytest.raises(InputError, match=r"absent.json: no such file in .*; check the name"):
        nerfstudio.read(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a"], "1 names for a trajectory of 4 frames"), (["a", "a", "b", "c"], "twice"), (["", *"abc"], "empty")],
)
def test_names_that_do_not_fit_are_refused(names: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        nerfstudio.write(tmp_path / "transforms.json", orbit(4), names)
