"""The path that was found against the cameras that came with the clip, where some did."""

from __future__ import annotations

from rap.geometry import Trajectory
from ui.document.document import Document
from ui.document.verification import Verification, verified


def against_known(document: Document) -> Verification | None:
    """The path that was found (refined, else predicted) against the clip's known cameras; None without them.

    The known cameras are the followed ones here, scaled to the path that was found.
    """
    clip, best = document.clip, document.best
    if clip is None or clip.trajectory is None or best is None or not document.prediction_follows_clip:
        return None
    if len(clip.trajectory) != len(best):
        return None
    return verified(0, best, clip.trajectory)


def known_path(document: Document) -> Trajectory | None:
    """The clip's known cameras in the unit of the path that was found."""
    found = against_known(document)
    return None if found is None else found.followed
