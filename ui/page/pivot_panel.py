"""The point that moves turn about: picked by a click on the picture, and shown in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from rap.config import ASSETS
from ui.document import messages as msg
from ui.page.html import NOTHING, Html, tag
from ui.page.parts import Events, Part, html_box, picked, refusal

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from ui.session.session import Session

    Point = tuple[float, float, float]

SHARE = 10_000  # parts that the page counts shares in: a share of 0 or 1 would come as another type than one between


@dataclass(frozen=True)
class PivotPanel:
    """Where the stage's pictures show the point; `assets/pivot.js` draws it there and hears the clicks."""

    places: gr.HTML

    def parts(self) -> Sequence[Part]:
        """Where it is seen, frame by frame."""
        return (Part(self.places, _values, places),)

    def wire(self, events: Events) -> None:
        """A click picks a point, or forgets it."""
        events.on_pick(self.places.select, pick)
        events.on_pick(self.places.input, forget)


def pivot_panel() -> PivotPanel:
    """Part of the stage."""
    script = (ASSETS / "pivot.js").read_text(encoding="utf-8")
    return PivotPanel(html_box(places(None, None, None), js_on_load=script, elem_id="rap-pivot-point"))


def pick(session: Session, data: Any) -> None:
    """The clip or the preview was clicked; what lies there is picked."""
    view = picked(data, "view", str)
    at, x, y = (picked(data, name, int) / SHARE for name in ("at", "x", "y"))
    if view not in ("clip", "path") or not all(0 <= share <= 1 for share in (at, x, y)):
        raise refusal("A click must lie in the clip or in the path's preview; reload the page.")
    session.dispatch(msg.PickInPicture(view, at, x, y))


def forget(session: Session, data: Any) -> None:
    """The point was clicked once more, or Escape was pressed."""
    session.dispatch(msg.ForgetPoint())


def places(point: Point | None, clip: Trajectory | None, path: Trajectory | None) -> Html:
    """A mark, and where each camera of the clip and of the path shows the point; nothing without one."""
    if point is None:
        return NOTHING
    return tag(
        "div", class_="rap-pivot-mark", title="Moves turn about this point; Escape, or a click on it, forgets it",
        data_clip=_listed(clip, point), data_path=_listed(path, point),
    )  # fmt: skip


def _listed(cameras: Trajectory | None, point: Point) -> str:
    from ui.document.picking import places_of

    if cameras is None:
        return ""
    return " ".join("-" if x != x else f"{x:.4f},{y:.4f}" for x, y in places_of(cameras, point).tolist())


def _values(session: Session) -> tuple[Any, ...]:
    """The cameras only where there is a point: without one they are of no matter."""
    from ui.document.geometry import cameras_of_view

    document, geometry = session.state.document, session.state.geometry
    if document.target is None:
        return None, None, None
    return document.target, *(cameras_of_view(document, geometry, view) for view in ("clip", "path"))
