"""Of the Edit tab: the path held by a few key cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui.document import messages as msg
from ui.page import keys_words
from ui.page.common_words import ButtonLook
from ui.page.html import markup
from ui.page.parts import Events, Part, button_part, html_box, small_slider

if TYPE_CHECKING:
    from ui.session.session import Session

KEY_ACTIONS = (  # words, action of `ChangeKey`
    ("Duplicate", "duplicate"), ("Delete", "delete"), ("Earlier", "earlier"), ("Later", "later"),
)  # fmt: skip
DEFAULT_KEYS = 5


@dataclass(frozen=True)
class KeysPanel:
    """Keys: how many, which, when, and how the path runs between them."""

    line: gr.HTML
    count: gr.Slider
    to_keys: gr.Button
    to_dense: gr.Button
    choice: gr.Dropdown
    insert: gr.Button
    actions: tuple[gr.Button, ...]
    time: gr.Number
    set_time: gr.Button
    easing: gr.Dropdown
    tension: gr.Slider
    loop: gr.Checkbox

    def parts(self) -> Sequence[Part]:
        """What the panel shows."""
        return (
            Part(self.line, lambda s: (keys_words.keys_line(s.state.document),), markup),
            Part(self.count, _count_values, _count_slider),
            button_part(self.to_keys, lambda s: keys_words.keys_button(s.state.document)),
            button_part(self.to_dense, lambda s: keys_words.dense_button(s.state.document)),
            Part(self.choice, _choice_values, _choice),
            button_part(self.insert, lambda s: keys_words.insert_button(s.state.document)),
            *(
                button_part(button, partial(_action_look, words, action))
                for button, (words, action) in zip(self.actions, KEY_ACTIONS, strict=True)
            ),
            Part(self.time, _time_values, _time_field),
            button_part(self.set_time, lambda s: keys_words.key_button("Set time", s.state.document)),
            Part(self.easing, _style_values, _easing_choice),
            Part(self.tension, _style_values, _tension_slider),
            Part(self.loop, _style_values, _loop_box),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the panel."""
        events.on(self.to_keys.click, to_keys, [self.count])
        events.on(self.to_dense.click, to_dense)
        events.switch(self.choice.input, msg.Select, self.choice)
        events.on(self.insert.click, insert_key)
        for button, (_, action) in zip(self.actions, KEY_ACTIONS, strict=True):
            events.on(button.click, partial(change_key, action))
        for event in (self.set_time.click, self.time.submit):
            events.on(event, set_time, [self.time])
        style = [self.tension, self.easing, self.loop]
        for event in (self.tension.release, self.easing.input, self.loop.input):
            events.on(event, set_style, style)


def keys_panel() -> KeysPanel:
    """Simplify, choose, change, time."""
    line = html_box(elem_id="rap-keys-line")
    count = small_slider("Keys", 2, 17, DEFAULT_KEYS, step=1, elem_id="rap-key-count")
    with gr.Row(elem_classes="rap-pair"):
        keys = gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id="rap-to-keys")
        dense = gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id="rap-to-dense")
    choice = gr.Dropdown([], label="Go to key", interactive=False, elem_id="rap-key-choice", elem_classes="rap-inline")
    insert = gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id="rap-key-insert")
    actions = []
    for row in (KEY_ACTIONS[:2], KEY_ACTIONS[2:]):
        with gr.Row(elem_classes="rap-pair"):
            for _, action in row:
                actions.append(
                    gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id=f"rap-key-{action}")
                )
    with gr.Row(elem_classes="rap-pair"):
        time = gr.Number(
            None, label="Time (frames)", interactive=False, min_width=110, step=0.5, elem_id="rap-key-time",
            elem_classes="rap-inline",
        )  # fmt: skip
        set_time = gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id="rap-key-set-time")
    easing = gr.Dropdown(
        ["linear"], value="linear", label="Easing", interactive=False, allow_custom_value=True,
        elem_id="rap-key-easing", elem_classes="rap-inline",
    )  # fmt: skip
    tension = small_slider("Tension", 0, 1, 0, step=0.05, interactive=False, elem_id="rap-key-tension")
    loop = gr.Checkbox(False, label="Loop", interactive=False, elem_id="rap-key-loop")
    return KeysPanel(line, count, keys, dense, choice, insert, tuple(actions), time, set_time, easing, tension, loop)


def to_keys(session: Session, count: float) -> None:
    """Hold the path by so many keys."""
    from ui.document.path_edits import ToKeys

    session.dispatch(ToKeys(int(count)))


def to_dense(session: Session) -> None:
    """Free every frame."""
    from ui.document.path_edits import ToDense

    session.dispatch(ToDense())


def insert_key(session: Session) -> None:
    """The frame at the playhead becomes a key; selecting a frame puts the playhead there."""
    from ui.document.path_edits import InsertKey

    session.dispatch(InsertKey(session.state.playhead))


def change_key(action: Any, session: Session) -> None:
    """Something is done to the selected key."""
    from ui.document.path_edits import ChangeKey

    if session.state.document.selected is not None:
        session.dispatch(ChangeKey(session.state.document.selected, action))


def set_time(session: Session, time: float | None) -> None:
    """The selected key is passed at another time."""
    from ui.document.path_edits import SetKeyTime

    if session.state.document.selected is not None and time is not None:
        session.dispatch(SetKeyTime(session.state.document.selected, float(time)))


def set_style(session: Session, tension: float, easing: Any, loop: bool) -> None:
    """How the path runs between its keys."""
    from ui.document.path_edits import KeyStyle

    session.dispatch(KeyStyle(float(tension), easing, loop))


def _count_values(session: Session) -> tuple[int, int]:
    path = session.state.document.edited
    return (17, 2) if path is None else (len(path), len({0, path.source, len(path) - 1}))


def _count_slider(most: int, least: int) -> Any:
    return gr.update(maximum=max(most, 3), minimum=max(least, 2))


def _choice_values(session: Session) -> tuple[Any, ...]:
    document = session.state.document
    return tuple(keys_words.key_choices(document.keys)), document.selected


def _choice(choices: Sequence[tuple[str, int]], selected: int | None) -> Any:
    shown = selected if selected in [frame for _, frame in choices] else None
    return gr.Dropdown(
        list(choices), value=shown, interactive=bool(choices), label="Go to key" if choices else "Go to key (no keys)"
    )


def _action_look(words: str, action: str, session: Session) -> ButtonLook:
    return keys_words.key_button(words, session.state.document, for_source=action == "duplicate")


def _time_values(session: Session) -> tuple[Any, ...]:
    document = session.state.document
    key = None if document.keys is None else document.keys.key_at(document.selected)
    if document.keys is None or key is None:
        return None, False
    return round(document.keys.times[key], 3), key != document.keys.keys.source


def _time_field(time: float | None, enabled: bool) -> Any:
    return gr.update(value=time, interactive=enabled)


def _style_values(session: Session) -> tuple[Any, ...]:
    keys = session.state.document.keys
    return (0.0, "linear", False, False) if keys is None else (keys.tension, keys.easing, keys.loop, True)


def _easing_choice(tension: float, easing: str, loop: bool, enabled: bool) -> Any:
    from rap.geometry.reshape import EASINGS

    return gr.Dropdown(list(EASINGS), value=easing, interactive=enabled)


def _tension_slider(tension: float, easing: str, loop: bool, enabled: bool) -> Any:
    return gr.update(value=tension, interactive=enabled)


def _loop_box(tension: float, easing: str, loop: bool, enabled: bool) -> Any:
    return gr.Checkbox(loop, interactive=enabled)
