"""Draws docs/rooms.svg from the imports themselves: `python docs/draw_rooms.py`, after a room was added or learned of
another. tests/test_architecture.py holds the picture against the code.

A room is a package of `rap` or `ui`, or one of the files in `FILES`. It stands above all that it imports. An arrow is
left out where a longer way says the same.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).resolve().parent.parent
PICTURE = Path(__file__).with_name("rooms.svg")
FILES = ("rap.flow", "rap.metrics", "rap.figures", "ui.app")
WORDS = {
    "rap.bench": "speed, memory, quality",
    "rap.cli": "the `rap` command",
    "rap.data": "uploads become clips",
    "rap.evaluation": "scores of a checkpoint",
    "rap.figures": "the paper's page layout",
    "rap.flow": "loss and sampler",
    "rap.formats": "camera files",
    "rap.generators": "video models of others",
    "rap.geometry": "cameras and paths",
    "rap.metrics": "errors of paths, frames",
    "rap.model": "network and codec",
    "rap.pipeline": "the three tasks",
    "rap.reconstruction": "cameras from frames",
    "rap.shards": "collections as latents",
    "rap.synthetic": "procedural clips",
    "rap.train": "trainings",
    "rap.views": "what new cameras see",
    "ui.app": "options, start, end",
    "ui.document": "values and pure edits",
    "ui.page": "Gradio: panels, words",
    "ui.serve": "processes and ports",
    "ui.session": "one person at work",
    "ui.viewport": "viser: the path in 3D",
}
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 168, 44, 20, 40, 16
STYLE = """
  .page { fill: #ffffff }
  .box { stroke-width: 1.2 }
  .rap { fill: #f2f5fd; stroke: #3050cd } .ui { fill: #fdf6ec; stroke: #b9770e }
  .name { font: 600 13px ui-monospace, Menlo, Consolas, monospace; fill: #15181e }
  .words { font: 11px system-ui, sans-serif; fill: #4a5162 }
  .arrow { fill: none; stroke: #9aa3b5; stroke-width: 1.1 }
"""


def rooms() -> list[str]:
    """Packages of `rap` and `ui`, and `FILES`."""
    packages = [f"{top}.{path.parent.name}" for top in ("rap", "ui") for path in (ROOT / top).glob("*/__init__.py")]
    return sorted([*packages, *FILES])


def knowledge(names: list[str]) -> dict[str, set[str]]:
    """Each room -> the rooms that it imports when it runs; imports for types alone do not count."""
    graph = grimp.build_graph("rap", "ui", exclude_type_checking_imports=True, cache_dir=None)
    return {
        a: {b for b in names if b != a and graph.direct_import_exists(importer=a, imported=b, as_packages=True)}
        for a in names
    }


def floors(known: dict[str, set[str]]) -> dict[str, int]:
    """0 for rooms that import none; each other one above the highest that it imports.

    Raises:
        ValueError: rooms that import each other.
    """
    found: dict[str, int] = {}
    while len(found) < len(known):
        ready = [name for name in known if name not in found and known[name] <= found.keys()]
        if not ready:
            raise ValueError(f"these rooms import each other in a circle: {sorted(known.keys() - found.keys())}")
        found |= {name: 1 + max((found[below] for below in known[name]), default=-1) for name in ready}
    return found


def reduced(known: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without arrows that a longer way says as well."""
    reach: dict[str, set[str]] = {}
    for name in sorted(known, key=floors(known).__getitem__):
        reach[name] = known[name].union(*(reach[below] for below in known[name]))
    return {a: {b for b in below if not any(b in reach[c] for c in below)} for a, below in known.items()}


def positions(known: dict[str, set[str]]) -> tuple[dict[str, tuple[float, float]], int, int]:
    """Left upper corner of each box, width and height of the page; the highest floor on top, each in the middle."""
    level = floors(known)
    rows = [[name for name in known if level[name] == i] for i in range(max(level.values()) + 1)][::-1]
    width = 2 * MARGIN + max(len(row) for row in rows) * (WIDTH + GAP_X) - GAP_X
    at: dict[str, tuple[float, float]] = {}
    for i, row in enumerate(rows):
        row.sort(key=lambda name: (_above(name, known, at, width), name))
        left = (width - len(row) * (WIDTH + GAP_X) + GAP_X) / 2
        at |= {name: (left + k * (WIDTH + GAP_X), MARGIN + i * (HEIGHT + GAP_Y)) for k, name in enumerate(row)}
    return at, width, 2 * MARGIN + len(rows) * (HEIGHT + GAP_Y) - GAP_Y


def _above(name: str, known: dict[str, set[str]], at: dict[str, tuple[float, float]], width: float) -> float:
    """Where a box would like to stand: below the middle of those that import it."""
    users = [at[user][0] for user in at if name in known[user]]
    return sum(users) / len(users) if users else width / 2


def picture() -> str:
    """The SVG."""
    known = knowledge(rooms())
    at, width, height = positions(known)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    for a, below in sorted(reduced(known).items()):
        lines += [_arrow(at[a], at[b]) for b in sorted(below)]
    for name, corner in at.items():
        lines += _box(name, *corner)
    return "\n".join([*lines, "</svg>", ""])


def _arrow(upper: tuple[float, float], lower: tuple[float, float]) -> str:
    x0, y0, x1, y1 = upper[0] + WIDTH / 2, upper[1] + HEIGHT, lower[0] + WIDTH / 2, lower[1]
    bend = GAP_Y * 0.8
    curve = f"M{x0:g} {y0:g} C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1:g}"
    return f'<path class="arrow" d="{curve} m-4 -6 l4 6 l4 -6"/>'


def _box(name: str, x: float, y: float) -> list[str]:
    label = name.replace(".", "/") + (".py" if name in FILES else "")
    return [
        f'<rect class="box {name.split(".")[0]}" x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        f'<text class="name" x="{x + 10:g}" y="{y + 18:g}">{label}</text>',
        f'<text class="words" x="{x + 10:g}" y="{y + 34:g}">{escape(WORDS[name])}</text>',
    ]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PICTURE.write_text(picture(), encoding="utf-8")
