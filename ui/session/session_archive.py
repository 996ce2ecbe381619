"""A session file's zip, checked and unpacked: done in a process of its own, before anything of it is used.

`manifest.json` names every other file with its size and SHA-256. Refused by name are names that would leave the folder,
links, files the manifest does not know, another hash, arrays that unpack to too much, videos that are none or too
large. This module is imported there, and so knows no more than it needs.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rap.data.video import open_video
from rap.errors import InputError
from rap.formats import archive, checks
from rap.formats.values import whole
from rap.guard import given_file, reading
from rap.limits import FILE_BYTES, MANIFEST_BYTES, SESSION_BYTES, THUMBNAIL_BYTES
from rap.sandbox import Packed
from rap.writing import room_for

KIND, VERSION = "rays-as-pixels session", 1
MANIFEST = "manifest.json"
SAFE_NAME = re.compile(r"[a-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})?\.[a-z0-9]{1,8}")


def unpacked(path: str, folder: str) -> Packed:
    """Unpack every file of a session into a folder.

    Returns:
        The manifest, and no arrays.

    Raises:
        InputError: what is wrong with the file, and what would be right.
    """
    file, target = given_file(Path(path)), Path(folder)
    with reading(file.name, "save or upload it again"), room_for(file):
        checks.file_size_checked(file, FILE_BYTES)
        with archive.opened(file, SESSION_BYTES) as found:
            manifest = _manifest(found, file.name)
            _unpack(found, manifest["files"], target, file.name)
        _check_contents(target, file.name)
    return manifest, {}


def fingerprint(pieces: Iterable[bytes]) -> dict[str, Any]:
    """Size and hash of a file that comes in pieces."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _manifest(found: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """The manifest, after the archive's table of contents has been found harmless."""
    names = found.namelist()
    if MANIFEST not in names:
        raise InputError(f"{name}: is a zip, but no session ({MANIFEST} is missing); open one that this app has saved")
    for entry in names:
        if not SAFE_NAME.fullmatch(entry):
            raise InputError(f"{name}: {entry[:80]!r} is no name that a session has; nothing was unpacked")
    data = b"".join(archive.chunks(found, MANIFEST, MANIFEST_BYTES.value, name))
    try:
        manifest = checks.parse_json(data.decode(), f"{name}: {MANIFEST}")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: {MANIFEST} is no JSON ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise InputError(f"{name}: is a zip of something else, expected a {KIND!r} in its {MANIFEST}")
    version, files = manifest.get("version"), manifest.get("files")
    if version != VERSION:
        raise InputError(
            f"{name}: has version {checks.shown(version)}, this app reads {VERSION}; open it with a newer app"
        )
    if not isinstance(files, dict) or not all(isinstance(told, dict) for told in files.values()):
        raise InputError(f"{name}: files is {checks.shown(files)}, expected size and hash of each file")
    return manifest


def _unpack(found: zipfile.ZipFile, files: dict[str, dict[str, Any]], target: Path, name: str) -> None:
    """Every file of the manifest into `target`, its size and hash checked while it is read."""
    there = {entry for entry in found.namelist() if entry != MANIFEST}
    for entry in sorted(there ^ set(files)):
        where = "missing" if entry in files else f"not named in {MANIFEST}"
        raise InputError(f"{name}: {entry[:80]} is {where}; the file is damaged or was changed")
    for entry, told in files.items():
        size = whole(told.get("bytes"), f"{name}: the size of {entry}", 0, SESSION_BYTES.value)
        file = target / entry
        file.parent.mkdir(exist_ok=True)
        digest = hashlib.sha256()
        with file.open("wb") as copy:
            for piece in archive.chunks(found, entry, size, name):
                digest.update(piece)
                copy.write(piece)
        if digest.hexdigest() != told.get("sha256"):
            raise InputError(f"{name}: {entry} is not what was saved (its SHA-256 differs); the file is damaged")


def _check_contents(folder: Path, name: str) -> None:
    """What is in the files, as far as their headers tell: later readers take it for granted."""
    total = 0
    for file in sorted(folder.rglob("*.*")):
        try:
            if file.suffix == ".npz":
                total += archive.array_bytes(file, SESSION_BYTES)
                SESSION_BYTES.check(total, "its arrays unpack to", "keep less in it")
            elif file.suffix == ".mp4":
                open_video(file)
            elif file.suffix == ".jpg":
                THUMBNAIL_BYTES.check(file.stat().st_size, f"{file.name} has", "save the session again")
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
