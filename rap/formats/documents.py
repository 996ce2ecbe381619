"""Documents of JSON with cameras in them: the object, its finite numbers and its matrices, refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rap.errors import InputError
from rap.formats import checks
from rap.limits import CAMERAS, JSON_BYTES


def read_object(path: Path, what: str, list_field: str) -> tuple[Mapping[str, Any], list[Any]]:
    """A document, and its list of cameras, which is not empty and not too long.

    Args:
        what: the file that is expected, for the sentence.
        list_field: where the list is.

    Raises:
        InputError: no such file, too large, no JSON, no object, or no such list.
    """
    text = checks.read_text(path, JSON_BYTES)
    try:
        document = checks.parse_json(text, path.name)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError: JSONDecodeError, and integers of thousands of digits
        raise InputError(f"{path.name}: is not JSON ({error}); expected a {what}") from None
    if not isinstance(document, dict):
        raise InputError(
            f"{path.name}: holds a {type(document).__name__}, expected an object with a list '{list_field}'"
        )
    listed = document.get(list_field)
    if not isinstance(listed, list) or not listed:
        found = "is missing" if listed is None else f"is {checks.shown(listed)}"
        raise InputError(f"{path.name}: '{list_field}' {found}, expected a list with at least one frame")
    CAMERAS.check(len(listed), f"{path.name}: has", "keep fewer frames")
    return document, listed


def matrix(value: object, shape: tuple[int, int], field: str, where: str) -> np.ndarray:
    """A list of rows as a matrix of finite numbers.

    Raises:
        InputError: another shape, or a value that is no finite number.
    """
    rows = value if isinstance(value, list) else []
    lengths = {len(row) if isinstance(row, list) else 0 for row in rows}
    if len(rows) != shape[0] or lengths != {shape[1]}:
        found = f"{len(rows)}x{'/'.join(map(str, sorted(lengths)))}" if rows else checks.shown(value)
        raise InputError(f"{where}: {field} is {found}, expected a {shape[0]}x{shape[1]} matrix as a list of rows")
    places = [(f"{field}[{r}][{c}]", rows[r][c]) for r in range(shape[0]) for c in range(shape[1])]
    return np.array([finite(entry, name, where) for name, entry in places]).reshape(shape)


def row(value: object, count: int, field: str, where: str) -> np.ndarray:
    """A list of so many finite numbers.

    Raises:
        InputError: another length, or a value that is no finite number.
    """
    if not isinstance(value, list) or len(value) != count:
        raise InputError(f"{where}: {field} is {checks.shown(value)}, expected a list of {count} numbers")
    return np.array([finite(entry, f"{field}[{i}]", where) for i, entry in enumerate(value)])


def finite(value: object, field: str, where: str) -> float:
    """A finite number.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{where}: {field} is {checks.shown(value)}, expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not abs(number) <= checks.MAX_NUMBER:
        raise InputError(f"{where}: {field} is {number}, expected a finite number; leave out frames without a pose")
    return number


def number(fields: Mapping[str, Any], name: str, where: str, *, default: float | None = None) -> float:
    """A finite number of an object; the default where it has none.

    Raises:
        InputError: it is no number, or missing without a default.
    """
    if name in fields:
        return finite(fields[name], name, where)
    if default is None:
        raise InputError(f"{where}: {name} is missing, expected a number")
    return default


def angle(value: float, field: str, where: str) -> float:
    """A field of view in radians.

    Raises:
        InputError: outside (0, pi).
    """
    if not 0.0 < value < math.pi:
        raise InputError(f"{where}: {field} is {value:g}, expected radians between 0 and pi; is it in degrees?")
    return value


def angle_deg(value: float, field: str, where: str) -> float:
    """A field of view in degrees, as radians.

    Raises:
        InputError: outside (0, 180).
    """
    if not 0.0 < value < 180.0:
        raise InputError(f"{where}: {field} is {value:g}, expected degrees between 0 and 180")
    return math.radians(value)
