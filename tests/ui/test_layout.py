"""The page without a browser: what each button says, what is sent and what is not, and what is public."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from fakes import FakeGeometry, FakePipeline, clip, moving_frames, wait_until

from rap.data import write_video
from rap.geometry import preset, scale_motion
from rap.reconstruction.refine import RefinementReport
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.document import Document, Settings
from ui.document.state import Basis, Geometry, GeometryJob, JobStatus, Notice, PreviewClip, PreviewRequest
from ui.page import (
    common_words,
    compare_panel,
    fields_panel,
    frame_panel,
    help_words,
    input_panel,
    input_words,
    keep_panel,
    keep_words,
    keys_panel,
    layout,
    move_words,
    moves_panel,
    path_panel,
    path_words,
    pivot_panel,
    plots,
    result_panel,
    result_words,
    shape_panel,
    stage_panel,
    timeline_panel,
    verify_panel,
)
from ui.page.api import ENDPOINTS
from ui.page.common_words import ButtonLook
from ui.page.parts import FIELD_NAMES, Events, out_of_limits
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.sessions import Sessions
from ui.viewport import palette

# viser leaves its listening socket, Gradio its event loops to the collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CLIP = clip()
PATH = doc.with_prediction(doc.with_clip(Document(), CLIP), preset("arc-left", image_size=CLIP.image_size))
JOB = JobStatus(1, "regenerate", Settings())
REPORT = RefinementReport(
    "refined", "It fits.", "frames", "self-calibrated", 6.5, 0.5, 900, 120, 1.04, 2.0, verdict="good", error_deg=1.2
)
REFINED = doc.with_refinement(PATH, scale_motion(PATH.predicted, 0.9), REPORT)
STOPPING = ButtonLook("Stopping …", False)
REFINING = GeometryJob(2, "refine", Basis(CLIP, PATH.predicted, "predicted"))


@pytest.fixture(autouse=True, scope="module")
def collected():
    """What these tests leave to the collector is collected here, where its warnings are expected."""
    yield
    gc.collect()


@pytest.fixture
def page():
    hub = Hub(grace_s=600.0)  # on a busy machine a test may take longer than a page is missed
    sessions: Future[Sessions] = Future()
    sessions.set_result(Sessions(Worker(FakePipeline), GeometryWorker(FakeGeometry), hub, Options()))
    with gr.Blocks():
        panes = (
            input_panel.input_panel(),
            *moves_panel.moves_panel(),
            stage_panel.stage_panel(),
            pivot_panel.pivot_panel(),
            stage_panel.takes_panel(),
            timeline_panel.timeline_panel(),
            timeline_panel.numbers_panel(),
            path_panel.path_panel(),
            result_panel.result_panel(),
            fields_panel.fields_panel(),
            keep_panel.keep_panel(),
            frame_panel.frame_panel(),
            keys_panel.keys_panel(),
            shape_panel.shape_panel(),
            shape_panel.text_panel(),
            verify_panel.verify_panel(),
            compare_panel.compare_panel(compare_panel.compare_player()),
        )
        page = layout.Page(Events(sessions, gr.State("")), [part for pane in panes for part in pane.parts()])
    yield page
    sessions.result().close()


def sent(page, drawn):
    """elem_ids of the parts that a draw brings to the browser."""
    skip = gr.skip()
    return {part.component.elem_id for part, update in zip(page.parts, drawn[1:], strict=True) if update != skip}


@pytest.fixture(scope="module")
def demo():
    return layout.build(Future())


def test_every_word_of_the_craft_is_said_at_controls_that_are_there(demo):
    names = {block.elem_id for block in demo.blocks.values()}
    assert {name for _, ids, _ in help_words.CRAFT for name in ids.split()} <= names


def test_every_listener_but_the_endpoints_is_private(demo):
    named = {fn.api_name for fn in demo.fns.values() if fn.api_visibility == "public"}
    assert named == set(ENDPOINTS)


def test_every_part_has_a_name_of_its_own(page):
    names = [part.component.elem_id for part in page.parts]
    assert all(names) and len(set(names)) == len(names)


def test_what_was_typed_and_not_used_is_overwritten(page):
    """Fields are sent again with what is true, also where that is what the page was told last."""
    session_id, seen, _ = open_page(page)
    session = session_of(page, session_id)
    session.dispatch(msg.ClipRead(clip()))
    session.dispatch(msg.ApplyPreset("truck-left"))
    session.dispatch(msg.Select(5))
    seen = page.refresh(session_id, seen)[0]
    session.dispatch(msg.Select(7))
    drawn = page.refresh(session_id, seen)
    assert {"rap-frame-fov", "rap-frame-yaw", "rap-frame-quaternion"} <= sent(page, drawn)
    assert "rap-fov" not in sent(page, drawn)


def test_what_is_refused_stays_in_its_field_with_the_reason_until_it_is_mended(page):
    session_id, seen, _ = open_page(page)
    session = session_of(page, session_id)
    session.dispatch(msg.ClipRead(clip()))
    seen = page.refresh(session_id, seen)[0]
    for number in (1, 2):
        session.dispatch(msg.SetFieldOfView(500.0))
        drawn = page.refresh(session_id, seen)
        assert sent(page, drawn) == {"rap-wrong"} and session.known_fov_y_deg is None
        told = fields_panel.wrong_fields(session.state.wrong)
        assert f'data-field="rap-fov" data-number="{number}"' in told and "1 and 170 degrees, got 500" in told
        seen = drawn[0]
    session.dispatch(msg.Upload(("nowhere.mp4",)))
    assert session.state.wrong and session.state.notice.is_error, "another matter"
    session.dispatch(msg.SetFieldOfView(50.0))
    assert not session.state.wrong and {"rap-fov", "rap-wrong"} <= sent(page, page.refresh(session_id, seen))


def test_the_cost_follows_what_is_typed_and_typing_is_not_answered(page):
    session_id, seen, _ = open_page(page)
    session = session_of(page, session_id)
    session.dispatch(msg.ClipRead(clip()))
    session.dispatch(msg.SetUseGeometry(False))
    session.dispatch(msg.ApplyPreset("arc-left"))
    wait_until(lambda: session.state.geometry.scene is not None and session.state.geometry.preview is not None)
    wait_until(lambda: session.state.geometry.job is None and session.state.geometry.wanted is None)
    seen = page.refresh(session_id, seen)[0]
    result_panel.set_take(session, 40, 7, None, None, 640, None, None)
    drawn = page.refresh(session_id, seen)
    assert sent(page, drawn) == {"rap-cost"} and "Cost: 40 steps" in result_words.cost_line(session.cost)
    version = session.state.version
    result_panel.set_take(session, 40, 7, None, None, 640, None, None)
    assert session.state.version == version
    assert page.open(session_id, False)[1]["rap-steps"][0].value == 40, "a reload shows it again"


def session_of(page, session_id):
    return page._events.session(session_id)


def open_page(page):
    """Id of a new session, what the page shows, and its first draw."""
    opened = page.open("", False)
    return opened[0], opened[1], opened[1:]


def until(page, session_id, seen, condition):
    """What a browser does while something is at work: the last `seen`, and all parts sent on the way."""
    session, shown = session_of(page, session_id), set()
    while True:
        done = condition(session.state)
        drawn = page.refresh(session_id, seen)
        seen, shown = drawn[0], shown | sent(page, drawn)
        if done:
            return seen, shown
        time.sleep(0.01)


def idle(state):
    return not state.busy


def test_only_what_has_changed_is_sent(page, tmp_path):
    session_id, seen, drawn = open_page(page)
    assert sent(page, drawn) == {part.component.elem_id for part in page.parts}
    assert sent(page, page.refresh(session_id, seen)) == set()

    write_video(tmp_path / "clip.mp4", moving_frames(17), 8.0)
    input_panel.upload(session_of(page, session_id), [])
    assert sent(page, page.refresh(session_id, seen)) == set()
    input_panel.upload(session_of(page, session_id), [str(tmp_path / "clip.mp4")])
    seen, shown = until(page, session_id, seen, idle)
    given = {
        "rap-clip",
        "rap-stage-clip",
        "rap-moves",
        "rap-hint",
        "rap-predict",
        "rap-imagine",
        "rap-apply",
        "rap-record-view",
    }
    assert shown == given | {"rap-fov", "rap-save", "rap-first", "rap-last"}
    session_of(page, session_id).dispatch(msg.ShowPlot("time", True))
    input_panel.predict(session_of(page, session_id), 0)
    seen, shown = until(page, session_id, seen, lambda state: state.geometry.preview is not None)
    path = {"rap-path-line", "rap-regenerate", "rap-export", "rap-motion"}
    assert path | {"rap-verdict", "rap-refine", "rap-to-refined", "rap-dense", "rap-preview"} <= shown
    session_of(page, session_id).dispatch(msg.Undo())
    assert sent(page, page.refresh(session_id, seen)) <= {"rap-path-notice"}, "nothing to undo"
    result_panel.regenerate(session_of(page, session_id), 3, 1, 2.5, 0.0)
    seen, shown = until(page, session_id, seen, idle)
    assert {"rap-progress", "rap-video", "rap-caption", "rap-cancel", "rap-takes", "rap-cost"} <= shown
    assert "guidance 2.5 · noise 0 ·" in result_words.take_details(session_of(page, session_id).state.document)
    assert "rap-motion" not in shown and "rap-viewport" not in shown
    assert "rap-preview" in shown, "the take is the same, only larger"
    exported = Path(keep_panel.export(session_of(page, session_id), "nerfstudio"))
    assert exported.name == "transforms.json" and exported.is_file()
    keep_panel.export(session_of(page, session_id), "tum")
    assert "no place for: lens" in session_of(page, session_id).state.notice.text
    assert "rap-keep-notice" in sent(page, page.refresh(session_id, seen)), "and stays there"


def test_switches_and_fields_reach_the_session(page, tmp_path):
    session_id, seen, _ = open_page(page)
    write_video(tmp_path / "clip.mp4", moving_frames(17), 8.0)
    input_panel.upload(session_of(page, session_id), [str(tmp_path / "clip.mp4")])
    for message in (msg.SetRefine, msg.SetUseGeometry):
        session_of(page, session_id).dispatch(message(False))
    session_of(page, session_id).dispatch(msg.SetFieldOfView(48.5))
    moves_panel.apply_preset(session_of(page, session_id), "arc-left", 0.5, 1.0)
    path_panel.soft_drag(session_of(page, session_id), False, 3.0)
    state = session_of(page, session_id).state
    assert not state.geometry.refine_on and not state.geometry.use_on and not state.document.soft.on
    seen, shown = until(page, session_id, seen, idle)
    assert {"rap-auto-refine", "rap-use-geometry", "rap-fov", "rap-soft"} <= shown
    assert input_panel._fov_field(48.5, True).value == 48.5


def test_the_move_that_the_path_came_of_is_marked():
    moved = doc.with_preset(PATH, "zoom-in", 1.0, 17)
    assert move_words.last_move(moved) == "zoom-in" and move_words.last_move(PATH) is None
    assert move_words.large_moves("zoom-in", True).count('aria-pressed="true"') == 1


@pytest.mark.parametrize(("fps", "told"), [(24.0, True), (1.82, True), (384.0, False)])
def test_a_rate_that_nobody_filmed_at_is_not_told(fps, told):
    assert (f"{fps:.3g} fps" in input_words.clip_card(replace(clip(), fps=fps))) == told


def test_a_page_without_a_session_is_told(page):
    with pytest.raises(gr.Error, match="still starting"):
        page.refresh("", {})
    with pytest.raises(gr.Error, match="has ended"):
        page.refresh("gone", {})
    session = session_of(page, open_page(page)[0])
    with pytest.raises(gr.Error) as stopped:
        keep_panel.export(session, "npz")
    assert not stopped.value.visible and session.state.notice.place == "keep", "it stands in the tab"
    assert "no path to export yet" in session.state.notice.text


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (input_words.predict_button(Document(), None), ButtonLook("Predict path (needs a video)", False)),
        (
            input_words.predict_button(Document(clip=clip(1)), None),
            ButtonLook("Predict path (needs more frames)", False),
        ),
        (input_words.predict_button(PATH, None), ButtonLook("Predict path", True)),
        (input_words.predict_button(PATH, JOB), ButtonLook("Predict path (job running)", False)),
        (input_words.imagine_button(Document(), None), ButtonLook("Imagine (needs an image)", False)),
        (input_words.imagine_button(Document(clip=clip(1)), None), ButtonLook("Imagine path and video", True)),
        (move_words.preset_button(Document()), ButtonLook("Apply preset (needs a clip)", False)),
        (result_words.regenerate_button(Document(), None), ButtonLook("Regenerate (needs a path)", False)),
        (result_words.regenerate_button(PATH, JOB), ButtonLook("Regenerate (job running)", False)),
        (input_words.refine_button(Document(), Geometry()), ButtonLook("Refine (needs Predict)", False)),
        (input_words.refine_button(PATH, Geometry()), ButtonLook("Refine now", True)),
        (input_words.refine_button(REFINED, Geometry()), ButtonLook("Refine again", True)),
        (input_words.refine_button(PATH, Geometry(job=REFINING)), ButtonLook("Refining …", False)),
        (path_words.refined_button(PATH), None),
        (path_words.refined_button(REFINED), ButtonLook("As refined", False)),
        (path_words.reset_button(REFINED), ButtonLook("To predicted", True)),
        (path_words.refined_button(doc.reset_to_predicted(REFINED)), ButtonLook("To refined", True)),
        (input_words.input_cancel_button(None, None), None),
        (input_words.input_cancel_button(JOB, None), None),
        (input_words.input_cancel_button(JOB, REFINING), ButtonLook("Cancel", True)),
        (input_words.input_cancel_button(replace(JOB, kind="imagine"), None), ButtonLook("Cancel", True)),
        (input_words.input_cancel_button(replace(JOB, kind="imagine", phase="cancelling"), None), STOPPING),
        (result_words.cancel_button(None), ButtonLook("Cancel (no job)", False)),
        (result_words.cancel_button(replace(JOB, kind="predict")), ButtonLook("Cancel (no job)", False)),
        (result_words.cancel_button(JOB), ButtonLook("Cancel", True)),
        (result_words.cancel_button(replace(JOB, phase="cancelling")), ButtonLook("Stopping …", False)),
        (path_words.undo_button(PATH), ButtonLook("Undo (none)", False)),
        (path_words.redo_button(PATH), ButtonLook("Redo (none)", False)),
        (path_words.reset_button(Document()), ButtonLook("Reset (needs Predict)", False)),
        (path_words.reset_button(PATH), ButtonLook("As predicted", False)),
        (keep_words.export_button(Document()), ButtonLook("Export (needs a path)", False)),
    ],
)
def test_a_button_says_what_it_waits_for(look, expected):
    assert look == expected


def test_words_from_outside_are_escaped():
    evil = "<img src=x onerror=alert(1)>"
    for html in (
        input_words.clip_card(replace(CLIP, name=evil, notes=(evil,))),
        common_words.notice_line(Notice("input", evil, True), "input"),
        common_words.progress_card(replace(JOB, waiting_for=evil)),
    ):
        assert "<img src=x" not in html and "&lt;img" in html


def test_a_notice_is_shown_where_it_belongs():
    notice = Notice("input", "holiday.mp4: no video", True)
    shown = common_words.notice_line(notice, "input")
    assert "holiday.mp4" in shown and 'role="alert"' in shown
    assert common_words.notice_line(notice, "path") == ""


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (replace(JOB, place=2, waiting_for="the jobs before it"), "waiting for the jobs before it (2 ahead)"),
        (replace(JOB, phase="running", step=3, steps=20, seconds_per_step=0.5), "step 3 of 20 · 8.5 s left"),
        (replace(JOB, phase="running", step=1, steps=500, seconds_per_step=0.5), "4 min 9 s left"),
        (replace(JOB, phase="cancelling", step=1, steps=2), "stopping after this step"),
        (JOB, "begins"),
    ],
)
def test_progress_in_words(job, words):
    assert words in common_words.progress_card(job)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (REFINING, "waiting for the jobs before it"),
        (replace(REFINING, phase="running"), "tracks, then cameras"),
        (replace(REFINING, phase="running", kind="depth"), "Depth of the clip"),
        (replace(REFINING, place=2), "(2 ahead)"),
    ],
)
def test_geometry_at_work_in_words(job, words):
    assert words in input_words.input_progress(None, job) and result_words.result_progress(None) == ""


def test_the_verdict_in_words():
    card = input_words.verdict_card(REPORT)
    for words in ("It fits.", "6.50 → 0.50 px", "120 points", "900", "found from the tracks", "× 1.04", "frames alone"):
        assert words in card
    failed = replace(REPORT, outcome="too_few_tracks", verdict="failed", reason="<b>", residual_before_px=float("nan"))
    card = input_words.verdict_card(failed)
    assert ">Failed<" in card and "rap-failed" in card and "residual" not in card and "&lt;b&gt;" in card
    assert "<summary>Figures<" in card
    good = input_words.verdict_card(REPORT)
    assert "rap-fresh" in good and "Good (about 1 degree)" in good
    pieces = input_words.verdict_card(replace(REPORT, verdict="doubtful", weak_joints=((12, 13),)))
    assert "Doubtful from frame 13 on" in pieces and "rap-stale" in pieces and "rap-fresh" not in pieces
    assert input_words.verdict_card(None) == "" and "<img" not in good
    assert "What moves by itself" in (moving := input_words.verdict_card(REPORT, b"jpeg")) and "<img" in moving


def test_the_preview_says_what_it_shows_or_waits_for():
    assert "needs a path" in result_words.preview_line(Geometry(), False)
    assert "after an edit" in result_words.preview_line(Geometry(), True)
    assert "on its way" in result_words.preview_line(Geometry(wanted=PreviewRequest(3, ("a",))), True)
    assert "waits for the refinement" in result_words.preview_line(Geometry(job=REFINING), True)
    shown = Geometry(preview=PreviewClip(("a",), "refined", b"mp4", 0.714, 0.61))
    assert "71% of the pixels were seen by the clip · refined cameras · made in 0.6 s" in result_words.preview_line(
        shown, True
    )
    assert result_words.preview_video(None) == "" and "data:video/mp4;base64,bXA0" in result_words.preview_video(
        shown.preview
    )


def test_the_page_does_not_wait_for_torch_nor_what_else_is_slow():
    code = (
        "import sys; from ui import app; from concurrent.futures import Future; "
        "from ui.page import layout; from ui.serve import front; "
        "layout.build(Future()); "
        "slow = {'torch', 'cv2', 'viser', 'scipy.spatial', 'scipy.interpolate'} & set(sys.modules); "
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=layout.ASSETS.parent)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (Document(), "Give a video or an image"),
        (Document(clip=clip()), "Predict path"),
        (Document(clip=clip(1)), "Choose a move"),
    ],
)
def test_an_empty_viewport_says_what_to_do(document, words):
    assert words in path_words.viewport_hint(document.clip, document.edited is not None)
    assert path_words.viewport_hint(document.clip, True) == ""
    for draw in (plots.motion_figure, plots.path_figure):
        figure = draw(None, None, None)
        assert not figure.data and "appear" in figure.layout.annotations[0].text


def test_a_dark_page_is_drawn_dark_from_the_first_and_by_the_switch(page, tmp_path):
    opened = page.open("", True)
    session, seen = session_of(page, opened[0]), opened[1]
    assert session.state.is_dark
    write_video(tmp_path / "clip.mp4", moving_frames(17), 8.0)
    input_panel.upload(session, [str(tmp_path / "clip.mp4")])
    assert session.state.is_dark, "a new clip makes no light page"
    seen, _ = until(page, opened[0], seen, idle)
    path_panel.set_look(session, {"dark": False, "fallback": False})
    assert not session.state.is_dark


def test_plots_are_drawn_while_they_are_on_show(page, tmp_path):
    opened = page.open("", False)
    session, seen = session_of(page, opened[0]), opened[1]
    plots_of = {"rap-motion", "rap-figure", "rap-table"}
    write_video(tmp_path / "clip.mp4", moving_frames(17), 8.0)
    input_panel.upload(session, [str(tmp_path / "clip.mp4")])
    seen, shown = until(page, opened[0], seen, idle)
    input_panel.predict(session, 0)
    seen, shown = until(page, opened[0], seen, lambda state: state.document.edited is not None)
    assert not plots_of & shown
    path_panel.set_look(session, {"dark": False, "fallback": True})
    answer = page.refresh(opened[0], seen)
    assert sent(page, answer) & plots_of == {"rap-figure", "rap-table"}
    session.dispatch(msg.ShowPlot("time", True))
    seen = answer[0]
    answer = page.refresh(opened[0], seen)
    assert sent(page, answer) & plots_of == {"rap-motion"}
    path_panel.set_look(session, {"dark": True, "fallback": False})
    assert "rap-motion" in sent(page, page.refresh(opened[0], answer[0])), "in the colours of the page"


@pytest.mark.parametrize(("selector", "colours"), [(":root", palette.LIGHT), (".dark", palette.DARK)])
def test_the_legend_has_the_viewports_colours(selector, colours):
    style = (layout.ASSETS / "app.css").read_text(encoding="utf-8")
    (rule,) = re.findall(rf"^{re.escape(selector)} \{{(.*?)^\}}", style, re.DOTALL | re.MULTILINE)
    named = dict(re.findall(r"--rap-([a-z-]+): (#[0-9a-f]+);", rule))
    if selector == ":root":
        assert _rgb(named["selected"]) == palette.SELECTED and _rgb(named["followed"]) == palette.FOLLOWED
        assert _rgb(named["tube"]) == palette.TUBE
    for name in ("ghost", "raw", "known"):
        assert _rgb(named[name]) == getattr(colours, name), name


def test_every_colour_of_the_page_has_a_dark_one():
    style = (layout.ASSETS / "app.css").read_text(encoding="utf-8")
    rules = style[style.index(".dark {") :].split("}", 1)[1]
    fixed = [line for line in rules.splitlines() if re.search(r"#[0-9a-f]{3,8}\b(?=[^{]*;)", line)]
    assert all("rap-wipe" in line or "backdrop" in line for line in fixed), "those lie over pictures"
    used, light = set(re.findall(r"var\(--rap-([a-z-]+)\)", rules)), set(re.findall(r"--rap-([a-z-]+):", style))
    assert used <= light


def _rgb(css):
    return tuple(int(css[k : k + 2], 16) for k in (1, 3, 5))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (lambda: gr.Number(label="Guidance", minimum=0, maximum=20), 50, "Guidance must be 0 to 20, got 50; nothing"),
        (lambda: gr.Number(label="Seed", minimum=0), -1, "Seed must be at least 0, got -1; nothing"),
        (lambda: gr.Number(label="%", minimum=0, elem_id="rap-amount"), -5, "Amplify, in %, must be at least 0, got"),
        (lambda: gr.Slider(1, 16, 4, label="Reach"), 17.5, "Reach must be 1 to 16, got 17.5; nothing"),
        (lambda: gr.Number(label="Guidance", minimum=0, maximum=20), 20, None),
        (lambda: gr.Number(label="Guidance", minimum=0, maximum=20), None, None),
        (lambda: gr.Number(label="Seed", precision=0), 1.5, "Seed must be a whole number, got 1.5; nothing"),
        (lambda: gr.Number(label="x"), 1e9, None),
        (lambda: gr.Textbox(label="name"), "400", None),
    ],
)
def test_a_number_out_of_its_limits_is_refused_with_the_fields_name(field, value, words):
    found = out_of_limits(field(), value)
    assert found is None if words is None else found.startswith(words)


def test_every_listener_of_numbers_checks_them_itself():
    """Gradio would refuse a number without the field's name, and print a traceback."""
    demo = layout.build(Future())
    listeners = [fn for fn in demo.fns.values() if fn.api_visibility != "public"]
    numbers = [fn for fn in listeners if any(isinstance(one, (gr.Number, gr.Slider)) for one in fn.inputs)]
    assert len(numbers) > 10 and not any(fn.preprocess for fn in numbers)
    fields = {one.elem_id for fn in numbers for one in fn.inputs if isinstance(one, (gr.Number, gr.Slider))}
    assert set(FIELD_NAMES) <= fields and all(name and name.startswith("rap-") for name in fields)


def test_a_listener_is_not_called_with_a_number_out_of_limits(page):
    session_id, _, _ = open_page(page)
    field, called, session = gr.Number(label="Steps", minimum=1, elem_id="rap-steps"), [], session_of(page, session_id)
    with gr.Blocks() as demo:
        page._events.on(gr.Button().click, lambda session, steps: called.append(steps), [field])
        page._events.on(field.input, lambda session, steps: called.append(steps), [field], is_typing=True)
    listener, typing = demo.fns.values()
    typing.fn(session_id, 0)
    assert not called and not session.state.wrong, "it may not be all of it"
    listener.fn(session_id, 0)
    (wrong,) = session.state.wrong
    assert not called and wrong.field == "steps" and "Steps must be at least 1, got 0" in wrong.text
    listener.fn(session_id, 4)
    assert called == [4] and not session.state.wrong
