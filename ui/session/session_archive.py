"""A session's files, checked and unpacked: done in a process of its own, before anything of them is used.

`manifest.json` names every other file with its size and SHA-256. The files lie in one zip (what a person saves), or
in a folder as parts that are named by that hash (what the app keeps of an open page). Refused by name are names that
would leave the folder, links, files the manifest does not know, another hash, arrays that unpack to too much, videos
that are none or too large. This module is imported there, and so knows no more than it needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
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
PARTS = "parts"
KEPT_TITLE = "the session of before"  # in refusals: the name of its folder says nothing to anybody
SHA256 = re.compile(r"[0-9a-f]{64}")
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
            for entry, told in manifest["files"].items():
                size = _size(entry, told, file.name)
                _unpack(archive.chunks(found, entry, size, file.name), entry, told, target, file.name)
        _check_contents(target, file.name)
    return manifest, {}


def gathered(path: str, folder: str) -> Packed:
    """As `unpacked`, of a session in a folder: the manifest, and parts named by their hash."""
    title, source, target = KEPT_TITLE, Path(path), Path(folder)
    with reading(title, "it was not written by this app"), room_for(target):
        data = b"".join(_pieces(source / MANIFEST, MANIFEST_BYTES.value, title))
        manifest = _parsed(data, title)
        for entry in manifest["files"]:
            _check_name(entry, title)
        total = sum(_size(entry, told, title) for entry, told in manifest["files"].items())
        SESSION_BYTES.check(total, f"{title}: its files have", "keep less in it")
        for entry, told in manifest["files"].items():
            part = str(told.get("sha256"))
            if not SHA256.fullmatch(part):
                raise InputError(f"{title}: {entry} has no SHA-256; it was damaged or changed")
            pieces = _pieces(source / PARTS / part, _size(entry, told, title), title, entry)
            _unpack(pieces, entry, told, target, title)
        _check_contents(target, title)
    return manifest, {}


def _manifest(found: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """The manifest, after the archive's table of contents has been found harmless."""
    names = found.namelist()
    if MANIFEST not in names:
        raise InputError(f"{name}: is a zip, but no session ({MANIFEST} is missing); open one that this app has saved")
    for entry in names:
        _check_name(entry, name)
    manifest = _parsed(b"".join(archive.chunks(found, MANIFEST, MANIFEST_BYTES.value, name)), name)
    files = manifest["files"]
    for entry in sorted({entry for entry in names if entry != MANIFEST} ^ set(files)):
        where = "missing" if entry in files else f"not named in {MANIFEST}"
        raise InputError(f"{name}: {entry[:80]} is {where}; the file is damaged or was changed")
    return manifest


def _check_name(entry: str, name: str) -> None:
    if not SAFE_NAME.fullmatch(entry):
        raise InputError(f"{name}: {entry[:80]!r} is no name that a session has; nothing was unpacked")


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    """A manifest, as far as whose it is and what files it names."""
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


def _size(entry: str, told: dict[str, Any], name: str) -> int:
    return whole(told.get("bytes"), f"{name}: the size of {entry}", 0, SESSION_BYTES.value)


def _pieces(file: Path, limit_bytes: int, name: str, entry: str = MANIFEST) -> Iterator[bytes]:
    """A plain file of a folder, counted as it comes; no link, no pipe that never ends."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:  # whose own words name the folder
        raise InputError(f"{name}: {entry} is missing, or no file; it was damaged or changed") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{name}: {entry} is missing, or no file; it was damaged or changed")
    with open(descriptor, "rb") as stream:
        size = 0
        while piece := stream.read(archive.CHUNK_BYTES):
            size += len(piece)
            if size > limit_bytes:
                raise InputError(f"{name}: {entry} is larger than the {limit_bytes} bytes it should have")
            yield piece


def _unpack(pieces: Iterable[bytes], entry: str, told: dict[str, Any], target: Path, name: str) -> None:
    """A file of the manifest into `target`, its hash checked while it is read."""
    file = target / entry
    file.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with file.open("wb") as copy:
        for piece in pieces:
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
