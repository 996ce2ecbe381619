"""What is given: the files in the page's box, a clip that has been read, a session that has been opened."""

from __future__ import annotations

from dataclasses import replace

from ui.document import document as doc
from ui.document import messages as msg
from ui.document.geometry import shown_points
from ui.document.state import Change, Geometry, Notice, State
from ui.session import shelf
from ui.session.reducers.context import Context, Entries
from ui.session.reducers.effects import Effect, stop_all, together
from ui.session.reducers.geometry import start_preview
from ui.session.reducers.predictions import predict


def fill_box(message: msg.BoxFilled, state: State, context: Context) -> Change:
    """The page's box is told what lies in it."""
    return replace(state, box=state.box.holding(message.files, message.shown)), None


def take_out(message: msg.TakeOut, state: State, context: Context) -> Change:
    """A refusal of what was in the box goes with it."""
    files = () if message.path is None else tuple(file for file in state.box.files if file != message.path)
    notice = state.notice
    if notice is not None and notice.is_error and notice.place == "input":
        notice = None
    return replace(state, box=state.box.holding(files, files), notice=notice), None


def take_clip(message: msg.ClipRead, state: State, context: Context) -> Change:
    """The clip takes the place of everything, unless other files were given while it was read."""
    if message.files and message.files != state.box.files:
        return state, None
    clip, before = message.clip, state.geometry
    geometry = Geometry(
        refine_on=before.refine_on,
        dense_on=before.dense_on,
        depth_by=before.depth_by,
        known_fov_y_rad=clip.exif_fov_y_rad,
    )
    box = state.box if message.files else state.box.holding(())
    loaded = shelf.with_work(state, doc.with_clip(state.document, clip), geometry)
    words = shelf.brings_back(loaded)
    loaded = replace(loaded, box=box, source=message.source, notice=Notice("input", words) if words else None)
    if context.options.predict_at_once and len(clip) > 1 and loaded.document.predicted is None:
        loaded, start = predict(msg.Predict(), replace(loaded, job=None), context)
        return loaded, together(stop_all(state, context), start)
    return _with_depth(loaded, stop_all(state, context), context)


def refuse_clip(message: msg.ClipRefused, state: State, context: Context) -> Change:
    """Why, and that the clip of before is still there."""
    if message.files and message.files != state.box.files:
        return state, None
    clip, text = state.document.clip, message.text
    if clip is not None:
        text = f"{text.rstrip('.')}. What you had, {clip.name}, stays."
    return replace(state.refused("input", text), box=state.box.holding(())), None


def take_session(message: msg.SessionRead, state: State, context: Context) -> Change:
    """What the file holds takes the place of everything."""
    geometry = Geometry(
        refine_on=state.geometry.refine_on,
        use_on=state.geometry.use_on,
        dense_on=state.geometry.dense_on,
        flat_on=message.flat,
        depth_by=state.geometry.depth_by,
        known_fov_y_rad=message.known_fov_y_rad,
        cloud=message.cloud,
        sparse=shown_points(message.cloud),
    )
    opened = shelf.with_work(state, message.document, geometry)
    told = shelf.lacking(message.document), shelf.brings_back(opened)
    words = f"{message.name} is open: {shelf.contents(message.document)}. {' '.join(filter(None, told))}"
    return _with_depth(replace(opened, notice=Notice("keep", words.strip())), stop_all(state, context), context)


def refuse(message: msg.Refused, state: State, context: Context) -> Change:
    """Another file that cannot be used."""
    return state.refused(message.place, message.text), None


REDUCERS: Entries = (
    (msg.BoxFilled, fill_box),
    (msg.TakeOut, take_out),
    (msg.ClipRead, take_clip),
    (msg.ClipRefused, refuse_clip),
    (msg.SessionRead, take_session),
    (msg.Refused, refuse),
)


def _with_depth(state: State, stop: Effect, context: Context) -> Change:
    """A picture's depth is found at once, before there is a path; of all else when there is one to be previewed."""
    if state.document.edited is not None:
        return state, stop
    state, start = start_preview(state, context)
    return state, together(stop, start)
