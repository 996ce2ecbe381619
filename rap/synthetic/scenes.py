"""Procedural scenes: a box hull around the camera, with rectangles and spheres inside.

Scene frame: x right, y DOWN, z forward, the floor at y = 0 (so that heights are negative y), lengths roughly metres. A
rectangle is seen from the side from which its `edge_u` points right and its `edge_v` points down, so that photographs
stand upright.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rap.synthetic.textures import TextureBank

HULL_FACES = 6
MAX_SURFACES = 250  # surface numbers share an int32 with the inverse depth (render.py)


@dataclass(frozen=True, eq=False)
class Scene:
    """Surfaces with their looks, and where cameras may stand. F rectangles (the first 6 are the hull), S spheres.

    Attributes:
        origins, edges_u, edges_v: (F,3) corner and edge vectors of the rectangles.
        two_sided: (F,) whether a rectangle is also seen from behind.
        centres: (S,3), radii: (S,), spins: (S,3,3) rotations sphere -> scene (turns the texture).
        textures: (F+S,) texture numbers; uv_scale, uv_offset: (F+S,2) repeats across the surface and shift.
        gain, offset: (F+S,3) colour = gain * texture + offset, light of plane surfaces included (0..255).
        to_light: (3,) unit vector, ambient: share of light without direction (spheres are lit per pixel).
        pivot: (3,) what the camera looks at first. eye, yaw_rad, pitch_rad: the starting camera.
        obstacles: per solid (centre, half size, yaw): no camera inside.
    """

    origins: np.ndarray
    edges_u: np.ndarray
    edges_v: np.ndarray
    two_sided: np.ndarray
    centres: np.ndarray
    radii: np.ndarray
    spins: np.ndarray
    textures: np.ndarray
    uv_scale: np.ndarray
    uv_offset: np.ndarray
    gain: np.ndarray
    offset: np.ndarray
    to_light: np.ndarray
    ambient: float
    pivot: np.ndarray
    eye: np.ndarray
    yaw_rad: float
    pitch_rad: float
    obstacles: tuple[tuple[np.ndarray, np.ndarray, float], ...]

    @property
    def num_rectangles(self) -> int:
        return len(self.origins)

    @property
    def hull_low(self) -> np.ndarray:
        """(3,) smallest corner of the hull."""
        return np.minimum(self.origins[:HULL_FACES], self._far_corners).min(0)

    @property
    def hull_high(self) -> np.ndarray:
        """(3,) largest corner of the hull."""
        return np.maximum(self.origins[:HULL_FACES], self._far_corners).max(0)

    @property
    def _far_corners(self) -> np.ndarray:
        return (self.origins + self.edges_u + self.edges_v)[:HULL_FACES]

    def is_free(self, points: np.ndarray, margin: float) -> bool:
        """Whether all (N,3) points are inside the hull and outside every solid, by at least `margin`."""
        if (points < self.hull_low + margin).any() or (points > self.hull_high - margin).any():
            return False
        for centre, half, yaw in self.obstacles:
            local = (points - centre) @ yaw_matrix(yaw)
            if (np.abs(local) < half + margin).all(-1).any():
                return False
        far = np.linalg.norm(points[:, None] - self.centres, axis=-1) - self.radii
        return not (far < margin).any()


def yaw_matrix(yaw_rad: float) -> np.ndarray:
    """(3,3) rotation about +y; positive yaw turns the view (+z) to the right (+x)."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


# Corner, edge_u, edge_v of the faces of the box [-1/2, 1/2]^3 as seen from outside, and from inside.
_OUTSIDE = np.array(
    [
        [[-1, -1, -1], [2, 0, 0], [0, 2, 0]],  # front, towards -z
        [[1, -1, 1], [-2, 0, 0], [0, 2, 0]],  # back
        [[1, -1, -1], [0, 0, 2], [0, 2, 0]],  # right
        [[-1, -1, 1], [0, 0, -2], [0, 2, 0]],  # left
        [[-1, -1, 1], [2, 0, 0], [0, 0, -2]],  # top
        [[-1, 1, -1], [2, 0, 0], [0, 0, 2]],  # bottom
    ],
    dtype=np.float64,
) / 2.0
_INSIDE = np.array(
    [
        [[-1, -1, 1], [2, 0, 0], [0, 2, 0]],  # far wall, +z
        [[1, -1, -1], [-2, 0, 0], [0, 2, 0]],  # near wall, -z
        [[1, -1, 1], [0, 0, -2], [0, 2, 0]],  # right wall
        [[-1, -1, -1], [0, 0, 2], [0, 2, 0]],  # left wall
        [[-1, 1, 1], [2, 0, 0], [0, 0, -2]],  # floor
        [[-1, -1, -1], [2, 0, 0], [0, 0, 2]],  # ceiling
    ],
    dtype=np.float64,
) / 2.0


