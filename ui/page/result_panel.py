"""The right column: the video and the job that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from rap.config import DEFAULT_TAKE_SIDE
from rap.limits import GUIDANCE, PATH_FRAMES, SEED, STEPS, TAKE_FPS, TAKE_SIDE, TEMPERATURE
from ui.document import messages as msg
from ui.page import result_words as words
from ui.page.common_words import notice_line
from ui.page.html import markup
from ui.page.parts import Events, Part, button_part, html_box, picked

if TYPE_CHECKING:
    from ui.document.state import PreviewClip
    from ui.session.session import Session


SIDES = (320, 640, 1280)  # long sides that are offered, beside what was given's own

PICK_TAKE = """
element.addEventListener("click", (event) => {
  const card = event.target.closest("[data-take]");
  if (card) trigger("select", { take: Number(card.dataset.take) });
});
// the take on show is in view, also when it is a new one at the end of a long strip
new MutationObserver(() => {
  const strip = element.querySelector(".rap-take-strip"), shown = strip?.querySelector("[aria-pressed=true]");
  if (shown) strip.scrollLeft = shown.offsetLeft - strip.offsetLeft - (strip.clientWidth - shown.clientWidth) / 2;
}).observe(element, { childList: true, subtree: true });
"""


@dataclass(frozen=True)
class ResultPanel:
    """Right column: the video, the job that makes it, and what is kept."""

    video: gr.Video
    caption: gr.HTML
    preview: gr.HTML
    preview_line: gr.HTML
    takes: gr.HTML
    name: gr.Textbox
    star: gr.Button
    reload: gr.Button
    delete: gr.Button
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
    use_geometry: gr.Checkbox
    cost: gr.HTML
    regenerate: gr.Button
    cancel: gr.Button

    def parts(self) -> Sequence[Part]:
        """What the right column shows."""
        return (
            Part(self.video, lambda s: (s.state.document.take,), _video),
            Part(self.caption, lambda s: (words.take_caption(s.state.document),), markup),
            Part(self.takes, lambda s: (words.take_strip(s.state.document),), markup),
            Part(self.name, _name_values, _name_field),
            button_part(self.star, lambda s: words.star_button(s.state.document)),
            button_part(self.reload, lambda s: words.take_button("Use its path", s.state.document)),
            button_part(self.delete, lambda s: words.delete_button(s.state.document, s.state.doomed)),
            button_part(self.vary, lambda s: words.variations_button(s.state.document, s.state.job)),
            Part(self.preview, _preview_values, words.preview_video),
            Part(self.preview_line, _preview_words, markup),
            Part(self.use_geometry, lambda s: (s.state.geometry.use_on,), gr.Checkbox),
            Part(self.progress, lambda s: (s.state.job, len(s.state.waiting)), words.result_progress),
            Part(self.notice, lambda s: (notice_line(s.state.notice, "result"),), markup),
            Part(self.cost, lambda s: (s.cost,), words.cost_line),
            Part(self.steps, lambda s: (), self._initial_steps),
            Part(self.guidance, lambda s: (), _no_number),
            Part(self.temperature, lambda s: (), _no_number),
            Part(self.frames, lambda s: (), _no_number),
            Part(self.fps, lambda s: (), _no_number),
            button_part(self.regenerate, lambda s: words.regenerate_button(s.state.document, s.state.job)),
            button_part(self.cancel, lambda s: words.cancel_button(s.state.job)),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the column."""
        settings = [self.steps, self.seed, self.guidance, self.temperature, self.side, self.frames, self.fps]
        events.on(self.regenerate.click, regenerate, settings)
        events.on_pick(self.takes.select, show_take)
        for event in (self.name.submit, self.name.blur):
            events.on(event, rename_take, [self.name])
        events.on(self.star.click, star_take)
        events.on(self.reload.click, reload_path)
        events.on(self.delete.click, delete_take)
        events.on(self.vary.click, vary, [self.vary_by, *settings])
        events.switch(self.use_geometry.input, msg.SetUseGeometry, self.use_geometry)
        events.send(self.cancel.click, msg.Cancel("result"))

    def _initial_steps(self) -> Any:
        return gr.Number(value=self.steps.value)  # an empty number shows as 0 until it is said to be empty


