"""What is kept of the work: the session as one file, and exports of the cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.errors import InputError
from ui.document import messages as msg
from ui.page import keep_words as words
from ui.page import share_page
from ui.page.command_words import generate_command
from ui.page.common_words import notice_line
from ui.page.html import markup, note
from ui.page.move_words import last_move
from ui.page.parts import DOWNLOAD, QUIET, TO_CLIPBOARD, Events, Part, button_part, html_box, lost_words, told, written

if TYPE_CHECKING:
    from ui.session.session import Session

WHOLE_LINK = """(words) => {
  const link = `${location.origin}${location.pathname}#rap=${words}`;
  navigator.clipboard?.writeText(link).catch(() => {});
  return link;
}"""
"""The address is known to the browser alone: a proxy may stand before the app."""


@dataclass(frozen=True)
class KeepPanel:
    """A tab of the rail: what can be taken home."""

    format: gr.Dropdown
    export: gr.Button
    export_take_cameras: gr.Button
    kind: gr.Dropdown
    export_take: gr.Button
    figure_kind: gr.Dropdown
    figure: gr.Button
    depth: gr.Button
    depth_picture: gr.HTML
    download: gr.DownloadButton
    save: gr.Button
    share: gr.Button
    copy_link: gr.Button
    link: gr.Textbox
    copy_command: gr.Button
    command: gr.Textbox
    open: gr.UploadButton
    notice: gr.HTML

    def parts(self) -> Sequence[Part]:
        """What the tab shows."""
        return (
            Part(self.format, lambda s: (tuple(s.export_formats),), _choices),
            Part(self.kind, lambda s: (tuple(s.take_kinds),), _choices),
            button_part(self.save, lambda s: words.save_button(s.state.document)),
            button_part(self.share, lambda s: words.share_button(s.state.document)),
            button_part(self.copy_link, lambda s: words.link_button(s.state.document)),
            button_part(self.copy_command, lambda s: words.command_button(s.state.document)),
            Part(self.notice, lambda s: (notice_line(s.state.notice, "keep"),), markup),
            button_part(self.figure, lambda s: words.figure_button(s.state.document)),
            button_part(self.depth, lambda s: words.depth_button(s.state.geometry.scene)),
            Part(self.depth_picture, lambda s: (s.state.geometry.scene,), words.depth_picture),
            button_part(self.export_take, lambda s: words.export_take_button(s.state.document)),
            button_part(self.export, lambda s: words.export_button(s.state.document)),
            button_part(self.export_take_cameras, lambda s: words.take_cameras_button(s.state.document)),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the tab."""
        for event, listener, inputs in (
            (self.export.click, export, [self.format]),
            (self.export_take_cameras.click, export_take_cameras, [self.format]),
            (self.export_take.click, export_take, [self.kind]),
            (self.figure.click, export_figure, [self.figure_kind]),
            (self.depth.click, export_depth, []),
            (self.save.click, save, []),
            (self.share.click, share, []),
        ):
            events.on(event, listener, inputs, self.download).success(None, js=DOWNLOAD % "rap-download", **QUIET)
        events.on(self.copy_link.click, copy_link, [], self.link).success(
            None, [self.link], [self.link], js=WHOLE_LINK, **QUIET
        )
        events.on(self.copy_command.click, copy_command, [], self.command).success(
            None, [self.command], js=TO_CLIPBOARD, **QUIET
        )
        events.on(self.open.upload, open_session, [self.open], show_progress="minimal", show_progress_on=self.notice)


