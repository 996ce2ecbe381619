"""A reconstruction grown from two frames: seeds, resection, adjustment, again.

Incremental structure from motion (Snavely, Seitz, Szeliski, Photo tourism, SIGGRAPH 2006; Schoenberger and Frahm,
Structure-from-motion revisited, CVPR 2016): the two frames with most well-conditioned points as the seed, all frames
that see enough of what is known resected at once, adjustment, again. A chain of essential matrices is quicker to
write, but has no scale and takes the worst of its links. What is new moves alone, with the frames that share most
points with it; everything moves together only when a quarter has been added, so that time grows with the frames.

A seed can be wrong while every number of its two frames looks right: a plane seen twice has two explanations (Faugeras
and Lustman 1988), and a table is a plane. Therefore several seeds are grown a little before one is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from rap.geometry import se3
from rap.reconstruction.bundle import MIN_SCALE_PX, Bundle, bundle_adjust
from rap.reconstruction.matching import RelativePose, planar_inliers, relative_pose
from rap.reconstruction.progress import beat
from rap.reconstruction.tie import tie_frames, turn_between
from rap.reconstruction.tracks import Tracks, locate

SEED_GAPS = (1, 2, 3, 4, 6, 8, 12)
SEED_PAIRS = 24  # whose motion is looked for
SEED_FRAME_USES = 2  # of a frame among them, so that they spread over the film
SEED_MOVE_PX = 30.0  # median move of the shared points that is enough, at 320 px
SEED_SHARED = 40  # points
SEED_TRIALS = 3
SEED_ANGLE_RAD = np.radians(2.0)  # a point seen under less fixes no scale
FAINT_ANGLE_RAD = np.radians(0.7)  # several times the noise of a match: below it a clip is a pan
MIN_SEED_POINTS = 20
ON_PLANE_VALUE = 0.25  # of a point on the plane that explains most, next to one off it: a plane has two explanations
TRIAL_FRAMES = 8  # a seed is grown to, before it is compared
GOOD_PX = 2.0  # an observation this near its reprojected point is right, at 320 px
KNOWN_ANGLE_RAD = np.radians(1.5)  # points seen under less are not resected from
RESECTION_PX = 3.0
MIN_RESECTION = 12
RESECTION_SHARE = 0.4  # of the known points that a frame sees must agree on its pose
RESECTED_TOGETHER = 0.5  # share of the known points in the frame that sees most of them
GROWTH_ITERATIONS, LOCAL_ITERATIONS = 9, 5
GROWTH_SCALE_PX = 3.0  # of the robust kernel while growing: new frames are a few pixels off and must be heard
SMALL = 12  # frames that are always adjusted together
MUCH_MORE = 1.25  # times the frames of the last time that all were
MIN_PIECE = 5  # frames that nothing ties to the others, but which are tied to each other
MIN_FREE_FOCAL = 5  # frames that tell a focal length
MOVED_NEIGHBOURS, STILL_NEIGHBOURS = 5, 10  # of a new frame, by shared points


@dataclass(frozen=True, eq=False)
class Sightings:
    """Tracks as a table: xy (P, T, 2), seen (P, T); pixel thresholds are for images `unit` times 320 px long."""

    tracks: Tracks
    xy: Float[np.ndarray, "p t 2"]
    seen: Bool[np.ndarray, "p t"]
    unit: float

    @staticmethod
    def of(tracks: Tracks) -> Sightings:
        """The table of some tracks."""
        xy = np.zeros((tracks.num_points, tracks.num_frames, 2))
        seen = np.zeros((tracks.num_points, tracks.num_frames), dtype=bool)
        xy[tracks.point, tracks.frame] = tracks.xy
        seen[tracks.point, tracks.frame] = True
        return Sightings(tracks, xy, seen, max(max(tracks.image_size) / 320, 0.5))

    @property
    def shared(self) -> Float[np.ndarray, "t t"]:
        """How many points two frames share."""
        seen = self.seen.astype(np.float32)
        return seen.T @ seen


@dataclass(frozen=True, eq=False)
class Seed:
    """Two frames and the motion between them; score: its points seen under a good angle, those on a plane for less."""

    first: int
    second: int
    pose: RelativePose
    score: float


@dataclass(frozen=True, eq=False)
class Model:
    """A reconstruction on its way: poses of registered frames, points (P, 3) with NaN where not known well.

    `intrinsics` (4,) px of all frames; `num_inliers` (T,) good observations by frame, `inlier_share` of all of
    registered frames, `cost_px2` the robust mean.
    """

    Ts: Float[np.ndarray, "t 4 4"]
    registered: Bool[np.ndarray, " t"]
    intrinsics: Float[np.ndarray, "4"]
    points: Float[np.ndarray, "p 3"]
    num_inliers: Int[np.ndarray, " t"]
    inlier_share: float
    cost_px2: float

    @property
    def score(self) -> float:
        """Frames first, then right observations: what the choice between models goes by."""
        return float(self.registered.mean() * self.inlier_share)


# --- seeds ------------------------------------------------------------------------------------------------------------


def seed_pairs(sightings: Sightings) -> list[tuple[int, int]]:
    """Pairs of frames that share many points which have moved, best first, spread over the film."""
    found = []
    for gap in SEED_GAPS:
        for i in range(sightings.tracks.num_frames - gap):
            both = sightings.seen[:, i] & sightings.seen[:, i + gap]
            if both.sum() < MIN_SEED_POINTS:
                continue
            moved = np.linalg.norm(sightings.xy[both, i] - sightings.xy[both, i + gap], axis=1)
            worth = min(both.sum(), 200) * min(1.0, np.median(moved) / (SEED_MOVE_PX * sightings.unit))
            found.append((float(worth), i, i + gap))
    uses, chosen = np.zeros(sightings.tracks.num_frames, dtype=int), []
    for _, i, j in sorted(found, reverse=True):
        if max(uses[i], uses[j]) < SEED_FRAME_USES and len(chosen) < SEED_PAIRS:
            chosen.append((i, j))
            uses[[i, j]] += 1
    return chosen


def find_seeds(
    sightings: Sightings, intrinsics: Float[np.ndarray, "4"], pairs: Sequence[tuple[int, int]]
) -> list[Seed]:
    """Of some pairs those with enough points under a good angle, best first: many points, and many off the main plane;
    no frame twice, so that one bad frame cannot spoil all of them."""
    seeds, faint = [], []
    for i, j in pairs:
        both = sightings.seen[:, i] & sightings.seen[:, j]
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
                found.append(Seed(i, j, pose, float((good & off_plane).sum() + ON_PLANE_VALUE * good.sum())))
    return _spread(sorted(seeds or faint, key=lambda seed: -seed.score))


def _spread(seeds: Sequence[Seed]) -> list[Seed]:
    chosen: list[Seed] = []
    for seed in seeds:
        taken = {frame for other in chosen for frame in (other.first, other.second)}
        if len(chosen) < SEED_TRIALS and not taken & {seed.first, seed.second}:
            chosen.append(seed)
    return chosen


def planted(sightings: Sightings, seed: Seed, intrinsics: Float[np.ndarray, "4"]) -> Model:
    """The model of a seed's two frames, not yet adjusted."""
    T = sightings.tracks.num_frames
    Ts = np.tile(np.eye(4), (T, 1, 1))
    Ts[seed.second] = se3.inverse(seed.pose.T_second_first)
    registered = np.isin(np.arange(T), (seed.first, seed.second))
    points = np.full((sightings.tracks.num_points, 3), np.nan)
    return Model(Ts, registered, intrinsics, points, np.zeros(T, dtype=np.int64), 0.0, np.inf)


