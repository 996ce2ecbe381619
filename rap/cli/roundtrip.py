"""`rap roundtrip`: estimate a video's cameras, regenerate it along them, find the result's cameras, and compare.

The result's cameras are found twice: by the model itself, and measured by points tracked through the generated video.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from rap.cli import estimate, model, options, results

PROTOCOL = "self-consistency of one model: cameras of the generated video against those it was asked to follow"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap roundtrip`"""
    parser = commands.add_parser("roundtrip", help="check the model against itself on a video", description=__doc__)
    parser.add_argument("input", type=Path, metavar="VIDEO|FOLDER", help="a video, or frames in name order")
    options.add_sampling(parser)
    options.add_common(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Load, go round, write both paths and the video; errors of path and picture."""
    clip, fov_y_rad = estimate.load_film(chosen)
    folder = results.ResultFolder(chosen.out, "roundtrip", clip.name, [chosen.input])
    pipeline = model.load_pipeline(chosen.checkpoint, chosen.device, **options.placement(chosen))
    loop = pipeline.round_trip(clip.frames_u8, fps=clip.fps, steps=chosen.steps, seed=chosen.seed, fov_y_rad=fov_y_rad)
    requested, followed, frames_u8 = loop.estimate.trajectory, loop.re_estimate.trajectory, loop.generated.frames_u8
    assert requested is not None and followed is not None and frames_u8 is not None
    folder.write_video(frames_u8, clip.fps)
    names = folder.write_frames(frames_u8)
    folder.write_cameras(requested, names)
    folder.write_cameras(followed, names, stem="followed_")
    reference = clip.trajectory
    return folder.finish(
        {
            "command": "roundtrip",
            "input": str(chosen.input),
            "clip": results.clip_fields(clip),
            "seed": chosen.seed,
            "trajectory": results.trajectory_fields(requested),
            "followed": results.trajectory_fields(followed),
            "closed_loop": {
                "protocol": PROTOCOL,
                **results.camera_errors(followed, requested),
                "psnr_db": psnr_without_source(frames_u8, clip.frames_u8, requested.source),
            },
            "measured": results.followed_fields(frames_u8, followed, requested),
            "errors": None if reference is None else results.camera_errors(requested, reference),
        }
    )


def psnr_without_source(generated_u8: np.ndarray, frames_u8: np.ndarray, source: int) -> float:
    """PSNR in dB over all frames but the source frame, which was given."""
    from rap import metrics

    others = [i for i in range(len(frames_u8)) if i != source]
    return float(np.mean(metrics.psnr(generated_u8[others], frames_u8[others])))
