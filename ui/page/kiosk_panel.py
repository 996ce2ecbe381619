"""`--kiosk`: a page that anybody may walk up to. Moves on the number keys, no file dialogs, and it begins anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import ASSETS
from ui.document import messages as msg
from ui.page import move_words
from ui.page.html import Html, tag
from ui.page.input_panel import example_clips, give_example
from ui.page.parts import Events, Part, html_box, picked

if TYPE_CHECKING:
    from ui.session.session import Session

KEYS = (
    "arc-left", "arc-right", "zoom-in", "zoom-out", "orbit-left", "spiral", "lemniscate", "dolly-zoom", "pedestal-up",
)  # fmt: skip
"""Presets on the keys 1 to 9."""
STEP_S = 12.0  # how long each move is seen while nobody is there, at most a fifth of the quiet time


@dataclass(frozen=True)
class KioskPanel:
    """The line under the header."""

    line: gr.HTML

    def parts(self) -> Sequence[Part]:
        """Nothing of it changes."""
        return ()

    def wire(self, events: Events) -> None:
        """A number key, or the next of what is shown while nobody is there."""
        # a key counts also while what goes by is still on its way
        events.on_pick(self.line.select, show_next, trigger_mode="multiple")


def kiosk_panel(quiet_s: float) -> KioskPanel:
    """What the keys do; `assets/kiosk.js` hears them.

    Args:
        quiet_s: seconds without a hand after which the page begins anew.
    """
    script = (ASSETS / "kiosk.js").read_text(encoding="utf-8")
    return KioskPanel(html_box(_line(quiet_s), js_on_load=script, elem_id="rap-kiosk"))


def show_next(session: Session, data: Any) -> None:
    """A move by its key, from 0; while nobody is there an example first, and no move before its cameras are found."""
    number, is_alone = picked(data, "move", int), picked(data, "alone", bool)
    if is_alone and session.state.busy:
        return
    if session.state.document.clip is not None:
        session.dispatch(msg.ApplyPreset(KEYS[number % len(KEYS)]))
    elif is_alone and example_clips():
        give_example(session, {"example": number % len(example_clips())})


def _line(quiet_s: float) -> Html:
    moves = []
    for number, name in enumerate(KEYS, start=1):
        words = name.replace("-", " ")
        moves.append(tag("span", tag("kbd", number), " ", words, title=move_words.MOVES[name].line))
    quiet = {"data_quiet": f"{quiet_s:g}", "data_step": f"{min(STEP_S, quiet_s / 5.0):g}"}
    return tag("div", tag("b", "Touch anything to begin"), *moves, class_="rap-kiosk-line", **quiet)
