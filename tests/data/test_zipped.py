"""Zips of pictures: read like the folder that was packed, whatever tool packed it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_known_cameras import assert_rows, path_of, photos, relative

from rap import formats
from rap.data import load_clip
from rap.data.reference import turned_camera
from rap.errors import InputError

NAMES = [f"IMG_{i}.jpg" for i in range(4)]


def zipped(path: Path, folder: Path, above: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, above + file.relative_to(folder).as_posix())
        archive.writestr("__MACOSX/._IMG_0.jpg", b"\0\5\x16\7")
        archive.writestr(f"{above}images/._IMG_0.jpg", b"\0\5\x16\7")
    return path


@pytest.mark.parametrize("above", ["", "kitchen/", "kitchen/project/"])
@pytest.mark.parametrize("cameras", ["transforms.json", "sparse/0", "."])
def test_a_zip_of_pictures_and_cameras_is_the_folder(tmp_path: Path, above: str, cameras: str) -> None:
    photos(tmp_path / "scan/images", NAMES)
    is_nerfstudio = cameras.endswith(".json")
    names = [f"images/{name}" for name in NAMES] if is_nerfstudio else NAMES
    kind = "nerfstudio" if is_nerfstudio else "colmap"
    formats.write(tmp_path / "scan" / cameras, path_of(4), names, format_name=kind)
    for given in (tmp_path / "scan", zipped(tmp_path / "scan.zip", tmp_path / "scan", above)):
        clip = load_clip(given, num_frames=4)
        assert clip.frame_names == tuple(NAMES) and clip.frames_u8[:, 9, 9, 0].tolist() == [10, 20, 30, 40]
        assert_rows(clip, path_of(4), [0, 1, 2, 3])


def test_pictures_alone_and_nothing_of_the_kind(tmp_path: Path) -> None:
    photos(tmp_path / "scan/holiday", NAMES)
    clip = load_clip(zipped(tmp_path / "scan.zip", tmp_path / "scan"), num_frames=4)
    assert clip.frame_names == tuple(NAMES) and clip.trajectory is None and clip.name == "holiday"
    (tmp_path / "none").mkdir()
    (tmp_path / "none/film.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match=r"^none.zip: a zip without pictures; give .* the video itself"):
        load_clip(zipped(tmp_path / "none.zip", tmp_path / "none"))


@pytest.mark.parametrize("name", ["a/1.png/x.png", f"a/{300 * 'x'}.png"])
def test_names_that_no_disk_takes_are_refused_without_our_folders(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr("a/1.png", b"x")
        archive.writestr(name, b"x")
    with pytest.raises(InputError, match=r"^odd.zip: 'a/[^/]*(/x.png)?' cannot be unpacked \((?!.*rap-upload)"):
        load_clip(tmp_path / "odd.zip")


def test_telephone_pictures_in_a_zip_are_turned_with_their_binary_model(tmp_path: Path) -> None:
    photos(tmp_path / "scan/images", NAMES, orientation=8)
    formats.write(tmp_path / "scan/sparse/0", path_of(4), NAMES, format_name="colmap_binary")
    clip = load_clip(zipped(tmp_path / "scan.zip", tmp_path / "scan"), num_frames=4, size=(80, 60))
    assert clip.trajectory is not None
    turned = [turned_camera(T, path_of(4).intrinsics[0], (60, 80), 8)[0] for T in path_of(4).Ts_world_camera]
    wanted = np.linalg.inv(turned[0]) @ turned
    np.testing.assert_allclose(clip.trajectory.Ts_world_camera, wanted, atol=1e-9)
    np.testing.assert_allclose(clip.trajectory.intrinsics[0], [71.0, 70.0, 27.0, 80.0 - 43.0])


@pytest.mark.parametrize("split", ["train", "test", "val"])
def test_the_pictures_of_a_split_have_the_cameras_of_that_split(tmp_path: Path, split: str) -> None:
    """NeRF-synthetic scenes have pictures of the same names in each."""
    whole = path_of(12)
    names = [f"r_{i}.png" for i in range(4)]
    for k, name in enumerate(("train", "test", "val")):
        photos(tmp_path / name, names)
        rows = slice(4 * k, 4 * k + 4)
        part = type(whole)(whole.Ts_world_camera[rows], whole.intrinsics[rows], whole.image_size)
        formats.write(tmp_path / f"transforms_{name}.json", part, [f"./{name}/r_{i}" for i in range(4)])
    clip = load_clip(tmp_path / split, num_frames=4)
    first = 4 * ("train", "test", "val").index(split)
    assert clip.trajectory is not None
    np.testing.assert_allclose(
        clip.trajectory.Ts_world_camera, relative(whole, [first, first + 1, first + 2, first + 3]), atol=1e-9
    )
