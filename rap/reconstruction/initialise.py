"""Camera poses from nothing but the frames: a reconstruction grown from two of them, under the lens that fits best.

Tracks of SIFT matches and of optical flow serve together. Where the focal length is not known, the trials of
`rap.reconstruction.lens` say where to begin. What shows no parallax is a camera that turns: rotations alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike

from rap.geometry import se3
from rap.geometry.camera import intrinsics_from_fov
from rap.reconstruction.bundle import bundle_adjust
from rap.reconstruction.growth import GOOD_PX, MIN_SEED_POINTS, Model, Sightings, adjusted, grown, misfit, reconstructed
from rap.reconstruction.judge import Half, agree
from rap.reconstruction.lens import LensCurve, lens_curve
from rap.reconstruction.matching import MIN_INLIERS, frame_pairs, join_matches, match_frames, verify
from rap.reconstruction.progress import tell
from rap.reconstruction.tie import turn_between
from rap.reconstruction.tracks import Tracks, check_frames, track_points

FocalSource = Literal["given", "self-calibrated", "assumed"]

PRIOR_FOV_Y_RAD = np.radians(55.0)  # of a camera that turns: the trials of a lens need parallax
PRIOR_SIGMA = 0.35  # of log focal: a factor of 1.4 either way is one sigma
FOUND_SIGMA = 0.3  # around the lens that fitted best in the trials

MAX_KEY_GAP = 4  # frames from one that is matched to the next
WELL_TIED_POINTS = 60  # followed between those two: five times what verifies a pair
TRACKS_A_FRAME = 200  # of either kind, for the last adjustment
LENS_TRACKS_A_FRAME = 150  # of both kinds together, for the trials of a lens
GROWTH_TRACKS_A_FRAME = 160  # for growing, half of them for either path: enough to be right, not to be precise
MIN_SCORE = 0.4  # share of frames located times share of good observations: below it the start is chance
MIN_DEEP_SHARE = 0.15  # of points seen under a good angle: with fewer, positions may be made up to explain noise
TURN_EXPLAINS = 0.93  # of what a moving camera explains, or more: then it turns on the spot
MIN_PAN_SHARE = 0.7  # of good observations in a pan
FINAL_ITERATIONS, HALF_ITERATIONS = 20, 8


@dataclass(frozen=True, eq=False)
class Start:
    """Poses of a clip found in its frames.

    Attributes:
        Ts_world_camera: (T, 4, 4), world = camera `fixed`, unit of length = median z-depth of that view's points.
        intrinsics: (T, 4) px of the frames.
        tracks: what the poses were found from.
        points: (P, 3) of the tracks in the world, NaN where a track has no good point.
        registered: (T,) frames that were located; the others' poses are interpolated.
        num_inliers: (T,) observations that reproject well, by frame.
        inlier_share: of all observations in registered frames.
        parallax: False for a pan: rotations are right, all centres are one, points are directions (at distance 1).
        focal_source: "given", "self-calibrated", or "assumed" where the frames do not tell.
        halves: two paths of the same frames that were found apart, each from half of the tracks; fewer than two where
            a half tells no path.
        lens_curve: of the trials, where the focal length was not given.
    """

    Ts_world_camera: Float[np.ndarray, "t 4 4"]
    intrinsics: Float[np.ndarray, "t 4"]
    tracks: Tracks
    points: Float[np.ndarray, "p 3"]
    registered: np.ndarray
    num_inliers: np.ndarray
    inlier_share: float
    parallax: bool
    focal_source: FocalSource
    halves: tuple[Half, ...] = ()
    lens_curve: LensCurve | None = None


def initialise(
    frames_u8: UInt8[np.ndarray, "t h w 3"],
    intrinsics: Float[ArrayLike, "4"] | None = None,
    fixed: int = 0,
    *,
    flow: Tracks | None = None,
) -> Start | None:
    """Poses of a clip from its frames alone; None where they do not tell (black, static, too little texture).

    Args:
        frames_u8: the clip, at the highest resolution there is: matching lives on it.
        intrinsics: (4,) px of the frames, or None: the focal length is found too, with the principal point centred.
        fixed: frame that becomes the world.
        flow: `track_points` of the frames, where the caller has them already.

    Raises:
        ValueError: frames of another type or shape, a fixed frame out of range.
    """
    return try_initialise(frames_u8, intrinsics, fixed, flow=flow)[0]


def try_initialise(
    frames_u8: UInt8[np.ndarray, "t h w 3"],
    intrinsics: Float[ArrayLike, "4"] | None = None,
    fixed: int = 0,
    *,
    flow: Tracks | None = None,
) -> tuple[Start | None, str]:
    """As `initialise`, with a sentence for a person: what was found, or why nothing was."""
    frames_u8 = check_frames(frames_u8)
    if not 0 <= fixed < len(frames_u8):
        raise ValueError(f"fixed must be one of the {len(frames_u8)} frames, got {fixed}")
    if len(frames_u8) < 2:
        return None, "One frame shows no motion."
    lens = None if intrinsics is None else np.asarray(intrinsics, dtype=np.float64)
    return start_from_tracks(find_tracks(frames_u8, lens, flow=flow), lens, fixed)


def find_tracks(
    frames_u8: UInt8[np.ndarray, "t h w 3"],
    intrinsics: Float[ArrayLike, "4"] | None = None,
    *,
    flow: Tracks | None = None,
) -> Tracks:
    """Verified SIFT tracks and Lucas-Kanade tracks (`flow`) of a clip, together; no more than the start needs."""
    flow = track_points(frames_u8) if flow is None else flow
    return Tracks.concatenate([matched_tracks(frames_u8, flow, intrinsics), flow.longest(TRACKS_A_FRAME)])


def matched_tracks(
    frames_u8: UInt8[np.ndarray, "t h w 3"], flow: Tracks, intrinsics: Float[ArrayLike, "4"] | None
) -> Tracks:
    """Verified SIFT tracks, the longest of each frame: the part of `find_tracks` that flow does not see."""
    features, matches = match_frames(frames_u8, matched_pairs(flow))
    h, w = frames_u8.shape[1:3]
    threshold_px = max(max(h, w) / 320, 0.5)
    sift = join_matches(features, verify(features, matches, intrinsics, threshold_px), (h, w))
    return sift.longest(TRACKS_A_FRAME)


def matched_pairs(flow: Tracks) -> list[tuple[int, int]]:
    """Pairs of frames to be matched, of key frames as far apart as flow ties them well, `MAX_KEY_GAP` at most."""
    keys = well_tied(flow, MAX_KEY_GAP, WELL_TIED_POINTS)
    return [(keys[i], keys[j]) for i, j in frame_pairs(len(keys))]


def well_tied(flow: Tracks, reach: int, points: int) -> list[int]:
    """Frames, the first and the last among them, each up to `reach` after the one before and sharing `points` with it
    by flow; the very next one where none does.

    Matches are for what flow cannot do: to meet again after many frames, or at once after a jerk. Where flow holds, a
    few frames do that as well as all.
    """
    last = flow.num_frames - 1
    seen = np.zeros((flow.num_frames, flow.num_points), dtype=np.float32)
    seen[flow.frame, flow.point] = 1
    shared = seen @ seen.T
    keys = [0]
    while keys[-1] < last:
        ahead = np.arange(keys[-1] + 1, min(keys[-1] + reach, last) + 1)
        tied = ahead[shared[keys[-1], ahead] >= points]
        keys.append(int(tied.max(initial=keys[-1] + 1)))
    return keys


def start_from_tracks(
    tracks: Tracks, intrinsics: Float[ArrayLike, "4"] | None, fixed: int = 0
) -> tuple[Start | None, str]:
    """Poses from tracks: `try_initialise` without the frames."""
    lens = None if intrinsics is None else np.asarray(intrinsics, dtype=np.float64)
    sightings = Sightings.of(tracks)
    if tracks.num_points < MIN_INLIERS:
        return None, f"Only {tracks.num_points} points could be followed; {MIN_INLIERS} are needed."
    if _is_static(sightings):
        return None, "Nothing moves: the camera stands still."
    model, halves, curve = _reconstructed(sightings, lens)
    source: FocalSource = "self-calibrated" if lens is None else "given"
    if model is None or model.score < MIN_SCORE or np.median(model.num_inliers[model.registered]) < MIN_SEED_POINTS:
        return _start_of_pan(sightings, lens, fixed)
    if np.isfinite(model.points[:, 0]).mean() < MIN_DEEP_SHARE:
        turn, reason = _start_of_pan(sightings, lens, fixed)
        if turn is not None and turn.inlier_share > TURN_EXPLAINS * model.inlier_share:
            return turn, reason
    start = replace(_finish(sightings, model, source, fixed), halves=halves, lens_curve=curve)
    return start, f"{int(model.registered.sum())} of {tracks.num_frames} frames located in the frames themselves."


def _is_static(sightings: Sightings) -> bool:
    """Whether nearly all points stay where they are: less than half a pixel between first and last sight."""
    tracks = sightings.tracks
    last = np.append(tracks.starts[1:], len(tracks)) - 1
    moved = np.linalg.norm(tracks.xy[last] - tracks.xy[tracks.starts], axis=1)
    return bool(np.percentile(moved, 80) < 0.5 * sightings.unit)


def _reconstructed(
    sightings: Sightings, lens: Float[np.ndarray, "4"] | None
) -> tuple[Model | None, tuple[Half, ...], LensCurve | None]:
    """Grown on few tracks, under the lens that fits best if none is given, and finished on all of them.

    Each half of the tracks is grown on its own, from a seed of its own, under a lens of its own in the end: two paths
    that know nothing of each other. Where these agree the better one is gone on with; where they do not, the tracks of
    both together have a third try.
    """
    prior, curve = None, None
    if lens is None:
        curve = lens_curve(Sightings.of(sightings.tracks.longest(LENS_TRACKS_A_FRAME)))
        fov_y_rad = curve.best_fov_y_rad
        lens, prior = intrinsics_from_fov(fov_y_rad, sightings.tracks.image_size), (fov_y_rad, FOUND_SIGMA)
    tell("grow", 0.0)
    few = sightings.tracks.longest(GROWTH_TRACKS_A_FRAME)
    odd = np.arange(few.num_points) * 2654435761 % 1000003 % 2 > 0  # as good as at random
    tried = [_half(Sightings.of(few.subset(part)), lens, prior) for part in (odd, ~odd)]
    halves = tuple(Half(model.Ts, model.registered) for model in tried if model is not None)
    whole = Sightings.of(few)
    tell("grow", 0.6)
    if len(halves) < 2 or not agree(*halves):
        tried.append(reconstructed(whole, lens, prior))
    models = [model for model in tried if model is not None]
    if not models:
        return None, halves, curve
    best = min(models, key=partial(misfit, whole))
    if not best.registered.all():  # half of the tracks may not reach a frame that both together do
        best = grown(whole, best, prior)
    tell("fit", 0.0)
    return adjusted(sightings, best, FINAL_ITERATIONS, prior), halves, curve


def _half(sightings: Sightings, lens: Float[np.ndarray, "4"], prior: tuple[float, float] | None) -> Model | None:
    """Grown, and adjusted finely: what two halves differ by is to be the frames' doubt, not the growth's haste."""
    model = reconstructed(sightings, lens, prior)
    return None if model is None else adjusted(sightings, model, HALF_ITERATIONS, prior)


# --- outcome ----------------------------------------------------------------------------------------------------------


def _finish(sightings: Sightings, model: Model, source: FocalSource, fixed: int) -> Start:
    """The model in the world of the fixed camera, gaps closed, unit of length set."""
    Ts = _gaps_closed(model.Ts, model.registered)
    T_fixed_world = se3.inverse(Ts[fixed])
    Ts = T_fixed_world @ Ts
    points = model.points @ T_fixed_world[:3, :3].T + T_fixed_world[:3, 3]
    visible = sightings.seen[:, fixed] & (points[:, 2] > 0)
    depths = points[visible if visible.any() else points[:, 2] > 0, 2]
    unit = float(np.median(depths)) if len(depths) else 1.0
    Ts[:, :3, 3] /= unit
    lenses = np.tile(model.intrinsics, (len(Ts), 1))
    return Start(
        Ts,
        lenses,
        sightings.tracks,
        points / unit,
        model.registered,
        model.num_inliers,
        model.inlier_share,
        True,
        source,
    )


def _gaps_closed(Ts: np.ndarray, registered: np.ndarray) -> np.ndarray:
    """Frames between two registered ones are interpolated; those at the ends get the pose of the nearest."""
    known = np.flatnonzero(registered)
    frames = np.arange(len(Ts))
    after = np.clip(np.searchsorted(known, frames), 0, len(known) - 1)
    before = np.clip(np.searchsorted(known, frames, side="right") - 1, 0, len(known) - 1)
    a, b = known[before], known[after]
    alpha = np.where(b > a, (frames - a) / np.maximum(b - a, 1), 0.0)
    return se3.interpolate(Ts[a], Ts[b], alpha)


def _start_of_pan(
    sightings: Sightings, intrinsics: Float[np.ndarray, "4"] | None, fixed: int
) -> tuple[Start | None, str]:
    """Rotations alone, from neighbour to neighbour, then all together with the points at infinity."""
    tracks, T = sightings.tracks, sightings.tracks.num_frames
    lens = intrinsics_from_fov(PRIOR_FOV_Y_RAD, tracks.image_size) if intrinsics is None else intrinsics
    rays = np.concatenate([(sightings.xy - lens[2:]) / lens[:2], np.ones((*sightings.seen.shape, 1))], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    Ts = np.tile(np.eye(4), (T, 1, 1))
    for i in range(T - 1):
        both = sightings.seen[:, i] & sightings.seen[:, i + 1]
        if both.sum() < MIN_INLIERS:
            return None, f"Only {both.sum()} points in common between frames {i} and {i + 1}; no parallax elsewhere."
        Ts[i + 1, :3, :3] = Ts[i, :3, :3] @ turn_between(rays[both, i + 1], rays[both, i])
    prior = None if intrinsics is not None else (float(PRIOR_FOV_Y_RAD), PRIOR_SIGMA)
    focal = "fixed" if prior is None else "shared"
    bundle = bundle_adjust(tracks, Ts, lens, focal=focal, focal_prior=prior, at_infinity=True)
    good = bundle.residual_px < GOOD_PX * sightings.unit
    counts = np.bincount(tracks.frame[good], minlength=T)
    if good.mean() < MIN_PAN_SHARE or counts.min() < MIN_INLIERS:
        return None, "The points fit neither a moving camera nor one that turns on the spot."
    R_fixed_world = bundle.Ts_world_camera[fixed, :3, :3].T
    directions = bundle.xyz @ R_fixed_world.T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    R = R_fixed_world @ bundle.Ts_world_camera[:, :3, :3]
    Ts = se3.from_rotation_translation(R, np.zeros((T, 3)))
    source: FocalSource = "given" if prior is None else "self-calibrated"
    whole, share = np.ones(T, dtype=bool), float(good.mean())
    start = Start(Ts, bundle.intrinsics, tracks, directions, whole, counts, share, False, source)
    return start, "The camera turns on the spot: rotations were found, there is no parallax to see positions in."
