"""How things are looked at: the playhead, the gizmo, light or dark, picking a point in the scene."""

from __future__ import annotations

from dataclasses import replace

from rap.errors import InputError
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.geometry import cameras_of_view, points_on_show
from ui.document.picking import picked_point, point_on_ray, ray_of
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


def show_plot(message: msg.ShowPlot, state: State, context: Context) -> Change:
    """No change for one that is on show, or not, already."""
    plots = state.plots | {message.plot} if message.on else state.plots - {message.plot}
    return state if plots == state.plots else replace(state, plots=plots), None


def set_picking(message: msg.SetPicking, state: State, context: Context) -> Change:
    """Of the next click into the scene."""
    return replace(state, picking=message.on), None


def set_recording(message: msg.SetRecording, state: State, context: Context) -> Change:
    """Of the 3D view."""
    notice = Notice("path", "Move the 3D view: its motion becomes the path once you stop.") if message.on else None
    return replace(state, recording=message.on, notice=notice), None


def pick_point(message: msg.PickPoint, state: State, context: Context) -> Change:
    """Among the points that are seen, and once."""
    shown = points_on_show(state.geometry, state.through)
    point = picked_point(None if shown is None else shown.xyz, message.origin, message.direction)
    notice = Notice("path", f"Moves turn about this point now: it is {point[2]:.2g} × as far as the subject.")
    return replace(state, document=doc.with_target(state.document, point), picking=False, notice=notice), None


def pick_in_picture(message: msg.PickInPicture, state: State, context: Context) -> Change:
    """Among all that the depth of the clip shows, seen from the camera of the moment that was clicked at."""
    path, scene = cameras_of_view(state.document, state.geometry, message.view), state.geometry.scene
    if path is None:
        raise InputError("the film's cameras are not known yet, nor what is how far away; press Predict path first")
    if scene is None:
        raise InputError("the depth of what you clicked at is not known yet; click again once it has been found")
    index = min(int(message.at * len(path)), len(path) - 1)
    shown = points_on_show(state.geometry, True)
    point = point_on_ray(None if shown is None else shown.xyz, *ray_of(path, index, message.x, message.y))
    notice = Notice("path", "Moves turn about this point now; Escape forgets it.")
    return replace(state, document=doc.with_target(state.document, point), notice=notice), None


def forget_point(message: msg.ForgetPoint, state: State, context: Context) -> Change:
    """Moves turn about what is in the middle again."""
    if state.document.target is None:
        return state, None
    return replace(state, document=doc.with_target(state.document, None), notice=None), None


def check_fields(message: msg.CheckFields, state: State, context: Context) -> Change:
    """Beside each of them, until it holds what it can."""
    return state.checked(message.fields, message.wrong), None


def tell_exported(message: msg.Exported, state: State, context: Context) -> Change:
    """Beside the button, until something else is said."""
    return replace(state, notice=Notice("keep", message.lost) if message.lost else None), None


REDUCERS: Entries = (
    (msg.PickInPicture, pick_in_picture),
    (msg.ForgetPoint, forget_point),
    (msg.CheckFields, check_fields),
    (msg.Exported, tell_exported),
    (msg.SetPlayhead, set_playhead),
    (msg.SetGizmo, set_gizmo),
    (msg.SetDark, set_dark),
    (msg.ShowPlot, show_plot),
    (msg.SetPicking, set_picking),
    (msg.SetRecording, set_recording),
    (msg.PickPoint, pick_point),
)
