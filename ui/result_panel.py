"""The right column: the video and the job that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui import messages as msg
from ui import panels
from ui.parts import Events, Part, button_part

if TYPE_CHECKING:
    from ui.session import Session


@dataclass(frozen=True)
class ResultPanel:
    """Right column: the video, the job that makes it, and what is kept."""

    video: gr.Video
    caption: gr.HTML
    preview: gr.HTML
    preview_line: gr.HTML
    takes: gr.Radio
    progress: gr.HTML
    notice: gr.HTML
    steps: gr.Number
    seed: gr.Number
    use_geometry: gr.Checkbox
    cost: gr.HTML
    regenerate: gr.Button
    cancel: gr.Button

    def parts(self) -> Sequence[Part]:
        """What the right column shows."""
        return (
            Part(self.video, lambda s: (s.state.document.take,), _video),
            Part(self.caption, lambda s: (panels.take_caption(s.state.document),), gr.HTML),
            Part(self.takes, _take_values, _takes),
            Part(self.preview, lambda s: (s.state.geometry.preview,), panels.preview_video),
            Part(self.preview_line, _preview_words, gr.HTML),
            Part(self.use_geometry, lambda s: (s.state.geometry.use_on,), gr.Checkbox),
            Part(self.progress, lambda s: (s.state.job,), panels.result_progress),
            Part(self.notice, lambda s: (panels.notice_line(s.state.notice, "result"),), gr.HTML),
            Part(self.cost, lambda s: (s.seconds_per_step("regenerate"),), panels.cost_line),
            Part(self.steps, lambda s: (), self._initial_steps),
            button_part(self.regenerate, lambda s: panels.regenerate_button(s.state.document, s.state.job)),
            button_part(self.cancel, lambda s: panels.cancel_button(s.state.job)),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the column."""
        events.on(self.regenerate.click, regenerate, [self.steps, self.seed])
        events.on(self.takes.input, show_take, [self.takes])
        events.switch(self.use_geometry.input, msg.SetUseGeometry, self.use_geometry)
        events.send(self.cancel.click, msg.Cancel("result"))

    def _initial_steps(self) -> Any:
        return gr.Number(value=self.steps.value)  # an empty number shows as 0 until it is said to be empty


def result_panel(seed: int, steps: int | None) -> ResultPanel:
    """The take on show, and the job."""
    video = gr.Video(
        label="Result", autoplay=True, loop=True, interactive=False, height=200, buttons=["download"],
        elem_id="rap-video",
    )  # fmt: skip
    caption = gr.HTML(elem_id="rap-caption", padding=False)
    takes = gr.Radio([], label="Takes", visible=False, elem_id="rap-takes")
    preview = gr.HTML(elem_id="rap-preview", padding=False)
    preview_line = gr.HTML(elem_id="rap-preview-line", padding=False)
    with gr.Row(elem_classes="rap-pair"):
        steps_box = gr.Number(
            steps, label="Steps", placeholder="default", precision=0, minimum=1, maximum=1000, min_width=70,
            elem_id="rap-steps", elem_classes="rap-inline",
        )  # fmt: skip
        seed_box = gr.Number(
            seed, label="Seed", precision=0, minimum=0, min_width=50, elem_id="rap-seed", elem_classes="rap-inline"
        )
    with gr.Row(elem_classes="rap-pair"):
        cost = gr.HTML(panels.cost_line(None), elem_id="rap-cost", padding=False)
        use_geometry = gr.Checkbox(True, label="With geometry", min_width=140, elem_id="rap-use-geometry")
    with gr.Row(elem_classes="rap-pair"):
        regenerate = gr.Button(
            "Starting …", variant="primary", interactive=False, scale=5, min_width=120, elem_id="rap-regenerate"
        )
        cancel = gr.Button("Starting …", variant="stop", interactive=False, scale=3, min_width=90, elem_id="rap-cancel")
    progress = gr.HTML(elem_id="rap-progress", padding=False)
    notice = gr.HTML(elem_id="rap-result-notice", padding=False)
    return ResultPanel(
        video, caption, preview, preview_line, takes, progress, notice, steps_box, seed_box, use_geometry, cost,
        regenerate, cancel,
    )  # fmt: skip


def regenerate(session: Session, steps: float | None, seed: float | None) -> None:
    """Begin to regenerate."""
    session.dispatch(msg.Regenerate(int(steps) if steps else None, int(seed or 0)))


def show_take(session: Session, number: int | None) -> None:
    """Another take was chosen."""
    if number is not None:
        session.dispatch(msg.ShowTake(int(number)))


def _preview_words(session: Session) -> tuple[str]:
    return (panels.preview_line(session.state.geometry, session.state.document.edited is not None),)


def _video(take: Any) -> Any:
    return None if take is None else str(take.video)


def _take_values(session: Session) -> tuple[Any, ...]:
    document = session.state.document
    return tuple((panels.take_label(document, take), take.number) for take in document.takes), document.shown_take


def _takes(choices: Sequence[tuple[str, int]], shown: int | None) -> Any:
    return gr.Radio(choices=list(choices), value=shown, visible=len(choices) > 1)
