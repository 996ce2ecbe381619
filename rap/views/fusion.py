"""Depth of a film where parallax tells little: the shape of depth of single pictures, at the place of the sweep.

Where no other frame is seen near enough, or nothing has texture (roads, walls, skies, wide steps), a plane sweep is
guessing, and what it guesses looks like rubble from any other path. `rap.views.monocular` has whole shapes there, but
neither scale nor shift, and it bends what is large. So its map of each frame is fitted to the sweep's, first as a whole
(scale and shift of inverse depth), then by what the sweep's sure pixels say of the difference: their residuals are
spread over the picture within equal depth (a bilateral grid: Chen et al., Real-time edge-aware image processing with
the bilateral grid, SIGGRAPH 2007), so that a near thing does not pull along what is behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rap.reconstruction.progress import together
from rap.reconstruction.tracks import PointCloud
from rap.views.depth import DepthMaps, plane_sweep
from rap.views.depth_network import DepthNetwork
from rap.views.monocular import SMALLEST_PX, embedded_monocular_depth

UNSURE, SURE = 0.2, 0.5
"""Confidence up to which nothing of a pixel of the sweep is taken, and from which all of it."""

FEW, ENOUGH = 0.34, 0.41
"""Mean confidence of a film up to which all this is done, and from which nothing: there the sweep is finer than what a
single picture tells (done everywhere, it costs 0.6 dB between the frames of a film: benchmarks/README.md)."""

REACHES_PX = (48.0, 12.0)
"""Standard deviations over which residuals are spread, one after the other."""

CELL_PX, SHELVES, SHELF_REACH = 4, 12, 0.7
"""Of the grid: pixels of a cell, steps of depth, standard deviation over these in steps."""

DOUBT = 0.02
"""Weight, in sure pixels a pixel, of no residual at all."""

TELLS, LEAST_TELLING = 0.15, 20.0
"""Confidence from which a pixel counts in the fit of the whole, and sum of squares without which there is none."""

LEAST_SLOPE, NEAREST_TO_0 = 0.1, 0.02
ROUNDS = 6

Inverse = Float[np.ndarray, "h w"]


def alone(picture_u8: UInt8[np.ndarray, "h w 3"]) -> Inverse:
    """Inverse depth of a picture by itself, seen once: of a film's every frame, where it is bent to others anyway."""
    return 1 / embedded_monocular_depth().predict(picture_u8, careful=False).depth


def film_depth(
    frames: Float[Tensor, "S 3 H W"],
    Ts_world_camera: Float[np.ndarray, "S 4 4"],
    intrinsics: Float[np.ndarray, "S 4"],
    points: PointCloud | None,
    point_frames: Sequence[int] | None,
    network: DepthNetwork | None,
    shape_of: Callable[[UInt8[np.ndarray, "h w 3"]], Inverse] = alone,
) -> DepthMaps:
    """Depth of frames of a film: `plane_sweep`'s, and where that is not sure, the shape that each has alone.

    Args:
        frames, Ts_world_camera, intrinsics, points, point_frames, network: as `plane_sweep` takes them; without the
            network it is not known what is sure, and the sweep stays as it is.
        shape_of: gives inverse depth of a picture by itself, of any unit.
    """
    swept = plane_sweep(frames, Ts_world_camera, intrinsics, points, point_frames=point_frames, network=network)
    share = float(np.clip((ENOUGH - float(swept.confidence.mean())) / (ENOUGH - FEW), 0, 1))
    if share == 0 or network is None or min(frames.shape[-2:]) < SMALLEST_PX or not bool(swept.confidence.any()):
        return swept  # the last: frames from one place, whose plane tells no shape its place
    pictures = (frames.permute(0, 2, 3, 1).cpu() * 255).round().to(torch.uint8).numpy()
    maps = zip(swept.inverse_depth.cpu().numpy(), swept.confidence.cpu().numpy(), pictures, strict=True)
    found = together(lambda of: fused(*of[:2], shape_of(of[2]), share), maps)
    return DepthMaps(torch.from_numpy(np.stack(found)).to(frames.device), swept.confidence)


def fused(swept: Inverse, confidence: Inverse, shape: Inverse, share: float = 1.0) -> Float[np.ndarray, "h w"]:
    """One map of two.

    Args:
        swept, confidence: as `DepthMaps` has them.
        shape: inverse depth of the same picture by itself, of whatever unit.
        share: by how much UNSURE and SURE are lowered: replaced wholly or not at all, for part of a guess is a guess.
    """
    if _telling(confidence).sum() < LEAST_TELLING:
        return swept
    sure = _sure(confidence, share)
    shape = _placed(swept, confidence, shape, sure, REACHES_PX)
    return _positive(sure * swept + (1 - sure) * shape, swept)


def placed(swept: Inverse, confidence: Inverse, shape: Inverse) -> Float[np.ndarray, "h w"]:
    """The shape alone, bent to where the sweep has it as a whole and at large: nothing of the sweep's own grain comes
    along, which from far beside its cameras is rubble. Where the sweep is sure of nothing it tells the median.

    Args:
        swept, confidence, shape: as in `fused`.
    """
    if _telling(confidence).sum() < LEAST_TELLING:
        return _positive(shape * (np.median(swept) / max(np.median(shape), 1e-9)), swept)
    return _positive(_placed(swept, confidence, shape, _sure(confidence, 1.0), REACHES_PX[:1]), swept)


