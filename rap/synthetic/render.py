"""Ray casting of a Scene along a camera path: one pass for visibility, one texture look-up per pixel.

For a pixel (x, y) the camera ray is d = ((x - cx) / fx, (y - cy) / fy, 1), so that the ray parameter IS the z-depth.
For a rectangle with normal n through p0, seen from the centre c,

    1/z = n . R d / (n . (p0 - c))        u/z = e_u . (c - p0) / z + e_u . R d,   e_u = edge_u / |edge_u|^2

are all affine in (x, y): the test 0 <= u <= 1 becomes 0 <= u/z <= 1/z, and a rectangle costs a dozen broadcast passes
over its bounding box, without a division. A round solid is a quadric x^2 + z^2 = p0 + p1 y + p2 y^2 in its
own frame; with m its centre and d the ray there, a point on it is d/w - m, w = 1/z, and so

    A - 2 h w + C w^2 = 0,  A = dx^2 + dz^2 - p2 dy^2,  h = dx mx + dz mz - p2 dy my + p1 dy / 2,
                            C = mx^2 + mz^2 - p2 my^2 + p1 my - p0

whose roots (h +- sqrt(h^2 - A C)) / C count where |dy - my w| <= w, which is |y| <= 1. Superquadrics have no such
formula: their first hit is found by Newton's method (`rap.synthetic.superquadrics`).

Visibility keeps the greatest 1/z; the number of the surface rides in the lowest eight bits of the float's pattern
(positive floats order like integers), so that one integer maximum keeps both. The exact 1/z, u and v are evaluated
again for the winners only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rap.synthetic.lighting import DIRECT, MAP_SIDE, LightMaps, towards_light
from rap.synthetic.scene import HULL_FACES, MAX_SURFACES, Scene
from rap.synthetic.superquadrics import first_hit, gauge, refined, through_cube
from rap.synthetic.textures import TextureBank, level_offsets

ID_MASK = 0xFF
NEAR = 1e-3
EDGE = 1e-3  # how far beyond its ends a shell is still hit: the keys' roots have lost their last eight bits
TINY = 1e-6  # 1/z of a pixel whose exact root does not exist after all
MIN_POWER = 1e-6  # |C| of an eye on the surface of a cone, which it may cross behind its ends
CHUNK_PIXELS = 1 << 16  # pixels coloured at a time: the temporaries stay in the cache (measured: 12.2, all at once 9.3)
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
        planes: (T,F,3,3) float64, rows 1/z, u/z, v/z; columns constant, x, y.
    """

    keys: Tensor
    planes: np.ndarray


@dataclass(frozen=True, eq=False)
class RoundPixels:
    """The P' pixels that see a round solid.

    Attributes:
        at: (P',) flat index. solid: (P',) number among the round ones.
        local: (3,P') point in the solid's own frame. normal: (3,P') there, towards the eye, of any length.
    """

    at: Tensor
    solid: Tensor
    local: Tensor
    normal: Tensor


@dataclass(frozen=True, eq=False)
class Hits:
    """What every one of the P = T*H*W pixels sees, exactly.

    Attributes:
        number: (P,) int32 surface. inverse_depth: (P,) 1/z.
        u, v: (P,) texture coordinates in texels of level 0. lod: (P,) mip level.
        round: pixels on round solids, None where the scene shows none.
    """

    number: Tensor
    inverse_depth: Tensor
    u: Tensor
    v: Tensor
    lod: Tensor
    round: RoundPixels | None


def plane_forms(scene: Scene, views: Views) -> np.ndarray:
    """(T,F,3,3) affine forms of 1/z, u/z, v/z of every rectangle in pixel coordinates; see the module."""
    rotations, centres = views.Ts_scene_camera[:, :3, :3], views.Ts_scene_camera[:, :3, 3]
    normals = np.cross(scene.edges_u, scene.edges_v)
    duals = np.stack([normals, _dual(scene.edges_u), _dual(scene.edges_v)], axis=1)  # (F,3 forms,3)
    forms = np.einsum("fkc,tcd->tfkd", duals, rotations @ _pixel_to_ray(views.intrinsics))
    from_origin = centres[:, None] - scene.origins  # (T,F,3)
    height = -np.einsum("tfc,fc->tf", from_origin, normals)
    height = np.where(np.abs(height) < 1e-9, 1e-9, height)
    forms[:, :, 0] /= height[..., None]
    shift = np.einsum("tfc,fkc->tfk", from_origin, duals[:, 1:])
    forms[:, :, 1:] += shift[..., None] * forms[:, :, :1]
    return forms


