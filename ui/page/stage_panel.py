"""The stage: the clip, the path seen through its cameras, a take; one of them large, all on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from rap.config import ASSETS
from ui.document import messages as msg
from ui.page import result_words as words
from ui.page import stage_words
from ui.page.html import markup, together
from ui.page.parts import Events, Part, button_part, html_box, picked
from ui.page.verify_words import followed_badge

if TYPE_CHECKING:
    from ui.document.state import PreviewClip
    from ui.session.session import Session

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
class StagePanel:
    """What is looked at, and the takes to choose from."""

    views: gr.HTML
    clip: gr.HTML
    preview: gr.HTML
    preview_line: gr.HTML
    video: gr.Video
    caption: gr.HTML

    def parts(self) -> Sequence[Part]:
        """What the stage shows."""
        return (
            Part(self.clip, lambda s: (s.state.document.clip,), stage_words.clip_picture),
            Part(self.preview, _preview_values, words.preview_video),
            Part(self.preview_line, _preview_words, markup),
            Part(self.video, lambda s: (s.state.document.take,), _video),
            Part(self.caption, _caption_words, markup),
        )

    def wire(self, events: Events) -> None:
        """Nothing: which of them is large is the page's own affair, as play and loop are."""


@dataclass(frozen=True)
class TakesPanel:
    """The takes under the stage."""

    takes: gr.HTML
    name: gr.Textbox
    star: gr.Button
    reload: gr.Button
    delete: gr.Button

    def parts(self) -> Sequence[Part]:
        """What the strip shows."""
        return (
            Part(self.takes, lambda s: (words.take_strip(s.state.document),), markup),
            Part(self.name, _name_values, _name_field),
            button_part(self.star, lambda s: words.star_button(s.state.document)),
            button_part(self.reload, lambda s: words.take_button("Use its path", s.state.document)),
            button_part(self.delete, lambda s: words.delete_button(s.state.document, s.state.doomed)),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the strip."""
        events.on_pick(self.takes.select, show_take)
        for event in (self.name.submit, self.name.blur):
            events.on(event, rename_take, [self.name])
        events.on(self.star.click, star_take)
        events.on(self.reload.click, reload_path)
        events.on(self.delete.click, delete_take)


def stage_panel() -> StagePanel:
    """All pictures lie in one place; `assets/stage.js` shows the newest, or the one that was chosen."""
    views = html_box(
        stage_words.switch(),
        js_on_load=(ASSETS / "stage.js").read_text(encoding="utf-8"),
        elem_id="rap-views",
    )
    clip = html_box(stage_words.clip_picture(None), elem_id="rap-stage-clip", elem_classes="rap-view")
    preview = html_box(elem_id="rap-preview", elem_classes="rap-view")
    video = gr.Video(
        show_label=False, autoplay=True, loop=True, interactive=False, buttons=["download"], elem_id="rap-video",
        elem_classes="rap-view",
    )  # fmt: skip
    html_box(stage_words.glimpse(), elem_id="rap-glimpse", elem_classes="rap-view")
    preview_line = html_box(elem_id="rap-preview-line")
    caption = html_box(elem_id="rap-caption")
    return StagePanel(views, clip, preview, preview_line, video, caption)


def takes_panel() -> TakesPanel:
    """The strip, and what can be done with the take on show."""
    with gr.Row(elem_id="rap-take-row"):
        takes = html_box(js_on_load=PICK_TAKE, elem_id="rap-takes")
        with gr.Row(elem_classes=["rap-pair", "rap-take-tools"]):
            name = gr.Textbox(
                show_label=False, container=False, max_length=40, placeholder="Name", interactive=False, min_width=70,
                elem_id="rap-take-name",
            )  # fmt: skip
            star = gr.Button("Star (no take)", size="sm", interactive=False, min_width=50, elem_id="rap-star")
            reload = gr.Button(
                "Use its path (no take)", size="sm", interactive=False, min_width=80, elem_id="rap-reload"
            )
            delete = gr.Button("Delete (no take)", size="sm", interactive=False, min_width=60, elem_id="rap-delete")
    return TakesPanel(takes, name, star, reload, delete)


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


def _caption_words(session: Session) -> tuple[str]:
    document = session.state.document
    return (together(words.take_caption(document), followed_badge(document), words.take_details(document)),)


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
