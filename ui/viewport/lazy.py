"""A viewport whose server starts when a page first looks: a session of a program never has one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from ui.viewport.viewport import Viewport, ViewportScene


class LazyViewport:
    """Stands for a `Viewport` of which only the scene is kept until somebody connects. Safe to call from any thread.

    Args:
        dispatch: as of `Viewport`.
        commands: as of `Viewport.add_commands`.
    """

    def __init__(self, dispatch: Callable[[Any], None], commands: Mapping[str, Any]) -> None:
        self._dispatch, self._commands = dispatch, commands
        self._scene = ViewportScene()
        self._viewport: Viewport | None = None
        self._closed = False
        self._lock = threading.RLock()

    @property
    def is_started(self) -> bool:
        """Whether there is a server."""
        return self._viewport is not None

    def started(self) -> Viewport:
        """The viewport, with its server running and the scene drawn.

        Raises:
            OSError: the session has ended, or the process has no descriptors left.
        """
        with self._lock:
            if self._closed:
                raise ConnectionRefusedError("this session has ended")
            if self._viewport is None:
                viewport = Viewport(self._dispatch)
                viewport.add_commands(self._commands)
                viewport.draw(self._scene)
                self._viewport = viewport
            return self._viewport

    def connect(self) -> socket.socket:
        """As `Viewport.connect`; the first starts the server.

        Raises:
            OSError: as `started`.
        """
        return self.started().connect()

    def draw(self, scene: ViewportScene) -> None:
        """As `Viewport.draw`."""
        with self._lock:
            self._scene = scene
            if self._viewport is not None:
                self._viewport.draw(scene)

    def orbit_view(self) -> None:
        """As `Viewport.orbit_view`; who connects first sees that view in any case."""
        if self._viewport is not None:
            self._viewport.orbit_view()

    def current_view(self) -> Float64[np.ndarray, "4 4"] | None:
        """As `Viewport.current_view`."""
        return None if self._viewport is None else self._viewport.current_view()

    def begin_recording(self) -> bool:
        """As `Viewport.begin_recording`."""
        return self._viewport is not None and self._viewport.begin_recording()

    def end_recording(self) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n 4 4"]]:
        """As `Viewport.end_recording`."""
        return (np.zeros(0), np.zeros((0, 4, 4))) if self._viewport is None else self._viewport.end_recording()

    def close(self) -> None:
        """As `Viewport.close`."""
        with self._lock:
            self._closed, viewport = True, self._viewport
        if viewport is not None:
            viewport.close()
