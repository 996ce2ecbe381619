"""Procedural scenes: a box hull around the camera, with rectangles and solids of revolution inside.

Scene frame: x right, y DOWN, z forward, the floor at y = 0 (so that heights are negative y), lengths roughly metres. A
rectangle is seen from the side from which its `edge_u` points right and its `edge_v` points down, so that photographs
stand upright.

A solid of revolution is x^2 + z^2 = p0 + p1 y + p2 y^2, |y| <= 1, in its own frame, which its radii stretch: with the
profile (1, 0, -1) an ellipsoid, with ((a, b) -> a^2, 2 a b, b^2) the shell of a cone or a cylinder of radius a + b y.
An ellipsoid with exponents other than 2 is a superquadric (`rap.synthetic.superquadrics`), and counts as a round solid.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from rap.synthetic.textures import TextureBank

HULL_FACES = 6
FLOOR = 4  # among the hull faces
DISC_HALF_HEIGHT = 0.002  # of what closes a cup or a column
ELLIPSOID = (1.0, 0.0, -1.0)  # profile of a ball
ROUND = (2, 2)  # its exponents
MAX_SURFACES = 250  # surface numbers share an int32 with the inverse depth (render.py)


@dataclass(frozen=True, eq=False)
class Scene:
    """Surfaces with their looks, and where cameras may stand. F rectangles (the first 6 are the hull), S round solids.

    Attributes:
        origins, edges_u, edges_v: (F,3) corner and edge vectors of the rectangles.
        two_sided: (F,) whether a rectangle is also seen from behind.
        owners: (F,) number of the solid a rectangle belongs to, -1 for none.
        lit: (F,) whether light falls on a rectangle (a photographed horizon brings its own).
        centres: (S,3), radii: (S,3) half axes, spins: (S,3,3) rotations solid -> scene of the round solids.
        profiles: (S,3) their p0, p1, p2, see the module. exponents: (S,2) n and m of superquadrics, 2 for the others.
        textures: (F+S,) texture numbers; uv_scale, uv_offset: (F+S,2) repeats across the surface and shift.
        gain, offset: (F+S,3) unlit colour = gain * texture + offset (0..255).
        solids: (K,3) centres, (K,3) half sizes and (K,3,3) rotations solid -> scene of the boxes and panels.
        light: (4,) homogeneous: a lamp's position and 1, or the direction towards the sun and 0.
        ambient: share of light that comes from everywhere.
        reach: half width of the busy part of the floor, where shadows are worth resolving.
        pivot: (3,) what the camera looks at first. eye, yaw_rad, pitch_rad: the starting camera.
    """

    origins: np.ndarray
    edges_u: np.ndarray
    edges_v: np.ndarray
    two_sided: np.ndarray
    owners: np.ndarray
    lit: np.ndarray
    centres: np.ndarray
    radii: np.ndarray
    spins: np.ndarray
    profiles: np.ndarray
    exponents: np.ndarray
    textures: np.ndarray
    uv_scale: np.ndarray
    uv_offset: np.ndarray
    gain: np.ndarray
    offset: np.ndarray
    solids: tuple[np.ndarray, np.ndarray, np.ndarray]
    light: np.ndarray
    ambient: float
    reach: float
    pivot: np.ndarray
    eye: np.ndarray
    yaw_rad: float
    pitch_rad: float

    @property
    def num_rectangles(self) -> int:
        return len(self.origins)

    @property
    def num_round(self) -> int:
        return len(self.centres)

    @property
    def is_ellipsoid(self) -> np.ndarray:
        """(S,) which of the round solids are closed, superquadrics too; the others are shells, open at both ends."""
        return (self.profiles == ELLIPSOID).all(-1)

    @property
    def is_superquadric(self) -> np.ndarray:
        """(S,) which of the round solids are neither ellipsoids nor shells."""
        return (self.exponents != ROUND).any(-1)

    @property
    def hull_low(self) -> np.ndarray:
        """(3,) smallest corner of the hull."""
        return np.minimum(self.origins, self.origins + self.edges_u + self.edges_v)[:HULL_FACES].min(0)

    @property
    def hull_high(self) -> np.ndarray:
        """(3,) largest corner of the hull."""
        return np.maximum(self.origins, self.origins + self.edges_u + self.edges_v)[:HULL_FACES].max(0)

    @property
    def to_unit(self) -> np.ndarray:
        """(S,3,3) maps scene vectors to each round solid's own frame."""
        return np.swapaxes(self.spins, -1, -2) / self.radii[:, :, None]

    def is_free(self, points: np.ndarray, margin: float) -> bool:
        """Whether all (N,3) points are inside the hull and outside everything else, by about `margin` at least."""
        if (points < self.hull_low + margin).any() or (points > self.hull_high - margin).any():
            return False
        centres, halves, rotations = self.solids
        local = np.einsum("knc,kcd->knd", points - centres[:, None], rotations)
        if (np.abs(local) < halves[:, None] + margin).all(-1).any():
            return False
        local = np.einsum("snc,scd->snd", points - self.centres[:, None], self.spins) / (self.radii[:, None] + margin)
        x, y, z = np.moveaxis(local, -1, 0)
        p0, p1, p2 = self.profiles.T[:, :, None]
        if ((np.abs(y) < 1) & (x**2 + z**2 < p0 + p1 * y + p2 * y**2)).any():
            return False
        n, m = self.exponents.T[:, :, None].astype(float)
        around = (np.abs(x) ** m + np.abs(z) ** m) ** (n / m)
        return not (self.is_superquadric[:, None] & (around + np.abs(y) ** n < 1)).any()


