"""Warping: source frames with inverse depth -> what a target camera would see of them (torch, any device).

Each source is splatted on its own z-buffer, because fusing all sources into one lets every error of one depth map
cover what another knows (measured: 1.6 dB). The z-buffer gives only the target's inverse depth; the colour is sampled
backwards, at the place in the source where that depth says it comes from, so that it is as sharp as bilinear
interpolation allows. The sources nearest to the target are then blended, the nearest layer before those behind it.

A pixel (x, y) of inverse depth d in camera a is the point (K_a^-1 (x, y, 1)) / d; times d, and with X_b = R X_a + t,

    h = K_b R K_a^-1 (x, y, 1) + d K_b t        (x', y') = (h_x, h_y) / h_z        d' = d / h_z

so that one matrix and one vector for each pair of cameras do everything, d = 0 (infinitely far) included (Hartley and
Zisserman, Multiple View Geometry, section 9.6.1: the infinite homography and the epipole).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from rap.geometry import se3

ANGLE_WEIGHT = 0.5
"""Radians of rotation against translations in units of the scene's depth, in the distance of two cameras."""

DISTANCE_FLOOR = 0.02
"""Two cameras closer than this are equally near: noise of the frames, not of the warp, decides there."""

CONSISTENT_PX = 1.0
"""Disparity in px of the target by which a source's own depth may miss the depth it was splatted with."""

SEEN = 0.25
"""Consistency from which a pixel counts as seen by a source."""

LAYER = 0.2
"""Relative distance in inverse depth at which two sources stop to show the same layer."""

SUPPORT = 0.5
"""Share of the best supported layer's weight that a layer in front of it needs to be believed."""

LEAK = 0.05
"""Relative step in inverse depth from which what shows between two neighbours is a crack and not the surface."""

CONFIDENCE_FLOOR = 0.05
"""A depth without any confidence (plane of a single picture) is still the best there is."""

NEAR = 1e-4
FAR = 1e-6  # inverse depth of what is infinitely far: above 0, which is an empty pixel of a z-buffer
MAX_REPEAT = 4
CHUNK_PIXELS_CPU = 1 << 18  # target pixels times sources at once: the temporaries stay near the cache
CHUNK_PIXELS_GPU = 1 << 24


@dataclass(frozen=True, eq=False)
class Warp:
    """What targets see of the sources; everything is 0 where nothing is seen.

    Attributes:
        colour: (T,3,H,W) blended, in the range of the frames given.
        mask: (T,H,W) seen by some source.
        weight: (T,H,W) sum of the blending weights, greater where near sources agree with their own depth.
        inverse_depth: (T,H,W) 1 / z-depth in the target camera.
        layer_colours: (T,2,3,H,W) the nearest and the second nearest source, each warped alone, not blended.
        layer_masks: (T,2,H,W) where those two see something; the second is empty when there is one source.
    """

    colour: Float[Tensor, "T 3 H W"]
    mask: Bool[Tensor, "T H W"]
    weight: Float[Tensor, "T H W"]
    inverse_depth: Float[Tensor, "T H W"]
    layer_colours: Float[Tensor, "T 2 3 H W"]
    layer_masks: Bool[Tensor, "T 2 H W"]


@dataclass(frozen=True, eq=False)
class _Sources:
    """The sources as the chunks need them; `colour` may have another resolution than `inverse_depth`."""

    colour: Tensor  # (S,3,h',w')
    inverse_depth: Tensor  # (S,h,w), 0 where invalid
    confidence: Tensor  # (S,h,w)
    median: float  # of the inverse depth


@dataclass(frozen=True, eq=False)
class _Layers:
    """P = T * N pairs of a target and one of its N nearest sources, as (T,N,…) tensors."""

    colour: Tensor  # (T,N,3,H,W)
    inverse_depth: Tensor  # (T,N,H,W), 0 where empty
    consistency: Tensor  # (T,N,H,W) in [0, 1]
    confidence: Tensor  # (T,N,H,W)


