"""Of the Edit tab: the path as a whole, the point it looks at, and the path as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.limits import SEED, SHAKE
from ui.document import messages as msg
from ui.page import edit_words
from ui.page.common_words import ButtonLook
from ui.page.html import markup
from ui.page.parts import TO_CLIPBOARD, Events, Part, button_part, html_box

if TYPE_CHECKING:
    from ui.session.session import Session

PLAIN_EDITS = (("Mirror", "Mirror"), ("Reverse", "Backwards"), ("Close loop", "CloseLoop"))  # words, edit


@dataclass(frozen=True)
class ShapePanel:
    """Whole-path edits, each a button beside its numbers."""

    amount: gr.Number
    amplify: gr.Button
    strength: gr.Number
    smooth: gr.Button
    unrest: gr.Number
    seed: gr.Number
    shake: gr.Button
    plain: tuple[gr.Button, ...]
    easing: gr.Dropdown
    retime: gr.Button
    numbers: tuple[gr.Number, ...]
    move: gr.Button
    rotate: gr.Button
    factor: gr.Number
    scale: gr.Button
    pivot: gr.Dropdown
    point: gr.HTML
    pick: gr.Button
    look_at: gr.Button

    def parts(self) -> Sequence[Part]:
        """What the panel shows."""
        labelled = [
            (self.amplify, "Scale motion"), (self.smooth, "Smooth"), (self.shake, "Shake"),
            (self.retime, "Retime"), (self.move, "Move"),
            (self.rotate, "Rotate"), (self.scale, "Scale"), (self.look_at, "Look at point"),
            *((button, words) for button, (words, _) in zip(self.plain, PLAIN_EDITS, strict=True)),
        ]  # fmt: skip
        return (
            *(button_part(button, partial(_look, words)) for button, words in labelled),
            Part(self.easing, lambda s: (True,), _easings),
            Part(self.pivot, lambda s: (True,), _pivots),
            Part(self.point, lambda s: (edit_words.target_line(s.state.document),), markup),
            button_part(self.pick, lambda s: edit_words.pick_button(s.state.document, s.state.picking)),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the panel."""
        events.on(self.amplify.click, amplify, [self.amount])
        events.on(self.smooth.click, smooth, [self.strength])
        events.on(self.shake.click, shake, [self.unrest, self.seed])
        for button, (_, name) in zip(self.plain, PLAIN_EDITS, strict=True):
            events.on(button.click, partial(plain_edit, name))
        events.on(self.retime.click, retime, [self.easing])
        events.on(self.move.click, move, self.numbers)
        events.on(self.rotate.click, rotate, [*self.numbers, self.pivot])
        events.on(self.scale.click, scale, [self.factor, self.pivot])
        events.on(self.pick.click, pick)
        events.on(self.look_at.click, look_at)


