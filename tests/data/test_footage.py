"""The footage of a clip: whole pictures beside the cropped frames, cameras of both, and what EXIF says of the lens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from films import numbered_frames, quadrants, write_film
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rap.config import FOOTAGE_SIDE
from rap.data import Clip, load_clip, sampling
from rap.data.images import fov_y_from_focal_35mm, reduce_picture, reduced_size
from rap.data.packed import packed_clip, unpacked_clip
from rap.geometry import Trajectory, preset, se3
from rap.limits import FOLLOWED_FRAMES


def cameras(size: tuple[int, int], count: int = 3) -> Trajectory:
    """Wandering cameras with a principal point off the centre and pixels that are not square."""
    h, w = size
    rng = np.random.default_rng(0)
    intrinsics = np.array([0.9 * w, 0.95 * w, 0.46 * w, 0.57 * h]) * rng.uniform(0.97, 1.03, (count, 4))
    return Trajectory(se3.exp(rng.normal(0, 0.05, (count, 6))), intrinsics, size)


def pixels(trajectory: Trajectory, points_world: np.ndarray) -> np.ndarray:
    """(T, P, 2) pixel positions (x, y)."""
    Ts_camera_world = se3.inverse(trajectory.Ts_world_camera)
    points = np.einsum("tij,pj->tpi", Ts_camera_world[:, :3, :3], points_world) + Ts_camera_world[:, None, :3, 3]
    focal, centre = trajectory.intrinsics[:, None, :2], trajectory.intrinsics[:, None, 2:]
    return points[..., :2] / points[..., 2:] * focal + centre


def spots(at: np.ndarray, size: tuple[int, int], sigma: float) -> np.ndarray:
    """(T, h, w, 3) black pictures with one soft white spot each, at (T, 2) pixel positions (x, y)."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    distance = (columns - at[:, 0, None, None]) ** 2 + (rows - at[:, 1, None, None]) ** 2
    return np.repeat((255 * np.exp(-distance / (2 * sigma**2))).round().astype(np.uint8)[..., None], 3, axis=-1)


def centroids(frames_u8: np.ndarray) -> np.ndarray:
    weight = frames_u8[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: weight.shape[1], : weight.shape[2]] + 0.5
    return np.stack([(weight * columns).sum((1, 2)), (weight * rows).sum((1, 2))], -1) / weight.sum((1, 2))[:, None]


def save(folder: Path, frames_u8: np.ndarray, **options) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(frames_u8):
        Image.fromarray(np.ascontiguousarray(frame)).save(folder / f"{i}.png", **options)
    return folder


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size, kept", [((240, 320), (240, 320)), ((448, 300), (448, 300)), ((600, 1000), (269, 448)), ((900, 500), None)]
)
def test_footage_is_whole_small_and_never_enlarged(tmp_path: Path, size, kept) -> None:
    clip = load_clip(save(tmp_path / "a", numbered_frames(3, *size)), num_frames=5)
    kept = kept or (448, 249)
    assert clip.footage_u8 is not None and clip.footage_u8.shape == (5, *kept, 3) and clip.footage_size == kept
    assert max(kept) <= FOOTAGE_SIDE and clip.footage is clip.footage_u8
    levels = clip.frames_u8.mean(axis=(1, 2, 3)).round()  # frame for frame the same pictures, repeated ones too
    assert (clip.footage_u8.mean(axis=(1, 2, 3)).round() == levels).all() and len(set(levels)) == 3
    with pytest.raises(ValueError, match="read-only"):
        clip.footage_u8[0] = 0


def test_a_single_picture_keeps_more(tmp_path: Path) -> None:
    pictures = save(tmp_path / "a", numbered_frames(2, 1800, 2400))
    assert load_clip(pictures / "1.png").footage_size == (1440, 1920)
    assert load_clip(pictures, num_frames=1).footage_size == (1440, 1920)
    assert load_clip(pictures, num_frames=5).footage_size == (336, 448)


