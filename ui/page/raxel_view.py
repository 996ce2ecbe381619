"""What the model itself sees of a camera: the raxel map of the selected frame, on the edited, the estimated, the known
path. A pure function from the document to HTML."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ui.page.html import NOTHING, Html, tag, together
from ui.session.pictures import inline_jpeg

if TYPE_CHECKING:  # brings torch, which is not there yet when the page is built
    from rap.geometry import Trajectory

QUALITY = 90


def raxel_view(edited: Trajectory | None, best: Trajectory | None, known: Trajectory | None, frame: int | None) -> Html:
    """One map for each path that has this frame, with its name under it; empty without a path.

    Args:
        edited: the path that is shown.
        best: the path estimated from the clip, refined where that was possible.
        known: the clip's known cameras, in the unit of `best`.
        frame: of the edited path; None: its source frame.
    """
    if edited is None:
        return NOTHING
    index = edited.source if frame is None else frame
    named = {"edited": edited, "estimated": best, "known": known}
    shown = {name: _picture(path, index) for name, path in named.items() if path is not None and index < len(path)}
    maps = [
        tag("figure", tag("img", alt="raxel map", src=inline_jpeg(picture)), tag("figcaption", name))
        for name, picture in shown.items()
    ]
    words = "o + d of each pixel's ray, as the model is given the camera"
    heading = tag("div", tag("b", f"Raxels, frame {index}"), words, class_="rap-fact")
    return together(heading, tag("div", *maps, class_="rap-raxels"))


def _picture(path: Trajectory, index: int) -> bytes:
    from rap.data import raxels_to_u8
    from rap.geometry import cameras_to_raxels

    relative = path.relative_to(path.source)
    h, w = relative.image_size
    lens = relative.intrinsics[index : index + 1] / 2  # half the frame's size, as the codec sees them
    maps = cameras_to_raxels(relative.Ts_world_camera[index : index + 1], lens, (h // 2, w // 2))
    data = io.BytesIO()
    Image.fromarray(raxels_to_u8(np.asarray(maps))[0]).save(data, "JPEG", quality=QUALITY)
    return data.getvalue()
