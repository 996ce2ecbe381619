"""Work on other clips, put aside when another one came, and got back by undo.

Paths and frames are values, and the files of takes lie in the session's folder until it ends, so that putting a whole
document aside costs no more than its frames. What can be computed again (depth maps, previews) is let go of.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ui.document import document as doc
from ui.document.document import Document
from ui.document.state import Geometry, State, Work

LIMIT = 3  # works that are kept: each holds its clip's footage, some ten megabytes


def with_work(state: State, document: Document, geometry: Geometry) -> State:
    """Another clip takes the place of everything; what there is to lose is put aside.

    What had been left by undo comes to lie under the work of now: a step that loses takes is none.
    """
    kept = (*state.earlier, *reversed(state.later), *([_put_aside(state)] if has_work(state.document) else []))
    return _showing(state, document, geometry, tuple(work for work in kept if has_work(work.document))[-LIMIT:], ())


def back(state: State) -> State:
    """The work that was put aside last, as it was; that of now can be got back by `forward`."""
    *earlier, work = state.earlier
    return _resumed(state, work, tuple(earlier), (*state.later, _put_aside(state)))


def forward(state: State) -> State:
    """Undoes `back`."""
    *later, work = state.later
    return _resumed(state, work, (*state.earlier, _put_aside(state)), tuple(later))


def has_work(document: Document) -> bool:
    """Whether there is anything to lose; a clip alone is given again as fast."""
    return document.edited is not None or bool(document.takes)


def contents(document: Document) -> str:
    """What a document holds, in words."""
    takes = len(document.takes)
    cameras = 0 if document.edited is None else len(document.edited)
    return f"{cameras} cameras, {takes} take{'' if takes == 1 else 's'}"


def lacking(document: Document) -> str:
    """What a session file does not keep of the clip, as a sentence; empty where all that was given is there."""
    clip = document.clip
    if clip is None or len(clip) < 2 or clip.film is not None:
        return ""
    smaller = clip.upload_size is not None and max(clip.upload_size) > max(clip.full_size)
    if not clip.is_spread and not smaller:
        return ""
    what = f"Of the film it keeps these {len(clip)} frames, up to {max(clip.full_size)} px: give the film again for "
    return what + "larger takes, or to find its path in all of its frames."


def brings_back(state: State) -> str:
    """What an undo would get back, as a sentence; empty where there is nothing."""
    if not state.earlier or state.document.past:
        return ""
    document = state.earlier[-1].document
    return f"Undo brings back {clip_name(document)}: {contents(document)}."


def clip_name(document: Document) -> str:
    """What the document's clip is called."""
    return (document.clip.name if document.clip is not None else "") or "the clip"


def holds_file(state: State, take: doc.Take) -> bool:
    """Whether work that was put aside has a take of these very files: made of the same clip, along the same path."""
    works = (*state.earlier, *state.later)
    return any(other.video == take.video for work in works for other in work.document.takes)


def files(state: State) -> set[Path]:
    """Of all takes, of the clip of now and of those that were put aside."""
    documents = (state.document, *(work.document for work in (*state.earlier, *state.later)))
    return {file for document in documents for take in document.takes for file in (take.video, take.cameras)}


def _put_aside(state: State) -> Work:
    geometry = replace(state.geometry, scene=None, job=None, preview=None, wanted=None)
    return Work(replace(doc.drop_drag(state.document), future=()), geometry)


def _resumed(state: State, work: Work, earlier: tuple[Work, ...], later: tuple[Work, ...]) -> State:
    now = state.geometry
    geometry = replace(work.geometry, refine_on=now.refine_on, use_on=now.use_on, dense_on=now.dense_on)
    return _showing(state, work.document, geometry, earlier, later)


def _showing(
    state: State, document: Document, geometry: Geometry, earlier: tuple[Work, ...], later: tuple[Work, ...]
) -> State:
    """Only what is the person's own and not the clip's stays; the files in the box are those of another clip."""
    return State(
        document, geometry, verify_on=state.verify_on, is_dark=state.is_dark, plots=state.plots, version=state.version,
        box=state.box.holding(()), asked=state.asked, brought=state.brought, linked=state.linked, wrong=state.wrong,
        refusals=state.refusals, earlier=earlier, later=later,
    )  # fmt: skip
