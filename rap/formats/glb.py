"""GLB (binary glTF 2.0) of a camera path: frusta and path line, to look at in any 3D program. Write-only.

- Axes: glTF is right-handed with +y up and looks along -z, our world (the source camera) has +y down and looks along
  +z, so every point is multiplied by diag(1, -1, -1). The viewer then starts out upright, behind the source camera.
- World: the source camera, whatever the trajectory's own world is; unit: the trajectory's.
- Three meshes: `frusta` (closed pyramids), `edges` (their outlines, as lines, with a tick at the top of the image) and
  `path` (a line through the centres). Colour runs from blue (first frame) to orange (last frame).

Reference: Khronos glTF 2.0 specification, section 3.4 (coordinate system).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float
from trimesh.exchange.gltf import export_glb
from trimesh.path import Path3D
from trimesh.path.entities import Line

from rap.formats import checks
from rap.geometry.trajectory import Trajectory
from rap.writing import whole_file

SIGNS_GLTF = np.array([1.0, -1.0, -1.0])
FIRST_RGB, LAST_RGB = (38, 80, 190), (245, 135, 30)

# Points of one frustum: 0 the centre, 1 to 4 the image's corners (top left, then clockwise in the image), 5 the tick.
FACES = np.array([(0, 2, 1), (0, 3, 2), (0, 4, 3), (0, 1, 4), (1, 2, 3), (1, 3, 4)])  # seen from outside, anticlockwise
STRIPS = ((1, 2, 3, 4, 1), (1, 0, 3), (2, 0, 4), (1, 5, 2))
NUM_POINTS = 6
TICK = 0.3


def write(
    path: str | Path,
    trajectory: Trajectory,
    frame_names: Sequence[str] | None = None,
    *,
    frustum_depth: float | None = None,
) -> None:
    """Write the frusta and the path of a trajectory.

    Args:
        frame_names: has no place in it.
        frustum_depth: z-depth of the image plane of the drawn frusta, in the trajectory's unit; a tenth of the path's
            extent by default (0.1 for a camera that does not move).

    Raises:
        ValueError: the names do not fit the frames, or `frustum_depth` is not positive.
    """
    checks.names_for(len(trajectory), frame_names)
    relative = trajectory.relative_to(trajectory.source)
    if frustum_depth is None:
        extent = float(np.linalg.norm(np.ptp(relative.centres, axis=0)))
        frustum_depth = 0.1 * extent if extent > 1e-9 else 0.1
    if not 0.0 < frustum_depth < np.inf:
        raise ValueError(f"frustum_depth must be positive and finite, got {frustum_depth}")
    points = frustum_points(relative, frustum_depth) * SIGNS_GLTF
    scene = trimesh.Scene()
    scene.add_geometry(_solid(points), node_name="frusta", geom_name="frusta")
    scene.add_geometry(_edges(points), node_name="edges", geom_name="edges")
    if len(trajectory) > 1:
        scene.add_geometry(_path_line(points[:, 0]), node_name="path", geom_name="path")
    with whole_file(path) as partial:
        partial.write_bytes(export_glb(scene, tree_postprocessor=_matte))


def frustum_points(trajectory: Trajectory, depth: float) -> Float[np.ndarray, "T 6 3"]:
    """Centre, image corners at z-depth `depth` (from the top left, clockwise) and tick of each camera, in the world."""
    height, width = trajectory.image_size
    corners = np.array(
        [(0, 0), (width, 0), (width, height), (0, height), (width / 2, -TICK * height)], dtype=np.float64
    )
    focal, centre = trajectory.intrinsics[:, None, :2], trajectory.intrinsics[:, None, 2:]
    points_camera = np.zeros((len(trajectory), NUM_POINTS, 3))
    points_camera[:, 1:, :2] = (corners - centre) / focal * depth
    points_camera[:, 1:, 2] = depth
    R = trajectory.Ts_world_camera[:, :3, :3]
    return points_camera @ np.swapaxes(R, -1, -2) + trajectory.centres[:, None]


def _colours(num_frames: int) -> np.ndarray:
    """(T, 4) uint8 from the first to the last frame."""
    share = np.linspace(0.0, 1.0, num_frames)[:, None]
    rgb = (1 - share) * FIRST_RGB + share * LAST_RGB
    return np.concatenate([rgb, np.full_like(share, 255)], axis=1).round().astype(np.uint8)


def _solid(points: Float[np.ndarray, "T 6 3"]) -> trimesh.Trimesh:
    num_frames = len(points)
    faces = (FACES + NUM_POINTS * np.arange(num_frames)[:, None, None]).reshape(-1, 3)
    colours = np.repeat(_colours(num_frames), NUM_POINTS, axis=0)
    return trimesh.Trimesh(points.reshape(-1, 3), faces, vertex_colors=colours, process=False)


def _edges(points: Float[np.ndarray, "T 6 3"]) -> Path3D:
    num_frames = len(points)
    entities = [Line(np.array(strip) + NUM_POINTS * i) for i in range(num_frames) for strip in STRIPS]
    colours = np.repeat(_colours(num_frames), len(STRIPS), axis=0)
    return Path3D(entities, points.reshape(-1, 3), colors=colours, process=False)


def _path_line(centres: Float[np.ndarray, "T 3"]) -> Path3D:
    entities = [Line(np.array([i, i + 1])) for i in range(len(centres) - 1)]
    return Path3D(entities, centres, colors=_colours(len(centres))[1:], process=False)


def _matte(tree: dict) -> None:
    """glTF's default material is polished metal, black without a light: give every mesh a matte, two-sided one."""
    tree["materials"] = [
        {
            "name": "by time",
            "doubleSided": True,
            "pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0, "roughnessFactor": 1},
        }
    ]
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["material"] = 0
