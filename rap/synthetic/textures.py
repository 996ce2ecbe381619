"""Surface textures: photographs of a folder, or procedural patterns, as one packed tensor with mip levels.

Every texture is a square of `size` texels (a power of two) with its full mip pyramid, levels of halving size one
after the other. A texel is one int32, red in the lowest byte, then green, blue and an unused byte: one gather then
fetches all three channels, which is what the renderer's speed rests on.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rap.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
PROCEDURAL_SEED = 20260409
MATERIALS = ("texture", "aerial")
"""Kinds of a manifest that are no photographs begin so."""
NUM_PROCEDURAL = 192
NUM_TILED = 48


@dataclass(frozen=True, eq=False)
class TextureBank:
    """Textures with mip levels, and which of them suit what.

    Attributes:
        texels: (N * texels_per_texture,) int32, packed as the module says; texture k starts at k * texels_per_texture.
        size: side of level 0, a power of two.
        photos: indices of textures that show something (pictures, backdrops, sides of boxes).
        materials: indices of textures that may be repeated (floors, walls, tables).
        tiles: indices of plain tiles and panels with seams, which are not among the materials.
    """

    texels: Tensor
    size: int
    photos: np.ndarray
    materials: np.ndarray
    tiles: np.ndarray

    @functools.cached_property
    def means(self) -> np.ndarray:
        """(N,3) mean colour of every texture, 0..255: its last mip level."""
        last = self.texels.view(-1, self.texels_per_texture)[:, -1].cpu().numpy()
        return np.stack([last & 0xFF, (last >> 8) & 0xFF, last >> 16], axis=-1).astype(np.float64)

    @property
    def texels_per_texture(self) -> int:
        return level_offsets(self.size)[-1]

    def __len__(self) -> int:
        return self.texels.numel() // self.texels_per_texture

    def to(self, device: torch.device | str) -> TextureBank:
        """The same bank with its texels on `device`."""
        return replace(self, texels=self.texels.to(device))


def level_offsets(size: int) -> tuple[int, ...]:
    """Where each mip level starts within a texture of side `size`; last, the length of the whole pyramid."""
    offsets = [0]
    side = size
    while side >= 1:
        offsets.append(offsets[-1] + side * side)
        side //= 2
    return tuple(offsets)


def pack_pyramid(images_u8: Tensor) -> Tensor:
    """(N,S,S,3) uint8 images -> (N, texels_per_texture) int32 packed mip pyramids (box filter)."""
    size = images_u8.shape[1]
    level = images_u8.permute(0, 3, 1, 2).contiguous().float()
    parts = []
    for _ in range(size.bit_length()):
        texel = level.round().to(torch.int32)
        parts.append((texel[:, 0] | (texel[:, 1] << 8) | (texel[:, 2] << 16)).flatten(1))
        if level.shape[-1] > 1:
            level = torch.nn.functional.avg_pool2d(level, 2)
    return torch.cat(parts, dim=1)


def texture_bank(folder: Path | None, size: int, device: str = "cpu") -> TextureBank:
    """The bank of a folder of photographs (with the procedural textures after them), or of procedural textures alone.

    Cached per (folder, size, device): the folder is decoded once per process.

    Args:
        folder: images of any size; each is cropped to its central square. An optional `manifest.csv` with the columns
            `file` and `kind` tells materials (kind begins with "texture" or "aerial") from photographs.
        size: side of the textures in texels, a power of two from 16 to 1024.

    Raises:
        ValueError: size is no power of two in range.
        InputError: the folder does not exist or holds no image.
    """
    if not (16 <= size <= 1024 and size & (size - 1) == 0):
        raise ValueError(f"texture size must be a power of two from 16 to 1024, got {size}")
    return _texture_bank(None if folder is None else str(folder), size, str(device))


@functools.lru_cache(maxsize=4)
def _texture_bank(folder: str | None, size: int, device: str) -> TextureBank:
    if device != "cpu":
        return _texture_bank(folder, size, "cpu").to(device)
    files = [] if folder is None else _images_in(Path(folder))  # first: a wrong folder is told at once
    patterns = np.concatenate([procedural_textures(NUM_PROCEDURAL, size), tiled_textures(NUM_TILED, size)])
    procedural, made = pack_pyramid(torch.from_numpy(patterns)), np.arange(len(patterns))
    everything, tiles = made[:NUM_PROCEDURAL], made[NUM_PROCEDURAL:]
    if folder is None:
        return TextureBank(procedural.flatten(), size, everything, everything, tiles)
    kinds = manifest_kinds(Path(folder))
    texels = torch.empty(len(files) + len(made), level_offsets(size)[-1], dtype=torch.int32)
    for start in range(0, len(files), 16):
        images = np.stack([_square_image(f, size) for f in files[start : start + 16]])
        texels[start : start + len(images)] = pack_pyramid(torch.from_numpy(images))
    texels[len(files) :] = procedural
    names = [f.name for f in files]
    is_material = np.array([kinds.get(n, "photo").startswith(MATERIALS) for n in names] + [True] * NUM_PROCEDURAL)
    tiles = len(files) + tiles
    bank = TextureBank(texels.flatten(), size, np.flatnonzero(~is_material), np.flatnonzero(is_material), tiles)
    usable = _is_natural(bank.means[: len(names) + NUM_PROCEDURAL])
    photos, materials = np.flatnonzero(~is_material & usable), np.flatnonzero(is_material & usable)
    return replace(bank, photos=photos if len(photos) else materials, materials=materials)


def _images_in(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise InputError(
            f"textures: {folder} holds no image ({', '.join(IMAGE_SUFFIXES)}); give another folder or none"
        )
    return files


def _is_natural(means: np.ndarray) -> np.ndarray:
    """(N,) whether a texture is neither nearly black nor of one shrill colour, by its mean."""
    return (means.max(-1) > 35) & (np.ptp(means, axis=-1) < 140)


def manifest_kinds(folder: Path) -> dict[str, str]:
    """What the `manifest.csv` of a folder says of its files, by name; nothing where there is none."""
    path = folder / "manifest.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["kind"] for row in csv.DictReader(file) if "file" in row and "kind" in row}


def _square_image(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            image = image.convert("RGB")
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            if image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.BOX, (left, top, left + side, top + side))
            return np.asarray(image)
    except OSError as error:
        raise InputError(f"textures: {path} cannot be read as an image ({error}); remove it from the folder") from error


# --- procedural patterns ---------------------------------------------------------------------------------------------

_PALETTES = np.array(  # natural pairs: plaster, wood, brick, grass, stone, fabric, sand, slate, clay, sea, leaf, rust
    [
        [[226, 219, 204], [188, 178, 160]],
        [[150, 104, 66], [96, 62, 38]],
        [[158, 84, 62], [196, 184, 170]],
        [[96, 122, 58], [58, 82, 38]],
        [[142, 138, 130], [92, 88, 84]],
        [[62, 82, 112], [186, 176, 158]],
        [[208, 184, 142], [172, 142, 100]],
        [[86, 94, 102], [54, 60, 68]],
        [[188, 118, 82], [230, 206, 178]],
        [[70, 116, 128], [170, 196, 196]],
        [[122, 146, 84], [202, 196, 128]],
        [[120, 64, 44], [60, 48, 44]],
    ],
    dtype=np.float32,
)


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """(size,size) periodic value noise in [0,1]: `cells` random values per side, interpolated with a smooth step."""
    values = rng.random((cells, cells), dtype=np.float32)
    at = np.arange(size, dtype=np.float32) * (cells / size)
    low = at.astype(int)
    part = at - low
    part = part * part * (3 - 2 * part)
    high = (low + 1) % cells
    rows = values[low] * (1 - part)[:, None] + values[high] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, high] * part


def octave_noise(rng: np.random.Generator, size: int, cells: int = 4, roughness: float = 0.55) -> np.ndarray:
    """(size,size) periodic noise of several octaves, stretched to [0,1]."""
    total = np.zeros((size, size), np.float32)
    amplitude = 1.0
    while cells <= size // 2:
        total += amplitude * smooth_noise(rng, size, cells)
        cells *= 2
        amplitude *= roughness
    return (total - total.min()) / (np.ptp(total) + 1e-6)


def _checks(rng: np.random.Generator, size: int) -> np.ndarray:
    period = size // int(rng.choice([2, 4, 8]))
    at = np.arange(size) * 2 // period
    return ((at[:, None] + at[None]) % 2).astype(np.float32)


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    along = np.arange(size, dtype=np.float32) / size
    phase = along[:, None] * int(rng.integers(0, 4)) + along[None] * int(rng.integers(2, 10))
    return 1 / (1 + np.exp(-12 * np.sin(2 * np.pi * phase))).astype(np.float32)


def _bricks(rng: np.random.Generator, size: int) -> np.ndarray:
    rows = int(rng.choice([4, 8]))
    y, x = np.meshgrid(np.arange(size) / size * rows, np.arange(size) / size * rows / 2, indexing="ij")
    x = x + 0.5 * (np.floor(y) % 2)
    mortar = (np.abs(y % 1 - 0.5) > 0.44) | (np.abs(x % 1 - 0.5) > 0.47)
    tint = rng.random((rows, rows // 2 + 1), dtype=np.float32)
    shade = 0.45 * tint[y.astype(int) % rows, x.astype(int) % (rows // 2)]
    return np.where(mortar, 1.0, shade).astype(np.float32)


def _blobs(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = np.meshgrid(np.arange(size) / size, np.arange(size) / size, indexing="ij")
    field = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(6, 30))):
        cy, cx = rng.random(2)
        dy, dx = np.abs(y - cy), np.abs(x - cx)
        far = np.hypot(np.minimum(dy, 1 - dy), np.minimum(dx, 1 - dx))
        field += rng.uniform(-1, 1) * np.exp(-((far / rng.uniform(0.03, 0.2)) ** 2)).astype(np.float32)
    return np.clip(0.5 + field, 0, 1).astype(np.float32)


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    ramp = np.abs(np.linspace(-1, 1, size, dtype=np.float32))
    return np.broadcast_to(ramp[:, None], (size, size)) if rng.random() < 0.5 else np.broadcast_to(ramp, (size, size))


_PATTERNS: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (
    octave_noise,
    octave_noise,
    _blobs,
    _checks,
    _stripes,
    _bricks,
    _gradient,
)


def procedural_textures(count: int, size: int) -> np.ndarray:
    """(count,size,size,3) uint8 patterns in natural palettes; always the same ones for the same arguments."""
    images = np.empty((count, size, size, 3), np.uint8)
    for k in range(count):
        rng = np.random.default_rng((PROCEDURAL_SEED, k))
        first, second = _PALETTES[rng.integers(len(_PALETTES))] * rng.uniform(0.75, 1.15)
        mix = _PATTERNS[k % len(_PATTERNS)](rng, size)[..., None]
        grain = octave_noise(rng, size, int(rng.choice([2, 4, 8, 16])), rng.uniform(0.5, 0.8))[..., None]
        colour = (first * (1 - mix) + second * mix) * (1 + rng.uniform(0.15, 0.6) * (grain - 0.5))
        images[k] = np.clip(colour, 0, 255).astype(np.uint8)
    return images


def tiled_textures(count: int, size: int) -> np.ndarray:
    """(count,size,size,3) uint8 tiles and panels of nearly one colour with seams; the same for the same arguments.

    What is plain in photographs of rooms is told by how its seams converge.
    """
    images = np.empty((count, size, size, 3), np.uint8)
    for k in range(count):
        rng = np.random.default_rng((PROCEDURAL_SEED, 1, k))
        across, down = (int(n) for n in rng.choice([1, 1, 2, 4], 2))
        seam = np.exp(rng.uniform(np.log(0.006), np.log(0.06))) / max(across, down)
        y, x = np.meshgrid(*[(np.arange(size) + 0.5) / size * n for n in (down, across)], indexing="ij")
        if down > 1 and rng.random() < 0.3:
            x = x + 0.5 * (np.floor(y) % 2)
        apart = np.minimum(_to_seam(y) / down, _to_seam(x) / across)  # in sides of the texture
        seams = np.clip((seam / 2 - apart) * size + 0.5, 0, 1)[..., None]
        grey = rng.uniform(140, 240) * rng.uniform(0.94, 1.06, 3)
        colour = grey if rng.random() < 0.65 else _PALETTES[rng.integers(len(_PALETTES)), 0] * rng.uniform(0.9, 1.3)
        tint = 1 + rng.uniform(0, 0.06) * rng.standard_normal((down, across))
        grain = octave_noise(rng, size, int(rng.choice([2, 4, 8])))[..., None]
        tiles = colour * tint[y.astype(int) % down, x.astype(int) % across, None]
        tiles = tiles * (1 + rng.uniform(0.0, 0.1) * (grain - 0.5))
        between = colour * (rng.uniform(0.3, 0.85) if rng.random() < 0.75 else rng.uniform(1.1, 1.4))
        images[k] = np.clip(tiles * (1 - seams) + between * seams, 0, 255).astype(np.uint8)
    return images


def _to_seam(place: np.ndarray) -> np.ndarray:
    """Distance to the nearest whole number."""
    return np.abs(place - np.round(place))