# --- resection --------------------------------------------------------------------------------------------------------


def resected(sightings: Sightings, model: Model) -> Model:
    """With every further frame located that sees half as many known points, or more, as the one that sees most."""
    known = np.isfinite(model.points[:, 0])
    counts = (sightings.seen & known[:, None]).sum(axis=0) * ~model.registered
    Ts, registered = model.Ts.copy(), model.registered.copy()
    for k in np.flatnonzero(counts >= max(MIN_RESECTION, RESECTED_TOGETHER * counts.max(initial=0))):
        rows = known & sightings.seen[:, k]
        T_camera_world, inliers = _resect(model.points[rows], sightings.xy[rows, k], model.intrinsics, sightings.unit)
        if T_camera_world is not None and inliers >= max(MIN_RESECTION, RESECTION_SHARE * rows.sum()):
            Ts[k], registered[k] = se3.inverse(T_camera_world), True
    return replace(model, Ts=Ts, registered=registered)


def _resect(xyz: np.ndarray, xy: np.ndarray, intrinsics: np.ndarray, unit: float) -> tuple[np.ndarray | None, int]:
    """T_camera_world from points and their pixels, and how many agree (Terzakis and Lourakis, SQPnP, ECCV 2020)."""
    fx, fy, cx, cy = intrinsics
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    ransac = dict(iterationsCount=60, reprojectionError=RESECTION_PX * unit, confidence=0.999)
    try:
        found, turn, shift, inliers = cv2.solvePnPRansac(xyz, xy, K, None, flags=cv2.SOLVEPNP_SQPNP, **ransac)  # pyright: ignore
    except cv2.error:  # an assertion inside SQPnP: the sample lies in one direction
        return None, 0
    if not found or inliers is None or not (np.isfinite(turn).all() and np.isfinite(shift).all()):
        return None, 0
    return se3.from_rotation_translation(cv2.Rodrigues(turn)[0], shift.ravel()), len(inliers)