def result_panel(seed: int, steps: int | None) -> ResultPanel:
    """What a take is made with comes first, so that it stays in its place; then the preview, then the takes."""
    with gr.Row(elem_classes="rap-pair"):
        steps_box = gr.Number(
            steps, label="Steps", placeholder="auto", precision=0, minimum=1, maximum=STEPS.value, min_width=70,
            elem_id="rap-steps", elem_classes="rap-inline",
        )  # fmt: skip
        seed_box = gr.Number(
            seed, label="Seed", precision=0, minimum=0, maximum=SEED.value, min_width=50, elem_id="rap-seed",
            elem_classes="rap-inline",
        )  # fmt: skip
        guidance = gr.Number(
            None, label="Guidance", placeholder="off", minimum=0, maximum=GUIDANCE.value, step=0.5, min_width=70,
            elem_id="rap-guidance", elem_classes="rap-inline",
        )  # fmt: skip
    with gr.Row(elem_classes="rap-pair"):
        temperature = gr.Number(
            None, label="Noise", placeholder="auto", minimum=0, maximum=TEMPERATURE.value, step=0.25, min_width=70,
            elem_id="rap-temperature", elem_classes="rap-inline",
        )  # fmt: skip
        use_geometry = gr.Checkbox(True, label="With geometry", min_width=140, elem_id="rap-use-geometry")
    with gr.Row(elem_classes="rap-pair"):
        side = gr.Dropdown(
            [(f"{side} px", side) for side in SIDES] + [("own size", TAKE_SIDE.value)], value=DEFAULT_TAKE_SIDE,
            label="Size", min_width=80, elem_id="rap-side", elem_classes="rap-inline",
        )  # fmt: skip
        frames = gr.Number(
            None, label="Frames", placeholder="path's", precision=0, minimum=0, maximum=PATH_FRAMES.value,
            min_width=70, elem_id="rap-frames", elem_classes="rap-inline",
        )  # fmt: skip
        fps = gr.Number(
            None, label="Rate", placeholder="auto", minimum=0, maximum=TAKE_FPS.value, min_width=70, elem_id="rap-fps",
            elem_classes="rap-inline",
        )  # fmt: skip
    cost = html_box(elem_id="rap-cost")
    with gr.Row(elem_classes="rap-pair"):
        regenerate = gr.Button(
            "Starting …", variant="primary", interactive=False, scale=5, min_width=120, elem_id="rap-regenerate"
        )
        cancel = gr.Button("Starting …", variant="stop", interactive=False, scale=3, min_width=90, elem_id="rap-cancel")
    with gr.Row(elem_classes="rap-pair"):
        vary_button = gr.Button("Starting …", size="sm", interactive=False, min_width=110, elem_id="rap-vary")
        vary_by = gr.Dropdown(
            [("three seeds", "seeds"), ("50, 100, 150 % motion", "amplitudes")], value="seeds", show_label=False,
            container=False, min_width=150, elem_id="rap-vary-by",
        )  # fmt: skip
    progress = html_box(elem_id="rap-progress")
    notice = html_box(elem_id="rap-result-notice")
    preview = html_box(elem_id="rap-preview")
    preview_line = html_box(elem_id="rap-preview-line")
    video = gr.Video(
        label="Result", autoplay=True, loop=True, interactive=False, height=180, buttons=["download"],
        elem_id="rap-video",
    )  # fmt: skip
    caption = html_box(elem_id="rap-caption")
    takes = html_box(js_on_load=PICK_TAKE, elem_id="rap-takes")
    with gr.Row(elem_classes=["rap-pair", "rap-take-tools"]):
        name = gr.Textbox(
            show_label=False, container=False, max_length=40, placeholder="name", interactive=False, min_width=70,
            elem_id="rap-take-name",
        )  # fmt: skip
        star = gr.Button("Star (no take)", size="sm", interactive=False, min_width=50, elem_id="rap-star")
        reload = gr.Button("Use its path (no take)", size="sm", interactive=False, min_width=80, elem_id="rap-reload")
        delete = gr.Button("Delete (no take)", size="sm", interactive=False, min_width=60, elem_id="rap-delete")
    return ResultPanel(
        video, caption, preview, preview_line, takes, name, star, reload, delete, vary_button, vary_by, progress,
        notice, steps_box, seed_box, guidance, temperature, side, frames, fps, use_geometry, cost,
        regenerate, cancel,
    )  # fmt: skip


def regenerate(session: Session, *settings: float | None) -> None:
    """Begin to regenerate."""
    session.dispatch(msg.Regenerate(*_settings(*settings)))


def vary(session: Session, kind: Any, *settings: float | None) -> None:
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
) -> tuple[int | None, int, float | None, float | None, int, int | None, float | None]:
    """Of the fields; empty ones, no steps and no guidance are the checkpoint's own, no noise is none."""
    shape = int(side or DEFAULT_TAKE_SIDE), int(frames) if frames else None, fps or None
    return int(steps) if steps else None, int(seed or 0), guidance or None, temperature, *shape


def show_take(session: Session, data: Any) -> None:
    """A thumbnail was clicked."""
    session.dispatch(msg.ShowTake(picked(data, "take", int)))


def rename_take(session: Session, name: str | None) -> None:
    """The take on show got a name; a field that was only visited changes nothing."""
    take = session.state.document.take
    if take is not None and (name or "") != take.name:
        session.dispatch(msg.RenameTake(take.number, name or ""))


def star_take(session: Session) -> None:
    """Mark the take on show, or no longer."""
    take = session.state.document.take
    if take is not None:
        session.dispatch(msg.StarTake(take.number, not take.starred))


def reload_path(session: Session) -> None:
    """The path of the take on show becomes the edited one."""
    from ui.document.edits import SetPath

    take = session.state.document.take
    if take is not None:
        session.dispatch(SetPath(take.trajectory, False, f"path of {take.title}"))


def delete_take(session: Session) -> None:
    """Delete the take on show; the session asks back."""
    take = session.state.document.take
    if take is not None:
        session.dispatch(msg.DeleteTake(take.number))


def _no_number() -> Any:
    return gr.Number(value=None)  # as with the steps


def _preview_values(session: Session) -> tuple[PreviewClip | None]:
    return (words.preview_on_show(session.state.geometry.preview, session.state.document.take),)


def _preview_words(session: Session) -> tuple[str]:
    document, geometry = session.state.document, session.state.geometry
    lens = words.lens_words(document, geometry)
    return (words.preview_line(geometry, document.edited is not None, lens),)


def _video(take: Any) -> Any:
    """A copy in the folder that Gradio serves: it takes none from the state folder."""
    return None if take is None else save_file_to_cache(take.video, get_upload_folder())


def _name_values(session: Session) -> tuple[Any, ...]:
    take = session.state.document.take
    return (None, False) if take is None else (take.name, True)


def _name_field(name: str | None, enabled: bool) -> Any:
    return gr.Textbox(name or "", interactive=enabled)
