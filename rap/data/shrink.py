"""What is kept of each picture of an upload, made in the one moment in which it is held."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rap.config import FILM_SIDE, SIZE_BUCKETS
from rap.data.bars import NO_BARS, Bars
from rap.data.images import FOCAL_35MM, ORIENTATION, crop_and_resize, reduce_picture, reduced_size
from rap.limits import TAKE_SIDE


def fit_size(h: int, w: int) -> tuple[int, int]:
    """The (h, w) among the model's sizes whose aspect ratio is nearest (by ratio) to a picture of h x w pixels.

    Raises:
        ValueError: h or w is not positive.
    """
    if h <= 0 or w <= 0:
        raise ValueError(f"h and w must be positive, got {h} x {w}")
    return min(SIZE_BUCKETS, key=lambda bucket: abs(math.log(bucket[0] / bucket[1]) - math.log(h / w)))


@dataclass(frozen=True)
class Detail:
    """What is kept of a picture of the clip: the model's frame, the footage, its own (h, w), its 35 mm focal length,
    and, where takes are to be made of it and the footage is smaller, the picture at its own size; and the EXIF
    orientation that was undone."""

    frame_u8: UInt8[np.ndarray, "h w 3"]
    footage_u8: UInt8[np.ndarray, "H W 3"]
    size: tuple[int, int]
    focal_35mm: float | None
    full_u8: UInt8[np.ndarray, "H W 3"] | None = None
    orientation: int = 1


@dataclass(frozen=True)
class Shrunk:
    """What is kept of any picture that is read: that for following, its (h, w), and the rest if it is the clip's."""

    film_u8: UInt8[np.ndarray, "H W 3"]
    size: tuple[int, int]
    detail: Detail | None


@dataclass
class Shrink:
    """Makes what is kept of each picture; the first sets the frames' size.

    Attributes:
        size: (h, w) of the frames.
        footage_side: longest side of the footage.
        chosen: for each picture in turn, whether it is one of the clip's.
        full: keep those at their own size, up to what a take may have.
        straighten: given a picture and its number in turn, takes the lens's distortion out of it.
        bars: beside the pictures, cut off before anything is made of these.
    """

    size: tuple[int, int] | None
    footage_side: int
    chosen: Sequence[bool]
    full: bool = False
    straighten: Callable[[Image.Image, int], Image.Image] | None = None
    bars: Bars = NO_BARS
    done: int = 0

    def __call__(self, image: Image.Image) -> Shrunk:
        if self.straighten is not None:
            image = self.straighten(image, self.done)
        if self.bars:
            image = image.crop(self.bars.box(image.height, image.width))
        whole = image.height, image.width
        self.size = self.size or fit_size(*whole)
        film, mine = reduce_picture(image, reduced_size(whole, FILM_SIDE)), self.chosen[self.done]
        self.done += 1
        if not mine:
            return Shrunk(film, whole, None)
        footage = reduce_picture(image, reduced_size(whole, self.footage_side))
        is_larger = self.full and max(whole) > self.footage_side
        full = reduce_picture(image, reduced_size(whole, TAKE_SIDE.value)) if is_larger else None
        return Shrunk(
            film,
            whole,
            Detail(
                crop_and_resize(image, self.size),
                footage,
                whole,
                image.info.get(FOCAL_35MM),
                full,
                image.info.get(ORIENTATION, 1),
            ),  # fmt: skip
        )
