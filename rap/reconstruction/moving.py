"""What moves by itself: places where points were followed that no scene at rest explains.

The adjustment leaves such points aside by its robust weights, and so do depth and warp by their errors; a path among
people and cars is found all the same, as long as most of the picture rests. Here they are looked for on purpose. One
point that does not fit is a track gone astray; several together, where few others fit, are a thing that moves.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy.lib.stride_tricks import sliding_window_view

from rap.reconstruction.tracks import Tracks, locate, median_per_point

CELLS = 28  # along the long side of the picture: a person far away is one cell wide
MISFIT_PX = 1.5  # median error of a point that moves, in images of 224 px; what rests has a tenth of that
MIN_VIEWS = 5  # a point seen less often fits anything
MIN_MOVING = 3  # points, in a cell and those around it
ROUNDS = 4
WORTH_SAYING = 0.01  # of the picture: edges of near things alone give half of it
DIM = 0.4


def moving_cells(
    tracks: Tracks, Ts_world_camera: Float[np.ndarray, "t 4 4"], intrinsics: Float[np.ndarray, "t 4"]
) -> Bool[np.ndarray, "t rows columns"]:
    """Which cells of each frame show things that move, about CELLS along the long side; without texture none.

    Args:
        tracks: points followed through T frames, those that do not fit among them.
        Ts_world_camera: poses found; of a camera that only turns without translations.
        intrinsics: (T, 4) px.
    """
    shape = cell_counts(tracks.image_size)
    seen = tracks.at_least(MIN_VIEWS)
    if seen.num_points == 0:
        return np.zeros((tracks.num_frames, *shape), dtype=bool)
    _, residual_px, _ = locate(seen, Ts_world_camera, intrinsics, ROUNDS)
    limit_px = MISFIT_PX * max(1.0, max(seen.image_size) / 224)
    moves = (median_per_point(residual_px, seen) > limit_px)[seen.point]
    own, moving = _counted(seen, moves, shape), _around(seen, moves, shape)
    return (own > 0) & (moving >= MIN_MOVING) & (moving > _around(seen, ~moves, shape))


def cell_counts(image_size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of cells in pictures of (h, w)."""
    h, w = image_size
    side = max(h, w) / CELLS
    return max(1, round(h / side)), max(1, round(w / side))


def _counted(tracks: Tracks, which: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(T, rows, columns) how many of some observations, by (N,) mask, lie in each cell."""
    cell = np.minimum((tracks.xy[which][:, ::-1] / tracks.image_size * shape).astype(int), np.array(shape) - 1)
    cell = np.maximum(cell, 0)
    counts = np.zeros((tracks.num_frames, *shape))
    np.add.at(counts, (tracks.frame[which], cell[:, 0], cell[:, 1]), 1)
    return counts


def _around(tracks: Tracks, which: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The same for a cell and the eight around it."""
    counts = np.pad(_counted(tracks, which, shape), ((0, 0), (1, 1), (1, 1)))
    return sliding_window_view(counts, (3, 3), (1, 2)).sum(axis=(-2, -1))


def moving_words(share: float) -> str:
    """A sentence on how much of the picture moves; empty where that is next to nothing, or was not looked for."""
    if not share >= WORTH_SAYING:
        return ""
    return f" At least {share:.0%} of the picture moves by itself, and was left aside."


def shown_moving(
    frames_u8: UInt8[np.ndarray, "t h w 3"], cells: Bool[np.ndarray, "t rows columns"]
) -> UInt8[np.ndarray, "t h w 3"]:
    """The frames with what moves as it is, all else grey and dim."""
    h, w = frames_u8.shape[1:3]
    grey = frames_u8.mean(axis=-1, keepdims=True) * DIM
    masks = [cv2.resize(mask.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) for mask in cells]
    return np.where(np.stack(masks)[..., None] > 0, frames_u8, grey.astype(np.uint8))
