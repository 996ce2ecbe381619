"""What was measured, a row a clip, in one JSON file that is written row by row, so that a run goes on where it stopped.

Features for Frechet distances are too large for it and lie in a folder beside it, an npz a row.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rap.errors import InputError
from rap.writing import whole_file, write_text

Figures = dict[str, float | None]
"""By "method/measure"; None where it is undefined, as the direction of a path that stands still."""

FeatureSets = dict[str, np.ndarray]
"""By "method|network", (N, D) each; the method "truth" is the clip itself."""


@dataclass(frozen=True)
class Row:
    """One protocol on one clip.

    Attributes:
        failed: why there are no figures; such a row is tried again by the next run.
    """

    protocol: str
    dataset: str
    recording: str
    stride: int
    key: str
    figures: Figures = field(default_factory=dict)
    failed: str = ""

    @property
    def group(self) -> str:
        """What a table puts together: strides are never mixed."""
        return self.dataset if self.stride == 0 else f"{self.dataset}, stride {self.stride}"


class Results:
    """Rows by protocol and key, in the order they came.

    Args:
        path: their file; None keeps them in memory.
        settings: whatever changes a figure.

    Raises:
        InputError: the file holds rows of other settings, or something else.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self.path, self.settings = path, settings
        self.rows: dict[str, Row] = {}
        self.summary: dict[str, Any] = {}
        self._features: dict[str, FeatureSets] = {}
        if path is not None and path.exists():
            self._read(path)

    def has(self, protocol: str, key: str) -> bool:
        """Whether a row is there that did not fail."""
        row = self.rows.get(f"{protocol}/{key}")
        return row is not None and not row.failed

    def add(self, row: Row, features: FeatureSets) -> None:
        """Take a row, in place of one of the same clip, and write the file anew."""
        name = f"{row.protocol}/{row.key}"
        self.rows[name] = row
        if self.path is None:
            self._features[name] = features
            return
        if features:
            arrays: dict[str, Any] = {key: value.astype(np.float32) for key, value in features.items()}
            with whole_file(self._features_of(name)) as partial:
                np.savez(partial, **arrays)
        self.write()

    def features(self, row: Row) -> FeatureSets:
        """Those of a row; none where it has none."""
        name = f"{row.protocol}/{row.key}"
        if self.path is None or not self._features_of(name).is_file():
            return self._features.get(name, {})
        with np.load(self._features_of(name), allow_pickle=False) as found:
            return {key: found[key] for key in found.files}

    def write(self) -> None:
        """The file, whole or not at all; nothing without a path."""
        if self.path is None:
            return
        rows = [{key: value for key, value in vars(row).items() if value != ""} for row in self.rows.values()]
        found = {"settings": self.settings, "rows": rows, "summary": self.summary}
        write_text(self.path, json.dumps(found, indent=1, allow_nan=False) + "\n")

    def _features_of(self, name: str) -> Path:
        assert self.path is not None
        return self.path.with_suffix(".features") / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.npz"

    def _read(self, path: Path) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            settings, rows = found["settings"], [Row(**row) for row in found["rows"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"--out {path}: holds no rows of `rap evaluate` ({error}); name another file") from error
        ours = json.loads(json.dumps(self.settings))
        different = sorted(key for key in ours.keys() | settings.keys() if ours.get(key) != settings.get(key))
        if different:
            key = different[0]
            raise InputError(
                f"--out {path}: its rows were measured with {key} = {settings.get(key)}, now it is {ours.get(key)}; "
                "name another file"
            )
        self.rows = {f"{row.protocol}/{row.key}": row for row in rows}
