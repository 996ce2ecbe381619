"""Draws what README shows of photographs.

    python docs/draw_photograph.py arc PHOTOGRAPH [photograph.webp]
    python docs/draw_photograph.py take PHOTOGRAPH [take.webp]

The first is a photograph, and beside it an arc through its layers and back: half of the preset arc-left as it fits it.
The second is the last frame of such a take in the photograph's own pixels, as `rap generate --size own` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from rap.data import load_clip
from rap.geometry import preset
from rap.views.fitting import fitted_preset
from rap.views.scene import picture_scene, usual_fov_y_rad

FOLDER = Path(__file__).parent
SIDE, GAP = 400, 8  # of each of the two pictures, and between them, in pixels
AMPLITUDE = 0.5  # 10 degrees: at 20 walls that the network has soft bend too much to be shown first
VIEWS, MS = 17, 110  # of the arc; how long one is shown
QUALITY, STILL_QUALITY = 60, 80


def arc(photograph: Path, side: int | None, views: int) -> list[np.ndarray]:
    """(h, w, 3) uint8 frames, their long side `side` (None: the photograph's own): the first is the photograph."""
    clip = load_clip(photograph, num_frames=1)
    fov_y_rad = usual_fov_y_rad(clip)
    given = preset("static", num_frames=1, image_size=clip.image_size, fov_y_rad=fov_y_rad)
    scene = picture_scene(clip, given)
    path = fitted_preset(
        scene, "arc-left", num_frames=views, image_size=clip.image_size, fov_y_rad=fov_y_rad, amplitude=AMPLITUDE
    )
    return list(scene.walk(path.trajectory, side or max(clip.footage.shape[1:3])))


def draw_arc(photograph: Path, out: Path) -> None:
    """The still picture at the left, the arc at the right."""
    views = arc(photograph, SIDE, VIEWS)
    gap = np.full((len(views[0]), GAP, 3), 255, np.uint8)
    shown = [Image.fromarray(np.concatenate([views[0], gap, view], axis=1)) for view in [*views, *views[-2:0:-1]]]
    shown[0].save(out, save_all=True, append_images=shown[1:], duration=MS, loop=0, quality=QUALITY, method=6)


def draw_take(photograph: Path, out: Path) -> None:
    """Where the arc ends."""
    Image.fromarray(arc(photograph, None, 2)[-1]).save(out, quality=STILL_QUALITY, method=6)


if __name__ == "__main__":
    kind, photograph, *out = sys.argv[1:]
    draw, usual = {"arc": (draw_arc, "photograph.webp"), "take": (draw_take, "take.webp")}[kind]
    draw(Path(photograph), Path(out[0]) if out else FOLDER / usual)
