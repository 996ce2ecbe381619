"""The 3D cache of one clip: refined cameras, sparse points, depth of its source frames, and what new cameras see.

What a clip has shown need not be invented again: its frames, lifted by depth and warped into the cameras of an edited
path, are a preview within a second and a hint to the model (the idea of GEN3C, Ren et al., CVPR 2025, and ViewCrafter,
Yu et al., 2024). All lengths are in the trajectory's unit, the median depth of the source view.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from rap.config import LAYERS_SIDE
from rap.data import Clip
from rap.data.images import crop_box
from rap.geometry import Trajectory, filmed, fov_y_from_intrinsics, intrinsics_from_fov, se3, unproject
from rap.geometry.camera import pixel_centres
from rap.reconstruction.colmap import Mapping, refine_with_colmap
from rap.reconstruction.film import refine_film
from rap.reconstruction.refine import Refinement, refine_trajectory, source_depth
from rap.reconstruction.tracks import PointCloud, sparse_points
from rap.views import beyond
from rap.views.blend_network import embedded_blend_network
from rap.views.depth import DepthMaps
from rap.views.depth_model import depth_model
from rap.views.depth_network import embedded_depth_network
from rap.views.eyes import Eye
from rap.views.fine import Coarse, Content, FineSources, fine_frame, fine_frames, to_size
from rap.views.fusion import film_depth
from rap.views.hints import VideoHints, as_hints, to_u8, with_open_holes
from rap.views.layers import Layers, lift
from rap.views.monocular import SMALLEST_PX, USUAL_FOCAL, fov_y_of
from rap.views.warp import Warp, camera_distance, warp

SCENE_SIDE = 224
"""Long side in pixels of the frames that are lifted and of previews: what fits a second on one core."""

SOURCE_STRIDE = 2
"""Of a clip of neighbouring frames every other one is lifted, nine of seventeen; of one that is spread over a film all:
they show more of each other's surfaces (`rap bench geometry --parts spread`)."""

HOLE_COLOURS = (52, 68)
"""The two greys of the checks that stand for what no source frame has seen."""

HOLE_CHECK_PX = 8

CLEARANCE_POINTS = 20_000

SURE = 0.5
"""Confidence of a film's depth from which it is a surface: what was guessed stands in nobody's way."""

MOVED = 0.1
"""Distance of neighbouring lifted frames, as `warp.camera_distance` has it, from which the camera is what changes."""

MIN_POINTS = 12
"""Fewer well-seen points say nothing of the depth of a scene."""


@dataclass(frozen=True, eq=False)
class Preview:
    """The edited path as the sources alone show it.

    Attributes:
        frames_u8: (T, H, W, 3), holes as grey checks; those of layers are filled.
        mask: (T, H, W) seen by a source; all else is hole, or invented.
    """

    frames_u8: UInt8[np.ndarray, "T H W 3"]
    mask: Bool[np.ndarray, "T H W"]

    @property
    def coverage(self) -> float:
        """Share of all pixels that a source has seen."""
        return float(self.mask.mean())


