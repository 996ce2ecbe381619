"""A link that was opened: its path waits for the clip that it was made on, and for what is found of that clip first."""

from __future__ import annotations

from dataclasses import replace

from ui.document import document as doc
from ui.document import messages as msg
from ui.document.link import read_link
from ui.document.state import Change, Notice, State
from ui.session.reducers.context import Context, Entries


def open_link(message: msg.OpenLink, state: State, context: Context) -> Change:
    """Raises InputError for what is no link of ours."""
    linked = read_link(message.words)
    name, count = linked.clip_name or "the clip it was made on", len(linked.path)
    notice = Notice("input", f"The link holds a path of {count} cameras. Give {name} and it is taken.")
    return replace(state, linked=linked, asked=linked.asked, brought=state.brought + 1, notice=notice), None


REDUCERS: Entries = ((msg.OpenLink, open_link),)


def with_linked_path(before: State, state: State) -> State:
    """The link's path, once its clip has come and nobody looks for that clip's own path any more.

    Args:
        before: the state that the message met which made this one.
    """
    linked, clip = state.linked, state.document.clip
    is_news = linked is not before.linked or clip is not before.document.clip or _is_path_sought(before)
    if linked is None or clip is None or not is_news or _is_path_sought(state):
        return state
    if clip.hash != linked.clip_hash or clip.image_size != linked.path.image_size:
        name = linked.clip_name or "another clip"
        words = f"This is not the clip of the link: its path is for {name}, and waits for that."
        return replace(state, notice=Notice("input", words))
    name = f"preset {linked.move}" if linked.move else "link"
    document = doc.with_path(state.document, linked.path, False, name)
    return replace(state, document=document, linked=None, notice=Notice("path", "The link's path is there."))


def _is_path_sought(state: State) -> bool:
    is_refined = state.geometry.job is not None and state.geometry.job.kind == "refine"
    return is_refined or (state.job is not None and state.job.kind == "predict")