def warp(
    frames: Float[Tensor, "S 3 h w"],
    inverse_depth: Float[Tensor, "S h w"],
    Ts_world_source: Float[np.ndarray, "S 4 4"],
    source_intrinsics: Float[np.ndarray, "S 4"],
    Ts_world_target: Float[np.ndarray, "T 4 4"],
    target_intrinsics: Float[np.ndarray, "T 4"],
    size: tuple[int, int],
    *,
    confidence: Float[Tensor, "S h w"] | None = None,
    nearest: int = 4,
) -> Warp:
    """What the target cameras see of the sources.

    Args:
        frames: colours in any range; the result has the same.
        inverse_depth: 1 / z-depth in the sources' cameras; 0 is infinitely far, negative or NaN is invalid.
        Ts_world_source, Ts_world_target: camera-to-world poses.
        source_intrinsics, target_intrinsics: fx, fy, cx, cy in px of the source's (h, w) and of `size`.
        size: (H, W) of the targets.
        confidence: of the inverse depth, in [0, 1]; None is 1 everywhere.
        nearest: how many sources each target blends.

    Raises:
        ValueError: shapes that do not agree, an empty size, nearest < 1.
    """
    _check(frames, inverse_depth, Ts_world_source, source_intrinsics, confidence, nearest)
    _check_cameras(Ts_world_target, target_intrinsics, "target")
    H, W = size
    if H < 1 or W < 1:
        raise ValueError(f"size must be a positive (height, width) in pixels, got {tuple(size)}")
    valid = inverse_depth >= 0  # NaN is not
    depth = torch.where(valid & torch.isfinite(inverse_depth), inverse_depth.clamp(min=FAR), 0.0)
    sureness = torch.ones_like(depth) if confidence is None else confidence.clamp(0, 1)
    median = _median_inverse_depth(depth)
    distance = camera_distance(Ts_world_target, Ts_world_source, median)
    order = np.argsort(distance, axis=1, kind="stable")[:, :nearest]
    distance = np.take_along_axis(distance, order, axis=1)
    zoom = float(np.median(target_intrinsics[:, :2]) / np.median(source_intrinsics[:, :2]))
    sources = _Sources(_prefiltered(frames, zoom), depth, sureness, median)
    chunk = CHUNK_PIXELS_CPU if frames.device.type == "cpu" else CHUNK_PIXELS_GPU
    count = max(1, chunk // (order.shape[1] * H * W))
    parts = []
    for first in range(0, len(order), count):
        rows = slice(first, first + count)
        pair = order[rows]
        layers = _warp_each(
            sources, pair, (Ts_world_source[pair], source_intrinsics[pair]),
            (Ts_world_target[rows, None], target_intrinsics[rows, None]), (H, W),
        )  # fmt: skip
        parts.append(_blend(layers, distance[rows]))
    return Warp(*(torch.cat(values) for values in zip(*parts, strict=True)))


def camera_distance(
    Ts_world_a: Float[np.ndarray, "A 4 4"], Ts_world_b: Float[np.ndarray, "B 4 4"], inverse_depth: float
) -> Float[np.ndarray, "A B"]:
    """Translation in units of the scene's depth + 0.5 angle in radians: how little two cameras see alike."""
    translation = np.linalg.norm(Ts_world_a[:, None, :3, 3] - Ts_world_b[None, :, :3, 3], axis=-1)
    R_a_b = np.swapaxes(Ts_world_a[:, None, :3, :3], -1, -2) @ Ts_world_b[None, :, :3, :3]
    return translation * inverse_depth + ANGLE_WEIGHT * se3.rotation_angle(R_a_b)


def plane_inverse_depth(
    size: tuple[int, int],
    kind: Literal["plane", "ramp"] = "plane",
    device: torch.device | str | None = None,
) -> Float[Tensor, "1 h w"]:
    """Inverse depth of a single picture, of which nothing is known.

    Args:
        size: (h, w) in pixels.
        kind: "plane" stands upright at unit depth; "ramp" has the inverse depth 0.6 + 0.8 y / h, nearer below, which
            suits rooms and streets and hurts objects.

    Raises:
        ValueError: a kind that is neither.
    """
    if kind not in ("plane", "ramp"):
        raise ValueError(f"kind must be 'plane' or 'ramp', got {kind!r}")
    h, w = size
    y = (torch.arange(h, device=device, dtype=torch.float32) + 0.5) / h
    column = torch.ones_like(y) if kind == "plane" else 0.6 + 0.8 * y
    return column[None, :, None].expand(1, h, w).contiguous()


def fill_holes(colour: Float[Tensor, "T 3 H W"], mask: Bool[Tensor, "T H W"]) -> Float[Tensor, "T 3 H W"]:
    """Push-pull: holes filled smoothly from what surrounds them, pixels under the mask left as they are.

    Means of known pixels are taken over ever larger squares, then each level fills its holes from the coarser one
    (Gortler et al., The Lumigraph, 1996, section 3.4.3). Where a picture has no known pixel at all it becomes 0.
    """
    known = mask[:, None].to(colour.dtype)
    levels = [(colour * known, known)]
    while max(levels[-1][0].shape[-2:]) > 1:
        h, w = levels[-1][0].shape[-2:]
        colours, weights = (F.pad(level, (0, w % 2, 0, h % 2)) for level in levels[-1])
        total = F.avg_pool2d(weights, 2)
        mean = F.avg_pool2d(colours * weights, 2) / total.clamp(min=1e-6)
        # Pull: a square known to a quarter counts as known, or large holes would be filled from single pixels last.
        levels.append((mean, (4 * total).clamp(max=1)))
    filled = levels[-1][0]
    for colours, weights in reversed(levels[:-1]):
        h, w = colours.shape[-2:]
        smooth = F.interpolate(filled, size=(h + h % 2, w + w % 2), mode="bilinear", align_corners=False)[..., :h, :w]
        filled = torch.where(weights >= 1, colours, smooth + weights * (colours - smooth))
    return filled


# --- one source at a time ---------------------------------------------------------------------------------------------


def _warp_each(
    sources: _Sources,
    pair: np.ndarray,
    source_cameras: tuple[np.ndarray, np.ndarray],
    target_cameras: tuple[np.ndarray, np.ndarray],
    size: tuple[int, int],
) -> _Layers:
    """Every target's sources, each on its own z-buffer, colours sampled backwards. `pair` (T,N) indexes the sources."""
    device = sources.colour.device
    forward = _transfer_of(source_cameras, target_cameras, device)
    backward = _transfer_of(target_cameras, source_cameras, device)
    index = torch.from_numpy(pair.reshape(-1)).to(device)
    depth = sources.inverse_depth[index]
    repeat = _points_a_pixel(source_cameras, target_cameras, sources.median)
    parallax_px = _parallax_px(source_cameras, target_cameras, device)

    splatted = _close_cracks(_splat(depth, forward, size, repeat))
    x, y = _grid(size, device)
    empty = splatted <= 0
    maps = torch.stack([depth, sources.confidence[index]], dim=1)

    # The depth of a pixel is that of a point beside it; one step along the source's surface takes it to the pixel.
    at = _transfer(x, y, splatted, backward)
    own = _sample(depth[:, None], at)[:, 0]
    near = ((own - at[2]).abs() * parallax_px < CONSISTENT_PX) & (own > 0)
    stepped = _transfer(at[0], at[1], own, forward)[2]
    splatted = torch.where(near, stepped, splatted)

    at = _transfer(x, y, splatted, backward)
    own, sureness = _sample(maps, at).unbind(1)
    h, w = depth.shape[-2:]
    inside = (at[0] >= 0) & (at[0] <= w) & (at[1] >= 0) & (at[1] <= h) & ~empty & (own > 0)
    miss_px = (own - at[2]) * parallax_px
    consistency = torch.where(inside, torch.exp(-0.5 * (miss_px / CONSISTENT_PX) ** 2), 0.0)
    colour = _sample(sources.colour[index], at, (h, w))
    shape = (*pair.shape, *size)
    return _Layers(
        colour.unflatten(0, pair.shape),
        torch.where(empty, 0.0, splatted).reshape(shape),
        consistency.reshape(shape),
        sureness.reshape(shape),
    )


def _matrices(intrinsics: np.ndarray) -> np.ndarray:
    K = np.zeros((*intrinsics.shape[:-1], 3, 3))
    K[..., 0, 0], K[..., 1, 1], K[..., 2, 2] = intrinsics[..., 0], intrinsics[..., 1], 1.0
    K[..., :2, 2] = intrinsics[..., 2:]
    return K


def _transfer_of(
    a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], device: torch.device
) -> tuple[Tensor, Tensor]:
    """K_b R_b_a K_a^-1 (P,3,3) and K_b t_b_a (P,3), of poses and intrinsics (T,N,…), in float64 until here."""
    T_b_a = se3.inverse(b[0]) @ a[0]
    K_a, K_b = _matrices(a[1]), _matrices(b[1])
    A = K_b @ T_b_a[..., :3, :3] @ np.linalg.inv(K_a)
    e = (K_b @ T_b_a[..., :3, 3:])[..., 0]
    tensors = (torch.from_numpy(M.astype(np.float32)).to(device) for M in (A.reshape(-1, 3, 3), e.reshape(-1, 3)))
    A_t, e_t = tensors
    return A_t, e_t


