"""`rap estimate`: the camera trajectory of a video or a folder of frames, refined on tracks unless that is off."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap.cli import cameras, model, options, results
from rap.errors import InputError

if TYPE_CHECKING:
    from rap.data import Clip


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap estimate`"""
    parser = commands.add_parser("estimate", help="find the camera trajectory of a video", description=__doc__)
    parser.add_argument("input", type=Path, metavar="VIDEO|FOLDER", help="a video, or frames in name order")
    parser.add_argument(
        "--figure",
        action="store_true",
        help="the paper's layout, figure.mp4 and figure.png: video, raxel maps, cameras against a reference if any",
    )
    parser.add_argument(
        "--moving",
        action="store_true",
        help="the frames again, with all but what moves by itself grey and dim: moving/",
    )
    parser.add_argument(
        "--with",
        dest="mapping",
        choices=list(cameras.MAPPINGS),
        help="let COLMAP find the cameras (needs the extra eval): a cross-check, and where our own search fails",
    )
    options.add_sampling(parser)
    cameras.add_refine(parser, "yes")
    options.add_common(parser)
    parser.set_defaults(run=run)


def load_film(chosen: argparse.Namespace) -> tuple[Clip, float | None]:
    """The clip that the options choose, and the field of view of its frames where the user or EXIF knows it.

    Raises:
        InputError: the input cannot be used, or is a single picture.
    """
    from rap.data import load_clip

    clip = load_clip(chosen.input, **options.chosen_frames(chosen), film=True)
    if len(clip) < 2:
        raise InputError(
            f"{chosen.input.name}: holds a single frame, but a camera path needs at least two; "
            "give a video or a folder of frames, or let `rap imagine` invent a path for a picture"
        )
    return clip, cameras.known_fov_y_rad(chosen, clip)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Load, estimate, refine, write; compare where the folder has reference cameras."""
    from rap.reconstruction import colmap

    if chosen.mapping is not None and not colmap.is_installed():
        raise InputError(f"--with {chosen.mapping}: {colmap.SENTENCE}")
    if chosen.mapping is not None and chosen.refine is False:
        raise InputError(f"--with {chosen.mapping}: finds other cameras than the model's; leave --no-refine out")
    clip, fov_y_rad = load_film(chosen)
    folder = results.ResultFolder(chosen.out, "estimate", clip.name, [chosen.input])
    pipeline = model.load_pipeline(chosen.checkpoint, chosen.device, **options.placement(chosen))
    found = cameras.predicted_cameras(chosen, clip, pipeline, fov_y_rad)
    cameras.write_cameras(folder, found, folder.write_frames(clip.frames_u8))
    folder.write_raxels(None if found.output is None else found.output.raxels)
    if chosen.moving and found.moving is not None:
        from rap.reconstruction.moving import shown_moving

        folder.write_frames(shown_moving(clip.footage, found.moving), "moving")
    if chosen.figure:
        from rap.figures import paper_layout

        folder.write_figure(paper_layout(clip.frames_u8, found.trajectory, clip.trajectory), clip.fps)
    return folder.finish(
        {
            "command": "estimate",
            "input": str(chosen.input),
            "clip": results.clip_fields(clip),
            "seed": chosen.seed,
            **cameras.camera_fields(found, clip),
        }
    )
