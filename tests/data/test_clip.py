"""Clips from videos, folders and pictures: which frames, which crop, which cameras, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from films import QUADRANTS, corners, numbered_frames, quadrants, write_film
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rap import formats
from rap.config import SIZE_BUCKETS
from rap.data import Clip, fit_size, fit_trajectory, load_clip, video, write_video
from rap.data.packed import packed_clip, unpacked_clip
from rap.errors import InputError
from rap.geometry import Trajectory, intrinsics_from_fov, se3
from rap.limits import FILM_FRAMES


def numbers(clip: Clip, count: int) -> list[int]:
    """Which of `numbered_frames(count)` each frame is."""
    greys = clip.frames_u8.astype(float).mean(axis=(1, 2, 3))
    return np.round((greys - 8) / (240 - 8) * (count - 1)).astype(int).tolist()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "long.mp4", numbered_frames(60))
    write_film(folder / "short.mp4", numbered_frames(5))
    write_film(folder / "one.mp4", numbered_frames(1))
    return folder


# --- which frames -----------------------------------------------------------------------------------------------------


def test_a_long_film_is_covered_evenly_with_both_ends(films: Path) -> None:
    clip = load_clip(films / "long.mp4")
    assert clip.frame_indices[0] == 0 and clip.frame_indices[-1] == 59 and len(set(clip.frame_indices)) == 17
    assert set(np.diff(clip.frame_indices)) <= {3, 4}
    assert numbers(clip, 60) == list(clip.frame_indices)
    assert clip.fps == pytest.approx(30 * 16 / 59)
    assert clip.notes[0].startswith("long.mp4: frames 0, 4, 7, ") and clip.notes[0].endswith(
        "59 of 60 are used (numbered from 0)"
    )
    assert clip.name == "long" and clip.frame_names == () and clip.upload_size == (48, 80)


def test_start_and_stride(films: Path) -> None:
    clip = load_clip(films / "long.mp4", num_frames=5, start=3, stride=7)
    assert clip.frame_indices == (3, 10, 17, 24, 31)
    assert numbers(clip, 60) == [3, 10, 17, 24, 31]
    assert clip.fps == pytest.approx(30 / 7)


def test_start_alone_covers_the_rest(films: Path) -> None:
    clip = load_clip(films / "long.mp4", num_frames=5, start=40)
    assert clip.frame_indices[0] == 40 and clip.frame_indices[-1] == 59


def test_a_short_film_is_stretched_and_says_so(films: Path) -> None:
    clip = load_clip(films / "short.mp4")
    assert len(clip) == 17 and clip.frame_indices[0] == 0 and clip.frame_indices[-1] == 4
    assert set(np.diff(clip.frame_indices)) == {0, 1} and set(clip.frame_indices) == set(range(5))
    assert numbers(clip, 5) == list(clip.frame_indices)
    assert clip.fps == pytest.approx(30 * 16 / 4)
    assert clip.own_frames == (0, 4, 8, 12, 16) and clip.is_timed
    assert clip.notes[0].startswith("short.mp4: its 5 frames are cameras 0, 4, 8, 12, 16 of a path of 17, which leads")


def test_a_film_of_one_frame_is_a_picture(films: Path) -> None:
    clip = load_clip(films / "one.mp4")
    assert len(clip) == 1 and clip.frame_indices == (0,) and clip.notes == ()


def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    Image.fromarray(quadrants()).save(tmp_path / "a.png")
    clip = load_clip(tmp_path / "a.png")
    assert clip.frames_u8.shape == (1, 96, 128, 3) and clip.frame_names == ("a.png",) and clip.name == "a"
    assert (corners(Image.fromarray(clip.frames_u8[0])) == QUADRANTS).all()


def test_several_pictures_keep_their_order(tmp_path: Path) -> None:
    frames = numbered_frames(3)
    for i in range(3):
        Image.fromarray(frames[i]).save(tmp_path / f"{2 - i}.png")
    clip = load_clip([tmp_path / f"{2 - i}.png" for i in range(3)], num_frames=3)
    assert numbers(clip, 3) == [0, 1, 2] and clip.frame_names == ("2.png", "1.png", "0.png") and clip.notes == ()


@pytest.mark.parametrize("claim", [1, 7, 59, 61, 1000, 10**9])
def test_a_container_that_lies_about_its_length(films: Path, monkeypatch: pytest.MonkeyPatch, claim: int) -> None:
    true = load_clip(films / "long.mp4")
    monkeypatch.setattr(video, "_claimed_count", lambda container, stream: claim)
    clip = load_clip(films / "long.mp4")
    assert clip.frame_indices == true.frame_indices and clip.hash == true.hash
    strided = load_clip(films / "long.mp4", num_frames=5, start=3, stride=14)
    assert strided.frame_indices == (3, 17, 31, 45, 59)
    with pytest.raises(InputError, match="has 60 frames"):
        load_clip(films / "long.mp4", num_frames=5, start=4, stride=14)


def test_sentences_for_start_and_stride(films: Path) -> None:
    def sentence(**options: int) -> str:
        with pytest.raises(InputError) as caught:
            load_clip(films / "long.mp4", **options)
        return str(caught.value)

    assert sentence(start=60) == "start 60 lies too late: long.mp4 has 60 frames; the largest usable start is 58"
    assert sentence(start=20, stride=3) == (
        "start 20 with stride 3 needs 17 frames up to number 68, but long.mp4 has 60 frames (numbered from 0); "
        "the largest usable stride from there is 2; the largest usable start at this stride is 11"
    )
    assert sentence(start=50, stride=9).endswith("leave the stride out, or take fewer than 17 frames")
    assert sentence(end=60) == "end 60 lies too late: long.mp4 has 60 frames; the largest usable end is 59"
    assert sentence(stride=3, end=40).startswith(
        "start 0 with stride 3 needs 17 frames up to number 48, but long.mp4, used up to number 40, has 41 frames"
    )


def test_frames_up_to_an_end(films: Path) -> None:
    clip = load_clip(films / "long.mp4", num_frames=5, start=4, end=32, film=True)
    assert clip.frame_indices == (4, 11, 18, 25, 32) and numbers(clip, 60) == [4, 11, 18, 25, 32]
    assert clip.film is not None and clip.film.frame_indices == tuple(range(4, 33))
    assert load_clip(films / "long.mp4", num_frames=5, stride=2, end=8).frame_indices == (0, 2, 4, 6, 8)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"num_frames": 0}, "num_frames must be at least 1, got 0"),
        ({"start": -1}, "start must be at least 0, got -1"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"size": (0, 128)}, "size must be a positive"),
        ({"start": 9, "end": 8}, "end 8 lies before start 9; give a later end"),
    ],
)
def test_arguments_out_of_range(films: Path, options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_clip(films / "long.mp4", **options)


# --- videos -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, codec",
    [("a.avi", "mpeg4"), ("a.webm", "libvpx-vp9"), ("a.mkv", "libx264"), ("a.mov", "libx264"), ("a.ts", "libx264"),
     ("a.h264", "libx264"), ("größer 図.mp4", "libx264"), ("without_suffix", "libx264")],
)  # fmt: skip
def test_containers(tmp_path: Path, name: str, codec: str) -> None:
    path = write_film(tmp_path / name, numbered_frames(20), codec=codec, format_name=None if "." in name else "mp4")
    clip = load_clip(path, num_frames=5)
    assert clip.frame_indices == (0, 5, 10, 14, 19) and numbers(clip, 20) == [0, 5, 10, 14, 19]


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_phone_videos_come_upright(tmp_path: Path, rotation: int) -> None:
    # The file stores the scene turned clockwise by `rotation` and tells the player to turn it back, counter-clockwise.
    stored = np.rot90(quadrants(), -rotation // 90)
    path = write_film(tmp_path / "a.mp4", np.stack([stored] * 3), rotation=rotation)
    clip = load_clip(path)
    assert clip.image_size == (96, 128)
    assert np.abs(corners(Image.fromarray(clip.frames_u8[0])) - QUADRANTS).max() < 30


def test_display_matrix_agrees_with_the_file_format(tmp_path: Path) -> None:
    # ISO 14496-12, 6.2.2: (p, q) -> (a p + c q, b p + d q); a = d = 0, b = 1, c = -1 turns CLOCKWISE (y is down).
    path = write_film(tmp_path / "a.mp4", np.stack([np.rot90(quadrants(), 1)] * 3))
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    clip = load_clip(path)
    assert clip.image_size == (96, 128)
    assert np.abs(corners(Image.fromarray(clip.frames_u8[0])) - QUADRANTS).max() < 30


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", numbered_frames(3, 48, 48), pixel_aspect=Fraction(4, 3))
    assert load_clip(path).upload_size == (48, 64)


def test_a_damaged_middle_is_passed_over(tmp_path: Path, films: Path) -> None:
    data = bytearray((films / "long.mp4").read_bytes())
    start = data.index(b"mdat")
    middle = start + (data.index(b"moov") - start) // 2 if data.index(b"moov") > start else (start + len(data)) // 2
    data[middle : middle + 40] = b"\xff" * 40
    (tmp_path / "damaged.mp4").write_bytes(data)
    assert len(load_clip(tmp_path / "damaged.mp4")) == 17


def test_a_film_that_was_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write_film(tmp_path / "a.mkv", rng.integers(0, 256, (40, 48, 80, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    clip = load_clip(path)
    assert len(clip) == 17 and 10 < clip.frame_indices[-1] < 30


def test_animated_gif(tmp_path: Path) -> None:
    write_video(tmp_path / "a.gif", numbered_frames(20), fps=10)
    clip = load_clip(tmp_path / "a.gif", num_frames=5)
    assert clip.frame_indices == (0, 5, 10, 14, 19) and numbers(clip, 20) == [0, 5, 10, 14, 19]
    assert clip.fps == pytest.approx(10 * 4 / 19)


def test_broken_films(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is a text\n" * 50)
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    write_film(tmp_path / "whole.mp4", numbered_frames(5))
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:900])
    write_film(tmp_path / "tiny.mkv", numbered_frames(5, 8, 8))
    sentences = {}
    for name in ("text.mp4", "zero.mp4", "list.mp4", "cut.mp4", "tiny.mkv", "none.mp4"):
        with pytest.raises(InputError) as caught:
            load_clip(tmp_path / name)
        sentences[name] = str(caught.value).replace(str(tmp_path), "DIR")
    invalid = "neither a picture nor a video that can be read; give an MP4, MOV, WebM, MKV, AVI or GIF, or pictures"
    assert sentences == {
        "text.mp4": f"text.mp4: {invalid}",
        "zero.mp4": "zero.mp4: the file is empty (0 bytes); upload or export it again",
        "list.mp4": f"list.mp4: {invalid}",
        "cut.mp4": "cut.mp4: is cut off: the end, where its table of contents (moov) stands, is missing, and no frame "
        "can be read without it; copy or download it again",
        "tiny.mkv": "tiny.mkv: 8 x 8 pixels; each side needs at least 16; give a larger picture",
        "none.mp4": "DIR/none.mp4: no such file or folder; check the path",
    }


def test_only_sound(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(InputError, match=r"^a\.mp4: holds no video \(only sound or data\)"):
        load_clip(tmp_path / "a.mp4")


def test_very_long_films_are_refused_in_time(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "FILM_FRAMES", dataclasses.replace(FILM_FRAMES, value=40))
    with pytest.raises(InputError, match=r"^long\.mp4: has to be searched through \d+ frames, at most 40 .*; cut the"):
        load_clip(films / "long.mp4")
    assert load_clip(films / "long.mp4", stride=2).frame_indices[-1] == 32


def test_a_4k_film_stays_small(tmp_path: Path) -> None:
    import resource

    path = write_film(tmp_path / "a.mp4", numbered_frames(30, 2160, 3840), fps=24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clip = load_clip(path)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert clip.image_size == (96, 160)
    assert np.abs(np.subtract(numbers(clip, 30), clip.frame_indices)).max() <= 1  # 8 grey levels a frame, 4:2:0
    assert grown_mb < 30 * 2160 * 3840 * 3 / 2**20 / 2  # all frames would be 0.75 GB


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "h, w, expected",
    [
        (1080, 1920, (96, 160)),
        (1920, 1080, (160, 96)),
        (480, 640, (96, 128)),
        (640, 480, (128, 96)),
        (7, 7, (128, 128)),
    ],
)
def test_fit_size(h: int, w: int, expected: tuple[int, int]) -> None:
    assert fit_size(h, w) == expected


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_fit_size_is_symmetric(h: int, w: int) -> None:
    assert fit_size(h, w) in SIZE_BUCKETS
    assert fit_size(w, h) == fit_size(h, w)[::-1]


def test_fit_size_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="h and w must be positive, got 0 x 5"):
        fit_size(0, 5)


def test_very_wide_pictures_are_used_with_a_note(tmp_path: Path) -> None:
    Image.new("RGB", (10000, 100), (1, 2, 3)).save(tmp_path / "wide.png")
    clip = load_clip(tmp_path / "wide.png")
    assert clip.image_size == (96, 160)
    assert clip.notes == (
        "pictures of 10000 x 100 are far from the shape 160 x 96: only the middle 167 x 100 is used (2%)",
    )


def test_mixed_sizes_follow_the_first(tmp_path: Path) -> None:
    for i, (w, h) in enumerate([(80, 60), (60, 80), (64, 64)]):
        Image.new("RGB", (w, h)).save(tmp_path / f"{i}.png")
    clip = load_clip(tmp_path, num_frames=3)
    assert clip.frames_u8.shape == (3, 96, 128, 3)
    assert clip.notes[0].startswith("pictures of different sizes (80 x 60, 60 x 80, 64 x 64): each is cropped")


def test_given_size(films: Path) -> None:
    assert load_clip(films / "short.mp4", size=(64, 64)).image_size == (64, 64)


# --- folders and reference cameras ------------------------------------------------------------------------------------


def scene(count: int, size: tuple[int, int]) -> Trajectory:
    rng = np.random.default_rng(3)
    Ts = se3.exp(rng.normal(size=(count, 6)) * [2, 2, 2, 0.4, 0.4, 0.4])
    intrinsics = intrinsics_from_fov(0.9, size) + [0, 3, 1.5, -2.5]
    return Trajectory(Ts, np.tile(intrinsics, (count, 1)), size)


def write_scene(
    folder: Path, count: int = 20, size: tuple[int, int] = (60, 100), pictures: str = "frames"
) -> Trajectory:
    trajectory = scene(count, size)
    (folder / pictures).mkdir(parents=True)
    names = [f"{pictures}/{i:04d}.png" for i in range(count)]
    for name, frame in zip(names, numbered_frames(count, *size), strict=True):
        Image.fromarray(np.ascontiguousarray(frame)).save(folder / name)
    formats.write(folder / "transforms.json", trajectory, names)
    return trajectory


@pytest.mark.parametrize("given_as", ["frames", ".", "flat"])
def test_reference_cameras_are_matched_by_name(tmp_path: Path, given_as: str) -> None:
    whole = write_scene(tmp_path)
    document = json.loads((tmp_path / "transforms.json").read_text())
    document["frames"].reverse()  # the order in the file must not matter
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    if given_as == "flat":
        (tmp_path / "flat").mkdir()
        for path in (tmp_path / "frames").iterdir():
            shutil.copy(path, tmp_path / "flat")
        shutil.copy(tmp_path / "transforms.json", tmp_path / "flat")
    clip = load_clip(tmp_path / given_as, num_frames=5, start=2, stride=3)
    assert numbers(clip, 20) == [2, 5, 8, 11, 14] and clip.frame_names[1] == "0005.png"
    reference = clip.trajectory
    assert reference is not None and reference.image_size == (96, 160) and reference.source == 0
    expected = se3.inverse(whole.Ts_world_camera[2]) @ whole.Ts_world_camera[[2, 5, 8, 11, 14]]
    np.testing.assert_allclose(reference.Ts_world_camera, expected, atol=1e-12)
    assert reference.fps == clip.fps


def test_intrinsics_follow_crop_and_resize(tmp_path: Path) -> None:
    """A bright point at a known place of the world is found where the clip's camera projects it."""
    size = (120, 240)
    whole = scene(2, size)
    fx, fy, cx, cy = whole.intrinsics[0]
    for x, y in ((-0.1, 0.05), (0.2, -0.15), (0.0, 0.0)):
        picture = np.zeros((*size, 3), dtype=np.float64)
        rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
        spot = np.exp(-((columns - (fx * x + cx)) ** 2 + (rows - (fy * y + cy)) ** 2) / (2 * 4.0**2))
        picture[:] = 255 * spot[..., None]
        folder = tmp_path / f"{x}_{y}"
        (folder / "images").mkdir(parents=True)
        for i in range(2):
            Image.fromarray(picture.round().astype(np.uint8)).save(folder / f"images/{i}.png")
        formats.write(folder / "transforms.json", whole, ["images/0.png", "images/1.png"])
        clip = load_clip(folder / "images", num_frames=2)
        assert clip.trajectory is not None and clip.image_size == (96, 160)
        new_fx, new_fy, new_cx, new_cy = clip.trajectory.intrinsics[0]
        weight = clip.frames_u8[0, ..., 0].astype(float)
        rows, columns = np.mgrid[:96, :160] + 0.5
        found = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
        assert found == pytest.approx((new_fx * x + new_cx, new_fy * y + new_cy), abs=0.05)


