"""What no frame of a film has seen: one of its frames as a photograph, continued behind its near things and beyond its
edges.

The layers of one frame (`rap.views.layers`) are made once for a film, so that nothing flickers. Seen from the path's
cameras they show something like what may stand there, and the film itself is put over them. Where a path leaves most of
what was filmed, they show it alone: patches of a film from far beside its cameras are torn at every edge of depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from rap.config import LAYERS_SIDE
from rap.geometry import resize_intrinsics, se3
from rap.views.depth import DepthMaps
from rap.views.enlarge import enlarged
from rap.views.fusion import Inverse, alone, placed
from rap.views.guided import guided_upsample
from rap.views.hints import to_u8
from rap.views.layers import Layers, lift
from rap.views.monocular import SMALLEST_PX
from rap.views.straight import Lines
from rap.views.warp import Warp

OPEN = 0.03
"""Share of a path's pixels that the film leaves open, from which on this is worth its time."""

LEFT = 0.08
"""Share of a path's pixels that the film leaves open or shows as rubble, from which on a path has left what was filmed,
and one frame alone shows it, where that sees as much. Chosen by eye on seven films (benchmarks/README.md)."""

DEARER = 0.1
"""By how much more of the path one frame may leave open than all together lose, to be shown in their place."""

RUBBLE, RUBBLE_PX = 1.1, 5
"""Ratio to the median inverse depth of a square of so many pixels from which on a pixel belongs to no surface."""

SEEN = 0.01  # of a frame's pixels: fewer open ones stay as they were


def open_share(rendered: Warp) -> float:
    """Of all pixels, those that no source has seen."""
    return 1 - float(rendered.mask.float().mean())


