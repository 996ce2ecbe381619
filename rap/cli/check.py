"""`rap check`: read a camera file as the other commands would, and say what it is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rap.cli import options, results


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap check`"""
    parser = commands.add_parser("check", help="validate a camera file", description=__doc__)
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="file or folder of cameras, or a zip of it (formats: rap convert --help)",
    )
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Read and describe."""
    from rap import formats

    found = formats.load(chosen.file)
    trajectory, names = found.trajectory, found.names
    return results.finite(
        {
            "command": "check",
            "input": str(chosen.file),
            "valid": True,
            "format": found.format.title,
            "convention": found.format.convention,
            "lens": "the file's" if found.has_lens else "assumed: the file has none",
            "first_frame": names[0] if names else None,
            "last_frame": names[-1] if names else None,
            "fps": trajectory.fps,
            "trajectory": results.trajectory_fields(trajectory),
            "notes": list(found.notes),
        }
    )