def _turned_to(sightings: Sightings, model: Model) -> Model:
    """With the frames that share most points with registered ones placed by all of these, however far the points are.

    Where a camera turns on the spot new points show no parallax, and resection has nothing to go by; but they tell its
    rotation, and what little it moves.
    """
    registered, xy = model.registered, sightings.xy
    shared = sightings.shared * registered
    counts = shared.max(axis=1) * ~registered
    tried = np.flatnonzero(counts >= max(MIN_RESECTION, RESECTED_TOGETHER * counts.max(initial=0)))
    if len(tried) == 0:
        return model
    Ts, lens = model.Ts.copy(), model.intrinsics
    for k in tried:
        nearest = int(shared[k].argmax())
        both = sightings.seen[:, k] & sightings.seen[:, nearest]
        rays = [np.append((xy[both, i] - lens[2:]) / lens[:2], np.ones((both.sum(), 1)), 1) for i in (k, nearest)]
        rays = [some / np.linalg.norm(some, axis=1, keepdims=True) for some in rays]
        Ts[k] = Ts[nearest]
        Ts[k, :3, :3] = Ts[nearest, :3, :3] @ turn_between(*rays)
    mine = registered | np.isin(np.arange(len(Ts)), tried)
    part = sightings.tracks.where(mine[sightings.tracks.frame])
    Ts, placed = tie_frames(part, Ts, np.tile(lens, (len(Ts), 1)), registered)
    return replace(model, Ts=Ts, registered=placed)


# --- growth -----------------------------------------------------------------------------------------------------------


def registered_part(sightings: Sightings, frames: Bool[np.ndarray, " t"]) -> tuple[Tracks, Int[np.ndarray, " q"]]:
    """Tracks in some frames only, frames numbered anew, and the (Q,) points they are of."""
    tracks = sightings.tracks
    ids = np.flatnonzero(sightings.seen[:, frames].sum(axis=1) >= 2)
    return tracks.at(np.flatnonzero(frames)), ids


def adjusted(
    sightings: Sightings,
    model: Model,
    iterations: int,
    prior: tuple[float, float] | None,
    scale_px: float = MIN_SCALE_PX,
) -> Model:
    """Bundle adjustment of the registered frames; with a prior the focal length is free."""
    part, ids = registered_part(sightings, model.registered)
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
    return Model(Ts, model.registered, bundle.intrinsics[0], points, num_inliers, share, bundle.cost_px2)


def _locally_adjusted(sightings: Sightings, model: Model, moved: np.ndarray, still: np.ndarray) -> Model:
    """Only the `moved` frames (T,) and the points they see are adjusted; the `still` ones hold them in place."""
    frames = moved | still
    part, ids = registered_part(sightings, frames)
    free = moved[frames]
    theirs = np.bincount(part.point[free[part.frame]], minlength=part.num_points) > 0
    part, ids = part.subset(theirs), ids[theirs]
    bundle = bundle_adjust(
        part,
        model.Ts[frames],
        model.intrinsics,
        fixed=np.flatnonzero(~free).tolist(),
        iterations=LOCAL_ITERATIONS,
        min_scale_px=GROWTH_SCALE_PX * sightings.unit,
    )
    Ts, points = model.Ts.copy(), model.points.copy()
    Ts[frames] = bundle.Ts_world_camera
    kept = _well_seen(part, bundle, sightings.unit)
    points[ids[kept]] = bundle.xyz[kept]
    return replace(model, Ts=Ts, points=points)


def _well_seen(part: Tracks, bundle: Bundle, unit: float) -> Int[np.ndarray, " q"]:
    """Points (indices) that reproject well on average and whose first and last rays meet at a good angle."""
    rays = bundle.xyz[part.point] - bundle.Ts_world_camera[part.frame, :3, 3]
    rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    last = np.append(part.starts[1:], len(part)) - 1
    chord = np.linalg.norm(rays[part.starts] - rays[last], axis=1)
    miss = np.minimum(bundle.residual_px, 1e3 * unit)
    mean_px = np.add.reduceat(miss, part.starts) / np.bincount(part.point)
    return np.flatnonzero((chord > KNOWN_ANGLE_RAD) & (mean_px < GOOD_PX * unit))


def _neighbours(shared: np.ndarray, registered: np.ndarray, frames: np.ndarray, count: int) -> np.ndarray:
    """(T,) the `count` registered frames that share most points with each of `frames` (T,)."""
    chosen, link = np.zeros(len(registered), dtype=bool), shared * registered
    for i in np.flatnonzero(frames):
        best = np.argsort(-link[i])[:count]
        chosen[best[link[i, best] > 0]] = True
    return chosen


