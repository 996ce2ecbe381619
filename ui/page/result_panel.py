"""The third step: make the video again along the path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import DEFAULT_TAKE_SIDE
from rap.limits import (
    GUIDANCE,
    LEAST_TAKE_FPS,
    LEAST_TAKE_FRAMES,
    PATH_FRAMES,
    PROMPT_CHARACTERS,
    SEED,
    STEPS,
    TAKE_FPS,
    TAKE_SIDE,
    TEMPERATURE,
)
from ui.document import messages as msg
from ui.page import result_words as words
from ui.page.common_words import notice_line
from ui.page.html import markup
from ui.page.parts import Events, Part, button_part, html_box

if TYPE_CHECKING:
    from rap.generators.kinds import Chosen
    from ui.session.session import Session


SIDES = (320, 640, 1280)  # long sides that are offered, beside what was given's own


VARIATIONS = [
    ("50, 100, 150 % motion", "amplitudes"), ("As it is, mirrored, upward", "directions"), ("Three seeds", "seeds"),
]  # fmt: skip
"""(words, kind) of `Variations`, what is seen best first."""

NAMES = ("steps", "seed", "guidance", "temperature", "side", "frames", "fps", "prompt")  # fields of `Regenerate`


@dataclass(frozen=True)
class ResultPanel:
    """The button, the job that makes a take, and what it is made with."""

    vary: gr.Button
    vary_by: gr.Dropdown
    progress: gr.HTML
    notice: gr.HTML
    steps: gr.Number
    seed: gr.Number
    guidance: gr.Number
    temperature: gr.Number
    side: gr.Dropdown
    frames: gr.Number
    fps: gr.Number
    prompt: gr.Textbox
    use_geometry: gr.Checkbox
    cost: gr.HTML
    regenerate: gr.Button
    cancel: gr.Button

    @property
    def settings(self) -> tuple[Any, ...]:
        """The fields in the order of `NAMES`."""
        return self.steps, self.seed, self.guidance, self.temperature, self.side, self.frames, self.fps, self.prompt

    def parts(self) -> Sequence[Part]:
        """What the panel shows."""
        return (
            button_part(self.vary, lambda s: words.variations_button(s.state.document, s.state.job)),
            Part(self.use_geometry, lambda s: (s.state.geometry.use_on,), gr.Checkbox),
            Part(self.progress, lambda s: (s.state.job, len(s.state.waiting)), words.result_progress),
            Part(self.notice, lambda s: (notice_line(s.state.notice, "result"),), markup),
            Part(self.cost, lambda s: (None if s.state.document.edited is None else s.cost,), words.cost_line),
            *(Part(entry, partial(_begun, name), _field) for name, entry in zip(NAMES, self.settings, strict=True)),
            button_part(self.regenerate, lambda s: words.regenerate_button(s.state.document, s.state.job)),
            button_part(self.cancel, lambda s: words.cancel_button(s.state.job)),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the panel."""
        events.on(self.regenerate.click, regenerate, self.settings)
        events.on(self.vary.click, vary, [self.vary_by, *self.settings])
        for entry in self.settings:
            events.on(entry.input, set_take, self.settings, is_typing=True, trigger_mode="always_last")
            events.on(entry.blur, set_take, self.settings)
        events.switch(self.use_geometry.input, msg.SetUseGeometry, self.use_geometry)
        events.send(self.cancel.click, msg.Cancel("result"))


def result_panel(generator: Chosen | None = None) -> ResultPanel:
    """What a take is made with, in a fold; the button; and under it, where it pushes nothing, what comes and goes.

    Args:
        generator: the model of others that makes takes, at its own size and from noise of its own; it reads a prompt.
    """
    is_ours = generator is None
    with gr.Accordion("Take settings", open=False, elem_id="rap-take-settings"):
        fields = _fields(is_ours)
        use_geometry = gr.Checkbox(
            True, label="With geometry", info="Off: the model alone, 128 px; its video does not follow the path.",
            min_width=140, elem_id="rap-use-geometry", visible=is_ours,
        )  # fmt: skip
        with gr.Row(elem_classes="rap-pair"):
            vary_button = gr.Button("Starting …", size="sm", interactive=False, min_width=110, elem_id="rap-vary")
            vary_by = gr.Dropdown(
                VARIATIONS, value="amplitudes",
                show_label=False, container=False, min_width=150, elem_id="rap-vary-by",
            )  # fmt: skip
    prompt_box = gr.Textbox(
        "", label="Prompt", placeholder="what the video shows", lines=2, max_length=PROMPT_CHARACTERS.value,
        elem_id="rap-prompt", visible=not is_ours,
    )  # fmt: skip
    with gr.Row(elem_classes=["rap-pair", "rap-regenerate-row"]):
        regenerate = gr.Button(
            "Starting …", variant="primary", interactive=False, scale=5, min_width=120, elem_id="rap-regenerate"
        )
        cancel = gr.Button("Starting …", variant="stop", interactive=False, scale=3, min_width=90, elem_id="rap-cancel")
    told = None if generator is None else words.generator_line(generator)
    html_box(told, visible=not is_ours, elem_id="rap-generator")
    cost = html_box(elem_id="rap-cost")
    progress = html_box(elem_id="rap-progress")
    notice = html_box(elem_id="rap-result-notice")
    return ResultPanel(
        vary_button, vary_by, progress, notice, *fields, prompt_box, use_geometry, cost, regenerate, cancel
    )