def test_footage_shows_what_the_frames_cut_off(tmp_path: Path) -> None:
    picture = np.zeros((40, 200, 3), dtype=np.uint8)
    picture[:, :8] = 255  # left of the crop
    clip = load_clip(save(tmp_path / "a", picture[None]) / "0.png")
    assert clip.frames_u8.max() == 0 and (clip.footage == picture).all()


def test_footage_of_a_film(tmp_path: Path) -> None:
    clip = load_clip(write_film(tmp_path / "a.mp4", numbered_frames(20, 64, 900)), num_frames=5)
    assert clip.footage_size == (32, 448) and clip.exif_fov_y_rad is None
    np.testing.assert_allclose(clip.footage.mean(axis=(1, 2, 3)), clip.frames_u8.mean(axis=(1, 2, 3)), atol=2)


def test_pictures_of_different_sizes_have_no_footage(tmp_path: Path) -> None:
    for i, w in enumerate((64, 80)):
        Image.new("RGB", (w, 48)).save(tmp_path / f"{i}.png")
    clip = load_clip(tmp_path, num_frames=2)
    assert clip.footage_u8 is None and clip.footage is clip.frames_u8 and clip.footage_size == clip.image_size
    path = preset("arc-left", num_frames=2, image_size=clip.image_size)
    assert clip.on_footage(path) == path == clip.on_frames(path)


def test_footage_does_not_change_the_hash() -> None:
    frames = np.zeros((2, 96, 128, 3), dtype=np.uint8)
    assert Clip(frames, 8.0, footage_u8=np.ones((2, 240, 320, 3), dtype=np.uint8)).hash == Clip(frames, 8.0).hash


def test_footage_that_does_not_fit_is_refused() -> None:
    frames, footage = np.zeros((2, 96, 128, 3), dtype=np.uint8), np.zeros((2, 240, 320, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="footage_u8 must have one picture for each of the 2 frames, got 1"):
        Clip(frames, 8.0, footage_u8=footage[:1])
    with pytest.raises(ValueError, match=r"footage_u8 must be \(T, h, w, 3\) uint8"):
        Clip(frames, 8.0, footage_u8=footage / 255)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the whole upload of \(h, w\) = \(480, 700\) and so have its shape"):
        Clip(frames, 8.0, footage_u8=footage, upload_size=(480, 700))
    assert Clip(frames, 8.0, footage_u8=footage, upload_size=(480, 641)).footage_size == (240, 320)


@pytest.mark.parametrize("size", [(9, 14), (10, 11), (1, 7)])
def test_reduced_pictures_are_area_means(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 33, 3), dtype=np.uint8)
    fine = picture.repeat(size[0], axis=0).repeat(size[1], axis=1).astype(np.float64)  # every edge falls between pixels
    twin = fine.reshape(size[0], 20, size[1], 33, 3).mean(axis=(1, 3))
    assert np.abs(reduce_picture(Image.fromarray(picture), size) - twin).max() <= 0.51


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_reduced_size_law(h: int, w: int) -> None:
    new_h, new_w = reduced_size((h, w), 448)
    assert 1 <= new_h <= min(h, 448) and 1 <= new_w <= min(w, 448)
    assert (new_h, new_w) == (h, w) or max(new_h, new_w) == 448
    scale = min(1, 448 / max(h, w))
    assert abs(new_h - h * scale) < 1 and abs(new_w - w * scale) < 1