def _placed(
    swept: Inverse, confidence: Inverse, shape: Inverse, sure: Inverse, reaches_px: Sequence[float]
) -> Float[np.ndarray, "h w"]:
    shelves = _Shelves(shape)
    slope, offset = _fitted(shape, swept, _telling(confidence))
    shape = (slope * shape + offset).astype(np.float32)
    for reach_px in reaches_px:
        shape = shape + shelves.spread(swept - shape, sure, reach_px)
    return shape


def _telling(confidence: Inverse) -> Float[np.ndarray, "h w"]:
    """Weights in the fit of the whole."""
    return np.clip(confidence - TELLS, 0, 1) ** 2


def _sure(confidence: Inverse, share: float) -> Float[np.ndarray, "h w"]:
    sure = np.clip((confidence - share * UNSURE) / max(share * (SURE - UNSURE), 1e-6), 0, 1)
    return (sure * sure * (3 - 2 * sure)).astype(np.float32)


def _positive(inverse_depth: Inverse, swept: Inverse) -> Float[np.ndarray, "h w"]:
    return np.maximum(inverse_depth, NEAREST_TO_0 * np.median(swept)).astype(np.float32)


def _fitted(x: Inverse, y: Inverse, weight: Inverse) -> tuple[float, float]:
    """Slope and offset of the line from x to y by reweighted least squares (Cauchy's weights); it never falls."""
    slope, offset, robust = 1.0, 0.0, np.ones_like(weight)
    for _ in range(ROUNDS):
        w = weight * robust
        mean_x, mean_y = (np.average(values, weights=w) for values in (x, y))
        spread = np.average((x - mean_x) ** 2, weights=w)
        slope = np.average((x - mean_x) * (y - mean_y), weights=w) / max(spread, 1e-12)
        slope = float(max(slope, LEAST_SLOPE * mean_y / max(mean_x, 1e-6)))
        offset = float(mean_y - slope * mean_x)
        miss = np.abs(y - slope * x - offset)
        robust = 1 / (1 + (miss / max(2 * np.median(miss[weight > 0]), 1e-9)) ** 2)
    return slope, offset


class _Shelves:
    """A coarse grid over place and depth: each pixel lies between two shelves, by value and by rank half each, so that
    neither a few far values nor a large plane take all of them."""

    def __init__(self, shape: Inverse) -> None:
        low, high = np.percentile(shape, (1, 99))
        value = np.clip((shape - low) / max(high - low, 1e-9), 0, 1)
        rank = shape.ravel().argsort(kind="stable").argsort(kind="stable").reshape(shape.shape) / max(shape.size - 1, 1)
        at = (SHELVES - 1) * 0.5 * (value + rank)
        self._low = np.minimum(at.astype(int), SHELVES - 2)
        self._share = (at - self._low).astype(np.float32)
        self._size = tuple(-(-side // CELL_PX) for side in shape.shape)
        y, x = np.mgrid[: shape.shape[0], : shape.shape[1]]
        self._cell = y // CELL_PX * self._size[1] + x // CELL_PX
        self._place = [((axis + 0.5) / CELL_PX - 0.5).astype(np.float32) for axis in (x, y)]

    def spread(self, values: Inverse, weight: Inverse, reach_px: float) -> Float[np.ndarray, "h w"]:
        """Weighted means of values near in place and in depth; 0 where no weight is near."""
        total, known = (self._blurred(part, reach_px) for part in (weight * values, weight))
        means = total / (known + DOUBT)
        x, y = self._place
        looked_up = np.stack([cv2.remap(one, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for one in means])
        below, above = (np.take_along_axis(looked_up, (self._low + k)[None], axis=0)[0] for k in (0, 1))
        return (1 - self._share) * below + self._share * above

    def _blurred(self, values: Inverse, reach_px: float) -> Float[np.ndarray, "n a b"]:
        """Sums over cells and shelves, a pixel, blurred along all three axes."""
        count = self._size[0] * self._size[1]
        grid = np.zeros(SHELVES * count)
        for k, share in ((0, 1 - self._share), (1, self._share)):
            at = ((self._low + k) * count + self._cell).ravel()
            grid += np.bincount(at, (values * share).ravel(), SHELVES * count)
        shelves = (grid.reshape(SHELVES, *self._size) / CELL_PX**2).astype(np.float32)
        shelves = np.stack([cv2.GaussianBlur(one, (0, 0), reach_px / CELL_PX) for one in shelves])
        kernel = cv2.getGaussianKernel(5, SHELF_REACH)
        beyond = cv2.BORDER_CONSTANT  # nothing
        column = cv2.sepFilter2D(shelves.reshape(SHELVES, -1), -1, np.ones(1), kernel, borderType=beyond)
        return column.reshape(shelves.shape)
