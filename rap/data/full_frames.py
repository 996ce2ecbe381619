"""The frames of a clip at the upload's own size: what a take's colours come from."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8
from PIL import Image

QUALITY = 95
"""Of the JPEG that frames are kept as: above 40 dB, which no warp reaches, at a tenth of the memory."""


@dataclass(frozen=True, eq=False)
class FullFrames:
    """Uncropped frames, each different one once.

    Attributes:
        kept: pixels (H, W, 3) uint8 RGB, or (n,) uint8, the bytes of a JPEG that was made here.
        places: for each frame of the clip which of them it is.
        image_size: (H, W) in pixels of every one.
    """

    kept: tuple[np.ndarray, ...]
    places: tuple[int, ...]
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        if not all(0 <= place < len(self.kept) for place in self.places):
            raise ValueError(f"places must name some of the {len(self.kept)} pictures, got {list(self.places)}")
        for picture in self.kept:
            if picture.dtype != np.uint8 or (picture.ndim != 1 and picture.shape != (*self.image_size, 3)):
                raise ValueError(f"kept must be uint8 of (H, W, 3) = {(*self.image_size, 3)}, got {picture.shape}")

    @classmethod
    def of(cls, frames_u8: Sequence[UInt8[np.ndarray, "H W 3"]], places: Sequence[int]) -> FullFrames:
        """Of pictures of one size, as pixels."""
        h, w = frames_u8[0].shape[:2]
        return cls(tuple(frames_u8), tuple(places), (h, w))

    def __len__(self) -> int:
        return len(self.places)

    def frame(self, i: int) -> UInt8[np.ndarray, "H W 3"]:
        """A frame of the clip, decoded where it is kept as a JPEG."""
        return _pixels(self.kept[self.places[i]])

    def pictures(self) -> UInt8[np.ndarray, "n H W 3"]:
        """All different ones, as pixels."""
        return np.stack([_pixels(picture) for picture in self.kept])

    def compressed(self) -> FullFrames:
        """The same frames as JPEG: a tenth of the memory, for as long as a page is open."""
        return replace(self, kept=tuple(_jpeg(picture) if picture.ndim == 3 else picture for picture in self.kept))


def _pixels(picture: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    if picture.ndim == 3:
        return picture
    with Image.open(io.BytesIO(picture.tobytes())) as image:
        return np.array(image.convert("RGB"))


def _jpeg(picture_u8: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, " n"]:
    file = io.BytesIO()
    Image.fromarray(picture_u8).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return np.frombuffer(file.getvalue(), np.uint8)
