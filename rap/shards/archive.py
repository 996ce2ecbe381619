"""Shards of latents on disk: tars as webdataset reads them, `clips.csv` (every clip and what became of it), a manifest.

A clip is two samples of one `.npz` each, `KEY-forward.npz` and `KEY-backward.npz`. A shard is listed in the manifest
once it is complete; what a cut run left beside it is written over. Samples are read by number, without the others.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rap.errors import InputError
from rap.guard import DAMAGE
from rap.shards.latents import DIRECTIONS, unpack
from rap.writing import whole_file, write_text

MANIFEST, CLIPS = "manifest.json", "clips.csv"

VERSION = 1

FIGURES = ("step", "turn_deg", "way", "overlap", "sharpness", "moving")
"""Columns of `clips.csv` (`judge.Likeness`) after key, flush, and why a clip was left out (empty: it was not)."""

COLUMNS: tuple[str, ...] = ("key", "flush", "refusal", *FIGURES)

QUARTILES = (0, 25, 50, 75, 100)


@dataclass
class Made:
    """A clip that has gone through all stages.

    Attributes:
        refusal: why it was left out; empty where it was not.
        figures: what it is like, as far as that was found.
        seconds: of every stage that it went through.
        latents: bytes of the sample of each of DIRECTIONS.
    """

    key: str
    refusal: str
    figures: Mapping[str, float]
    seconds: Mapping[str, float]
    latents: tuple[bytes, ...] = ()


@dataclass
class ShardWriter:
    """Writes clips into shards as they come, and goes on with what an earlier run wrote.

    Args:
        about: of the collection and the codec; must be the same in a run that goes on.

    Raises:
        InputError: the folder has shards of another collection, codec or kind of clip.
    """

    out: Path
    about: Mapping[str, Any]
    clips_per_shard: int
    _pending: list[Made] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        self._manifest = _read(self.out) if are_shards(self.out) else self._empty()
        for name, value in self.about.items():
            found = self._manifest["about"].get(name)
            if found != value:
                raise InputError(f"{self.out}: its shards have {name} {found!r}, got {value!r}; give another --out")
        self._rows = [row for row in _rows(self.out) if int(row["flush"]) < self._manifest["flushes"]]
        self.done = {row["key"] for row in self._rows}

    def _empty(self) -> dict[str, Any]:
        return {"version": VERSION, "about": dict(self.about), "flushes": 0, "shards": [], "stages": {}, "rays": None}

    def add(self, made: Made) -> None:
        """Take in a clip; every `clips_per_shard` kept ones become a shard."""
        self._pending.append(made)
        if sum(1 for clip in self._pending if not clip.refusal) == self.clips_per_shard:
            self.flush()

    def flush(self) -> None:
        """Write what there is: the shard, then the table, then the manifest that makes both count."""
        if not self._pending:
            return
        began, manifest = time.perf_counter(), self._manifest
        kept = [clip for clip in self._pending if not clip.refusal]
        if kept:
            path = self.out / f"shard-{len(manifest['shards']):06d}.tar"
            _write_tar(path, kept)
            samples = len(kept) * len(DIRECTIONS)
            manifest["shards"].append({"file": path.name, "sha256": _sha256(path), "samples": samples})
            manifest["rays"] = _with_squares(manifest["rays"], kept)
        self._rows += [
            {"key": clip.key, "flush": manifest["flushes"], "refusal": clip.refusal, **clip.figures}
            for clip in self._pending
        ]
        for clip in self._pending:
            for stage, seconds in clip.seconds.items():
                self._spend(stage, 1, seconds)
        if kept:
            self._spend("write", len(kept), time.perf_counter() - began)
        self._pending = []
        manifest["flushes"] += 1
        self._write_table()
        manifest["filter"] = statistics(self._rows)
        write_text(self.out / MANIFEST, json.dumps(manifest, indent=1) + "\n")

    def _spend(self, stage: str, clips: int, seconds: float) -> None:
        before = self._manifest["stages"].get(stage, {"clips": 0, "seconds": 0.0})
        self._manifest["stages"][stage] = {"clips": before["clips"] + clips, "seconds": before["seconds"] + seconds}

    @property
    def manifest(self) -> Mapping[str, Any]:
        """As it is on disk after `flush`."""
        return self._manifest

    def _write_table(self) -> None:
        with whole_file(self.out / CLIPS) as path, path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerows(self._rows)


def statistics(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How many clips were kept, why the others were not, and quartiles of the figures of all that have them."""
    rows = list(rows)
    reasons = Counter(str(row["refusal"]).split(":")[0] for row in rows)
    kept = reasons.pop("", 0)
    quartiles = {}
    for name in FIGURES:
        values = [float(row[name]) for row in rows if row.get(name) not in (None, "")]
        if values:
            quartiles[name] = [float(f"{v:.4g}") for v in np.percentile(values, QUARTILES)]
    return {"kept": kept, "left_out": dict(reasons), "quartiles": quartiles}


