"""Folders as telephones and LLFF's scenes have them: their pictures are the clip, their cameras its known ones."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from camera_files import made
from PIL import Image

from rap import formats
from rap.data import load_clip
from rap.errors import InputError
from rap.geometry import Trajectory, se3

SIZE = (48, 64)
T = np.arange(4)[:, None]
PATH = Trajectory(
    se3.exp(np.concatenate([T * [0.3, -0.1, 0.2], T * [0.02, 0.1, -0.05]], axis=1)),
    np.tile([60.0, 60.0, 32.0, 24.0], (4, 1)),
    SIZE,
)


def pictures(folder: Path, names: list[str]) -> None:
    """One of each grey, so that it is seen which is which."""
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        Image.new("RGB", (SIZE[1], SIZE[0]), (40 + 50 * i,) * 3).save(folder / name, quality=95)


def recording(folder: Path, kind: str) -> Path:
    if kind == "record3d":
        made(folder / "metadata.json", PATH, kind)
        pictures(folder / "rgb", [f"{i}.jpg" for i in range(4)])
    elif kind == "llff":
        made(folder / "poses_bounds.npy", PATH, kind)
        pictures(folder / "images", [f"IMG_{i}.jpg" for i in range(4)])
    else:
        cameras, images = kind.split()[1:]
        made(folder / "keyframes" / cameras, PATH, "polycam")
        pictures(folder / "keyframes" / images, [f"{100 * i}.jpg" for i in range(4)])
    (folder / "thumbnail.jpg").write_bytes(next(iter(folder.rglob("*.jpg"))).read_bytes())
    return folder


@pytest.mark.parametrize(
    "kind", ["record3d", "llff", "polycam cameras images", "polycam corrected_cameras corrected_images"]
)
def test_the_pictures_get_their_cameras(tmp_path: Path, kind: str) -> None:
    folder = recording(tmp_path / "scan", kind)
    clip = load_clip(folder, num_frames=4, size=SIZE)
    assert clip.frames_u8[:, 20, 20, 0].tolist() == pytest.approx([40, 90, 140, 190], abs=2)
    assert clip.trajectory is not None
    np.testing.assert_allclose(clip.trajectory.Ts_world_camera, PATH.Ts_world_camera, atol=1e-9)
    np.testing.assert_allclose(clip.trajectory.intrinsics, PATH.intrinsics)
    assert any("thumbnail.jpg, left out" in note for note in clip.notes)
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as packed:
        for file in folder.rglob("*"):
            packed.write(file, file.relative_to(tmp_path))
    found = formats.load(tmp_path / "scan.zip")
    assert found.format.name == kind.split()[0] and found.format is formats.detect(folder)
    np.testing.assert_allclose(found.trajectory.Ts_world_camera, PATH.Ts_world_camera, atol=1e-9)


def test_an_r3d_is_read_with_its_times_and_pictures(tmp_path: Path) -> None:
    made(tmp_path / "metadata.json", PATH, "record3d")
    with zipfile.ZipFile(tmp_path / "scan.r3d", "w") as packed:
        packed.write(tmp_path / "metadata.json", "metadata")
        packed.writestr("rgbd/0.depth", b"x")
    found = formats.load(tmp_path / "scan.r3d")
    assert found.format.name == "record3d" and found.names[1] == "rgb/1.jpg"
    np.testing.assert_allclose(found.times_s, np.arange(4) / 8)
    pictures(tmp_path / "rgbd", [f"{i}.jpg" for i in range(4)])
    with zipfile.ZipFile(tmp_path / "scan.r3d", "a") as packed:
        for file in (tmp_path / "rgbd").iterdir():
            packed.write(file, f"rgbd/{file.name}")
    clip = load_clip(tmp_path / "scan.r3d", num_frames=4, size=SIZE)
    assert clip.frames_u8[:, 20, 20, 0].tolist() == pytest.approx([40, 90, 140, 190], abs=2)
    assert clip.trajectory is not None
    np.testing.assert_allclose(clip.trajectory.Ts_world_camera, PATH.Ts_world_camera, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"poses": [[0, 0, 0, 1, 0, 0]] * 4},
            "pose 0: qx qy qz qw tx ty tz is [0, 0, 0, 1, 0, 0], expected a list",
        ),
        ({"poses": [[0, 0, 0, 3, 0, 0, 0]] * 4}, "pose 0: the quaternion qx qy qz qw has length 3, expected 1"),
        ({"perFrameIntrinsicCoeffs": None, "K": [1, 2]}, "K is [1, 2], expected a list of 9 numbers"),
        ({"frameTimestamps": [0, 1, 1, 2]}, "frame 2: the timestamp is a duplicate"),
        ({"w": 0}, "w is 0, expected a whole number of pixels"),
    ],
)
def test_damaged_metadata_is_refused_by_name(tmp_path: Path, change: dict, words: str) -> None:
    path = made(tmp_path / "metadata.json", PATH, "record3d")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError) as error:
        formats.read(path)
    assert words in str(error.value)
