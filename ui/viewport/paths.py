"""Paths as lines: the edited one, and beside it prediction, samples, followed, known and imported cameras."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import viser
from jaxtyping import Float, UInt8

from rap.geometry import Trajectory
from ui.viewport.clouds import KEY_SIZE, Dots
from ui.viewport.frustum_shape import image_corners
from ui.viewport.overview import WORLD_UP
from ui.viewport.palette import FOLLOWED, PENDING, TUBE, Colour, palette, time_colours
from ui.viewport.scene import ViewportScene

RING_POINTS = 16
DASHES_PER_STEP = 2  # of the followed path, from frame to frame


class Paths:
    """The edited path as a line, its keys as dots, and every path beside it."""

    def __init__(self, server: viser.ViserServer):
        self._path = Lines(server, "/path/line", thickness_px=3.0)
        self._keys = Dots(server, "/path/keys", KEY_SIZE)
        self._ghost = Lines(server, "/ghost", thickness_px=1.0)
        self._raw = Lines(server, "/raw", thickness_px=1.0)
        self._followed = Lines(server, "/followed", thickness_px=2.5)
        self._known = Lines(server, "/known", thickness_px=1.0)
        self._tube = Lines(server, "/tube", thickness_px=1.0)
        self._pending = Lines(server, "/pending", thickness_px=1.5)

    def draw(self, scene: ViewportScene, depth: float) -> None:
        """Show all paths of `scene`, their frusta as ending at z-depth `depth`."""
        colours = palette(scene.is_dark)
        self._ghost.trace(colours.ghost, _wireframes, scene.ghost, depth)
        self._raw.trace(colours.raw, _wireframes, scene.raw, depth / 2.0)
        self._followed.trace(FOLLOWED, _dashes, scene.followed, scene.selected, depth)
        self._known.trace(colours.known, _wireframes, scene.known, depth / 2.0)
        self._tube.trace(TUBE, _rings, *(scene.tube or (None,)))
        self._pending.trace(PENDING, _wireframes, scene.pending, depth)
        marked = [frame for frame in scene.keys if frame is not None]
        centres = np.zeros((0, 3)) if scene.trajectory is None else scene.trajectory.centres[marked]
        self._keys.draw(centres, colours.strong)
        if scene.trajectory is None:
            self._path.draw(None, np.zeros(3, np.uint8))
        else:
            self._path.draw(_polyline(scene.trajectory.centres), _line_colours(len(scene.trajectory)))

    def show(self, visible: bool) -> None:
        """Show or hide the paths beside the edited one, which hangs under the frusta's parent."""
        for lines in (self._ghost, self._raw, self._followed, self._known, self._tube, self._pending):
            lines.show(visible)


class Lines:
    """One named set of line segments, replaced only when its number of segments changes."""

    def __init__(self, server: viser.ViserServer, name: str, thickness_px: float):
        self._server, self._name, self._thickness_px = server, name, thickness_px
        self._handle: viser.LineSegmentsHandle | None = None
        self._colours: np.ndarray | None = None
        self._drawn_from: tuple[Any, ...] = ()

    def show(self, visible: bool) -> None:
        """Show or hide the lines without forgetting them."""
        if self._handle is not None:
            self._handle.visible = visible

    def trace(self, colour: Colour, segments: Callable[..., np.ndarray], subject: Any, *rest: Any) -> None:
        """Show `segments(subject, *rest)`, nothing for no subject; made only when one of these is another."""
        drawn_from = (subject, colour, *rest)
        if _are_same(drawn_from, self._drawn_from):
            return
        self._drawn_from = drawn_from
        self.draw(None if subject is None else segments(subject, *rest), np.array(colour, np.uint8))

    def draw(self, segments: Float[np.ndarray, "n 2 3"] | None, colours: np.ndarray) -> None:
        """Show `segments` in `colours`, (3,) or (n, 2, 3) uint8; None or no segment removes the node."""
        if segments is None or len(segments) == 0:
            if self._handle is not None:
                self._handle.remove()
                self._handle = None
        elif self._handle is not None and self._handle.points.shape == segments.shape:
            self._handle.points = segments.astype(np.float32)
            if colours is not self._colours:
                self._handle.colors = colours
        else:
            self._handle = self._server.scene.add_line_segments(
                self._name, segments, colours, thickness=self._thickness_px, thickness_units="screen"
            )
        self._colours = colours


