"""What the viewport is asked to show, as one value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from rap.geometry import Trajectory
from ui.document.messages import GizmoMode
from ui.document.state import Points


@dataclass(frozen=True, eq=False)
class ViewportScene:
    """What the viewport shows; a value, compared by the identity of its parts.

    Args:
        trajectory: the edited path, one frustum per frame.
        ghost: the path that edits start from, drawn faint behind it.
        thumbnails: one (h, w, 3) uint8 image per frame of the trajectory, shown on its frustum.
        selected: frame that carries the gizmo.
        source: frame that is marked and cannot be dragged.
        soft_radius: reach of a drag in frames; frusta inside it are drawn bolder.
        raw: the prediction before it was refined, drawn thinner still.
        points: triangulated points of the scene.
        dense: points of its depth maps.
        home: the path that is brought into view when it is a new one.
        followed: the cameras that the model sees in the take on show, dashed.
        keys: frames that are keys, with a dot each; None for a key that has no frame.
        target: the picked point.
        picking: a click into the scene picks a point.
        playhead: frame that is drawn boldest.
        gizmo: what the gizmo does.
        pending: cameras of a file that are to become the path.
        tube: a path and a radius around each of its cameras, in which samples of it lie.
        known: the clip's known cameras.
        is_dark: the page around the viewport is dark.
        held: a hand is on the path, so that what moves by less than a pixel may be shown later.
        through: the pages look through the camera at the playhead, and the frusta are hidden: one would be around them.
    """

    trajectory: Trajectory | None = None
    ghost: Trajectory | None = None
    thumbnails: tuple[UInt8[np.ndarray, "h w 3"], ...] | None = None
    selected: int | None = None
    source: int = 0
    soft_radius: float = 0.0
    raw: Trajectory | None = None
    points: Points | None = None
    dense: Points | None = None
    home: Trajectory | None = None
    followed: Trajectory | None = None
    keys: tuple[int | None, ...] = ()
    target: tuple[float, float, float] | None = None
    picking: bool = False
    playhead: int = 0
    through: bool = False
    gizmo: GizmoMode = "both"
    held: bool = False
    pending: Trajectory | None = None
    known: Trajectory | None = None
    is_dark: bool = False
    tube: tuple[Trajectory, Float[np.ndarray, " t"]] | None = None


def check(scene: ViewportScene) -> None:
    """Raises ValueError for a frame that the trajectory has not, and for too few thumbnails."""
    count = 0 if scene.trajectory is None else len(scene.trajectory)
    if scene.trajectory is not None and not 0 <= scene.source < count:
        raise ValueError(f"source must name a frame of the trajectory (0 to {count - 1}), got {scene.source}")
    if scene.selected is not None and not 0 <= scene.selected < count:
        raise ValueError(f"selected must name a frame of the trajectory ({count} frames), got {scene.selected}")
    if scene.thumbnails is not None and len(scene.thumbnails) < count:
        raise ValueError(f"thumbnails must be one per frame ({count}), got {len(scene.thumbnails)}; pass None for none")
