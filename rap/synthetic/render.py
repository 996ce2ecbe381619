"""Ray casting of a Scene along a camera path: one pass for visibility, one texture look-up per pixel.

For a pixel (x, y) the camera ray is d = ((x - cx) / fx, (y - cy) / fy, 1), so that the ray parameter IS the z-depth. For
a rectangle with normal n through p0, seen from the centre c,

    1/z = n . R d / (n . (p0 - c))        u/z = e_u . (c - p0) / z + e_u . R d,   e_u = edge_u / |edge_u|^2

are all affine in (x, y): the test 0 <= u <= 1 becomes 0 <= u/z <= 1/z, and a rectangle costs a dozen broadcast passes over
its bounding box, without a division. Visibility keeps the greatest 1/z; the number of the surface rides in the lowest
eight bits of the float's pattern (positive floats order like integers), so that one integer maximum keeps both. The exact
1/z, u and v are evaluated again for the winners only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rap.synthetic.scenes import HULL_FACES, MAX_SURFACES, Scene
from rap.synthetic.textures import TextureBank, level_offsets

ID_MASK = 0xFF
NEAR = 1e-3
LOD_BIAS = -0.25  # a little sharper than the isotropic footprint asks for; judged by eye on contact sheets


@dataclass(frozen=True, eq=False)
class Views:
    """A camera path in the scene frame: Ts_scene_camera (T,4,4), intrinsics (T,4) in pixels of size (h, w)."""

    Ts_scene_camera: np.ndarray
    intrinsics: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Visibility:
    """Which surface every pixel sees.

    Attributes:
        keys: (T,H,W) int32, pattern of 1/z with the surface number in the lowest eight bits.
        plane_forms: (T,F,3,3) float64, rows 1/z, u/z, v/z; columns constant, x, y.
    """

    keys: Tensor
    plane_forms: np.ndarray


def plane_forms(scene: Scene, views: Views) -> np.ndarray:
    """(T,F,3,3) affine forms of 1/z, u/z, v/z of every rectangle in pixel coordinates; see the module."""
    rotations, centres = views.Ts_scene_camera[:, :3, :3], views.Ts_scene_camera[:, :3, 3]
    normals = np.cross(scene.edges_u, scene.edges_v)
    duals = np.stack([normals, _dual(scene.edges_u), _dual(scene.edges_v)], axis=1)  # (F,3 forms,3)
    fx, fy, cx, cy = views.intrinsics.T
    pixel_to_ray = np.zeros((len(fx), 3, 3))  # columns: constant, x, y
    pixel_to_ray[:, 0, 0], pixel_to_ray[:, 0, 1] = -cx / fx, 1 / fx
    pixel_to_ray[:, 1, 0], pixel_to_ray[:, 1, 2] = -cy / fy, 1 / fy
    pixel_to_ray[:, 2, 0] = 1.0
    forms = np.einsum("fkc,tcd->tfkd", duals, rotations @ pixel_to_ray)
    from_origin = centres[:, None] - scene.origins  # (T,F,3)
    height = -np.einsum("tfc,fc->tf", from_origin, normals)
    height = np.where(np.abs(height) < 1e-9, 1e-9, height)
    forms[:, :, 0] /= height[..., None]
    shift = np.einsum("tfc,fkc->tfk", from_origin, duals[:, 1:])
    forms[:, :, 1:] += shift[..., None] * forms[:, :, :1]
    return forms


def _dual(edges: np.ndarray) -> np.ndarray:
    return edges / (edges**2).sum(-1, keepdims=True)


def plane_boxes(scene: Scene, views: Views) -> np.ndarray:
    """(T,F,4) pixel boxes top, bottom, left, right (end exclusive) of the rectangles; empty where not visible."""
    (h, w), (T, F) = views.size, (len(views.intrinsics), scene.num_rectangles)
    rotations, centres = views.Ts_scene_camera[:, :3, :3], views.Ts_scene_camera[:, :3, 3]
    u, v = np.array([0, 1, 0, 1])[:, None, None], np.array([0, 0, 1, 1])[:, None, None]
    corners = scene.origins + u * scene.edges_u + v * scene.edges_v  # (4,F,3)
    in_camera = np.einsum("tkfc,tcd->tkfd", corners - centres[:, None, None], rotations)
    z = in_camera[..., 2]
    safe = np.maximum(z, NEAR)
    fx, fy, cx, cy = views.intrinsics.T[:, :, None, None]
    x, y = fx * in_camera[..., 0] / safe + cx, fy * in_camera[..., 1] / safe + cy
    boxes = np.stack([y.min(1), y.max(1), x.min(1), x.max(1)], axis=-1)
    cut = ((z <= NEAR).any(1))[..., None]
    boxes = np.where(cut, np.array([0.0, h, 0.0, w]), boxes)
    boxes = np.stack([np.floor(boxes[..., 0]), np.ceil(boxes[..., 1]), np.floor(boxes[..., 2]), np.ceil(boxes[..., 3])], -1)
    boxes = np.clip(boxes, 0, np.array([h, h, w, w])).astype(int)
    facing = np.einsum("tfc,fc->tf", centres[:, None] - scene.origins, -np.cross(scene.edges_u, scene.edges_v)) > 0
    hidden = (z <= NEAR).all(1) | ~(facing | scene.two_sided)
    boxes[hidden.reshape(T, F)] = 0
    return boxes


def sphere_boxes(scene: Scene, views: Views) -> np.ndarray:
    """(T,S,4) pixel boxes of the spheres, from the cube around each; the whole frame where the cube passes the camera."""
    h, w = views.size
    rotations, centres = views.Ts_scene_camera[:, :3, :3], views.Ts_scene_camera[:, :3, 3]
    middle = np.einsum("tsc,tcd->tsd", scene.centres - centres[:, None], rotations)
    radius = scene.radii
    near = middle[..., 2] - radius
    fx, fy, cx, cy = views.intrinsics.T[:, :, None]
    boxes = np.empty((*middle.shape[:2], 4))
    for axis, (focal, centre) in enumerate(((fx, cx), (fy, cy))):
        low, high = middle[..., axis] - radius, middle[..., axis] + radius
        far, close = np.maximum(middle[..., 2] + radius, NEAR), np.maximum(near, NEAR)
        boxes[..., 2 - 2 * axis] = np.floor(focal * np.minimum(low / far, low / close) + centre)
        boxes[..., 3 - 2 * axis] = np.ceil(focal * np.maximum(high / far, high / close) + centre)
    boxes = np.where((near <= NEAR)[..., None], np.array([0.0, h, 0.0, w]), boxes)
    boxes = np.clip(boxes, 0, np.array([h, h, w, w])).astype(int)
    boxes[middle[..., 2] + radius <= NEAR] = 0
    return boxes


def _union(boxes: np.ndarray) -> tuple[slice, slice, slice] | None:
    """Frames, rows and columns that hold all (T,4) boxes of one surface; None when it is never visible."""
    seen = np.flatnonzero((boxes[:, 1] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 2]))
    if not len(seen):
        return None
    part = boxes[seen]
    return (
        slice(int(seen[0]), int(seen[-1]) + 1),
        slice(int(part[:, 0].min()), int(part[:, 1].max())),
        slice(int(part[:, 2].min()), int(part[:, 3].max())),
    )


def _affine(forms: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """(t,3) forms on columns xs and rows ys -> (t,rows,columns), one broadcast pass."""
    return (forms[:, 0, None] + forms[:, 2, None] * ys)[:, :, None] + (forms[:, 1, None] * xs)[:, None, :]


def cast(scene: Scene, views: Views, device: torch.device | str = "cpu") -> Visibility:
    """Find the surface that every pixel of every view sees.

    Raises:
        ValueError: the scene has more surfaces than a key can number.
    """
    count = scene.num_rectangles + len(scene.radii)
    if count > MAX_SURFACES:
        raise ValueError(f"a scene may have at most {MAX_SURFACES} surfaces, got {count}")
    h, w = views.size
    exact = plane_forms(scene, views)
    forms = torch.from_numpy(exact.astype(np.float32)).to(device)
    boxes = plane_boxes(scene, views)
    xs = torch.arange(w, device=device, dtype=torch.float32) + 0.5
    ys = torch.arange(h, device=device, dtype=torch.float32) + 0.5
    keys = torch.zeros(len(exact), h, w, dtype=torch.int32, device=device)
    for k in range(scene.num_rectangles):
        window = _union(boxes[:, k])
        if window is None:
            continue
        frames, rows, columns = window
        key = _plane_keys(forms[frames, k], xs[columns], ys[rows], k, inside_test=k >= HULL_FACES)
        part = keys[window]
        torch.maximum(part, key, out=part)
    _cast_spheres(scene, views, keys, xs, ys)
    return Visibility(keys, exact)


def _plane_keys(forms: Tensor, xs: Tensor, ys: Tensor, number: int, inside_test: bool) -> Tensor:
    """(t,rows,columns) int32 keys of one rectangle; not positive outside of it.

    The camera is inside the convex hull, so that a ray leaves through the hull plane it meets first: no inside test there.
    """
    w = _affine(forms[:, 0], xs, ys)
    key = w.view(torch.int32)
    if inside_test:
        u, v = _affine(forms[:, 1], xs, ys), _affine(forms[:, 2], xs, ys)
        inner = torch.minimum(torch.minimum(u, w - u), torch.minimum(v, w - v))
        key = key & ~(inner.view(torch.int32) >> 31)  # clears the key where the sign of `inner` is set
    return (key & ~ID_MASK) | number


def _cast_spheres(scene: Scene, views: Views, keys: Tensor, xs: Tensor, ys: Tensor) -> None:
    """Put the spheres into the keys: with m the centre in the camera frame, 1/z = (m.d + sqrt(disc)) / (m.m - r^2)."""
    if not len(scene.radii):
        return
    boxes = sphere_boxes(scene, views)
    forms, power = sphere_forms(scene, views)
    for k in range(len(scene.radii)):
        window = _union(boxes[:, k])
        if window is None:
            continue
        frames, rows, columns = window
        table = torch.from_numpy(np.concatenate([forms[:, k], power[:, k, None]], -1)[frames].astype(np.float32))
        lens = torch.from_numpy(views.intrinsics[frames].astype(np.float32)).to(keys.device)
        table = table.to(keys.device)
        along = _affine(table, xs[columns], ys[rows])
        dd = _ray_squares(lens, xs[columns], ys[rows])
        disc = along * along - dd * table[:, 3, None, None]
        w = (along + disc.clamp_min(0).sqrt()) / table[:, 3, None, None]
        key = w.view(torch.int32) & ~(disc.view(torch.int32) >> 31)
        key = (key & ~ID_MASK) | (scene.num_rectangles + k)
        part = keys[window]
        torch.maximum(part, key, out=part)


def _ray_squares(intrinsics: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """(t,rows,columns) |d|^2 of the rays with z = 1."""
    x = (xs - intrinsics[:, 2, None]) / intrinsics[:, 0, None]
    y = (ys - intrinsics[:, 3, None]) / intrinsics[:, 1, None]
    return (1 + y * y)[:, :, None] + (x * x)[:, None, :]


def sphere_forms(scene: Scene, views: Views) -> tuple[np.ndarray, np.ndarray]:
    """(T,S,3) affine forms of m.d, and (T,S) m.m - r^2 (the power of the camera centre)."""
    rotations, centres = views.Ts_scene_camera[:, :3, :3], views.Ts_scene_camera[:, :3, 3]
    m = np.einsum("tsc,tcd->tsd", scene.centres - centres[:, None], rotations)
    fx, fy, cx, cy = views.intrinsics.T[:, :, None]
    constant = m[..., 2] - m[..., 0] * cx / fx - m[..., 1] * cy / fy
    return np.stack([constant, m[..., 0] / fx, m[..., 1] / fy], -1), (m**2).sum(-1) - scene.radii**2


# --- looks -------------------------------------------------------------------------------------------------------------


def shade(
    scene: Scene, views: Views, visibility: Visibility, bank: TextureBank, tint: np.ndarray | None = None
) -> tuple[Tensor, Tensor]:
    """Colours and depths of all pixels.

    Args:
        tint: (3,) factors on the colour channels (exposure and white balance), folded into the surfaces' colours.

    Returns:
        planes: three (T,H,W) float32 channels stacked to (3,T,H,W), about 0..255, neither rounded nor clipped.
        inverse_depth: (T,H,W) float32, 1/z in scene units.
    """
    device = visibility.keys.device
    T, (h, w) = len(views.intrinsics), views.size
    F, count = scene.num_rectangles, scene.num_rectangles + len(scene.radii)
    number = (visibility.keys & ID_MASK).flatten()
    frame = torch.arange(T, device=device, dtype=torch.int32).repeat_interleave(h * w)
    row = frame * count + number
    w_forms, u_forms, v_forms = _texel_forms(scene, visibility.plane_forms, bank.size, count).to(device)
    x = (torch.arange(w, device=device, dtype=torch.float32) + 0.5).repeat(T * h)
    y = (torch.arange(h, device=device, dtype=torch.float32) + 0.5).repeat_interleave(w).repeat(T)
    (_, wx, wy), inverse = _evaluate(w_forms, row, x, y)
    (_, ux, uy), u = _evaluate(u_forms, row, x, y)
    (_, vx, vy), v = _evaluate(v_forms, row, x, y)
    depth = 1 / inverse
    u, v = u * depth, v * depth
    footprint = (ux - u * wx).square() + (uy - u * wy).square() + (vx - v * wx).square() + (vy - v * wy).square()
    lod = 0.5 * torch.log2((0.5 * footprint * depth * depth).clamp_min(1e-12))
    light = None
    if F < count:
        at = torch.nonzero(number >= F).flatten()
        if len(at):
            balls = _shade_spheres(scene, views, at, number[at].long() - F, x[at], y[at], bank.size)
            inverse[at], u[at], v[at], lod[at] = balls[0], balls[1], balls[2], balls[3]
            light = (at, balls[4])
    planes = _look_up(bank, torch.from_numpy(scene.textures).to(device, torch.int32).index_select(0, number), u, v, lod)
    gain = scene.gain if tint is None else scene.gain * tint
    offset = scene.offset if tint is None else scene.offset * tint
    gain_t, offset_t = (torch.from_numpy(a.T.astype(np.float32)).to(device).contiguous() for a in (gain, offset))
    for c in range(3):
        planes[c].mul_(gain_t[c].index_select(0, number)).add_(offset_t[c].index_select(0, number))
        if light is not None:
            planes[c][light[0]] *= light[1]
    return planes.view(3, T, h, w), inverse.view(T, h, w)


def _texel_forms(scene: Scene, forms: np.ndarray, size: int, count: int) -> Tensor:
    """(3,3,T*count) float32: rows 1/z, texel-u/z, texel-v/z by constant, x, y; spheres get 1/z = 1."""
    T, F = forms.shape[:2]
    scale, offset = scene.uv_scale[:F].T * size, scene.uv_offset[:F].T * size
    table = np.zeros((3, 3, T, count), np.float32)
    table[0, 0] = 1.0
    table[0, :, :, :F] = np.moveaxis(forms[:, :, 0], -1, 0)
    for k in (1, 2):
        mapped = scale[k - 1][:, None] * forms[:, :, k] + offset[k - 1][:, None] * forms[:, :, 0]
        table[k, :, :, :F] = np.moveaxis(mapped, -1, 0)
    return torch.from_numpy(table.reshape(3, 3, T * count))


def _evaluate(form: Tensor, row: Tensor, x: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Coefficients of each pixel's own surface, and the value there."""
    constant, along_x, along_y = (form[k].index_select(0, row) for k in range(3))
    return (constant, along_x, along_y), torch.addcmul(constant, along_x, x).addcmul_(along_y, y)


