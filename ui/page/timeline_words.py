"""The timeline under the viewport: playhead, health strip, and the sentence that says where a path leaves what the
model knows. Pure functions to HTML; no Gradio, no session."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from ui.session.pictures import inline_jpeg

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from rap.geometry.motion import Measure, Motion, MotionLimits

ROWS: tuple[tuple[Measure, str], ...] = (("speed", "speed"), ("turn", "turn"), ("jerk", "jerk"), ("fov", "lens"))
LEVEL_NAMES = ("usual", "rare", "unknown")
UNITS = {"speed": "median depths a frame", "turn": "° a frame", "jerk": "median depths", "fov": "° field of view"}
SOURCE_WORDS = {
    "off": "click, and takes start from it, too; the path is put through its camera",
    "on": "takes start from it; click to leave it out",
    "away": "chosen, but the path is elsewhere now; click to put it through this frame's camera",
}
VERBS = {"speed": "move by up to", "turn": "turn by up to", "jerk": "jerk by up to", "fov": "see"}


def filmstrip(pictures: Sequence[bytes], chosen: Collection[int], held: Sequence[bool], source: int) -> str:
    """The clip's frames over the timeline's, each a button that makes it a source frame; empty without pictures.

    Args:
        pictures: a JPEG of each frame.
        chosen: frames that a take is to start from.
        held: for each frame whether the path has the camera it was taken from.
        source: frame whose camera is the world.
    """
    if not pictures:
        return ""
    cells = []
    for i, picture in enumerate(pictures):
        state = "off" if i not in chosen else "on" if held[i] else "away"
        cells.append(
            f'<button type="button" class="rap-source rap-source-{state}" data-frame="{i}" '
            f'aria-pressed="{str(i in chosen).lower()}" title="frame {i}: {SOURCE_WORDS[state]}'
            f'{" (the world is its camera)" if i == source else ""}"><img alt="frame {i}" src="{inline_jpeg(picture)}">'
            "</button>"
        )
    return (
        f'<div class="rap-filmstrip"><span title="source frames: takes start from them">from</span>'
        f"<div>{''.join(cells)}</div></div>"
    )


def timeline(path: Trajectory | None, limits: MotionLimits | None, selected: int | None = None) -> str:
    """Controls and strip; `assets/timeline.js` plays them. Empty without a path.

    Args:
        selected: frame that the playhead goes to when it is another one than before.
    """
    if path is None:
        return ""
    last = len(path) - 1
    controls = (
        '<button type="button" id="rap-play" class="rap-tool" title="play the path (space)">▶</button>'
        '<label class="rap-tool"><input type="checkbox" id="rap-loop" checked>loop</label>'
        '<label class="rap-tool" title="this page looks through the camera at the playhead">'
        '<input type="checkbox" id="rap-fly">camera view</label>'
        f'<input type="range" id="rap-frame" min="0" max="{last}" value="0" step="1" aria-label="frame">'
        '<output id="rap-at"></output>'
    )
    strip, sentence = _health(path, limits)
    return (
        f'<div class="rap-timeline" data-fps="{path.fps:g}" data-last="{last}" '
        f'data-selected="{"" if selected is None else selected}">'
        f'<div class="rap-controls">{controls}</div>{strip}</div>{sentence}'
    )


def _health(path: Trajectory, limits: MotionLimits | None) -> tuple[str, str]:
    from rap.geometry.motion import motion

    if limits is None:
        note = "What motions this checkpoint was trained on is not known (rap train motions)."
        return "", f'<div class="rap-note" id="rap-health">{note}</div>'
    found = motion(path)
    levels: dict[Measure, Int[np.ndarray, " T"]] = {name: limits.levels(name, getattr(found, name)) for name, _ in ROWS}
    return _strip(
        found, levels
    ), f'<div class="rap-note" id="rap-health">{health_sentence(found, levels, limits)}</div>'


def _strip(found: Motion, levels: dict[Measure, Int[np.ndarray, " T"]]) -> str:
    rows = []
    for name, words in ROWS:
        values = getattr(found, name)
        cells = "".join(
            f'<i class="rap-{LEVEL_NAMES[level]}" title="frame {i}: {value:.3g} {UNITS[name]}"></i>'
            for i, (level, value) in enumerate(zip(levels[name], values, strict=True))
        )
        rows.append(f"<span>{words}</span><div>{cells}</div>")
    return f'<div class="rap-health">{"".join(rows)}<b class="rap-playhead"></b></div>'


def health_sentence(found: Motion, levels: dict[Measure, Int[np.ndarray, " T"]], limits: MotionLimits) -> str:
    """Where the path leaves what the model knows, the measure with most such frames first; else that it does not."""
    worst = 2 if _most(levels, 2) else 1
    if not _most(levels, worst):
        return f"Every frame moves as the {limits.clips} training clips do, within 95 % of them."
    name = max(levels, key=lambda one: int((levels[one] >= worst).sum()))
    frames = np.flatnonzero(levels[name] >= worst)
    value = _extreme(getattr(found, name)[frames], name, limits)
    share, limit = (99, _limit(name, limits, value, 4, 0)) if worst == 2 else (95, _limit(name, limits, value, 3, 1))
    bound = "stay below" if value > limit else "stay above"
    return (
        f"{_listed(frames)} {VERBS[name]} {value:.2g} {UNITS[name]}; {share} % of what the model was trained on "
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
