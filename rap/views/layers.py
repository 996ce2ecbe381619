"""One picture as layers: what it shows, and what stands behind and beside it, made once and rendered for any path.

The front layer is the picture, its depth cut at edges and its rims soft (`rap.views.edges`). The back layer lies on a
wider canvas: where something near stands before something far it shows the far side continued, and around the picture
its surfaces go on. All frames of a path show the same layers, so that nothing flickers (Shade et al., Layered depth
images, SIGGRAPH 1998; of one picture, completed: Shih et al., 3D photography using context-aware layered depth
inpainting, CVPR 2020).

The world of the layers is the picture's camera. Lengths are in the unit of 1 / inverse depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rap.geometry.camera import crop_intrinsics, resize_intrinsics
from rap.reconstruction.progress import together
from rap.views import edges
from rap.views.completion import plane_fit
from rap.views.fill import exemplar_fill
from rap.views.guided import guided_upsample
from rap.views.monocular import unit_of
from rap.views.planes import straightened
from rap.views.splat import close_cracks, points_a_pixel, splat, splat_points
from rap.views.transfer import Cameras, depth_there, float32, grid_intrinsics, pair_of, pixels, transfer
from rap.views.upright import upright
from rap.views.warp import (
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

SMOOTH = 0.005
"""Of a network's depth, in long sides: what is finer it has from textures."""

RAMP, RIM = 0.03, 0.004
"""Half of the widest ramp of a network's depth, and of the widest rim of mixed colours, in long sides."""

PLANE_REACH, PLANE_EDGE = 0.12, 0.3
"""Of the planes that continue depth: in long sides of the picture, and as `plane_fit` has it."""

BESIDE, BELOW = (0.67, 1.25), (0.67, 1.6)
"""Continued inverse depth stays between these times that of the nearest pixel of the picture: beside and above it, and
below, where the ground comes nearer."""

FARTHEST = 0.5
"""Inverse depth over its unit (`monocular.unit_of`) of what is farthest, skies too: where a step to nothing at all
follows a soft rim, the rim is torn to shreds by the first degrees of an arc. Looked at with 0.3, 0.45, 0.5 and 0.6."""

BEHIND = 0.97
"""Inverse depth of what is behind, over that of what hides it, at most."""

STRETCHES = ((1.0, 3.0, (1 / 3, 2 / 3)), (3.0, np.inf, (1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6)))
"""Of neighbours on one surface that are pulled apart: from how many px to how many, and at which parts of the way from
one to the other points are put between them."""

QUICK_STRETCHES = STRETCHES[1:]
"""Of a picture that is gone in a moment: cracks of a pixel or two close by themselves, and most points are in those."""

STEP_PX = 0.5
"""By which a pixel's place may be mended along its surface."""

MIXED = 0.045
"""By which depth between pixels may miss, relatively, what led there; from twice that on it is that of two surfaces."""

FEATHER = 1e-4
"""Variance of colours in [0, 1] below which a window of the near side's mask has no edge that the rim could follow."""

LEAST_SHARE = 0.1
"""Of the near side in a pixel of its rim; what has less is not its."""

MATTE_NOISE = 0.05
"""Variance of colours against which the share of the near side is estimated; where both are alike the depth decides."""

QUICK_SQUARE = 8
"""Side in px of the squares from whose means holes of a glimpse are filled."""

ORIGIN = np.eye(4)[None]
CPU = torch.device("cpu")
LINEAR = cv2.INTER_LINEAR
SHIFTS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""From a pixel to its neighbours, each pair of pixels once."""

STRIP_PIXELS = 1 << 19
"""Of a frame, looked up at a time: of 1920 x 1440 all at once would hold 0.1 GB more. Fewer are not faster."""

SQUARE = 16
"""Side in px of the squares of a layer that are in a camera's view or not."""

