"""Camera poses from nothing but the frames: two views first, then every frame that sees their points.

Incremental structure from motion (Snavely, Seitz, Szeliski, Photo tourism, SIGGRAPH 2006; Schoenberger and Frahm,
Structure-from-motion revisited, CVPR 2016), cut down to a short clip: tracks of SIFT matches and of optical flow
together, the two frames with most well-conditioned points as the seed, all frames that see enough of what is known
resected at once, bundle adjustment, again. A chain of essential matrices is quicker to write, but has no scale and
takes the worst of its links.

A seed can be wrong while every number of its two frames looks right: a plane seen twice has two explanations (Faugeras
and Lustman 1988), and a table is a plane. Therefore several seeds are tried on the other frames before one is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike

from rap.geometry import se3
from rap.geometry.camera import intrinsics_from_fov
from rap.reconstruction.bundle import MIN_SCALE_PX, Bundle, bundle_adjust
from rap.reconstruction.matching import (
    MIN_INLIERS,
    RelativePose,
    frame_pairs,
    join_matches,
    match_frames,
    planar_inliers,
    relative_pose,
    verify,
)
from rap.reconstruction.tracks import Tracks, check_frames, track_points

FocalSource = Literal["given", "self-calibrated", "assumed"]

PRIOR_FOV_Y_RAD = np.radians(55.0)
PRIOR_SIGMA = 0.35  # of log focal: a factor of 1.4 either way is one sigma
FOV_HYPOTHESES_RAD = tuple(np.radians([50.0, 75.0, 30.0]))  # a free focal length converges from a factor of 1.6 off

SEED_GAPS = (1, 2, 4, 6, 8, 12, 16)
SEED_STRIDE = 2  # of the first frame: neighbouring seeds say the same
SEED_TRIALS = 5
SEED_ANGLE_RAD = np.radians(2.0)  # a point seen under less fixes no scale
FAINT_ANGLE_RAD = np.radians(0.7)  # several times the noise of a match: below it a clip is a pan
MIN_SEED_POINTS = 20
ON_PLANE_VALUE = 0.25  # of a point on the plane that explains most, next to one off it: a plane has two explanations
MAX_KEY_GAP = 4  # frames from one that is matched to the next
WELL_TIED_POINTS = 60  # followed between those two: five times what verifies a pair
TRACKS_A_FRAME = 200  # of either kind, for the last adjustment
GROWTH_TRACKS_A_FRAME = 100  # of both kinds together, for growing: enough to be right, not to be precise
GOOD_PX = 2.0  # an observation this near its reprojected point is right, at 320 px
KNOWN_ANGLE_RAD = np.radians(1.5)  # points seen under less are not resected from
RESECTION_PX = 3.0
MIN_RESECTION = 12
RESECTED_TOGETHER = 0.5  # share of the known points in the frame that sees most of them
SURE_SCORE = 0.96  # of a model that one other seed need confirm
ENOUGH_INLIERS = 0.8  # share of good observations above which no other focal length is tried
MIN_SCORE = 0.4  # share of frames located times share of good observations: below it the start is chance
MIN_DEEP_SHARE = 0.15  # of points seen under a good angle: with fewer, positions may be made up to explain noise
TURN_EXPLAINS = 0.93  # of what a moving camera explains, or more: then it turns on the spot
MIN_PAN_SHARE = 0.7  # of good observations in a pan
TURN_ROUNDS = 12
GROWTH_ITERATIONS, GROWN_ITERATIONS, FINAL_ITERATIONS = 9, 10, 20
GROWTH_SCALE_PX = 3.0  # of the robust kernel while growing: new frames are a few pixels off and must be heard
AGREED_TURN_RAD = np.radians(1.5)  # between neighbouring frames of two models that are the same
AGREED_SHIFT = 0.15  # of the length of the path


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


@dataclass(frozen=True, eq=False)
class _Sightings:
    """Tracks as a table: xy (P, T, 2), seen (P, T); pixel thresholds are for images `unit` times 320 px long."""

    tracks: Tracks
    xy: np.ndarray
    seen: np.ndarray
    unit: float

    @staticmethod
    def of(tracks: Tracks) -> _Sightings:
        xy = np.zeros((tracks.num_points, tracks.num_frames, 2))
        seen = np.zeros((tracks.num_points, tracks.num_frames), dtype=bool)
        xy[tracks.point, tracks.frame] = tracks.xy
        seen[tracks.point, tracks.frame] = True
        return _Sightings(tracks, xy, seen, max(max(tracks.image_size) / 320, 0.5))


@dataclass(frozen=True, eq=False)
class _Seed:
    """Two frames and the motion between them; score: its points seen under a good angle, those on a plane for less."""

    first: int
    second: int
    pose: RelativePose
    score: float


@dataclass(frozen=True, eq=False)
class _Model:
    """A reconstruction on its way: poses of registered frames, points (P, 3) with NaN where not known well."""

    Ts: np.ndarray
    registered: np.ndarray
    intrinsics: np.ndarray
    points: np.ndarray
    num_inliers: np.ndarray
    inlier_share: float
    cost_px2: float

    @property
    def score(self) -> float:
        """Frames first, then right observations: what the choice between models goes by."""
        return float(self.registered.mean() * self.inlier_share)


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
    return Tracks.concatenate([matched_tracks(frames_u8, flow, intrinsics), thinned(flow, TRACKS_A_FRAME)])


def matched_tracks(
    frames_u8: UInt8[np.ndarray, "t h w 3"], flow: Tracks, intrinsics: Float[ArrayLike, "4"] | None
) -> Tracks:
    """Verified SIFT tracks, the longest of each frame: the part of `find_tracks` that flow does not see."""
    features, matches = match_frames(frames_u8, matched_pairs(flow))
    h, w = frames_u8.shape[1:3]
    threshold_px = max(max(h, w) / 320, 0.5)
    sift = join_matches(features, verify(features, matches, intrinsics, threshold_px), (h, w))
    return thinned(sift, TRACKS_A_FRAME)


def matched_pairs(flow: Tracks) -> list[tuple[int, int]]:
    """Pairs of frames to be matched, of key frames as far apart as flow ties them well, `MAX_KEY_GAP` at most.

    Matches are for what flow cannot do: to meet again after many frames, or at once after a jerk. Where flow holds, a
    few frames do that as well as all.
    """
    last = flow.num_frames - 1
    seen = np.zeros((flow.num_frames, flow.num_points), dtype=np.float32)
    seen[flow.frame, flow.point] = 1
    shared = seen @ seen.T
    keys = [0]
    while keys[-1] < last:
        ahead = np.arange(keys[-1] + 1, min(keys[-1] + MAX_KEY_GAP, last) + 1)
        tied = ahead[shared[keys[-1], ahead] >= WELL_TIED_POINTS]
        keys.append(int(tied.max(initial=keys[-1] + 1)))
    return [(keys[i], keys[j]) for i, j in frame_pairs(len(keys))]


def thinned(tracks: Tracks, per_frame: int) -> Tracks:
    """The longest tracks: every point that is among the `per_frame` longest in some frame that sees it."""
    length = np.bincount(tracks.point, minlength=tracks.num_points)[tracks.point]
    order = np.lexsort((tracks.point * 2654435761 % 1000003, -length, tracks.frame))  # ties: as good as at random
    begin = np.searchsorted(tracks.frame[order], np.arange(tracks.num_frames))
    rank = np.empty(len(tracks), dtype=np.int64)
    rank[order] = np.arange(len(tracks)) - begin[tracks.frame[order]]
    return tracks.subset(np.unique(tracks.point[rank < per_frame]))


def start_from_tracks(
    tracks: Tracks, intrinsics: Float[ArrayLike, "4"] | None, fixed: int = 0
) -> tuple[Start | None, str]:
    """Poses from tracks: `try_initialise` without the frames."""
    lens = None if intrinsics is None else np.asarray(intrinsics, dtype=np.float64)
    sightings = _Sightings.of(tracks)
    if tracks.num_points < MIN_INLIERS:
        return None, f"Only {tracks.num_points} points could be followed; {MIN_INLIERS} are needed."
    if _is_static(sightings):
        return None, "Nothing moves: the camera stands still."
    if lens is not None:
        model, source = _reconstruct(sightings, lens, None), "given"
    else:
        model, source = _reconstruct_any_focal(sightings), "self-calibrated"
    if model is None or model.score < MIN_SCORE or np.median(model.num_inliers[model.registered]) < MIN_SEED_POINTS:
        return _start_of_pan(sightings, lens, fixed)
    if np.isfinite(model.points[:, 0]).mean() < MIN_DEEP_SHARE:
        turn, reason = _start_of_pan(sightings, lens, fixed)
        if turn is not None and turn.inlier_share > TURN_EXPLAINS * model.inlier_share:
            return turn, reason
    start = _finish(sightings, model, source, fixed)
    return start, f"{int(model.registered.sum())} of {tracks.num_frames} frames located in the frames themselves."


def _is_static(sightings: _Sightings) -> bool:
    """Whether nearly all points stay where they are: less than half a pixel between first and last sight."""
    tracks = sightings.tracks
    last = np.append(tracks.starts[1:], len(tracks)) - 1
    moved = np.linalg.norm(tracks.xy[last] - tracks.xy[tracks.starts], axis=1)
    return bool(np.percentile(moved, 80) < 0.5 * sightings.unit)


# --- seeds ------------------------------------------------------------------------------------------------------------


def _seeds(sightings: _Sightings, intrinsics: np.ndarray) -> list[_Seed]:
    """Pairs of frames with enough points under a good angle, best first: many points, and many off the main plane."""
    seeds = []
    faint = []
    for i, j in frame_pairs(sightings.tracks.num_frames, SEED_GAPS):
        if i % SEED_STRIDE:
            continue
        both = sightings.seen[:, i] & sightings.seen[:, j]
        if both.sum() < MIN_SEED_POINTS:
            continue
        first, second = sightings.xy[both, i], sightings.xy[both, j]
        pose = relative_pose(first, second, intrinsics, sightings.unit)
        if pose is None:
            continue
        enough = max(MIN_SEED_POINTS, 0.1 * pose.inliers.sum())
        if (pose.in_front & (pose.angle_rad > FAINT_ANGLE_RAD)).sum() < enough:
            continue
        off_plane = ~planar_inliers(first, second, sightings.unit)
        for angle_rad, found in ((SEED_ANGLE_RAD, seeds), (FAINT_ANGLE_RAD, faint)):
            good = pose.in_front & (pose.angle_rad > angle_rad)
            if good.sum() >= enough:
                found.append(_Seed(i, j, pose, float((good & off_plane).sum() + ON_PLANE_VALUE * good.sum())))
    return sorted(seeds or faint, key=lambda seed: -seed.score)


def _planted(sightings: _Sightings, seed: _Seed, intrinsics: np.ndarray) -> _Model:
    """The model of a seed's two frames."""
    T = sightings.tracks.num_frames
    Ts = np.tile(np.eye(4), (T, 1, 1))
    Ts[seed.second] = se3.inverse(seed.pose.T_second_first)
    registered = np.isin(np.arange(T), (seed.first, seed.second))
    points = np.full((sightings.tracks.num_points, 3), np.nan)
    return _Model(Ts, registered, intrinsics, points, np.zeros(T, dtype=np.int64), 0.0, np.inf)


