"""Under the stage: scrub, play, look through the camera at the playhead; in a fold, how the path moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import ASSETS
from ui.document import messages as msg
from ui.page import timeline_words as words
from ui.page.parts import Events, Part, html_box, picked, plot_values
from ui.session.pictures import frame_jpegs

if TYPE_CHECKING:
    from rap.data import Clip
    from ui.session.session import Session


FILM_HEIGHT_PX = 26
PICK_SOURCE = """
element.addEventListener("click", (event) => {
  const frame = event.target.closest("[data-frame]");
  if (frame) trigger("select", { frame: Number(frame.dataset.frame) });
});
"""


@dataclass(frozen=True)
class TimelinePanel:
    """The timeline: drawn by the server, played by the page."""

    timeline: gr.HTML
    filmstrip: gr.HTML

    def parts(self) -> Sequence[Part]:
        """What the timeline shows."""
        return (
            Part(self.timeline, _values, words.timeline),
            Part(self.filmstrip, _film_values, _film),
        )

    def wire(self, events: Events) -> None:
        """Scrubbing and playing; the page keeps the pace, and the last frame always comes through."""
        events.on_pick(self.timeline.input, move_playhead, trigger_mode="multiple")
        events.on_pick(self.filmstrip.select, toggle_source, trigger_mode="multiple")


def timeline_panel() -> TimelinePanel:
    """One component; its own script plays it."""
    script = (ASSETS / "timeline.js").read_text(encoding="utf-8")
    timeline = html_box(js_on_load=script, elem_id="rap-timeline")
    filmstrip = html_box(js_on_load=PICK_SOURCE, elem_id="rap-sources")
    return TimelinePanel(timeline, filmstrip)


@dataclass(frozen=True)
class NumbersPanel:
    """How the path moves, in figures: for those who want to know."""

    fold: gr.Accordion
    health: gr.HTML
    motion: gr.Plot

    def parts(self) -> Sequence[Part]:
        """What the fold shows."""
        drawn = Part(self.motion, partial(plot_values, "time"), _motion_figure)
        return (Part(self.health, _health_values, words.health), drawn)

    def wire(self, events: Events) -> None:
        """What lies in a closed fold is not drawn."""
        events.send(self.fold.expand, msg.ShowPlot("time", True))
        events.send(self.fold.collapse, msg.ShowPlot("time", False))


def numbers_panel() -> NumbersPanel:
    """Folded until it is asked for."""
    with gr.Accordion("Numbers", open=False, elem_id="rap-numbers-fold") as fold:
        health = html_box(elem_id="rap-health-strip")
        motion = gr.Plot(show_label=False, elem_id="rap-motion", container=False)
    return NumbersPanel(fold, health, motion)


def _health_values(session: Session) -> tuple[Any, ...]:
    return session.state.document.edited, session.motion_limits


def _motion_figure(*values: Any) -> Any:
    from ui.page import plots

    return plots.motion_figure(*values) if values else None


def _values(session: Session) -> tuple[Any, ...]:
    document = session.state.document
    return document.edited, session.motion_limits, document.selected


def _film_values(session: Session) -> tuple[Any, ...]:
    document = session.state.document
    clip, path = document.clip, document.edited
    if clip is None or path is None or len(clip) < 2:
        return None, (), (), 0
    from ui.document import sources

    held = sources.held(document, path)[: len(clip)]
    return clip, sources.chosen(document), held, path.source


def _film(clip: Clip | None, chosen: Sequence[int], held: Sequence[bool], source: int) -> str:
    own = [] if clip is None else [frame for frame in clip.own_frames if frame < len(held)]
    pictures = [] if clip is None else frame_jpegs(clip.frames_u8[own], FILM_HEIGHT_PX)
    return words.filmstrip(dict(zip(own, pictures, strict=True)), chosen, held, source)


def toggle_source(session: Session, data: Any) -> None:
    """A frame of the filmstrip was clicked."""
    session.dispatch(msg.ToggleSource(picked(data, "frame", int)))


def move_playhead(session: Session, data: Any) -> None:
    """The playhead was moved, by hand or by playing, or the view was changed."""
    frame, through, looks = picked(data, "frame", int), picked(data, "through", bool), picked(data, "looks", bool)
    session.dispatch(msg.SetPlayhead(frame, through, looks))
