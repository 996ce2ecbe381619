"""The page: Gradio components around one session. Widgets send messages and are drawn from the session's state.

No widget ever sets another. A listener dispatches one message and returns nothing; `Page.refresh` brings to the browser
what has changed of the state and nothing else: each `Part` names the values it shows, and is sent only when these are
new.

This module must load fast, for the first answer of the page waits for it; whatever brings torch (sessions, geometry,
plots) is loaded beside it and reaches it through `Future[Sessions]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component
from gradio.themes.base import Base
from gradio.themes.utils import colors, sizes

from rap.config import ASSETS
from ui import messages as msg
from ui import panels
from ui.panels import ButtonLook

if TYPE_CHECKING:
    from ui.session import Session, Sessions

TITLE = "Rays as Pixels"
MAX_UPLOAD = "500mb"
FIRST_ANSWER_S = 120.0  # how long a page waits for torch to be imported before it says that something is wrong
CACHE_S = (600, 3600)  # Gradio's own copies of uploads and results: looked through every, deleted when older than
EXAMPLES = ASSETS / "examples"

Seen = dict[str, tuple[Any, ...]]
"""What a page shows at present: for each part the values it was drawn from."""


@dataclass(frozen=True)
class Part:
    """A component that shows something of the session.

    Args:
        values: what it depends on; the part is sent again when one of these is another.
        draw: the component's update, from these values.
    """

    component: Component
    values: Callable[[Session], tuple[Any, ...]]
    draw: Callable[..., Any]


@dataclass(frozen=True)
class InputPanel:
    """Left column: what comes in and how a path comes out of it."""

    files: gr.File
    examples: tuple[tuple[gr.Button, Path], ...]
    clip: gr.HTML
    notice: gr.HTML
    predict: gr.Button
    cancel: gr.Button
    auto_refine: gr.Checkbox
    refine: gr.Button
    fov: gr.Number
    progress: gr.HTML
    verdict: gr.HTML
    imagine: gr.Button
    preset: gr.Dropdown
    amplitude: gr.Slider
    apply: gr.Button


@dataclass(frozen=True)
class PathPanel:
    """Middle column: the path in 3D and over time, and its history."""

    undo: gr.Button
    redo: gr.Button
    reset: gr.Button
    to_refined: gr.Button
    overview: gr.Button
    dense: gr.Checkbox
    soft: gr.Checkbox
    radius: gr.Slider
    viewport: gr.HTML
    hint: gr.HTML
    figure: gr.Plot
    table: gr.Dataframe
    line: gr.HTML
    notice: gr.HTML
    motion: gr.Plot
    frame: gr.Slider


@dataclass(frozen=True)
class ResultPanel:
    """Right column: the video, the job that makes it, and what is kept."""

    video: gr.Video
    caption: gr.HTML
    preview: gr.HTML
    preview_line: gr.HTML
    takes: gr.Radio
    progress: gr.HTML
    notice: gr.HTML
    steps: gr.Number
    seed: gr.Number
    use_geometry: gr.Checkbox
    cost: gr.HTML
    regenerate: gr.Button
    cancel: gr.Button
    format: gr.Dropdown
    export: gr.Button
    download: gr.DownloadButton


def build(sessions: Future[Sessions], *, seed: int = 0, steps: int | None = None) -> gr.Blocks:
    """The whole page.

    Args:
        sessions: where the page finds its session; may be resolved after the page is served.
        seed, steps: what the widgets start with.
    """
    with gr.Blocks(title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=CACHE_S) as demo:
        session_id = gr.State("")
        seen = gr.State({})
        gr.HTML(
            f'<header class="rap-header"><b>{TITLE}</b><span>predict a camera path, bend it, generate along it</span>'
            "</header>",
            padding=False,
        )
        with gr.Row(elem_id="rap-columns"):
            with gr.Column(scale=4, min_width=260, elem_classes="rap-column"):
                inputs = input_panel()
            with gr.Column(scale=11, min_width=480, elem_classes="rap-column"):
                path = path_panel()
            with gr.Column(scale=5, min_width=300, elem_classes="rap-column"):
                result = result_panel(seed, steps)
        page = Page(sessions, inputs, path, result)
        wire(demo, page, session_id, seen)
    return demo


def launch_options() -> dict[str, Any]:
    """What `Blocks.launch` needs for this page besides host and port."""
    # the viewport's colours are chosen for a light ground; Gradio reads the theme from the address before it draws
    light = (
        "<script>(() => { const url = new URL(location); if (url.searchParams.get('__theme') !== 'light') {"
        " url.searchParams.set('__theme', 'light'); history.replaceState(null, '', url); } })();</script>"
    )
    return {
        "theme": theme(),
        "css_paths": [ASSETS / "app.css", ASSETS / "viewport.css"],
        "head": light,
        "js": (ASSETS / "app.js").read_text(encoding="utf-8"),
        "max_file_size": MAX_UPLOAD,
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
    )


def input_panel() -> InputPanel:
    """Upload, what was read of it, and the three ways to a path."""
    files = gr.File(
        label="Video, image, or several images", file_count="multiple", height=112, interactive=False,
        elem_id="rap-files",
    )  # fmt: skip
    examples = []
    clips = sorted(EXAMPLES.glob("*.mp4"))
    if clips:
        with gr.Row(elem_id="rap-examples"):
            for clip in clips:
                examples.append((gr.Button(clip.stem.replace("_", " "), size="sm", min_width=60), clip))
    clip = gr.HTML(panels.clip_card(None), elem_id="rap-clip", padding=False)
    notice = gr.HTML(elem_id="rap-input-notice", padding=False)
    with gr.Row(elem_classes="rap-pair"):
        predict = gr.Button(
            "Starting …", variant="primary", interactive=False, scale=5, min_width=120, elem_id="rap-predict"
        )
        cancel = gr.Button("Cancel", variant="stop", visible=False, scale=3, min_width=80, elem_id="rap-cancel-input")
    with gr.Row(elem_classes="rap-pair"):
        auto_refine = gr.Checkbox(True, label="Refine", min_width=80, scale=2, elem_id="rap-auto-refine")
        refine = gr.Button("Starting …", interactive=False, size="sm", scale=3, min_width=110, elem_id="rap-refine")
    fov = gr.Number(
        None, label="Field of view (deg)", placeholder="if known", minimum=0, maximum=170, step=1,
        elem_id="rap-fov", elem_classes="rap-inline",
    )  # fmt: skip
    progress = gr.HTML(elem_id="rap-input-progress", padding=False)
    verdict = gr.HTML(elem_id="rap-verdict", padding=False)
    imagine = gr.Button("Starting …", interactive=False, elem_id="rap-imagine")
    with gr.Group():
        preset = gr.Dropdown(
            ["arc-left"], value="arc-left", label="Preset path", allow_custom_value=True, elem_id="rap-preset"
        )
        amplitude = _small_slider("Amplitude", 0.1, 2.0, 1.0, step=0.05, elem_id="rap-amplitude")
    apply = gr.Button("Starting …", interactive=False, elem_id="rap-apply")
    return InputPanel(
        files, tuple(examples), clip, notice, predict, cancel, auto_refine, refine, fov, progress, verdict, imagine,
        preset, amplitude, apply,
    )  # fmt: skip


def path_panel() -> PathPanel:
    """History and drag settings over the viewport; looking through a camera and the plots under it."""
    with gr.Row(elem_classes="rap-toolbar"):
        undo = gr.Button("Starting …", size="sm", interactive=False, min_width=84, elem_id="rap-undo")
        redo = gr.Button("Starting …", size="sm", interactive=False, min_width=80, elem_id="rap-redo")
        reset = gr.Button("Starting …", size="sm", interactive=False, min_width=120, elem_id="rap-reset")
        to_refined = gr.Button("Reset to refined", size="sm", visible=False, min_width=110, elem_id="rap-to-refined")
        soft = gr.Checkbox(True, label="Soft drag", min_width=100, elem_id="rap-soft")
        radius = _small_slider("Reach", 1, 16, 4, step=0.5, elem_id="rap-radius", min_width=150)
    with gr.Column(elem_id="rap-stage"):  # what is said lies over the picture, so that nothing moves when it comes
        viewport = gr.HTML(
            "",
            html_template='<div class="rap-viewport"></div>',
            js_on_load=(ASSETS / "viewport.js").read_text(encoding="utf-8"),
            elem_id="rap-viewport",
            padding=False,
        )
        hint = gr.HTML(panels.viewport_hint(None, False), elem_id="rap-hint", padding=False)
        notice = gr.HTML(elem_id="rap-path-notice", padding=False)
    with gr.Column(elem_classes="rap-fallback", elem_id="rap-fallback"):
        gr.HTML(
            '<div class="rap-fact">The live 3D view needs a WebSocket and WebGL, and one of them is missing here. '
            "This plot and this table show the same path.</div>",
            padding=False,
        )
        figure = gr.Plot(show_label=False, elem_id="rap-figure", container=False)
        table = gr.Dataframe(interactive=False, max_height=140, show_label=False, elem_id="rap-table")
    with gr.Row(elem_classes=["rap-toolbar", "rap-live"]):
        overview = gr.Button("Show all", size="sm", min_width=90, elem_id="rap-overview")
        dense = gr.Checkbox(False, label="Dense points", min_width=120, elem_id="rap-dense")
        frame = _small_slider("Look through frame", 0, 16, 0, step=1, elem_id="rap-frame", min_width=200)
    line = gr.HTML(panels.NO_PATH, elem_id="rap-path-line", padding=False)
    motion = gr.Plot(show_label=False, elem_id="rap-motion", container=False)
    return PathPanel(
        undo, redo, reset, to_refined, overview, dense, soft, radius, viewport, hint, figure, table, line, notice,
        motion, frame,
    )  # fmt: skip


def result_panel(seed: int, steps: int | None) -> ResultPanel:
    """The take on show, the job, and the export."""
    video = gr.Video(
        label="Result", autoplay=True, loop=True, interactive=False, height=200, buttons=["download"],
        elem_id="rap-video",
    )  # fmt: skip
    caption = gr.HTML(elem_id="rap-caption", padding=False)
    takes = gr.Radio([], label="Takes", visible=False, elem_id="rap-takes")
    preview = gr.HTML(elem_id="rap-preview", padding=False)
    preview_line = gr.HTML(elem_id="rap-preview-line", padding=False)
    with gr.Row(elem_classes="rap-pair"):
        steps_box = gr.Number(
            steps, label="Steps", placeholder="default", precision=0, minimum=1, maximum=1000, min_width=70,
            elem_id="rap-steps", elem_classes="rap-inline",
        )  # fmt: skip
        seed_box = gr.Number(
            seed, label="Seed", precision=0, minimum=0, min_width=50, elem_id="rap-seed", elem_classes="rap-inline"
        )
    with gr.Row(elem_classes="rap-pair"):
        cost = gr.HTML(panels.cost_line(None), elem_id="rap-cost", padding=False)
        use_geometry = gr.Checkbox(True, label="With geometry", min_width=140, elem_id="rap-use-geometry")
    with gr.Row(elem_classes="rap-pair"):
        regenerate = gr.Button(
            "Starting …", variant="primary", interactive=False, scale=5, min_width=120, elem_id="rap-regenerate"
        )
        cancel = gr.Button("Starting …", variant="stop", interactive=False, scale=3, min_width=90, elem_id="rap-cancel")
    progress = gr.HTML(elem_id="rap-progress", padding=False)
    notice = gr.HTML(elem_id="rap-result-notice", padding=False)
    file_format = gr.Dropdown(
        ["nerfstudio"], value="nerfstudio", label="Cameras as", allow_custom_value=True, elem_id="rap-format"
    )
    export = gr.Button("Starting …", interactive=False, elem_id="rap-export")
    download = gr.DownloadButton("download", elem_id="rap-download", elem_classes="rap-hidden")
    return ResultPanel(
        video, caption, preview, preview_line, takes, progress, notice, steps_box, seed_box, use_geometry, cost,
        regenerate, cancel, file_format, export, download,
    )  # fmt: skip


class Page:
    """The listeners: each dispatches one message to the session, and `refresh` alone draws what has come of it.

    The session says when there is something new to draw, and the browser then asks `refresh` for it, one request at a
    time: answers of listeners that run beside each other could arrive in any order, and leave something old on screen.
    """

    def __init__(self, sessions: Future[Sessions], inputs: InputPanel, path: PathPanel, result: ResultPanel) -> None:
        self._sessions = sessions
        self.inputs, self.path, self.result = inputs, path, result
        self.parts = (*input_parts(inputs), *path_parts(path), *result_parts(result))

    def draw(self, session: Session, seen: Seen) -> list[Any]:
        """What of the session's state the page does not show yet."""
        now: Seen = {}
        updates = []
        for part in self.parts:
            name = part.component.elem_id or ""
            now[name] = part.values(session)
            updates.append(gr.skip() if seen.get(name) == now[name] else part.draw(*now[name]))
        return [now, *updates]

    def open(self, wanted: str) -> list[Any]:
        """A page has been loaded: its session, and what geometry and formats offer."""
        session = self._sessions.result(timeout=FIRST_ANSWER_S).open(wanted)
        return [
            session.id,
            gr.File(interactive=True),
            gr.Dropdown(choices=session.presets),
            gr.Dropdown(choices=session.export_formats),
            gr.Number(value=self.result.steps.value),  # an empty number shows as 0 until it is said to be empty
            *self.draw(session, {}),
        ]

    def refresh(self, session_id: str, seen: Seen) -> list[Any]:
        """The session says that its state has changed."""
        return self.draw(self._session(session_id), seen)

    def send(self, message: msg.Message, session_id: str) -> None:
        """A button without values of its own."""
        self._session(session_id).dispatch(message)

    def switch(self, message: Callable[[Any], msg.Message], session_id: str, value: Any) -> None:
        """A widget whose value is a message's only field."""
        self.send(message(value), session_id)

    def upload(self, session_id: str, files: list[str] | None) -> None:
        """Files were dropped or chosen; taking them away changes nothing."""
        if files:
            self.send(msg.Upload(tuple(files)), session_id)

    def predict(self, session_id: str, seed: float | None) -> None:
        """Begin to predict."""
        self.send(msg.Predict(seed=int(seed or 0)), session_id)

    def imagine(self, session_id: str, steps: float | None, seed: float | None) -> None:
        """Begin to imagine."""
        self.send(msg.Imagine(_steps(steps), int(seed or 0)), session_id)

    def regenerate(self, session_id: str, steps: float | None, seed: float | None) -> None:
        """Begin to regenerate."""
        self.send(msg.Regenerate(_steps(steps), int(seed or 0)), session_id)

    def apply_preset(self, session_id: str, name: str, amplitude: float) -> None:
        """A preset becomes the path."""
        self.send(msg.ApplyPreset(name, amplitude), session_id)

    def soft_drag(self, session_id: str, on: bool, radius: float) -> None:
        """The way of dragging has been set."""
        self.send(msg.SetSoftDrag(on, radius), session_id)

    def show_take(self, session_id: str, number: int | None) -> None:
        """Another take was chosen."""
        if number is not None:
            self.send(msg.ShowTake(int(number)), session_id)

    def overview(self, session_id: str) -> None:
        """Bring the whole path into view."""
        self._session(session_id).viewport.orbit_view()

    def look_through(self, session_id: str, index: float) -> None:
        """Fly this page's view to a frame's camera."""
        session = self._session(session_id)
        path = session.state.document.edited
        if path is not None and index < len(path):
            session.viewport.show_frame(int(index))

    def export(self, session_id: str, format_name: str) -> str:
        """Write the cameras; the browser then downloads them."""
        try:
            return str(self._session(session_id).export(format_name))
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _session(self, session_id: str) -> Session:
        if not session_id:
            raise gr.Error("The page is still starting; try again in a moment.", print_exception=False)
        try:
            return self._sessions.result(timeout=FIRST_ANSWER_S).get(session_id)
        except ValueError as error:  # SessionGone
            raise gr.Error(str(error), print_exception=False) from error


