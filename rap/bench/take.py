"""What `rap bench take` runs: takes of films at full size, how fast they come, how sharp and how steady they are.

Each input is a folder with known cameras or a film, whose cameras are found. The take goes along the input's own path,
so that the input itself, reduced to the take's size, is what it is compared with.

    speed      seconds by the clock from the cameras to the last frame, depth included (the demands are for two quiet
               cores), and CPU seconds of all threads beside them; of a megapixel CPU seconds, beside `cv2.remap` of as
               many pixels; the share of each stage
    sharpness  variance of the Laplacian of grey: the largest over the smallest, take and input, and their ratio frame
               by frame, so that a change that is the input's own does not count
    flicker    mean difference in grey levels between neighbours, after one is brought onto the other by optical flow,
               where flow there and back agree: of the take over that of the input
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rap.bench.measure import Figure, report
from rap.config import DEFAULT_TAKE_SIDE, NUM_FRAMES
from rap.data import Clip, load_clip
from rap.geometry import Trajectory, intrinsics_from_fov
from rap.views.fine import FineSources, to_size
from rap.views.scene import Scene, build_scene, refine

Result = TypeVar("Result")

FOV_Y_RAD = float(np.radians(55))
"""Where the lens is not known the search for it begins here."""

AGREED_PX = 1.0
TIMES_REMAP, EVEN, STEADY = 40.0, 1.2, 1.2


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; returns 1 when a demand is missed."""
    options = _parse(argv)
    found = [figure for path in options.inputs for figure in _figures(path, options)]
    if options.json:
        print(json.dumps(report(found, threads=cv2.getNumThreads()), allow_nan=False))
    else:
        print("\n".join(line for figure in found for line in figure.lines()))
    return 0 if all(figure.reached for figure in found) else 1


def _figures(path: Path, options: argparse.Namespace) -> list[Figure]:
    clip = load_clip(path, film=True, full=True)
    cameras = known_cameras(clip)
    began = time.perf_counter()
    depth_s, scene = _timed(lambda: build_scene(clip, cameras))
    walk_s, frames = _timed(lambda: np.stack(list(scene.walk(cameras, options.side, options.frames))))
    seconds, size = time.perf_counter() - began, scene.take_size(options.side)
    own_s, own = _timed(lambda: np.stack(list(scene.walk(cameras, options.side))))
    truth = np.stack(
        [cv2.resize(clip.full_frame(i), size[::-1], interpolation=cv2.INTER_AREA) for i in range(len(clip))]
    )
    megapixels = len(frames) * size[0] * size[1] / 1e6
    stages = _stages(scene, cameras, size, options.frames, walk_s)
    remap_s = _remap_s(frames)
    name = f"{clip.name}, {size[1]} x {size[0]}, {len(frames)} frames"
    limit = options.seconds
    return [
        Figure(
            "speed", f"seconds of {name}", seconds, "<=", limit,
            {"CPU seconds": depth_s + walk_s, "of depth": depth_s, **stages},
        ),
        Figure(
            "megapixel", f"times cv2.remap, {name}", walk_s / remap_s, "<=", TIMES_REMAP,
            {"seconds a megapixel": walk_s / megapixels, "of cv2.remap": remap_s / megapixels, "own path": own_s},
        ),
        *quality_figures(name, own, truth),
    ]  # fmt: skip


def quality_figures(
    name: str, take_u8: UInt8[np.ndarray, "T H W 3"], truth_u8: UInt8[np.ndarray, "T H W 3"]
) -> list[Figure]:
    """How even and how steady a take is, against the frames it goes along."""
    taken, given = sharpness(take_u8), sharpness(truth_u8)
    share = taken / given
    even = {
        "take, largest over smallest": float(taken.max() / taken.min()),
        "input, largest over smallest": float(given.max() / given.min()),
        "take over input": float(share.mean()),
        "frame 0 over frame 1": float(share[0] / share[1]),
    }
    of_take, of_input = flicker(take_u8), flicker(truth_u8)
    return [
        Figure("sharpness", f"unevenness, {name}", float(share.max() / share.min()), "<=", EVEN, even),
        Figure(
            "flicker", f"over the input's, {name}", of_take / of_input, "<=", STEADY,
            {"take": of_take, "input": of_input},
        ),
    ]  # fmt: skip


