"""Whether a checkpoint is whole, told before torch is imported: names, sizes and headers, no tensor is read.

A copy that was cut off, a Git LFS pointer in place of the weights or another model's folder would otherwise be met in
the middle of loading, in the words of a library, or not at all. What comes with the project is also held against
`SHA256SUMS`, because a block of zeros in the middle of a file has the right size.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rap.config import ASSETS, BLEND_NETWORK, DEPTH_NETWORK, checkpoint_path
from rap.errors import InputError

PIPELINE = "RaPPipeline"
PUBLISHED = ["pipeline_rap", PIPELINE]  # in the hub's layout, with the file of code that has it
MODULES = {  # folder: its configuration, and whether it has weights
    "transformer": ("config.json", True),
    "vae": ("config.json", True),
    "scheduler": ("scheduler_config.json", False),
    "ray_scheduler": ("scheduler_config.json", False),
}
WEIGHTS = "diffusion_pytorch_model.safetensors"
SUMS = ASSETS / "SHA256SUMS"
"""Of all weights below `ASSETS`, as the program of that name writes and checks them; a test holds it to be right."""

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
LFS_POINTER = b"version https://git-lfs"
CHUNK_BYTES = 1 << 20


def check_checkpoint(folder: str | Path | None = None) -> Path:
    """Refuse a checkpoint that cannot be loaded.

    Args:
        folder: in diffusers layout; None: the embedded one.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: it is missing, or holds no `model_index.json`.
        InputError: a file of it is missing, damaged or another model's; the sentence names the file and the remedy.
    """
    path = checkpoint_path(folder)
    _check_index(path / "model_index.json")
    for name, (config, has_weights) in MODULES.items():
        _read_json(path / name / config)
        if has_weights:
            for file, tensors in _weight_files(path / name):
                _check_tensors(file, tensors)
    if path.resolve().is_relative_to(ASSETS):
        _check_sums(path.resolve())
    return path


def check_networks() -> None:
    """Refuse damaged copies of the two small networks of the geometry.

    Raises:
        InputError: as `check_checkpoint`.
    """
    for file in (DEPTH_NETWORK, BLEND_NETWORK):
        _check_tensors(file, frozenset())
        _check_sums(file)


def _check_index(file: Path) -> None:
    index = _read_json(file)
    kind = index.get("_class_name")
    if kind not in (PIPELINE, PUBLISHED):
        raise InputError(f"{file}: is of a {kind}, not of a {PIPELINE}; give a folder that rap train has written")
    for name in MODULES:
        if name not in index:
            raise _damaged(file, f"names no {name}")


def _weight_files(folder: Path) -> Iterator[tuple[Path, frozenset[str]]]:
    """The files that hold a module's weights, each with the tensors it must hold; none where nothing says which."""
    file, index = folder / WEIGHTS, folder / f"{WEIGHTS}.index.json"
    if file.is_file() or not index.is_file():
        yield file, frozenset()
        return
    places = _read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise _damaged(index, "holds no weight_map of file names")
    for name in sorted(set(places.values())):
        if Path(name).name != name:
            raise _damaged(index, f"names {name!r}, which is no file beside it")
        yield folder / name, frozenset(tensor for tensor, place in places.items() if place == name)


def _check_tensors(file: Path, expected: frozenset[str]) -> None:
    """Hold the header of a safetensors file (8 bytes of length, JSON, data) against the file's size."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            text = stream.read(length) if 0 < length <= min(size - 8, MAX_HEADER_BYTES) else b""
    except OSError as error:
        raise _damaged(file, f"cannot be read ({error.strerror})") from None
    if not text:
        pointer = LFS_POINTER.startswith(start) and start != b""
        raise _damaged(
            file, "is a Git LFS pointer, run git lfs pull" if pointer else "is cut off or no safetensors file"
        )
    try:
        tensors = json.loads(text)
        tensors.pop("__metadata__", None)
        end = max(entry["data_offsets"][1] for entry in tensors.values())
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise _damaged(file, "has a header that is no safetensors header") from None
    if 8 + length + end != size:
        raise _damaged(file, f"has {size:,} bytes where its header says {8 + length + end:,}")
    if missing := expected - tensors.keys():
        raise _damaged(file, f"lacks {len(missing)} tensors, {min(missing)} among them")


def _check_sums(place: Path) -> None:
    """Hold the listed files that are or lie in `place` against their sums."""
    for line in SUMS.read_text(encoding="utf-8").splitlines():
        expected, name = line.split(maxsplit=1)
        file = ASSETS / name
        if file.is_relative_to(place) and _sum(file) != expected:
            raise _damaged(file, f"differs from what {SUMS.name} says of it")


def _sum(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _damaged(file, f"cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise _damaged(file, "is no JSON") from None
    if not isinstance(found, dict):
        raise _damaged(file, "holds no JSON object")
    return found


def _damaged(file: Path, what: str) -> InputError:
    ours = file.resolve().is_relative_to(ASSETS)
    remedy = "check it out again, or install the project anew" if ours else "copy the checkpoint again"
    return InputError(f"{file}: {what}; {remedy}")
