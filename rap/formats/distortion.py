"""Lens distortion as files state it: which pixel a pinhole's ray falls on.

In normalised coordinates x = X / Z, y = Y / Z, r^2 = x^2 + y^2 (OpenCV, calib3d, "Detailed Description" and
"Fisheye camera model"; COLMAP's models of the same names are parts of these):

- perspective: s = (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6),
  x' = x s + 2 p1 x y + p2 (r^2 + 2 x^2), y' = y s + p1 (r^2 + 2 y^2) + 2 p2 x y
- fisheye: a = atan r, s = a (1 + k1 a^2 + k2 a^4 + k3 a^6 + k4 a^8) / r, x' = x s, y' = y s
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SAMPLES = 256
MOST_MOVED = 0.75
"""A pixel of a perspective lens that is moved by more than this share of its distance from the middle: such
coefficients come from calibrations that failed. Lenses that are sold stay below a third."""


@dataclass(frozen=True)
class Distortion:
    """Of one camera.

    Attributes:
        is_fisheye: by angle rather than by distance from the middle.
        k: radial coefficients in OpenCV's order: six of a perspective lens (three above, three below the line), four
            of a fisheye.
        p: tangential ones, of a perspective lens.
    """

    is_fisheye: bool
    k: tuple[float, ...]
    p: tuple[float, float] = (0.0, 0.0)

    @property
    def is_none(self) -> bool:
        """Whether this is a pinhole after all; a fisheye without coefficients is none."""
        return not self.is_fisheye and not any((*self.k, *self.p))

    def distorted(self, xy: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
        """Where points of a pinhole's plane at distance 1 fall."""
        x, y = xy[..., 0], xy[..., 1]
        square = x * x + y * y
        if self.is_fisheye:
            r = np.sqrt(square)
            angle = np.arctan(r)
            k = (*self.k, 0.0, 0.0, 0.0, 0.0)[:4]
            powers = 1 + sum(k[i] * angle ** (2 * i + 2) for i in range(4))
            scale = np.where(r > 1e-9, angle * powers / np.maximum(r, 1e-9), 1.0)
            return np.stack([x * scale, y * scale], axis=-1)
        k = (*self.k, *(0.0,) * 6)[:6]
        above = 1 + square * (k[0] + square * (k[1] + square * k[2]))
        below = 1 + square * (k[3] + square * (k[4] + square * k[5]))
        scale, (p1, p2) = above / below, self.p
        moved_x = x * scale + 2 * p1 * x * y + p2 * (square + 2 * x * x)
        moved_y = y * scale + p1 * (square + 2 * y * y) + 2 * p2 * x * y
        return np.stack([moved_x, moved_y], axis=-1)

    def is_usable(self, intrinsics: Float[np.ndarray, "4"], image_size: tuple[int, int]) -> bool:
        """Whether it bends the picture and does not fold it: what goes outwards stays outwards up to the corners."""
        fx, fy, cx, cy = intrinsics
        h, w = image_size
        corners = np.array([[x, y] for x in ((0.5 - cx) / fx, (w - 0.5 - cx) / fx) for y in (-cy / fy, (h - cy) / fy)])
        if self.is_fisheye:  # the corners of a circle's picture need not be in it
            corners = corners / np.linalg.norm(corners, axis=1, keepdims=True)
        shares = np.linspace(0.0, 1.0, SAMPLES)[:, None, None]
        rays = shares * corners
        with np.errstate(all="ignore"):
            away = np.linalg.norm(self.distorted(rays), axis=-1)
            steps = np.diff(away, axis=0)
            moved = np.linalg.norm(self.distorted(rays) - rays, axis=-1)
        if not np.isfinite(away).all() or not (steps > 0).all():
            return False
        return self.is_fisheye or bool((moved <= MOST_MOVED * np.linalg.norm(rays, axis=-1)).all())

    def words(self) -> str:
        """The coefficients that are there, for a sentence."""
        named = [(f"k{i + 1}", value) for i, value in enumerate(self.k)]
        named += [] if self.is_fisheye else [("p1", self.p[0]), ("p2", self.p[1])]
        told = " ".join(f"{name} {value:.4g}" for name, value in named if value)
        return f"fisheye {told}".strip() if self.is_fisheye else told
