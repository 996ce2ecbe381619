"""Textures: pyramids, folders, and the trilinear look-up against direct evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rap.errors import InputError
from rap.synthetic.render import LOD_BIAS, look_up
from rap.synthetic.textures import level_offsets, pack_pyramid, procedural_textures, texture_bank, tiled_textures


def unpack(packed: torch.Tensor) -> torch.Tensor:
    return torch.stack([packed & 0xFF, (packed >> 8) & 0xFF, (packed >> 16) & 0xFF], -1)


def test_pyramid_halves_down_to_the_mean() -> None:
    images = torch.from_numpy(procedural_textures(3, 16))
    pyramid, offsets = pack_pyramid(images), level_offsets(16)
    assert offsets == (0, 256, 320, 336, 340, 341) and pyramid.shape == (3, 341)
    assert torch.equal(unpack(pyramid[:, :256]).view(3, 16, 16, 3), images.int())
    means = unpack(pyramid[:, -1]).float()
    torch.testing.assert_close(means, images.float().mean((1, 2)), atol=1.0, rtol=0)


def test_procedural_textures_are_fixed_and_varied() -> None:
    images = procedural_textures(14, 32)
    assert np.array_equal(images[:5], procedural_textures(5, 32))
    assert images.std((1, 2)).mean() > 8
    assert len({image.tobytes() for image in images}) == 14


def test_tiles_are_of_nearly_one_colour_but_for_their_seams() -> None:
    images = tiled_textures(12, 64).astype(float)
    assert np.array_equal(images[:3], tiled_textures(3, 64)) and len({image.tobytes() for image in images}) == 12
    apart = np.abs(images - np.median(images, axis=(1, 2), keepdims=True)).mean(-1)
    assert (np.median(apart, axis=(1, 2)) < 12).all(), "plain"
    border, inside = apart[:, 0].mean(-1), apart[:, 4:12].mean((1, 2))
    assert (border > 1.5 * inside).sum() >= 7, "a seam along the border, but for those too fine"


def test_look_up_at_texel_centres_and_between() -> None:
    bank = texture_bank(None, 16)
    number = torch.tensor([5, 5, 5], dtype=torch.int32)
    first = unpack(bank.texels.view(len(bank), -1)[5, :256]).view(16, 16, 3).float()
    sharp = torch.full((3,), -9.0)
    u, v = torch.tensor([3.5, 4.0, 16.5]), torch.tensor([7.5, 7.5, 7.5])  # a texel, between two, mirrored past the end
    colours = look_up(bank, number, u, v, sharp).T
    torch.testing.assert_close(colours[0], first[7, 3])
    torch.testing.assert_close(colours[1], (first[7, 3] + first[7, 4]) / 2)
    torch.testing.assert_close(colours[2], first[7, 15])
    top = unpack(bank.texels.view(len(bank), -1)[5, -1:]).float()[0]
    torch.testing.assert_close(look_up(bank, number, u, v, torch.full((3,), 9.0)).T[0], top, atol=0.2, rtol=0)
    halfway = look_up(bank, number, u, v, torch.full((3,), 0.5 - LOD_BIAS)).T[0]
    second = look_up(bank, number, u, v, torch.full((3,), 1.0 - LOD_BIAS)).T[0]
    torch.testing.assert_close(halfway, (colours[0] + second) / 2, atol=1e-3, rtol=0)


def test_folder_with_manifest(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, mode in (("a.jpg", "RGB"), ("b.png", "L"), ("c.png", "RGB"), ("dark.png", "RGB")):
        shape = (40, 64) if mode == "L" else (40, 64, 3)
        pixels = rng.integers(0, 30 if name == "dark.png" else 255, shape, dtype=np.uint8)
        Image.fromarray(pixels, mode=None).save(tmp_path / name)
    (tmp_path / "manifest.csv").write_text("file,kind\na.jpg,photo\nb.png,texture (tiled)\n", encoding="utf-8")
    bank = texture_bank(tmp_path, 16)
    assert list(bank.photos) == [0, 2]  # c has no entry; the dark one is left out
    assert 1 in bank.materials and 0 not in bank.materials and len(bank.materials) > 100
    assert len(bank) == 4 + 192 + 48 and list(bank.tiles) == list(range(196, 244))
    assert bank.materials.max() < 196
    assert texture_bank(tmp_path, 16) is bank


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        texture_bank(tmp_path, 16)
    (tmp_path / "x.png").write_text("not an image")
    with pytest.raises(InputError, match="x.png cannot be read as an image"):
        texture_bank(tmp_path, 16)
