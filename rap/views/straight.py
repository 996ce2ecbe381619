"""Whether what is straight in a picture stays so when a camera moves.

A network's depth waves along walls and masts; a move that is too large for it bends their edges, and nothing else that
is wrong is seen as soon. The lines are those that the picture shows (von Gioi et al., LSD, IPOL 2012, by OpenCV).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from rap.views.transfer import pair_matrices

LEAST_LENGTH = 0.06
"""Of the picture's long side: shorter lines bend unseen."""

BENT = 1.5 / 640
"""Root mean square distance of a line's points from the straight line through them, in long sides of what is shown,
from which on it is bent."""

SAMPLES = 32
"""Points of a line that are looked at."""

SIDE_PX = 2
"""A line at the rim of a thing is as near as that: within so many pixels the nearest surface counts."""


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of a picture and how near they are.

    Attributes:
        places: x and y in px of the picture.
        inverse_depth: of the nearest surface there.
        lengths: in px.
        intrinsics: of the picture.
    """

    places: Float[np.ndarray, "N s 2"]
    inverse_depth: Float[np.ndarray, "N s"]
    lengths: Float[np.ndarray, " N"]
    intrinsics: Float[np.ndarray, "4"]

    @classmethod
    def of(
        cls,
        picture_u8: UInt8[np.ndarray, "h w 3"],
        inverse_depth: Float32[np.ndarray, "h w"],
        intrinsics: Float[np.ndarray, "4"],
    ) -> Lines:
        """Those of a picture whose depth is known."""
        found = cv2.createLineSegmentDetector().detect(cv2.cvtColor(picture_u8, cv2.COLOR_RGB2GRAY))[0]
        ends = np.zeros((0, 2, 2)) if found is None else found.reshape(-1, 2, 2).astype(np.float64)
        lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        is_long = lengths > LEAST_LENGTH * max(inverse_depth.shape)
        ends, lengths = ends[is_long], lengths[is_long]
        along = np.linspace(0, 1, SAMPLES)[:, None]
        places = ends[:, :1] * (1 - along) + ends[:, 1:] * along
        side = 2 * SIDE_PX + 1
        nearest = cv2.dilate(inverse_depth, np.ones((side, side), np.uint8))
        h, w = nearest.shape
        x, y = (places[..., axis].astype(int).clip(0, most - 1) for axis, most in ((0, w), (1, h)))
        return cls(places, nearest[y, x].astype(np.float64), lengths, intrinsics)

    def bent_share(
        self, T_picture_camera: Float[np.ndarray, "4 4"], intrinsics: Float[np.ndarray, "4"], size: tuple[int, int]
    ) -> float:
        """How much of the lines' length a camera sees bent, from 0 to 1; 0 where there are no lines.

        Args:
            intrinsics: in px of what it sees, of (H, W).
        """
        if len(self.lengths) == 0:
            return 0.0
        A, e = pair_matrices((np.eye(4), self.intrinsics), (T_picture_camera, intrinsics))
        h = self.places @ A[:, :2].T + A[:, 2] + e * self.inverse_depth[..., None]
        before = (h[..., 2] > 0).all(axis=1)
        there = h[before, :, :2] / h[before, :, 2:]
        centred = there - there.mean(axis=1, keepdims=True)
        # The smaller singular value of points about their mean is what no straight line through them takes away.
        distance = np.linalg.svd(centred, compute_uv=False)[:, 1] / np.sqrt(SAMPLES)
        return float(self.lengths[before][distance > BENT * max(size)].sum() / self.lengths.sum())
