"""What the page says of camera moves: a drawing of each and one line of what moves, the camera or the lens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ui.page.common_words import ButtonLook
from ui.page.html import Html, tag

if TYPE_CHECKING:
    from ui.document.document import Document


class Move(NamedTuple):
    """A preset in people's words.

    Args:
        group: what it is listed under.
        line: what moves, and how far at amplitude 1.
    """

    group: str
    line: str


MOVES: dict[str, Move] = {
    "arc-left": Move("around", "the camera walks 30° to its left around the subject"),
    "arc-right": Move("around", "the camera walks 30° to its right around the subject"),
    "orbit-left": Move("around", "the camera goes once around the subject, to its left"),
    "orbit-right": Move("around", "the camera goes once around the subject, to its right"),
    "spiral": Move("around", "the camera comes nearer in two widening turns"),
    "lemniscate": Move("around", "the camera sways in a lying eight before the subject"),
    "zoom-in": Move("ahead and back", "the camera walks half the way to the subject"),
    "zoom-out": Move("ahead and back", "the camera walks back to twice the distance"),
    "dolly-in": Move("ahead and back", "the camera rolls ahead by a third of the distance"),
    "dolly-out": Move("ahead and back", "the camera rolls back by a third of the distance"),
    "dolly-zoom": Move("ahead and back", "the camera comes nearer while the lens widens: the subject keeps its size"),
    "truck-left": Move("sideways", "the camera slides to the left by a third of the distance"),
    "truck-right": Move("sideways", "the camera slides to the right by a third of the distance"),
    "pedestal-up": Move("sideways", "the camera rises by a third of the distance"),
    "pedestal-down": Move("sideways", "the camera sinks by a third of the distance"),
    "pan-left": Move("on the spot", "the camera turns 25° to the left"),
    "pan-right": Move("on the spot", "the camera turns 25° to the right"),
    "tilt-up": Move("on the spot", "the camera looks up by 20°"),
    "tilt-down": Move("on the spot", "the camera looks down by 20°"),
    "roll-left": Move("on the spot", "the picture turns by 30°, counter-clockwise"),
    "roll-right": Move("on the spot", "the picture turns by 30°, clockwise"),
    "static": Move("on the spot", "nothing moves: every frame from the same camera"),
}

LARGE: tuple[tuple[str, str, str], ...] = (
    ("arc-left", "Arc left", "M32 33 A22 22 0 0 1 11 19 M17 18 L11 19 L12 25"),
    ("arc-right", "Arc right", "M32 33 A22 22 0 0 0 53 19 M47 18 L53 19 L52 25"),
    ("zoom-in", "Move in", "M32 36 L32 19 M28 23 L32 19 L36 23"),
    ("zoom-out", "Move out", "M32 19 L32 36 M28 32 L32 36 L36 32"),
)
"""Preset, name and drawing of the large buttons: the camera's way from above, the subject at the top."""
SUBJECT = "M27 8 A5 5 0 0 1 37 8 A5 5 0 0 1 27 8"


def large_moves(chosen: str | None, enabled: bool) -> Html:
    """The four buttons that most moves begin with.

    Args:
        chosen: the preset that the path came of.
        enabled: there is a clip that they can move through.
    """
    buttons = []
    for name, words, way in LARGE:
        drawing = tag("svg", tag("path", d=SUBJECT), tag("path", d=way), viewBox="0 0 64 42", aria_hidden="true")
        buttons.append(
            tag(
                "button",
                drawing,
                tag("span", words),
                type="button",
                class_="rap-move",
                data_move=name,
                title=f"{words}: {MOVES[name].line}",
                aria_pressed=str(name == chosen).lower(),
                disabled=not enabled,
            )  # fmt: skip
        )
    return tag("div", *buttons, class_="rap-moves", role="group", aria_label="camera moves")


def choices(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """(words, preset) of all moves, those of one group together."""
    order = list(dict.fromkeys(move.group for move in MOVES.values()))
    known = sorted((name for name in names if name in MOVES), key=lambda name: order.index(MOVES[name].group))
    return [(f"{name}: {MOVES[name].line}", name) for name in known]


def last_move(document: Document) -> str | None:
    """The preset that the path came of, unless it has been edited since."""
    last = document.past[-1].name if document.past else document.began
    name = last.removeprefix("preset ")
    return name if name in MOVES else None


def preset_button(document: Document) -> ButtonLook:
    """Needs a clip, whose size and camera the preset takes."""
    if document.clip is None:
        return ButtonLook("Apply preset (needs a clip)", False)
    return ButtonLook("Apply preset", True)
