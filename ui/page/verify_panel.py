"""Whether the take on show followed its path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui.document import messages as msg
from ui.page import verify_words as words
from ui.page.common_words import notice_line
from ui.page.html import markup
from ui.page.parts import Events, Part, button_part, html_box

if TYPE_CHECKING:
    from ui.session.session import Session


@dataclass(frozen=True)
class VerifyPanel:
    """A tab of the rail: the closed loop."""

    auto: gr.Checkbox
    verify: gr.Button
    verdict: gr.HTML
    strip: gr.HTML
    worst: gr.Button
    protocol: gr.HTML
    sample: gr.Button
    spread_notice: gr.HTML
    spread: gr.HTML

    def parts(self) -> Sequence[Part]:
        """What the tab shows."""
        return (
            Part(self.auto, lambda s: (s.state.verify_on,), gr.Checkbox),
            button_part(self.verify, lambda s: words.verify_button(s.state.document, s.state.job)),
            Part(self.verdict, _verdict_values, markup),
            Part(self.strip, lambda s: (s.state.document.verification, s.state.document.selected), words.error_strips),
            button_part(self.worst, lambda s: words.worst_button(s.state.document)),
            button_part(self.sample, lambda s: words.spread_button(s.state.document, s.state.job, s.makes_cameras)),
            Part(self.spread_notice, lambda s: (notice_line(s.state.notice, "spread"),), markup),
            Part(self.spread, lambda s: (words.spread_strips(s.state.document),), markup),
            Part(self.protocol, lambda s: (words.protocol(s.known_paths),), markup),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the tab."""
        events.switch(self.auto.input, msg.SetVerify, self.auto)
        events.send(self.verify.click, msg.Verify())
        events.on(self.worst.click, go_to_worst)
        events.send(self.sample.click, msg.SampleSpread())


def verify_panel() -> VerifyPanel:
    """Switch and button over what came of it."""
    with gr.Row(elem_classes="rap-pair"):
        auto = gr.Checkbox(True, label="Verify every take", min_width=160, elem_id="rap-auto-verify")
        verify = gr.Button("Starting …", interactive=False, size="sm", min_width=90, elem_id="rap-verify")
    verdict = html_box(elem_id="rap-followed")
    strip = html_box(elem_id="rap-error-strips")
    worst = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-worst")
    sample = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-sample")
    spread_notice = html_box(elem_id="rap-spread-notice")
    spread = html_box(elem_id="rap-spread")
    protocol = html_box(elem_id="rap-protocol")
    return VerifyPanel(auto, verify, verdict, strip, worst, protocol, sample, spread_notice, spread)


def go_to_worst(session: Session) -> None:
    """Select the frame that is farthest off, and bring all cameras into view."""
    verification = session.state.document.verification
    path = session.state.document.edited
    if verification is not None and path is not None and verification.worst_frame < len(path):
        session.dispatch(msg.Select(verification.worst_frame))
        session.viewport.orbit_view()


def _verdict_values(session: Session) -> tuple[Any, ...]:
    return (words.verdict(session.state.document, session.known_paths),)
