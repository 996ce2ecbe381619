"""Photographs in motion, as the codec is trained on them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rap.errors import InputError
from rap.train import codec_data
from rap.train.codec_data import Photographs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    coarse = np.random.default_rng(0).integers(0, 256, (3, 12, 16, 3), dtype=np.uint8)
    (tmp_path / "more").mkdir()
    for name, picture in zip(("a.png", "b.jpg", "more/c.png"), coarse, strict=True):
        Image.fromarray(cv2.resize(picture, (96, 72), interpolation=cv2.INTER_CUBIC)).save(tmp_path / name)
    return tmp_path


def test_every_picture_is_read_in_rgb(folder: Path) -> None:
    read = Photographs.read(folder)
    assert [p.shape for p in read.pictures] == [(72, 96, 3)] * 3
    assert np.array_equal(read.pictures[0], np.asarray(Image.open(folder / "a.png")))


def test_clips_are_of_the_size_asked_for_and_depend_on_the_generator_alone(folder: Path) -> None:
    read = Photographs.read(folder)
    a, b, c = (read.clips(4, (32, 64), 9, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert a.shape == (4, 9, 32, 64, 3) and a.dtype == np.uint8
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_some_stand_still_and_most_move(folder: Path) -> None:
    clips = Photographs.read(folder).clips(64, (32, 32), 5, np.random.default_rng(0)).astype(int)
    change = np.abs(clips[:, 1:] - clips[:, :-1]).mean((1, 2, 3, 4))
    assert 2 <= (change == 0).sum() <= 18 and np.median(change) > 2


def test_a_window_moves_by_the_steps_of_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The centre of the frame walks over the picture by at most the largest step and its share of the turn and zoom."""
    for seed in range(40):
        paths = codec_data._window_paths((256, 256), (64, 96), 17, np.random.default_rng(seed))
        middle = np.array([48, 32, 1.0])
        places = np.stack([path @ middle for path in paths])
        places = places[:, :2] / places[:, 2:]
        assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() <= codec_data.MAX_STEP * 64 + 1e-6


def test_folders_without_pictures_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no pictures"):
        Photographs.read(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken.jpg: cannot be read"):
        Photographs.read(tmp_path)
