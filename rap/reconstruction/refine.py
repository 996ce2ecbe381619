"""Refinement: a predicted trajectory becomes the one that the frames agree with, or comes back unchanged with a reason.

Points are tracked through the clip and poses, points and focal length adjusted to them (`bundle` in this package). Two
starts compete where the first does not convince: the given trajectory, and poses found from the frames alone
(`initialise`). They are judged by what fits and by whether it holds together (`joints`): two good pieces joined
wrongly fit nearly as well as a path that is right. A trajectory whose poses are all one says
nothing: then the frames are asked at once. The world stays the source camera; the unit of length becomes the median
z-depth of the points that the source view sees, as everywhere in this package.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8

from rap.geometry import se3
from rap.geometry.camera import fov_y_from_intrinsics, intrinsics_from_fov
from rap.geometry.trajectory import Trajectory
from rap.reconstruction.bundle import Bundle, bundle_adjust
from rap.reconstruction.initialise import FOUND_SIGMA, TRACKS_A_FRAME, Start, matched_tracks, start_from_tracks
from rap.reconstruction.joints import Joints
from rap.reconstruction.judge import (
    Half,
    Judgement,
    Verdict,
    agreement,
    judged,
    judged_turns,
    lens_words,
    verdict_words,
)
from rap.reconstruction.lens import LensCurve
from rap.reconstruction.mend import frame_shares, mend
from rap.reconstruction.moving import moving_cells, moving_words
from rap.reconstruction.rejoin import rejoin, worth
from rap.reconstruction.tracks import (
    PointCloud,
    Tracks,
    check_frames,
    locate,
    track_points,
    triangulate,
    widest_angles,
)

Outcome = Literal["refined", "no_parallax", "too_few_tracks", "diverged"]
StartName = Literal["prediction", "frames"]
FocalSource = Literal["given", "model", "self-calibrated"]

MIN_POINTS = 8  # that tie a frame to the others; fewer leave its six numbers to chance
MIN_VIEWS = 3  # of a point: two views fit any motion along one line, so that noise would look explained
FITS_PX = 1.0  # an observation fits below this error, in images of 224 px; grows with larger ones
CONVINCING_SHARE = 0.88  # of the observations fit in the mean over frames, and in no frame
CONVINCING_FRAME_SHARE = 0.75  # less than this: no other start is needed
HOPELESS_SHARE = 0.7  # of the observations fit poses from the frames: below it even poses that say nothing are tried
BETTER_SHARE = 0.02  # of worth, by which poses from the frames alone must win: where both fit the prediction knows more
MIN_SHARE = 0.5  # of the observations must fit, or the adjustment has diverged
MIN_FRAME_SHARE = 0.35  # of a frame's observations must fit, or its pose is taken from the prediction
TURNING_SHARE = 0.93  # of what poses explain is explained by turning alone: no parallax
CLEAR_PARALLAX_RAD = np.deg2rad(2.5)  # median angle between the rays to a point: turning alone need not be tried
LENS_TURN_RAD = np.deg2rad(20.0)  # a camera that turns less, and does not move, says too little of its focal length
STATIC_SHARE = 0.6  # of the observations rest: the camera does, and what moves are things
STATIC_PX = 0.5
MIN_ANGLE_RAD = np.deg2rad(1.0)  # between the rays to a point whose depth counts
PRIOR_SIGMA = 0.35  # of the log focal length around the model's, which has seen few lenses
MAX_FOCAL_CHANGE = 2.5  # a factor beyond it is an adjustment that ran away
ITERATIONS = 30


@dataclass(frozen=True)
class RefinementReport:
    """What happened, for a person and for a program.

    Attributes:
        outcome: "refined"; or why the given trajectory stands: "no_parallax" (rotations are refined, see reason),
            "too_few_tracks", "diverged".
        reason: one sentence.
        start: which start won, the given trajectory ("prediction") or poses from the "frames" alone.
        focal_source: where the focal length comes from.
        residual_before_px: median reprojection error under the given trajectory, its own triangulation; NaN if none.
        residual_after_px: the same after refinement.
        num_observations: places at which points were found, over all frames.
        num_points: tracks, one for each point of the scene.
        focal_change: focal length after / before.
        seconds: wall time.
        weak_joints: frame before and frame after each place where two pieces of a refined path hardly hold together:
            the step between them, and all that is measured across it, may be wrong.
        lost: frames that nothing ties to the others: of their cameras nothing is known.
        verdict: what the path is worth, in one word (`rap.reconstruction.judge`); "doubtful" where nobody judged it.
        error_deg: by how much relative poses are probably off, rotation or direction, whichever is worse, median; NaN
            where it was not judged.
        fov_y_interval_rad: the lowest and the highest vertical field of view that fit the frames about as well as the
            one found; None where it was given, or not searched.
        moving_share: of the picture, mean over the frames, that moves by itself; NaN where it was not looked for.
    """

    outcome: Outcome
    reason: str
    start: StartName
    focal_source: FocalSource
    residual_before_px: float
    residual_after_px: float
    num_observations: int
    num_points: int
    focal_change: float
    seconds: float
    weak_joints: tuple[tuple[int, int], ...] = ()
    lost: tuple[int, ...] = ()
    verdict: Verdict = "doubtful"
    error_deg: float = float("nan")
    fov_y_interval_rad: tuple[float, float] | None = None
    moving_share: float = float("nan")

    @property
    def words(self) -> str:
        """The verdict with what belongs to it: "good (about 1 degree)", "doubtful from frame 12 on", "failed"."""
        doubtful_from = self.weak_joints[0][1] if self.weak_joints else None
        return verdict_words(self.verdict, self.error_deg, doubtful_from, self.outcome == "no_parallax")


@dataclass(frozen=True, eq=False)
class Refinement:
    """A trajectory and how it came about; points and tracks where there were any.

    Attributes:
        trajectory: world = source camera; unit of length = median z-depth of the points the source view sees.
        report: outcome, verdict, reason, figures.
        points: in the trajectory's world; None unless the outcome is "refined".
        tracks: in pixels of trajectory.image_size; None where nothing could be followed.
        moving: which cells of each frame show things that move by themselves (`rap.reconstruction.moving`); None where
            that was not looked for.
    """

    trajectory: Trajectory
    report: RefinementReport
    points: PointCloud | None = None
    tracks: Tracks | None = None
    moving: Bool[np.ndarray, "t rows columns"] | None = None

    def with_moving(self, cells: Bool[np.ndarray, "t rows columns"]) -> Refinement:
        """The same, and what moves by itself."""
        share = float(cells.mean())
        reason = self.report.reason + moving_words(share)
        return replace(self, report=replace(self.report, moving_share=share, reason=reason), moving=cells)


@dataclass(frozen=True, eq=False)
class Lens:
    """Start of the intrinsics, whether the focal length is free, and what is known of it."""

    intrinsics: Float[np.ndarray, "t 4"]
    focal: Literal["fixed", "shared"]
    prior: tuple[float, float] | None
    source: FocalSource

    def found(self, intrinsics: Float[np.ndarray, "t 4"], height_px: int) -> Lens:
        """The same with a free focal length expected where the frames showed it."""
        if self.focal == "fixed":
            return self
        fov_y_rad = float(np.mean(fov_y_from_intrinsics(intrinsics, height_px)))
        return replace(self, intrinsics=intrinsics, prior=(fov_y_rad, FOUND_SIGMA))


@dataclass(frozen=True, eq=False)
class Candidate:
    """An adjusted start: `shares` (T,) of observations that fit by frame, `tied` (T,) frames linked to the source.

    `tracks` are as many as poses need; `evidence` are all there are, for the points. `halves` and `lens_curve` are of
    the search in the frames (`initialise`), where there was one.
    """

    start: StartName
    tracks: Tracks
    bundle: Bundle
    shares: Float[np.ndarray, " t"]
    tied: np.ndarray
    evidence: Tracks
    fixed: int
    before_px: float = float("nan")
    halves: tuple[Half, ...] = ()
    lens_curve: LensCurve | None = None

    @property
    def score(self) -> float:
        return float(self.shares[self.tied].sum() / max(self.tied.sum(), 1))

    @cached_property
    def joints(self) -> Joints:
        return self.joints_of(self.tied)

    def joints_of(self, placed: np.ndarray) -> Joints:
        """The joints of these frames only, by (T,) mask."""
        return Joints.of(self.tracks, self.bundle.residual_px < _fits_px(self.tracks), placed)

    @property
    def worth(self) -> float:
        """What starts are ranked by."""
        return worth(self.tracks, self.bundle, self.tied, _fits_px(self.tracks))

    @property
    def convinces(self) -> bool:
        least, mean = self.shares.min(), self.shares.mean()
        fits = least >= CONVINCING_FRAME_SHARE and mean >= CONVINCING_SHARE
        return bool(self.tied.all() and fits and not self.joints.weak.any())


def refine_trajectory(
    frames_u8: UInt8[np.ndarray, "t h w 3"],
    trajectory: Trajectory,
    *,
    known_fov_y_rad: float | None = None,
    initialise: bool = True,
    trust_focal: bool = False,
    numbers: Sequence[int] | None = None,
) -> Refinement:
    """Adjust a trajectory to the frames it belongs to.

    Args:
        frames_u8: the T frames; larger frames give better poses, 224 to 448 px on the long side are sensible.
        trajectory: the start, T cameras in pixels of the frames; identity poses where nothing is known.
        known_fov_y_rad: vertical field of view of the frames from the file or the user; fixes the focal length.
        initialise: look for another start in the frames where the given one does not convince.
        trust_focal: the trajectory's focal lengths are right and stay.
        numbers: what the frames are called in the report, ascending; None counts them from 0.

    Returns:
        The refined trajectory, or the given one unchanged with an outcome that says why. Where the frames show no
        parallax the result turns as the frames do and does not move, and the outcome says so.

    Raises:
        ValueError: frames that are not bytes (T, H, W, 3), or a trajectory of another length or image size.
    """
    started = time.perf_counter()
    frames_u8 = _check(frames_u8, trajectory)
    start = trajectory.relative_to(trajectory.source)
    lens = lens_of(start, known_fov_y_rad, trust_focal)
    flow = track_points(frames_u8)
    tracks = flow.at_least(min(MIN_VIEWS, len(start)))
    best = None if initialise and _rests(start) else _from_prediction(tracks, start, lens)
    if initialise and len(start) > 1 and not (best and best.convinces and lens.focal == "fixed"):
        best = _against_frames(best, flow, frames_u8, start, lens)
    best = best or _from_prediction(tracks, start, lens)
    if best.tied.sum() < 2:
        return finished(kept(trajectory, best.tracks, "too_few_tracks", too_few_reason(tracks, len(start))), started)
    best = replace(best, before_px=_residual_before(best.tracks, start))
    called = np.arange(len(start)) if numbers is None else np.asarray(numbers)
    turned = turned_bundle(best, lens, start.source)
    if turned is not None:
        return finished(_turning(start, lens, best, turned, called), started)
    if best.score < MIN_SHARE or not np.isfinite(best.bundle.Ts_world_camera).all():
        reason = (
            f"Only {best.score:.0%} of the tracks agree with one moving camera and a scene at rest; "
            "the given trajectory is kept."
        )
        return finished(kept(trajectory, best.tracks, "diverged", reason, best.before_px), started)
    return finished(_refined(frames_u8, start, lens, best, called), started)


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


def lens_of(trajectory: Trajectory, known_fov_y_rad: float | None, trust_focal: bool) -> Lens:
    """Given beats trusted beats the model's, which is only a start for self-calibration."""
    rows = trajectory.intrinsics
    if known_fov_y_rad is not None:
        focal_px = intrinsics_from_fov(known_fov_y_rad, trajectory.image_size)[1]
        ratio = (focal_px / rows[:, 1:2]) * np.array([1, 1, 0, 0]) + np.array([0, 0, 1, 1])
        return Lens(rows * ratio, "fixed", None, "given")
    if trust_focal or len(trajectory) < 3:  # two views hold no focal length worth the name
        return Lens(rows, "fixed", None, "model")
    return Lens(rows, "shared", (float(np.mean(trajectory.fov_y_rad)), PRIOR_SIGMA), "self-calibrated")


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


