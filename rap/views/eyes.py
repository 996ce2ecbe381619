"""A path for two eyes: a camera to the left and one to the right of every camera, and their pictures as one.

Both look the same way, and their lenses are shifted sideways so that what is at the screen's distance lies at the same
place for both (off-axis stereo): turning them towards it instead would tilt the pictures against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

BASELINE = 1 / 30
"""Of the screen's distance, from eye to eye: what photographers of stereo pairs go by."""

LAYOUTS = ("side-by-side", "anaglyph")


@dataclass(frozen=True)
class Eye:
    """One of the two.

    Attributes:
        aside: how far to the right of the camera it is, in the unit of the path.
        screen: distance of what lies in the screen: nearer things come forward, farther ones stay behind it.
    """

    aside: float
    screen: float = 1.0

    def cameras(
        self, Ts_world_camera: Float[np.ndarray, "T 4 4"], intrinsics: Float[np.ndarray, "T 4"]
    ) -> tuple[Float[np.ndarray, "T 4 4"], Float[np.ndarray, "T 4"]]:
        """Poses and intrinsics of this eye, of those between both."""
        Ts, lenses = Ts_world_camera.copy(), intrinsics.copy()
        Ts[:, :3, 3] += self.aside * Ts[:, :3, 0]
        lenses[:, 2] += self.aside * lenses[:, 0] / self.screen
        return Ts, lenses


def eyes(baseline: float = BASELINE, screen: float = 1.0) -> tuple[Eye, Eye]:
    """The left and the right one.

    Raises:
        ValueError: baseline, from eye to eye, or screen is not positive.
    """
    if not (np.isfinite(baseline) and baseline > 0 and np.isfinite(screen) and screen > 0):
        raise ValueError(f"baseline and screen must be positive, got {baseline} and {screen}")
    return Eye(-baseline / 2, screen), Eye(baseline / 2, screen)


def as_one(
    left_u8: UInt8[np.ndarray, "T h w 3"], right_u8: UInt8[np.ndarray, "T h w 3"], layout: str
) -> UInt8[np.ndarray, "T h W 3"]:
    """Both eyes' frames as one video.

    Args:
        layout: "side-by-side", left and right in full width, or "anaglyph", red to the left eye and green and blue to
            the right one, for red-cyan glasses.

    Raises:
        ValueError: another layout, or videos of different shapes.
    """
    if left_u8.shape != right_u8.shape:
        raise ValueError(f"both eyes must have the same frames, got {left_u8.shape} and {right_u8.shape}")
    if layout == "side-by-side":
        return np.concatenate([left_u8, right_u8], axis=2)
    if layout == "anaglyph":
        return np.concatenate([left_u8[..., :1], right_u8[..., 1:]], axis=-1)
    raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