def input_parts(panel: InputPanel) -> Sequence[Part]:
    """What the left column shows."""
    return (
        Part(panel.clip, lambda s: (s.state.document.clip,), panels.clip_card),
        Part(panel.notice, lambda s: (panels.notice_line(s.state.notice, "input"),), gr.HTML),
        _button(panel.predict, lambda s: panels.predict_button(s.state.document, s.state.job)),
        Part(panel.cancel, lambda s: (panels.input_cancel_button(s.state.job, s.state.geometry.job),), _maybe_button),
        Part(panel.auto_refine, lambda s: (s.state.geometry.refine_on,), gr.Checkbox),
        _button(panel.refine, lambda s: panels.refine_button(s.state.document, s.state.geometry)),
        Part(panel.fov, lambda s: (s.known_fov_y_deg, s.state.document.clip is not None), _fov_field),
        Part(panel.progress, lambda s: (s.state.job, s.state.geometry.job), panels.input_progress),
        Part(panel.verdict, lambda s: (s.state.document.report,), panels.verdict_card),
        _button(panel.imagine, lambda s: panels.imagine_button(s.state.document, s.state.job)),
        _button(panel.apply, lambda s: panels.preset_button(s.state.document)),
    )


def path_parts(panel: PathPanel) -> Sequence[Part]:
    """What the middle column shows."""
    return (
        _button(panel.undo, lambda s: panels.undo_button(s.state.document)),
        _button(panel.redo, lambda s: panels.redo_button(s.state.document)),
        _button(panel.reset, lambda s: panels.reset_button(s.state.document)),
        Part(panel.to_refined, lambda s: (panels.refined_button(s.state.document),), _maybe_button),
        Part(panel.dense, lambda s: (s.state.geometry.dense_on, _has_dense(s)), _dense_box),
        Part(panel.soft, lambda s: (s.state.document.soft.on,), gr.Checkbox),
        Part(panel.radius, lambda s: (s.state.document.soft.radius,), _slider),
        Part(panel.viewport, lambda s: (s.id,), gr.HTML),
        Part(panel.hint, _hint_values, gr.HTML),
        Part(panel.figure, _path_values, _path_figure),
        Part(panel.table, lambda s: (s.state.document.edited,), _path_table),
        Part(panel.line, lambda s: (panels.path_line(s.state.document),), gr.HTML),
        Part(panel.notice, lambda s: (panels.notice_line(s.state.notice, "path"),), gr.HTML),
        Part(panel.motion, _path_values, _motion_figure),
        Part(panel.frame, lambda s: (s.state.document.edited,), _frame_slider),
    )


