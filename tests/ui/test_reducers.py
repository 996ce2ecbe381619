"""The table of reducers: one for each message, and nothing done before the session runs the effect."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints
from unittest.mock import Mock

import numpy as np
import pytest
from fakes import clip

from rap.geometry import preset
from ui.document import document as doc
from ui.document import job_messages, path_edits
from ui.document import messages as msg
from ui.document.document import Document, Settings, Take
from ui.document.edits import PathEdit
from ui.document.state import State
from ui.serve.jobs import Worker
from ui.session.folder import SessionFolder
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.reading import READERS
from ui.session.reducers import PLACES, REDUCERS, SUBJECTS, one_table, path, reduce, reducer_of
from ui.session.reducers.context import Context

OURS = (msg.__name__, job_messages.__name__)
MESSAGES = [kind for kind in vars(msg).values() if dataclasses.is_dataclass(kind) and kind.__module__ in OURS]


def edits_below(kind: type) -> Iterator[type]:
    for edit in kind.__subclasses__():
        yield edit
        yield from edits_below(edit)


@pytest.fixture
def context():
    """Workers and folder that would tell if anything were done with them."""
    return Context(Options(), Mock(Worker), Mock(GeometryWorker, pipeline=Mock()), Mock(SessionFolder), Mock())


def with_path() -> State:
    document = doc.with_prediction(Document(clip=clip()), preset("arc-left", num_frames=17, image_size=(96, 128)))
    return State(document)


def done(context: Context) -> list:
    parts = (context.worker, context.geometry, context.folder, context.dispatch)
    return [call for part in parts for call in part.mock_calls]


def test_every_message_has_exactly_one_reducer_or_is_read_into_those_that_have():
    assert len(MESSAGES) > 50 and set(MESSAGES) == set(get_args(msg.Message))
    for kind in MESSAGES:
        given = sum(kind == other for subject in SUBJECTS for other, _ in subject.REDUCERS)
        assert given + (kind in READERS) == 1, kind
    assert set(REDUCERS) | set(READERS) == {*MESSAGES, PathEdit}
    assert len(set(REDUCERS.values())) == len(REDUCERS), "one function is one message's"


def test_a_reducer_says_in_its_signature_and_name_what_it_takes():
    for kind, reducer in (REDUCERS | READERS).items():
        assert get_type_hints(reducer)["message"] is kind and list(inspect.signature(reducer).parameters) == [
            "message",
            "state",
            "context",
        ]
        assert not reducer.__name__.startswith(("_", "<")) and reducer.__qualname__ == reducer.__name__
    for subject in SUBJECTS:
        assert all(reducer.__module__ == subject.__name__ for _, reducer in subject.REDUCERS), "in its subject's file"


def test_edits_of_the_path_share_the_reducer_of_their_base():
    edits = set(edits_below(PathEdit))
    assert len(edits) > 20
    assert all(reducer_of(edit) is path.apply_edit and edit not in REDUCERS for edit in edits)
    assert reducer_of(msg.Undo) is path.undo


def test_what_is_no_message_is_refused():
    class Later(msg.Undo):
        """No message of its own: one that is not an edit is known by its very type."""

    for kind in (str, Later, msg.Upload):
        with pytest.raises(TypeError, match=f"no session takes a {kind.__name__}"):
            reducer_of(kind)


def test_two_reducers_of_one_message_are_refused():
    with pytest.raises(ValueError, match="Undo must have one reducer, got undo and redo"):
        one_table([(msg.Undo, path.undo), (msg.Undo, path.redo)])


def test_places_are_of_messages_that_have_a_reducer():
    assert set(PLACES) <= set(REDUCERS)


@pytest.mark.parametrize("message", [msg.Predict(), msg.Imagine(), msg.Regenerate(), msg.SampleSpread(), msg.Refine()])
def test_a_job_is_named_by_the_state_and_submitted_by_the_effect(context, message):
    before = with_path()
    state, effect = reduce(message, before, context)
    assert before.job is None and before.geometry.job is None and not done(context)
    assert (state.job is None) == isinstance(message, msg.Refine) and state.busy
    effect()
    worker = context.geometry if isinstance(message, msg.Refine) else context.worker
    named = state.geometry.job if isinstance(message, msg.Refine) else state.job
    assert [call.args[0].number for call in worker.submit.mock_calls] == [named.number]


def test_cancelling_stops_by_the_effect(context):
    state, _ = reduce(msg.Predict(), with_path(), context)
    cancelled, effect = reduce(msg.Cancel(), state, context)
    assert cancelled.job.phase == "cancelling" and not done(context)
    effect()
    context.worker.cancel.assert_called_once_with(state.job.number)


def test_files_of_a_take_go_by_the_effect(context, tmp_path):
    files = [tmp_path / name for name in ("take.mp4", "take.npz")]
    for file in files:
        file.touch()
    state = with_path()
    take = Take(1, "regenerated", *files, "hash", state.document.edited, Settings(), 1.0)
    state = dataclasses.replace(state, document=doc.with_take(state.document, take))
    asked, effect = reduce(msg.DeleteTake(1), state, context)
    assert effect is None and asked.doomed == 1
    after, effect = reduce(msg.DeleteTake(1), asked, context)
    assert not after.document.takes and all(map(Path.exists, files))
    effect()
    assert not any(map(Path.exists, files))


def test_what_cannot_be_done_leaves_the_state_but_for_the_reason(context):
    before = State(Document())
    for message, place in ((msg.Predict(), "input"), (msg.Regenerate(), "result"), (path_edits.Mirror(), "path")):
        state, effect = reduce(message, before, context)
        assert effect is None and state.notice.is_error and state.notice.place == place and state.refusals == 1
        assert state.job is None and state.document == before.document and not done(context)


def test_a_drag_that_is_refused_ends(context):
    held, _ = reduce(msg.DragStart(0), with_path(), context)
    state, _ = reduce(msg.Drag(0, np.eye(4)), held, context)
    assert held.document.drag_origin is not None and state.document.drag_origin is None
    assert state.document.edited is held.document.edited and "source camera" in state.notice.text
