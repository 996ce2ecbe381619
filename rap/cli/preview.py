"""`rap preview`: what a video, or one picture, shows along a camera path by its geometry alone, without generation.

Cameras are found and refined, source frames are lifted by depth and warped into the path; what they have not seen
stays a hole (grey checks). A single picture gets its depth by a network, and something behind and beside it, so that
nothing stays open; --flat makes it a plane at unit depth. Without a path a video is shown along its own. A video is
shown small unless --size asks for more, in which its frames' own pixels are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rap.cli import cameras, generate, model, options, results
from rap.cli.stages import counted, stage
from rap.errors import InputError

if TYPE_CHECKING:
    from rap.data import Clip
    from rap.geometry import Trajectory
    from rap.views.preview import Preview
    from rap.views.scene import Scene


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap preview`"""
    parser = commands.add_parser("preview", help="warp a video along a camera trajectory", description=__doc__)
    parser.add_argument(
        "input", type=Path, metavar="VIDEO|FOLDER|IMAGE", help="a video, frames in name order, a picture"
    )
    generate.add_path(parser, required=False)
    options.add_sampling(parser)
    options.add_size(parser, "long side in pixels, at most the input's own (default: 224 of a video, 640 of a picture)")
    cameras.add_cameras(parser)
    options.add_common(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Load, find cameras and depth, warp, write."""
    clip = load(chosen)
    inputs = [path for path in (chosen.input, chosen.trajectory, chosen.cameras) if path is not None]
    folder = results.ResultFolder(chosen.out, "preview", clip.name, inputs)
    if len(clip) == 1:
        found, scene = None, generate.picture(chosen, clip)
        path, notes = generate.path_in_picture(chosen, clip, scene)
    else:
        pipeline = (
            model.load_pipeline(chosen.checkpoint, chosen.device, **options.placement(chosen))
            if chosen.cameras is None
            else None
        )
        found = cameras.clip_cameras(chosen, clip, pipeline)
        scene, path, notes = film(chosen, clip, found)
    if found is not None and not found.fits and found.report is not None:
        notes = [*notes, f"the clip's cameras are a guess: {found.report.reason}"]
    shown = warped(chosen, scene, path)
    folder.write_video(shown.frames_u8, path.fps)
    cameras_shown = scene.cameras_of_walk(path, (shown.frames_u8.shape[1], shown.frames_u8.shape[2]))
    folder.write_cameras(cameras_shown, folder.write_frames(shown.frames_u8))
    # A plane is a guess everywhere (confidence 0), but it is all there is of a flat picture.
    folder.write_points(*scene.coloured_points(min_confidence=0.0 if chosen.flat else 0.5))
    if found is None and not chosen.flat:
        folder.write_depth(scene.depth.inverse_depth[0].cpu().numpy(), scene.intrinsics[0])
    if found is not None:
        cameras.write_cameras(folder, found, folder.write_frames(clip.frames_u8, "clip"), "clip_")
    return folder.finish(
        {
            "command": "preview",
            "input": str(chosen.input),
            "clip": results.clip_fields(clip),
            "path": chosen.preset or (str(chosen.trajectory) if chosen.trajectory else "own"),
            "seed": chosen.seed,
            "trajectory": results.trajectory_fields(path),
            "cameras": None if found is None else cameras.camera_fields(found, clip),
            **results.coverage_fields(shown.mask),
            "notes": notes,
        }
    )


def warped(chosen: argparse.Namespace, scene: Scene, path: Trajectory) -> Preview:
    """The path as the input shows it, at the size of the options."""
    if chosen.size is None:
        with stage("warp along the path"):
            return scene.preview(path)
    from rap.views.preview import Preview, with_checks

    frames_u8 = np.stack(list(counted(scene.walk(path, chosen.size), len(path), "warp along the path")))
    seen = scene.seen_on_walk(path, chosen.size)
    is_one_picture = scene.layers is not None or scene.leaves(path)  # in whose layers nothing is open
    return Preview(frames_u8 if is_one_picture else with_checks(frames_u8, seen), seen)


def film(chosen: argparse.Namespace, clip: Clip, found: cameras.ClipCameras) -> tuple[Scene, Trajectory, list[str]]:
    """A film's scene, the path through it, and notes."""
    still = None if own_path(chosen) else generate.still_of(chosen.input, clip, found)
    if still is not None:
        scene = generate.picture(chosen, still)
        path, notes = generate.path_in_picture(chosen, still, scene)
        return scene, path, [*notes, generate.alone_words(found)]
    scene = cameras.make_scene(clip, found, model.device_name(chosen.device))
    if own_path(chosen):
        return scene, found.trajectory, found.notes
    return scene, *generate.path_in_clip(chosen, clip, found, scene)


def own_path(chosen: argparse.Namespace) -> bool:
    """Whether the options name no path, so that the clip is shown along its own cameras."""
    return chosen.preset is None and chosen.trajectory is None


def load(chosen: argparse.Namespace) -> Clip:
    """The clip, its options checked before anything is computed.

    Raises:
        InputError: options that do not go together, a picture without a path, input or path that cannot be used.
    """
    from rap.data import load_clip
    from rap.pipeline.tasks import check_take

    options.use_memory(chosen)
    if chosen.amplitude is not None and chosen.preset is None:
        raise InputError("--amplitude belongs to --preset; a path from a file is used as it is")
    clip = load_clip(chosen.input, **options.chosen_frames(chosen), **cameras.given_cameras(chosen), full=True)
    if chosen.size is not None:
        check_take(clip.full_size, chosen.size, chosen.frames, None)
    if len(clip) == 1 and own_path(chosen):
        raise InputError(f"{chosen.input.name}: one picture has no path of its own; give --preset or --trajectory")
    if len(clip) == 1 and (chosen.cameras is not None or chosen.refine is not None):
        raise InputError("--cameras and --refine are for a video or folder; one picture is its own world")
    generate.check_depth(chosen, len(clip) == 1, "is for one picture; depth of a video comes from its frames")
    if not own_path(chosen):
        generate.chosen_trajectory(chosen, clip)
    return clip
