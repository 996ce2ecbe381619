"""Which checkpoints are models of others, told by their `model_index.json` before torch is imported."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from rap.errors import InputError
from rap.guard import plain

INDEX, CARD = "model_index.json", "README.md"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LICENCE = re.compile(r"^(license_name|license):[ \t]*['\"]?([^\s'\"#]+)", re.MULTILINE)
LICENCE_CHARACTERS = 60
EXTRA = "pip install 'rays-as-pixels[gpu]'"


@dataclass(frozen=True)
class Kind:
    """What a family of models takes.

    Attributes:
        class_name: of its pipeline in diffusers.
        title: as people call it.
        size: (h, w) in pixels that it was trained at.
        is_fixed: whether it takes this shape alone; else any of no more pixels.
        multiple: of both sides.
        time_stride: frames are 1 + k times as many.
        steps, guidance: its authors' own.
        since: the release of diffusers that has its class first.
    """

    class_name: str
    title: str
    size: tuple[int, int]
    is_fixed: bool
    multiple: int
    time_stride: int
    steps: int
    guidance: float
    since: str

    def count(self, frames: int) -> int:
        """The number of frames that it makes of a path of so many: as many, or the next that it takes."""
        return 1 + self.time_stride * max(1, -(-(frames - 1) // self.time_stride))

    def size_for(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of its film along a path whose images are (h, w)."""
        h, w = self.size if self.is_fixed else image_size
        scale = (self.size[0] * self.size[1] / (h * w)) ** 0.5
        tall, wide = (max(1, int(scale * side / self.multiple + 1e-6)) * self.multiple for side in (h, w))
        return tall, wide


KINDS = {
    kind.class_name: kind
    for kind in (
        Kind("WanVACEPipeline", "Wan VACE", (480, 832), False, 16, 4, 50, 5.0, "0.34"),
        Kind("SanaWMPipeline", "SANA-WM", (704, 1280), True, 32, 8, 60, 5.0, "0.42"),
    )
}


@dataclass(frozen=True)
class Chosen:
    """A checkpoint of one of `KINDS`.

    Attributes:
        checkpoint: folder, or name on the hub.
        licence: as its card says; empty where it says none.
    """

    kind: Kind
    checkpoint: str
    licence: str

    @property
    def title(self) -> str:
        """What it is called: its family and the last part of its name."""
        return f"{self.kind.title} ({PurePath(self.checkpoint).name})"

    @property
    def words(self) -> str:
        """Who makes the takes, for people."""
        licence = f"licence {self.licence}" if self.licence else "its card names no licence"
        return f"Takes are made by {self.title}, {licence}. Cameras are found by tracks alone."


def chosen_generator(checkpoint: str | None) -> Chosen | None:
    """The model of others that a checkpoint is of; None where it is none, or nothing is there that says.

    Args:
        checkpoint: a folder, or a name on the hub, whose index is fetched then, once; None: the embedded model.

    Raises:
        InputError: a name that the hub does not have, or cannot be asked for.
    """
    if checkpoint is None:
        return None
    folder = Path(checkpoint)
    is_here = folder.exists() or not HUB_NAME.fullmatch(checkpoint)
    index = folder / INDEX if is_here else _fetched(checkpoint, INDEX)
    kind = KINDS.get(_class_name(index))
    if kind is not None:
        return Chosen(kind, checkpoint, _licence(folder / CARD if is_here else _fetched(checkpoint, CARD)))
    if not is_here:
        raise InputError(
            f"--checkpoint {plain(checkpoint)}: is a model that cannot be used by name; by name are {_titles()}, "
            "of others give a folder that rap train has written"
        )
    return None


def _titles() -> str:
    return " and ".join(kind.title for kind in KINDS.values())


def _fetched(name: str, file: str) -> Path:
    """A file of a model on the hub: the copy that is kept, else a new one."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(name, file))
    except EntryNotFoundError:
        return Path(name) / file  # not there
    except Exception as error:  # no network, no such model, no rights: the hub's own sentence says which
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--checkpoint {name}: is no folder here, and {file} of a model of that name cannot be had ({reason}); "
            f"give a folder, or the name of a model of {_titles()}"
        ) from error


def _class_name(index: Path) -> str:
    """Empty where there is none; what else is wrong with the file is said by who loads it."""
    try:
        found = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    name = found.get("_class_name") if isinstance(found, dict) else None
    return name if isinstance(name, str) else ""


def _licence(card: Path) -> str:
    """What the head of a model's card names; the name of a licence of its own rather than "other"."""
    try:
        lines = card.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    head = lines.split("\n---", 1)[0] if lines.startswith("---") else ""
    named = dict(LICENCE.findall(head))
    return (named.get("license_name") or named.get("license") or "")[:LICENCE_CHARACTERS]
