"""docs/architecture.md, its picture and CONTRIBUTING.md name what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)+|[\w-]+\.(?:py|toml|md|txt))`")


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_path_on_the_page_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(PATH.findall(text)) | {str(Path(page).parent / link) for link in re.findall(r"\]\(([^)#:]+)\)", text)}
    assert len(named) > 10
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert not missing, f"{page} names {', '.join(missing)}"


def test_the_picture_is_that_of_the_imports():
    code = "import sys; sys.path.insert(0, 'docs'); import draw_rooms as d; print(d.PICTURE.read_text() == d.picture())"
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "True", "run `python docs/draw_rooms.py`"