CORNERS = ((0, 0), (0, SQUARE), (SQUARE, 0), (SQUARE, SQUARE))

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

    @cached_property
    def covering(self) -> Float[Tensor, "h w 4"]:
        """Colour times alpha, and alpha."""
        return torch.cat([self.colour * self.alpha, self.alpha[None]]).permute(1, 2, 0).contiguous()

    def halved(self) -> Layer:
        """The same at half the height and width."""
        h, w = self.inverse_depth.shape
        size = (h + 1) // 2, (w + 1) // 2
        covering = F.interpolate(self.covering.permute(2, 0, 1)[None], size=size, mode="area")[0]
        colour, alpha = covering[:3] / covering[3].clamp(min=1e-3), covering[3]
        # Not the mean of depths: between two surfaces there is none.
        depth, seen = F.interpolate(
            torch.stack([self.inverse_depth, self.seen])[None], size=size, mode="nearest-exact"
        )[0]
        return Layer(colour, alpha, depth, seen, resize_intrinsics(self.intrinsics, (h, w), size))

    @cached_property
    def seen_part(self) -> Float[Tensor, "h w"]:
        """How much of what covers was seen."""
        return self.seen * self.alpha

    @cached_property
    def bounds(self) -> list[Float[Tensor, "1 n m"]]:
        """Inverse depth at its least and at its greatest in each square of SQUARE px."""
        depth = self.inverse_depth[None, None]
        return [F.max_pool2d(sign * depth, SQUARE, ceil_mode=True)[0] * sign for sign in (-1, 1)]

    @cached_property
    def median(self) -> float:
        """Of inverse depth."""
        return float(self.inverse_depth.median())

    @cached_property
    def steps(self) -> Float[Tensor, "4 h w"]:
        """Differences of inverse depth to neighbours on the same surface."""
        return torch.stack(list(_steps(self.inverse_depth)))

    @cached_property
    def greatest_step(self) -> Float[Tensor, "h w"]:
        """Of `steps`, whatever its sign."""
        return torch.maximum(self.steps.amax(0), -self.steps.amin(0))


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
        # One by one, so that a frame is the same whatever is asked for beside it.
        cameras = [(pose[None], lens[None]) for pose, lens in zip(Ts_picture_camera, intrinsics, strict=True)]
        parts = [_composed([_rendered(layer, camera, size) for layer in self.layers]) for camera in cameras]
        colour, alpha, seen, inverse_depth = (torch.cat(part) for part in zip(*parts, strict=True))
        return _as_warp(colour, alpha, seen, inverse_depth, self._nearness(Ts_picture_camera))

    def glimpse(
        self, T_picture_camera: Float[np.ndarray, "4 4"], intrinsics: Float[np.ndarray, "4"], size: tuple[int, int]
    ) -> Float[Tensor, "3 H W"]:
        """The finished picture of `render`, of one camera, in less time: hardly another.

        What is behind shows where it was hidden or invented, and at soft rims: half the size does for it.
        """
        camera = T_picture_camera[None], intrinsics[None]
        half = (size[0] + 1) // 2, (size[1] + 1) // 2
        asked = [(self.layers[0], size), *((layer, half) for layer in self._halves)]
        shown, *behind = together(partial(_glimpsed, camera=camera, size=size), asked)
        for part in behind:
            shown = torch.addcmul(shown, 1 - shown[:, 3:], part)
        colour, alpha = shown[:, :3], shown[:, 3]
        return _finished(colour, alpha > 0.5, alpha, quickly=True)[0].clamp(0, 1)

    @cached_property
    def _halves(self) -> tuple[Layer, ...]:
        """Of those behind the first, half in height and width."""
        return tuple(layer.halved() for layer in self.layers[1:])

    def _nearness(self, Ts_picture_camera: np.ndarray) -> Float[Tensor, "T 1 1"]:
        front = self.layers[0]
        distance = camera_distance(Ts_picture_camera, np.eye(4)[None], front.median)[:, 0]
        return float32((distance + DISTANCE_FLOOR) ** -2.0, front.inverse_depth.device)[:, None, None]


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
    unit = unit_of(inverse_depth.cpu().numpy())
    bounded = np.maximum(inverse_depth.cpu().numpy() / unit, FARTHEST)
    colours = np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy())
    smooth = cv2.GaussianBlur(bounded.astype(np.float32), (0, 0), SMOOTH * side)
    sharp = edges.cut(straightened(smooth), colours, max(2, round(RAMP * side)))
    sharp = straightened(upright(sharp, float(intrinsics[1])))
    sharp *= np.median(bounded) / np.median(sharp)  # the unit of length stays what it was
    near = edges.near_side(sharp, REACH * float(intrinsics[:2].mean()))
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
            layer_of(front.colour, front.alpha, front.inverse_depth * unit, np.ones((h, w)), intrinsics, device),
            layer_of(canvas.colour, whole, canvas.inverse_depth * unit, canvas.seen, shifted, device),
        )
    )