# --- cameras ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(200, 320), (300, 260), (100, 240), (500, 730)])
def test_points_are_found_where_the_cameras_of_frames_and_footage_see_them(tmp_path: Path, size) -> None:
    whole = cameras(size)
    for point in ((0.05, 0.04, 1.0), (-0.16, -0.1, 1.3)):
        seen = pixels(whole, np.array([point]))[:, 0]
        sigma = 0.02 * max(size)
        folder = save(tmp_path / f"{point[0]}", spots(seen, size, sigma))
        clip = load_clip(folder, num_frames=3)
        # the upload's cameras, taken to the footage by an independent sum: the whole picture is only resized
        scale = np.tile(np.array(clip.footage_size[::-1]) / np.array(size[::-1]), 2)
        footage = Trajectory(whole.Ts_world_camera, whole.intrinsics * scale, clip.footage_size)
        np.testing.assert_allclose(centroids(clip.footage), pixels(footage, np.array([point]))[:, 0], atol=0.03)
        frames = clip.on_frames(footage)
        assert frames.image_size == clip.image_size and (frames.Ts_world_camera == whole.Ts_world_camera).all()
        np.testing.assert_allclose(centroids(clip.frames_u8), pixels(frames, np.array([point]))[:, 0], atol=0.03)


@given(
    st.tuples(st.integers(16, 3000), st.integers(16, 3000)),
    st.sampled_from([(128, 128), (96, 160), (160, 96)]),
    st.booleans(),
)
def test_the_two_undo_each_other(upload: tuple[int, int], size: tuple[int, int], stated: bool) -> None:
    footage = np.zeros((1, *reduced_size(upload, 448), 3), dtype=np.uint8)
    frames = np.zeros((1, *size, 3), dtype=np.uint8)
    clip = Clip(frames, 8.0, footage_u8=footage, upload_size=upload if stated else None)
    on_frames = cameras(size, 5)  # another number of cameras than frames: an edited path
    there = clip.on_footage(on_frames)
    assert there.image_size == clip.footage_size
    np.testing.assert_allclose(clip.on_frames(there).intrinsics, on_frames.intrinsics, rtol=1e-12, atol=1e-9)
    on_footage = cameras(clip.footage_size)
    back = clip.on_footage(clip.on_frames(on_footage))
    np.testing.assert_allclose(back.intrinsics, on_footage.intrinsics, rtol=1e-12, atol=1e-9)
    assert (back.Ts_world_camera == on_footage.Ts_world_camera).all() and back.image_size == on_footage.image_size


def test_cameras_of_other_pictures_are_refused() -> None:
    clip = Clip(np.zeros((1, 96, 128, 3), np.uint8), 8.0, footage_u8=np.zeros((1, 240, 320, 3), np.uint8))
    with pytest.raises(ValueError, match=r"clip's frames, \(h, w\) = \(96, 128\), got \(240, 320\)"):
        clip.on_footage(cameras((240, 320)))
    with pytest.raises(ValueError, match=r"clip's footage, \(h, w\) = \(240, 320\), got \(96, 128\)"):
        clip.on_frames(cameras((96, 128)))


# --- EXIF -------------------------------------------------------------------------------------------------------------


