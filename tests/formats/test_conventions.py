"""Each format as the programs themselves take it: axes, order of rotation and lens, worked out here anew.

A point that our camera sees at a pixel must fall on that pixel by the rules of the other program.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from camera_files import made
from test_round_trips import SIZE, example

from rap import formats
from rap.errors import InputError
from rap.formats.table import FACTS
from rap.geometry import Trajectory, se3

POINT = np.array([0.4, -0.7, 6.0])
"""In our world."""

PATH = example(frozenset(FACTS) - {"pixel_shape", "centre", "source"})
H, W = SIZE


def pixels(path: Trajectory = PATH) -> np.ndarray:
    """Where our cameras see the point."""
    camera = np.einsum("tij,j->ti", se3.inverse(path.Ts_world_camera), [*POINT, 1.0])[:, :3]
    return path.intrinsics[:, :2] * camera[:, :2] / camera[:, 2:] + path.intrinsics[:, 2:]


def turn(axis: str, degrees: float) -> np.ndarray:
    """About an axis, by the right-hand rule."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array(
        {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
         "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]]}[axis]
    )  # fmt: skip


def seen_by_opengl(R: np.ndarray, centre: np.ndarray, point: np.ndarray, focal_y: float) -> np.ndarray:
    """Of a camera that looks along -z with y up, square pixels, at which pixel it has a point."""
    x, y, z = R.T @ (point - centre)
    return np.array([W / 2 + focal_y * x / -z, H / 2 - focal_y * y / -z])


def test_nuke_turns_z_then_x_then_y_and_has_y_up(tmp_path: Path) -> None:
    formats.write(tmp_path / "a.chan", PATH)
    rows = [line.split("\t") for line in (tmp_path / "a.chan").read_text().splitlines()]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    for row, expected in zip(rows, pixels(), strict=True):
        tx, ty, tz, rx, ry, rz, fov = map(float, row[1:])
        R, focal = turn("y", ry) @ turn("x", rx) @ turn("z", rz), H / 2 / math.tan(math.radians(fov) / 2)
        found = seen_by_opengl(R, np.array([tx, ty, tz]), POINT * [1, -1, -1], focal)
        np.testing.assert_allclose(found, expected, atol=1e-8)


def test_after_effects_has_our_axes_in_pixels(tmp_path: Path) -> None:
    formats.write(tmp_path / "after_effects.txt", PATH)
    lines = (tmp_path / "after_effects.txt").read_text().split("\n")
    assert lines[0] == "Adobe After Effects 8.0 Keyframe Data" and "\tUnits Per Second\t24.0" in lines
    at = {
        name: lines.index(name) + 2
        for name in ("Transform\tPosition", "Transform\tOrientation", "Camera Options\tZoom")
    }
    for i, expected in enumerate(pixels()):
        position, (ox, oy, oz), (zoom,) = ([float(v) for v in lines[n + i].split("\t")[2:]] for n in at.values())
        R = turn("x", ox) @ turn("y", oy) @ turn("z", oz)
        layer = POINT * 1000 + [W / 2, H / 2, 0]  # where an object stands in the composition
        x, y, z = R.T @ (layer - position)
        np.testing.assert_allclose([W / 2 + zoom * x / z, H / 2 + zoom * y / z], expected, atol=1e-8)


def test_nerfstudios_camera_path_has_the_vertical_field_of_view(tmp_path: Path) -> None:
    formats.write(tmp_path / "camera_path.json", PATH)
    document = json.loads((tmp_path / "camera_path.json").read_text())
    assert (document["render_height"], document["render_width"], document["fps"]) == (H, W, 24.0)
    assert document["seconds"] == pytest.approx(4 / 24) and len(document["keyframes"]) == 4
    for camera, expected in zip(document["camera_path"], pixels(), strict=True):
        T = np.array(camera["camera_to_world"]).reshape(4, 4)
        focal = 0.5 * H / math.tan(math.radians(camera["fov"]) / 2)
        np.testing.assert_allclose(seen_by_opengl(T[:3, :3], T[:3, 3], POINT, focal), expected, atol=1e-8)
        assert camera["aspect"] == W / H


