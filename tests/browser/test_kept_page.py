"""A page that was shared: opened from the disk, with no server and no network."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from fakes import moving_frames, wait_until

from rap.data import Clip
from ui.document import messages as msg
from ui.page import keep_panel

pytestmark = pytest.mark.timeout(300)
NAME = "<img src=x onerror=alert(1)>.mp4"
OF_ITSELF = ("data:", "blob:", "about:")


def shared(session):
    """The file that the Keep tab gives."""
    clip = Clip(moving_frames(17), fps=8.0, name=NAME)  # as a session file may call it
    steps = msg.SetUseGeometry(False), msg.ClipRead(clip), msg.ApplyPreset("arc-left"), msg.Regenerate(steps=2)
    for message in steps:
        session.dispatch(message)
    wait_until(lambda: session.state.document.take is not None)
    return Path(keep_panel.share(session))


def test_a_shared_page_plays_from_the_disk(running, page, shot):
    session = running.sessions.result().open("", None)
    path, edited = shared(session), session.state.document.edited
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    page.set_viewport_size({"width": 900, "height": 900})
    page.goto("file://" + quote(str(path)))
    assert page.inner_text("h1") == NAME
    for film in ("#given video", "#take video"):
        page.wait_for_function(f"document.querySelector('{film}').readyState >= 2")
    canvas = page.frame_locator("#space iframe").locator("canvas").first
    canvas.wait_for(state="visible")
    page.frame_locator("#space iframe").get_by_text("Software WebGL").wait_for(state="visible")  # it has begun to draw
    page.click("summary")
    assert f'"image_size": [{edited.image_size[0]}' in page.inner_text("#path")
    assert page.locator("img[src=x]").count() == 0
    assert [url for url in asked if not url.startswith((*OF_ITSELF, "file://" + quote(str(path))))] == []
    page.evaluate("scrollTo(0, 0)")
    picture = shot("kept")
    box = page.locator("#space iframe").bounding_box()
    drawn = picture[int(box["y"]) : 880, int(box["x"]) + 330 : 880]
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 50, "the path is drawn, in many colours"