def _transfer(x: Tensor, y: Tensor, depth: Tensor, to: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Position x', y' in px and inverse depth of pixels in the other camera; 0 inverse depth where behind it."""
    A, e = (part[..., None, None] for part in to)
    hx, hy, hz = (torch.addcmul(A[:, k, 0] * x + (A[:, k, 1] * y + A[:, k, 2]), e[:, k], depth) for k in range(3))
    inverse = 1 / hz.clamp(min=NEAR)
    return hx * inverse, hy * inverse, torch.where(hz > NEAR, depth * inverse, 0.0)


def _grid(size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixel centres x (1,1,W) and y (1,H,1), to be broadcast."""
    h, w = size
    x = torch.arange(w, device=device, dtype=torch.float32) + 0.5
    y = torch.arange(h, device=device, dtype=torch.float32) + 0.5
    return x[None, None], y[None, :, None]


def _parallax_px(
    a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], device: torch.device
) -> Float[Tensor, "P 1 1"]:
    """Focal length times baseline: px that a pixel moves per unit of inverse depth (sideways, where it is most)."""
    baseline = np.linalg.norm(a[0][..., :3, 3] - b[0][..., :3, 3], axis=-1)
    parallax = (baseline * b[1][..., :2].mean(axis=-1)).reshape(-1, 1, 1)
    return torch.from_numpy(parallax.astype(np.float32)).to(device)


