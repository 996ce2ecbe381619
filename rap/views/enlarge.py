"""A picture's layers at the picture's own size, for takes that are larger than the layers are made.

Where things are, how they go on behind each other and what was invented is decided once, at LAYERS_SIDE. Enlarged, the
layers show the picture's own pixels wherever it has shown something; rims follow its edges, and what was invented stays
as fine as it was.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float

from rap.geometry import crop_intrinsics, resize_intrinsics
from rap.views import edges
from rap.views.guided import guided_upsample
from rap.views.layers import LEAST_SHARE, Layer, Layers, layer_of

WHOLE = 0.99
"""Share from which on a pixel is all of one surface, or was all seen."""

Size = tuple[int, int]


def enlarged(layers: Layers, picture: Float[np.ndarray, "H W 3"]) -> Layers:
    """The same layers, in front as large as the picture.

    Args:
        layers: as `rap.views.layers.lift` makes them of the picture, reduced.
        picture: colours in [0, 1].

    Raises:
        ValueError: the picture is smaller than the layers, or there are not two of them.
    """
    if len(layers.layers) != 2:
        raise ValueError(f"layers must be two, a picture and what is behind it, got {len(layers.layers)}")
    front, back = layers.layers
    old, size = _size(front), picture.shape[:2]
    if min(np.subtract(size, old)) < 0:
        raise ValueError(f"picture must be at least as large as its layers {old}, got {size}")
    left, top = np.round(back.intrinsics[2:] - front.intrinsics[2:]).astype(int)
    pad = round(top * size[0] / old[0]), round(left * size[1] / old[1])
    inner = slice(pad[0], pad[0] + size[0]), slice(pad[1], pad[1] + size[1])
    canvas = size[0] + 2 * pad[0], size[1] + 2 * pad[1]
    alpha = guided_upsample(_array(front.alpha), picture).clip(0, 1)
    alpha[alpha < LEAST_SHARE] = 0
    alpha[alpha > WHOLE] = 1
    share = alpha[..., None]
    behind, seen = _resized(_colours(back), canvas), _resized(_array(back.seen), canvas)
    of_one = (seen[inner] > WHOLE) & ((alpha == 1) | (alpha == 0))  # at a rim the picture mixes two surfaces
    behind[inner] = np.where(of_one[..., None], picture, behind[inner])
    pure = ((picture - (1 - share) * behind[inner]) / np.maximum(share, LEAST_SHARE)).clip(0, 1)
    colour = np.where(share > 0, pure, _resized(_colours(front), size))
    intrinsics = resize_intrinsics(front.intrinsics, old, size)
    device = front.inverse_depth.device
    depths = [_surfaces_resized(_array(layer.inverse_depth), to) for layer, to in ((front, size), (back, canvas))]
    whole = np.ones(canvas, np.float32)
    return Layers(
        (
            layer_of(colour, alpha, depths[0], np.ones(size, np.float32), intrinsics, device),
            layer_of(behind, whole, depths[1], seen > 0.5, crop_intrinsics(intrinsics, -pad[0], -pad[1]), device),
        )
    )


def _surfaces_resized(inverse_depth: Float[np.ndarray, "a b"], size: Size) -> Float[np.ndarray, "H W"]:
    """Straight between neighbours on one surface; between two surfaces there is none."""
    straight, nearest = (
        cv2.resize(inverse_depth, size[::-1], interpolation=method)
        for method in (cv2.INTER_LINEAR, cv2.INTER_NEAREST_EXACT)
    )
    return np.where(_resized(_steps(inverse_depth).astype(np.float32), size) > 0, nearest, straight)


def _steps(inverse_depth: Float[np.ndarray, "a b"]) -> Bool[np.ndarray, "a b"]:
    """Pixels beside which another surface begins."""
    square = np.ones((3, 3), np.uint8)
    return cv2.dilate(inverse_depth, square) > edges.JUMP * cv2.erode(inverse_depth, square)


def _size(layer: Layer) -> Size:
    h, w = layer.inverse_depth.shape
    return h, w


def _array(values: torch.Tensor) -> np.ndarray:
    return values.cpu().numpy().astype(np.float32)


def _colours(layer: Layer) -> Float[np.ndarray, "h w 3"]:
    return np.ascontiguousarray(_array(layer.colour).transpose(1, 2, 0))


def _resized(values: np.ndarray, size: Size) -> np.ndarray:
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)
