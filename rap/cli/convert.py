"""`rap convert`: a file of cameras in another format; says what was assumed and what the other cannot hold."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from rap.cli import options, results


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap convert`"""
    parser = commands.add_parser("convert", help="write a camera file in another format", description=__doc__)
    parser.add_argument("file", type=Path, metavar="IN", help="file, folder or zip of cameras")
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="its name says the format, as transforms.json, camera_path.json, gen3c.npz, camera.chan, camera.usda; "
        "without a suffix it is a COLMAP folder",
    )
    parser.add_argument(
        "--to", metavar="FORMAT", help="of OUT, by its name in docs/conventions.md (default: OUT's name)"
    )
    parser.add_argument(
        "--from", dest="from_format", metavar="FORMAT", help="of IN, in the same way (default: what it looks like)"
    )
    parser.add_argument(
        "--image-size", type=_size, metavar="WxH", help="of the pictures, for files without (TUM, RealEstate10K, .chan)"
    )
    parser.add_argument(
        "--fov-y-deg", type=options.field_of_view, metavar="DEG", help="vertical, for files without a lens (TUM)"
    )
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Read and write."""
    import math

    from rap import formats

    fov = None if chosen.fov_y_deg is None else math.radians(chosen.fov_y_deg)
    found = formats.load(chosen.file, format_name=chosen.from_format, image_size=chosen.image_size, fov_y_rad=fov)
    lost = formats.write(chosen.out, found.trajectory, found.names or None, format_name=chosen.to)
    written = formats.FORMATS[chosen.to] if chosen.to else formats.format_of_name(chosen.out)
    return results.finite(
        {
            "command": "convert",
            "input": str(chosen.file),
            "format": found.format.title,
            "convention": found.format.convention,
            "output": str(chosen.out),
            "output_format": written.title,
            "output_convention": written.convention,
            "trajectory": results.trajectory_fields(found.trajectory),
            "notes": [*found.notes, *lost],
        }
    )


def _size(text: str) -> tuple[int, int]:
    """(h, w) of WIDTHxHEIGHT."""
    sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if sides is None or "0" in sides.groups():
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in pixels, as 1920x1080, got {text[:40]!r}")
    return int(sides[2]), int(sides[1])
