"""One picture as layers: what it shows, and what stands behind and beside it, made once and rendered for any path.

The front layer is the picture, its depth cut at edges and its rims soft (`rap.views.edges`). The back layer lies on a
wider canvas: where something near stands before something far it shows the far side continued, and around the picture
its surfaces go on. All frames of a path show the same layers, so that nothing flickers (Shade et al., Layered depth
images, SIGGRAPH 1998; of one picture, completed: Shih et al., 3D photography using context-aware layered depth
inpainting, CVPR 2020).

The world of the layers is the picture's camera. Lengths are in the unit of 1 / inverse depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rap.geometry.camera import crop_intrinsics
from rap.views import edges
from rap.views.completion import plane_fit
from rap.views.fill import exemplar_fill
from rap.views.guided import guided_upsample
from rap.views.splat import close_cracks, points_a_pixel, splat, splat_points
from rap.views.transfer import depth_there, float32, grid_intrinsics, in_view, pair_of, pixels, sample, transfer
from rap.views.warp import (
    CHUNK_PIXELS_CPU,
    CHUNK_PIXELS_GPU,
    CONSISTENT_PX,
    DISTANCE_FLOOR,
    FAR,
    Warp,
    camera_distance,
    fill_holes,
)

MARGINS = (0.3, 0.4)
"""Of the canvas beyond the picture at each side, in its height and width: about what an arc of 20 degrees sees."""

REACH = 0.6
"""Of the median depth: how far cameras are thought to move sideways; so far they look behind what is near."""

RAMP, RIM = 0.01, 0.004
"""Half of the widest ramp of a network's depth, and of the widest rim of mixed colours, in long sides."""

PLANE_REACH, PLANE_EDGE = 0.12, 0.3
"""Of the planes that continue depth: in long sides of the picture, and as `plane_fit` has it."""

DEPTH_SLACK = (0.5, 1.6)
"""Continued inverse depth stays between these times the picture's 2nd and 98th percentile."""

FARTHEST = 0.5
"""Inverse depth over its median of what is farthest, skies too: where a step to nothing at all follows a soft rim, the
rim is torn to shreds by the first degrees of an arc. Looked at with 0.3, 0.45, 0.5 and 0.6."""

BEHIND = 0.97
"""Inverse depth of what is behind, over that of what hides it, at most."""

IN_FRONT = 0.8
"""Inverse depth of the front layer over that of the back one from which it is shown: what is seen goes before what
is invented, unless that lies clearly nearer."""

STRETCH_PX = 1.0
"""By which neighbours on one surface may be pulled apart before points are put between them."""

MIXED = 0.03
"""By which depth between pixels may miss, relatively, what led there; from twice that on it is that of two surfaces."""

MATTE_NOISE = 0.05
"""Variance of colours against which the share of the near side is estimated; where both are alike the depth decides."""

