"""`rap generate`: a video from picture(s) along a given camera trajectory.

A network tells the depth of one picture, and what it shows along the path, its surroundings continued, is handed to the
model as a hint (--flat: as a plane). Of a video or a folder the first frame is the source, and the others are not lost:
the clip's cameras are found, and what its frames show along the path is the hint. --model-only leaves it out.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rap.cli import cameras, model, options, results
from rap.cli.stages import counted, stage
from rap.config import DEFAULT_TAKE_SIDE
from rap.errors import InputError
from rap.generators.kinds import Chosen, chosen_generator

if TYPE_CHECKING:
    from rap.data import Clip
    from rap.geometry import Trajectory
    from rap.pipeline import GenerateTask
    from rap.views.fine import Content
    from rap.views.scene import Scene

ONE_FRAME = "one frame of the film alone, for the others show little more of what lies along the path"


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
    add_path(parser, required=True)
    parser.add_argument(
        "--at",
        type=options.natural,
        nargs="+",
        metavar="N",
        help="frame at which each source picture stands (default: the first; several are spread over all frames)",
    )
    options.add_sampling(parser, "vertical field of view of the input in degrees (default: EXIF's, or found, or 55)")
    hints = parser.add_mutually_exclusive_group()
    hints.add_argument(
        "--hints",
        action="store_true",
        default=None,
        help="hand the model what the input shows along the path (the default)",
    )
    hints.add_argument(
        "--model-only", dest="hints", action="store_false", help="source pictures and path are all the model gets"
    )
    parser.add_argument(
        "--guidance",
        type=options.guidance,
        metavar="G",
        help="scale of guidance by the path (default: the model's)",
    )
    parser.add_argument(
        "--temperature",
        type=options.temperature,
        metavar="T",
        help="share of noise the video starts from: 1 samples, less is nearer to the mean (default: the model's)",
    )
    parser.add_argument(
        "--prompt", default="", metavar="TEXT", help="what the video shows, for a --checkpoint of Wan VACE or SANA-WM"
    )
    options.add_take(parser)
    cameras.add_cameras(parser)
    options.add_common(parser)
    parser.set_defaults(run=run)


def add_path(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """--trajectory, --preset, --amplitude, --flat"""
    path = parser.add_mutually_exclusive_group(required=required)
    path.add_argument(
        "--trajectory", type=Path, metavar="FILE", help="camera file in any format that `rap check` reads"
    )
    path.add_argument("--preset", metavar="NAME", help="static, arc-left, zoom-in, orbit-right ...")
    parser.add_argument(
        "--amplitude",
        type=options.amplitude,
        metavar="A",
        help="size of a preset (default: 1; in a picture, what fits)",
    )
    parser.add_argument("--flat", action="store_true", help="take one picture for a plane at unit depth")
    parser.add_argument(
        "--depth-model",
        default="",
        metavar="NAME|FOLDER",
        help="of one picture's depth, for transformers (extra depth): depth-anything/Depth-Anything-V2-Small-hf",
    )


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Load pictures and path, generate, write."""
    others = chosen_generator(chosen.checkpoint)
    check_options(chosen, others)
    source_indices = source_frames(len(chosen.images), chosen.at, chosen.frames)
    clip = load_input(chosen)
    # A picture that is to stand elsewhere than at the path's beginning has no plane to be warped from.
    hinted = len(chosen.images) == 1 and (chosen.at is None if chosen.hints is None else bool(chosen.hints))
    if not (hinted and len(clip) > 1) and (chosen.cameras is not None or chosen.refine is not None):
        raise InputError("--cameras and --refine belong to the hints of a video or folder")
    chosen_trajectory(chosen, clip)  # refuses a bad path before anything is computed
    check_depth(chosen, hinted and len(clip) == 1, "is for the hints of one picture")
    if hinted and others is None and not chosen.flat:
        check_size(chosen, clip)
    folder = results.ResultFolder(chosen.out, "generate", clip.name, _inputs(chosen))
    pipeline = model.load_any(chosen.checkpoint, chosen.device, **options.placement(chosen))
    found = cameras.clip_cameras(chosen, clip, pipeline) if hinted and len(clip) > 1 else None
    still = clip if found is None else still_of(chosen.images[0], clip, found, believed=bool(chosen.hints))
    scene = _scene(chosen, clip, still, found) if hinted else None
    if scene is None or still is None:
        trajectory, notes = path_in_clip(chosen, clip, found, scene)
    else:
        trajectory, notes = path_in_picture(chosen, still, scene)
    if found is not None and still is not None:
        notes.append(alone_words(found))
    if others is not None:
        assert scene is not None  # `check_options` refuses what has none
        made = _made_by(others, chosen, scene, trajectory, pipeline)
    else:
        task = _task(chosen, clip, trajectory, source_indices, scene if hinted else None)
        made = _made(chosen, scene, task, pipeline)
    folder.write_video(made.frames_u8, made.trajectory.fps)
    folder.write_cameras(made.trajectory, folder.write_frames(made.frames_u8))
    if wants_more(chosen):
        notes.append(write_more(chosen, folder, scene, trajectory, made))
    return folder.finish(
        {
            "command": "generate",
            "input": [str(path) for path in chosen.images],
            "clip": results.clip_fields(clip),
            "path": chosen.preset or str(chosen.trajectory),
            "made_of": made.made_of,
            "source_indices": list(source_indices),
            "seed": chosen.seed,
            "guidance": chosen.guidance,
            "temperature": chosen.temperature,
            "trajectory": results.trajectory_fields(made.trajectory),
            "cameras": None if found is None else cameras.camera_fields(found, clip),
            "followed": results.followed_fields(made.frames_u8, made.trajectory, made.trajectory),
            "hints": None if made.mask is None else results.coverage_fields(made.mask),
            "notes": notes,
        }
    )


