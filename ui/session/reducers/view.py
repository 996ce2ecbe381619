"""How things are looked at: the playhead, the gizmo, light or dark, picking a point in the scene."""

from __future__ import annotations

from dataclasses import replace

from rap.errors import InputError
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.geometry import points_on_show
from ui.document.picking import picked_point
from ui.document.state import Change, Notice, State
from ui.session.reducers.context import Context, Entries


def set_playhead(message: msg.SetPlayhead, state: State, context: Context) -> Change:
    """Raises InputError while there is no path."""
    path = state.document.edited
    if path is None:
        raise InputError("there is no path to play yet; press Predict or apply a preset first")
    frame = min(max(message.frame, 0), len(path) - 1)
    return replace(state, playhead=frame, through=message.through), None


def set_gizmo(message: msg.SetGizmo, state: State, context: Context) -> Change:
    """The mode it is in already takes it back to both."""
    return replace(state, gizmo="both" if state.gizmo == message.mode else message.mode), None


def set_dark(message: msg.SetDark, state: State, context: Context) -> Change:
    """No change for what it is already: every page says so when it is loaded."""
    return state if state.is_dark == message.on else replace(state, is_dark=message.on), None


def set_picking(message: msg.SetPicking, state: State, context: Context) -> Change:
    """Of the next click into the scene."""
    return replace(state, picking=message.on), None


def pick_point(message: msg.PickPoint, state: State, context: Context) -> Change:
    """Among the points that are seen, and once."""
    shown = points_on_show(state.geometry, state.through)
    point = picked_point(None if shown is None else shown.xyz, message.origin, message.direction)
    notice = Notice("path", "Picked ({:.2f}, {:.2f}, {:.2f}), in median depths.".format(*point))
    return replace(state, document=doc.with_target(state.document, point), picking=False, notice=notice), None


def check_fields(message: msg.CheckFields, state: State, context: Context) -> Change:
    """Beside each of them, until it holds what it can."""
    return state.checked(message.fields, message.wrong), None


def tell_exported(message: msg.Exported, state: State, context: Context) -> Change:
    """Beside the button, until something else is said."""
    return replace(state, notice=Notice("keep", message.lost) if message.lost else None), None


REDUCERS: Entries = (
    (msg.CheckFields, check_fields),
    (msg.Exported, tell_exported),
    (msg.SetPlayhead, set_playhead),
    (msg.SetGizmo, set_gizmo),
    (msg.SetDark, set_dark),
    (msg.SetPicking, set_picking),
    (msg.PickPoint, pick_point),
)