def _shade_spheres(
    scene: Scene, views: Views, at: Tensor, ball: Tensor, x: Tensor, y: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Exact 1/z, texel u and v, mip level and light of the pixels `at` (flat indices) that see the balls `ball`."""
    h, w = views.size
    frame = at // (h * w)
    table = _sphere_table(scene, views).to(at.device)  # (T,S,17)
    own = table[frame, ball]
    lens = torch.from_numpy(views.intrinsics.astype(np.float32)).to(at.device)[frame]
    ray = torch.stack([(x - lens[:, 2]) / lens[:, 0], (y - lens[:, 3]) / lens[:, 1], torch.ones_like(x)], -1)
    m, power, radius = own[:, :3], own[:, 3], own[:, 4]
    along = (m * ray).sum(-1)
    disc = along.square() - (ray * ray).sum(-1) * power
    inverse = (along + disc.clamp_min(0).sqrt()) / power
    normal = (ray / inverse[:, None] - m) / radius[:, None]
    local = (own[:, 5:14].view(-1, 3, 3) * normal[:, None]).sum(-1)
    local = local / local.norm(dim=-1, keepdim=True)
    u = torch.atan2(local[:, 0], local[:, 2]) / torch.pi * size
    v = torch.acos(local[:, 1].clamp(-1, 1)) / torch.pi * size
    slope = -(normal * ray).sum(-1) / ray.norm(dim=-1)
    lod = torch.log2(size / (torch.pi * radius * inverse * lens[:, 0] * slope.clamp(0.3, 1).sqrt()))
    light = scene.ambient + (1 - scene.ambient) * 1.2 * (0.5 + 0.5 * (normal * own[:, 14:17]).sum(-1))
    return inverse, u, v, lod, light


def _sphere_table(scene: Scene, views: Views) -> Tensor:
    """(T,S,17) float32 per view and ball: centre in the camera (3), power, radius, camera -> ball rotation (9), light (3)."""
    rotations, centres = views.Ts_scene_camera[:, :3, :3], views.Ts_scene_camera[:, :3, 3]
    m = np.einsum("tsc,tcd->tsd", scene.centres - centres[:, None], rotations)
    T, S = m.shape[:2]
    power = (m**2).sum(-1) - scene.radii**2
    turn = np.einsum("sca,tcd->tsad", scene.spins, rotations).reshape(T, S, 9)
    light = np.broadcast_to((scene.to_light @ rotations)[:, None], (T, S, 3))
    radius = np.broadcast_to(scene.radii, (T, S))[..., None]
    return torch.from_numpy(np.concatenate([m, power[..., None], radius, turn, light], -1).astype(np.float32))


def _look_up(bank: TextureBank, texture: Tensor, u: Tensor, v: Tensor, lod: Tensor) -> Tensor:
    """(3,P) colours 0..255, trilinear: texture number, level-0 texel coordinates and mip level of P pixels."""
    top = bank.size.bit_length() - 1
    lod = (lod + LOD_BIAS).clamp(0, top - 0.001)
    low = lod.to(torch.int32)
    base = texture.long() * bank.texels_per_texture
    offsets = torch.tensor(level_offsets(bank.size)[:-1], device=u.device)
    near = _bilinear(bank.texels, base, offsets, low, u, v, bank.size)
    far = _bilinear(bank.texels, base, offsets, low + 1, u, v, bank.size)
    return torch.lerp(near, far, (lod - low).expand_as(near))


def _bilinear(texels: Tensor, base: Tensor, offsets: Tensor, level: Tensor, u: Tensor, v: Tensor, size: int) -> Tensor:
    """(3,P) colours of one mip level, repeated with mirroring."""
    shrink = torch.ldexp(torch.ones_like(u), -level)
    u, v = u * shrink - 0.5, v * shrink - 0.5
    u_floor, v_floor = u.floor(), v.floor()
    part_u, part_v = u - u_floor, v - v_floor
    left, top = u_floor.to(torch.int32), v_floor.to(torch.int32)
    side = torch.full_like(level, size) >> level
    start = base + offsets.index_select(0, level)
    x0, x1 = _mirror(left, side), _mirror(left + 1, side)
    y0, y1 = start + _mirror(top, side) * side, start + _mirror(top + 1, side) * side
    corners = [_channels(texels.index_select(0, y + x)) for y in (y0, y1) for x in (x0, x1)]
    part_u, part_v = part_u.expand(3, -1), part_v.expand(3, -1)
    return torch.lerp(torch.lerp(corners[0], corners[1], part_u), torch.lerp(corners[2], corners[3], part_u), part_v)


def _mirror(at: Tensor, side: Tensor) -> Tensor:
    """Fold texel numbers into [0, side) as an endless row of mirrored copies; side is a power of two."""
    last = 2 * side - 1
    folded = at & last
    return torch.minimum(folded, last - folded)


def _channels(packed: Tensor) -> Tensor:
    """(P,) packed texels -> (3,P) float32."""
    out = torch.empty(3, packed.numel(), device=packed.device)
    for c in range(3):
        out[c] = (packed >> (8 * c)) & 0xFF
    return out
