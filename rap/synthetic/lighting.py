"""Light that does not move: one small map of brightness per rectangle, baked when a scene is made.

A map holds ambient light, darkened near other surfaces, plus one lamp or the sun with cast shadows. It is sampled
bilinearly, which makes soft shadows of coarse maps. Round solids cast the shadows of ellipsoids and are lit per pixel
(render.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rap.synthetic.scene import FLOOR, HULL_FACES, Scene

MAP_SIDE = 48
COARSE_SIDE = 8  # what most rectangles are baked at before they are enlarged
DIRECT = 0.9  # brightness of a surface that faces the light, beside the ambient share
LAMP_RANGE = 3.0  # metres at which a lamp is half as bright
EPSILON = 1e-3
CHUNK_PAIRS = 1 << 17  # of a solid and a point at a time (four streets: 76 ms; 2^15 93, 2^19 99, all at once 180)


@dataclass(frozen=True, eq=False)
class LightMaps:
    """Brightness maps of F rectangles.

    Attributes:
        texels: (F * MAP_SIDE^2,) float32, about 0.3 to 1.3.
        scale, shift: (F,2) map pixels from surface coordinates (u, v) in [0,1]: scale * u + shift, to be clamped.
    """

    texels: Tensor
    scale: np.ndarray
    shift: np.ndarray


def bake(scene: Scene) -> LightMaps:
    """The light maps of a scene; the floor's covers its busy part only."""
    F = scene.num_rectangles
    window = np.zeros((F, 2, 2))  # u and v ranges covered
    window[..., 1] = 1.0
    for axis, edge in enumerate((scene.edges_u[FLOOR], scene.edges_v[FLOOR])):
        half = min(0.5, scene.reach / float(np.linalg.norm(edge)))
        window[FLOOR, axis] = (0.5 - half, 0.5 + half)
    fine = np.flatnonzero(scene.lit & _deserves_detail(scene))
    coarse = np.flatnonzero(scene.lit & ~_deserves_detail(scene))
    maps = torch.ones(F, MAP_SIDE, MAP_SIDE)
    maps[torch.from_numpy(fine)] = _brightness(scene, fine, window[fine], MAP_SIDE)
    if len(coarse):
        small = _brightness(scene, coarse, window[coarse], COARSE_SIDE)
        big = torch.nn.functional.interpolate(small[None], (MAP_SIDE, MAP_SIDE), mode="bilinear", align_corners=True)
        maps[torch.from_numpy(coarse)] = big[0]
    scale = (MAP_SIDE - 1) / (window[..., 1] - window[..., 0])
    return LightMaps(maps.flatten(), scale, -window[..., 0] * scale)


def _deserves_detail(scene: Scene) -> np.ndarray:
    """The floor and other large level surfaces, on which shadows fall."""
    level = np.abs(scene.edges_u[:, 1]) + np.abs(scene.edges_v[:, 1]) < 1e-9
    area = np.linalg.norm(np.cross(scene.edges_u, scene.edges_v), axis=-1)
    up = np.cross(scene.edges_u, scene.edges_v)[:, 1] > 0
    return level & up & (area > 0.5)


def _brightness(scene: Scene, faces: np.ndarray, window: np.ndarray, side: int) -> Tensor:
    """(n,side,side) light on a grid of points of the given faces."""
    at = np.linspace(0, 1, side)
    u = (window[:, 0, :1] + (window[:, 0, 1:] - window[:, 0, :1]) * at)[:, None, :, None]
    v = (window[:, 1, :1] + (window[:, 1, 1:] - window[:, 1, :1]) * at)[:, :, None, None]
    points = scene.origins[faces][:, None, None] + u * scene.edges_u[faces][:, None, None]
    points = points + v * scene.edges_v[faces][:, None, None]
    normals = -np.cross(scene.edges_u, scene.edges_v)[faces]
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    count = side * side
    flat = torch.from_numpy(points.reshape(-1, 3).T.astype(np.float32)).contiguous()  # (3,N)
    outward = torch.from_numpy(normals.T.astype(np.float32)).repeat_interleave(count, dim=1)
    owner = torch.from_numpy(scene.owners[faces]).repeat_interleave(count)
    own_face = torch.from_numpy(faces).repeat_interleave(count)
    two_sided = torch.from_numpy(scene.two_sided[faces]).repeat_interleave(count)
    to_light, falloff = towards_light(scene, flat)
    cosine = (outward * to_light).sum(0) / _length(to_light)
    cosine = torch.where(two_sided, 0.7 * cosine.abs(), cosine.clamp_min(0))
    visible, open_sky = _solids_between(scene, flat + EPSILON * outward, to_light, owner)
    visible = visible * _round_between(scene, flat, to_light)
    ambient = scene.ambient * open_sky * _corner_darkening(scene, flat, own_face)
    return (ambient + DIRECT * cosine * visible * falloff).view(len(faces), side, side)


