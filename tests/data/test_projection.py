"""Pictures of no pinhole, by their looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rap.data import load_clip
from rap.data.projection import no_pinhole_note


def scene(directions: np.ndarray) -> np.ndarray:
    """Smooth colours of the directions (..., 3)."""
    waves = np.array([[2.0, 1.0, 0.5], [0.3, 3.0, 1.0], [1.0, 0.5, 2.5]])
    return (127 + 100 * np.sin(directions @ waves.T * 2.0)).astype(np.uint8)


def sphere(h: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:h, : 2 * h] + 0.5
    up, around = np.pi * (0.5 - rows / h), np.pi * (columns / h - 1)
    return scene(np.stack([np.cos(up) * np.sin(around), -np.sin(up), np.cos(up) * np.cos(around)], axis=-1))


def pinhole(h: int, w: int) -> np.ndarray:
    rows, columns = np.mgrid[:h, :w] + 0.5
    rays = np.stack([(columns - w / 2) / h, (rows - h / 2) / h, np.ones((h, w))], axis=-1)
    return scene(3 * rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def circle(h: int, w: int) -> np.ndarray:
    rows, columns = np.mgrid[:h, :w] + 0.5
    picture = pinhole(h, w) // 2 + 60
    picture[np.hypot(columns - w / 2, rows - h / 2) > min(h, w) / 2] = 3
    return picture


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (sphere(), "a panorama of the whole sphere (equirectangular)"),
        (np.roll(sphere(), 40, axis=1), "a panorama of the whole sphere"),
        (circle(64, 64), "as the pictures of a fisheye are"),
        (circle(64, 96), "as the pictures of a fisheye are"),
        (pinhole(64, 128), None),
        (pinhole(64, 64), None),
        (np.full((64, 128, 3), 90, np.uint8), None),
        (np.zeros((64, 128, 3), np.uint8), None),
        (np.pad(pinhole(48, 64), ((24, 24), (0, 0), (0, 0))), None),
        (np.repeat(np.linspace(0, 255, 128).astype(np.uint8)[None, :, None], 64, 0).repeat(3, 2), None),
    ],
)
def test_panoramas_and_fisheyes_are_told_by_their_looks(picture: np.ndarray, words: str | None) -> None:
    note = no_pinhole_note("a.png", picture, False)
    assert note is None if words is None else words in (note or "")
    assert no_pinhole_note("a.png", picture, True) is None


@pytest.mark.parametrize("picture", [sphere(), circle(64, 96)])
def test_the_clip_says_so(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "p.png")
    assert any("cameras are pinholes here" in note for note in load_clip(tmp_path / "p.png").notes)