# --- growth -----------------------------------------------------------------------------------------------------------


def _registered_part(sightings: _Sightings, registered: np.ndarray) -> tuple[Tracks, np.ndarray]:
    """Tracks in the registered frames only, frames numbered anew, and the (Q,) points they are of."""
    tracks = sightings.tracks
    ids = np.flatnonzero(sightings.seen[:, registered].sum(axis=1) >= 2)
    keep = registered[tracks.frame]
    number = np.cumsum(registered) - 1
    part = Tracks.build(
        number[tracks.frame[keep]], tracks.point[keep], tracks.xy[keep], int(registered.sum()), tracks.image_size
    )
    return part, ids


def _resected(sightings: _Sightings, model: _Model, need: float) -> tuple[_Model, int]:
    """Locate every further frame that sees at least `need` times as many known points as the one that sees most.

    Returns the model with these frames and the number of observations that agreed.
    """
    known = np.isfinite(model.points[:, 0])
    counts = (sightings.seen & known[:, None]).sum(axis=0) * ~model.registered
    enough = np.flatnonzero(counts >= max(MIN_RESECTION, need * counts.max(initial=0)))
    Ts, registered, agreed = model.Ts.copy(), model.registered.copy(), 0
    for k in enough:
        rows = known & sightings.seen[:, k]
        T_camera_world, inliers = _resect(model.points[rows], sightings.xy[rows, k], model.intrinsics, sightings.unit)
        if T_camera_world is not None and inliers >= max(MIN_RESECTION, 0.4 * rows.sum()):
            Ts[k], registered[k] = se3.inverse(T_camera_world), True
            agreed += inliers
    return replace(model, Ts=Ts, registered=registered), agreed


