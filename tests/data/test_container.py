"""Films as they come: covers, proxies, uneven rates, interlaced, high dynamic range, cut off; HEIC and panoramas."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from films import numbered_frames, write_film
from PIL import Image

from rap.data import light, load_clip
from rap.data.video import open_video
from rap.errors import InputError


def encoded(container, stream, frames_u8: np.ndarray, times: list[int] | None = None) -> None:
    for i, frame in enumerate(frames_u8):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        if times is not None:
            picture.pts = times[i]
        container.mux(stream.encode(picture))
    container.mux(stream.encode())


def added(container, size: tuple[int, int], codec: str = "libx264", rate: int = 30):
    stream = container.add_stream(codec, rate=rate)
    stream.height, stream.width = size
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return stream


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("cover", [(48, 80), (480, 800)])
def test_a_cover_picture_is_no_film(tmp_path: Path, suffix: str, cover: tuple[int, int]) -> None:
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        first, film = added(container, cover, "mjpeg"), added(container, (48, 80))
        encoded(container, first, numbered_frames(1, *cover))
        encoded(container, film, numbered_frames(20))
    clip = load_clip(path, num_frames=5)
    assert clip.upload_size == (48, 80) and clip.upload_frames == 20 and clip.frame_indices == (0, 5, 10, 14, 19)


def test_of_two_films_the_larger_is_used_and_said(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        proxy, film = added(container, (24, 40)), added(container, (96, 160))
        encoded(container, proxy, numbered_frames(20, 24, 40))
        encoded(container, film, numbered_frames(20, 96, 160))
    clip = load_clip(tmp_path / "a.mp4", num_frames=5)
    assert clip.upload_size == (96, 160)
    assert "a.mp4: has 2 films; that of 160 x 96 is used, not 40 x 24" in clip.notes


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_pictures_of_chapters_are_no_film(tmp_path: Path, suffix: str) -> None:
    with av.open(str(tmp_path / f"a{suffix}"), "w") as container:
        film, chapters = added(container, (48, 80)), added(container, (96, 160), "mjpeg")
        encoded(container, film, numbered_frames(40))
        encoded(container, chapters, numbered_frames(3, 96, 160))
    clip = load_clip(tmp_path / f"a{suffix}", num_frames=5)
    assert clip.upload_size == (48, 80) and clip.upload_frames == 40
    assert not any("films" in note for note in clip.notes)


def test_sound_with_a_cover_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        sound, cover = container.add_stream("aac", rate=16000), added(container, (48, 80), "mjpeg")
        cover.disposition = av.stream.Disposition.attached_pic
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        container.mux(sound.encode(silence))
        container.mux(sound.encode())
        encoded(container, cover, numbered_frames(1))
    with pytest.raises(InputError, match=r"a.mp4: holds no video \(only sound and its cover picture\)"):
        load_clip(tmp_path / "a.mp4")


def uneven_film(path: Path, times_ms: list[int], frames_u8: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = added(container, frames_u8.shape[1:3], rate=1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"bf": "2"}
        encoded(container, stream, frames_u8, times_ms)
    return path


TIMES = {
    "screen": [*range(0, 1000, 33)[:30], *range(2000, 31000, 1000)[:29]],
    "pause": [*range(0, 400, 40), *range(8000, 8400, 40)],
    "slower": [round(1000 * (i / 40) ** 2) for i in range(41)],
}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_of_a_variable_rate_are_spread_over_the_time(tmp_path: Path, name: str, suffix: str) -> None:
    times = TIMES[name]
    path = uneven_film(tmp_path / f"a{suffix}", times, numbered_frames(len(times)))
    clip = load_clip(path, num_frames=9)
    moments = np.linspace(times[0], times[-1], 9)
    nearest = np.abs(np.array(times)[:, None] - moments).min(axis=0)
    np.testing.assert_allclose(np.abs(np.array(times)[list(clip.frame_indices)] - moments), nearest, atol=2)
    assert clip.fps == pytest.approx(8000 / (times[-1] - times[0]), rel=1e-3)
    assert any("do not come at an even rate" in note for note in clip.notes)
    assert len(clip.own_frames) == 9 and not any("nothing was seen between" in note for note in clip.notes)
    strided = load_clip(path, num_frames=3, stride=2)
    assert strided.frame_indices == (0, 2, 4) and strided.fps == pytest.approx(2000 / times[4], rel=0.05)


def test_an_even_rate_stays_one_though_a_frame_is_missing(tmp_path: Path) -> None:
    times = [i * 40 for i in range(40) if i != 17]
    path = uneven_film(tmp_path / "a.mkv", times, numbered_frames(39))
    assert open_video(path).times_s is None and load_clip(path, num_frames=5).frame_indices == (0, 10, 19, 29, 38)


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png", ".avif"])
@pytest.mark.parametrize("ms", [40, 250])
def test_animations_play_at_their_own_rate(tmp_path: Path, suffix: str, ms: int) -> None:
    first, *others = (Image.fromarray(np.ascontiguousarray(frame)) for frame in numbered_frames(9))
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=others, duration=ms, lossless=True)
    clip = load_clip(tmp_path / f"a{suffix}", num_frames=9)
    assert clip.fps == pytest.approx(1000 / ms, rel=0.02)


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
def test_an_animation_that_rests_is_spread_over_its_time(tmp_path: Path, suffix: str) -> None:
    first, *others = (Image.fromarray(np.ascontiguousarray(frame)) for frame in numbered_frames(9))
    durations = [1000, *[100] * 8]
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=others, duration=durations, lossless=True)
    clip = load_clip(tmp_path / f"a{suffix}", num_frames=5)
    # shown at 0, 1, 1.1 ... 1.7 s
    assert clip.frame_indices == (0, 0, 1, 4, 8) or clip.frame_indices == (0, 1, 1, 4, 8)
    assert clip.fps == pytest.approx(4 / 1.7, rel=0.01)


def test_a_film_that_was_cut_off_says_how_much_there_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (30, 48, 80, 3), dtype=np.uint8)
    with av.open(str(tmp_path / "whole.mp4"), "w", options={"movflags": "faststart"}) as container:
        encoded(container, added(container, (48, 80)), frames)
    write_film(tmp_path / "whole.mkv", frames)
    for name in ("whole.mp4", "whole.mkv"):
        data = (tmp_path / name).read_bytes()
        assert not any("cut off" in note for note in load_clip(tmp_path / name, num_frames=5).notes)
        cut = tmp_path / f"cut{name[-4:]}"
        cut.write_bytes(data[: len(data) * 6 // 10])
        clip = load_clip(cut, num_frames=5)
        said = next(note for note in clip.notes if "cut off" in note)
        assert said == f"{cut.name}: cut off: {clip.upload_frames} of 30 frames can be read; copy it again for the rest"
        assert 3 < clip.upload_frames < 25 and clip.frame_indices[-1] == clip.upload_frames - 1
    (tmp_path / "b.mp4").write_bytes(write_film(tmp_path / "c.mp4", frames).read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"b.mp4: is cut off: the end, where its table of contents \(moov\) stands"):
        load_clip(tmp_path / "b.mp4")


def test_interlaced_lines_are_made_whole(tmp_path: Path) -> None:
    h, w, count = 96, 160, 12
    frames = np.zeros((2 * count, h, w, 3), np.uint8)
    for i in range(2 * count):
        frames[i, :, 5 * i : 5 * i + 30] = 255  # an edge that moves five pixels a field
    woven = frames[::2].copy()
    woven[:, 1::2] = frames[1::2, 1::2]
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = added(container, (h, w), rate=25)
        stream.options = {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "4"}
        encoded(container, stream, woven)
    clip = load_clip(tmp_path / "a.mp4", num_frames=count, size=(h, w))
    assert any("a.mp4: interlaced; each pair of fields is made one picture" in note for note in clip.notes)
    assert clip.upload_frames == count
    combed = np.abs(np.diff(woven[6].astype(float), axis=0)).mean()
    whole = np.abs(np.diff(clip.frames_u8[6].astype(float), axis=0)).mean()
    assert whole < 0.3 * combed


# --- light ------------------------------------------------------------------------------------------------------------

BT2020_OF_BT709 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def codes_of(standard: np.ndarray, transfer: int) -> np.ndarray:
    """A standard picture in high dynamic range, its white at 203 cd/m2: the way there, written apart from ours back."""
    nits = 203.0 * (standard**2.4) @ BT2020_OF_BT709.T
    if transfer == light.PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        y = (nits / 10000.0) ** m1
        return ((c1 + c2 * y) / (1 + c3 * y)) ** m2
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = (nits / 1000.0) ** (1 / 1.2)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


@pytest.mark.parametrize("transfer", [light.PQ, light.HLG])
def test_standard_pictures_come_back_from_high_dynamic_range(transfer: int) -> None:
    dark = np.random.default_rng(0).uniform(0.1, 0.88, (200, 3))
    np.testing.assert_allclose(light.standard_of(codes_of(dark, transfer), transfer), dark, atol=4e-3)
    grey = np.repeat(np.linspace(0, 1, 101)[:, None], 3, axis=1)
    rising = light.standard_of(grey, transfer)
    assert (np.diff(rising, axis=0) >= -1e-9).all() and rising.min() >= 0 and rising.max() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("transfer", "suffix"), [(light.PQ, ".mp4"), (light.HLG, ".mov")])
def test_a_film_of_high_dynamic_range_looks_like_the_standard_one(tmp_path: Path, transfer: int, suffix: str) -> None:
    standard = np.zeros((48, 80, 3))
    for i, colour in enumerate(([0.75, 0.2, 0.2], [0.2, 0.7, 0.3], [0.3, 0.3, 0.7], [0.5, 0.5, 0.5])):
        standard[:, 20 * i : 20 * i + 20] = colour
    codes = (65535 * codes_of(standard.reshape(-1, 3), transfer)).round().astype(np.uint16).reshape(48, 80, 3)
    with av.open(str(tmp_path / f"a{suffix}"), "w") as container:
        stream = container.add_stream("libx265", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 80, "yuv420p10le"
        stream.options = {
            "x265-params": f"log-level=none:crf=4:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
        }
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(codes, format="rgb48le")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace=9)
            frame.colorspace, frame.color_primaries, frame.color_trc = 9, 9, transfer
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    clip = load_clip(tmp_path / f"a{suffix}", num_frames=3, size=(48, 80))
    found = clip.frames_u8[1][24, [10, 30, 50, 70]] / 255
    np.testing.assert_allclose(found, standard[24, [10, 30, 50, 70]], atol=0.06)
    assert any(light.NAMES[transfer] in note and "is shown as standard range" in note for note in clip.notes)


# --- pictures ---------------------------------------------------------------------------------------------------------


def heic(path: Path, picture_u8: np.ndarray, **options) -> Path:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.fromarray(picture_u8)).save(path, quality=90, **options)
    return path


def quadrants(h: int, w: int) -> np.ndarray:
    picture = np.zeros((h, w, 3), np.uint8)
    picture[: h // 2, : w // 2], picture[: h // 2, w // 2 :] = (200, 30, 30), (30, 180, 30)
    picture[h // 2 :, : w // 2], picture[h // 2 :, w // 2 :] = (30, 30, 200), (200, 200, 30)
    return picture


def test_a_heic_picture_is_read_whole(tmp_path: Path) -> None:
    clip = load_clip(heic(tmp_path / "a.heic", quadrants(192, 256)))
    assert clip.upload_size == (192, 256)
    found = clip.frames_u8[0][[24, 24, 72, 72], [32, 96, 32, 96]].astype(int)
    np.testing.assert_allclose(found, [(200, 30, 30), (30, 180, 30), (30, 30, 200), (200, 200, 30)], atol=12)
    data = (tmp_path / "a.heic").read_bytes()
    for cut in (300, len(data) // 2):
        (tmp_path / "b.heic").write_bytes(data[:cut])
        with pytest.raises(InputError, match="b.heic: .*(damaged, cut off)"):
            load_clip(tmp_path / "b.heic")
    (tmp_path / "some").mkdir()
    for i in range(3):
        heic(tmp_path / f"some/IMG_{i}.HEIC", quadrants(48, 64))
    assert load_clip(tmp_path / "some", num_frames=3).frame_names == ("IMG_0.HEIC", "IMG_1.HEIC", "IMG_2.HEIC")


@pytest.mark.parametrize("kind", ["equirectangular", "cylindrical"])
@pytest.mark.parametrize("form", ['GPano:ProjectionType="{}"', "<GPano:ProjectionType>{}</GPano:ProjectionType>"])
def test_a_panorama_is_named(tmp_path: Path, kind: str, form: str) -> None:
    xmp = f"<x:xmpmeta><rdf:Description {form.format(kind)}/></x:xmpmeta>".encode()
    Image.fromarray(quadrants(64, 128)).save(tmp_path / "a.jpg", xmp=xmp)
    with pytest.raises(InputError, match=rf"a.jpg: is a panorama \({kind}, as its XMP says\)"):
        load_clip(tmp_path / "a.jpg")
    Image.fromarray(quadrants(64, 128)).save(tmp_path / "b.jpg", xmp=b"<x:xmpmeta>cylindrical</x:xmpmeta>")
    assert len(load_clip(tmp_path / "b.jpg")) == 1
