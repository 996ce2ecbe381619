"""Takes: made, verified, compared, named, starred and deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from rap.data import playback_fps
from rap.errors import InputError
from rap.generators.kinds import Chosen
from rap.geometry import Trajectory, filmed, scale_motion
from rap.geometry.reshape import mirror, quarter_turned
from rap.limits import TAKE_FPS
from rap.pipeline import GenerateTask
from rap.pipeline.tasks import check_take
from ui.document import document as doc
from ui.document import messages as msg
from ui.document import sources
from ui.document.comparison import GIVEN, PREVIEW
from ui.document.document import Settings, Take
from ui.document.geometry import basis_of, is_of_film, is_walk, scene_of, take_side, why_one_frame, why_unusable
from ui.document.state import Basis, Change, GeometryJob, Notice, State, Wanted
from ui.session import shelf
from ui.session.geometry_worker import Filled, FilmOrder, Holes, WalkTask, ordered_film
from ui.session.model_tasks import VerifyTask, kept_take, kept_verification
from ui.session.reducers.context import Context, Entries
from ui.session.reducers.effects import ModelJob, delete_files, start_model, stop_model, together
from ui.session.reducers.geometry import scene_task, with_clip_shown

VARIED_AMPLITUDES = (0.5, 1.0, 1.5)
MAX_TAKE_NAME = 40


def regenerate(message: msg.Regenerate, state: State, context: Context) -> Change:
    """One take along the path."""
    begun, start = start_take(_wanted(message, state), _unheld(state), context)  # refused now, not when it begins
    if (later := _held(message, state)) is not None:
        return later, None
    return _with_fit(begun, message, state), start


def make_variations(message: msg.Variations, state: State, context: Context) -> Change:
    """The first take at once; the others wait for it."""
    wanted = _wanted(message, state)
    if message.kind == "seeds" and context.options.generator is None and is_walk(state.document, state.geometry):
        raise InputError(
            "the picture's layers are the same for every seed; vary the motion instead, or switch off With geometry"
        )
    if message.kind == "seeds":
        first, *others = [replace(wanted, seed=wanted.seed + i) for i in range(3)]
    else:
        is_direction = message.kind == "directions"
        paths = _directions(wanted.trajectory) if is_direction else _amplitudes(wanted.trajectory)
        first, *others = [replace(wanted, trajectory=path) for path in paths]
    begun, start = start_take(first, _unheld(state), context)
    if (later := _held(message, state)) is not None:
        return later, None
    return replace(_with_fit(begun, message, state), waiting=tuple(others)), start


def _held(message: msg.Regenerate | msg.Variations, state: State) -> State | None:
    """The state in which takes wait for cameras and depth that are on their way; None where they need not: along a path
    through a picture, say, that somebody has bent by now."""
    document, geometry = state.document, state.geometry
    if geometry.job is None or not geometry.use_on or document.edited is None:
        return None
    is_unfitted = geometry.unfitted is not None and geometry.unfitted.path_hash == document.edited.hash
    if not is_unfitted and geometry.job.kind != "refine":
        return None
    notice = Notice("result", f"The take begins as soon as the {_awaited(geometry.job)} known.")
    return replace(state, geometry=replace(geometry, held=message), notice=notice)


def _with_fit(begun: State, message: msg.Regenerate | msg.Variations, state: State) -> State:
    """Of takes that were held: how the move was fitted is still said, nobody has had time to read it."""
    if message is not state.geometry.held or begun.notice is not None or state.notice is None:
        return begun
    return replace(begun, notice=state.notice) if state.notice.place == "path" else begun


def _unheld(state: State) -> State:
    return replace(state, geometry=replace(state.geometry, held=None))


def _awaited(job: GeometryJob) -> str:
    return "film's cameras and depth are" if job.kind == "refine" or not job.basis.is_picture else "picture's depth is"


def _amplitudes(path: Trajectory) -> list[Trajectory]:
    return [scale_motion(path, amplitude) for amplitude in VARIED_AMPLITUDES]


def _directions(path: Trajectory) -> list[Trajectory]:
    """Raises InputError for a path that is the same in all of them."""
    mirrored = mirror(path)
    if np.allclose(mirrored.Ts_world_camera, path.Ts_world_camera, atol=1e-6):
        raise InputError("the path goes straight ahead, the same to all sides; vary the motion instead")
    return [path, mirrored, quarter_turned(path)]


def set_take(message: msg.SetTake, state: State, context: Context) -> Change:
    """Raises InputError for more pixels in all than are taken."""
    document, asked = state.document, message.asked
    if document.edited is not None and (is_walk(document, state.geometry) or is_of_film(document, state.geometry)):
        check_take(doc.clip_of(document).full_size, asked.side, asked.frames or len(document.edited), asked.fps)
    return replace(state, asked=asked), None


def set_verify(message: msg.SetVerify, state: State, context: Context) -> Change:
    """Of the takes to come."""
    return replace(state, verify_on=message.on), None


def verify(message: msg.Verify, state: State, context: Context) -> Change:
    """Raises InputError while there is no take."""
    take = state.document.take
    if take is None:
        raise InputError("there is no take to verify yet; press Regenerate first")
    return start_verification(take, state, context)


def show_take(message: msg.ShowTake, state: State, context: Context) -> Change:
    """Looking at another one takes the question back whether to delete this one."""
    return replace(state, document=doc.show_take(state.document, message.number), doomed=None), None


def compare(message: msg.Compare, state: State, context: Context) -> Change:
    """Takes, what was given (`GIVEN`) or the preview; raises ValueError for a number that none of them has."""
    there = {GIVEN: doc.clip_of(state.document), PREVIEW: state.geometry.preview}
    for number in message.numbers or ():
        if there.get(number) is None:
            doc.take_of(state.document, number)
    return replace(state, compared=message.numbers), None


def rename_take(message: msg.RenameTake, state: State, context: Context) -> Change:
    """In one line, and not a long one."""
    take = doc.take_of(state.document, message.number)
    named = replace(take, name=" ".join(message.name.split())[:MAX_TAKE_NAME])
    return replace(state, document=doc.with_take_changed(state.document, named)), None


def star_take(message: msg.StarTake, state: State, context: Context) -> Change:
    """The mark, or no mark."""
    take = replace(doc.take_of(state.document, message.number), starred=message.on)
    return replace(state, document=doc.with_take_changed(state.document, take)), None


def delete_take(message: msg.DeleteTake, state: State, context: Context) -> Change:
    """Asked for once, it is asked back; asked for again, the take goes with its files."""
    take = doc.take_of(state.document, message.number)
    if state.doomed != take.number:
        return replace(state, doomed=take.number), None
    stop = None
    if state.job is not None and state.job.kind == "verify":  # it may be at this take's file
        stop, state = stop_model(state, context), replace(state, job=None)
    compared = None if state.compared is not None and take.number in state.compared else state.compared
    notice = Notice("result", f"{take.title} is deleted.")
    document = doc.without_take(state.document, take.number)
    state = replace(state, document=document, doomed=None, compared=compared, notice=notice)
    files = () if shelf.holds_file(state, take) else (take.video, take.cameras)
    return state, together(stop, delete_files(*files))


REDUCERS: Entries = (
    (msg.Regenerate, regenerate),
    (msg.Variations, make_variations),
    (msg.SetTake, set_take),
    (msg.SetVerify, set_verify),
    (msg.Verify, verify),
    (msg.ShowTake, show_take),
    (msg.Compare, compare),
    (msg.RenameTake, rename_take),
    (msg.StarTake, star_take),
    (msg.DeleteTake, delete_take),
)


def start_take(wanted: Wanted, state: State, context: Context) -> Change:
    """Render what was given along a path, at full size; else have the model generate it."""
    path, document = wanted.trajectory, state.document
    if context.options.generator is not None:
        return _order(context.options.generator, wanted, state, context)
    frames = sources.used(document, path)
    if frames == (path.source,) and is_walk(document, state.geometry):
        state, start = _start_walk(_walk_of(wanted, state), _walked(wanted, Settings(layers=True)), state, context)
        words = why_one_frame(document)
        return (replace(state, notice=Notice("result", words)) if words else state), start
    if is_of_film(document, state.geometry):
        basis = basis_of(document, state.geometry)
        scene = None if basis is None else scene_of(basis, state.geometry)
        if scene is not None and scene.leaves(path):
            return _start_walk(_walk_of(wanted, state), _walked(wanted, Settings(layers=True)), state, context)
        return _ask_for_holes(wanted, state, context)
    task, settings = _generation(wanted, frames, state)
    hinted = with_clip_shown(state, context)
    settings = replace(settings, with_geometry=hinted is not None)
    job = ModelJob("regenerate", task, settings, _kept(settings, path, state, context), hinted)
    state, start = start_model(job, state, context)
    if state.geometry.use_on and hinted is None:
        text = f"Made by the model alone: {why_unusable(document, state.geometry)}"
        return replace(state, notice=Notice("result", text)), start
    return _with_left_out(state, start, frames)


def _order(generator: Chosen, wanted: Wanted, state: State, context: Context) -> Change:
    """A model of others makes it, shown what the clip shows along the path; of one without cameras its source frame."""
    from rap.generators.request import FilmSettings, film_shape

    path, document, geometry = wanted.trajectory, state.document, state.geometry
    basis, why = basis_of(document, geometry), why_unusable(document, geometry)
    if basis is None or why:
        basis = Basis(doc.clip_of(document), path, "one image", geometry.depth_by)
    prompt = wanted.prompt or context.options.prompt
    film = FilmSettings(wanted.frames, prompt, wanted.steps, wanted.guidance, wanted.seed)
    count = film_shape(generator.kind, path, film)[0]
    settings = _walked(replace(wanted, frames=count), Settings(wanted.seed, wanted.steps, guidance=wanted.guidance))
    settings = replace(settings, side=None, generator=generator.title, prompt=prompt)
    prepare = partial(ordered_film, context.geometry.pipeline, scene_task(basis, geometry), scene_of(basis, geometry))
    order, keep = FilmOrder(generator.kind, path, film), _kept(settings, path, state, context)
    state, start = start_model(ModelJob("regenerate", order, settings, keep, prepare), state, context)
    return (replace(state, notice=Notice("result", f"From one frame: {why}")) if why else state), start


def show_filled(filled: Filled, seconds: float, state: State, context: Context) -> Change:
    """The model has answered, after so many seconds, what a film's holes show: the film comes now."""
    state, start = _start_walk(filled.task, filled.settings, replace(state, job=None), context)
    assert state.job is not None
    return replace(state, job=replace(state.job, spent_s=seconds)), start


