"""Valid files with something changed, given to the readers by the hundred; imported in the process that reads, too."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rap import sandbox
from rap.errors import InputError
from ui.document.importing import packed_import
from ui.session.session_archive import MANIFEST
from ui.session.session_file import open_session
from ui.session.uploads import packed_upload

Random = np.random.Generator
INTERESTING = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\0",
    b"9" * 40,
    b"-1",
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 10**6, 10**9, 10**30, 10**400, -(10**400), 1e308, -1e308, 1e-320, float("nan"),
    float("inf"), float("-inf"), "", "a", "<img src=x onerror=alert(1)>", "\0", "\ud800", "a" * 3000, "9" * 400, [], {},
    [[]], [0], [0.5, -0.5], {"a": 1}, [None] * 300, [[[[[]]]]], "regenerated", "linear",
)  # fmt: skip


def mutated(data: bytes, random: Random) -> bytes:
    """Some bytes changed, cut out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        if not changed:
            break
        at, length = int(random.integers(len(changed))), int(random.integers(1, 64))
        kind = random.integers(6)
        if kind == 0:
            changed[at] = int(random.integers(256))
        elif kind == 1:
            changed[at] ^= 1 << int(random.integers(8))
        elif kind == 2:
            piece = INTERESTING[random.integers(len(INTERESTING))]
            changed[at : at + len(piece)] = piece
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[at : at + length]
        elif random.integers(4) == 0:
            del changed[at:]
    return bytes(changed)


def with_value(document: Any, random: Random) -> Any:
    """A JSON document with a value somewhere in it replaced, or a key gone."""
    places: list[tuple[Any, Any]] = []
    pending = [document]
    while pending:
        node = pending.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        places += [(node, key) for key in keys]
        pending += [node[key] for key in keys]
    node, key = places[random.integers(len(places))]
    if isinstance(node, dict) and random.integers(8) == 0:
        del node[key]
    else:
        node[key] = VALUES[random.integers(len(VALUES))]
    return document


def with_manifest(data: bytes, random: Random) -> bytes:
    """A session with another value in its manifest."""
    files = _files(data)
    files[MANIFEST] = json.dumps(with_value(json.loads(files[MANIFEST]), random)).encode()
    return _packed(files)


def with_array(data: bytes, random: Random) -> bytes:
    """A session with changed bytes in one of its files, and the hash that belongs to them."""
    files = _files(data)
    manifest = json.loads(files[MANIFEST])
    name = sorted(manifest["files"])[random.integers(len(manifest["files"]))]
    changed = mutated(files[name], random)
    if name.endswith(".npz") and random.integers(2):
        arrays = _files(files[name])
        key = sorted(arrays)[random.integers(len(arrays))]
        arrays[key] = mutated(arrays[key][:256], random) + arrays[key][256:]
        changed = _packed(arrays)
    files[name] = changed
    manifest["files"][name] = {"bytes": len(changed), "sha256": hashlib.sha256(changed).hexdigest()}
    files[MANIFEST] = json.dumps(manifest).encode()
    return _packed(files)


def _files(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_camera_value(data: bytes, random: Random) -> bytes:
    """A transforms.json with another value."""
    return json.dumps(with_value(json.loads(data), random)).encode()


def read_clip(path: Path, folder: Path) -> None:
    """As an upload."""
    packed_upload([str(path)], 5)


def read_cameras(path: Path, folder: Path) -> None:
    """As cameras that are imported."""
    packed_import(str(path), [32, 48])


def read_session(path: Path, folder: Path) -> None:
    """As a session that is opened; nothing may be left of one that is refused."""
    try:
        open_session(path, folder)
    except InputError:
        assert list(folder.iterdir()) == [], "something is left in the folder"
        raise


Change = Callable[[bytes, Random], bytes]
READERS: dict[str, tuple[Callable[[Path, Path], None], Change]] = {
    "clip": (read_clip, mutated),
    "cameras": (read_cameras, mutated),
    "values": (read_cameras, with_camera_value),
    "session": (read_session, mutated),
    "manifest": (read_session, with_manifest),
    "arrays": (read_session, with_array),
}


def here(function: Callable[..., sandbox.Packed], name: str, **arguments: Any) -> sandbox.Packed:
    """In place of `sandbox.call`, in a process that is one already."""
    return function(**arguments)


class Unexpected(logging.Handler):
    """What the guard says of errors that no reader should raise."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage() + str(record.exc_info))


def run(reader: str, path: str, first: int, count: int) -> sandbox.Packed:
    """Mutations number `first` and on of a file: how many were read, and what was neither read nor refused properly."""
    sandbox.call = here
    read, change = READERS[reader]
    data, suffix = Path(path).read_bytes(), "".join(Path(path).suffixes)
    handler, problems, accepted = Unexpected(), [], 0
    logging.getLogger("rap.guard").addHandler(handler)
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            file, inside = Path(folder) / f"given{suffix}", Path(folder) / "session"
            inside.mkdir()
            file.write_bytes(change(data, np.random.default_rng(seed)))
            try:
                read(file, inside)
                accepted += 1
            except InputError as error:
                if "\n" in str(error) or len(str(error)) > 600 or folder in str(error):
                    problems.append(f"seed {seed}: said badly: {str(error)[:300]}")
            except Exception as error:
                problems.append(f"seed {seed}: {type(error).__name__}: {error}")
        problems += [f"seed {seed}: {words[:300]}" for words in handler.seen]
        handler.seen.clear()
    return {"accepted": accepted, "problems": problems}, {}
