"""The help sheet: the loop in five lines, the shortcuts that `assets/app.js` hears, and the words of the craft."""

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

CRAFT = (
    ("Pivot", "rap-pivot-distance rap-pivot rap-point", "What a move turns about. Click on it in the picture."),
    ("By ° or %", "rap-degrees", "How large a move is: degrees of a turn, percent of the way to the subject."),
    ("Soft drag", "rap-soft", "The neighbours of the camera that is dragged come along, the farther off the less."),
    ("Reach", "rap-radius", "How many neighbours on each side a soft drag takes along."),
    ("Gizmo", "rap-gizmo-move rap-gizmo-turn", "The handles on the selected camera: arrows move it, rings turn it."),
    ("Key", "rap-key-count rap-to-keys rap-key-insert", "A camera that the path leads through, smoothly."),
    ("Tension", "rap-key-tension", "How straight the path runs between its keys."),
    ("Easing", "rap-key-easing rap-easing", "How speed comes and goes: a camera that starts gently, or stops gently."),
    ("Raxel", "rap-raxels", "A pixel's ray as a colour: where it starts plus where it goes. A map of them: a camera."),
    ("Dense points", "rap-dense", "Every pixel of what was given, as far away as it is, once that is known."),
    ("Refine", "rap-auto-refine rap-refine", "Fit the cameras to points that are followed through the film."),
    ("Field of view", "rap-fov", "The angle that the lens sees from bottom to top, if you know it."),
    ("With geometry", "rap-use-geometry", "Show what was given along the path; off: the model alone, small and soft."),
    ("Guidance", "rap-guidance", "How strictly the model keeps to the path; 1 is off."),
    ("Noise", "rap-temperature", "How much of the picture the model makes anew: 0 keeps what is seen."),
    ("Steps", "rap-steps", "How often the model mends its picture; more takes longer."),
    ("Seed", "rap-seed", "Which of the possible takes is made: the same number makes the same take."),
    ("Verify", "rap-verify rap-auto-verify", "Find the camera's way in the finished take, beside the path."),
    ("Sample", "rap-sample", "Find the path several times over: where they differ, it is not certain."),
)  # fmt: skip
"""Word, the page's elements that use it, and one sentence, which `assets/app.js` says at these."""


def help_sheet() -> Html:
    """Loop, shortcuts and words, as a dialog that `assets/app.js` opens."""
    loop = tag("ol", *(tag("li", line) for line in LOOP))
    rows = [tag("tr", tag("td", tag("kbd", keys)), tag("td", words)) for keys, words in SHORTCUTS]
    close = tag("button", "Close", type="button", id="rap-help-close")
    craft = [tag("tr", tag("td", tag("b", word)), tag("td", words), data_for=ids) for word, ids, words in CRAFT]
    words = tag("details", tag("summary", "Words of the craft"), tag("table", *craft))
    return tag("dialog", loop, tag("table", *rows), words, close, id="rap-help", aria_label="help")
