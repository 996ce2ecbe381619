"""Single values of a file of JSON, from strangers: of the right kind, finite, in range and of bounded length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rap.errors import InputError
from rap.formats.checks import shown
from rap.guard import plain
from rap.limits import NAME_CHARACTERS, Limit


def text(value: Any, field: str, most: Limit = NAME_CHARACTERS) -> str:
    """One line of plain text, of bounded length; what is not for reading is replaced as `plain` does it.

    Raises:
        InputError: it is none, or longer.
    """
    if not isinstance(value, str):
        raise InputError(f"{field} is {shown(value)}, expected text")
    most.check(len(value), f"{field} has", "shorten it")
    return plain(value)


def number(value: Any, field: str, least: float, most: float) -> float:
    """A number in a range.

    Raises:
        InputError: it is none, or outside.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise InputError(f"{field} is {shown(value)}, expected a number from {least:g} to {most:g}")
    return float(value)


def whole(value: Any, field: str, least: int = 0, most: int = 1 << 53) -> int:
    """A whole number in a range.

    Raises:
        InputError: it is none, or outside.
    """
    if type(value) is not int or not least <= value <= most:
        raise InputError(f"{field} is {shown(value)}, expected a whole number from {least} to {most}")
    return value


def one_of(value: Any, field: str, known: Sequence[str]) -> Any:
    """One of some known words.

    Raises:
        InputError: it is another.
    """
    if value not in known:
        raise InputError(f"{field} is {shown(value)}, expected one of {', '.join(known)}")
    return value


def flag(value: Any, field: str) -> bool:
    """True or false.

    Raises:
        InputError: it is neither.
    """
    if not isinstance(value, bool):
        raise InputError(f"{field} is {shown(value)}, expected true or false")
    return value


def listed(value: Any, most: Limit) -> list[Any]:
    """A list of bounded length.

    Raises:
        InputError: it is none, or longer.
    """
    if not isinstance(value, list):
        raise InputError(f"{shown(value)} stands where a list is expected")
    most.check(len(value), "a list has", "shorten it")
    return value


def size_of(value: Any) -> tuple[int, int]:
    """(h, w) in pixels.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"upload_size is {shown(value)}, expected height and width")
    return whole(value[0], "upload_size", 1), whole(value[1], "upload_size", 1)
