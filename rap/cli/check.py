"""`rap check`: read a camera file as the other commands would, and say what it is."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap.cli import options, results

if TYPE_CHECKING:
    from rap.formats import Format
    from rap.geometry import Trajectory


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap check`"""
    parser = commands.add_parser("check", help="validate a camera file", description=__doc__)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="transforms.json, COLMAP folder, .npz, TUM or RealEstate10K"
    )
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Read and describe."""
    from rap import formats

    found, trajectory, notes = read_with_notes(chosen.file)
    names = formats.read_frame_names(chosen.file)
    return results.finite(
        {
            "command": "check",
            "input": str(chosen.file),
            "valid": True,
            "format": found.title,
            "convention": found.convention,
            "first_frame": names[0] if names else None,
            "last_frame": names[-1] if names else None,
            "fps": trajectory.fps,
            "trajectory": results.trajectory_fields(trajectory),
            "notes": notes,
        }
    )


def read_with_notes(
    path: Path, *, image_size: tuple[int, int] | None = None, fov_y_rad: float | None = None
) -> tuple[Format, Trajectory, list[str]]:
    """A camera file, its format, and the reader's warnings.

    Raises:
        InputError: no camera file that can be used.
    """
    from rap import formats

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trajectory = formats.read(path, image_size=image_size, fov_y_rad=fov_y_rad)
    return formats.detect(path), trajectory, [str(warning.message) for warning in caught]
