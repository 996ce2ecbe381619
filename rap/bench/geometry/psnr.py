"""The parts psnr, bound and adjusted: what new cameras see, against the frames that were not shown."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from rap import metrics
from rap.bench.geometry.rows import Row, means, stride_of, timed
from rap.bench.geometry.windows import Footage, fitted
from rap.bench.measure import Figure
from rap.reconstruction.refine import refine_trajectory
from rap.views.blend_network import REGISTERED, BlendNetwork, embedded_blend_network
from rap.views.depth import plane_sweep
from rap.views.depth_network import DepthNetwork, embedded_depth_network
from rap.views.fine import Coarse, FineSources, fine_frames, to_size
from rap.views.fusion import film_depth
from rap.views.warp import Warp, warp

SIDE = 224
SHOWN = {"even": (0, 2, 4, 6, 8, 10, 12, 14, 16), "sparse": (0, 8, 16)}

FINE = {"": "fine", ", the small one enlarged": "enlarged", ", reduced": "reduced", ", small": "small"}
"""What `fine_row` tells beside a row of `psnr_row`."""


class Networks(NamedTuple):
    """What helps depth and colours, where it is used."""

    depth: DepthNetwork | None = None
    blend: BlendNetwork | None = None


NO_NETWORKS = Networks()


def psnr_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR in dB of the frames not shown, under the footage's own cameras, and of the two references."""
    small = footage.resized(SIDE)
    row = {}
    for name, shown in SHOWN.items():
        hidden = [i for i in range(len(small.frames_u8)) if i not in shown]
        nearest = [min(shown, key=lambda k, i=i: abs(k - i)) for i in hidden]
        truth = small.frames_u8[hidden]
        row[name] = metrics.psnr(between(small, shown, hidden, networks=networks_of(options)), truth)
        row[f"{name}_repeat"] = metrics.psnr(small.frames_u8[nearest], truth)
        row[f"{name}_plane"] = metrics.psnr(between(small, shown, hidden, plane=True), truth)
    return row