def too_few_reason(tracks: Tracks, num_frames: int) -> str:
    """Why nothing could be done with what was followed."""
    if num_frames == 1:
        return "One frame shows no motion; the given trajectory is kept."
    return (
        f"Too few points could be followed out of the source frame ({tracks.num_points} in the whole clip, "
        f"{MIN_POINTS} between two frames are needed): dark, blurred or without texture; the given trajectory is kept."
    )


def _fits_px(tracks: Tracks) -> float:
    return FITS_PX * max(1.0, max(tracks.image_size) / 224)


def adjusted_candidate(
    name: StartName,
    tracks: Tracks,
    Ts: np.ndarray,
    intrinsics: np.ndarray,
    lens: Lens,
    source: int,
    placed: np.ndarray | None = None,
) -> Candidate:
    """Adjust from one start, find lost frames again, join pieces that fell apart, and judge the outcome by frame.

    Of the frames `placed` in the start, or else of those tied to the source.
    """
    tied = _tied_frames(tracks, source) if placed is None else placed
    tracks = tracks.where(tied[tracks.frame])
    adjuster = _Adjuster(tracks, lens)
    bundle = adjuster.from_poses(Ts, intrinsics, source)
    bundle = mend(tracks, bundle, _fits_px(tracks), adjuster.again)
    bundle = rejoin(tracks, bundle, tied, _fits_px(tracks), adjuster.again)
    return Candidate(name, tracks, bundle, frame_shares(tracks, bundle, _fits_px(tracks)), tied, tracks, source)