def test_a_camera_path_of_nerfstudios_viewer_is_read(tmp_path: Path) -> None:
    cameras = []
    for i in range(3):
        matrix = np.eye(4)
        matrix[:3, :3] = turn("y", 2.0 * i) @ np.diag([1.0, -1.0, -1.0])
        matrix[:3, 3] = np.array([0.1, 0.02, 0.05]) * i
        cameras.append({"camera_to_world": matrix.reshape(-1).tolist(), "fov": 50.0, "aspect": 1.333})
    document = {"camera_type": "perspective", "render_height": 1080.0, "render_width": 1920.0, "fps": 30.0}
    path = tmp_path / "saved.json"
    path.write_text(json.dumps({**document, "keyframes": [], "camera_path": cameras}))
    found = formats.load(path)
    assert found.format.name == "camera_path" and found.trajectory.fps == 30.0
    np.testing.assert_allclose(found.trajectory.centres[1], [0.1, 0.02, 0.05])
    assert math.degrees(found.trajectory.fov_y_rad[0]) == pytest.approx(50.0)
    np.testing.assert_allclose(found.trajectory.Ts_world_camera[1, :3, :3], turn("y", 2.0), atol=1e-12)
    for change, words in (
        ({"camera_type": "equirectangular"}, "camera_type is 'equirectangular', expected perspective"),
        ({"camera_path": [{**cameras[0], "fov": 200}]}, "camera 0: fov is 200, expected degrees between 0 and 180"),
        ({"camera_path": [{"fov": 50}]}, "camera 0: camera_to_world is None, expected a list of 16 numbers"),
    ):
        path.write_text(json.dumps({**document, "camera_path": cameras, **change}))
        with pytest.raises(InputError) as error:
            formats.read(path)
        assert words in str(error.value)


@pytest.mark.parametrize("name", ["gen3c", "lyra2", "c2w"])
def test_arrays_are_what_generators_load(name: str, tmp_path: Path) -> None:
    path = example(frozenset(FACTS) - {"source"})
    formats.write(tmp_path / f"{name}.npz", path)
    with np.load(tmp_path / f"{name}.npz") as arrays:
        poses, K = {"gen3c": ("w2cs_all", "Ks_all"), "lyra2": ("w2c", "intrinsics"), "c2w": ("c2w", "K")}[name]
        w2c = np.linalg.inv(arrays[poses]) if name == "c2w" else arrays[poses]
        seen = np.einsum("tij,tj->ti", arrays[K], (w2c @ [*POINT, 1.0])[:, :3])
        assert (int(arrays["image_height"]), int(arrays["image_width"])) == SIZE
    np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], pixels(path), atol=2e-4 if name == "c2w" else 1e-9)


def test_arrays_without_a_size_say_what_is_taken_for_it(tmp_path: Path) -> None:
    Ks = np.tile([[500.0, 0, 640], [0, 500, 352], [0, 0, 1]], (3, 1, 1))
    np.savez(tmp_path / "a.npz", w2cs_all=np.tile(np.eye(4), (3, 1, 1)), Ks_all=Ks)
    found = formats.load(tmp_path / "a.npz")
    assert found.format.name == "gen3c" and found.trajectory.image_size == (704, 1280)
    assert "twice its principal point, 1280 x 704, is taken" in found.notes[0]
    np.savez(tmp_path / "b.npz", w2c=np.tile(np.eye(4), (3, 1, 1)), intrinsics=Ks[:2])
    with pytest.raises(InputError, match="b.npz: intrinsics has 2 matrices for 3 poses"):
        formats.read(tmp_path / "b.npz")


def test_stable_virtual_camera_is_told_which_frames_to_make(tmp_path: Path) -> None:
    path = example(frozenset(FACTS))
    formats.write(tmp_path / "seva", path, [f"{i}.png" for i in range(4)], format_name="stable_virtual_camera")
    split = json.loads((tmp_path / "seva/train_test_split_1.json").read_text())
    frames = json.loads((tmp_path / "seva/transforms.json").read_text())["frames"]
    assert split == {"train_ids": [2], "test_ids": [0, 1, 3]}
    assert [frame["file_path"] for frame in frames] == [None, None, "2.png", None]
    for frame, expected in zip(frames, pixels(path), strict=True):  # as its parser has it
        c2w = np.array(frame["transform_matrix"])
        c2w[:, [1, 2]] *= -1
        x, y, z = (np.linalg.inv(c2w) @ [*POINT, 1.0])[:3]
        np.testing.assert_allclose(
            [frame["fl_x"] * x / z + frame["cx"], frame["fl_y"] * y / z + frame["cy"]], expected, atol=1e-9
        )


def test_nerfs_loader_of_llff_turns_it_to_opengl(tmp_path: Path) -> None:
    path = made(tmp_path / "poses_bounds.npy", PATH, "llff")
    rows = np.load(path)
    matrices = rows[:, :15].reshape(-1, 3, 5)
    turned = np.concatenate([matrices[:, :, 1:2], -matrices[:, :, 0:1], matrices[:, :, 2:]], axis=2)
    for T, expected in zip(turned, pixels(), strict=True):
        np.testing.assert_allclose(seen_by_opengl(T[:, :3], T[:, 3], POINT, T[2, 4]), expected, atol=1e-9)
    np.testing.assert_allclose(formats.read(path).Ts_world_camera, PATH.Ts_world_camera, atol=1e-12)
    (tmp_path / "images").mkdir()
    for i in range(4):
        (tmp_path / f"images/IMG_{i}.JPG").touch()
    assert formats.read_frame_names(tmp_path) == tuple(f"images/IMG_{i}.JPG" for i in range(4))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="it holds objects"):
        formats.read(tmp_path / "objects.npy")
    (tmp_path / "cut.npy").write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="cut.npy: is cut off"):
        formats.read(tmp_path / "cut.npy")


