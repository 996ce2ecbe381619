"""The handle on the selected frame, and the gestures of the hand that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import viser
from jaxtyping import Float64

from rap.geometry import se3
from ui.document.messages import Drag, DragEnd, DragStart, GizmoMode
from ui.viewport.placing import set_pose

GIZMO_SCALE_PX = 100.0


class Gizmo:
    """The handle on the selected frustum. While it is held nobody but the hand moves it."""

    def __init__(self, server: viser.ViserServer, dispatch: Callable[[Any], None]):
        self._server, self._dispatch = server, dispatch
        self._handle: viser.TransformControlsHandle | None = None
        self._index: int | None = None
        self.dragged: int | None = None
        self._latest: Float64[np.ndarray, "4 4"] | None = None

    def draw(
        self, index: int | None, T_world_camera: Float64[np.ndarray, "4 4"] | None, mode: GizmoMode = "both"
    ) -> None:
        """Put the gizmo on frame `index` at its pose; None takes it away. Does nothing while it is held."""
        if self.dragged is not None:
            return
        self._index = index
        if index is None or T_world_camera is None:
            if self._handle is not None:
                self._handle.remove()
                self._handle = None
            return
        wxyz, position = se3.quaternion_wxyz(T_world_camera[:3, :3]), T_world_camera[:3, 3]
        if self._handle is None:
            self._handle = self._server.scene.add_transform_controls(
                "/gizmo",
                scale=GIZMO_SCALE_PX,
                fixed=True,
                line_width=3.0,
                depth_test=False,
                wxyz=wxyz,
                position=position,
            )
            self._handle.on_update(self._moved)
        else:
            set_pose(self._handle, wxyz, position)
        self._handle.disable_rotations = mode == "move"
        self._handle.disable_axes = self._handle.disable_sliders = mode == "turn"

    async def _moved(self, event: viser.TransformControlsEvent) -> None:
        # A coroutine without awaits runs on viser's loop in order of arrival; plain functions go to a pool and may not.
        if event.phase == "end":
            if self.dragged is not None:
                index, self.dragged = self.dragged, None  # first: the session's answer may move the gizmo again
                self._latest = None
                self._dispatch(DragEnd(index, self._pose(event.target)))
            return
        if self.dragged is None and self._index is not None:
            self.dragged = self._index
            self._dispatch(DragStart(self.dragged))
        if event.phase == "update" and self.dragged is not None:
            is_first, self._latest = self._latest is None, self._pose(event.target)
            if is_first:
                asyncio.get_running_loop().call_soon(self._tell_latest)

    def _tell_latest(self) -> None:
        """Of moves that have come in while the last one was being drawn, only the newest counts: no lag builds up."""
        latest, self._latest = self._latest, None
        if self.dragged is not None and latest is not None:
            self._dispatch(Drag(self.dragged, latest))

    @staticmethod
    def _pose(handle: viser.TransformControlsHandle) -> Float64[np.ndarray, "4 4"]:
        wxyz = np.asarray(handle.wxyz, float)
        return se3.from_rotation_translation(
            se3.rotation_from_wxyz(wxyz / np.linalg.norm(wxyz)), np.asarray(handle.position, float)
        )