@dataclass(frozen=True, eq=False)
class _Canvas:
    """What is behind and beside the picture; arrays that `lift` finishes."""

    colour: np.ndarray  # (a,b,3)
    inverse_depth: np.ndarray  # (a,b), that of the picture's unit 1
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
    rim_depth = np.pad(sharp, around, mode="edge")
    below = np.arange(len(depth))[:, None] >= pad[0] + len(sharp)
    low, high = (np.where(below, down, beside) * rim_depth for down, beside in zip(BELOW, BESIDE, strict=True))
    behind = np.where(near.mask, np.minimum(near.limit, BEHIND * sharp), sharp)
    limit = np.pad(behind, around, constant_values=np.inf)
    inside = np.pad(np.ones(sharp.shape, bool), around)
    continued = np.where(inside, np.minimum(planes[0].numpy(), limit), planes[0].numpy().clip(low, high))
    continued = np.maximum(continued, FARTHEST)
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
    ahead, beyond = (_filled(colours * known[..., None], known) for known in (inner & ~band, ~near.mask & ~band))
    apart = ahead - beyond
    prior = guided_upsample(near.mask.astype(np.float32), colours, 2 * rim, FEATHER)
    share = ((colours - beyond) * apart).sum(-1) + MATTE_NOISE * prior
    share = (share / ((apart * apart).sum(-1) + MATTE_NOISE)).clip(0, 1)
    alpha = np.where(band, share, 1.0).astype(np.float32)[..., None]
    # Over what is behind, the front gives the picture again; where none of its colours could, what is behind changes.
    alpha[alpha < LEAST_SHARE] = 0
    pure = ((colours - (1 - alpha) * behind) / np.maximum(alpha, LEAST_SHARE)).clip(0, 1)
    pure = np.where(band[..., None], np.where(alpha > 0, pure, ahead), colours)
    rest = ((colours - alpha * pure) / np.maximum(1 - alpha, LEAST_SHARE)).clip(0, 1)
    rest = np.where(band[..., None] & (alpha < 1 - LEAST_SHARE), rest, behind)
    return _Front(pure, alpha[..., 0], np.where(band, sharp[silhouette][nearest], sharp)), rest.astype(np.float32)


