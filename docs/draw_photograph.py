"""Draws photograph.webp, README's first picture: a photograph, and beside it an arc through its layers and back.

    python docs/draw_photograph.py PHOTOGRAPH [OUT.webp]

What moves is what the page and `rap preview` make of the picture: half of the preset arc-left as it fits it.
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

PICTURE = Path(__file__).parent / "photograph.webp"
SIDE, GAP = 400, 8  # of each of the two pictures, and between them, in pixels
AMPLITUDE = 0.5  # 10 degrees: at 20 walls that the network has soft bend too much to be shown first
VIEWS, MS = 17, 110  # of the arc; how long one is shown
QUALITY = 60


def arc(photograph: Path) -> list[np.ndarray]:
    """(h, w, 3) uint8 frames: the first is the photograph itself."""
    clip = load_clip(photograph, num_frames=1)
    fov_y_rad = usual_fov_y_rad(clip)
    given = preset("static", num_frames=1, image_size=clip.image_size, fov_y_rad=fov_y_rad)
    scene = picture_scene(clip, given)
    path = fitted_preset(
        scene, "arc-left", num_frames=VIEWS, image_size=clip.image_size, fov_y_rad=fov_y_rad, amplitude=AMPLITUDE
    )
    return list(scene.walk(path.trajectory, SIDE))


def draw(photograph: Path, out: Path) -> None:
    """The still picture at the left, the arc at the right."""
    views = arc(photograph)
    gap = np.full((len(views[0]), GAP, 3), 255, np.uint8)
    shown = [Image.fromarray(np.concatenate([views[0], gap, view], axis=1)) for view in [*views, *views[-2:0:-1]]]
    shown[0].save(out, save_all=True, append_images=shown[1:], duration=MS, loop=0, quality=QUALITY, method=6)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else PICTURE)
