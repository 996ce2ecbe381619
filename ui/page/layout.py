"""The page: Gradio components around one session. Widgets send messages and are drawn from the session's state.

No widget ever sets another. A listener dispatches one message and returns nothing; `Page.refresh` brings to the browser
what has changed of the state and nothing else: each `Part` names the values it shows, and is sent only when these are
new.

This module and the panels must load fast, for the first answer of the page waits for them; whatever brings torch
(sessions, geometry, plots) is loaded beside them and reaches them through `Future[Sessions]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.themes.base import Base
from gradio.themes.utils import colors, sizes

from rap.config import ASSETS
from rap.limits import FILE_BYTES
from ui.document import messages as msg
from ui.page.api import add_endpoints
from ui.page.blocks import Blocks
from ui.page.compare_panel import compare_panel, compare_player
from ui.page.fields_panel import fields_panel
from ui.page.frame_panel import FramePanel, frame_panel
from ui.page.help_words import help_sheet
from ui.page.html import Html, tag, together
from ui.page.import_panel import import_panel
from ui.page.input_panel import InputPanel, input_panel
from ui.page.keep_panel import keep_panel
from ui.page.keys_panel import KeysPanel, keys_panel
from ui.page.kiosk_panel import kiosk_panel
from ui.page.moves_panel import moves_panel
from ui.page.parts import FIRST_ANSWER_S, QUIET, Events, Panel, Part, Seen, html_box, refusal
from ui.page.path_panel import PathPanel, path_panel
from ui.page.pivot_panel import pivot_panel
from ui.page.result_panel import ResultPanel, result_panel
from ui.page.shape_panel import ShapePanel, TextPanel, shape_panel, text_panel
from ui.page.stage_panel import stage_panel, takes_panel
from ui.page.timeline_panel import numbers_panel, timeline_panel
from ui.page.verify_panel import verify_panel
from ui.serve.visitors import visitor

if TYPE_CHECKING:
    from rap.generators.kinds import Chosen
    from ui.session.session import Session
    from ui.session.sessions import Sessions

TITLE = "Rays as Pixels"
MISSING_WORDS = {"common.upload": "Upload", "common.complete": "Done"}
"""Keys that Gradio 6.31's components ask for and no language of its frontend has: the page would show the keys."""
DARK: dict[str, Any] = {
    "body_background_fill_dark": "#12141a",
    "body_text_color_dark": "#eceef3",
    "background_fill_primary_dark": "#1b1e25",
    "background_fill_secondary_dark": "#14161c",
    "block_background_fill_dark": "#1b1e25",
    "block_border_color_dark": "#2d313a",
    "block_label_background_fill_dark": "#1b1e25",
    "block_label_text_color_dark": "#b0b6c3",
    "block_title_text_color_dark": "#b0b6c3",
    "input_background_fill_dark": "#14161c",
    "input_border_color_dark": "#3a3f4b",
    "checkbox_background_color_dark": "#14161c",
    "border_color_primary_dark": "#2d313a",
    "button_primary_background_fill_dark": "#3f5bd0",
    "button_primary_background_fill_hover_dark": "#4c69d6",
    "button_primary_text_color_dark": "#ffffff",
    "button_secondary_background_fill_dark": "#23262f",
    "button_secondary_background_fill_hover_dark": "#2b2f3a",
    "button_secondary_text_color_dark": "#eceef3",
    "button_secondary_border_color_dark": "#3a3f4b",
    "button_secondary_border_color_hover_dark": "#5a6fb8",
    "color_accent_soft_dark": "#23294a",
}
"""What Gradio's own components look like on a dark page; the page's are in assets/app.css."""
LOADED = """() => {
  const link = location.hash.startsWith("#rap=") ? location.hash.slice(5) : "";
  if (link) history.replaceState(history.state, "", location.pathname + location.search);
  return [sessionStorage.getItem("rap-session") ?? "", document.body.classList.contains("dark"), link];
}"""
"""What a page knows when it is loaded. A link is taken out of its address: a reload must not undo what was done."""
CACHE_S = (600, 3600)  # Gradio's own copies of uploads and results: looked through every, deleted when older than


