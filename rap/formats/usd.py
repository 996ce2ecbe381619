"""A camera of OpenUSD (`.usda`, `.usd`, `.usdc`), for Houdini, Maya, Unreal, Omniverse and others; needs `usd-core`.

A `UsdGeomCamera` looks along -z with +y up, in a stage with +y up. Its focal length and apertures are in tenths of the
stage's unit; only their ratio counts for the view, and ours stand for a sensor of 36 across. The principal point is the
aperture's offset. A time code is a frame. The size in pixels, which cameras of USD have not, stands in the layer's
customLayerData as `rap:imageSize` (height, width).

Of a stranger's file the layer alone is read: what it would bring in from other files is dropped before it is composed.

Reference: openusd.org, UsdGeomCamera; GfCamera for the frustum.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from rap.errors import InputError
from rap.formats import checks
from rap.formats.axes import to_y_up
from rap.geometry import se3
from rap.geometry.trajectory import Trajectory
from rap.limits import CAMERAS
from rap.writing import whole_file

SENSOR = 36.0
SIZE_KEY = "rap:imageSize"
PRIM = "/Camera"
TEXT = b"#usda"


def is_there() -> bool:
    """Whether `usd-core` is installed."""
    return find_spec("pxr") is not None


def read(path: str | Path, *, image_size: tuple[int, int] | None = None) -> Trajectory:
    """Read the first camera of a layer; its world is turned so that +y is down. Source 0.

    Args:
        image_size: (h, w) in pixels, which only our own files know; else 640 pixels across in the shape of the sensor.

    Raises:
        InputError: no layer of USD, no camera in it, no perspective one, or values that are no camera.
    """
    pxr = _pxr()
    path = Path(path)
    checks.file_size_checked(path)
    layer = _layer_alone(path, pxr)
    stage = pxr.Usd.Stage.Open(layer, pxr.Usd.Stage.LoadNone)
    prim = next((prim for prim in stage.Traverse() if prim.IsA(pxr.UsdGeom.Camera)), None)
    if prim is None:
        raise InputError(f"{path.name}: holds no camera; expected a layer of USD with a UsdGeomCamera in it")
    camera = pxr.UsdGeom.Camera(prim)
    if camera.GetProjectionAttr().Get() != pxr.UsdGeom.Tokens.perspective:
        raise InputError(f"{path.name}: {prim.GetPath()} is orthographic, expected a perspective camera")
    times = _times(prim, camera, pxr)
    CAMERAS.check(len(times), f"{path.name}: has", "keep fewer frames")
    size = image_size or _own_size(layer, path) or _size_of_shape(camera, times[0], path)
    poses, intrinsics = [], []
    for i, time in enumerate(times):
        where = f"{path.name}: {prim.GetPath()} at time {i}"
        matrix = np.array(pxr.UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(time)).T
        poses.append(_pose(matrix, where))
        intrinsics.append(_intrinsics(camera, time, size, where))
    world = np.stack(poses)
    if pxr.UsdGeom.GetStageUpAxis(stage) == pxr.UsdGeom.Tokens.z:
        world = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]]) @ world
    fps = float(stage.GetTimeCodesPerSecond())
    checks.positive(fps, "timeCodesPerSecond", path.name)
    return checks.build_trajectory(path, to_y_up(world), np.array(intrinsics), size, fps=fps)


def write(path: str | Path, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> None:
    """Write a stage with one camera; `frame_names` have no place in it."""
    checks.names_for(len(trajectory), frame_names)
    pxr, path = _pxr(), Path(path)
    height, width = trajectory.image_size
    layer = pxr.Sdf.Layer.CreateAnonymous(".usda")
    stage = pxr.Usd.Stage.Open(layer)
    pxr.UsdGeom.SetStageUpAxis(stage, pxr.UsdGeom.Tokens.y)
    pxr.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(float(trajectory.fps))
    stage.SetFramesPerSecond(float(trajectory.fps))
    stage.SetStartTimeCode(1.0)
    stage.SetEndTimeCode(float(len(trajectory)))
    layer.customLayerData = {SIZE_KEY: pxr.Gf.Vec2i(height, width)}
    camera = pxr.UsdGeom.Camera.Define(stage, PRIM)
    stage.SetDefaultPrim(camera.GetPrim())
    _write_samples(camera, trajectory, pxr)
    with whole_file(path) as partial:
        if path.suffix.lower() == ".usdc":
            layer.Export(str(partial))
        else:
            partial.write_text(layer.ExportToString(), encoding="utf-8")


def _write_samples(camera: Any, trajectory: Trajectory, pxr: Any) -> None:
    height, width = trajectory.image_size
    operation = camera.AddTransformOp()
    camera.GetHorizontalApertureAttr().Set(SENSOR)
    poses = to_y_up(trajectory.Ts_world_camera)
    for time, (T, (fx, fy, cx, cy)) in enumerate(zip(poses, trajectory.intrinsics.tolist(), strict=True), start=1):
        tall = SENSOR * height / width * fx / fy
        operation.Set(pxr.Gf.Matrix4d(T.T.tolist()), time)
        camera.GetFocalLengthAttr().Set(SENSOR * fx / width, time)
        camera.GetVerticalApertureAttr().Set(tall, time)
        camera.GetHorizontalApertureOffsetAttr().Set(SENSOR * (0.5 - cx / width), time)
        camera.GetVerticalApertureOffsetAttr().Set(tall * (cy / height - 0.5), time)


def _pxr() -> Any:
    try:
        from pxr import Gf, Sdf, Usd, UsdGeom  # pyright: ignore[reportMissingImports]  an extra
    except ImportError:
        raise InputError("USD needs usd-core; install it: pip install 'rays-as-pixels[film]'") from None
    return SimpleNamespace(Gf=Gf, Sdf=Sdf, Usd=Usd, UsdGeom=UsdGeom)


def _layer_alone(path: Path, pxr: Any) -> Any:
    """A copy of a layer in memory that refers to no other file."""
    from pxr import Tf  # pyright: ignore[reportMissingImports]

    with path.open("rb") as file:
        is_text = file.read(len(TEXT)) == TEXT
    found = None
    with suppress(Tf.ErrorException, RuntimeError):
        if is_text:
            empty = pxr.Sdf.Layer.CreateAnonymous(".usda")
            found = empty if empty.ImportFromString(checks.read_text(path)) else None
        else:
            found = pxr.Sdf.Layer.OpenAsAnonymous(str(path))
    if found is None:
        raise InputError(f"{path.name}: is no layer of USD that can be read; export it as .usda, flattened")
    found.subLayerPaths.clear()
    found.Traverse(pxr.Sdf.Path.absoluteRootPath, _Stripper(found, pxr))
    return found


class _Stripper:
    """Takes out of a layer what leads to other files."""

    def __init__(self, layer: Any, pxr: Any) -> None:
        self._layer, self._pxr = layer, pxr

    def __call__(self, place: Any) -> None:
        prim = self._layer.GetPrimAtPath(place) if place.IsPrimPath() or place.IsPrimVariantSelectionPath() else None
        if prim is None:
            return
        prim.referenceList.ClearEdits()
        prim.payloadList.ClearEdits()
        if prim.HasInfo("clips"):
            prim.ClearInfo("clips")


def _times(prim: Any, camera: Any, pxr: Any) -> list[Any]:
    """All times at which the camera, or what it hangs from, changes; one where nothing does."""
    found: set[float] = set()
    at = prim
    while at and not at.IsPseudoRoot():
        found |= set(pxr.UsdGeom.Xformable(at).GetTimeSamples() if at.IsA(pxr.UsdGeom.Xformable) else ())
        at = at.GetParent()
    for attribute in (camera.GetFocalLengthAttr(), camera.GetHorizontalApertureAttr()):
        found |= set(attribute.GetTimeSamples())
    return [pxr.Usd.TimeCode(time) for time in sorted(found)] or [pxr.Usd.TimeCode.Default()]


def _pose(matrix: np.ndarray, where: str) -> np.ndarray:
    """A rigid pose; a camera may hang below something that is scaled, evenly."""
    scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3])))) if np.isfinite(matrix).all() else 0.0
    if not 0.0 < scale <= checks.MAX_NUMBER:
        raise InputError(f"{where}: its transform is not finite or flat, expected a camera's pose")
    rigid = matrix.copy()
    rigid[:3, :3] /= scale
    pose = checks.rigid_pose(rigid, "its transform", where)
    se3.check_rigid(pose, "pose")
    return pose


def _intrinsics(camera: Any, time: Any, size: tuple[int, int], where: str) -> list[float]:
    height, width = size
    values = [
        float(attribute.Get(time))
        for attribute in (
            camera.GetFocalLengthAttr(), camera.GetHorizontalApertureAttr(), camera.GetVerticalApertureAttr(),
            camera.GetHorizontalApertureOffsetAttr(), camera.GetVerticalApertureOffsetAttr(),
        )
    ]  # fmt: skip
    if not all(abs(value) <= checks.MAX_NUMBER for value in values) or min(values[:3]) <= 0.0:
        raise InputError(f"{where}: focal length and apertures are {values[:3]}, expected finite numbers above 0")
    focal, across, tall, right, up = values
    return [focal / across * width, focal / tall * height, width * (0.5 - right / across), height * (0.5 + up / tall)]


def _own_size(layer: Any, path: Path) -> tuple[int, int] | None:
    found = layer.customLayerData.get(SIZE_KEY)
    if found is None or len(found) != 2:
        return None
    return checks.image_side(found[0], SIZE_KEY, path.name), checks.image_side(found[1], SIZE_KEY, path.name)


def _size_of_shape(camera: Any, time: Any, path: Path) -> tuple[int, int]:
    across, tall = (
        float(side.Get(time)) for side in (camera.GetHorizontalApertureAttr(), camera.GetVerticalApertureAttr())
    )
    width = checks.DEFAULT_IMAGE_SIZE[1]
    height = width * tall / across if across > 0.0 else 0.0
    size = checks.image_side(float(np.round(height)) if np.isfinite(height) else 0.0, "its height", path.name), width
    warnings.warn(
        f"{path.name}: a camera of USD has no size in pixels; {size[1]} x {size[0]} is taken, of its sensor's shape",
        stacklevel=3,
    )
    return size
