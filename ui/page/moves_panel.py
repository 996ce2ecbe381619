"""The second step: choose how the camera moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui.document import messages as msg
from ui.page import move_words as words
from ui.page.parts import Events, Part, button_part, html_box, picked, small_slider
from ui.page.sketch_panel import SketchPanel, sketch_panel

if TYPE_CHECKING:
    from ui.document.state import BuiltScene
    from ui.session.session import Session

MOST_DEGREES = 3600  # ten turns
PICK_MOVE = """
element.addEventListener("click", (event) => {
  const move = event.target.closest("[data-move]");
  if (move) trigger("select", { move: move.dataset.move });
});
"""


@dataclass(frozen=True)
class MovesPanel:
    """Four large buttons, and all presets with their settings under "More moves"."""

    large: gr.HTML
    preset: gr.Dropdown
    amplitude: gr.Slider
    pivot: gr.Slider
    by: gr.Number
    apply: gr.Button

    def parts(self) -> Sequence[Part]:
        """What the panel shows."""
        return (
            Part(self.large, _large_values, words.large_moves),
            Part(self.preset, lambda s: (tuple(s.presets),), _choices),
            Part(self.pivot, _pivot_values, _pivot_distance),
            Part(self.by, lambda s: (), _no_number),
            button_part(self.apply, lambda s: words.preset_button(s.state.document)),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the panel."""
        settings = [self.amplitude, self.pivot]
        events.on_pick(self.large.select, apply_move, settings)
        events.on(self.apply.click, apply_preset, [self.preset, *settings, self.by])


def moves_panel() -> tuple[MovesPanel, SketchPanel]:
    """The large ones first; in the fold all others, and what is drawn by hand."""
    large = html_box(words.large_moves(None, False), js_on_load=PICK_MOVE, elem_id="rap-moves")
    amplitude = small_slider("How far", 0.1, 2.0, 1.0, step=0.05, elem_id="rap-amplitude")
    with gr.Accordion("More moves", open=False, elem_id="rap-more-moves"):
        preset = gr.Dropdown(
            ["arc-left"], value="arc-left", show_label=False, container=False, allow_custom_value=True,
            elem_id="rap-preset",
        )  # fmt: skip
        pivot = small_slider("Pivot distance", 0.1, 5.0, 1.0, step=0.05, elem_id="rap-pivot-distance")
        with gr.Row(elem_classes="rap-pair"):
            by = gr.Number(
                None, label="By ° or %", placeholder="auto", minimum=1, maximum=MOST_DEGREES, step=5,
                min_width=110, elem_id="rap-degrees", elem_classes="rap-inline",
            )  # fmt: skip
            apply = gr.Button("Starting …", interactive=False, size="sm", min_width=90, elem_id="rap-apply")
        drawn = sketch_panel()
    return MovesPanel(large, preset, amplitude, pivot, by, apply), drawn


def apply_move(session: Session, data: Any, amplitude: float, pivot_distance: float) -> None:
    """A large button was pressed."""
    apply_preset(session, picked(data, "move", str), amplitude, pivot_distance)


def apply_preset(session: Session, name: str, amplitude: float, pivot_distance: float, by: float | None = None) -> None:
    """A preset becomes the path, about the picked point or the middle of a picture where the slider says so."""
    from rap.geometry.presets import amplitude_of

    if by is not None:
        try:
            amplitude_of(name, by)
        except ValueError as error:
            session.dispatch(msg.CheckFields(("degrees",), (("degrees", str(error)),)))
            return
    is_own = pivot_distance == _shown_distance(*_pivot_values(session))  # not rounded, and of what is there then
    session.dispatch(msg.ApplyPreset(name, amplitude, None if is_own else pivot_distance, by))


def _no_number() -> Any:
    return gr.Number(value=None)  # an empty number shows as 0 until it is said to be empty


def _large_values(session: Session) -> tuple[str | None, bool]:
    document = session.state.document
    return words.last_move(document), document.clip is not None


def _choices(names: tuple[str, ...]) -> Any:
    return gr.Dropdown(choices=words.choices(names))


def _pivot_values(session: Session) -> tuple[Any, ...]:
    return session.state.document.target, session.state.geometry.scene


def _pivot_distance(target: tuple[float, float, float] | None, built: BuiltScene | None) -> Any:
    """A picked point brings its depth, a scene that of its middle; the person may still say another."""
    return gr.Slider(value=_shown_distance(target, built))


def _shown_distance(target: tuple[float, float, float] | None, built: BuiltScene | None) -> float:
    distance = 1.0
    if target is not None:
        distance = target[2]
    elif built is not None and built.basis.known_from != "flat image":
        distance = built.centre_depth
    return min(max(round(distance, 2), 0.1), 5.0)
