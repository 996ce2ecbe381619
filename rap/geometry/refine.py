"""Refinement: a predicted trajectory becomes the one that the frames agree with, or comes back unchanged with a reason.

Points are tracked through the clip and poses, points and focal length adjusted to them (`rap.geometry.bundle`). Two
starts compete where the first does not convince: the given trajectory, and poses found from the frames alone
(`rap.geometry.initialise`). The world stays the source camera; the unit of length becomes the median z-depth of the
points that the source view sees, as everywhere in this package.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from rap.geometry import se3
from rap.geometry.bundle import Bundle, bundle_adjust
from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.tracks import PointCloud, Tracks, check_frames, locate, track_points, triangulate
from rap.geometry.trajectory import Trajectory

Verdict = Literal["refined", "no_parallax", "too_few_tracks", "diverged"]
StartName = Literal["prediction", "frames"]
FocalSource = Literal["given", "model", "self-calibrated"]

MIN_POINTS = 8  # that tie a frame to the others; fewer leave its six numbers to chance
FITS_PX = 1.0  # an observation fits below this error, in images of 224 px; grows with larger ones
CONVINCING_SHARE = 0.9  # of the observations fit: no second start is looked for
MIN_SHARE = 0.5  # of the observations must fit, or the adjustment has diverged
TURNING_SHARE = 0.93  # of what poses explain is explained by turning alone: no parallax
STATIC_SHARE = 0.6  # of the observations rest: the camera does, and what moves are things
STATIC_PX = 0.5
MIN_ANGLE_RAD = np.deg2rad(1.0)  # between the rays to a point whose depth counts
WEAK_PRIOR = (np.deg2rad(55.0), 0.35)  # vertical field of view when nothing is known, sigma of its log focal length


@dataclass(frozen=True)
class RefinementReport:
    """What happened, for a person and for a program.

    Attributes:
        verdict: "refined"; or why the given trajectory stands: "no_parallax" (rotations are refined, see reason),
            "too_few_tracks", "diverged".
        reason: one sentence.
        start: which start won, the given trajectory ("prediction") or poses from the "frames" alone.
        focal_source: where the focal length comes from.
        residual_before_px: median reprojection error under the given trajectory, its own triangulation; NaN if none.
        residual_after_px: the same after refinement.
        num_tracks: observations.
        num_points: points.
        focal_change: focal length after / before.
        seconds: wall time.
    """

    verdict: Verdict
    reason: str
    start: StartName
    focal_source: FocalSource
    residual_before_px: float
    residual_after_px: float
    num_tracks: int
    num_points: int
    focal_change: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Refinement:
    """A trajectory and how it came about; points and tracks where there were any.

    Attributes:
        trajectory: world = source camera; unit of length = median z-depth of the points the source view sees.
        report: verdict, reason, figures.
        points: in the trajectory's world; None unless the verdict is "refined".
        tracks: in pixels of trajectory.image_size; None where nothing could be followed.
    """

    trajectory: Trajectory
    report: RefinementReport
    points: PointCloud | None = None
    tracks: Tracks | None = None


@dataclass(frozen=True, eq=False)
class _Lens:
    """Start of the intrinsics, whether the focal length is free, and what is known of it."""

    intrinsics: Float[np.ndarray, "t 4"]
    focal: Literal["fixed", "shared"]
    prior: tuple[float, float] | None
    source: FocalSource


@dataclass(frozen=True, eq=False)
class _Candidate:
    start: StartName
    bundle: Bundle
    score: float


def refine_trajectory(
    frames_u8: UInt8[np.ndarray, "t h w 3"],
    trajectory: Trajectory,
    *,
    known_fov_y_rad: float | None = None,
    initialise: bool = True,
    trust_focal: bool = False,
) -> Refinement:
    """Adjust a trajectory to the frames it belongs to.

    Args:
        frames_u8: the T frames; larger frames give better poses, 224 to 448 px on the long side are sensible.
        trajectory: the start, T cameras in pixels of the frames; identity poses where nothing is known.
        known_fov_y_rad: vertical field of view of the frames from the file or the user; fixes the focal length.
        initialise: look for another start in the frames where the given one does not convince.
        trust_focal: the trajectory's focal lengths are right and stay.

    Returns:
        The refined trajectory, or the given one unchanged with a verdict that says why. Where the frames show no
        parallax the result turns as the frames do and does not move, and the verdict says so.

    Raises:
        ValueError: frames that are not bytes (T, H, W, 3), or a trajectory of another length or image size.
    """
    started = time.perf_counter()
    frames_u8 = _check(frames_u8, trajectory)
    start = trajectory.relative_to(trajectory.source)
    lens = _lens(start, known_fov_y_rad, trust_focal)
    tracks = track_points(frames_u8)
    tied = _tied_frames(tracks, start.source)
    if tied.sum() < 2:
        reason = _too_few_reason(tracks, len(start))
        return _finish(_kept(trajectory, lens, "too_few_tracks", reason, tracks), started)
    tracks = tracks.where(tied[tracks.frame])
    turned = bundle_adjust(tracks, start.Ts_world_camera, lens.intrinsics, fixed=start.source, at_infinity=True)
    candidates = [_from_prediction(tracks, start, lens, tied)]
    if initialise and candidates[0].score < CONVINCING_SHARE:
        candidates += _from_frames(tracks, frames_u8, start, lens, tied)
    best = max(candidates, key=_score)
    before_px = _residual_before(tracks, start)
    if _only_turns(tracks, turned, best.bundle, start):
        return _finish(_turning(trajectory, start, lens, tracks, turned, before_px), started)
    if best.score < MIN_SHARE or not np.isfinite(best.bundle.Ts_world_camera).all():
        reason = (
            f"Only {best.score:.0%} of the tracks agree with one moving camera and a scene at rest; "
            "the given trajectory is kept."
        )
        return _finish(_kept(trajectory, lens, "diverged", reason, tracks, before_px), started)
    return _finish(_refined(frames_u8, start, lens, tracks, tied, best, before_px), started)


def _check(frames_u8: np.ndarray, trajectory: Trajectory) -> np.ndarray:
    frames_u8 = check_frames(frames_u8)
    if len(frames_u8) != len(trajectory):
        raise ValueError(f"trajectory must have one camera a frame, got {len(trajectory)} for {len(frames_u8)} frames")
    if frames_u8.shape[1:3] != trajectory.image_size:
        raise ValueError(
            f"trajectory must be in pixels of the frames {frames_u8.shape[1:3]}, got image_size "
            f"{trajectory.image_size}; resize it with trajectory.resized"
        )
    return frames_u8


def _lens(trajectory: Trajectory, known_fov_y_rad: float | None, trust_focal: bool) -> _Lens:
    """Given beats trusted beats the model's, which is only a start for self-calibration."""
    rows = trajectory.intrinsics
    if known_fov_y_rad is not None:
        focal_px = intrinsics_from_fov(known_fov_y_rad, trajectory.image_size)[1]
        ratio = (focal_px / rows[:, 1:2]) * np.array([1, 1, 0, 0]) + np.array([0, 0, 1, 1])
        return _Lens(rows * ratio, "fixed", None, "given")
    if trust_focal or len(trajectory) < 3:  # two views hold no focal length worth the name
        return _Lens(rows, "fixed", None, "model")
    return _Lens(rows, "shared", WEAK_PRIOR, "self-calibrated")