def _are_same(ones: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    """Paths and arrays by identity, colours and numbers by value."""
    pairs = zip(ones, others, strict=False)
    is_same = all(a is b or (isinstance(a, float | int | tuple) and a == b) for a, b in pairs)
    return len(ones) == len(others) and is_same


@lru_cache(maxsize=16)
def _line_colours(num_frames: int) -> UInt8[np.ndarray, "segments 2 3"]:
    colours = time_colours(num_frames)
    return np.stack([colours[:-1], colours[1:]], axis=1)


def _polyline(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "segments 2 3"]:
    return np.stack([points[:-1], points[1:]], axis=1)


def _dashes(trajectory: Trajectory, selected: int | None, depth: float) -> Float[np.ndarray, "segments 2 3"]:
    """A dashed path: every other piece of each step from frame to frame, and the frustum of the selected frame."""
    start, step = trajectory.centres[:-1, None], np.diff(trajectory.centres, axis=0)[:, None]
    at = np.arange(0, DASHES_PER_STEP, dtype=float)[:, None] / DASHES_PER_STEP
    dashes = np.stack([start + at * step, start + (at + 0.5 / DASHES_PER_STEP) * step], axis=2).reshape(-1, 2, 3)
    if selected is None or selected >= len(trajectory):
        return dashes
    corners, apex = image_corners(trajectory, selected, depth), trajectory.centres[selected]
    outline = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    return np.concatenate([dashes, outline, np.stack([np.broadcast_to(apex, (4, 3)), corners], axis=1)])


def _rings(trajectory: Trajectory, radii: Float[np.ndarray, " t"]) -> Float[np.ndarray, "segments 2 3"]:
    """A ring around each camera, across the way it goes, and four lines along them: a tube."""
    along = np.gradient(trajectory.centres, axis=0) if len(trajectory) > 1 else np.array([[0.0, 0.0, 1.0]])
    still = np.linalg.norm(along, axis=1) < 1e-9
    along[still] = trajectory.Ts_world_camera[still, :3, 2]
    aside = np.cross(
        along, np.where(np.abs(along[:, 1:2]) < 0.9 * np.linalg.norm(along, axis=1)[:, None], WORLD_UP, 1.0)
    )
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    across = np.cross(along / np.linalg.norm(along, axis=1, keepdims=True), aside)
    turn = np.linspace(0, 2 * np.pi, RING_POINTS, endpoint=False)[None, :, None]
    rings = np.cos(turn) * aside[:, None] + np.sin(turn) * across[:, None]
    points = trajectory.centres[:, None] + radii[:, None, None] * rings
    around = np.stack([points, np.roll(points, -1, axis=1)], axis=2).reshape(-1, 2, 3)
    lengthwise = np.stack([points[:-1, :: RING_POINTS // 4], points[1:, :: RING_POINTS // 4]], axis=2).reshape(-1, 2, 3)
    return np.concatenate([around, lengthwise])


def _wireframes(trajectory: Trajectory, depth: float) -> Float[np.ndarray, "segments 2 3"]:
    """All frusta and the path as one set of segments: a single cheap node for what is never clicked."""
    segments = [_polyline(trajectory.centres)]
    for i in range(len(trajectory)):
        corners = image_corners(trajectory, i, depth)
        segments.append(np.stack([corners, np.roll(corners, -1, axis=0)], axis=1))
        segments.append(np.stack([np.broadcast_to(trajectory.centres[i], (4, 3)), corners], axis=1))
    return np.concatenate(segments)