def test_pictures_smaller_than_the_file_says(tmp_path: Path) -> None:
    whole = write_scene(tmp_path, 3, (120, 200))
    for path in (tmp_path / "frames").iterdir():
        Image.open(path).resize((100, 60)).save(path)
    clip = load_clip(tmp_path / "frames", num_frames=3)
    assert clip.trajectory is not None
    expected = fit_trajectory(whole, (96, 160)).intrinsics
    np.testing.assert_allclose(clip.trajectory.intrinsics, expected, rtol=1e-12)


def test_three_pictures_are_three_cameras_and_a_smooth_path_through_them(tmp_path: Path) -> None:
    whole = write_scene(tmp_path, 3)
    clip = load_clip(tmp_path / "frames", num_frames=9)
    assert clip.own_frames == (0, 4, 8) and clip.fps == 8 and not clip.is_timed
    assert [clip.frame_indices[i] for i in clip.own_frames] == [0, 1, 2]
    assert clip.trajectory is not None and len(clip.trajectory) == 9
    assert not unpacked_clip(packed_clip(clip)).is_timed
    given = whole.relative_to(0).Ts_world_camera
    np.testing.assert_allclose(clip.trajectory.Ts_world_camera[[0, 4, 8]], given, atol=1e-12)
    steps = np.linalg.norm(np.diff(clip.trajectory.centres, axis=0), axis=1)
    assert steps.min() > 0.05 * steps.max(), "it stands nowhere still"