@dataclass(frozen=True)
class TextPanel:
    """A path or a pose as text."""

    text: gr.Textbox
    copy_path: gr.Button
    copy_pose: gr.Button
    paste: gr.Button

    def parts(self) -> Sequence[Part]:
        """What the panel shows."""
        return (
            button_part(self.copy_path, partial(_look, "Copy path")),
            button_part(self.copy_pose, lambda s: _copy_pose_look(s)),
            button_part(self.paste, partial(_look, "Use text")),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the panel."""
        for button, listener in ((self.copy_path, copy_path), (self.copy_pose, copy_pose)):
            events.on(button.click, listener, [], self.text).success(
                None, [self.text], js=TO_CLIPBOARD, show_progress="hidden", api_visibility="private"
            )
        events.on(self.paste.click, paste, [self.text])


def shape_panel() -> ShapePanel:
    """Size, order, time, place, and where it looks."""
    with gr.Row(elem_classes="rap-pair"):
        amount = _inline("%", 100, 10, "rap-amount", maximum=200)
        amplify = _button("rap-amplify")
    with gr.Row(elem_classes="rap-pair"):
        strength = _inline("0–1", 0.5, 0.1, "rap-strength", maximum=1)
        smooth = _button("rap-smooth")
    with gr.Row(elem_classes="rap-pair"):
        unrest = _inline("×", 1.0, 0.5, "rap-unrest", maximum=SHAKE.value)
        seed = _inline("seed", 0, 1, "rap-shake-seed", SEED.value, 0)
        shake = _button("rap-shake", 60)
    with gr.Row(elem_classes="rap-pair"):
        plain = tuple(_button(f"rap-{name.lower()}", 60) for _, name in PLAIN_EDITS)
    with gr.Row(elem_classes="rap-pair"):
        easing = gr.Dropdown(
            ["constant speed"], value="constant speed", show_label=False, container=False, allow_custom_value=True,
            min_width=120, elem_id="rap-easing",
        )  # fmt: skip
        retime = _button("rap-retime")
    with gr.Row(elem_classes="rap-numbers"):
        numbers = tuple(
            gr.Number(0, label=label, step=0.1, min_width=60, elem_id=f"rap-by-{i}", elem_classes="rap-number")
            for i, label in enumerate(("x · yaw °", "y · pitch °", "z · roll °"))
        )
    with gr.Row(elem_classes="rap-pair"):
        move, rotate = _button("rap-move-all"), _button("rap-rotate-all")
    with gr.Row(elem_classes="rap-pair"):
        factor = _inline("×", 1.2, 0.1, "rap-factor")
        scale = _button("rap-scale-all")
    pivot = gr.Dropdown(
        ["picked point"], value="picked point", label="About", allow_custom_value=True, elem_id="rap-pivot",
        elem_classes="rap-inline",
    )  # fmt: skip
    point = html_box(elem_id="rap-point")
    with gr.Row(elem_classes="rap-pair"):
        pick, look = _button("rap-pick"), _button("rap-look-at")
    return ShapePanel(
        amount, amplify, strength, smooth, unrest, seed, shake, plain,
        easing, retime, numbers, move, rotate, factor, scale, pivot, point,
        pick, look,
    )  # fmt: skip


def text_panel() -> TextPanel:
    """One box for what is copied and what is pasted."""
    text = gr.Textbox(
        label="Path or pose as JSON", lines=9, max_lines=9, placeholder="paste here, then press Use text",
        elem_id="rap-text",
    )  # fmt: skip
    with gr.Row(elem_classes="rap-pair"):
        path, pose = _button("rap-copy-path"), _button("rap-copy-pose")
    return TextPanel(text, path, pose, _button("rap-paste"))


def amplify(session: Session, percent: float | None) -> None:
    """More or less of the same motion; an empty field is 100 %."""
    from ui.document.path_edits import Amplify

    session.dispatch(Amplify(100.0 if percent is None else percent))


def smooth(session: Session, strength: float | None) -> None:
    """Jitter is taken out; an empty field takes none."""
    from ui.document.path_edits import Smooth

    session.dispatch(Smooth(strength or 0.0))


def shake(session: Session, amount: float | None, seed: float | None) -> None:
    """A hand's unrest; an empty field adds none."""
    from ui.document.path_edits import Shake

    session.dispatch(Shake(amount or 0.0, int(seed or 0)))


def plain_edit(name: str, session: Session) -> None:
    """An edit that needs no numbers."""
    from ui.document import path_edits

    session.dispatch(getattr(path_edits, name)())


def retime(session: Session, easing: Any) -> None:
    """Another speed along the way."""
    from ui.document.path_edits import Retime

    session.dispatch(Retime(easing))


def move(session: Session, x: float | None, y: float | None, z: float | None) -> None:
    """All cameras but the source are shifted."""
    from ui.document.path_edits import MoveAll

    session.dispatch(MoveAll((x or 0.0, y or 0.0, z or 0.0)))


def rotate(session: Session, yaw: float | None, pitch: float | None, roll: float | None, pivot: Any) -> None:
    """All cameras but the source are turned."""
    from ui.document.path_edits import RotateAll

    session.dispatch(RotateAll((yaw or 0.0, pitch or 0.0, roll or 0.0), pivot))


def scale(session: Session, factor: float | None, pivot: Any) -> None:
    """All cameras but the source come nearer or go farther."""
    from ui.document.path_edits import ScaleAll

    session.dispatch(ScaleAll(1.0 if factor is None else factor, pivot))


def pick(session: Session) -> None:
    """The next click into the scene picks a point, or does so no longer."""
    session.dispatch(msg.SetPicking(not session.state.picking))


def look_at(session: Session) -> None:
    """All cameras but the source turn to the point."""
    from ui.document.path_edits import LookAt

    session.dispatch(LookAt())


def copy_path(session: Session) -> str:
    """The edited path as text."""
    from ui.document.path_text import path_text

    path = session.state.document.edited
    return "" if path is None else path_text(path)


def copy_pose(session: Session) -> str:
    """The selected frame's pose as text."""
    from ui.document.path_text import pose_text

    document = session.state.document
    return "" if document.edited is None or document.selected is None else pose_text(document.edited, document.selected)


def paste(session: Session, text: str) -> None:
    """A text becomes the path, or the selected frame's pose."""
    from ui.document.path_edits import Paste

    session.dispatch(Paste(text))


def _inline(
    label: str, value: float, step: float, elem_id: str, maximum: float | None = None, precision: int | None = None
) -> gr.Number:
    return gr.Number(
        value, label=label, step=step, minimum=0, maximum=maximum, precision=precision, min_width=70, elem_id=elem_id,
        elem_classes="rap-inline",
    )  # fmt: skip


def _button(elem_id: str, min_width: int = 80) -> gr.Button:
    return gr.Button("Starting …", size="sm", interactive=False, min_width=min_width, elem_id=elem_id)


def _look(words: str, session: Session) -> ButtonLook:
    return edit_words.path_button(words, session.state.document)


def _copy_pose_look(session: Session) -> ButtonLook:
    document = session.state.document
    if document.selected is None:
        return edit_words.frame_button("Copy pose", document)
    return edit_words.path_button("Copy pose", document)


def _easings(_: bool) -> Any:
    from rap.geometry.reshape import EASINGS

    return gr.Dropdown([easing for easing in EASINGS if easing != "linear"])


def _pivots(_: bool) -> Any:
    from ui.document.path_edits import PIVOTS

    return gr.Dropdown(list(PIVOTS))
