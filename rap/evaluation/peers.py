"""What stands beside the model on the same clips: others' ways to the cameras, and videos that nobody generated."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from rap.data import Clip
from rap.geometry import Trajectory, intrinsics_from_fov, se3
from rap.reconstruction import colmap
from rap.reconstruction.matching import Features, Matches, RelativePose, frame_pairs, match_frames, relative_pose
from rap.views.beyond import filled
from rap.views.hints import VideoHints, as_hints, plane_hints, with_open_holes
from rap.views.scene import Scene, picture_scene, refine

POSE_PEERS = ("colmap", "colmap-global", "essential", "frames")
VIDEO_PEERS = ("repeat", "plane", "warp")
LEAVING_PEERS = ("continued",)

UNKNOWN_FOV_Y_RAD = float(np.radians(55.0))
"""Of whole pictures of which nothing is known: where the search for a lens begins, and what a chain goes by."""


@dataclass(frozen=True, eq=False)
class FoundCameras:
    """Poses (T, 4, 4) of a clip's frames, `lost` those of which nothing is known, and the focal length in px of the
    footage, None where the peer does not look for one."""

    Ts_world_camera: Float[np.ndarray, "T 4 4"]
    lost: tuple[int, ...] = ()
    focal_px: float | None = None


def missing(peers: tuple[str, ...]) -> dict[str, str]:
    """Which of the peers cannot run here, and why."""
    there = colmap.is_installed()
    return {name: colmap.SENTENCE for name in peers if name.startswith("colmap") and not there}


def find_cameras(peer: str, clip: Clip, truth: Trajectory, is_known: bool) -> FoundCameras:
    """Cameras of a clip's whole frames by one of `POSE_PEERS`.

    Args:
        truth: on the clip's frames; its lens alone is looked at, and that only where `is_known`.
    """
    lens = clip.on_footage(truth).intrinsics[0]
    if not is_known:
        lens = intrinsics_from_fov(UNKNOWN_FOV_Y_RAD, clip.footage_size)
    if peer == "essential":
        return essential_chain(clip.footage, lens)
    if peer == "frames":
        return from_frames(clip, truth, is_known)
    model = colmap.mapped(
        clip.footage, lens, is_known=is_known, mapping="global" if peer == "colmap-global" else "incremental"
    )
    if model is None:
        return FoundCameras(np.tile(np.eye(4), (len(clip), 1, 1)), tuple(range(len(clip))))
    lost = tuple(np.flatnonzero(~model.registered).tolist())
    return FoundCameras(model.Ts_world_camera, lost, None if is_known else float(model.intrinsics[1]))


def from_frames(clip: Clip, truth: Trajectory, is_known: bool) -> FoundCameras:
    """Our own refinement that begins with nothing: what a prediction has to add to."""
    known = float(truth.fov_y_rad[0]) if is_known else None
    lens = intrinsics_from_fov(known or clip.cropped_fov_y_rad(UNKNOWN_FOV_Y_RAD), clip.image_size)
    still = np.tile(np.eye(4), (len(clip), 1, 1))
    found = refine(clip, replace(truth, Ts_world_camera=still, intrinsics=np.tile(lens, (len(clip), 1))), known)
    focal_px = float(clip.on_footage(found.trajectory).intrinsics[0, 1])
    return FoundCameras(found.trajectory.Ts_world_camera, found.report.lost, None if is_known else focal_px)


def essential_chain(frames_u8: UInt8[np.ndarray, "t h w 3"], intrinsics: Float[np.ndarray, "4"]) -> FoundCameras:
    """Essential matrices of neighbouring frames, one after the other, by SIFT and OpenCV's five-point solver.

    A step is as long as makes the points that it shares with the step before it as deep as they were. Nothing is
    adjusted; what comes after a pair that tells no motion counts as lost.

    Args:
        intrinsics: px.
    """
    pairs = frame_pairs(len(frames_u8), (1,))
    features, matches = match_frames(frames_u8, pairs)
    Ts, before, length = [np.eye(4)], {}, 1.0
    for pair in sorted(matches, key=_first):
        step = _step(features, pair, intrinsics)
        if step is None:
            break
        depths_first, depths_second = _depths(features, pair, step, intrinsics)
        shared = [before[k] / depths_first[k] for k in before.keys() & depths_first.keys()]
        length = float(np.median(shared)) if shared else length
        T_first_second = se3.inverse(step.T_second_first)
        T_first_second[:3, 3] *= length
        Ts.append(Ts[-1] @ T_first_second)
        before = {k: depth * length for k, depth in depths_second.items()}
    lost = tuple(range(len(Ts), len(frames_u8)))
    return FoundCameras(np.stack(Ts + [Ts[-1]] * len(lost)), lost)


def _first(pair: Matches) -> int:
    return pair.first


def _step(features: list[Features], pair: Matches, intrinsics: np.ndarray) -> RelativePose | None:
    first, second = features[pair.first].xy[pair.indices[:, 0]], features[pair.second].xy[pair.indices[:, 1]]
    return relative_pose(first, second, intrinsics)


def _depths(
    features: list[Features], pair: Matches, step: RelativePose, intrinsics: np.ndarray
) -> tuple[dict[int, float], dict[int, float]]:
    """Depths before either camera, by number of the feature, of matches that the step puts before both.

    b y = a R x + t for rays x and y: the cross products with y and with R x leave one unknown each.
    """
    kept = np.flatnonzero(step.in_front)
    indices = pair.indices[kept]
    x, y = (
        np.append((features[k].xy[indices[:, c]] - intrinsics[2:]) / intrinsics[:2], np.ones((len(kept), 1)), 1)
        for c, k in enumerate((pair.first, pair.second))
    )
    turned, t = x @ step.T_second_first[:3, :3].T, step.T_second_first[:3, 3]
    normal = np.cross(turned, y)
    square = np.maximum((normal**2).sum(axis=1), 1e-18)
    a, b = (np.sum(np.cross(ray, t) * normal, axis=1) / square for ray in (y, turned))
    return dict(zip(indices[:, 0].tolist(), a.tolist(), strict=True)), dict(
        zip(indices[:, 1].tolist(), b.tolist(), strict=True)
    )


def video_hints(kind: str, clip: Clip, path: Trajectory) -> tuple[VideoHints, UInt8[np.ndarray, "T h w 3"]]:
    """Frame 0 along a path in median depths: the "plane" at unit depth, or the "warp" of its own layers, by the depth
    of one picture. What the model is shown of it, and the finished video without the model."""
    if kind == "plane":
        hints = plane_hints(clip.frames_u8[:1], (0,), path)
        return hints, hints.frames_u8
    rendered = picture_scene(clip, path).render(path)
    return as_hints(with_open_holes(rendered), path.image_size), as_hints(rendered, path.image_size).frames_u8


def peer_video(peer: str, clip: Clip, path: Trajectory) -> UInt8[np.ndarray, "T h w 3"]:
    """A video along a path by one of `VIDEO_PEERS`, from frame 0 of the clip alone."""
    if peer == "repeat":
        return np.repeat(clip.frames_u8[:1], len(path), axis=0)
    return video_hints(peer, clip, path)[1]


def continued_video(scene: Scene, hints: VideoHints, path: Trajectory) -> UInt8[np.ndarray, "T h w 3"]:
    """What lifted frames show, with the first one's own layers in the holes, as takes of films have it where much is
    open."""
    cameras = path.Ts_world_camera, path.intrinsics
    return np.stack(list(filled(hints.frames_u8, (1 - hints.mask).astype(np.float32), scene.moment(0), cameras)))
