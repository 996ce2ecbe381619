"""Clips from photographs: each lifted by the depth of one picture, and flown through as people move cameras.

Procedural clips have the true depth of made-up things; these have things as they look, at the depth that the network
says, and cameras that are exact of that. A clip's camera sees a part of the photograph, whose own moment stands
anywhere in the clip: what comes into view at the sides was photographed, and a path is shrunk until hardly anything
else does, for what is invented teaches nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float

from rap.errors import InputError
from rap.geometry.se3 import inverse
from rap.synthetic import motion
from rap.synthetic.clips import MIN_DEPTH_SHARE, Photometry, SyntheticBatch, SyntheticConfig, batch_of_one, joined
from rap.synthetic.render import Views
from rap.synthetic.textures import IMAGE_SUFFIXES, MATERIALS, TextureBank, manifest_kinds
from rap.train.monocular_data import read_rgb
from rap.views.fill import smooth_fill
from rap.views.layers import Layers, lift
from rap.views.monocular import USUAL_FOCAL, embedded_monocular_depth

FLIGHTS = 4
"""Paths through each photograph, one after the other: lifting it costs as much as some of them."""

LIFTED = 1.5
"""Long side of the photograph that is lifted, over the clip's: about one pixel of it for each of the clip's."""

FOCAL_SPREAD = 0.15
"""Standard deviation of the log of a photograph's focal length about the usual one: nobody knows it."""

ZOOMS = (1.15, 1.9)
"""Focal length of a clip over the one at which it would just see the whole of the photograph."""

AIM_RAD = np.radians([3.0, 3.0, 2.0])
"""Standard deviations of yaw, pitch and roll of the first aim about the photograph's own."""

MARGINS = (0.1, 0.1)
FARTHEST_PIVOT = 1.5
LEAST_SEEN = 0.93
"""Share of each frame that the photograph shows; the rest is continued smoothly."""

AMPLITUDES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.08)
ATTEMPTS = 20
PROBES, PROBE_SHRINK = 5, 4
"""Frames of a path, and by how much they are smaller, on which it is judged before it is rendered."""


@dataclass(frozen=True, eq=False)
class Room:
    """A photograph lifted.

    Attributes:
        size: (h, w) in pixels of what was lifted.
        intrinsics: (4,) of it.
        pivot_depth: of what is in the middle, in median depths.
    """

    layers: Layers
    size: tuple[int, int]
    intrinsics: Float[np.ndarray, "4"]
    pivot_depth: float


def render_photographs(
    seed: int,
    count: int,
    config: SyntheticConfig,
    *,
    start: int = 0,
    with_depth: bool = False,
    bank: TextureBank | None = None,
) -> SyntheticBatch:
    """Clips start .. start + count - 1 of a seed, as `rap.synthetic.render_clips` makes them of scenes.

    Args:
        config: names the folder of photographs.
        bank: of nothing here.

    Raises:
        InputError: no photographs there, or one that cannot be read.
    """
    if count < 1 or config.photographs is None:
        raise ValueError(f"count must be at least 1 and photographs a folder, got {count} and {config.photographs}")
    pictures = photographs(Path(config.photographs))
    return joined([_clip(seed, start + k, config, pictures) for k in range(count)], with_depth)


@lru_cache(maxsize=4)
def photographs(folder: Path) -> tuple[Path, ...]:
    """The photographs of a folder, in the order of their names; materials, by its manifest.csv, are none.

    Raises:
        InputError: there are none.
    """
    kinds = manifest_kinds(folder)
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    found = tuple(path for path in files if not kinds.get(path.name, "photo").startswith(MATERIALS))
    if not found:
        raise InputError(f"--photographs {folder}: holds no photographs ({', '.join(IMAGE_SUFFIXES)})")
    return found