def _resect(xyz: np.ndarray, xy: np.ndarray, intrinsics: np.ndarray, unit: float) -> tuple[np.ndarray | None, int]:
    """T_camera_world from points and their pixels, and how many agree (Terzakis and Lourakis, SQPnP, ECCV 2020)."""
    fx, fy, cx, cy = intrinsics
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    found, turn, shift, inliers = cv2.solvePnPRansac(
        xyz,
        xy,
        K,
        None,
        iterationsCount=60,
        reprojectionError=RESECTION_PX * unit,
        confidence=0.999,
        flags=cv2.SOLVEPNP_SQPNP,
    )
    if not found or inliers is None or not (np.isfinite(turn).all() and np.isfinite(shift).all()):
        return None, 0
    return se3.from_rotation_translation(cv2.Rodrigues(turn)[0], shift.ravel()), len(inliers)


def _adjusted(
    sightings: _Sightings,
    model: _Model,
    iterations: int,
    prior: tuple[float, float] | None,
    scale_px: float = MIN_SCALE_PX,
) -> _Model:
    """Bundle adjustment of the registered frames; with a prior the focal length is free."""
    part, ids = _registered_part(sightings, model.registered)
    bundle = bundle_adjust(
        part,
        model.Ts[model.registered],
        model.intrinsics,
        focal="fixed" if prior is None else "shared",
        focal_prior=prior,
        iterations=iterations,
        min_scale_px=scale_px * sightings.unit,
    )
    Ts = model.Ts.copy()
    Ts[model.registered] = bundle.Ts_world_camera
    good = bundle.residual_px < GOOD_PX * sightings.unit
    num_inliers = np.zeros(len(Ts), dtype=np.int64)
    num_inliers[model.registered] = np.bincount(part.frame[good], minlength=part.num_frames)
    points = np.full((sightings.tracks.num_points, 3), np.nan)
    kept = _well_seen(part, bundle, sightings.unit)
    points[ids[kept]] = bundle.xyz[kept]
    share = float(good.mean()) if len(good) else 0.0
    return _Model(Ts, model.registered, bundle.intrinsics[0], points, num_inliers, share, bundle.cost_px2)