def result_parts(panel: ResultPanel) -> Sequence[Part]:
    """What the right column shows."""
    return (
        Part(panel.video, lambda s: (s.state.document.take,), _video),
        Part(panel.caption, lambda s: (panels.take_caption(s.state.document),), gr.HTML),
        Part(panel.takes, _take_values, _takes),
        Part(panel.preview, lambda s: (s.state.geometry.preview,), panels.preview_video),
        Part(panel.preview_line, _preview_words, gr.HTML),
        Part(panel.use_geometry, lambda s: (s.state.geometry.use_on,), gr.Checkbox),
        Part(panel.progress, lambda s: (s.state.job,), panels.result_progress),
        Part(panel.notice, lambda s: (panels.notice_line(s.state.notice, "result"),), gr.HTML),
        Part(panel.cost, lambda s: (s.seconds_per_step("regenerate"),), panels.cost_line),
        _button(panel.regenerate, lambda s: panels.regenerate_button(s.state.document, s.state.job)),
        _button(panel.cancel, lambda s: panels.cancel_button(s.state.job)),
        _button(panel.export, lambda s: panels.export_button(s.state.document)),
    )


def wire(demo: gr.Blocks, page: Page, session_id: gr.State, seen: gr.State) -> None:
    """Every listener of the page."""
    inputs, path, result = page.inputs, page.path, page.result
    drawn = [seen, *(part.component for part in page.parts)]
    # private: the public interface has its own, named functions
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

    # the tab remembers its session, so that a reload finds it again
    demo.load(
        page.open,
        gr.Textbox(visible=False),
        [session_id, inputs.files, inputs.preset, result.format, result.steps, *drawn],
        js="() => sessionStorage.getItem('rap-session') ?? ''",
        **quiet,
    )
    remember = "(id) => { if (id) sessionStorage.setItem('rap-session', id); }"
    path.viewport.change(None, path.viewport, js=remember, **quiet)
    # one at a time, and what is said meanwhile asks once more when it is done
    path.viewport.input(page.refresh, [session_id, seen], drawn, trigger_mode="always_last", **quiet)

    wire_input(page, session_id, quiet)
    for button, message in (
        (path.undo, msg.Undo()),
        (path.redo, msg.Redo()),
        (path.reset, msg.ResetToPredicted()),
        (path.to_refined, msg.ResetToRefined()),
        (inputs.refine, msg.Refine()),
        (inputs.cancel, msg.Cancel("input")),
        (result.cancel, msg.Cancel("result")),
    ):
        button.click(partial(page.send, message), session_id, None, **quiet)
    for checkbox, switch in (
        (inputs.auto_refine, msg.SetRefine),
        (path.dense, msg.SetDensePoints),
        (result.use_geometry, msg.SetUseGeometry),
    ):
        checkbox.input(partial(page.switch, switch), [session_id, checkbox], None, **quiet)
    path.soft.input(page.soft_drag, [session_id, path.soft, path.radius], None, **quiet)
    path.radius.release(page.soft_drag, [session_id, path.soft, path.radius], None, **quiet)
    path.overview.click(page.overview, session_id, None, **quiet)
    path.frame.input(page.look_through, [session_id, path.frame], None, trigger_mode="always_last", **quiet)

    result.regenerate.click(page.regenerate, [session_id, result.steps, result.seed], None, **quiet)
    result.takes.input(page.show_take, [session_id, result.takes], None, **quiet)
    # a browser downloads only what is clicked: write the file, give it to a hidden link, click that
    result.export.click(page.export, [session_id, result.format], result.download, **quiet).success(
        None, js="() => setTimeout(() => document.querySelector('#rap-download')?.click(), 100)", **quiet
    )


