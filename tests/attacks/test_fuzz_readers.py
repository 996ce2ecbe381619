"""Every reader under changed files: it reads, or refuses in a sentence; `RAP_FUZZ=5000` changes as many of each.

They run in the process that reads for the app, in batches, so that a decoder that crashes is found and survived.
"""

from __future__ import annotations

import os
from pathlib import Path

import fuzzed
import honest_files as honest
import pytest

from rap import sandbox

COUNT = int(os.environ.get("RAP_FUZZ", "60"))
BATCH = 60
NAMES = [
    *(f"picture{suffix}" for suffix in honest.PICTURES), *(f"animation{suffix}" for suffix in honest.ANIMATIONS),
    *(f"film{suffix}" for suffix in honest.FILMS), *(f"cameras {name}" for name in honest.CAMERAS),
    "values", "session", "manifest", "arrays",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    found = honest.all_files(tmp_path_factory.mktemp("honest"))
    return found | {"values": ("values", found["cameras nerfstudio"][1])}


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_file_is_read_or_refused(files: dict[str, tuple[str, Path]], name: str) -> None:
    reader, path = files[name]
    problems = []
    for first in range(0, COUNT, BATCH):
        count = min(BATCH, COUNT - first)
        values, _ = sandbox.call(fuzzed.run, name, reader=reader, path=str(path), first=first, count=count)
        problems += values["problems"]
    assert problems == []


@pytest.mark.parametrize("name", NAMES)
def test_the_file_itself_is_read(files: dict[str, tuple[str, Path]], name: str, tmp_path: Path) -> None:
    """Else nothing that is changed in it would be reached."""
    reader, path = files[name]
    read, _ = fuzzed.READERS[reader]
    read(path, tmp_path)