def photo(path: Path, focal: object, *, size: tuple[int, int] = (48, 64), orientation: int = 1, taken=None) -> Path:
    """A picture of (h, w) as stored, with a 35 mm focal length and perhaps the sides it was taken with."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    tags = exif.get_ifd(0x8769)
    if focal is not None:
        tags[0xA405] = focal
    if taken is not None:
        tags[0xA003], tags[0xA002] = taken
    Image.fromarray(np.ascontiguousarray(quadrants(*size))).save(path, exif=exif)
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_focal_length_by_the_diagonal(tmp_path: Path, suffix: str) -> None:
    clip = load_clip(photo(tmp_path / f"a.{suffix}", 26))  # 4:3 like the frames: nothing is cut
    assert clip.image_size == (96, 128)
    # tan of half the diagonal field of view is half the film's diagonal over the focal length; 3-4-5: 3/5 of it upright
    assert clip.exif_fov_y_rad is not None
    assert np.tan(clip.exif_fov_y_rad / 2) == pytest.approx(3 / 5 * 43.2666 / 2 / 26, rel=1e-5)


def test_film_itself() -> None:
    assert fov_y_from_focal_35mm(50, (24, 36)) == pytest.approx(2 * np.arctan(12 / 50))
    assert fov_y_from_focal_35mm(50, (360, 240)) == pytest.approx(2 * np.arctan(18 / 50))


def test_exif_focal_length_of_a_picture_held_upright(tmp_path: Path) -> None:
    """Stored 64 x 48, to be shown as 48 x 64: the vertical field of view is that of the long side."""
    clip = load_clip(photo(tmp_path / "a.jpg", 26, orientation=6))
    assert clip.upload_size == (64, 48) and clip.image_size == (128, 96) and clip.exif_fov_y_rad is not None
    assert np.tan(clip.exif_fov_y_rad / 2) == pytest.approx(4 / 5 * 43.2666 / 2 / 26, rel=1e-5)


def test_exif_focal_length_follows_the_crop(tmp_path: Path) -> None:
    clip = load_clip(photo(tmp_path / "a.jpg", 26), size=(96, 160))  # 38.4 of 48 rows are left
    assert clip.exif_fov_y_rad is not None
    assert clip.exif_fov_y_rad == pytest.approx(clip.cropped_fov_y_rad(fov_y_from_focal_35mm(26, (48, 64))))
    assert np.tan(clip.exif_fov_y_rad / 2) == pytest.approx(0.8 * 3 / 5 * 43.2666 / 2 / 26, rel=1e-5)


@pytest.mark.parametrize("focal", [None, 0, 1, 60000])
def test_no_sensible_focal_length(tmp_path: Path, focal: int | None) -> None:
    assert load_clip(photo(tmp_path / "a.jpg", focal)).exif_fov_y_rad is None


def test_exif_of_a_picture_that_was_cropped_or_resized_since(tmp_path: Path) -> None:
    assert load_clip(photo(tmp_path / "cropped.jpg", 26, taken=(3000, 3000))).exif_fov_y_rad is None
    assert load_clip(photo(tmp_path / "resized.jpg", 26, taken=(3000, 4000))).exif_fov_y_rad is not None
    assert load_clip(photo(tmp_path / "turned.jpg", 26, taken=(4000, 3000))).exif_fov_y_rad is not None


def test_damaged_exif_is_no_focal_length(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg", 26)
    whole = path.read_bytes()
    at = whole.index(b"\x87\x69")  # the tag of EXIF's own directory; its pointer comes eight bytes later
    path.write_bytes(whole[: at + 8] + b"\xff\xff\xff\x7f" + whole[at + 12 :])
    assert load_clip(path).exif_fov_y_rad is None


def test_focal_lengths_of_several_pictures_must_agree(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{i}.jpg", 26) for i in range(3)]
    assert load_clip(paths, num_frames=3).exif_fov_y_rad == pytest.approx(fov_y_from_focal_35mm(26, (48, 64)))
    photo(paths[1], 52)
    assert load_clip(paths, num_frames=3).exif_fov_y_rad is None
    photo(paths[1], None)
    assert load_clip(paths, num_frames=3).exif_fov_y_rad is None


@pytest.mark.parametrize("size", [(240, 320), (300, 200), (180, 320)])
def test_detailed_frames_show_what_the_frames_show(size: tuple[int, int], tmp_path: Path) -> None:
    """The footage's crop, reduced to the frames, is the frames."""
    picture = quadrants(*size)
    clip = load_clip(save(tmp_path / "film", np.stack([picture] * 5)), num_frames=5)
    h, w = clip.image_size
    assert clip.detailed_u8.shape[1] > h and clip.detailed_u8.shape[2] > w
    reduced = np.asarray(Image.fromarray(clip.detailed_u8[0]).resize((w, h), Image.Resampling.BOX)).astype(int)
    assert np.abs(reduced - clip.frames_u8[0]).mean() < 3


def test_frames_without_footage_are_their_own_detail() -> None:
    clip = Clip(numbered_frames(3), 8.0)
    assert clip.detailed_u8 is clip.frames_u8