def wire_input(page: Page, session_id: gr.State, quiet: dict[str, Any]) -> None:
    """The listeners of the left column that have values of their own."""
    inputs, result = page.inputs, page.result
    reading = {**quiet, "show_progress": "minimal", "show_progress_on": inputs.clip}  # takes seconds
    inputs.files.upload(page.upload, [session_id, inputs.files], None, **reading)
    for button, clip in inputs.examples:
        button.click(partial(page.send, msg.Upload((str(clip),))), session_id, None, **reading)
    inputs.predict.click(page.predict, [session_id, result.seed], None, **quiet)
    inputs.imagine.click(page.imagine, [session_id, result.steps, result.seed], None, **quiet)
    inputs.apply.click(page.apply_preset, [session_id, inputs.preset, inputs.amplitude], None, **quiet)
    for event in (inputs.fov.submit, inputs.fov.blur):
        event(partial(page.switch, msg.SetFieldOfView), [session_id, inputs.fov], None, **quiet)


def _button(component: gr.Button, look: Callable[[Session], ButtonLook]) -> Part:
    return Part(component, lambda s: (look(s),), lambda look: gr.Button(look.label, interactive=look.enabled))


def _maybe_button(look: ButtonLook | None) -> Any:
    return gr.Button(visible=False) if look is None else gr.Button(look.label, interactive=look.enabled, visible=True)


