"""What is kept of the work: exports of the cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui import panels
from ui.parts import QUIET, Events, Part, button_part

if TYPE_CHECKING:
    from ui.session import Session


@dataclass(frozen=True)
class KeepPanel:
    """A tab of the right column: what can be taken home."""

    format: gr.Dropdown
    export: gr.Button
    download: gr.DownloadButton

    def parts(self) -> Sequence[Part]:
        """What the tab shows."""
        return (
            Part(self.format, lambda s: (tuple(s.export_formats),), _choices),
            button_part(self.export, lambda s: panels.export_button(s.state.document)),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the tab."""
        # a browser downloads only what is clicked: write the file, give it to a hidden link, click that
        events.on(self.export.click, export, [self.format], self.download).success(
            None, js="() => setTimeout(() => document.querySelector('#rap-download')?.click(), 100)", **QUIET
        )


def keep_panel() -> KeepPanel:
    """The export of the cameras."""
    file_format = gr.Dropdown(
        ["nerfstudio"], value="nerfstudio", label="Cameras as", allow_custom_value=True, elem_id="rap-format"
    )
    export = gr.Button("Starting …", interactive=False, elem_id="rap-export")
    download = gr.DownloadButton("download", elem_id="rap-download", elem_classes="rap-hidden")
    return KeepPanel(file_format, export, download)


def export(session: Session, format_name: str) -> str:
    """Write the cameras; the browser then downloads them."""
    try:
        return str(session.export(format_name))
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _choices(formats: Sequence[tuple[str, str]]) -> Any:
    return gr.Dropdown(choices=list(formats))
