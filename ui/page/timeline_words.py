"""The timeline under the stage: playhead and a warning, and in a fold where a path leaves what the model knows.
Pure functions to HTML; no Gradio, no session."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from ui.page.html import NOTHING, Html, tag, together
from ui.session.pictures import inline_jpeg

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from rap.geometry.motion import Measure, Motion, MotionLimits

ROWS: tuple[tuple[Measure, str], ...] = (("speed", "Speed"), ("turn", "Turn"), ("jerk", "Jerk"), ("fov", "Lens"))
LEVEL_NAMES = ("usual", "rare", "unknown")
UNITS = {
    "speed": "× the distance to the subject a frame",
    "turn": "° a frame",
    "jerk": "× the distance to the subject",
    "fov": "° field of view",
}
SOURCE_WORDS = {
    "off": "click, and takes start from it, too; the path is put through its camera",
    "on": "takes start from it; click to leave it out",
    "away": "chosen, but the path is elsewhere now; click to put it through this frame's camera",
}
PLAIN: dict[Measure, str] = {
    "speed": "fast motion", "turn": "fast turns", "jerk": "shaky motion", "fov": "an unusual lens",
}  # fmt: skip
VERBS = {"speed": "move{} by up to", "turn": "turn{} by up to", "jerk": "jerk{} by up to", "fov": "see{}"}


def filmstrip(pictures: Mapping[int, bytes], chosen: Collection[int], held: Sequence[bool], source: int) -> Html:
    """The clip's frames over the timeline's, each a button that makes it a source frame; empty without pictures.

    Args:
        pictures: a JPEG of each frame that shows what its camera saw.
        chosen: frames that a take is to start from.
        held: for each frame whether the path has the camera it was taken from.
        source: frame whose camera is the world.
    """
    if not pictures:
        return NOTHING
    cells = []
    for i, picture in pictures.items():
        state = "off" if i not in chosen else "on" if held[i] else "away"
        title = f"Frame {i}: {SOURCE_WORDS[state]}{' (the world is its camera)' if i == source else ''}"
        cells.append(
            tag(
                "button",
                tag("img", alt=f"frame {i}", src=inline_jpeg(picture)),
                type="button",
                class_=f"rap-source rap-source-{state}",
                data_frame=i,
                aria_pressed=str(i in chosen).lower(),
                title=title,
            )  # fmt: skip
        )
    heading = tag("span", "Start", title="Source frames: takes start from them")
    return tag("div", heading, tag("div", *cells), class_="rap-filmstrip")


def timeline(path: Trajectory | None, limits: MotionLimits | None, selected: int | None = None) -> Html:
    """Controls and at most one warning; `assets/timeline.js` plays them. Empty without a path.

    Args:
        selected: frame that the playhead goes to when it is another one than before.
    """
    if path is None:
        return NOTHING
    last = len(path) - 1
    line = tag(
        "div", _controls(last), class_="rap-timeline", data_fps=f"{path.fps:g}", data_last=last,
        data_selected="" if selected is None else selected,
    )  # fmt: skip
    warning = "" if limits is None else motion_warning(path, limits)
    return together(line, tag("div", warning, class_="rap-note", id="rap-warning") if warning else None)


def motion_warning(path: Trajectory, limits: MotionLimits) -> str:
    """What to expect of a take where the path moves as no clip did that the model learned from; else empty."""
    from rap.geometry.motion import motion

    found = motion(path)
    beyond = {name: limits.levels(name, getattr(found, name)) >= 2 for name, _ in ROWS}
    kinds = [PLAIN[name] for name, _ in ROWS if beyond[name].any()]
    if not kinds:
        return ""
    frames = np.flatnonzero(np.any(list(beyond.values()), axis=0))
    words = " and ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))
    return f"{_listed(frames)}: {words}. Expect softer pictures there where the model fills in."


def _controls(last: int) -> Html:
    seen_through = "This page looks through the camera at the playhead"
    loop, fly = tag("input", type="checkbox", id="rap-loop", checked=True), tag("input", type="checkbox", id="rap-fly")
    return tag(
        "div",
        tag("button", "▶", type="button", id="rap-play", class_="rap-tool", title="Play the path (space)"),
        tag("label", loop, "Loop", class_="rap-tool"),
        tag("label", fly, "Camera view", class_="rap-tool", title=seen_through),
        tag("input", type="range", id="rap-frame", min=0, max=last, value=0, step=1, aria_label="frame"),
        tag("output", id="rap-at"),
        class_="rap-controls",
    )


def health(path: Trajectory | None, limits: MotionLimits | None) -> Html:
    """How each frame moves beside what the model learned from: a strip of four rows and a sentence."""
    from rap.geometry.motion import motion

    if path is None:
        return NOTHING
    if limits is None:
        unknown = "What motions this checkpoint was trained on is not known (rap train motions)."
        return tag("div", unknown, class_="rap-note", id="rap-health")
    found = motion(path)
    levels: dict[Measure, Int[np.ndarray, " T"]] = {name: limits.levels(name, getattr(found, name)) for name, _ in ROWS}
    sentence = health_sentence(found, levels, limits)
    return together(_strip(found, levels), tag("div", sentence, class_="rap-note", id="rap-health"))


def _strip(found: Motion, levels: dict[Measure, Int[np.ndarray, " T"]]) -> Html:
    rows = []
    for name, words in ROWS:
        values = getattr(found, name)
        cells = [
            tag("i", class_=f"rap-{LEVEL_NAMES[level]}", title=f"frame {i}: {value:.3g} {UNITS[name]}")
            for i, (level, value) in enumerate(zip(levels[name], values, strict=True))
        ]
        rows += [tag("span", words), tag("div", *cells)]
    return tag("div", *rows, class_="rap-health")


def health_sentence(found: Motion, levels: dict[Measure, Int[np.ndarray, " T"]], limits: MotionLimits) -> str:
    """Where the path leaves what the model knows, the measure with most such frames first; else that it does not."""
    worst = 2 if _most(levels, 2) else 1
    if not _most(levels, worst):
        return f"Every frame moves as the {limits.clips} training clips do, within 95 % of them."
    name = max(levels, key=lambda one: int((levels[one] >= worst).sum()))
    frames = np.flatnonzero(levels[name] >= worst)
    value = _extreme(getattr(found, name)[frames], name, limits)
    share, limit = (99, _limit(name, limits, value, 4, 0)) if worst == 2 else (95, _limit(name, limits, value, 3, 1))
    verb = VERBS[name].format("s" if len(frames) == 1 else "")
    bound = "stay below" if value > limit else "stay above"
    return (
        f"{_listed(frames)} {verb} {value:.2g} {UNITS[name]}; {share} % of what the model was trained on "
        f"{bound} {limit:.2g}."
    )


def _most(levels: dict[Measure, Int[np.ndarray, " T"]], level: int) -> int:
    return max(int((row >= level).sum()) for row in levels.values())


def _extreme(values: np.ndarray, name: Measure, limits: MotionLimits) -> float:
    middle = getattr(limits, name)[2]
    return float(values[np.abs(values - middle).argmax()])


def _limit(name: Measure, limits: MotionLimits, value: float, high: int, low: int) -> float:
    row = getattr(limits, name)
    return row[low] if value < row[2] else row[high]


def _listed(frames: Int[np.ndarray, " n"]) -> str:
    """Frames in words: one, a run, or the first and how many."""
    if len(frames) == 1:
        return f"Frame {frames[0]}"
    if (np.diff(frames) == 1).all():
        return f"Frames {frames[0]}–{frames[-1]}"
    return f"{len(frames)} frames from {frames[0]} to {frames[-1]}"
