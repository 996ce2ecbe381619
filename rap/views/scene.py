"""The 3D cache of one clip: refined cameras, sparse points, depth of its source frames, and what new cameras see.

What a clip has shown need not be invented again: its frames, lifted by depth and warped into the cameras of an edited
path, are a preview within a second and a hint to the model (the idea of GEN3C, Ren et al., CVPR 2025, and ViewCrafter,
Yu et al., 2024). All lengths are in the trajectory's unit, the median depth of the source view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

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
from rap.views.beyond import Moment
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
from rap.views.preview import SCENE_SIDE, Preview, enlarged, preview_size, shown_with_holes, with_checks
from rap.views.warp import Warp, camera_distance, warp

SOURCE_STRIDE = 2
"""Of a clip of neighbouring frames every other one is lifted, nine of seventeen; of one that is spread over a film all:
they show more of each other's surfaces (`rap bench geometry --parts spread`)."""

CLEARANCE_POINTS = 20_000

SURE = 0.5
"""Confidence of a film's depth from which it is a surface: what was guessed stands in nobody's way."""

MOVED = 0.1
"""Distance of neighbouring lifted frames, as `warp.camera_distance` has it, from which the camera is what changes."""

JUDGED_FRAMES, JUDGED_SIDE, JUDGED_PATHS = 5, 112, 32
"""Of a path that is judged: frames looked at, their long side in pixels; paths whose judgement is remembered."""

MIN_POINTS = 12
"""Fewer well-seen points say nothing of the depth of a scene."""