def yaw_matrix(yaw_rad: float) -> np.ndarray:
    """(3,3) rotation about +y; positive yaw turns the view (+z) to the right (+x)."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


# Corner, edge_u, edge_v of the faces of the box [-1/2, 1/2]^3 as seen from outside, and from inside.
_OUTSIDE = (
    np.array(
        [
            [[-1, -1, -1], [2, 0, 0], [0, 2, 0]],  # front, towards -z
            [[1, -1, 1], [-2, 0, 0], [0, 2, 0]],  # back
            [[1, -1, -1], [0, 0, 2], [0, 2, 0]],  # right
            [[-1, -1, 1], [0, 0, -2], [0, 2, 0]],  # left
            [[-1, -1, 1], [2, 0, 0], [0, 0, -2]],  # top
            [[-1, 1, -1], [2, 0, 0], [0, 0, 2]],  # bottom
        ],
        dtype=np.float64,
    )
    / 2.0
)
_INSIDE = (
    np.array(
        [
            [[-1, -1, 1], [2, 0, 0], [0, 2, 0]],  # far wall, +z
            [[1, -1, -1], [-2, 0, 0], [0, 2, 0]],  # near wall, -z
            [[1, -1, 1], [0, 0, -2], [0, 2, 0]],  # right wall
            [[-1, -1, -1], [0, 0, 2], [0, 2, 0]],  # left wall
            [[-1, 1, 1], [2, 0, 0], [0, 0, -2]],  # floor
            [[-1, -1, -1], [2, 0, 0], [0, 0, 2]],  # ceiling
        ],
        dtype=np.float64,
    )
    / 2.0
)


def _box_faces(base: np.ndarray, size: np.ndarray, yaw: float) -> np.ndarray:
    """(6,3,3) front, back, right, left, top and bottom of a box that stands on the point `base`."""
    faces = (_OUTSIDE * size) @ yaw_matrix(yaw).T
    faces[:, 0] += base - np.array([0.0, size[1] / 2, 0.0])
    return faces


@dataclass(frozen=True, eq=False)
class Look:
    """How a surface looks: colour = gain * texture + offset.

    Attributes:
        texture: number in the bank.
        tile: metres that one copy of the texture covers; 0: stretched once over the surface.
        gain, offset: (3,), offset in 0..255.
        part: left, top, width and height of what is stretched over the surface, in shares of the texture.
    """

    texture: int
    tile: float
    gain: np.ndarray
    offset: np.ndarray
    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


@dataclass
class SceneBuilder:
    """Collects surfaces; `finish` makes the Scene. The hull comes first."""

    rng: np.random.Generator
    bank: TextureBank
    faces: list[np.ndarray] = field(default_factory=list)
    face_looks: list[Look] = field(default_factory=list)
    face_flags: list[tuple[bool, int, bool]] = field(default_factory=list)  # two-sided, owner, lit
    balls: list[tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, ...], tuple[int, int]]] = field(
        default_factory=list
    )
    ball_looks: list[Look] = field(default_factory=list)
    solids: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Surfaces so far; a scene may have MAX_SURFACES."""
        return len(self.faces) + len(self.balls)

    # -- looks
    def material(self, tile: float, contrast: tuple[float, float] = (0.7, 1.7)) -> Look:
        """A repeated material of about `tile` metres."""
        return self._look(self.bank.materials, tile * self.rng.uniform(0.6, 1.8), self.rng.uniform(*contrast))

    def photo(self, tile: float = 0.0) -> Look:
        """A photograph, stretched over the surface or repeated (mirrored) every `tile` metres."""
        return self._look(self.bank.photos, tile, self.rng.uniform(0.85, 1.15))

    def any_look(self, tile: float) -> Look:
        """A photograph or a material, for the sides of things."""
        return self.photo(tile) if self.rng.random() < 0.5 else self.material(tile)

    def _look(self, choices: np.ndarray, tile: float, contrast: float) -> Look:
        """Contrast about the texture's mean colour, and a slight tint; the mean moves halfway to a light grey."""
        texture = int(choices[self.rng.integers(len(choices))])
        mean = self.bank.means[texture]
        tint = 1 + self.rng.uniform(-0.1, 0.1, 3)
        shift = self.rng.uniform(0, 0.5) * (self.rng.uniform(90, 190) - mean.mean())
        return Look(texture, tile, contrast * tint, tint * ((1 - contrast) * mean + shift))

    # -- things
    def hull(self, low: np.ndarray, high: np.ndarray, looks: list[Look], horizon: bool = False) -> None:
        """The box around everything; looks: far, near, right, left wall, floor, ceiling.

        Args:
            horizon: walls and ceiling are a photographed distance, lit already.
        """
        size, centre = high - low, (high + low) / 2
        faces = _INSIDE * size
        faces[:, 0] += centre
        for k, (face, look) in enumerate(zip(faces, looks, strict=True)):
            self.add_faces(face[None], [look], lit=k == FLOOR or not horizon)

    def box(self, base: np.ndarray, size: np.ndarray, yaw: float, looks: list[Look]) -> None:
        """A solid box standing on the point `base` (centre of its bottom)."""
        centre, turn = base - np.array([0.0, size[1] / 2, 0.0]), yaw_matrix(yaw)
        faces = _box_faces(base, size, yaw)
        if base[1] == 0.0:
            faces = faces[:5]  # nobody sees the bottom of what stands on the floor
        self.add_faces(faces, (looks + looks[-1:])[: len(faces)], owner=len(self.solids))
        self.solids.append((centre, size / 2, turn))

    def panel(self, centre: np.ndarray, width: float, height: float, yaw: float, look: Look, tilt: float = 0.0) -> None:
        """A thin upright rectangle, seen from both sides; tilt leans it back."""
        c, s = np.cos(tilt), np.sin(tilt)
        turn = yaw_matrix(yaw) @ np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])
        edge_u, edge_v = width * turn[:, 0], height * turn[:, 1]
        face = np.stack([centre - (edge_u + edge_v) / 2, edge_u, edge_v])[None]
        self.add_faces(face, [look], two_sided=True, owner=len(self.solids))
        self.solids.append((centre, np.array([width / 2, height / 2, 0.005]), turn))

    def rectangle(self, origin: np.ndarray, edge_u: np.ndarray, edge_v: np.ndarray, look: Look) -> None:
        """One rectangle, seen from its front only."""
        self.add_faces(np.stack([origin, edge_u, edge_v])[None], [look])

    def ball(self, centre: np.ndarray, radii: np.ndarray, yaw: float, look: Look) -> None:
        """An ellipsoid with half axes `radii`, turned about the vertical."""
        self.superquadric(centre, radii, yaw, look, ROUND)

    def superquadric(
        self, centre: np.ndarray, radii: np.ndarray, yaw: float, look: Look, exponents: tuple[int, int]
    ) -> None:
        """A superquadric with half axes `radii`, turned about the vertical; exponents upright and around."""
        self.balls.append((centre, radii, yaw_matrix(yaw), ELLIPSOID, exponents))
        self.ball_looks.append(look)

    def shell(self, base: np.ndarray, height: float, bottom: float, top: float, look: Look) -> None:
        """The side of an upright cone or cylinder on the point `base`, open at both ends; radii at bottom and top."""
        widest = max(bottom, top)
        mean, slope = (bottom + top) / 2 / widest, (bottom - top) / 2 / widest  # local y points down
        radii, centre = np.array([widest, height / 2, widest]), base - np.array([0.0, height / 2, 0.0])
        self.balls.append((centre, radii, np.eye(3), (mean**2, 2 * mean * slope, slope**2), ROUND))
        self.ball_looks.append(look)

    def disc(self, centre: np.ndarray, radius: float, look: Look) -> None:
        """A level disc, which closes a shell."""
        self.ball(centre, np.array([radius, DISC_HALF_HEIGHT, radius]), 0.0, look)

    def add_faces(
        self, faces: np.ndarray, looks: list[Look], *, two_sided: bool = False, owner: int = -1, lit: bool = True
    ) -> None:
        """(n,3,3) corners and edges of rectangles seen from their fronts, each with its look."""
        assert len(faces) == len(looks), f"{len(faces)} faces with {len(looks)} looks"
        self.faces.extend(faces)
        self.face_looks.extend(looks)
        self.face_flags.extend([(two_sided, owner, lit)] * len(faces))

    # -- the end
    def finish(self, pivot: np.ndarray, eye: np.ndarray, light: np.ndarray, reach: float) -> Scene:
        """The scene, with a camera at `eye` that looks at `pivot`; light and reach as in Scene."""
        faces = np.stack(self.faces)
        looks = self.face_looks + self.ball_looks
        uv_scale, uv_offset = self._mapping(faces, looks)
        ahead = pivot - eye
        return Scene(
            origins=faces[:, 0],
            edges_u=faces[:, 1],
            edges_v=faces[:, 2],
            two_sided=np.array([flags[0] for flags in self.face_flags]),
            owners=np.array([flags[1] for flags in self.face_flags]),
            lit=np.array([flags[2] for flags in self.face_flags]),
            centres=np.array([b[0] for b in self.balls]).reshape(-1, 3),
            radii=np.array([b[1] for b in self.balls]).reshape(-1, 3),
            spins=np.array([b[2] for b in self.balls]).reshape(-1, 3, 3),
            profiles=np.array([b[3] for b in self.balls]).reshape(-1, 3),
            exponents=np.array([b[4] for b in self.balls], dtype=int).reshape(-1, 2),
            textures=np.array([look.texture for look in looks]),
            uv_scale=uv_scale,
            uv_offset=uv_offset,
            gain=np.stack([look.gain for look in looks]),
            offset=np.stack([look.offset for look in looks]),
            solids=(
                np.array([s[0] for s in self.solids]).reshape(-1, 3),
                np.array([s[1] for s in self.solids]).reshape(-1, 3),
                np.array([s[2] for s in self.solids]).reshape(-1, 3, 3),
            ),
            light=light,
            ambient=float(self.rng.uniform(0.4, 0.7)),
            reach=reach,
            pivot=pivot,
            eye=eye,
            yaw_rad=float(np.arctan2(ahead[0], ahead[2])),
            pitch_rad=float(np.arctan2(-ahead[1], np.hypot(ahead[0], ahead[2]))),
        )

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
            else:
                offset[k], scale[k] = look.part[:2], look.part[2:]
        return scale, offset


