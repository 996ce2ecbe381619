"""What each message makes of the state: one pure function a message type, one file a subject, all in one table.

A reducer is called under the session's lock and does nothing: it returns the next state and, as a function to be called
later, what is to be done (start a job, stop one, delete a file). `context` names what such effects act on. Read
`context` (the signature), `effects` (what may be asked for), then the subject: `input` (files, clips, sessions),
`links`, `path` (hand, edits, undo), `view` (playhead, gizmo, picking), `importing` (cameras of a file), `geometry`
(refinement, depth, preview), `predictions` (predict, imagine, samples), `takes`, `jobs` (word of the model's worker).
A new message goes into `ui.document.messages` (and its union `Message`) and into its subject's table; one that brings
files has a reader in `ui.session.reading` instead. An edit of the path applies itself and needs neither. `PLACES` and
`FIELDS` say where a refusal is shown. Only `ui.session.session` calls `reduce`; subjects may use those that come before
them here, and `ui.document`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ui.document import messages as msg
from ui.document import path_edits
from ui.document.edits import AnyMessage, PathEdit
from ui.document.state import Change, State
from ui.session.reducers import geometry, importing, input, jobs, links, path, predictions, takes, view
from ui.session.reducers.context import Context, Reducer

PLACES: dict[type, str] = {
    msg.ClipRead: "input",
    msg.Predict: "input",
    msg.Imagine: "input",
    msg.Refine: "input",
    msg.Regenerate: "result",
    msg.ShowTake: "result",
    msg.Variations: "result",
    msg.RenameTake: "result",
    msg.StarTake: "result",
    msg.DeleteTake: "result",
    msg.Compare: "compare",
    msg.SampleSpread: "spread",
    msg.CamerasRead: "keep",
    msg.AdjustImport: "keep",
    msg.UseImport: "keep",
    msg.Verify: "result",
}
"""The panel that says why a message could not be followed; "path" for all others."""

FIELDS: dict[type, str] = {
    msg.SetFieldOfView: "fov",
    msg.SetTake: "frames",  # all that the fields do not know themselves: too many pixels in all
    path_edits.TypeFrame: "frame-quaternion",  # likewise: the other numbers have their limits
    path_edits.SetKeyTime: "key-time",
    path_edits.ToKeys: "key-count",
    path_edits.Paste: "text",
}
"""The field of the page whose value such a message brings: why it is not taken stands there until it is."""


def one_table(entries: Iterable[tuple[type, Reducer]]) -> dict[type, Reducer]:
    """Raises ValueError for a message type that is given twice."""
    table: dict[type, Reducer] = {}
    for kind, reducer in entries:
        if kind in table:
            names = f"{table[kind].__qualname__} and {reducer.__qualname__}"
            raise ValueError(f"{kind.__name__} must have one reducer, got {names}")
        table[kind] = reducer
    return table


SUBJECTS = (input, links, path, view, importing, geometry, predictions, takes, jobs)

REDUCERS = one_table(entry for subject in SUBJECTS for entry in subject.REDUCERS)


def reducer_of(kind: type) -> Reducer:
    """The reducer of this very message type. All edits of the path share one, for each of them applies itself.

    Raises:
        TypeError: it is no message.
    """
    found = REDUCERS.get(PathEdit if issubclass(kind, PathEdit) else kind)
    if found is None:
        raise TypeError(f"no session takes a {kind.__name__}")
    return found


def reduce(message: AnyMessage, state: State, context: Context) -> Change:
    """The next state and its effect; what cannot be done is the same state with the reason in its panel, or at the
    field that asked for it."""
    reducer, field = reducer_of(type(message)), FIELDS.get(type(message))
    try:
        after, effect = reducer(message, state, context)
    except ValueError as error:
        if field is not None:
            return state.checked((field,), ((field, str(error)),)), None
        return state.refused(PLACES.get(type(message), "path"), str(error)), None
    after = after if field is None else after.checked((field,))
    return links.with_linked_path(state, after), effect
