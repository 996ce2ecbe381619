"""A path for every frame of a film, built on its key frames: follow, pair, start, adjust, tie, judge.

Frames that lie far apart cannot be matched; the frames between tie them. So points are followed through all frames,
the path is built on key frames as far apart as their points allow, and carried from there to every frame. Those that
were asked for take their cameras from it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.reconstruction.follow import follow_film, key_frames
from rap.reconstruction.initialise import TRACKS_A_FRAME, start_from_tracks, well_tied
from rap.reconstruction.matching import detect_features, far_and_near_pairs, join_matches, match_features, verify
from rap.reconstruction.moving import cell_counts, moving_cells
from rap.reconstruction.progress import tell
from rap.reconstruction.refine import (
    MIN_FRAME_SHARE,
    MIN_SHARE,
    Candidate,
    Lens,
    Refinement,
    adjusted_candidate,
    finished,
    fits_words,
    joint_words,
    kept,
    lens_of,
    report_of,
    searched,
    source_depth,
    too_few_reason,
    turned_bundle,
    turning_reason,
)
from rap.reconstruction.tie import interpolated, tie_frames
from rap.reconstruction.tracks import Tracks, check_frames, triangulate

FEATURES = 800  # of a key frame: far views need more than near ones
MATCHED_A_FRAME = 300  # SIFT tracks for the last adjustment
ALL_MATCHED = 30  # key frames: so few are all matched
MATCHED_REACH = 2  # key frames from one that is matched to the next, where flow ties these well
WELL_TIED_POINTS = 150  # with 60, what flow follows where steps are wide is not enough
MATCHED_KEYS = 64  # that are matched, about: every pair of them is looked at


@dataclass(frozen=True, eq=False)
class _Keys:
    """The key frames' candidate: `frames` (K,) numbers in the film, `matched` what SIFT tied of them."""

    frames: Int[np.ndarray, " k"]
    best: Candidate
    lens: Lens
    matched: Tracks


def refine_film(
    film_u8: UInt8[np.ndarray, "f h w 3"],
    at: Int[np.ndarray, " t"],
    trajectory: Trajectory,
    *,
    known_fov_y_rad: float | None = None,
    trust_focal: bool = False,
) -> Refinement:
    """Cameras of some frames of a film, found in all of them.

    Args:
        film_u8: the F frames, neighbours in time; 320 to 448 px on the long side are sensible.
        at: (T,) numbers of the frames whose cameras are asked for, not descending.
        trajectory: of these T frames, in pixels of the film: source, focal length to begin with, and what stands where
            the frames do not tell.
        known_fov_y_rad: vertical field of view of the frames from the file or the user; fixes the focal length.
        trust_focal: the trajectory's focal lengths are right and stay.

    Returns:
        As `refine_trajectory`; tracks and the points' `point` are of key frames and asked ones together.

    Raises:
        ValueError: frames that are not bytes (F, H, W, 3), a trajectory of another length or image size, or frames
            asked for that the film does not have.
    """
    started = time.perf_counter()
    film_u8, at = _checked(film_u8, np.asarray(at), trajectory)
    start = trajectory.relative_to(trajectory.source)
    flow = follow_film(film_u8)
    keys = _on_keys(film_u8, flow, start, lens_of(start, known_fov_y_rad, trust_focal))
    if keys.best.tied.sum() < 2:
        return finished(
            kept(trajectory, keys.best.tracks, "too_few_tracks", too_few_reason(flow, len(film_u8))), started
        )
    if keys.best.score < MIN_SHARE:
        reason = (
            f"Only {keys.best.score:.0%} of the tracks agree with one moving camera and a scene at rest; "
            "the given trajectory is kept."
        )
        return finished(kept(trajectory, keys.best.tracks, "diverged", reason), started)
    return finished(_whole(film_u8, at, start, flow, keys), started)


