"""The part frames of `rap bench picture`: one frame of a posed clip given, the others asked for along its true path.

Frame 0 is lifted by its predicted depth, whose scale is that of the depth which parallax gives it (medians made equal:
a picture has no scale of its own), and frames 1 to 16 are judged. Beside it:

    repeat       frame 0 again and again
    plane        frame 0 as a plane at its median depth
    depth        frame 0 warped by its predicted depth, holes filled smoothly: before filling
    take         its layers, finished: what the app shows
    multi-view   frame 0 warped by the depth of plane sweep through all 17 frames, holes filled smoothly

Then fills of the layers are compared where no picture has shown anything: PSNR in dB, SSIM of the whole frames with the
true pixels put where frame 0 shows them, distance of features of the encoder of depth over the mean feature, and
sharpness, the mean gradient over the true one. The first three favour what is smooth, for no one can guess what stood
there: fog is right on the mean and wrong to the eye.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch.nn import functional as F

from rap import metrics
from rap.bench.geometry.windows import Footage, Window
from rap.bench.measure import Figure
from rap.train.monocular_data import is_held_out
from rap.views.depth import plane_sweep
from rap.views.depth_network import embedded_depth_network
from rap.views.fill import exemplar_fill, smooth_fill
from rap.views.hints import to_u8
from rap.views.layers import Fill, lift
from rap.views.monocular import PictureDepth, load_network
from rap.views.warp import warp

SIDE = 320
GAP, GAIN_DB, SHARP = 0.6, 0.3, 0.5
FEATURE_LEVELS = 3
"""Of the encoder, from the finest on: strides 2, 4, 8."""

Row = dict[str, float]
Predict = Callable[[np.ndarray], PictureDepth]


def fills() -> dict[str, Fill]:
    """Those to be compared; the shift map only where OpenCV's contributed modules are installed."""
    found = {"exemplar": exemplar_fill, "push-pull": smooth_fill, "Telea": _telea}
    if hasattr(cv2, "xphoto"):
        found["shift map"] = _shift_map
    return found


def _telea(colour: np.ndarray, known: np.ndarray, inverse_depth: np.ndarray) -> np.ndarray:
    """Telea, An image inpainting technique based on the fast marching method, Journal of Graphics Tools 2004."""
    filled = cv2.inpaint((colour * 255).round().astype(np.uint8), (~known).astype(np.uint8), 5, cv2.INPAINT_TELEA)
    return np.where(known[..., None], colour, filled / 255).astype(np.float32)


def _shift_map(colour: np.ndarray, known: np.ndarray, inverse_depth: np.ndarray) -> np.ndarray:
    """He and Sun, Statistics of patch offsets for image completion, ECCV 2012, as OpenCV has it."""
    lab = cv2.cvtColor((colour * 255).round().astype(np.uint8), cv2.COLOR_RGB2LAB)
    filled = lab.copy()
    cv2.xphoto.inpaint(lab, known.astype(np.uint8) * 255, filled, cv2.xphoto.INPAINT_SHIFTMAP)
    return np.where(known[..., None], colour, cv2.cvtColor(filled, cv2.COLOR_LAB2RGB) / 255).astype(np.float32)


def measure_frames(
    folder: Path, predict: Predict, network: Path, chosen: dict[str, Fill], stride: int | None = None
) -> tuple[Row, dict[str, Row]]:
    """Of one clip: PSNR and SSIM of every way to its frames, and of every fill its figures where frame 0 shows nothing.

    Args:
        stride: from frame to frame; None spreads the 17 over the whole clip.

    Raises:
        InputError: the folder has no known cameras.
    """
    footage = Window(folder, 0, stride).read().resized(SIDE)
    truth = footage.frames_u8[1:]
    given = _given(footage)
    scale = float(given.median())
    predicted = predict(footage.frames_u8[0])
    inverse_depth = torch.from_numpy((scale / predicted.depth).astype(np.float32))
    inverse_depth = inverse_depth * (scale / float(inverse_depth.median()))
    shown = {
        "repeat": np.broadcast_to(footage.frames_u8[0], truth.shape),
        "plane": _warped(footage, torch.full_like(given, scale)),
        "depth": _warped(footage, inverse_depth),
        "multi-view": _warped(footage, given),
    }
    features = load_network(network).eval().requires_grad_(False).encoder
    picture = torch.from_numpy(footage.frames_u8[0]).permute(2, 0, 1).float() / 255
    found = {}
    for name, fill in chosen.items():
        layers = lift(picture, inverse_depth, footage.cameras.intrinsics[0], fill=fill)
        rendered = layers.render(
            footage.cameras.Ts_world_camera[1:], footage.cameras.intrinsics[1:], footage.cameras.image_size
        )
        take = to_u8(rendered.filled)
        if fill is exemplar_fill:
            shown["take"] = take
        found[name] = fill_row(take, truth, ~rendered.mask.numpy(), features)
    row = {}
    for name, frames in shown.items():
        row[name] = metrics.psnr(frames, truth)
        row[f"{name}_ssim"] = metrics.ssim(frames, truth)
    return row, found