@pytest.mark.parametrize("count, own", [(2, (0, 8)), (4, (0, 3, 5, 8)), (9, tuple(range(9)))])
def test_each_picture_has_a_frame_of_its_own(count: int, own: tuple[int, ...], tmp_path: Path) -> None:
    write_scene(tmp_path, count)
    clip = load_clip(tmp_path / "frames", num_frames=9)
    assert [clip.frame_indices[i] for i in clip.own_frames] == list(range(count))
    assert clip.own_frames == own


def test_a_path_needs_a_camera_for_each_picture(tmp_path: Path) -> None:
    whole = write_scene(tmp_path, 3)
    clip = load_clip(tmp_path / "frames", num_frames=9)
    assert len(clip.path_through(whole)) == 9
    with pytest.raises(ValueError, match="one for each of the 3 own frames, got 9"):
        clip.path_through(clip.path_through(whole))


def test_a_picture_without_a_pose_leaves_the_reference_out(tmp_path: Path) -> None:
    write_scene(tmp_path, 5)
    document = json.loads((tmp_path / "transforms.json").read_text())
    del document["frames"][2]
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    clip = load_clip(tmp_path / "frames", num_frames=5)
    assert clip.trajectory is None
    assert clip.notes == ("transforms.json has no pose for 0002.png: used without reference cameras",)
    assert load_clip(tmp_path / "frames", num_frames=2, start=3, stride=1).trajectory is not None


