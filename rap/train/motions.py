"""`rap train motions`: how the cameras of the training clips move, kept beside the weights.

The editor shows where an edited path leaves what the model knows; that is measured here. `rap train model` writes the
same file with each checkpoint, of the clips that were there when it began or went on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rap.config import MOTION_LIMITS
from rap.data.dataset import ClipStore, PosedClips
from rap.errors import InputError
from rap.geometry import Trajectory
from rap.geometry.motion import MotionLimits


@dataclass(frozen=True)
class MotionMeasuring:
    """Settings of `rap train motions`.

    Args:
        data: folder of shards.
        out: folder of the checkpoint that the file is written into.
        made: how the clips came about, in words.
        threads: of torch; 0 leaves them.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("data", "out")

    data: str = ""
    out: str = ""
    made: str = ""
    threads: int = 0


def run_motions(settings: MotionMeasuring) -> None:
    """Read the clips, write the file.

    Raises:
        InputError: there are no clips, or there is no checkpoint.
    """
    folder = Path(settings.out)
    if not (folder / "model_index.json").is_file():
        raise InputError(f"--out {folder} holds no model_index.json; give the folder of a checkpoint")
    limits = measured(ClipStore(Path(settings.data)))
    write_motion_limits(folder, limits, settings.made)
    print(f"motions of {limits.clips} clips in {folder / MOTION_LIMITS}")


def measured(store: ClipStore) -> MotionLimits:
    """The percentiles of all clips of a store, first frame as the source."""
    return MotionLimits.of(path for clips in store.all_clips() for path in paths_of(clips))


def write_motion_limits(folder: Path, limits: MotionLimits, made: str = "") -> None:
    """As JSON in a checkpoint's folder."""
    text = json.dumps({**limits.as_dict(), "made": made}, indent=1)
    (folder / MOTION_LIMITS).write_text(text + "\n", encoding="utf-8")


def paths_of(clips: PosedClips) -> Iterator[Trajectory]:
    """The cameras of each clip from its first frame, in median depths of that."""
    for row in range(len(clips)):
        path = Trajectory(clips.Ts_world_camera[row], clips.intrinsics[row], clips.size).relative_to(0)
        yield path.scaled(1 / float(clips.median_depth[row, 0]))