def _tied_frames(tracks: Tracks, source: int) -> np.ndarray:
    """(T,) whether a frame is linked to the source by chains of frames that share MIN_POINTS points."""
    seen = np.zeros((tracks.num_points, tracks.num_frames))
    seen[tracks.point, tracks.frame] = 1
    linked = (seen.T @ seen) >= MIN_POINTS
    tied = np.zeros(tracks.num_frames, dtype=bool)
    tied[source] = True
    for _ in range(tracks.num_frames):
        tied = tied | linked[tied].any(axis=0)
    return tied


def _too_few_reason(tracks: Tracks, num_frames: int) -> str:
    if num_frames == 1:
        return "One frame shows no motion; the given trajectory is kept."
    return (
        f"Only {tracks.num_points} points could be followed from the source frame into another (at least {MIN_POINTS} "
        "are needed): the frames are dark, blurred or without texture; the given trajectory is kept."
    )


def _fits_px(tracks: Tracks) -> float:
    return FITS_PX * max(1.0, max(tracks.image_size) / 224)


def _score(candidate: _Candidate) -> float:
    return candidate.score


def _share(tracks: Tracks, bundle: Bundle) -> float:
    """Share of the observations that a bundle explains within `_fits_px`."""
    return float(np.mean(bundle.residual_px < _fits_px(tracks)))


