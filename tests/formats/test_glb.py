"""GLB: what trimesh loads back lies where the cameras are, upright, coloured by time."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from trajectory_strategies import orbit

from rap.formats import glb
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory


def points(path: Path, name: str) -> np.ndarray:
    scene = trimesh.load(path, process=False)
    transform, geometry = scene.graph[name]
    return trimesh.transform_points(scene.geometry[geometry].vertices, transform)


def header(path: Path) -> dict:
    content = path.read_bytes()
    assert content[:4] == b"glTF"
    return json.loads(content[20 : 20 + struct.unpack("<I", content[12:16])[0]])


def test_frusta_lie_at_the_cameras_with_y_up(tmp_path: Path) -> None:
    trajectory = orbit(5).relative_to(2)
    glb.write(tmp_path / "new" / "cameras.glb", trajectory, frustum_depth=0.5)
    corners = points(tmp_path / "new" / "cameras.glb", "frusta").reshape(5, 6, 3)
    np.testing.assert_allclose(corners[:, 0], trajectory.centres * [1, -1, -1], atol=1e-6)
    # The source camera: the image plane ahead along -z, its first row of pixels above the last one.
    assert corners[2, 1:, 2] == pytest.approx(-0.5)
    assert corners[2, 1, 1] > corners[2, 4, 1] and corners[2, 1, 0] < corners[2, 2, 0]
    assert corners[2, 5, 1] > corners[2, 1, 1]
    width = 0.5 * 128 / 110.0
    assert corners[2, 2, 0] - corners[2, 1, 0] == pytest.approx(width, rel=1e-6)


def test_pyramids_are_closed_and_face_outwards(tmp_path: Path) -> None:
    glb.write(tmp_path / "cameras.glb", orbit(3), frustum_depth=1.0)
    scene = trimesh.load(tmp_path / "cameras.glb", process=False)
    pyramids = [part for part in scene.geometry["frusta"].split(only_watertight=True)]
    assert len(pyramids) == 3
    expected = (128 / 110.0) * (128 / 112.0) / 3  # a third of base times height
    assert [pyramid.volume for pyramid in pyramids] == pytest.approx([expected] * 3, rel=1e-5)


def test_materials_are_matte_and_colours_run_with_time(tmp_path: Path) -> None:
    glb.write(tmp_path / "cameras.glb", orbit(3))
    tree = header(tmp_path / "cameras.glb")
    assert {mesh["name"] for mesh in tree["meshes"]} == {"frusta", "edges", "path"}
    assert tree["materials"][0]["doubleSided"] and tree["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert all("COLOR_0" in primitive["attributes"] for mesh in tree["meshes"] for primitive in mesh["primitives"])
    colours = trimesh.load(tmp_path / "cameras.glb", process=False).geometry["frusta"].visual.vertex_attributes["color"]
    assert tuple(colours[0][:3]) == glb.FIRST_RGB and tuple(colours[-1][:3]) == glb.LAST_RGB


def test_a_world_of_its_own_becomes_the_source_camera(tmp_path: Path) -> None:
    T = se3.exp([5.0, 6.0, 7.0, 1.0, 2.0, 0.5])
    trajectory = orbit(3).relative_to(0)
    elsewhere = Trajectory(T @ trajectory.Ts_world_camera, trajectory.intrinsics, (128, 128))
    glb.write(tmp_path / "a.glb", trajectory)
    glb.write(tmp_path / "b.glb", elsewhere)
    np.testing.assert_allclose(points(tmp_path / "a.glb", "frusta"), points(tmp_path / "b.glb", "frusta"), atol=1e-5)


@pytest.mark.parametrize("num_frames", [1, 3])
def test_a_static_camera_is_drawn(num_frames: int, tmp_path: Path) -> None:
    static = Trajectory(np.tile(np.eye(4), (num_frames, 1, 1)), np.tile([64.0, 64, 32, 32], (num_frames, 1)), (64, 64))
    glb.write(tmp_path / "cameras.glb", static)
    assert points(tmp_path / "cameras.glb", "frusta")[1, 2] == pytest.approx(-0.1)


@pytest.mark.parametrize("depth", [0.0, -1.0, float("nan"), float("inf")])
def test_a_depth_that_cannot_be_drawn_is_refused(depth: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frustum_depth must be positive and finite"):
        glb.write(tmp_path / "cameras.glb", orbit(), frustum_depth=depth)
