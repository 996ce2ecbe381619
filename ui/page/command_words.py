"""The command line that makes what the page would: `rap generate` with the exported path and the settings of a take."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING

from rap.errors import InputError

if TYPE_CHECKING:
    from rap.data import Clip
    from ui.document.document import Settings
    from ui.document.state import State

PATH_FILE = "transforms.json"  # of "Export the path" in its first format


def generate_command(state: State) -> str:
    """One line for a shell, for the path as it is and the settings of the take on show.

    Raises:
        InputError: there is no path, or the clip is none that the command takes.
    """
    document, clip = state.document, state.document.clip
    if document.edited is None or clip is None:
        raise InputError("there is no path to make a command of yet; choose a move first")
    films = [PurePath(file).name for file in state.source if not file.endswith(".json")]
    if len(films) > 1 or document.sources or document.source != 0:
        raise InputError("the command takes one film or one picture, and starts from its first frame alone")
    settings = None if document.take is None else document.take.settings
    words = ["rap", "generate", films[0] if films else clip.name or "CLIP", "--trajectory", PATH_FILE]
    words += ["--frames", str(len(document.edited)), *_part_of_film(clip), *_of_geometry(state)]
    return shlex.join([*words, *([] if settings is None else _of_take(settings))])


def _part_of_film(clip: Clip) -> list[str]:
    indices, count = clip.frame_indices, clip.upload_frames
    if not indices or not count or (indices[0] == 0 and indices[-1] >= count - 1):
        return []
    return ["--start", str(indices[0]), "--end", str(indices[-1])]


def _of_geometry(state: State) -> list[str]:
    from ui.document.geometry import upload_fov_y_deg

    geometry, clip = state.geometry, state.document.clip
    fov_y_deg = upload_fov_y_deg(clip, geometry.known_fov_y_rad)
    words = [] if fov_y_deg is None else ["--fov-y-deg", f"{fov_y_deg:.6g}"]
    if not geometry.use_on:
        return [*words, "--model-only"]
    return [*words, "--flat"] if geometry.flat_on and clip is not None and len(clip) == 1 else words


def _of_take(settings: Settings) -> list[str]:
    named = {
        "--seed": settings.seed, "--steps": settings.steps, "--guidance": settings.guidance,
        "--temperature": settings.temperature, "--size": settings.side, "--video-frames": settings.frames,
        "--fps": settings.fps,
    }  # fmt: skip
    return [word for name, value in named.items() if value is not None for word in (name, f"{value:g}")]
