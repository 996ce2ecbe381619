"""Points followed through every frame of a film, and the key frames that its path is built on.

Neighbouring frames differ little, so that Lucas-Kanade holds from one to the next; what is lost is made up for by new
corners, which are followed back as well. Key frames are as far apart as their points allow: the path is built on these
(`rap.reconstruction.growth`), and the frames between are tied to it (`rap.reconstruction.tie`).
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from rap.reconstruction.progress import tell
from rap.reconstruction.tracks import (
    CORNER_QUALITY,
    FORWARD_BACKWARD_PX,
    Tracks,
    check_frames,
    follow_seeds,
    followed_step,
)

CORNERS = 350  # followed at a time
RENEWED_BELOW = 0.8  # of them: then new ones are looked for
RENEWED_EVERY = 4  # frames, whatever is left, so that what comes into view is seen
REACH_BACK = 60  # frames
KEY_RULES = ((0.08, 0.6), (0.05, 0.7), (0.03, 0.8), (0.015, 0.9))
"""A frame is a key when its shared points have moved by this share of the long side since the last key, or fewer than
the second share of that one's are left; the first rule that gives enough key frames is taken."""
MIN_KEYS, MIN_KEY_SHARE = 20, 0.6  # key frames, or this share of all


def follow_film(frames_u8: UInt8[np.ndarray, "f h w 3"]) -> Tracks:
    """Tracks through all F frames: about CORNERS in each, forward until they are lost and REACH_BACK frames back."""
    greys = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in check_frames(frames_u8)]
    h, w = greys[0].shape
    seeds, first, found, count = {}, {}, [], 0
    ids, xy = np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
    for i, grey in enumerate(greys):
        tell("follow", i / len(greys))
        if i:
            xy, good = followed_step(greys[i - 1], grey, xy, FORWARD_BACKWARD_PX)
            xy, ids = xy[good], ids[good]
        if len(xy) < RENEWED_BELOW * CORNERS or i % RENEWED_EVERY == 0:
            seeds[i], first[i] = _new_corners(grey, xy), count
            count += len(seeds[i])
            ids = np.concatenate([ids, np.arange(first[i], count)])
            xy = np.concatenate([xy, seeds[i]])
        found.append((np.full(len(ids), i), ids, xy))
    found += follow_seeds(greys, seeds, first, -1, REACH_BACK, FORWARD_BACKWARD_PX)
    frame, point, positions = (np.concatenate(column) for column in zip(*found, strict=True))
    return Tracks.build(frame, point, positions + 0.5, len(greys), (h, w))


def _new_corners(grey: UInt8[np.ndarray, "h w"], xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "m 2"]:
    """Corners away from the points that are there already, up to CORNERS in all."""
    h, w = grey.shape
    missing = CORNERS - len(xy)
    if missing <= 0:
        return np.zeros((0, 2), np.float32)
    spacing = max(0.6 * np.sqrt(h * w / CORNERS), 3.0)
    free = np.full((h, w), 255, np.uint8)
    for x, y in xy.astype(int).tolist():
        cv2.circle(free, (x, y), int(spacing), 0, -1)
    corners = cv2.goodFeaturesToTrack(grey, missing, CORNER_QUALITY, spacing, mask=free, blockSize=5)
    return np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)


def key_frames(flow: Tracks) -> Int[np.ndarray, " k"]:
    """Frames to build a path on, ascending, the first and the last among them."""
    order = np.argsort(flow.frame, kind="stable")
    bounds = np.searchsorted(flow.frame[order], np.arange(flow.num_frames + 1))
    parts = [order[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    points, xy = [flow.point[part] for part in parts], [flow.xy[part] for part in parts]
    keys: list[int] = []
    for move, share in KEY_RULES:
        keys = _keys(points, xy, move * max(flow.image_size), share)
        if len(keys) >= min(MIN_KEYS, MIN_KEY_SHARE * flow.num_frames):
            break
    return np.array(keys)


def _keys(points: list[np.ndarray], xy: list[np.ndarray], move_px: float, least_share: float) -> list[int]:
    """The last frame before a rule is broken becomes the next key; a frame that breaks it at once is one itself."""
    keys, j, last = [0], 1, len(points) - 1
    while j <= last:
        k = keys[-1]
        _, mine, theirs = np.intersect1d(points[k], points[j], assume_unique=True, return_indices=True)
        moved = np.median(np.linalg.norm(xy[k][mine] - xy[j][theirs], axis=1)) if len(mine) else np.inf
        if len(mine) < least_share * len(points[k]) or moved > move_px:
            keys.append(max(j - 1, k + 1))
            j = keys[-1]
        j += 1
    return keys if keys[-1] == last else [*keys, last]
