"""What no frame of a film has seen: one of its frames, continued behind its near things and beyond its edges.

The layers of one frame (`rap.views.layers`) are made once for a film, so that nothing flickers. Seen from the path's
cameras they show something like what may stand there, and the film itself is put over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from rap.geometry import resize_intrinsics
from rap.views.guided import guided_upsample
from rap.views.layers import Layers, lift

SIDE = 320
"""Long side in pixels of the frame that is continued: some seconds, once a film."""

OPEN = 0.03
"""Share of a path's pixels that the film leaves open, from which on this is worth its time."""

SEEN = 0.01  # of a frame's pixels: fewer open ones stay as they were


def continued(
    picture_u8: UInt8[np.ndarray, "H W 3"],
    inverse_depth: Float[Tensor, "h w"],
    intrinsics: Float[np.ndarray, "4"],
) -> Layers:
    """A frame's layers.

    Args:
        inverse_depth: of the frame, at whatever size.
        intrinsics: in pixels of that map.
    """
    H, W = picture_u8.shape[:2]
    scale = min(1.0, SIDE / max(H, W))
    h, w = max(1, round(H * scale)), max(1, round(W * scale))
    small = cv2.resize(picture_u8, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    depth = guided_upsample(inverse_depth.cpu().numpy(), small)
    lens = resize_intrinsics(intrinsics, (inverse_depth.shape[0], inverse_depth.shape[1]), (h, w))
    known = torch.from_numpy(np.maximum(depth, 1e-4 * float(np.median(depth))).astype(np.float32))
    return lift(torch.from_numpy(small).permute(2, 0, 1), known, lens)


def filled(
    frames_u8: Iterable[UInt8[np.ndarray, "H W 3"]],
    holes: Float32[np.ndarray, "T h w"],
    layers: Layers,
    cameras: tuple[Float[np.ndarray, "T 4 4"], Float[np.ndarray, "T 4"]],
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Frames with what layers show in their holes.

    Args:
        holes: 1 where a frame shows nothing; at whatever size.
        cameras: poses in the camera of the layers, and intrinsics in pixels of the frames.
    """
    for frame_u8, hole, T_picture_camera, intrinsics in zip(frames_u8, holes, *cameras, strict=True):
        if hole.mean() < SEEN:
            yield frame_u8
            continue
        size = frame_u8.shape[:2]
        shown = layers.render(T_picture_camera[None], intrinsics[None], (size[0], size[1])).filled[0]
        share = cv2.resize(hole, size[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
        mixed = frame_u8 * (1 - share) + 255 * share * shown.permute(1, 2, 0).cpu().numpy()
        yield np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
