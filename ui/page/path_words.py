"""What the Path panel says: the path in a line, what the lines beside it mean, what undo gets back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ui.page.common_words import ButtonLook, notice_line
from ui.page.html import NOTHING, Html, fact, note, tag, together
from ui.page.move_words import last_move

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from rap.data import Clip
    from rap.reconstruction.refine import RefinementReport
    from ui.document.document import Document
    from ui.document.messages import GizmoMode
    from ui.document.state import GeometryJob, Notice, Work

SHORT_NAME = 20  # letters of a clip's name on a button
NO_PATH = note("No path yet")


def viewport_hint(clip: Clip | None, has_path: bool, job: GeometryJob | None = None, has_depth: bool = False) -> Html:
    """What to do so that the viewport shows a path, or what is at work on a picture; empty once there is a path."""
    if job is not None and job.basis.is_picture:
        return tag("div", tag("span", "Finding the depth of the picture …"), class_="rap-hint rap-aside", role="status")
    if has_path:
        return NOTHING
    if has_depth:
        text = together(tag("b", "Choose a move"), " to walk into the picture.")
        return tag("div", tag("span", text), class_="rap-hint rap-aside")
    if clip is None:
        text = together("Give a video or an image, or take one of the examples.")
    elif len(clip) > 1:
        ending = " to see here how the camera moved, or choose a move."
        text = together("Press ", tag("b", "Predict path"), ending)
    else:
        text = together(tag("b", "Choose a move"), ", and bend its path here.")
    return tag("div", tag("span", text), class_="rap-hint")


def legend(document: Document) -> Html:
    """What the lines beside the path mean; empty where there are none."""
    entries = []
    if document.edited is not None and document.best is not None and document.best is not document.edited:
        entries.append(("ghost", "As refined" if document.refined is not None else "As predicted"))
    if document.refined is not None:
        entries.append(("raw", "As predicted"))
    if document.clip is not None and document.clip.trajectory is not None and document.predicted is not None:
        entries.append(("known", "Known cameras"))
    if document.spread is not None:
        entries.append(("tube", "Samples"))
    if document.verification is not None:
        entries.append(("followed", f"Followed by take {document.verification.take}"))
    words = [tag("span", tag("i", class_=f"rap-line-{kind}"), text) for kind, text in entries]
    return tag("div", *words, class_="rap-legend") if entries else NOTHING


def path_notice(notice: Notice | None, report: RefinementReport | None) -> Html:
    """What is said of the path; not what the verdict says already, it would lie over the cameras."""
    if notice is not None and report is not None and notice.text == report.reason:
        return NOTHING
    return notice_line(notice, "path")


def path_line(document: Document) -> Html:
    """What path is shown and how far it is from the prediction."""
    path = document.edited
    if path is None:
        return NO_PATH
    origin = []
    if document.predicted is not None:
        untouched = "as predicted" if document.prediction_follows_clip else "as imagined"
        origin = [untouched if path.hash == document.predicted.hash else "edited"]
    if document.refined is not None and path.hash == document.refined.hash:
        origin = ["as refined"]
    if (move := last_move(document)) is not None:
        origin = [move]
    chosen = "click one to select it" if document.selected is None else f"frame {document.selected} selected"
    if document.selected is not None and document.selected == path.source:
        chosen += " (the source: it stays at the origin)"
    fov = np.degrees(path.fov_y_rad[path.source])
    facts = " · ".join([*origin, f"{fov:.1f}° vertical field of view", chosen])
    return fact(f"{len(path)} cameras", facts)


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
