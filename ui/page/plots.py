"""Plotly figures of a path: the 3D view that stands in for the viewport, and position and rotation over time.

Degrees and scene units, as everywhere on screen. Colours of frames are the viewport's, so that a colour names a frame.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float64

from rap.geometry import Trajectory
from ui.viewport.frustum_shape import frustum_depth, image_corners
from ui.viewport.palette import SELECTED, Palette, palette, time_colours

RED, GREEN, BLUE = "#c8453b", "#3f9a4f", "#4c69d6"  # legible on a light and on a dark ground
PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("", (("x", RED), ("y", GREEN), ("z", BLUE))),
    ("°", (("pitch", RED), ("yaw", GREEN), ("roll", BLUE))),
    ("", (("speed", BLUE),)),
    ("°", (("field of view", BLUE),)),
)
"""What is drawn over time, side by side: the unit behind the numbers, and the curves."""
DOMAINS = ((0.0, 0.22), (0.27, 0.54), (0.59, 0.77), (0.82, 1.0))  # of the panels, in shares of the width
MOTION_HEIGHT_PX = 164


def path_figure(
    trajectory: Trajectory | None, ghost: Trajectory | None, selected: int | None, is_dark: bool = False
) -> go.Figure:
    """The path and its frusta in 3D, y down as in the cameras' own frame; without a path it says so."""
    around = palette(is_dark)
    figure = go.Figure()
    if ghost is not None:
        figure.add_trace(_line3d(ghost.centres, _css(around.ghost), "compared path", dash="dash"))
    if trajectory is not None:
        depth = frustum_depth(trajectory)
        colours = [_css(colour) for colour in time_colours(len(trajectory))]
        figure.add_trace(_line3d(trajectory.centres, _css(around.ink), "path"))
        for i, colour in enumerate(colours):
            chosen = i == selected
            colour, width = (_css(SELECTED), 5) if chosen else (colour, 2)
            figure.add_trace(_line3d(_frustum_outline(trajectory, i, depth), colour, f"frame {i}", width))
    grid, ink = _css(around.grid), _css(around.ink)
    axis = {"showbackground": False, "gridcolor": grid, "zerolinecolor": grid, "color": ink}
    if trajectory is None:
        return _nothing_yet("The path in 3D appears here", 330, around)
    figure.update_layout(
        scene={
            "xaxis": {**axis, "title": "x"},
            "yaxis": {**axis, "title": "y"},
            "zaxis": {**axis, "title": "z"},
            "aspectmode": "data",
            "camera": {"up": {"x": 0, "y": -1, "z": 0}, "eye": {"x": 0.9, "y": -0.9, "z": -1.5}},
        },
        showlegend=False,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        height=330,
        paper_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def motion_figure(
    trajectory: Trajectory | None, ghost: Trajectory | None, selected: int | None, is_dark: bool = False
) -> go.Figure:
    """Position, rotation, speed and field of view over frames, side by side; the path compared with dotted."""
    around, figure = palette(is_dark), go.Figure()
    if trajectory is not None:
        figure.add_traces(_curves(trajectory, dotted=False))
    if ghost is not None:
        figure.add_traces(_curves(ghost, dotted=True))
    if selected is not None:
        for axis_name in (f"x{_suffix(panel)}" for panel in range(len(PANELS))):
            figure.add_shape(
                type="line", x0=selected, x1=selected, y0=0, y1=1, xref=axis_name, yref="paper",
                line={"color": _css(SELECTED), "width": 1.5},
            )  # fmt: skip
    if trajectory is None:
        text = "Position, rotation, speed and field of view over time appear here"
        return _nothing_yet(text, MOTION_HEIGHT_PX, around)
    figure.update_layout(**_motion_layout(around))
    return figure


def path_rows(trajectory: Trajectory | None) -> list[list[float]]:
    """The path in numbers: frame, x, y, z (scene units), pitch, yaw, roll, vertical field of view (degrees)."""
    if trajectory is None:
        return []
    columns = np.column_stack([trajectory.centres, euler_deg(trajectory), np.degrees(trajectory.fov_y_rad)])
    return [[i, *(round(float(value), 3) for value in row)] for i, row in enumerate(columns)]


PATH_COLUMNS = ["frame", "x", "y", "z", "pitch°", "yaw°", "roll°", "fov y°"]


def euler_deg(trajectory: Trajectory) -> Float64[np.ndarray, "frames 3"]:
    """Pitch (up positive), yaw (to the right positive) and roll (clockwise positive) of the view, in degrees.

    R = R_y(yaw) R_x(pitch) R_z(roll) in OpenCV axes, as one turns a tripod head: first yaw, then pitch, then roll.
    """
    R = trajectory.Ts_world_camera[:, :3, :3]
    forward = R[:, :, 2]
    yaw = np.arctan2(forward[:, 0], forward[:, 2])
    pitch = np.arcsin(np.clip(-forward[:, 1], -1, 1))
    roll = np.arctan2(R[:, 1, 0], R[:, 1, 1])
    return np.degrees(np.unwrap(np.stack([pitch, yaw, roll], axis=-1), axis=0))


def _nothing_yet(text: str, height: int, around: Palette) -> go.Figure:
    """A sentence in place of empty axes."""
    figure = go.Figure()
    font = {"size": 12, "color": _css(around.faint)}
    figure.add_annotation(text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font=font)
    figure.update_layout(
        xaxis={"visible": False},
        yaxis={"visible": False},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def _frustum_outline(trajectory: Trajectory, index: int, depth: float) -> Float64[np.ndarray, "n 3"]:
    """One stroke along all edges of a frustum."""
    apex = trajectory.centres[index]
    a, b, c, d = image_corners(trajectory, index, depth)
    return np.stack([apex, a, b, apex, c, d, apex, a, d, c, b])


def _line3d(points: np.ndarray, colour: str, name: str, width: float = 3, dash: str = "solid") -> go.Scatter3d:
    return go.Scatter3d(
        x=points[:, 0], y=points[:, 1], z=points[:, 2], mode="lines", name=name, hoverinfo="name",
        line={"color": colour, "width": width, "dash": dash},
    )  # fmt: skip


def _curves(trajectory: Trajectory, dotted: bool) -> list[go.Scatter]:
    """A curve for each column of each panel."""
    frames, traces = np.arange(len(trajectory)), []
    for panel, ((_, names), values) in enumerate(zip(PANELS, _columns(trajectory), strict=True)):
        suffix = _suffix(panel)
        for (name, colour), column in zip(names, values.T, strict=True):
            line = {"color": colour, "width": 1 if dotted else 2, "dash": "dot" if dotted else "solid"}
            traces.append(
                go.Scatter(
                    x=frames,
                    y=column,
                    name=f"{name}, compared path" if dotted else name,
                    mode="lines",
                    line=line,
                    xaxis=f"x{suffix}",
                    yaxis=f"y{suffix}",
                    legend=f"legend{suffix}",
                    showlegend=not dotted,
                    hovertemplate="%{y:.3f}",
                )  # fmt: skip
            )
    return traces


def _columns(trajectory: Trajectory) -> tuple[Float64[np.ndarray, "frames k"], ...]:
    """Centres (scene units), angles (degrees), speed (scene units a frame), vertical field of view (degrees)."""
    speed = np.linalg.norm(np.diff(trajectory.centres, axis=0, prepend=trajectory.centres[:1]), axis=1)
    speed[:1] = speed[1:2]  # of the step that begins there
    fov_deg = np.degrees(trajectory.fov_y_rad)
    return trajectory.centres, euler_deg(trajectory), speed[:, None], fov_deg[:, None]


def _suffix(panel: int) -> str:
    return "" if panel == 0 else str(panel + 1)


def _motion_layout(around: Palette) -> dict:
    grid, zero, ink = (_css(colour) for colour in (around.grid, around.zero, around.ink))
    axis = {"gridcolor": grid, "zerolinecolor": zero, "color": ink, "tickfont": {"size": 10}, "nticks": 5}
    font = {"size": 10, "color": ink}
    legend = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "font": font, "entrywidth": 0}
    layout: dict = {
        "margin": {"l": 36, "r": 8, "t": 22, "b": 22},
        "height": MOTION_HEIGHT_PX,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": grid, "font": {"color": ink}},
    }
    for panel, ((unit, _), domain) in enumerate(zip(PANELS, DOMAINS, strict=True)):
        suffix = _suffix(panel)
        layout[f"xaxis{suffix}"] = {**axis, "domain": domain, "anchor": f"y{suffix}"}
        layout[f"yaxis{suffix}"] = {**axis, "anchor": f"x{suffix}", "ticksuffix": unit}
        layout[f"legend{suffix}"] = {**legend, "x": domain[0]}
    layout["yaxis3"]["rangemode"] = "tozero"
    return layout


def _css(colour: tuple[int, ...] | np.ndarray) -> str:
    r, g, b = (int(channel) for channel in colour)
    return f"rgb({r},{g},{b})"
