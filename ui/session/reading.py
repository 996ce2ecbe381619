"""Files that were given, read: this takes seconds, so it comes before the state's lock and not under it.

A message that brings files has a reader, which tells what was found by further messages; these make the next states.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ui.document import messages as msg
from ui.document.edits import AnyMessage
from ui.document.importing import read_import
from ui.document.state import State
from ui.serve.jobs import explained
from ui.session import session_file, uploads
from ui.session.reducers.context import Context

logger = logging.getLogger(__name__)

Reader = Callable[[Any, State, Context], Iterator[AnyMessage]]


def read_added(message: msg.AddFiles, state: State, context: Context) -> Iterator[AnyMessage]:
    """Files that came through the page's box: the box first, then the clip."""
    files = uploads.meant(state.box.files, message.shown)
    yield msg.BoxFilled(files, message.shown)
    yield _clip(files, files, context)


def read_upload(message: msg.Upload, state: State, context: Context) -> Iterator[AnyMessage]:
    """Files that came another way."""
    yield _clip(message.paths, (), context)


def read_trim(message: msg.Trim, state: State, context: Context) -> Iterator[AnyMessage]:
    """The same files again, of which other frames are used."""
    if not state.source:
        yield msg.Refused("input", "the clip's own files are not at hand; give them again to trim it")
        return
    yield _clip(state.source, state.box.files, context, message.first, message.last)


def read_session(message: msg.OpenSession, state: State, context: Context) -> Iterator[AnyMessage]:
    """A session file, with its takes unpacked into this session's folder."""
    path = Path(message.path)
    try:
        with context.folder.writing() as folder:
            opened = session_file.open_session(path, folder)
    except ValueError as error:
        yield msg.Refused("keep", str(error))
        return
    yield msg.SessionRead(opened.document, opened.known_fov_y_rad, path.name, opened.cloud, opened.flat)


def read_cameras(message: msg.ImportCameras, state: State, context: Context) -> Iterator[AnyMessage]:
    """A camera file; formats that do not know the image size take the clip's."""
    clip = state.document.clip
    try:
        found = read_import(Path(message.path), None if clip is None else clip.image_size)
    except ValueError as error:
        yield msg.Refused("keep", str(error))
        return
    yield msg.CamerasRead(found)


READERS: dict[type, Reader] = {
    msg.AddFiles: read_added,
    msg.Upload: read_upload,
    msg.Trim: read_trim,
    msg.OpenSession: read_session,
    msg.ImportCameras: read_cameras,
}


def _clip(
    paths: tuple[str, ...], box: tuple[str, ...], context: Context, first: int = 0, last: int | None = None
) -> msg.ClipRead | msg.ClipRefused:
    """`box` are the files in the page's box, if they came from there; of a film its frames from `first` to `last`."""
    try:
        return msg.ClipRead(uploads.read_clip(paths, context.options.num_frames, first, last), box, paths)
    except ValueError as error:  # InputError is one
        return msg.ClipRefused(str(error), box)
    except Exception as error:  # a decoder may raise anything on a broken file, and the session must go on
        names = ", ".join(Path(path).name for path in paths)
        logger.exception("upload could not be read: %s", names)
        return msg.ClipRefused(f"{names} could not be read: {explained(error)}", box)