@dataclass(frozen=True, eq=False)
class _Adjuster:
    """Bundle adjustment of one set of tracks with what is known of the lens."""

    tracks: Tracks
    lens: Lens

    def from_poses(self, Ts: np.ndarray, intrinsics: np.ndarray, fixed: int, at_infinity: bool = False) -> Bundle:
        adjust = partial(bundle_adjust, self.tracks, Ts, fixed=fixed, iterations=ITERATIONS, at_infinity=at_infinity)
        bundle = adjust(intrinsics, focal=self.lens.focal, focal_prior=self.lens.prior)
        change = np.abs(np.log(bundle.intrinsics[:, 0] / self.lens.intrinsics[:, 0])).max()
        return adjust(self.lens.intrinsics) if change > np.log(MAX_FOCAL_CHANGE) else bundle

    def again(self, bundle: Bundle, fixed: int) -> Bundle:
        return self.from_poses(bundle.Ts_world_camera, bundle.intrinsics, fixed)


def _from_prediction(tracks: Tracks, start: Trajectory, lens: Lens) -> Candidate:
    return adjusted_candidate("prediction", tracks, start.Ts_world_camera, lens.intrinsics, lens, start.source)


def _rests(start: Trajectory) -> bool:
    """Whether the poses say nothing: all of them are one, which is how nothing known is written."""
    return len(start) > 1 and bool(np.ptp(start.Ts_world_camera, axis=0).max() < 1e-9)


