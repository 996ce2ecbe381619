"""What the buttons of the Keep tab say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.page.common_words import ButtonLook

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from ui.document.document import Document


def save_button(document: Document) -> ButtonLook:
    """Needs a clip."""
    if document.clip is None:
        return ButtonLook("Save session (needs a clip)", False)
    return ButtonLook("Save session", True)


def figure_button(document: Document) -> ButtonLook:
    """Needs a path predicted from the clip."""
    ready = document.predicted is not None and document.prediction_follows_clip
    return ButtonLook("Export figure" if ready else "Export figure (needs Predict)", ready)


def export_take_button(document: Document) -> ButtonLook:
    """Needs a take on show."""
    take = document.take
    return ButtonLook("Export take (no take)", False) if take is None else ButtonLook(f"Export {take.title}", True)


def export_button(document: Document) -> ButtonLook:
    """Needs a path."""
    if document.edited is None:
        return ButtonLook("Export (needs a path)", False)
    return ButtonLook("Export cameras", True)
