"""What a model of others is asked: cameras, and the film that a scene shows along them, with what of it was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from rap.data import fit_trajectory
from rap.data.images import crop_box
from rap.generators.kinds import Kind
from rap.geometry import Trajectory, filmed
from rap.limits import PROMPT_CHARACTERS, TAKE_WORK
from rap.pipeline.tasks import check_extent, check_sampling
from rap.views.scene import Scene

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels, as Pillow takes it."""


@dataclass(frozen=True, eq=False)
class FilmTask:
    """p(video | cameras, warped film): a take by a model that was not trained here.

    Attributes:
        frames_u8: (T, H, W, 3) what the scene shows along the path, holes filled; the source frame as it is.
        mask: (T, H, W) what of it a source has seen.
        trajectory: T cameras in pixels of these frames.
        prompt: what the video shows, in words.
        steps, guidance: None is the model's own.
        unit_m: metres of the trajectory's unit of length, where they are known.
    """

    frames_u8: UInt8[np.ndarray, "T H W 3"]
    mask: Bool[np.ndarray, "T H W"]
    trajectory: Trajectory
    prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    seed: int = 0
    unit_m: float | None = None

    def __post_init__(self) -> None:
        check_sampling(self.steps, self.seed, self.guidance)
        PROMPT_CHARACTERS.check(len(self.prompt), "the prompt has", "say it in fewer")
        shape = (len(self.trajectory), *self.trajectory.image_size)
        if self.frames_u8.shape != (*shape, 3) or self.mask.shape != shape:
            raise ValueError(
                f"frames_u8 and mask must be (T, H, W) = {shape} as the trajectory says, got {self.frames_u8.shape} "
                f"and {self.mask.shape}"
            )


@dataclass(frozen=True)
class FilmSettings:
    """What besides the path decides a take by a model of others.

    Attributes:
        frames: how many along the path; None: the path's. The model may take some more (`Kind.count`).
    """

    frames: int | None = None
    prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    seed: int = 0


def film_shape(kind: Kind, trajectory: Trajectory, settings: FilmSettings) -> tuple[int, int, int]:
    """(T, H, W) of the take.

    Raises:
        InputError: it is larger than what is made here.
    """
    count = kind.count(settings.frames or len(trajectory))
    size = kind.size_for(trajectory.image_size)
    check_extent(count, size, "the take has")
    TAKE_WORK.check(count * size[0] * size[1], "the take has", "take fewer frames")
    return count, *size


def film_task(scene: Scene, kind: Kind, trajectory: Trajectory, settings: FilmSettings) -> FilmTask:
    """Render what a model of this kind is shown along a path through a scene.

    The frames are cropped as the path's images are, then to the shape that the model takes.

    Raises:
        InputError: as `film_shape`.
    """
    count, *size = film_shape(kind, trajectory, settings)
    shape = (size[0], size[1])
    along, side = filmed(trajectory, count), max(shape)
    shown_u8 = list(scene.walk(trajectory, side, count))
    seen = scene.seen_on_walk(trajectory, side, count)
    box = nested_box(shown_u8[0].shape[:2], trajectory.image_size, shape)
    frames_u8 = np.stack([_cropped(frame, box, shape, Image.Resampling.LANCZOS) for frame in shown_u8])
    masks = [_cropped(255 * one.astype(np.uint8), box, shape, Image.Resampling.NEAREST) for one in seen]
    mask = np.stack(masks) > 0
    if _shows_source(scene, along):
        own = scene.clip.full_frame(min(trajectory.source, len(scene.clip) - 1))
        box = nested_box(own.shape[:2], trajectory.image_size, shape)
        frames_u8[along.source] = _cropped(own, box, shape, Image.Resampling.LANCZOS)
        mask[along.source] = True
    return FilmTask(
        frames_u8,
        mask,
        fit_trajectory(along, shape),
        settings.prompt,
        settings.steps,
        settings.guidance,
        settings.seed,
        scene.unit_m,
    )


def _shows_source(scene: Scene, along: Trajectory) -> bool:
    """Whether the path's source camera is that of the frame it is called after: no zoom, nothing between two frames."""
    frame = min(along.source, len(scene.clip) - 1)
    lens = scene.trajectory.resized(along.image_size).intrinsics[frame]
    rests = np.allclose(along.Ts_world_camera[along.source], np.eye(4), atol=1e-6)
    return rests and bool(np.allclose(along.intrinsics[along.source], lens, rtol=1e-3))


def nested_box(whole: tuple[int, ...], first: tuple[int, int], then: tuple[int, int]) -> Box:
    """What is left of a picture of (h, w) after a centred crop to one shape, and of that to another."""
    top, left, h, w = crop_box((whole[0], whole[1]), first)
    inner_top, inner_left, inner_h, inner_w = crop_box(first, then)
    scale_y, scale_x = h / first[0], w / first[1]
    top, left = top + inner_top * scale_y, left + inner_left * scale_x
    return left, top, left + inner_w * scale_x, top + inner_h * scale_y


def _cropped(picture: np.ndarray, box: Box, size: tuple[int, int], by: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), by, box=box))


def metric(trajectory: Trajectory, unit_m: float) -> Trajectory:
    """The same cameras in metres, the first of them the world, as models with cameras take them."""
    return trajectory.relative_to(0).scaled(unit_m)
