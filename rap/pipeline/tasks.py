"""What the pipeline is asked and what it yields: three tasks, their progress, their output, and what they must hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from diffusers.utils import BaseOutput
from jaxtyping import UInt8

from rap.config import SIZE_MULTIPLE
from rap.geometry import Trajectory
from rap.limits import (
    GUIDANCE,
    LEAST_TAKE_FPS,
    LEAST_TAKE_FRAMES,
    LEAST_TAKE_SIDE,
    PATH_FRAMES,
    SEED,
    STEPS,
    TAKE_FPS,
    TAKE_PIXELS,
    TAKE_SIDE,
    TAKE_WORK,
    TEMPERATURE,
)
from rap.model.tokens import TIME_COMPRESSION
from rap.views import memory
from rap.views.hints import VideoHints

FEWER_FRAMES = "keep fewer frames"

Frames = UInt8[np.ndarray, "T H W 3"]


@dataclass(frozen=True)
class EstimateTask:
    """p(r | z): the cameras of a clip. `source` is the frame that becomes the world.

    `fov_y_rad`, where known, fixes the focal length: the source's ray map is then given clean. `flow_frames_u8` are the
    same frames at a better resolution, for models that take optical flow; None looks for it in `frames_u8`.
    """

    frames_u8: Frames
    fps: float = 8.0
    source: int = 0
    fov_y_rad: float | None = None
    steps: int | None = None
    seed: int = 0
    flow_frames_u8: Frames | None = None

    def __post_init__(self) -> None:
        check_sampling(self.steps, self.seed)


@dataclass(frozen=True)
class GenerateTask:
    """p(z | r, source frames): the video along a trajectory.

    `source_indices` says where in the trajectory each source frame stands; the world is the first one's camera.
    `hints` is what the clip's geometry already shows along the trajectory, None the model alone. A model that was
    trained with warp hints sees them as an input. Besides, they are held down to the noise level `hint_level` (see
    `rap.flow.Hint`): 0 keeps them as they are and leaves only their holes to the model, 1 does not hold them at all.
    `temperature` is the standard deviation of the noise that the video starts from: 1 samples what the model has
    learned, less of it stays nearer to the mean of what it holds for possible, and seeds differ less (as with the prior
    of Kingma and Dhariwal, Glow, NeurIPS 2018, section 6).
    """

    source_frames_u8: Frames
    trajectory: Trajectory
    source_indices: tuple[int, ...] = (0,)
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int = 0
    hints: VideoHints | None = None
    hint_level: float | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        check_sampling(self.steps, self.seed, self.guidance_scale, self.temperature)
        check_extent(len(self.trajectory), self.trajectory.image_size, "the path has")


@dataclass(frozen=True)
class JointTask:
    """p(z, r | source frames): a camera motion and its video."""

    source_frames_u8: Frames
    source_indices: tuple[int, ...] = (0,)
    num_frames: int = 17
    fps: float = 8.0
    steps: int | None = None
    ray_steps: int | None = None
    guidance_scale: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.steps, self.seed, self.guidance_scale)
        PATH_FRAMES.check(self.num_frames, "the clip has", FEWER_FRAMES)


Task = EstimateTask | GenerateTask | JointTask


@dataclass
class RaPOutput(BaseOutput):
    """What a task yields; the given modality is passed through, the other one is the model's.

    Attributes:
        frames_u8: (T, H, W, 3).
        trajectory: cameras of every frame, world = source camera.
        raxels: (T, 3, H/2, W/2) float32 raxel maps of `trajectory` as the model sees them (estimated or given); one per
            ray frame of the configuration, and Plücker maps where that is its camera.
    """

    frames_u8: np.ndarray | None
    trajectory: Trajectory | None
    raxels: np.ndarray | None


@dataclass(frozen=True)
class Progress:
    """State of a running task; the last one has `done` set and carries the `output`."""

    step: int
    steps: int
    frames_u8: np.ndarray | None = None
    trajectory: Trajectory | None = None
    done: bool = False
    output: RaPOutput | None = None


@dataclass
class RoundTrip(BaseOutput):
    """Closed loop: the estimate of a clip, the video generated along it, and the estimate of that video."""

    estimate: RaPOutput
    generated: RaPOutput
    re_estimate: RaPOutput


def check_sampling(
    steps: int | None, seed: int, guidance_scale: float | None = None, temperature: float | None = None
) -> None:
    """Refuse settings that would run for ever or mean nothing.

    Raises:
        InputError: one lies outside the limits of `rap.limits`.
    """
    own = "leave it out to take the checkpoint's own"
    if steps is not None:
        STEPS.check_range(steps, "steps", 1, own)
    SEED.check_range(seed, "seed", 0, "take another")
    if guidance_scale is not None:
        GUIDANCE.check_range(guidance_scale, "guidance", 0, own)
    if temperature is not None:
        TEMPERATURE.check_range(temperature, "temperature", 0, own)


def check_extent(frames: int, size: tuple[int, int], where: str) -> None:
    """Refuse what no memory holds.

    Args:
        size: (h, w).
        where: how the sentence begins.

    Raises:
        InputError: more frames or pixels than `rap.limits` says.
    """
    PATH_FRAMES.check(frames, where, FEWER_FRAMES)
    TAKE_PIXELS.check(size[0] * size[1], where, "make the pictures smaller")


def check_take(size: tuple[int, int], side: int, frames: int, fps: float | None) -> None:
    """Refuse a take, rendered from what was given, that takes too long or means nothing.

    Args:
        size: (h, w) of what was given.
        side: longest side of the take, which is never larger than what was given.
        fps: None is no choice.

    Raises:
        InputError: one lies outside the limits of `rap.limits`, or it needs more memory than takes may hold.
    """
    TAKE_SIDE.check_range(side, "size", LEAST_TAKE_SIDE, "choose one of those offered")
    PATH_FRAMES.check_range(frames, "frames", LEAST_TAKE_FRAMES, FEWER_FRAMES)
    if fps is not None:
        TAKE_FPS.check_range(fps, "fps", LEAST_TAKE_FPS, "leave it out to let the take last as long as its path")
    scale = min(1.0, side / max(size))
    h, w = round(size[0] * scale), round(size[1] * scale)
    TAKE_WORK.check(frames * h * w, "the take has", "take a smaller size or fewer frames")
    memory.check((h, w), frames)


def checked_frames(frames: np.ndarray, name: str) -> np.ndarray:
    frames = np.asarray(frames)
    if frames.ndim == 3:
        frames = frames[None]
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"{name} must be (T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    h, w = frames.shape[1:3]
    if h % SIZE_MULTIPLE or w % SIZE_MULTIPLE or not h or not w:
        raise ValueError(f"{name}: height and width must be multiples of {SIZE_MULTIPLE}, got {(h, w)}; resize first")
    check_extent(len(frames), (h, w), f"{name} has")
    return frames


def checked_flow_frames(flow_frames: np.ndarray, frames: Frames) -> np.ndarray:
    """Pictures of the same frames, of the same shape up to rounding."""
    found = np.asarray(flow_frames)
    if found.ndim != 4 or found.shape[-1] != 3 or found.dtype != np.uint8 or len(found) != len(frames):
        raise ValueError(
            f"flow_frames_u8 must be (T, H, W, 3) uint8 with the clip's {len(frames)} frames, "
            f"got {found.shape} {found.dtype}"
        )
    (h, w), (own_h, own_w) = found.shape[1:3], frames.shape[1:3]
    if abs(h * own_w - w * own_h) > 2 * max(own_h, own_w):
        raise ValueError(
            f"flow_frames_u8 must be cropped as the frames are, which are (h, w) = {(own_h, own_w)}, got {(h, w)}"
        )
    return found


def check_count(count: int) -> None:
    if count < 1 + TIME_COMPRESSION or (count - 1) % TIME_COMPRESSION:
        raise ValueError(f"a clip must have 5, 9, 13, 17, ... (1 + 4k) frames, got {count}; resample it first")


def check_indices(indices: tuple[int, ...], count: int) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise ValueError(f"source frame {index} lies outside the clip of {count} frames (0 .. {count - 1})")


def check_sources(sources: np.ndarray, indices: tuple[int, ...], count: int) -> None:
    if len(sources) != len(indices) or len(set(indices)) != len(indices):
        raise ValueError(
            f"source_indices must name a different frame for each of the {len(sources)} source frames, got {indices}"
        )
    check_indices(indices, count)