@dataclass(frozen=True)
class Look:
    """How a surface looks: texture number, repeats (one tile = `tile` metres, 0: stretched once over the surface),
    contrast towards the mean grey of `base`, and tint."""

    texture: int
    tile: float = 0.0
    contrast: float = 1.0
    base: tuple[float, float, float] = (128.0, 128.0, 128.0)
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass
class SceneBuilder:
    """Collects surfaces; `finish` makes the Scene. The hull comes first."""

    rng: np.random.Generator
    bank: TextureBank
    faces: list[np.ndarray] = field(default_factory=list)
    face_looks: list[Look] = field(default_factory=list)
    face_two_sided: list[bool] = field(default_factory=list)
    spheres: list[tuple[np.ndarray, float, np.ndarray]] = field(default_factory=list)
    sphere_looks: list[Look] = field(default_factory=list)
    obstacles: list[tuple[np.ndarray, np.ndarray, float]] = field(default_factory=list)

    # -- looks
    def material(self, tile: float, contrast: tuple[float, float] = (0.6, 1.0)) -> Look:
        """A repeated material of about `tile` metres."""
        return self._look(self.bank.materials, tile * self.rng.uniform(0.6, 1.6), contrast)

    def photo(self, tile: float = 0.0) -> Look:
        """A photograph, stretched over the surface or repeated (mirrored) every `tile` metres."""
        return self._look(self.bank.photos, tile, (0.85, 1.0))

    def any_look(self, tile: float) -> Look:
        """A photograph or a material, for the sides of things."""
        return self.photo(tile) if self.rng.random() < 0.5 else self.material(tile, (0.8, 1.0))

    def _look(self, choices: np.ndarray, tile: float, contrast: tuple[float, float]) -> Look:
        brightness = self.rng.uniform(0.75, 1.1)
        tint = brightness * (1 + self.rng.uniform(-0.12, 0.12, 3))
        base = self.rng.uniform(70, 190) * (1 + self.rng.uniform(-0.1, 0.1, 3))
        return Look(
            int(self.rng.choice(choices)),
            tile,
            float(self.rng.uniform(*contrast)),
            (float(base[0]), float(base[1]), float(base[2])),
            (float(tint[0]), float(tint[1]), float(tint[2])),
        )

    # -- things
    def hull(self, low: np.ndarray, high: np.ndarray, looks: list[Look]) -> None:
        """The box around everything; looks: far, near, right, left wall, floor, ceiling."""
        size, centre = high - low, (high + low) / 2
        faces = _INSIDE * size
        faces[:, 0] += centre
        self._add_faces(faces, looks, False)

    def box(self, base: np.ndarray, size: np.ndarray, yaw: float, looks: list[Look]) -> None:
        """A solid box standing on the point `base` (centre of its bottom)."""
        centre = base - np.array([0.0, size[1] / 2, 0.0])
        faces = (_OUTSIDE[:5] * size) @ yaw_matrix(yaw).T  # the bottom is never seen
        faces[:, 0] += centre
        self._add_faces(faces, looks, False)
        self.obstacles.append((centre, size / 2, yaw))

    def panel(self, centre: np.ndarray, width: float, height: float, yaw: float, look: Look, tilt: float = 0.0) -> None:
        """A thin upright rectangle, seen from both sides; tilt leans it back."""
        turn = yaw_matrix(yaw)
        edge_u = turn @ np.array([width, 0.0, 0.0])
        edge_v = turn @ np.array([0.0, height * np.cos(tilt), -height * np.sin(tilt)])
        self._add_faces(np.stack([centre - (edge_u + edge_v) / 2, edge_u, edge_v])[None], [look], True)

    def rectangle(self, origin: np.ndarray, edge_u: np.ndarray, edge_v: np.ndarray, look: Look) -> None:
        """One rectangle, seen from its front only."""
        self._add_faces(np.stack([origin, edge_u, edge_v])[None], [look], False)

    def sphere(self, centre: np.ndarray, radius: float, look: Look) -> None:
        """A ball with its texture turned at random."""
        spin, upper = np.linalg.qr(self.rng.standard_normal((3, 3)))
        self.spheres.append((centre, radius, spin * np.sign(np.diag(upper))))
        self.sphere_looks.append(look)

    def _add_faces(self, faces: np.ndarray, looks: list[Look], two_sided: bool) -> None:
        self.faces.extend(faces)
        self.face_looks.extend(looks)
        self.face_two_sided.extend([two_sided] * len(faces))

    # -- the end
    def finish(self, pivot: np.ndarray, eye: np.ndarray) -> Scene:
        """Light everything and give the scene, with a camera at `eye` that looks at `pivot`."""
        faces = np.stack(self.faces)
        looks = self.face_looks + self.sphere_looks
        yaw_light, height = self.rng.uniform(0, 2 * np.pi), self.rng.uniform(0.5, 1.3)
        to_light = np.array([np.cos(yaw_light) * np.cos(height), -np.sin(height), np.sin(yaw_light) * np.cos(height)])
        ambient = float(self.rng.uniform(0.45, 0.75))
        normals = -np.cross(faces[:, 1], faces[:, 2])
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        lit = ambient + (1 - ambient) * (0.5 + 0.5 * normals @ to_light) * 1.2
        shade = np.concatenate([lit, np.ones(len(self.spheres))])[:, None]
        gain, offset = self._colours(looks)
        uv_scale, uv_offset = self._mapping(faces, looks)
        ahead = pivot - eye
        return Scene(
            origins=faces[:, 0],
            edges_u=faces[:, 1],
            edges_v=faces[:, 2],
            two_sided=np.array(self.face_two_sided),
            centres=np.array([s[0] for s in self.spheres], dtype=np.float64).reshape(-1, 3),
            radii=np.array([s[1] for s in self.spheres], dtype=np.float64),
            spins=np.array([s[2] for s in self.spheres], dtype=np.float64).reshape(-1, 3, 3),
            textures=np.array([look.texture for look in looks]),
            uv_scale=uv_scale,
            uv_offset=uv_offset,
            gain=gain * shade,
            offset=offset * shade,
            to_light=to_light,
            ambient=ambient,
            pivot=pivot,
            eye=eye,
            yaw_rad=float(np.arctan2(ahead[0], ahead[2])),
            pitch_rad=float(np.arctan2(-ahead[1], np.hypot(ahead[0], ahead[2]))),
            obstacles=tuple(self.obstacles),
        )

    def _colours(self, looks: list[Look]) -> tuple[np.ndarray, np.ndarray]:
        contrast = np.array([look.contrast for look in looks])[:, None]
        tint, base = np.array([look.tint for look in looks]), np.array([look.base for look in looks])
        return contrast * tint, (1 - contrast) * tint * base

    def _mapping(self, faces: np.ndarray, looks: list[Look]) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.linalg.norm(faces[:, 1:], axis=-1)
        scale = np.ones((len(looks), 2))
        offset = np.zeros((len(looks), 2))
        for k, look in enumerate(looks):
            if k >= len(faces):
                scale[k] = (2.0, 1.0)  # once around a ball and mirrored back: no seam
            elif look.tile > 0:
                scale[k] = lengths[k] / look.tile
                offset[k] = self.rng.uniform(0, 2, 2)
        return scale, offset