def _points_a_pixel(
    source_cameras: tuple[np.ndarray, np.ndarray], target_cameras: tuple[np.ndarray, np.ndarray], median: float
) -> int:
    """Side of the square of points that each source pixel is splatted as, lest a magnified surface fall apart.

    The magnification is the ratio of the focal lengths over that of the depths, of a point at the median depth on the
    source's axis; a quarter above a whole number is left to `_close_cracks`.
    """
    T_target_source = se3.inverse(target_cameras[0]) @ source_cameras[0]
    depths = T_target_source[..., 2, 2] + T_target_source[..., 2, 3] * median
    zoom = target_cameras[1][..., :2].mean(axis=-1) / source_cameras[1][..., :2].mean(axis=-1)
    scale = (zoom / np.maximum(depths, 1 / MAX_REPEAT)).max()
    return int(np.clip(np.ceil(scale - 0.25), 1, MAX_REPEAT))


def _splat(depth: Tensor, forward: tuple[Tensor, Tensor], size: tuple[int, int], repeat: int) -> Tensor:
    """Greatest inverse depth (P,H,W) of the points that fall into each pixel of the target, 0 where none does."""
    H, W = size
    h, w = depth.shape[-2:]
    x, y = _grid((h * repeat, w * repeat), depth.device)
    if repeat > 1:  # so many points a pixel that a larger target is covered
        x, y = x / repeat, y / repeat
        depth = depth.repeat_interleave(repeat, dim=-1).repeat_interleave(repeat, dim=-2)
    to_x, to_y, value = _transfer(x, y, depth, forward)
    inside = (to_x >= 0) & (to_x < W) & (to_y >= 0) & (to_y < H)
    value = torch.where(inside, value, 0.0)  # 0 changes nothing wherever it lands
    index = to_y.clamp(0, H - 1).long() * W + to_x.clamp(0, W - 1).long()
    buffer = torch.zeros(len(depth), H * W, device=depth.device)
    buffer.scatter_reduce_(1, index.flatten(1), value.flatten(1), "amax")
    return buffer.unflatten(1, (H, W))


def _close_cracks(depth: Tensor) -> Tensor:
    """Pixels between two opposite neighbours that lie nearer take the farther one's depth: (P,H,W).

    Where a surface is magnified its points leave lines of empty pixels, or of what lies behind it. A true hole has a
    neighbour behind it on one side, whose depth it may take; the consistency with the source decides afterwards. So it
    does on the rim of what is seen, which is let grow by a pixel because points fall up to half a pixel inside it.
    """
    for _ in range(2):
        padded = F.pad(depth, (1, 1, 1, 1))
        H, W = depth.shape[-2:]
        between = torch.zeros_like(depth)
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            one = padded[:, 1 + dy : 1 + dy + H, 1 + dx : 1 + dx + W]
            other = padded[:, 1 - dy : 1 - dy + H, 1 - dx : 1 - dx + W]
            torch.maximum(between, torch.minimum(one, other), out=between)
        depth = torch.where(between * (1 - LEAK) > depth, between, depth)
    return torch.where(depth > 0, depth, F.max_pool2d(depth, 3, stride=1, padding=1))


def _sample(maps: Tensor, at: tuple[Tensor, ...], size: tuple[int, int] | None = None) -> Tensor:
    """Bilinear values (P,C,H,W) of maps (P,C,h,w) at px positions of an image of `size` (default: the maps')."""
    h, w = size or maps.shape[-2:]
    grid = torch.stack([at[0] * (2 / w) - 1, at[1] * (2 / h) - 1], dim=-1)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


