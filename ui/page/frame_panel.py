"""Of the Edit tab: the selected frame's camera in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui.page import edit_words
from ui.page.common_words import ButtonLook
from ui.page.html import markup, note
from ui.page.parts import QUIET, Events, Part, button_part, html_box, told
from ui.page.raxel_view import raxel_view

if TYPE_CHECKING:
    from ui.document.path_edits import FrameFields
    from ui.session.session import Session

NUMBERS = (  # label, field, step
    ("x →", "x", 0.1), ("y ↓", "y", 0.1), ("z forward", "z", 0.1),
    ("yaw °", "yaw", 5.0), ("pitch °", "pitch", 5.0), ("roll °", "roll", 5.0),
)  # fmt: skip
FOV_DEG, FOCAL_MM = (1.0, 170.0), (1.0, 1400.0)  # the same lenses, nearly

LOOK_THROUGH = "() => { document.dispatchEvent(new CustomEvent('rap-timeline', { detail: 'through' })); }"
"""Is the timeline's to do (assets/timeline.js): its camera view, at the selected frame."""


@dataclass(frozen=True)
class FramePanel:
    """Numbers of the selected frame, to read and to type."""

    line: gr.HTML
    numbers: tuple[gr.Number, ...]
    quaternion: gr.Textbox
    fov: gr.Number
    focal: gr.Number
    apply: gr.Button
    snap: gr.Button
    from_view: gr.Button
    look_through: gr.Button
    raxels: gr.HTML

    @property
    def fields(self) -> tuple[Any, ...]:
        """The components in the order of `FrameFields`."""
        return (*self.numbers, self.quaternion, self.fov, self.focal)

    def parts(self) -> Sequence[Part]:
        """What the panel shows."""
        return (
            Part(self.line, lambda s: (edit_words.frame_line(s.state.document),), markup),
            *(Part(field, partial(_field_values, i), _field) for i, field in enumerate(self.fields)),
            button_part(self.apply, lambda s: edit_words.frame_button("Set numbers", s.state.document)),
            button_part(self.snap, lambda s: edit_words.frame_button("Snap", s.state.document)),
            button_part(self.from_view, lambda s: edit_words.frame_button("Set from view", s.state.document)),
            button_part(self.look_through, lambda s: _through_button(s)),
            Part(self.raxels, _raxel_values, raxel_view),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the panel."""
        submits: list[Callable[..., Any]] = [field.submit for field in self.fields]
        for event in (self.apply.click, *submits):
            events.on(event, type_frame, self.fields)
        events.on(self.snap.click, snap_frame)
        events.on(self.from_view.click, set_from_view)
        self.look_through.click(None, js=LOOK_THROUGH, **QUIET)


def frame_panel() -> FramePanel:
    """Position, angles, quaternion and lens; what can be done with them."""
    line = html_box(elem_id="rap-frame-line")
    numbers = []
    for row in (NUMBERS[:3], NUMBERS[3:]):
        with gr.Row(elem_classes="rap-numbers"):
            for label, name, step in row:
                numbers.append(_number(label, f"rap-frame-{name}", step))
    quaternion = gr.Textbox(
        label="Quaternion w x y z", interactive=False, elem_id="rap-frame-quaternion", elem_classes="rap-number"
    )
    with gr.Row(elem_classes="rap-numbers"):
        fov = _number("vertical FOV °", "rap-frame-fov", 1.0, *FOV_DEG)
        focal = _number("mm (on 24 mm)", "rap-frame-focal", 1.0, *FOCAL_MM)
    with gr.Row(elem_classes="rap-pair"):
        apply = gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id="rap-frame-apply")
        snap = gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id="rap-frame-snap")
    with gr.Row(elem_classes="rap-pair"):
        view = gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id="rap-frame-from-view")
        through = gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id="rap-frame-through")
    html_box(
        note(
            "Median depths and degrees, in the source camera's axes. Snap: 0.1 and 5°. With soft drag on, neighbours "
            "follow."
        ),
    )
    raxels = html_box(elem_id="rap-raxels")
    return FramePanel(line, tuple(numbers), quaternion, fov, focal, apply, snap, view, through, raxels)


def type_frame(session: Session, *values: Any) -> None:
    """Numbers have been typed; an empty field keeps what it showed."""
    from ui.document.path_edits import FrameFields, TypeFrame

    index, shown = session.state.document.selected, _shown(session)
    if index is None or shown is None:
        return
    typed = (before if value is None or value == "" else value for value, before in zip(values, shown, strict=True))
    session.dispatch(TypeFrame(index, FrameFields(*typed)))


def snap_frame(session: Session) -> None:
    """Round numbers for the selected frame."""
    from ui.document.path_edits import SnapFrame

    if session.state.document.selected is not None:
        session.dispatch(SnapFrame(session.state.document.selected))


def set_from_view(session: Session) -> None:
    """The selected frame's camera goes where this page looks from."""
    from ui.document.path_edits import PlaceFrame

    index, T = session.state.document.selected, session.viewport.current_view()
    if T is None:
        raise told(session, "path", "The live 3D view is not connected, so there is no view to take.")
    if index is not None:
        session.dispatch(PlaceFrame(index, T, name="from view"))


def _number(label: str, elem_id: str, step: float, low: float | None = None, high: float | None = None) -> gr.Number:
    return gr.Number(
        None, label=label, step=step, minimum=low, maximum=high, interactive=False, min_width=60, elem_id=elem_id,
        elem_classes="rap-number",
    )  # fmt: skip


def _shown(session: Session) -> tuple[Any, ...] | None:
    fields = _fields(session)
    return None if fields is None else astuple(fields)


def _fields(session: Session) -> FrameFields | None:
    from ui.document.path_edits import frame_fields

    document = session.state.document
    if document.edited is None or document.selected is None:
        return None
    return frame_fields(document.edited, document.selected)


def _field_values(field: int, session: Session) -> tuple[Any, ...]:
    """What the field shows, and whose camera it is: what was typed and not used must not stay for another, nor after
    an undo. An edit sends only what it changes, or it would overwrite what is typed meanwhile into the next field.
    """
    document, shown = session.state.document, _shown(session)
    value, enabled = None if shown is None else shown[field], shown is not None and document.selected != document.source
    return value, enabled, document.selected, len(document.future)


def _raxel_values(session: Session) -> tuple[Any, ...]:
    document = session.state.document
    return document.edited, document.best, session.known_path, document.selected


def _field(value: float | str | None, enabled: bool, _selected: int | None, _undone: int) -> Any:
    return gr.update(value=value, interactive=enabled)


def _through_button(session: Session) -> ButtonLook:
    document = session.state.document
    if document.selected is None:
        return edit_words.frame_button("Look through", document)
    return edit_words.path_button("Look through", document)
