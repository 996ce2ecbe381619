"""The path under the hand: selection, drags, presets, edits, undo and redo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rap.geometry import Trajectory, preset
from rap.geometry.keys import simplify
from rap.geometry.sketch import recorded, sketched
from ui.document import document as doc
from ui.document import messages as msg
from ui.document import sources
from ui.document.edits import PathEdit
from ui.document.geometry import lens_fov_y_rad
from ui.document.state import Change, Notice, State
from ui.session import shelf
from ui.session.reducers.context import Context, Entries
from ui.session.reducers.effects import stop_all
from ui.session.reducers.geometry import applied_preset

DRAWN_KEYS = 5
NEAREST = 0.1  # median depths: what moves turn about is not in the camera itself


def select(message: msg.Select, state: State, context: Context) -> Change:
    """The playhead goes along."""
    playhead = state.playhead if message.index is None else message.index
    return replace(state, document=doc.select(state.document, message.index), playhead=playhead), None


def begin_drag(message: msg.DragStart, state: State, context: Context) -> Change:
    """What the moves are applied to is kept."""
    return replace(state, document=doc.begin_drag(state.document, message.index), notice=None), None


def drag(message: msg.Drag, state: State, context: Context) -> Change:
    """The path under the hand."""
    return replace(state, document=doc.drag(state.document, message.index, message.T_world_camera)), None


def end_drag(message: msg.DragEnd, state: State, context: Context) -> Change:
    """One edit in the history."""
    return replace(state, document=doc.end_drag(state.document, message.index, message.T_world_camera)), None


def apply_preset(message: msg.ApplyPreset, state: State, context: Context) -> Change:
    """As long as a clip is to be; in a picture, of a size that fits."""
    state, note = applied_preset(message, state, context)
    return replace(state, notice=Notice("path", note) if note else None), None


def sketch(message: msg.Sketch, state: State, context: Context) -> Change:
    """Held by a few keys, to be bent from there on."""
    distance, still = _turned_about(state), _still(state, context)
    path = sketched(distance * np.array(message.points).reshape(-1, 2), still, message.gaze, distance)
    return _held_by_keys(path, "sketch", state), None


def use_recorded(message: msg.ViewRecorded, state: State, context: Context) -> Change:
    """From the source camera on, and held by keys as a sketch is."""
    return _held_by_keys(recorded(message.times_s, message.poses, _still(state, context)), "recorded view", state), None


def apply_edit(message: PathEdit, state: State, context: Context) -> Change:
    """An edit knows its own change; where its camera takes the selection along, the playhead follows."""
    document, playhead = message.apply(state.document), state.playhead
    if document.selected is not None and document.selected != state.document.selected:
        playhead = document.selected
    return replace(state, document=document, playhead=playhead, notice=None), None


def toggle_source(message: msg.ToggleSource, state: State, context: Context) -> Change:
    """A frame that is chosen pulls the path through its camera."""
    return replace(state, document=sources.toggled(state.document, message.frame), notice=None), None


def set_soft_drag(message: msg.SetSoftDrag, state: State, context: Context) -> Change:
    """Of the drags to come."""
    return replace(state, document=doc.with_soft_drag(state.document, message.on, message.radius)), None


def undo(message: msg.Undo, state: State, context: Context) -> Change:
    """The last edit; once there is none, the clip before this one comes back."""
    if state.earlier and not state.document.past:
        return _resume(shelf.back(state), state, context)
    return replace(state, document=doc.undo(state.document), notice=None), None


def redo(message: msg.Redo, state: State, context: Context) -> Change:
    """The edit that was undone last; once there is none, the clip that was left."""
    if state.later and not state.document.future:
        return _resume(shelf.forward(state), state, context)
    return replace(state, document=doc.redo(state.document), notice=None), None


def reset_to_predicted(message: msg.ResetToPredicted, state: State, context: Context) -> Change:
    """An edit like others."""
    return replace(state, document=doc.reset_to_predicted(state.document), notice=None), None


def reset_to_refined(message: msg.ResetToRefined, state: State, context: Context) -> Change:
    """An edit like others."""
    return replace(state, document=doc.reset_to_refined(state.document), notice=None), None


REDUCERS: Entries = (
    (msg.Select, select),
    (msg.DragStart, begin_drag),
    (msg.Drag, drag),
    (msg.DragEnd, end_drag),
    (msg.ApplyPreset, apply_preset),
    (msg.Sketch, sketch),
    (msg.ViewRecorded, use_recorded),
    (PathEdit, apply_edit),
    (msg.ToggleSource, toggle_source),
    (msg.SetSoftDrag, set_soft_drag),
    (msg.Undo, undo),
    (msg.Redo, redo),
    (msg.ResetToPredicted, reset_to_predicted),
    (msg.ResetToRefined, reset_to_refined),
)


def _still(state: State, context: Context) -> Trajectory:
    """A path that stands still, as long as a preset: what drawn ones take their lens, size and length from."""
    clip = doc.clip_of(state.document)
    return preset(
        "static",
        num_frames=context.options.num_frames,
        image_size=clip.image_size,
        fov_y_rad=lens_fov_y_rad(state.document, state.geometry),
        fps=clip.fps,
    )


def _turned_about(state: State) -> float:
    """How far away what moves turn about is: the picked point, else what is in the middle, where that is known."""
    if state.document.target is not None:
        return max(state.document.target[2], NEAREST)
    scene = state.geometry.scene
    return 1.0 if scene is None else max(scene.centre_depth, NEAREST)


def _held_by_keys(path: Trajectory, name: str, state: State) -> State:
    keys = simplify(path, min(DRAWN_KEYS, len(path)))
    return replace(state, document=doc.with_keys(state.document, keys, name, follows_clip=False), notice=None)


def _resume(resumed: State, state: State, context: Context) -> Change:
    """Another clip is worked on again; nobody waits for what is being made of this one."""
    document = resumed.document
    words = f"{shelf.clip_name(document)} is back: {shelf.contents(document)}."
    return replace(resumed, notice=Notice("path", words)), stop_all(state, context)
