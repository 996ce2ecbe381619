"""Where a film is cut: neighbouring frames that show nothing in common, and another scene's colours.

A camera that is shaken, or moved far between two frames, cannot be followed either; but it still sees the colours of
the same scene. So a cut needs all three: no point that can be followed, colours that change far more than anywhere
nearby, and no descriptor found again. A black or flashed frame is no cut: what stands beside it is compared. And where
it comes out of black or goes into it: there is nothing to be followed, and a take that begins there is black.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rap.reconstruction.matching import detect_features, match_features, verify
from rap.reconstruction.tracks import FORWARD_BACKWARD_PX, find_corners, followed_step

LONG_SIDE = 160  # px: enough to tell whether points go on
CORNERS = 60
MIN_CORNERS = 15  # of a frame that shows anything; others are passed over
LOST_SHARE = 0.1  # of the corners that go on: at a cut those that chance allows
COLOURS = 6  # levels of each channel
MIN_CHANGE = 0.4  # of the colours (total variation, in [0, 1])
MUCH_CHANGE = 4.0  # times the median change between neighbours
MIN_SHOT = 5  # frames: what is shorter is a flash

STILL = 1.0  # grey levels on the mean, as compression leaves them

BLACK = 64  # grey levels: nearly all of a frame at the black end of a fade is below
BLACK_SHARE = 0.2  # of the film's usual brightness, which it is below as well
LIT_SHARE = 0.85  # of it: where a fade is over
MIN_CONTRAST = 6.0  # grey levels: a film that shows nothing has no fade either
MOST_FADED = 0.75  # of the frames: a film that is dark for longer is a dark film


def shots(frames_u8: UInt8[np.ndarray, "f h w 3"]) -> list[tuple[int, int]]:
    """First and last frame of every shot of MIN_SHOT frames or more, in order; one where the film is not cut.

    Frames of shorter ones belong to none.
    """
    small = [_small(frame) for frame in frames_u8]
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small]
    corners = [find_corners(grey, CORNERS) for grey in greys]
    shown = [i for i, some in enumerate(corners) if len(some) >= MIN_CORNERS]
    colours = {i: _colours(small[i]) for i in shown}
    pairs = list(zip(shown[:-1], shown[1:], strict=True))
    change = np.array([0.5 * np.abs(colours[i] - colours[j]).sum() for i, j in pairs])
    limit = max(MIN_CHANGE, MUCH_CHANGE * float(np.median(change))) if pairs else np.inf
    cuts = [
        j
        for (i, j), much in zip(pairs, change > limit, strict=True)
        if much and _lost(greys[i], greys[j], corners[i]) and not _found_again(frames_u8[[i, j]])
    ]
    bounds = [0, *cuts, len(frames_u8)]
    found = [(a, b - 1) for a, b in zip(bounds[:-1], bounds[1:], strict=True) if b - a >= MIN_SHOT]
    return found or [(0, len(frames_u8) - 1)]


def stands_still(frames_u8: UInt8[np.ndarray, "f h w 3"]) -> bool:
    """Whether a shot is a title or a still: its frames at a third and at two thirds, beyond fades, are the same."""
    a, b = (_small(frames_u8[len(frames_u8) * k // 3]).astype(float) for k in (1, 2))
    return bool(np.abs(a - b).mean() < STILL)


def lit(frames_u8: UInt8[np.ndarray, "f h w 3"]) -> tuple[int, int]:
    """First and last frame between a fade from black at the beginning and one to black at the end; all without."""
    last = len(frames_u8) - 1
    small = [_small(frame) for frame in frames_u8]
    mean = np.array([frame.mean() for frame in small])
    if np.median([frame.std() for frame in small]) < MIN_CONTRAST:
        return 0, last
    usual = float(np.median(mean[mean >= np.median(mean) / 2]))
    is_lit = np.flatnonzero(mean >= LIT_SHARE * usual)
    begin = int(is_lit[0]) if _is_black(frames_u8[0], mean[0], usual) else 0
    end = int(is_lit[-1]) if _is_black(frames_u8[-1], mean[-1], usual) else last
    remain = end - begin + 1
    return (begin, end) if remain >= max(MIN_SHOT, (1 - MOST_FADED) * (last + 1)) else (0, last)


def _is_black(frame_u8: UInt8[np.ndarray, "h w 3"], mean: float, usual: float) -> bool:
    return mean < BLACK_SHARE * usual and float(np.percentile(frame_u8.max(axis=2), 98)) < BLACK


def _small(frame_u8: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "a b 3"]:
    h, w = frame_u8.shape[:2]
    scale = min(1.0, LONG_SIDE / max(h, w))
    size = max(round(w * scale), 1), max(round(h * scale), 1)
    return cv2.resize(np.ascontiguousarray(frame_u8), size, interpolation=cv2.INTER_AREA)


def _colours(frame_u8: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, " c"]:
    """Share of the pixels that have each of COLOURS^3 colours."""
    red, green, blue = (frame_u8.reshape(-1, 3).astype(np.int16) * COLOURS // 256).T
    code = red + COLOURS * green + COLOURS**2 * blue
    return np.bincount(code, minlength=COLOURS**3) / len(code)


def _lost(before: np.ndarray, after: np.ndarray, corners: np.ndarray) -> bool:
    return bool(followed_step(before, after, corners, 2 * FORWARD_BACKWARD_PX)[1].mean() < LOST_SHARE)


def _found_again(pair_u8: UInt8[np.ndarray, "2 h w 3"]) -> bool:
    """Whether the two show the same things, from whatever side."""
    features = detect_features(pair_u8)
    unit = max(max(pair_u8.shape[1:3]) / 320, 0.5)
    return len(verify(features, match_features(features, [(0, 1)]), None, unit)) > 0
