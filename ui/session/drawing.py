"""What the viewport shows of a state."""

from __future__ import annotations

from typing import Any

import numpy as np

from rap.geometry import Trajectory
from ui.document.document import Document
from ui.document.geometry import points_on_show
from ui.document.known_cameras import known_path
from ui.document.state import State
from ui.viewport.scene import ViewportScene


class Drawing:
    """Makes the viewport's scene of a state.

    It keeps what must be the same objects from one scene to the next, for the viewport compares by identity: the
    thumbnails, and the clip's known cameras.
    """

    def __init__(self) -> None:
        self._pictures: tuple[Any, tuple[np.ndarray, ...]] = (None, ())  # key, thumbnails
        self._reference: tuple[Any, Trajectory | None] = (None, None)  # what it is of, and known cameras

    def scene(self, state: State) -> ViewportScene:
        """All that is to be seen."""
        document, geometry = state.document, state.geometry
        shown = points_on_show(geometry, state.through)
        is_dense = shown is not geometry.sparse
        return ViewportScene(
            trajectory=document.edited,
            ghost=document.best if document.best is not document.edited else None,
            raw=document.predicted if document.refined is not None else None,
            thumbnails=self._thumbnails(document),
            selected=document.selected,
            source=document.source,
            soft_radius=document.soft.radius if document.soft.on else 0.0,
            points=None if is_dense else shown,
            dense=shown if is_dense else None,
            home=document.best,
            followed=None if document.verification is None else document.verification.followed,
            keys=() if document.keys is None else document.keys.frames,
            target=document.target,
            picking=state.picking,
            playhead=state.playhead,
            through=state.through,
            is_dark=state.is_dark,
            gizmo=state.gizmo,
            tube=_tube(document),
            known=self.known_path(document),
            pending=state.imported,
            held=document.drag_origin is not None,
        )

    def known_path(self, document: Document) -> Trajectory | None:
        """The clip's known cameras in the unit of the path that was found; the same object while both stay."""
        best = document.best
        if document.clip is None or document.clip.trajectory is None or best is None:
            return None
        if self._reference[0] != (document.clip, best):
            self._reference = ((document.clip, best), known_path(document))
        return self._reference[1]

    def _thumbnails(self, document: Document) -> tuple[np.ndarray, ...] | None:
        """A picture for each pose: the clip's own frames along an estimated path, else only the source's.

        The same objects as long as the clip and the path's length stay.
        """
        if document.clip is None or document.edited is None:
            return None
        follows = document.follows_clip and len(document.edited) == len(document.clip)
        key = (document.clip, len(document.edited), document.source, follows)
        if self._pictures[0] != key:
            frames = document.clip.frames_u8
            pictures = [np.full_like(frames[0], 72) for _ in range(len(document.edited))]
            for own in document.clip.own_frames if follows else ():
                pictures[own] = frames[own]
            pictures[document.source] = frames[min(document.source, len(frames) - 1)]
            self._pictures = (key, tuple(pictures))
        return self._pictures[1]


def _tube(document: Document) -> tuple[Trajectory, Any] | None:
    """The path that the samples are about, and how far they lie apart; nothing once it has another length."""
    path, spread = document.best, document.spread
    if path is None or spread is None or len(spread.distance) != len(path):
        return None
    return path, spread.distance
