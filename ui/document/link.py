"""A path, the move it came of and a take's settings as a piece of an address, to be opened on the same clip.

Base64 (RFC 4648, section 5) of zlib's data of JSON. No file is in it: it names the clip by its hash, and waits for it.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rap.errors import InputError
from rap.formats import checks
from rap.formats.values import number, one_of, text, whole
from rap.geometry import PRESETS, Trajectory
from rap.limits import (
    GUIDANCE,
    LEAST_TAKE_FPS,
    LEAST_TAKE_FRAMES,
    LEAST_TAKE_SIDE,
    LINK_CHARACTERS,
    NAME_CHARACTERS,
    PATH_CHARACTERS,
    PATH_FRAMES,
    PROMPT_CHARACTERS,
    SEED,
    STEPS,
    TAKE_FPS,
    TAKE_SIDE,
    TEMPERATURE,
)
from ui.document.messages import Regenerate
from ui.document.path_text import path_text, read_path

if TYPE_CHECKING:
    from ui.document.document import Document

AGAIN = "copy the link again, all of it"


@dataclass(frozen=True, eq=False)
class Linked:
    """What a link holds.

    Args:
        clip_hash, clip_name: of the clip that the path is for.
        move: preset that it came of; "" of a path that was edited.
        asked: settings of a take.
    """

    clip_hash: str
    clip_name: str
    move: str
    path: Trajectory
    asked: Regenerate


def link_text(document: Document, move: str, asked: Regenerate) -> str:
    """What follows `#rap=` in the address.

    Raises:
        InputError: there is no path, or it is too long for an address.
    """
    clip, path = document.clip, document.edited
    if clip is None or path is None:
        raise InputError("there is no path to make a link of yet; choose a move first")
    held = {"clip": clip.hash, "name": clip.name, "move": move, "take": asdict(asked), "path": path_text(path)}
    words = base64.urlsafe_b64encode(zlib.compress(json.dumps(held).encode(), 9)).decode().rstrip("=")
    LINK_CHARACTERS.check(len(words), "the link would have", "keep the session as a file instead")
    return words


def read_link(words: str) -> Linked:
    """What a link holds.

    Raises:
        InputError: it is none of ours, was cut or changed, or holds what is not taken.
    """
    LINK_CHARACTERS.check(len(words), "the link has", AGAIN)
    try:
        held = checks.parse_json(_unpacked(words), "the link")
        move, asked = held["move"], held["take"]
        return Linked(
            text(held["clip"], "clip", NAME_CHARACTERS),
            text(held["name"], "name", NAME_CHARACTERS),
            one_of(move, "move", ("", *PRESETS)),
            _path(held["path"]),
            _asked(asked),
        )
    except InputError as error:
        raise InputError(f"the link in the address cannot be used: {error}") from error
    except (ValueError, LookupError, TypeError, RecursionError, zlib.error) as error:
        raise InputError(f"the link in the address is cut off or was changed; {AGAIN}") from error


def _unpacked(words: str) -> str:
    try:
        packed = base64.urlsafe_b64decode(words + "=" * (-len(words) % 4))
    except (binascii.Error, ValueError) as error:
        raise ValueError("no base64") from error
    opened = zlib.decompressobj()
    found = opened.decompress(packed, PATH_CHARACTERS.value)
    PATH_CHARACTERS.check(len(found) + len(opened.unconsumed_tail), "it has, unpacked,", AGAIN)
    if not opened.eof:
        raise ValueError("cut off")
    return found.decode()


def _path(words: Any) -> Trajectory:
    path = read_path(words, None)
    PATH_FRAMES.check(len(path), "its path has", "keep fewer frames")
    return path


def _asked(row: dict[str, Any]) -> Regenerate:
    steps, guidance, temperature, frames, fps = (
        row[name] for name in ("steps", "guidance", "temperature", "frames", "fps")
    )
    return Regenerate(
        steps=None if steps is None else whole(steps, "steps", 1, STEPS.value),
        seed=whole(row["seed"], "seed", 0, SEED.value),
        guidance=None if guidance is None else number(guidance, "guidance", 0, GUIDANCE.value),
        temperature=None if temperature is None else number(temperature, "temperature", 0, TEMPERATURE.value),
        side=whole(row["side"], "side", LEAST_TAKE_SIDE, TAKE_SIDE.value),
        frames=None if frames is None else whole(frames, "frames", LEAST_TAKE_FRAMES, PATH_FRAMES.value),
        fps=None if fps is None else number(fps, "fps", LEAST_TAKE_FPS, TAKE_FPS.value),
        prompt=text(row["prompt"], "prompt", PROMPT_CHARACTERS),
    )