def _fields(is_ours: bool) -> tuple[gr.Number, gr.Number, gr.Number, gr.Number, gr.Dropdown, gr.Number, gr.Number]:
    """Steps, seed, guidance, noise, size, frames and rate of a take."""
    side = gr.Dropdown(
        [(f"{side} px", side) for side in SIDES] + [("Own size", TAKE_SIDE.value)], value=DEFAULT_TAKE_SIDE,
        label="Size", elem_id="rap-take-side", elem_classes="rap-inline", visible=is_ours,
    )  # fmt: skip
    with gr.Row(elem_classes="rap-pair"):
        frames = gr.Number(
            None, label="Frames", placeholder="auto", precision=0, minimum=LEAST_TAKE_FRAMES,
            maximum=PATH_FRAMES.value, min_width=70, elem_id="rap-frames", elem_classes="rap-inline",
        )  # fmt: skip
        fps = gr.Number(
            None, label="Rate", placeholder="auto", minimum=LEAST_TAKE_FPS, maximum=TAKE_FPS.value,
            min_width=70, elem_id="rap-fps", elem_classes="rap-inline",
        )  # fmt: skip
    with gr.Row(elem_classes="rap-pair"):
        steps_box = gr.Number(
            None, label="Steps", placeholder="auto", precision=0, minimum=1, maximum=STEPS.value, min_width=70,
            elem_id="rap-steps", elem_classes="rap-inline",
        )  # fmt: skip
        seed_box = gr.Number(
            0, label="Seed", precision=0, minimum=0, maximum=SEED.value, min_width=50, elem_id="rap-seed",
            elem_classes="rap-inline",
        )  # fmt: skip
    with gr.Row(elem_classes="rap-pair"):
        guidance = gr.Number(
            None, label="Guidance", placeholder="off", minimum=0, maximum=GUIDANCE.value, step=0.5, min_width=70,
            elem_id="rap-guidance", elem_classes="rap-inline",
        )  # fmt: skip
        temperature = gr.Number(
            None, label="Noise", placeholder="auto", minimum=0, maximum=TEMPERATURE.value, step=0.25, min_width=70,
            elem_id="rap-temperature", elem_classes="rap-inline", visible=is_ours,
        )  # fmt: skip
    return steps_box, seed_box, guidance, temperature, side, frames, fps


def set_take(session: Session, *settings: Any) -> None:
    """A field has another value: what a take costs is another."""
    asked = msg.Regenerate(*_settings(*settings))
    if asked != session.state.asked:
        session.dispatch(msg.SetTake(asked))


def regenerate(session: Session, *settings: Any) -> None:
    """Begin to regenerate."""
    session.dispatch(msg.Regenerate(*_settings(*settings)))


def vary(session: Session, kind: Any, *settings: Any) -> None:
    """Begin three takes."""
    session.dispatch(msg.Variations(kind, *_settings(*settings)))


def _settings(
    steps: float | None,
    seed: float | None,
    guidance: float | None,
    temperature: float | None,
    side: float | None = None,
    frames: float | None = None,
    fps: float | None = None,
    prompt: str | None = None,
) -> tuple[int | None, int, float | None, float | None, int, int | None, float | None, str]:
    """Of the fields; empty ones, no steps and no guidance are the checkpoint's own, no noise is none."""
    shape = int(side or DEFAULT_TAKE_SIDE), int(frames) if frames else None, fps or None, (prompt or "").strip()
    return int(steps) if steps else None, int(seed or 0), guidance or None, temperature, *shape


@dataclass(frozen=True)
class Begun:
    """What a field begins with. From then on it is the person's: what is typed there is never sent back to it.

    Args:
        brought: how often another value came from elsewhere.
    """

    value: Any = field(compare=False)
    brought: int


def _begun(name: str, session: Session) -> tuple[Begun]:
    return (Begun(getattr(session.state.asked, name), session.state.brought),)


def _field(begun: Begun) -> Any:
    return gr.update(value=begun.value)  # an empty number shows as 0 until it is said to be empty