class LatentShards:
    """Samples of a folder of shards, by number; safe for several threads, as each read opens the file anew.

    Raises:
        InputError: no shards there, or of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = Path(folder), _read(Path(folder))
        counts = [shard["samples"] for shard in self.manifest["shards"]]
        if not counts:
            raise InputError(f"{folder}: its manifest lists no shards; were all clips left out? See {CLIPS}")
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._members: dict[int, list[tuple[int, int]]] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def ray_std(self) -> list[float]:
        """Root mean square of the ray latents of all clips, per channel."""
        rays = self.manifest["rays"]
        return np.sqrt(np.array(rays["squares"]) / rays["count"]).tolist()

    def read(self, number: int) -> dict[str, np.ndarray]:
        """One sample: `rap.shards.latents.encoded`.

        Raises:
            InputError: the shard is damaged.
        """
        shard = int(np.searchsorted(self._starts, number, side="right")) - 1
        path = self.folder / self.manifest["shards"][shard]["file"]
        try:
            if shard not in self._members:
                self._members[shard] = _members(path)
            offset, size = self._members[shard][number - int(self._starts[shard])]
            with path.open("rb") as file:
                file.seek(offset)
                return unpack(file.read(size))
        except (*DAMAGE, IndexError) as error:
            raise InputError(f"{path}: cannot be read as a shard ({error}); build the shards again") from error

    def check(self) -> None:
        """Compare every shard with its hash.

        Raises:
            InputError: one differs.
        """
        for shard in self.manifest["shards"]:
            path = self.folder / shard["file"]
            if not path.exists() or _sha256(path) != shard["sha256"]:
                raise InputError(f"{path}: is missing, or is not what the manifest says; copy or build it again")


def are_shards(folder: Path) -> bool:
    """Whether a folder says that it holds shards of latents."""
    return (folder / MANIFEST).is_file()


def _read(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not are_shards(folder):
        raise InputError(f"{folder}: holds no shards of latents (no {MANIFEST}); make some with `rap shards build`")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is no JSON ({error})") from error
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise InputError(f"{path}: must be of version {VERSION}; build the shards again")
    return found


def _rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / CLIPS
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write_tar(path: Path, clips: Iterable[Made]) -> None:
    """Headers without names and times: the same clips make the same bytes."""
    with whole_file(path) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive:
        for clip in clips:
            for direction, data in zip(DIRECTIONS, clip.latents, strict=True):
                member = tarfile.TarInfo(f"{clip.key}-{direction}.npz")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def _members(path: Path) -> list[tuple[int, int]]:
    with tarfile.open(path, "r:") as archive:
        return [(member.offset_data, member.size) for member in archive]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _with_squares(before: Mapping[str, Any] | None, clips: Iterable[Made]) -> dict[str, Any]:
    """Sums of the squares of ray latents, per channel, those before among them."""
    squares, count = (np.array(before["squares"]), int(before["count"])) if before else (0.0, 0)
    for clip in clips:
        for data in clip.latents:
            rays = unpack(data)["rays"].astype(np.float64)
            squares = squares + np.square(rays).sum(axis=(1, 2, 3))
            count += rays[0].size
    return {"squares": np.asarray(squares).tolist(), "count": count}