def _ask_for_holes(wanted: Wanted, state: State, context: Context) -> Change:
    """The film shows the path, and the model, first, what no frame of it has seen."""
    task, settings = _generation(wanted, sources.used(state.document, wanted.trajectory), state)
    settings = _walked(wanted, replace(settings, film=True))
    holes = Holes(context.geometry.pipeline, _walk_of(wanted, state), settings)
    job = ModelJob("regenerate", task, settings, holes.keep, holes.prepare)
    return _with_left_out(*start_model(job, state, context), task.source_indices)


def _with_left_out(state: State, start: Callable[[], None] | None, frames: tuple[int, ...]) -> Change:
    """Chosen frames that the model does not start from are told."""
    left_out = sorted(set(sources.chosen(state.document)) - set(frames))
    if left_out:
        state = replace(state, notice=Notice("result", sources.left_out_words(left_out, frames)))
    return state, start


def _generation(wanted: Wanted, frames: tuple[int, ...], state: State) -> tuple[GenerateTask, Settings]:
    """What the model is asked for, from these frames of the clip."""
    path, clip = wanted.trajectory, doc.clip_of(state.document)
    pictures = clip.frames_u8[[min(frame, len(clip) - 1) for frame in frames]]
    task = GenerateTask(
        pictures, path, frames, wanted.steps, wanted.guidance, wanted.seed, temperature=wanted.temperature
    )
    named = () if frames == (path.source,) else frames
    return task, Settings(wanted.seed, wanted.steps, False, named, wanted.guidance, wanted.temperature)