def keep_panel() -> KeepPanel:
    """Save and open, and the export of the cameras."""
    with gr.Row(elem_classes="rap-pair"):
        save = gr.Button("Starting …", interactive=False, min_width=120, elem_id="rap-save")
        open_ = gr.UploadButton("Open session", file_types=[".zip"], min_width=120, elem_id="rap-open")
    share = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-share")
    html_box(
        note(
            "A page is one file that plays film, path and take in any browser, without this program. A session file "
            "holds the clip, the predicted and the edited path, and all takes; it opens again without the model."
        ),
    )
    notice = html_box(elem_id="rap-keep-notice")
    file_format = gr.Dropdown(
        ["nerfstudio"],
        value="nerfstudio",
        label="Cameras as",
        allow_custom_value=True,
        elem_id="rap-format",
    )
    with gr.Row(elem_classes="rap-pair"):
        export = gr.Button("Starting …", interactive=False, min_width=110, elem_id="rap-export")
        export_take_cameras = gr.Button(
            "Starting …", interactive=False, min_width=110, elem_id="rap-export-take-cameras"
        )
    with gr.Row(elem_classes="rap-pair"):
        kind = gr.Dropdown(
            [("Video, MP4 (H.264)", "mp4")], value="mp4", show_label=False, allow_custom_value=True,
            container=False, min_width=140, elem_id="rap-take-kind",
        )  # fmt: skip
        export_take = gr.Button("Starting …", interactive=False, size="sm", min_width=110, elem_id="rap-export-take")
    with gr.Row(elem_classes="rap-pair"):
        figure_kind = gr.Dropdown(
            [("Figure, MP4", "mp4"), ("Figure, PNG", "png")], value="mp4", show_label=False,
            container=False, min_width=140, elem_id="rap-figure-kind",
        )  # fmt: skip
        figure = gr.Button("Starting …", interactive=False, size="sm", min_width=110, elem_id="rap-export-figure")
    with gr.Accordion("Depth map", open=False, elem_id="rap-depth-map"):
        depth_picture = html_box(elem_id="rap-depth-picture")
        depth = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-export-depth")
    copy_link = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-copy-link")
    link = gr.Textbox(
        show_label=False, container=False, lines=1, max_lines=1, interactive=False, elem_id="rap-link",
        placeholder="An address with path, move and seed; whoever opens it gives the same clip",
    )  # fmt: skip
    copy_command = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-copy-command")
    command = gr.Textbox(
        show_label=False, container=False, lines=2, interactive=False, elem_id="rap-command",
        placeholder="One line that does the same in a terminal, with the exported path beside the film",
    )  # fmt: skip
    download = gr.DownloadButton("download", elem_id="rap-download", elem_classes="rap-hidden")
    return KeepPanel(
        file_format, export, export_take_cameras, kind, export_take, figure_kind, figure, depth, depth_picture,
        download, save, share, copy_link, link, copy_command, command, open_, notice,
    )  # fmt: skip


def export_take(session: Session, kind: str) -> str:
    """Write the take on show; the browser then downloads it."""
    return written(session, "keep", session.export_take, kind)


def export_figure(session: Session, kind: str) -> str:
    """Draw the clip, its raxel maps and its cameras; the browser then downloads it."""
    return written(session, "keep", session.export_figure, kind)


def export_depth(session: Session) -> str:
    """Write the depth map; the browser then downloads it."""
    return written(session, "keep", session.export_depth)


def save(session: Session) -> str:
    """Write the session file; the browser then downloads it."""
    return written(session, "keep", session.save)


def share(session: Session) -> str:
    """Write film, path and take as one page; the browser then downloads it."""
    return written(session, "keep", share_page.write, session)


def copy_link(session: Session) -> str:
    """Path, move and settings as a piece of an address; no file is in it."""
    from ui.document.link import link_text

    document = session.state.document
    try:
        return link_text(document, last_move(document) or "", session.state.asked)
    except InputError as error:
        raise told(session, "keep", str(error)) from error


def copy_command(session: Session) -> str:
    """The path and the take as a command; what is no command is said in the tab."""
    try:
        return generate_command(session.state)
    except InputError as error:
        raise told(session, "keep", str(error)) from error


def open_session(session: Session, path: str | None) -> None:
    """A session file was chosen."""
    if path:
        session.dispatch(msg.OpenSession(path))


def export(session: Session, format_name: str) -> str:
    """Write the cameras; the browser then downloads them."""
    file = written(session, "keep", session.export, format_name)
    session.dispatch(msg.Exported(lost_words(format_name, session.state.document.edited)))
    return file


def export_take_cameras(session: Session, format_name: str) -> str:
    """Write the cameras of the take on show; the browser then downloads them."""
    file = written(session, "keep", session.export_take_cameras, format_name)
    take = session.state.document.take
    session.dispatch(msg.Exported(lost_words(format_name, None if take is None else take.trajectory)))
    return file


def _choices(formats: Sequence[tuple[str, str]]) -> Any:
    return gr.Dropdown(choices=list(formats))