def build(sessions: Future[Sessions], *, kiosk_s: float | None = None, generator: Chosen | None = None) -> gr.Blocks:
    """The whole page.

    Args:
        sessions: where the page finds its session; may be resolved after the page is served.
        kiosk_s: seconds after which a page that anybody may walk up to begins anew; None: it is no such page.
        generator: the model of others that makes takes.
    """
    with Blocks(title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=CACHE_S) as demo:
        events = Events(sessions, gr.State(""))
        seen = gr.State({})
        html_box(together(_header(), help_sheet()))
        fields = fields_panel()
        kiosk = [] if kiosk_s is None else [kiosk_panel(kiosk_s)]
        player = compare_player()
        with gr.Row(elem_id="rap-columns"):
            with gr.Column(scale=3, min_width=300, elem_id="rap-rail", elem_classes="rap-column"):
                inputs, result, others = _rail(partial(result_panel, generator), player)
            with gr.Column(scale=11, min_width=480, elem_id="rap-main", elem_classes="rap-column"):
                path, shown = _stage(player)
        inputs.wire(events, result.steps, result.seed)
        panels = (fields, *kiosk, result, path, *others, *shown)
        for panel in panels:
            panel.wire(events)
        parts = [part for panel in (inputs, *panels) for part in panel.parts()]
        Page(events, parts).wire(demo, path.viewport, seen)
        add_endpoints(sessions)
    return demo


def _rail(make_result: Callable[[], ResultPanel], player: gr.HTML) -> tuple[InputPanel, ResultPanel, list[Panel]]:
    """What is done, step by step: give, move, make; and the tabs of what comes after."""
    with gr.Tabs(elem_classes="rap-tabs"):
        with gr.Tab("Make", elem_classes="rap-tab"):
            inputs = input_panel()
            moves, drawn = moves_panel()
            result = make_result()
        with gr.Tab("Edit", elem_id="rap-edit-tab", elem_classes="rap-tab", render_children=True):
            edits = _edit_panels()
        with gr.Tab("Verify", elem_classes="rap-tab", render_children=True):
            verify = verify_panel()
        with gr.Tab("Compare", elem_id="rap-compare-tab", elem_classes="rap-tab", render_children=True):
            compare = compare_panel(player)
        with gr.Tab("Keep", elem_id="rap-keep-tab", elem_classes="rap-tab", render_children=True):
            keep = keep_panel()
            imports = import_panel()
    return inputs, result, [moves, drawn, *edits, verify, compare, keep, imports]


def _stage(player: gr.HTML) -> tuple[PathPanel, list[Panel]]:
    """What is looked at: the picture and the 3D view side by side, one time axis under both."""
    with gr.Row(elem_id="rap-panes"):
        with gr.Column(elem_id="rap-picture", elem_classes="rap-pane", min_width=200):
            stage = stage_panel()
            player.render()
            pivot = pivot_panel()
        with gr.Column(elem_id="rap-space", elem_classes="rap-pane", min_width=200):
            path = path_panel()
    timeline = timeline_panel()
    takes = takes_panel()
    return path, [stage, pivot, timeline, takes, numbers_panel()]


def _header() -> Html:
    return tag(
        "header",
        tag("b", TITLE),
        tag("span", "Give a film or a photograph, move its camera, make the video again."),
        tag("button", "◐", type="button", id="rap-theme", title="Light or dark", aria_label="light or dark"),
        tag("button", "?", type="button", id="rap-help-open", title="Shortcuts (?)"),
        class_="rap-header",
    )


def _edit_panels() -> tuple[FramePanel, KeysPanel, ShapePanel, TextPanel]:
    """The tabs within the Edit tab."""
    with gr.Tabs(elem_classes=["rap-tabs", "rap-subtabs"]):
        with gr.Tab("Frame", elem_classes="rap-tab"):
            frame = frame_panel()
        with gr.Tab("Keys", elem_id="rap-keys-tab", elem_classes="rap-tab", render_children=True):
            keys = keys_panel()
        with gr.Tab("Path", elem_id="rap-shape-tab", elem_classes="rap-tab", render_children=True):
            shape = shape_panel()
        with gr.Tab("Text", elem_id="rap-text-tab", elem_classes="rap-tab", render_children=True):
            text = text_panel()
    return frame, keys, shape, text


def launch_options() -> dict[str, Any]:
    """What `Blocks.launch` needs for this page besides host and port."""
    return {
        "theme": theme(),
        "css_paths": [ASSETS / "app.css", ASSETS / "viewport.css"],
        "js": (ASSETS / "app.js").read_text(encoding="utf-8"),
        "max_file_size": FILE_BYTES.value,
        "i18n": gr.I18n(en=MISSING_WORDS),  # what other languages fall back to
        "footer_links": ["api"],
        "ssr_mode": False,  # with it Node fronts the port and the viewport's WebSocket breaks
        "quiet": True,
    }