def _walk_of(wanted: Wanted, state: State) -> WalkTask:
    """A take that is rendered, checked: of a size and a length that are taken.

    Raises:
        InputError: more pixels or frames than `rap.limits` says.
    """
    basis = basis_of(state.document, state.geometry)
    assert basis is not None  # of a path there is one
    check_take(basis.clip.full_size, wanted.side, wanted.frames or len(wanted.trajectory), wanted.fps)
    scene = scene_of(basis, state.geometry)
    side = take_side(basis, wanted.side)  # what it costs is measured by its size
    return WalkTask(scene_task(basis, state.geometry), scene, wanted.trajectory, side, wanted.frames)


def _walked(wanted: Wanted, settings: Settings) -> Settings:
    """With the size, the length and the rate of a take that is rendered."""
    played = replace(wanted.trajectory, fps=playback_fps(wanted.trajectory.fps))
    fps = min(filmed(played, wanted.frames, wanted.fps).fps, TAKE_FPS.value)
    return replace(settings, with_geometry=True, side=wanted.side, frames=wanted.frames or len(played), fps=fps)


def _start_walk(task: WalkTask, settings: Settings, state: State, context: Context) -> Change:
    """Render it."""
    keep = _kept(settings, task.trajectory, state, context)
    return start_model(ModelJob("regenerate", task, settings, keep, by_geometry=True), state, context)


def _kept(settings: Settings, path: Trajectory, state: State, context: Context) -> Callable[[Any], Take]:
    """What becomes of the frames of the next take."""
    clip, number = doc.clip_of(state.document), doc.next_take_number(state.document)
    return partial(kept_take, context.folder, "regenerated", clip.hash, settings, number, path)


def start_verification(take: Take, state: State, context: Context) -> Change:
    """Estimate a take's cameras; what is said of the take stays."""
    keep = partial(kept_verification, take)
    job = ModelJob("verify", VerifyTask(take), take.settings, keep, VerifyTask.as_estimate)
    started, start = start_model(job, state, context)
    return replace(started, notice=state.notice), start


def _wanted(message: msg.Regenerate | msg.Variations, state: State) -> Wanted:
    kept = (message.steps, message.seed, message.guidance, message.temperature)
    return Wanted(_edited(state), *kept, message.side, message.frames, message.fps, message.prompt)


def _edited(state: State) -> Trajectory:
    doc.clip_of(state.document)
    if state.document.edited is None:
        raise InputError("there is no path to generate along yet; press Predict or apply a preset first")
    return state.document.edited
