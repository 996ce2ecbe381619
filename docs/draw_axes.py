"""Draws docs/axes.svg, the axes of `docs/conventions.md`: `python docs/draw_axes.py`, after a convention was added.

A test holds the picture against this file. Axes away from the viewer are drawn to the upper right, as the lens points.
"""

from __future__ import annotations

from pathlib import Path

PICTURE = Path(__file__).with_name("axes.svg")
RIGHT, UP, AWAY = (62.0, 0.0), (0.0, -46.0), (36.0, -28.0)
CAMERAS = (
    (
        "OpenCV",
        "ours, COLMAP, TUM, GEN3C,",
        "RealEstate10K, After Effects",
        "x right, y down, z ahead",
        (1, -1, 1),
        "xyz",
    ),
    ("OpenGL", "nerfstudio, Blender, USD, Nuke,", "Record3D, Polycam", "x right, y up, z backwards", (1, 1, -1), "xyz"),
    ("LLFF", "poses_bounds.npy", "", "x down, y right, z backwards", (1, -1, -1), "yxz"),
)
WORLDS = (
    ("+y down", "ours: the world of the", "source camera", "x right, y down, z ahead", (1, -1, 1), "xyz"),
    ("+y up", "USD, Nuke, ARKit", "", "x right, y up, z towards you", (1, 1, -1), "xyz"),
    ("+z up", "Blender", "", "x right, z up, y ahead", (1, 1, 1), "xzy"),
)
WIDTH, HEIGHT, LEFT = 236, 240, 12
STYLE = """
  .page { fill: #ffffff }
  .panel { fill: none; stroke: #c6ccd8; stroke-width: 1 }
  .axis { stroke: #15181e; stroke-width: 2; marker-end: url(#tip) }
  .lens { fill: #eef0f4; stroke: #6a7180; stroke-width: 1.2; stroke-linejoin: round }
  .title { font: 600 15px system-ui, sans-serif; fill: #15181e }
  .words { font: 12px system-ui, sans-serif; fill: #4a5162 }
  .letter { font: italic 600 15px Georgia, serif; fill: #15181e }
"""


def drawn() -> str:
    """The picture as SVG."""
    panels = [_panel(i, 0, "camera: " + one[0], one[1:4], one[4], one[5], True) for i, one in enumerate(CAMERAS)]
    panels += [_panel(i, 1, "world: " + one[0], one[1:4], one[4], one[5], False) for i, one in enumerate(WORLDS)]
    width, height = 3 * WIDTH + 2 * LEFT, 2 * HEIGHT + 2 * LEFT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        f"<title>Axes of cameras and worlds</title>\n<style>{STYLE}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#15181e"/></marker></defs>\n'
        f'<rect class="page" width="{width}" height="{height}"/>\n' + "\n".join(panels) + "\n</svg>\n"
    )


def _panel(
    column: int,
    row: int,
    title: str,
    lines: tuple[str, ...],
    signs: tuple[int, int, int],
    letters: str,
    has_lens: bool,
) -> str:
    """A panel; `signs` are those of its axes to the right, upwards and away, named by `letters` in this order."""
    left, top = LEFT + column * WIDTH, LEFT + row * HEIGHT
    x, y = left + 96, top + 122
    parts = [f'<rect class="panel" x="{left}" y="{top}" width="{WIDTH - 12}" height="{HEIGHT - 12}" rx="6"/>']
    if has_lens:  # a frustum that opens away from the viewer
        corners = [
            (x + AWAY[0] * 1.1 + u, y + AWAY[1] * 1.1 + v) for u, v in ((-26, -17), (26, -17), (26, 17), (-26, 17))
        ]
        outline = " ".join(f"{a:.0f},{b:.0f}" for a, b in corners)
        rays = "".join(f"M{x} {y}L{a:.0f} {b:.0f}" for a, b in corners)
        parts.append(f'<polygon class="lens" points="{outline}"/><path class="lens" d="{rays}"/>')
    for (along, across), sign, letter in zip((RIGHT, UP, AWAY), signs, letters, strict=True):
        a, b = x + sign * along, y + sign * across
        u, v = x + 1.17 * sign * along - 4, y + 1.2 * sign * across + 5
        parts.append(f'<line class="axis" x1="{x}" y1="{y}" x2="{a:.0f}" y2="{b:.0f}"/>')
        parts.append(f'<text class="letter" x="{u:.0f}" y="{v:.0f}">{letter}</text>')
    parts.append(f'<text class="title" x="{left + 10}" y="{top + 22}">{title}</text>')
    parts.append(f'<text class="words" x="{left + 10}" y="{top + 40}">{lines[2]}</text>')
    for i, line in enumerate(line for line in lines[:2] if line):
        parts.append(f'<text class="words" x="{left + 10}" y="{top + HEIGHT - 36 + 15 * i}">{line}</text>')
    return "\n".join(parts)


if __name__ == "__main__":
    PICTURE.write_text(drawn(), encoding="utf-8")
