"""Clips for the codec from single photographs: a window that pans, zooms and turns over them.

Real texture at the motions of real captures, hundreds of clips a second; depth does not matter to a codec.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from rap.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_STEP = 0.12
"""Largest motion from one frame to the next, as a share of the frame's height: 7 degrees of a turn at 55 of view."""

TILT = 2e-4
"""Standard deviation of the perspective terms, per pixel of the photograph."""


@dataclass(frozen=True, eq=False)
class Photographs:
    """Pictures in memory, (h, w, 3) RGB each."""

    pictures: tuple[UInt8[np.ndarray, "h w 3"], ...]

    @classmethod
    def read(cls, folder: Path) -> Photographs:
        """All pictures of a folder and of those inside it, in name order.

        Raises:
            InputError: there are none, or one cannot be read.
        """
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise InputError(f"--photographs {folder}: holds no pictures ({', '.join(SUFFIXES)}); name another folder")
        pictures = []
        for path in paths:
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if picture is None:
                raise InputError(f"{path}: cannot be read as a picture; remove it or make it again")
            pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        return cls(tuple(pictures))

    def clip(self, size: tuple[int, int], num_frames: int, rng: np.random.Generator) -> UInt8[np.ndarray, "T h w 3"]:
        """A window of `size` moving smoothly over one picture, which is continued by its mirror image."""
        picture = self.pictures[rng.integers(len(self.pictures))]
        warps = _window_paths(picture.shape[:2], size, num_frames, rng)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        frames = [
            cv2.warpPerspective(picture, warp, size[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT_101)
            for warp in warps
        ]
        return np.stack(frames)

    def clips(
        self, count: int, size: tuple[int, int], num_frames: int, rng: np.random.Generator
    ) -> UInt8[np.ndarray, "N T h w 3"]:
        """Several of them."""
        return np.stack([self.clip(size, num_frames, rng) for _ in range(count)])


def _window_paths(
    picture_size: tuple[int, int], size: tuple[int, int], num_frames: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """(3, 3) maps from pixels of each frame to pixels of the picture; one clip in eight stands still."""
    at = np.linspace(0, 1, num_frames)
    moving = 0.0 if rng.random() < 0.125 else rng.random() ** 0.5
    speed = moving * MAX_STEP * size[0] * num_frames
    scale = rng.uniform(0.8, 1.7) * np.exp(moving * rng.normal(0, 0.25) * at)
    turn = rng.normal(0, 0.1) + moving * rng.normal(0, 0.25) * at
    heading = rng.uniform(0, 2 * np.pi) + moving * rng.normal(0, 0.6) * at
    steps = np.stack([np.cos(heading), np.sin(heading)], -1) * speed / num_frames
    centres = rng.uniform(0.2, 0.8, 2) * np.array(picture_size[::-1]) + np.cumsum(steps, 0) - steps[:1]
    tilts = rng.normal(0, TILT, 2) * moving * at[:, None]
    middle = np.array([[1, 0, -size[1] / 2], [0, 1, -size[0] / 2], [0, 0, 1]])
    paths = []
    for s, angle, centre, tilt in zip(scale, turn, centres, tilts, strict=True):
        cosine, sine = s * np.cos(angle), s * np.sin(angle)
        place = np.array([[cosine, -sine, centre[0]], [sine, cosine, centre[1]], [0, 0, 1]])
        lean = np.array([[1, 0, 0], [0, 1, 0], [*tilt, 1]])
        paths.append(place @ lean @ middle)
    return paths
