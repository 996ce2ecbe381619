"""The part speed of `rap bench picture`: depth, layers and 17 frames of one picture, in CPU seconds.

CPU time (all threads together) is what a busy machine does not disturb; the demands are for two quiet cores, so that
what one thread reaches, two do. Least of the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from rap.bench.measure import Figure
from rap.bench.picture_sheets import AMPLITUDES, layers_of, resized
from rap.config import NUM_FRAMES
from rap.geometry.presets import preset
from rap.views.monocular import USUAL_FOCAL, PictureDepth, fov_y_of

ROUNDS = 2
DEPTH_S, LAYERS_S, RENDER_S = 0.4, {320: 5.0, 640: 12.0}, 3.0


def speed_figures(
    picture_u8: UInt8[np.ndarray, "h w 3"], predict: Callable[[np.ndarray], PictureDepth]
) -> list[Figure]:
    """Of one picture, whose long side is 640 px at least."""
    found = []
    for side, limit in LAYERS_S.items():
        small = resized(picture_u8, side)
        depth = predict(small)
        seconds = _least(lambda small=small, depth=depth: layers_of(small, depth))
        found.append(Figure(f"speed, layers, {side} px", "CPU s, once a scene", seconds, "<=", limit, {}))
    size, layers = (small.shape[0], small.shape[1]), layers_of(small, depth)
    lens = {"image_size": size, "fov_y_rad": fov_y_of(USUAL_FOCAL, size)}
    path = preset("arc-left", num_frames=NUM_FRAMES, amplitude=AMPLITUDES["arc-left"], **lens)
    seconds = _least(lambda: layers.render(path.Ts_world_camera, path.intrinsics, size))
    found.append(Figure("speed, rendering", f"CPU s, {NUM_FRAMES} frames of 640 px", seconds, "<=", RENDER_S, {}))
    seconds = _least(lambda: predict(small))
    return [Figure("speed, depth", "CPU s, of 640 px", seconds, "<=", DEPTH_S, {}), *found]


def _least(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)
