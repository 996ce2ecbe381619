"""The help sheet: the loop in five lines, and the shortcuts that `assets/app.js` hears."""

from __future__ import annotations

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
