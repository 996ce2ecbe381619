"""Pictures of every kind become upright 8-bit RGB or are refused in a sentence."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from films import QUADRANTS, corners, quadrants
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rap.data import raxels_to_u8, read_image, write_frames
from rap.data.images import crop_and_resize, crop_box, folder_images, natural_key
from rap.errors import InputError


def test_plain_picture(tmp_path: Path) -> None:
    Image.fromarray(quadrants()).save(tmp_path / "a.png")
    assert (np.asarray(read_image(tmp_path / "a.png")) == quadrants()).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    # What a camera stores so that a viewer who obeys the tag sees the quadrants upright (EXIF 2.3, tag 0x0112).
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation](quadrants())
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    image = read_image(path)
    assert image.size == (64, 48)
    assert np.abs(corners(image) - QUADRANTS).max() < 12


def test_16_bit_grey_keeps_its_scale(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 32 * 32).round().astype(np.uint16).reshape(32, 32)
    for name in ("a.png", "a.tiff"):
        Image.fromarray(ramp).save(tmp_path / name)
        got = np.asarray(read_image(tmp_path / name)).astype(float)
        assert np.abs(got - ramp[..., None] / 257).max() <= 0.5


def test_16_bit_colour_keeps_its_scale(tmp_path: Path) -> None:
    rows = quadrants().astype(">u2") * 257
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 64, 48, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in chunks
    )
    (tmp_path / "a.png").write_bytes(png)
    assert (np.asarray(read_image(tmp_path / "a.png")) == quadrants()).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I", "F"])
def test_modes(tmp_path: Path, mode: str) -> None:
    if mode == "F":
        image = Image.fromarray(np.asarray(Image.fromarray(quadrants()).convert("L")).astype(np.float32) / 255)
    elif mode == "I":
        image = Image.fromarray(np.asarray(Image.fromarray(quadrants()).convert("L")).astype(np.int32) * 257)
    else:
        image = Image.fromarray(quadrants()).convert(mode)
    path = tmp_path / "a.tiff" if mode in ("CMYK", "I", "F") else tmp_path / "a.png"
    image.save(path)
    got = read_image(path)
    assert got.mode == "RGB" and got.size == (64, 48)
    grey = np.asarray(Image.fromarray(quadrants()).convert("L").convert("RGB"))
    one_bit = np.asarray(image.convert("RGB"))
    expected = {"1": one_bit, "L": grey, "LA": grey, "I": grey, "F": grey}.get(mode, quadrants())
    assert np.abs(corners(got) - corners(Image.fromarray(expected))).max() < 6


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.fromarray(quadrants()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(corners(read_image(tmp_path / "a.jpg")) - QUADRANTS).max() < 12


def test_alpha_is_composited_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((32, 32, 4), dtype=np.uint8)
    rgba[:, 16:] = [200, 0, 0, 128]
    Image.fromarray(rgba).save(tmp_path / "a.png")
    got = np.asarray(read_image(tmp_path / "a.png"))
    assert (got[:, :16] == 255).all()
    assert np.abs(got[0, 20].astype(int) - [227, 127, 127]).max() <= 1


def test_transparent_palette_colour_becomes_white(tmp_path: Path) -> None:
    image = Image.new("P", (32, 32), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.paste(0, (0, 0, 16, 32))
    image.save(tmp_path / "a.png", transparency=0)
    got = np.asarray(read_image(tmp_path / "a.png"))
    assert (got[:, :16] == 255).all() and (got[:, 16:] == [10, 20, 30]).all()


def test_unicode_name(tmp_path: Path) -> None:
    Image.fromarray(quadrants()).save(tmp_path / "Größe 図.png")
    assert read_image(tmp_path / "Größe 図.png").size == (64, 48)


@pytest.mark.parametrize("side", [8100, 9700, 20000])
def test_decompression_bombs_are_refused_before_decoding(tmp_path: Path, side: int) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(data + struct.pack(">I", 4) + b"IDAT" + b"\0" * 8)
    with pytest.raises(InputError, match=r"^bomb\.png: .*64 million.*; make the picture smaller$"):
        read_image(tmp_path / "bomb.png")


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "zero.png").touch()
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("RGB", (10000, 10)).save(tmp_path / "line.png")
    Image.fromarray(quadrants()).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    Image.fromarray(np.full((32, 32), 2.0, dtype=np.float32)).save(tmp_path / "float.tiff")
    Image.fromarray(np.full((32, 32), 70000, dtype=np.int32)).save(tmp_path / "int.tiff")
    sentences = {}
    for name in ("text.png", "zero.png", "dot.png", "line.png", "cut.jpg", "float.tiff", "int.tiff", "none.png", "."):
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        sentences[name] = str(caught.value).replace(str(tmp_path), "DIR")
    assert sentences == {
        "text.png": "text.png: not a picture that can be read; give a JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF file",
        "zero.png": "zero.png: the file is empty (0 bytes); upload or export it again",
        "dot.png": "dot.png: 1 x 1 pixels; each side needs at least 16; give a larger picture",
        "line.png": "line.png: 10000 x 10 pixels; each side needs at least 16; give a larger picture",
        "cut.jpg": "cut.jpg: is damaged, cut off, or not what it claims to be; export the picture again",
        "float.tiff": "float.tiff: floating-point pixels outside 0 to 1; save it as 8- or 16-bit",
        "int.tiff": "int.tiff: pixel values from 70000 to 70000; expected 0 to 65535 (16 bits); "
        "save it as 8- or 16-bit",
        "none.png": "DIR/none.png: no such file or folder; check the path",
        ".": "DIR: not a file; give a picture or a video",
    }


def test_name_order_counts() -> None:
    names = ["b.png", "frame_10.png", "frame_2.png", "Frame_1.png", "a.png", "10.png", "9.png", "²3.png", ""]
    assert sorted(names, key=natural_key) == [
        "", "9.png", "10.png", "a.png", "b.png", "Frame_1.png", "frame_2.png", "frame_10.png", "²3.png",
    ]  # fmt: skip


def test_folder_images_skips_hidden_files_and_others(tmp_path: Path) -> None:
    for name in ("2.JPG", "10.png", "._2.JPG", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "sub.png").mkdir()
    assert [p.name for p in folder_images(tmp_path)] == ["2.JPG", "10.png"]


sides = st.integers(16, 5000)


@given(h=sides, w=sides, target_h=st.integers(32, 512), target_w=st.integers(32, 512))
def test_crop_box_is_centred_inside_and_of_the_aspect(h: int, w: int, target_h: int, target_w: int) -> None:
    top, left, box_h, box_w = crop_box((h, w), (target_h, target_w))
    assert top >= 0 and left >= 0
    assert 2 * top + box_h == pytest.approx(h) and 2 * left + box_w == pytest.approx(w)
    assert box_h / box_w == pytest.approx(target_h / target_w)
    assert box_h == h or box_w == w


def test_resize_does_not_alias() -> None:
    stripes = np.zeros((1024, 1024, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = crop_and_resize(Image.fromarray(stripes), (128, 128))
    assert np.abs(small.astype(int) - 127.5).max() < 3


def test_frames_are_written_and_read_back(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    assert write_frames(tmp_path / "new" / "frames", frames) == ("0000.png", "0001.png", "0002.png")
    for i in range(3):
        assert (np.asarray(read_image(tmp_path / f"new/frames/000{i}.png")) == frames[i]).all()


def test_raxel_pictures_have_a_fixed_range() -> None:
    raxels = np.zeros((1, 3, 2, 2), dtype=np.float32)
    raxels[0, :, 0, 0] = [-2, 0, 2]
    raxels[0, :, 1, 1] = [-9, 1, 9]
    pictures = raxels_to_u8(raxels)
    assert pictures.shape == (1, 2, 2, 3)
    assert pictures[0, 0, 0].tolist() == [0, 128, 255] and pictures[0, 1, 1].tolist() == [0, 191, 255]
