"""Readers as the app calls them in a process of their own, and what that process took; imported there, too."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rap import sandbox
from rap.errors import InputError
from ui.document.importing import packed_import
from ui.session.session_archive import unpacked
from ui.session.uploads import packed_upload

READERS = {"clip": packed_upload, "cameras": packed_import, "session": unpacked}


def read(reader: str, path: str) -> sandbox.Packed:
    """The refusal (empty where there is none), how many MiB more than before, and what lies in the session's folder."""
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {
            "clip": {"paths": [path], "num_frames": 17},
            "cameras": {"path": path, "image_size": [48, 64]},
            "session": {"path": path, "folder": folder},
        }[reader]
        before, sentence = _status("VmRSS"), ""
        try:
            READERS[reader](**given)
        except InputError as error:
            sentence = str(error)
        left = sum(1 for file in Path(folder).rglob("*") if file.is_file())
    return {"sentence": sentence, "grown_mb": (_status("VmHWM") - before) / 1024, "left": left}, {}


def _status(field: str) -> int:
    """KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def refusal(reader: str, path: Path) -> tuple[str, float]:
    """What is said of a file, and the MiB that it took to say so."""
    values, _ = sandbox.call(read, path.name, reader=reader, path=str(path))
    return values["sentence"], values["grown_mb"]
