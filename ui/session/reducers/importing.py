"""Cameras of a file, on their way to becoming the path."""

from __future__ import annotations

from dataclasses import replace

from rap.errors import InputError
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.importing import Import, as_path
from ui.document.state import Change, State
from ui.session.reducers.context import Context, Entries


def show_cameras(message: msg.CamerasRead, state: State, context: Context) -> Change:
    """Drawn before they are used."""
    return _shown(message.found, state, context)


def adjust_import(message: msg.AdjustImport, state: State, context: Context) -> Change:
    """The same cameras, taken otherwise."""
    if state.importing is None:
        return state, None
    changes = {"flipped": message.flipped, "inverted": message.inverted, "scale": message.scale}
    return _shown(replace(state.importing, **changes), state, context)


def use_import(message: msg.UseImport, state: State, context: Context) -> Change:
    """Raises InputError while there is nothing to use."""
    if state.imported is None or state.importing is None:
        raise InputError("there are no imported cameras; press Import cameras first")
    document = doc.with_path(state.document, state.imported, False, f"import {state.importing.name}")
    return replace(state, document=document, importing=None, imported=None, notice=None), None


def drop_import(message: msg.DropImport, state: State, context: Context) -> Change:
    """Nothing becomes of it."""
    return replace(state, importing=None, imported=None), None


REDUCERS: Entries = (
    (msg.CamerasRead, show_cameras),
    (msg.AdjustImport, adjust_import),
    (msg.UseImport, use_import),
    (msg.DropImport, drop_import),
)


def _shown(found: Import, state: State, context: Context) -> Change:
    clip, best = doc.clip_of(state.document), state.document.best
    fov_y_rad = None if best is None else float(best.fov_y_rad[best.source])
    path = as_path(found, context.options.num_frames, clip.image_size, fov_y_rad, clip.fps)
    return replace(state, importing=found, imported=path, notice=None), None
