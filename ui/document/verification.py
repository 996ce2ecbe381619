"""Whether a take followed its path: the cameras that are seen in the video, against those asked for.

The model that generated the video estimates its cameras, roughly; then poses are fitted to points tracked through the
video, as those of a clip are. The fit begins at the estimate but rests on the tracks: a measurement, and no opinion of
the model's. Where nothing can be tracked the estimate alone remains, which is self-consistency.

Both paths start at the source camera; the followed one is scaled to the requested one by least squares on the camera
centres, since a video does not tell its unit of length. R_err and T_err have CamI2V's protocol (`rap.metrics`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from rap.config import KNOWN_PATHS
from rap.geometry import se3
from rap.metrics import LOST_ROTATION_DEG, PathErrors, path_errors

if TYPE_CHECKING:
    from rap.geometry import Trajectory

MIN_MOTION = 1e-6  # median depths: below it a path stands still and has no scale


@dataclass(frozen=True, eq=False)
class Verification:
    """A take's followed path against the requested one.

    Args:
        take: its number.
        followed: cameras estimated from its video, world = source camera, in the requested path's unit of length.
        rotation_deg: (T,) angle between both cameras of each frame.
        translation: (T,) distance of both centres over the requested path's largest distance from its source; for a
            path that stands still, over the median depth of the source view.
        errors: the same paths by the published protocol.
        seconds: what it took.
        reason: what the fit to the tracks has to say; empty where none was tried.
        lost: frames that could not be tied to the others: they count as not followed.
        estimated: the same of the model's estimate where `followed` was fitted to tracks; None where it is that itself.
    """

    take: int
    followed: Trajectory
    rotation_deg: Float[np.ndarray, " T"]
    translation: Float[np.ndarray, " T"]
    errors: PathErrors
    seconds: float = 0.0
    reason: str = ""
    lost: tuple[int, ...] = ()
    estimated: Verification | None = None

    @property
    def by_tracks(self) -> bool:
        """Whether the followed path was measured in the video, and is not what the model takes it for."""
        return self.estimated is not None

    @property
    def worst_frame(self) -> int:
        """The frame that is farthest off, rotation and translation each measured by their own mean."""
        parts = (self.rotation_deg, self.translation)
        return int(np.argmax(sum(part / max(float(part.mean()), 1e-12) for part in parts)))


def verified(
    take: int, requested: Trajectory, estimated: Trajectory, seconds: float = 0.0, lost: tuple[int, ...] = ()
) -> Verification:
    """Compare what a take was to follow with what was estimated of its video.

    Args:
        take: its number.
        requested, estimated: paths of the same length and source frame.
        lost: frames of which the estimate knows nothing.

    Raises:
        ValueError: they differ in length.
    """
    if len(requested) != len(estimated):
        raise ValueError(f"a take of {len(requested)} cameras cannot be compared with {len(estimated)} estimated ones")
    requested, estimated = requested.relative_to(requested.source), estimated.relative_to(requested.source)
    goal, found = requested.centres, estimated.centres
    extent = float(np.linalg.norm(goal, axis=-1).max())
    scale = 1.0
    if extent > MIN_MOTION and (found**2).sum() > MIN_MOTION**2:
        scale = max(float((goal * found).sum() / (found**2).sum()), MIN_MOTION)  # a path run backwards has no scale
    followed = estimated.scaled(scale)
    turns = np.swapaxes(requested.Ts_world_camera[:, :3, :3], -1, -2) @ followed.Ts_world_camera[:, :3, :3]
    shift, unknown = np.linalg.norm(followed.centres - goal, axis=-1), np.isin(np.arange(len(goal)), lost)
    return Verification(
        take=take,
        followed=followed,
        rotation_deg=np.where(unknown, LOST_ROTATION_DEG, np.degrees(se3.rotation_angle(turns))),
        translation=np.where(unknown, 1.0, shift / (extent if extent > MIN_MOTION else 1.0)),
        errors=path_errors(estimated.Ts_world_camera, requested.Ts_world_camera, lost),
        seconds=seconds,
        lost=lost,
    )


def tracked(
    take: int, requested: Trajectory, estimated: Trajectory, frames_u8: UInt8[np.ndarray, "T H W 3"]
) -> Verification:
    """As `verified`, of the path that points tracked through the take's video tell; of the estimate where they do not.

    Args:
        frames_u8: of the video, of the shape of the paths' images; in larger ones points are found more exactly.

    Raises:
        ValueError: paths or video differ in length, or in size or shape.
    """
    from rap.reconstruction.followed import MEASURED, followed_path

    of_model = verified(take, requested, estimated)
    h, w = frames_u8.shape[1:3]
    if abs(h * requested.image_size[1] - w * requested.image_size[0]) > max(requested.image_size):
        raise ValueError(f"frames_u8 must have the shape of the path's images {requested.image_size}, got {(h, w)}")
    found = followed_path(frames_u8, estimated.resized((h, w)), requested.resized((h, w)))
    report = found.report
    if report.outcome not in MEASURED:
        return replace(of_model, reason=report.reason, seconds=report.seconds)
    path = found.trajectory.resized(requested.image_size)
    measured = verified(take, requested, path, report.seconds, report.lost)
    return replace(measured, reason=report.reason, estimated=of_model)


@dataclass(frozen=True)
class KnownPaths:
    """What estimates err by where the truth is known: means over the example clips.

    Args:
        clips: how many.
        r_err_rad, t_err: CamI2V's sums, per clip.
        rotation_deg: mean over frames and clips.
        by_tracks: the same after the fit to tracks; None where it was not measured.
    """

    clips: int
    r_err_rad: float
    t_err: float
    rotation_deg: float
    by_tracks: KnownPaths | None = None

    @classmethod
    def of_checkpoint(cls, folder: Path) -> KnownPaths | None:
        """As measured by `rap evaluate --known-paths` and kept beside the weights; None where that was not done."""
        path = folder / KNOWN_PATHS
        if not path.is_file():
            return None
        rows = json.loads(path.read_text(encoding="utf-8"))["clips"]
        by_tracks = cls._mean(rows, "tracks_") if all("tracks_r_err_rad" in row for row in rows) else None
        return replace(cls._mean(rows), by_tracks=by_tracks)

    @classmethod
    def _mean(cls, rows: list[dict[str, float]], prefix: str = "") -> KnownPaths:
        r_err, t_err, turn = (
            float(np.mean([row[prefix + key] for row in rows])) for key in ("r_err_rad", "t_err", "rotation_deg")
        )
        return cls(len(rows), r_err, t_err, turn)