def _scene(chosen: argparse.Namespace, clip: Clip, still: Clip | None, found: cameras.ClipCameras | None) -> Scene:
    """A film's, or that of the one picture which is seen by a depth of its own."""
    if still is not None:
        return picture(chosen, still)
    assert found is not None  # of a film
    return cameras.make_scene(clip, found, model.device_name(chosen.device))


@dataclasses.dataclass(frozen=True, eq=False)
class _Made:
    """A video with its cameras, what it was made of, and the share of each pixel that the input has shown.

    `content` is what the model shows of a film's holes; `is_walk` says that the input itself was rendered.
    """

    frames_u8: np.ndarray
    trajectory: Trajectory
    made_of: str
    mask: np.ndarray | None = None
    content: Content | None = None
    is_walk: bool = False


def _task(
    chosen: argparse.Namespace,
    clip: Clip,
    trajectory: Trajectory,
    source_indices: tuple[int, ...],
    scene: Scene | None,
) -> GenerateTask:
    """What the model is asked for, with what the scene shows along the path, if there is one."""
    from rap.pipeline import GenerateTask

    return GenerateTask(
        clip.frames_u8[: len(source_indices)],
        trajectory,
        source_indices,
        chosen.steps,
        chosen.guidance,
        seed=chosen.seed,
        hints=None if scene is None else scene.hints(trajectory),
        temperature=chosen.temperature,
    )


def _made_by(
    others: Chosen, chosen: argparse.Namespace, scene: Scene, trajectory: Trajectory, pipeline: model.Streams
) -> _Made:
    """By a model of others, shown what the input shows along the path."""
    from rap.generators.request import FilmSettings, film_task

    settings = FilmSettings(chosen.video_frames, chosen.prompt, chosen.steps, chosen.guidance, chosen.seed)
    task = film_task(scene, others.kind, trajectory, settings)
    output = model.run_task(pipeline, task, "generate")
    assert output.frames_u8 is not None
    along = task.trajectory if chosen.fps is None else dataclasses.replace(task.trajectory, fps=chosen.fps)
    words = f"{others.title} ({others.licence or 'its card names no licence'}), shown what the input shows"
    return _Made(output.frames_u8, along, words, task.mask.astype(np.float32))


def _made(chosen: argparse.Namespace, scene: Scene | None, task: GenerateTask, pipeline: model.Streams) -> _Made:
    """The input itself along the path, at its size; where it cannot be rendered so, the model's video."""
    hints, trajectory = task.hints, task.trajectory
    if scene is not None and hints is not None and (scene.layers is not None or scene.leaves(trajectory)):
        words = ONE_FRAME if scene.layers is None else "the picture"  # what it does not show is in its layers already
        return full_size(chosen, scene, trajectory, None, _Made(hints.frames_u8, trajectory, words, hints.mask))
    output = model.run_task(pipeline, task, "generate")
    assert output.frames_u8 is not None
    asked = output.trajectory or trajectory
    if scene is None or hints is None:
        return _Made(output.frames_u8, asked, "the model alone")
    of_model = _Made(output.frames_u8, asked, "the model, shown the picture as a plane", hints.mask)
    if chosen.flat or len(scene.clip) == 1:
        return of_model
    from rap.views.scene import content_of

    content = content_of(scene.clip, output.frames_u8, hints.frames_u8)
    made_of = "the film's own frames; in what none of them shows the model, or where much is open one of them continued"
    return full_size(chosen, scene, trajectory, content, dataclasses.replace(of_model, made_of=made_of))


