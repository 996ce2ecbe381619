"""The plain values of a session's manifest: each of a known word, a bounded text or a finite number in its range."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import Any, get_args

import numpy as np

from rap.errors import InputError
from rap.formats.values import flag, listed, number, one_of, text, whole
from rap.geometry import Trajectory
from rap.geometry.keys import KeyPath
from rap.geometry.reshape import Easing
from rap.geometry.spread import PathSpread
from rap.limits import PATH_FRAMES, PROMPT_CHARACTERS, SENTENCE_CHARACTERS, STEPS, TAKE_FPS, TAKE_SIDE
from rap.reconstruction.judge import Verdict
from rap.reconstruction.refine import FocalSource, Outcome, RefinementReport, StartName
from ui.document.document import Settings, SoftDrag

ORIGINS = ("regenerated", "imagined")
HASH = re.compile(r"[0-9a-f]{16}")
LARGE = 1e9  # more than any length, time or ratio that a session has
MAX_SEED = 1 << 53


def settings(row: dict[str, Any]) -> Settings:
    """Of a take; a file of before source frames could be chosen has none."""
    strange = set(row) - {field.name for field in fields(Settings)}
    if strange:
        raise InputError(f"settings holds {sorted(strange)[0][:60]!r}, which no take has")
    steps, guidance, temperature = (row.get(key) for key in ("steps", "guidance", "temperature"))
    return Settings(
        seed=whole(row["seed"], "seed", -MAX_SEED, MAX_SEED),
        steps=None if steps is None else whole(steps, "steps", 1, STEPS.value),
        with_geometry=flag(row.get("with_geometry", False), "with_geometry"),
        sources=frames(row.get("sources", [])),
        guidance=None if guidance is None else number(guidance, "guidance", 0, 1000),
        temperature=None if temperature is None else number(temperature, "temperature", 0, 1000),
        layers=flag(row.get("layers", False), "layers"),
        film=flag(row.get("film", False), "film"),
        side=None if row.get("side") is None else whole(row["side"], "side", 1, TAKE_SIDE.value),
        frames=None if row.get("frames") is None else whole(row["frames"], "frames", 1, PATH_FRAMES.value),
        fps=None if row.get("fps") is None else number(row["fps"], "fps", 0.1, TAKE_FPS.value),
        generator=text(row.get("generator", ""), "generator"),
        prompt=text(row.get("prompt", ""), "prompt", PROMPT_CHARACTERS),
    )


def origin(row: dict[str, Any]) -> str:
    """How a take was made."""
    return one_of(row["origin"], "origin", ORIGINS)


def clip_hash(row: dict[str, Any]) -> str:
    """Of the clip that a take was made from."""
    value = row["clip_hash"]
    if not isinstance(value, str) or not HASH.fullmatch(value):
        raise InputError("clip_hash is none; the file was changed")
    return value


def seconds(row: dict[str, Any]) -> float:
    """What something took."""
    return number(row["seconds"], "seconds", 0, LARGE)


def soft_drag(row: dict[str, Any]) -> SoftDrag:
    """How far a drag takes neighbours along."""
    return SoftDrag(flag(row["on"], "on"), number(row["radius"], "radius", 1e-3, LARGE))


def report(row: dict[str, Any]) -> RefinementReport:
    """JSON has no tuples; a session of before joints were judged says nothing of them."""
    weak = [listed(pair, PATH_FRAMES) for pair in listed(row.get("weak_joints", []), PATH_FRAMES)]
    if any(len(pair) != 2 for pair in weak):
        raise InputError("weak_joints must be pairs of frames")
    judged = "outcome" in row
    return RefinementReport(
        outcome=one_of(row["outcome" if judged else "verdict"], "outcome", get_args(Outcome)),
        reason=text(row["reason"], "reason", SENTENCE_CHARACTERS),
        start=one_of(row["start"], "start", get_args(StartName)),
        focal_source=one_of(row["focal_source"], "focal_source", get_args(FocalSource)),
        residual_before_px=_number_or_nan(row["residual_before_px"], "residual_before_px"),
        residual_after_px=_number_or_nan(row["residual_after_px"], "residual_after_px"),
        num_observations=whole(row["num_observations"], "num_observations"),
        num_points=whole(row["num_points"], "num_points"),
        focal_change=number(row["focal_change"], "focal_change", 0, LARGE),
        seconds=seconds(row),
        weak_joints=tuple((whole(a, "weak_joints"), whole(b, "weak_joints")) for a, b in weak),
        **(_judgement(row) if judged else {}),
    )


def _judgement(row: dict[str, Any]) -> dict[str, Any]:
    """What the path is worth; told since a session's report has an outcome beside its verdict."""
    interval = row["fov_y_interval_rad"]
    if interval is not None:
        ends = [number(value, "fov_y_interval_rad", 0, math.pi) for value in listed(interval, PATH_FRAMES)]
        if len(ends) != 2:
            raise InputError("fov_y_interval_rad must be two angles")
        interval = ends[0], ends[1]
    return {
        "lost": frames(row["lost"], "lost"),
        "verdict": one_of(row["verdict"], "verdict", get_args(Verdict)),
        "error_deg": _number_or_nan(row["error_deg"], "error_deg"),
        "fov_y_interval_rad": interval,
        "moving_share": _number_or_nan(row.get("moving_share", math.nan), "moving_share"),
    }


def _number_or_nan(value: Any, field: str) -> float:
    """Where nothing was measured the figure is NaN."""
    return math.nan if isinstance(value, float) and math.isnan(value) else number(value, field, 0, LARGE)


def keys(row: dict[str, Any], cameras: Trajectory) -> KeyPath:
    """The key cameras of the edited path."""
    return KeyPath(
        cameras,
        tuple(number(time, "times", 0, LARGE) for time in listed(row["times"], PATH_FRAMES)),
        num_frames=whole(row["num_frames"], "num_frames", 2, PATH_FRAMES.value),
        tension=number(row["tension"], "tension", 0, 1),
        easing=one_of(row["easing"], "easing", get_args(Easing)),
        loop=flag(row["loop"], "loop"),
    )


def spread(row: dict[str, Any] | None, count: int) -> PathSpread | None:
    """How far samples of a prediction of `count` cameras lie apart."""
    if row is None:
        return None
    columns = {}
    for name in ("rotation_deg", "distance"):
        columns[name] = np.array([number(value, name, 0, LARGE) for value in listed(row[name], PATH_FRAMES)])
        if columns[name].shape != (count,):
            raise InputError(f"spread: {name} must be {count} numbers, one for each predicted camera")
    return PathSpread(whole(row["samples"], "samples", 1), reach=number(row["reach"], "reach", 0, LARGE), **columns)


def frames(row: Any, field: str = "sources") -> tuple[int, ...]:
    """Numbers of frames: those that a take starts from, or others."""
    if not isinstance(row, list) or any(type(frame) is not int or not 0 <= frame < PATH_FRAMES.value for frame in row):
        raise InputError(f"{field} is {str(row)[:60]}, expected a list of frame numbers")
    return tuple(sorted(set(row)))


def target(row: Any) -> tuple[float, float, float] | None:
    """The point that was picked."""
    if row is None:
        return None
    x, y, z = (number(value, "target", -LARGE, LARGE) for value in listed(row, PATH_FRAMES))
    return x, y, z
