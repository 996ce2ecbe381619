"""The help sheet: the loop in five lines, and the shortcuts that `assets/app.js` hears."""

from __future__ import annotations

from ui.page.html import Html, tag

LOOP = (
    "Give a film or a photograph, or take an example.",
    "The cameras of a film are found at once, a photograph gets its depth.",
    "Choose a move; click on the picture at what it shall turn about. Or bend the path: click a camera and drag its "
    "handles, or use the Edit tab.",
    "Regenerate: the video is made again along the path, from the frames chosen on the filmstrip.",
    "Verify, compare, keep.",
)
SHORTCUTS = (
    ("Ctrl Z · Ctrl Shift Z", "undo · redo"), ("Ctrl Enter", "regenerate"), ("Space", "play the path"),
    (", · .", "a frame back · on"), ("I", "key at the playhead"), ("Delete", "delete the selected key"),
    ("G · R", "gizmo moves only · turns only"), ("O", "soft drag on or off"),
    ("Esc", "leave the camera view, forget the picked point"),
    ("X · F", "picture and 3D view change places · full screen"), ("W A S D · Q E · arrows", "fly the view"),
    ("?", "this sheet"),
)  # fmt: skip


def help_sheet() -> Html:
    """The loop in five lines and the shortcuts, as a dialog that `assets/app.js` opens."""
    loop = tag("ol", *(tag("li", line) for line in LOOP))
    rows = [tag("tr", tag("td", tag("kbd", keys)), tag("td", words)) for keys, words in SHORTCUTS]
    close = tag("button", "Close", type="button", id="rap-help-close")
    return tag("dialog", loop, tag("table", *rows), close, id="rap-help", aria_label="help")
