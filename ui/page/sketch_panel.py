"""Paths by hand: a stroke on the floor, seen from above, and the motion of the 3D view while it is moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import ASSETS
from rap.limits import STROKE_POINTS
from ui.document import messages as msg
from ui.page.common_words import ButtonLook
from ui.page.html import Html, tag
from ui.page.parts import Events, Part, button_part, html_box, picked, refusal, told

if TYPE_CHECKING:
    from ui.document.state import State
    from ui.session.session import Session

CAMERA, SUBJECT = (75, 78), (75, 28)  # on the pad, whose units these are
FLOOR = "M5 28 L145 28 M5 78 L145 78 M25 3 L25 97 M75 3 L75 97 M125 3 L125 97"
ROUND = "A4 4 0 0 1"
GAZES = [("looking at the subject", "subject"), ("looking ahead", "ahead"), ("looking where it goes", "along")]
FARTHEST = 1_000_000  # of a point of a stroke, in hundredths of the pad's units: far outside it


@dataclass(frozen=True)
class SketchPanel:
    """In the fold of further moves."""

    pad: gr.HTML
    gaze: gr.Dropdown
    record: gr.Button

    def parts(self) -> Sequence[Part]:
        """Whether the view is being recorded."""
        return (button_part(self.record, lambda s: record_button(s.state)),)

    def wire(self, events: Events) -> None:
        """A stroke has been drawn; the recording begins, or ends."""
        events.on_pick(self.pad.select, sketch, [self.gaze])
        events.on(self.record.click, record)


def sketch_panel() -> SketchPanel:
    """The floor from above, the camera at the bottom, what it looks at at the top."""
    pad = html_box(floor(), js_on_load=(ASSETS / "sketch.js").read_text(encoding="utf-8"), elem_id="rap-pad")
    gaze = gr.Dropdown(GAZES, value="subject", show_label=False, container=False, elem_id="rap-gaze")
    record_ = gr.Button("Starting …", interactive=False, size="sm", elem_id="rap-record-view")
    return SketchPanel(pad, gaze, record_)


def floor() -> Html:
    """What is drawn on."""
    (x, y), (to_x, to_y) = CAMERA, SUBJECT
    drawing = tag(
        "svg",
        tag("path", d=FLOOR, class_="rap-pad-floor"),
        tag(
            "path",
            d=f"M{to_x - 4} {to_y} {ROUND} {to_x + 4} {to_y} {ROUND} {to_x - 4} {to_y}", class_="rap-pad-subject",
        ),
        tag("path", d=f"M{x - 6} {y + 7} L{x} {y} L{x + 6} {y + 7}", class_="rap-pad-camera"),
        tag("path", d="M0 0", class_="rap-pad-stroke"),
        viewBox="0 0 150 100",
        role="img",
        aria_label="the floor from above: draw the way of the camera",
    )  # fmt: skip
    return tag("div", tag("span", "Draw the camera's way, seen from above"), drawing, class_="rap-pad")


def sketch(session: Session, data: Any, gaze: Any) -> None:
    """A stroke: pairs of hundredths of the pad's units."""
    points = picked(data, "points", list)
    STROKE_POINTS.check(len(points), "a stroke has", "draw it faster")
    if not all(_is_place(point) for point in points):
        raise refusal("A stroke must be a list of places on the pad; reload the page.")
    unit = 100 * (CAMERA[1] - SUBJECT[1])
    places = tuple(((x - 100 * CAMERA[0]) / unit, (100 * CAMERA[1] - y) / unit) for x, y in points)
    session.dispatch(msg.Sketch(places, gaze))


def record(session: Session) -> None:
    """Begin to watch the view, or make a path of how it has been moved since."""
    if not session.state.recording:
        if not session.viewport.begin_recording():
            raise told(session, "path", "The live 3D view is not connected, so there is no view to record.")
        session.dispatch(msg.SetRecording(True))
        return
    times_s, poses = session.viewport.end_recording()
    session.dispatch(msg.SetRecording(False))
    session.dispatch(msg.ViewRecorded(times_s, poses))


def record_button(state: State) -> ButtonLook:
    """Pressed once more it stops."""
    if state.recording:
        return ButtonLook("Stop: use this motion", True)
    ready = state.document.clip is not None
    return ButtonLook("Record the 3D view" if ready else "Record the view (needs a clip)", ready)


def _is_place(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(type(v) is int and abs(v) < FARTHEST for v in point)