def _well_seen(part: Tracks, bundle: Bundle, unit: float) -> np.ndarray:
    """Points (indices) that reproject well on average and whose first and last rays meet at a good angle."""
    rays = bundle.xyz[part.point] - bundle.Ts_world_camera[part.frame, :3, 3]
    rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    last = np.append(part.starts[1:], len(part)) - 1
    chord = np.linalg.norm(rays[part.starts] - rays[last], axis=1)
    miss = np.minimum(bundle.residual_px, 1e3 * unit)
    mean_px = np.add.reduceat(miss, part.starts) / np.bincount(part.point)
    return np.flatnonzero((chord > KNOWN_ANGLE_RAD) & (mean_px < GOOD_PX * unit))


def _grown(sightings: _Sightings, model: _Model, prior: tuple[float, float] | None) -> _Model:
    """Adjust and resect in turns until no further frame can be located."""
    while True:
        free = prior if model.registered.sum() >= 4 else None
        done = model.registered.all()
        model = _adjusted(sightings, model, GROWN_ITERATIONS if done else GROWTH_ITERATIONS, free, GROWTH_SCALE_PX)
        if model.registered.all():
            return model
        larger, agreed = _resected(sightings, model, need=RESECTED_TOGETHER)
        if agreed == 0:
            return _adjusted(sightings, model, GROWN_ITERATIONS, free, GROWTH_SCALE_PX)
        model = larger


