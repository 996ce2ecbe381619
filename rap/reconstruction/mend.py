"""Frames that a bundle adjustment lost, found again: resection from the points that the other frames agree on.

An adjustment that starts far off can leave a few frames in a valley of their own, most often where a jerk or a blur
cuts the tracks. They give themselves away: few of their observations fit, while their neighbours' do. Their poses are
then found afresh from points of the good frames (perspective-n-point with RANSAC) and everything is adjusted again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float

from rap.geometry import se3
from rap.reconstruction.bundle import Bundle
from rap.reconstruction.tracks import Tracks, normalised

LOST_SHARE = 0.7  # of a frame's observations must fit; found frames have 0.85 and more
MIN_RESECTION_POINTS = 8
RESECTION_ROUNDS = 3
WORTH_IT = 0.02  # gain of the mean share that makes another round worth its time
FAR = 100.0  # times the median distance: a point beyond it gives direction only, and digits are lost


def frame_shares(tracks: Tracks, bundle: Bundle, fits_px: float) -> Float[np.ndarray, " t"]:
    """(T,) share of every frame's observations within `fits_px`; 0 for a frame without observations."""
    seen = np.bincount(tracks.frame, minlength=tracks.num_frames)
    fitting = np.bincount(tracks.frame, bundle.residual_px < fits_px, tracks.num_frames)
    return fitting / np.maximum(seen, 1)


def mend(tracks: Tracks, bundle: Bundle, fits_px: float, adjust: Callable[[Bundle, int], Bundle]) -> Bundle:
    """The bundle with lost frames found again, or as it was where that does not help.

    Args:
        tracks: observations of the bundle.
        bundle: outcome of an adjustment.
        fits_px: an observation within it is explained.
        adjust: (bundle whose poses are the start, frame whose pose stays) -> bundle.
    """
    seen = np.bincount(tracks.frame, minlength=tracks.num_frames) > 0
    for _ in range(RESECTION_ROUNDS):
        shares = frame_shares(tracks, bundle, fits_px)
        lost = seen & (shares < LOST_SHARE)
        if not lost.any() or 2 * lost.sum() > seen.sum():  # the good ones must be the majority to be believed
            break
        poses = resected(tracks, bundle, lost, fits_px)
        if poses is None:
            break
        again = adjust(replace(bundle, Ts_world_camera=poses), int(shares.argmax()))
        gain = frame_shares(tracks, again, fits_px)[seen].mean() - shares[seen].mean()
        bundle = again if gain > 0 else bundle
        if gain < WORTH_IT:
            break
    return bundle


def resected(
    tracks: Tracks, bundle: Bundle, lost: Bool[np.ndarray, " t"], fits_px: float
) -> Float[np.ndarray, "t 4 4"] | None:
    """Poses with those of lost frames from the good frames' points; None where no frame could be found.

    A frame that sees too few of those points takes the pose of the nearest frame that is known by then.
    """
    poses, known = bundle.Ts_world_camera.copy(), ~lost
    fitting = (bundle.residual_px < fits_px) & known[tracks.frame]
    distance = np.linalg.norm(bundle.xyz - np.median(bundle.xyz, axis=0), axis=1)
    usable = (np.bincount(tracks.point[fitting], minlength=tracks.num_points) >= 2) & (
        distance < FAR * np.median(distance)
    )
    found = False
    gap = np.abs(np.flatnonzero(lost)[:, None] - np.flatnonzero(known)).min(axis=1)
    for i in np.flatnonzero(lost)[np.argsort(gap, kind="stable")]:
        pose = resect(tracks, bundle, usable, int(i), 3 * fits_px)
        found |= pose is not None
        nearest = np.flatnonzero(known)[np.abs(np.flatnonzero(known) - i).argmin()]
        poses[i] = poses[nearest] if pose is None else pose
        known[i] = True
    return poses if found else None


def resect(
    tracks: Tracks, bundle: Bundle, usable: Bool[np.ndarray, " p"], frame: int, limit_px: float
) -> Float[np.ndarray, "4 4"] | None:
    """Pose of one frame from the usable points it sees (Lepetit et al., EPnP, IJCV 2009, within RANSAC)."""
    mine = (tracks.frame == frame) & usable[tracks.point]
    if mine.sum() < MIN_RESECTION_POINTS:
        return None
    lens = bundle.intrinsics[frame]
    plane = normalised(tracks.xy[mine], np.broadcast_to(lens, (int(mine.sum()), 4)))
    good, turn, shift, inliers = cv2.solvePnPRansac(
        bundle.xyz[tracks.point[mine]],
        plane,
        np.eye(3),
        np.zeros(4),
        iterationsCount=200,
        reprojectionError=float(limit_px / lens[0]),
        flags=cv2.SOLVEPNP_EPNP,
    )
    if not good or inliers is None or len(inliers) < MIN_RESECTION_POINTS:
        return None
    pose = se3.inverse(se3.from_rotation_translation(cv2.Rodrigues(turn)[0], shift[:, 0]))
    return pose if np.isfinite(pose).all() else None