def rubble_share(rendered: Warp) -> float:
    """Of all pixels, those that are seen in front of or behind what surrounds them: where depth is wrong, neighbours
    come to lie apart, and the farther the camera is from where they were seen, the more."""
    shares = []
    for inverse_depth, mask in zip(rendered.inverse_depth.cpu().numpy(), rendered.mask.cpu().numpy(), strict=True):
        known = np.where(mask, inverse_depth, 0).astype(np.float32)
        around = cv2.medianBlur(known, RUBBLE_PX)
        is_known = (known > 0) & (around > 0)
        apart = np.maximum(known, around) > RUBBLE * np.minimum(known, around)
        shares.append((is_known & apart).mean())
    return float(np.mean(shares))


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame as layers.

    Attributes:
        layers: their world is its camera.
        T_world_picture: pose of that camera.
    """

    layers: Layers
    T_world_picture: Float[np.ndarray, "4 4"]

    @property
    def side(self) -> int:
        """Long side of the picture in pixels."""
        return max(self.layers.layers[0].inverse_depth.shape)

    def cameras(self, Ts_world_camera: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 4 4"]:
        """Poses in the world of the layers."""
        return se3.inverse(self.T_world_picture) @ Ts_world_camera

    def render(
        self, Ts_world_camera: Float[np.ndarray, "T 4 4"], intrinsics: Float[np.ndarray, "T 4"], size: tuple[int, int]
    ) -> Warp:
        """What cameras of the world see; `intrinsics` in pixels of the (H, W) asked for."""
        return self.layers.render(self.cameras(Ts_world_camera), intrinsics, size)

    def one_by_one(
        self, Ts_world_camera: Float[np.ndarray, "T 4 4"], intrinsics: Float[np.ndarray, "T 4"], size: tuple[int, int]
    ) -> Iterator[Warp]:
        """The same as each is made."""
        for pose, lens in zip(Ts_world_camera, intrinsics, strict=True):
            yield self.render(pose[None], lens[None], size)

    def finished(
        self, Ts_world_camera: Float[np.ndarray, "T 4 4"], intrinsics: Float[np.ndarray, "T 4"], size: tuple[int, int]
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The pictures alone; nothing else of one is held while the next is made."""
        for pose, lens in zip(Ts_world_camera, intrinsics, strict=True):
            yield to_u8(self.render(pose[None], lens[None], size).filled)[0]

    @cached_property
    def _lines(self) -> Lines:
        front = self.layers.layers[0]
        picture_u8 = to_u8(front.colour[None])[0]
        return Lines.of(picture_u8, front.inverse_depth.cpu().numpy().astype(np.float32), front.intrinsics)

    def bent_share(
        self, Ts_world_camera: Float[np.ndarray, "T 4 4"], intrinsics: Float[np.ndarray, "T 4"], size: tuple[int, int]
    ) -> float:
        """How much of the length of the picture's lines is bent for the camera that is farthest from it."""
        Ts_picture_camera = self.cameras(Ts_world_camera)
        k = int(np.linalg.norm(Ts_picture_camera[:, :3, 3], axis=1).argmax())
        return self._lines.bent_share(Ts_picture_camera[k], intrinsics[k], size)

    def enlarged(self, picture_u8: UInt8[np.ndarray, "H W 3"], side: int) -> Moment:
        """The same with the picture's own pixels, for frames whose long side in pixels is `side`; as it is where these
        are no larger than the layers, or the picture is not.
        """
        H, W = picture_u8.shape[:2]
        scale = min(1.0, side / max(H, W))
        size = max(1, round(H * scale)), max(1, round(W * scale))
        if max(size) <= self.side:
            return self
        picture = cv2.resize(picture_u8, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return Moment(enlarged(self.layers, picture), self.T_world_picture)

    def glimpse(
        self, T_world_camera: Float[np.ndarray, "4 4"], intrinsics: Float[np.ndarray, "4"], size: tuple[int, int]
    ) -> Float[torch.Tensor, "3 H W"]:
        """One picture, quickly."""
        return self.layers.glimpse(self.cameras(T_world_camera[None])[0], intrinsics, size)


def continued(
    picture_u8: UInt8[np.ndarray, "H W 3"],
    depth: DepthMaps,
    intrinsics: Float[np.ndarray, "4"],
    side: int = LAYERS_SIDE,
    shape_of: Callable[[UInt8[np.ndarray, "h w 3"]], Inverse] = alone,
) -> Layers:
    """A frame of a film as layers, of the depth that a photograph of it would have, at the place where the film has it.

    Args:
        depth: of the frame alone (S = 1), as the film tells it, at whatever size.
        intrinsics: in pixels of that map.
        side: long side of the layers in pixels; never more than the picture's.
        shape_of: gives inverse depth of a picture by itself, of any unit.
    """
    H, W = picture_u8.shape[:2]
    scale = min(1.0, side / max(H, W))
    h, w = max(1, round(H * scale)), max(1, round(W * scale))
    picture = cv2.resize(picture_u8, (w, h), interpolation=cv2.INTER_AREA)
    swept, confidence = depth.inverse_depth[0].cpu().numpy(), depth.confidence[0].cpu().numpy()
    if min(h, w) >= SMALLEST_PX:
        shape = cv2.resize(shape_of(picture).astype(np.float32), swept.shape[::-1], interpolation=cv2.INTER_AREA)
        swept = placed(swept, confidence, shape)
    colours = picture.astype(np.float32) / 255
    known = guided_upsample(swept, colours)
    known = np.maximum(known, 1e-4 * float(np.median(known))).astype(np.float32)
    lens = resize_intrinsics(intrinsics, (swept.shape[0], swept.shape[1]), (h, w))
    return lift(torch.from_numpy(colours).permute(2, 0, 1), torch.from_numpy(known), lens)


def filled(
    frames_u8: Iterable[UInt8[np.ndarray, "H W 3"]],
    holes: Float32[np.ndarray, "T h w"],
    moment: Moment,
    cameras: tuple[Float[np.ndarray, "T 4 4"], Float[np.ndarray, "T 4"]],
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Frames with what layers show in their holes.

    Args:
        holes: 1 where a frame shows nothing; at whatever size.
        cameras: poses in the world, and intrinsics in pixels of the frames.
    """
    for frame_u8, hole, pose, intrinsics in zip(frames_u8, holes, *cameras, strict=True):
        if hole.mean() < SEEN:
            yield frame_u8
            continue
        size = frame_u8.shape[:2]
        shown = moment.render(pose[None], intrinsics[None], (size[0], size[1])).filled[0]
        share = cv2.resize(hole, size[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
        mixed = frame_u8 * (1 - share) + 255 * share * shown.permute(1, 2, 0).cpu().numpy()
        yield np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