@dataclass(frozen=True, eq=False)
class Scene:
    """One clip in 3D; immutable.

    Attributes:
        clip: where the frames come from.
        trajectory: cameras of the clip's frames; its source camera is the world.
        points: sparse points in that world, None where the clip gives none.
        source_indices: frames of the clip that were lifted.
        frames: (S, 3, h, w) these frames in [0, 1], whole (not cropped as the model's frames are).
        intrinsics: (S, 4) in pixels of `frames`.
        depth: inverse depth and confidence of `frames`.
        layers: of a single picture, whose camera `frames` is seen by; None where depth comes from parallax, and of a
            flat picture.
        unit_m: the unit of length in metres; None where it is not known.
    """

    clip: Clip
    trajectory: Trajectory
    points: PointCloud | None
    source_indices: tuple[int, ...]
    frames: Tensor
    intrinsics: Float[np.ndarray, "S 4"]
    depth: DepthMaps
    layers: Layers | None = None
    unit_m: float | None = None

    def render(self, trajectory: Trajectory, size: tuple[int, int] | None = None) -> Warp:
        """What every camera of a path sees: of layers, or of the sources warped, which the embedded blend network
        makes one picture where there was parallax.

        Args:
            trajectory: its source camera is the clip's frame of that number (the last one of a shorter clip).
            size: (H, W) of the result, with the aspect ratio of the trajectory's images; None is `preview_size`.
        """
        path = trajectory.resized(size or preview_size(trajectory.image_size))
        if self.layers is None:
            return self._warped(path, self._in_world(path), path.source)
        return self.layers.render(self._in_picture(self._in_world(path)), path.intrinsics, path.image_size)

    def _warped(
        self, path: Trajectory, Ts_world_camera: Float[np.ndarray, "T 4 4"], anchor: int, with_mix: bool = False
    ) -> Warp:
        """What cameras see of the lifted frames; `anchor` is the clip's frame whose moment they show."""
        return warp(
            self.frames,
            self.depth.inverse_depth,
            self.trajectory.Ts_world_camera[list(self.source_indices)],
            self.intrinsics,
            Ts_world_camera,
            path.intrinsics,
            path.image_size,
            confidence=self.depth.confidence,
            network=embedded_blend_network(str(self.frames.device)) if self._has_depth else None,
            with_mix=with_mix,
            farther=self._later(anchor),
        )

    def _later(self, anchor: int) -> Float[np.ndarray, " S"]:
        """By how much lifted frames count as farther the longer they were taken before or after a frame of the clip:
        where the camera hardly moved all are equally near, and whatever moves would be seen in all places at once."""
        if len(self.source_indices) < 2:
            return np.zeros(len(self.source_indices))
        at = np.abs(np.asarray(self.source_indices) - anchor)
        return max(0.0, MOVED - self._step) * at / max(1, at[at > 0].min())

    @cached_property
    def _step(self) -> float:
        """How far neighbouring lifted frames lie apart, on the median."""
        Ts = self.trajectory.Ts_world_camera[list(self.source_indices)]
        median = float(self.depth.inverse_depth.median())
        return float(np.median([camera_distance(a[None], b[None], median)[0, 0] for a, b in pairwise(Ts)]))

    def _in_world(self, trajectory: Trajectory, source: int | None = None) -> Float[np.ndarray, "T 4 4"]:
        """Poses of a path, whose world is a frame of the clip, in the world of the scene.

        Args:
            source: that frame; None is the one of the path's source's number.
        """
        anchor = min(trajectory.source if source is None else source, len(self.clip) - 1)
        return self.trajectory.Ts_world_camera[anchor] @ trajectory.relative_to(trajectory.source).Ts_world_camera

    @property
    def _has_depth(self) -> bool:
        """Whether there was parallax. The blend network has not learned from planes: of 30 rendered clips whose camera
        only turned (frames 0, 8, 16 shown) it lost up to 1.5 dB in some, and gained 0.15 on the mean.
        """
        return len(self.frames) > 1 and bool(self.depth.confidence.any())

    def preview(self, trajectory: Trajectory, side: int | None = None) -> Preview:
        """The path by warping alone, the frames whole: layers finished, holes of a film shown as holes.

        Args:
            trajectory: as `render`.
            side: long side of the frames of layers in pixels; None is that of the layers.
        """
        if self.layers is None:
            path = self._whole(trajectory, preview_size(self.clip.full_size))
            return shown_with_holes(self._warped(path, self._in_world(trajectory), trajectory.source))
        path = self._whole(trajectory, preview_size(self.clip.full_size, side or max(self.frames.shape[-2:])))
        cameras = self._in_picture(self._in_world(trajectory))
        rendered = self.layers.render(cameras, path.intrinsics, path.image_size)
        return Preview(to_u8(rendered.filled), rendered.mask.cpu().numpy())

    def glimpse(self, trajectory: Trajectory, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """One frame of `preview`, of LAYERS_SIDE pixels at most, for the moment while a path is bent or looked at."""
        path, Ts_world_camera = self._walked(trajectory, LAYERS_SIDE, None)
        one = slice(index, index + 1)
        pose, lens = Ts_world_camera[one], path.intrinsics[one]
        if self.layers is not None:
            return to_u8(self.layers.glimpse(self._in_picture(pose)[0], lens[0], path.image_size)[None])[0]
        alone = Trajectory(pose, lens, path.image_size)
        rendered = self._warped(alone.resized(preview_size(path.image_size)), pose, trajectory.source, with_mix=True)
        large = fine_frame(Coarse.of(rendered), 0, self._glimpsed, (pose[0], lens[0]), path.image_size)
        return with_checks(large[None], _enlarged(rendered.mask[0].cpu().numpy(), path.image_size)[None])[0]

    @cached_property
    def _glimpsed(self) -> FineSources:
        """A film's sources of glimpses."""
        return self._fine_sources(self.take_size(LAYERS_SIDE))

    def _fine_sources(self, size: tuple[int, int]) -> FineSources:
        pictures = [to_size(self.clip.full_frame(i), size) for i in self.source_indices]
        Ts_world_source = self.trajectory.Ts_world_camera[list(self.source_indices)]
        return FineSources.of(pictures, self.depth.inverse_depth, Ts_world_source, self.intrinsics)

    def take_size(self, side: int) -> tuple[int, int]:
        """(H, W) of a film's takes of at most this long side: its own shape, even, never enlarged."""
        whole = self.clip.full_size
        return preview_size(whole, min(side, max(whole)))

    def walk(
        self,
        trajectory: Trajectory,
        side: int,
        frames: int | None = None,
        content: Content | None = None,
        eye: Eye | None = None,
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The frames of `preview` one after the other, as they are made, at full size; nothing is left open.

        Args:
            side: long side of the frames in pixels at most.
            frames: how many along the path; None are those it has.
            content: what a film's holes show; None: what the sources' surroundings and the blend network say. Where
                they are many (`beyond.OPEN`) it is the first frame, continued, whatever is given.
            eye: beside the path's cameras, whose pictures these are then.
        """
        path, Ts_world_camera = self._walked(trajectory, side, frames, eye)
        if self.layers is None:
            yield from self._walk_film(path, Ts_world_camera, trajectory.source, content)
            return
        for rendered in self._through_layers(path, Ts_world_camera):
            yield to_u8(rendered.filled)[0]

    def depths_of_walk(
        self, trajectory: Trajectory, side: int, frames: int | None = None
    ) -> Float32[np.ndarray, "T H W"]:
        """Inverse z-depth of the frames of `walk`, in 1 / the unit of the trajectory; holes have their rim's."""
        path, Ts_world_camera = self._walked(trajectory, side, frames)
        if self.layers is None:
            small = path.resized(preview_size(path.image_size))
            known = Coarse.of(self._warped(small, Ts_world_camera, trajectory.source, with_mix=True)).inverse_depth
        else:
            known = np.stack([r.inverse_depth[0].cpu().numpy() for r in self._through_layers(path, Ts_world_camera)])
        return np.stack([cv2.resize(one, path.image_size[::-1], interpolation=cv2.INTER_LINEAR) for one in known])

    def seen_on_walk(self, trajectory: Trajectory, side: int, frames: int | None = None) -> Bool[np.ndarray, "T H W"]:
        """What of the frames of `walk` a source has seen; all else was filled."""
        path, Ts_world_camera = self._walked(trajectory, side, frames)
        if self.layers is None:
            small = path.resized(preview_size(path.image_size))
            seen = self._warped(small, Ts_world_camera, trajectory.source).mask.cpu().numpy()
        else:
            seen = np.stack([r.mask[0].cpu().numpy() for r in self._through_layers(path, Ts_world_camera)])
        return np.stack([_enlarged(one, path.image_size) for one in seen])

    def _walked(
        self, trajectory: Trajectory, side: int, frames: int | None, eye: Eye | None = None
    ) -> tuple[Trajectory, Float[np.ndarray, "T 4 4"]]:
        """A path's whole frames of a walk, and their poses in the world."""
        along = filmed(trajectory, frames)
        Ts_world_camera = self._in_world(along, trajectory.source)
        size = self.take_size(side)
        if self.layers is not None:
            size = preview_size(self.clip.full_size, min(side, LAYERS_SIDE))
        path = self._whole(along, size)
        if eye is None:
            return path, Ts_world_camera
        Ts_world_camera, intrinsics = eye.cameras(Ts_world_camera, path.intrinsics)
        return replace(path, intrinsics=intrinsics), Ts_world_camera

    def _through_layers(self, path: Trajectory, Ts_world_camera: Float[np.ndarray, "T 4 4"]) -> Iterator[Warp]:
        assert self.layers is not None
        for T_picture_camera, intrinsics in zip(self._in_picture(Ts_world_camera), path.intrinsics, strict=True):
            yield self.layers.render(T_picture_camera[None], intrinsics[None], path.image_size)

    def cameras_of_walk(self, trajectory: Trajectory, size: tuple[int, int]) -> Trajectory:
        """The cameras of `walk`'s and `preview`'s frames, of (H, W), along a path: those of whole frames."""
        return self._whole(trajectory, size)

    def _in_picture(self, Ts_world_camera: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 4 4"]:
        """Poses in the camera of the layers."""
        return se3.inverse(self.trajectory.Ts_world_camera[self.source_indices[0]]) @ Ts_world_camera

    def _walk_film(
        self,
        path: Trajectory,
        Ts_world_camera: Float[np.ndarray, "T 4 4"],
        anchor: int,
        content: Content | None,
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        small = path.resized(preview_size(path.image_size))
        coarse = Coarse.of(self._warped(small, Ts_world_camera, anchor, with_mix=True))
        size, holes = path.image_size, coarse.holes
        is_open = self._has_depth and holes.mean() >= beyond.OPEN
        if content is not None and not is_open:
            coarse = coarse.showing(content)
        shown = fine_frames(coarse, self._fine_sources(size), (Ts_world_camera, path.intrinsics), size)
        if is_open:
            shown = beyond.filled(shown, holes, self._continued, (self._in_picture(Ts_world_camera), path.intrinsics))
        yield from shown

    @cached_property
    def _continued(self) -> Layers:
        """The first lifted frame of a film, continued where no frame has seen anything."""
        picture = self.clip.full_frame(self.source_indices[0])
        return beyond.continued(picture, self.depth.inverse_depth[0], self.intrinsics[0])

    def _whole(self, trajectory: Trajectory, size: tuple[int, int]) -> Trajectory:
        """A path with the clip's whole frames in view, where those that the model sees are cropped."""
        return self.clip.on_footage(trajectory.resized(self.clip.image_size)).resized(size)

    def hints(self, trajectory: Trajectory) -> VideoHints:
        """What the sources show along a path, at the size of the clip's frames; what layers invent is a hole."""
        rendered = self.render(trajectory)
        return as_hints(rendered if self.layers is None else with_open_holes(rendered), trajectory.image_size)

    def median_depth(self, frame: int) -> float:
        """Median depth of the view of the clip's frame, or of the lifted one nearest to it in time, in the unit of
        the trajectory; of all pixels, for the confident ones lie where texture is and not all over the view."""
        nearest = int(np.abs(np.asarray(self.source_indices) - frame).argmin())
        return float(1 / self.depth.inverse_depth[nearest].clamp(min=1e-6).median())

    def centre_depth(self) -> float:
        """Median depth of the middle of the first lifted frame, in the unit of the trajectory: of a preset's pivot."""
        h, w = self.depth.inverse_depth.shape[1:]
        rows, columns = (slice(int(side * 0.4), max(int(side * 0.4) + 1, int(side * 0.6))) for side in (h, w))
        return float(1 / self.depth.inverse_depth[0, rows, columns].clamp(min=1e-6).median())

    def clearance(self, trajectory: Trajectory) -> Float[np.ndarray, " T"]:
        """How far each camera of a path is from the nearest surface that was lifted, in the unit of the trajectory;
        0 where it has passed one."""
        xyz, _ = self.coloured_points(CLEARANCE_POINTS, 0.0 if self.layers is not None else SURE)
        if len(xyz) == 0:
            return np.ones(len(trajectory))
        centres = self._in_world(trajectory)[:, :3, 3]
        distance = np.sqrt(((centres[:, None] - xyz) ** 2).sum(axis=-1).min(axis=1))
        return np.where(self._passed(centres), 0.0, distance)

    def _passed(self, centres: Float[np.ndarray, "T 3"]) -> Bool[np.ndarray, " T"]:
        """Whether places lie behind what the first lifted frame shows in their direction."""
        T_camera_world = se3.inverse(self.trajectory.Ts_world_camera[self.source_indices[0]])
        seen = centres @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]
        ahead = seen[:, 2] > 1e-6
        fx, fy, cx, cy = self.intrinsics[0]
        x, y = (seen[:, :2] / np.where(ahead, seen[:, 2], 1.0)[:, None] * [fx, fy] + [cx, cy]).T
        h, w = self.depth.inverse_depth.shape[1:]
        ahead &= (x >= 0) & (x < w) & (y >= 0) & (y < h)
        column, row = np.where(ahead, x, 0).astype(int), np.where(ahead, y, 0).astype(int)
        is_surface = self.depth.confidence[0] >= SURE if self.layers is None else self.depth.inverse_depth[0] > 0
        nearest = (self.depth.inverse_depth[0] * is_surface).cpu().numpy()
        return ahead & (seen[:, 2] * nearest[row, column] > 1)

    def coloured_points(
        self, max_points: int = 40_000, min_confidence: float = 0.5
    ) -> tuple[Float[np.ndarray, "N 3"], UInt8[np.ndarray, "N 3"]]:
        """The depth maps as a cloud in the world: positions and colours, evenly thinned to at most `max_points`."""
        intrinsics = torch.as_tensor(self.intrinsics, dtype=torch.float32)
        inverse_depth = self.depth.inverse_depth.cpu().flatten(1)
        pixels = pixel_centres((self.frames.shape[-2], self.frames.shape[-1])).flatten(0, 1)
        points = unproject(pixels.expand(len(intrinsics), -1, -1), 1 / inverse_depth.clamp(min=1e-6), intrinsics)
        Ts = torch.as_tensor(self.trajectory.Ts_world_camera[list(self.source_indices)], dtype=torch.float32)
        world = points @ Ts[:, :3, :3].mT + Ts[:, None, :3, 3]
        kept = (self.depth.confidence.cpu().flatten(1) >= min_confidence) & (inverse_depth > 1e-6)
        colours = (self.frames.cpu().flatten(2).mT * 255).round().to(torch.uint8)
        picked = np.flatnonzero(kept.flatten().numpy())
        picked = picked[:: max(1, -(-len(picked) // max_points))]
        return world.flatten(0, 1).numpy()[picked].astype(np.float64), colours.flatten(0, 1).numpy()[picked]


def refine(
    clip: Clip, trajectory: Trajectory, known_fov_y_rad: float | None = None, by: Mapping | None = None
) -> Refinement:
    """Fit a predicted path to points tracked through the clip's whole frames and the film between them.

    Args:
        trajectory: one camera for each of the clip's frames, as predicted.
        known_fov_y_rad: vertical field of view of the clip's frames, where the user or the file knows it.
        by: COLMAP's mapping that finds them instead.

    Returns:
        The refinement, its trajectory on the clip's frames again; its points and tracks stay on the footage.
    """
    on_footage = clip.on_footage(trajectory)
    known = None
    if known_fov_y_rad is not None:
        intrinsics = np.tile(intrinsics_from_fov(known_fov_y_rad, clip.image_size), (len(clip), 1))
        on_footage = clip.on_footage(replace(trajectory, intrinsics=intrinsics))
        known = float(fov_y_from_intrinsics(on_footage.intrinsics[0], on_footage.image_size[0]))
    if clip.film is None:
        return _refined_alone(clip, trajectory, on_footage, known, by)
    on_film, at = on_footage.resized(clip.film.image_size), clip.film.places(clip.frame_indices)
    if by is None:
        found = refine_film(clip.film.frames_u8, at, on_film, known_fov_y_rad=known)
    else:
        found = refine_with_colmap(clip.film.frames_u8, at, on_film, known_fov_y_rad=known, mapping=by)
    if found.points is None and found.report.outcome != "no_parallax":
        return replace(found, trajectory=trajectory)
    return replace(found, trajectory=clip.on_frames(found.trajectory.resized(clip.footage_size)))


def _refined_alone(
    clip: Clip, trajectory: Trajectory, on_footage: Trajectory, known: float | None, by: Mapping | None
) -> Refinement:
    """From the clip's own pictures; where they are repeated the path leads smoothly through their cameras."""
    own = list(clip.own_frames)
    frames_u8, start = clip.footage[own], on_footage.at(own)
    if by is None:
        found = refine_trajectory(frames_u8, start, known_fov_y_rad=known, numbers=own)
    else:
        found = refine_with_colmap(frames_u8, np.arange(len(own)), start, known_fov_y_rad=known, mapping=by)
    if found.points is None and found.report.outcome != "no_parallax":
        return replace(found, trajectory=trajectory)
    points = None if found.points is None else replace(found.points, span=np.take(own, found.points.span))
    moving = None
    if found.moving is not None:
        moving = np.zeros((len(clip), *found.moving.shape[1:]), dtype=bool)
        moving[own] = found.moving
    trajectory = clip.on_frames(clip.path_through(found.trajectory))
    return replace(found, trajectory=trajectory, points=points, moving=moving)


def measured(clip: Clip, trajectory: Trajectory) -> tuple[Trajectory, PointCloud | None, float]:
    """Known cameras of a clip in the unit of length that everything here expects: median depth of the first view.

    Returns:
        The cameras, points of the frames under them, and the factor from the old unit; the cameras as they were, None
        and 1 where the frames show no parallax: then there is no unit to be had, and none is needed.
    """
    footage, own = clip.on_footage(trajectory), list(clip.own_frames)
    tracks, points = sparse_points(clip.footage[own], footage.Ts_world_camera[own], footage.intrinsics[own])
    if len(points) == 0:
        return trajectory, None, 1.0
    scale = 1 / source_depth(tracks, points, trajectory.Ts_world_camera[0], 0)
    points = replace(points, span=np.take(own, points.span)).transformed(np.eye(4), scale)
    return trajectory.scaled(scale), points, scale


MEASURED = ("refined", "no_parallax")
"""Verdicts of `followed_path` that tell a path; after others it is the estimate, unchanged."""


def followed_path(frames_u8: UInt8[np.ndarray, "T H W 3"], estimated: Trajectory, requested: Trajectory) -> Refinement:
    """The path that a generated video shows by points tracked through it.

    Args:
        frames_u8: the video.
        estimated: where to begin, of the same length: what the model takes for its cameras.
        requested: what it was made along; its lens is taken for right, so that a wrong one shows as a wrong path.

    Raises:
        ValueError: a path of another length or image size than the video's.
    """
    size = (frames_u8.shape[1], frames_u8.shape[2])
    if requested.image_size != size or len(requested) != len(frames_u8):
        raise ValueError(
            f"requested must have a camera of {size} px for each of the {len(frames_u8)} frames, got {len(requested)} "
            f"of {requested.image_size}; resize it with trajectory.resized"
        )
    start = replace(estimated, intrinsics=requested.intrinsics)
    return refine_trajectory(frames_u8, start, trust_focal=True)


def build_scene(
    clip: Clip,
    trajectory: Trajectory,
    points: PointCloud | None = None,
    source_indices: tuple[int, ...] | None = None,
    device: torch.device | str = "cpu",
) -> Scene:
    """Lift source frames of a clip by plane sweep and the embedded depth network; a single picture becomes the plane
    at unit depth.

    Args:
        trajectory: cameras of the clip's frames (refined ones, or depth will be poor), on the clip's frames.
        points: of the refinement: range and prior of the depth; None triangulates tracks: through all frames, so that
            a scene is the same whether its cameras were refined just now or came with the file, or through those of
            `source_indices` alone, for whoever asks for some wants to know nothing of the others.
        source_indices: which frames; None takes every other one, all of a clip that is spread over a film, and of a
            stretched upload the pictures' own.

    Raises:
        ValueError: the trajectory has another number of frames than the clip.
    """
    if len(trajectory) != len(clip):
        raise ValueError(f"trajectory must have one camera for each of the {len(clip)} frames, got {len(trajectory)}")
    own = clip.own_frames
    stride = 1 if clip.is_spread or len(own) <= len(clip) // SOURCE_STRIDE else SOURCE_STRIDE
    picked = own[::stride] if source_indices is None else source_indices
    footage = clip.on_footage(trajectory)
    point_frames = picked
    if points is None and len(picked) > 1:
        tracked = own if source_indices is None else picked
        points = _triangulated(clip.footage[list(tracked)], footage, tracked)
        point_frames = [tracked.index(frame) for frame in picked]
    size = _fitted(footage.image_size, SCENE_SIDE)
    small = np.stack([cv2.resize(clip.footage[i], size[::-1], interpolation=cv2.INTER_AREA) for i in picked])
    frames = torch.from_numpy(small).to(device).permute(0, 3, 1, 2).float() / 255
    intrinsics = footage.resized(size).intrinsics[list(picked)]
    Ts_world_camera = trajectory.Ts_world_camera[list(picked)]
    network = embedded_depth_network(str(device))
    depth = film_depth(frames, Ts_world_camera, intrinsics, points, point_frames, network)
    return Scene(clip, trajectory, points, tuple(picked), frames, intrinsics, depth)


def picture_scene(clip: Clip, trajectory: Trajectory, *, flat: bool = False, depth_by: str = "") -> Scene:
    """One frame of a clip as layers: the scene of a picture, or of a clip of unknown cameras.

    Args:
        trajectory: the path to be shown: its source camera tells the focal length and which frame is lifted.
        flat: the frame is the plane at unit depth instead.
        depth_by: name or folder of a model of depth (`rap.views.depth_model`); "" is the one of the checkout.

    Raises:
        InputError: there is no such model of depth.
    """
    index = min(trajectory.source, len(clip) - 1)
    intrinsics = trajectory.resized(clip.image_size).intrinsics[trajectory.source]
    still = Trajectory(
        np.tile(np.eye(4), (len(clip), 1, 1)), np.tile(intrinsics, (len(clip), 1)), clip.image_size, source=index
    )
    if flat or min(clip.footage_size) < SMALLEST_PX:
        return build_scene(clip, still, source_indices=(index,))
    size = _fitted(clip.footage_size, LAYERS_SIDE)
    picture_u8 = cv2.resize(clip.footage[index], size[::-1], interpolation=cv2.INTER_AREA)
    lens = clip.on_footage(still).resized(size).intrinsics[[index]]
    found = depth_model(depth_by).predict(picture_u8)
    layers = lift(
        torch.from_numpy(picture_u8).permute(2, 0, 1).float() / 255, torch.from_numpy(1 / found.depth), lens[0]
    )
    front = layers.layers[0]
    depth = DepthMaps(front.inverse_depth[None], (front.alpha[None] > 0.5).float())
    return Scene(clip, still, None, (index,), front.colour[None], lens, depth, layers, found.unit_m)


def usual_fov_y_rad(clip: Clip) -> float:
    """Vertical field of view of the frames of a picture of whose lens nothing is known: a phone's is assumed."""
    return clip.cropped_fov_y_rad(fov_y_of(USUAL_FOCAL, clip.upload_size or clip.image_size))


def content_of(clip: Clip, frames_u8: UInt8[np.ndarray, "M h w 3"], given_u8: UInt8[np.ndarray, "M h w 3"]) -> Content:
    """What a model has made of a clip's frames, and what it was shown, for the holes of `Scene.walk`."""
    h, w = clip.full_size
    top, left, height, width = crop_box((h, w), (frames_u8.shape[1], frames_u8.shape[2]))
    return Content(frames_u8, given_u8, (top / h, left / w, height / h, width / w))


def preview_size(image_size: tuple[int, int], side: int = SCENE_SIDE) -> tuple[int, int]:
    """(H, W) of previews of frames of `image_size`: the same shape, long side `side`, both sides even."""
    scale = side / max(image_size)
    return round(image_size[0] * scale / 2) * 2, round(image_size[1] * scale / 2) * 2


def shown_with_holes(rendered: Warp) -> Preview:
    """Warped frames with grey checks where no source has seen anything."""
    mask = rendered.mask.cpu().numpy()
    return Preview(with_checks(to_u8(rendered.colour), mask), mask)


def with_checks(
    frames_u8: UInt8[np.ndarray, "T H W 3"], mask: Bool[np.ndarray, "T H W"]
) -> UInt8[np.ndarray, "T H W 3"]:
    """Grey checks beside the mask, as many across whatever the size."""
    if mask.all():
        return frames_u8
    h, w = mask.shape[1:]
    side = max(1, round(HOLE_CHECK_PX * max(h, w) / SCENE_SIDE))
    checks = np.add.outer(np.arange(h) // side, np.arange(w) // side)
    grey = np.asarray(HOLE_COLOURS, dtype=np.uint8)[checks % 2]
    return np.where(mask[..., None], frames_u8, grey[None, ..., None])


def _triangulated(
    frames_u8: UInt8[np.ndarray, "S H W 3"], cameras: Trajectory, picked: tuple[int, ...]
) -> PointCloud | None:
    """Points seen from directions different enough; None where there are none, as under a camera that only turns."""
    Ts_world_camera, intrinsics = cameras.Ts_world_camera[list(picked)], cameras.intrinsics[list(picked)]
    _, points = sparse_points(frames_u8, Ts_world_camera, intrinsics)
    return points if len(points) >= MIN_POINTS else None


def _enlarged(mask: Bool[np.ndarray, "h w"], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    return cv2.resize(mask.astype(np.uint8), size[::-1]) > 0


def _fitted(image_size: tuple[int, int], side: int) -> tuple[int, int]:
    """(h, w) with long side at most `side`; never enlarged."""
    scale = min(1.0, side / max(image_size))
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))
