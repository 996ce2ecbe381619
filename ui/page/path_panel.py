"""The path in 3D, and its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import ASSETS
from ui.document import messages as msg
from ui.page import path_words as words
from ui.page.html import NOTHING, markup, tag
from ui.page.parts import Events, Part, button_part, html_box, maybe_button, picked, plot_values, small_slider

if TYPE_CHECKING:
    from ui.session.session import Session


@dataclass(frozen=True)
class PathPanel:
    """The path in 3D, and its history."""

    undo: gr.Button
    redo: gr.Button
    reset: gr.Button
    to_refined: gr.Button
    overview: gr.Button
    move: gr.Button
    turn: gr.Button
    dense: gr.Checkbox
    soft: gr.Checkbox
    radius: gr.Slider
    viewport: gr.HTML
    hint: gr.HTML
    figure: gr.Plot
    table: gr.Dataframe
    legend: gr.HTML
    notice: gr.HTML
    line: gr.HTML

    def parts(self) -> Sequence[Part]:
        """What the panel shows."""
        return (
            button_part(self.undo, lambda s: words.undo_button(s.state.document, s.state.earlier)),
            button_part(self.redo, lambda s: words.redo_button(s.state.document, s.state.later)),
            button_part(self.reset, lambda s: words.reset_button(s.state.document)),
            Part(self.to_refined, lambda s: (words.refined_button(s.state.document),), maybe_button),
            button_part(self.move, lambda s: words.gizmo_button("Move only", "move", s.state.gizmo)),
            button_part(self.turn, lambda s: words.gizmo_button("Turn only", "turn", s.state.gizmo)),
            Part(self.dense, lambda s: (s.state.geometry.shows_dense, _has_dense(s)), _dense_box),
            Part(self.soft, lambda s: (s.state.document.soft.on,), gr.Checkbox),
            Part(self.radius, lambda s: (s.state.document.soft.radius,), _slider),
            Part(self.viewport, lambda s: (s.id,), markup),
            Part(self.hint, _hint_values, markup),
            Part(self.figure, partial(plot_values, "space"), _path_figure),
            Part(self.table, partial(plot_values, "space"), _path_table),
            Part(self.legend, lambda s: (words.legend(s.state.document),), markup),
            Part(self.notice, lambda s: (words.path_notice(s.state.notice, s.state.document.report),), markup),
            Part(self.line, lambda s: (words.path_line(s.state.document),), markup),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the panel but the viewport's, which are the page's own."""
        for button, message in (
            (self.undo, msg.Undo()),
            (self.redo, msg.Redo()),
            (self.reset, msg.ResetToPredicted()),
            (self.to_refined, msg.ResetToRefined()),
            (self.move, msg.SetGizmo("move")),
            (self.turn, msg.SetGizmo("turn")),
        ):
            events.send(button.click, message)
        events.switch(self.dense.input, msg.SetDensePoints, self.dense)
        events.on(self.soft.input, soft_drag, [self.soft, self.radius])
        events.on(self.radius.release, soft_drag, [self.soft, self.radius])
        events.on(self.overview.click, show_overview)
        events.on_pick(self.viewport.select, set_look, trigger_mode="multiple")


def path_panel() -> PathPanel:
    """History and drag settings over the viewport, its own switches under it."""
    with gr.Row(elem_classes=["rap-toolbar", "rap-history"]):
        undo = gr.Button("Starting …", size="sm", interactive=False, min_width=130, elem_id="rap-undo")
        redo = gr.Button("Starting …", size="sm", interactive=False, min_width=130, elem_id="rap-redo")
        reset = gr.Button("Starting …", size="sm", interactive=False, min_width=120, elem_id="rap-reset")
        to_refined = gr.Button("Reset to refined", size="sm", visible=False, min_width=110, elem_id="rap-to-refined")
    with gr.Column(elem_id="rap-stage"):  # what is said lies over the picture, so that nothing moves when it comes
        viewport = html_box(
            NOTHING,
            html_template=tag("div", class_="rap-viewport"),
            js_on_load=(ASSETS / "viewport.js").read_text(encoding="utf-8"),
            elem_id="rap-viewport",
        )
        hint = html_box(words.viewport_hint(None, False), elem_id="rap-hint")
        legend = html_box(elem_id="rap-legend")
        notice = html_box(elem_id="rap-path-notice")
    with gr.Column(elem_classes="rap-fallback", elem_id="rap-fallback"):
        html_box(
            tag(
                "div",
                "The live 3D view needs a WebSocket and WebGL, and one of them is missing here. This plot and this "
                "table show the same path.",
                class_="rap-fact",
            ),
        )
        figure = gr.Plot(show_label=False, elem_id="rap-figure", container=False)
        table = gr.Dataframe(interactive=False, max_height=140, show_label=False, elem_id="rap-table")
    with gr.Row(elem_classes=["rap-toolbar", "rap-live"]):
        overview = gr.Button("Show all", size="sm", min_width=90, elem_id="rap-overview")
        move = gr.Button("Move only", size="sm", min_width=90, elem_id="rap-gizmo-move")
        turn = gr.Button("Turn only", size="sm", min_width=90, elem_id="rap-gizmo-turn")
        dense = gr.Checkbox(False, label="Dense points", min_width=120, elem_id="rap-dense")
    with gr.Row(elem_classes=["rap-toolbar", "rap-drag"]):
        soft = gr.Checkbox(True, label="Soft drag", min_width=100, elem_id="rap-soft")
        radius = small_slider("Reach", 1, 16, 4, step=0.5, elem_id="rap-radius", min_width=150)
    line = html_box(words.NO_PATH, elem_id="rap-path-line")
    return PathPanel(
        undo, redo, reset, to_refined, overview, move, turn, dense, soft, radius, viewport, hint, figure, table, legend,
        notice, line,
    )  # fmt: skip


def soft_drag(session: Session, on: bool, radius: float) -> None:
    """The way of dragging has been set."""
    session.dispatch(msg.SetSoftDrag(on, radius))


def set_look(session: Session, data: Any) -> None:
    """The page has become dark, or light, or shows the plot in place of the 3D view."""
    dark, fallback = picked(data, "dark", bool), picked(data, "fallback", bool)
    session.dispatch(msg.SetDark(dark))
    session.dispatch(msg.ShowPlot("space", fallback))


def show_overview(session: Session) -> None:
    """Bring the whole path into view."""
    session.viewport.orbit_view()


def _has_dense(session: Session) -> bool:
    scene = session.state.geometry.scene
    return scene is not None and scene.dense is not None


def _dense_box(on: bool, available: bool) -> Any:
    return gr.Checkbox(on, interactive=available)


def _slider(value: float) -> Any:
    return gr.Slider(value=value)


def _hint_values(session: Session) -> tuple[str]:
    document, geometry = session.state.document, session.state.geometry
    return (words.viewport_hint(document.clip, document.edited is not None, geometry.job, geometry.scene is not None),)


def _path_figure(*values: Any) -> Any:
    from ui.page import plots

    return plots.path_figure(*values) if values else None


def _path_table(path: Any = None, *_: Any) -> Any:
    from ui.page import plots

    return gr.Dataframe(plots.path_rows(path), headers=plots.PATH_COLUMNS)
