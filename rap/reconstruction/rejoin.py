"""Two pieces of a path that do not hold together, joined anew: the smaller one is moved as a whole.

An adjustment does not come back from a joint that is wrong: each point across it has gone to one side, and the kernel
is deaf to what it was on the other. But each side alone knows its points well. Those of the larger side place the
nearest frame of the smaller one (perspective-n-point with RANSAC), points that both sides know tell the ratio of their
units of length, the rest of the smaller side follows rigidly, and everything is adjusted again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from rap.geometry import se3
from rap.reconstruction.bundle import Bundle
from rap.reconstruction.joints import Joints
from rap.reconstruction.mend import frame_shares, resect
from rap.reconstruction.tracks import Tracks, locate, median_per_point

ROUNDS = 3  # a joint each, the weakest first
WORTH_IT = 0.005  # gain of the worth that makes another round worth its time
RESECTION_LIMIT = 3.0  # times the error at which an observation fits
POINT_LIMIT = 2.0  # times it: median error of a point that one side knows
MIN_SCALED_POINTS = 4  # known to both sides; with fewer the unit of length stays


def worth(tracks: Tracks, bundle: Bundle, placed: Bool[np.ndarray, " t"], fits_px: float) -> float:
    """What poses are worth, in [0, 1]: the share that fits (mean over frames) times the share of sound pairs of frames.

    Args:
        tracks: observations of the bundle.
        bundle: poses and residuals.
        placed: the frames that are judged.
        fits_px: an observation within it fits.
    """
    if not placed.any():
        return 0.0
    joints = Joints.of(tracks, bundle.residual_px < fits_px, placed)
    return float(frame_shares(tracks, bundle, fits_px)[placed].mean()) * joints.sound_pairs


def rejoin(
    tracks: Tracks,
    bundle: Bundle,
    placed: Bool[np.ndarray, " t"],
    fits_px: float,
    adjust: Callable[[Bundle, int], Bundle],
) -> Bundle:
    """The bundle with its weak joints made anew, or as it was where that does not help.

    Args:
        tracks: observations of the bundle.
        bundle: outcome of an adjustment.
        placed: the frames whose joints are judged.
        fits_px: an observation within it fits.
        adjust: (bundle whose poses are the start, frame whose pose stays) -> bundle.
    """
    for _ in range(ROUNDS):
        joints = Joints.of(tracks, bundle.residual_px < fits_px, placed)
        if not joints.weak.any():
            break
        weakest = np.where(joints.weak, joints.shares, np.inf).argmin()
        before, after = int(joints.frames[weakest]), int(joints.frames[weakest + 1])
        poses = rejoined(tracks, bundle, before, after, fits_px)
        if poses is None:
            break
        again = adjust(replace(bundle, Ts_world_camera=poses), before)
        if worth(tracks, again, placed, fits_px) < worth(tracks, bundle, placed, fits_px) + WORTH_IT:
            break
        bundle = again
    return bundle


def rejoined(
    tracks: Tracks, bundle: Bundle, before: int, after: int, fits_px: float
) -> Float[np.ndarray, "t 4 4"] | None:
    """Poses with the side of fewer frames moved onto the other's points; None where its nearest frame sees too few.

    Args:
        tracks: observations of the bundle.
        bundle: two pieces, each good by itself.
        before, after: the last frame of the first piece and the first frame of the second.
        fits_px: an observation within it fits.
    """
    number = np.arange(tracks.num_frames)
    early = number <= before
    kept, moved, joining = (early, ~early, after) if 2 * early.sum() >= len(early) else (~early, early, before)
    kept_xyz, moved_xyz = (known_to(side, tracks, bundle, POINT_LIMIT * fits_px) for side in (kept, moved))
    usable, limit_px = np.isfinite(kept_xyz[:, 0]), RESECTION_LIMIT * fits_px
    new = resect(tracks, replace(bundle, xyz=kept_xyz), usable, joining, limit_px)
    if new is None:
        return None
    old = bundle.Ts_world_camera[joining]
    shared = tracks.point[(tracks.frame == joining) & (usable & np.isfinite(moved_xyz[:, 0]))[tracks.point]]
    limit = limit_px / bundle.intrinsics[joining, 0]
    scale = scale_between(_local(moved_xyz[shared], old), _local(kept_xyz[shared], new), limit)
    steps = se3.inverse(old) @ bundle.Ts_world_camera[moved]
    steps[:, :3, 3] *= scale
    poses = bundle.Ts_world_camera.copy()
    poses[moved] = new @ steps
    return poses


def known_to(side: Bool[np.ndarray, " t"], tracks: Tracks, bundle: Bundle, limit_px: float) -> Float[np.ndarray, "p 3"]:
    """Points from the observations of some frames alone, in the bundle's world; NaN where these do not agree on one."""
    part = side[tracks.frame]
    seen = np.bincount(tracks.point[part], minlength=tracks.num_points) >= 2
    xyz = np.full((tracks.num_points, 3), np.nan)
    if seen.any():
        own = tracks.where(part)
        charts, residual_px, _ = locate(own, bundle.Ts_world_camera, bundle.intrinsics)
        good = median_per_point(residual_px, own) < limit_px
        xyz[np.flatnonzero(seen)[good]] = charts.xyz[good]
    return xyz


def scale_between(a: Float[np.ndarray, "q 3"], b: Float[np.ndarray, "q 3"], limit: float) -> float:
    """How much larger b's coordinates are than a's, of the same points seen by the same camera in two units of length.

    The median of the ratios of z, over the points that both put in the same direction.

    Args:
        a, b: points in the camera.
        limit: distance in the image plane at distance 1 within which directions are the same.
    """
    front = (a[:, 2] > 0) & (b[:, 2] > 0)
    a, b = a[front], b[front]
    same = np.linalg.norm(a[:, :2] / a[:, 2:] - b[:, :2] / b[:, 2:], axis=1) < limit
    return float(np.median(b[same, 2] / a[same, 2])) if same.sum() >= MIN_SCALED_POINTS else 1.0


def _local(xyz: np.ndarray, T_world_camera: np.ndarray) -> np.ndarray:
    return (xyz - T_world_camera[:3, 3]) @ T_world_camera[:3, :3]