def grown(
    sightings: Sightings,
    model: Model,
    prior: tuple[float, float] | None,
    limit: int | None = None,
    iterations: int = GROWTH_ITERATIONS,
) -> Model:
    """Adjust and resect in turns until no further frame can be located, or until `limit` frames are."""
    shared, count = sightings.shared, sightings.tracks.num_frames
    model = adjusted(sightings, model, iterations, None, GROWTH_SCALE_PX)
    together = int(model.registered.sum())
    while model.registered.sum() < min(limit or count, count):
        larger = resected(sightings, model)
        if larger.registered.sum() == model.registered.sum():
            larger = _turned_to(sightings, model)
        beat()
        new, total = larger.registered & ~model.registered, int(larger.registered.sum())
        if not new.any():
            break
        moved = new | _neighbours(shared, larger.registered, new, MOVED_NEIGHBOURS)
        still = _neighbours(shared, larger.registered, moved, STILL_NEIGHBOURS) & ~moved
        if total <= SMALL or total >= MUCH_MORE * together or still.sum() < 2:
            free, together = prior if total >= MIN_FREE_FOCAL else None, total
            model = adjusted(sightings, larger, iterations, free, GROWTH_SCALE_PX)
        else:
            model = _locally_adjusted(sightings, larger, moved, still)
    free = prior if model.registered.sum() >= MIN_FREE_FOCAL else None
    return adjusted(sightings, model, iterations + 1, free, GROWTH_SCALE_PX)


def reconstructed(
    sightings: Sightings, intrinsics: Float[np.ndarray, "4"], prior: tuple[float, float] | None
) -> Model | None:
    """The model of all frames that can be located, in pieces where nothing ties them; None without a seed.

    The pieces stand as `_set_beside` leaves them: nobody knows how they lie to each other.
    """
    model = _piece(sightings, intrinsics, prior)
    while model is not None and (~model.registered).sum() >= MIN_PIECE:
        rest = np.flatnonzero(~model.registered)
        other = _piece(Sightings.of(sightings.tracks.at(rest)), model.intrinsics, None)
        if other is None or other.registered.sum() < MIN_PIECE:
            break
        theirs, ours = rest[other.registered], np.flatnonzero(model.registered)
        if theirs.max() > ours.min() and theirs.min() < ours.max():
            break  # between frames that are located: these tell more of where it is
        model = _set_beside(model, other, rest)
    return model


def _set_beside(model: Model, other: Model, rest: Int[np.ndarray, " r"]) -> Model:
    """With another piece, of frames `rest`, as if the camera had stood still between the nearest frames of the two."""
    theirs = rest[other.registered]
    ours = np.flatnonzero(model.registered)
    i, j = np.unravel_index(np.abs(ours[:, None] - theirs).argmin(), (len(ours), len(theirs)))
    near, begin = model.Ts[ours[i]], other.Ts[other.registered][j]
    depths = [_median_depth(some.points, T) for some, T in ((model, near), (other, begin))]
    steps = se3.inverse(begin) @ other.Ts[other.registered]
    steps[:, :3, 3] *= depths[0] / depths[1]
    Ts, registered = model.Ts.copy(), model.registered.copy()
    Ts[theirs], registered[theirs] = near @ steps, True
    return replace(model, Ts=Ts, registered=registered)


def _median_depth(points: Float[np.ndarray, "p 3"], T_world_camera: Float[np.ndarray, "4 4"]) -> float:
    depths = (points - T_world_camera[:3, 3]) @ T_world_camera[:3, 2]
    depths = depths[depths > 0]  # unknown ones are NaN
    return float(np.median(depths)) if len(depths) else 1.0


def _piece(sightings: Sightings, intrinsics: Float[np.ndarray, "4"], prior: tuple[float, float] | None) -> Model | None:
    """The model of the seed that does best when it is grown a little, grown to its end."""
    seeds = find_seeds(sightings, intrinsics, seed_pairs(sightings))
    trials = [grown(sightings, planted(sightings, seed, intrinsics), prior, TRIAL_FRAMES) for seed in seeds]
    if not trials:
        return None
    return grown(sightings, max(trials, key=_promise), prior)


def _promise(model: Model) -> float:
    return model.inlier_share * min(1.0, float(model.registered.sum()) / TRIAL_FRAMES)


def misfit(sightings: Sightings, model: Model) -> float:
    """Robust error of ALL observations in [0, 1], those of frames that were not located counting as quite wrong.

    e^2 / (e^2 + s^2), s one pixel at 320: the same scale for every model, so that they can be compared.
    """
    part, _ = registered_part(sightings, model.registered)
    if len(part) == 0:
        return 1.0
    _, residual_px, _ = locate(part, model.Ts[model.registered], np.tile(model.intrinsics, (part.num_frames, 1)))
    squared = (np.minimum(residual_px, 1e6) / sightings.unit) ** 2
    return float(((squared / (1 + squared)).sum() + len(sightings.tracks) - len(part)) / len(sightings.tracks))
