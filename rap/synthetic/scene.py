"""A procedural scene: a box hull around the camera, with rectangles and solids of revolution inside.

Scene frame: x right, y DOWN, z forward, the floor at y = 0 (so that heights are negative y), lengths roughly metres. A
rectangle is seen from the side from which its `edge_u` points right and its `edge_v` points down, so that photographs
stand upright.

A solid of revolution is x^2 + z^2 = p0 + p1 y + p2 y^2, |y| <= 1, in its own frame, which its radii stretch: with the
profile (1, 0, -1) an ellipsoid, with ((a, b) -> a^2, 2 a b, b^2) the shell of a cone or a cylinder of radius a + b y.
An ellipsoid with exponents other than 2 is a superquadric (`rap.synthetic.superquadrics`), and counts as a round solid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HULL_FACES = 6
FLOOR = 4  # among the hull faces
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
