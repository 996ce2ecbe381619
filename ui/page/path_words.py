"""What the Path panel says: the path in a line, what the lines beside it mean, what undo gets back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ui.page.common_words import ButtonLook

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from rap.data import Clip
    from ui.document.document import Document
    from ui.document.messages import GizmoMode
    from ui.document.state import Work

SHORT_NAME = 20  # letters of a clip's name on a button
NO_PATH = '<div class="rap-note">No path yet</div>'


def viewport_hint(clip: Clip | None, has_path: bool) -> str:
    """What to do so that the viewport shows a path; empty once it does."""
    if has_path:
        return ""
    if clip is None:
        text = "Give a video or an image on the left, or take one of the examples."
    elif len(clip) > 1:
        text = "Press <b>Predict path</b> to see here how the camera moved, or apply a preset."
    else:
        text = "Press <b>Imagine path and video</b>, or apply a preset and bend it here."
    return f'<div class="rap-hint"><span>{text}</span></div>'


def legend(document: Document) -> str:
    """What the lines beside the path mean; empty where there are none."""
    entries = []
    if document.edited is not None and document.best is not None and document.best is not document.edited:
        entries.append(("ghost", "as refined" if document.refined is not None else "as predicted"))
    if document.refined is not None:
        entries.append(("raw", "as predicted"))
    if document.clip is not None and document.clip.trajectory is not None and document.predicted is not None:
        entries.append(("known", "known cameras"))
    if document.spread is not None:
        entries.append(("tube", "samples"))
    if document.verification is not None:
        entries.append(("followed", f"followed by take {document.verification.take}"))
    words = "".join(f'<span><i class="rap-line-{kind}"></i>{text}</span>' for kind, text in entries)
    return f'<div class="rap-legend">{words}</div>' if entries else ""


def path_line(document: Document) -> str:
    """What path is shown and how far it is from the prediction."""
    path = document.edited
    if path is None:
        return NO_PATH
    origin = "not predicted"
    if document.predicted is not None:
        untouched = "as predicted" if document.prediction_follows_clip else "as imagined"
        origin = untouched if path.hash == document.predicted.hash else "edited"
    if document.refined is not None and path.hash == document.refined.hash:
        origin = "as refined"
    chosen = "click a frustum to select it" if document.selected is None else f"frame {document.selected} selected"
    if document.selected is not None and document.selected == path.source:
        chosen += " (the source: it stays at the origin)"
    fov = np.degrees(path.fov_y_rad[path.source])
    facts = " · ".join([origin, f"{fov:.1f}° vertical field of view", chosen])
    return f'<div class="rap-fact"><b>{len(path)} cameras</b> {facts}</div>'


def gizmo_button(label: str, mode: GizmoMode, now: GizmoMode) -> ButtonLook:
    """Marked while it is in force; pressed once more, moving and turning are both there again."""
    return ButtonLook(f"✓ {label}" if mode == now else label, True)


def undo_button(document: Document, earlier: Sequence[Work] = ()) -> ButtonLook:
    """Names the edit that would be undone, or the clip that would come back, and says how many there are."""
    return _step_button("Undo", "back to", [entry.name for entry in document.past], earlier)


def redo_button(document: Document, later: Sequence[Work] = ()) -> ButtonLook:
    """Names the edit that would be redone, or the clip that was left, and says how many there are."""
    return _step_button("Redo", "on to", [entry.name for entry in document.future], later)


def reset_button(document: Document) -> ButtonLook:
    """Needs a prediction that differs from the path."""
    if document.predicted is None:
        return ButtonLook("Reset (needs Predict)", False)
    if document.edited is not None and document.edited.hash == document.predicted.hash:
        return ButtonLook("As predicted", False)
    return ButtonLook("To predicted", True)


def refined_button(document: Document) -> ButtonLook | None:
    """Only there when a refinement has succeeded; needs a path that differs from it."""
    if document.refined is None:
        return None
    if document.edited is not None and document.edited.hash == document.refined.hash:
        return ButtonLook("As refined", False)
    return ButtonLook("To refined", True)


def _step_button(verb: str, way: str, edits: Sequence[str], works: Sequence[Work]) -> ButtonLook:
    if edits:
        return ButtonLook(f"{verb} {edits[-1]} ({len(edits)})", True)
    if works:
        return ButtonLook(f"{verb}: {way} {_short_name(works[-1].document)} ({len(works)})", True)
    return ButtonLook(f"{verb} (none)", False)


def _short_name(document: Document) -> str:
    name = (document.clip.name if document.clip is not None else "") or "the clip"
    return name if len(name) <= SHORT_NAME else name[: SHORT_NAME - 1] + "…"