def test_usds_own_frustum_sees_the_point_there(tmp_path: Path) -> None:
    pxr = pytest.importorskip("pxr")
    from pxr import Gf, Usd, UsdGeom

    assert pxr is not None
    path = example(frozenset(FACTS) - {"source"})
    for name in ("camera.usda", "camera.usdc"):
        formats.write(tmp_path / name, path)
        stage = Usd.Stage.Open(str(tmp_path / name))
        camera = UsdGeom.Camera(stage.GetDefaultPrim())
        assert UsdGeom.GetStageUpAxis(stage) == "Y" and stage.GetTimeCodesPerSecond() == 24.0
        for time, expected in enumerate(pixels(path), start=1):
            frustum = camera.GetCamera(time).frustum
            seen = frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix()
            x, y, _ = seen.Transform(Gf.Vec3d(*(POINT * [1, -1, -1]).tolist()))
            np.testing.assert_allclose([(x + 1) / 2 * W, (1 - y) / 2 * H], expected, atol=1e-4)
        np.testing.assert_allclose(formats.read(tmp_path / name).intrinsics, path.intrinsics, rtol=1e-6)


USD_OF_OTHERS = """#usda 1.0
(
    subLayers = [@./absent.usda@]
    upAxis = "Z"
    timeCodesPerSecond = 25
)
def Xform "Rig" (references = @./secret.usda@)
{
    double3 xformOp:translate.timeSamples = {10: (0, 0, 0), 11: (2, 0, 0)}
    float3 xformOp:scale = (2, 2, 2)
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:scale"]
    def Camera "Shot"
    {
        float focalLength = 18
        float horizontalAperture = 36
        float verticalAperture = 20.25
    }
}
"""