def _checked(film_u8: np.ndarray, at: np.ndarray, trajectory: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    film_u8 = check_frames(film_u8)
    if at.shape != (len(trajectory),) or (np.diff(at) < 0).any() or not 0 <= at[0] <= at[-1] < len(film_u8):
        raise ValueError(
            f"at must have one frame of the {len(film_u8)} for each of the {len(trajectory)} cameras, got {at}"
        )
    if film_u8.shape[1:3] != trajectory.image_size:
        raise ValueError(
            f"trajectory must be in pixels of the film {film_u8.shape[1:3]}, got image_size {trajectory.image_size}; "
            "resize it with trajectory.resized"
        )
    return film_u8, at


def _on_keys(film_u8: np.ndarray, flow: Tracks, start: Trajectory, lens: Lens) -> _Keys:
    """The path of the key frames, adjusted; from a camera at rest where they show no other start."""
    frames = key_frames(flow)
    known = lens.intrinsics[start.source] if lens.focal == "fixed" else None
    matched = _matched(film_u8[frames], flow.at(frames), known)
    tracks = Tracks.concatenate([matched.longest(MATCHED_A_FRAME), flow.at(frames).longest(TRACKS_A_FRAME)])
    found = start_from_tracks(tracks, known)[0]
    rows = np.tile(lens.intrinsics[start.source], (len(frames), 1))
    if found is None:
        lens, still = replace(lens, intrinsics=rows), np.tile(np.eye(4), (len(frames), 1, 1))
        return _Keys(frames, adjusted_candidate("prediction", tracks, still, rows, lens, 0), lens, matched)
    if found.parallax:
        rows = found.intrinsics
        lens = lens.found(rows, flow.image_size[0])
    lens, placed = replace(lens, intrinsics=rows), found.registered
    tracks, fixed = tracks.where(placed[tracks.frame]), int(np.flatnonzero(placed)[0])
    best = adjusted_candidate("frames", tracks, found.Ts_world_camera, found.intrinsics, lens, fixed, placed)
    best = searched(best, found)
    return _Keys(frames, best, lens, matched)


def _matched(keys_u8: np.ndarray, flow: Tracks, known: np.ndarray | None) -> Tracks:
    """Verified SIFT tracks of as many key frames as flow does not tie well."""
    reach = 1 if len(keys_u8) <= ALL_MATCHED else max(MATCHED_REACH, -(-len(keys_u8) // MATCHED_KEYS))
    chosen = well_tied(flow, reach, WELL_TIED_POINTS)
    tell("match", 0.0)
    features = detect_features(keys_u8, FEATURES, chosen)
    tell("match", 0.4)
    pairs = far_and_near_pairs([features[i] for i in chosen])
    matches = match_features(features, [(chosen[i], chosen[j]) for i, j in pairs])
    tell("match", 0.8)
    threshold_px = max(max(flow.image_size) / 320, 0.5)
    return join_matches(features, verify(features, matches, known, threshold_px), flow.image_size)


def _whole(film_u8: np.ndarray, at: np.ndarray, start: Trajectory, flow: Tracks, keys: _Keys) -> Refinement:
    """From the key frames to all frames, and of these those that were asked for."""
    tell("fit", 0.5)
    best, count = keys.best, len(film_u8)
    turned = turned_bundle(best, keys.lens, best.fixed)
    bundle = turned or best.bundle
    good = best.tied & (best.shares >= MIN_FRAME_SHARE)
    Ts_keys = bundle.Ts_world_camera.copy()
    if turned is not None:
        Ts_keys[:, :3, 3] = 0
    lens = bundle.intrinsics[0]
    known = np.isin(np.arange(count), keys.frames[good])
    begin = interpolated(Ts_keys[good], keys.frames[good], count)
    Ts, placed = tie_frames(flow, begin, np.tile(lens, (count, 1)), known)
    if turned is not None:
        Ts[:, :3, 3] = 0
    Ts = se3.inverse(Ts[at[start.source]]) @ Ts
    if turned is not None:
        trajectory = _asked(start, Ts, at, lens, 1.0)
        lost = tuple(np.flatnonzero(~placed[at]).tolist())
        report = report_of("no_parallax", turning_reason(trajectory), best, keys.lens, start, bundle, lost)
        found = Refinement(trajectory, report, None, best.tracks)
    else:
        found = _with_points(film_u8, at, start, flow, keys, Ts, placed)
    used = np.flatnonzero(placed & np.isin(np.arange(count), [*keys.frames, *at]))
    moving = np.zeros((count, *cell_counts(flow.image_size)), dtype=bool)
    moving[used] = moving_cells(_numbered(flow, used), Ts[used], np.tile(lens, (len(used), 1)))
    return found.with_moving(moving[at])


def _with_points(
    film_u8: np.ndarray,
    at: np.ndarray,
    start: Trajectory,
    flow: Tracks,
    keys: _Keys,
    Ts: Float[np.ndarray, "f 4 4"],
    placed: Bool[np.ndarray, " f"],
) -> Refinement:
    """Points of key frames and asked ones, the unit of length, and the report."""
    best, lens = keys.best, keys.best.bundle.intrinsics[0]
    used = np.union1d(keys.frames, at)
    used = used[placed[used]]
    evidence = Tracks.concatenate([_numbered(flow, used), _numbered(keys.matched, used, keys.frames)])
    points = triangulate(evidence, Ts[used], lens, film_u8[used])
    source = int(np.abs(used - at[start.source]).argmin())
    unit = source_depth(evidence, points, Ts[used[source]], source)
    spans = np.stack(
        [np.searchsorted(at, used[points.span[:, 0]]), np.searchsorted(at, used[points.span[:, 1]], "right") - 1], 1
    )
    points = replace(points, span=spans).transformed(np.eye(4), 1 / unit)
    trajectory = _asked(start, Ts, at, lens, unit)
    reason = fits_words(best)
    lost = tuple(np.flatnonzero(~placed[at]).tolist())
    if lost:
        reason += f" Frames {list(lost)} could not be tied to the others and stand between or beside their neighbours."
    joints = best.joints_of(best.tied & (best.shares >= MIN_FRAME_SHARE))
    weak = _asked_joints(joints.weak_frames, keys.frames, at)
    words = joint_words([f"{i} and {j}" for i, j in weak])
    report = report_of("refined", reason, best, keys.lens, start, best.bundle, lost, weak, words)
    return Refinement(trajectory, report, points, evidence)


def _asked(start: Trajectory, Ts: np.ndarray, at: np.ndarray, lens: np.ndarray, unit: float) -> Trajectory:
    poses = Ts[at].copy()
    poses[:, :3, 3] /= unit
    poses[start.source] = np.eye(4)
    return replace(start, Ts_world_camera=poses, intrinsics=np.tile(lens, (len(at), 1)))


def _numbered(tracks: Tracks, used: np.ndarray, frames: np.ndarray | None = None) -> Tracks:
    """Tracks, of a film or of its key frames, in the frames `used`, numbered as these are."""
    numbers = np.arange(tracks.num_frames) if frames is None else frames
    film = numbers[tracks.frame]
    keep = np.isin(film, used)
    place = np.searchsorted(used, film[keep])
    return Tracks.build(place, tracks.point[keep], tracks.xy[keep], len(used), tracks.image_size)


def _asked_joints(weak: tuple[tuple[int, int], ...], frames: np.ndarray, at: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Weak joints of key frames as those of the asked frames around them, each once."""
    last = len(at) - 1
    found = []
    for before, after in weak:
        i = int(np.clip(np.searchsorted(at, frames[before], "right") - 1, 0, last))
        j = int(np.clip(np.searchsorted(at, frames[after]), 0, last))
        if i < j and (i, j) not in found:
            found.append((i, j))
    return tuple(found)
