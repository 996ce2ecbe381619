"""Two takes in step, with a wipe between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import ASSETS
from ui.document import messages as msg
from ui.document.comparison import GIVEN
from ui.page import compare_words as words
from ui.page.common_words import notice_line
from ui.page.html import markup
from ui.page.parts import DOWNLOAD, QUIET, Events, Part, button_part, html_box, written

if TYPE_CHECKING:
    from ui.session.session import Session


@dataclass(frozen=True)
class ComparePanel:
    """A tab of the rail: A against B."""

    first: gr.Dropdown
    second: gr.Dropdown
    compare: gr.Button
    player: gr.HTML
    difference: gr.HTML
    side: gr.Button
    download: gr.DownloadButton
    notice: gr.HTML

    def parts(self) -> Sequence[Part]:
        """What the tab shows."""
        return (
            Part(self.first, _first_values, _choice),
            Part(self.second, _second_values, _choice),
            button_part(self.compare, lambda s: words.compare_button(s.state.document)),
            Part(self.player, _compared_sides, words.wipe_player),
            Part(self.difference, _compared_takes, _difference),
            button_part(self.side, lambda s: words.side_button(s.state.document, s.state.compared)),
            Part(self.notice, lambda s: (notice_line(s.state.notice, "compare"),), markup),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the tab."""
        for event in (self.compare.click, self.first.input, self.second.input):
            events.on(event, compare, [self.first, self.second])
        events.on(self.side.click, side_by_side, [], self.download).success(
            None, js=DOWNLOAD % "rap-side-file", **QUIET
        )


def compare_player() -> gr.HTML:
    """Both takes in one place; the stage renders it."""
    return html_box(
        words.wipe_player(None, None),
        js_on_load=(ASSETS / "compare.js").read_text(encoding="utf-8"),
        elem_id="rap-wipe",
        elem_classes="rap-view",
        render=False,
    )


def compare_panel(player: gr.HTML) -> ComparePanel:
    """Which two, and the difference; they play on the stage."""
    first = gr.Dropdown([], label="A", interactive=False, elem_id="rap-compare-a", elem_classes="rap-inline")
    second = gr.Dropdown([], label="B", interactive=False, elem_id="rap-compare-b", elem_classes="rap-inline")
    compare_ = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-compare")
    difference = html_box(elem_id="rap-difference")
    side = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-side")
    download = gr.DownloadButton("download", elem_id="rap-side-file", elem_classes="rap-hidden")
    notice = html_box(elem_id="rap-compare-notice")
    return ComparePanel(first, second, compare_, player, difference, side, download, notice)


def compare(session: Session, first: int | None, second: int | None) -> None:
    """Two takes have been chosen."""
    if first is not None and second is not None:
        session.dispatch(msg.Compare((int(first), int(second))))


def side_by_side(session: Session) -> str:
    """Write both into one video; the browser then downloads it."""
    return written(session, "compare", session.side_by_side)


def _pair(session: Session) -> tuple[int | None, int | None]:
    """What is compared, else the take on show and the one made before it, or what was given."""
    state = session.state
    if state.compared is not None:
        return state.compared
    numbers = [take.number for take in state.document.takes]
    if len(numbers) < 2:
        return (GIVEN, numbers[0]) if numbers else (None, None)
    at = max(1, numbers.index(state.document.shown_take) if state.document.shown_take in numbers else len(numbers) - 1)
    return numbers[at - 1], numbers[at]


def _first_values(session: Session) -> tuple[Any, ...]:
    return tuple(words.choices(session.state.document, session.state.geometry.preview is not None)), _pair(session)[0]


def _second_values(session: Session) -> tuple[Any, ...]:
    return tuple(words.choices(session.state.document, session.state.geometry.preview is not None)), _pair(session)[1]


def _choice(choices: Sequence[tuple[str, int]], chosen: int | None) -> Any:
    return gr.Dropdown(list(choices), value=chosen, interactive=len(choices) > 1)


def _compared_sides(session: Session) -> tuple[Any, ...]:
    state = session.state
    return (None, None) if state.compared is None else tuple(words.side_of(state, number) for number in state.compared)


def _compared_takes(session: Session) -> tuple[Any, ...]:
    compared, takes = session.state.compared, {take.number: take for take in session.state.document.takes}
    return (None, None) if compared is None else (takes.get(compared[0]), takes.get(compared[1]))


def _difference(a: Any, b: Any) -> str:
    from ui.document.comparison import path_difference

    return words.difference(None if a is None or b is None else path_difference(a.trajectory, b.trajectory))
