"""The boundary of reading: what a stranger gives is either read, or refused in a sentence that names it.

Decoders and parsers of other people's making raise whatever they like on a broken file. Inside `reading` all of it
becomes an `InputError`; what none of them should raise is logged as well, because it may be a mistake of ours.
"""

from __future__ import annotations

import logging
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL.Image import DecompressionBombError

from rap.errors import InputError

DAMAGE = (
    OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, SyntaxError, RuntimeError,
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, tokenize.TokenError,
    DecompressionBombError,
)  # fmt: skip
"""What Pillow, FFmpeg, NumPy, zipfile and json raise for files that are broken or made to look so."""

MAX_TOLD = 160  # characters of another's error text

logger = logging.getLogger(__name__)


@contextmanager
def reading(name: str, remedy: str = "export or save it again") -> Iterator[None]:
    """Everything that goes wrong within is a file that cannot be used.

    Args:
        name: of the file, which the sentence begins with.
        remedy: what would do.

    Raises:
        InputError: anything was raised within. One raised within keeps its sentence.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{name}: needs more memory than there is for reading; give a smaller file") from error
    except RecursionError as error:
        raise InputError(f"{name}: is nested too deeply to be read; {remedy}") from error
    except Exception as error:
        if not isinstance(error, DAMAGE):
            logger.exception("%s: reading it raised what no reader should", name)
        logger.info("%s: %s: %s", name, type(error).__name__, told(error))
        why = f" ({told(error)})" if _is_ours(error) else ""  # a library's words would help nobody who reads them
        raise InputError(f"{name}: is damaged, cut off, or not what it claims to be{why}; {remedy}") from error


def given_file(path: Path) -> Path:
    """The path of a file that a visitor gave; a refusal names neither the folder it is in nor what else is there.

    Raises:
        InputError: it is no regular file.
    """
    if not path.is_file():
        raise InputError(f"{plain(path.name)}: not a file; give a picture or a video, a session or cameras")
    return path


def _is_ours(error: BaseException) -> bool:
    """Whether our own code has raised it, in our own words."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in ("rap", "ui")


def told(error: BaseException) -> str:
    """Another's error in one short printable line; its kind where it says nothing."""
    text = " ".join(plain(str(error)).split()) or type(error).__name__
    return text if len(text) <= MAX_TOLD else text[: MAX_TOLD - 3] + "..."


def plain(text: str) -> str:
    """Text on one line, with a space for every kind of blank and "_" for what is not for reading.

    Names of files hold such: macOS writes a narrow space before PM, and other systems' bytes need not be text at all.
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "_" for c in text)
