"""Hints: what classical geometry says of a clip, as inputs of the network beside the latents it denoises.

They depart from the paper and are switches of the transformer's configuration, off in the paper's own. The flow hint
(`rap.reconstruction.optical_flow`) helps to find cameras in a given video; the warp hint shows what source frames,
lifted by their depth, look like from given cameras (the 3D-cache idea of GEN3C, Ren et al., CVPR 2025), so that the
network has to repair and fill instead of inventing. The transformer drops a hint where the modality it is made of is
noised.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from rap.geometry import Trajectory
from rap.model.codec import SPACE_COMPRESSION, LatentCodec
from rap.model.tokens import TIME_COMPRESSION
from rap.model.transformer import WARP_MAPS
from rap.views.warp import WEIGHT_LOG_SCALE, Warp, fill_holes, plane_inverse_depth, warp


def to_u8(pictures: Float[Tensor, "*batch 3 H W"]) -> UInt8[np.ndarray, "*batch H W 3"]:
    """Pictures in [0, 1] as 8-bit ones, colours last."""
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8).movedim(-3, -1).cpu().numpy()


@dataclass(frozen=True, eq=False)
class VideoHints:
    """What the clip's geometry shows along a path, for `rap.pipeline.GenerateTask`.

    Attributes:
        frames_u8: (T, H, W, 3) warped colours, holes filled smoothly.
        mask: (T, H, W) in [0, 1]: the share of each pixel that a source frame has seen.
        weight: (T, H, W) blending weights of `rap.views.warp`, or None where they are not known.
        inverse_depth: (T, H, W) seen from the path's own cameras, in units of 1 / the source view's median depth.
        layers_u8, layer_masks: (T, 2, H, W, 3) and (T, 2, H, W): the nearest and the second nearest source alone.
    """

    frames_u8: UInt8[np.ndarray, "T H W 3"]
    mask: Float[np.ndarray, "T H W"]
    weight: Float[np.ndarray, "T H W"] | None = None
    inverse_depth: Float[np.ndarray, "T H W"] | None = None
    layers_u8: UInt8[np.ndarray, "T 2 H W 3"] | None = None
    layer_masks: Float[np.ndarray, "T 2 H W"] | None = None


@dataclass(frozen=True, eq=False)
class WarpMaps:
    """Warped sources of B clips, as `pack_warp` takes them; everything in the range [0, 1] but weight and depth.

    Attributes:
        colour: (B, T, 3, H, W) holes filled.
        mask, weight, inverse_depth: (B, T, H, W).
        layers: (B, T, 2, 3, H, W) holes filled, layer_masks (B, T, 2, H, W).
    """

    colour: Float[Tensor, "B T 3 H W"]
    mask: Float[Tensor, "B T H W"]
    weight: Float[Tensor, "B T H W"]
    inverse_depth: Float[Tensor, "B T H W"]
    layers: Float[Tensor, "B T 2 3 H W"]
    layer_masks: Float[Tensor, "B T 2 H W"]

    @classmethod
    def of_warp(cls, rendered: Warp) -> WarpMaps:
        """One clip, at the size it was rendered."""
        colour = rendered.filled
        seen = rendered.layer_masks
        # A hole of one source shows what the others know.
        layers = torch.where(seen[:, :, None], rendered.layer_colours, colour[:, None])
        parts = (colour, rendered.mask.float(), rendered.weight, rendered.inverse_depth, layers, seen.float())
        return cls(*(part[None] for part in parts))

    @classmethod
    def of_warps(cls, rendered: list[Warp]) -> WarpMaps | None:
        """Several clips of one size; None of none."""
        each = [cls.of_warp(one) for one in rendered]
        if not each:
            return None
        return cls(*(torch.cat([getattr(maps, f.name) for maps in each]) for f in fields(cls)))

    @classmethod
    def of_hints(cls, hints: VideoHints, device: torch.device | str = "cpu") -> WarpMaps:
        """One clip; what the hints do not say is taken from what they do: the blend for each layer, 0 for the rest."""
        colour = torch.from_numpy(np.array(hints.frames_u8)).to(device).permute(0, 3, 1, 2).float() / 255
        mask = torch.from_numpy(np.asarray(hints.mask, dtype=np.float32)).to(device)
        blank = np.zeros_like(hints.mask, dtype=np.float32)
        weight, inverse_depth = (
            torch.from_numpy(np.asarray(blank if value is None else value, dtype=np.float32)).to(device)
            for value in (hints.weight, hints.inverse_depth)
        )
        if hints.layers_u8 is None or hints.layer_masks is None:
            layers, layer_masks = torch.stack([colour, colour], 1), torch.stack([mask, torch.zeros_like(mask)], 1)
        else:
            layers = torch.from_numpy(np.array(hints.layers_u8)).to(device).permute(0, 1, 4, 2, 3).float() / 255
            layer_masks = torch.from_numpy(np.asarray(hints.layer_masks, dtype=np.float32)).to(device)
        return cls(*(part[None] for part in (colour, mask, weight, inverse_depth, layers, layer_masks)))


def pack_warp(maps: WarpMaps, codec: LatentCodec, kind: str) -> Float[Tensor, "B K F h w"]:
    """The warp hint as the transformer takes it.

    The first channels are the latents of the blended colours, which also serve as the baseline of the prediction; then
    come mask, log weight and inverse depth, means over each latent cell; with "layers", the latents of the two nearest
    sources alone and their masks.
    """
    if kind == "none":
        raise ValueError("kind must be 'blend' or 'layers': a model without warp hint takes none")
    weight = torch.log1p(maps.weight) / WEIGHT_LOG_SCALE
    parts = [_latents(codec, maps.colour), *(cell_means(v) for v in (maps.mask, weight, maps.inverse_depth))]
    if kind == "layers":
        parts += [_latents(codec, maps.layers[:, :, k]) for k in range(2)]
        parts += [cell_means(maps.layer_masks[:, :, k]) for k in range(2)]
    packed = torch.cat(parts, dim=1)
    assert packed.shape[1] == codec.channels * WARP_MAPS[kind][0] + WARP_MAPS[kind][1]
    return packed


def plane_hints(
    source_frames_u8: UInt8[np.ndarray, "S H W 3"], source_indices: tuple[int, ...], trajectory: Trajectory
) -> VideoHints:
    """Source frames as planes at unit depth before their own cameras: all that is known of the depth of pictures.

    Args:
        source_indices: the frames of the trajectory at which the sources stand; unit of length = the first one's.
    """
    path = trajectory.relative_to(source_indices[0]).resized(source_frames_u8.shape[1:3])
    colours = torch.from_numpy(np.array(source_frames_u8)).permute(0, 3, 1, 2).float() / 255
    planes = plane_inverse_depth(path.image_size).expand(len(colours), -1, -1)
    cameras, lenses = path.Ts_world_camera[list(source_indices)], path.intrinsics[list(source_indices)]
    rendered = warp(colours, planes, cameras, lenses, path.Ts_world_camera, path.intrinsics, path.image_size)
    maps = WarpMaps.of_warp(rendered)
    return VideoHints(
        to_u8(maps.colour[0]),
        maps.mask[0].numpy(),
        maps.weight[0].numpy(),
        maps.inverse_depth[0].numpy(),
        to_u8(maps.layers[0]),
        maps.layer_masks[0].numpy(),
    )


def cell_means(maps: Float[Tensor, "B T H W"]) -> Float[Tensor, "B 1 F h w"]:
    """Means over the cells of the latent grid: 8x8 pixels of frame 0, of four frames after it."""
    stretched = torch.cat([maps[:, :1].expand(-1, TIME_COMPRESSION, -1, -1), maps[:, 1:]], dim=1)[:, None]
    return F.avg_pool3d(stretched, (TIME_COMPRESSION, SPACE_COMPRESSION, SPACE_COMPRESSION))


def _latents(codec: LatentCodec, colour: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B C F h w"]:
    return codec.encode_video(2 * colour.transpose(1, 2) - 1)


def with_open_holes(rendered: Warp) -> Warp:
    """The same with what was invented as holes, filled smoothly and without a depth: so models were trained to be shown
    what is not known."""
    filled = fill_holes(rendered.colour, rendered.mask)
    return replace(rendered, filled=filled, inverse_depth=rendered.inverse_depth * rendered.mask)


def as_hints(rendered: Warp, image_size: tuple[int, int]) -> VideoHints:
    """A rendered path reduced to the model's frames (area average, so that nothing flickers)."""
    maps = WarpMaps.of_warp(rendered)
    colours = to_u8(maps.colour[0]), *(to_u8(maps.layers[0, :, k]) for k in range(2))
    seen_depth = maps.inverse_depth[0] * maps.mask[0]  # layers have one where nothing is seen, too
    shares = [maps.mask[0], maps.weight[0], seen_depth, *maps.layer_masks[0].unbind(1)]
    frames_u8, *layers = (_reduced(picture, image_size) for picture in colours)
    mask, weight, inverse_depth, *masks = (_reduced(share.cpu().numpy(), image_size) for share in shares)
    return VideoHints(
        frames_u8,
        np.clip(mask, 0, 1),
        weight,
        inverse_depth / np.maximum(mask, 1e-3),  # a mean over what is seen, not over holes
        np.stack(layers, axis=1),
        np.clip(np.stack(masks, axis=1), 0, 1),
    )


def _reduced(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in frames])