def test_cameras_of_other_pictures_leave_the_reference_out(tmp_path: Path) -> None:
    write_scene(tmp_path, 2)
    for path in (tmp_path / "frames").iterdir():
        Image.open(path).rotate(90, expand=True).save(path)
    clip = load_clip(tmp_path / "frames", num_frames=2)
    assert clip.trajectory is None
    assert clip.notes[0].startswith(
        "transforms.json is for pictures of 100 x 60, but 0000.png has 60 x 100: used without"
    )


def test_other_folders_do_not_take_their_parents_cameras(tmp_path: Path) -> None:
    write_scene(tmp_path, 3, pictures="other")
    assert load_clip(tmp_path / "other", num_frames=3).trajectory is None


def nan(document: dict) -> None:
    document["frames"][1]["transform_matrix"][0][3] = float("nan")


def mirrored(document: dict) -> None:
    for row in document["frames"][1]["transform_matrix"]:
        row[0] *= -1


def no_frames(document: dict) -> None:
    document["frames"] = []


@pytest.mark.parametrize("spoil, word", [(nan, "nan"), (mirrored, "determinant"), (no_frames, "frames")])
def test_malformed_cameras_are_refused_with_the_way_out(tmp_path: Path, spoil, word: str) -> None:
    write_scene(tmp_path, 3)
    document = json.loads((tmp_path / "transforms.json").read_text())
    spoil(document)
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        load_clip(tmp_path / "frames", num_frames=3)
    assert word in str(caught.value) and str(caught.value).startswith("transforms.json")
    assert str(caught.value).endswith("or move transforms.json away to use the pictures without reference cameras")