def full_size(
    chosen: argparse.Namespace, scene: Scene, trajectory: Trajectory, content: Content | None, small: _Made
) -> _Made:
    """What the input itself shows along the path, at its size.

    Args:
        content: what the model shows, for what a film does not.
        small: the same at the model's size.
    """
    from rap.data import playback_fps
    from rap.geometry import filmed

    count = chosen.video_frames or len(trajectory)
    side = chosen.size or DEFAULT_TAKE_SIDE
    shown = np.stack(list(counted(scene.walk(trajectory, side, count, content), count, "render")))
    along = filmed(dataclasses.replace(trajectory, fps=playback_fps(trajectory.fps)), count, chosen.fps)
    cameras_shown = scene.cameras_of_walk(along, (shown.shape[1], shown.shape[2]))
    return dataclasses.replace(small, frames_u8=shown, trajectory=cameras_shown, content=content, is_walk=True)


def check_size(chosen: argparse.Namespace, clip: Clip) -> None:
    """Refuse what is too large to be rendered, before anything is looked for.

    Raises:
        InputError: by the limits, or by --memory-gb.
    """
    from rap.pipeline.tasks import check_take

    check_take(clip.full_size, chosen.size or DEFAULT_TAKE_SIDE, chosen.video_frames or chosen.frames, chosen.fps)


def wants_more(chosen: argparse.Namespace) -> bool:
    """Whether the video is wanted for two eyes, or with its depth."""
    return bool(chosen.stereo or chosen.depth_video)


def write_more(
    chosen: argparse.Namespace, folder: results.ResultFolder, scene: Scene | None, trajectory: Trajectory, made: _Made
) -> str:
    """The video for two eyes, and its depth; returns a note: what was written, or why nothing was."""
    if scene is None or not made.is_walk:
        return "no --stereo and no --depth-video: they need a video that the input itself shows, with its depth"
    count, fps, written = chosen.video_frames or len(trajectory), made.trajectory.fps, []
    side = chosen.size or DEFAULT_TAKE_SIDE
    if chosen.stereo:
        from rap.views.eyes import as_one, eyes

        screen = scene.centre_depth() if scene.layers is not None else scene.median_depth(trajectory.source)
        left_u8, right_u8 = (
            np.stack(list(counted(scene.walk(trajectory, side, count, made.content, eye), count, "render an eye")))
            for eye in eyes(chosen.baseline * screen, screen)
        )
        for layout in chosen.stereo:
            folder.write_video(as_one(left_u8, right_u8, layout), fps, f"{layout.replace('-', '_')}.mp4")
        written.append(f"eyes {chosen.baseline * screen:.3g} apart, what is {screen:.3g} away lies in the screen")
    if chosen.depth_video:
        with stage("depth of the video"):
            folder.write_depth_video(scene.depths_of_walk(trajectory, side, count), fps)
        written.append("depth in the unit of the path's lengths")
    return "; ".join(written)


def check_options(chosen: argparse.Namespace, others: Chosen | None = None) -> None:
    """Refuse options that do not go together.

    Args:
        others: the model of others that the checkpoint is.

    Raises:
        InputError: with the option's name and where it belongs.
    """
    from rap.pipeline.tasks import check_take

    options.use_memory(chosen)
    check_take((1, 1), chosen.size or DEFAULT_TAKE_SIDE, chosen.video_frames or 2, chosen.fps)
    if others is not None:
        _check_others(chosen, others)
    elif chosen.prompt:
        raise InputError("--prompt is for models that read one, Wan VACE and SANA-WM, named by --checkpoint")
    if wants_more(chosen) and (chosen.hints is False or chosen.flat or len(chosen.images) > 1):
        raise InputError(
            "--stereo and --depth-video need depth: leave out --model-only and --flat, and give one film or picture"
        )
    if chosen.amplitude is not None and chosen.preset is None:
        raise InputError("--amplitude belongs to --preset; a path from a file is used as it is")
    if len(chosen.images) > 1 and (chosen.start or chosen.stride or chosen.end is not None):
        raise InputError("--start, --end and --stride choose frames of one video or folder, not of several pictures")
    if len(chosen.images) > 1 and chosen.hints:
        raise InputError(
            "--hints needs a video, a folder or one picture; of several pictures the cameras are not known"
        )


