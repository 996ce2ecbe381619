"""docs/conventions.md: its table is the code's, its examples run, and its picture is the script's."""

from __future__ import annotations

import json
import math
import re
import runpy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rap import formats
from rap.formats import table
from rap.geometry import se3

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "conventions.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"### ([^\n]+)\n\n```python\n(.*?)```", TEXT, re.DOTALL))
T = np.arange(5)[:, None]
C2W = se3.exp(np.concatenate([T * [0.3, -0.1, 0.2], 0.1 + T * [0.05, 0.2, -0.3]], axis=1))


def test_the_table_is_the_codes() -> None:
    shown = TEXT.split("<!-- table -->\n")[1].split("\n<!-- end of table -->")[0]
    assert shown == table.markdown()


def test_the_picture_is_that_of_the_script() -> None:
    drawn = runpy.run_path(str(DOCS / "draw_axes.py"))["drawn"]()
    assert (DOCS / "axes.svg").read_text(encoding="utf-8") == drawn


@pytest.mark.parametrize("title", EXAMPLES)
def test_each_example_makes_what_is_read_as_the_path(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "usd" in EXAMPLES[title]:
        pytest.importorskip("pxr")
    given = {"c2w": C2W, "GL": [1, -1, -1, 1], "np": np, "json": json, "math": math, "Rotation": Rotation}
    code = EXAMPLES[title].replace('open("', 'open_whole("')
    if "formats.read" in code:
        exec(EXAMPLES["Our npz"], given)
    assert len(EXAMPLES[title].strip().splitlines()) <= 3
    exec(code, {**given, "formats": formats, "open_whole": OpenWhole})
    made = [path for path in tmp_path.iterdir() if path.name != "cameras.txt"]
    assert made
    for path in (path for path in made if path.suffix != ".py"):
        found = formats.load(path, image_size=(720, 1280))
        poses = se3.inverse(found.trajectory.Ts_world_camera[:1]) @ found.trajectory.Ts_world_camera
        np.testing.assert_allclose(poses, se3.inverse(C2W[:1]) @ C2W, atol=1e-6)
        if found.has_lens:
            np.testing.assert_allclose(found.trajectory.intrinsics, [[900, 900, 640, 360]] * 5, rtol=1e-5)


class OpenWhole:
    """`open` that closes what it has written, for examples of one line."""

    def __init__(self, name: str, mode: str) -> None:
        assert mode == "w"
        self._path = Path(name)
        self._path.write_text("")

    def write(self, text: str) -> None:
        self._path.write_text(self._path.read_text() + text)

    def writelines(self, lines: Iterable[str]) -> None:
        self._path.write_text("".join(lines))
