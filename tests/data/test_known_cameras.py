"""Cameras that come with an upload: whose they are, by name, time or order; turned and cropped with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from films import numbered_frames, write_film
from PIL import Image

from rap import formats
from rap.data import load_clip
from rap.data.clip import Clip
from rap.data.reference import turned_camera
from rap.errors import InputError
from rap.geometry import Trajectory, se3

SIZE = (60, 80)


def path_of(count: int, size: tuple[int, int] = SIZE, fps: float = 8.0) -> Trajectory:
    i = np.arange(count)[:, None]
    twists = np.concatenate([i * [0.3, -0.1, 0.2], i * [0.01, 0.03, -0.02]], axis=1)
    return Trajectory(se3.exp(twists), np.tile([70.0, 71.0, 43.0, 27.0], (count, 1)), size, fps=fps)


def photos(folder: Path, names: list[str], orientation: int = 1, size: tuple[int, int] = SIZE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for i, name in enumerate(names):
        grey = Image.fromarray(np.full((*size, 3), 10 + 10 * i, np.uint8))
        grey.save(folder / name, format="JPEG", exif=exif)
    return folder


def relative(path: Trajectory, rows: list[int]) -> np.ndarray:
    return se3.inverse(path.Ts_world_camera[rows[0]]) @ path.Ts_world_camera[rows]


def assert_rows(clip: Clip, path: Trajectory, rows: list[int]) -> None:
    assert clip.trajectory is not None
    np.testing.assert_allclose(clip.trajectory.Ts_world_camera, relative(path, rows), atol=1e-9)


def renamed(folder: Path, change) -> None:
    document = json.loads((folder / "transforms.json").read_text())
    for frame in document["frames"]:
        frame["file_path"] = change(frame["file_path"])
    (folder / "transforms.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.replace("/", "\\"),
        lambda name: name.replace(".JPG", ".png"),
        lambda name: name.removesuffix(".JPG"),
        lambda name: f"../{name}",
        lambda name: f"/home/someone/{name}",
        lambda name: f"./{name.lower()}",
    ],
)
@pytest.mark.parametrize("given_as", [".", "images"])
def test_names_of_every_machine_are_matched(tmp_path: Path, change, given_as: str) -> None:
    names = [f"IMG  {i}.JPG" for i in range(4)]
    photos(tmp_path / "images", names)
    formats.write(tmp_path / "transforms.json", path_of(4), [f"images/{name}" for name in names])
    renamed(tmp_path, change)
    clip = load_clip(tmp_path / given_as, num_frames=4)
    assert clip.frame_names == tuple(names)
    assert_rows(clip, path_of(4), [0, 1, 2, 3])


def test_pictures_beside_the_cameras_that_these_do_not_name_are_left_out(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(3)]
    photos(tmp_path / "images", names)
    photos(tmp_path, ["thumbnail.jpg", "preview.jpg"])
    formats.write(tmp_path / "transforms.json", path_of(3), [f"images/{name}" for name in names])
    clip = load_clip(tmp_path, num_frames=3)
    assert clip.frame_names == tuple(names) and clip.trajectory is not None
    assert clip.notes[0] == "transforms.json: does not name preview.jpg, thumbnail.jpg, left out"
    photos(tmp_path / "images", ["0_mask.jpg", "1_mask.jpg", "2_depth_0001.jpg"])
    assert load_clip(tmp_path / "images", num_frames=3).frame_names == tuple(names)


def test_the_first_picture_that_is_missing_is_named(tmp_path: Path) -> None:
    formats.write(tmp_path / "transforms.json", path_of(3), ["images/a.png", "images/b.png", "images/c.png"])
    with pytest.raises(InputError, match=r"transforms.json: names pictures that are not in .*, the first is 'images/a"):
        load_clip(tmp_path)


def test_pictures_that_were_not_registered_shift_nothing(tmp_path: Path) -> None:
    names = [f"IMG_{i:04d}.jpg" for i in range(8)]
    photos(tmp_path / "images", names)
    formats.write(tmp_path / "model", path_of(8), names, format_name="colmap")
    lines = (tmp_path / "model/images.txt").read_text().splitlines()
    (tmp_path / "model/images.txt").write_text("\n".join([*lines[:1], *lines[7:]]))  # without the first three
    for given in (tmp_path, tmp_path / "images"):
        clip = load_clip(given, num_frames=5, cameras=tmp_path / "model")
        assert clip.frame_names == tuple(names[3:])
        assert_rows(clip, path_of(8), [3, 4, 5, 6, 7])
    assert clip.notes[0].startswith("model: has no camera for 3 of 8 pictures, which are left out: IMG_0000.jpg")
    whole = load_clip(tmp_path, num_frames=5)  # the project folder as it is
    assert whole.frame_names == tuple(names[3:])
    assert_rows(whole, path_of(8), [3, 4, 5, 6, 7])
    assert whole.notes[0] == "model: does not name IMG_0000.jpg, IMG_0001.jpg, IMG_0002.jpg, left out"


def assert_projections(stored: Trajectory, upright: Trajectory, orientation: int) -> None:
    """A point falls on the pixel of the turned picture that its pixel of the stored one became."""
    h, w = stored.image_size
    for i in range(len(stored)):
        for point in ([0.3, -0.2, 3.0, 1.0], [-0.5, 0.4, 2.0, 1.0]):
            pixels = []
            for path in (stored, upright):
                x, y, z, _ = np.linalg.inv(path.Ts_world_camera[i]) @ np.array(point)
                fx, fy, cx, cy = path.intrinsics[i]
                pixels.append((fx * x / z + cx, fy * y / z + cy))
            (x, y), found = pixels
            expected = {1: (x, y), 3: (w - x, h - y), 6: (h - y, x), 8: (y, w - x)}[orientation]
            np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_camera_is_turned_with_its_picture(orientation: int) -> None:
    stored = path_of(3)
    if orientation == 1:
        assert_projections(stored, stored, 1)
        return
    turned = [
        turned_camera(T, K, SIZE, orientation) for T, K in zip(stored.Ts_world_camera, stored.intrinsics, strict=True)
    ]
    size = turned[0][2]
    assert size == (SIZE if orientation == 3 else SIZE[::-1])
    upright = Trajectory(np.stack([T for T, _, _ in turned]), np.stack([K for _, K, _ in turned]), size)
    assert_projections(stored, upright, orientation)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_turned_photos_turn_their_cameras(tmp_path: Path, orientation: int) -> None:
    names = [f"{i}.jpg" for i in range(3)]
    photos(tmp_path / "images", names, orientation)
    formats.write(tmp_path / "transforms.json", path_of(3), [f"images/{name}" for name in names])
    size = (60, 80) if orientation == 3 else (80, 60)
    clip = load_clip(tmp_path, num_frames=3, size=size)
    assert clip.trajectory is not None and clip.upload_size == size
    assert "3 pictures are turned as their EXIF says, and their cameras with them" in clip.notes[-1]
    T, K, _ = turned_camera(path_of(3).Ts_world_camera[0], path_of(3).intrinsics[0], SIZE, orientation)
    np.testing.assert_allclose(clip.trajectory.intrinsics[0], K, atol=1e-9)
    moved = [turned_camera(pose, K, SIZE, orientation)[0] for pose in path_of(3).Ts_world_camera]
    np.testing.assert_allclose(clip.trajectory.Ts_world_camera, se3.inverse(T) @ np.stack(moved), atol=1e-9)


def test_cameras_that_are_for_upright_pictures_stay(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(3)]
    photos(tmp_path / "images", names, 6)
    formats.write(tmp_path / "transforms.json", path_of(3, (80, 60)), [f"images/{name}" for name in names])
    clip = load_clip(tmp_path, num_frames=3, size=(80, 60))
    assert_rows(clip, path_of(3), [0, 1, 2])


def test_pictures_that_exif_mirrors_have_no_camera(tmp_path: Path) -> None:
    photos(tmp_path / "images", ["0.jpg", "1.jpg"], 2)
    formats.write(tmp_path / "transforms.json", path_of(2), ["images/0.jpg", "images/1.jpg"])
    clip = load_clip(tmp_path, num_frames=2)
    assert clip.trajectory is None and "their EXIF mirrors" in clip.notes[-1]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "a.mp4", numbered_frames(30, 48, 96), fps=30)


@pytest.mark.parametrize("format_name", ["realestate10k", "nerfstudio"])
def test_fractions_are_of_the_whole_picture_and_the_crop_follows(film: Path, tmp_path: Path, format_name: str) -> None:
    path = path_of(30, (48, 96))
    formats.write(tmp_path / "c.txt", path, format_name=format_name)
    clip = load_clip(film, num_frames=5, cameras=tmp_path / "c.txt")
    assert clip.trajectory is not None and clip.image_size == (96, 160) and clip.upload_size == (48, 96)
    # cropped to 80 of 96 columns, then doubled
    np.testing.assert_allclose(clip.trajectory.intrinsics[0], [140.0, 142.0, 70.0, 54.0], rtol=1e-9)
    assert_rows(clip, path, list(clip.frame_indices))


def test_order_only_where_the_numbers_agree(film: Path, tmp_path: Path) -> None:
    for count in (20, 31, 300):
        formats.write(tmp_path / "c.json", path_of(count, (48, 96)))
        with pytest.raises(InputError, match=rf"has {count} cameras, but the clip has 5 frames, .* of the input"):
            load_clip(film, num_frames=5, cameras=tmp_path / "c.json")
    formats.write(tmp_path / "c.json", path_of(5, (96, 160)))  # of the frames as they are cropped, as we write them
    clip = load_clip(film, num_frames=5, cameras=tmp_path / "c.json")
    assert clip.trajectory is not None and clip.trajectory.intrinsics[0].tolist() == [70.0, 71.0, 43.0, 27.0]
    assert clip.notes[-1] == "c.json: its cameras are taken to be those of the clip's frames"
    formats.write(tmp_path / "c.json", path_of(30, (96, 48)))
    with pytest.raises(InputError, match="c.json: is for pictures of 48 x 96, but frame 0 has 96 x 48"):
        load_clip(film, num_frames=5, cameras=tmp_path / "c.json")


@pytest.mark.parametrize("rate", [150.0, 100.0, 60.0])
def test_cameras_at_another_rate_are_matched_by_time(film: Path, tmp_path: Path, rate: float) -> None:
    count = round(29 / 30 * rate) + 1
    path = path_of(count, (48, 96), rate)
    formats.write(tmp_path / "c.tum", path)
    lines = [f"{float(line.split()[0]) + 1e5} {line.split(maxsplit=1)[1]}" if line[0] != "#" else line
             for line in (tmp_path / "c.tum").read_text().splitlines()]  # fmt: skip
    (tmp_path / "c.tum").write_text("\n".join(lines))
    clip = load_clip(film, num_frames=5, cameras=tmp_path / "c.tum", fov_y_rad=0.7)
    assert clip.trajectory is not None and "matched to the 30 frames by time" in clip.notes[-1]
    step = se3.log(path.Ts_world_camera[1])  # each camera is as far from the one before it
    expected = se3.exp(np.outer(np.array(clip.frame_indices) / 30 * rate, step))
    np.testing.assert_allclose(clip.trajectory.Ts_world_camera, expected, atol=1e-6)
    formats.write(tmp_path / "c.tum", path_of(count, (48, 96), 3 * rate))
    with pytest.raises(InputError, match=f"c.tum: has {count} cameras"):
        load_clip(film, num_frames=5, cameras=tmp_path / "c.tum", fov_y_rad=0.7)


def test_the_lens_of_a_file_without_one_is_given_or_said_to_be_assumed(film: Path, tmp_path: Path) -> None:
    formats.write(tmp_path / "c.tum", path_of(30))
    given = load_clip(film, num_frames=5, cameras=tmp_path / "c.tum", fov_y_rad=0.7)
    assert given.trajectory is not None and given.trajectory.fov_y_rad[0] == pytest.approx(0.7)
    assumed = load_clip(film, num_frames=5, cameras=tmp_path / "c.tum")
    assert any("has no lens: 55 degrees" in note for note in assumed.notes)


def test_one_picture_has_no_use_for_a_path(tmp_path: Path) -> None:
    photos(tmp_path, ["a.jpg"])
    formats.write(tmp_path / "c.npz", path_of(4))
    clip = load_clip(tmp_path / "a.jpg", cameras=tmp_path / "c.npz")
    assert clip.trajectory is None and clip.notes == ("c.npz: has 4 cameras, which one picture has no use for",)


def test_a_copy_of_the_model_as_a_zip_is_the_same(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(4)]
    photos(tmp_path / "some", names)
    formats.write(tmp_path / "packed/sparse/0", path_of(4), names, format_name="colmap_binary")
    zipped = Path(shutil.make_archive(str(tmp_path / "model"), "zip", tmp_path / "packed"))
    clip = load_clip([tmp_path / "some" / name for name in names], num_frames=4, cameras=zipped)
    assert_rows(clip, path_of(4), [0, 1, 2, 3])
