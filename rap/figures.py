"""The paper's page layout as pictures: input video | raxel maps, predicted over reference | cameras of both in 3D;
and a video made of it, where there is one.

One picture for each frame, so that they make a video; any of them is the figure. Reference cameras are scaled to the
predicted ones by least squares on the centres, for a video tells no unit of length.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from rap.data import raxels_to_u8
from rap.geometry import Trajectory, cameras_to_raxels, se3
from rap.geometry.spread import fitted_scale

PREDICTED, REFERENCE, NOW = (48, 80, 205), (150, 154, 163), (212, 52, 42)
GAP, PAPER, INK = 4, 255, (86, 93, 107)
SHARP = 2  # lines are drawn so many times larger and reduced
VIEW_FROM = np.array([0.70, -0.55, -0.85])  # behind the source camera, above it and to its right
MIN_MOTION = 1e-9


def paper_layout(
    frames_u8: UInt8[np.ndarray, "T h w 3"],
    predicted: Trajectory,
    reference: Trajectory | None = None,
    made_u8: UInt8[np.ndarray, "T h2 w2 3"] | None = None,
) -> UInt8[np.ndarray, "T H W 3"]:
    """The layout of every frame.

    Args:
        frames_u8: the input video.
        predicted: its cameras; the raxel maps are theirs.
        reference: known cameras of the same frames; without them the predicted maps stand alone, halfway down.
        made_u8: frames of what was made of the video, as the last column.

    Raises:
        ValueError: lengths or sizes that differ.
    """
    for path, name in ((predicted, "predicted"), (reference, "reference")):
        if path is not None and (len(path), path.image_size) != (len(frames_u8), frames_u8.shape[1:3]):
            found = f"{len(path)} cameras of {path.image_size}"
            raise ValueError(
                f"{name} must be cameras of {len(frames_u8)} frames of {frames_u8.shape[1:3]}, got {found}"
            )
    h, w = predicted.image_size
    predicted = predicted.relative_to(predicted.source)
    aligned = None if reference is None else aligned_to(predicted, reference)
    maps = _maps(predicted)
    tall = 2 * h + GAP
    columns = np.full((len(maps), tall, w, 3), PAPER, np.uint8)
    if aligned is None:
        columns[:, tall // 4 : tall // 4 + h] = maps
    else:
        columns[:, :h], columns[:, h + GAP :] = maps, _maps(aligned)
    cameras = draw_cameras(predicted, aligned, tall)
    rows = []
    for i, frame in enumerate(frames_u8):
        space = np.full((tall, GAP, 3), PAPER, np.uint8)
        made = [] if made_u8 is None else [space, _as_tall(made_u8[i], tall)]
        rows.append(np.concatenate([_as_tall(frame, tall), space, columns[i], space, cameras[i], *made], axis=1))
    return np.stack(rows)


def _as_tall(frame_u8: UInt8[np.ndarray, "h w 3"], tall: int) -> UInt8[np.ndarray, "tall w2 3"]:
    h, w = frame_u8.shape[:2]
    return np.asarray(Image.fromarray(frame_u8).resize((round(w * tall / h), tall), Image.Resampling.BICUBIC))


def aligned_to(predicted: Trajectory, reference: Trajectory) -> Trajectory:
    """The reference from the same source camera, in the predicted path's unit of length."""
    reference = reference.relative_to(predicted.source)
    return reference.scaled(fitted_scale(reference.centres, predicted.centres))


def draw_cameras(predicted: Trajectory, reference: Trajectory | None, side: int) -> UInt8[np.ndarray, "T side side 3"]:
    """Frusta of both paths from above and behind, in parallel projection; the frame's own is red."""
    paths = [path for path in (reference, predicted) if path is not None]
    steps = np.linalg.norm(np.diff(predicted.centres, axis=0), axis=-1)
    extent = float(np.ptp(np.concatenate([path.centres for path in paths]), axis=0).max())
    depth = max(float(np.median(steps)) if len(steps) else 0.0, 0.12 * extent, 0.05)
    outlines = [_outlines(path, depth) for path in paths]
    R = se3.look_at(VIEW_FROM, np.zeros(3))[:3, :3]
    flat = [(lines @ R)[..., :2] for lines in outlines]
    points = np.concatenate([lines.reshape(-1, 2) for lines in flat])
    middle, size = (points.min(axis=0) + points.max(axis=0)) / 2, float(np.ptp(points, axis=0).max())
    scale = 0.9 * SHARP * side / max(size, MIN_MOTION)
    placed = [(lines - middle) * scale + SHARP * side / 2 for lines in flat]
    return np.stack([_drawn(placed, i, side) for i in range(len(predicted))])


def _drawn(placed: list[np.ndarray], now: int, side: int) -> UInt8[np.ndarray, "side side 3"]:
    canvas = Image.new("RGB", (SHARP * side, SHARP * side), (PAPER,) * 3)
    pen = ImageDraw.Draw(canvas)
    colours = [REFERENCE, PREDICTED][2 - len(placed) :]
    for lines, colour in zip(placed, colours, strict=True):
        for frame in lines:
            _stroke(pen, frame, colour, SHARP)
    for lines in placed:
        _stroke(pen, lines[min(now, len(lines) - 1)], NOW, 2 * SHARP)
    return np.asarray(canvas.resize((side, side), Image.Resampling.LANCZOS))


def _stroke(pen: ImageDraw.ImageDraw, lines: np.ndarray, colour: tuple[int, int, int], width: int) -> None:
    for start, end in lines:
        pen.line([tuple(start), tuple(end)], fill=colour, width=width)


def _outlines(path: Trajectory, depth: float) -> Float[np.ndarray, "T 8 2 3"]:
    """Eight edges of each frustum that ends at z-depth `depth`."""
    h, w = path.image_size
    pixels = np.array([(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)])
    lenses = path.intrinsics[:, None]
    corners = (
        np.concatenate([(pixels - lenses[..., 2:]) / lenses[..., :2], np.ones((len(path), 4, 1))], axis=-1) * depth
    )
    world = np.einsum("tij,tkj->tki", path.Ts_world_camera[:, :3, :3], corners) + path.centres[:, None]
    around = np.stack([world, np.roll(world, -1, axis=1)], axis=2)
    apex = np.broadcast_to(path.centres[:, None], world.shape)
    return np.concatenate([around, np.stack([apex, world], axis=2)], axis=1)


def _maps(path: Trajectory) -> UInt8[np.ndarray, "T h w 3"]:
    return raxels_to_u8(np.asarray(cameras_to_raxels(path.Ts_world_camera, path.intrinsics, path.image_size)))