# --- all sources of a target ------------------------------------------------------------------------------------------


def _blend(layers: _Layers, distance: np.ndarray) -> tuple[Tensor, ...]:
    """The fields of Warp from each source's layer and its distance (T,N) from the target."""
    nearness = torch.from_numpy(((distance + DISTANCE_FLOOR) ** -2).astype(np.float32)).to(layers.colour.device)
    sureness = CONFIDENCE_FLOOR + (1 - CONFIDENCE_FLOOR) * layers.confidence
    weight = nearness[..., None, None] * layers.consistency * sureness
    seen = layers.consistency >= SEEN
    weight = torch.where(seen, weight, 0.0)
    front = _front(layers.inverse_depth, weight)
    weight = weight * _same_layer(front, layers.inverse_depth)
    total = weight.sum(dim=1)
    mask = seen.any(dim=1) & (total > 0)
    share = weight / total[:, None].clamp(min=1e-12)
    colour = (share[:, :, None] * layers.colour).sum(dim=1)
    inverse_depth = (share * layers.inverse_depth).sum(dim=1)
    colours, masks = layers.colour[:, :2], seen[:, :2]
    if colours.shape[1] < 2:
        colours, masks = (torch.cat([part, torch.zeros_like(part)], dim=1) for part in (colours, masks))
    colours = colours * masks[:, :, None]
    return colour * mask[:, None], mask, total * mask, inverse_depth * mask, colours, masks


def _front(inverse_depth: Tensor, weight: Tensor) -> Tensor:
    """Inverse depth (T,1,H,W) of the nearest layer that enough weight stands for, of (T,N,H,W) sources.

    The nearest of all would be that of whatever source errs towards the camera (measured: 1.3 dB on real clips).
    """
    agreed = _same_layer(inverse_depth[:, :, None], inverse_depth[:, None])
    support = (agreed * weight[:, None]).sum(dim=2)
    believed = (weight > 0) & (support >= SUPPORT * support.amax(dim=1, keepdim=True))
    return torch.where(believed, inverse_depth, 0.0).amax(dim=1, keepdim=True)


def _same_layer(a: Tensor, b: Tensor) -> Tensor:
    """How far inverse depth b belongs to the layer of a, in [0, 1]."""
    return torch.exp(-(((a - b) / (LAYER * a).clamp(min=FAR)) ** 2))


# --- the whole --------------------------------------------------------------------------------------------------------


def _median_inverse_depth(depth: Tensor) -> float:
    """Over the valid pixels; 1, the convention's, when there are none."""
    valid = depth[depth > 0]
    return float(valid.median()) if valid.numel() else 1.0


def _prefiltered(frames: Tensor, zoom: float) -> Tensor:
    """Frames at about the targets' resolution where that is much lower: sampling finer ones would alias."""
    if zoom > 0.8:
        return frames
    h, w = (max(1, round(side * zoom)) for side in frames.shape[-2:])
    return F.interpolate(frames, size=(h, w), mode="bilinear", align_corners=False, antialias=True)


def _check(
    frames: Tensor,
    inverse_depth: Tensor,
    Ts_world_source: np.ndarray,
    source_intrinsics: np.ndarray,
    confidence: Tensor | None,
    nearest: int,
) -> None:
    if frames.ndim != 4 or frames.shape[1] != 3 or len(frames) == 0:
        raise ValueError(f"frames must have shape (sources, 3, h, w) with a source at least, got {tuple(frames.shape)}")
    expected = (frames.shape[0], *frames.shape[2:])
    for name, value in (("inverse_depth", inverse_depth), ("confidence", confidence)):
        if value is not None and value.shape != expected:
            raise ValueError(f"{name} must have shape {expected} like the frames, got {tuple(value.shape)}")
    _check_cameras(Ts_world_source, source_intrinsics, "source")
    if len(Ts_world_source) != len(frames):
        raise ValueError(f"Ts_world_source must hold one pose a frame, {len(frames)}, got {len(Ts_world_source)}")
    if nearest < 1:
        raise ValueError(f"nearest must be at least 1, got {nearest}")


def _check_cameras(Ts_world_camera: np.ndarray, intrinsics: np.ndarray, name: str) -> None:
    if Ts_world_camera.ndim != 3 or Ts_world_camera.shape[1:] != (4, 4):
        raise ValueError(f"Ts_world_{name} must have shape (n, 4, 4), got {Ts_world_camera.shape}")
    if intrinsics.shape != (len(Ts_world_camera), 4):
        raise ValueError(f"{name}_intrinsics must have shape ({len(Ts_world_camera)}, 4), got {intrinsics.shape}")
