"""The raxel maps beside the numbers of a frame."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from fakes import SIZE
from PIL import Image

from rap.data import raxels_to_u8
from rap.geometry import cameras_to_raxels, preset
from ui.page.raxel_view import raxel_view

ARC = preset("arc-left", image_size=SIZE)


def shown(html):
    """Pictures by the names under them."""
    found = re.findall(r"base64,([^\"]+)\"><figcaption>(\w+)<", html)
    return {name: np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data, name in found}


def test_the_map_is_the_one_of_that_camera():
    picture = shown(raxel_view(ARC, None, None, 7))["edited"]
    h, w = SIZE
    whole = cameras_to_raxels(ARC.Ts_world_camera, ARC.intrinsics / 2, (h // 2, w // 2))
    expected = raxels_to_u8(np.asarray(whole))
    assert picture.shape == (48, 64, 3)
    errors = [np.abs(picture.astype(int) - one).mean() for one in expected.astype(int)]
    assert int(np.argmin(errors)) == 7 and errors[7] < 2


def test_each_path_that_has_the_frame_is_shown():
    short = preset("arc-left", image_size=SIZE, num_frames=5)
    assert list(shown(raxel_view(ARC, ARC.scaled(0.5), short, 7))) == ["edited", "estimated"]
    assert list(shown(raxel_view(ARC, ARC.scaled(0.5), short, None))) == ["edited", "estimated", "known"]
    assert raxel_view(None, ARC, None, 3) == ""


def test_the_world_is_the_source_camera():
    seen_from_eight = shown(raxel_view(ARC.relative_to(8), None, None, 8))["edited"]
    source = shown(raxel_view(ARC, None, None, 0))["edited"]
    assert np.array_equal(seen_from_eight, source)