def fine_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR in dB of the frames not shown at the size of `--side`: of the warp with colours of that size, of the small
    warp enlarged, and of the first one reduced again, to be compared with `psnr_row`."""
    row: Row = {}
    size = fitted(footage.clip.full_size, options.side)
    frames_u8 = np.stack([to_size(footage.clip.full_frame(i), size) for i in range(len(footage.clip))])
    size = frames_u8.shape[1], frames_u8.shape[2]
    for name, shown in SHOWN.items():
        hidden = [i for i in range(len(frames_u8)) if i not in shown]
        fine, small = at_full_size(footage, frames_u8, shown, hidden, networks_of(options))
        row[f"{name}_fine"] = metrics.psnr(fine, frames_u8[hidden])
        row[f"{name}_enlarged"] = metrics.psnr(_resized(small, size), frames_u8[hidden])
        reduced = small.shape[1], small.shape[2]
        row[f"{name}_reduced"] = metrics.psnr(_resized(fine, reduced), _resized(frames_u8[hidden], reduced))
        row[f"{name}_small"] = metrics.psnr(small, _resized(frames_u8[hidden], reduced))
    return row


def at_full_size(
    footage: Footage,
    frames_u8: UInt8[np.ndarray, "T H W 3"],
    shown: Sequence[int],
    hidden: Sequence[int],
    networks: Networks,
) -> tuple[UInt8[np.ndarray, "n H W 3"], UInt8[np.ndarray, "n h w 3"]]:
    """The hidden frames as the shown ones give them, at the size of `frames_u8`, and as small as all is decided."""
    small, shown, hidden = footage.resized(SIDE), list(shown), list(hidden)
    Ts, intrinsics, size = small.cameras.Ts_world_camera, small.cameras.intrinsics, frames_u8.shape[1:3]
    frames = to_torch(small.frames_u8[shown])
    depth = film_depth(frames, Ts[shown], intrinsics[shown], small.points, shown, networks.depth)
    seen = warp(
        frames, depth.inverse_depth, Ts[shown], intrinsics[shown], Ts[hidden], intrinsics[hidden],
        small.cameras.image_size, confidence=depth.confidence, network=networks.blend, with_mix=True,
    )  # fmt: skip
    sources = FineSources.of(list(frames_u8[shown]), depth.inverse_depth, Ts[shown], intrinsics[shown])
    targets = (Ts[hidden], footage.cameras.resized((size[0], size[1])).intrinsics[hidden])
    fine = fine_frames(Coarse.of(seen), sources, targets, (size[0], size[1]))
    return np.stack(list(fine)), filled_u8(seen)


def _resized(frames_u8: UInt8[np.ndarray, "T H W 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "T h w 3"]:
    method = cv2.INTER_CUBIC if size[0] > frames_u8.shape[1] else cv2.INTER_AREA
    return np.stack([cv2.resize(frame, size[::-1], interpolation=method) for frame in frames_u8])


def spread_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR in dB of frames halfway between those of a whole clip, and CPU seconds, from every other of these and from
    all; nothing where they are neighbours."""
    clip, cameras = footage.clip, footage.film_cameras
    if clip.film is None or cameras is None:
        return {}
    places = clip.film.places(clip.frame_indices)
    hidden = [int((a + b) // 2) for a, b in pairwise(places) if b - a > 1]
    points = replace(footage.points, span=places[footage.points.span])
    whole = Footage(clip, clip.film.frames_u8, cameras, points).resized(SIDE)
    row: Row = {}
    for name, shown in (("spread_half", places[::2]), ("spread_all", places)):
        with timed(row, f"{name}_s"):
            found = between(whole, shown.tolist(), hidden, networks=networks_of(options))
        row[name] = metrics.psnr(found, whole.frames_u8[hidden])
    return row


def spread_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """Told; no demand was ever made."""
    chosen = {key: row for key, row in rows.items() if row}
    if not chosen:
        return []
    figures: dict[str, float] = {"clips": float(len(chosen))}
    for label, column in (("every other", "spread_half"), ("all", "spread_all")):
        figures |= means(chosen, column, f"{label}, dB") | means(chosen, f"{column}_s", f"{label}, CPU seconds")
    value = statistics.fmean(row["spread_all"] - row["spread_half"] for row in chosen.values())
    return [Figure("spread", "dB between the frames of whole clips that lifting all brings", value, ">=", 0.0, figures)]


def bound_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR in dB from frames 0, 8 and 16 where their depth may use the frames that are judged."""
    small = footage.resized(SIDE)
    shown = list(SHOWN["sparse"])
    hidden = [i for i in range(len(small.frames_u8)) if i not in shown]
    frames, cameras = to_torch(small.frames_u8), small.cameras
    Ts, intrinsics = cameras.Ts_world_camera, cameras.intrinsics
    networks = networks_of(options)
    depth = plane_sweep(frames, Ts, intrinsics, small.points, point_frames=range(len(frames)), network=networks.depth)
    seen = warp(
        frames[shown], depth.inverse_depth[shown], Ts[shown], intrinsics[shown], Ts[hidden], intrinsics[hidden],
        cameras.image_size, confidence=depth.confidence[shown], network=networks.blend,
    )  # fmt: skip
    return {"sparse_bound": metrics.psnr(filled_u8(seen), small.frames_u8[hidden])}


def adjusted_row(footage: Footage, options: argparse.Namespace) -> Row:
    """PSNR in dB as `psnr_row` has it, under the footage's own cameras after refinement."""
    fov_y_rad = float(footage.cameras.fov_y_rad[0])
    refined = refine_trajectory(footage.frames_u8, footage.cameras, known_fov_y_rad=fov_y_rad).trajectory
    small = footage.under(refined).resized(SIDE)
    row = {}
    for name, shown in SHOWN.items():
        hidden = [i for i in range(len(small.frames_u8)) if i not in shown]
        found = between(small, shown, hidden, networks=networks_of(options))
        row[f"{name}_adjusted"] = metrics.psnr(found, small.frames_u8[hidden])
    return row


def between(
    footage: Footage,
    shown: Sequence[int],
    hidden: Sequence[int],
    plane: bool = False,
    networks: Networks = NO_NETWORKS,
) -> UInt8[np.ndarray, "T H W 3"]:
    """The hidden frames as the shown ones give them; with `plane` each is taken for a plane at its median depth."""
    shown, hidden = list(shown), list(hidden)
    frames = to_torch(footage.frames_u8[shown])
    Ts, intrinsics = footage.cameras.Ts_world_camera, footage.cameras.intrinsics
    if plane:
        medians = [np.median(1 / footage.points.in_front_depths(T)) for T in Ts[shown]]
        inverse_depth = torch.tensor(np.array(medians), dtype=torch.float32)[:, None, None]
        inverse_depth, confidence = inverse_depth.expand(-1, *footage.cameras.image_size).contiguous(), None
    else:
        depth = film_depth(frames, Ts[shown], intrinsics[shown], footage.points, shown, networks.depth)
        inverse_depth, confidence = depth.inverse_depth, depth.confidence
    seen = warp(
        frames, inverse_depth, Ts[shown], intrinsics[shown], Ts[hidden], intrinsics[hidden], footage.cameras.image_size,
        confidence=confidence, nearest=1 if plane else REGISTERED, network=None if plane else networks.blend,
    )  # fmt: skip
    return filled_u8(seen)


def networks_of(options: argparse.Namespace) -> Networks:
    """The embedded ones that the options leave."""
    return Networks(
        embedded_depth_network() if options.depth_network else None,
        embedded_blend_network() if options.blend_network else None,
    )


def to_torch(frames_u8: UInt8[np.ndarray, "T H W 3"]) -> torch.Tensor:
    """(T, 3, H, W) in [0, 1]."""
    return torch.from_numpy(frames_u8).permute(0, 3, 1, 2).float() / 255


def filled_u8(seen: Warp) -> UInt8[np.ndarray, "T H W 3"]:
    """Colours as bytes, holes filled."""
    return (seen.filled * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def psnr_figures(rows: Mapping[str, Row]) -> list[Figure]:
    """Demanded at stride 1; stride 2 and the references stand beside."""
    found = []
    for name, what, limit in (
        ("even", "PSNR in dB, every other frame shown, stride 1", 28.0),
        ("sparse", "PSNR in dB, frames 0, 8 and 16 shown, stride 1", 24.5),
    ):
        columns = {"": name, " repeat nearest": f"{name}_repeat", " plane at median depth": f"{name}_plane"}
        columns |= {f" at full size{part}": f"{name}_{key}" for part, key in FINE.items()}
        columns |= {" depth of all frames": f"{name}_bound", " poses refined": f"{name}_adjusted"}
        figures = {}
        for stride in sorted({stride_of(key) for key in rows}):
            chosen = {key: row for key, row in rows.items() if stride_of(key) == stride}
            for label, column in columns.items():
                figures |= means(chosen, column, f"stride {stride}{label}")
        demanded = [row[name] for key, row in rows.items() if stride_of(key) == 1]
        if demanded:
            found.append(Figure(f"psnr {name}", what, statistics.fmean(demanded), ">=", limit, figures))
    return found
