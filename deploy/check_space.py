"""Whether this checkout is a hosted Space as it stands: `python deploy/check_space.py`; status 1 and sentences if not.

What the hub accepts in the head of README.md is its reference's (huggingface.co/docs/hub/spaces-config-reference).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from rap.checkpoint import check_checkpoint, check_networks
from rap.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
NEEDED = ("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "license")
DESCRIPTION_CHARACTERS = 60
SPACE_BYTES = 1_000_000_000  # of a Space's files
PICKLED = (".pt", ".pth", ".pkl", ".bin", ".ckpt")


def head(readme: str) -> dict[str, str]:
    """What stands between the first two lines of three dashes."""
    lines = readme.split("---\n")[1].strip().splitlines() if readme.startswith("---\n") else []
    return {key: value.strip("\"' ") for key, _, value in (line.partition(":") for line in lines)}


def problems_of_head(said: dict[str, str], project: dict[str, Any]) -> Iterator[str]:
    """Sentences about the head of README.md.

    Args:
        said: as `head` gives it.
        project: the table of that name of pyproject.toml.
    """
    if missing := [key for key in NEEDED if not said.get(key)]:
        yield f"README.md: its head has no {', '.join(missing)}"
        return
    for key in ("colorFrom", "colorTo"):
        if said[key] not in COLOURS:
            yield f"README.md: {key} {said[key]} is none of {', '.join(COLOURS)}"
    if said["sdk"] != "gradio":
        yield f"README.md: sdk {said['sdk']} does not run app.py; gradio does"
    if said["emoji"].isascii():
        yield f"README.md: emoji {said['emoji']} is none"
    if len(said.get("short_description", "")) > DESCRIPTION_CHARACTERS:
        yield f"README.md: short_description is longer than {DESCRIPTION_CHARACTERS} characters"
    if said["license"] != project["license"].lower():
        yield f"README.md: license {said['license']} is not the project's {project['license']}"
    gradio = next(need for need in map(Requirement, project["dependencies"]) if need.name == "gradio")
    for key, bounds in (
        ("sdk_version", gradio.specifier),
        ("python_version", SpecifierSet(project["requires-python"])),
    ):
        if not re.fullmatch(r"\d+(\.\d+){1,2}", said[key]) or said[key] not in bounds:
            yield f"README.md: {key} {said[key]} is not in {bounds}, which pyproject.toml asks for"


def problems_of_files(said: dict[str, str], files: dict[str, int], on_disk: set[str]) -> Iterator[str]:
    """Sentences about what is committed.

    Args:
        said: as `head` gives it.
        files: bytes of each file that is.
        on_disk: files in assets/, committed or not.
    """
    if said.get("app_file") not in files:
        yield f"README.md: app_file {said.get('app_file')} is not committed"
    for name in sorted(on_disk - files.keys()):
        yield f"{name}: is not committed, so that the Space would lack it"
    for name in files:
        if name.endswith(PICKLED):
            yield f"{name}: may be pickled; weights are safetensors"
    if sum(files.values()) > SPACE_BYTES:
        yield f"{sum(files.values()) / 1e9:.1f} GB are committed; a Space has {SPACE_BYTES / 1e9:.0f}"


def problems(root: Path) -> Iterator[str]:
    """Sentences about a checkout."""
    said = head((root / "README.md").read_text(encoding="utf-8"))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield from problems_of_head(said, project)
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if [line for line in lines if not line.startswith("#")] != project["dependencies"]:
        yield "requirements.txt: is not the list of dependencies in pyproject.toml, in its order"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
    files = {name: (root / name).stat().st_size for name in listed.split("\0") if name}
    assets = {
        path.relative_to(root).as_posix()
        for path in (root / "assets").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    yield from problems_of_files(said, files, assets)
    try:
        check_checkpoint(None)
        check_networks()
    except (InputError, FileNotFoundError) as error:
        yield str(error)


def main() -> int:
    """Print them; returns the exit status."""
    found = list(problems(ROOT))
    print("\n".join(found) or "this checkout is a Space as it stands")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