def _filled(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
    planes = torch.from_numpy(np.ascontiguousarray(colour)).permute(2, 0, 1)
    return fill_holes(planes[None], torch.from_numpy(known)[None])[0].permute(1, 2, 0).numpy()


def layer_of(
    colour: np.ndarray,
    alpha: np.ndarray,
    inverse_depth: np.ndarray,
    seen: np.ndarray,
    intrinsics: np.ndarray,
    device: torch.device,
) -> Layer:
    """A layer of arrays: colour (h, w, 3), the others (h, w), intrinsics in px of them."""
    planes = float32(colour.transpose(2, 0, 1), device)
    covering, depth, shown = (float32(part, device) for part in (alpha, inverse_depth, seen))
    return Layer(planes, covering, depth, shown, np.asarray(intrinsics, dtype=np.float64))


# --- rendering --------------------------------------------------------------------------------------------------------

Seen = tuple[Tensor, Tensor, Tensor, Tensor]
"""Of T targets: colour (T,3,H,W) times alpha, alpha, seen times alpha and inverse depth (T,H,W)."""


Stretches = tuple[tuple[float, float, tuple[float, ...]], ...]


def _rendered(layer: Layer, camera: Cameras, size: tuple[int, int]) -> Seen:
    """One layer, alone, from one camera (its arrays have a first axis of length 1)."""
    nearest = _nearest(layer, camera, size, STRETCHES)
    covering, seen, inverse_depth = (torch.empty(1, *rows, *size) for rows in ((4,), (), ()))
    for rows in strips(size):
        place, stepped, shown = _placed(layer, camera, nearest[:, rows], rows.start)
        covering[:, :, rows] = _covering(layer, place, shown)
        seen[:, rows] = _looked_up(layer.seen_part, place, LINEAR) * shown
        inverse_depth[:, rows] = stepped * (shown > 0)
    return covering[:, :3], covering[:, 3], seen, inverse_depth


def _glimpsed(asked: tuple[Layer, tuple[int, int]], camera: Cameras, size: tuple[int, int]) -> Float[Tensor, "1 4 H W"]:
    """Colour times alpha, and alpha, of a layer, made at a size of its own; camera and result are of `size`."""
    layer, own_size = asked
    own_camera = camera[0], resize_intrinsics(camera[1], size, own_size)
    place, _, shown = _placed(layer, own_camera, _nearest(layer, own_camera, own_size, QUICK_STRETCHES))
    found = _covering(layer, place, shown)
    return found if own_size == size else F.interpolate(found, size=size, mode="bilinear")


def _nearest(layer: Layer, camera: Cameras, size: tuple[int, int], stretches: Stretches) -> Float[Tensor, "1 H W"]:
    """Inverse depth of every pixel, from the points of the layer that fall into it or beside it; 0 where none does."""
    rows, columns = _in_sight(layer, camera, size)
    lens = crop_intrinsics(layer.intrinsics, rows.start, columns.start)
    part = layer.inverse_depth[rows, columns]
    to_target = pair_of((ORIGIN, grid_intrinsics(lens, (part.shape[0], part.shape[1]))[None]), camera, CPU)
    nearest = splat(part[None], to_target, size, points_a_pixel((ORIGIN, layer.intrinsics[None]), camera, layer.median))
    x, y, between = _stretched(layer, rows, columns, baseline_px(camera), stretches)
    if len(x):
        nearest = torch.maximum(nearest, splat_points(x, y, between[None], to_target, size))
    return close_cracks(nearest)


def _placed(
    layer: Layer, camera: Cameras, nearest: Float[Tensor, "1 n W"], top: int = 0
) -> tuple[Float[Tensor, "1 2 n W"], Float[Tensor, "1 n W"], Float[Tensor, "1 n W"]]:
    """Of every pixel of some rows, from `top` on: where on the layer that is which it shows, in px, its inverse depth,
    and how much it shows it."""
    source, (x, y) = (ORIGIN, layer.intrinsics[None]), pixels((nearest.shape[1], nearest.shape[2]), CPU)
    y = y + top
    forward, backward = pair_of(source, camera, CPU), pair_of(camera, source, CPU)
    place, expected, before = transfer(x, y, nearest, backward)
    # The depth of a pixel is that of a point beside it; one step along the surface takes it to the pixel, but on one
    # that is pulled apart, where points lie closer, past it.
    own, there = (_looked_up(layer.inverse_depth, place, method) for method in (cv2.INTER_NEAREST, LINEAR))
    own = torch.where((there - own).abs() < (1 - 1 / edges.JUMP) * own, there, own)
    on_surface = (own - expected).abs() * baseline_px(camera) < STEP_PX
    stepped = torch.where(on_surface, depth_there(place, own, forward), nearest)
    place, expected, before = transfer(x, y, stepped, backward)
    there = _looked_up(layer.inverse_depth, place, LINEAR)
    # Between two surfaces the colours of both would be mixed, and drawn as a line along the near one.
    miss = (there - expected).abs()
    mixed = torch.minimum(miss / (MIXED * expected).clamp(min=FAR), miss * (baseline_px(camera) / CONSISTENT_PX))
    h, w = layer.inverse_depth.shape
    within = (place[:, 0] >= 0) & (place[:, 0] <= w) & (place[:, 1] >= 0) & (place[:, 1] <= h)
    return place, stepped, (2 - mixed).clamp(0, 1) * (within & before & (nearest > 0))


def _covering(layer: Layer, place: Tensor, shown: Tensor) -> Float[Tensor, "1 4 H W"]:
    """Colour times alpha, and alpha, of what is shown of a layer at these places.

    Cubic: between pixels straight interpolation blurs, and where a grid is stretched that is seen as a grid.
    """
    colour, alpha = _looked_up(layer.covering, place, cv2.INTER_CUBIC).permute(0, 3, 1, 2).contiguous().split([3, 1], 1)
    colour = (colour / alpha.clamp(min=1e-3)).clamp_(0, 1)  # first, for both overshoot alike
    alpha = alpha.clamp(0, 1) * shown[:, None]
    return torch.cat([colour * alpha, alpha], dim=1)


def strips(size: tuple[int, int]) -> Iterator[slice]:
    """Rows of a picture (H, W), some at a time."""
    height = max(1, STRIP_PIXELS // size[1])
    return (slice(top, min(top + height, size[0])) for top in range(0, size[0], height))


def baseline_px(camera: Cameras) -> float:
    """Pixels that what lies at inverse depth 1 moves at most; none from where the picture was taken."""
    return float(np.linalg.norm(camera[0][0, :3, 3]) * camera[1][0, :2].mean())


def _looked_up(
    maps: Float[Tensor, "h w *c"], place: Float[Tensor, "1 2 H W"], method: int
) -> Float[Tensor, "1 H W *c"]:
    """Values at places in px, the edge's beyond it."""
    x, y = (axis.numpy() - 0.5 for axis in place[0])
    return torch.from_numpy(cv2.remap(maps.numpy(), x, y, method, borderMode=cv2.BORDER_REPLICATE))[None]


def _in_sight(layer: Layer, camera: Cameras, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the layer outside which nothing is in the camera's view.

    Where a square of it lies is between where its corners lie at its least and at its greatest inverse depth.
    """
    h, w = layer.inverse_depth.shape
    forward = pair_of((ORIGIN, layer.intrinsics[None]), camera, layer.inverse_depth.device)
    y, x = (torch.arange(n, dtype=torch.float32) * SQUARE for n in layer.bounds[0].shape[1:])
    corners = [transfer(x + dx, y[:, None] + dy, bound, forward)[::2] for bound in layer.bounds for dy, dx in CORNERS]
    places, before = (torch.cat(parts) for parts in zip(*corners, strict=True))
    low, high = places.amin(0), places.amax(0)
    inside = (high[0] >= -1) & (low[0] <= size[1] + 1) & (high[1] >= -1) & (low[1] <= size[0] + 1)
    inside |= ~before.all(0)
    found = []
    for count, used in ((h, inside.any(1)), (w, inside.any(0))):
        at = torch.nonzero(used)[:, 0].tolist() or [0]
        found.append(slice(at[0] * SQUARE, min(count, (at[-1] + 1) * SQUARE)))
    return found[0], found[1]


def _steps(inverse_depth: Float[Tensor, "h w"]) -> Iterator[Float[Tensor, "h w"]]:
    """Differences to the neighbours at SHIFTS; 0 beyond an edge, where another surface begins."""
    h, w = inverse_depth.shape
    padded = F.pad(inverse_depth[None, None], (1, 1, 0, 1), mode="replicate")[0, 0]
    for dy, dx in SHIFTS:
        other = padded[dy : dy + h, 1 + dx : 1 + dx + w]
        same = torch.maximum(other, inverse_depth) <= edges.JUMP * torch.minimum(other, inverse_depth)
        yield (other - inverse_depth) * same


def _stretched(
    layer: Layer, rows: slice, columns: slice, baseline_px: float, stretches: Stretches
) -> tuple[Tensor, Tensor, Tensor]:
    """Points between those pixels of a part of a layer that a camera so far away pulls apart, as places in [-1, 1] of
    the part and inverse depth.

    On one surface depth goes evenly from each pixel to its neighbours.
    """
    inverse_depth, steps = layer.inverse_depth[rows, columns], layer.steps[:, rows, columns]
    h, w = inverse_depth.shape
    # What is apart is a small part: it is looked for once, and only looked at after that.
    least = stretches[0][0] / max(baseline_px, 1e-9)
    y, x = torch.nonzero(layer.greatest_step[rows, columns] > least, as_tuple=True)
    shifts, there = torch.nonzero(steps[:, y, x].abs() > least, as_tuple=True)
    y, x = y[there], x[there]
    towards = steps[shifts, y, x]
    apart = towards.abs() * baseline_px
    own = inverse_depth[y, x]
    dy, dx = torch.tensor(SHIFTS, dtype=torch.float32).T[:, shifts]
    found = []
    for least, most, parts in stretches:
        (here,) = torch.nonzero((apart > least) & (apart <= most), as_tuple=True)
        for part in parts:
            at = x[here] + 0.5 + dx[here] * part, y[here] + 0.5 + dy[here] * part
            found.append((*at, own[here] + towards[here] * part))
    x, y, between = (torch.cat(each) for each in zip(*found, strict=True))
    return x * (2 / w) - 1, y * (2 / h) - 1, between


def _composed(parts: list[Seen]) -> Seen:
    """The layers over each other. What is seen goes before what is invented, even where that came to lie nearer: a
    surface continued beside the picture may be anywhere, and would stand in the way."""
    colour, alpha, seen, depth = parts[0]
    for back_colour, back_alpha, back_seen, back_depth in parts[1:]:
        through = 1 - alpha
        depth = torch.where(alpha >= 0.5, depth, torch.where(back_alpha > 0, back_depth, depth))
        colour = colour + through[:, None] * back_colour
        seen = seen + through * back_seen
        alpha = alpha + through * back_alpha
    return colour, alpha, seen, depth


def _finished(colour: Tensor, covered: Tensor, alpha: Tensor, quickly: bool = False) -> Tensor:
    """Colours (T,3,H,W) of alpha 1, holes filled: quickly from means of squares, which shows where they are large."""
    finished = torch.where(covered[:, None], colour / alpha.clamp(min=0.5)[:, None], 0.0)
    if bool(covered.all()):
        return finished
    if not quickly:
        return fill_holes(finished, covered)
    known = F.avg_pool2d(covered[:, None].float(), QUICK_SQUARE, ceil_mode=True)
    mean = F.avg_pool2d(finished, QUICK_SQUARE, ceil_mode=True) / known.clamp(min=1e-6)
    smooth = F.interpolate(fill_holes(mean, known[:, 0] > 0), size=covered.shape[1:], mode="bilinear")
    return torch.where(covered[:, None], finished, smooth)


def _as_warp(colour: Tensor, alpha: Tensor, seen: Tensor, inverse_depth: Tensor, nearness: Tensor) -> Warp:
    covered = alpha > 0.5
    finished = _finished(colour, covered, alpha)
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
