"""Takes: made, verified, compared, named, starred and deleted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from rap.errors import InputError
from rap.geometry import Trajectory, scale_motion
from rap.pipeline import GenerateTask
from ui.document import document as doc
from ui.document import messages as msg
from ui.document import sources
from ui.document.document import Settings, Take
from ui.document.geometry import basis_of, is_walk, scene_of, why_unusable
from ui.document.state import Change, Notice, State, Wanted
from ui.session import shelf
from ui.session.geometry_worker import WalkTask
from ui.session.model_tasks import VerifyTask, kept_take, kept_verification
from ui.session.reducers.context import Context, Entries
from ui.session.reducers.effects import ModelJob, delete_files, start_model, stop_model, together
from ui.session.reducers.geometry import scene_task, with_clip_shown

VARIED_AMPLITUDES = (0.5, 1.0, 1.5)
MAX_TAKE_NAME = 40


def regenerate(message: msg.Regenerate, state: State, context: Context) -> Change:
    """One take along the path."""
    return start_take(_wanted(message, state), state, context)


def make_variations(message: msg.Variations, state: State, context: Context) -> Change:
    """The first take at once; the others wait for it."""
    wanted = _wanted(message, state)
    if message.kind == "seeds" and is_walk(state.document, state.geometry):
        raise InputError(
            "the picture's layers are the same for every seed; vary the motion instead, or switch off With geometry"
        )
    if message.kind == "seeds":
        first, *others = [replace(wanted, seed=wanted.seed + i) for i in range(3)]
    else:
        paths = [scale_motion(wanted.trajectory, amplitude) for amplitude in VARIED_AMPLITUDES]
        first, *others = [replace(wanted, trajectory=path) for path in paths]
    state, start = start_take(first, state, context)
    return replace(state, waiting=tuple(others)), start


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
    """Raises ValueError for a number no take has."""
    for number in message.numbers or ():
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
    (msg.SetVerify, set_verify),
    (msg.Verify, verify),
    (msg.ShowTake, show_take),
    (msg.Compare, compare),
    (msg.RenameTake, rename_take),
    (msg.StarTake, star_take),
    (msg.DeleteTake, delete_take),
)


def start_take(wanted: Wanted, state: State, context: Context) -> Change:
    """Generate along a path, with what the clip shows along it where that is wanted and possible."""
    path, document = wanted.trajectory, state.document
    clip = doc.clip_of(document)
    frames = sources.used(document, path)
    if frames == (path.source,) and is_walk(document, state.geometry):
        return _start_walk(path, state, context)
    hinted = with_clip_shown(state, context)
    named = () if frames == (path.source,) else frames
    settings = Settings(wanted.seed, wanted.steps, hinted is not None, named, wanted.guidance, wanted.temperature)
    pictures = clip.frames_u8[[min(frame, len(clip) - 1) for frame in frames]]
    task = GenerateTask(
        pictures, path, frames, wanted.steps, wanted.guidance, wanted.seed, temperature=wanted.temperature
    )
    number = doc.next_take_number(document)
    keep = partial(kept_take, context.folder, "regenerated", clip.hash, settings, number, path)
    state, start = start_model(ModelJob("regenerate", task, settings, keep, hinted), state, context)
    left_out = sorted(set(sources.chosen(document)) - set(frames))
    if state.geometry.use_on and hinted is None:
        text = f"Made by the model alone: {why_unusable(document, state.geometry)}"
        state = replace(state, notice=Notice("result", text))
    elif left_out:
        state = replace(state, notice=Notice("result", sources.left_out_words(left_out, frames)))
    return state, start


def _start_walk(path: Trajectory, state: State, context: Context) -> Change:
    """Render the path through the picture's own layers, at full size: the model would show less of it."""
    document, geometry = state.document, state.geometry
    basis, clip = basis_of(document, geometry), doc.clip_of(document)
    assert basis is not None  # of a path there is one
    task = WalkTask(scene_task(basis, geometry), scene_of(basis, geometry), path)
    settings, number = Settings(with_geometry=True, layers=True), doc.next_take_number(document)
    keep = partial(kept_take, context.folder, "regenerated", clip.hash, settings, number, path)
    return start_model(ModelJob("regenerate", task, settings, keep, by_geometry=True), state, context)


def start_verification(take: Take, state: State, context: Context) -> Change:
    """Estimate a take's cameras; what is said of the take stays."""
    keep = partial(kept_verification, take)
    job = ModelJob("verify", VerifyTask(take), take.settings, keep, VerifyTask.as_estimate)
    started, start = start_model(job, state, context)
    return replace(started, notice=state.notice), start


def _wanted(message: msg.Regenerate | msg.Variations, state: State) -> Wanted:
    return Wanted(_edited(state), message.steps, message.seed, message.guidance, message.temperature)


def _edited(state: State) -> Trajectory:
    doc.clip_of(state.document)
    if state.document.edited is None:
        raise InputError("there is no path to generate along yet; press Predict or apply a preset first")
    return state.document.edited
