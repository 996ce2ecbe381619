"""Warping: source frames with inverse depth -> what a target camera would see of them (torch, any device).

Each source is splatted on its own z-buffer, because fusing all sources into one lets every error of one depth map
cover what another knows (measured: 1.6 dB). What the sources nearest to the target then say of a pixel is weighed: the
nearest layer that enough of them bear out gives the target's inverse depth, their mean, whose errors are smaller than
theirs. Colours are sampled backwards, at the place in each source where that depth says they come from, so that they
are as sharp as bilinear interpolation allows and the sources are registered to each other, brought to one exposure
(`rap.views.exposure`) and blended: by their weights, or by a network that has learned to (`blend_network`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from rap.geometry import se3
from rap.views.blend_network import ALONE, REGISTERED, BlendEvidence, Blending, mixed
from rap.views.exposure import exposure_gains
from rap.views.splat import close_cracks, points_a_pixel, splat
from rap.views.transfer import Pair, depth_there, float32, grid_intrinsics, in_view, pair_of, pixels, sample, transfer

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

CONFIDENCE_FLOOR = 0.05
"""A depth without any confidence (plane of a single picture) is still the best there is."""

WEIGHT_LOG_SCALE = 8.0
"""Blending weights span three decades: log(1 + weight) over this lies in about [0, 1]."""

FAR = 1e-6  # inverse depth of what is infinitely far: above 0, which is an empty pixel of a z-buffer
CHUNK_PIXELS_CPU = 1 << 19  # target pixels times sources at once: the temporaries stay near the cache
CHUNK_PIXELS_GPU = 1 << 24


@dataclass(frozen=True, eq=False)
class Warp:
    """What targets see of the sources; everything but `filled` is 0 where nothing is seen.

    Attributes:
        colour: (T,3,H,W) blended in one exposure, that of the sources near the target, in [0, 1].
        filled: (T,3,H,W) the same with holes filled: smoothly, or as the network answers there.
        mask: (T,H,W) seen by some source.
        weight: (T,H,W) sum of the blending weights, greater where near sources agree with their own depth.
        inverse_depth: (T,H,W) 1 / z-depth in the target camera.
        layer_colours: (T,2,3,H,W) the nearest and the second nearest source, each warped alone, not blended, in its
            own exposure.
        layer_masks: (T,2,H,W) where those two see something; the second is empty when there is one source.
        mix: how the colours were mixed; None where they were not, as those of layers.
    """

    colour: Float[Tensor, "T 3 H W"]
    filled: Float[Tensor, "T 3 H W"]
    mask: Bool[Tensor, "T H W"]
    weight: Float[Tensor, "T H W"]
    inverse_depth: Float[Tensor, "T H W"]
    layer_colours: Float[Tensor, "T 2 3 H W"]
    layer_masks: Bool[Tensor, "T 2 H W"]
    mix: Mix | None = None


@dataclass(frozen=True, eq=False)
class Mix:
    """How `Warp.filled` is made of the N nearest sources, each where `Warp.inverse_depth` says it lies:
    the sum of shares times colours, and a rest, which in holes is all there is.

    Attributes:
        index: (T,N) of the sources.
        shares: (T,N,H,W), with what brings the sources to one exposure; 0 where nothing is seen.
        rest: (T,3,H,W) what the sum lacks.
    """

    index: Int64[np.ndarray, "T N"]
    shares: Float[Tensor, "T N H W"]
    rest: Float[Tensor, "T 3 H W"]


@dataclass(frozen=True, eq=False)
class _Sources:
    """The sources as the chunks need them; `colour` may have another resolution than `maps`."""

    colour: Tensor  # (S,3,h',w')
    maps: Tensor  # (S,2,h,w): inverse depth, 0 where invalid, and confidence
    median: float  # of the inverse depth


@dataclass(frozen=True, eq=False)
class _Pairs:
    """P = T N pairs of a target and one of its N nearest sources, and how pixels go from one to the other.

    Maps of a target are (T,H,W), of all its sources (T,N,H,W); what is sampled is (P,…). Positions in a source are
    those of `grid_sample`: -1 and 1 are the edges of the image.
    """

    index: Tensor  # (T,N) of the source
    nearness: Tensor  # (T,N,1,1) weight of the source by its distance alone
    forward: Pair  # source grid -> target px
    backward: Pair  # target px -> source grid
    parallax_px: Tensor  # (T,N,1,1) px that a pixel of the target moves per unit of inverse depth
    repeat: int  # side of the square of points that a pixel is splatted as


@dataclass(frozen=True, eq=False)
class _Found:
    """What some targets have found in their N sources; all in one exposure.

    Attributes:
        mask, weight, inverse_depth: (T,H,W) as Warp has them.
        near: what the sources have at that depth.
        colour: (T,N,3,H,W) theirs at that depth.
        shares: (T,N,H,W) weights of the mean, of sum 1 where something is seen.
        blended: (T,3,H,W) their mean, 0 where nothing is seen.
        layer_colours, layer_masks: (T,2,3,H,W), (T,2,H,W) as Warp has them, in the sources' own exposures.
        gains: (T,N) what brings the sources to the one exposure.
    """

    mask: Tensor
    weight: Tensor
    inverse_depth: Tensor
    near: _Seen
    colour: Tensor
    shares: Tensor
    blended: Tensor
    layer_colours: Tensor
    layer_masks: Tensor
    gains: Tensor


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the N sources have where the targets' pixels lie at some inverse depth."""

    place: Tensor  # (P,2,H,W) in the source
    own: Tensor  # (T,N,H,W) inverse depth of the source there, seen from the source
    confidence: Tensor  # (T,N,H,W)
    consistency: Tensor  # (T,N,H,W) in [0, 1]: whether that is the depth which led there


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
    nearest: int = REGISTERED,
    network: Blending | None = None,
    with_mix: bool = False,
    farther: Float[np.ndarray, " S"] | None = None,
) -> Warp:
    """What the target cameras see of the sources.

    Args:
        frames: colours in [0, 1].
        inverse_depth: 1 / z-depth in the sources' cameras; 0 is infinitely far, negative or NaN is invalid.
        Ts_world_source, Ts_world_target: camera-to-world poses.
        source_intrinsics, target_intrinsics: fx, fy, cx, cy in px of the source's (h, w) and of `size`.
        size: (H, W) of the targets.
        confidence: of the inverse depth, in [0, 1]; None is 1 everywhere.
        nearest: how many sources each target blends.
        network: what makes the colours (`rap.views.blend_network`), on the frames' device; it knows the nearest
            REGISTERED sources. None is their weighed mean, with holes filled smoothly.
        with_mix: tell how the colours were mixed.
        farther: by how much each source counts as farther from all targets than its camera is, near by and, in
            proportion, far away.

    Raises:
        ValueError: shapes that do not agree, an empty size, nearest < 1.
    """
    _check(frames, inverse_depth, Ts_world_source, source_intrinsics, confidence, nearest)
    _check_cameras(Ts_world_target, target_intrinsics, "target")
    H, W = size
    if H < 1 or W < 1:
        raise ValueError(f"size must be a positive (height, width) in pixels, got {tuple(size)}")
    valid = (inverse_depth >= 0) & torch.isfinite(inverse_depth)  # NaN is not
    depth = torch.where(valid, inverse_depth.clamp(min=FAR), 0.0)
    sureness = torch.ones_like(depth) if confidence is None else confidence.clamp(0, 1)
    median = _median_inverse_depth(depth)
    distance = camera_distance(Ts_world_target, Ts_world_source, median)
    if farther is not None:
        distance = distance * (1 + farther / DISTANCE_FLOOR) + farther
    order = np.argsort(distance, axis=1, kind="stable")[:, :nearest]
    distance = np.take_along_axis(distance, order, axis=1)
    zoom = float(np.median(target_intrinsics[:, :2]) / np.median(source_intrinsics[:, :2]))
    sources = _Sources(_prefiltered(frames, zoom), torch.stack([depth, sureness], dim=1), median)
    chunk = CHUNK_PIXELS_CPU if frames.device.type == "cpu" else CHUNK_PIXELS_GPU
    count = max(1, chunk // (order.shape[1] * H * W))
    parts: list[Warp] = []
    for first in range(0, len(order), count):
        rows = slice(first, first + count)
        cameras = (Ts_world_target[rows, None], target_intrinsics[rows, None])
        others = (Ts_world_source[order[rows]], source_intrinsics[order[rows]])
        found = _find(sources, _pairs(sources, order[rows], distance[rows], others, cameras), (H, W))
        parts.append(_coloured(found, order[rows] if with_mix else None, sources.median, network))
    return _joined(parts)


def _joined(parts: list[Warp]) -> Warp:
    """Targets that were made one after the other, together."""
    names = [field.name for field in fields(Warp) if field.name != "mix"]
    whole = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    mixes = [part.mix for part in parts if part.mix is not None]
    if not mixes:
        return Warp(**whole)  # pyright: ignore[reportArgumentType]  # the mix is not among the names
    shares, rest = (torch.cat([getattr(mix, name) for mix in mixes]) for name in ("shares", "rest"))
    return Warp(**whole, mix=Mix(np.concatenate([mix.index for mix in mixes]), shares, rest))


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


# --- some targets -----------------------------------------------------------------------------------------------------


def _find(sources: _Sources, pairs: _Pairs, size: tuple[int, int]) -> _Found:
    """What the targets of these pairs see."""
    T, N = pairs.index.shape
    maps = sources.maps[pairs.index.flatten()]
    colours = sources.colour[pairs.index.flatten()]
    each = close_cracks(splat(maps[:, 0], pairs.forward, size, pairs.repeat)).unflatten(0, (T, N))

    alone = _look(maps, each, pairs)
    seen = alone.consistency >= SEEN
    weight = torch.where(seen, pairs.nearness * alone.consistency * _sureness(alone), 0.0)
    weight = weight * _same_layer(_front(each, weight), each)
    total = weight.sum(dim=1)
    mask = total > 0
    fused = _mean(each, weight, total)

    # The depth of a pixel is that of points beside it; one step along the sources' surfaces takes it to the pixel.
    near = _look(maps, fused[:, None].expand(-1, N, -1, -1), pairs)
    on_surface = near.consistency * weight
    stepped = depth_there(near.place, near.own.flatten(0, 1), pairs.forward).unflatten(0, (T, N))
    fused = torch.where(on_surface.sum(dim=1) > SEEN * total, _mean(stepped, on_surface), fused) * mask

    place = _places(fused[:, None].expand(-1, N, -1, -1), pairs)[0]
    # A share of the weight stays however far a source's own depth is from the mean, or some pixels would have none.
    weight = pairs.nearness * _sureness(near) * near.consistency + CONFIDENCE_FLOOR * weight
    colour = sample(colours, place).unflatten(0, (T, N))
    gains = exposure_gains(colour, weight, pairs.nearness.flatten(1))
    colour = colour * gains[..., None, None, None]
    shares = weight * (mask / weight.sum(dim=1).clamp(min=1e-12))[:, None]
    blended = (colour * shares[:, :, None]).sum(dim=1).clamp(max=1)
    return _Found(mask, total, fused, near, colour, shares, blended, *_own_layers(colours, alone, seen), gains)


def _coloured(found: _Found, index: np.ndarray | None, median: float, network: Blending | None) -> Warp:
    """The colours, by the network if there is one.

    Args:
        index: (T,N) of the sources, where the mix is to be told.
        median: the sources' inverse depth.
    """
    filled, shares = fill_holes(found.blended, found.mask), found.shares
    colour = found.blended
    if network is not None:
        evidence = _evidence(found, filled, median)
        single, mean = network.answer(evidence)
        filled = mixed(evidence, single, mean).clamp(0, 1)
        colour = filled * found.mask[:, None]
        shares = shares if index is None else _all_shares(single, shares)
    layers = found.layer_colours, found.layer_masks
    mix = None
    if index is not None:
        rest = filled - (found.colour * shares[:, :, None]).sum(dim=1)
        mix = Mix(index, shares * found.gains[..., None, None], rest)
    return Warp(colour, filled, found.mask, found.weight, found.inverse_depth, *layers, mix)


def _all_shares(single: Float[Tensor, "T 5 H W"], mean: Float[Tensor, "T N H W"]) -> Float[Tensor, "T N H W"]:
    """What each source has of the picture: its share of the mean and its own. Where it was taken by its own depth it
    counts as if it were by the common one: the difference is left to the rest."""
    shares = mean * (1 - single.sum(dim=1, keepdim=True))
    registered, alone = single.split([REGISTERED, ALONE], dim=1)
    for part in (registered, alone):
        count = min(mean.shape[1], part.shape[1])
        shares[:, :count] += part[:, :count]
    return shares * (mean.sum(dim=1, keepdim=True) > 0)


def _evidence(found: _Found, filled: Tensor, median: float) -> BlendEvidence:
    """What a network is shown; sources that are lacking show nothing."""
    T, N = found.gains.shape
    count, alone = min(N, REGISTERED), min(N, ALONE)
    evidence = BlendEvidence.blank(T, (filled.shape[-2], filled.shape[-1]), filled.device)
    evidence.mean.copy_(filled)
    evidence.shown[:, :count] = in_view(found.near.place).unflatten(0, (T, N))[:, :count] & found.mask[:, None]
    evidence.shown[:, REGISTERED : REGISTERED + alone] = found.layer_masks[:, :alone]
    registered, own = evidence.differences.split([REGISTERED, ALONE], dim=1)
    torch.sub(found.colour[:, :count], filled[:, None], out=registered[:, :count])
    own[:, :alone] = found.layer_colours[:, :alone] * found.gains[:, :alone, None, None, None] - filled[:, None]
    evidence.differences.mul_(evidence.shown[:, :, None])
    consistency, confidence, others = evidence.maps.split([REGISTERED, REGISTERED, 3], dim=1)
    consistency[:, :count] = found.near.consistency[:, :count]
    torch.mul(found.near.confidence[:, :count], evidence.shown[:, :count], out=confidence[:, :count])
    others[:, 0] = found.mask
    others[:, 1] = torch.log1p(found.weight).mul_(1 / WEIGHT_LOG_SCALE)
    torch.div(found.inverse_depth, found.inverse_depth + median, out=others[:, 2])
    return evidence


def _pairs(
    sources: _Sources,
    index: np.ndarray,
    distance: np.ndarray,
    source_cameras: tuple[np.ndarray, np.ndarray],
    target_cameras: tuple[np.ndarray, np.ndarray],
) -> _Pairs:
    """Pairs (T,N) of sources with poses and intrinsics (T,N,…) and targets with (T,1,…)."""
    device = sources.colour.device
    baseline = np.linalg.norm(source_cameras[0][..., :3, 3] - target_cameras[0][..., :3, 3], axis=-1)
    parallax_px = baseline * target_cameras[1][..., :2].mean(axis=-1)
    nearness = (distance + DISTANCE_FLOOR) ** -2.0
    h, w = sources.maps.shape[-2:]
    on_grid = (source_cameras[0], grid_intrinsics(source_cameras[1], (h, w)))
    return _Pairs(
        torch.from_numpy(index).to(device),
        float32(nearness, device)[..., None, None],
        pair_of(on_grid, target_cameras, device),
        pair_of(target_cameras, on_grid, device),
        float32(parallax_px, device)[..., None, None],
        points_a_pixel(source_cameras, target_cameras, sources.median),
    )


def _places(depth: Tensor, pairs: _Pairs) -> tuple[Tensor, Tensor]:
    """Places (P,2,H,W) of the targets' pixels at inverse depth (T,N,H,W) in the sources, and inverse depth (P,H,W)."""
    depth = depth.flatten(0, 1)
    place, there, before = transfer(*pixels((depth.shape[-2], depth.shape[-1]), depth.device), depth, pairs.backward)
    return place, there.mul_(before)


def _look(maps: Tensor, depth: Tensor, pairs: _Pairs) -> _Seen:
    """Look up the sources' maps (P,2,h,w) where the targets' pixels lie at inverse depth (T,N,H,W)."""
    place, expected = _places(depth, pairs)
    own, confidence = (part.unflatten(0, pairs.index.shape) for part in sample(maps, place).unbind(1))
    miss_px = own.sub(expected.unflatten(0, pairs.index.shape)).mul_(pairs.parallax_px / CONSISTENT_PX)
    inside = in_view(place).unflatten(0, pairs.index.shape) & (depth > 0) & (own > 0)
    return _Seen(place, own, confidence, miss_px.square_().mul_(-0.5).exp_().mul_(inside))


def _own_layers(colours: Tensor, alone: _Seen, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (T,2,3,H,W) and masks (T,2,H,W) of the two nearest sources, each by its own depth."""
    T, N = seen.shape[:2]
    first = torch.arange(T * N, device=seen.device).unflatten(0, (T, N))[:, :2].flatten()
    masks = seen[:, :2]
    found = sample(colours[first], alone.place[first]).unflatten(0, masks.shape[:2]) * masks[:, :, None]
    if N < 2:
        found, masks = (torch.cat([part, torch.zeros_like(part)], dim=1) for part in (found, masks))
    return found, masks


def _sureness(seen: _Seen) -> Tensor:
    return CONFIDENCE_FLOOR + (1 - CONFIDENCE_FLOOR) * seen.confidence


def _mean(values: Tensor, weight: Tensor, total: Tensor | None = None) -> Tensor:
    """Mean over the sources, dimension 1, by weights of any sum; 0 where that is 0."""
    total = weight.sum(dim=1) if total is None else total
    return (values * weight).sum(dim=1) / total.clamp(min=1e-12)


# --- layers -----------------------------------------------------------------------------------------------------------


def _front(inverse_depth: Tensor, weight: Tensor) -> Tensor:
    """Inverse depth (T,1,H,W) of the nearest layer that enough weight stands for, of (T,N,H,W) sources.

    The nearest of all would be that of whatever source errs towards the camera (measured: 1.3 dB on real clips).
    """
    agreed = _same_layer(inverse_depth[:, :, None], inverse_depth[:, None])
    support = (agreed * weight[:, None]).sum(dim=2)
    believed = (weight > 0) & (support >= SUPPORT * support.amax(dim=1, keepdim=True))
    return torch.where(believed, inverse_depth, 0.0).amax(dim=1, keepdim=True)


def _same_layer(a: Tensor, b: Tensor) -> Tensor:
    """How far inverse depth b belongs to the layer of a, in [0, 1]; a bell without the cost of an exponential."""
    apart = (a - b).mul_(1 / (LAYER * a).clamp(min=FAR)).square_()
    return apart.mul_(-0.5).add_(1).clamp_(min=0).square_()


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