# --- things -----------------------------------------------------------------------------------------------------------


def _object(b: SceneBuilder, base: np.ndarray, size: float) -> None:
    """A box, a pile of two, an ellipsoid, something turned or a standing picture of about `size` metres on `base`."""
    kind, yaw = b.rng.random(), b.rng.uniform(0, 2 * np.pi)
    if kind < 0.45:
        extent = size * b.rng.uniform([0.5, 0.4, 0.5], [1.1, 1.8, 1.1])
        b.box(base, extent, yaw, _sides(b, size))
        if b.rng.random() < 0.35:
            top, smaller = base - np.array([0.0, extent[1], 0.0]), extent * b.rng.uniform(0.35, 0.75, 3)
            if b.rng.random() < 0.6:
                b.box(top, smaller, yaw + b.rng.uniform(-0.6, 0.6), _sides(b, size))
            else:
                b.ball(top - np.array([0.0, smaller[1] / 2, 0.0]), smaller / 2, yaw, b.any_look(1.0))
    elif kind < 0.68:
        radii = (
            size * b.rng.uniform(0.2, 0.5, 3) if b.rng.random() < 0.7 else np.full(3, size * b.rng.uniform(0.2, 0.5))
        )
        b.ball(base - np.array([0.0, radii[1], 0.0]), radii, yaw, b.any_look(1.0))
    elif kind < 0.88:
        _turned(b, base, size)
    else:
        width, height = size * b.rng.uniform(0.5, 1.2, 2)
        b.panel(base - np.array([0.0, height / 2, 0.0]), width, height, yaw, b.photo(), b.rng.uniform(-0.25, 0.25))


def _turned(b: SceneBuilder, base: np.ndarray, size: float) -> None:
    """What a lathe makes: a tin, a cup, a cone, a bottle, a vase or a lamp with its shade, about `size` metres high."""
    height, look, other = size * b.rng.uniform(0.6, 1.5), b.any_look(size), b.any_look(size)
    wide = size * b.rng.uniform(0.18, 0.42)
    outlines = {  # (share of the height, radius in widths) from the bottom up, whether the top is closed
        "tin": ([(0, 1), (1, 1)], True),
        "cup": ([(0, b.rng.uniform(0.6, 1)), (0.7, 1)], False),
        "cone": ([(0, 1), (1, b.rng.uniform(0.02, 0.5))], True),
        "bottle": ([(0, 0.6), (0.6, 0.6), (0.75, 0.22), (1, 0.2)], True),
        "vase": ([(0, 0.45), (0.35, 1), (0.75, 0.4), (1, b.rng.uniform(0.5, 0.8))], False),
        "lamp": ([(0, 0.6), (0.05, 0.1), (0.55, 0.1), (0.55, 1), (1, 0.6)], False),
    }
    points, closed = outlines[list(outlines)[int(b.rng.integers(len(outlines)))]]
    for (low, bottom), (high, top) in itertools.pairwise(points):
        if high > low:
            start = base - np.array([0.0, low * height, 0.0])
            b.shell(start, (high - low) * height, bottom * wide, top * wide, look if high < 1 else other)
    if closed:
        b.disc(base - np.array([0.0, points[-1][0] * height, 0.0]), points[-1][1] * wide, other)
    else:
        b.disc(base - np.array([0.0, 2 * DISC_HALF_HEIGHT, 0.0]), points[0][1] * wide, look)


def _sides(b: SceneBuilder, size: float) -> list[Look]:
    """Looks of a box: one all around and another on top, or all different."""
    if b.rng.random() < 0.5:
        side = b.any_look(size * b.rng.uniform(0.6, 1.5))
        return [side] * 4 + [b.any_look(size)]
    return [b.any_look(size * b.rng.uniform(0.6, 1.5)) for _ in range(5)]


