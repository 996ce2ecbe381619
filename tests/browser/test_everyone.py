"""The main loop without a mouse and without eyes that see everything: keys alone, a finger, contrast, names, and a page
that keeps still.

One page walks the loop once, by keys alone; what is measured on the way is asserted by one test each. Model and
geometry are made up, as in `test_editor.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from browser_harness import WAIT_MS, drag_touch, pixels_per_unit, to_css
from editor_harness import Editor, wait_for_video
from fakes import FakePipeline, made_up_geometry, moving_frames, wait_until

from rap.data import write_video
from ui import app
from ui.document import messages as msg
from ui.viewport.gizmo import GIZMO_SCALE_PX

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
LAYOUT_SHIFT = 0.02  # of all frames from the cold page to the take together; 0.1 is what is called good
SERIOUS = ("serious", "critical")
TABS_AT_MOST = 60
WATCH_SHIFTS = """window.shifts = []; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifts.push([entry.value, entry.sources.map(
    ({ node, previousRect, currentRect }) => `${node?.id || node?.className || node?.nodeName} ` +
      `${previousRect.x},${previousRect.y} -> ${currentRect.x},${currentRect.y}`)]);
}).observe({ type: "layout-shift" });"""
LOOK = {"resultTypes": ["violations"], "iframes": False}  # what lies in the 3D view's frame is viser's own
NOT_OURS = {"exclude": ["#rap-files button[title=Upload]"]}  # Gradio's, which puts a button into a button
TRANSITION_MS = 400  # of colours, when the theme changes


@dataclass
class Walk:
    """What the walk found.

    Args:
        findings: serious findings of axe, by what was on the page.
        clicks: of a mouse or a finger.
    """

    editor: Editor
    findings: dict[str, list[str]] = field(default_factory=dict)
    shifts: list[Any] = field(default_factory=list)
    clicks: int = 0


@pytest.fixture(scope="module")
def served():
    """The app, where a film's cameras are found at once; nothing it finds costs time."""
    running = app.start(app.parse([]), lambda: FakePipeline(seconds_per_step=0.1))
    made_up_geometry(running)
    yield running
    running.close()


@pytest.fixture(scope="module")
def walk(browser, served, tmp_path_factory):
    """From the cold page to a take, by keys alone."""
    film = tmp_path_factory.mktemp("film") / "walk.mp4"
    write_video(film, moving_frames(20), 8.0)
    page = browser.new_context(viewport={"width": 1440, "height": 900}, has_touch=True).new_page()
    page.set_default_timeout(WAIT_MS)
    walk = Walk(Editor(page, served, unfolded=False))
    page.wait_for_selector("body[data-rap-viewport=live] #rap-examples button")
    look(walk, "cold")
    page.evaluate(WATCH_SHIFTS)
    page.evaluate("window.clicks = 0; addEventListener('pointerdown', () => { clicks += 1; }, true);")

    # long before the key, which does not wait for the browser to hand its dialogue over as a click would
    page.on("filechooser", lambda chooser: chooser.set_files(str(film)))
    tab_to(page, "#rap-files button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#rap-verdict .rap-badge")
    tab_to(page, "[data-move='arc-left']")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-view='preview'][aria-pressed='true']")
    tab_to(page, "#rap-regenerate")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-view='take'][aria-pressed='true']")
    wait_for_video(page)
    page.keyboard.press("Control+z")
    page.wait_for_selector("#rap-redo:enabled")
    page.keyboard.press("Control+Shift+z")
    page.wait_for_selector("#rap-redo:disabled")
    page.keyboard.press(".")
    wait_until(lambda: walk.editor.session.state.playhead == 1)
    page.keyboard.press("o")
    wait_until(lambda: not walk.editor.document.soft.on)
    walk.shifts, walk.clicks = page.evaluate("shifts"), page.evaluate("clicks")
    for tab in ("Edit", "Verify", "Compare", "Keep", "Make"):
        page.click(f"button[role=tab]:text-is('{tab}')")
        look(walk, tab)
    page.add_style_tag(content="* { transition: none !important }")  # or a busy machine is caught between two colours
    page.evaluate("document.body.classList.add('dark')")
    page.wait_for_timeout(TRANSITION_MS)
    look(walk, "dark")
    page.evaluate("document.body.classList.remove('dark')")
    yield walk
    page.context.close()


def tab_to(page, target):
    """The tabulator goes from one control to the next, and the one that has the focus shows it."""
    for _ in range(TABS_AT_MOST):
        page.keyboard.press("Tab")
        if page.evaluate("(target) => document.activeElement?.matches(target)", target):
            return
    raise AssertionError(f"{target} is not reached within {TABS_AT_MOST} presses of the tabulator")


def look(walk, name):
    found = axe.Axe().run(walk.editor.page, NOT_OURS, LOOK).response["violations"]
    walk.findings[name] = [
        f"{one['id']}: {node['target']} {node['html'][:120]} {[why['message'] for why in node['any']][:1]}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def test_a_take_is_made_by_keys_alone(walk):
    assert walk.clicks == 0 and walk.editor.document.takes
    assert walk.editor.document.edited == walk.editor.document.take.trajectory


def test_nothing_moves_under_the_hand_from_the_cold_page_to_the_take(walk):
    moved = sum(value for value, _ in walk.shifts)
    assert moved < LAYOUT_SHIFT, [shift for shift in walk.shifts if shift[0] > LAYOUT_SHIFT / 20]


def test_nothing_on_the_page_is_nameless_or_faint(walk):
    assert {name: found for name, found in walk.findings.items() if found} == {}


def test_a_frustum_is_dragged_by_a_finger(walk):
    editor, page = walk.editor, walk.editor.page
    editor.session.dispatch(msg.Select(12))
    client, before = editor.client(), editor.document.edited
    pose = before.Ts_world_camera[12]
    middle, *ends = to_css(page, client, pose[:3, 3] + 0.1 * np.array([np.zeros(3), pose[:3, 0], pose[:3, 1]]))
    axis = pose[:3, int(np.argmax([np.linalg.norm(end - middle) for end in ends]))]
    tip = pose[:3, 3] + 0.9 * GIZMO_SCALE_PX / pixels_per_unit(page, client, pose[:3, 3]) * axis
    eye = client.camera.position.copy()
    drag_touch(page, *to_css(page, client, [tip, tip + 0.25 * axis]))
    wait_until(lambda: editor.document.drag_origin is None and editor.document.edited is not before)
    moved = editor.document.edited.Ts_world_camera[12, :3, 3] - pose[:3, 3]
    np.testing.assert_allclose(moved, 0.25 * axis, atol=0.05)
    np.testing.assert_allclose(client.camera.position, eye, atol=1e-3)  # the finger held the frustum, not the view