def _adjust(tracks: Tracks, Ts: np.ndarray, intrinsics: np.ndarray, source: int, lens: _Lens) -> Bundle:
    return bundle_adjust(tracks, Ts, intrinsics, fixed=source, focal=lens.focal, focal_prior=lens.prior, iterations=30)


def _from_prediction(tracks: Tracks, start: Trajectory, lens: _Lens, tied: np.ndarray) -> _Candidate:
    bundle = _adjust(tracks, start.Ts_world_camera, lens.intrinsics, start.source, lens)
    return _Candidate("prediction", bundle, _share(tracks, bundle))


def _from_frames(
    tracks: Tracks, frames_u8: np.ndarray, start: Trajectory, lens: _Lens, tied: np.ndarray
) -> list[_Candidate]:
    """The candidate found without the given poses; none where the frames do not link up."""
    try:
        from rap.geometry.initialise import initialise as initialise_from_frames
    except ImportError:
        return []
    known = None if lens.focal == "shared" else lens.intrinsics[start.source]
    found = initialise_from_frames(frames_u8, known, fixed=start.source)
    if found is None:
        return []
    bundle = _adjust(tracks, found.Ts_world_camera, found.intrinsics, start.source, lens)
    return [_Candidate("frames", bundle, _share(tracks, bundle))]


def _residual_before(tracks: Tracks, start: Trajectory) -> float:
    """Median error (px) of the best points that the given trajectory allows."""
    _, residual_px, _ = locate(tracks, start.Ts_world_camera, start.intrinsics)
    return float(np.median(residual_px))


def _only_turns(tracks: Tracks, turned: Bundle, full: Bundle, start: Trajectory) -> bool:
    """Whether rotations explain nearly all that poses explain, or most of the picture rests."""
    fits = _fits_px(tracks)
    explained = (full.residual_px < fits).sum()
    if (turned.residual_px < fits).sum() >= TURNING_SHARE * explained:
        return True
    first = tracks.xy[tracks.starts][tracks.point]
    rests = np.linalg.norm(tracks.xy - first, axis=1) < STATIC_PX * fits / FITS_PX
    return bool(rests.mean() >= STATIC_SHARE)


def _kept(
    trajectory: Trajectory, lens: _Lens, verdict: Verdict, reason: str, tracks: Tracks, before_px: float = float("nan")
) -> Refinement:
    """The given trajectory, bit for bit."""
    report = RefinementReport(
        verdict, reason, "prediction", "model", before_px, before_px, len(tracks), tracks.num_points, 1.0, 0.0
    )
    return Refinement(trajectory, report, None, tracks if len(tracks) else None)


