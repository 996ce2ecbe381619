"""What Stable Virtual Camera is asked with: a folder with `transforms.json` and `train_test_split_1.json`.

The format: a `transforms.json` as nerfstudio's (camera to world, OpenGL camera, intrinsics in pixels), in which frames
that are to be made have `file_path` null, and beside it the indices of the frames that are given (`train_ids`) and of
those that are made (`test_ids`). One picture is given: the source.

It is read as a `transforms.json`, in the order of the file.

Reference: Stability-AI/stable-virtual-camera, `seva/data_io.py` (ReconfusionParser).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rap.formats import checks
from rap.formats.axes import SIGNS_OPENGL
from rap.geometry.trajectory import Trajectory
from rap.writing import whole_file

SPLIT = "train_test_split_1.json"


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write the folder `path`.

    Args:
        frame_names: the source's is kept, as the picture that is given.

    Raises:
        ValueError: the names do not fit the frames.
    """
    names, source = checks.names_for(len(trajectory), frame_names), trajectory.source
    height, width = trajectory.image_size
    frames = []
    for i, (T, lens) in enumerate(zip(trajectory.Ts_world_camera, trajectory.intrinsics.tolist(), strict=True)):
        frames.append(
            {
                "file_path": names[i] if i == source else None,
                **dict(zip(("fl_x", "fl_y", "cx", "cy"), lens, strict=True)),
                "w": width,
                "h": height,
                "transform_matrix": (T * SIGNS_OPENGL + 0.0).tolist(),
            }
        )
    split = {"train_ids": [source], "test_ids": [i for i in range(len(names)) if i != source]}
    files = {"transforms.json": {"frame_order": "file", "frames": frames}, SPLIT: split}
    with ExitStack() as stack:
        for name, document in files.items():
            stack.enter_context(whole_file(Path(path) / name)).write_text(json.dumps(document, indent=1) + "\n")
