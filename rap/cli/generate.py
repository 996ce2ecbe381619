"""`rap generate`: a video from picture(s) along a given camera trajectory."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rap.cli import model, options, results
from rap.errors import InputError

if TYPE_CHECKING:
    from rap.data import Clip
    from rap.geometry import Trajectory


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap generate`"""
    parser = commands.add_parser("generate", help="make a video along a camera trajectory", description=__doc__)
    parser.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="source picture(s), or a video's first frame",
    )
    path = parser.add_mutually_exclusive_group(required=True)
    path.add_argument(
        "--trajectory", type=Path, metavar="FILE", help="camera file in any format that `rap check` reads"
    )
    path.add_argument("--preset", metavar="NAME", help="static, arc-left, zoom-in, orbit-right ...")
    parser.add_argument("--amplitude", type=options.amplitude, metavar="A", help="size of a preset (default: 1)")
    parser.add_argument(
        "--at",
        type=options.natural,
        nargs="+",
        metavar="N",
        help="frame at which each source picture stands (default: the first; several are spread over all frames)",
    )
    options.add_frames(parser)
    options.add_fov(parser, "vertical field of view of the pictures in degrees, for presets and files without one")
    options.add_common(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Load pictures and path, generate, write."""
    if chosen.amplitude is not None and chosen.preset is None:
        raise InputError("--amplitude belongs to --preset; a path from a file is used as it is")
    source_indices = source_frames(len(chosen.images), chosen.at, chosen.frames)
    clip = load_sources(chosen.images)
    trajectory, notes = chosen_trajectory(chosen, clip)
    folder = results.ResultFolder(chosen.out, "generate", clip.name, _inputs(chosen))
    pipeline = model.load_pipeline(chosen.checkpoint, chosen.device)
    from rap.pipeline import GenerateTask

    task = GenerateTask(clip.frames_u8, trajectory, source_indices, steps=chosen.steps, seed=chosen.seed)
    output = model.run_task(pipeline, task, "generate")
    assert output.frames_u8 is not None
    folder.write_video(output.frames_u8, trajectory.fps)
    folder.write_cameras(output.trajectory or trajectory, folder.write_frames(output.frames_u8))
    return folder.finish(
        {
            "command": "generate",
            "input": [str(path) for path in chosen.images],
            "clip": results.clip_fields(clip),
            "path": chosen.preset or str(chosen.trajectory),
            "source_indices": list(source_indices),
            "seed": chosen.seed,
            "trajectory": results.trajectory_fields(output.trajectory or trajectory),
            "notes": notes,
        }
    )


def load_sources(paths: list[Path]) -> Clip:
    """The source frames: pictures as they are; of a single video or folder its first frame."""
    from rap.data import load_clip

    if len(paths) == 1:
        return load_clip(paths[0], num_frames=1, stride=1)
    return load_clip(paths, num_frames=len(paths))


def source_frames(pictures: int, at: list[int] | None, num_frames: int) -> tuple[int, ...]:
    """Where in the video the source pictures stand: as asked, else the first frame, else spread evenly over all.

    Raises:
        InputError: not one place for each picture, a place twice, beyond the end, or more pictures than frames.
    """
    if pictures > num_frames:
        raise InputError(f"{pictures} pictures are more than the {num_frames} frames of the video; give fewer")
    if at is None:
        return tuple(int(i) for i in np.floor(np.linspace(0, num_frames - 1, pictures) + 0.5))
    if len(at) != pictures or len(set(at)) != pictures or max(at) >= num_frames:
        raise InputError(
            f"--at {' '.join(map(str, at))}: give {pictures} different frame number(s) from 0 to {num_frames - 1}, "
            "one for each picture"
        )
    return tuple(at)


def chosen_trajectory(chosen: argparse.Namespace, clip: Clip) -> tuple[Trajectory, list[str]]:
    """The path of the options, for frames of the clip's size, and notes on what was done to it.

    Raises:
        InputError: no such preset, or a camera file that cannot be used.
    """
    from rap import geometry
    from rap.data import fit_trajectory

    fov_y_rad = None if chosen.fov_y_deg is None else clip.cropped_fov_y_rad(math.radians(chosen.fov_y_deg))
    if chosen.preset is not None:
        if chosen.preset not in geometry.PRESETS:
            raise InputError(f"--preset {chosen.preset}: no such preset; choose from {', '.join(geometry.PRESETS)}")
        given = {"amplitude": chosen.amplitude, "fov_y_rad": fov_y_rad}
        values = {key: value for key, value in given.items() if value is not None}
        return geometry.preset(chosen.preset, num_frames=chosen.frames, image_size=clip.image_size, **values), []
    trajectory, notes = _read(chosen.trajectory, clip.image_size, fov_y_rad)
    if len(trajectory) != chosen.frames:
        notes.append(f"{chosen.trajectory.name}: its {len(trajectory)} cameras are resampled to {chosen.frames} frames")
        trajectory = geometry.resample(trajectory, chosen.frames)
    trajectory = dataclasses.replace(fit_trajectory(trajectory, clip.image_size), source=0)
    return trajectory.relative_to(0), notes


def _read(path: Path, image_size: tuple[int, int], fov_y_rad: float | None) -> tuple[Trajectory, list[str]]:
    from rap.cli.check import read_with_notes

    chosen, trajectory, notes = read_with_notes(path, image_size=image_size, fov_y_rad=fov_y_rad)
    if fov_y_rad is not None and "fov_y_rad" not in chosen.options:
        notes.append(f"{path.name}: has its own field of view; --fov-y-deg is not used")
    return trajectory, notes


def _inputs(chosen: argparse.Namespace) -> list[Path]:
    return [*chosen.images, *([chosen.trajectory] if chosen.trajectory else [])]