def _turning(
    trajectory: Trajectory, start: Trajectory, lens: _Lens, tracks: Tracks, turned: Bundle, before_px: float
) -> Refinement:
    """Rotations from the frames, no translation: what frames without parallax can tell."""
    poses = turned.Ts_world_camera.copy()
    poses[:, :3, 3] = 0
    degrees = np.rad2deg(se3.rotation_angle(poses[:, :3, :3]).max())
    what = f"turns by up to {degrees:.1f} degrees" if degrees > 0.3 else "rests"
    reason = (
        f"The frames show no parallax: the camera {what} in place. Rotations were refined, translations set to zero; "
        "depth cannot be seen."
    )
    after_px = float(np.median(turned.residual_px))
    source = lens.source if lens.source == "given" else "model"
    report = RefinementReport(
        "no_parallax", reason, "prediction", source, before_px, after_px, len(tracks), tracks.num_points, 1.0, 0.0
    )
    return Refinement(replace(start, Ts_world_camera=poses, intrinsics=lens.intrinsics), report, None, tracks)


def _refined(
    frames_u8: np.ndarray,
    start: Trajectory,
    lens: _Lens,
    tracks: Tracks,
    tied: np.ndarray,
    best: _Candidate,
    before_px: float,
) -> Refinement:
    """Gauge, points and report of a successful adjustment."""
    bundle, source = best.bundle, start.source
    points = triangulate(tracks, bundle.Ts_world_camera, bundle.intrinsics, frames_u8)
    unit = source_depth(tracks, points, bundle.Ts_world_camera[source], source)
    poses = bundle.Ts_world_camera.copy()
    poses[:, :3, 3] /= unit
    poses = _carry_along(poses, start.Ts_world_camera, tied)
    trajectory = replace(start, Ts_world_camera=poses, intrinsics=bundle.intrinsics)
    change = float(np.exp(np.mean(np.log(bundle.intrinsics[:, 1] / start.intrinsics[:, 1]))))
    reason = (
        f"{best.score:.0%} of {len(tracks)} observations of {tracks.num_points} points agree with the refined path."
    )
    if not tied.all():
        missing = np.flatnonzero(~tied).tolist()
        reason += f" Frames {missing} share too few points with the others and keep their predicted relative motion."
    after_px = float(np.median(bundle.residual_px))
    report = RefinementReport(
        "refined", reason, best.start, lens.source, before_px, after_px, len(tracks), tracks.num_points, change, 0.0
    )
    return Refinement(trajectory, report, points.transformed(np.eye(4), 1 / unit), tracks)


def source_depth(tracks: Tracks, points: PointCloud, T_world_source: Float[np.ndarray, "4 4"], source: int) -> float:
    """Median z-depth of the well-seen points that the source frame sees; of all in front of it if those are few."""
    seen = np.zeros(tracks.num_points, dtype=bool)
    seen[tracks.point[tracks.frame == source]] = True
    good = points.kept(2 * _fits_px(tracks), MIN_ANGLE_RAD)
    for cloud in (good.where(seen[good.point]), points.where(seen[points.point]), good, points):
        depths = cloud.in_front_depths(T_world_source)
        if len(depths) >= MIN_POINTS:
            return float(np.median(depths))
    return 1.0


def _carry_along(poses: np.ndarray, given: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """Frames that nothing ties keep their given motion relative to the nearest tied frame, in the new unit."""
    if tied.all():
        return poses
    known = np.flatnonzero(tied)
    steps = np.diff(poses[known, :3, 3], axis=0), np.diff(given[known, :3, 3], axis=0)
    new, old = (float(np.linalg.norm(step, axis=1).sum()) for step in steps)
    scale = new / old if old > 1e-9 else 0.0
    frames = np.flatnonzero(~tied)
    near = known[np.abs(frames[:, None] - known).argmin(axis=1)]
    relative = se3.inverse(given[near]) @ given[frames]
    relative[:, :3, 3] *= scale
    poses = poses.copy()
    poses[frames] = poses[near] @ relative
    return poses


def _finish(refinement: Refinement, started: float) -> Refinement:
    return replace(refinement, report=replace(refinement.report, seconds=time.perf_counter() - started))