def _check_others(chosen: argparse.Namespace, others: Chosen) -> None:
    given = {
        "--size": chosen.size,
        "--temperature": chosen.temperature is not None,
        "--stereo": chosen.stereo,
        "--depth-video": chosen.depth_video,
    }
    if wrong := [option for option, value in given.items() if value]:
        raise InputError(f"{wrong[0]} does not go with {others.title}, which has a size and noise of its own")
    if len(chosen.images) > 1 or chosen.hints is False or chosen.at is not None:
        raise InputError(
            f"{others.title} is shown what one film or picture shows along the path: give one, without --model-only "
            "and --at"
        )


def load_input(chosen: argparse.Namespace) -> Clip:
    """The source pictures; of a single video or folder all frames of the clip where hints are to be had from them.

    Raises:
        InputError: unreadable, or --at for the frames of a clip.
    """
    from rap.data import load_clip

    if len(chosen.images) > 1 or chosen.hints is False:
        return load_sources(chosen.images, chosen.start)
    clip = load_clip(chosen.images[0], **options.chosen_frames(chosen), **cameras.given_cameras(chosen), full=True)
    if chosen.at is not None and (len(clip) > 1 or chosen.hints):
        raise InputError("--at is for pictures without hints: with them the input's first frame is the path's first")
    return clip


def load_sources(paths: list[Path], start: int = 0) -> Clip:
    """The source frames: pictures as they are; of a single video or folder one frame, the first by default."""
    from rap.data import load_clip

    if len(paths) == 1:
        return load_clip(paths[0], num_frames=1, start=start, stride=1)
    return load_clip(paths, num_frames=len(paths))


def path_in_clip(
    chosen: argparse.Namespace, clip: Clip, found: cameras.ClipCameras | None, scene: Scene | None
) -> tuple[Trajectory, list[str]]:
    """The path of the options in the world and the unit of length of the clip's cameras, and notes.

    A preset gets the clip's field of view, and turns about what is in the middle of its first frame. A path from a file
    is taken to be in the unit of the file of cameras, where there is one, else in that of everything here (median depth
    of the source view).
    """
    if found is None:
        return chosen_trajectory(chosen, clip)
    trajectory, notes = chosen_trajectory(chosen, clip, float(found.trajectory.fov_y_rad[0]))
    notes = [*found.notes, *notes]
    if chosen.preset is None:
        return trajectory.scaled(found.scale), notes
    return (trajectory, notes) if scene is None else _fitted(chosen, clip, scene, trajectory, notes)


def check_depth(chosen: argparse.Namespace, is_picture: bool, words: str) -> None:
    """Refuse options that say what the depth of a picture is, where none is lifted, and both at once.

    Args:
        words: what follows the option where there is no picture.
    """
    given = [option for option, value in (("--flat", chosen.flat), ("--depth-model", chosen.depth_model)) if value]
    if given and not is_picture:
        raise InputError(f"{given[0]} {words}")
    if len(given) > 1:
        raise InputError("--depth-model says what --flat leaves out; give one of them")


def still_of(path: Path, clip: Clip, found: cameras.ClipCameras, believed: bool = False) -> Clip | None:
    """The first frame alone, under the lens that was found, of a film that tells no depth: its camera only turns, or
    was not found. None of another one.

    Args:
        believed: cameras that the frames do not bear out are wanted all the same.
    """
    if not found.turns_only and (found.fits or believed):
        return None
    still = load_sources([path], clip.frame_indices[0] if clip.frame_indices else 0)
    return dataclasses.replace(still, exif_fov_y_rad=float(found.trajectory.fov_y_rad[0]))


def alone_words(found: cameras.ClipCameras) -> str:
    """Why a film's first frame alone is shown."""
    from rap.reconstruction.judge import one_frame_words

    return one_frame_words(found.turns_only, found.report.reason if found.report else "")


def picture(chosen: argparse.Namespace, clip: Clip) -> Scene:
    """The scene of one picture, under the lens that is known of it."""
    from rap.views.scene import picture_scene

    trajectory, _ = chosen_trajectory(chosen, clip)
    with stage("depth of the picture"):
        return picture_scene(clip, trajectory, flat=chosen.flat, depth_by=chosen.depth_model)