def _against_frames(
    predicted: Candidate | None, flow: Tracks, frames_u8: np.ndarray, start: Trajectory, lens: Lens
) -> Candidate | None:
    """The best of the adjusted prediction and poses found without it, all judged on the same tracks.

    A focal length that is not known is that of the frames from then on: what the model believed pulls no more.
    """
    free, source = lens.focal == "shared", start.source
    known = None if free else lens.intrinsics[source]
    matched = matched_tracks(frames_u8, flow, known)
    together = Tracks.concatenate([matched, flow.longest(TRACKS_A_FRAME)])
    found = start_from_tracks(together, known, source)[0]
    if found is None:
        return predicted
    tracks = found.tracks
    if found.parallax:
        lens = lens.found(found.intrinsics, tracks.image_size[0])
    best = adjusted_candidate("frames", tracks, found.Ts_world_camera, found.intrinsics, lens, source)
    best = replace(best, evidence=Tracks.concatenate([flow.at_least(min(MIN_VIEWS, len(start))), matched]))
    best = searched(best, found)
    rivals = predicted is not None and predicted.convinces
    if (best.convinces and not rivals) or (predicted is None and best.score > HOPELESS_SHARE):
        return best
    Ts, rows = (start.Ts_world_camera, lens.intrinsics) if predicted is None else _poses(predicted.bundle)
    again = searched(adjusted_candidate("prediction", tracks, Ts, rows, lens, source), found)
    needed = again.worth + (0.0 if rivals else BETTER_SHARE)
    return best if best.worth > needed else again