Fill = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Colours (a, b, 3), smooth in holes, known (a, b) and inverse depth (a, b): the colours with holes filled."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A surface as a camera at the origin sees it.

    Attributes:
        colour: (3, h, w) in [0, 1].
        alpha: (h, w) how much it covers.
        inverse_depth: (h, w) 1 / z-depth, > 0.
        seen: (h, w) 1 where the picture shows it, 0 where it is invented.
        intrinsics: (4,) fx, fy, cx, cy in px of this layer.
    """

    colour: Float[Tensor, "3 h w"]
    alpha: Float[Tensor, "h w"]
    inverse_depth: Float[Tensor, "h w"]
    seen: Float[Tensor, "h w"]
    intrinsics: Float[np.ndarray, "4"]


@dataclass(frozen=True, eq=False)
class Layers:
    """A picture's layers, the first before the others; immutable."""

    layers: tuple[Layer, ...]

    def render(
        self,
        Ts_picture_camera: Float[np.ndarray, "T 4 4"],
        intrinsics: Float[np.ndarray, "T 4"],
        size: tuple[int, int],
    ) -> Warp:
        """What cameras see of the layers.

        Args:
            Ts_picture_camera: poses in the picture's camera.
            intrinsics: in px of `size`.
            size: (H, W) of the result.

        Returns:
            `filled` is the finished picture; `mask` says which of its pixels the picture has shown, `colour` and
            `weight` are 0 elsewhere; `inverse_depth` is that of what is shown, 0 beyond the canvas.
        """
        device = self.layers[0].colour.device
        chunk = CHUNK_PIXELS_CPU if device.type == "cpu" else CHUNK_PIXELS_GPU
        count = max(1, chunk // (size[0] * size[1]))
        parts = []
        for first in range(0, len(Ts_picture_camera), count):
            rows = slice(first, first + count)
            cameras = (Ts_picture_camera[rows], intrinsics[rows])
            parts.append(_composed([_rendered(layer, cameras, size) for layer in self.layers]))
        colour, alpha, seen, inverse_depth = (torch.cat(part) for part in zip(*parts, strict=True))
        return _as_warp(colour, alpha, seen, inverse_depth, self._nearness(Ts_picture_camera))

    def _nearness(self, Ts_picture_camera: np.ndarray) -> Float[Tensor, "T 1 1"]:
        front = self.layers[0].inverse_depth
        distance = camera_distance(Ts_picture_camera, np.eye(4)[None], float(front.median()))[:, 0]
        return float32((distance + DISTANCE_FLOOR) ** -2.0, front.device)[:, None, None]


def lift(
    picture: Float[Tensor, "3 h w"],
    inverse_depth: Float[Tensor, "h w"],
    intrinsics: Float[np.ndarray, "4"],
    margins: tuple[float, float] = MARGINS,
    fill: Fill = exemplar_fill,
) -> Layers:
    """The layers of a picture.

    Args:
        picture: colours in [0, 1].
        inverse_depth: 1 / z-depth, positive; ramps at edges may be soft.
        intrinsics: fx, fy, cx, cy in px of the picture.
        margins: of the canvas, in heights and widths of the picture.
        fill: how what is invented is coloured; others are there to be compared with.

    Raises:
        ValueError: shapes that do not agree, inverse depth that is not positive.
    """
    if picture.ndim != 3 or picture.shape[0] != 3 or inverse_depth.shape != picture.shape[1:]:
        raise ValueError(
            f"picture must be (3, h, w) and inverse_depth (h, w) of the same size, got {tuple(picture.shape)} and "
            f"{tuple(inverse_depth.shape)}"
        )
    if not bool((inverse_depth > 0).all()) or not bool(torch.isfinite(inverse_depth).all()):
        raise ValueError("inverse_depth must be positive and finite everywhere; 0 (infinitely far) must be a small one")
    h, w = inverse_depth.shape
    side = max(h, w)
    median = float(inverse_depth.median())
    bounded = np.maximum(inverse_depth.cpu().numpy() / median, FARTHEST)
    sharp = edges.stepped(bounded, max(2, round(RAMP * side)))
    reach_px = REACH * float(intrinsics[:2].mean())
    colours = picture.permute(1, 2, 0).cpu().numpy()
    near = edges.near_side(sharp, reach_px)
    for _ in range(2):
        sharp = edges.snapped(sharp, near, colours, max(2, round(RAMP * side)))
        near = edges.near_side(sharp, reach_px)
    rim = max(1, round(RIM * side))
    pad = round(margins[0] * h), round(margins[1] * w)
    canvas = _background(colours, sharp, near, rim, pad, fill)
    inner = slice(pad[0], pad[0] + h), slice(pad[1], pad[1] + w)
    front, behind = _soft_rims(colours, sharp, near, canvas.colour[inner], rim)
    canvas.colour[inner] = behind
    canvas.seen[inner] |= front.alpha < 0.5
    shifted = crop_intrinsics(intrinsics, -pad[0], -pad[1])
    whole = np.ones(canvas.seen.shape)
    device = picture.device
    return Layers(
        (
            _layer(front.colour, front.alpha, front.inverse_depth * median, np.ones((h, w)), intrinsics, device),
            _layer(canvas.colour, whole, canvas.inverse_depth * median, canvas.seen, shifted, device),
        )
    )


@dataclass(frozen=True, eq=False)
class _Canvas:
    """What is behind and beside the picture; arrays that `lift` finishes."""

    colour: np.ndarray  # (a,b,3)
    inverse_depth: np.ndarray  # (a,b), median of the picture 1
    seen: np.ndarray  # (a,b) bool


@dataclass(frozen=True, eq=False)
class _Front:
    colour: np.ndarray  # (h,w,3)
    alpha: np.ndarray
    inverse_depth: np.ndarray


def _background(
    colours: np.ndarray, sharp: np.ndarray, near: edges.Near, rim: int, pad: tuple[int, int], fill: Fill
) -> _Canvas:
    """The picture without what stands before something else, continued there and around."""
    known = ~cv2.dilate(near.mask.astype(np.uint8), edges.disc(rim)).astype(bool)
    if not known.any():  # everything is before something: a picture of noise
        known = ~near.mask
    around = [(pad[0], pad[0]), (pad[1], pad[1])]
    seen = np.pad(known, around)
    colour = np.pad(colours, [*around, (0, 0)])
    colour = _filled(colour, seen)
    depth = np.pad(sharp, around)
    planes, _ = plane_fit(
        torch.from_numpy(depth)[None],
        torch.from_numpy(seen.astype(np.float32))[None],
        torch.from_numpy(colour).permute(2, 0, 1)[None],
        reach_px=PLANE_REACH * max(sharp.shape),
        edge=PLANE_EDGE,
    )
    low, high = (slack * np.quantile(sharp, q) for slack, q in zip(DEPTH_SLACK, (0.02, 0.98), strict=True))
    limit = np.pad(np.minimum(near.limit, BEHIND * sharp), around, constant_values=np.inf)
    continued = np.minimum(planes[0].numpy().clip(low, high), limit)
    depth = np.where(seen, depth, continued)
    return _Canvas(fill(colour, seen, depth), depth, seen)


def _soft_rims(
    colours: np.ndarray, sharp: np.ndarray, near: edges.Near, behind: np.ndarray, rim: int
) -> tuple[_Front, np.ndarray]:
    """The front layer, and the colours behind it, which together give the picture again.

    At a rim of `rim` px to either side of a step, the share of the near side is found from both sides' colours, and the
    near one's depth is kept for both sides: what moves is the near side with its soft edge.
    """
    inner = cv2.erode(near.mask.astype(np.uint8), edges.disc(1)).astype(bool)
    silhouette = near.mask & (sharp > edges.JUMP * cv2.erode(sharp, np.ones((3, 3), np.uint8)))
    if not silhouette.any():
        return _Front(colours, np.ones(sharp.shape), sharp), behind
    distance, nearest = edges.nearest_of(silhouette)
    band = (distance <= rim) & (near.mask | (sharp < sharp[silhouette][nearest] / edges.JUMP))
    ahead = _filled(np.where((inner & ~band)[..., None], colours, 0).astype(np.float32), inner & ~band)
    apart = ahead - behind
    prior = guided_upsample(near.mask.astype(np.float32), colours, 2 * rim, edges.FEATHER)
    share = ((colours - behind) * apart).sum(-1) + MATTE_NOISE * prior
    share = (share / ((apart * apart).sum(-1) + MATTE_NOISE)).clip(0, 1)
    alpha = np.where(band, share, 1.0).astype(np.float32)
    # Whatever the share, these two give the picture again; dividing by a small one would make noise of it.
    pure = (colours + (1 - alpha)[..., None] * apart).clip(0, 1)
    rest = (colours - alpha[..., None] * apart).clip(0, 1)
    front = _Front(np.where(band[..., None], pure, colours), alpha, np.where(band, sharp[silhouette][nearest], sharp))
    return front, np.where(band[..., None], rest, behind).astype(np.float32)


def _filled(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
    planes = torch.from_numpy(np.ascontiguousarray(colour)).permute(2, 0, 1)
    return fill_holes(planes[None], torch.from_numpy(known)[None])[0].permute(1, 2, 0).numpy()


def _layer(
    colour: np.ndarray,
    alpha: np.ndarray,
    inverse_depth: np.ndarray,
    seen: np.ndarray,
    intrinsics: np.ndarray,
    device: torch.device,
) -> Layer:
    planes = float32(colour.transpose(2, 0, 1), device)
    covering, depth, shown = (float32(part, device) for part in (alpha, inverse_depth, seen))
    return Layer(planes, covering, depth, shown, np.asarray(intrinsics, dtype=np.float64))


# --- rendering --------------------------------------------------------------------------------------------------------

Seen = tuple[Tensor, Tensor, Tensor, Tensor]
"""Of T targets: colour (T,3,H,W) times alpha, alpha, seen times alpha and inverse depth (T,H,W)."""


def _rendered(layer: Layer, targets: tuple[np.ndarray, np.ndarray], size: tuple[int, int]) -> Seen:
    """One layer, alone."""
    T, device = len(targets[0]), layer.colour.device
    source = (np.broadcast_to(np.eye(4), (T, 4, 4)), np.broadcast_to(layer.intrinsics, (T, 4)))
    h, w = layer.inverse_depth.shape
    on_grid = (source[0], grid_intrinsics(source[1], (h, w)))
    forward, backward = pair_of(on_grid, targets, device), pair_of(targets, on_grid, device)
    depth = layer.inverse_depth.expand(T, h, w)
    repeat = points_a_pixel(source, targets, float(layer.inverse_depth.median()))
    nearest = splat(depth, forward, size, repeat)
    x, y, between = _stretched(layer.inverse_depth, baseline_px(targets).max())
    if len(x):
        nearest = torch.maximum(nearest, splat_points(x, y, between.expand(T, 1, -1), forward, size))
    nearest = close_cracks(nearest)
    place, expected, before = transfer(*pixels(size, device), nearest, backward)
    # The depth of a pixel is that of a point beside it; one step along the surface takes it to the pixel.
    own = sample(depth[:, None], place, "nearest")[:, 0]
    on_surface = (own - expected).abs() < (1 - 1 / edges.JUMP) * expected
    stepped = torch.where(on_surface, depth_there(place, own, forward), nearest)
    place, expected, before = transfer(*pixels(size, device), stepped, backward)
    maps = torch.cat([layer.colour * layer.alpha, layer.alpha[None], (layer.seen * layer.alpha)[None]])
    found = sample(torch.cat([maps, layer.inverse_depth[None]]).expand(T, -1, -1, -1), place)
    # Between two surfaces the colours of both would be mixed, and drawn as a line along the near one.
    miss = (found[:, 5] - expected).abs()
    miss_px = miss * float32(baseline_px(targets), device)[:, None, None]  # from where the picture was taken none
    mixed = torch.minimum(miss / (MIXED * expected).clamp(min=FAR), miss_px / CONSISTENT_PX)
    shown = (2 - mixed).clamp(0, 1) * (in_view(place) & before & (nearest > 0))
    return found[:, :3] * shown[:, None], found[:, 3] * shown, found[:, 4] * shown, stepped * (shown > 0)


def baseline_px(cameras: tuple[np.ndarray, np.ndarray]) -> Float[np.ndarray, " T"]:
    """Pixels that what lies at inverse depth 1 moves at most."""
    return np.linalg.norm(cameras[0][:, :3, 3], axis=-1) * cameras[1][:, :2].mean(axis=-1)


def _stretched(inverse_depth: Tensor, baseline_px: float) -> tuple[Tensor, Tensor, Tensor]:
    """Points between those of pixels that a camera so far away pulls apart, as places in [-1, 1] and inverse depth.

    Depth goes evenly from each pixel to its neighbours on the same surface; beyond an edge it stays.
    """
    h, w = inverse_depth.shape
    padded = F.pad(inverse_depth[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    shifts = [(dy, dx) for dy in (0, 1, 2) for dx in (0, 1, 2)]
    around = torch.stack([padded[dy : dy + h, dx : dx + w] for dy, dx in shifts])
    beyond = (around / inverse_depth).log().abs() > np.log(edges.JUMP)
    around = torch.where(beyond, inverse_depth, around)
    rows, columns = torch.nonzero(((around - inverse_depth).abs().amax(0) * baseline_px) > STRETCH_PX, as_tuple=True)
    slopes = around[:, rows, columns] - inverse_depth[rows, columns]
    x = (columns + 0.5)[None] + torch.tensor([dx - 1 for _, dx in shifts])[:, None] / 3
    y = (rows + 0.5)[None] + torch.tensor([dy - 1 for dy, _ in shifts])[:, None] / 3
    between = inverse_depth[rows, columns] + slopes / 3
    return (x * (2 / w) - 1).flatten(), (y * (2 / h) - 1).flatten(), between.flatten()


def _composed(parts: list[Seen]) -> Seen:
    """The layers over each other, the first in front unless it lies clearly behind."""
    colour, alpha, seen, depth = parts[0]
    for back_colour, back_alpha, back_seen, back_depth in parts[1:]:
        front = ((depth - IN_FRONT * back_depth) / (0.1 * back_depth).clamp(min=1e-6)).clamp(0, 1)
        through = 1 - alpha * front
        depth = torch.where(alpha * front >= 0.5, depth, torch.where(back_alpha > 0, back_depth, depth))
        colour = colour * front[:, None] + through[:, None] * back_colour
        seen = seen * front + through * back_seen
        alpha = alpha * front + through * back_alpha
    return colour, alpha, seen, depth


def _as_warp(colour: Tensor, alpha: Tensor, seen: Tensor, inverse_depth: Tensor, nearness: Tensor) -> Warp:
    covered = alpha > 0.5
    finished = fill_holes(torch.where(covered[:, None], colour / alpha.clamp(min=0.5)[:, None], 0.0), covered)
    mask = covered & (seen >= 0.5 * alpha)
    shown = finished * mask[:, None]
    alone = torch.stack([shown, torch.zeros_like(shown)], dim=1)
    return Warp(
        shown,
        finished.clamp(0, 1),
        mask,
        nearness * seen,
        inverse_depth * covered,
        alone,
        torch.stack([mask, torch.zeros_like(mask)], dim=1),
    )