def path_in_picture(chosen: argparse.Namespace, clip: Clip, scene: Scene) -> tuple[Trajectory, list[str]]:
    """The path of the options, a preset about what is in the middle of the picture, and notes.

    A path from a file that comes to pass a surface is told of, not changed: it is what was asked for.
    """
    from rap.views.fitting import too_near

    trajectory, notes = chosen_trajectory(chosen, clip)
    if scene.unit_m is not None:
        notes.append(f"the unit of length is {scene.unit_m:.3g} m, as --depth-model says")
    if chosen.preset is not None and cameras.known_fov_y_rad(chosen, clip) is None:
        fov_y_deg = np.degrees(trajectory.fov_y_rad[0])
        notes.append(f"the lens is not known: {fov_y_deg:.0f} degrees from top to bottom are assumed; see --fov-y-deg")
    if chosen.preset is None or chosen.flat:
        return trajectory, [*notes, *filter(None, [too_near(scene, trajectory)])]
    return _fitted(chosen, clip, scene, trajectory, notes)


def _fitted(
    chosen: argparse.Namespace, clip: Clip, scene: Scene, trajectory: Trajectory, notes: list[str]
) -> tuple[Trajectory, list[str]]:
    """The preset of the options as it fits the scene, under the path's lens."""
    from rap.views.fitting import fitted_preset

    fitted = fitted_preset(
        scene,
        chosen.preset,
        num_frames=chosen.frames,
        image_size=clip.image_size,
        fov_y_rad=float(trajectory.fov_y_rad[0]),
        amplitude=1.0 if chosen.amplitude is None else chosen.amplitude,
        of_film=scene.layers is None,
    )
    return fitted.trajectory, [*notes, *filter(None, [fitted.note])]


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


def chosen_trajectory(
    chosen: argparse.Namespace, clip: Clip, found_fov_y_rad: float | None = None
) -> tuple[Trajectory, list[str]]:
    """The path of the options, for frames of the clip's size, and notes on what was done to it.

    Args:
        found_fov_y_rad: vertical field of view of the clip's frames, for want of the user's.

    Raises:
        InputError: no such preset, or a camera file that cannot be used.
    """
    from rap import geometry
    from rap.data import fit_trajectory

    fov_y_rad = cameras.known_fov_y_rad(chosen, clip) if found_fov_y_rad is None else found_fov_y_rad
    if chosen.preset is not None:
        if chosen.preset not in geometry.PRESETS:
            raise InputError(f"--preset {chosen.preset}: no such preset; choose from {', '.join(geometry.PRESETS)}")
        if fov_y_rad is None and len(clip) == 1:
            from rap.views.scene import usual_fov_y_rad

            fov_y_rad = usual_fov_y_rad(clip)
        given = {"amplitude": chosen.amplitude, "fov_y_rad": fov_y_rad}
        values = {key: value for key, value in given.items() if value is not None}
        return geometry.preset(chosen.preset, num_frames=chosen.frames, image_size=clip.image_size, **values), []
    trajectory, notes = _read(chosen, clip, fov_y_rad)
    if len(trajectory) != chosen.frames:
        notes.append(f"{chosen.trajectory.name}: its {len(trajectory)} cameras are resampled to {chosen.frames} frames")
        trajectory = geometry.resample(trajectory, chosen.frames)
    trajectory = dataclasses.replace(fit_trajectory(trajectory, clip.image_size), source=0)
    return trajectory.relative_to(0), notes


def _read(chosen: argparse.Namespace, clip: Clip, fov_y_rad: float | None) -> tuple[Trajectory, list[str]]:
    """The path of a file, in pixels of the whole input where the file has no size of its own."""
    from rap import formats

    path: Path = chosen.trajectory
    size = clip.upload_size or clip.image_size
    whole_fov = None if fov_y_rad is None else clip.whole_fov_y_rad(fov_y_rad)
    found = formats.load(path, image_size=size, fov_y_rad=whole_fov)
    notes = list(found.notes)
    if chosen.fov_y_deg is not None and found.has_lens:
        notes.append(f"{path.name}: has its own field of view; --fov-y-deg is not used")
    return found.trajectory, notes


def _inputs(chosen: argparse.Namespace) -> list[Path]:
    return [*chosen.images, *(path for path in (chosen.trajectory, chosen.cameras) if path is not None)]