def searched(candidate: Candidate, found: Start) -> Candidate:
    """With what the search in the frames tells of how sure its outcome is."""
    return replace(candidate, halves=found.halves, lens_curve=found.lens_curve)


def _poses(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    return bundle.Ts_world_camera, bundle.intrinsics


def _residual_before(tracks: Tracks, start: Trajectory) -> float:
    """Median error (px) of the best points that the given trajectory allows."""
    _, residual_px, _ = locate(tracks, start.Ts_world_camera, start.intrinsics)
    return float(np.median(residual_px))


def turned_bundle(best: Candidate, lens: Lens, source: int) -> Bundle | None:
    """Rotations alone, where they explain nearly all that poses explain, or most of the picture rests; else None."""
    tracks, fits = best.tracks, _fits_px(best.tracks)
    first = tracks.xy[tracks.starts][tracks.point]
    rests = np.mean(np.linalg.norm(tracks.xy - first, axis=1) < STATIC_PX * fits / FITS_PX) >= STATIC_SHARE
    bundle, explained = best.bundle, best.bundle.residual_px < fits
    angles = widest_angles(tracks, bundle.Ts_world_camera, bundle.xyz)[tracks.point[explained]]
    if not rests and explained.any() and np.median(angles) > CLEAR_PARALLAX_RAD:
        return None
    turned = _Adjuster(tracks, lens).from_poses(bundle.Ts_world_camera, lens.intrinsics, source, True)
    if lens.focal == "shared" and se3.rotation_angle(turned.Ts_world_camera[:, :3, :3]).max() < LENS_TURN_RAD:
        lens = _without_calibration(lens)
        turned = _Adjuster(tracks, lens).from_poses(bundle.Ts_world_camera, lens.intrinsics, source, True)
    if rests or (turned.residual_px < fits).sum() >= TURNING_SHARE * explained.sum():
        return turned
    return None


def _without_calibration(lens: Lens) -> Lens:
    return replace(lens, focal="fixed", prior=None, source="model") if lens.focal == "shared" else lens


def kept(
    trajectory: Trajectory, tracks: Tracks, outcome: Outcome, reason: str, before_px: float = float("nan")
) -> Refinement:
    """The given trajectory, bit for bit."""
    report = RefinementReport(
        outcome, reason, "prediction", "model", before_px, before_px, len(tracks), tracks.num_points, 1.0, 0.0,
        verdict="failed",
    )  # fmt: skip
    return Refinement(trajectory, report, None, tracks if len(tracks) else None)


def _turning(start: Trajectory, lens: Lens, best: Candidate, turned: Bundle, called: np.ndarray) -> Refinement:
    """Rotations from the frames, no translation: what frames without parallax can tell."""
    poses = turned.Ts_world_camera.copy()
    poses[:, :3, 3] = 0
    poses = se3.inverse(poses[start.source]) @ poses
    trajectory = replace(start, Ts_world_camera=_at_source(poses, start), intrinsics=turned.intrinsics)
    if np.array_equal(turned.intrinsics, lens.intrinsics):
        lens = _without_calibration(lens)
    lost = tuple(called[~best.tied].tolist())
    report = report_of("no_parallax", turning_reason(trajectory), best, lens, start, turned, lost)
    found = Refinement(trajectory, report, None, best.tracks)
    return found.with_moving(moving_cells(best.evidence, poses, trajectory.intrinsics))


def fits_words(best: Candidate) -> str:
    """What is said first of a path that moves."""
    return f"{best.score:.0%} of the sightings of {best.tracks.num_points} points agree with the path."


def turning_reason(trajectory: Trajectory) -> str:
    """What is said of a path without translations."""
    degrees = np.rad2deg(se3.rotation_angle(trajectory.Ts_world_camera[:, :3, :3]).max())
    what = f"turns by up to {degrees:.1f} degrees" if degrees > 0.3 else "rests"
    return (
        f"The camera {what} in place, so that the frames tell no depth (no parallax): its turns were refined, its "
        "place stays."
    )


def _refined(frames_u8: np.ndarray, start: Trajectory, lens: Lens, best: Candidate, called: np.ndarray) -> Refinement:
    """Gauge, points and report of a successful adjustment."""
    bundle, source, tracks = best.bundle, start.source, best.evidence
    poses = _at_source(bundle.Ts_world_camera, start)
    points = triangulate(tracks, poses, bundle.intrinsics, frames_u8)
    unit = source_depth(tracks, points, poses[source], source)
    poses[:, :3, 3] /= unit
    placed = best.tied & (best.shares >= MIN_FRAME_SHARE)
    placed[source] = True
    poses = _carry_along(poses, start.Ts_world_camera, placed)
    trajectory = replace(start, Ts_world_camera=poses, intrinsics=bundle.intrinsics)
    reason = fits_words(best)
    lost = tuple(called[~placed].tolist())
    if lost:
        reason += f" Frames {list(lost)} could not be tied to the others and keep their given motion to the nearest."
    joints = best.joints_of(placed)
    joints = replace(joints, frames=called[joints.frames])
    report = report_of("refined", reason, best, lens, start, bundle, lost, joints.weak_frames, _weak_words(joints))
    found = Refinement(trajectory, report, points.transformed(np.eye(4), 1 / unit), tracks)
    return found.with_moving(moving_cells(tracks.where(placed[tracks.frame]), poses, trajectory.intrinsics))


def _weak_words(joints: Joints) -> str:
    """A sentence on where the path may be two paths, with what to do about it; empty where it holds everywhere."""
    places = [
        f"{before} and {after} ({holding} of {spanning})"
        for (before, after), holding, spanning in zip(
            joints.weak_frames, joints.holding[joints.weak], joints.spanning[joints.weak], strict=True
        )
    ]
    return joint_words(places)


def joint_words(places: list[str]) -> str:
    """The sentence, of the places "i and j" in frames."""
    if not places:
        return ""
    between = _listed([f"between frames {place}" for place in places])
    return (
        f" Too few of the points seen on both sides fit on both {between}: there the path may be pieces joined "
        "wrongly. The field of view, if it is known, or frames closer together help."
    )


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _at_source(poses: np.ndarray, start: Trajectory) -> np.ndarray:
    """The same poses with the source camera as the world, exactly."""
    poses = se3.inverse(poses[start.source]) @ poses
    poses[start.source] = np.eye(4)
    return poses


def report_of(
    outcome: Outcome,
    reason: str,
    best: Candidate,
    lens: Lens,
    start: Trajectory,
    bundle: Bundle,
    lost: tuple[int, ...] = (),
    weak_joints: tuple[tuple[int, int], ...] = (),
    joint_words: str = "",
) -> RefinementReport:
    """What is told of a path, its verdict with it.

    Args:
        lost, weak_joints: in frames of the `start`.
        joint_words: what is said of the joints, unless the path is good: found twice, it holds across them, too.
    """
    change = float(np.exp(np.mean(np.log(bundle.intrinsics[:, 1])) - np.mean(np.log(start.intrinsics[:, 1]))))
    after_px = float(np.median(bundle.residual_px))
    tracks = best.tracks
    judgement = _judged(outcome, best, bundle, len(lost) / len(start))
    if judgement.verdict == "good":
        weak_joints, joint_words = (), ""
    interval = None
    if best.lens_curve is not None and lens.focal == "shared" and outcome == "refined":
        interval = best.lens_curve.interval_rad
    reason += joint_words + lens_words(interval)
    return RefinementReport(
        outcome, reason, best.start, lens.source, best.before_px, after_px, len(tracks), tracks.num_points, change, 0.0,
        weak_joints, lost, judgement.verdict, judgement.error_deg, interval,
    )  # fmt: skip


def _judged(outcome: Outcome, best: Candidate, bundle: Bundle, lost: float) -> Judgement:
    if outcome == "no_parallax":
        return judged_turns(float(np.mean(bundle.residual_px < _fits_px(best.tracks))), lost)
    placed = best.tied & (best.shares >= MIN_FRAME_SHARE)
    found = agreement(bundle.Ts_world_camera, placed, best.halves)
    return judged(found, best.score, best.joints_of(placed).sound_pairs, lost)


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


def finished(refinement: Refinement, started: float) -> Refinement:
    return replace(refinement, report=replace(refinement.report, seconds=time.perf_counter() - started))