def _fov_field(fov_y_deg: float | None, has_clip: bool) -> Any:
    return gr.Number(None if fov_y_deg is None else round(fov_y_deg, 2), interactive=has_clip)


def _has_dense(session: Session) -> bool:
    scene = session.state.geometry.scene
    return scene is not None and scene.dense is not None


def _dense_box(on: bool, available: bool) -> Any:
    return gr.Checkbox(on, label="Dense points" if available else "Dense points (needs depth)", interactive=available)


def _preview_words(session: Session) -> tuple[str]:
    return (panels.preview_line(session.state.geometry, session.state.document.edited is not None),)


def _small_slider(label: str, low: float, high: float, value: float, **options: Any) -> gr.Slider:
    """A slider on one line."""
    return gr.Slider(low, high, value, label=label, buttons=[], elem_classes="rap-slider", **options)


def _steps(value: float | None) -> int | None:
    return int(value) if value else None


def _slider(value: float) -> Any:
    return gr.Slider(value=value)


def _path_values(session: Session) -> tuple[Any, ...]:
    document = session.state.document
    return document.edited, document.comparison, document.selected


def _hint_values(session: Session) -> tuple[str]:
    document = session.state.document
    return (panels.viewport_hint(document.clip, document.edited is not None),)


def _path_figure(*values: Any) -> Any:
    from ui import plots

    return plots.path_figure(*values)


def _motion_figure(*values: Any) -> Any:
    from ui import plots

    return plots.motion_figure(*values)


def _path_table(path: Any) -> Any:
    from ui import plots

    return gr.Dataframe(plots.path_rows(path), headers=plots.PATH_COLUMNS)


def _frame_slider(path: Any) -> Any:
    return gr.Slider(maximum=16 if path is None else max(1, len(path) - 1), interactive=path is not None)


def _video(take: Any) -> Any:
    return None if take is None else str(take.video)


def _take_values(session: Session) -> tuple[Any, ...]:
    document = session.state.document
    return tuple((panels.take_label(document, take), take.number) for take in document.takes), document.shown_take


def _takes(choices: Sequence[tuple[str, int]], shown: int | None) -> Any:
    return gr.Radio(choices=list(choices), value=shown, visible=len(choices) > 1)