def test_a_stranger_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    write_scene(tmp_path / "scene", 3)
    Image.new("RGB", (100, 60)).save(tmp_path / "secret.png")
    document = json.loads((tmp_path / "scene/transforms.json").read_text())
    document["frames"][0]["file_path"] = "../secret.png"
    (tmp_path / "scene/transforms.json").write_text(json.dumps(document))
    assert load_clip(tmp_path / "scene", num_frames=2).frame_names == ("0001.png", "0002.png")


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no pictures in this folder \(it is empty\)"):
        load_clip(tmp_path)
    (tmp_path / "film.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no pictures in this folder \(it holds film\.mp4\); .*, or a video file$"):
        load_clip(tmp_path)


def test_a_bad_picture_in_a_folder_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_text("no picture")
    with pytest.raises(InputError, match=r"^1\.png: not a picture"):
        load_clip(tmp_path)


def test_no_pictures_in_a_list() -> None:
    with pytest.raises(InputError, match="no pictures given"):
        load_clip([])


def test_a_video_in_a_list_of_pictures(films: Path) -> None:
    with pytest.raises(InputError, match=r"^short\.mp4: not a picture"):
        load_clip([films / "short.mp4"])


# --- the value --------------------------------------------------------------------------------------------------------


def test_clip_is_immutable_and_hashes_its_frames() -> None:
    frames = np.ascontiguousarray(numbered_frames(3, 32, 32))
    clip = Clip(frames, 8.0)
    with pytest.raises(ValueError, match="read-only"):
        clip.frames_u8[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        clip.fps = 3.0  # type: ignore[misc]
    assert clip.hash == Clip(frames.copy(), 8.0, name="other").hash and len(clip.hash) == 16
    assert clip.hash != Clip(frames, 9.0).hash != Clip(frames[:2], 9.0).hash


def test_clip_refuses_what_does_not_fit() -> None:
    frames = np.zeros((3, 32, 32, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="frame_indices must have one entry for each of the 3 frames, got 2"):
        Clip(frames, 8.0, frame_indices=(0, 1))
    with pytest.raises(ValueError, match="fps must be positive, got 0"):
        Clip(frames, 0.0)
    with pytest.raises(ValueError, match="uint8"):
        Clip(frames.astype(np.float32), 8.0)  # type: ignore[arg-type]


def test_field_of_view_follows_the_crop() -> None:
    frames = np.zeros((1, 96, 160, 3), dtype=np.uint8)
    assert Clip(frames, 8.0, upload_size=(540, 960)).cropped_fov_y_rad(0.9) == pytest.approx(0.9)  # cut at the sides
    cut = Clip(frames, 8.0, upload_size=(480, 640)).cropped_fov_y_rad(0.9)  # 384 of 480 rows are left
    assert np.tan(cut / 2) == pytest.approx(np.tan(0.45) * 384 / 480)
    with pytest.raises(ValueError, match="degrees"):
        Clip(frames, 8.0).cropped_fov_y_rad(55.0)


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [0.24, 8.0, 29.97, 60.0])
def test_mp4_is_read_back(tmp_path: Path, fps: float) -> None:
    frames = np.stack([np.roll(quadrants(96, 160), i, axis=1) for i in range(9)])
    write_video(tmp_path / "new" / "a.mp4", frames, fps)
    clip = load_clip(tmp_path / "new" / "a.mp4", num_frames=9)
    assert clip.frame_indices == tuple(range(9)) and clip.fps == pytest.approx(fps, rel=1e-3)
    assert np.abs(clip.frames_u8.astype(float) - frames).mean() < 4


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(3, 33, 47), 8.0)
    assert load_clip(tmp_path / "a.mp4").upload_size == (34, 48)


def test_write_video_refuses() -> None:
    frames = numbered_frames(3)
    with pytest.raises(ValueError, match=r"must end in one of \.mp4, .*, got a\.avi"):
        write_video("a.avi", frames, 8.0)
    with pytest.raises(ValueError, match="fps must be positive, got 0"):
        write_video("a.mp4", frames, 0.0)
    with pytest.raises(ValueError, match="T >= 1"):
        write_video("a.mp4", frames[:0], 8.0)


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_list_of_pictures_is_called_after_what_they_share(tmp_path: Path) -> None:
    def named(*paths: str) -> str:
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32)).save(tmp_path / path)
        return load_clip([tmp_path / path for path in paths], num_frames=len(paths)).name

    assert named("kitchen/0000.png", "kitchen/0001.png") == "kitchen"
    assert named("hall/frames/0000.png", "hall/frames/0001.png") == "hall"
    assert named("u1/kitchen_0000.png", "u2/kitchen_0012.png") == "kitchen"  # uploaded, a folder each
    assert named("u3/0000.png", "u4/0001.png") == "pictures"
    assert named("kitchen/0000.png") == "0000"
