"""The vocabulary of `session.dispatch`: everything that may change a session's state, as plain values.

A message says what happened, never what to do about it; `ui.session` alone decides that. Messages are frozen and
compare by identity where they carry arrays, so that a queue of them can be logged, replayed and tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

# --- gestures: what a hand does in the viewport (sent by ui.viewport) -------------------------------------------------


@dataclass(frozen=True)
class Select:
    """A frustum was clicked; `None` when the selection was cleared.

    Args:
        index: frame of the edited trajectory, counted from 0.
    """

    index: int | None


@dataclass(frozen=True)
class DragStart:
    """The gizmo of frame `index` was grabbed: the moment for a checkpoint in the history."""

    index: int


@dataclass(frozen=True, eq=False)
class Drag:
    """The gizmo of frame `index` moved; arrives at most 20 times a second while it is held.

    Args:
        index: frame of the edited trajectory.
        T_world_camera: where the hand has put the camera, camera-to-world, OpenCV axes, world = source camera.
    """

    index: int
    T_world_camera: Float64[np.ndarray, "4 4"]


@dataclass(frozen=True, eq=False)
class DragEnd:
    """The gizmo of frame `index` was let go at the pose `T_world_camera`; a `Drag` need not have come before."""

    index: int
    T_world_camera: Float64[np.ndarray, "4 4"]


Gesture = Select | DragStart | Drag | DragEnd

# --- everything else: uploads, edits, jobs, takes (owned by ui.session) -----------------------------------------------