# --- the film between the frames --------------------------------------------------------------------------------------


def test_a_film_holds_the_frames_and_those_between(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", numbered_frames(40, 240, 480))
    clip = load_clip(folder, num_frames=5, film=True)
    assert clip.film is not None and clip.film.frame_indices == tuple(range(40))
    assert clip.film.image_size == (192, 384) and clip.film.places(clip.frame_indices).tolist() == [0, 10, 20, 29, 39]
    same = clip.film.frames_u8[list(clip.frame_indices)].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(same, clip.footage.mean(axis=(1, 2, 3)), atol=1)
    with pytest.raises(ValueError, match=r"the film must hold the frames \[40\]"):
        clip.film.places([40])
    part = load_clip(folder, num_frames=5, start=3, stride=2, film=True)
    assert part.film is not None and part.film.frame_indices == tuple(range(3, 12))
    assert load_clip(folder, num_frames=5).film is None
    assert load_clip(folder, num_frames=5, stride=1, film=True).film is None  # nothing lies between


def test_a_long_film_is_thinned_and_keeps_the_frames_that_were_asked_for(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sampling, "FOLLOWED_FRAMES", replace(FOLLOWED_FRAMES, value=20))
    clip = load_clip(save(tmp_path / "a", numbered_frames(60, 32, 48)), num_frames=9, film=True)
    assert clip.film is not None and len(clip.film.frame_indices) <= 20
    assert set(clip.frame_indices) <= set(clip.film.frame_indices)
    assert max(np.diff(clip.film.frame_indices)) <= 6


def test_pictures_of_several_sizes_are_no_film(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", numbered_frames(6, 240, 320))
    Image.fromarray(numbered_frames(1, 120, 160)[0]).save(folder / "3.png")
    assert load_clip(folder, num_frames=5, film=True).film is None


def test_a_film_goes_from_process_to_process(tmp_path: Path) -> None:
    clip = load_clip(save(tmp_path / "a", numbered_frames(12, 240, 320)), num_frames=5, film=True)
    again = unpacked_clip(packed_clip(clip))
    assert clip.film is not None and again.film is not None
    assert again.film.frame_indices == clip.film.frame_indices
    np.testing.assert_array_equal(again.film.frames_u8, clip.film.frames_u8)


def test_frames_are_kept_at_their_own_size_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", numbered_frames(3, 300, 600))
    clip = load_clip(folder, num_frames=5, full=True)
    assert clip.full is not None and clip.full_size == (300, 600) and clip.footage_size == (224, 448)
    assert clip.full.places == (0, 1, 1, 2, 2) and len(clip.full.kept) == 3, "each different frame once"
    np.testing.assert_array_equal(clip.full_frame(3), numbered_frames(3, 300, 600)[2])
    assert load_clip(folder, num_frames=5).full is None
    small = load_clip(save(tmp_path / "b", numbered_frames(3, 200, 400)), num_frames=3, full=True)
    assert small.full is None and small.full_size == (200, 400), "the footage is as large"


def test_frames_of_full_size_go_to_another_process_as_pixels_and_stay_as_jpeg(tmp_path: Path) -> None:
    clip = load_clip(save(tmp_path / "a", numbered_frames(3, 300, 600)), num_frames=3, full=True)
    values, arrays = packed_clip(clip)
    assert arrays["full"].shape == (3, 300, 600, 3)
    again = unpacked_clip((values, arrays))
    assert again.full is not None and sum(part.nbytes for part in again.full.kept) < arrays["full"].nbytes / 5
    for i in range(3):
        assert np.abs(again.full_frame(i).astype(int) - clip.full_frame(i)).mean() < 1.5
    with pytest.raises(ValueError, match="full must have one picture for each of the 3 frames"):
        replace(clip, full=replace(clip.full, places=(0, 1)))
    with pytest.raises(ValueError, match="places must name some of the 3 pictures"):
        replace(clip.full, places=(0, 3))