# --- the four families ------------------------------------------------------------------------------------------------


def _object(b: SceneBuilder, base: np.ndarray, size: float) -> None:
    """A box, a pile of two boxes, a standing picture or a ball of about `size` metres on the point `base`."""
    kind = b.rng.random()
    yaw = b.rng.uniform(0, 2 * np.pi)
    if kind < 0.55:
        extent = size * b.rng.uniform([0.5, 0.5, 0.5], [1.1, 1.8, 1.1])
        side = b.any_look(size * b.rng.uniform(0.6, 1.5))
        b.box(base, extent, yaw, [side, side, side, side, b.any_look(size)] if b.rng.random() < 0.5 else _five(b, size))
        if b.rng.random() < 0.3:
            top = base - np.array([0.0, extent[1], 0.0])
            b.box(top, extent * b.rng.uniform(0.35, 0.75, 3), yaw + b.rng.uniform(-0.6, 0.6), _five(b, size))
    elif kind < 0.85:
        radius = size * b.rng.uniform(0.3, 0.6)
        b.sphere(base - np.array([0.0, radius, 0.0]), radius, b.any_look(1.0))
    else:
        width, height = size * b.rng.uniform(0.6, 1.3, 2)
        b.panel(base - np.array([0.0, height / 2, 0.0]), width, height, yaw, b.photo(), b.rng.uniform(-0.25, 0.25))


