"""Single pictures: how people hold cameras for photographs, which teach the depth and the lens of one picture.

Beside clips: a scene of its own for every picture, more of them under an open sky, lenses from wide to long, cameras
that are tilted and rolled, and near things before far ones, which a path would have to go around.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.se3 import from_rotation_translation
from rap.synthetic.families import STILL_WEIGHTS, sample_scene
from rap.synthetic.motion import rotations_from_angles
from rap.synthetic.render import ID_MASK, Views, cast
from rap.synthetic.scene import FLOOR, Scene
from rap.synthetic.textures import TextureBank

FOCAL_MEDIAN, FOCAL_SPREAD, FOCAL_LIMITS = 0.75, 0.36, (0.38, 2.5)
"""Focal length over the long side: median, standard deviation of its log, and its limits."""

TILTS_RAD, TILTED_SHARE = (math.radians(7.0), math.radians(25.0)), 0.25
ROLLS_RAD, ROLLED_SHARE = (math.radians(3.0), math.radians(20.0)), 0.15
"""Standard deviations beside the aim: as most pictures are held, and of the share that is far from it."""

WALL_SHARE, WALL_DISTANCE, WALL_SLANT_RAD, WALL_ROLL_RAD = 0.25, (0.5, 2.5), (0.15, 1.25), math.radians(35.0)
"""Of the pictures in rooms, close-ups of a wall: metres to it, angle to its normal, standard deviation of roll."""

AIM_RAD, DISTANCE_SPREAD = math.radians(10.0), 0.35
ATTEMPTS, VIEWS_OF_A_SCENE = 50, 4
PROBE_SIDE = 24
LEAST_CLEARANCE = 0.12
"""Of the distance to what is looked at (2 m at most): the camera stays so far from all, and sees nothing nearer."""

MOST_OF_ONE, MOST_OF_A_WALL, LEAST_MEDIAN = 0.8, 0.97, 0.1
"""Shares of the picture that one surface may fill; and median inverse depth over the mean: less is mostly sky."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A clip, or one picture, before it is rendered."""

    scene: Scene
    views: Views
    kind: str


def plan_still(rng: np.random.Generator, size: tuple[int, int], bank: TextureBank, family: str | None = None) -> Plan:
    """Draw a scene and one camera in it.

    Args:
        size: (h, w) in pixels.
        family: a key of families.FAMILIES; None draws it too.
    """
    for _ in range(ATTEMPTS):
        name, scene = sample_scene(rng, bank, family, STILL_WEIGHTS)
        of_a_wall = bool(scene.lit[:FLOOR].all() and rng.random() < WALL_SHARE)
        for _ in range(VIEWS_OF_A_SCENE):
            views = sample_view(rng, scene, size, of_a_wall)
            if is_telling(scene, views, MOST_OF_A_WALL if of_a_wall else MOST_OF_ONE):
                return Plan(scene, views, f"{name}/photograph")
    raise RuntimeError(f"no view in {ATTEMPTS} scenes shows enough (family: {family}); please report the seed")


def sample_view(rng: np.random.Generator, scene: Scene, size: tuple[int, int], of_a_wall: bool = False) -> Views:
    """A camera about where the scene has it, nearer or farther, aimed about its pivot, tilted and rolled.

    Args:
        of_a_wall: close to a wall of the hull instead, at a slant, held anyhow.
    """
    h, w = size
    focal = float(np.clip(FOCAL_MEDIAN * math.exp(FOCAL_SPREAD * rng.normal()), *FOCAL_LIMITS))
    intrinsics = intrinsics_from_fov(2 * math.atan(h / (2 * focal * max(h, w))), size)
    if of_a_wall:
        eye, ahead = _before_a_wall(rng, scene)
        roll = WALL_ROLL_RAD * rng.normal()
    else:
        eye = scene.pivot + (scene.eye - scene.pivot) * math.exp(DISTANCE_SPREAD * rng.normal())
        ahead = scene.pivot - scene.eye
        roll = ROLLS_RAD[int(rng.random() < ROLLED_SHARE)] * rng.normal()
    yaw = math.atan2(ahead[0], ahead[2]) + AIM_RAD * rng.normal()
    pitch = math.atan2(-ahead[1], math.hypot(ahead[0], ahead[2]))
    pitch += TILTS_RAD[int(rng.random() < TILTED_SHARE)] * rng.normal()
    R = rotations_from_angles(np.array([yaw]), np.array([pitch]), np.array([roll]))
    return Views(from_rotation_translation(R, eye[None]), intrinsics[None], size)


def _before_a_wall(rng: np.random.Generator, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """(3,) a camera's centre, and (3,) the way to a point of one of the four walls."""
    wall = int(rng.integers(FLOOR))
    edges = np.stack([scene.edges_u[wall], scene.edges_v[wall]])
    inward = -np.cross(*edges) / np.linalg.norm(np.cross(*edges))
    angle, slant = rng.uniform(0, 2 * math.pi), rng.uniform(*WALL_SLANT_RAD)
    along = np.array([math.cos(angle), math.sin(angle)]) @ (edges / np.linalg.norm(edges, axis=1, keepdims=True))
    away = rng.uniform(*WALL_DISTANCE) * (math.cos(slant) * inward + math.sin(slant) * along)
    return scene.origins[wall] + rng.uniform(0.15, 0.85, 2) @ edges + away, -away


def is_telling(scene: Scene, views: Views, most_of_one: float = MOST_OF_ONE) -> bool:
    """Whether the camera stands clear, sees more than one surface or the sky, and nothing right before it.

    Args:
        most_of_one: share of the picture that one surface may fill.
    """
    eye = views.Ts_scene_camera[:, :3, 3]
    clearance = LEAST_CLEARANCE * min(2.0, float(np.linalg.norm(scene.pivot - eye[0])))
    if not scene.is_free(eye, margin=clearance):
        return False
    h, w = views.size
    shrink = np.array([PROBE_SIDE / w, PROBE_SIDE / h] * 2)
    keys = cast(scene, Views(views.Ts_scene_camera, views.intrinsics * shrink, (PROBE_SIDE, PROBE_SIDE))).keys.flatten()
    if int((keys & ID_MASK).bincount().max()) > most_of_one * PROBE_SIDE**2:
        return False
    nearness = keys.numpy().view(np.float32)
    return bool(nearness.max() * clearance < 1 and np.median(nearness) > LEAST_MEDIAN * nearness.mean())
