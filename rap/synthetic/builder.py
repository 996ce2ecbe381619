"""Building a scene (`rap.synthetic.scene`): surfaces one by one, each with its look."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rap.synthetic.scene import ELLIPSOID, FLOOR, ROUND, Scene
from rap.synthetic.textures import TextureBank

SKIES = (
    ((150, 155, 165), (245, 245, 250)),
    ((90, 140, 190), (165, 200, 250)),
    ((150, 110, 90), (250, 200, 180)),
    ((5, 5, 10), (45, 45, 60)),
)
"""Colours (0..255) between which a sky is drawn: overcast, blue, dusk, night."""
SKY_SHARES = (0.4, 0.4, 0.13, 0.07)

DISC_HALF_HEIGHT = 0.002  # of what closes a cup or a column


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
INSIDE = (
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


def box_faces(base: np.ndarray, size: np.ndarray, yaw: float) -> np.ndarray:
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

    def plain(self) -> Look:
        """Paint: a material whose pattern is hardly seen."""
        return self.material(1.5, (0.02, 0.2))

    def tiles(self, tile: float) -> Look:
        """Plain tiles or panels with seams; one copy of about `tile` metres holds one to sixteen."""
        return self._look(self.bank.tiles, tile * self.rng.uniform(0.7, 1.4), self.rng.uniform(0.6, 1.2))

    def photo(self, tile: float = 0.0) -> Look:
        """A photograph, stretched over the surface or repeated (mirrored) every `tile` metres."""
        return self._look(self.bank.photos, tile, self.rng.uniform(0.85, 1.15))

    def sky(self) -> Look:
        """Overcast, blue, at dusk or at night: nearly one colour, with what little a photograph adds."""
        texture = int(self.bank.photos[self.rng.integers(len(self.bank.photos))])
        low, high = SKIES[int(self.rng.choice(len(SKIES), p=SKY_SHARES))]
        colour = np.array(low) + self.rng.random() * np.subtract(high, low) + self.rng.normal(0, 5, 3)
        gain = np.full(3, 0.3 * self.rng.random() ** 2)
        return Look(texture, 0.0, gain, colour - gain * self.bank.means[texture])

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
        faces = INSIDE * size
        faces[:, 0] += centre
        for k, (face, look) in enumerate(zip(faces, looks, strict=True)):
            self.add_faces(face[None], [look], lit=k == FLOOR or not horizon)

    def box(self, base: np.ndarray, size: np.ndarray, yaw: float, looks: list[Look]) -> None:
        """A solid box standing on the point `base` (centre of its bottom)."""
        centre, turn = base - np.array([0.0, size[1] / 2, 0.0]), yaw_matrix(yaw)
        faces = box_faces(base, size, yaw)
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