def _pixel_to_ray(intrinsics: np.ndarray) -> np.ndarray:
    """(T,3,3) maps (1, x, y) to the ray with z = 1 in the camera frame."""
    fx, fy, cx, cy = intrinsics.T
    matrix = np.zeros((len(fx), 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = -cx / fx, 1 / fx
    matrix[:, 1, 0], matrix[:, 1, 2] = -cy / fy, 1 / fy
    matrix[:, 2, 0] = 1.0
    return matrix


def _dual(edges: np.ndarray) -> np.ndarray:
    return edges / (edges**2).sum(-1, keepdims=True)


def plane_boxes(scene: Scene, views: Views) -> np.ndarray:
    """(T,F,4) pixel boxes top, bottom, left, right (end exclusive) of the rectangles; empty where not visible."""
    rotations, centres = views.Ts_scene_camera[:, :3, :3], views.Ts_scene_camera[:, :3, 3]
    u, v = np.array([0, 1, 0, 1])[:, None, None], np.array([0, 0, 1, 1])[:, None, None]
    corners = scene.origins + u * scene.edges_u + v * scene.edges_v  # (4,F,3)
    in_camera = np.einsum("tkfc,tcd->tkfd", corners - centres[:, None, None], rotations)
    z = in_camera[..., 2]
    safe = np.maximum(z, NEAR)
    fx, fy, cx, cy = views.intrinsics.T[:, :, None, None]
    x, y = fx * in_camera[..., 0] / safe + cx, fy * in_camera[..., 1] / safe + cy
    boxes = _whole_pixels(np.stack([y.min(1), y.max(1), x.min(1), x.max(1)], -1), (z <= NEAR).any(1), views.size)
    outward = -np.cross(scene.edges_u, scene.edges_v)
    facing = np.einsum("tfc,fc->tf", centres[:, None] - scene.origins, outward) > 0
    boxes[(z <= NEAR).all(1) | ~(facing | scene.two_sided)] = 0
    return boxes


def round_boxes(scene: Scene, views: Views) -> np.ndarray:
    """(T,S,4) pixel boxes of the round solids, from the box around each along the camera's axes."""
    rotations, centres = views.Ts_scene_camera[:, :3, :3], views.Ts_scene_camera[:, :3, 3]
    middle = np.einsum("tsc,tcd->tsd", scene.centres - centres[:, None], rotations)
    along = scene.radii[..., None] * np.einsum("sca,tcd->tsad", scene.spins, rotations)
    shell = np.linalg.norm(along[:, :, ::2], axis=2) + np.abs(along[:, :, 1])
    half = np.where(scene.is_ellipsoid[:, None], np.linalg.norm(along, axis=2), shell)
    half = np.where(scene.is_superquadric[:, None], np.abs(along).sum(axis=2), half)
    near, far = middle[..., 2] - half[..., 2], middle[..., 2] + half[..., 2]
    fx, fy, cx, cy = views.intrinsics.T[:, :, None]
    edges = []
    for axis, focal, centre in ((1, fy, cy), (0, fx, cx)):
        low, high = middle[..., axis] - half[..., axis], middle[..., axis] + half[..., axis]
        closest, farthest = np.maximum(near, NEAR), np.maximum(far, NEAR)
        edges.append(focal * np.minimum(low / farthest, low / closest) + centre)
        edges.append(focal * np.maximum(high / farthest, high / closest) + centre)
    boxes = _whole_pixels(np.stack(edges, -1), near <= NEAR, views.size)
    boxes[far <= NEAR] = 0
    return boxes


def _whole_pixels(boxes: np.ndarray, cut: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes (…,4) rounded outwards and clipped to the frame; the whole frame where `cut` by the image plane."""
    h, w = size
    boxes = np.where(cut[..., None], np.array([0.0, h, 0.0, w]), boxes)
    outwards = np.stack([np.floor(boxes[..., ::2]), np.ceil(boxes[..., 1::2])], -1).reshape(boxes.shape)
    return np.clip(outwards, 0, np.array([h, h, w, w])).astype(int)


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
    count = scene.num_rectangles + scene.num_round
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
    if scene.num_round:
        _cast_round(scene, views, keys, xs, ys)
    return Visibility(keys, exact)


def _plane_keys(forms: Tensor, xs: Tensor, ys: Tensor, number: int, inside_test: bool) -> Tensor:
    """(t,rows,columns) int32 keys of one rectangle; not positive outside of it.

    The camera is inside the convex hull: a ray leaves it through the plane it meets first, without an inside test.
    """
    w = _affine(forms[:, 0], xs, ys)
    key = w.view(torch.int32)
    if inside_test:
        u, v = _affine(forms[:, 1], xs, ys), _affine(forms[:, 2], xs, ys)
        inner = torch.minimum(torch.minimum(u, w - u), torch.minimum(v, w - v))
        key = key & ~(inner.view(torch.int32) >> 31)  # clears the key where the sign of `inner` is set
    return (key & ~ID_MASK) | number


def _cast_round(scene: Scene, views: Views, keys: Tensor, xs: Tensor, ys: Tensor) -> None:
    """Put the round solids into the keys."""
    boxes, closed, bent = round_boxes(scene, views), scene.is_ellipsoid, scene.is_superquadric
    forms = round_forms(scene, views)
    tables = torch.from_numpy(_round_tables(scene, *forms)).to(keys.device)
    rays, middles = (torch.from_numpy(part.astype(np.float32)).to(keys.device) for part in forms)
    for k in range(scene.num_round):
        window = _union(boxes[:, k])
        if window is None:
            continue
        frames, rows, columns = window
        table, part = tables[frames, k], keys[window]
        if bent[k]:
            n, m = map(int, scene.exponents[k])
            key = _superquadric_keys(
                rays[frames, k], middles[frames, k], xs[columns], ys[rows], scene.num_rectangles + k, n, m
            )
            torch.maximum(part, key, out=part)
            continue
        across = None if closed[k] else _affine(table[:, 10:13], xs[columns], ys[rows])
        h = _affine(table, xs[columns], ys[rows])
        power = table[:, 9, None, None]
        disc = torch.addcmul(h * h, _quadratic(table[:, 3:9], xs[columns], ys[rows]), power, value=-1)
        root, missed = disc.clamp_min(0).sqrt_(), disc.view(torch.int32) >> 31
        for w in [(h + root) / power] if across is None else [(h + root) / power, (h - root) / power]:
            outside = missed
            if across is not None:  # the sign bit where |y| > 1
                beyond = w - torch.addcmul(across, table[:, 13, None, None], w, value=-1).abs_()
                outside = missed | (beyond.view(torch.int32) >> 31)
            key = ((w.view(torch.int32) & ~outside) & ~ID_MASK) | (scene.num_rectangles + k)
            torch.maximum(part, key, out=part)


def _superquadric_keys(forms: Tensor, middles: Tensor, xs: Tensor, ys: Tensor, number: int, n: int, m: int) -> Tensor:
    """(t,rows,columns) int32 keys of one superquadric, from its (t,3,3) rays and (t,3) centres; 0 beside it."""
    rays = [_affine(forms[:, axis], xs, ys) for axis in range(3)]
    mx, my, mz = middles.T[..., None, None]
    enter, leave = through_cube((rays[0], rays[1], rays[2]), (mx, my, mz))
    key = torch.zeros(enter.shape, dtype=torch.int32, device=forms.device)
    at = torch.nonzero(enter.flatten() < leave.flatten()).flatten()  # most of a box around a path's views is beside it
    x, y, z = (part.flatten().index_select(0, at) for part in rays)
    mx, my, mz = middles.index_select(0, at // (len(xs) * len(ys))).T
    depth, met = first_hit((x, y, z), (mx, my, mz), n, m)
    w = torch.where(met, depth, torch.inf).reciprocal_()
    key.view(-1)[at] = torch.where(met, (w.view(torch.int32) & ~ID_MASK) | number, 0)
    return key


def _round_tables(scene: Scene, rays: np.ndarray, m: np.ndarray) -> np.ndarray:
    """(T,S,14) float32: h by constant, x, y; A by `_QUADRATIC`; C; dy by constant, x, y; my, from `round_forms`."""
    p0, p1, p2 = scene.profiles.T
    metric = np.stack([np.ones_like(p2), -p2, np.ones_like(p2)], -1)  # (S,3)
    h = np.einsum("tsc,tscp->tsp", m * metric, rays) + p1[:, None] / 2 * rays[:, :, 1]
    squares = np.einsum("sc,tscp,tscq->tspq", metric, rays, rays)
    quadratic = np.stack([squares[..., i, j] * (1 if i == j else 2) for i, j in _QUADRATIC], -1)
    power = (metric * m**2).sum(-1) + p1 * m[..., 1] - p0
    power = np.where(np.abs(power) < MIN_POWER, MIN_POWER, power)
    return np.concatenate([h, quadratic, power[..., None], rays[:, :, 1], m[..., 1:2]], -1).astype(np.float32)


_QUADRATIC = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # 1, x, y, xx, xy, yy


def _quadratic(forms: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """(t,6) quadratic forms on columns xs and rows ys -> (t,rows,columns)."""
    one, x, y, xx, xy, yy = forms[:, :, None].unbind(1)
    return torch.addcmul(
        (one + ys * (y + yy * ys))[:, :, None] + (xs * (x + xx * xs))[:, None, :], (xy * ys)[:, :, None], xs
    )


def round_forms(scene: Scene, views: Views) -> tuple[np.ndarray, np.ndarray]:
    """(T,S,3,3) ray in each round solid's own frame (columns constant, x, y); (T,S,3) its centre seen from the eye."""
    rotations, centres = views.Ts_scene_camera[:, :3, :3], views.Ts_scene_camera[:, :3, 3]
    rays = np.einsum("sab,tbp->tsap", scene.to_unit, rotations @ _pixel_to_ray(views.intrinsics))
    return rays, np.einsum("sab,tsb->tsa", scene.to_unit, scene.centres - centres[:, None])


def render(
    scene: Scene, views: Views, bank: TextureBank, maps: LightMaps, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Colours and depths along a path.

    Returns:
        (3,T,H,W) float32 colours, about 0..255, neither rounded nor clipped, and (T,H,W) float32 inverse z-depth.
    """
    visibility = cast(scene, views, device)
    T, (h, w) = len(views.intrinsics), views.size
    planes, inverse = torch.empty(3, T, h, w, device=device), torch.empty(T, h, w, device=device)
    step = max(1, CHUNK_PIXELS // (h * w)) if planes.device.type == "cpu" else T
    for start in range(0, T, step):
        part = slice(start, start + step)
        some = Views(views.Ts_scene_camera[part], views.intrinsics[part], views.size)
        hits = resolve(scene, some, Visibility(visibility.keys[part], visibility.planes[part]), bank.size)
        planes[:, part] = paint(scene, hits, bank, maps).view(3, -1, h, w)
        inverse[part] = hits.inverse_depth.view(-1, h, w)
    return planes, inverse


# --- what is seen -----------------------------------------------------------------------------------------------------


def resolve(scene: Scene, views: Views, visibility: Visibility, texture_size: int) -> Hits:
    """Exact depth and texture coordinates of every pixel's own surface."""
    device = visibility.keys.device
    T, (h, w) = len(views.intrinsics), views.size
    count = scene.num_rectangles + scene.num_round
    number = (visibility.keys & ID_MASK).flatten()
    row = torch.arange(T, device=device, dtype=torch.int32).repeat_interleave(h * w) * count + number
    w_forms, u_forms, v_forms = _texel_forms(scene, visibility.planes, texture_size, count).to(device)
    x = (torch.arange(w, device=device, dtype=torch.float32) + 0.5).repeat(T * h)
    y = (torch.arange(h, device=device, dtype=torch.float32) + 0.5).repeat_interleave(w).repeat(T)
    (wx, wy), inverse = _evaluate(w_forms, row, x, y)
    (ux, uy), u = _evaluate(u_forms, row, x, y)
    (vx, vy), v = _evaluate(v_forms, row, x, y)
    depth = 1 / inverse
    u, v = u * depth, v * depth
    footprint = (ux - u * wx).square_() + (uy - u * wy).square_() + (vx - v * wx).square_() + (vy - v * wy).square_()
    lod = 0.5 * torch.log2((0.5 * footprint * depth * depth).clamp_min(1e-12))
    round_pixels = None
    if scene.num_round:
        at = torch.nonzero(number >= scene.num_rectangles).flatten()
        if len(at):
            solid = number[at].long() - scene.num_rectangles
            rough = visibility.keys.flatten()[at].view(torch.float32)
            round_pixels = _resolve_round(scene, views, at, solid, x[at], y[at], inverse, rough)
            u[at], v[at], lod[at] = _round_texels(scene, views, round_pixels, inverse[at], texture_size)
    return Hits(number, inverse, u, v, lod, round_pixels)


def _round_texels(
    scene: Scene, views: Views, pixels: RoundPixels, inverse: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Texel coordinates and mip level on round solids: longitude, and latitude on a ball or height on a shell."""
    device, (x, y, z) = inverse.device, pixels.local
    closed = torch.from_numpy(scene.is_ellipsoid).to(device)[pixels.solid]
    if scene.is_superquadric.any():  # as on the ball around which it is bent
        y = torch.where(closed, y / pixels.local.norm(dim=0).clamp_min(TINY), y)
    u = torch.atan2(x, z) / torch.pi * size
    v = torch.where(closed, torch.acos(y.clamp(-1, 1)) / torch.pi, (1 + y.clamp(-1, 1)) / 2) * size
    focal = torch.from_numpy(views.intrinsics[:, 0].astype(np.float32)).to(device)
    focal = focal[pixels.at // (views.size[0] * views.size[1])]
    denser = np.minimum(scene.radii[:, ::2].mean(-1), 2 / np.pi * scene.radii[:, 1])  # of a shell's two directions
    radius = np.where(scene.is_ellipsoid, scene.radii.mean(-1), denser).astype(np.float32)
    radius = torch.from_numpy(radius).to(device)[pixels.solid]
    return u, v, torch.log2(1.3 * size / (torch.pi * radius * inverse * focal))


def _texel_forms(scene: Scene, forms: np.ndarray, size: int, count: int) -> Tensor:
    """(3,3,T*count) float32: rows 1/z, texel-u/z, texel-v/z by constant, x, y; round solids get 1/z = 1."""
    T, F = forms.shape[:2]
    scale, offset = scene.uv_scale[:F].T * size, scene.uv_offset[:F].T * size
    table = np.zeros((3, 3, T, count), np.float32)
    table[0, 0] = 1.0
    table[0, :, :, :F] = np.moveaxis(forms[:, :, 0], -1, 0)
    for k in (1, 2):
        mapped = scale[k - 1][:, None] * forms[:, :, k] + offset[k - 1][:, None] * forms[:, :, 0]
        table[k, :, :, :F] = np.moveaxis(mapped, -1, 0)
    return torch.from_numpy(table.reshape(3, 3, T * count))


def _evaluate(form: Tensor, row: Tensor, x: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Slopes along x and y of each pixel's own form, and its value there."""
    value, along_x, along_y = (form[k].index_select(0, row) for k in range(3))
    return (along_x, along_y), value.addcmul_(along_x, x).addcmul_(along_y, y)


def _resolve_round(
    scene: Scene, views: Views, at: Tensor, solid: Tensor, x: Tensor, y: Tensor, inverse: Tensor, rough: Tensor
) -> RoundPixels:
    """The points seen on round solids at the flat pixels `at`; writes their exact 1/z into `inverse`, from `rough`, the
    1/z of their keys."""
    rays, m = round_forms(scene, views)
    T, S = m.shape[:2]
    profiles = np.broadcast_to(scene.profiles, (T, S, 3))
    table = np.concatenate([rays.reshape(T, S, 9), m, profiles], -1).astype(np.float32)
    own = torch.from_numpy(table).to(at.device)[at // (views.size[0] * views.size[1]), solid].T.contiguous()  # (15,P')
    ray = own[0:9:3] + own[1:9:3] * x + own[2:9:3] * y
    centre, profile = own[9:12], own[12:]
    seen, normal = _quadric_hits(ray, centre, profile)
    for k in np.flatnonzero(scene.is_superquadric):
        mine = torch.nonzero(solid == int(k)).flatten()
        if len(mine):
            n, around = map(int, scene.exponents[k])
            near = 1 / rough.index_select(0, mine)
            seen[mine], normal[:, mine] = _superquadric_hits(near, ray[:, mine], centre[:, mine], n, around)
    inverse[at] = seen
    local = ray / seen - centre
    return RoundPixels(at, solid, local, torch.where((normal * ray).sum(0) > 0, -normal, normal))


def _quadric_hits(ray: Tensor, centre: Tensor, profile: Tensor) -> tuple[Tensor, Tensor]:
    """(P',) exact 1/z on ellipsoids and shells, (3,P') normals there of any length, from columns of P' pixels."""
    p0, p1, p2 = profile
    metric = torch.stack([torch.ones_like(p2), -p2, torch.ones_like(p2)])
    power = (metric * centre.square()).sum(0) + p1 * centre[1] - p0
    power = torch.where(power.abs() < MIN_POWER, MIN_POWER, power)
    h = (metric * centre * ray).sum(0) + p1 / 2 * ray[1]
    root = (h.square() - (metric * ray.square()).sum(0) * power).clamp_min(0).sqrt()
    roots = torch.stack([h + root, h - root]) / power
    within = (ray[1] - centre[1] * roots).abs() <= roots * (1 + EDGE)
    inverse = torch.where(within & (roots > 0), roots, 0).amax(0).clamp_min(TINY)
    normal = metric * (ray / inverse - centre)
    normal[1] -= p1 / 2
    return inverse, normal


def _superquadric_hits(near: Tensor, ray: Tensor, centre: Tensor, n: int, m: int) -> tuple[Tensor, Tensor]:
    """(P',) exact 1/z on superquadrics of these exponents and (3,P') normals there, from columns of P' pixels and the
    depths of their keys."""
    steps, middle = (ray[0], ray[1], ray[2]), (centre[0], centre[1], centre[2])
    depth = refined(near, steps, middle, n, m).clamp_min(NEAR)
    x, y, z = depth * ray - centre
    return 1 / depth, torch.stack(gauge((x, y, z), n, m)[1])


# --- looks ------------------------------------------------------------------------------------------------------------


def paint(scene: Scene, hits: Hits, bank: TextureBank, maps: LightMaps) -> Tensor:
    """(3,P) float32 colours of the hits, about 0..255, neither rounded nor clipped."""
    device = hits.number.device
    textures = torch.from_numpy(scene.textures).to(device, torch.int32).index_select(0, hits.number)
    planes = look_up(bank, textures, hits.u, hits.v, hits.lod)
    light = _map_light(scene, hits, maps, bank.size)
    if hits.round is not None:
        light[hits.round.at] = _round_light(scene, hits.round)
    table = torch.from_numpy(np.stack([scene.gain.T, scene.offset.T]).astype(np.float32)).to(device)
    for c in range(3):
        planes[c].mul_(table[0, c].index_select(0, hits.number)).add_(table[1, c].index_select(0, hits.number))
    return planes.mul_(light)


def _map_light(scene: Scene, hits: Hits, maps: LightMaps, texture_size: int) -> Tensor:
    """(P,) light of the rectangles by their maps, bilinear; any value where a round solid is seen."""
    F, device = scene.num_rectangles, hits.number.device
    scale = maps.scale / (texture_size * scene.uv_scale[:F])
    shift = maps.shift - maps.scale * scene.uv_offset[:F] / scene.uv_scale[:F]
    table = torch.from_numpy(np.concatenate([scale, shift], -1).T.astype(np.float32)).contiguous().to(device)
    number = hits.number.clamp_max(F - 1)
    u, v = (
        torch.addcmul(table[2 + k].index_select(0, number), table[k].index_select(0, number), at).clamp_(
            0, MAP_SIDE - 1.001
        )
        for k, at in enumerate((hits.u, hits.v))
    )
    column, row = u.to(torch.int32), v.to(torch.int32)
    start = (number * MAP_SIDE + row) * MAP_SIDE + column
    part = u.sub_(column)
    texels = maps.texels.to(device)
    top, bottom = (
        torch.lerp(texels.index_select(0, start + below), texels.index_select(0, start + below + 1), part)
        for below in (0, MAP_SIDE)
    )
    return torch.lerp(top, bottom, v.sub_(row))


def _round_light(scene: Scene, pixels: RoundPixels) -> Tensor:
    """(P',) light of pixels on round solids: ambient, more from above, and the lamp or sun without cast shadows."""
    device = pixels.at.device
    to_world = torch.from_numpy((scene.spins * scene.radii[:, None, :]).astype(np.float32)).to(device)
    to_normal = torch.from_numpy(np.swapaxes(scene.to_unit, -1, -2).astype(np.float32)).to(device)
    centres = torch.from_numpy(scene.centres.astype(np.float32)).to(device)
    points = (to_world[pixels.solid] @ pixels.local.T[..., None])[..., 0] + centres[pixels.solid]
    normal = (to_normal[pixels.solid] @ pixels.normal.T[..., None])[..., 0]
    normal = (normal / normal.norm(dim=-1, keepdim=True)).T
    to_light, falloff = towards_light(scene, points.T)
    cosine = (normal * to_light).sum(0) / to_light.norm(dim=0)
    return scene.ambient * (0.8 - 0.2 * normal[1]) + DIRECT * cosine.clamp_min(0) * falloff


def look_up(bank: TextureBank, texture: Tensor, u: Tensor, v: Tensor, lod: Tensor) -> Tensor:
    """(3,P) colours 0..255, trilinear: texture number, level-0 texel coordinates and mip level of P pixels."""
    top = bank.size.bit_length() - 1
    lod = (lod + LOD_BIAS).clamp(0, top - 0.001)
    low = lod.to(torch.int32)
    base = texture.long() * bank.texels_per_texture
    offsets = torch.tensor(level_offsets(bank.size)[:-1], device=u.device)
    near = _bilinear(bank.texels, base, offsets, low, u, v, bank.size)
    far = _bilinear(bank.texels, base, offsets, low + 1, u, v, bank.size)
    return torch.lerp(near, far, lod - low)


def _bilinear(texels: Tensor, base: Tensor, offsets: Tensor, level: Tensor, u: Tensor, v: Tensor, size: int) -> Tensor:
    """(3,P) colours of one mip level, repeated with mirroring."""
    shrink = (0.5 ** torch.arange(len(offsets), device=u.device)).index_select(0, level)
    u, v = u * shrink - 0.5, v * shrink - 0.5
    u_floor, v_floor = u.floor(), v.floor()
    part_u, part_v = u - u_floor, v - v_floor
    left, top = u_floor.to(torch.int32), v_floor.to(torch.int32)
    side = torch.full_like(level, size) >> level
    start = base + offsets.index_select(0, level)
    x0, x1 = _mirror(left, side), _mirror(left + 1, side)
    y0, y1 = start + _mirror(top, side) * side, start + _mirror(top + 1, side) * side
    corners = [_channels(texels.index_select(0, y + x)) for y in (y0, y1) for x in (x0, x1)]
    return torch.lerp(torch.lerp(corners[0], corners[1], part_u), torch.lerp(corners[2], corners[3], part_u), part_v)


def _mirror(at: Tensor, side: Tensor) -> Tensor:
    """Fold texel numbers into [0, side) as an endless row of mirrored copies; side is a power of two."""
    last = 2 * side - 1
    folded = at & last
    return torch.minimum(folded, last - folded)


def _channels(packed: Tensor) -> Tensor:
    """(P,) packed texels -> (3,P) float32."""
    return torch.stack([packed & 0xFF, (packed >> 8) & 0xFF, packed >> 16]).float()
