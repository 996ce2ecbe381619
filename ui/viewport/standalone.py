"""The 3D view as a page of its own, which needs no server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ui.viewport.scene import ViewportScene
from ui.viewport.viewport import Viewport


def standalone(scene: ViewportScene) -> str:
    """HTML of viser's client with the scene within it, seen from where all of it is in view.

    What a hand is about to do is left out: nobody's hand is there. A viewport is made for it, for that of a person at
    work shows what they look at.

    Raises:
        OSError: the process has no descriptors left.
    """
    viewport = Viewport(_nobody)
    try:
        viewport.draw(
            replace(scene, selected=None, picking=False, through=False, held=False, pending=None, soft_radius=0.0)
        )
        return viewport.server.get_scene_serializer().as_html(dark_mode=scene.is_dark)
    finally:
        viewport.close()


def _nobody(message: Any) -> None:
    """Who listens to the gestures in a kept page."""
