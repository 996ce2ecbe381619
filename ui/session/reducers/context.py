"""What every reducer gets beside message and state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ui.document.edits import AnyMessage
from ui.document.state import Change, State
from ui.serve.jobs import Worker
from ui.session.folder import SessionFolder
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options


@dataclass(frozen=True, eq=False)
class Context:
    """What reducers may look at, and hand to the effects they ask for; they call none of it themselves.

    Args:
        options: what the command line decided.
        worker: runs the model for all sessions.
        geometry: refines paths and renders previews for all sessions.
        folder: the session's own.
        dispatch: the session's own; workers tell it how a job goes.
        owner: whose session it is, as `ui.serve.visitors` names them.
    """

    options: Options
    worker: Worker
    geometry: GeometryWorker
    folder: SessionFolder
    dispatch: Callable[[AnyMessage], None]
    owner: str = ""


Reducer = Callable[[Any, State, Context], Change]
"""`(message, state, context)` -> the next state and its effect. What cannot be done is a ValueError with its reason."""

Entries = tuple[tuple[type, Reducer], ...]
"""Message types and the reducer of each; pairs, so that a type that is given twice can be refused."""