def _clip(seed: int, index: int, config: SyntheticConfig, pictures: tuple[Path, ...]) -> SyntheticBatch:
    number = index // FLIGHTS
    place = np.random.default_rng(seed).permutation(len(pictures))[number % len(pictures)]
    focal = USUAL_FOCAL * math.exp(FOCAL_SPREAD * np.random.default_rng((seed, number, 1)).normal())
    room = lifted(pictures[place], round(LIFTED * max(config.size)), focal)
    rng = np.random.default_rng((seed, index))
    views, kind = plan_flight(rng, room, config)
    seen = room.layers.render(views.Ts_scene_camera, views.intrinsics, views.size)
    nearness = seen.inverse_depth.clamp(min=float(seen.inverse_depth[seen.mask].min()))  # beyond the canvas: the rim's
    looks = Photometry.sample(rng) if config.photometric else Photometry()
    return batch_of_one(looks.develop(255 * seen.filled.transpose(0, 1), rng), views, nearness, kind)


@lru_cache(maxsize=1)
def lifted(path: Path, side: int, focal: float) -> Room:
    """A photograph as layers.

    Args:
        side: its long side in pixels at most.
        focal: its focal length over the long side.
    """
    picture_u8 = read_rgb(path)
    scale = min(1.0, side / max(picture_u8.shape))
    h, w = (max(1, round(n * scale)) for n in picture_u8.shape[:2])
    picture_u8 = cv2.resize(picture_u8, (w, h), interpolation=cv2.INTER_AREA)
    intrinsics = np.array([focal * max(h, w), focal * max(h, w), w / 2, h / 2])
    inverse_depth = torch.from_numpy(1 / embedded_monocular_depth().predict(picture_u8).depth)
    colours = torch.from_numpy(picture_u8).permute(2, 0, 1).float() / 255
    layers = lift(colours, inverse_depth, intrinsics, MARGINS, smooth_fill)
    middle = layers.layers[0].inverse_depth[int(0.4 * h) : int(0.6 * h) + 1, int(0.4 * w) : int(0.6 * w) + 1]
    return Room(layers, (h, w), intrinsics, min(FARTHEST_PIVOT, 1 / float(middle.median())))


def plan_flight(rng: np.random.Generator, room: Room, config: SyntheticConfig) -> tuple[Views, str]:
    """Draw a path on which hardly anything is seen but the photograph, in its camera's frame, and say its kind."""
    frames, pivot = config.num_frames, np.array([0.0, 0.0, room.pivot_depth])
    for _ in range(ATTEMPTS):
        kind, at = motion.sample_kind(rng), int(rng.integers(frames))
        intrinsics = np.tile(_lens(room, config.size, rng.uniform(*ZOOMS)), (frames, 1))
        start = motion.Start(np.zeros(3), pivot, *(AIM_RAD * rng.normal(size=3)))
        for amplitude in AMPLITUDES:
            path = motion.sample_path(rng, kind, start, frames, amplitude)
            views = Views(path[:1] @ inverse(path[at : at + 1]) @ path, intrinsics, config.size)
            if _is_photographed(room, views):
                return views, f"photograph/{kind}"
    raise RuntimeError(f"no path in {ATTEMPTS} motions sees enough of the photograph; please report the seed")


def _lens(room: Room, size: tuple[int, int], zoom: float) -> Float[np.ndarray, "4"]:
    """Of a clip of (h, w) whose frames cover 1 / zoom of the most of the photograph that they could."""
    h, w = size
    focal = room.intrinsics[0] * max(h / room.size[0], w / room.size[1]) * zoom
    return np.array([focal, focal, w / 2, h / 2])


def _is_photographed(room: Room, views: Views) -> bool:
    """Whether every frame shows hardly anything but the photograph, and nothing right before the camera."""
    picked = np.unique(np.linspace(0, len(views.intrinsics) - 1, PROBES).astype(int))
    h, w = (max(8, n // PROBE_SHRINK) for n in views.size)
    shrink = np.array([w / views.size[1], h / views.size[0]] * 2)
    seen = room.layers.render(views.Ts_scene_camera[picked], views.intrinsics[picked] * shrink, (h, w))
    if float(seen.mask.float().mean(dim=(1, 2)).min()) < LEAST_SEEN:
        return False
    nearness = seen.inverse_depth.flatten(1)
    return bool((nearness.amax(dim=1) * MIN_DEPTH_SHARE <= nearness.median(dim=1).values).all())