def _soft_object(b: SceneBuilder, base: np.ndarray, size: float) -> None:
    """A superquadric: a box with rounded edges, a soap, a soft tin, a cushion, a crystal; at times one on another."""
    exponents = [(8, 8), (4, 4), (8, 2), (2, 4), (4, 8), (2, 8), (4, 2), (1, 2), (1, 1), (2, 1)]
    at = base
    for _ in range(1 + int(b.rng.random() < 0.25)):
        radii = size * b.rng.uniform([0.2, 0.12, 0.2], [0.5, 0.5, 0.5])
        centre = at - np.array([0.0, radii[1], 0.0])
        chosen = exponents[int(b.rng.integers(len(exponents)))]
        b.superquadric(centre, radii, b.rng.uniform(0, np.pi), b.any_look(1.0), chosen)
        at, size = at - np.array([0.0, 2 * radii[1], 0.0]), 0.6 * size


def _any_object(b: SceneBuilder, base: np.ndarray, size: float) -> None:
    (_soft_object if b.rng.random() < 0.6 else _object)(b, base, size)


def _scatter(
    b: SceneBuilder,
    centre: np.ndarray,
    extent: tuple[float, float],
    count: int,
    size: tuple[float, float],
    thing: Callable[[SceneBuilder, np.ndarray, float], None] = _object,
) -> None:
    """Up to `count` things on the rectangle centre +- extent (x, z), kept apart by their sizes."""
    placed: list[tuple[np.ndarray, float]] = []
    for _ in range(count):
        width = b.rng.uniform(*size)
        for _attempt in range(6):
            at = centre + np.array([b.rng.uniform(-1, 1) * extent[0], 0.0, b.rng.uniform(-1, 1) * extent[1]])
            if all(np.linalg.norm(at - other) > 0.75 * (width + reach) for other, reach in placed):
                placed.append((at, width))
                thing(b, at, width)
                break


def _on_walls(b: SceneBuilder, low: np.ndarray, high: np.ndarray, count: int) -> None:
    """Pictures, windows and doors, 1 cm before the four walls of a room, not over each other."""
    size, centre = high - low, (high + low) / 2
    taken: list[tuple[int, float, float]] = []
    for _ in range(count):
        wall = int(b.rng.integers(4))
        origin, edge_u, _ = _INSIDE[wall] * size
        length = float(np.linalg.norm(edge_u))
        is_door = b.rng.random() < 0.2
        width = b.rng.uniform(0.8, 1.0) if is_door else b.rng.uniform(0.1, 0.38) * length
        height = 2.05 if is_door else b.rng.uniform(0.2, 0.6) * size[1]
        left = b.rng.uniform(0.1, max(length - width - 0.1, 0.11))
        if any(w == wall and left < right + 0.05 and left + width > start - 0.05 for w, start, right in taken):
            continue
        taken.append((wall, left, left + width))
        top = size[1] - height if is_door else b.rng.uniform(0.1, 0.8) * (size[1] - height)
        across = edge_u / length
        inward = -np.cross(across, [0.0, 1.0, 0.0])
        corner = centre + origin + left * across + np.array([0.0, top, 0.0]) + 0.01 * inward
        b.rectangle(corner, across * width, np.array([0.0, height, 0.0]), b.material(1.0) if is_door else b.photo())


def _along_walls(b: SceneBuilder, low: np.ndarray, high: np.ndarray, count: int) -> None:
    """Wardrobes, shelves and sideboards with their backs to the walls."""
    for _ in range(count):
        size = np.array([b.rng.uniform(0.5, 1.6), b.rng.uniform(0.4, 2.0), b.rng.uniform(0.3, 0.6)])
        wall = b.rng.integers(4)
        yaw = wall * np.pi / 2
        out = yaw_matrix(yaw) @ np.array([0.0, 0.0, 1.0])
        side = yaw_matrix(yaw) @ np.array([1.0, 0.0, 0.0])
        room_size = (high - low)[[0, 2]]
        depth, width = (room_size[1], room_size[0]) if wall % 2 == 0 else (room_size[0], room_size[1])
        slide = b.rng.uniform(-0.5, 0.5) * max(width - size[0] - 0.1, 0.1)
        at = (low + high) / 2 * [1, 0, 1] + out * (depth / 2 - size[2] / 2 - 0.02) + side * slide
        b.box(at, size, yaw, _sides(b, 0.8))


def _rug(b: SceneBuilder, at: np.ndarray, size: float) -> None:
    """A carpet, 1 cm above the floor."""
    turn = yaw_matrix(b.rng.uniform(0, np.pi))
    edge_u, edge_v = turn @ [size, 0, 0], turn @ [0, 0, -size * b.rng.uniform(0.5, 1.0)]
    corner = at + np.array([0.0, -0.01, 0.0]) - (edge_u + edge_v) / 2
    b.rectangle(corner, edge_u, edge_v, b.any_look(size * 0.5))


def _table(b: SceneBuilder, at: np.ndarray, size: np.ndarray, height: float) -> np.ndarray:
    """A table with four legs; the point in the middle of its top."""
    top, slab, legs = at - np.array([0.0, height, 0.0]), b.material(0.9, (0.8, 1.8)), b.material(0.3)
    yaw = b.rng.uniform(0, np.pi)
    b.box(top + np.array([0.0, size[1], 0.0]), size, yaw, [slab] * 5)
    for x, z in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
        foot = at + yaw_matrix(yaw) @ np.array([x * (size[0] / 2 - 0.06), 0.0, z * (size[2] / 2 - 0.06)])
        b.box(foot, np.array([0.06, height - size[1], 0.06]), yaw, [legs] * 5)
    return top


def _around(b: SceneBuilder, pivot: np.ndarray, distance: float, elevation: tuple[float, float]) -> np.ndarray:
    """A camera position at `distance` from pivot, seen from a random side, raised by elevation (radians)."""
    side, rise = b.rng.uniform(0, 2 * np.pi), b.rng.uniform(*elevation)
    return pivot + distance * np.array([np.cos(side) * np.cos(rise), -np.sin(rise), np.sin(side) * np.cos(rise)])


def _hills(b: SceneBuilder, reach: float, look: Look) -> None:
    """Two to six low hills of one material around the middle of open ground: caps of flat ellipsoids."""
    for _ in range(int(b.rng.integers(2, 7))):
        wide = b.rng.uniform(2.0, 5.0, 2)
        side, away = b.rng.uniform(0, 2 * np.pi), b.rng.uniform(6.0 + wide.max(), max(reach, 7.0 + wide.max()))
        tall = b.rng.uniform(0.5, 2.5)
        centre = np.array([away * np.cos(side), b.rng.uniform(0, 0.3) * tall, away * np.sin(side)])
        b.ball(centre, np.array([wide[0], tall, wide[1]]), b.rng.uniform(0, np.pi), look)


