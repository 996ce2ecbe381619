"""A path as the sources alone show it: its frames and their size, and what stands where no source has seen anything."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from rap.views.hints import to_u8
from rap.views.warp import Warp

SCENE_SIDE = 224
"""Long side in pixels of the frames that are lifted and of previews: what fits a second on one core."""

HOLE_COLOURS = (52, 68)
"""The two greys of the checks that stand for what no source frame has seen."""

HOLE_CHECK_PX = 8


@dataclass(frozen=True, eq=False)
class Preview:
    """The edited path as the sources alone show it.

    Attributes:
        frames_u8: (T, H, W, 3), holes as grey checks; those of layers are filled.
        mask: (T, H, W) seen by a source; all else is hole, or invented.
    """

    frames_u8: UInt8[np.ndarray, "T H W 3"]
    mask: Bool[np.ndarray, "T H W"]

    @property
    def coverage(self) -> float:
        """Share of all pixels that a source has seen."""
        return float(self.mask.mean())


def preview_size(image_size: tuple[int, int], side: int = SCENE_SIDE) -> tuple[int, int]:
    """(H, W) of previews of frames of `image_size`: the same shape, long side `side`, both sides even."""
    scale = side / max(image_size)
    return round(image_size[0] * scale / 2) * 2, round(image_size[1] * scale / 2) * 2


def shown_with_holes(rendered: Warp) -> Preview:
    """Warped frames with grey checks where no source has seen anything."""
    mask = rendered.mask.cpu().numpy()
    return Preview(with_checks(to_u8(rendered.colour), mask), mask)


def with_checks(
    frames_u8: UInt8[np.ndarray, "T H W 3"], mask: Bool[np.ndarray, "T H W"]
) -> UInt8[np.ndarray, "T H W 3"]:
    """Grey checks beside the mask, as many across whatever the size."""
    if mask.all():
        return frames_u8
    h, w = mask.shape[1:]
    side = max(1, round(HOLE_CHECK_PX * max(h, w) / SCENE_SIDE))
    checks = np.add.outer(np.arange(h) // side, np.arange(w) // side)
    grey = np.asarray(HOLE_COLOURS, dtype=np.uint8)[checks % 2]
    return np.where(mask[..., None], frames_u8, grey[None, ..., None])


def enlarged(mask: Bool[np.ndarray, "h w"], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """The same mask for pictures of (H, W)."""
    return cv2.resize(mask.astype(np.uint8), size[::-1]) > 0