def _reconstruct(sightings: _Sightings, intrinsics: np.ndarray, prior: tuple[float, float] | None) -> _Model | None:
    """The best model over a few seeds, grown on few tracks and finished on all of them; None without a seed.

    Growing stops early once seeds that share no frame lead to the same poses, two where nearly all points fit, else
    three: wrong seeds mostly disagree.
    """
    few = _Sightings.of(thinned(sightings.tracks, GROWTH_TRACKS_A_FRAME))
    models: list[_Model] = []
    for seed in _spread(_seeds(few, intrinsics)):
        models.append(_grown(few, _planted(few, seed, intrinsics), prior))
        agreeing = sum(_agree(model, models[-1]) for model in models[:-1])
        if agreeing >= 2 or (agreeing and models[-1].score > SURE_SCORE):
            break
    if not models:
        return None
    best = max(models, key=lambda model: model.score)
    return _adjusted(sightings, best, FINAL_ITERATIONS, prior)


def _agree(a: _Model, b: _Model) -> bool:
    """Whether two models locate the same frames, at the same places but for a similarity."""
    if not (a.registered & b.registered)[a.registered | b.registered].mean() > 0.8:
        return False
    both = a.registered & b.registered
    relative = [se3.inverse(model.Ts[both][:-1]) @ model.Ts[both][1:] for model in (a, b)]
    turn = se3.rotation_angle(np.swapaxes(relative[0][:, :3, :3], 1, 2) @ relative[1][:, :3, :3])
    steps = [T[:, :3, 3] / max(np.linalg.norm(T[:, :3, 3]), 1e-12) for T in relative]
    shift = np.linalg.norm(steps[0] - steps[1])
    return bool(turn.max() < AGREED_TURN_RAD and shift < AGREED_SHIFT)


def _spread(seeds: Sequence[_Seed]) -> list[_Seed]:
    """A few of the best seeds that share no frame, so that one bad frame cannot spoil all of them."""
    chosen: list[_Seed] = []
    for seed in seeds:
        taken = {frame for other in chosen for frame in (other.first, other.second)}
        if len(chosen) < SEED_TRIALS and not taken & {seed.first, seed.second}:
            chosen.append(seed)
    return chosen


def _reconstruct_any_focal(sightings: _Sightings) -> _Model | None:
    """Self-calibration: the focal length is free in the adjustment, from a common one; others only where it fails."""
    prior = (float(PRIOR_FOV_Y_RAD), PRIOR_SIGMA)
    best = None
    for fov_y_rad in FOV_HYPOTHESES_RAD:
        model = _reconstruct(sightings, intrinsics_from_fov(fov_y_rad, sightings.tracks.image_size), prior)
        if model is not None and (best is None or model.score > best.score):
            best = model
        if best is not None and best.score > ENOUGH_INLIERS:
            break
    return best


# --- outcome ----------------------------------------------------------------------------------------------------------


def _finish(sightings: _Sightings, model: _Model, source: FocalSource, fixed: int) -> Start:
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
    sightings: _Sightings, intrinsics: Float[np.ndarray, "4"] | None, fixed: int
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


def turn_between(rays_b: Float[np.ndarray, "n 3"], rays_a: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3 3"]:
    """Rotation R_a_b with rays_a = R_a_b rays_b, for unit rays some of which are wrong.

    Kabsch, A solution for the best rotation to relate two sets of vectors, 1976, reweighed by Geman and McClure.
    """
    weight, R = np.ones(len(rays_a)), np.eye(3)
    for _ in range(TURN_ROUNDS):
        U, _, Vt = np.linalg.svd((rays_a * weight[:, None]).T @ rays_b)
        R = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
        miss = np.linalg.norm(rays_a - rays_b @ R.T, axis=1)
        weight = 1 / (1 + (miss / max(1.5 * np.median(miss), 1e-6)) ** 2) ** 2
    return R