def sharpness(frames_u8: UInt8[np.ndarray, "T H W 3"]) -> Float[np.ndarray, " T"]:
    """Variance of the Laplacian of each frame's grey levels."""
    greys = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_u8)
    return np.array([cv2.Laplacian(grey, cv2.CV_32F).var() for grey in greys])


def flicker(frames_u8: UInt8[np.ndarray, "T H W 3"]) -> float:
    """Mean difference in grey levels between neighbours that optical flow has brought onto each other."""
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_u8]
    found = []
    for before, after in zip(greys[:-1], greys[1:], strict=True):
        finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        there, back = finder.calc(before, after, None), finder.calc(after, before, None)
        y, x = np.indices(before.shape, np.float32)
        to_x, to_y = x + there[..., 0], y + there[..., 1]
        returned = there + cv2.remap(back, to_x, to_y, cv2.INTER_LINEAR)
        moved = cv2.remap(after, to_x, to_y, cv2.INTER_LINEAR).astype(np.float32)
        h, w = before.shape
        inside = (to_x >= 0) & (to_x <= w - 1) & (to_y >= 0) & (to_y <= h - 1)
        agreed = inside & (np.hypot(returned[..., 0], returned[..., 1]) < AGREED_PX)
        found.append(float(np.abs(moved - before)[agreed].mean()) if agreed.any() else float("nan"))
    return float(np.nanmean(found))


def known_cameras(clip: Clip) -> Trajectory:
    """Those that came with the clip, in its own unit; else found in it."""
    if clip.trajectory is not None:
        return clip.trajectory.relative_to(0)
    lens = intrinsics_from_fov(FOV_Y_RAD, clip.image_size)
    still = Trajectory(np.tile(np.eye(4), (len(clip), 1, 1)), np.tile(lens, (len(clip), 1)), clip.image_size, clip.fps)
    return refine(clip, still).trajectory


def _stages(scene: Scene, path: Trajectory, size: tuple[int, int], frames: int, walk_s: float) -> dict[str, float]:
    """Shares of a walk: what is decided small, sources made ready, and the rest, colours at full size."""
    small_s = _timed(lambda: scene.preview(path))[0] * frames / len(path)
    pictures_s, pictures = _timed(lambda: [to_size(scene.clip.full_frame(i), size) for i in scene.source_indices])
    Ts = scene.trajectory.Ts_world_camera[list(scene.source_indices)]
    sharp_s = _timed(lambda: FineSources.of(pictures, scene.depth.inverse_depth, Ts, scene.intrinsics))[0]
    rest = max(0.0, 1 - (small_s + pictures_s + sharp_s) / walk_s)
    return {
        "share decided small": small_s / walk_s,
        "share of sources decoded": pictures_s / walk_s,
        "share of their depth": sharp_s / walk_s,
        "share of colours": rest,
    }


def _remap_s(frames_u8: UInt8[np.ndarray, "T H W 3"]) -> float:
    """Seconds of one bilinear look-up for each pixel."""
    h, w = frames_u8.shape[1:3]
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    x, y = (x + 0.3 + 2 * np.sin(y / 40)).astype(np.float32), (y + 0.6).astype(np.float32)
    return min(_timed(lambda: [cv2.remap(frame, x, y, cv2.INTER_LINEAR) for frame in frames_u8])[0] for _ in range(3))


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="rap bench take", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="FOLDER|FILM")
    parser.add_argument("--side", type=int, default=DEFAULT_TAKE_SIDE, metavar="N", help="long side in px at most")
    parser.add_argument("--frames", type=int, default=NUM_FRAMES, metavar="N")
    parser.add_argument("--seconds", type=float, default=4.0, help="demanded (default: 4, of 17 frames at 640 px)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args(argv)
