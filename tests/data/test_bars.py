"""Black bars beside a film's picture: which are found, and what only looks like one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rap.data import load_clip, write_video
from rap.data.bars import NO_BARS, Bars, find_bars
from rap.geometry import preset

H, W, FRAMES = 90, 160, 12


def film(seed: int = 0, darkest: int = 40) -> np.ndarray:
    """Blocks that go by, (FRAMES, H, W, 3)."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(darkest, 255, (H // 10, W // 10 + FRAMES, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
    return np.stack([wide[:, 4 * i : 4 * i + W] for i in range(FRAMES)])


def barred(top: int = 0, bottom: int = 0, left: int = 0, right: int = 0, level: int = 0) -> np.ndarray:
    frames, rng = film(), np.random.default_rng(1)
    mask = np.ones((H, W), bool)
    mask[top : H - bottom, left : W - right] = False
    noise = rng.integers(0, 5, (FRAMES, int(mask.sum()), 1), dtype=np.uint8)  # as compression leaves it
    frames[:, mask] = level + noise
    return frames


@pytest.mark.parametrize(
    "sides",
    [
        {"top": 11, "bottom": 11},
        {"left": 40, "right": 41},
        {"top": 9, "bottom": 8, "left": 20, "right": 20},
        {"bottom": 6},
        {"top": 12, "bottom": 12, "level": 16},
    ],
)
def test_bars_are_found_to_the_row_and_the_line_beside_them_goes_too(sides):
    expected = {**dict.fromkeys(("top", "bottom", "left", "right"), 0), **sides}
    expected.pop("level", None)
    bars = find_bars(barred(**sides))
    across = {"top": H, "bottom": H, "left": W, "right": W}
    rows = {side: round(getattr(bars, side) * across[side]) for side in across}
    assert rows == {side: n + 1 if n else 0 for side, n in expected.items()}
    left, top, right, bottom = bars.box(H, W)
    assert (left, top, W - right, H - bottom) == tuple(rows[side] for side in ("left", "top", "right", "bottom"))


def night() -> np.ndarray:
    """A black sky over roofs."""
    frames, roofs = film(2), np.random.default_rng(3).integers(20, 50, W + 4 * FRAMES)
    for i, frame in enumerate(frames):
        frame[np.arange(H)[:, None] < roofs[4 * i : 4 * i + W]] = 2
    return frames


def tilting() -> np.ndarray:
    """A black wall that ends in a straight line, which the camera turns away from."""
    frames = film(4)
    for i, frame in enumerate(frames):
        frame[: 30 - 2 * i] = 1
    return frames


def dark() -> np.ndarray:
    frames = film(5)
    frames[:, :44] = frames[:, -44:] = 0
    return frames


@pytest.mark.parametrize("made", [film, night, tilting, dark, lambda: np.zeros((9, H, W, 3), np.uint8)])
def test_what_is_dark_in_the_picture_is_no_bar(made):
    assert not find_bars(made())


def test_a_dark_picture_between_bars_is_found_where_it_is_lit_at_some_time():
    frames = barred(top=10, bottom=10)
    frames[6:] //= 12
    assert find_bars(frames).in_words() == "top 12%, bottom 12%"


def test_a_few_frames_and_a_rim_are_no_evidence():
    assert find_bars(barred(top=11)[:4]) == NO_BARS == Bars() == find_bars(barred(top=1, left=1))


def test_a_film_is_read_without_them_and_says_so(tmp_path: Path):
    path = tmp_path / "wide.mp4"
    write_video(path, barred(top=11, bottom=11).repeat(2, 1).repeat(2, 2), 8.0)
    clip = load_clip(path, num_frames=5, film=True, full=True)
    assert clip.upload_size == clip.full_size == (2 * (H - 23), 2 * W) and clip.film is not None
    assert min(clip.film.frames_u8[:, row].max() for row in (0, -1)) > 60 and clip.frames_u8[:, (0, -1)].max() > 60
    (note,) = [note for note in clip.notes if "black bars" in note]
    assert "(top 13%, bottom 13%): cameras and takes are of 320 x 134 of its 320 x 180 pixels" in note


def test_frames_of_a_size_and_of_known_cameras_are_whole(tmp_path: Path):
    from rap import formats

    path = tmp_path / "take.mp4"
    write_video(path, barred(top=11, bottom=11), 8.0)
    assert load_clip(path, size=(H, W)).frames_u8[:, :8].max() < 40
    formats.write(tmp_path / "cameras.npz", preset("arc-left", num_frames=FRAMES, image_size=(H, W)))
    assert load_clip(path, num_frames=FRAMES, cameras=tmp_path / "cameras.npz").upload_size == (H, W)
