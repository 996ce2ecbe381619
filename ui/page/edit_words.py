"""What the Edit tab says: pure functions from the document to HTML and button labels. No Gradio, no session."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ui.page.panels import ButtonLook

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from rap.geometry.keys import KeyPath
    from ui.document.document import Document

NEEDS_PATH, NEEDS_FRAME, NEEDS_KEYS, NEEDS_KEY = "needs a path", "needs a frame", "needs keys", "needs a key"

LOOP = (
    "Give a video or an image, or take an example.",
    "Predict the camera path; it is fitted to the clip where the clip allows.",
    "Bend it: click a frustum and drag its gizmo, or use the Edit tab.",
    "Regenerate along it, with or without what the clip shows, from the frames chosen on the filmstrip.",
    "Verify, compare, keep.",
)
SHORTCUTS = (
    ("Ctrl Z · Ctrl Shift Z", "undo · redo"), ("Ctrl Enter", "regenerate"), ("Space", "play the path"),
    (", · .", "a frame back · on"), ("I", "key at the playhead"), ("Delete", "delete the selected key"),
    ("G · R", "gizmo moves only · turns only"), ("O", "soft drag on or off"), ("Esc", "leave the camera view"),
    ("W A S D · Q E · arrows", "fly the view"), ("?", "this sheet"),
)  # fmt: skip


def help_sheet() -> str:
    """The loop in five lines and the shortcuts, as a dialog that `assets/app.js` opens."""
    loop = "".join(f"<li>{line}</li>" for line in LOOP)
    rows = "".join(f"<tr><td><kbd>{keys}</kbd></td><td>{words}</td></tr>" for keys, words in SHORTCUTS)
    return (
        f'<dialog id="rap-help" aria-label="help"><ol>{loop}</ol><table>{rows}</table>'
        '<button type="button" id="rap-help-close">Close</button></dialog>'
    )


def frame_line(document: Document) -> str:
    """Which frame the numbers are of, and whether they can be changed."""
    path, index = document.edited, document.selected
    if path is None:
        return _fact("No path yet", "predict one or apply a preset")
    if index is None:
        return _fact("No frame selected", "click a frustum in the viewport")
    note = f"at {index / path.fps:.2f} s"
    if index == path.source:
        return _fact(f"Frame {index}", "the source: it stays at the origin and keeps its lens")
    key = None if document.keys is None else document.keys.key_at(index)
    if document.keys is not None:
        note += " · becomes a key when it is moved" if key is None else f" · key {key}"
    return _fact(f"Frame {index}", note)


def keys_line(document: Document) -> str:
    """How the path is held, and how far the keys missed the dense path they have just replaced."""
    from rap.geometry.keys import key_path_error

    if document.edited is None:
        return _fact("No path yet", "predict one or apply a preset")
    if document.keys is None:
        return _fact("Dense path", "every frame is free; keys hold it by a few cameras")
    words = f"hold {document.keys.num_frames} frames"
    before = document.past[-1] if document.past else None
    if before is not None and before.keys is None and len(before.trajectory) == document.keys.num_frames:
        miss = key_path_error(document.keys, before.trajectory)
        words += (
            f"; at most {miss.distance:.3f} median depths and {np.degrees(miss.angle_rad):.2f}° off the path before"
        )
    return _fact(f"{len(document.keys.times)} keys", words)


def key_choices(keys: KeyPath | None) -> list[tuple[str, int]]:
    """(words, frame) of every key that a frame shows."""
    if keys is None:
        return []
    source = keys.keys.source
    words = [
        f"key {key}{' (source)' if key == source else ''} · frame {frame}" for key, frame in enumerate(keys.frames)
    ]
    return [(word, frame) for word, frame in zip(words, keys.frames, strict=True) if frame is not None]


def target_line(document: Document) -> str:
    """The point to look at and to turn about."""
    if document.target is None:
        return _fact("Point", "where the source camera looks, at the median depth")
    return _fact("Point", "picked at ({:.2f}, {:.2f}, {:.2f})".format(*document.target))


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


def pick_button(document: Document, picking: bool) -> ButtonLook:
    """Pressed once more it stops."""
    if picking:
        return ButtonLook("Click a point … (stop)", True)
    return path_button("Pick a point", document)


def _fact(title: str, words: str) -> str:
    return f'<div class="rap-fact"><b>{escape(title)}</b> {escape(words)}</div>'
