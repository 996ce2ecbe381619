"""The first step: what comes in, and its path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import ASSETS
from ui.document import messages as msg
from ui.page import input_words as words
from ui.page.common_words import capital, notice_line
from ui.page.html import Html, markup, tag
from ui.page.parts import Events, Part, button_part, html_box, maybe_button, picked, refusal, small_slider
from ui.session.pictures import inline_jpeg

if TYPE_CHECKING:
    from ui.document.state import FileBox
    from ui.session.session import Session

EXAMPLES = ASSETS / "examples"
LEAST_TRIMMED = 3  # frames of a film
PICK_EXAMPLE = """
element.addEventListener("click", (event) => {
  const card = event.target.closest("[data-example]");
  if (card) trigger("select", { example: Number(card.dataset.example) });
});
"""


@dataclass(frozen=True)
class InputPanel:
    """What comes in and how a path comes out of it."""

    files: gr.File
    camera: gr.Video
    examples: gr.HTML
    known: gr.HTML
    clip: gr.HTML
    notice: gr.HTML
    first: gr.Slider
    last: gr.Slider
    predict: gr.Button
    cancel: gr.Button
    auto_refine: gr.Checkbox
    refine: gr.Button
    fov: gr.Number
    flat: gr.Checkbox
    depth_model: gr.Checkbox
    progress: gr.HTML
    verdict: gr.HTML
    imagine: gr.Button

    def parts(self) -> Sequence[Part]:
        """What the panel shows."""
        return (
            Part(self.files, lambda s: (s.state.box,), _file_box),
            Part(self.clip, lambda s: (s.state.document.clip,), words.clip_card),
            Part(self.notice, lambda s: (notice_line(s.state.notice, "input"),), markup),
            Part(self.first, _trim_values, _first_slider),
            Part(self.last, _trim_values, _last_slider),
            button_part(self.predict, lambda s: words.predict_button(s.state.document, s.state.job)),
            Part(
                self.cancel,
                lambda s: (words.input_cancel_button(s.state.job, s.state.geometry.job),),
                maybe_button,
            ),
            Part(self.auto_refine, lambda s: (s.state.geometry.refine_on,), gr.Checkbox),
            button_part(self.refine, lambda s: words.refine_button(s.state.document, s.state.geometry)),
            Part(self.fov, _fov_values, _fov_field),
            Part(self.flat, _flat_values, _flat_box),
            Part(self.depth_model, _depth_model_values, _depth_model_box),
            Part(self.progress, lambda s: (s.state.job, s.state.geometry.job), words.input_progress),
            Part(self.verdict, lambda s: (s.state.document.report, s.state.geometry.moving), words.verdict_card),
            Part(self.known, lambda s: (words.known_line(s.state.document),), markup),
            button_part(self.imagine, lambda s: words.imagine_button(s.state.document, s.state.job, s.makes_cameras)),
        )

    def wire(self, events: Events, steps: gr.Number, seed: gr.Number) -> None:
        """Every listener of the panel; steps and seed are asked for beside the result."""
        reading = {"show_progress": "minimal", "show_progress_on": self.clip}  # decoding takes seconds
        # files that are added while others are still being read must not be dropped, as Gradio would by default
        events.on(self.files.upload, upload, [self.files], trigger_mode="always_last", **reading)
        events.send(self.files.clear, msg.TakeOut())
        events.on_pick(self.files.delete, take_out)
        events.on(self.camera.stop_recording, upload_recording, [self.camera], **reading)
        events.on_pick(self.examples.select, give_example, **reading)
        for slider in (self.first, self.last):
            events.on(slider.release, trim, [self.first, self.last], **reading)
        events.on(self.predict.click, predict, [seed])
        events.on(self.imagine.click, imagine, [steps, seed])
        for event in (self.fov.submit, self.fov.blur):
            events.switch(event, msg.SetFieldOfView, self.fov)
        events.switch(self.flat.input, msg.SetFlat, self.flat)
        events.switch(self.depth_model.input, msg.SetDepthModel, self.depth_model)
        events.switch(self.auto_refine.input, msg.SetRefine, self.auto_refine)
        events.send(self.refine.click, msg.Refine())
        events.send(self.cancel.click, msg.Cancel("input"))


def input_panel() -> InputPanel:
    """Upload, what was read of it, its path; what that is found with lies in a fold."""
    files = gr.File(
        label="Video, image, or several images", file_count="multiple", height=88, interactive=False,
        elem_id="rap-files",
    )  # fmt: skip
    with gr.Accordion("Record with the camera", open=False, elem_id="rap-record"):
        camera = gr.Video(
            sources=["webcam"], include_audio=False, show_label=False, height=200, elem_id="rap-camera",
            webcam_options=gr.WebcamOptions(mirror=False),
        )  # fmt: skip
    # Gradio's own would have the ffmpeg program take away sound that is not there; a subclass makes it write a .pyi
    camera.preprocess = _as_recorded
    examples = html_box(example_gallery(), js_on_load=PICK_EXAMPLE, elem_id="rap-examples")
    clip = html_box(words.clip_card(None), elem_id="rap-clip")
    with gr.Row(elem_classes=["rap-pair", "rap-predict-row"]):
        predict = gr.Button(
            "Starting …", variant="primary", interactive=False, scale=5, min_width=120, elem_id="rap-predict"
        )
        cancel = gr.Button("Cancel", variant="stop", visible=False, scale=3, min_width=80, elem_id="rap-cancel-input")
    with gr.Column(elem_id="rap-input-told"):  # of one height, so that the moves stay where they are
        notice = html_box(elem_id="rap-input-notice")
        progress = html_box(elem_id="rap-input-progress")
        verdict = html_box(elem_id="rap-verdict")
        known = html_box(elem_id="rap-known")
    with gr.Accordion("Frames, lens and depth", open=False, elem_id="rap-path-settings"):
        first = small_slider("First frame", 0, 1, 0, step=1, visible=False, elem_id="rap-first")
        last = small_slider("Last frame", 0, 1, 1, step=1, visible=False, elem_id="rap-last")
        with gr.Row(elem_classes="rap-pair"):
            auto_refine = gr.Checkbox(True, label="Refine", min_width=80, scale=2, elem_id="rap-auto-refine")
            refine = gr.Button("Starting …", interactive=False, size="sm", scale=3, min_width=110, elem_id="rap-refine")
        fov = gr.Number(
            None, label="Field of view (deg)", placeholder="if known", step=1, elem_id="rap-fov",
            elem_classes="rap-inline",
        )  # fmt: skip
        # no limits: the session has them, and 0 is none
        flat = gr.Checkbox(False, label="Flat picture, without depth", visible=False, elem_id="rap-flat")
        depth_model = gr.Checkbox(True, label="Depth by another model", visible=False, elem_id="rap-depth-model")
        imagine = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-imagine")
    return InputPanel(
        files, camera, examples, known, clip, notice, first, last, predict, cancel, auto_refine, refine, fov, flat,
        depth_model, progress, verdict, imagine,
    )  # fmt: skip


def example_clips() -> list[Path]:
    """The films and then the photographs that come with the checkout."""
    return [*sorted(EXAMPLES.glob("*.mp4")), *sorted(EXAMPLES.glob("*.webp"))]


def example_gallery() -> Html:
    """A button with a picture for each of them, photographs first: what these become is seen soonest."""
    clips = sorted(enumerate(example_clips()), key=lambda numbered: numbered[1].suffix != ".webp")
    cards = [
        tag(
            "button",
            tag("img", alt="", src=_picture(clip)),
            tag("span", tag("b", capital(clip.stem.replace("_", " ")))),
            type="button",
            class_="rap-example",
            data_example=i,
            aria_label=clip.stem.replace("_", " "),
            title=clip.stem.replace("_", " "),
        )  # fmt: skip
        for i, clip in clips
    ]
    return tag("div", *cards, class_="rap-gallery")


def give_example(session: Session, data: Any) -> None:
    """An example was clicked: the clip, and its cameras where they are known."""
    clips, index = example_clips(), picked(data, "example", int)
    if not 0 <= index < len(clips):
        raise refusal(f"example must be 0 to {len(clips) - 1}, got {index}; reload the page.")
    given = clips[index], clips[index].with_suffix(".transforms.json")
    session.dispatch(msg.Upload(tuple(str(file) for file in given if file.is_file())))


def _picture(clip: Path) -> str:
    return inline_jpeg(clip.with_suffix(".jpg").read_bytes())


def upload(session: Session, files: list[str] | None) -> None:
    """Files were dropped or chosen: these are in the box now, old and new."""
    if files:
        session.dispatch(msg.AddFiles(tuple(files)))


def take_out(session: Session, data: Any) -> None:
    """One of several files was taken out of the box; the clip stays."""
    session.dispatch(msg.TakeOut(picked(data, "path", str)))


def _as_recorded(payload: Any) -> str | None:
    return None if payload is None else str(payload.path)


def upload_recording(session: Session, file: str | None) -> None:
    """The camera was stopped."""
    if file:
        session.dispatch(msg.Upload((file,)))


def predict(session: Session, seed: float | None) -> None:
    """Begin to predict."""
    session.dispatch(msg.Predict(seed=int(seed or 0)))


def imagine(session: Session, steps: float | None, seed: float | None) -> None:
    """Begin to imagine."""
    session.dispatch(msg.Imagine(int(steps) if steps else None, int(seed or 0)))


def trim(session: Session, first: float, last: float) -> None:
    """A handle under the filmstrip was let go."""
    if _trim_values(session)[1:] != (int(first), int(last)):
        session.dispatch(msg.Trim(int(first), int(last)))


def _trim_values(session: Session) -> tuple[int, int, int]:
    """Frames of the film, and the first and the last of them that are used; 0 where there is nothing to be trimmed."""
    state = session.state
    clip = state.document.clip
    if clip is None or not state.source or clip.upload_frames < LEAST_TRIMMED or not clip.frame_indices:
        return 0, 0, 0
    return clip.upload_frames, clip.frame_indices[0], clip.frame_indices[-1]


def _first_slider(count: int, first: int, last: int) -> Any:
    return gr.Slider(0, max(count - 2, 1), first, visible=count > 0)


def _last_slider(count: int, first: int, last: int) -> Any:
    return gr.Slider(1, max(count - 1, 2), last, visible=count > 0)


def _file_box(box: FileBox) -> Any:
    """Gradio clears its copies of uploads now and then; what is gone cannot be listed."""
    return gr.update(value=[file for file in box.files if Path(file).is_file()] or None, interactive=True)


def _flat_values(session: Session) -> tuple[bool, bool]:
    clip = session.state.document.clip
    return session.state.geometry.flat_on, clip is not None and len(clip) == 1


def _flat_box(on: bool, is_picture: bool) -> Any:
    return gr.Checkbox(on, visible=is_picture)


def _depth_model_values(session: Session) -> tuple[bool, str, bool]:
    geometry, clip = session.state.geometry, session.state.document.clip
    is_lifted = clip is not None and len(clip) == 1 and not geometry.flat_on
    return bool(geometry.depth_by), session.depth_model, is_lifted


def _depth_model_box(on: bool, name: str, is_lifted: bool) -> Any:
    return gr.Checkbox(on, label=f"Depth by {name}", visible=bool(name) and is_lifted)


def _fov_values(session: Session) -> tuple[Any, ...]:
    return session.known_fov_y_deg, session.state.document.clip is not None


def _fov_field(fov_y_deg: float | None, has_clip: bool) -> Any:
    return gr.Number(None if fov_y_deg is None else round(fov_y_deg, 2), interactive=has_clip)