def test_another_programs_usd_is_read_alone_in_its_own_world(tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    (tmp_path / "secret.usda").write_text('#usda 1.0\ndef Camera "Aaa"\n{\n    float focalLength = 99\n}\n')
    (tmp_path / "shot.usda").write_text(USD_OF_OTHERS)
    found = formats.load(tmp_path / "shot.usda")
    assert found.trajectory.image_size == (360, 640) and "640 x 360 is taken, of its sensor's shape" in found.notes[0]
    assert found.trajectory.fps == 25.0 and found.trajectory.intrinsics[0].tolist() == [320, 320, 320, 180]
    np.testing.assert_allclose(found.trajectory.centres, [[0, 0, 0], [2, 0, 0]])
    ahead = found.trajectory.Ts_world_camera[0, :3, 2]
    np.testing.assert_allclose(ahead, [0, 1, 0], atol=1e-12)  # it looks along -z of a world with z up: down
    for text, words in (
        ("#usda 1.0\n", "holds no camera"),
        ("#usda 1.0\nbroken {", "is no layer of USD that can be read"),
        ('#usda 1.0\ndef Camera "C"\n{\n    token projection = "orthographic"\n}\n', "is orthographic"),
        ('#usda 1.0\ndef Camera "C"\n{\n    float focalLength = 0\n}\n', "expected finite numbers above 0"),
    ):
        (tmp_path / "bad.usda").write_text(text)
        with pytest.raises(InputError, match=words):
            formats.read(tmp_path / "bad.usda", image_size=(90, 160))


class Matrix(np.ndarray):
    """As much of Blender's `mathutils` as the script asks for."""

    def __new__(cls, rows: list[list[float]]) -> Matrix:
        return np.array(rows).view(cls)

    def decompose(self) -> tuple:
        class Quaternion(SimpleNamespace):
            def make_compatible(self, other: object) -> None:
                assert other is not None

            def copy(self) -> Quaternion:
                return self

        return np.array(self[:3, 3]), Quaternion(R=np.array(self[:3, :3])), np.ones(3)


def test_blenders_script_builds_the_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = example(frozenset(FACTS) - {"source"})
    formats.write(tmp_path / "blender_camera.py", path)
    render, kept = SimpleNamespace(), []
    data = SimpleNamespace(keyframe_insert=lambda name, frame: None)
    camera = SimpleNamespace(keyframe_insert=lambda name, frame: None)
    data.keyframe_insert = lambda name, frame: kept.append((frame, vars(camera) | vars(data)))
    scene = SimpleNamespace(render=render, collection=SimpleNamespace(objects=SimpleNamespace(link=lambda one: None)))
    bpy = SimpleNamespace(
        context=SimpleNamespace(scene=scene),
        data=SimpleNamespace(
            cameras=SimpleNamespace(new=lambda name: data), objects=SimpleNamespace(new=lambda name, of: camera)
        ),
    )
    monkeypatch.setitem(sys.modules, "bpy", bpy)
    monkeypatch.setitem(sys.modules, "mathutils", SimpleNamespace(Matrix=Matrix))
    exec((tmp_path / "blender_camera.py").read_text(), {})
    assert (render.resolution_x, render.resolution_y, render.fps / render.fps_base) == (W, H, 24.0)
    assert [frame for frame, _ in kept] == [f for f in (1, 2, 3, 4) for _ in range(3)] and scene.frame_end == 4
    tall = render.pixel_aspect_y / render.pixel_aspect_x
    point = np.array([POINT[0], POINT[2], -POINT[1]])  # z up
    for (_, now), expected in zip(kept[2::3], pixels(path), strict=True):
        x, y, z = now["rotation_quaternion"].R.T @ (point - now["location"])
        focal = now["lens"] / now["sensor_width"] * W  # sensor_fit is HORIZONTAL
        u = W / 2 + focal * x / -z - now["shift_x"] * W
        v = H / 2 - focal / tall * y / -z + now["shift_y"] * W / tall
        np.testing.assert_allclose([u, v], expected, atol=1e-9)


def test_after_effects_own_keyframes_are_read(tmp_path: Path) -> None:
    """Sparse keyframes, rotations in place of an orientation, line ends of Windows, properties that do not count."""
    text = """Adobe After Effects 8.0 Keyframe Data

\tUnits Per Second\t25
\tSource Width\t1920
\tSource Height\t1080
\tSource Pixel Aspect Ratio\t1
\tComp Pixel Aspect Ratio\t1

Transform\tPosition
\tFrame\tX pixels\tY pixels\tZ pixels
\t10\t960\t540\t-2000
\t14\t1960\t540\t-2000

Transform\tY Rotation
\tFrame\tdegrees
\t10\t0
\t14\t40

Camera Options\tZoom
\tFrame\tpixels
\t10\t1866.7

Camera Options\tAperture
\tFrame\tpixels
\t10\t17.7

End of Keyframe Data
"""
    path = tmp_path / "copied.txt"
    path.write_text(text, newline="\r\n")
    found = formats.load(path)
    assert found.format.name == "after_effects" and len(found.trajectory) == 5 and found.trajectory.fps == 25.0
    np.testing.assert_allclose(found.trajectory.centres[[0, 2]], [[0, 0, -2], [0.5, 0, -2]])
    np.testing.assert_allclose(found.trajectory.Ts_world_camera[2, :3, :3], turn("y", 20), atol=1e-12)
    assert found.trajectory.intrinsics[0].tolist() == [1866.7, 1866.7, 960, 540]
    for change, words in (
        (("Transform\tY Rotation", "Transform\tPoint of Interest"), "follows a point of interest"),
        (("Camera Options\tZoom", "Camera Options\tOther"), "has no keyframes of Zoom"),
        (("1866.7", "wide"), "line 21: Zoom 1 is 'wide', expected a number"),
        (("Source Width\t1920", "Source Width\t1920.5"), "Source Width is 1920.5, expected a whole number"),
    ):
        path.write_text(text.replace(*change))
        with pytest.raises(InputError) as error:
            formats.read(path)
        assert words in str(error.value)


def test_a_chan_without_a_lens_needs_one(tmp_path: Path) -> None:
    (tmp_path / "a.chan").write_text("# of an object\n1 0 0 0 0 0 0\n2 1 0 0 0 90 0\n")
    with pytest.raises(InputError, match="a.chan line 2: has 7 columns and no lens"):
        formats.read(tmp_path / "a.chan")
    found = formats.load(tmp_path / "a.chan", fov_y_rad=math.radians(40), image_size=(90, 160))
    assert math.degrees(found.trajectory.fov_y_rad[1]) == pytest.approx(40) and found.notes == ()
    np.testing.assert_allclose(found.trajectory.Ts_world_camera[1, :3, 2], [-1, 0, 0], atol=1e-12)
    (tmp_path / "a.chan").write_text("1 0 0 0 0 0 0 50\n1 1 0 0 0 90 0 50\n")
    with pytest.raises(InputError, match="line 2: the timestamp is a duplicate"):
        formats.read(tmp_path / "a.chan")
