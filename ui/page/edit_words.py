"""What the Edit tab says of the whole path and of the selected frame (`keys_words` has the keys)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.page.common_words import ButtonLook
from ui.page.html import Html, fact

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from ui.document.document import Document

NEEDS_PATH, NEEDS_FRAME = "needs a path", "needs a frame"


def frame_line(document: Document) -> Html:
    """Which frame the numbers are of, and whether they can be changed."""
    path, index = document.edited, document.selected
    if path is None:
        return fact("No path yet", "predict one or apply a preset")
    if index is None:
        return fact("No frame selected", "click a frustum in the viewport")
    note = f"at {index / path.fps:.2f} s"
    if index == path.source:
        return fact(f"Frame {index}", "the source: it stays at the origin and keeps its lens")
    key = None if document.keys is None else document.keys.key_at(index)
    if document.keys is not None:
        note += " · becomes a key when it is moved" if key is None else f" · key {key}"
    return fact(f"Frame {index}", note)


def target_line(document: Document) -> Html:
    """The point to look at and to turn about."""
    if document.target is None:
        return fact("Point", "where the source camera looks, as far as the subject")
    return fact("Point", "picked at ({:.2f}, {:.2f}, {:.2f})".format(*document.target))


def path_button(label: str, document: Document) -> ButtonLook:
    """Needs a path."""
    return ButtonLook(label, True) if document.edited is not None else ButtonLook(f"{label} ({NEEDS_PATH})", False)


def frame_button(label: str, document: Document) -> ButtonLook:
    """Needs a selected frame that is not the source."""
    if document.edited is None:
        return ButtonLook(f"{label} ({NEEDS_PATH})", False)
    if document.selected is None or document.selected == document.source:
        return ButtonLook(f"{label} ({NEEDS_FRAME})", False)
    return ButtonLook(label, True)


def pick_button(document: Document, picking: bool) -> ButtonLook:
    """Pressed once more it stops."""
    if picking:
        return ButtonLook("Click a point … (stop)", True)
    return path_button("Pick a point", document)