def theme() -> Base:
    """Quiet paper, blue ink: colour belongs to the frames."""
    blue = colors.Color(
        "#f2f5fd", "#e3e9fb", "#c5d1f6", "#9db0ee", "#6f89e2", "#4c69d6",
        "#3050cd", "#2742ac", "#20378c", "#1a2c6e", "#111d4a",
    )  # fmt: skip
    base = Base(
        primary_hue=blue,
        neutral_hue=colors.slate,
        text_size=sizes.text_sm,
        spacing_size=sizes.spacing_sm,
        radius_size=sizes.radius_md,
        font=["Inter", "system-ui", "-apple-system", "Segoe UI", "sans-serif"],  # the reader's own; nothing is fetched
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
    return base.set(
        body_background_fill="#f5f6f9",
        block_background_fill="#ffffff",
        block_border_color="#e3e6ed",
        block_label_text_color="#565d6b",
        block_title_text_color="#565d6b",
        block_title_text_weight="500",
        input_background_fill="#ffffff",
        button_border_width="1px",
        button_secondary_border_color_hover="#9db0ee",
        button_large_text_weight="500",
        button_large_text_size="13px",
        button_large_padding="7px 12px",
        button_small_text_weight="500",
        button_small_text_size="12px",
        button_primary_background_fill="#3050cd",
        button_primary_background_fill_hover="#2742ac",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="#f2f5fd",
        button_secondary_border_color="#d5d9e3",
        **DARK,
    )


class Page:
    """What brings a session's state to the browser.

    The session says when there is something new to draw, and the browser then asks `refresh` for it, one request at a
    time: answers of listeners that run beside each other could arrive in any order, and leave something old on screen.

    Args:
        events: of the page, for its session.
        parts: of all panels.
    """

    def __init__(self, events: Events, parts: Sequence[Part]) -> None:
        self._events, self.parts = events, tuple(parts)

    def wire(self, demo: gr.Blocks, viewport: gr.HTML, seen: gr.State) -> None:
        """Draw when the page is loaded, and whenever the viewport's channel says that the state is another."""
        drawn, session_id = [seen, *(part.component for part in self.parts)], self._events.session_id
        # one component is told that an answer is pending, not a hundred that count its seconds
        quiet = {**QUIET, "show_progress_on": viewport}
        # the tab remembers its session, so that a reload finds it again
        demo.load(
            self.open,
            [gr.Textbox(visible=False), gr.Checkbox(visible=False), gr.Textbox(visible=False)],
            [session_id, *drawn],
            js=LOADED,
            **quiet,
        )
        remember = "(id) => { if (id) sessionStorage.setItem('rap-session', id); }"
        viewport.change(None, viewport, js=remember, **QUIET)
        # one at a time, and what is said meanwhile asks once more when it is done
        asked = viewport.input(self.refresh, [session_id, seen], drawn, trigger_mode="always_last", **quiet)
        asked.then(None, js="() => { document.dispatchEvent(new CustomEvent('rap-drawn')); }", **QUIET)

    def draw(self, session: Session, seen: Seen) -> list[Any]:
        """What of the session's state the page does not show yet."""
        now: Seen = {}
        updates = []
        for part in self.parts:
            name = part.component.elem_id or ""
            now[name] = part.values(session)
            updates.append(gr.skip() if seen.get(name) == now[name] else part.drawn(*now[name]))
        return [now, *updates]

    def open(self, wanted: str, is_dark: bool, link: str = "", request: gr.Request | None = None) -> list[Any]:
        """A page has been loaded: its session, `wanted` if that is still kept, and all there is to draw; `link` stood
        in its address.

        Raises gr.Error, which the page shows, where there is no room for another.
        """
        sessions = self._events.sessions.result(timeout=FIRST_ANSWER_S)
        who = "" if request is None else visitor(request.request.scope)  # Gradio always hands one over
        try:
            session = sessions.open(wanted, who)
        except ValueError as error:  # HubFull
            raise refusal(str(error)) from error
        session.dispatch(msg.SetDark(bool(is_dark)))
        if link:
            session.dispatch(msg.OpenLink(link))
        return [session.id, *self.draw(session, {})]

    def refresh(self, session_id: str, seen: Seen) -> list[Any]:
        """The session says that its state has changed."""
        return self.draw(self._events.session(session_id), seen)