def _lamp(b: SceneBuilder, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A lamp under the ceiling."""
    x, z = b.rng.uniform(0.15, 0.85, 2)
    return np.array([low[0] + x * (high[0] - low[0]), low[1] + 0.15, low[2] + z * (high[2] - low[2]), 1.0])


def _sun(b: SceneBuilder) -> np.ndarray:
    """The direction towards the sun, 25 to 75 degrees high."""
    side, rise = b.rng.uniform(0, 2 * np.pi), np.deg2rad(b.rng.uniform(25, 75))
    return np.array([np.cos(side) * np.cos(rise), -np.sin(rise), np.sin(side) * np.cos(rise), 0.0])


# --- the families ------------------------------------------------------------------------------------------------


def room(b: SceneBuilder) -> Scene:
    """A furnished room: things on the floor and along the walls, pictures, doors."""
    width, depth, height = b.rng.uniform(3, 7), b.rng.uniform(3, 8), b.rng.uniform(2.3, 3.2)
    low, high = np.array([-width / 2, -height, -depth / 2]), np.array([width / 2, 0.0, depth / 2])
    wall = b.material(1.6, (0.2, 1.3)) if b.rng.random() < 0.6 else None
    walls = [wall or b.material(1.6, (0.3, 1.5)) for _ in range(4)]
    b.hull(low, high, [*walls, b.material(1.8), b.material(1.5, (0.1, 0.8))])
    _on_walls(b, low, high, int(b.rng.integers(4, 12)))
    _along_walls(b, low, high, int(b.rng.integers(1, 5)))
    if b.rng.random() < 0.6:
        _rug(b, np.array([b.rng.uniform(-1, 1), 0.0, b.rng.uniform(-1, 1)]), b.rng.uniform(1.2, 2.5))
    if b.rng.random() < 0.5:
        size = np.array([b.rng.uniform(0.6, 1.4), 0.05, b.rng.uniform(0.5, 0.9)])
        top = _table(
            b, np.array([b.rng.uniform(-0.8, 0.8), 0.0, b.rng.uniform(-0.8, 0.8)]), size, b.rng.uniform(0.4, 0.8)
        )
        _scatter(b, top, (0.3, 0.2), int(b.rng.integers(1, 5)), (0.1, 0.3))
    _scatter(b, np.zeros(3), (width * 0.42, depth * 0.42), int(b.rng.integers(6, 14)), (0.2, 1.0))
    pivot = np.array([b.rng.uniform(-0.2, 0.2) * width, -b.rng.uniform(0.2, 1.2), b.rng.uniform(-0.2, 0.2) * depth])
    eye = _around(b, pivot, b.rng.uniform(0.3, 0.6) * min(width, depth), (-0.05, 0.5))
    return b.finish(pivot, eye, _lamp(b, low, high), max(width, depth) / 2)


def table_top(b: SceneBuilder, thing: Callable[[SceneBuilder, np.ndarray, float], None] = _object) -> Scene:
    """Small things on a table in a room, as one photographs an object."""
    low, high = np.array([-3.0, -2.6, -3.0]), np.array([3.0, 0.0, 3.0])
    low[[0, 2]] *= b.rng.uniform(0.7, 1.6, 2)
    high[[0, 2]] *= b.rng.uniform(0.7, 1.6, 2)
    walls = [b.photo() if b.rng.random() < 0.4 else b.material(1.6, (0.3, 1.5)) for _ in range(4)]
    b.hull(low, high, [*walls, b.material(1.8), b.material(1.5, (0.1, 0.8))])
    _on_walls(b, low, high, int(b.rng.integers(3, 8)))
    _along_walls(b, low, high, int(b.rng.integers(2, 6)))
    size = np.array([b.rng.uniform(0.9, 2.0), 0.05, b.rng.uniform(0.9, 2.0)])
    top = _table(b, np.zeros(3), size, b.rng.uniform(0.6, 0.85))
    _scatter(b, top, (0.34, 0.34), int(b.rng.integers(5, 12)), (0.12, 0.42), thing)
    pivot = top + np.array([b.rng.uniform(-0.1, 0.1), -b.rng.uniform(0.03, 0.15), b.rng.uniform(-0.1, 0.1)])
    eye = _around(b, pivot, b.rng.uniform(0.6, 1.3), (0.12, 0.85))
    return b.finish(pivot, eye, _lamp(b, low, high), 2.5)


def open_ground(b: SceneBuilder, hilly: bool = False) -> Scene:
    """Blocks, poles and boulders on open ground, flat or with low hills, before photographed horizons and sky."""
    reach = b.rng.uniform(9, 30)
    low, high = np.array([-reach, -reach * b.rng.uniform(0.5, 0.9), -reach]), np.array([reach, 0.0, reach])
    backdrop = b.photo()
    walls = [backdrop if b.rng.random() < 0.4 else b.photo() for _ in range(4)]
    b.hull(low, high, [*walls, b.material(3.5), b.material(20.0, (0.05, 0.3))], horizon=True)
    _scatter(b, np.zeros(3), (5.0, 5.0), int(b.rng.integers(10, 20)), (0.6, 2.6))
    if hilly:
        _hills(b, reach, b.material(3.5))
    for _ in range(int(b.rng.integers(0, 5))):
        foot = np.array([b.rng.uniform(-6, 6), 0.0, b.rng.uniform(-6, 6)])
        b.shell(foot, b.rng.uniform(2, 4), 0.1, b.rng.uniform(0.05, 0.1), b.material(0.4))
    pivot = np.array([b.rng.uniform(-1, 1), -b.rng.uniform(0.4, 1.5), b.rng.uniform(-1, 1)])
    return b.finish(pivot, _around(b, pivot, b.rng.uniform(2.5, 6.0), (0.02, 0.5)), _sun(b), 7.5)


def layered_panels(b: SceneBuilder) -> Scene:
    """Upright panels at several depths, like trees, people or shelves before one another."""
    low, high = np.array([-6.0, -4.5, -5.0]), np.array([6.0, 0.0, 7.0])
    horizon = bool(b.rng.random() < 0.5)
    walls = [b.photo() if horizon else b.material(2.0) for _ in range(4)]
    b.hull(low, high, [*walls, b.material(2.0), b.material(2.0, (0.1, 0.8))], horizon)
    for _ in range(int(b.rng.integers(6, 14))):
        width, height = b.rng.uniform(0.3, 1.6), b.rng.uniform(0.6, 2.6)
        lift = 0.0 if b.rng.random() < 0.7 else b.rng.uniform(0.2, 1.5)
        centre = np.array([b.rng.uniform(-3.5, 3.5), -height / 2 - lift, b.rng.uniform(-1.5, 5.0)])
        b.panel(centre, width, height, b.rng.uniform(-0.9, 0.9), b.any_look(b.rng.uniform(0.8, 2.0)))
    _scatter(b, np.array([0.0, 0.0, 1.5]), (3.0, 3.0), int(b.rng.integers(3, 8)), (0.3, 0.9))
    pivot = np.array([b.rng.uniform(-1, 1), -b.rng.uniform(0.7, 1.5), b.rng.uniform(0.0, 2.0)])
    eye = pivot + np.array([b.rng.uniform(-1.5, 1.5), b.rng.uniform(-0.7, 0.3), -b.rng.uniform(1.5, 4.0)])
    return b.finish(pivot, np.minimum(eye, [5.0, -0.3, 6.0]), _sun(b) if horizon else _lamp(b, low, high), 6.0)


def photo_relief(b: SceneBuilder) -> Scene:
    """A photograph cut into tiles that stand out by different depths: what a real picture would look like in 3D."""
    low, high = np.array([-5.0, -4.5, -5.0]), np.array([5.0, 0.0, 4.0])
    b.hull(low, high, [b.photo(), *[b.material(2.0) for _ in range(4)], b.material(2.0, (0.1, 0.8))])
    columns, rows = int(b.rng.integers(5, 8)), int(b.rng.integers(3, 6))
    wide, tall = b.rng.uniform(3.0, 5.5), b.rng.uniform(2.0, 3.2)
    picture, back, lift = b.photo(), b.rng.uniform(1.5, 2.5), b.rng.uniform(0.0, 0.6)
    size = np.array([wide / columns, tall / rows])
    for column, depth in enumerate(_bumps(b, columns, rows)):
        for row, out in enumerate(depth):
            part = replace(picture, part=(column / columns, row / rows, 1 / columns, 1 / rows))
            base = np.array([(column + 0.5) * size[0] - wide / 2, (row + 1) * size[1] - tall - lift, back - out / 2])
            b.box(base, np.array([size[0], size[1], out]), 0.0, [part] * 5)
    _scatter(b, np.array([0.0, 0.0, -0.5]), (2.0, 0.8), int(b.rng.integers(0, 5)), (0.2, 0.7))
    pivot = np.array([b.rng.uniform(-0.7, 0.7), -lift - tall * b.rng.uniform(0.3, 0.7), back - 0.5])
    eye = pivot + np.array([b.rng.uniform(-1.2, 1.2), b.rng.uniform(-0.5, 0.3), -b.rng.uniform(1.6, 3.4)])
    eye[1] = np.clip(eye[1], low[1] + 0.4, -0.3)
    return b.finish(pivot, eye, _lamp(b, low, high), 4.0)


def _bumps(b: SceneBuilder, columns: int, rows: int) -> np.ndarray:
    """(columns, rows) metres by which tiles stand out: a tilted plane, a smooth bump or none, and steps."""
    x, y = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows), indexing="ij")
    tilt, bump, step = b.rng.uniform(-0.35, 0.35, 2), b.rng.uniform(0, 0.8), b.rng.uniform(0.0, 0.3)
    middle = b.rng.uniform(-0.6, 0.6, 2)
    smooth = tilt[0] * x + tilt[1] * y + bump * np.exp(-2 * ((x - middle[0]) ** 2 + (y - middle[1]) ** 2))
    out = smooth + step * b.rng.uniform(-1, 1, (columns, rows))
    return out - out.min() + 0.1


def street(b: SceneBuilder) -> Scene:
    """A road between facades with windows: kerbs, lamp posts, cars, trees, before a photographed end and sky."""
    width, length, tall = b.rng.uniform(8, 14), b.rng.uniform(22, 40), b.rng.uniform(9, 16)
    low, high = np.array([-width / 2 - 0.2, -tall - 6, -length / 2]), np.array([width / 2 + 0.2, 0.0, length / 2])
    ends = [b.photo(), b.photo()]
    b.hull(low, high, [*ends, b.photo(), b.photo(), b.material(3.0), b.photo()], horizon=True)
    road = width * b.rng.uniform(0.24, 0.32)
    for side in (-1.0, 1.0):
        _facades(b, side, width / 2, length, tall)
        pavement = np.array([width / 2 - road, 0.14, length])
        b.box(np.array([side * (road + pavement[0] / 2), 0.0, 0.0]), pavement, 0.0, [b.material(1.2)] * 5)
    for _ in range(int(b.rng.integers(1, 6))):
        lane = b.rng.choice([-1.0, 1.0])
        _car(b, np.array([lane * (road - 1.1), 0.0, b.rng.uniform(-0.42, 0.42) * length]))
    step = b.rng.uniform(6, 11)
    for z in np.arange(-length / 2 + b.rng.uniform(1, 6), length / 2 - 1, step):
        for side in (-1.0, 1.0):
            if b.count < MAX_SURFACES - 20:
                foot = np.array([side * (road + 0.5), -0.14, z])
                (_lamp_post if b.rng.random() < 0.4 else _tree)(b, foot)
    pivot = np.array([b.rng.uniform(-0.2, 0.2) * width, -b.rng.uniform(0.8, 2.2), b.rng.uniform(-0.1, 0.35) * length])
    eye = np.array([b.rng.uniform(-0.6, 0.6) * road, -b.rng.uniform(1.2, 2.0), pivot[2] - b.rng.uniform(4, 9)])
    eye[2] = max(eye[2], low[2] + 1.0)
    return b.finish(pivot, eye, _sun(b), length / 3)


def furnished_room(b: SceneBuilder) -> Scene:
    """A room of furniture built of parts: shelves with books, a table with chairs, framed pictures, skirting boards."""
    width, depth, height = b.rng.uniform(3.2, 6), b.rng.uniform(3.2, 7), b.rng.uniform(2.4, 3.0)
    low, high = np.array([-width / 2, -height, -depth / 2]), np.array([width / 2, 0.0, depth / 2])
    wall = b.material(1.6, (0.1, 0.8))
    b.hull(low, high, [*[wall] * 4, b.material(1.6), b.material(1.5, (0.05, 0.4))])
    _skirting(b, low, high)
    _framed_pictures(b, low, high, int(b.rng.integers(3, 8)))
    for _ in range(int(b.rng.integers(1, 3))):
        _bookshelf(b, low, high)
    _along_walls(b, low, high, int(b.rng.integers(0, 3)))
    if b.rng.random() < 0.7:
        _rug(b, np.array([b.rng.uniform(-0.4, 0.4), 0.0, b.rng.uniform(-0.4, 0.4)]), b.rng.uniform(1.4, 2.6))
    at = np.array([b.rng.uniform(-0.15, 0.15) * width, 0.0, b.rng.uniform(-0.15, 0.15) * depth])
    size, tall = np.array([b.rng.uniform(0.8, 1.5), 0.05, b.rng.uniform(0.7, 0.9)]), b.rng.uniform(0.68, 0.78)
    top = _table(b, at, size, tall)
    _scatter(b, top, (0.3, 0.2), int(b.rng.integers(2, 6)), (0.08, 0.28))
    for angle in b.rng.uniform(0, 2 * np.pi) + np.arange(int(b.rng.integers(1, 4))) * np.pi / 2:
        if b.count > MAX_SURFACES - 35:
            break
        away = yaw_matrix(angle) @ np.array([0.0, 0.0, b.rng.uniform(0.75, 1.05)])
        _chair(b, at + away, angle)
    pivot = at + np.array([b.rng.uniform(-0.3, 0.3), -b.rng.uniform(0.5, 1.0), b.rng.uniform(-0.3, 0.3)])
    eye = _around(b, pivot, b.rng.uniform(0.32, 0.48) * min(width, depth), (0.05, 0.5))
    return b.finish(pivot, eye, _lamp(b, low, high), max(width, depth) / 2)


# --- furniture and what stands in streets, of parts -------------------------------------------------------------------


def _chair(b: SceneBuilder, at: np.ndarray, yaw: float) -> None:
    """Four legs, a seat and a back that stands away from the table at the origin of `yaw`."""
    wood, seat = b.material(0.4), b.any_look(0.5)
    turn, height, half = yaw_matrix(yaw), b.rng.uniform(0.42, 0.48), b.rng.uniform(0.19, 0.23)
    for x, z in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
        foot = at + turn @ np.array([x * (half - 0.03), 0.0, z * (half - 0.03)])
        b.box(foot, np.array([0.04, height, 0.04]), yaw, [wood] * 5)
    b.box(at - np.array([0.0, height, 0.0]), np.array([2 * half, 0.04, 2 * half]), yaw, [seat] * 5)
    back = at - np.array([0.0, height + 0.04, 0.0]) + turn @ np.array([0.0, 0.0, half - 0.02])
    b.box(back, np.array([2 * half, b.rng.uniform(0.4, 0.55), 0.03]), yaw, [seat] * 5)


def _bookshelf(b: SceneBuilder, low: np.ndarray, high: np.ndarray) -> None:
    """Two sides, a back, boards and rows of books of many heights and spines, against a wall."""
    wood = b.material(0.8)
    wide, tall, deep = b.rng.uniform(0.7, 1.1), b.rng.uniform(1.2, min(2.0, -low[1] - 0.2)), b.rng.uniform(0.24, 0.32)
    wall = int(b.rng.integers(4))
    yaw = wall * np.pi / 2
    turn = yaw_matrix(yaw)
    span, reach = (high - low)[[0, 2]] if wall % 2 == 0 else (high - low)[[2, 0]]
    slide = b.rng.uniform(-0.5, 0.5) * max(span - wide - 0.2, 0.0)
    base = turn @ np.array([slide, 0.0, reach / 2 - deep / 2 - 0.03])  # local -z looks into the room
    rows = int(b.rng.integers(3, 5))
    step = (tall - 0.03) / rows
    for x in (-1, 1):
        b.box(base + turn @ np.array([x * (wide / 2 - 0.015), 0.0, 0.0]), np.array([0.03, tall, deep]), yaw, [wood] * 5)
    for row in range(rows + 1):
        lift = np.array([0.0, -row * step, 0.0])
        b.box(base + lift, np.array([wide - 0.06, 0.03, deep]), yaw, [wood] * 5)
        if row < rows:
            _books(b, base + lift - np.array([0.0, 0.03, 0.0]), yaw, wide - 0.08, step - 0.05, deep)


def _books(b: SceneBuilder, base: np.ndarray, yaw: float, wide: float, tall: float, deep: float) -> None:
    """A row of a few thin boxes of different heights; a gap where somebody has taken some."""
    at, turn = -wide / 2, yaw_matrix(yaw)
    while at < wide / 2 - 0.09 and b.count < MAX_SURFACES - 110:
        thick = b.rng.uniform(0.04, 0.09)
        if b.rng.random() < 0.85:
            size = np.array([thick * 0.95, tall * b.rng.uniform(0.6, 0.97), deep * b.rng.uniform(0.6, 0.8)])
            place = base + turn @ np.array([at + thick / 2, 0.0, 0.02])
            spine = b.any_look(b.rng.uniform(0.1, 0.4))
            # What is seen of a book is its spine, its top and a bit of its sides.
            faces = _box_faces(place, size, yaw)
            b.add_faces(faces[[0, 2, 3, 4]], [spine] * 4)
        at += thick


def _skirting(b: SceneBuilder, low: np.ndarray, high: np.ndarray) -> None:
    """A board of a hand's height along each wall."""
    size, centre, tall, look = high - low, (high + low) / 2, b.rng.uniform(0.06, 0.12), b.material(0.6)
    for wall in range(4):
        origin, edge_u, edge_v = _INSIDE[wall] * size
        across = edge_u / np.linalg.norm(edge_u)
        inward = -np.cross(across, [0.0, 1.0, 0.0])
        corner = centre + origin + edge_v * (1 - tall / size[1]) + 0.012 * inward
        b.rectangle(corner, edge_u, edge_v * (tall / size[1]), look)


def _framed_pictures(b: SceneBuilder, low: np.ndarray, high: np.ndarray, count: int) -> None:
    """Pictures, windows with cross bars and doors in frames, not over each other."""
    size, centre = high - low, (high + low) / 2
    taken: list[tuple[int, float, float]] = []
    for _ in range(count):
        wall, kind = int(b.rng.integers(4)), b.rng.random()
        origin, edge_u, _ = _INSIDE[wall] * size
        length = float(np.linalg.norm(edge_u))
        door, window = kind < 0.15, 0.15 <= kind < 0.4
        wide = b.rng.uniform(0.8, 0.95) if door else b.rng.uniform(0.8, 1.4) if window else b.rng.uniform(0.3, 0.9)
        tall = 2.02 if door else b.rng.uniform(0.9, 1.3) if window else b.rng.uniform(0.3, 0.7)
        left = b.rng.uniform(0.12, max(length - wide - 0.12, 0.13))
        if any(w == wall and left < right + 0.1 and left + wide > start - 0.1 for w, start, right in taken):
            continue
        taken.append((wall, left, left + wide))
        top = size[1] - tall if door else b.rng.uniform(0.25, 0.9) * (size[1] - 0.9 - tall) + 0.1
        across, down = edge_u / length, np.array([0.0, 1.0, 0.0])
        inward = -np.cross(across, down)
        corner = centre + origin + left * across + max(top, 0.05) * down
        rim, frame = b.rng.uniform(0.03, 0.08), b.material(0.3)
        b.rectangle(corner + 0.015 * inward, across * wide, down * tall, frame)
        inner = corner + rim * (across + down) + 0.022 * inward
        pane = across * (wide - 2 * rim), down * (tall - 2 * rim)
        b.rectangle(inner, *pane, b.material(0.9) if door else b.photo())
        if window:
            bar = inner + pane[0] / 2 - 0.02 * across + 0.007 * inward
            b.rectangle(bar, across * 0.04, pane[1], frame)


def _facades(b: SceneBuilder, side: float, distance: float, length: float, tall: float) -> None:
    """House fronts of different heights and depths along one side, with rows of windows and a door."""
    z = -length / 2
    while z < length / 2 - 2:
        wide = min(b.rng.uniform(5, 11), length / 2 - z)
        height, deep = tall * b.rng.uniform(0.5, 1.0), b.rng.uniform(0.1, 0.7)
        front = b.material(2.5, (0.5, 1.4)) if b.rng.random() < 0.7 else b.photo(4.0)
        b.box(
            np.array([side * (distance - deep / 2), 0.0, z + wide / 2]),
            np.array([deep, height, wide]),
            0.0,
            [front] * 5,
        )
        _windows(b, side, distance - deep - 0.02, z, wide, height)
        z += wide


def _windows(b: SceneBuilder, side: float, x: float, z: float, wide: float, height: float) -> None:
    """Equal windows in rows and columns, and a door, on a front at x (times the side)."""
    glass, columns, rows = b.photo(), int(np.clip(wide // 2.6, 1, 3)), int(np.clip(height // 3.2, 1, 2))
    size = np.array([b.rng.uniform(0.8, 1.3), b.rng.uniform(1.1, 1.7)])
    along = np.array([0.0, 0.0, -side])  # to the right of who looks at the front
    for row in range(rows):
        for column in range(columns):
            is_door = row == 0 and column == columns // 2
            extent = np.array([1.1, 2.1]) if is_door else size
            middle = z + (column + 0.5) * wide / columns
            bottom = 0.1 if is_door else 1.0 + 3.0 * row
            start = np.array([side * x, -(bottom + extent[1]), middle]) - along * extent[0] / 2
            b.rectangle(
                start, along * extent[0], np.array([0.0, extent[1], 0.0]), b.material(1.0) if is_door else glass
            )


def _lamp_post(b: SceneBuilder, foot: np.ndarray) -> None:
    metal, height = b.material(0.5), b.rng.uniform(3, 5)
    b.shell(foot, height, 0.08, 0.05, metal)
    b.box(foot - np.array([0.0, height, 0.0]), np.array([0.35, 0.25, 0.35]), 0.0, [b.photo()] * 5)


def _tree(b: SceneBuilder, foot: np.ndarray) -> None:
    """A trunk and a crown of two or three ellipsoids."""
    height, leaves = b.rng.uniform(1.5, 2.6), b.any_look(1.0)
    b.shell(foot, height, b.rng.uniform(0.1, 0.18), 0.09, b.material(0.4))
    for _ in range(int(b.rng.integers(2, 4))):
        centre = foot - np.array([0.0, height + b.rng.uniform(0.2, 1.2), 0.0]) + b.rng.uniform(-0.4, 0.4, 3)
        b.ball(centre, b.rng.uniform(0.6, 1.2, 3), b.rng.uniform(0, 3), leaves)


def _car(b: SceneBuilder, at: np.ndarray) -> None:
    """A body, a cabin with windows all around and four wheels, parked along the road."""
    paint, glass, tyre = b.material(3.0, (0.1, 0.5)), b.photo(), b.material(0.3, (0.2, 0.6))
    yaw = b.rng.normal(0, 0.05)
    turn, wheel = yaw_matrix(yaw), 0.32
    long, wide, low = b.rng.uniform(3.6, 4.6), b.rng.uniform(1.6, 1.85), b.rng.uniform(0.55, 0.75)
    b.box(at - np.array([0.0, 0.28, 0.0]), np.array([wide, low, long]), yaw, [paint] * 5)
    cabin = at - np.array([0.0, 0.28 + low, 0.0]) + turn @ np.array([0.0, 0.0, -0.15 * long])
    b.box(cabin, np.array([0.86 * wide, b.rng.uniform(0.45, 0.7), 0.52 * long]), yaw, [glass] * 4 + [paint])
    for x, z in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
        hub = at + np.array([0.0, -wheel, 0.0]) + turn @ np.array([x * (wide / 2 - 0.06), 0.0, z * 0.31 * long])
        b.ball(hub, np.array([0.12, wheel, wheel]), yaw, tyre)


FAMILIES = {
    "room": room,
    "table": table_top,
    "soft": partial(table_top, thing=_any_object),
    "ground": open_ground,
    "hills": partial(open_ground, hilly=True),
    "panels": layered_panels,
    "street": street,
    "furnished": furnished_room,
    "relief": photo_relief,
}
FAMILY_WEIGHTS = {
    "room": 0.18, "table": 0.16, "soft": 0.1, "ground": 0.08, "hills": 0.06, "panels": 0.06, "street": 0.12,
    "furnished": 0.14, "relief": 0.1,
}  # fmt: skip


def sample_scene(rng: np.random.Generator, bank: TextureBank, family: str | None = None) -> tuple[str, Scene]:
    """A random scene, of a given family or of any, and the name of its family.

    The families count as they build; the rare scene that still has more than MAX_SURFACES is drawn again.
    """
    names = list(FAMILIES)
    name = family or names[int(rng.choice(len(names), p=[FAMILY_WEIGHTS[n] for n in names]))]
    while True:
        scene = FAMILIES[name](SceneBuilder(rng, bank))
        if len(scene.textures) <= MAX_SURFACES:
            return name, scene
