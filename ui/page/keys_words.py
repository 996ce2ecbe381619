"""What the Edit tab says of the keys that hold a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ui.page.common_words import ButtonLook
from ui.page.edit_words import path_button
from ui.page.html import Html, fact

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from rap.geometry.keys import KeyPath
    from ui.document.document import Document

NEEDS_KEYS, NEEDS_KEY = "needs keys", "needs a key"


def keys_line(document: Document) -> Html:
    """How the path is held, and how far the keys missed the dense path they have just replaced."""
    from rap.geometry.keys import key_path_error

    if document.edited is None:
        return fact("No path yet", "predict one or apply a preset")
    if document.keys is None:
        return fact("Dense path", "every frame is free; keys hold it by a few cameras")
    words = f"hold {document.keys.num_frames} frames"
    before = document.past[-1] if document.past else None
    if before is not None and before.keys is None and len(before.trajectory) == document.keys.num_frames:
        miss = key_path_error(document.keys, before.trajectory)
        away = f"{miss.distance:.3f} × the distance to the subject"
        words += f"; at most {away} and {np.degrees(miss.angle_rad):.2f}° off the path before"
    return fact(f"{len(document.keys.times)} keys", words)


def key_choices(keys: KeyPath | None) -> list[tuple[str, int]]:
    """(words, frame) of every key that a frame shows."""
    if keys is None:
        return []
    source = keys.keys.source
    words = [
        f"key {key}{' (source)' if key == source else ''} · frame {frame}" for key, frame in enumerate(keys.frames)
    ]
    return [(word, frame) for word, frame in zip(words, keys.frames, strict=True) if frame is not None]


def keys_button(document: Document) -> ButtonLook:
    """To keys, or to as many as the slider says."""
    return path_button("Hold by keys" if document.keys is None else "Hold by so many", document)


def dense_button(document: Document) -> ButtonLook:
    """Needs keys."""
    return ButtonLook("Back to dense", True) if document.keys is not None else ButtonLook("Dense already", False)


def insert_button(document: Document) -> ButtonLook:
    """Needs keys; that the playhead is at one is said when it is pressed."""
    if document.keys is None:
        return ButtonLook(f"Key at playhead ({NEEDS_KEYS})", False)
    return ButtonLook("Key at playhead", True)


def key_button(label: str, document: Document, for_source: bool = False) -> ButtonLook:
    """Needs a selected key; one that is the source only if the edit leaves it alone."""
    if document.keys is None:
        return ButtonLook(f"{label} ({NEEDS_KEYS})", False)
    key = document.keys.key_at(document.selected)
    if key is None:
        return ButtonLook(f"{label} ({NEEDS_KEY})", False)
    if key == document.keys.keys.source and not for_source:
        return ButtonLook(f"{label} (source)", False)
    return ButtonLook(label, True)