def _five(b: SceneBuilder, size: float) -> list[Look]:
    return [b.any_look(size * b.rng.uniform(0.6, 1.5)) for _ in range(5)]


def _scatter(b: SceneBuilder, centre: np.ndarray, extent: np.ndarray, count: int, size: tuple[float, float]) -> None:
    """Up to `count` objects on the rectangle centre +- extent (x, z), kept apart by their sizes."""
    placed: list[tuple[np.ndarray, float]] = []
    for _ in range(count):
        width = b.rng.uniform(*size)
        for _attempt in range(6):
            at = centre + np.array([b.rng.uniform(-1, 1) * extent[0], 0.0, b.rng.uniform(-1, 1) * extent[1]])
            if all(np.linalg.norm(at - other) > 0.75 * (width + reach) for other, reach in placed):
                placed.append((at, width))
                _object(b, at, width)
                break


def _wall_pictures(b: SceneBuilder, low: np.ndarray, high: np.ndarray, count: int) -> None:
    """Pictures hung 2 cm before the four walls of a room."""
    for _ in range(count):
        face = _INSIDE[b.rng.integers(4)]
        size, centre = high - low, (high + low) / 2
        origin, edge_u, edge_v = face * size
        width, height = b.rng.uniform(0.12, 0.4) * np.linalg.norm(edge_u), b.rng.uniform(0.2, 0.55) * size[1]
        across = edge_u / np.linalg.norm(edge_u)
        inward = -np.cross(across, [0.0, 1.0, 0.0])
        left = b.rng.uniform(0.02, 0.98 - width / np.linalg.norm(edge_u)) * edge_u
        down = np.array([0.0, b.rng.uniform(0.08, 0.9) * (size[1] - height), 0.0])
        b.rectangle(
            centre + origin + left + down + 0.02 * inward, across * width, np.array([0.0, height, 0.0]), b.photo()
        )


def _around(b: SceneBuilder, pivot: np.ndarray, distance: float, elevation: tuple[float, float]) -> np.ndarray:
    """A camera position at `distance` from pivot, seen from a random side, raised by elevation (radians)."""
    side, rise = b.rng.uniform(0, 2 * np.pi), b.rng.uniform(*elevation)
    return pivot + distance * np.array([np.cos(side) * np.cos(rise), -np.sin(rise), np.sin(side) * np.cos(rise)])


def room(b: SceneBuilder) -> Scene:
    """A furnished room: objects on the floor, pictures on the walls."""
    width, depth, height = b.rng.uniform(3, 7), b.rng.uniform(3, 8), b.rng.uniform(2.3, 3.2)
    low, high = np.array([-width / 2, -height, -depth / 2]), np.array([width / 2, 0.0, depth / 2])
    wall = b.material(1.6, (0.15, 1.0)) if b.rng.random() < 0.6 else None
    looks = [wall or b.material(1.6, (0.2, 1.0)) for _ in range(4)]
    b.hull(low, high, [*looks, b.material(1.0), b.material(1.5, (0.1, 0.6))])
    _wall_pictures(b, low, high, int(b.rng.integers(3, 9)))
    _scatter(b, np.zeros(3), np.array([width, depth]) * 0.42, int(b.rng.integers(4, 9)), (0.4, 1.2))
    pivot = np.array([b.rng.uniform(-0.2, 0.2) * width, -b.rng.uniform(0.3, 1.4), b.rng.uniform(-0.2, 0.2) * depth])
    distance = b.rng.uniform(0.3, 0.55) * min(width, depth)
    return b.finish(pivot, _around(b, pivot, distance, (-0.15, 0.4)))