def _given(footage: Footage) -> torch.Tensor:
    """Inverse depth of frame 0 by parallax."""
    frames = torch.from_numpy(footage.frames_u8).permute(0, 3, 1, 2).float() / 255
    cameras = footage.cameras
    depth = plane_sweep(
        frames, cameras.Ts_world_camera, cameras.intrinsics, footage.points,
        point_frames=range(len(frames)), network=embedded_depth_network(),
    )  # fmt: skip
    return depth.inverse_depth[0]


def _warped(footage: Footage, inverse_depth: torch.Tensor) -> UInt8[np.ndarray, "T h w 3"]:
    picture = torch.from_numpy(footage.frames_u8[:1]).permute(0, 3, 1, 2).float() / 255
    Ts, intrinsics = footage.cameras.Ts_world_camera, footage.cameras.intrinsics
    size = footage.cameras.image_size
    return to_u8(warp(picture, inverse_depth[None], Ts[:1], intrinsics[:1], Ts[1:], intrinsics[1:], size).filled)


def fill_row(
    found_u8: UInt8[np.ndarray, "T h w 3"],
    truth_u8: UInt8[np.ndarray, "T h w 3"],
    hole: Bool[np.ndarray, "T h w"],
    encoder: Callable[[torch.Tensor], list[torch.Tensor]],
) -> Row:
    """Figures of what was invented; the rest is the truth."""
    if not hole.any():
        return {"share": 0.0}
    whole = np.where(hole[..., None], found_u8, truth_u8)
    error = (found_u8[hole].astype(np.float64) - truth_u8[hole]) / 255
    return {
        "share": float(hole.mean()),
        "psnr": float(-10 * np.log10((error**2).mean().clip(1e-10))),
        "ssim": metrics.ssim(whole, truth_u8),
        "sharpness": float(_gradients(found_u8)[hole].mean() / _gradients(truth_u8)[hole].mean().clip(1e-9)),
        "features": _feature_distance(whole, truth_u8, hole, encoder),
    }


def _gradients(frames_u8: np.ndarray) -> np.ndarray:
    grey = frames_u8.astype(np.float32).mean(axis=-1)
    return np.abs(np.diff(grey, axis=1, append=grey[:, -1:])) + np.abs(np.diff(grey, axis=2, append=grey[:, :, -1:]))


@torch.inference_mode()
def _feature_distance(whole: np.ndarray, truth: np.ndarray, hole: np.ndarray, encoder: Callable) -> float:
    h, w = hole.shape[1:]
    beyond = (0, -w % 32, 0, -h % 32)
    both = []
    for frames in (whole, truth):
        pictures = F.pad(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255, beyond, mode="replicate")
        both.append(encoder(pictures)[:FEATURE_LEVELS])
    weight = F.pad(torch.from_numpy(hole).float()[:, None], beyond)
    distances = []
    for ours, theirs in zip(*both, strict=True):
        here = F.interpolate(weight, size=ours.shape[-2:], mode="area")
        distances.append(float(((ours - theirs).abs() * here).sum() / (theirs.abs() * here).sum().clamp(min=1e-9)))
    return statistics.fmean(distances)


def frames_figures(rows: dict[str, Row]) -> list[Figure]:
    """Gap closed by depth, gain of the finished take; of scenes held out and of others."""
    found = []
    for kind in ("held out", "trained on"):
        chosen = {name: row for name, row in rows.items() if is_held_out(name) == (kind == "held out")}
        if not chosen:
            continue
        means = {key: statistics.fmean(row[key] for row in chosen.values()) for key in next(iter(chosen.values()))}
        of_scenes = {f"{Path(name).name}, {key}": row[key] for name, row in chosen.items() for key in ("depth", "take")}
        gap = means["multi-view"] - means["plane"]
        closed = (means["depth"] - means["plane"]) / gap if gap > 0 else 0.0
        what = f"share of the gap from plane to multi-view depth, {len(chosen)} clips"
        found.append(Figure(f"frames, {kind}, depth", what, closed, ">=", GAP, {**means, **of_scenes}))
        for column, limit, unit in (("", GAIN_DB, "dB"), ("_ssim", 0.0, "SSIM")):
            gain = means[f"take{column}"] - means[f"depth{column}"]
            found.append(
                Figure(f"frames, {kind}, take", f"take less smoothly filled warp, {unit}", gain, ">=", limit, {})
            )
    return found


def fill_figures(rows: dict[str, dict[str, Row]]) -> list[Figure]:
    """Means over all clips of which something is invented."""
    chosen = [row for row in rows.values() if all(len(each) > 1 for each in row.values())]
    if not chosen:
        return []
    means = {
        f"{name}, {key}": statistics.fmean(row[name][key] for row in chosen)
        for name, columns in chosen[0].items()
        for key in columns
    }
    what = f"sharpness of the exemplar fill over the truth's, {len(chosen)} clips"
    return [Figure("fill", what, means["exemplar, sharpness"], ">=", SHARP, means)]
