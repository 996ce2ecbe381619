"""Which file on disk a camera file means by the name of a frame.

Names come from other machines: with backslashes, absolute, from another working folder, without a suffix, or with that
of pictures that were converted since. Nothing outside the folder is looked at, wherever a name points.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

from rap.config import IMAGE_SUFFIXES
from rap.limits import LISTED_FILES


def name_parts(name: str) -> list[str]:
    """The folders and the file of a name, whatever separates them, without what leads out of the folder."""
    return [part for part in re.split(r"[\\/]+", name) if part not in ("", ".", "..") and not part.endswith(":")]


def stem_of(file_name: str) -> str:
    """A file's name without the suffix of a picture, for comparison; any other dot belongs to the name."""
    stem, suffix = os.path.splitext(file_name)
    return _plain(stem if suffix.lower() in IMAGE_SUFFIXES else file_name)


def _plain(name: str) -> str:
    """For comparison: case, the two ways of writing accents (Apple's disks take them apart) and %20 for a space, as
    programs write that go by addresses, are the same name."""
    return unicodedata.normalize("NFC", unquote(name)).casefold()


class Pictures:
    """The pictures of a folder, by the names that a file of cameras gives them.

    Args:
        root: folder of that file.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._listed: dict[Path, dict[str, list[Path]]] = {}

    def find(self, name: str) -> Path | None:
        """The picture that is meant, or None: the whole name below the folder first, then ever fewer of its folders."""
        parts = name_parts(name)
        for first in range(len(parts)):
            folder = self._root.joinpath(*parts[first:-1])
            found = self._listing(folder).get(stem_of(parts[-1]), [])
            exact = [path for path in found if path.name == parts[-1]]
            for path in (*exact, *found):
                if path.resolve().is_relative_to(self._root):
                    return path.resolve()
        return None

    def _listing(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._listed:
            found: dict[str, list[Path]] = {}
            if folder.is_dir() and folder.resolve().is_relative_to(self._root):
                files = sorted(folder.iterdir())
                LISTED_FILES.check(len(files), f"{folder.name}: has", "give fewer, or a video")
                for path in files:
                    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                        found.setdefault(stem_of(path.name), []).append(path)
            self._listed[folder] = found
        return self._listed[folder]


def matched(names: list[str], pictures: list[str]) -> list[int | None]:
    """For each picture the frame that a file of cameras has for it.

    By file name; where several frames have it, by the folders that both name; where these do not tell, none.

    Args:
        names: of the file's frames.
        pictures: names or paths.
    """
    rows: dict[str, list[int]] = {}
    split = [name_parts(name) for name in names]
    for row, parts in enumerate(split):
        rows.setdefault(stem_of(parts[-1]) if parts else "", []).append(row)
    found: list[int | None] = []
    for picture in pictures:
        parts = name_parts(picture)
        candidates = rows.get(stem_of(parts[-1]), []) if parts else []
        scored = sorted(((_likeness(split[row], parts), row) for row in candidates), reverse=True)
        is_clear = len(scored) == 1 or (len(scored) > 1 and scored[0][0] > scored[1][0])
        found.append(scored[0][1] if is_clear else None)
    return found


def _likeness(a: list[str], b: list[str]) -> tuple[int, bool]:
    """Folders in common, from the file upwards, and whether the file has the same suffix."""
    folders = 0
    while folders + 1 < min(len(a), len(b)) and _plain(a[-2 - folders]) == _plain(b[-2 - folders]):
        folders += 1
    return folders, _plain(a[-1]) == _plain(b[-1])
