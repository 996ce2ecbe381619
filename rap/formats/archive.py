"""Zip archives and the `.npz` in them, from strangers: nothing is believed that an archive says of itself.

The table of contents is measured before it is parsed, an array by its header before it is unpacked, and every byte is
counted while it is read. Only plain files, stored or deflated; arrays of numbers or strings, never pickled.
"""

from __future__ import annotations

import math
import stat
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from rap.errors import InputError
from rap.limits import ARCHIVE_ENTRIES, Limit

CHUNK_BYTES = 1 << 20
END = struct.Struct("<4s4H2LH")
"""The end of the table of contents (PKWARE, APPNOTE 6.3.10, 4.3.16): its fifth number is the table's size."""
END_SIGNATURE, ZIP64_LOCATOR = b"PK\5\6", b"PK\6\7"
LOCATOR_BYTES, MAX_COMMENT_BYTES = 20, 65535
ENTRY_BYTES = 46 + 1024  # of the table, for a file with a long name
MAX_HEADER_BYTES = 4096  # of an array: a type and a shape


@contextmanager
def opened(path: Path, limit: Limit) -> Iterator[zipfile.ZipFile]:
    """An archive of plain files whose unpacked sizes, as they are told, stay within the limit.

    Raises:
        InputError: too many files, a link, a file twice, another compression, a password, or too much.
        zipfile.BadZipFile, OSError, struct.error: it is none.
    """
    _check_table(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        ARCHIVE_ENTRIES.check(len(members), f"{path.name}: holds", "pack fewer")
        names = set()
        for member in members:
            _check_member(member, path.name)
            if member.filename in names:
                raise InputError(f"{path.name}: {shown_name(member)} is in it twice, expected each file once")
            names.add(member.filename)
        limit.check(sum(member.file_size for member in members), f"{path.name}: unpacks to", "keep less in it")
        yield archive


def _check_table(path: Path) -> None:
    """`zipfile` parses the whole table of contents at once, which a gigabyte of entries would make twelve."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = max(0, size - END.size - MAX_COMMENT_BYTES - LOCATOR_BYTES)
        file.seek(start)
        tail = file.read()
    at = len(tail) - END.size
    if not (at >= 0 and tail[at:].startswith(END_SIGNATURE) and tail.endswith(b"\0\0")):
        at = tail.rfind(END_SIGNATURE)
    if at < 0 or len(tail) - at < END.size:
        raise zipfile.BadZipFile("no table of contents at its end")
    if tail[max(0, at - LOCATOR_BYTES) :].startswith(ZIP64_LOCATOR):
        raise InputError(f"{path.name}: is a zip of the kind for very many or very large files; pack fewer")
    table_bytes = END.unpack_from(tail, at)[5]
    if table_bytes > ARCHIVE_ENTRIES.value * ENTRY_BYTES:
        raise InputError(f"{path.name}: holds far more than {ARCHIVE_ENTRIES.value} files; pack fewer")


def _check_member(member: zipfile.ZipInfo, name: str) -> None:
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{name}: {shown_name(member)} is a link, expected files only")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{name}: {shown_name(member)} is packed in an unusual way; pack it again as a plain zip")
    if member.flag_bits & 1:
        raise InputError(f"{name}: {shown_name(member)} has a password; pack it without")


def shown_name(member: zipfile.ZipInfo) -> str:
    """A file's name for an error sentence."""
    return repr(member.filename[:80])


def chunks(archive: zipfile.ZipFile, entry: str, limit_bytes: int, name: str) -> Iterator[bytes]:
    """A file of an archive in pieces, counted as they come.

    Raises:
        InputError: it unpacks to more than `limit_bytes`.
    """
    size = 0
    with archive.open(entry) as source:
        while chunk := source.read(CHUNK_BYTES):
            size += len(chunk)
            if size > limit_bytes:
                raise InputError(f"{name}: {entry} is larger than the {limit_bytes} bytes it should have")
            yield chunk


def array_bytes(path: Path, limit: Limit) -> int:
    """Bytes of all arrays of an `.npz`, by their headers; nothing is unpacked but these.

    Raises:
        InputError: no intact archive of plain arrays, or more than the limit.
    """
    with opened(path, limit) as archive:
        total = 0
        for member in archive.infolist():
            with archive.open(member) as stream:
                shape, _, dtype = header(stream, f"{path.name}: {shown_name(member)}")
            total += math.prod(shape) * dtype.itemsize
        limit.check(total, f"{path.name}: unpacks to", "keep less in it")
    return total


def arrays(path: Path, wanted: Sequence[str], kinds: str, limit: Limit) -> dict[str, np.ndarray]:
    """Those of the wanted arrays that an `.npz` has.

    Args:
        kinds: NumPy's letters of the types that are taken.

    Raises:
        InputError: no intact archive, an array of another type, or more than the limit.
    """
    found = {}
    left = limit.value
    with opened(path, limit) as archive:
        there = set(archive.namelist())
        for name in wanted:
            if f"{name}.npy" not in there:
                if name in there:
                    raise InputError(f"{path.name}: {name} has type raw bytes, expected {_expected(kinds)}")
                continue
            with archive.open(f"{name}.npy") as stream:
                found[name] = _array(stream, f"{path.name}: {name}", kinds, left, limit)
            left -= found[name].nbytes
    return found


def _array(stream: IO[bytes], where: str, kinds: str, left: int, limit: Limit) -> np.ndarray:
    shape, by_columns, dtype = header(stream, where)
    if dtype.kind not in kinds:
        raise InputError(f"{where} has type {dtype}, expected {_expected(kinds)}")
    size = math.prod(shape) * dtype.itemsize
    if size > left:
        raise InputError(f"{where} unpacks to more than {limit.value} bytes; keep less in it")
    data = stream.read(size)
    if len(data) < size:
        raise InputError(f"{where} is cut off after {len(data)} of {size} bytes; save or upload it again")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C").copy()


def header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is by columns, and type of an array, before any of it is read.

    Raises:
        InputError: an array of objects, or of things without a size.
        ValueError, SyntaxError: no header of an array.
    """
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"an array in version {version} of the format")
    shape, by_columns, dtype = read(stream, max_header_size=MAX_HEADER_BYTES)
    if dtype.hasobject:
        raise InputError(
            f"{where}: an array cannot be read (it holds objects); expected plain numeric arrays, "
            "objects are never unpickled"
        )
    if dtype.itemsize == 0 or dtype.subdtype is not None or min(shape, default=0) < 0:
        raise InputError(f"{where} has type {dtype} and shape {shape}; expected a plain array")
    return shape, by_columns, dtype


def _expected(kinds: str) -> str:
    return "strings" if kinds == "U" else "numbers"
