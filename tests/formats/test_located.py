"""Which file of a folder or a zip is read, which picture a name means, and lenses and times in the wrong unit."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trajectory_strategies import assert_close, orbit

from rap import formats
from rap.errors import InputError
from rap.formats.distortion import Distortion
from rap.formats.pictures import Pictures, matched


def zipped(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path


@pytest.mark.parametrize("name", ["colmap", "colmap_binary", "nerfstudio", "tum", "realestate10k"])
@pytest.mark.parametrize("inner", [".", "scene/sparse/0"])
def test_a_zip_is_read_like_what_is_in_it(tmp_path: Path, name: str, inner: str) -> None:
    entry = formats.FORMATS[name]
    place = tmp_path / "packed" / inner
    formats.write(place if "colmap" in name else place / entry.default_name, orbit(), format_name=name)
    path = zipped(tmp_path / "model.zip", tmp_path / "packed")
    found = formats.load(path, image_size=(128, 128))
    assert found.format is entry and formats.detect(path) is entry
    assert_close(found.trajectory, orbit(), intrinsics=found.has_lens, fps_rtol=None)


def test_the_model_with_most_images_is_taken_and_said(tmp_path: Path) -> None:
    formats.write(tmp_path / "scene/sparse/0", orbit(2), format_name="colmap_binary")
    formats.write(tmp_path / "scene/sparse/1", orbit(6), format_name="colmap")
    formats.write(tmp_path / "scene/sparse/2", orbit(3), format_name="colmap_binary")
    for path in (tmp_path / "scene", zipped(tmp_path / "scene.zip", tmp_path / "scene")):
        found = formats.load(path)
        assert len(found.trajectory) == 6 and found.format.name == "colmap"
        assert (
            found.notes
            == (
                "scene: holds 3 COLMAP models: sparse/0 (2 images), sparse/1 (6 images), sparse/2 (3 images); "
                "sparse/1 is taken, which has most images",
            )
            or path.suffix == ".zip"
        )
        assert "sparse/1 is taken" in found.notes[0] and len(found.notes) == 1


@pytest.mark.parametrize("name", ["colmap_binary", "tum"])
def test_a_folder_with_a_zip_of_cameras_alone_is_the_zip(tmp_path: Path, name: str) -> None:
    place = tmp_path / "packed/sparse/0"
    formats.write(place if name == "colmap_binary" else place / "a.tum", orbit(), format_name=name)
    (tmp_path / "given").mkdir()
    (tmp_path / "given/note.txt").write_text("as it came\nfrom the phone")
    zipped(tmp_path / "given/model.zip", tmp_path / "packed")
    found = formats.load(tmp_path / "given", image_size=(128, 128))
    assert found.format.name == name
    assert_close(found.trajectory, orbit(), intrinsics=False, fps_rtol=None)


def test_of_models_of_one_size_the_first_is_taken_and_said(tmp_path: Path) -> None:
    for k, name in enumerate(("colmap", "colmap_binary", "colmap")):
        formats.write(tmp_path / f"scene/sparse/{k}", orbit(3).resized((32 * (k + 1), 32 * (k + 1))), format_name=name)
    found = formats.load(tmp_path / "scene")
    assert found.trajectory.image_size == (32, 32)
    assert found.notes[0].endswith("sparse/0 is taken, the first of those with most images")


@pytest.mark.parametrize("name", ["tum", "realestate10k", "npz", "chan", "camera_path", "nerfstudio"])
def test_a_lone_file_of_cameras_is_found_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "handed over"
    file = formats.FORMATS[name]
    path = folder / f"my path{(file.suffixes or file.words)[0]}"
    formats.write(path, orbit(), format_name=name)
    (folder / "README.txt").write_text("made on Monday")
    (folder / "older.zip").write_bytes(b"PK")
    (folder / f"._{path.name}").write_bytes(b"\0\5\x16\7")
    for given in (folder, zipped(tmp_path / "a.zip", folder)):
        found = formats.load(given, image_size=(128, 128))
        assert found.format is file
        assert_close(found.trajectory, orbit(), intrinsics=False, fps_rtol=None)
    formats.write(folder / "other.tum", orbit(), format_name="tum")
    with pytest.raises(InputError, match="has no images.txt, expected a folder"):
        formats.load(folder)


def test_files_of_two_models_are_not_mixed(tmp_path: Path) -> None:
    formats.write(tmp_path / "m/a_raw", orbit(4), format_name="colmap")
    formats.write(tmp_path / "m/b_other", orbit(4).resized((64, 64)), format_name="colmap")
    (tmp_path / "m/b_other/images.txt").unlink()
    assert_close(formats.read(zipped(tmp_path / "m.zip", tmp_path / "m")), orbit(4), fps_rtol=None)
    (tmp_path / "m/a_raw/cameras.txt").unlink()
    with pytest.raises(InputError, match=r"holds none of cameras.txt|cameras.txt: no such file"):
        formats.read(zipped(tmp_path / "n.zip", tmp_path / "m"))


def test_names_of_a_zip_lead_nowhere_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../evil-in-a-zip.txt", "x")
        archive.writestr("/etc/evil-in-a-zip.tum", "x")
        archive.writestr("C:\\evil-in-a-zip.json", "x")
    with pytest.raises(InputError, match="a.zip: holds none of cameras.txt"):
        formats.read(tmp_path / "a.zip")
    assert not list(tmp_path.parent.rglob("evil-in-a-zip*"))


def transforms(folder: Path, **changes: object) -> Path:
    frames = [{"file_path": f"images/{i}.png", "transform_matrix": np.eye(4).tolist()} for i in range(3)]
    document = {"w": 64, "h": 48, "fl_x": 60.0, "fl_y": 60.0, "cx": 32.0, "cy": 24.0, "frames": frames, **changes}
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder / "transforms.json"


@pytest.mark.parametrize(
    "lens",
    [
        {"fl_x": 0.94, "fl_y": 1.25, "cx": 0.5, "cy": 0.5},
        {"fl_x": 0.94, "fl_y": 0.94, "cx": 32.0, "cy": 24.0},
        {"fl_x": 60.0, "fl_y": 60.0, "cx": 0.5, "cy": 0.5},
    ],
)
def test_fractions_of_the_sides_are_asked_about(tmp_path: Path, lens: dict) -> None:
    with pytest.raises(InputError, match="are they fractions of the sides.* Then multiply those of x by 64 .* by 48"):
        formats.read(transforms(tmp_path, **lens))


def test_a_lens_of_no_width_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a lens of 0.12 degrees; have the pictures another size"):
        formats.read(transforms(tmp_path, fl_x=30000.0, fl_y=30000.0))
    row = "{t} 500 500 320 180 0 0 1 0 0 0 0 1 0 0 0 0 1 0\n"
    (tmp_path / "p.txt").write_text("https://x.org/v\n" + row.format(t=0) + row.format(t=33333))
    with pytest.raises(InputError, match="p.txt line 2: fx is 500, expected a fraction .* is it in pixels"):
        formats.read(tmp_path / "p.txt")


def test_a_principal_point_in_the_corner_is_none(tmp_path: Path) -> None:
    found = formats.load(transforms(tmp_path, cx=0.0, cy=0.0))
    assert found.trajectory.intrinsics[0].tolist() == [60.0, 60.0, 32.0, 24.0]
    assert "its principal point is 0, 0, the corner of the picture" in found.notes[0]


def test_lenses_of_pictures_of_another_size_or_shape_are_told(tmp_path: Path) -> None:
    """Pictures that were halved, and a film that was cropped to 4:3, after their cameras were found."""
    found = formats.load(transforms(tmp_path, fl_x=120.0, fl_y=120.0, cx=64.0, cy=48.0))
    assert "its principal point 64, 48 is far from the middle of pictures of 64 x 48" in found.notes[0]
    assert formats.load(transforms(tmp_path, cx=40.0, cy=20.0)).notes == ()
    path = tmp_path / "film_re10k.txt"
    square = np.tile([150.0, 150.0, 160.0, 90.0], (4, 1))
    formats.write(path, replace(orbit(), intrinsics=square, image_size=(180, 320)))
    said = [note for note in formats.load(path, image_size=(180, 240)).notes if "of another shape" in note]
    assert len(said) == 1 and "pixels of pictures of 240 x 180 would be 1.33 times as wide as high" in said[0]
    assert not any("of another shape" in note for note in formats.load(path, image_size=(360, 640)).notes)


@pytest.mark.parametrize("applied", [np.eye(4), np.diag([0.5, 0.5, 0.5, 1.0]), np.eye(4)[:3] * 2])
def test_an_applied_transform_of_any_shape_and_scale_is_passed_over(tmp_path: Path, applied: np.ndarray) -> None:
    path = transforms(tmp_path, applied_transform=applied.tolist())
    np.testing.assert_array_equal(formats.read(path).centres, 0.0)


def test_what_is_no_pinhole_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="camera_model is 'EQUIRECTANGULAR', expected one of"):
        formats.read(transforms(tmp_path, camera_model="EQUIRECTANGULAR"))
    wild = {"k1": -44.85, "k2": 1017.4, "p1": 0.62, "p2": 0.94}
    with pytest.raises(InputError, match=r"\(k1 -44.85 k2 1017 p1 0.62 p2 0.94\) is unusable"):
        formats.read(transforms(tmp_path, w=640, h=480, fl_x=2605.7, fl_y=3134.5, cx=199.5, cy=162.3, **wild))
    mild = formats.load(transforms(tmp_path, k1=-0.2, k2=0.03))
    assert "have lens distortion" in mild.notes[0] and mild.distortion[0] is not None
    assert mild.distortion[0].words() == "k1 -0.2 k2 0.03"


@pytest.mark.parametrize(
    "said", [{"camera_model": "OPENCV_FISHEYE"}, {"camera_model": "FISHEYE"}, {"is_fisheye": True}]
)
def test_a_fisheye_of_nerfstudio_or_instant_ngp_is_read(tmp_path: Path, said: dict) -> None:
    found = formats.load(transforms(tmp_path, k1=0.05, k4=0.001, **said))
    assert found.distortion[0] == Distortion(True, (0.05, 0.0, 0.0, 0.001))
    assert "have lens distortion" in found.notes[0]
    assert formats.load(transforms(tmp_path, **said)).distortion[0] == Distortion(True, (0.0,) * 4)
    with pytest.raises(InputError, match="fisheye k1 -9.*unusable"):
        formats.load(transforms(tmp_path, k1=-9.0, **said))


def test_a_file_without_a_lens_says_that_it_is_assumed(tmp_path: Path) -> None:
    formats.write(tmp_path / "a.tum", orbit())
    found = formats.load(tmp_path / "a.tum")
    assert not found.has_lens and "has no lens: 55 degrees of view from top to bottom are assumed" in found.notes[0]
    assert "has no size of pictures: 640 x 480 is assumed" in found.notes[1]
    assert formats.load(tmp_path / "a.tum", image_size=(9, 9), fov_y_rad=1.0).notes == ()
    assert formats.load(tmp_path / "a.tum", image_size=(9, 9), fov_y_rad=1.0).times_s is not None


POSE = "0 0 0 0 0 0 1"


@pytest.mark.parametrize(
    ("step", "fps", "words"),
    [
        ("33333333", 30.0, "taken for ns (30 frames a second)"),
        ("33333", 30.0, "taken for us (30 frames a second)"),
        ("40", 25.0, "taken for ms (25 frames a second)"),
        ("1", 8.0, "taken for numbers of frames; the frame rate is not known, 8 a second is assumed"),
        ("10", 8.0, "taken for numbers of frames"),
    ],
)
def test_time_stamps_in_other_units_are_recognised_and_said(tmp_path: Path, step: str, fps: float, words: str) -> None:
    (tmp_path / "a.tum").write_text("".join(f"{i * int(step)} {POSE}\n" for i in range(4)))
    found = formats.load(tmp_path / "a.tum", image_size=(9, 9), fov_y_rad=1.0)
    assert found.trajectory.fps == pytest.approx(fps, rel=1e-3) and words in found.notes[0]
    assert (found.times_s is None) == ("numbers" in words)


def test_names_of_other_machines_mean_the_same_pictures(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a 1  b.JPG", "r_2.png", "r_2_depth.png", "3.jpeg"):
        Image.new("RGB", (32, 32)).save(tmp_path / "images" / name, format="PNG")
    pictures = Pictures(tmp_path)
    for name, meant in {
        "images\\a 1  b.jpg": "a 1  b.JPG", "./images/a 1  b.png": "a 1  b.JPG", "images/r_2": "r_2.png",
        "../images/3.png": "3.jpeg", "/home/x/data/images/3.jpeg": "3.jpeg", "D:\\data\\images\\3.JPEG": "3.jpeg",
    }.items():  # fmt: skip
        assert pictures.find(name) == (tmp_path / "images" / meant).resolve(), name
    assert pictures.find("images/4.png") is None and pictures.find("..") is None
    assert Pictures(tmp_path / "images").find("../../secret.png") is None


@pytest.mark.parametrize("whole_first", [True, False])
def test_accents_are_the_same_however_they_are_written(tmp_path: Path, whole_first: bool) -> None:
    forms = ("K\u00fcche", "Ku\u0308che")  # as Windows has it, and as a Mac
    there, said = forms if whole_first else forms[::-1]
    Image.new("RGB", (4, 4)).save(tmp_path / f"{there} 1.jpg")
    assert Pictures(tmp_path).find(f"images/{said} 1.jpg") == (tmp_path / f"{there} 1.jpg").resolve()
    assert Pictures(tmp_path).find(f"images/{said}%201.png") == (tmp_path / f"{there} 1.jpg").resolve()
    assert matched([f"{said}/{said} 1.jpg", f"b/{said} 1.jpg"], [f"{there}/{there} 1.jpg"]) == [0]


def test_frames_are_matched_by_name_and_told_apart_by_folder() -> None:
    assert matched(["a/1.png", "b/1.png", "2.jpg"], ["x/b/1.png", "x\\a\\1.JPG", "2.png", "3.png", "1.png"]) == [
        1, 0, 2, None, None,
    ]  # fmt: skip
    assert matched(["1.png", "1.jpg"], ["1.jpg"]) == [1] and matched([], ["1.jpg"]) == [None]


COLMAP_ROW = "{i} 1 0 0 0 {i} 0 0 1 IMG  2024 0{i}.jpg\n"


@pytest.mark.parametrize("between", ["", "\n", "1.5 2.5 -1 3 4 7\n"])
def test_points_may_be_there_empty_or_left_out(tmp_path: Path, between: str) -> None:
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 64 48 60 60 32 24\n")
    (tmp_path / "images.txt").write_text("".join(COLMAP_ROW.format(i=i) + between for i in range(6)))
    found = formats.load(tmp_path)
    assert found.names == tuple(f"IMG  2024 0{i}.jpg" for i in range(6))
    np.testing.assert_allclose(found.trajectory.centres[:, 0], -np.arange(6.0))


def distorted_model(folder: Path, model: str, parameters: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "cameras.txt").write_text(f"1 {model} 64 48 {parameters}\n")
    (folder / "images.txt").write_text("1 1 0 0 0 0 0 0 1 a.png\n\n")
    return folder


@pytest.mark.parametrize(
    ("model", "parameters", "words"),
    [
        ("SIMPLE_RADIAL", "60 32 24 -0.1", "k1 -0.1"),
        ("RADIAL", "60 32 24 -0.1 0.02", "k1 -0.1 k2 0.02"),
        ("OPENCV", "60 61 32 24 -0.1 0.02 0.001 0.002", "k1 -0.1 k2 0.02 p1 0.001 p2 0.002"),
        ("FULL_OPENCV", "60 61 32 24 -0.1 0.02 0.001 0.002 0.003 0.01 0.02 0.03",
         "k1 -0.1 k2 0.02 k3 0.003 k4 0.01 k5 0.02 k6 0.03 p1 0.001 p2 0.002"),
        ("OPENCV_FISHEYE", "30 30 32 24 0.01 0.02 0.003 0.004", "fisheye k1 0.01 k2 0.02 k3 0.003 k4 0.004"),
        ("SIMPLE_RADIAL_FISHEYE", "30 32 24 0", "fisheye"),
    ],
)  # fmt: skip
def test_models_with_distortion_are_read(tmp_path: Path, model: str, parameters: str, words: str) -> None:
    (lens,) = formats.load(distorted_model(tmp_path, model, parameters)).distortion
    assert lens is not None and lens.words() == words


def test_the_binary_model_is_that_of_the_text(tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    names = [f"b {i}.png" for i in range(5)]
    formats.write(tmp_path / "ours", orbit(5), names, format_name="colmap_binary")
    theirs = pycolmap.Reconstruction(tmp_path / "ours")
    assert sorted(image.name for image in theirs.images.values()) == names
    (tmp_path / "theirs").mkdir()
    theirs.write_binary(tmp_path / "theirs")
    found = formats.load(tmp_path / "theirs")
    assert found.format.name == "colmap_binary" and found.names == tuple(names)
    assert_close(found.trajectory, orbit(5), fps_rtol=None)


@pytest.mark.parametrize("cut", [4, 12, 60, 100, 150])
def test_a_binary_model_that_is_cut_off_says_so(tmp_path: Path, cut: int) -> None:
    formats.write(tmp_path, orbit(2), format_name="colmap_binary")
    file = tmp_path / ("cameras.bin" if cut < 60 else "images.bin")
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(InputError, match="cut off"):
        formats.read(tmp_path)
    file.write_bytes(bytes(8))
    with pytest.raises(InputError, match="with no (cameras|images) in it"):
        formats.read(tmp_path)
