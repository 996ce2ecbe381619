"""What fields of the page hold and cannot be used: each sentence stands under its field until that is mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from rap.config import ASSETS
from ui.page.common_words import sentence
from ui.page.html import Html, tag
from ui.page.parts import Events, Part, html_box

if TYPE_CHECKING:
    from ui.document.state import Wrong


@dataclass(frozen=True)
class FieldsPanel:
    """The list of them, out of sight: `assets/fields.js` takes each sentence to its place."""

    wrong: gr.HTML

    def parts(self) -> Sequence[Part]:
        """What is wrong at present."""
        return (Part(self.wrong, lambda s: (s.state.wrong,), wrong_fields),)

    def wire(self, events: Events) -> None:
        """Nothing: whoever uses a field checks it."""


def fields_panel() -> FieldsPanel:
    """Empty until something is wrong."""
    return FieldsPanel(html_box(js_on_load=(ASSETS / "fields.js").read_text(encoding="utf-8"), elem_id="rap-wrong"))


def wrong_fields(wrong: Sequence[Wrong]) -> Html:
    """Each sentence with the field that it belongs to."""
    return tag(
        "div",
        *(tag("span", sentence(one.text), data_field=f"rap-{one.field}", data_number=one.number) for one in wrong),
    )