class _Judgement(NamedTuple):
    """Of a path through a film."""

    lost: float  # share of its pixels that no frame shows, or only as rubble
    leaves: bool


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
        if self._picture is None:
            return self._warped(path, self._in_world(path), path.source)
        return self._picture.render(self._in_world(path), path.intrinsics, path.image_size)

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

    def _decided(self, path: Trajectory, Ts_world_camera: Float[np.ndarray, "T 4 4"], anchor: int) -> Warp:
        """The same at preview size, with how it was mixed, which `fine` makes larger."""
        return self._warped(path.resized(preview_size(path.image_size)), Ts_world_camera, anchor, with_mix=True)

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
        if (moment := self._shown_alone(trajectory)) is None:
            path = self._whole(trajectory, preview_size(self.clip.full_size))
            return shown_with_holes(self._warped(path, self._in_world(trajectory), trajectory.source))
        path = self._whole(trajectory, preview_size(self.clip.full_size, side or moment.side))
        rendered = moment.render(self._in_world(trajectory), path.intrinsics, path.image_size)
        return Preview(to_u8(rendered.filled), rendered.mask.cpu().numpy())

    def glimpse(self, trajectory: Trajectory, index: int, held: Trajectory | None = None) -> UInt8[np.ndarray, "H W 3"]:
        """One frame of `preview`, of LAYERS_SIDE pixels at most, for the moment while a path is bent or looked at; of
        the kind that `held` is shown in, where a hand holds it: to judge each path on the way would take too long."""
        path, Ts_world_camera = self._walked(trajectory, LAYERS_SIDE, None)
        pose, lens = Ts_world_camera[index], path.intrinsics[index]
        if (moment := self._shown_alone(held or trajectory, at_once=True)) is not None:
            return to_u8(moment.glimpse(pose, lens, path.image_size)[None])[0]
        rendered = self._decided(Trajectory(pose[None], lens[None], path.image_size), pose[None], trajectory.source)
        large = fine_frame(Coarse.of(rendered), 0, self._glimpsed, (pose, lens), path.image_size)
        return with_checks(large[None], enlarged(rendered.mask[0].cpu().numpy(), path.image_size)[None])[0]

    @cached_property
    def _glimpsed(self) -> FineSources:
        """A film's sources of glimpses."""
        return self._fine_sources(self.take_size(LAYERS_SIDE))

    def _fine_sources(self, size: tuple[int, int]) -> FineSources:
        pictures = [to_size(self.clip.full_frame(i), size) for i in self.source_indices]
        Ts_world_source = self.trajectory.Ts_world_camera[list(self.source_indices)]
        return FineSources.of(pictures, self.depth.inverse_depth, Ts_world_source, self.intrinsics)

    def take_size(self, side: int) -> tuple[int, int]:
        """(H, W), even and of the clip's shape, of takes of at most this long side: no larger than a film; nor than a
        picture, if that is larger than LAYERS_SIDE."""
        whole, least = self.clip.full_size, 0 if self.layers is None else LAYERS_SIDE
        return preview_size(whole, min(side, max(least, *whole)))

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
                they are many (`beyond.OPEN`) it is the frame where the path begins, continued, whatever is given;
                that frame alone is shown where the path has left what was filmed (`leaves`).
            eye: beside the path's cameras, whose pictures these are then.
        """
        path, Ts_world_camera = self._walked(trajectory, side, frames, eye)
        if (moment := self._shown_alone(trajectory)) is None:
            yield from self._walk_film(path, Ts_world_camera, trajectory.source, content)
            return
        shown = self.source_indices[0 if self.layers is not None else self._lifted(trajectory.source)]
        moment = moment.enlarged(self.clip.full_frame(shown), max(path.image_size))
        yield from moment.finished(Ts_world_camera, path.intrinsics, path.image_size)

    def depths_of_walk(
        self, trajectory: Trajectory, side: int, frames: int | None = None
    ) -> Float32[np.ndarray, "T H W"]:
        """Inverse z-depth of the frames of `walk`, in 1 / the unit of the trajectory; holes have their rim's."""
        size, shown = self._looks(trajectory, side, frames)
        known = (one.inverse_depth.cpu().numpy() if one.mix is None else Coarse.of(one).inverse_depth for one in shown)
        return np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_LINEAR) for some in known for one in some])

    def seen_on_walk(self, trajectory: Trajectory, side: int, frames: int | None = None) -> Bool[np.ndarray, "T H W"]:
        """What of the frames of `walk` a source has seen; all else was filled."""
        size, shown = self._looks(trajectory, side, frames)
        return np.stack([enlarged(mask, size) for some in shown for mask in some.mask.cpu().numpy()])

    def _looks(self, trajectory: Trajectory, side: int, frames: int | None) -> tuple[tuple[int, int], Iterable[Warp]]:
        """The size of a walk's frames, and what they are made of: of a film all at once, at preview size."""
        path, Ts_world_camera = self._walked(trajectory, side, frames)
        if (moment := self._shown_alone(trajectory)) is None:
            return path.image_size, [self._decided(path, Ts_world_camera, trajectory.source)]
        return path.image_size, moment.one_by_one(Ts_world_camera, path.intrinsics, path.image_size)

    def _walked(
        self, trajectory: Trajectory, side: int, frames: int | None, eye: Eye | None = None
    ) -> tuple[Trajectory, Float[np.ndarray, "T 4 4"]]:
        """A path's whole frames of a walk, and their poses in the world."""
        along = filmed(trajectory, frames)
        Ts_world_camera = self._in_world(along, trajectory.source)
        path = self._whole(along, self.take_size(side))
        if eye is None:
            return path, Ts_world_camera
        Ts_world_camera, intrinsics = eye.cameras(Ts_world_camera, path.intrinsics)
        return replace(path, intrinsics=intrinsics), Ts_world_camera

    def cameras_of_walk(self, trajectory: Trajectory, size: tuple[int, int]) -> Trajectory:
        """The cameras of `walk`'s and `preview`'s frames, of (H, W), along a path: those of whole frames."""
        return self._whole(trajectory, size)

    @cached_property
    def _picture(self) -> Moment | None:
        """A single picture's own layers."""
        return None if self.layers is None else Moment(self.layers, self._T_world_lifted(0))

    def _T_world_lifted(self, place: int) -> Float[np.ndarray, "4 4"]:
        return self.trajectory.Ts_world_camera[self.source_indices[place]]

    def _shown_alone(self, trajectory: Trajectory, at_once: bool = False) -> Moment | None:
        """The one picture that shows a path; None where a film's frames do it together.

        Args:
            at_once: None, too, where it has not been made yet.
        """
        place = self._lifted(trajectory.source)
        if self._picture is not None or (at_once and place not in self._moments) or not self.leaves(trajectory):
            return self._picture
        return self.moment(place)

    def leaves(self, trajectory: Trajectory) -> bool:
        """Whether a path leads so far beside what a film shows that one of its frames alone is a better picture: much
        is open, and nearly as much is seen from the frame where the path begins as from all together."""
        return self._judgement(trajectory).leaves

    def is_open(self, trajectory: Trajectory) -> bool:
        """Whether a film shows too little of what lies along a path for a move as large as elsewhere."""
        return self._judgement(trajectory).lost >= beyond.LEFT

    def bent_share(self, trajectory: Trajectory) -> float:
        """How much of what is straight in a picture a path bends; none in films, whose depth is measured."""
        if self._picture is None:
            return 0.0
        path, Ts_world_camera = self._walked(trajectory, self._picture.side, None)
        return self._picture.bent_share(Ts_world_camera, path.intrinsics, path.image_size)

    def _judgement(self, trajectory: Trajectory) -> _Judgement:
        if self._picture is not None or not self._has_depth:
            return _Judgement(0.0, False)
        if trajectory.hash not in self._judged:
            while len(self._judged) >= JUDGED_PATHS:
                self._judged.pop(next(iter(self._judged)), None)
            self._judged[trajectory.hash] = self._judge(trajectory)
        return self._judged[trajectory.hash]

    def _judge(self, trajectory: Trajectory) -> _Judgement:
        some = np.linspace(0, len(trajectory) - 1, JUDGED_FRAMES).round().astype(int).tolist()
        path = self._whole(trajectory, preview_size(self.clip.full_size, JUDGED_SIDE)).at(some)
        Ts_world_camera = self._in_world(trajectory)[some]
        by_all = self._seen(path, Ts_world_camera, list(range(len(self.source_indices))))
        lost = beyond.open_share(by_all) + beyond.rubble_share(by_all)
        if lost < beyond.LEFT:
            return _Judgement(lost, False)
        by_one = self._seen(path, Ts_world_camera, [self._lifted(trajectory.source)])
        return _Judgement(lost, beyond.open_share(by_one) < lost + beyond.DEARER)

    def _seen(self, path: Trajectory, Ts_world_camera: Float[np.ndarray, "T 4 4"], lifted: list[int]) -> Warp:
        """What some of the lifted frames show along a path, quickly."""
        return warp(
            self.frames[lifted],
            self.depth.inverse_depth[lifted],
            np.stack([self._T_world_lifted(place) for place in lifted]),
            self.intrinsics[lifted],
            Ts_world_camera,
            path.intrinsics,
            path.image_size,
        )

    def _lifted(self, frame: int) -> int:
        """Which of the lifted frames is nearest to one of the clip in time."""
        return int(np.abs(np.asarray(self.source_indices) - frame).argmin())

    @cached_property
    def _judged(self) -> dict[str, _Judgement]:
        return {}

    @cached_property
    def _moments(self) -> dict[int, Moment]:
        return {}

    def moment(self, place: int) -> Moment:
        """A lifted frame of a film as layers, made when it is first needed."""
        if place not in self._moments:
            one, frame = slice(place, place + 1), self.clip.full_frame(self.source_indices[place])
            depth = DepthMaps(self.depth.inverse_depth[one], self.depth.confidence[one])
            layers = beyond.continued(frame, depth, self.intrinsics[place])
            self._moments[place] = Moment(layers, self._T_world_lifted(place))
        return self._moments[place]

    def _walk_film(
        self,
        path: Trajectory,
        Ts_world_camera: Float[np.ndarray, "T 4 4"],
        anchor: int,
        content: Content | None,
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        coarse = Coarse.of(self._decided(path, Ts_world_camera, anchor))
        size, holes = path.image_size, coarse.holes
        is_open = self._has_depth and holes.mean() >= beyond.OPEN
        if content is not None and not is_open:
            coarse = coarse.showing(content)
        shown = fine_frames(coarse, self._fine_sources(size), (Ts_world_camera, path.intrinsics), size)
        if is_open:
            moment = self.moment(self._lifted(anchor))
            shown = beyond.filled(shown, holes, moment, (Ts_world_camera, path.intrinsics))
        yield from shown

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
        return float(1 / self.depth.inverse_depth[self._lifted(frame)].clamp(min=1e-6).median())

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


def _triangulated(
    frames_u8: UInt8[np.ndarray, "S H W 3"], cameras: Trajectory, picked: tuple[int, ...]
) -> PointCloud | None:
    """Points seen from directions different enough; None where there are none, as under a camera that only turns."""
    Ts_world_camera, intrinsics = cameras.Ts_world_camera[list(picked)], cameras.intrinsics[list(picked)]
    _, points = sparse_points(frames_u8, Ts_world_camera, intrinsics)
    return points if len(points) >= MIN_POINTS else None


def _fitted(image_size: tuple[int, int], side: int) -> tuple[int, int]:
    """(h, w) with long side at most `side`; never enlarged."""
    scale = min(1.0, side / max(image_size))
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))
