"""How a camera moves, frame by frame, and whether a set of trajectories has ever moved like that.

All measures are per frame, whatever the frame rate: a model knows frames, not seconds. Lengths are in median depths of
the source view.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from rap.config import MOTION_LIMITS
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory

Measure = Literal["speed", "turn", "jerk", "fov"]
MEASURES: tuple[Measure, ...] = ("speed", "turn", "jerk", "fov")
PERCENTILES = (1, 5, 50, 95, 99)
USUAL, RARE, UNKNOWN = 0, 1, 2
"""Levels of a frame: within the 95th percentile, beyond it, beyond the 99th; a lens may be too long or too wide."""


@dataclass(frozen=True, eq=False)
class Motion:
    """The measures of a path, one number a frame.

    Args:
        speed: distance from the frame before, median depths.
        turn: angle to the frame before, degrees.
        jerk: length of the third difference of the centres, median depths; zero for the first three frames.
        fov: vertical field of view, degrees.
    """

    speed: Float[np.ndarray, " T"]
    turn: Float[np.ndarray, " T"]
    jerk: Float[np.ndarray, " T"]
    fov: Float[np.ndarray, " T"]


def motion(path: Trajectory) -> Motion:
    """Measure a path; the first frame has no frame before it, and so neither speed nor turn."""
    R, count = path.Ts_world_camera[:, :3, :3], len(path)
    turns = se3.rotation_angle(np.swapaxes(R[:-1], -1, -2) @ R[1:])
    jerks = np.linalg.norm(np.diff(path.centres, n=3, axis=0), axis=-1)
    return Motion(
        speed=np.concatenate([[0.0], np.linalg.norm(np.diff(path.centres, axis=0), axis=-1)]),
        turn=np.concatenate([[0.0], np.degrees(turns)]),
        jerk=np.concatenate([np.zeros(count - len(jerks)), jerks]),
        fov=np.degrees(path.fov_y_rad),
    )


@dataclass(frozen=True)
class MotionLimits:
    """Percentiles of the measures over all frames of a set of trajectories.

    Args:
        clips: how many trajectories.
        speed, turn, jerk, fov: values at `PERCENTILES`.
    """

    clips: int
    speed: tuple[float, ...]
    turn: tuple[float, ...]
    jerk: tuple[float, ...]
    fov: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in MEASURES:
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (len(PERCENTILES),) or not np.isfinite(values).all() or (np.diff(values) < 0).any():
                raise ValueError(f"{name} must be {len(PERCENTILES)} numbers that do not fall, got {values.tolist()}")

    @classmethod
    def of(cls, paths: Iterable[Trajectory]) -> MotionLimits:
        """Of these trajectories, each in its own unit of length.

        Raises:
            ValueError: there are none.
        """
        found = [motion(path) for path in paths]
        if not found:
            raise ValueError("motion limits need at least one trajectory, got none")
        pooled = {  # frames that have a frame before them; of the jerk, three
            name: np.concatenate([getattr(one, name)[{"fov": 0, "jerk": 3}.get(name, 1) :] for one in found])
            for name in MEASURES
        }
        rows = {
            name: np.percentile(values, PERCENTILES) if len(values) else np.zeros(5) for name, values in pooled.items()
        }
        return cls(len(found), **{name: tuple(row.round(6).tolist()) for name, row in rows.items()})

    @classmethod
    def of_checkpoint(cls, folder: Path) -> MotionLimits | None:
        """As written beside the weights; None where it was not.

        Raises:
            ValueError: the file is damaged.
        """
        path = folder / MOTION_LIMITS
        if not path.is_file():
            return None
        row = json.loads(path.read_text(encoding="utf-8"))
        try:
            return cls(int(row["clips"]), **{name: tuple(float(value) for value in row[name]) for name in MEASURES})
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: holds no motion limits ({error}); write it again with rap train motions"
            ) from None

    def as_dict(self) -> dict[str, object]:
        """For JSON; `MotionLimits(**...)` of it is the same again."""
        return asdict(self)

    def levels(self, name: Measure, values: Float[np.ndarray, " T"]) -> Int[np.ndarray, " T"]:
        """`USUAL`, `RARE` or `UNKNOWN` for each frame."""
        p1, p5, _, p95, p99 = getattr(self, name)
        rare, unknown = values > p95, values > p99
        if name == "fov":
            rare, unknown = rare | (values < p5), unknown | (values < p1)
        return np.where(unknown, UNKNOWN, np.where(rare, RARE, USUAL))
