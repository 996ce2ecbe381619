"""`rap imagine`: a camera trajectory and its video, both from one picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rap.cli import model, options, results
from rap.cli.generate import load_sources


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap imagine`"""
    parser = commands.add_parser("imagine", help="invent a camera motion and its video", description=__doc__)
    parser.add_argument("image", type=Path, metavar="IMAGE", help="source picture, or a video's first frame")
    options.add_frames(parser)
    options.add_common(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Load the picture, sample video and path together, write both."""
    clip = load_sources([chosen.image])
    folder = results.ResultFolder(chosen.out, "imagine", clip.name, [chosen.image])
    pipeline = model.load_pipeline(chosen.checkpoint, chosen.device, **options.placement(chosen))
    from rap.pipeline import JointTask

    task = JointTask(clip.frames_u8, num_frames=chosen.frames, steps=chosen.steps, seed=chosen.seed)
    output = model.run_task(pipeline, task, "imagine")
    assert output.frames_u8 is not None and output.trajectory is not None
    folder.write_video(output.frames_u8, output.trajectory.fps)
    folder.write_cameras(output.trajectory, folder.write_frames(output.frames_u8))
    folder.write_raxels(output.raxels)
    return folder.finish(
        {
            "command": "imagine",
            "input": str(chosen.image),
            "clip": results.clip_fields(clip),
            "seed": chosen.seed,
            "trajectory": results.trajectory_fields(output.trajectory),
        }
    )