def towards_light(scene: Scene, points: Tensor) -> tuple[Tensor, Tensor]:
    """(3,N) vectors from points to the lamp (or towards the sun, far), and (N,) brightness by distance."""
    light = torch.from_numpy(scene.light.astype(np.float32)).to(points.device)
    if scene.light[3] == 0:
        return (light[:3, None] * 1e3).expand_as(points), torch.ones_like(points[0])
    to_light = light[:3, None] - points
    return to_light, 1.4 / (1 + to_light.square().sum(0) / LAMP_RANGE**2)


def _length(components: Sequence[Tensor] | Tensor) -> Tensor:
    """Length of vectors given as three component tensors (torch's norm over a leading dimension is 60 times slower)."""
    return _dot(components, components).sqrt_()


def _dot(a: Sequence[Tensor] | Tensor, b: Sequence[Tensor] | Tensor) -> Tensor:
    """Inner products of vectors given as three component tensors each."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _solids_between(scene: Scene, points: Tensor, to_light: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) 0 where a box or panel stands before the light, else 1; (N,) ambient factor from solids close by."""
    centres, halves, rotations = (torch.from_numpy(a.astype(np.float32)) for a in scene.solids)
    if not len(centres):
        return torch.ones(points.shape[1]), torch.ones(points.shape[1])
    into, middles = _frames(rotations.mT, centres)
    parts = []
    for at in _runs(points.shape[1], len(centres)):
        local, ray = into @ points[:, at] - middles, into @ to_light[:, at]
        other = torch.arange(len(centres))[:, None] != owner[at]
        parts.append(_past_boxes(local.view(3, len(centres), -1), ray.view(3, len(centres), -1), halves, other))
    visible, open_sky = zip(*parts, strict=True)
    return torch.cat(visible), torch.cat(open_sky)


def _past_boxes(local: Tensor, ray: Tensor, halves: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """`_solids_between` from (3,K,n) points and ways to the light in the K boxes' own frames, (K,n) true where a point
    is not the box's own."""
    size = halves.T[..., None]
    step = 1 / torch.where(ray.abs() < 1e-9, 1e-9, ray)
    middle, reach = -local * step, size * step.abs()
    enter, leave = (middle - reach).amax(0), (middle + reach).amin(0)
    blocked = (leave > enter.clamp_min(EPSILON)) & (enter < 1) & other
    gap = _length((local.abs() - size).clamp_min_(0))
    near = torch.exp(-gap / (0.35 * halves.amax(-1)[:, None])) * other
    return 1 - blocked.any(0).float(), (1 - 0.45 * near).prod(0).clamp_min(0.35)


def _round_between(scene: Scene, points: Tensor, to_light: Tensor) -> Tensor:
    """(N,) transmission past the round solids, taken for ellipsoids, softened at their outline."""
    if not scene.num_round:
        return torch.ones(points.shape[1])
    to_unit = torch.from_numpy(scene.to_unit.astype(np.float32))
    centres = torch.from_numpy(scene.centres.astype(np.float32))
    into, middles = _frames(to_unit, centres)
    parts = []
    for at in _runs(points.shape[1], scene.num_round):
        local = (into @ points[:, at] - middles).view(3, scene.num_round, -1)
        ray = (into @ to_light[:, at]).view(3, scene.num_round, -1)
        along = (-_dot(local, ray) / _dot(ray, ray)).clamp_(0, 1)
        closest = _length([part + along * step for part, step in zip(local, ray, strict=True)])
        parts.append(((closest - 0.85) / 0.3).clamp_(0, 1).prod(0))
    return torch.cat(parts)


def _frames(into: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """(3K,3) of (K,3,3) maps into the frames of K solids, all first axes first, and (3K,1) the (K,3) centres in them.

    One product then gives all of a point's places as they are needed; a batch of small ones and a copy take 1.7 to 2
    times as long.
    """
    stacked = into.permute(1, 0, 2).reshape(-1, 3)
    return stacked, (into @ centres[..., None]).permute(1, 0, 2).reshape(-1, 1)


def _runs(points: int, solids: int) -> list[slice]:
    """Runs of at most CHUNK_PAIRS pairs of a point and a solid."""
    step = max(1, CHUNK_PAIRS // solids)
    return [slice(start, start + step) for start in range(0, points, step)]


def _corner_darkening(scene: Scene, points: Tensor, own_face: Tensor) -> Tensor:
    """(N,) ambient factor near the edges of the hull."""
    factor = torch.ones(points.shape[1])
    low, high = scene.hull_low, scene.hull_high
    for face in range(HULL_FACES):
        axis = (2, 2, 0, 0, 1, 1)[face]
        gap = high[axis] - points[axis] if face in (0, 2, 4) else points[axis] - low[axis]
        darker = 1 - 0.3 * torch.exp(-gap.clamp_min(0) / 0.35)
        factor = factor * torch.where((own_face == face) | (not scene.lit[face]), 1.0, darker)
    return factor
