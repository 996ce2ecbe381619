"""What browser tests share besides the fixtures of conftest.py: waiting, world points to CSS pixels, the mouse."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from rap.geometry import se3

ASSETS = Path(__file__).parents[2] / "assets"
WAIT_MS = 240_000  # for whatever a page is waited for: machines have other work, and what fails is rare


def viewport_frame(page):
    """The viewport's iframe once it is there."""
    iframe = page.wait_for_selector(".rap-viewport iframe")
    return iframe.content_frame()


def wait_for_client(page, server):
    """The one client of a viser server, once it has connected and rendered the same picture twice."""
    end = time.monotonic() + WAIT_MS / 1000
    previous = None
    while time.monotonic() < end:
        page.wait_for_timeout(200)
        clients = list(server.get_clients().values())
        if not clients:
            continue
        picture = clients[0].get_render(height=60, width=90).astype(int)
        if previous is not None and np.abs(picture - previous).mean() < 0.05:
            return clients[0]
        previous = picture
    raise AssertionError("the viewport did not come to rest in time")


def _projection(page, client, points_world):
    """Camera-frame points (N, 3), the canvas's focal length in CSS pixels, and the canvas's middle on the page."""
    camera = client.camera
    box = viewport_frame(page).wait_for_selector("canvas").bounding_box()
    R = se3.rotation_from_wxyz(camera.wxyz)
    points_camera = (np.atleast_2d(points_world) - camera.position) @ R
    focal = box["height"] / 2.0 / np.tan(camera.fov / 2.0)
    return points_camera, focal, np.array([box["x"] + box["width"] / 2.0, box["y"] + box["height"] / 2.0])


def to_css(page, client, points_world):
    """Where world points (N, 3) appear on the page: CSS pixels (N, 2), by viser's own camera and the canvas's box."""
    points_camera, focal, middle = _projection(page, client, points_world)
    return middle + focal * points_camera[:, :2] / points_camera[:, 2:]


def pixels_per_unit(page, client, point_world):
    """CSS pixels of a world length of 1 across the line of sight at a point; for what has a fixed size on screen."""
    points_camera, focal, _ = _projection(page, client, point_world)
    return focal / points_camera[0, 2]


def drag_mouse(page, start, end, steps=8):
    """Press at `start`, move to `end` in `steps`, let go; the waits let the viewport's own timers run."""
    page.mouse.move(*start)
    page.wait_for_timeout(250)
    page.mouse.down()
    for share in np.linspace(0.0, 1.0, steps + 1)[1:]:
        page.mouse.move(*(np.asarray(start) + share * (np.asarray(end) - np.asarray(start))))
        page.wait_for_timeout(60)
    page.wait_for_timeout(200)
    page.mouse.up()
    page.wait_for_timeout(300)


def drag_touch(page, start, end, steps=8):
    """As `drag_mouse`, with a finger."""
    finger = page.context.new_cdp_session(page)

    def send(kind, at=None):
        points = [] if at is None else [{"x": float(at[0]), "y": float(at[1])}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_timeout(60)

    send("touchStart", start)
    for share in np.linspace(0.0, 1.0, steps + 1)[1:]:
        send("touchMove", np.asarray(start) + share * (np.asarray(end) - np.asarray(start)))
    page.wait_for_timeout(200)
    send("touchEnd")
    finger.detach()
