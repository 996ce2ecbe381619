"""A Python script that builds the camera in Blender: run it in the Scripting workspace; write-only.

Blender's world has +z up, its camera looks along -z with +y up: our world is turned so that its +y (down) becomes -z
and its +z (ahead) becomes +y. A keyframe for each frame, from frame 1, with the focal length for a sensor of 36 mm
across and the principal point as shift; resolution, pixel aspect (of the first frame) and rate are the scene's.

Reference: docs.blender.org, Python API, bpy.types.Camera (sensor_width, lens, shift_x, shift_y).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rap.formats import checks
from rap.formats.axes import SIGNS_OPENGL, row_major
from rap.geometry.trajectory import Trajectory
from rap.writing import write_text

SENSOR_MM = 36.0
WORLD = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
"""Our world -> Blender's."""

SCRIPT = '''"""A camera path, made by Rays as Pixels: run this in Blender's Scripting workspace."""

import json

import bpy
from mathutils import Matrix

PATH = json.loads(r"""
{path}
""")

data = bpy.data.cameras.new("Rays as Pixels")
camera = bpy.data.objects.new("Rays as Pixels", data)
scene = bpy.context.scene
scene.collection.objects.link(camera)
scene.camera = camera
scene.render.resolution_x, scene.render.resolution_y = PATH["size"]
scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = PATH["pixel_aspect"]
scene.render.fps, scene.render.fps_base = PATH["fps"]
scene.frame_start, scene.frame_end = 1, len(PATH["matrix_world"])
data.sensor_fit, data.sensor_width = "HORIZONTAL", PATH["sensor_mm"]
camera.rotation_mode = "QUATERNION"
before = None
for frame, (matrix, lens, shift) in enumerate(zip(PATH["matrix_world"], PATH["lens_mm"], PATH["shift"]), start=1):
    location, rotation, _ = Matrix([matrix[i : i + 4] for i in (0, 4, 8, 12)]).decompose()
    if before is not None:
        rotation.make_compatible(before)
    before = rotation.copy()
    camera.location, camera.rotation_quaternion = location, rotation
    data.lens, (data.shift_x, data.shift_y) = lens, shift
    camera.keyframe_insert("location", frame=frame)
    camera.keyframe_insert("rotation_quaternion", frame=frame)
    for name in ("lens", "shift_x", "shift_y"):
        data.keyframe_insert(name, frame=frame)
'''


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write the script; `frame_names` have no place in it."""
    checks.names_for(len(trajectory), frame_names)
    height, width = trajectory.image_size
    fx, fy, cx, cy = trajectory.intrinsics.T
    aspect = float(fx[0] / fy[0])  # a pixel's height over its width
    rate = max(1, round(trajectory.fps))  # Blender's is a whole number, divided by a base: 24 / 1.001
    found = {
        "size": [width, height],
        "pixel_aspect": [1.0, aspect] if aspect >= 1.0 else [1.0 / aspect, 1.0],
        "fps": [rate, rate / float(trajectory.fps)],
        "sensor_mm": SENSOR_MM,
        "lens_mm": (fx / width * SENSOR_MM).tolist(),
        "shift": np.stack([0.5 - cx / width, (cy / height - 0.5) * height * aspect / width], axis=1).tolist(),
        "matrix_world": row_major(WORLD @ trajectory.Ts_world_camera * SIGNS_OPENGL + 0.0),
    }
    write_text(path, SCRIPT.replace("{path}", json.dumps(found)))
