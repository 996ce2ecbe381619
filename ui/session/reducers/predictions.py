"""What the model says of the clip: its path, a path and video imagined of its first frame, samples of the path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from rap.config import VERIFY_STEPS
from rap.data import Clip
from rap.errors import InputError
from rap.geometry import Trajectory
from rap.geometry.spread import path_spread
from rap.pipeline import EstimateTask, JointTask
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.document import Settings, Take
from ui.document.geometry import imagined_basis, of_another_path, scene_of
from ui.document.state import Change, Notice, State
from ui.session.geometry_worker import Imagined, walked_in_picture
from ui.session.model_tasks import kept_take, kept_trajectory
from ui.session.reducers.context import Context, Entries
from ui.session.reducers.effects import ModelJob, start_model, stop_geometry, together
from ui.session.reducers.geometry import applied_preset, scene_task, start_refinement

SPREAD_SAMPLES, SPREAD_SEED = 8, 1000  # seeds that nobody types


def predict(message: msg.Predict, state: State, context: Context) -> Change:
    """Raises InputError for a clip that cannot have moved."""
    clip = doc.clip_of(state.document)
    if len(clip) < 2:
        raise InputError(f"{clip.name}: one picture has no motion to predict; press Imagine or apply a preset")
    settings = Settings(message.seed, message.steps)
    job = ModelJob("predict", _estimate(clip, settings, state), settings, kept_trajectory)
    return start_model(job, state, context)


def imagine(message: msg.Imagine, state: State, context: Context) -> Change:
    """A take whose path the model finds itself; of a picture its own layers show it, as any path."""
    clip, geometry = doc.clip_of(state.document), state.geometry
    _check_own_model(context)
    basis = imagined_basis(state.document, geometry)
    in_picture = basis is not None
    settings = Settings(message.seed, message.steps, with_geometry=in_picture, layers=in_picture)
    count = context.options.num_frames
    task = JointTask(clip.frames_u8[:1], num_frames=count, fps=clip.fps, steps=message.steps, seed=message.seed)
    number = doc.next_take_number(state.document)
    keep = partial(kept_take, context.folder, "imagined", clip.hash, settings, number, None)
    if basis is not None:
        walked = partial(
            walked_in_picture, context.geometry.pipeline, scene_task(basis, geometry), scene_of(basis, geometry)
        )
        keep = partial(_kept_imagined, walked, keep)
    return start_model(ModelJob("imagine", task, settings, keep), state, context)


def sample_spread(message: msg.SampleSpread, state: State, context: Context) -> Change:
    """Raises InputError while there is no predicted path to compare with."""
    predicted = state.document.predicted
    if predicted is None or not state.document.prediction_follows_clip:
        raise InputError("there is no predicted path to sample; press Predict first")
    _check_own_model(context)
    return _sample(replace(state, sampled=()), context)


REDUCERS: Entries = (
    (msg.Predict, predict),
    (msg.Imagine, imagine),
    (msg.SampleSpread, sample_spread),
)


def predicted(trajectory: Trajectory, seconds: float, state: State, context: Context) -> Change:
    """The prediction is there: it becomes the path, and is refined where that is wanted. A move that was chosen while
    it was awaited stays chosen."""
    edited, unfitted = state.document.edited, state.geometry.unfitted
    chosen = unfitted.asked if unfitted is not None and edited and edited.hash == unfitted.path_hash else None
    notice = Notice("path", f"Predicted {len(trajectory)} cameras in {seconds:.1f} s.")
    document, stop = doc.with_prediction(state.document, trajectory), stop_geometry(state, context)
    state = replace(state, document=document, geometry=of_another_path(state.geometry), job=None, notice=notice)
    start = None
    if state.geometry.refine_on:
        state, start = start_refinement(state, context)
    if chosen is not None:
        state, _ = applied_preset(chosen, state, context)
    return state, together(stop, start)


def sampled(trajectory: Trajectory, state: State, context: Context) -> Change:
    """One more sample is there: the next one, or what all of them say."""
    paths = (*state.sampled, trajectory)
    state = replace(state, job=None, sampled=paths)
    if len(paths) < SPREAD_SAMPLES:
        return _sample(state, context)
    assert state.document.predicted is not None  # a new prediction stops the sampling
    spread = path_spread(paths, state.document.predicted)
    document = doc.with_spread(state.document, spread)
    text = f"{spread.samples} samples; soft drag reaches {document.soft.radius:g} frames, as far as they go together."
    return replace(state, document=document, sampled=(), notice=Notice("spread", text)), None


def _sample(state: State, context: Context) -> Change:
    """Draw the next sample, with a seed of its own."""
    clip, count = doc.clip_of(state.document), len(state.sampled)
    settings = Settings(SPREAD_SEED + count, VERIFY_STEPS)
    job = ModelJob("spread", _estimate(clip, settings, state), settings, kept_trajectory)
    state, start = start_model(job, state, context)
    return replace(state, notice=Notice("spread", f"Sampling the path, {SPREAD_SAMPLES - count} to go.")), start


def _check_own_model(context: Context) -> None:
    if (generator := context.options.generator) is not None:
        raise InputError(f"{generator.title} takes cameras and makes none; apply a preset, or start without it")


def _estimate(clip: Clip, settings: Settings, state: State) -> EstimateTask:
    return EstimateTask(
        clip.frames_u8,
        fps=clip.fps,
        fov_y_rad=state.geometry.known_fov_y_rad,
        steps=settings.steps,
        seed=settings.seed,
        flow_frames_u8=clip.detailed_u8,
    )


def _kept_imagined(walked: Callable[[Any], Imagined], keep: Callable[[Any], Take], output: Any) -> Take:
    """A take of what the model imagined, as a picture's own layers show it.

    Args:
        walked, keep: `walked_in_picture` and `kept_take` with all but the output.
    """
    found = walked(output)
    return replace(keep(found), note=found.note)
