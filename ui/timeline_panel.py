"""Under the viewport: scrub, play, look through the camera at the playhead, and the path's health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import ASSETS
from ui import messages as msg
from ui import timeline_words as words
from ui.parts import Events, Part

if TYPE_CHECKING:
    from ui.session import Session


@dataclass(frozen=True)
class TimelinePanel:
    """The timeline: drawn by the server, played by the page."""

    timeline: gr.HTML

    def parts(self) -> Sequence[Part]:
        """What the timeline shows."""
        return (Part(self.timeline, _values, words.timeline),)

    def wire(self, events: Events) -> None:
        """Scrubbing and playing; the page keeps the pace, and the last frame always comes through."""
        events.on_pick(self.timeline.input, move_playhead, trigger_mode="multiple")


def timeline_panel() -> TimelinePanel:
    """One component; its own script plays it."""
    script = (ASSETS / "timeline.js").read_text(encoding="utf-8")
    return TimelinePanel(gr.HTML(js_on_load=script, elem_id="rap-timeline", padding=False))


def _values(session: Session) -> tuple[Any, ...]:
    document = session.state.document
    return document.edited, session.motion_limits, document.selected


def move_playhead(session: Session, data: Any) -> None:
    """The playhead was moved, by hand or by playing, or the view was changed."""
    session.dispatch(msg.SetPlayhead(int(data["frame"]), bool(data["through"])))