def table_top(b: SceneBuilder) -> Scene:
    """Small things on a table in a room, as one photographs an object."""
    low, high = np.array([-3.0, -2.6, -3.0]), np.array([3.0, 0.0, 3.0])
    low[[0, 2]] *= b.rng.uniform(0.7, 1.6, 2)
    high[[0, 2]] *= b.rng.uniform(0.7, 1.6, 2)
    looks = [b.photo() if b.rng.random() < 0.5 else b.material(1.5, (0.2, 1.0)) for _ in range(4)]
    b.hull(low, high, [*looks, b.material(1.0), b.material(1.5, (0.1, 0.6))])
    _wall_pictures(b, low, high, int(b.rng.integers(1, 5)))
    top = np.array([0.0, -b.rng.uniform(0.65, 0.8), 0.0])
    size = np.array([b.rng.uniform(1.0, 2.2), 0.06, b.rng.uniform(1.0, 2.2)])
    slab = b.material(0.6, (0.7, 1.0))
    b.box(top + np.array([0.0, size[1], 0.0]), size, b.rng.uniform(0, np.pi), [slab] * 5)
    _scatter(b, top, np.array([0.32, 0.32]), int(b.rng.integers(2, 7)), (0.12, 0.34))
    _scatter(b, np.zeros(3), np.array([2.4, 2.4]), 3, (0.4, 0.9))
    pivot = top + np.array([0.0, -b.rng.uniform(0.03, 0.15), 0.0])
    return b.finish(pivot, _around(b, pivot, b.rng.uniform(0.65, 1.4), (0.12, 0.85)))


def open_ground(b: SceneBuilder) -> Scene:
    """Blocks on open ground before photographed horizons."""
    reach = b.rng.uniform(9, 30)
    low, high = np.array([-reach, -reach * b.rng.uniform(0.5, 0.9), -reach]), np.array([reach, 0.0, reach])
    backdrop = b.photo()
    walls = [backdrop if b.rng.random() < 0.4 else b.photo() for _ in range(4)]
    b.hull(low, high, [*walls, b.material(2.5), b.material(20.0, (0.05, 0.3))])
    _scatter(b, np.zeros(3), np.array([5.0, 5.0]), int(b.rng.integers(6, 14)), (0.8, 2.4))
    pivot = np.array([b.rng.uniform(-1, 1), -b.rng.uniform(0.4, 1.5), b.rng.uniform(-1, 1)])
    return b.finish(pivot, _around(b, pivot, b.rng.uniform(2.5, 6.0), (0.02, 0.5)))


def layered_panels(b: SceneBuilder) -> Scene:
    """Upright panels at several depths, like trees, people or shelves before one another."""
    low, high = np.array([-6.0, -4.5, -5.0]), np.array([6.0, 0.0, 7.0])
    looks = [b.photo() if b.rng.random() < 0.6 else b.material(2.0) for _ in range(4)]
    b.hull(low, high, [*looks, b.material(1.2), b.material(2.0, (0.1, 0.7))])
    for _ in range(int(b.rng.integers(6, 14))):
        width, height = b.rng.uniform(0.3, 1.6), b.rng.uniform(0.6, 2.6)
        lift = 0.0 if b.rng.random() < 0.7 else b.rng.uniform(0.2, 1.5)
        centre = np.array([b.rng.uniform(-3.5, 3.5), -height / 2 - lift, b.rng.uniform(-1.5, 5.0)])
        b.panel(centre, width, height, b.rng.uniform(-0.9, 0.9), b.any_look(b.rng.uniform(0.8, 2.0)))
    _scatter(b, np.array([0.0, 0.0, 1.5]), np.array([3.0, 3.0]), int(b.rng.integers(1, 5)), (0.4, 1.0))
    pivot = np.array([b.rng.uniform(-1, 1), -b.rng.uniform(0.8, 1.6), b.rng.uniform(0.0, 2.0)])
    eye = pivot + np.array([b.rng.uniform(-1.5, 1.5), b.rng.uniform(-0.7, 0.3), -b.rng.uniform(1.5, 4.0)])
    return b.finish(pivot, np.minimum(eye, [5.0, -0.3, 6.0]))


FAMILIES = {"room": room, "table": table_top, "ground": open_ground, "panels": layered_panels}
FAMILY_WEIGHTS = {"room": 0.35, "table": 0.3, "ground": 0.2, "panels": 0.15}


def sample_scene(rng: np.random.Generator, bank: TextureBank) -> tuple[str, Scene]:
    """A random scene and the name of its family."""
    names = list(FAMILIES)
    name = names[int(rng.choice(len(names), p=[FAMILY_WEIGHTS[n] for n in names]))]
    return name, FAMILIES[name](SceneBuilder(rng, bank))
